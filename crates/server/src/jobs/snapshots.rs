//! Drives snapshot jobs: those asked for by hand, the automated ones, and the end of each.

use std::sync::Arc;

use cairn_catalog::{Catalog, Command, Reply, SnapshotSpec};
use cairn_snapshot::janitor::{self, SnapshotAction, SnapshotSettings};
use cairn_snapshot::{TakeOptions, take};
use cairn_types::{ErrorKind, Result, SnapshotId};
use tokio_util::sync::CancellationToken;

use super::{automated_interval_seconds, pause, stop};
use crate::node::Node;
use crate::settings;

/// Between two looks for work.
const TICK_MS: u64 = 1_000;

/// A job is followed by a rest of so many times its length before the next one begins, so that snapshots taken in a loop, with all
/// that making and dropping them costs beside the jobs, leave nine tenths of their rate to writers. A single one never waits.
const REST_FACTOR: u64 = 24;
/// The shortest rest: beside the job stand its commands, each of which waits for the disk as an INSERT does.
const REST_MS_MIN: u64 = 500;
/// The longest rest.
const REST_MS_MAX: u64 = 5_000;

/// Looks for work until `shutdown`.
pub(super) async fn run(node: Arc<Node>, shutdown: CancellationToken) {
    loop {
        if let Err(error) = tick(&node).await {
            if error.kind() == ErrorKind::Fenced {
                stop(&node, &shutdown, error);
                return;
            }
            tracing::warn!(%error, "snapshot work is put off");
        }
        if !pause(&node, TICK_MS, &node.jobs.snapshots, &shutdown).await {
            return;
        }
    }
}

async fn tick(node: &Arc<Node>) -> Result<()> {
    let (catalog, running) = {
        let _gate = node.jobs.begin_gate.lock().await;
        (node.catalog(), node.jobs.running.lock().clone())
    };
    let volumes = |volume: &cairn_catalog::Volume| node.storage.volumes.open(volume);
    for action in janitor::plan(&catalog, &running, &snapshot_settings(&catalog), node.env.now_ms()) {
        let done = match action {
            SnapshotAction::Begin(spec) => start(node, spec).await,
            other => janitor::execute(&node.env, node.meta.as_ref(), &volumes, &other).await,
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            // A volume that cannot be reached must not keep those in others from being made and removed.
            Err(error) => tracing::warn!(%error, "snapshot work is put off"),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn snapshot_settings(catalog: &Catalog) -> SnapshotSettings {
    let keep_seconds = settings::number(catalog, "automated_cluster_snapshot_keep_seconds");
    SnapshotSettings {
        interval_ms: automated_interval_seconds(catalog) * 1_000,
        automated_kept: settings::number(catalog, "automated_cluster_snapshot_keep_max"),
        automated_age_ms_max: (keep_seconds > 0).then_some(keep_seconds * 1_000),
    }
}

/// Gives a snapshot its place in the journal and starts its job. Returns as soon as the place is durable.
///
/// # Errors
/// The catalog's refusal; `Unavailable`.
pub async fn start(node: &Arc<Node>, spec: SnapshotSpec) -> Result<()> {
    let gate = node.jobs.begin_gate.lock().await;
    let applied = node.journal.propose(Command::BeginSnapshot(spec)).await?.outcome;
    let id = match applied.outcome? {
        Reply::Snapshot(id) => id,
        _ => return Ok(()),
    };
    node.jobs.running.lock().insert(id);
    drop(gate);
    let node = Arc::clone(node);
    let env = node.env.clone();
    env.failpoint("snapshot.after_command")?;
    drop(env.spawn("snapshot job", drive(node, id, applied.catalog)));
    Ok(())
}

async fn drive(node: Arc<Node>, id: SnapshotId, catalog: Arc<Catalog>) {
    // One job at a time; the lock holds when the next may begin.
    let mut next_ms = node.jobs.next_job_ms.lock().await;
    node.env.sleep_ms(next_ms.saturating_sub(node.env.now_ms()).min(REST_MS_MAX)).await;
    let began_ms = node.env.now_ms();
    let volumes = |volume: &cairn_catalog::Volume| node.storage.volumes.open(volume);
    let meta = node.meta.as_ref();
    let options = TakeOptions { memo: Some(&node.jobs.files_memo), ..TakeOptions::default() };
    let taken = take(&node.env, meta, &volumes, &catalog, id, options, &|_| {}).await;
    node.metrics.snapshot(taken.is_ok());
    match taken {
        Ok(marker) => {
            tracing::info!(name = %marker.name, index = marker.index, files = marker.files, "snapshot finished")
        }
        Err(error) => tracing::warn!(%error, "snapshot failed"),
    }
    let now_ms = node.env.now_ms();
    *next_ms = now_ms + (now_ms.saturating_sub(began_ms) * REST_FACTOR).clamp(REST_MS_MIN, REST_MS_MAX);
    drop(next_ms);
    node.jobs.running.lock().remove(&id);
    node.jobs.wake_snapshots();
}
