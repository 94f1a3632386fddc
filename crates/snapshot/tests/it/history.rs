//! Random histories of a cluster beside a vacuum without grace: nothing that somebody reaches is ever deleted, and in the
//! end everything that nobody reaches is.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{Command, SnapshotState};
use cairn_objects::{Fault, Faults};
use cairn_snapshot::janitor::{self, SnapshotAction, SnapshotSettings};
use cairn_snapshot::vacuum::{TrimSettings, trim};
use cairn_snapshot::{TakeOptions, Vacuum, take};
use cairn_types::SnapshotId;
use proptest::prelude::*;

use crate::world::{Pending, World};

const SETTINGS: SnapshotSettings =
    SnapshotSettings { interval_ms: 1_000, automated_kept: 3, automated_age_ms_max: None };

#[derive(Clone, Debug)]
enum Step {
    CreateTable,
    Load(usize),
    Compact(usize),
    /// Writes files and leaves them open.
    BeginWrite(usize, bool),
    CommitOldest,
    AbandonOldest,
    Snapshot,
    /// Begins one whose process dies at this operation.
    DyingSnapshot(u64),
    DropSnapshot(usize),
    DropTable(usize, bool),
    RecoverTable(usize),
    DropPartition(usize, bool),
    RecoverPartition(usize),
    Truncate(usize),
    BeginQuery,
    EndQuery,
    Trim(u64),
    Janitor,
    Vacuum,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..8_usize;
    prop_oneof![
        2 => Just(Step::CreateTable),
        6 => n.clone().prop_map(Step::Load),
        4 => n.clone().prop_map(Step::Compact),
        3 => (n.clone(), any::<bool>()).prop_map(|(t, c)| Step::BeginWrite(t, c)),
        3 => Just(Step::CommitOldest),
        1 => Just(Step::AbandonOldest),
        4 => Just(Step::Snapshot),
        2 => (1..12_u64).prop_map(Step::DyingSnapshot),
        3 => n.clone().prop_map(Step::DropSnapshot),
        2 => (n.clone(), any::<bool>()).prop_map(|(t, f)| Step::DropTable(t, f)),
        2 => n.clone().prop_map(Step::RecoverTable),
        2 => (n.clone(), any::<bool>()).prop_map(|(t, f)| Step::DropPartition(t, f)),
        1 => n.clone().prop_map(Step::RecoverPartition),
        2 => n.clone().prop_map(Step::Truncate),
        2 => Just(Step::BeginQuery),
        2 => Just(Step::EndQuery),
        2 => (0..50_u64).prop_map(Step::Trim),
        2 => Just(Step::Janitor),
        6 => Just(Step::Vacuum),
        1 => Just(Step::Crash),
    ]
}

struct History {
    world: World,
    vacuum: Vacuum,
    tables: usize,
    snapshots: usize,
    queries: u64,
    pending: Vec<Pending>,
    /// Snapshots whose process still lives; none: steps are whole.
    running: BTreeSet<SnapshotId>,
}

impl History {
    async fn new() -> Self {
        let world = World::new().await;
        world.create_table("t0", 2);
        Self {
            world,
            vacuum: Vacuum::default(),
            tables: 1,
            snapshots: 0,
            queries: 0,
            pending: Vec::new(),
            running: BTreeSet::new(),
        }
    }

    fn table(&self, n: usize) -> Option<cairn_types::TableId> {
        let catalog = self.world.catalog();
        let name = format!("t{}", n % self.tables);
        catalog.table_named(self.world.db(), &name).map(|t| t.id)
    }

    /// Refusals are part of life: a table that was dropped cannot be dropped again.
    fn try_apply(&self, command: Command) {
        let _ = self.world.try_apply(command);
    }

    async fn run(&mut self, step: Step) {
        self.world.clock.advance_ms(10);
        let db = self.world.db();
        match step {
            Step::CreateTable => {
                self.world.create_table(&format!("t{}", self.tables), 2);
                self.tables += 1;
            }
            Step::Load(n) | Step::Compact(n) => {
                let Some(table) = self.table(n) else { return };
                match step {
                    Step::Load(_) => self.world.load(table).await,
                    _ => self.world.compact(table).await,
                }
            }
            Step::BeginWrite(n, compaction) => {
                let Some(table) = self.table(n) else { return };
                let partitions = self.world.partitions(table);
                let Some(partition) = partitions.first() else { return };
                self.pending.push(self.world.begin_write(partition, compaction).await);
            }
            Step::CommitOldest if !self.pending.is_empty() => {
                // A conflict is fine: the vacuum takes its files.
                let _ = self.world.end_write(self.pending.remove(0));
            }
            Step::AbandonOldest if !self.pending.is_empty() => {
                let pending = self.pending.remove(0);
                self.world.abandon_write(&pending);
            }
            Step::CommitOldest | Step::AbandonOldest => {}
            Step::Snapshot => {
                self.snapshots += 1;
                self.world.snapshot(&format!("s{}", self.snapshots)).await.unwrap();
            }
            Step::DyingSnapshot(n) => self.dying_snapshot(n).await,
            Step::DropSnapshot(n) => {
                let name = format!("s{}", 1 + n % self.snapshots.max(1));
                self.try_apply(Command::DropSnapshot { name, if_exists: true, detail: String::new() });
            }
            Step::DropTable(n, force) => {
                self.try_apply(Command::DropTable { db, name: format!("t{}", n % self.tables), force });
            }
            Step::RecoverTable(n) => {
                self.try_apply(Command::RecoverTable { db, name: format!("t{}", n % self.tables) });
            }
            Step::DropPartition(n, force) => {
                let Some(table) = self.table(n) else { return };
                self.try_apply(Command::DropPartition { table, name: format!("p{}", n % 2), force });
            }
            Step::RecoverPartition(n) => {
                let Some(table) = self.table(n) else { return };
                self.try_apply(Command::RecoverPartition { table, name: format!("p{}", n % 2) });
            }
            Step::Truncate(n) => {
                let Some(table) = self.table(n) else { return };
                self.try_apply(Command::Truncate { table, partitions: Vec::new() });
            }
            Step::BeginQuery => {
                self.queries += 1;
                self.world.work.begin_query(&self.world.meta, self.queries);
            }
            Step::EndQuery => {
                if let Some((oldest, _)) = self.world.work.queries().first() {
                    self.world.work.end_query(*oldest);
                }
            }
            Step::Trim(recycle_ms) => self.trim(recycle_ms),
            Step::Janitor => self.janitor().await,
            Step::Vacuum => self.check_vacuum().await,
            Step::Crash => {
                self.world.crash();
                self.pending.clear();
            }
        }
    }

    async fn dying_snapshot(&mut self, n: u64) {
        self.snapshots += 1;
        let (id, catalog) = self.world.begin_snapshot(&format!("s{}", self.snapshots)).unwrap();
        let faults = Faults::default();
        faults.fail(n, u64::MAX, Fault::After);
        let store = self.world.store.with_faults(&faults);
        let open = |_: &cairn_catalog::Volume| Ok(store.clone());
        let world = &self.world;
        let _ = take(&world.env, &world.meta, &open, &catalog, id, TakeOptions::default(), &|_| {}).await;
    }

    fn trim(&self, recycle_ms: u64) {
        let settings = TrimSettings {
            recycle_ms,
            label_ms: 0,
            labels_max: 0,
            jobs_max: 2,
            task_runs_ms: 0,
            task_runs_max: 0,
        };
        if let Some(command) = trim(&self.world.catalog(), &settings, self.world.env.now_ms()) {
            self.world.apply(command);
        }
    }

    async fn janitor(&self) {
        let world = &self.world;
        for action in janitor::plan(&world.catalog(), &self.running, &SETTINGS, world.env.now_ms()) {
            assert!(!matches!(action, SnapshotAction::Begin(_)));
            janitor::execute(&world.env, &world.meta, &world.open(), &action).await.unwrap();
        }
    }

    /// A vacuum without grace, and then: is everything there that anybody can reach?
    async fn check_vacuum(&mut self) {
        let report = self.world.vacuum(&mut self.vacuum, 0).await;
        assert_eq!(report.problems, Vec::<String>::new());
        let problems: Vec<_> = report.folders.values().filter_map(|f| f.problem.clone()).collect();
        assert_eq!(problems, Vec::<String>::new());
        let world = &self.world;
        world.needed(&world.catalog()).await.expect("what is visible or can be recovered is there");
        for (query, catalog) in world.work.queries() {
            for partition in catalog.partitions().filter(|p| catalog.dropped(p).is_none()) {
                let Some(version) = partition.visible() else { continue };
                let key = crate::world::folder(partition).file(&version.manifest.name);
                world.store.get(&key).await.unwrap_or_else(|e| panic!("query {query} lost a file: {e}"));
            }
            // Including what it could read of the bin: the catalog it holds says so.
            world.needed(&catalog).await.unwrap_or_else(|e| panic!("query {query} lost a file: {e}"));
        }
        for pending in &self.pending {
            let keys = world.data_keys().await;
            assert!(keys.iter().any(|k| k.contains(&pending.write)), "an open write lost its files");
        }
        for snapshot in world.catalog().snapshots().filter(|s| s.state == SnapshotState::Finished) {
            let report = world.verify(&snapshot.name).await;
            assert!(report.is_whole(), "snapshot {}: {:?}", snapshot.name, report.problems);
        }
    }

    /// Everybody lets go; then exactly what is reached is left.
    async fn settle(mut self) {
        self.world.crash();
        self.pending.clear();
        self.janitor().await;
        self.trim(0);
        self.check_vacuum().await;
        let world = &self.world;
        let mut needed = world.needed(&world.catalog()).await.unwrap();
        // What waited in the bin for one snapshot and was recovered later is held for it, though it was not promised.
        let mut allowed = needed.clone();
        for snapshot in world.catalog().snapshots().filter(|s| s.state == SnapshotState::Finished) {
            needed.extend(world.pinned(&snapshot.name).await);
            allowed.extend(world.listed(&snapshot.name, true).await);
        }
        allowed.extend(needed.iter().cloned());
        let left = world.data_keys().await;
        assert!(needed.is_subset(&left), "something is lost");
        assert!(left.is_subset(&allowed), "leaked: {:?}", left.difference(&allowed).collect::<Vec<_>>());
        let known: BTreeSet<String> = world
            .catalog()
            .snapshots()
            .filter(|s| s.state == SnapshotState::Finished)
            .map(|s| s.name.clone())
            .collect();
        let folders =
            world.store.list_folders(&cairn_objects::layout::snapshots_folder(crate::world::CLUSTER)).await;
        assert_eq!(folders.unwrap().into_iter().collect::<BTreeSet<_>>(), known, "no snapshot's files leak");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_reachable_is_deleted_and_nothing_else_stays(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new().await;
            for step in steps {
                history.run(step).await;
            }
            history.settle().await;
        });
    }
}

/// The same with a vacuum that really runs at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_at_full_speed_beside_writers_and_readers_takes_nothing_away() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let world = Arc::new(World::new().await);
    let table = world.create_table("t", 2);
    world.load(table).await;
    let stop = Arc::new(AtomicBool::new(false));
    let vacuuming = {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        tokio::spawn(async move {
            let (mut vacuum, mut runs, mut deleted) = (Vacuum::default(), 0, 0);
            while !stop.load(Ordering::Relaxed) {
                let report = world.vacuum(&mut vacuum, 0).await;
                assert_eq!(report.problems, Vec::<String>::new());
                runs += 1;
                deleted += report.deleted.files;
                tokio::task::yield_now().await;
            }
            (runs, deleted)
        })
    };
    let mut names = BTreeMap::new();
    for round in 0..120_u64 {
        let query = world.work.begin_query(&world.meta, round);
        world.load(table).await;
        if round % 3 == 0 {
            world.compact(table).await;
        }
        if round % 10 == 0 {
            let name = format!("s{round}");
            world.snapshot(&name).await.unwrap();
            names.insert(name, ());
        }
        world.needed(&query).await.expect("a running query loses nothing");
        world.work.end_query(round);
        world.needed(&world.catalog()).await.expect("what is visible is there");
    }
    stop.store(true, Ordering::Relaxed);
    let (runs, deleted) = vacuuming.await.unwrap();
    assert!(runs > 3 && deleted > 50, "{runs} runs deleted {deleted} files");
    for name in names.keys() {
        assert!(world.verify(name).await.is_whole(), "{name}");
    }
}
