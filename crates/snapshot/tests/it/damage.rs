//! Verify finds every kind of damage to any file of a snapshot, and names it.

use bytes::Bytes;
use cairn_objects::layout;
use cairn_snapshot::TakeOptions;
use cairn_types::Result;

use crate::world::{CLUSTER, World};

/// A cluster with a snapshot in two chunks, and every key that this snapshot needs.
async fn snapshotted() -> (World, Vec<String>) {
    let world = World::new().await;
    let table = world.create_table("t", 2);
    world.load(table).await;
    world.load(table).await;
    world.snapshot_with("s", TakeOptions { chunk_bytes_max: 1, reads_at_once: 4, memo: None }).await.unwrap();
    let mut keys: Vec<String> = world.pinned("s").await.into_iter().collect();
    keys.extend(world.keys(&layout::snapshot_folder(CLUSTER, "s")).await);
    assert!(keys.iter().any(|k| k.ends_with("manifest-1")), "{keys:?}");
    assert_eq!(keys.len(), 2 + 4 + 4, "{keys:?}");
    (world, keys)
}

/// Verify must find something, and name the file (or the one that vouches for it).
async fn assert_found(world: &World, key: &str, what: &str) {
    let report = world.verify("s").await;
    assert!(!report.is_whole(), "{key}: {what} was not found");
    let named = report.problems.iter().any(|p| p.file.ends_with(key));
    assert!(named, "{key}: {what}: {:?}", report.problems);
}

async fn each(
    world: &World,
    keys: &[String],
    damages: impl Fn(&str, &Bytes) -> Vec<(String, Bytes)>,
) -> Result<u32> {
    let mut trials = 0;
    for key in keys {
        let whole = world.store.get(key).await?;
        for (what, damaged) in damages(key, &whole) {
            world.overwrite(key, damaged).await;
            assert_found(world, key, &what).await;
            trials += 1;
        }
        world.overwrite(key, whole).await;
    }
    assert!(world.verify("s").await.is_whole(), "all damage was undone");
    Ok(trials)
}

#[tokio::test]
async fn a_whole_snapshot_has_no_problems_and_its_totals_are_read() {
    let (world, keys) = snapshotted().await;
    let report = world.verify("s").await;
    assert_eq!(report.problems, []);
    let marker = report.marker.unwrap();
    assert_eq!((report.files, report.bytes), (marker.files, marker.bytes));
    // All but the marker itself.
    assert_eq!(marker.files, keys.len() as u64 - 1);
    let known = world.catalog().snapshot_named("s").cloned().unwrap();
    assert_eq!((known.files, known.bytes), (marker.files, marker.bytes));
}

#[tokio::test]
async fn every_flipped_bit_is_found() {
    let (world, keys) = snapshotted().await;
    let trials = each(&world, &keys, |key, whole| {
        // Small files bit by bit; of the image, a sample.
        let step = if key.ends_with("/image") { 61 } else { 7 };
        (0..whole.len() * 8)
            .step_by(step)
            .map(|bit| {
                let mut damaged = whole.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                (format!("bit {bit}"), damaged.into())
            })
            .collect()
    });
    assert!(trials.await.unwrap() > 2_000);
}

#[tokio::test]
async fn every_cut_or_lengthened_file_is_found() {
    let (world, keys) = snapshotted().await;
    let damages = |_: &str, whole: &Bytes| {
        let longer: Bytes = [&whole[..], b"\n"].concat().into();
        [0, 1, whole.len() / 2, whole.len() - 1]
            .map(|length| (format!("cut to {length}"), whole.slice(..length)))
            .into_iter()
            .chain([("lengthened".to_owned(), longer)])
            .collect()
    };
    each(&world, &keys, damages).await.unwrap();
}

#[tokio::test]
async fn every_missing_file_is_found() {
    let (world, keys) = snapshotted().await;
    for key in &keys {
        let whole = world.store.get(key).await.unwrap();
        world.store.delete(key).await.unwrap();
        assert_found(&world, key, "missing").await;
        world.store.put_new(key, whole).await.unwrap();
    }
    assert!(world.verify("s").await.is_whole());
}

#[tokio::test]
async fn every_pair_of_swapped_files_is_found() {
    let (world, keys) = snapshotted().await;
    for (at, left) in keys.iter().enumerate() {
        for right in &keys[at + 1..] {
            let (l, r) = (world.store.get(left).await.unwrap(), world.store.get(right).await.unwrap());
            world.overwrite(left, r.clone()).await;
            world.overwrite(right, l.clone()).await;
            assert!(!world.verify("s").await.is_whole(), "{left} <-> {right}");
            world.overwrite(left, l).await;
            world.overwrite(right, r).await;
        }
    }
    assert!(world.verify("s").await.is_whole());
}

#[tokio::test]
async fn another_snapshots_files_are_not_taken_for_its_own() {
    let (world, _) = snapshotted().await;
    world.load(world.table("t")).await;
    world.snapshot("other").await.unwrap();
    for file in ["image", "manifest-0", "_finished"] {
        let key = |name: &str| format!("{}/{file}", layout::snapshot_folder(CLUSTER, name));
        let own = world.store.get(&key("s")).await.unwrap();
        let foreign = world.store.get(&key("other")).await.unwrap();
        world.overwrite(&key("s"), foreign).await;
        assert_found(&world, &key("s"), "the other snapshot's").await;
        world.overwrite(&key("s"), own).await;
    }
}
