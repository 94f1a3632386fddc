//! Commits: all or nothing, nobody's rows are lost, and what is unclear is left alone.

use std::sync::Arc;

use cairn_catalog::{Command, Reply};
use cairn_env::Action;
use cairn_objects::{Fence, FenceRecord};
use cairn_storage::testing::{CLUSTER, TestCluster};
use cairn_storage::{CommitRequest, Committer, LoadOptions, StorageContext, StorageOptions};
use cairn_types::{Error, ErrorKind};

use crate::common::*;

/// A second process over the same journal and volume.
fn other_process(cluster: &TestCluster) -> TestCluster {
    let ctx =
        StorageContext::new(cluster.env.clone(), Arc::clone(&cluster.meta) as _, StorageOptions::default());
    ctx.volumes.put(cairn_types::VolumeId(1), cluster.store.clone());
    TestCluster {
        env: cluster.env.clone(),
        clock: Arc::clone(&cluster.clock),
        meta: Arc::clone(&cluster.meta),
        ctx,
        store: cluster.store.clone(),
        db: cluster.db,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commits_of_two_processes_lose_nothing() {
    let one = Arc::new(TestCluster::new().await.unwrap());
    let two = Arc::new(other_process(&one));
    let table = plain_table(&one, 2);
    let loads = (0..24).map(|n| {
        let cluster = Arc::clone(if n % 2 == 0 { &one } else { &two });
        tokio::spawn(async move { load(&cluster, table, &plain_rows(n * 3..n * 3 + 3)).await })
    });
    for done in futures::future::join_all(loads).await {
        done.unwrap().unwrap();
    }
    assert_eq!(table_rows(&one, table).await.unwrap(), plain_rows(0..72));
    let catalog = one.meta.newest();
    assert_eq!(catalog.partitions().next().unwrap().visible_version(), 25, "one version a load");
    let versions: Vec<_> = (2..=25).map(|v| Some((v, v))).collect();
    let found = each_version(&row_versions(&one, table).await);
    assert_eq!(found, versions, "each rowset knows its own, whoever was first");
}

/// A load of several rows fills both tablets or one: each version occurs, at most twice.
fn each_version(found: &[Option<(u64, u64)>]) -> Vec<Option<(u64, u64)>> {
    let mut versions = found.to_vec();
    versions.dedup();
    versions
}

#[tokio::test]
async fn a_label_is_used_by_an_empty_load_and_only_once() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    let committer = Committer::new(Arc::clone(&cluster.ctx));
    let labelled = |written| CommitRequest { label: Some("l1".into()), ..request(&cluster, written) };
    let empty = write(&cluster, table, &[], LoadOptions::default()).await.unwrap();
    let committed = committer.commit(labelled(vec![empty])).await.unwrap();
    assert!(committed.txn.is_some());
    assert_eq!((committed.rows, committed.partitions), (0, 0));
    let again = write(&cluster, table, &plain_rows(0..3), LoadOptions::default()).await.unwrap();
    let error = committer.commit(labelled(vec![again])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LabelUsed);
    assert_eq!(files(&cluster).await, Vec::<String>::new(), "the files of a refused load are deleted");
}

#[tokio::test]
async fn a_begun_load_is_committed_once_and_not_after_an_abort() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    let committer = Committer::new(Arc::clone(&cluster.ctx));
    let begin = |label: &str| {
        let command =
            Command::BeginTxn { db: cluster.db, label: label.into(), source: "test".into(), timeout_ms: 1 };
        match cluster.meta.apply(&command).unwrap() {
            Reply::Txn(id) => id,
            other => panic!("{other:?}"),
        }
    };
    let (one, two) = (begin("one"), begin("two"));
    let written = write(&cluster, table, &plain_rows(0..1), LoadOptions::default()).await.unwrap();
    let committed =
        committer.commit(CommitRequest { txn: Some(one), ..request(&cluster, vec![written]) }).await;
    assert_eq!(committed.unwrap().txn, Some(one));
    cluster.meta.apply(&Command::AbortTxn { txn: two, reason: "too slow".into() }).unwrap();
    for txn in [one, two] {
        let written = write(&cluster, table, &plain_rows(5..6), LoadOptions::default()).await.unwrap();
        let error = committer
            .commit(CommitRequest { txn: Some(txn), ..request(&cluster, vec![written]) })
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    assert_eq!(table_rows(&cluster, table).await.unwrap(), plain_rows(0..1));
}

#[tokio::test]
async fn an_unknown_outcome_deletes_nothing() {
    for applied in [true, false] {
        let cluster = TestCluster::new().await.unwrap();
        let table = plain_table(&cluster, 1);
        cluster.meta.fail_next(Error::unavailable("the leader went away"), applied);
        let error = load(&cluster, table, &plain_rows(0..3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(files(&cluster).await.len(), 2, "segment and manifest");
        let expected = if applied { plain_rows(0..3) } else { Vec::new() };
        assert_eq!(table_rows(&cluster, table).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn failpoints_leave_an_allowed_state() {
    for (failpoint, visible) in
        [("load.after_segments", 0), ("load.after_manifests", 0), ("load.after_commit", 3)]
    {
        let cluster = TestCluster::new().await.unwrap();
        let table = plain_table(&cluster, 1);
        cluster.env.failpoints().set(failpoint, Action::Error);
        assert!(load(&cluster, table, &plain_rows(0..3)).await.is_err(), "{failpoint}");
        assert_eq!(table_rows(&cluster, table).await.unwrap().len(), visible, "{failpoint}");
        cluster.env.failpoints().clear(failpoint);
        load(&cluster, table, &plain_rows(3..4)).await.unwrap();
        assert_eq!(table_rows(&cluster, table).await.unwrap().len(), visible + 1, "{failpoint}");
    }
}

#[tokio::test]
async fn a_fenced_process_commits_nothing() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    let written = write(&cluster, table, &plain_rows(0..3), LoadOptions::default()).await.unwrap();
    let taker = FenceRecord { cluster: CLUSTER.into(), epoch: 2, claimed_ms: 2, nonce: "other".into() };
    Fence::claim(&cluster.store, &taker).await.unwrap();
    let committer = Committer::new(Arc::clone(&cluster.ctx));
    let error = committer.commit(request(&cluster, vec![written])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(table_rows(&cluster, table).await.unwrap(), Vec::<Row>::new());
    assert_eq!(files(&cluster).await, Vec::<String>::new(), "neither the segment nor the manifest stays");
}

/// The process stands still between the fence and the journal, long enough for another to take over.
#[tokio::test]
async fn a_process_that_was_stopped_acknowledges_nothing_that_only_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let hold = dir.path().join("hold");
    for (stopped_ms, taken) in [(60_000, true), (60_000, false), (0, false)] {
        let cluster = TestCluster::new().await.unwrap();
        let table = plain_table(&cluster, 1);
        let written = write(&cluster, table, &plain_rows(0..3), LoadOptions::default()).await.unwrap();
        std::fs::write(&hold, "").unwrap();
        cluster.env.failpoints().set("load.after_manifests", Action::Hold(hold.clone()));
        let committer = Committer::new(Arc::clone(&cluster.ctx));
        let stopped = async {
            while std::fs::read(&hold).unwrap().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            cluster.clock.advance_ms(stopped_ms);
            if taken {
                let taker =
                    FenceRecord { cluster: CLUSTER.into(), epoch: 2, claimed_ms: 2, nonce: "other".into() };
                Fence::claim(&cluster.store, &taker).await.unwrap();
            }
            std::fs::remove_file(&hold).unwrap();
        };
        let (outcome, ()) = tokio::join!(committer.commit(request(&cluster, vec![written])), stopped);
        assert_eq!(
            outcome.err().map(|e| e.kind()),
            taken.then_some(ErrorKind::Fenced),
            "{stopped_ms} {taken}"
        );
    }
}

#[tokio::test]
async fn a_truncated_partition_refuses_loads_that_began_before() {
    let cluster = TestCluster::new().await.unwrap();
    let table = plain_table(&cluster, 1);
    let written = write(&cluster, table, &plain_rows(0..3), LoadOptions::default()).await.unwrap();
    cluster.meta.apply(&Command::Truncate { table, partitions: Vec::new() }).unwrap();
    let committer = Committer::new(Arc::clone(&cluster.ctx));
    let error = committer.commit(request(&cluster, vec![written])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(table_rows(&cluster, table).await.unwrap(), Vec::<Row>::new());
}

#[tokio::test]
async fn an_overwrite_replaces_what_it_is_for() {
    use cairn_catalog::{Distribution, Partitioning};
    use cairn_types::{Literal, SqlType};
    let cluster = TestCluster::new().await.unwrap();
    let columns = schema(&[("k", SqlType::Int), ("s", SqlType::String)]);
    let partitioning = Partitioning::values(vec![1]);
    let table = cluster
        .create_table(spec(cluster.db, columns, partitioning, Distribution::Random { buckets: 1 }))
        .unwrap();
    let row = |k: i128, s: &str| vec![Literal::Int(k), Literal::Str(s.into())];
    let committer = Committer::new(Arc::clone(&cluster.ctx));
    let overwrite = |written| CommitRequest { overwrite: true, ..request(&cluster, vec![written]) };
    load(&cluster, table, &[row(1, "a"), row(2, "b"), row(3, "c")]).await.unwrap();

    let catalog = cluster.meta.newest();
    let part = catalog.table(table).unwrap().olap().unwrap().partitions["pa"];
    let only = LoadOptions { only: Some(vec![part]), ..LoadOptions::default() };
    committer.commit(overwrite(write(&cluster, table, &[row(9, "a")], only).await.unwrap())).await.unwrap();
    assert_eq!(table_rows(&cluster, table).await.unwrap(), [row(2, "b"), row(3, "c"), row(9, "a")]);
    assert_eq!(data_versions(&cluster, table, "pa"), (2, 3, 3));
    assert_eq!(data_versions(&cluster, table, "pb"), (2, 2, 0), "it only grew");

    let whole = write(&cluster, table, &[row(7, "c"), row(8, "d")], LoadOptions::default()).await.unwrap();
    let committed = committer.commit(overwrite(whole)).await.unwrap();
    assert_eq!(committed.partitions, 4, "two are filled, two are emptied");
    assert_eq!(table_rows(&cluster, table).await.unwrap(), [row(7, "c"), row(8, "d")]);

    let nothing = write(&cluster, table, &[], LoadOptions::default()).await.unwrap();
    assert_eq!(committer.commit(overwrite(nothing)).await.unwrap().partitions, 2);
    assert_eq!(table_rows(&cluster, table).await.unwrap(), Vec::<Row>::new());
}
