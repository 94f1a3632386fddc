//! Commits of refreshes: rows and what they were made from, both or neither.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::{
    Base, Bounds, Command, Definition, Distribution, Mview, MviewSpec, PartitionLink, PartitionSpec,
    Partitioning, RefreshScheme, RefreshTrigger, Reply, Seen,
};
use cairn_env::Action;
use cairn_storage::testing::TestCluster;
use cairn_storage::{CommitRequest, Committed, Committer, LoadOptions, RefreshCommit, compact};
use cairn_types::{ErrorKind, Literal, PartitionId, Result, SqlType, TableId};

use crate::common::*;

/// A base, and a materialized view `(k INT, s STRING)` with the partitions `low` (`k < 100`) and `high`.
struct World {
    cluster: TestCluster,
    base: TableId,
    mview: TableId,
    low: PartitionId,
    high: PartitionId,
}

impl World {
    async fn new() -> Self {
        let cluster = TestCluster::new().await.unwrap();
        let base = plain_table(&cluster, 1);
        let spec = Box::new(mview_spec(&cluster, base));
        let Reply::Table(mview) = cluster.meta.apply(&Command::CreateMview(spec)).unwrap() else { panic!() };
        let catalog = cluster.meta.newest();
        let partitions = catalog.table(mview).unwrap().olap().unwrap().partitions.clone();
        Self { cluster, base, mview, low: partitions["low"], high: partitions["high"] }
    }

    fn mview(&self) -> Mview {
        self.cluster.meta.newest().table(self.mview).unwrap().mview().unwrap().clone()
    }

    /// A refresh of both partitions from version `seen` of the base.
    fn commit(&self, seen: u64) -> RefreshCommit {
        let bases = BTreeMap::from([(self.base, Seen::Table(seen))]);
        RefreshCommit {
            mview: self.mview,
            binding: 1,
            built: BTreeMap::from([(self.low, bases.clone()), (self.high, bases)]),
            dropped: Vec::new(),
            replace: true,
            before: None,
            run: None,
        }
    }

    async fn refresh(&self, rows: &[Row], commit: RefreshCommit) -> Result<Committed> {
        let written = match rows {
            [] => Vec::new(),
            rows => vec![write(&self.cluster, self.mview, rows, LoadOptions::default()).await?],
        };
        let request = CommitRequest { refresh: Some(commit), ..request(&self.cluster, written) };
        Committer::new(Arc::clone(&self.cluster.ctx)).commit(request).await
    }

    /// The rows, and of each fresh partition the version of the base.
    async fn check(&self, rows: &[Row], fresh: &[(PartitionId, u64)]) {
        assert_eq!(table_rows(&self.cluster, self.mview).await.unwrap(), rows);
        let found: Vec<_> = self
            .mview()
            .freshness
            .iter()
            .map(|(id, f)| match f.bases[&self.base] {
                Seen::Table(version) => (*id, version),
                Seen::Partitions(_) => panic!("not a whole table"),
            })
            .collect();
        assert_eq!(found, fresh);
    }

    async fn files(&self) -> usize {
        files(&self.cluster).await.len()
    }
}

fn mview_spec(cluster: &TestCluster, base: TableId) -> MviewSpec {
    let columns = schema(&[("k", SqlType::Int), ("s", SqlType::String)]);
    let partitioning = Partitioning::Range { columns: vec![0] };
    let mut table =
        spec(cluster.db, columns, partitioning, Distribution::Hash { columns: vec![0], buckets: 1 });
    table.name = "mv".into();
    let hundred = || Some(vec![Literal::Int(100)]);
    let part = |name: &str, lower, upper| PartitionSpec {
        name: name.into(),
        bounds: Bounds::Range { lower, upper },
        buckets: None,
    };
    table.partitions = vec![part("low", None, hundred()), part("high", hundred(), None)];
    let column = cairn_catalog::LinkColumn { column: 0, transform: cairn_catalog::Transform::Same };
    MviewSpec {
        table,
        definition: Definition {
            query: "SELECT k, s FROM t".into(),
            default_db: "d".into(),
            partition_by: "k".into(),
            bases: vec![Base { id: base, db: "d".into(), name: "t".into() }],
            views: Vec::new(),
            links: vec![PartitionLink { base, columns: vec![column] }],
            binding: 0,
        },
        refresh: RefreshScheme { immediate: false, trigger: RefreshTrigger::Manual },
        creator: "root".into(),
        first_run: None,
    }
}

fn low_and_high() -> Vec<Row> {
    [plain_rows(1..3), plain_rows(100..102)].concat()
}

#[tokio::test]
async fn a_refresh_puts_rows_in_place_of_others() {
    let world = World::new().await;
    let committed = world.refresh(&low_and_high(), world.commit(1)).await.unwrap();
    assert_eq!((committed.rows, committed.partitions, committed.txn), (4, 2, None));
    world.check(&low_and_high(), &[(world.low, 1), (world.high, 1)]).await;
    assert_eq!(data_versions(&world.cluster, world.mview, "low"), (1, 2, 2));

    // A cell that is built and has no rows any more is emptied.
    let committed = world.refresh(&plain_rows(5..6), world.commit(2)).await.unwrap();
    assert_eq!(committed.partitions, 2);
    world.check(&plain_rows(5..6), &[(world.low, 2), (world.high, 2)]).await;

    // One that had none stays untouched.
    let committed = world.refresh(&plain_rows(7..8), world.commit(3)).await.unwrap();
    assert_eq!(committed.partitions, 1);
    assert_eq!(data_versions(&world.cluster, world.mview, "high"), (3, 3, 3));
    world.check(&plain_rows(7..8), &[(world.low, 3), (world.high, 3)]).await;

    let committed = world.refresh(&[], world.commit(4)).await.unwrap();
    assert_eq!((committed.rows, committed.partitions), (0, 1));
    let committed = world.refresh(&[], world.commit(5)).await.unwrap();
    assert_eq!((committed.rows, committed.partitions), (0, 0), "fresh, without a change");
    world.check(&[], &[(world.low, 5), (world.high, 5)]).await;
    assert_eq!(data_versions(&world.cluster, world.mview, "low"), (4, 5, 5));
}

#[tokio::test]
async fn a_refresh_adds_rows_and_drops_partitions() {
    let world = World::new().await;
    world.refresh(&low_and_high(), world.commit(1)).await.unwrap();
    let bases = world.commit(2).built.remove(&world.low).unwrap();
    let add = |seen| RefreshCommit {
        built: BTreeMap::from([(world.low, bases.clone())]),
        replace: false,
        ..world.commit(seen)
    };
    world.refresh(&plain_rows(3..5), add(2)).await.unwrap();
    let rows = [plain_rows(1..5), plain_rows(100..102)].concat();
    world.check(&rows, &[(world.low, 2), (world.high, 1)]).await;
    assert_eq!(data_versions(&world.cluster, world.mview, "low"), (2, 3, 2), "it only grew");
    assert_eq!(row_versions(&world.cluster, world.mview).await, [(2, 2), (2, 2), (3, 3)].map(Some));

    let committed = world.refresh(&[], add(2)).await.unwrap();
    assert_eq!(committed.partitions, 0, "nothing to add empties nothing");
    world.check(&rows, &[(world.low, 2), (world.high, 1)]).await;

    let drop = RefreshCommit { dropped: vec!["high".into()], ..add(2) };
    world.refresh(&[], drop).await.unwrap();
    world.check(&plain_rows(1..5), &[(world.low, 2)]).await;
}

#[tokio::test]
async fn a_refused_refresh_leaves_nothing() {
    let world = World::new().await;
    world.refresh(&low_and_high(), world.commit(1)).await.unwrap();
    let files = world.files().await;
    let check = async |commit: RefreshCommit, kind: ErrorKind, expected: &str| {
        let error = world.refresh(&plain_rows(5..6), commit).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(expected), "{error}");
        assert_eq!(world.files().await, files, "{expected}");
        world.check(&low_and_high(), &[(world.low, 1), (world.high, 1)]).await;
    };
    let bound = RefreshCommit { binding: 9, ..world.commit(2) };
    check(bound, ErrorKind::Conflict, "bound to other bases").await;
    let never = RefreshCommit { before: Some(BTreeMap::new()), ..world.commit(2) };
    check(never, ErrorKind::Conflict, "by another run").await;
    let mut elsewhere = world.commit(2);
    elsewhere.built.remove(&world.low);
    check(elsewhere, ErrorKind::Internal, "which it does not build").await;
    world.cluster.meta.apply(&Command::PauseMviews { reason: "a break".into() }).unwrap();
    check(world.commit(2), ErrorKind::Conflict, "became inactive").await;
}

#[tokio::test]
async fn users_do_not_write_into_a_materialized_view() {
    let world = World::new().await;
    let error = load(&world.cluster, world.mview, &plain_rows(0..3)).await.unwrap_err();
    assert!(error.message().contains("is a materialized view"), "{error}");
    assert_eq!(world.files().await, 0);
}

#[tokio::test]
async fn a_compaction_leaves_freshness_alone() {
    let world = World::new().await;
    let settings = cairn_storage::CompactionSettings { segments_min: 2, input_bytes_max: 1 << 20 };
    for seen in 1..4 {
        let add = RefreshCommit { replace: seen == 1, ..world.commit(seen) };
        world.refresh(&low_and_high(), add).await.unwrap();
    }
    let (before, versions) = (world.mview(), data_versions(&world.cluster, world.mview, "low"));
    assert!(compact(&world.cluster.ctx, world.low, &settings).await.unwrap().is_some());
    assert_eq!(world.mview(), before);
    assert_eq!(data_versions(&world.cluster, world.mview, "low"), versions);
    let spans = [(2, 2), (2, 4), (3, 3), (4, 4)].map(Some);
    assert_eq!(row_versions(&world.cluster, world.mview).await, spans);
}

#[tokio::test]
async fn failpoints_leave_an_allowed_state() {
    for (failpoint, done) in [("refresh.before_commit", false), ("refresh.after_commit", true)] {
        let world = World::new().await;
        world.cluster.env.failpoints().set(failpoint, Action::Error);
        assert!(world.refresh(&low_and_high(), world.commit(1)).await.is_err(), "{failpoint}");
        match done {
            true => world.check(&low_and_high(), &[(world.low, 1), (world.high, 1)]).await,
            false => world.check(&[], &[]).await,
        }
        world.cluster.env.failpoints().clear(failpoint);
        world.refresh(&low_and_high(), world.commit(2)).await.unwrap();
        world.check(&low_and_high(), &[(world.low, 2), (world.high, 2)]).await;
    }
}
