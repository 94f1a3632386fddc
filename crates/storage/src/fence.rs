//! Whether the process that holds a catalog may write and delete in a volume.

use cairn_catalog::Cluster;
use cairn_objects::{Fence, VolumeStore};
use cairn_types::Result;

/// Asks the fence of `store` for the epoch and the start of `cluster`.
///
/// # Errors
/// As [`Fence::check`].
pub async fn check_fence(store: &VolumeStore, cluster: &Cluster) -> Result<()> {
    let start = (cluster.start.number, cluster.start.nonce.as_str());
    Fence::check(store, &cluster.id, cluster.epoch, start).await
}
