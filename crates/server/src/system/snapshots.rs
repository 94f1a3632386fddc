//! `cluster_snapshots` (those that can be restored) and `cluster_snapshot_jobs` (how each came about).

use cairn_catalog::{Catalog, Snapshot, SnapshotState};
use cairn_objects::layout;
use cairn_types::{Literal, SqlType};

use super::{LONG, Scope, SystemTable, TEXT, TIME};
use crate::jobs::SnapshotUsages;
use crate::rows::{Rows, int, text, time};

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "cluster_snapshots",
        columns: &[
            ("SNAPSHOT_NAME", TEXT),
            ("SNAPSHOT_TYPE", TEXT),
            ("CREATED_TIME", TIME),
            ("FE_JOURNAL_ID", LONG),
            ("STARMGR_JOURNAL_ID", LONG),
            ("PROPERTIES", TEXT),
            ("STORAGE_VOLUME", TEXT),
            ("STORAGE_PATH", TEXT),
            ("SIZE_BYTES", LONG),
            ("FILES", LONG),
            ("EXCLUSIVE_BYTES", LONG),
            ("EXPIRES_TIME", TIME),
            ("COMMENT", TEXT),
        ],
        fill: cluster_snapshots,
    },
    SystemTable { name: "cluster_snapshot_jobs", columns: JOB_COLUMNS, fill: cluster_snapshot_jobs },
];

const JOB_COLUMNS: &[(&str, SqlType)] = &[
    ("SNAPSHOT_NAME", TEXT),
    ("JOB_ID", LONG),
    ("CREATED_TIME", TIME),
    ("FINISHED_TIME", TIME),
    ("STATE", TEXT),
    ("DETAIL_INFO", TEXT),
    ("ERROR_MESSAGE", TEXT),
    ("SIZE_BYTES", LONG),
    ("FILES", LONG),
    ("EXCLUSIVE_BYTES", LONG),
    ("EXPIRES_TIME", TIME),
    ("COMMENT", TEXT),
];

/// The name of the volume that a snapshot lies in.
#[must_use]
pub fn volume_name(catalog: &Catalog, snapshot: &Snapshot) -> Literal {
    catalog.volume(snapshot.volume).map_or(Literal::Null, |volume| text(&volume.name))
}

/// What `cluster_snapshot_path` of a restore names.
#[must_use]
pub fn storage_path(catalog: &Catalog, snapshot: &Snapshot) -> Literal {
    let folder = layout::snapshot_folder(&catalog.cluster().id, &snapshot.name);
    catalog
        .volume(snapshot.volume)
        .map_or(Literal::Null, |volume| text(format!("{}/{folder}", volume.location)))
}

/// A time that may not have come.
#[must_use]
pub fn maybe_time(time_ms: Option<u64>) -> Literal {
    time_ms.map_or(Literal::Null, time)
}

/// `SIZE_BYTES` and `FILES`, which are known once a snapshot was finished.
#[must_use]
pub fn size(snapshot: &Snapshot) -> [Literal; 2] {
    let known =
        matches!(snapshot.state, SnapshotState::Finished | SnapshotState::Expired | SnapshotState::Deleted);
    match known {
        true => [int(snapshot.bytes), int(snapshot.files)],
        false => [Literal::Null, Literal::Null],
    }
}

fn cluster_snapshots(scope: &Scope<'_>, rows: &mut Rows) {
    for snapshot in scope.catalog.snapshots().filter(|s| s.state == SnapshotState::Finished) {
        let [bytes, files] = size(snapshot);
        rows.push([
            text(&snapshot.name),
            text(snapshot.kind.name().to_ascii_lowercase()),
            time(snapshot.created.time_ms),
            int(snapshot.created.index),
            // StarRocks has a journal of its own for where files lie; here both are one.
            int(0),
            text(""),
            volume_name(scope.catalog, snapshot),
            storage_path(scope.catalog, snapshot),
            bytes,
            files,
            exclusive_bytes(scope.usage, snapshot),
            maybe_time(snapshot.expires_ms()),
            text(&snapshot.comment),
        ]);
    }
}

/// `EXCLUSIVE_BYTES`: what would become free if only this snapshot went; NULL until the vacuum has looked.
#[must_use]
pub fn exclusive_bytes(usage: &SnapshotUsages, snapshot: &Snapshot) -> Literal {
    match usage.get(&snapshot.name) {
        Some(usage) if snapshot.state == SnapshotState::Finished => int(usage.exclusive_bytes),
        _ => Literal::Null,
    }
}

fn cluster_snapshot_jobs(scope: &Scope<'_>, rows: &mut Rows) {
    fill_jobs(scope.catalog, scope.usage, rows);
}

/// The rows of `cluster_snapshot_jobs`, for `SHOW PROC '/jobs'`.
#[must_use]
pub fn jobs(catalog: &Catalog, usage: &SnapshotUsages) -> Rows {
    let mut rows = Rows::new(JOB_COLUMNS);
    fill_jobs(catalog, usage, &mut rows);
    rows
}

fn fill_jobs(catalog: &Catalog, usage: &SnapshotUsages, rows: &mut Rows) {
    for snapshot in catalog.snapshots() {
        let [bytes, files] = size(snapshot);
        rows.push([
            text(&snapshot.name),
            int(snapshot.job.0),
            time(snapshot.created.time_ms),
            maybe_time(snapshot.finished.map(|stamp| stamp.time_ms)),
            text(snapshot.state.name()),
            text(&snapshot.detail),
            text(&snapshot.error),
            bytes,
            files,
            exclusive_bytes(usage, snapshot),
            maybe_time(snapshot.expires_ms()),
            text(&snapshot.comment),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use crate::system::tests::{sample, values};

    #[test]
    fn only_finished_snapshots_can_be_restored() {
        let catalog = sample();
        let one = |column, expected: &str| {
            assert_eq!(values(&catalog, "cluster_snapshots", column), [expected], "{column}")
        };
        one("SNAPSHOT_NAME", "good");
        one("SNAPSHOT_TYPE", "manual");
        one("FE_JOURNAL_ID", "10");
        one("STORAGE_PATH", "file:///vol/c1/meta/image/good");
        one("EXPIRES_TIME", "1970-01-01 00:01:10");
        one("SIZE_BYTES", "5000");
    }

    #[test]
    fn every_job_is_told() {
        let catalog = sample();
        let check = |column, expected: [&str; 3]| {
            assert_eq!(values(&catalog, "cluster_snapshot_jobs", column), expected)
        };
        check("SNAPSHOT_NAME", ["good", "bad", "automated_cluster_snapshot_14000"]);
        check("STATE", ["FINISHED", "ERROR", "INITIALIZING"]);
        check("ERROR_MESSAGE", ["", "disk full", ""]);
        check("FINISHED_TIME", ["1970-01-01 00:00:11", "1970-01-01 00:00:13", "NULL"]);
        check("FILES", ["4", "NULL", "NULL"]);
    }
}
