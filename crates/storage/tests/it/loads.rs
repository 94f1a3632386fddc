//! Loads: whatever the table, the budget and the batches, every row is written once, where it belongs, in order.

use std::sync::Arc;

use cairn_catalog::{Bounds, Distribution, Floor, PartitionSpec, Partitioning, TimeUnit};
use cairn_objects::{Fault, Faults, VolumeStore};
use cairn_storage::hash::bucket_of;
use cairn_storage::testing::TestCluster;
use cairn_storage::{Committer, LoadOptions, LoadWriter, Unroutable, scan_partition};
use cairn_types::{ErrorKind, Literal, Schema, SqlType, TableId};
use proptest::prelude::*;

use crate::common::*;

fn table_schema() -> Schema {
    schema(&[("k", SqlType::Int), ("d", SqlType::Date), ("s", SqlType::String), ("f", SqlType::Double)])
}

/// Some ways to cut a table.
fn partitionings() -> Vec<(Partitioning, Vec<PartitionSpec>)> {
    let range = |name: &str, lower: Option<i128>, upper: Option<i128>| PartitionSpec {
        name: name.into(),
        bounds: Bounds::Range {
            lower: lower.map(|v| vec![Literal::Int(v)]),
            upper: upper.map(|v| vec![Literal::Int(v)]),
        },
        buckets: None,
    };
    let whole = PartitionSpec { name: "t".into(), bounds: Bounds::All, buckets: Some(2) };
    vec![
        (Partitioning::None, vec![whole]),
        (
            Partitioning::Range { columns: vec![0] },
            vec![range("a", None, Some(-5)), range("b", Some(-5), Some(20)), range("c", Some(20), None)],
        ),
        (Partitioning::Time { column: 1, unit: TimeUnit::Month, step: 1 }, Vec::new()),
        (Partitioning::values(vec![2]), Vec::new()),
        (Partitioning::values(vec![2, 0]), Vec::new()),
        (
            Partitioning::floored_values(vec![(1, Some(Floor { unit: TimeUnit::Week, step: 2 })), (2, None)]),
            Vec::new(),
        ),
    ]
}

fn any_row() -> impl Strategy<Value = Row> {
    let null_or = |s: BoxedStrategy<Literal>| prop_oneof![1 => Just(Literal::Null), 5 => s];
    let text = prop_oneof![Just(""), Just("a"), Just("b"), Just("a text of more than twelve bytes")];
    let float = prop_oneof![Just(f64::NAN), Just(-0.0), Just(f64::NEG_INFINITY), any::<f64>()];
    (
        null_or((-20i128..40).prop_map(Literal::Int).boxed()),
        null_or((19_000i32..19_090).prop_map(Literal::Date).boxed()),
        null_or(text.prop_map(|t| Literal::Str(t.into())).boxed()),
        null_or(float.prop_map(Literal::Double).boxed()),
    )
        .prop_map(|(k, d, s, f)| vec![k, d, s, f])
}

async fn check_places(cluster: &TestCluster, table: TableId, sort_key: &[usize]) -> Vec<Row> {
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap().clone();
    let mut all = Vec::new();
    for partition in catalog.partitions_of(&olap) {
        for segment in scan_partition(&cluster.ctx, &catalog, partition, None).await.unwrap() {
            let rows = rows(&segment.batches);
            assert_eq!(rows.len() as u64, segment.segment.rows);
            let key = |row: &Row| sort_key.iter().map(|p| row[*p].clone()).collect::<Vec<_>>();
            assert!(rows.is_sorted_by_key(key), "{} is not sorted", segment.segment.file);
            for row in &rows {
                let partition_key: Vec<_> =
                    olap.partitioning.columns().iter().map(|p| row[*p].clone()).collect();
                let partition_key = olap.partitioning.key(&partition_key).unwrap();
                assert!(partition.bounds.contains(&partition_key), "{row:?} in {:?}", partition.bounds);
                if let Distribution::Hash { columns, .. } = &olap.distribution {
                    let values: Vec<_> = columns.iter().map(|p| row[*p].clone()).collect();
                    assert_eq!(bucket_of(&values, partition.buckets), segment.bucket, "{row:?}");
                }
            }
            all.extend(rows);
        }
    }
    sorted(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn every_row_is_written_once_where_it_belongs(
        given in proptest::collection::vec(any_row(), 0..120),
        cut in 0usize..6,
        hashed in any::<bool>(),
        budget in prop_oneof![Just(1usize), Just(3_000), Just(1 << 20)],
        batch_rows in 1usize..50,
        sort_key in prop_oneof![Just(vec![0]), Just(vec![2, 1]), Just(vec![3]), Just(vec![])],
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let cluster = TestCluster::new().await.unwrap();
            let (partitioning, partitions) = partitionings()[cut].clone();
            let distribution = match hashed {
                true => Distribution::Hash { columns: vec![2, 0], buckets: 3 },
                false => Distribution::Random { buckets: 3 },
            };
            let mut spec = spec(cluster.db, table_schema(), partitioning, distribution);
            (spec.partitions, spec.sort_key) = (partitions, sort_key.clone());
            let table = cluster.create_table(spec).unwrap();
            let options = LoadOptions { memory_bytes_max: budget, ..LoadOptions::default() };
            let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, options).unwrap();
            for rows in given.chunks(batch_rows) {
                writer.write(batch(&table_schema(), rows)).await.unwrap();
            }
            let written = writer.finish().await.unwrap();
            assert_eq!(written.rows, given.len() as u64);
            assert_eq!(table_rows(&cluster, table).await.unwrap(), Vec::<Row>::new(), "nothing before the commit");
            Committer::new(Arc::clone(&cluster.ctx)).commit(request(&cluster, vec![written])).await.unwrap();
            assert_rows(&check_places(&cluster, table, &sort_key).await, &sorted(given));
            assert!(cluster.ctx.open_writes.list().is_empty());
        });
    }
}

fn declared(cluster: &TestCluster) -> TableId {
    let (partitioning, partitions) = partitionings()[1].clone();
    let mut spec = spec(cluster.db, table_schema(), partitioning, Distribution::Random { buckets: 1 });
    spec.partitions = partitions.into_iter().take(2).collect();
    cluster.create_table(spec).unwrap()
}

fn row(k: i128) -> Row {
    vec![Literal::Int(k), Literal::Null, Literal::Null, Literal::Null]
}

#[tokio::test]
async fn rows_without_partition_fail_or_are_named() {
    let cluster = TestCluster::new().await.unwrap();
    let table = declared(&cluster);
    let given = [row(0), row(20), row(1), row(99)];
    let error = write(&cluster, table, &given, LoadOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataQuality);
    assert!(error.message().starts_with("Row 2: The row is out of partition ranges."), "{error}");

    let options = LoadOptions { unroutable: Unroutable::Skip, ..LoadOptions::default() };
    let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, options.clone()).unwrap();
    assert_eq!(writer.write(batch(&table_schema(), &given)).await.unwrap(), [1, 3]);
    assert_eq!(writer.finish().await.unwrap().rows, 2);

    // Taken in parts, positions still count from the start of the batch.
    let options = LoadOptions { memory_bytes_max: 1, ..options };
    let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, options).unwrap();
    assert_eq!(writer.write(batch(&table_schema(), &given)).await.unwrap(), [1, 3]);
    writer.abort().await;
}

#[tokio::test]
async fn named_partitions_take_only_their_rows() {
    let cluster = TestCluster::new().await.unwrap();
    let table = declared(&cluster);
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap();
    let options = LoadOptions { only: Some(vec![olap.partitions["b"]]), ..LoadOptions::default() };
    assert!(write(&cluster, table, &[row(0)], options.clone()).await.is_ok());
    let error = write(&cluster, table, &[row(-9)], options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataQuality);
    let gone = LoadOptions { only: Some(vec![cairn_types::PartitionId(1)]), ..LoadOptions::default() };
    assert_eq!(write(&cluster, table, &[], gone).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn an_aborted_load_leaves_no_files() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 2);
    let options = LoadOptions { memory_bytes_max: 100, ..LoadOptions::default() };
    let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, options.clone()).unwrap();
    let schema = schema(&[("k", SqlType::Int), ("s", SqlType::String)]);
    writer.write(batch(&schema, &plain_rows(0..50))).await.unwrap();
    assert!(!files(&cluster).await.is_empty());
    assert_eq!(cluster.ctx.open_writes.list().len(), 1);
    writer.abort().await;
    assert_eq!(files(&cluster).await, Vec::<String>::new());
    assert!(cluster.ctx.open_writes.list().is_empty());

    let written = write(&cluster, table, &plain_rows(0..9), options).await.unwrap();
    assert_eq!(cluster.ctx.open_writes.list(), [written.write_id()], "open until it is committed or dropped");
    written.discard().await;
    assert_eq!(files(&cluster).await, Vec::<String>::new());
    assert!(cluster.ctx.open_writes.list().is_empty());
}

#[tokio::test]
async fn a_full_volume_fails_the_load_and_loses_nothing() {
    let faults = Faults::default();
    let cluster = TestCluster::over(VolumeStore::in_memory().with_faults(&faults)).await.unwrap();
    let table = plain_table(&cluster, 2);
    load(&cluster, table, &plain_rows(0..5)).await.unwrap();
    let before = files(&cluster).await;
    for operation in 1..8 {
        faults.fail(operation, 1, Fault::Full);
        let outcome = load(&cluster, table, &plain_rows(5..9)).await;
        faults.heal();
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
            assert_eq!(table_rows(&cluster, table).await.unwrap(), plain_rows(0..5));
            assert_eq!(files(&cluster).await, before, "segments and manifest of the failed load are gone");
        } else {
            assert!(operation > 2, "no write failed");
            return;
        }
    }
    panic!("the load never came through");
}

#[tokio::test]
async fn foreign_batches_and_nulls_are_refused() {
    let cluster = TestCluster::new().await.unwrap();
    let mut columns = schema(&[("k", SqlType::Int), ("s", SqlType::String)]);
    columns.columns[0].nullable = false;
    let distribution = Distribution::Random { buckets: 1 };
    let table =
        cluster.create_table(spec(cluster.db, columns.clone(), Partitioning::None, distribution)).unwrap();
    let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, LoadOptions::default()).unwrap();
    let foreign = batch(&schema(&[("k", SqlType::Int)]), &[vec![Literal::Int(1)]]);
    assert_eq!(writer.write(foreign).await.unwrap_err().kind(), ErrorKind::Internal);
    columns.columns[0].nullable = true;
    let error = writer.write(batch(&columns, &[vec![Literal::Null, Literal::Null]])).await.unwrap_err();
    assert_eq!(error.message(), "NULL value in non-nullable column 'k'");
}

#[tokio::test]
async fn two_loads_make_the_same_partition_once() {
    let cluster = TestCluster::new().await.unwrap();
    let (partitioning, _) = partitionings()[2].clone();
    let table = cluster
        .create_table(spec(cluster.db, table_schema(), partitioning, Distribution::Random { buckets: 2 }))
        .unwrap();
    let given = [vec![Literal::Int(1), Literal::Date(19_000), Literal::Null, Literal::Null]];
    let mut one = LoadWriter::new(Arc::clone(&cluster.ctx), table, LoadOptions::default()).unwrap();
    let mut two = LoadWriter::new(Arc::clone(&cluster.ctx), table, LoadOptions::default()).unwrap();
    one.write(batch(&table_schema(), &given)).await.unwrap();
    two.write(batch(&table_schema(), &given)).await.unwrap();
    let written = vec![one.finish().await.unwrap()];
    let committer = Committer::new(Arc::clone(&cluster.ctx));
    committer.commit(request(&cluster, written)).await.unwrap();
    committer.commit(request(&cluster, vec![two.finish().await.unwrap()])).await.unwrap();
    let catalog = cluster.meta.newest();
    assert_eq!(catalog.table(table).unwrap().olap().unwrap().partitions.len(), 1);
    assert_eq!(table_rows(&cluster, table).await.unwrap().len(), 2);
}

/// Whoever writes a little is often read at once; whoever writes much must not drive out what is read often.
#[tokio::test]
async fn the_cache_keeps_the_files_of_small_loads() {
    for (buckets, read_again) in [(4, 0), (20, 12)] {
        let cluster = TestCluster::new().await.unwrap();
        let table = plain_table(&cluster, buckets);
        load(&cluster, table, &plain_rows(0..500)).await.unwrap();
        assert_eq!(files(&cluster).await.len(), buckets as usize + 1, "a segment a bucket, and the manifest");
        assert_rows(&table_rows(&cluster, table).await.unwrap(), &plain_rows(0..500));
        assert_eq!(cluster.ctx.cache.blocks_usage().misses, read_again, "{buckets} files");
    }
}
