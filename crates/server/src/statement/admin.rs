//! Settings, images, cluster snapshots.

use cairn_catalog::{Command, SnapshotKind, SnapshotPolicy, SnapshotSpec, SnapshotState};
use cairn_sql::ast::{Admin, CreateSnapshot, DropSnapshot, Interval, VolumeName};
use cairn_types::{Error, ErrorKind, Literal, Privilege, Result, SqlType, VolumeId};

use crate::answer::Answer;
use crate::jobs;
use crate::rows::{Rows, boolean_text, int, text, time};
use crate::session::Session;
use crate::settings;

/// `ADMIN …`, `ALTER SYSTEM CREATE IMAGE`.
///
/// # Errors
/// `PrivilegeDenied`; what the statement meets.
pub async fn run(session: &Session, statement: &Admin) -> Result<Answer> {
    session.require_system(Privilege::Operate)?;
    match statement {
        Admin::ShowFrontendConfig { pattern } => Ok(Answer::Rows(show_config(session, pattern.as_deref()))),
        Admin::ShowAutomatedSnapshot => Ok(Answer::Rows(show_automated(session))),
        Admin::PauseMaterializedViews => crate::mview::alter::pause(session).await,
        Admin::ResumeMaterializedViews => crate::mview::alter::resume(session).await,
        changing => change(session, changing).await.map(|()| Answer::done()),
    }
}

async fn change(session: &Session, statement: &Admin) -> Result<()> {
    match statement {
        Admin::SetFrontendConfig { settings: changes, .. } => {
            let checked =
                changes.iter().map(|p| settings::check(&p.key, &p.value)).collect::<Result<Vec<_>>>()?;
            for (name, value) in checked {
                session.node.propose(Command::Set { name, value }).await?;
            }
            jobs::settings_changed(&session.node);
            Ok(())
        }
        Admin::AutomatedSnapshotOn { interval, volume } => {
            automated_on(session, interval.as_ref(), volume.as_ref()).await
        }
        Admin::AutomatedSnapshotOff => {
            policy(session)?;
            session.node.propose(Command::SetSnapshotPolicy { policy: None }).await?;
            Ok(())
        }
        Admin::AlterAutomatedSnapshot { interval } => {
            let policy = SnapshotPolicy { interval_seconds: Some(interval.seconds()), ..policy(session)? };
            session.node.propose(Command::SetSnapshotPolicy { policy: Some(policy) }).await?;
            session.node.jobs.wake_snapshots();
            Ok(())
        }
        Admin::CreateImage => session.node.journal.create_image().await.map(|_| ()),
        // `run` has answered these.
        Admin::ShowFrontendConfig { .. }
        | Admin::ShowAutomatedSnapshot
        | Admin::PauseMaterializedViews
        | Admin::ResumeMaterializedViews => Ok(()),
    }
}

fn policy(session: &Session) -> Result<SnapshotPolicy> {
    let catalog = session.catalog();
    catalog
        .snapshot_policy()
        .cloned()
        .ok_or_else(|| Error::analysis("Automated snapshot has not been turn on"))
}

async fn automated_on(
    session: &Session,
    interval: Option<&Interval>,
    volume: Option<&VolumeName>,
) -> Result<()> {
    let catalog = session.catalog();
    if catalog.snapshot_policy().is_some() {
        return Err(Error::analysis("Automated snapshot has been turn on"));
    }
    let volume = match volume {
        Some(name) => volume_id(session, &name.0)?,
        None => catalog.default_volume(),
    };
    let policy = SnapshotPolicy { volume, interval_seconds: interval.map(|i| i.seconds()) };
    session.node.propose(Command::SetSnapshotPolicy { policy: Some(policy) }).await?;
    session.node.jobs.wake_snapshots();
    Ok(())
}

fn volume_id(session: &Session, name: &str) -> Result<VolumeId> {
    let catalog = session.catalog();
    let found = catalog.volume_named(name).map(|v| v.id);
    found.ok_or_else(|| Error::analysis(format!("Unknown storage volume: {name}")))
}

/// `CREATE SNAPSHOT`: returns when the snapshot has its place in the journal; its files follow.
///
/// # Errors
/// `AlreadyExists`; `Analysis` for a bad name or property.
pub async fn create_snapshot(session: &Session, statement: &CreateSnapshot) -> Result<Answer> {
    session.require_system(Privilege::Operate)?;
    let mut spec = SnapshotSpec {
        name: statement.name.clone(),
        kind: SnapshotKind::Manual,
        volume: None,
        ttl_ms: None,
        comment: String::new(),
        if_not_exists: statement.if_not_exists,
    };
    for property in &statement.properties {
        match property.key.to_ascii_lowercase().as_str() {
            "ttl" => spec.ttl_ms = Some(duration_ms(&property.value)?),
            "comment" => spec.comment.clone_from(&property.value),
            "storage_volume" => spec.volume = Some(volume_id(session, &property.value)?),
            _ => {
                return Err(Error::unsupported(format!(
                    "snapshot property \"{}\" is not supported",
                    property.key
                )));
            }
        }
    }
    jobs::start_snapshot(&session.node, spec).await?;
    Ok(Answer::done())
}

/// `DROP SNAPSHOT`: the pin goes at once; its files follow.
///
/// # Errors
/// `NotFound`; `Conflict` for a pinned one.
pub async fn drop_snapshot(session: &Session, statement: &DropSnapshot) -> Result<Answer> {
    session.require_system(Privilege::Operate)?;
    let (name, if_exists) = (statement.name.clone(), statement.if_exists);
    let detail = format!("dropped by {}", session.user);
    let is_known = session.catalog().snapshots().any(|s| s.name == name && !s.is_gone());
    if !is_known && remove_unknown(session, &name).await? {
        return Ok(Answer::done());
    }
    session.node.propose(Command::DropSnapshot { name, if_exists, detail }).await?;
    session.node.env.failpoint("snapshot.drop.after_command")?;
    session.node.jobs.wake_snapshots();
    Ok(Answer::done())
}

/// Removes a snapshot of a history that a restore left behind, wherever it lies: whether there was one.
async fn remove_unknown(session: &Session, name: &str) -> Result<bool> {
    let (node, catalog) = (&session.node, session.catalog());
    let mut removed = false;
    for volume in catalog.volumes() {
        let store = node.storage.volumes.open(volume)?;
        match cairn_snapshot::clean::remove_unknown(&store, &catalog, name).await {
            Ok(()) => removed = true,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// `7 DAY`, `12 HOURS`, `30m`, or seconds.
fn duration_ms(text: &str) -> Result<u64> {
    let bad = || {
        Error::analysis(format!(
            "Invalid ttl '{text}': write a number and SECOND, MINUTE, HOUR, DAY or WEEK, like '7 DAY'"
        ))
    };
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at_checked(end).ok_or_else(bad)?;
    let count: u64 = count.parse().map_err(|_| bad())?;
    let seconds = match unit.trim().to_ascii_lowercase().trim_end_matches('s') {
        "" | "second" | "sec" => 1,
        "m" | "minute" | "min" => 60,
        "h" | "hour" => 3_600,
        "d" | "day" => 86_400,
        "w" | "week" => 604_800,
        _ => return Err(bad()),
    };
    count.checked_mul(seconds * 1_000).filter(|ms| *ms > 0).ok_or_else(bad)
}

fn show_config(session: &Session, pattern: Option<&str>) -> Rows {
    let catalog = session.catalog();
    let mut rows = Rows::text(&["Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"]);
    for setting in settings::SETTINGS {
        let value = settings::value(&catalog, setting.name);
        rows.push([
            text(setting.name),
            text("[]"),
            text(value),
            text(setting.kind.name()),
            boolean_text(setting.mutable),
            text(setting.comment),
        ]);
    }
    if let Some(pattern) = pattern {
        rows.keep_like(0, pattern);
    }
    rows
}

fn show_automated(session: &Session) -> Rows {
    let catalog = session.catalog();
    let mut rows = Rows::new(&[
        ("Enabled", SqlType::String),
        ("Interval", SqlType::BigInt),
        ("StorageVolume", SqlType::String),
        ("LastSnapshotTime", SqlType::DateTime),
        ("NextSnapshotTime", SqlType::DateTime),
    ]);
    let interval_seconds = jobs::automated_interval_seconds(&catalog);
    let of_kind = |s: &&std::sync::Arc<cairn_catalog::Snapshot>| s.kind == SnapshotKind::Automated;
    let last = catalog.snapshots().rev().filter(of_kind).find(|s| s.state == SnapshotState::Finished);
    let begun = catalog.snapshots().rev().find(of_kind).map(|s| s.created.time_ms);
    let last = last.map_or(Literal::Null, |s| time(s.created.time_ms));
    match catalog.snapshot_policy() {
        None => rows.push([boolean_text(false), int(interval_seconds), Literal::Null, last]),
        Some(policy) => {
            let volume = catalog.volume(policy.volume).map_or(Literal::Null, |v| text(&v.name));
            let next = begun.map_or(session.node.env.now_ms(), |ms| ms + interval_seconds * 1_000);
            rows.push([boolean_text(true), int(interval_seconds), volume, last, time(next)]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let check = |text, seconds: Option<u64>| {
            assert_eq!(duration_ms(text).ok(), seconds.map(|s| s * 1_000), "{text}")
        };
        check("7 DAY", Some(604_800));
        check("90", Some(90));
        check("2 hours", Some(7_200));
        check("30m", Some(1_800));
        check("0", None);
        check("7 moons", None);
        check("DAY", None);
        check("99999999999999999999", None);
    }
}
