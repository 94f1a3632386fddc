//! The catalog as those see it who send it commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use cairn_catalog::retention::Holder;
use cairn_catalog::{
    Bounds, Catalog, Cluster, Command, Distribution, ManifestRef, PartitionChange, PartitionSpec,
    Partitioning, Reply, SnapshotKind, SnapshotSpec, SnapshotState, Stamp, TableSpec, Trim, User, View,
    Volume, VolumeKind, image,
};
use cairn_types::{
    Column, DbId, ErrorKind, Literal, PartitionId, Schema, SnapshotId, SqlType, TableId, TxnId, VolumeId,
};
use proptest::prelude::*;

/// A catalog with a journal index that counts by itself.
struct Cluster1 {
    catalog: Catalog,
    index: u64,
}

impl Cluster1 {
    fn new() -> Self {
        let cluster = Cluster { id: "c".repeat(32), epoch: 1, created_ms: 1_000 };
        let volume = Volume {
            id: VolumeId(1),
            name: "v".into(),
            kind: VolumeKind::File,
            location: "file:///v".into(),
            comment: String::new(),
            properties: BTreeMap::from([("aws.s3.secret_key".to_owned(), "PLANTED".to_owned())]),
            created: Stamp::default(),
        };
        Self { catalog: Catalog::new(cluster, volume), index: 0 }
    }

    fn apply(&mut self, command: &Command) -> Result<Reply, cairn_types::Error> {
        self.index += 1;
        self.catalog.apply(self.index, 1_000 + self.index * 10, command)
    }

    fn ok(&mut self, command: Command) -> Reply {
        self.apply(&command).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    fn refused(&mut self, command: Command) -> String {
        let before = self.catalog.clone();
        let error = self.apply(&command).expect_err("must be refused");
        assert_eq!(self.catalog, before, "a refused command has changed nothing");
        error.message().to_owned()
    }

    /// A database `d` with a table `t` of one partition.
    fn with_table() -> (Self, DbId, TableId, PartitionId) {
        let mut this = Self::new();
        let Reply::Database(db) = this.ok(Command::CreateDatabase { name: "d".into(), if_not_exists: false })
        else {
            panic!()
        };
        let Reply::Table(table) = this.ok(Command::CreateTable(Box::new(spec(db, "t", Partitioning::None))))
        else {
            panic!()
        };
        let partition = this.catalog.partitions().last().unwrap().id;
        (this, db, table, partition)
    }

    fn commit(&mut self, db: DbId, partition: PartitionId, name: &str) -> Result<Reply, cairn_types::Error> {
        let base =
            self.catalog.partition(partition).and_then(|p| p.visible().map(|v| v.manifest.name.clone()));
        let change = PartitionChange { partition, base, manifest: manifest(name) };
        self.apply(&Command::Commit {
            db,
            txn: None,
            label: None,
            changes: vec![change],
            details: String::new(),
        })
    }

    fn snapshot(&mut self, name: &str) -> SnapshotId {
        let spec = SnapshotSpec {
            name: Some(name.into()),
            kind: SnapshotKind::Manual,
            volume: None,
            ttl_ms: None,
            comment: String::new(),
            if_not_exists: false,
        };
        let Reply::Snapshot(id) = self.ok(Command::BeginSnapshot(spec)) else { panic!() };
        id
    }

    fn drop_snapshot(&mut self, name: &str) {
        self.ok(Command::DropSnapshot { name: name.into(), if_exists: false, detail: String::new() });
    }

    fn trim(&mut self) {
        let now_ms = 1_000 + (self.index + 1) * 10;
        self.ok(Command::Trim(Trim {
            dropped_before_ms: now_ms,
            txns_before_ms: 0,
            txns_max: 1_000,
            jobs_max: 1_000,
        }));
    }

    /// The manifests that are held, with who holds each.
    fn held(&self) -> Vec<(String, Vec<Holder>)> {
        let partitions = self.catalog.partitions();
        let held = partitions.flat_map(|p| {
            self.catalog
                .holders(p)
                .into_iter()
                .map(|(v, by)| (v.manifest.name.clone(), by))
                .collect::<Vec<_>>()
        });
        let mut held: Vec<_> = held.collect();
        held.sort_by(|a, b| a.0.cmp(&b.0));
        held
    }
}

fn manifest(name: &str) -> ManifestRef {
    ManifestRef { name: name.into(), checksum: 7, rows: 1, bytes: 10, segments: 1 }
}

fn spec(db: DbId, name: &str, partitioning: Partitioning) -> TableSpec {
    let column = |name: &str, ty| Column {
        name: name.into(),
        ty,
        nullable: true,
        key: false,
        default: None,
        comment: String::new(),
    };
    let partitions = match partitioning {
        Partitioning::None => vec![PartitionSpec { name: name.into(), bounds: Bounds::All, buckets: None }],
        _ => Vec::new(),
    };
    TableSpec {
        db,
        name: name.into(),
        schema: Schema { columns: vec![column("k", SqlType::Int), column("d", SqlType::Date)] },
        sort_key: vec![0],
        partitioning,
        distribution: Distribution::Hash { columns: vec![0], buckets: 2 },
        comment: String::new(),
        properties: BTreeMap::new(),
        volume: None,
        partitions,
    }
}

fn range(name: &str, lower: i32, upper: i32) -> PartitionSpec {
    let bound = |day| Some(vec![Literal::Date(day)]);
    PartitionSpec {
        name: name.into(),
        bounds: Bounds::Range { lower: bound(lower), upper: bound(upper) },
        buckets: None,
    }
}

#[test]
fn versions_count_data_and_nothing_else() {
    let (mut c, db, table, p) = Cluster1::with_table();
    let version = |c: &Cluster1| c.catalog.partition(p).unwrap().visible_version();
    assert_eq!(version(&c), 1);
    c.commit(db, p, "a").unwrap();
    assert_eq!(version(&c), 2);
    c.ok(Command::CommitCompaction {
        change: PartitionChange { partition: p, base: Some("a".into()), manifest: manifest("b") },
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
    let stale = PartitionChange { partition: p, base: None, manifest: manifest("b") };
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
    let change = PartitionChange { partition: p, base: None, manifest: manifest("a") };
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
fn partitions_do_not_overlap() {
    let (mut c, db, ..) = Cluster1::with_table();
    let ranges = Partitioning::Range { columns: vec![1] };
    let Reply::Table(table) = c.ok(Command::CreateTable(Box::new(spec(db, "r", ranges)))) else { panic!() };
    let add = |specs: Vec<PartitionSpec>, if_not_exists| Command::CreatePartitions {
        table,
        partitions: specs,
        if_not_exists,
    };
    c.ok(add(vec![range("a", 0, 10), range("b", 10, 20)], false));
    assert!(c.refused(add(vec![range("c", 19, 30)], false)).contains("intersected with partition b"));
    assert!(c.refused(add(vec![range("a", 40, 50)], false)).contains("Duplicate partition name a"));
    assert!(c.refused(add(vec![range("e", 5, 5)], false)).contains("no room"));
    let Reply::Partitions(ids) = c.ok(add(vec![range("b", 10, 20), range("c", 20, 30)], true)) else {
        panic!()
    };
    assert_eq!(ids.len(), 2);
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

/// One of everything that an image can hold.
fn rich() -> Cluster1 {
    let (mut c, db, table, p) = Cluster1::with_table();
    c.commit(db, p, "a").unwrap();
    c.snapshot("s");
    c.commit(db, p, "b").unwrap();
    let time = Partitioning::Time { column: 1, unit: cairn_catalog::TimeUnit::Month, step: 1 };
    c.ok(Command::CreateTable(Box::new(spec(db, "m", time))));
    let view = View { schema: Schema::default(), query: "SELECT 1".into(), default_db: "d".into() };
    c.ok(Command::CreateView { db, name: "w".into(), view, comment: "c".into(), or_replace: false });
    c.ok(Command::BeginTxn { db, label: "open".into(), source: "x".into(), timeout_ms: 1 });
    c.ok(Command::Set { name: "n".into(), value: "1".into() });
    c.ok(Command::SetSnapshotPolicy {
        policy: Some(cairn_catalog::SnapshotPolicy { volume: VolumeId(1), interval_seconds: Some(9) }),
    });
    c.ok(Command::RenameTable { table, name: "renamed".into() });
    c
}

#[test]
fn an_image_holds_everything() {
    let c = rich();
    let bytes = image::encode(&c.catalog, c.index);
    assert_eq!(image::decode(&bytes).unwrap(), (c.index, c.catalog.clone()));
    assert!(
        !image::to_json(&c.catalog, c.index).to_string().contains("PLANTED"),
        "secrets are masked for people"
    );
    let clean = image::encode(&c.catalog.without_secrets(), c.index);
    assert!(!String::from_utf8_lossy(&clean).contains("PLANTED"), "secrets do not leave with a snapshot");
}

#[test]
fn every_damage_of_an_image_is_noticed() {
    let c = rich();
    let bytes = image::encode(&c.catalog, c.index);
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(image::decode(&damaged).is_err(), "byte {at}");
        assert!(image::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
}

/// Images and commands of version 1 stay readable for ever: these files are never written again.
#[test]
fn golden_images_and_commands_stay_readable() {
    let (index, catalog) = image::decode(include_bytes!("golden/image-v1.bin")).unwrap();
    let expected = rich();
    assert_eq!((index, catalog), (expected.index, expected.catalog));
    for line in include_str!("golden/commands-v1.jsonl").lines() {
        let command: Command = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&command).unwrap(), line);
    }
}

#[test]
#[ignore = "writes the golden files of a new format version"]
fn write_golden_files() {
    let c = rich();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(format!("{dir}/image-v1.bin"), image::encode(&c.catalog, c.index)).unwrap();
    let db = DbId(1);
    let change = PartitionChange { partition: PartitionId(2), base: None, manifest: manifest("m") };
    let commands = [
        Command::CreateDatabase { name: "d".into(), if_not_exists: true },
        Command::CreateTable(Box::new(spec(db, "t", Partitioning::None))),
        Command::CreatePartitions {
            table: TableId(3),
            partitions: vec![range("p", 1, 2)],
            if_not_exists: true,
        },
        Command::Commit {
            db,
            txn: Some(TxnId(4)),
            label: Some("l".into()),
            changes: vec![change.clone()],
            details: "x".into(),
        },
        Command::CommitCompaction { change },
        Command::AbortOpenTxns { reason: "r".into() },
        Command::DropSnapshot { name: "s".into(), if_exists: true, detail: String::new() },
        Command::Trim(Trim::default()),
    ];
    let lines: Vec<String> = commands.iter().map(|c| serde_json::to_string(c).unwrap()).collect();
    std::fs::write(format!("{dir}/commands-v1.jsonl"), lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_restored_catalog_is_a_new_incarnation() {
    let c = rich();
    let now = Stamp { index: c.index, time_ms: 99 };
    let restored = c.catalog.clone().restored(2, "s", &[], now).unwrap();
    assert_eq!(restored.cluster().epoch, 2);
    assert_eq!(restored.snapshot_named("s").unwrap().state, SnapshotState::Finished);
    assert!(restored.txns().all(|t| t.state != cairn_catalog::TxnState::Prepare));
    let mut after = Cluster1 { catalog: restored, index: c.index };
    let Reply::Database(db) = after.ok(Command::CreateDatabase { name: "new".into(), if_not_exists: false })
    else {
        panic!()
    };
    assert!(db.0 >= 1 << 40, "ids of two epochs never meet: {db}");
    assert!(c.catalog.clone().restored(1, "s", &[], now).is_err(), "the epoch must rise");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// The image is the whole state, after any history.
    #[test]
    fn any_history_survives_an_image(steps in proptest::collection::vec((0u8..9, 0u8..4), 0..40)) {
        let (mut c, db, table, p) = Cluster1::with_table();
        for (number, (kind, which)) in steps.into_iter().enumerate() {
            let name = format!("n{which}");
            let command = match kind {
                0 => { let _ = c.commit(db, p, &format!("m{number}")); continue }
                1 => Command::Truncate { table, partitions: Vec::new() },
                2 => Command::DropTable { db, name: "t".into(), force: which == 0 },
                3 => Command::RecoverTable { db, name: "t".into() },
                4 => Command::BeginSnapshot(SnapshotSpec { name: Some(name), kind: SnapshotKind::Manual, volume: None,
                        ttl_ms: None, comment: String::new(), if_not_exists: false }),
                5 => Command::DropSnapshot { name, if_exists: true, detail: String::new() },
                6 => Command::BeginTxn { db, label: name, source: String::new(), timeout_ms: 0 },
                7 => Command::AbortOpenTxns { reason: name },
                _ => Command::Trim(Trim { dropped_before_ms: 0, txns_before_ms: 0, txns_max: 2, jobs_max: 2 }),
            };
            let _ = c.apply(&command);
            let bytes = image::encode(&c.catalog, c.index);
            prop_assert_eq!(image::decode(&bytes).unwrap(), (c.index, c.catalog.clone()));
        }
    }
}
