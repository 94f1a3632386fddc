//! `REFRESH MATERIALIZED VIEW` and `CANCEL REFRESH`: they record what is to be done; runs do it.

use std::sync::Arc;

use cairn_catalog::{
    Catalog, Command, Definition, Mview, MviewState, RefreshRange, RefreshRequest, Reply, RunAdvance,
    RunState, RunTrigger, Table, TaskOf, TaskRun, TaskRunSpec,
};
use cairn_mview::schedule::{PRIORITY_HIGH, PRIORITY_NORMAL};
use cairn_mview::{Purpose, select, verdict};
use cairn_sql::ast::{BoundValue, CancelRefresh, RefreshMaterializedView, RefreshPartitions};
use cairn_types::{Error, ErrorKind, Result, TableId, TaskRunId};

use super::{MviewJobs, find};
use crate::answer::Answer;
use crate::node::Node;
use crate::rows::{Rows, text};
use crate::session::Session;

/// `REFRESH MATERIALIZED VIEW`. The answer is the run's id; with `SYNC MODE` it comes when the run has ended.
///
/// # Errors
/// An inactive view; partitions that are not there; with `SYNC MODE`, what the run meets.
pub async fn refresh(session: &Session, statement: &RefreshMaterializedView) -> Result<Answer> {
    let node = &session.node;
    let catalog = session.catalog();
    let (table, mview) = find(&catalog, &statement.name, &session.database)?;
    check_active(table, mview)?;
    let request = RefreshRequest {
        force: statement.force,
        range: statement.partitions.as_ref().map(range).transpose()?,
        cascade: statement.cascade,
        trigger: RunTrigger::Manual,
    };
    // A mistake is told now, not by a run that fails later.
    narrow(&catalog, table, &request, node.env.now_ms())?;
    let default = if statement.synchronous { PRIORITY_HIGH } else { PRIORITY_NORMAL };
    let priority = statement.priority.map_or(default, u32::from);
    let run = submit(node, table.id, request, priority, None).await?;
    if statement.synchronous {
        wait(node, run).await?;
    }
    let query_id = node.catalog().task_run(run).map(|run| run.query_id.clone()).unwrap_or_default();
    let mut rows = Rows::text(&["QUERY_ID"]);
    rows.push([text(query_id)]);
    Ok(Answer::Rows(rows))
}

/// The cells that `request` is for, with the reasons of those that are stale.
///
/// # Errors
/// `Analysis` for partitions that are not there, `InvalidValue` for values that are none.
pub fn narrow(
    catalog: &Catalog,
    table: &Table,
    request: &RefreshRequest,
    now_ms: u64,
) -> Result<cairn_mview::Verdict> {
    let found = verdict(catalog, table, Purpose::Refresh, now_ms)?;
    match &request.range {
        None => Ok(found),
        Some(RefreshRange::Range { start, end }) => select::range(catalog, table, found, start, end),
        Some(RefreshRange::List { values }) => select::values(catalog, table, found, values),
    }
}

fn check_active(table: &Table, mview: &Mview) -> Result<()> {
    match &mview.state {
        MviewState::Active => Ok(()),
        MviewState::Inactive { reason, .. } => Err(Error::analysis(format!(
            "Refresh materialized view failed because [{0}] is not active ({reason}). You can try to active it with \
             ALTER MATERIALIZED VIEW {0} ACTIVE;",
            table.name
        ))),
    }
}

pub(super) fn range(partitions: &RefreshPartitions) -> Result<RefreshRange> {
    let value = |value: &BoundValue| match value {
        BoundValue::Text(text) => Ok(Some(text.clone())),
        BoundValue::Null => Ok(None),
        other => Err(Error::analysis(format!("'{other}' is not a value of a partition"))),
    };
    Ok(match partitions {
        RefreshPartitions::Range { start, end } => {
            RefreshRange::Range { start: start.clone(), end: end.clone() }
        }
        RefreshPartitions::List(tuples) => {
            let tuples = tuples.iter().map(|tuple| tuple.iter().map(value).collect());
            RefreshRange::List { values: tuples.collect::<Result<_>>()? }
        }
    })
}

/// What a run of the view `name` executes, for people.
pub(super) fn executed(name: &str, definition: &Definition) -> String {
    format!("insert overwrite `{name}` {}", definition.query)
}

/// Records a run of `mview` that starts by itself.
///
/// # Errors
/// `Unavailable`; `NotFound` when the view is gone.
pub async fn submit_automatic(node: &Arc<Node>, mview: TableId, trigger: RunTrigger) -> Result<TaskRunId> {
    let request = RefreshRequest { trigger, ..RefreshRequest::default() };
    submit(node, mview, request, PRIORITY_NORMAL, None).await
}

/// Records a run of `mview` and wakes the scheduler.
pub(super) async fn submit(
    node: &Arc<Node>,
    mview: TableId,
    request: RefreshRequest,
    priority: u32,
    root_run: Option<TaskRunId>,
) -> Result<TaskRunId> {
    let catalog = node.catalog();
    let table = catalog.table(mview).ok_or_else(|| Error::unknown_table(&format!("id {mview}")))?;
    let spec = TaskRunSpec {
        query_id: crate::session::query_id(node),
        task: TaskOf::Mview(mview),
        definition: executed(&table.name, &super::of(table)?.definition),
        priority,
        request,
        properties: Default::default(),
        root_run,
    };
    match node.propose(Command::SubmitRun(Box::new(spec))).await? {
        Reply::TaskRun(id) => {
            node.mviews.wake();
            Ok(id)
        }
        other => Err(Error::internal(format!("SUBMIT was answered by {other:?}"))),
    }
}

/// Waits until `run` has ended; a run that was merged is the one that took it in.
///
/// # Errors
/// Why it failed.
async fn wait(node: &Arc<Node>, run: TaskRunId) -> Result<()> {
    let mut run = run;
    loop {
        // Before the look: an end between look and wait is not missed.
        let ended = node.mviews.ended.notified();
        let catalog = node.catalog();
        let found = catalog.task_run(run);
        match found.map(|run| run.state) {
            None | Some(RunState::Success | RunState::Skipped) => return Ok(()),
            Some(RunState::Failed) => return Err(failure(found)),
            Some(RunState::Merged) => match found.and_then(|run| run.root_run) {
                Some(into) => {
                    run = into;
                    continue;
                }
                None => return Err(Error::internal("the refresh was merged into none")),
            },
            Some(RunState::Pending | RunState::Running) if node.mviews.is_stopping() => {
                return Err(Error::unavailable(
                    "the server is shutting down: the refresh goes on at its next start",
                ));
            }
            Some(RunState::Pending | RunState::Running) => {}
        }
        tokio::select! {
            () = ended => {}
            () = node.env.sleep_ms(WAIT_MS) => {}
        }
    }
}

/// Between two looks of somebody who waits for a run, should he not be told.
const WAIT_MS: u64 = 500;

fn failure(run: Option<&Arc<TaskRun>>) -> Error {
    let error = run.map(|run| run.error.clone()).unwrap_or_default();
    Error::new(ErrorKind::Analysis, format!("Refresh materialized view failed: {error}"))
}

/// `CANCEL REFRESH MATERIALIZED VIEW`: what waits does not start, what runs stops before its next batch.
///
/// # Errors
/// `UnknownTable`.
pub async fn cancel(session: &Session, statement: &CancelRefresh) -> Result<Answer> {
    let node = &session.node;
    let catalog = session.catalog();
    let (table, _) = find(&catalog, &statement.name, &session.database)?;
    let runs = catalog.task_runs().filter(|run| run.task == TaskOf::Mview(table.id) && run.state.is_open());
    for run in runs {
        match node.mviews.is_running(run.id) {
            true => node.mviews.cancel(run.id),
            false => end(node, run.id, Err(cancelled()), String::new()).await,
        }
    }
    Ok(Answer::done())
}

pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the refresh was cancelled")
}

/// Records how `run` ended, unless its last commit said so.
pub(super) async fn end(node: &Arc<Node>, run: TaskRunId, outcome: Result<RunState>, extra: String) {
    if node.catalog().task_run(run).is_some_and(|run| !run.state.is_open()) {
        return;
    }
    let (state, error_code, error) = match outcome {
        Ok(state) => (state, 0, String::new()),
        Err(error) => (RunState::Failed, i32::from(error.kind().mysql_code().0), error.to_string()),
    };
    let advance = RunAdvance { id: run, state, progress_percent: 100, error_code, error, extra, into: None };
    if let Err(error) = node.propose(Command::AdvanceRun(Box::new(advance))).await {
        // It was dropped with its view, or the node is going down: who starts next finds it open and takes it up.
        tracing::info!(%run, %error, "the end of a task run was not recorded");
    }
    node.mviews.ended.notify_waiters();
}

impl MviewJobs {
    /// Whether this process carries `run` out.
    #[must_use]
    pub fn is_running(&self, run: TaskRunId) -> bool {
        self.running.lock().contains_key(&run)
    }

    /// Waits until this process carries out no run.
    pub async fn wait_until_idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.running.lock().is_empty() {
                return;
            }
            _ = tokio::time::timeout(std::time::Duration::from_millis(WAIT_MS), ended).await;
        }
    }
}
