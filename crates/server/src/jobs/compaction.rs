//! Merges small rowsets, partition by partition.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_storage::{CompactionSettings, compact};
use cairn_types::{ErrorKind, PartitionId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{pause, stop};
use crate::node::Node;
use crate::settings;

/// Looks for partitions that changed since they were looked at last, until `shutdown`.
pub(super) async fn run(node: Arc<Node>, shutdown: CancellationToken) {
    let never = Notify::new();
    let mut seen: HashMap<PartitionId, String> = HashMap::new();
    loop {
        let interval_ms = settings::number(&node.catalog(), "compaction_interval_seconds") * 1_000;
        if !pause(&node, interval_ms, &never, &shutdown).await {
            return;
        }
        if settings::flag(&node.catalog(), "enable_compaction") && !round(&node, &mut seen, &shutdown).await {
            return;
        }
    }
}

/// One look at every partition; `false`: the node must stop.
async fn round(
    node: &Arc<Node>,
    seen: &mut HashMap<PartitionId, String>,
    shutdown: &CancellationToken,
) -> bool {
    let catalog = node.catalog();
    let visible = catalog.partitions().filter(|p| catalog.dropped(p).is_none());
    let changed: Vec<(PartitionId, String)> = visible
        .filter_map(|p| p.visible().map(|v| (p.id, v.manifest.name.clone())))
        .filter(|(id, manifest)| seen.get(id) != Some(manifest))
        .collect();
    seen.retain(|id, _| catalog.partition(*id).is_some());
    for (id, manifest) in changed {
        if shutdown.is_cancelled() {
            return false;
        }
        match compact(&node.storage, id, &CompactionSettings::default()).await {
            Ok(Some(done)) => {
                node.metrics.compaction();
                tracing::debug!(partition = %id, ?done, "compacted");
            }
            Ok(None) => {
                seen.insert(id, manifest);
            }
            Err(error) if error.kind() == ErrorKind::Fenced => {
                stop(node, shutdown, error);
                return false;
            }
            // The partition is gone, or others were quicker.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => tracing::warn!(partition = %id, %error, "compaction is put off"),
        }
    }
    true
}
