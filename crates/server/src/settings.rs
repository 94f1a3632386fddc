//! Settings that change at run time: `ADMIN SET FRONTEND CONFIG`, listed by `ADMIN SHOW FRONTEND CONFIG`.
//!
//! StarRocks' names where it has them. A changed value stands in the catalog, so it is the same on every frontend,
//! survives a restart and is in every snapshot; a default is not written down.

use cairn_catalog::Catalog;
use cairn_types::{Error, Result};

/// How a setting's text is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Bool,
    /// Inclusive bounds.
    Long(u64, u64),
    Text,
}

impl Kind {
    /// The word in the column `Type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Long(..) => "long",
            Self::Text => "String",
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub mutable: bool,
    pub comment: &'static str,
}

const fn long(
    name: &'static str,
    default: &'static str,
    min: u64,
    max: u64,
    comment: &'static str,
) -> Setting {
    Setting { name, kind: Kind::Long(min, max), default, mutable: true, comment }
}

const fn fixed(name: &'static str, default: &'static str, comment: &'static str) -> Setting {
    Setting { name, kind: Kind::Text, default, mutable: false, comment }
}

/// All settings, by name.
pub const SETTINGS: &[Setting] = &[
    long(
        "automated_cluster_snapshot_interval_seconds",
        "600",
        1,
        31_536_000,
        "Seconds between automated cluster snapshots, where the statement that turned them on names none",
    ),
    long(
        "automated_cluster_snapshot_keep_max",
        "3",
        1,
        10_000,
        "Finished automated cluster snapshots that are kept; older ones are dropped when a newer one is finished",
    ),
    long(
        "automated_cluster_snapshot_keep_seconds",
        "0",
        0,
        31_536_000,
        "Seconds that an automated cluster snapshot is kept at most; the newest is kept always; 0: no limit",
    ),
    long(
        "catalog_trash_expire_second",
        "86400",
        0,
        31_536_000,
        "Seconds that a dropped database, table or partition can be recovered",
    ),
    long(
        "compaction_interval_seconds",
        "10",
        1,
        86_400,
        "Seconds between looks for tablets with many small rowsets",
    ),
    Setting {
        name: "default_mv_refresh_immediate",
        kind: Kind::Bool,
        default: "true",
        mutable: true,
        comment: "Whether a materialized view is filled when it is made, where REFRESH says neither IMMEDIATE nor DEFERRED",
    },
    Setting {
        name: "enable_compaction",
        kind: Kind::Bool,
        default: "true",
        mutable: true,
        comment: "Whether small rowsets are merged in the background",
    },
    Setting {
        name: "enable_mv_automatic_active_check",
        kind: Kind::Bool,
        default: "true",
        mutable: true,
        comment: "Whether materialized views that a change of a base made inactive are tried to be made active again",
    },
    Setting {
        name: "enable_mv_automatic_inactive_by_base_table_changes",
        kind: Kind::Bool,
        default: "true",
        mutable: true,
        comment: "Whether renaming or swapping a base makes a materialized view inactive; dropping one always does",
    },
    long("image_interval_entries", "50000", 10, 100_000_000, "Journal entries between two images"),
    long("label_keep_max_num", "1000", 1, 1_000_000, "Finished loads whose labels are remembered"),
    long(
        "label_keep_max_second",
        "259200",
        1,
        31_536_000,
        "Seconds that a finished load's label is remembered",
    ),
    long(
        "materialized_view_min_refresh_interval",
        "60",
        1,
        86_400,
        "Seconds that REFRESH ASYNC EVERY names at least",
    ),
    long(
        "max_historical_automated_cluster_snapshot_jobs",
        "100",
        2,
        1_000_000,
        "Ended snapshot jobs that are listed",
    ),
    long(
        "max_mv_refresh_failure_retry_times",
        "1",
        0,
        100,
        "How often a refresh is tried again on the newest state after others changed what it read or wrote",
    ),
    long(
        "mv_active_checker_interval_seconds",
        "60",
        1,
        86_400,
        "Seconds between tries to make materialized views active again whose bases changed",
    ),
    fixed("run_mode", "shared_data", "Where the data lies: in storage volumes"),
    long(
        "task_min_schedule_interval_s",
        "10",
        1,
        86_400,
        "Seconds that the schedule of a submitted task names at least",
    ),
    long("task_runs_concurrency", "4", 1, 1_000, "Task runs (refreshes too) at a time"),
    long("task_runs_max_history_number", "10000", 1, 1_000_000, "Ended task runs that are listed"),
    long(
        "task_runs_queue_length",
        "500",
        1,
        100_000,
        "Waiting task runs above which nothing starts by itself",
    ),
    long("task_runs_ttl_second", "604800", 1, 31_536_000, "Seconds that an ended task run is listed"),
    long("task_ttl_second", "86400", 1, 31_536_000, "Seconds that a task without schedule is listed"),
    long(
        "vacuum_grace_seconds",
        "1800",
        0,
        31_536_000,
        "Seconds that a file stays after nothing was seen to reach it",
    ),
    long("vacuum_interval_seconds", "180", 1, 86_400, "Seconds between two rounds of the vacuum"),
];

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name))
}

/// Checks that `name` may be set to `value`; returns the name and value as they are kept.
///
/// # Errors
/// `NotFound` for an unknown one, `Analysis` for one that cannot change or a value out of bounds.
pub fn check(name: &str, value: &str) -> Result<(String, String)> {
    let setting = find(name)
        .ok_or_else(|| Error::not_found(format!("Config '{name}' does not exist or is not mutable")))?;
    if !setting.mutable {
        return Err(Error::analysis(format!("Config '{name}' does not exist or is not mutable")));
    }
    let value = value.trim();
    let bad =
        |what: &str| Error::analysis(format!("Config '{}' must be {what}, not '{value}'", setting.name));
    let kept = match setting.kind {
        Kind::Text => value.to_owned(),
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "true" => "true".to_owned(),
            "false" => "false".to_owned(),
            _ => return Err(bad("true or false")),
        },
        Kind::Long(min, max) => match value.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => number.to_string(),
            _ => return Err(bad(&format!("a number from {min} to {max}"))),
        },
    };
    Ok((setting.name.to_owned(), kept))
}

/// The value that counts now.
#[must_use]
pub fn value<'a>(catalog: &'a Catalog, name: &str) -> &'a str {
    catalog.setting(name).or_else(|| find(name).map(|s| s.default)).unwrap_or_default()
}

/// The value that counts now, of a number.
#[must_use]
pub fn number(catalog: &Catalog, name: &str) -> u64 {
    debug_assert!(find(name).is_some_and(|s| matches!(s.kind, Kind::Long(..))), "{name} is no number");
    value(catalog, name)
        .parse()
        .unwrap_or_else(|_| find(name).and_then(|s| s.default.parse().ok()).unwrap_or(0))
}

/// The value that counts now, of a switch.
#[must_use]
pub fn flag(catalog: &Catalog, name: &str) -> bool {
    value(catalog, name) == "true"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_defaults_fit() {
        assert!(SETTINGS.is_sorted_by_key(|s| s.name));
        for setting in SETTINGS.iter().filter(|s| s.mutable) {
            assert_eq!(check(setting.name, setting.default).unwrap().1, setting.default);
        }
    }

    #[test]
    fn bad_settings_are_refused() {
        assert!(check("no_such_setting", "1").unwrap_err().message().contains("no_such_setting"));
        assert!(check("run_mode", "shared_nothing").is_err());
        assert!(check("vacuum_grace_seconds", "-1").unwrap_err().message().contains("from 0 to"));
        assert!(check("enable_compaction", "maybe").is_err());
        assert_eq!(
            check("VACUUM_grace_seconds", " 7 ").unwrap(),
            ("vacuum_grace_seconds".into(), "7".into())
        );
    }
}
