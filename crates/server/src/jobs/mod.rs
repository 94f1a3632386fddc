//! What runs beside the sessions: snapshots, compaction, vacuum, and the watch over the fence.

mod compaction;
mod snapshots;
mod vacuum;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::Catalog;
use cairn_snapshot::FilesMemo;
use cairn_snapshot::usage::SnapshotUsage;
use cairn_types::{Error, ErrorKind, Result, SnapshotId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fences;
use crate::node::Node;
use crate::settings;

pub use snapshots::start as start_snapshot;
pub use vacuum::rows as vacuum_rows;

/// Between two looks at the fences.
const FENCE_INTERVAL_MS: u64 = 5_000;

/// What snapshots reach, by their names.
pub type SnapshotUsages = BTreeMap<String, SnapshotUsage>;

/// What others may see and change of the jobs.
#[derive(Default)]
pub struct JobsView {
    /// Snapshots whose jobs this process drives.
    running: Mutex<BTreeSet<SnapshotId>>,
    /// Held from before a snapshot is begun until its job is on the list, and while the list is compared with the catalog.
    begin_gate: tokio::sync::Mutex<()>,
    snapshots: Notify,
    /// When the next snapshot job may begin.
    next_job_ms: tokio::sync::Mutex<u64>,
    /// What the last snapshot job read of manifests.
    files_memo: FilesMemo,
    vacuum: Notify,
    pub(crate) last_vacuum: Mutex<Option<cairn_snapshot::vacuum::VacuumReport>>,
    /// Why the node must stop.
    stop_cause: Mutex<Option<Error>>,
}

impl JobsView {
    /// Looks for snapshot work at once instead of at the next tick.
    pub fn wake_snapshots(&self) {
        self.snapshots.notify_one();
    }

    /// What each snapshot reached when the vacuum last looked.
    #[must_use]
    pub fn snapshot_usages(&self) -> SnapshotUsages {
        self.last_vacuum.lock().as_ref().map(|report| report.snapshots.clone()).unwrap_or_default()
    }

    /// The last round of the vacuum.
    #[must_use]
    pub fn vacuum_report(&self) -> Option<cairn_snapshot::vacuum::VacuumReport> {
        self.last_vacuum.lock().clone()
    }
}

/// The jobs of a node.
pub struct Jobs {
    node: Arc<Node>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts all jobs; they end with `shutdown`.
pub fn spawn(node: &Arc<Node>, shutdown: &CancellationToken) -> Jobs {
    let env = &node.env;
    let tasks = vec![
        env.spawn("snapshots", snapshots::run(Arc::clone(node), shutdown.clone())),
        env.spawn("compaction", compaction::run(Arc::clone(node), shutdown.clone())),
        env.spawn("vacuum", vacuum::run(Arc::clone(node), shutdown.clone())),
        env.spawn("task runs", crate::mview::scheduler::run(Arc::clone(node), shutdown.clone())),
        env.spawn("view activation", crate::mview::active::run(Arc::clone(node), shutdown.clone())),
        env.spawn("fence", watch_fence(Arc::clone(node), shutdown.clone())),
        env.spawn("signs", leave_signs(Arc::clone(node), shutdown.clone())),
    ];
    Jobs { node: Arc::clone(node), tasks }
}

impl Jobs {
    /// Waits for the jobs to end.
    ///
    /// # Errors
    /// Why the node had to stop.
    pub async fn join(self) -> Result<()> {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a job ended badly");
            }
        }
        match self.node.jobs.stop_cause.lock().take() {
            Some(cause) => Err(cause),
            None => Ok(()),
        }
    }
}

/// Settings may have changed what is due.
pub fn settings_changed(node: &Node) {
    let catalog = node.catalog();
    node.journal.set_image_every_entries(settings::number(&catalog, "image_interval_entries"));
    node.jobs.snapshots.notify_one();
    node.jobs.vacuum.notify_one();
}

/// Seconds between automated snapshots that count now.
#[must_use]
pub fn automated_interval_seconds(catalog: &Catalog) -> u64 {
    let by_policy = catalog.snapshot_policy().and_then(|p| p.interval_seconds);
    by_policy.unwrap_or_else(|| settings::number(catalog, "automated_cluster_snapshot_interval_seconds"))
}

/// Waits `ms`, or less when `wake` is told or `shutdown` comes; `false`: shut down.
async fn pause(node: &Node, ms: u64, wake: &Notify, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => false,
        () = wake.notified() => true,
        () = node.env.sleep_ms(ms) => true,
    }
}

/// Stops the process when a later epoch took the cluster over: it must not serve a past that nobody shares.
async fn watch_fence(node: Arc<Node>, shutdown: CancellationToken) {
    let never = Notify::new();
    while pause(&node, FENCE_INTERVAL_MS, &never, &shutdown).await {
        match fences::check(&node).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Fenced => {
                stop(&node, &shutdown, error);
                return;
            }
            Err(error) => tracing::warn!(%error, "the fence of a volume could not be checked"),
        }
    }
}

/// Says in the volumes that this process runs: in time, whatever the fences say meanwhile.
async fn leave_signs(node: Arc<Node>, shutdown: CancellationToken) {
    let never = Notify::new();
    while pause(&node, FENCE_INTERVAL_MS, &never, &shutdown).await {
        fences::sign(&node, false).await;
    }
}

fn stop(node: &Node, shutdown: &CancellationToken, cause: Error) {
    tracing::error!(%cause, "this process must stop");
    node.jobs.stop_cause.lock().get_or_insert(cause);
    shutdown.cancel();
}
