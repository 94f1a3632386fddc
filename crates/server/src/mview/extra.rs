//! What a task run wants to be known of it: `EXTRA_MESSAGE`, in StarRocks' words.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{Catalog, TaskRun};
use cairn_mview::Verdict;
use serde_json::json;

/// Names that are listed at most: a run over thousands of partitions is told by its numbers.
const NAMES_MAX: usize = 64;

/// The facts of one run.
pub(super) struct Extra {
    force: bool,
    priority: u32,
    started_ms: u64,
    cells: BTreeSet<String>,
    /// By the name of the base.
    sources: BTreeMap<String, BTreeSet<String>>,
    /// A run over several views adds up.
    pub(super) done: Counts,
}

/// What was done.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) cells: u64,
    pub(super) incremental: u64,
    pub(super) commits: u64,
    pub(super) rows: u64,
}

impl Extra {
    pub(super) fn of(run: &TaskRun, started_ms: u64) -> Self {
        Self {
            force: run.request.force,
            priority: run.priority,
            started_ms,
            cells: BTreeSet::new(),
            sources: BTreeMap::new(),
            done: Counts::default(),
        }
    }

    /// What is going to be refreshed next, from what.
    pub(super) fn plan(&mut self, catalog: &Catalog, verdict: &Verdict) {
        for cell in verdict.stale() {
            if self.cells.len() < NAMES_MAX {
                self.cells.insert(cell.name.clone());
            }
            for (base, partitions) in &cell.sources {
                let Some(table) = catalog.table(*base) else { continue };
                let names = self.sources.entry(table.name.clone()).or_default();
                let room = NAMES_MAX.saturating_sub(names.len());
                names.extend(
                    partitions.iter().filter_map(|id| Some(catalog.partition(*id)?.name.clone())).take(room),
                );
            }
        }
    }

    /// The text when `done` is done.
    pub(super) fn json(&self, done: Counts) -> String {
        let mode = match done.incremental {
            0 => "FULL",
            some if some == done.cells => "INCREMENTAL",
            _ => "MIXED",
        };
        json!({
            "forceRefresh": self.force,
            "mvPartitionsToRefresh": self.cells,
            "refBasePartitionsToRefreshMap": self.sources,
            "basePartitionsToRefreshMap": self.sources,
            "processStartTime": self.started_ms,
            "executeOption": { "priority": self.priority },
            "planBuilderMessage": {},
            "refreshMode": mode,
            "partitions": done.cells,
            "batches": done.commits,
            "rows": done.rows,
        })
        .to_string()
    }
}
