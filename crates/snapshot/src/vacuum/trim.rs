//! What the catalog may forget.

use cairn_catalog::{Catalog, Command, Reply, Trim};

/// How long things are remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrimSettings {
    /// Dropped databases, tables and partitions can be recovered for so long.
    pub recycle_ms: u64,
    /// Labels of finished loads are remembered for so long…
    pub label_ms: u64,
    /// …and so many of them.
    pub labels_max: u64,
    /// Snapshot jobs in the history whose files are gone (StarRocks: at least 2).
    pub jobs_max: u64,
    /// Finished task runs are listed for so long…
    pub task_runs_ms: u64,
    /// …and so many of them.
    pub task_runs_max: u64,
}

/// The command that forgets what outlived itself; `None` when it would change nothing, so that an idle cluster writes no
/// journal entries.
#[must_use]
pub fn trim(catalog: &Catalog, settings: &TrimSettings, now_ms: u64) -> Option<Command> {
    let command = Command::Trim(Trim {
        dropped_before_ms: now_ms.saturating_sub(settings.recycle_ms),
        txns_before_ms: now_ms.saturating_sub(settings.label_ms),
        txns_max: settings.labels_max,
        jobs_max: settings.jobs_max.max(2),
        task_runs_before_ms: now_ms.saturating_sub(settings.task_runs_ms),
        task_runs_max: Some(settings.task_runs_max),
    });
    // A clone is O(1), and the catalog itself knows best what the command would do.
    match catalog.clone().apply(u64::MAX, now_ms, &command) {
        Ok(Reply::Unchanged) | Err(_) => None,
        Ok(_) => Some(command),
    }
}
