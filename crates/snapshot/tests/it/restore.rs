//! Restore: what comes back, what is refused, and who may write afterwards.

use std::collections::BTreeMap;

use cairn_catalog::restore::VolumeOverride;
use cairn_catalog::{Catalog, Command, SnapshotState, Volume, VolumeKind};
use cairn_env::{Action, Env, Failpoints};
use cairn_objects::{Fence, VolumeStore, layout};
use cairn_snapshot::restore::{RestorePlan, RestoreRequest, Restored, execute, plan};
use cairn_snapshot::{OpenVolumes, Source, TakeOptions, Vacuum, Verdict, clean, take};
use cairn_types::{ErrorKind, Result};

use crate::world::{CLUSTER, PlainMeta, World, seen};

fn request(world: &World, snapshot: Option<&str>) -> RestoreRequest {
    let source = Source { snapshot: snapshot.map(str::to_owned), ..world.source() };
    RestoreRequest { source, overrides: Vec::new(), read_everything: false, at_once: 4 }
}

async fn planned(world: &World, snapshot: Option<&str>) -> Result<RestorePlan> {
    plan(&world.store, &request(world, snapshot), &world.open(), &|_| {}).await
}

async fn restored(world: &World, snapshot: Option<&str>) -> Result<Restored> {
    execute(&world.env, planned(world, snapshot).await?, &world.open()).await
}

/// The world goes on as the restored cluster.
fn switch(world: World, restored: &Restored) -> World {
    let meta = PlainMeta::new(&world.env, restored.catalog.clone(), restored.index);
    World { meta, ..world }
}

#[tokio::test]
async fn the_cluster_comes_back_as_it_was_and_the_old_one_is_fenced_out() {
    let world = World::new().await;
    let table = world.create_table("t", 2);
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    let at_snapshot = world.catalog();
    world.load(table).await;
    world.create_table("later", 1);
    let before = world.keys("").await;

    let plan = planned(&world, None).await.unwrap();
    assert!(plan.check().is_ok());
    let [t] = &plan.tables[..] else { panic!("{:?}", plan.tables) };
    assert_eq!((t.database.as_str(), t.table.as_str(), t.partitions, t.rows), ("db", "t", 2, 2));
    assert_eq!(world.keys("").await, before, "a plan changes nothing");
    Fence::check(&world.store, CLUSTER, 1, (0, "")).await.unwrap();

    let restored = execute(&world.env, plan, &world.open()).await.unwrap();
    assert_eq!((restored.epoch, restored.catalog.cluster().epoch), (2, 2));
    assert_eq!(seen(&restored.catalog), seen(&at_snapshot));
    let snapshot = restored.catalog.snapshot_named("s").unwrap();
    assert_eq!(restored.index, snapshot.created.index);
    assert_eq!(snapshot.state, SnapshotState::Finished);
    assert_eq!(snapshot.detail, "Finished time was reset after cluster restored");
    assert!(snapshot.bytes > 0 && snapshot.files > 0);

    let mut expected = before;
    expected.insert(layout::fence(CLUSTER, 2));
    assert_eq!(world.keys("").await, expected, "only the fence is new");
    assert_eq!(Fence::check(&world.store, CLUSTER, 1, (0, "")).await.unwrap_err().kind(), ErrorKind::Fenced);
    Fence::check(&world.store, CLUSTER, 2, (0, "")).await.unwrap();
    world.needed(&restored.catalog).await.unwrap();
}

#[tokio::test]
async fn the_same_snapshot_is_restored_twice_and_the_last_one_counts() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    let first = restored(&world, Some("s")).await.unwrap();
    let second = restored(&world, Some("s")).await.unwrap();
    assert_eq!((first.epoch, second.epoch), (2, 3));
    for (epoch, allowed) in [(1, false), (2, false), (3, true)] {
        assert_eq!(
            Fence::check(&world.store, CLUSTER, epoch, (0, "")).await.is_ok(),
            allowed,
            "epoch {epoch}"
        );
    }
    let world = switch(world, &second);
    world.load(table).await;
    world.snapshot("s2").await.unwrap();
    assert!(world.verify("s2").await.is_whole());
}

#[tokio::test]
async fn the_newest_finished_snapshot_is_chosen_and_torn_ones_are_named() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    for name in ["a", "b", "c"] {
        world.load(table).await;
        world.snapshot(name).await.unwrap();
    }
    world.store.delete(&layout::snapshot_marker(CLUSTER, "c")).await.unwrap();
    let plan = planned(&world, None).await.unwrap();
    assert_eq!(plan.marker.name, "b");
    let [(name, why)] = &plan.torn[..] else { panic!("{:?}", plan.torn) };
    assert!(name == "c" && why.contains("no marker"), "{why}");

    let Err(torn) = planned(&world, Some("c")).await else {
        panic!("a torn snapshot was taken for a whole one")
    };
    assert_eq!(torn.kind(), ErrorKind::NotFound);
    assert!(torn.message().contains("only torn ones: c"), "{torn}");
    let Err(none) = planned(&world, Some("nope")).await else { panic!() };
    assert!(none.message().contains("no snapshot 'nope'"), "{none}");
}

#[tokio::test]
async fn anything_missing_is_refused_and_nothing_is_changed() {
    let world = World::new().await;
    let table = world.create_table("t", 2);
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    let needed: Vec<String> = world.pinned("s").await.into_iter().collect();
    for key in &needed {
        let whole = world.store.get(key).await.unwrap();
        for damaged in [None, Some(whole.slice(1..))] {
            world.store.delete(key).await.unwrap();
            if let Some(damaged) = damaged {
                world.store.put_new(key, damaged).await.unwrap();
            }
            let before = world.keys("").await;
            let plan = planned(&world, Some("s")).await.unwrap();
            assert!(plan.problems.iter().any(|p| p.file.ends_with(key)), "{:?}", plan.problems);
            let error = execute(&world.env, plan, &world.open()).await.unwrap_err();
            assert!(error.message().contains("cannot be restored"), "{error}");
            assert_eq!(world.keys("").await, before);
        }
        world.overwrite(key, whole).await;
    }
    Fence::check(&world.store, CLUSTER, 1, (0, "")).await.expect("the old cluster still owns the volume");
    assert!(planned(&world, Some("s")).await.unwrap().check().is_ok());
}

#[tokio::test]
async fn damage_inside_a_segment_is_found_when_everything_is_read() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    let key = world.pinned("s").await.into_iter().find(|k| k.ends_with(".parquet")).unwrap();
    let mut bytes = world.store.get(&key).await.unwrap().to_vec();
    bytes[5] ^= 1;
    world.overwrite(&key, bytes.into()).await;
    let mut request = request(&world, Some("s"));
    assert!(plan(&world.store, &request, &world.open(), &|_| {}).await.unwrap().check().is_ok());
    request.read_everything = true;
    assert!(plan(&world.store, &request, &world.open(), &|_| {}).await.unwrap().check().is_err());
}

#[tokio::test]
async fn files_that_go_between_plan_and_takeover_are_noticed() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    let plan = planned(&world, Some("s")).await.unwrap();
    let key = world.pinned("s").await.into_iter().next().unwrap();
    world.store.delete(&key).await.unwrap();
    let error = execute(&world.env, plan, &world.open()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("gave it back"), "{error}");
    Fence::check(&world.store, CLUSTER, 1, (0, "")).await.expect("the old cluster goes on");
}

#[tokio::test]
async fn an_interrupted_restore_can_be_started_again() {
    for name in ["restore.after_check", "restore.after_fence"] {
        let world = World::new().await;
        let table = world.create_table("t", 1);
        world.load(table).await;
        world.snapshot("s").await.unwrap();
        world.env.failpoints().set(name, Action::Error);
        restored(&world, Some("s")).await.unwrap_err();
        world.env.failpoints().clear(name);
        let again = restored(&world, Some("s")).await.unwrap();
        Fence::check(&world.store, CLUSTER, again.epoch, (0, "")).await.unwrap();
    }
}

#[tokio::test]
async fn older_snapshots_that_were_dropped_since_pin_nothing() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("gone").await.unwrap();
    world.load(table).await;
    world.snapshot("kept").await.unwrap();
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    world.apply(Command::DropSnapshot { name: "gone".into(), if_exists: false, detail: String::new() });
    let id = world.catalog().snapshots().find(|s| s.name == "gone").unwrap().id;
    clean::remove_files(&world.env, &world.meta, &world.open(), id).await.unwrap();
    world.compact(table).await;
    world.vacuum(&mut Vacuum::default(), 0).await;

    let restored = restored(&world, Some("s")).await.unwrap();
    let state = |catalog: &Catalog, name: &str| catalog.snapshots().find(|s| s.name == name).unwrap().state;
    assert_eq!(state(&restored.catalog, "gone"), SnapshotState::Expired);
    assert_eq!(state(&restored.catalog, "kept"), SnapshotState::Finished);
    let world = switch(world, &restored);
    assert!(world.verify("kept").await.is_whole());
    let report = world.vacuum(&mut Vacuum::default(), 0).await;
    assert_eq!(report.problems, Vec::<String>::new(), "nothing reaches what is lost");
}

#[tokio::test]
async fn a_recycle_bin_whose_files_are_gone_comes_back_empty() {
    let world = World::new().await;
    let table = world.create_table("binned", 1);
    world.load(table).await;
    let keep = world.create_table("t", 1);
    world.load(keep).await;
    world.apply(Command::DropTable { db: world.db(), name: "binned".into(), force: false });
    world.clock.advance_ms(1_000);
    world.snapshot("s").await.unwrap();
    let recover = Command::RecoverTable { db: world.db(), name: "binned".into() };

    let with_bin = restored(&world, Some("s")).await.unwrap();
    let mut catalog = with_bin.catalog;
    catalog.apply(with_bin.index + 1, world.env.now_ms(), &recover).expect("the bin came back with it");
    world.needed(&catalog).await.unwrap();

    // The bin is emptied; the snapshot stays whole, because it never promised the bin.
    let folder = format!("{}/{}/{table}", layout::data_folder(CLUSTER), world.db());
    for key in world.keys(&folder).await {
        world.store.delete(&key).await.unwrap();
    }
    let report = world.verify("s").await;
    assert!(report.is_whole() && !report.recycled.is_empty(), "{report:?}");
    let without = restored(&world, Some("s")).await.unwrap();
    let mut catalog = without.catalog;
    catalog
        .apply(without.index + 1, world.env.now_ms(), &recover)
        .expect_err("nothing is promised that is not there");
    world.needed(&catalog).await.unwrap();
}

/// What was being taken when the image was made may have been finished since.
#[tokio::test]
async fn a_snapshot_that_finished_after_the_image_counts() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    let (id, at_slow) = world.begin_snapshot("slow").unwrap();
    world.begin_snapshot("never").unwrap();
    world.load(table).await;
    world.compact(table).await;
    world.snapshot("s").await.unwrap();
    let options = TakeOptions::default();
    take(&world.env, &world.meta, &world.open(), &at_slow, id, options, &|_| {}).await.unwrap();
    let taken = world.catalog().snapshot_named("slow").cloned().unwrap();

    let restored = restored(&world, Some("s")).await.unwrap();
    let slow = restored.catalog.snapshot_named("slow").unwrap();
    assert_eq!((slow.state, slow.bytes, slow.files), (SnapshotState::Finished, taken.bytes, taken.files));
    let never = restored.catalog.snapshots().find(|s| s.name == "never").unwrap();
    assert_eq!(never.state, SnapshotState::Error);
    let world = switch(world, &restored);
    world.vacuum(&mut Vacuum::default(), 0).await;
    assert!(world.verify("slow").await.is_whole(), "the vacuum keeps what it needs");
    assert_eq!(seen(&self::restored(&world, Some("slow")).await.unwrap().catalog), seen(&at_slow));
}

/// What a volume does not give may be whole: it is not called damaged, and no recycle bin is emptied for it.
#[tokio::test]
async fn what_cannot_be_read_is_refused_and_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (env, clock) = Env::simulated(7, 1_000);
    let location = format!("file://{}", dir.path().display());
    let world = World::on(VolumeStore::create(&location, &BTreeMap::new(), &env).unwrap(), env, clock).await;
    let binned = world.create_table("binned", 1);
    world.load(binned).await;
    let keep = world.create_table("t", 1);
    world.load(keep).await;
    world.apply(Command::DropTable { db: world.db(), name: "binned".into(), force: false });
    world.clock.advance_ms(1_000);
    world.snapshot("s").await.unwrap();
    for key in world.data_keys().await {
        let (file, aside) = (dir.path().join(&key), dir.path().join("aside"));
        std::fs::rename(&file, &aside).unwrap();
        // A file that is there and cannot be opened, not even by root.
        std::os::unix::fs::symlink(&file, &file).unwrap();
        let report = world.verify("s").await;
        assert_eq!(report.verdict(), Verdict::Unreadable, "{key}: {report:?}");
        assert!(report.problems.iter().any(|p| p.file.ends_with(&key)), "{key}: {report:?}");
        let error = restored(&world, Some("s")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{key}: {error}");
        std::fs::remove_file(&file).unwrap();
        std::fs::rename(&aside, &file).unwrap();
    }
    Fence::check(&world.store, CLUSTER, 1, (0, "")).await.unwrap();
    assert!(world.verify("s").await.is_whole());
    let restored = restored(&world, Some("s")).await.unwrap();
    let recover = Command::RecoverTable { db: world.db(), name: "binned".into() };
    let mut catalog = restored.catalog;
    catalog.apply(restored.index + 1, world.env.now_ms(), &recover).expect("the bin came back with it");
}

#[tokio::test]
async fn snapshots_of_the_abandoned_future_are_kept_until_they_are_removed() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("past").await.unwrap();
    world.load(table).await;
    world.compact(table).await;
    world.snapshot("future").await.unwrap();
    let restored = restored(&world, Some("past")).await.unwrap();
    let world = switch(world, &restored);

    let mut vacuum = Vacuum::default();
    let report = world.vacuum(&mut vacuum, 0).await;
    assert_eq!(report.unknown_snapshots, [(world.store.location().to_owned(), "future".to_owned())]);
    assert!(world.verify("future").await.is_whole(), "it can still be restored");
    let taken = world.snapshot("future").await.unwrap_err();
    assert!(taken.message().contains("choose another name"), "{taken}");
    assert!(world.verify("future").await.is_whole(), "the failed job left it alone");

    clean::remove_unknown(&world.store, &world.catalog(), "future").await.unwrap();
    world.vacuum(&mut vacuum, 0).await;
    let mut needed = world.needed(&world.catalog()).await.unwrap();
    needed.extend(world.pinned("past").await);
    assert_eq!(world.data_keys().await, needed);
}

#[tokio::test]
async fn a_torn_folder_of_the_abandoned_future_is_litter() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("past").await.unwrap();
    world.snapshot("future").await.unwrap();
    world.store.delete(&layout::snapshot_marker(CLUSTER, "future")).await.unwrap();
    let restored = restored(&world, Some("past")).await.unwrap();
    let world = switch(world, &restored);
    let mut vacuum = Vacuum::default();
    let folder = layout::snapshot_folder(CLUSTER, "future");
    world.vacuum(&mut vacuum, 1_000).await;
    assert!(!world.keys(&folder).await.is_empty(), "it waits for the grace period");
    world.clock.advance_ms(1_000);
    world.vacuum(&mut vacuum, 1_000).await;
    assert!(world.keys(&folder).await.is_empty());
    assert!(world.verify("past").await.is_whole());
}

#[tokio::test]
async fn a_volume_that_was_copied_elsewhere_is_restored_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let (env, clock) = Env::simulated(7, crate::world::START_MS);
    let uri = |name: &str| format!("file://{}/{name}", dir.path().display());
    let store = VolumeStore::create(&uri("old"), &BTreeMap::new(), &env).unwrap();
    let world = World::on(store, env, clock).await;
    let table = world.create_table("t", 2);
    world.load(table).await;
    world.snapshot("s").await.unwrap();

    let moved = VolumeStore::create(&uri("new"), &BTreeMap::new(), &world.env).unwrap();
    for key in world.keys("").await {
        moved.put_new(&key, world.store.get(&key).await.unwrap()).await.unwrap();
    }
    std::fs::remove_dir_all(dir.path().join("old")).unwrap();

    let real = Env::real(Failpoints::default());
    let resolver = OpenVolumes::new(real.clone());
    let source = Source::parse(&format!("{}/{CLUSTER}/meta", uri("new"))).unwrap();
    let comment =
        VolumeOverride { name: "main".into(), comment: Some("moved".into()), ..VolumeOverride::default() };
    let request = RestoreRequest { source, overrides: vec![comment], read_everything: true, at_once: 2 };
    let plan = plan(&moved, &request, &resolver, &|_| {}).await.unwrap();
    assert!(plan.check().is_ok(), "{:?}", plan.problems);
    assert_eq!(plan.volumes, [("main".to_owned(), uri("new"))]);
    let restored = execute(&real, plan, &resolver).await.unwrap();
    let volume: &Volume = restored.catalog.volume_named("main").unwrap();
    assert_eq!(
        (volume.kind, volume.location.as_str(), volume.comment.as_str()),
        (VolumeKind::File, &*uri("new"), "moved")
    );

    let unknown = VolumeOverride { name: "nope".into(), ..VolumeOverride::default() };
    let request = RestoreRequest { overrides: vec![unknown], ..request };
    let Err(error) = cairn_snapshot::restore::plan(&moved, &request, &resolver, &|_| {}).await else {
        panic!()
    };
    assert!(error.message().contains("'nope' is not in the snapshot; it has: main"), "{error}");
}
