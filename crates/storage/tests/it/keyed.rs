//! Tables with a unique key: a key has the row that was loaded last, whatever loads and compactions came in which order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_catalog::{Distribution, Partitioning, TableModel};
use cairn_env::Action;
use cairn_storage::testing::TestCluster;
use cairn_storage::{CommitRequest, Committer, CompactionSettings, LoadOptions, compact};
use cairn_types::{Literal, SqlType, TableId};
use proptest::prelude::*;

use crate::common::*;

const SETTINGS: CompactionSettings = CompactionSettings { segments_min: 3, input_bytes_max: 1 << 20 };

/// The table as a map.
type Model = BTreeMap<Literal, Literal>;

/// `(k …, s STRING)` with the key `k`.
fn keyed_table(cluster: &TestCluster, model: TableModel, ty: SqlType, buckets: u32) -> TableId {
    let mut columns = schema(&[("k", ty), ("s", SqlType::String)]);
    columns.columns[0].key = true;
    columns.columns[0].nullable = model == TableModel::Unique;
    let distribution = Distribution::Hash { columns: vec![0], buckets };
    let spec = spec(cluster.db, columns, Partitioning::None, distribution);
    cluster.create_table(cairn_catalog::TableSpec { model, ..spec }).unwrap()
}

fn int_row(k: i64, text: &str) -> Row {
    vec![Literal::Int(k.into()), Literal::Str(text.to_owned())]
}

/// Loads `rows`, in several segments when `memory` is small.
async fn load_with(cluster: &TestCluster, table: TableId, rows: &[Row], memory: usize, overwrite: bool) {
    let options = LoadOptions { memory_bytes_max: memory, ..LoadOptions::default() };
    let written = write(cluster, table, rows, options).await.unwrap();
    let request = CommitRequest { overwrite, ..request(cluster, vec![written]) };
    Committer::new(Arc::clone(&cluster.ctx)).commit(request).await.unwrap();
}

fn apply(model: &mut Model, rows: &[Row]) {
    model.extend(rows.iter().map(|row| (row[0].clone(), row[1].clone())));
}

async fn assert_is(cluster: &TestCluster, table: TableId, model: &Model) {
    let expected: Vec<Row> = model.iter().map(|(k, v)| vec![k.clone(), v.clone()]).collect();
    assert_rows(&table_rows(cluster, table).await.unwrap(), &expected);
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap();
    let counted: u64 = catalog.partitions_of(olap).filter_map(|p| p.visible()).map(|v| v.manifest.rows).sum();
    assert_eq!(counted, model.len() as u64, "rows that the catalog counts");
}

async fn compact_all(cluster: &TestCluster, table: TableId) {
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap();
    for partition in catalog.partitions_of(olap) {
        compact(&cluster.ctx, partition.id, &SETTINGS).await.unwrap();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Load { rows: Vec<(i64, u32)>, memory: usize },
    Overwrite(Vec<(i64, u32)>),
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = || prop::collection::vec((-20i64..20, any::<u32>()), 0..30);
    let step = prop_oneof![
        6 => (rows(), prop_oneof![Just(1usize), Just(400), Just(1 << 20)])
            .prop_map(|(rows, memory)| Step::Load { rows, memory }),
        1 => rows().prop_map(Step::Overwrite),
        3 => Just(Step::Compact),
    ];
    prop::collection::vec(step, 1..15)
}

fn rows_of(pairs: &[(i64, u32)]) -> Vec<Row> {
    pairs.iter().map(|(k, v)| int_row(*k, &v.to_string())).collect()
}

async fn check_history(model: TableModel, buckets: u32, steps: &[Step]) {
    let cluster = TestCluster::new().await.unwrap();
    let table = keyed_table(&cluster, model, SqlType::BigInt, buckets);
    let mut expected = Model::new();
    for step in steps {
        let (_, _, replaced_before) = data_versions(&cluster, table, "t");
        match step {
            Step::Load { rows, memory } => {
                let rows = rows_of(rows);
                let replaces = rows.iter().any(|row| expected.contains_key(&row[0]));
                load_with(&cluster, table, &rows, *memory, false).await;
                apply(&mut expected, &rows);
                let (_, version, replaced) = data_versions(&cluster, table, "t");
                let expected = if replaces { version } else { replaced_before };
                assert_eq!(replaced, expected, "whether the partition only grew");
            }
            Step::Overwrite(rows) => {
                let rows = rows_of(rows);
                load_with(&cluster, table, &rows, 400, true).await;
                expected.clear();
                apply(&mut expected, &rows);
            }
            Step::Compact => compact_all(&cluster, table).await,
        }
        assert_is(&cluster, table, &expected).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_last_row_of_a_key_counts(steps in steps(), buckets in 1u32..3, primary in any::<bool>()) {
        let model = if primary { TableModel::Primary } else { TableModel::Unique };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check_history(model, buckets, &steps));
    }
}

#[tokio::test]
async fn a_null_is_a_key_like_others() {
    let cluster = TestCluster::new().await.unwrap();
    for ty in [SqlType::BigInt, SqlType::String] {
        let table = {
            let spec = {
                let mut columns = schema(&[("k", ty), ("s", SqlType::String)]);
                columns.columns[0].key = true;
                spec(
                    cluster.db,
                    columns,
                    Partitioning::None,
                    Distribution::Hash { columns: vec![0], buckets: 1 },
                )
            };
            let name = format!("t{ty}");
            cluster
                .create_table(cairn_catalog::TableSpec { model: TableModel::Unique, name, ..spec })
                .unwrap()
        };
        let key = |n: i64| match ty {
            SqlType::BigInt => Literal::Int(n.into()),
            _ => Literal::Str(format!(
                "{}{n:03}",
                "a long common beginning of all keys, longer than statistics are kept "
            )),
        };
        let mut expected = Model::new();
        for round in 0..6 {
            let keys = [Literal::Null, key(round), key(round + 1), key(500)];
            let rows: Vec<Row> =
                keys.into_iter().map(|k| vec![k, Literal::Str(format!("round {round}"))]).collect();
            load_with(&cluster, table, &rows, 1 << 20, false).await;
            apply(&mut expected, &rows);
            assert_is(&cluster, table, &expected).await;
        }
        compact_all(&cluster, table).await;
        assert_is(&cluster, table, &expected).await;
    }
}

/// Many pages, of which a load touches few, and many, and all.
#[tokio::test]
async fn keys_are_found_wherever_they_lie() {
    let cluster = TestCluster::new().await.unwrap();
    let table = keyed_table(&cluster, TableModel::Primary, SqlType::BigInt, 1);
    let mut expected = Model::new();
    let first: Vec<Row> = (0..60_000).map(|k| int_row(k * 2, "first")).collect();
    load_with(&cluster, table, &first, 64 << 20, false).await;
    apply(&mut expected, &first);
    for (text, keys) in [
        ("one", vec![40_000]),
        ("between", vec![40_001]),
        ("few", (0..100).map(|n| n * 1_100).collect()),
        ("outside", vec![-5, 200_000]),
        ("many", (0..9_000).map(|n| n * 3).collect::<Vec<i64>>()),
    ] {
        let rows: Vec<Row> = keys.into_iter().map(|k| int_row(k, text)).collect();
        load_with(&cluster, table, &rows, 64 << 20, false).await;
        apply(&mut expected, &rows);
        assert_is(&cluster, table, &expected).await;
    }
    compact_all(&cluster, table).await;
    assert_is(&cluster, table, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_hidden_beside_a_compaction_stay_hidden() {
    let cluster = Arc::new(TestCluster::new().await.unwrap());
    let table = keyed_table(&cluster, TableModel::Primary, SqlType::BigInt, 1);
    let done = Arc::new(AtomicBool::new(false));
    let compactions = {
        let (cluster, done) = (Arc::clone(&cluster), Arc::clone(&done));
        tokio::spawn(async move {
            let mut merged = 0;
            while !done.load(Ordering::Relaxed) {
                let id = cluster.meta.newest().partitions().next().unwrap().id;
                merged += u32::from(compact(&cluster.ctx, id, &SETTINGS).await.unwrap().is_some());
                tokio::task::yield_now().await;
            }
            merged
        })
    };
    let mut expected = Model::new();
    for round in 0..200i64 {
        let rows: Vec<Row> =
            (0..20).map(|n| int_row((round * 7 + n * 3) % 50, &format!("round {round}"))).collect();
        load_with(&cluster, table, &rows, 1 << 20, false).await;
        apply(&mut expected, &rows);
        if round % 20 == 0 {
            assert_is(&cluster, table, &expected).await;
        }
    }
    done.store(true, Ordering::Relaxed);
    assert!(compactions.await.unwrap() > 0);
    assert_is(&cluster, table, &expected).await;
}

#[tokio::test]
async fn failpoints_leave_an_allowed_state() {
    let loads = ["load.after_segments", "load.after_manifests", "load.after_commit"];
    let compactions = ["compaction.after_segments", "compaction.after_manifest", "compaction.after_commit"];
    for failpoint in loads.into_iter().chain(compactions) {
        let cluster = TestCluster::new().await.unwrap();
        let table = keyed_table(&cluster, TableModel::Primary, SqlType::BigInt, 1);
        let (mut before, rows) =
            (Model::new(), |text: &str| (0..9).map(|k| int_row(k, text)).collect::<Vec<_>>());
        for round in 0..4 {
            let rows = rows(&format!("round {round}"));
            load_with(&cluster, table, &rows, 1 << 20, false).await;
            apply(&mut before, &rows);
        }
        let mut after = before.clone();
        cluster.env.failpoints().set(failpoint, Action::Error);
        if loads.contains(&failpoint) {
            apply(&mut after, &rows("last"));
            assert!(load(&cluster, table, &rows("last")).await.is_err(), "{failpoint}");
        } else {
            let id = cluster.meta.newest().partitions().next().unwrap().id;
            assert!(compact(&cluster.ctx, id, &SETTINGS).await.is_err(), "{failpoint}");
        }
        cluster.env.failpoints().clear(failpoint);
        assert_is(&cluster, table, if failpoint == "load.after_commit" { &after } else { &before }).await;
        // Whatever was left is no hindrance.
        load_with(&cluster, table, &rows("last"), 1 << 20, false).await;
        apply(&mut after, &rows("last"));
        compact_all(&cluster, table).await;
        assert_is(&cluster, table, &after).await;
    }
}
