//! Removing a snapshot's files: the marker first, so that what is left never looks like a snapshot.

use cairn_catalog::{Catalog, Command, Snapshot, SnapshotState};
use cairn_env::Env;
use cairn_objects::{VolumeStore, layout};
use cairn_storage::check_fence;
use cairn_storage::meta::Meta;
use cairn_types::{Error, Result, SnapshotId};
use futures::TryStreamExt;

use crate::VolumeResolver;
use crate::list::{SnapshotStatus, status};

/// Removes the files of snapshot `id`, which must be `EXPIRED` or `ERROR`, and says so in the catalog. Nothing happens for
/// any other state, or when it was done before.
///
/// # Errors
/// `Fenced` when the volume belongs to a higher epoch; `Unavailable`: then it is to be tried again.
pub async fn remove_files(
    env: &Env,
    meta: &dyn Meta,
    volumes: &dyn VolumeResolver,
    id: SnapshotId,
) -> Result<()> {
    let catalog = meta.catalog();
    let Some(snapshot) = catalog.snapshot(id) else { return Ok(()) };
    if !matches!(snapshot.state, SnapshotState::Expired | SnapshotState::Error) || snapshot.is_gone() {
        return Ok(());
    }
    env.failpoint("snapshot.drop.after_command")?;
    let detail = match catalog.volume(snapshot.volume) {
        None => "its storage volume was dropped; its files, if any, are left there".to_owned(),
        Some(volume) => remove_folder(env, &volumes.open(volume)?, &catalog, snapshot).await?,
    };
    env.failpoint("snapshot.drop.after_files")?;
    let (state, error) = (SnapshotState::Deleted, String::new());
    meta.propose(Command::AdvanceSnapshot { id, state, detail, error, bytes: 0, files: 0 }).await.map(drop)
}

/// Removes the folder and says what there is to say.
async fn remove_folder(
    env: &Env,
    store: &VolumeStore,
    catalog: &Catalog,
    snapshot: &Snapshot,
) -> Result<String> {
    let cluster = catalog.cluster();
    check_fence(store, cluster).await?;
    if let SnapshotStatus::Finished(marker) = status(store, &cluster.id, &snapshot.name).await?
        && !marker.belongs_to(catalog, snapshot)
    {
        return Ok(format!("its folder holds a snapshot of epoch {} and was left as it is", marker.epoch));
    }
    store.delete(&layout::snapshot_marker(&cluster.id, &snapshot.name)).await?;
    env.failpoint("snapshot.drop.after_marker")?;
    remove_rest(store, &cluster.id, &snapshot.name).await?;
    Ok(String::new())
}

async fn remove_rest(store: &VolumeStore, cluster: &str, name: &str) -> Result<()> {
    let listed = store.list(&layout::snapshot_folder(cluster, name)).map_ok(|object| object.key);
    let mut batches = listed.try_chunks(1_000);
    while let Some(keys) = batches.try_next().await.map_err(|e| e.1)? {
        store.delete_all(&keys).await?;
    }
    Ok(())
}

/// Removes what is left in a folder that has no marker and that no snapshot of the catalog owns.
pub(crate) async fn remove_torn(store: &VolumeStore, catalog: &Catalog, name: &str) -> Result<()> {
    let cluster = catalog.cluster();
    if catalog.snapshots().any(|s| s.name == name && !s.is_gone()) {
        return Ok(());
    }
    check_fence(store, cluster).await?;
    match status(store, &cluster.id, name).await? {
        SnapshotStatus::Finished(_) | SnapshotStatus::Damaged(_) => Ok(()),
        SnapshotStatus::Torn => remove_rest(store, &cluster.id, name).await,
    }
}

/// Removes a finished snapshot that the catalog does not know: one of another history of the cluster, which a restore to an
/// earlier snapshot left behind. As long as it is there, the vacuum keeps what it reaches.
///
/// # Errors
/// `Conflict` when the catalog knows a snapshot of this name; `Fenced`; `NotFound`; `Unavailable`.
pub async fn remove_unknown(store: &VolumeStore, catalog: &Catalog, name: &str) -> Result<()> {
    let cluster = catalog.cluster();
    if catalog.snapshots().any(|s| s.name == name && !s.is_gone()) {
        return Err(Error::conflict(format!("snapshot '{name}' is known: use DROP SNAPSHOT")));
    }
    let folders = store.list_folders(&layout::snapshots_folder(&cluster.id)).await?;
    if !folders.iter().any(|folder| folder == name) {
        return Err(Error::not_found(format!("there is no snapshot '{name}' in {}", store.location())));
    }
    check_fence(store, cluster).await?;
    store.delete(&layout::snapshot_marker(&cluster.id, name)).await?;
    remove_rest(store, &cluster.id, name).await
}
