//! Materialized views: the statements about them, and what refreshes and watches them in the background.
//!
//! What is stale and what comes next is decided in `cairn-mview`; what a query of a view is, in `cairn-exec`. Here both
//! meet the journal and the clock: [`runner`] carries out one task run, [`scheduler`] says which, [`active`] tries again
//! to activate views whose bases changed, [`source`] offers views to queries.

pub mod active;
pub mod alter;
pub mod create;
pub mod explain;
mod extra;
pub mod properties;
pub mod refresh;
pub mod runner;
pub mod scheduler;
pub mod source;
mod task_run;
pub mod tasks;
mod work;

pub use task_run::submit as submit_task_run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_catalog::{Catalog, Mview, Table};
use cairn_exec::QueryContext;
use cairn_sql::ast::TableName;
use cairn_types::{Error, Result, TaskRunId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::analyze;
use crate::node::Node;
use crate::session::variables::{Facts, Variables};

/// What this process knows of task runs: which it carries out, and whom to wake.
#[derive(Default)]
pub struct MviewJobs {
    /// The runs that are carried out here, each with what cancels it.
    running: Mutex<BTreeMap<TaskRunId, CancellationToken>>,
    /// Something is to be scheduled.
    wake: Notify,
    /// A run ended.
    ended: Notify,
    /// The process is going down.
    stopping: AtomicBool,
}

impl MviewJobs {
    /// Looks for runs at once instead of at the next tick.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Stops `run`, if it is carried out here, before its next batch.
    fn cancel(&self, run: TaskRunId) {
        if let Some(token) = self.running.lock().get(&run) {
            token.cancel();
        }
    }

    /// Stops all runs. Their records stay open, for the next start.
    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for token in self.running.lock().values() {
            token.cancel();
        }
        self.ended.notify_waiters();
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// The materialized view that `name` means.
///
/// # Errors
/// `UnknownTable`; `Analysis` for what is none.
pub fn find<'a>(
    catalog: &'a Catalog,
    name: &TableName,
    database: &str,
) -> Result<(&'a Arc<Table>, &'a Mview)> {
    let (_, table) = analyze::find_table(catalog, name, database)?;
    Ok((table, of(table)?))
}

fn of(table: &Table) -> Result<&Mview> {
    table.mview().ok_or_else(|| {
        Error::analysis(format!(
            "Can not find materialized view {}: it is a {}",
            table.name,
            if table.view().is_some() { "view" } else { "table" }
        ))
    })
}

/// What the query of a view is planned on: nobody's session, the view's own `session.*` properties.
fn context(node: &Arc<Node>, catalog: &Arc<Catalog>, table: &Table) -> Result<QueryContext> {
    let mview = of(table)?;
    let mut variables = Variables::default();
    for (name, value) in &mview.table.properties {
        if let Some(variable) = name.strip_prefix("session.") {
            variables.set(variable, Some(value))?;
        }
    }
    let parallelism = usize::try_from(variables.number(catalog, "pipeline_dop")).unwrap_or(0);
    let memory_bytes_max = usize::try_from(variables.number(catalog, "query_mem_limit")).unwrap_or(0);
    let facts = Arc::new(Facts { variables, catalog: Arc::clone(catalog), functions: Vec::new() });
    let (database, user) = (&mview.definition.default_db, &mview.creator);
    let mut context = node.engine.context(Arc::clone(catalog), database, user, facts);
    context.parallelism = if parallelism == 0 { node.limits.parallelism } else { parallelism };
    context.memory_bytes_max = memory_bytes_max;
    Ok(context)
}
