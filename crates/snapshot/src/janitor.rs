//! What is to be done about snapshots now: begin an automated one, end what a crash left, let go what has outlived itself,
//! remove the files of what was let go.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use cairn_catalog::{Catalog, Command, Snapshot, SnapshotKind, SnapshotSpec, SnapshotState};
use cairn_env::Env;
use cairn_storage::meta::Meta;
use cairn_types::{Error, ErrorKind, Result, SnapshotId};

use crate::{VolumeResolver, clean};

/// StarRocks' words for a job that its process left.
pub const LEFT_BY_CRASH: &str = "Snapshot job has been failed because of FE restart or leader change";

/// Retention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotSettings {
    /// Between the begins of two automated ones, unless the policy says another.
    pub interval_ms: u64,
    /// So many finished automated ones are kept (at least 1).
    pub automated_kept: u64,
    /// Automated ones go when they are older; the newest stays.
    pub automated_age_ms_max: Option<u64>,
}

/// One thing to do.
#[derive(Clone, PartialEq, Debug)]
pub enum SnapshotAction {
    /// Take an automated one: the server proposes `BeginSnapshot` and drives [`take`](crate::take()).
    Begin(SnapshotSpec),
    /// Its process is gone.
    Fail(SnapshotId),
    /// It goes, and why.
    Expire(SnapshotId, String),
    /// Its files are to be removed.
    RemoveFiles(SnapshotId),
}

/// Decides. `running` are the jobs that this process drives (none when it starts).
#[must_use]
pub fn plan(
    catalog: &Catalog,
    running: &BTreeSet<SnapshotId>,
    settings: &SnapshotSettings,
    now_ms: u64,
) -> Vec<SnapshotAction> {
    let mut actions = Vec::new();
    for snapshot in catalog.snapshots() {
        match snapshot.state {
            state if state.is_running() && !running.contains(&snapshot.id) => {
                actions.push(SnapshotAction::Fail(snapshot.id));
            }
            SnapshotState::Expired | SnapshotState::Error
                if !snapshot.is_gone() && !running.contains(&snapshot.id) =>
            {
                actions.push(SnapshotAction::RemoveFiles(snapshot.id));
            }
            SnapshotState::Finished
                if !snapshot.pinned && snapshot.expires_ms().is_some_and(|at| at <= now_ms) =>
            {
                actions.push(SnapshotAction::Expire(snapshot.id, "it outlived its ttl".to_owned()));
            }
            _ => {}
        }
    }
    actions.extend(outlived(catalog, settings, now_ms));
    actions.extend(due(catalog, settings, now_ms));
    actions
}

/// Automated snapshots beyond the number and the age that are kept. The newest always stays: it is the way back.
fn outlived(catalog: &Catalog, settings: &SnapshotSettings, now_ms: u64) -> Vec<SnapshotAction> {
    let mut finished: Vec<&Snapshot> = catalog
        .snapshots()
        .map(|s| &**s)
        .filter(|s| {
            s.kind == SnapshotKind::Automated && s.state == SnapshotState::Finished && s.ttl_ms.is_none()
        })
        .collect();
    finished.sort_by_key(|s| Reverse(s.created));
    let kept = settings.automated_kept.max(1);
    let mut actions = Vec::new();
    for (snapshot, newer) in finished.iter().zip(0_u64..).skip(1) {
        let old = settings
            .automated_age_ms_max
            .is_some_and(|max| snapshot.created.time_ms.saturating_add(max) <= now_ms);
        if snapshot.pinned || !(newer >= kept || old) {
            continue;
        }
        let why = match newer >= kept {
            true => format!("{newer} newer automated ones are kept"),
            false => "it outlived the age to which automated ones are kept".to_owned(),
        };
        actions.push(SnapshotAction::Expire(snapshot.id, why));
    }
    actions
}

/// Whether an automated snapshot is due: the interval counts from begin to begin, whatever became of the last one.
fn due(catalog: &Catalog, settings: &SnapshotSettings, now_ms: u64) -> Option<SnapshotAction> {
    let policy = catalog.snapshot_policy()?;
    let interval_ms = policy.interval_seconds.map_or(settings.interval_ms, |s| s.saturating_mul(1_000));
    let automated: Vec<_> = catalog.snapshots().filter(|s| s.kind == SnapshotKind::Automated).collect();
    if automated.iter().any(|s| s.state.is_running()) {
        return None;
    }
    let last_ms = automated.last().map(|s| s.created.time_ms);
    // A clock that was set back must not end the snapshots until it is there again.
    if last_ms.is_some_and(|last| (last..last.saturating_add(interval_ms)).contains(&now_ms)) {
        return None;
    }
    Some(SnapshotAction::Begin(SnapshotSpec {
        name: None,
        kind: SnapshotKind::Automated,
        volume: Some(policy.volume),
        ttl_ms: None,
        comment: String::new(),
        if_not_exists: false,
    }))
}

/// Does one action; [`SnapshotAction::Begin`] is the server's.
///
/// # Errors
/// `Fenced`; `Unavailable`: the next plan will name it again.
pub async fn execute(
    env: &Env,
    meta: &dyn Meta,
    volumes: &dyn VolumeResolver,
    action: &SnapshotAction,
) -> Result<()> {
    let advance =
        |id: SnapshotId, state: SnapshotState, detail: &str, error: &str| Command::AdvanceSnapshot {
            id,
            state,
            detail: detail.to_owned(),
            error: error.to_owned(),
            bytes: 0,
            files: 0,
        };
    let (id, command) = match action {
        SnapshotAction::Begin(_) => {
            return Err(Error::internal("an automated snapshot is begun by the server, not by the janitor"));
        }
        SnapshotAction::Fail(id) => (*id, Some(advance(*id, SnapshotState::Error, "", LEFT_BY_CRASH))),
        SnapshotAction::Expire(id, why) => (*id, Some(advance(*id, SnapshotState::Expired, why, ""))),
        SnapshotAction::RemoveFiles(id) => (*id, None),
    };
    if let Some(command) = command {
        match meta.propose(command).await {
            // Somebody else was quicker: what is to be done now is looked up below.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            done => drop(done?),
        }
    }
    clean::remove_files(env, meta, volumes, id).await
}
