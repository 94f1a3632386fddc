//! A snapshot reads the manifests that the one before it did not, and lists the same files as one that reads them all.

use cairn_objects::Faults;
use cairn_snapshot::{FilesMemo, TakeOptions, take};

use crate::world::World;

/// Takes snapshot `name` and returns the manifests that it read.
async fn manifests_read(world: &World, name: &str, memo: Option<&FilesMemo>) -> usize {
    let faults = Faults::default();
    let store = world.store.with_faults(&faults);
    let open = |_: &cairn_catalog::Volume| Ok(store.clone());
    let (id, catalog) = world.begin_snapshot(name).unwrap();
    let options = TakeOptions { memo, ..TakeOptions::default() };
    take(&world.env, &world.meta, &open, &catalog, id, options, &|_| {}).await.unwrap();
    let partitions = world.partitions(world.table("t"));
    let manifests: Vec<String> = partitions
        .iter()
        .map(|p| crate::world::folder(p).file(&p.visible().unwrap().manifest.name))
        .collect();
    faults.log().iter().filter(|(_, key)| manifests.contains(key)).count()
}

#[tokio::test]
async fn only_new_manifests_are_read() {
    let world = World::new().await;
    let table = world.create_table("t", 3);
    world.load(table).await;
    let memo = FilesMemo::default();
    assert_eq!(manifests_read(&world, "first", Some(&memo)).await, 3);
    assert_eq!(manifests_read(&world, "same", Some(&memo)).await, 0);

    let pending = world.begin_write(&world.partitions(table)[1], false).await;
    world.end_write(pending).unwrap();
    assert_eq!(manifests_read(&world, "changed", Some(&memo)).await, 1);
    assert_eq!(manifests_read(&world, "without", None).await, 3);

    for name in ["first", "same", "changed", "without"] {
        assert!(world.verify(name).await.is_whole(), "{name}");
    }
    assert_eq!(world.listed("first", false).await, world.listed("same", false).await);
    assert_eq!(world.listed("changed", false).await, world.listed("without", false).await);
}
