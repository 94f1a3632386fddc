//! A damaged file is an error that names it, never a wrong row and never an empty table.

use std::sync::Arc;

use cairn_storage::testing::TestCluster;
use cairn_storage::{StorageContext, StorageOptions, scan_partition};
use cairn_types::{ErrorKind, VolumeId};

use crate::common::*;

/// Reads the one table with nothing in memory.
async fn cold_scan(cluster: &TestCluster) -> cairn_types::Result<Vec<Row>> {
    let ctx =
        StorageContext::new(cluster.env.clone(), Arc::clone(&cluster.meta) as _, StorageOptions::default());
    ctx.volumes.put(VolumeId(1), cluster.store.clone());
    let catalog = cluster.meta.newest();
    let scanned = scan_partition(&ctx, &catalog, catalog.partitions().next().unwrap(), None).await?;
    Ok(scanned.iter().flat_map(|s| rows(&s.batches)).collect())
}

async fn replace(cluster: &TestCluster, key: &str, bytes: Vec<u8>) {
    cluster.store.delete(key).await.unwrap();
    cluster.store.put_new(key, bytes.into()).await.unwrap();
}

#[tokio::test]
async fn every_flipped_bit_cut_or_loss_is_noticed() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    load(&cluster, table, &plain_rows(0..20)).await.unwrap();
    assert_eq!(cold_scan(&cluster).await.unwrap(), plain_rows(0..20));
    let keys = files(&cluster).await;
    assert_eq!(keys.len(), 2, "segment and manifest");
    for key in keys {
        let whole = cluster.store.get(&key).await.unwrap().to_vec();
        let check = |outcome: cairn_types::Result<Vec<Row>>, what: String| {
            let error = outcome.map(|rows| rows.len()).expect_err(&what);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
            assert!(error.message().contains(&key), "{what}: {error}");
        };
        for byte in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[byte] ^= 1 << (byte % 8);
            replace(&cluster, &key, flipped).await;
            check(cold_scan(&cluster).await, format!("byte {byte}"));
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            replace(&cluster, &key, whole[..length].to_vec()).await;
            check(cold_scan(&cluster).await, format!("{length} bytes are left"));
        }
        cluster.store.delete(&key).await.unwrap();
        check(cold_scan(&cluster).await, "the file is gone".into());
        replace(&cluster, &key, whole).await;
    }
    assert_eq!(cold_scan(&cluster).await.unwrap(), plain_rows(0..20));
}

#[tokio::test]
async fn another_partitions_manifest_is_not_taken() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    load(&cluster, table, &plain_rows(0..2)).await.unwrap();
    let key = files(&cluster).await.into_iter().find(|k| k.ends_with(".manifest")).unwrap();
    let bytes = cluster.store.get(&key).await.unwrap();
    let strayed = cairn_storage::Manifest::decode(&bytes, cairn_types::PartitionId(1)).unwrap_err();
    assert!(strayed.message().contains("belongs to partition"), "{strayed}");
}
