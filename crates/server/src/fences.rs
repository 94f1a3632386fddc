//! Whether this process may write and delete in the volumes of its cluster: each has a fence that says who may.

use cairn_catalog::{Catalog, Volume};
use cairn_env::Env;
use cairn_objects::{Fence, FenceRecord, VolumeStore};
use cairn_types::{Error, ErrorKind, Result};

use crate::identity::Identity;
use crate::node::Node;

/// For how long an empty volume is waited for: a start must not hang on what nobody needs.
const EMPTY_VOLUME_WAIT_MS: u64 = 3_000;

/// Asks each volume. One that holds no file of the cluster is claimed instead: a restore claims what it needs, and an empty
/// volume that cannot be reached keeps nobody from starting. Why empty ones could not be claimed is returned.
///
/// # Errors
/// `Fenced` when a later epoch took the cluster over, or when a volume with files has no claim of this one; `Unavailable` or
/// `Corrupt` when that of a volume with files cannot be found out.
pub async fn check(node: &Node) -> Result<Vec<Error>> {
    let catalog = node.catalog();
    let mut unclaimed = Vec::new();
    for volume in catalog.volumes() {
        if catalog.holds_files(volume.id) {
            check_full(node, &catalog, volume).await?;
            continue;
        }
        match claim_empty(node, &identity(node)?, volume).await {
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            Err(error) => unclaimed.push(error),
            Ok(()) => {}
        }
    }
    Ok(unclaimed)
}

async fn check_full(node: &Node, catalog: &Catalog, volume: &Volume) -> Result<()> {
    let store = node.storage.volumes.open(volume)?;
    Fence::check(&store, &catalog.cluster().id, catalog.cluster().epoch).await
}

async fn claim_empty(node: &Node, identity: &Identity, volume: &Volume) -> Result<()> {
    let store = node.storage.volumes.open(volume)?;
    let answered = tokio::select! {
        claimed = claim(&node.env, &store, identity) => claimed,
        () = node.env.sleep_ms(EMPTY_VOLUME_WAIT_MS) => Err(Error::unavailable("it does not answer")),
    };
    answered
        .map_err(|e| e.context(format!("storage volume '{}' holds nothing, and cannot be used", volume.name)))
}

/// Tries a new volume and claims it for this incarnation of the cluster.
///
/// # Errors
/// `Unavailable` when it cannot be written to; `Fenced` when the cluster was taken over there.
pub async fn claim_volume(node: &Node, store: &VolumeStore) -> Result<()> {
    store.probe().await?;
    claim(&node.env, store, &identity(node)?).await
}

/// Claims a volume for the incarnation that `identity` names.
///
/// # Errors
/// `Fenced` when another one has it; `Unavailable`.
pub async fn claim(env: &Env, store: &VolumeStore, identity: &Identity) -> Result<()> {
    let record = FenceRecord {
        cluster: identity.cluster.clone(),
        epoch: identity.epoch,
        claimed_ms: env.now_ms(),
        nonce: identity.nonce.clone(),
    };
    Fence::claim(store, &record).await
}

fn identity(node: &Node) -> Result<Identity> {
    Identity::read(&node.data_dir)?
        .ok_or_else(|| Error::corrupt(format!("{} has lost its file IDENTITY", node.data_dir.display())))
}
