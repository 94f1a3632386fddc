//! What the janitor decides, by tables of catalogs.

use std::collections::BTreeSet;

use cairn_catalog::{Command, Reply, SnapshotKind, SnapshotPolicy, SnapshotSpec, SnapshotState};
use cairn_snapshot::janitor::{SnapshotAction, SnapshotSettings, plan};
use cairn_types::{SnapshotId, VolumeId};

use crate::world::{START_MS, World};

const SETTINGS: SnapshotSettings =
    SnapshotSettings { interval_ms: 600_000, automated_kept: 2, automated_age_ms_max: Some(10_000_000) };

fn begin(world: &World, kind: SnapshotKind, ttl_ms: Option<u64>) -> SnapshotId {
    let spec =
        SnapshotSpec { name: None, kind, volume: None, ttl_ms, comment: String::new(), if_not_exists: false };
    match world.apply(Command::BeginSnapshot(spec)) {
        Reply::Snapshot(id) => id,
        other => panic!("{other:?}"),
    }
}

fn advance(world: &World, id: SnapshotId, state: SnapshotState) {
    let (detail, error) = (String::new(), String::new());
    world.apply(Command::AdvanceSnapshot { id, state, detail, error, bytes: 0, files: 0 });
}

fn finished(world: &World, kind: SnapshotKind, ttl_ms: Option<u64>) -> SnapshotId {
    let id = begin(world, kind, ttl_ms);
    advance(world, id, SnapshotState::Finished);
    world.clock.advance_ms(1_000);
    id
}

fn decide(world: &World, running: &[SnapshotId]) -> Vec<SnapshotAction> {
    let running: BTreeSet<_> = running.iter().copied().collect();
    plan(&world.catalog(), &running, &SETTINGS, world.env.now_ms())
}

#[tokio::test]
async fn jobs_of_a_dead_process_fail_and_those_of_this_one_run_on() {
    let world = World::new().await;
    let id = begin(&world, SnapshotKind::Manual, None);
    assert_eq!(decide(&world, &[id]), []);
    assert_eq!(decide(&world, &[]), [SnapshotAction::Fail(id)]);
    advance(&world, id, SnapshotState::Error);
    assert_eq!(decide(&world, &[]), [SnapshotAction::RemoveFiles(id)]);
    assert_eq!(decide(&world, &[id]), [], "its own driver is cleaning up");
    advance(&world, id, SnapshotState::Deleted);
    assert_eq!(decide(&world, &[]), []);
    assert_eq!(world.catalog().snapshot(id).unwrap().state, SnapshotState::Error, "the history tells why");
}

#[tokio::test]
async fn a_ttl_ends_a_snapshot_unless_it_is_pinned() {
    let world = World::new().await;
    let id = finished(&world, SnapshotKind::Manual, Some(5_000));
    let forever = finished(&world, SnapshotKind::Manual, None);
    assert_eq!(decide(&world, &[]), []);
    world.clock.advance_ms(3_000);
    let why = "it outlived its ttl".to_owned();
    assert_eq!(decide(&world, &[]), [SnapshotAction::Expire(id, why)]);
    world.apply(Command::SetSnapshotPinned { id, pinned: true });
    assert_eq!(decide(&world, &[]), []);
    assert_eq!(world.catalog().snapshot(forever).unwrap().state, SnapshotState::Finished);
}

#[tokio::test]
async fn the_newest_automated_ones_are_kept_and_the_newest_always() {
    let world = World::new().await;
    let ids: Vec<_> = (0..4).map(|_| finished(&world, SnapshotKind::Automated, None)).collect();
    finished(&world, SnapshotKind::Manual, None);
    let expired = |actions: Vec<SnapshotAction>| -> Vec<SnapshotId> {
        actions
            .into_iter()
            .filter_map(|a| if let SnapshotAction::Expire(id, _) = a { Some(id) } else { None })
            .collect()
    };
    assert_eq!(expired(decide(&world, &[])), [ids[1], ids[0]], "two are kept; manual ones do not count");
    world.apply(Command::SetSnapshotPinned { id: ids[0], pinned: true });
    assert_eq!(expired(decide(&world, &[])), [ids[1]]);
    world.clock.advance_ms(20_000_000);
    assert_eq!(expired(decide(&world, &[])), [ids[2], ids[1]], "too old, but for the newest");
}

#[tokio::test]
async fn an_automated_one_is_due_an_interval_after_the_last_began() {
    let world = World::new().await;
    let due = |world: &World| decide(world, &[]).iter().any(|a| matches!(a, SnapshotAction::Begin(_)));
    assert!(!due(&world), "it is off");
    let policy = |interval_seconds| Command::SetSnapshotPolicy {
        policy: Some(SnapshotPolicy { volume: VolumeId(9_000), interval_seconds }),
    };
    world.apply(policy(None));
    assert!(due(&world), "the first one at once");
    let id = begin(&world, SnapshotKind::Automated, None);
    world.clock.advance_ms(700_000);
    let actions = decide(&world, &[id]);
    assert_eq!(actions, [], "one at a time");
    advance(&world, id, SnapshotState::Error);
    assert!(due(&world), "600 s after the begin of a failed one");
    let id = begin(&world, SnapshotKind::Automated, None);
    advance(&world, id, SnapshotState::Error);
    world.clock.advance_ms(599_000);
    assert!(!due(&world), "a failure is not tried again in a loop");
    world.apply(policy(Some(60)));
    assert!(due(&world), "the policy's own interval counts first");
    assert!(world.env.now_ms() > START_MS);
    // The begin of the last one lies ahead after a clock was set back.
    let before = world.env.now_ms() - 700_000;
    let actions = plan(&world.catalog(), &BTreeSet::new(), &SETTINGS, before);
    assert!(actions.iter().any(|a| matches!(a, SnapshotAction::Begin(_))));
}
