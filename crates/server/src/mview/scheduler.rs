//! Says which refreshes begin: gathers what the pure scheduler looks at, and does what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::{
    Catalog, Command, Mview, RefreshTrigger, RunAdvance, RunState, RunTrigger, Table, Task, TaskOf, TaskRun,
};
use cairn_mview::schedule::{Action, Cause, Limits, ScheduleView, ScheduledMview, ScheduledRun, due};
use cairn_mview::{Purpose, is_fresh, signature};
use cairn_types::{Result, TableId, TaskId, TaskRunId};
use tokio_util::sync::CancellationToken;

use super::{alter, refresh, runner, task_run};
use crate::node::Node;
use crate::settings;

/// Between two looks, should nobody wake the scheduler: a load does not.
const TICK_MS: u64 = 200;

/// What the scheduler remembers of a view.
#[derive(Clone, Copy)]
struct Memory {
    /// The signature of its bases at the last look.
    looked: Option<u64>,
    changed_ms: Option<u64>,
    last_ms: u64,
}

/// What the scheduler remembers between looks. Nothing in it is lost by a restart: verdicts say it again.
#[derive(Default)]
struct Scheduler {
    views: BTreeMap<TableId, Memory>,
    tasks: BTreeMap<TaskId, u64>,
    /// The catalog of the last look.
    seen: Option<Arc<Catalog>>,
}

/// Schedules until `shutdown`.
pub async fn run(node: Arc<Node>, shutdown: CancellationToken) {
    fail_interrupted_tasks(&node).await;
    let mut scheduler = Scheduler::default();
    loop {
        if let Err(error) = scheduler.look(&node).await {
            tracing::warn!(%error, "task runs could not be scheduled");
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = node.mviews.wake.notified() => {}
            () = node.env.sleep_ms(TICK_MS) => {}
        }
    }
    // The runs stop before their next batch, and are taken up again by the next start.
    for cancel in node.mviews.running.lock().values() {
        cancel.cancel();
    }
}

/// A task is any statement: half of it may have happened, so it is not taken up again. Refreshes are.
async fn fail_interrupted_tasks(node: &Arc<Node>) {
    let catalog = node.catalog();
    let interrupted =
        |run: &&Arc<TaskRun>| run.state == RunState::Running && matches!(run.task, TaskOf::Task(_));
    for run in catalog.task_runs().filter(interrupted) {
        let error = cairn_types::Error::unavailable("the process ended while it ran");
        refresh::end(node, run.id, Err(error), String::new()).await;
    }
}

impl Scheduler {
    async fn look(&mut self, node: &Arc<Node>) -> Result<()> {
        // Before the catalog: a run that ends in between counts as running once more. The other way round it would count
        // as waiting, and a run that waits would be merged into one that has read its bases long ago.
        let running: BTreeSet<TaskRunId> = node.mviews.running.lock().keys().copied().collect();
        let catalog = node.catalog();
        let now_ms = node.env.now_ms();
        self.submit_tasks(node, &catalog, now_ms).await?;
        let unchanged = self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &catalog));
        if unchanged && !has_clock(&catalog) && !has_open_runs(&catalog) {
            return Ok(());
        }
        let view = self.view(&catalog, &running, now_ms);
        for action in due(&view, now_ms) {
            self.act(node, action, now_ms).await?;
        }
        self.seen = Some(catalog);
        Ok(())
    }

    fn view(&mut self, catalog: &Catalog, running: &BTreeSet<TaskRunId>, now_ms: u64) -> ScheduleView {
        let number = |name: &str| usize::try_from(settings::number(catalog, name)).unwrap_or(usize::MAX);
        let limits = Limits {
            running_max: number("task_runs_concurrency"),
            waiting_max: number("task_runs_queue_length"),
            ..Limits::default()
        };
        self.views.retain(|id, _| catalog.table(*id).is_some());
        let mviews = catalog.mviews().map(|(table, mview)| self.mview(catalog, table, mview, now_ms));
        let mviews = mviews.collect();
        let open = catalog.task_runs().filter(|run| run.state.is_open());
        ScheduleView { mviews, runs: open.map(|run| scheduled_run(running, run)).collect(), limits }
    }

    fn mview(&mut self, catalog: &Catalog, table: &Table, mview: &Mview, now_ms: u64) -> ScheduledMview {
        let signature = signature(catalog, table).unwrap_or(0);
        let memory = self.views.entry(table.id).or_insert_with(|| {
            let looked = is_up_to_date(catalog, table, mview, now_ms).then_some(signature);
            Memory { looked, changed_ms: None, last_ms: last_run_ms(catalog, table) }
        });
        match memory.looked == Some(signature) {
            true => memory.changed_ms = None,
            false => memory.changed_ms = memory.changed_ms.or(Some(now_ms)),
        }
        ScheduledMview {
            id: table.id,
            active: mview.is_active(),
            trigger: mview.refresh.trigger,
            reads: mview.definition.bases.iter().map(|base| base.id).collect(),
            signature,
            looked: memory.looked,
            changed_ms: memory.changed_ms,
            last_ms: memory.last_ms,
        }
    }

    async fn act(&mut self, node: &Arc<Node>, action: Action, now_ms: u64) -> Result<()> {
        match action {
            Action::Merge { run, into } => {
                let advance = RunAdvance {
                    id: TaskRunId(run),
                    state: RunState::Merged,
                    progress_percent: 100,
                    error_code: 0,
                    error: format!("merged into run {into}"),
                    extra: String::new(),
                };
                node.propose(Command::AdvanceRun(Box::new(advance))).await?;
                node.mviews.ended.notify_waiters();
            }
            Action::Submit { mview, cause } => self.submit(node, mview, cause, now_ms).await?,
            Action::Start { run } => {
                let id = TaskRunId(run);
                // It reads at least what is there now: what comes later is a change.
                let catalog = node.catalog();
                let task = catalog.task_run(id).map(|run| run.task);
                if let (true, Some(TaskOf::Mview(mview))) = (runner::start(node, id), task) {
                    self.looked(&catalog, mview, now_ms);
                }
            }
        }
        Ok(())
    }

    async fn submit(&mut self, node: &Arc<Node>, mview: TableId, cause: Cause, now_ms: u64) -> Result<()> {
        let catalog = node.catalog();
        self.looked(&catalog, mview, now_ms);
        if !alter::is_live_and_active(&catalog, mview) {
            return Ok(());
        }
                    into: Some(TaskRunId(into)),
        let trigger = match cause {
            Cause::Change { .. } => RunTrigger::OnBaseTableChange,
            Cause::Time { .. } => RunTrigger::Scheduled,
        };
        // A change that touches no cell (of an excluded range, undone before it was seen) is no run.
        if let Some(table) = catalog.table(mview)
            && is_fresh(&catalog, table, Purpose::Trigger, now_ms).unwrap_or(false)
        {
            return Ok(());
        }
        // Its first run may just have been submitted by the statement that made it.
        if catalog.table(mview).and_then(|t| t.mview()).is_some_and(|m| m.freshness.is_empty())
            && refresh::has_open_run(&node.catalog(), mview)
        {
            return Ok(());
        }
        refresh::submit_automatic(node, mview, trigger).await.map(|_| ())
    }

    fn looked(&mut self, catalog: &Catalog, mview: TableId, now_ms: u64) {
        let looked = catalog.table(mview).and_then(|table| signature(catalog, table).ok());
        self.views.insert(mview, Memory { looked, changed_ms: None, last_ms: now_ms });
    }

    /// Submits the runs of tasks whose time has come.
    async fn submit_tasks(&mut self, node: &Arc<Node>, catalog: &Catalog, now_ms: u64) -> Result<()> {
        self.tasks.retain(|id, _| catalog.task(*id).is_some());
        let due: Vec<Arc<Task>> = catalog.tasks().filter(|task| self.is_due(task, now_ms)).cloned().collect();
        for task in due {
            self.tasks.insert(task.id, now_ms);
            task_run::submit(node, &task, RunTrigger::Scheduled).await?;
        }
        let open = |task: &Task| {
            catalog.task_runs().any(|run| run.task == TaskOf::Task(task.id) && run.state.is_open())
        };
        let expired = catalog.tasks().filter(|task| task.expires_ms.is_some_and(|ms| ms <= now_ms));
        for task in expired.filter(|task| !open(task)) {
            node.propose(Command::DropTask { name: task.name.clone(), if_exists: true }).await?;
        }
        Ok(())
    }

    fn is_due(&self, task: &Task, now_ms: u64) -> bool {
        let Some(schedule) = task.schedule else { return false };
        let Some(since_start) = now_ms.checked_sub(schedule.start_ms) else { return false };
        let latest_ms = now_ms - since_start % schedule.every_ms.max(1);
        let last_ms = self.tasks.get(&task.id).copied().unwrap_or(task.created.time_ms);
        latest_ms > last_ms
    }
}

/// Whether a view needs no run only because this process has not seen it before.
fn is_up_to_date(catalog: &Catalog, table: &Table, mview: &Mview, now_ms: u64) -> bool {
    // `DEFERRED`: the first run waits for its trigger.
    let deferred = mview.freshness.is_empty() && !mview.refresh.immediate;
    deferred || is_fresh(catalog, table, Purpose::Trigger, now_ms).unwrap_or(false)
}

fn last_run_ms(catalog: &Catalog, table: &Table) -> u64 {
    let runs = catalog.task_runs().rev().filter(|run| run.task == TaskOf::Mview(table.id));
    runs.map(|run| run.created.time_ms).next().unwrap_or(table.created.time_ms)
}

fn has_clock(catalog: &Catalog) -> bool {
    let every = |mview: &Mview| matches!(mview.refresh.trigger, RefreshTrigger::Every { .. });
    catalog.mviews().any(|(_, mview)| every(mview))
}

fn has_open_runs(catalog: &Catalog) -> bool {
    catalog.task_runs().any(|run| run.state.is_open())
}

fn scheduled_run(running: &BTreeSet<TaskRunId>, run: &TaskRun) -> ScheduledRun {
    let task = match run.task {
        TaskOf::Mview(id) => id.0,
        TaskOf::Task(id) => id.0,
    };
    let request = &run.request;
    // Runs that nobody asked anything of are the same, whatever triggered them.
    let request = match (request.force, &request.range, request.cascade) {
        (false, None, false) => String::new(),
        _ => format!("{} {:?} {}", request.force, request.range, request.cascade),
    };
    ScheduledRun {
        id: run.id.0,
        task,
        request,
        priority: run.priority,
        created: run.created.index,
        // One that runs by its record and not in this process was interrupted: it waits to be taken up.
        running: running.contains(&run.id),
    }
}
