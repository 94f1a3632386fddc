//! A job that fails anywhere leaves neither a half snapshot that looks whole, nor litter.

use std::collections::BTreeSet;

use cairn_catalog::{Command, SnapshotState};
use cairn_env::Action;
use cairn_objects::{Fault, Faults, Fence, FenceRecord, layout};
use cairn_snapshot::janitor::{self, SnapshotSettings};
use cairn_snapshot::{SnapshotStatus, TakeOptions, list, take};
use cairn_types::{ErrorKind, Result};

use crate::world::{CLUSTER, Lost, World};

const SETTINGS: SnapshotSettings =
    SnapshotSettings { interval_ms: 1_000, automated_kept: 3, automated_age_ms_max: None };

async fn world() -> World {
    let world = World::new().await;
    let table = world.create_table("t", 3);
    world.load(table).await;
    world
}

/// A new process begins: it ends what the old one left.
async fn restart(world: &World) {
    world.crash();
    *world.meta.fail.lock() = None;
    for _ in 0..2 {
        let actions = janitor::plan(&world.catalog(), &BTreeSet::new(), &SETTINGS, world.env.now_ms());
        for action in actions {
            janitor::execute(&world.env, &world.meta, &world.open(), &action).await.unwrap();
        }
    }
}

/// Nothing is listed as finished that is not whole, byte for byte.
async fn assert_no_half_truth(world: &World) {
    for info in list(&world.store, &world.source()).await.unwrap() {
        if matches!(info.status, SnapshotStatus::Finished(_)) {
            let report = world.verify(&info.name).await;
            assert!(report.is_whole(), "{:?}", report.problems);
        }
    }
}

/// After a restart the job is either finished and whole, or failed and without a trace.
async fn assert_settled(world: &World, what: &str) {
    assert_no_half_truth(world).await;
    restart(world).await;
    let left = world.keys(&layout::snapshot_folder(CLUSTER, "s")).await;
    match world.state("s") {
        SnapshotState::Finished => assert!(world.verify("s").await.is_whole(), "{what}"),
        SnapshotState::Error => {
            assert_eq!(left, BTreeSet::new(), "{what}");
            let catalog = world.catalog();
            let job = catalog.snapshots().find(|s| s.name == "s").unwrap();
            assert!(!job.error.is_empty() && job.is_gone(), "{what}: {job:?}");
        }
        other => panic!("{what}: {other:?}"),
    }
    world
        .snapshot("s")
        .await
        .map(drop)
        .or_else(|e| match e.kind() {
            ErrorKind::AlreadyExists if world.state("s") == SnapshotState::Finished => Ok(()),
            _ => Err(e),
        })
        .unwrap_or_else(|e| panic!("{what}: the name can be used again: {e}"));
}

#[tokio::test]
async fn a_failpoint_ends_the_job_and_its_files() {
    for name in
        ["snapshot.after_command", "snapshot.after_image", "snapshot.after_manifest", "snapshot.after_marker"]
    {
        let world = world().await;
        world.env.failpoints().set(name, Action::Error);
        let error = world.snapshot("s").await.unwrap_err();
        assert!(error.message().contains(name), "{error}");
        let catalog = world.catalog();
        let job = catalog.snapshots().find(|s| s.name == "s").unwrap();
        assert_eq!(job.state, SnapshotState::Error, "{name}");
        assert!(job.error.contains(name), "the cause stands in the history: {job:?}");
        assert!(job.is_gone(), "its files were removed at once");
        world.env.failpoints().clear(name);
        assert_settled(&world, name).await;
    }
}

#[tokio::test]
async fn a_process_that_dies_at_any_operation_is_cleaned_up_after() {
    let operations = {
        let (world, faults) = (world().await, Faults::default());
        take_through(&world, &faults).await.unwrap();
        faults.operations()
    };
    assert!(operations > 8, "{operations}");
    for fault in [Fault::Before, Fault::After, Fault::Full] {
        for n in 1..=operations {
            let (world, faults) = (world().await, Faults::default());
            // From the n-th operation on nothing works any more, cleaning included: as good as dead.
            faults.fail(n, u64::MAX, fault);
            let outcome = take_through(&world, &faults).await;
            assert!(outcome.is_err() || fault == Fault::Full, "{fault:?} at {n}");
            assert_settled(&world, &format!("{fault:?} from operation {n}")).await;
        }
    }
}

async fn take_through(world: &World, faults: &Faults) -> Result<()> {
    let (id, catalog) = world.begin_snapshot("s")?;
    let store = world.store.with_faults(faults);
    let open = |_: &cairn_catalog::Volume| Ok(store.clone());
    take(&world.env, &world.meta, &open, &catalog, id, TakeOptions::default(), &|_| {}).await.map(drop)
}

#[tokio::test]
async fn a_lost_answer_of_the_journal_is_not_taken_for_a_no() {
    for n in 0..3 {
        for lost in [Lost::Before, Lost::After] {
            let world = world().await;
            let (id, catalog) = world.begin_snapshot("s").unwrap();
            *world.meta.fail.lock() = Some((n, lost));
            let outcome =
                take(&world.env, &world.meta, &world.open(), &catalog, id, TakeOptions::default(), &|_| {})
                    .await;
            assert!(outcome.is_err());
            assert_settled(&world, &format!("proposal {n} lost {lost:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_lost_finish_leaves_a_finished_snapshot() {
    let world = world().await;
    let (id, catalog) = world.begin_snapshot("s").unwrap();
    *world.meta.fail.lock() = Some((2, Lost::After));
    take(&world.env, &world.meta, &world.open(), &catalog, id, TakeOptions::default(), &|_| {})
        .await
        .unwrap_err();
    restart(&world).await;
    assert_eq!(world.state("s"), SnapshotState::Finished);
    assert!(world.verify("s").await.is_whole());
}

#[tokio::test]
async fn a_snapshot_dropped_while_it_is_taken_is_not_finished() {
    let world = world().await;
    let (id, catalog) = world.begin_snapshot("s").unwrap();
    world.apply(Command::DropSnapshot { name: "s".into(), if_exists: false, detail: "by user".into() });
    take(&world.env, &world.meta, &world.open(), &catalog, id, TakeOptions::default(), &|_| {})
        .await
        .unwrap_err();
    assert_eq!(world.state("s"), SnapshotState::Error);
    assert!(world.keys(&layout::snapshot_folder(CLUSTER, "s")).await.is_empty());
}

#[tokio::test]
async fn removing_a_snapshot_survives_every_interruption() {
    for name in ["snapshot.drop.after_command", "snapshot.drop.after_marker", "snapshot.drop.after_files"] {
        let world = world().await;
        world.snapshot("s").await.unwrap();
        world.apply(Command::DropSnapshot { name: "s".into(), if_exists: false, detail: "by user".into() });
        world.env.failpoints().set(name, Action::Error);
        let actions = janitor::plan(&world.catalog(), &BTreeSet::new(), &SETTINGS, world.env.now_ms());
        assert_eq!(actions.len(), 1);
        janitor::execute(&world.env, &world.meta, &world.open(), &actions[0]).await.unwrap_err();
        assert_no_half_truth(&world).await;
        world.env.failpoints().clear(name);
        restart(&world).await;
        assert_eq!(world.state("s"), SnapshotState::Deleted, "{name}");
        assert!(world.keys(&layout::snapshot_folder(CLUSTER, "s")).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_fenced_process_neither_takes_nor_removes() {
    let world = world().await;
    world.snapshot("old").await.unwrap();
    let claim = FenceRecord { cluster: CLUSTER.into(), epoch: 2, claimed_ms: 0, nonce: "other".into() };
    Fence::claim(&world.store, &claim).await.unwrap();
    let before = world.keys("").await;

    assert_eq!(world.snapshot("new").await.unwrap_err().kind(), ErrorKind::Fenced);
    world.apply(Command::DropSnapshot { name: "old".into(), if_exists: false, detail: String::new() });
    for action in janitor::plan(&world.catalog(), &BTreeSet::new(), &SETTINGS, world.env.now_ms()) {
        let error = janitor::execute(&world.env, &world.meta, &world.open(), &action).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }
    assert_eq!(world.keys("").await, before, "nothing was written or deleted");
}
