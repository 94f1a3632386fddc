//! Carries out one task run.

use std::sync::Arc;

use cairn_catalog::{Catalog, Command, MviewState, RunState, Table, TaskOf, TaskRun};
use cairn_mview::{Strategy, batches, limit_automatic, select, strategy};
use cairn_types::{Error, ErrorKind, Result, TableId, TaskRunId};
use tokio_util::sync::CancellationToken;

use super::extra::Extra;
use super::work::{Progress, Work};
use super::{alter, refresh, task_run};
use crate::node::Node;
use crate::settings;

/// A refresh that takes longer is seen to run; the commit of a shorter one says that it has run, an entry of the journal
/// less.
const BEGIN_AFTER_MS: u64 = 20;

/// Carries out `run`, and records its end. One that is taken up again after a crash goes on behind its last commit.
pub async fn run(node: Arc<Node>, run: Arc<TaskRun>, cancel: CancellationToken) {
    let mut extra = Extra::of(&run, node.env.now_ms());
    let over = CancellationToken::new();
    let work = async {
        let outcome = match run.task {
            TaskOf::Task(_) => tokio::select! {
                () = cancel.cancelled() => Err(refresh::cancelled()),
                done = task_run::execute(&node, &run) => done.map(|()| RunState::Success),
            },
            TaskOf::Mview(id) => attempt(&node, &run, id, &cancel, &mut extra).await,
        };
        over.cancel();
        outcome
    };
    let (started, outcome) = tokio::join!(begin(&node, &run, &over), work);
    let outcome = started.and(outcome);
    // Not the end of it: the next start takes it up.
    let interrupted = node.mviews.is_stopping() && is_cancelled(&outcome);
    let outcome = match is_cancelled(&outcome) {
        true => outcome.map_err(|error| gone(&node.catalog(), run.task).unwrap_or(error)),
        false => outcome,
    };
    match &outcome {
        Err(_) if interrupted => tracing::info!(task = %run.task_name, "the next start takes a task run up"),
        Err(error) => tracing::warn!(task = %run.task_name, %error, "a task run failed"),
        Ok(_) => {}
    }
    if !interrupted {
        refresh::end(&node, run.id, outcome, extra.json(extra.done)).await;
    }
    // After its end is recorded: a run that is open and not carried out would count as one that waits.
    node.mviews.running.lock().remove(&run.id);
    node.mviews.ended.notify_waiters();
    node.mviews.wake();
}

fn is_cancelled(outcome: &Result<RunState>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled)
}

/// Why nobody needs a refresh any more; `None`: somebody does.
fn gone(catalog: &Catalog, task: TaskOf) -> Option<Error> {
    let TaskOf::Mview(id) = task else { return None };
    live(catalog, id).err()
}

/// Refreshes once, and again after an error that may pass.
async fn attempt(
    node: &Arc<Node>,
    run: &TaskRun,
    id: TableId,
    cancel: &CancellationToken,
    extra: &mut Extra,
) -> Result<RunState> {
    let retries = settings::number(&node.catalog(), "max_mv_refresh_failure_retry_times");
    let mut tries = 0;
    loop {
        match cascade(node, run, id, cancel, extra).await {
            Err(error) if tries < retries && may_pass(node, id, &error) && !cancel.is_cancelled() => {
                tracing::info!(task = %run.task_name, %error, "a refresh is tried again");
                tries += 1;
            }
            other => return other,
        }
    }
}

/// Whether a try on the newest state may go better: others changed what was read or written.
fn may_pass(node: &Node, id: TableId, error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && alter::is_live_and_active(&node.catalog(), id)
}

/// The view, and with `CASCADE` those above it, bottom-up: each once, whatever ways lead to it.
async fn cascade(
    node: &Arc<Node>,
    run: &TaskRun,
    id: TableId,
    cancel: &CancellationToken,
    extra: &mut Extra,
) -> Result<RunState> {
    let above = match run.request.cascade {
        true => cairn_mview::graph::closure_above(&node.catalog(), id),
        false => Vec::new(),
    };
    let mut state = refresh_one(node, run, id, above.is_empty(), cancel, extra).await?;
    for (at, above_id) in above.iter().enumerate() {
        if alter::is_live_and_active(&node.catalog(), *above_id) {
            // The range is of the view that it was said for.
            let request = cairn_catalog::RefreshRequest { range: None, ..run.request.clone() };
            let run = TaskRun { request, ..run.clone() };
            let last = at + 1 == above.len();
            state = state.min(refresh_one(node, &run, *above_id, last, cancel, extra).await?);
        }
    }
    Ok(state)
}

/// Brings what `run` asks for of view `id` up to the catalog state of now, batch by batch. The run ends in the commit of
/// the last batch of its last view.
async fn refresh_one(
    node: &Arc<Node>,
    run: &TaskRun,
    id: TableId,
    last: bool,
    cancel: &CancellationToken,
    extra: &mut Extra,
) -> Result<RunState> {
    // All batches read this one state, and the numbers that they record are its numbers.
    let (catalog, hold) = node.sessions.hold_newest(node.meta.as_ref());
    let table = Arc::clone(live(&catalog, id)?);
    let verdict = todo(node, &catalog, &table, run)?;
    extra.plan(&catalog, &verdict);
    let batches = batches(&catalog, &table, &verdict)?;
    if batches.is_empty() && verdict.obsolete.is_empty() {
        return Ok(RunState::Skipped);
    }
    let mut work = Work::new(node, &catalog, &table, run, extra)?;
    work.drop_obsolete(&verdict.obsolete).await?;
    for (done, batch) in batches.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(refresh::cancelled());
        }
        let cells: Vec<_> = batch.iter().filter_map(|at| verdict.cells.get(*at)).collect();
        let percent = u32::try_from((done + 1) * 100 / batches.len()).unwrap_or(100);
        let ends = last && done + 1 == batches.len();
        let state = if ends { RunState::Success } else { RunState::Running };
        work.batch(&cells, Progress { state, percent }, cancel).await?;
    }
    drop(hold);
    Ok(RunState::Success)
}

fn live(catalog: &Catalog, id: TableId) -> Result<&Arc<Table>> {
    let found = catalog.table(id).filter(|table| table.dropped.is_none());
    let found = found.filter(|table| catalog.database(table.db).is_some_and(|db| db.dropped.is_none()));
    let table = found.ok_or_else(|| Error::conflict("the materialized view was dropped"))?;
    match table.mview().map(|mview| &mview.state) {
        Some(MviewState::Inactive { reason, .. }) => {
            Err(Error::conflict(format!("the materialized view is inactive: {reason}")))
        }
        _ => Ok(table),
    }
}

/// The verdict on what `run` asks for.
fn todo(node: &Node, catalog: &Catalog, table: &Table, run: &TaskRun) -> Result<cairn_mview::Verdict> {
    let now_ms = node.env.now_ms();
    let mut verdict = refresh::narrow(catalog, table, &run.request, now_ms)?;
    if run.request.force || strategy(table)? == Strategy::Force {
        select::force(table, &mut verdict, run.created.index)?;
    }
    let automatic = matches!(
        run.request.trigger,
        cairn_catalog::RunTrigger::Scheduled | cairn_catalog::RunTrigger::OnBaseTableChange
    );
    if automatic {
        limit_automatic(table, &mut verdict, now_ms)?;
    }
    Ok(verdict)
}

/// Tells that `run` has begun. Of a statement, half of which may have happened after a crash, that stands in the journal
/// before whatever it commits; a refresh is taken up again in any case.
async fn begin(node: &Node, run: &TaskRun, over: &CancellationToken) -> Result<()> {
    let is_refresh = matches!(run.task, TaskOf::Mview(_));
    // Else a commit has told it.
    let waits = || node.catalog().task_run(run.id).is_some_and(|run| run.state == RunState::Pending);
    if is_refresh {
        tokio::select! {
            () = over.cancelled() => {}
            () = node.env.sleep_ms(BEGIN_AFTER_MS) => {}
        }
        if !waits() {
            return Ok(());
        }
    }
    let progress = Progress { state: RunState::Running, percent: 0 };
    let begun = Command::AdvanceRun(Box::new(progress.advance(run.id, String::new())));
    match node.propose(begun).await {
        Err(_) if is_refresh && !waits() => Ok(()),
        begun => begun.map(|_| ()),
    }
}

/// Starts `run` in the background. False when it has ended, or is carried out here already.
pub(super) fn start(node: &Arc<Node>, id: TaskRunId) -> bool {
    let cancel = CancellationToken::new();
    let mut running = node.mviews.running.lock();
    // Under the lock: who ends records it first and leaves the list after.
    let catalog = node.catalog();
    let Some(record) = catalog.task_run(id).filter(|run| run.state.is_open()).cloned() else { return false };
    if running.contains_key(&id) {
        return false;
    }
    running.insert(id, cancel.clone());
    drop(running);
    drop(node.env.spawn("task run", run(Arc::clone(node), record, cancel)));
    true
}
