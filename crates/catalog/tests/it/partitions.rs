//! Partitions: their bounds, and the versions of their data.

use cairn_catalog::{Bounds, Command, Floor, PartitionSpec, Partitioning, Reply, TimeUnit};
use cairn_types::{Literal, SqlType};
use proptest::prelude::*;

use crate::common::*;

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

fn list(name: &str, keys: &[i128]) -> PartitionSpec {
    let keys = keys.iter().map(|k| vec![Literal::Int(*k)]).collect();
    PartitionSpec { name: name.into(), bounds: Bounds::List { keys }, buckets: None }
}

#[test]
fn lists_do_not_share_a_key() {
    let (mut c, db, ..) = Cluster1::with_table();
    let table = c.table(db, "l", Partitioning::List { columns: vec![0] });
    let add = |spec: PartitionSpec| Command::CreatePartitions {
        table,
        partitions: vec![spec],
        if_not_exists: false,
    };
    c.ok(add(list("a", &[1, 2])));
    c.ok(add(list("b", &[3])));
    assert!(c.refused(add(list("c", &[4, 3]))).contains("intersected with partition b"));
    c.ok(Command::DropPartition { table, name: "b".into(), force: false });
    c.ok(add(list("c", &[4, 3])));
    let recover = Command::RecoverPartition { table, name: "b".into() };
    assert!(c.refused(recover).contains("intersected with partition c"));
}

/// Rows are looked for by starts of slices, so no other key may be listed.
#[test]
fn keys_are_starts_of_slices() {
    let (mut c, db, ..) = Cluster1::with_table();
    let month = Floor { unit: TimeUnit::Month, step: 1 };
    let by = |columns| Partitioning::floored_values(columns);
    let mut bad = spec(db, "bad", by(vec![(0, Some(month))]));
    assert!(
        c.refused(Command::CreateTable(Box::new(bad.clone()))).contains("needs a DATE or DATETIME column")
    );
    bad.partitioning = Partitioning::Values { columns: vec![0, 1], floors: vec![None] };
    assert!(c.refused(Command::CreateTable(Box::new(bad.clone()))).contains("1 floors for 2 columns"));
    let mut good = bad;
    good.schema.columns.iter_mut().for_each(|column| column.ty = SqlType::Date);
    good.partitioning = by(vec![(0, Some(month)), (1, None)]);
    let Reply::Table(table) = c.ok(Command::CreateTable(Box::new(good))) else { panic!() };
    let add = |name: &str, day: &str| {
        let day = Literal::parse(day, SqlType::Date).unwrap();
        let bounds = Bounds::List { keys: vec![vec![day.clone(), day], vec![Literal::Null, Literal::Null]] };
        let partitions = vec![PartitionSpec { name: name.into(), bounds, buckets: None }];
        Command::CreatePartitions { table, partitions, if_not_exists: false }
    };
    let message = c.refused(add("p", "2024-02-02"));
    assert!(message.contains("'2024-02-02' is not the start of a slice"), "{message}");
    assert!(message.ends_with("that is '2024-02-01'"), "{message}");
    c.ok(add("p", "2024-02-01"));
}

/// Each new partition is held against its neighbours alone: against all, this would take minutes.
#[test]
fn many_partitions_are_made_quickly() {
    let (mut c, db, ..) = Cluster1::with_table();
    let table = c.table(db, "r", Partitioning::Range { columns: vec![1] });
    let spec = |day: i32| range(&format!("p{day}"), day, day + 1);
    let partitions = (0..20_000).map(spec).collect();
    c.ok(Command::CreatePartitions { table, partitions, if_not_exists: false });
    for day in 20_000..25_000 {
        c.ok(Command::CreatePartitions { table, partitions: vec![spec(day)], if_not_exists: false });
    }
    assert_eq!(c.catalog.partitions().count(), 25_001);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What the neighbours say is what all partitions would.
    #[test]
    fn overlaps_are_seen_by_neighbours(steps in proptest::collection::vec((0u8..6, 0i32..30, 1i32..8), 0..60)) {
        let (mut c, db, ..) = Cluster1::with_table();
        let table = c.table(db, "r", Partitioning::Range { columns: vec![1] });
        for (kind, lower, length) in steps {
            let name = format!("p{lower}");
            let mut spec = range(&name, lower, lower + length);
            match (&mut spec.bounds, kind) {
                (Bounds::Range { lower, .. }, 0) => *lower = None,
                (Bounds::Range { upper, .. }, 1) => *upper = None,
                _ => {}
            }
            let olap = c.catalog.table(table).unwrap().olap().unwrap().clone();
            let free = !c.catalog.partitions_of(&olap).any(|p| p.bounds.overlaps(&spec.bounds));
            match kind {
                4 => drop(c.apply(&Command::DropPartition { table, name, force: length == 1 })),
                5 => drop(c.apply(&Command::RecoverPartition { table, name })),
                _ => {
                    let free = free && !olap.partitions.contains_key(&name);
                    let create =
                        Command::CreatePartitions { table, partitions: vec![spec], if_not_exists: false };
                    prop_assert_eq!(c.apply(&create).is_ok(), free);
                }
            }
        }
    }
}

/// What each command does to (data version of the table, version of partition `a`, version that replaced).
#[test]
fn changes_of_data_are_counted() {
    let (mut c, db, ..) = Cluster1::with_table();
    let table = c.table(db, "r", Partitioning::Range { columns: vec![1] });
    let partitions = vec![range("a", 0, 10), range("b", 10, 20), range("empty", 20, 30)];
    c.ok(Command::CreatePartitions { table, partitions, if_not_exists: false });
    let part = |c: &Cluster1, name: &str| {
        let olap = c.catalog.table(table).unwrap().olap().unwrap();
        cairn_catalog::Partition::clone(c.catalog.partition(olap.partitions[name]).unwrap())
    };
    let commit = |changes| Command::Commit { db, txn: None, label: None, changes, details: String::new() };
    let named = |name: &str| name.to_owned();
    let check = |c: &mut Cluster1, command: Command, expected: (u64, u64, u64)| {
        let shown = format!("{command:?}");
        c.ok(command);
        assert_eq!(c.versions(table, "a"), expected, "{shown}");
    };
    assert_eq!(c.versions(table, "a"), (0, 1, 0));
    let both = vec![appending(&part(&c, "a"), "a1"), appending(&part(&c, "b"), "b1")];
    check(&mut c, commit(both), (1, 2, 0));
    let other = vec![appending(&part(&c, "b"), "b2")];
    check(&mut c, commit(other), (2, 2, 0));
    let over = vec![replacing(&part(&c, "a"), "a2")];
    check(&mut c, commit(over), (3, 3, 3));
    let more = vec![appending(&part(&c, "a"), "a3")];
    check(&mut c, commit(more), (4, 4, 3));
    let same = Command::CommitCompaction { change: replacing(&part(&c, "a"), "a4") };
    check(&mut c, same, (4, 4, 3));
    check(&mut c, Command::DropPartition { table, name: named("empty"), force: false }, (4, 4, 3));
    check(&mut c, Command::RecoverPartition { table, name: named("empty") }, (4, 4, 3));
    check(&mut c, Command::Truncate { table, partitions: vec![named("empty")] }, (4, 4, 3));
    check(&mut c, Command::DropPartition { table, name: named("b"), force: false }, (5, 4, 3));
    check(&mut c, Command::RecoverPartition { table, name: named("b") }, (6, 4, 3));
    check(&mut c, Command::RenamePartition { table, name: named("b"), to: named("c") }, (6, 4, 3));
    check(&mut c, Command::RenameTable { table, name: named("renamed") }, (6, 4, 3));
    check(&mut c, commit(Vec::new()), (6, 4, 3));
    check(&mut c, Command::Truncate { table, partitions: vec![named("c")] }, (7, 4, 3));
    check(&mut c, Command::DropTable { db, name: named("renamed"), force: false }, (7, 4, 3));
    check(&mut c, Command::RecoverTable { db, name: named("renamed") }, (7, 4, 3));
    check(&mut c, Command::Truncate { table, partitions: Vec::new() }, (8, 1, 0));
}
