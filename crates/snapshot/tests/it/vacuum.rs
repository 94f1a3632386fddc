//! The vacuum's steps, one by one.

use cairn_catalog::Command;
use cairn_env::Action;
use cairn_objects::{Fence, FenceRecord, layout};
use cairn_snapshot::vacuum::{TrimSettings, VacuumSettings, trim};
use cairn_snapshot::{Vacuum, usage};
use cairn_storage::manifest::Manifest;
use cairn_storage::meta::Meta;
use cairn_types::ErrorKind;

use crate::world::{CLUSTER, World, folder};

#[tokio::test]
async fn what_nothing_reaches_goes_after_the_grace_period_and_not_before() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    let before = world.data_keys().await;
    world.compact(table).await;
    let needed = world.needed(&world.catalog()).await.unwrap();
    let mut vacuum = Vacuum::default();
    for (advance_ms, gone) in [(0, false), (999, false), (1, true)] {
        world.clock.advance_ms(advance_ms);
        let report = world.vacuum(&mut vacuum, 1_000).await;
        let (_, seen) = report.folders.iter().next().unwrap();
        assert_eq!((seen.total.files, seen.live.files), (4, 2));
        assert_eq!((seen.marked.files, seen.deleted.files), if gone { (0, 2) } else { (2, 0) });
        assert_eq!(before.is_subset(&world.data_keys().await), !gone);
    }
    assert_eq!(world.data_keys().await, needed);
    assert_eq!(world.vacuum(&mut vacuum, 1_000).await.deleted.files, 0);
}

#[tokio::test]
async fn each_holder_holds_and_is_named() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("s").await.unwrap();
    world.compact(table).await;
    world.work.begin_query(&world.meta, 1);
    world.compact(table).await;
    let pending = world.begin_write(&world.partitions(table)[0], false).await;
    let binned = world.create_table("binned", 1);
    world.load(binned).await;
    world.apply(Command::DropTable { db: world.db(), name: "binned".into(), force: false });

    let mut vacuum = Vacuum::default();
    let before = world.data_keys().await;
    let report = world.vacuum(&mut vacuum, 0).await;
    assert_eq!(world.data_keys().await, before, "everything is held by somebody");
    let holders = |report: &cairn_snapshot::vacuum::VacuumReport| -> Vec<(String, u64)> {
        report.folders.values().flat_map(|f| f.held.iter().map(|(by, a)| (by.clone(), a.files))).collect()
    };
    let expected = [("running query", 4), ("snapshot s", 2), ("visible", 2), ("recycle bin", 2)];
    assert_eq!(holders(&report), expected.map(|(by, files)| (by.to_owned(), files)));
    let open: u64 = report.folders.values().map(|f| f.open.files).sum();
    assert_eq!(open, 2);

    world.abandon_write(&pending);
    world.work.end_query(1);
    world.clock.advance_ms(1);
    let settings = TrimSettings {
        recycle_ms: 0,
        label_ms: 0,
        labels_max: 0,
        jobs_max: 0,
        task_runs_ms: 0,
        task_runs_max: 0,
    };
    world.apply(trim(&world.catalog(), &settings, world.env.now_ms()).unwrap());
    assert_eq!(
        trim(&world.catalog(), &settings, world.env.now_ms()),
        None,
        "an idle cluster proposes nothing"
    );
    world.vacuum(&mut vacuum, 0).await;
    let mut needed = world.needed(&world.catalog()).await.unwrap();
    needed.extend(world.pinned("s").await);
    assert_eq!(world.data_keys().await, needed);
}

#[tokio::test]
async fn a_partition_with_an_unreadable_manifest_is_kept_whole() {
    let world = World::new().await;
    let table = world.create_table("t", 2);
    world.load(table).await;
    world.compact(table).await;
    let [damaged, sound] = &world.partitions(table)[..] else { panic!() };
    let key = folder(damaged).file(&damaged.visible().unwrap().manifest.name);
    world.store.delete(&key).await.unwrap();
    let before = world.keys(&folder(damaged).to_string()).await;
    let report = world.vacuum(&mut Vacuum::default(), 0).await;
    assert_eq!(world.keys(&folder(damaged).to_string()).await, before);
    assert_eq!(world.keys(&folder(sound).to_string()).await.len(), 2, "the other one is cleaned");
    let problem = report.folders.values().find_map(|f| f.problem.clone()).unwrap();
    assert!(problem.contains(&key) && problem.contains("missing"), "{problem}");
}

#[tokio::test]
async fn files_that_cairn_does_not_know_are_kept_and_reported() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    let inside = folder(&world.partitions(table)[0]).file("notes.txt");
    let beside = format!("{}/readme", layout::data_folder(CLUSTER));
    let foreign = "elsewhere/data/1/2/3/a.manifest".to_owned();
    for key in [&inside, &beside, &foreign] {
        world.store.put_new(key, "x".into()).await.unwrap();
    }
    let report = world.vacuum(&mut Vacuum::default(), 0).await;
    for key in [&inside, &beside, &foreign] {
        world.store.get(key).await.unwrap();
    }
    assert!(report.folders.values().any(|f| f.unknown.contains("notes.txt")));
    assert!(report.unknown.iter().any(|k| k.ends_with("data/readme")));
}

#[tokio::test]
async fn what_became_reachable_between_the_looks_stays() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    // A compaction whose process registered nothing: its files look like garbage at the first look.
    let pending = world.begin_write(&world.partitions(table)[0], true).await;
    world.abandon_write(&pending);
    let mut vacuum = Vacuum::default();
    world.env.failpoints().set("vacuum.after_mark", Action::Error);
    let settings = VacuumSettings { grace_ms: 0 };
    vacuum.run(&world.env, &world.meta, &world.open(), &world.work, settings).await.unwrap_err();
    world.env.failpoints().clear("vacuum.after_mark");
    world.end_write(pending).unwrap();
    world.vacuum(&mut vacuum, 0).await;
    assert_eq!(world.needed(&world.catalog()).await.unwrap(), world.data_keys().await);
}

#[tokio::test]
async fn a_fenced_vacuum_deletes_nothing_and_says_so() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.compact(table).await;
    let before = world.data_keys().await;
    let claim = FenceRecord { cluster: CLUSTER.into(), epoch: 2, claimed_ms: 0, nonce: "other".into() };
    Fence::claim(&world.store, &claim).await.unwrap();
    let settings = VacuumSettings { grace_ms: 0 };
    let mut vacuum = Vacuum::default();
    let error = vacuum.run(&world.env, &world.meta, &world.open(), &world.work, settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(world.data_keys().await, before);

    // Without any claim it deletes nothing either; that another one took over is not said by it.
    for key in world.keys(&layout::fence_folder(CLUSTER)).await {
        world.store.delete(&key).await.unwrap();
    }
    let report = vacuum.run(&world.env, &world.meta, &world.open(), &world.work, settings).await.unwrap();
    assert!(report.problems.iter().any(|problem| problem.contains("has no claim")), "{report:?}");
    assert_eq!(world.data_keys().await, before);
}

#[tokio::test]
async fn an_interrupted_vacuum_goes_on() {
    for name in ["vacuum.after_mark", "vacuum.before_delete", "vacuum.after_delete"] {
        let world = World::new().await;
        let table = world.create_table("t", 3);
        world.load(table).await;
        world.compact(table).await;
        world.env.failpoints().set(name, Action::Error);
        let settings = VacuumSettings { grace_ms: 0 };
        let mut vacuum = Vacuum::default();
        vacuum.run(&world.env, &world.meta, &world.open(), &world.work, settings).await.unwrap_err();
        world.env.failpoints().clear(name);
        world.needed(&world.catalog()).await.unwrap();
        world.vacuum(&mut Vacuum::default(), 0).await;
        assert_eq!(world.needed(&world.catalog()).await.unwrap(), world.data_keys().await, "{name}");
    }
}

#[tokio::test]
async fn a_damaged_unknown_snapshot_stops_all_deleting() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.compact(table).await;
    let before = world.data_keys().await;
    world.store.put_new(&layout::snapshot_marker(CLUSTER, "odd"), "garbage".into()).await.unwrap();
    let report = world.vacuum(&mut Vacuum::default(), 0).await;
    assert_eq!(world.data_keys().await, before);
    assert!(
        report.problems.iter().any(|p| p.contains("'odd'") && p.contains("nothing was deleted")),
        "{report:?}"
    );
}

#[tokio::test]
async fn exclusive_bytes_are_those_that_only_one_snapshot_reaches() {
    let world = World::new().await;
    let table = world.create_table("t", 1);
    world.load(table).await;
    world.snapshot("one").await.unwrap();
    world.load(table).await;
    world.snapshot("two").await.unwrap();

    let manifests = |world: &World| {
        let catalog = world.catalog();
        let mut wanted = Vec::new();
        for (partition, named) in usage::candidates(&catalog) {
            wanted.extend(named.into_iter().map(|n| (folder(partition), n.clone())));
        }
        wanted
    };
    let usage_of = async |world: &World| {
        let mut decoded = std::collections::BTreeMap::new();
        for (folder, named) in manifests(world) {
            let bytes = world.store.get(&folder.file(&named.name)).await.unwrap();
            decoded
                .insert(named.name, std::sync::Arc::new(Manifest::decode(&bytes, folder.partition).unwrap()));
        }
        usage::compute(&world.meta.catalog(), |_, named| decoded.get(&named.name).cloned())
    };
    let usage = usage_of(&world).await;
    assert_eq!((usage["one"].files, usage["one"].exclusive_files), (1, 0), "all of it is visible");
    assert_eq!((usage["two"].files, usage["two"].exclusive_bytes), (2, 0));

    world.compact(table).await;
    let usage = usage_of(&world).await;
    assert_eq!((usage["one"].files, usage["one"].exclusive_files), (1, 0), "the other one has it too");
    assert_eq!((usage["two"].files, usage["two"].exclusive_files), (2, 1));
    assert!(usage["two"].exclusive_bytes > 0 && usage["two"].exclusive_bytes < usage["two"].bytes);

    world.apply(Command::DropSnapshot { name: "one".into(), if_exists: false, detail: String::new() });
    let usage = usage_of(&world).await;
    assert_eq!((usage["two"].files, usage["two"].exclusive_files), (2, 2));

    let report = world.vacuum(&mut Vacuum::default(), 1).await;
    assert_eq!(
        report.snapshots["two"].exclusive_files, 2,
        "as long as its marker stands, the other can be restored"
    );
    world.store.delete(&layout::snapshot_marker(&world.catalog().cluster().id, "one")).await.unwrap();
    let report = world.vacuum(&mut Vacuum::default(), 1).await;
    assert_eq!(report.snapshots["two"].exclusive_files, 2 + 1, "the vacuum counts the manifest too");
}
