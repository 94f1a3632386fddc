//! Lets the catalog forget, and deletes what nothing reaches.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_catalog::Catalog;
use cairn_snapshot::vacuum::{OpenWork, TrimSettings, Vacuum, VacuumReport, VacuumSettings, trim};
use cairn_types::{ErrorKind, Result, SqlType};
use tokio_util::sync::CancellationToken;

use super::{pause, stop};
use crate::node::Node;
use crate::rows::{Rows, int, text};
use crate::settings;

/// Rounds until `shutdown`.
pub(super) async fn run(node: Arc<Node>, shutdown: CancellationToken) {
    let mut vacuum = Vacuum::default();
    loop {
        let interval_ms = settings::number(&node.catalog(), "vacuum_interval_seconds") * 1_000;
        if !pause(&node, interval_ms, &node.jobs.vacuum, &shutdown).await {
            return;
        }
        match round(&node, &mut vacuum).await {
            Ok(report) => {
                node.metrics.vacuumed(report.deleted.files);
                *node.jobs.last_vacuum.lock() = Some(report);
            }
            Err(error) if error.kind() == ErrorKind::Fenced => {
                stop(&node, &shutdown, error);
                return;
            }
            Err(error) => tracing::warn!(%error, "the vacuum is put off"),
        }
    }
}

async fn round(node: &Arc<Node>, vacuum: &mut Vacuum) -> Result<VacuumReport> {
    node.journal.health()?;
    let catalog = node.catalog();
    let seconds = |name: &str| settings::number(&catalog, name) * 1_000;
    let trims = TrimSettings {
        recycle_ms: seconds("catalog_trash_expire_second"),
        label_ms: seconds("label_keep_max_second"),
        labels_max: settings::number(&catalog, "label_keep_max_num"),
        jobs_max: settings::number(&catalog, "max_historical_automated_cluster_snapshot_jobs"),
        task_runs_ms: seconds("task_runs_ttl_second"),
        task_runs_max: settings::number(&catalog, "task_runs_max_history_number"),
    };
    if let Some(command) = trim(&catalog, &trims, node.env.now_ms()) {
        node.propose(command).await?;
    }
    let grace_ms = seconds("vacuum_grace_seconds");
    let volumes = |volume: &cairn_catalog::Volume| node.storage.volumes.open(volume);
    vacuum.run(&node.env, node.meta.as_ref(), &volumes, &Work(node), VacuumSettings { grace_ms }).await
}

struct Work<'a>(&'a Node);

impl OpenWork for Work<'_> {
    fn open_writes(&self) -> BTreeSet<String> {
        self.0.storage.open_writes.list().into_iter().collect()
    }

    /// A journal that stopped may hold a commit that the catalog does not show: the next start decides what it reaches.
    fn may_delete(&self) -> Result<()> {
        self.0.journal.health()
    }

    fn held_catalogs(&self) -> Vec<Arc<Catalog>> {
        self.0.sessions.held()
    }
}

/// `SHOW PROC '/vacuum'`: a line a partition folder, and who holds what.
///
/// # Errors
/// None now; a round that reads volumes may come.
pub async fn rows(node: &Arc<Node>) -> Result<Rows> {
    let mut rows = Rows::new(&[
        ("Location", SqlType::String),
        ("Database", SqlType::String),
        ("Table", SqlType::String),
        ("PartitionId", SqlType::BigInt),
        ("Files", SqlType::BigInt),
        ("Bytes", SqlType::BigInt),
        ("LiveFiles", SqlType::BigInt),
        ("HeldBy", SqlType::String),
        ("OpenFiles", SqlType::BigInt),
        ("MarkedFiles", SqlType::BigInt),
        ("MarkedBytes", SqlType::BigInt),
        ("DeletedFiles", SqlType::BigInt),
        ("Problem", SqlType::String),
    ]);
    let Some(report) = node.jobs.vacuum_report() else { return Ok(rows) };
    let catalog = node.catalog();
    for ((location, folder), found) in &report.folders {
        let database = catalog.database(folder.db).map_or_else(|| folder.db.to_string(), |d| d.name.clone());
        let table = catalog.table(folder.table).map_or_else(|| folder.table.to_string(), |t| t.name.clone());
        let held: Vec<String> =
            found.held.iter().map(|(who, amount)| format!("{who}: {} files", amount.files)).collect();
        let mut problems: Vec<String> =
            found.unknown.iter().map(|file| format!("unknown file {file}")).collect();
        problems.extend(found.problem.clone());
        rows.push([
            text(location),
            text(database),
            text(table),
            int(folder.partition.0),
            int(found.total.files),
            int(found.total.bytes),
            int(found.live.files),
            text(held.join("; ")),
            int(found.open.files),
            int(found.marked.files),
            int(found.marked.bytes),
            int(found.deleted.files),
            text(problems.join("; ")),
        ]);
    }
    for problem in &report.problems {
        let mut row = vec![cairn_types::Literal::Null; 12];
        row.push(text(problem));
        rows.push(row);
    }
    Ok(rows)
}
