//! Compaction: the same rows in fewer files, under the same data version, whatever happens beside it.

use std::sync::Arc;

use cairn_catalog::{Distribution, Partitioning};
use cairn_env::Action;
use cairn_storage::testing::TestCluster;
use cairn_storage::{CompactionSettings, compact, scan_partition};
use cairn_types::{ErrorKind, Literal, PartitionId, SqlType, TableId};

use crate::common::*;

const SETTINGS: CompactionSettings = CompactionSettings { segments_min: 3, input_bytes_max: 1 << 20 };

fn only_partition(cluster: &TestCluster) -> PartitionId {
    cluster.meta.newest().partitions().next().unwrap().id
}

async fn segments(cluster: &TestCluster) -> usize {
    let catalog = cluster.meta.newest();
    let partition = catalog.partitions().next().unwrap();
    let scanned = scan_partition(&cluster.ctx, &catalog, partition, None).await.unwrap();
    assert!(scanned.iter().all(|s| rows(&s.batches).is_sorted_by_key(|row| row[0].clone())));
    scanned.len()
}

async fn small_loads(cluster: &TestCluster, table: TableId, count: i32) {
    for n in 0..count {
        load(cluster, table, &plain_rows(n * 10..n * 10 + 10)).await.unwrap();
    }
}

#[tokio::test]
async fn small_segments_become_one_and_the_version_stays() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 2);
    small_loads(&cluster, table, 5).await;
    let version = cluster.meta.newest().partitions().next().unwrap().visible_version();
    assert_eq!(segments(&cluster).await, 10);
    let done = compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.unwrap().unwrap();
    assert_eq!((done.segments_in, done.segments_out, done.rows), (10, 2, 50));
    assert_eq!(segments(&cluster).await, 2);
    assert_eq!(table_rows(&cluster, table).await.unwrap(), plain_rows(0..50));
    assert_eq!(cluster.meta.newest().partitions().next().unwrap().visible_version(), version);
    assert_eq!(compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.unwrap(), None);
    assert!(cluster.ctx.open_writes.list().is_empty());
}

#[tokio::test]
async fn a_merged_rowset_spans_the_versions_of_its_rows() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    small_loads(&cluster, table, 4).await;
    assert_eq!(row_versions(&cluster, table).await, [2, 3, 4, 5].map(|v| Some((v, v))));
    let before = data_versions(&cluster, table, "t");
    compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.unwrap().unwrap();
    assert_eq!(row_versions(&cluster, table).await, [Some((2, 5))]);
    assert_eq!(data_versions(&cluster, table, "t"), before);
    small_loads(&cluster, table, 1).await;
    assert_eq!(row_versions(&cluster, table).await, [Some((2, 5)), Some((6, 6))]);
}

#[tokio::test]
async fn every_value_survives_compaction() {
    let cluster = TestCluster::new().await.unwrap();
    let columns = schema(&[("k", SqlType::Double), ("s", SqlType::String)]);
    let spec = spec(cluster.db, columns, Partitioning::None, Distribution::Random { buckets: 1 });
    let table = cluster.create_table(spec).unwrap();
    let keys = [f64::NAN, -0.0, 0.0, f64::NEG_INFINITY, f64::INFINITY, 1.5];
    let given: Vec<Row> = keys
        .iter()
        .map(|k| vec![Literal::Double(*k), Literal::Null])
        .chain([vec![Literal::Null, Literal::Str(String::new())]])
        .collect();
    for row in &given {
        load(&cluster, table, std::slice::from_ref(row)).await.unwrap();
    }
    for _ in 0..2 {
        compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.unwrap();
        assert_rows(&table_rows(&cluster, table).await.unwrap(), &sorted(given.clone()));
        load(&cluster, table, &[]).await.unwrap();
    }
    assert_eq!(segments(&cluster).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_beside_a_compaction_are_kept() {
    let cluster = Arc::new(TestCluster::new().await.unwrap());
    let table = plain_table(&cluster, 1);
    small_loads(&cluster, table, 4).await;
    let partition = only_partition(&cluster);
    let compactions = (0..6).map(|_| {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move { compact(&cluster.ctx, partition, &SETTINGS).await.map(|_| ()) })
    });
    let loads = (4..20).map(|n| {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move { load(&cluster, table, &plain_rows(n * 10..n * 10 + 10)).await.map(|_| ()) })
    });
    for done in futures::future::join_all(compactions.chain(loads)).await {
        done.unwrap().unwrap();
    }
    while compact(&cluster.ctx, partition, &SETTINGS).await.unwrap().is_some() {}
    assert_eq!(table_rows(&cluster, table).await.unwrap(), plain_rows(0..200));
    assert!(segments(&cluster).await < 6);
}

#[tokio::test]
async fn failpoints_leave_an_allowed_state() {
    for failpoint in ["compaction.after_segments", "compaction.after_manifest", "compaction.after_commit"] {
        let cluster = TestCluster::new().await.unwrap();
        let table = plain_table(&cluster, 1);
        small_loads(&cluster, table, 4).await;
        cluster.env.failpoints().set(failpoint, Action::Error);
        assert!(compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.is_err(), "{failpoint}");
        cluster.env.failpoints().clear(failpoint);
        assert_eq!(table_rows(&cluster, table).await.unwrap(), plain_rows(0..40), "{failpoint}");
        compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.unwrap();
        assert_eq!(table_rows(&cluster, table).await.unwrap(), plain_rows(0..40), "{failpoint}");
        assert_eq!(segments(&cluster).await, 1, "{failpoint}");
    }
}

#[tokio::test]
async fn a_damaged_input_is_named_and_stays() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    small_loads(&cluster, table, 3).await;
    let segment = files(&cluster).await.into_iter().find(|f| f.ends_with(".parquet")).unwrap();
    let mut bytes = cluster.store.get(&segment).await.unwrap().to_vec();
    bytes[100] ^= 1;
    cluster.store.delete(&segment).await.unwrap();
    cluster.store.put_new(&segment, bytes.into()).await.unwrap();
    let before = files(&cluster).await;
    let error = compact(&cluster.ctx, only_partition(&cluster), &SETTINGS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains(&segment), "{error}");
    assert_eq!(files(&cluster).await, before);
}
