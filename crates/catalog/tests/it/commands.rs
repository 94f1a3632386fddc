//! Databases, tables, loads, snapshots, users and volumes.

use std::collections::BTreeMap;

use cairn_catalog::retention::Holder;
use cairn_catalog::{
    Command, PartitionChange, Reply, SnapshotKind, SnapshotSpec, SnapshotState, User, VolumeKind,
};
use cairn_types::{ErrorKind, TxnId};

use crate::common::*;

#[test]
fn versions_count_data_and_nothing_else() {
    let (mut c, db, table, p) = Cluster1::with_table();
    let version = |c: &Cluster1| c.catalog.partition(p).unwrap().visible_version();
    assert_eq!(version(&c), 1);
    c.commit(db, p, "a").unwrap();
    assert_eq!(version(&c), 2);
    c.ok(Command::CommitCompaction {
        change: PartitionChange {
            partition: p,
            base: Some("a".into()),
            manifest: manifest("b"),
            replaces: false,
        },
    });
    assert_eq!(version(&c), 2);
    c.ok(Command::RenameTable { table, name: "u".into() });
    c.ok(Command::SetTableComment { table, comment: "x".into() });
    assert_eq!(version(&c), 2);
}

#[test]
fn a_commit_on_an_old_manifest_is_a_conflict() {
    let (mut c, db, table, p) = Cluster1::with_table();
    c.commit(db, p, "a").unwrap();
    let stale = PartitionChange { partition: p, base: None, manifest: manifest("b"), replaces: false };
    let commit = Command::Commit { db, txn: None, label: None, changes: vec![stale], details: String::new() };
    assert!(c.refused(commit).contains("changed meanwhile"));
    c.ok(Command::Truncate { table, partitions: Vec::new() });
    assert_eq!(c.commit(db, p, "b").unwrap_err().kind(), ErrorKind::Conflict, "the partition was replaced");
}

#[test]
fn labels_are_used_once_and_given_back_by_an_abort() {
    let (mut c, db, _, p) = Cluster1::with_table();
    let begin =
        |label: &str| Command::BeginTxn { db, label: label.into(), source: String::new(), timeout_ms: 0 };
    let Reply::Txn(first) = c.ok(begin("l")) else { panic!() };
    assert_eq!(c.refused(begin("l")), "Label [l] has already been used.");
    c.ok(Command::AbortTxn { txn: first, reason: "no".into() });
    let Reply::Txn(second) = c.ok(begin("l")) else { panic!() };
    let change = PartitionChange { partition: p, base: None, manifest: manifest("a"), replaces: false };
    let commit = |txn: TxnId| Command::Commit {
        db,
        txn: Some(txn),
        label: None,
        changes: vec![change.clone()],
        details: String::new(),
    };
    assert!(c.refused(commit(first)).contains("ABORTED already"));
    c.ok(commit(second));
    assert!(c.refused(Command::AbortTxn { txn: second, reason: String::new() }).contains("VISIBLE already"));
    assert_eq!(c.refused(begin("l")), "Label [l] has already been used.");
}

#[test]
fn what_is_dropped_can_be_recovered_until_it_is_forgotten() {
    let (mut c, db, _, p) = Cluster1::with_table();
    c.commit(db, p, "a").unwrap();
    c.ok(Command::DropTable { db, name: "t".into(), force: false });
    assert!(c.catalog.table_named(db, "t").is_none());
    assert_eq!(c.held(), [("a".to_owned(), vec![Holder::RecycleBin])]);
    c.ok(Command::RecoverTable { db, name: "t".into() });
    assert_eq!(c.held(), [("a".to_owned(), vec![Holder::Visible])]);
    c.ok(Command::DropDatabase { name: "d".into(), force: false });
    c.ok(Command::RecoverDatabase { name: "d".into() });
    assert!(c.catalog.table_named(db, "t").is_some());
    c.ok(Command::DropTable { db, name: "t".into(), force: true });
    assert!(c.refused(Command::RecoverTable { db, name: "t".into() }).contains("not in the recycle bin"));
    c.trim();
    assert_eq!((c.catalog.tables().count(), c.catalog.partitions().count()), (0, 0));
}

/// What a snapshot keeps is not what was dropped: rows that came after it are gone.
#[test]
fn what_outlived_the_recycle_bin_is_not_recovered_from_a_snapshots_part_of_it() {
    let (mut c, db, table, p) = Cluster1::with_table();
    c.commit(db, p, "a").unwrap();
    c.snapshot("s");
    c.commit(db, p, "b").unwrap();
    c.ok(Command::DropTable { db, name: "t".into(), force: false });
    c.trim();
    assert_eq!(c.held(), [("a".to_owned(), vec![Holder::Snapshot("s".into())])]);
    assert!(c.refused(Command::RecoverTable { db, name: "t".into() }).contains("not in the recycle bin"));
    c.ok(Command::DropDatabase { name: "d".into(), force: false });
    c.trim();
    assert!(c.catalog.table(table).is_some(), "the snapshot still sees it");
    assert!(c.refused(Command::RecoverDatabase { name: "d".into() }).contains("d"));
    c.drop_snapshot("s");
    c.trim();
    assert_eq!((c.held(), c.catalog.tables().count()), (vec![], 0));
}

#[test]
fn a_snapshot_holds_what_it_sees_through_everything() {
    let (mut c, db, table, p) = Cluster1::with_table();
    c.commit(db, p, "a").unwrap();
    c.snapshot("s1");
    c.commit(db, p, "b").unwrap();
    c.snapshot("s2");
    c.commit(db, p, "c").unwrap();
    c.commit(db, p, "d").unwrap();
    let snapshot = |name: &str| vec![Holder::Snapshot(name.into())];
    let expected = [
        ("a".to_owned(), snapshot("s1")),
        ("b".to_owned(), snapshot("s2")),
        ("d".to_owned(), vec![Holder::Visible]),
    ];
    assert_eq!(c.held(), expected);
    c.ok(Command::Truncate { table, partitions: Vec::new() });
    c.ok(Command::DropDatabase { name: "d".into(), force: true });
    c.trim();
    assert_eq!(c.held(), [("a".to_owned(), snapshot("s1")), ("b".to_owned(), snapshot("s2"))]);
    c.drop_snapshot("s1");
    c.trim();
    assert_eq!(c.held(), [("b".to_owned(), snapshot("s2"))]);
    c.drop_snapshot("s2");
    c.trim();
    assert_eq!(c.held(), []);
    assert_eq!(c.catalog.databases().count(), 0);
}

#[test]
fn snapshot_states_only_go_forward() {
    let (mut c, ..) = Cluster1::with_table();
    let id = c.snapshot("s");
    let to = |state| Command::AdvanceSnapshot {
        id,
        state,
        detail: String::new(),
        error: String::new(),
        bytes: 1,
        files: 1,
    };
    c.ok(to(SnapshotState::Snapshoting));
    c.ok(to(SnapshotState::Uploading));
    c.refused(to(SnapshotState::Snapshoting));
    c.ok(to(SnapshotState::Finished));
    c.refused(to(SnapshotState::Error));
    c.refused(to(SnapshotState::Deleted));
    c.ok(to(SnapshotState::Expired));
    c.ok(to(SnapshotState::Deleted));
    c.refused(to(SnapshotState::Finished));
}

#[test]
fn names_of_snapshots_are_folders() {
    let (mut c, ..) = Cluster1::with_table();
    for bad in ["", "a/b", "..", "a b", "automated_cluster_snapshot_1", &"x".repeat(200)] {
        let spec = SnapshotSpec {
            name: Some(bad.into()),
            kind: SnapshotKind::Manual,
            volume: None,
            ttl_ms: None,
            comment: String::new(),
            if_not_exists: false,
        };
        c.refused(Command::BeginSnapshot(spec));
    }
    c.snapshot("s");
    assert!(c.refused(Command::DropVolume { name: "v".into() }).contains("default"));
}

#[test]
fn users_and_volumes_are_named_once() {
    let mut c = Cluster1::new();
    let user = || User::without_password("u");
    c.ok(Command::CreateUser { user: user(), if_not_exists: false });
    assert!(c.refused(Command::CreateUser { user: user(), if_not_exists: false }).contains("already exists"));
    assert_eq!(c.ok(Command::CreateUser { user: user(), if_not_exists: true }), Reply::Unchanged);
    assert!(c.refused(Command::DropUser { name: "root".into(), if_exists: false }).contains("root"));
    let volume = |name: &str, location: &str| Command::CreateVolume {
        name: name.into(),
        kind: VolumeKind::S3,
        location: location.into(),
        comment: String::new(),
        properties: BTreeMap::new(),
    };
    c.refused(volume("w", "file:///x"));
    c.refused(volume("v", "s3://b"));
    c.ok(volume("w", "s3://b/p/"));
    assert_eq!(c.catalog.volume_named("w").unwrap().location, "s3://b/p");
    c.ok(Command::SetDefaultVolume { name: "w".into() });
    c.ok(Command::DropVolume { name: "v".into() });
}
