//! Says which refreshes begin: gathers what the pure scheduler looks at, and does what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::{
    Catalog, Command, Mview, RefreshTrigger, RunAdvance, RunState, RunTrigger, Table, Task, TaskOf, TaskRun,
};
use cairn_mview::retry::{Failed, failures};
use cairn_mview::schedule::{
    Action, Cause, Limits, ScheduleView, ScheduledMview, ScheduledRun, again_ms, due,
};
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
    active: bool,
}

/// What the scheduler remembers between looks. Nothing in it is lost by a restart: verdicts say it again.
#[derive(Default)]
struct Scheduler {
    views: BTreeMap<TableId, Memory>,
    tasks: BTreeMap<TaskId, u64>,
    /// The catalog of the last look.
    seen: Option<Arc<Catalog>>,
    /// When what failed is to be tried again.
    again_ms: Option<u64>,
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
    node.mviews.stop();
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
        let again = self.again_ms.is_some_and(|again_ms| again_ms <= now_ms);
        if unchanged && !again && !has_clock(&catalog) && !has_open_runs(&catalog) {
            return Ok(());
        }
        let view = self.view(&catalog, &running, now_ms);
        self.again_ms = again_ms(&view);
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
        let failures = failures(catalog.task_runs().rev().map(|run| &**run));
        let mviews = catalog.mviews().map(|(table, mview)| {
            self.mview(catalog, table, mview, failures.get(&table.id).copied(), now_ms)
        });
        let mviews = mviews.collect();
        let open = catalog.task_runs().filter(|run| run.state.is_open());
        ScheduleView { mviews, runs: open.map(|run| scheduled_run(running, run)).collect(), limits }
    }

    fn mview(
        &mut self,
        catalog: &Catalog,
        table: &Table,
        mview: &Mview,
        failed: Option<Failed>,
        now_ms: u64,
    ) -> ScheduledMview {
        let signature = signature(catalog, table).unwrap_or(0);
        let memory = self.views.entry(table.id).or_insert_with(|| {
            let looked = is_up_to_date(catalog, table, mview, now_ms).then_some(signature);
            let last_ms = last_run_ms(catalog, table);
            Memory { looked, changed_ms: None, last_ms, active: mview.is_active() }
        });
        // What became inactive ended its runs, so that it was looked at in vain.
        let awakes = mview.is_active() && !memory.active;
        if awakes && !is_up_to_date(catalog, table, mview, now_ms) {
            memory.looked = None;
        }
        memory.active = mview.is_active();
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
            failed,
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
                    into: Some(TaskRunId(into)),
                };
                node.propose(Command::AdvanceRun(Box::new(advance))).await?;
                node.mviews.ended.notify_waiters();
            }
            Action::Submit { mview, cause } => self.submit(node, mview, cause, now_ms).await?,
            Action::Start { run } => {
                let id = TaskRunId(run);
                // It reads at least what is there now: what comes later is a change.
                let catalog = node.catalog();
                let whole = catalog.task_run(id).filter(|run| run.request.range.is_none());
                let task = whole.map(|run| run.task);
                if let (true, Some(TaskOf::Mview(mview))) = (runner::start(node, id), task) {
                    self.looked(&catalog, mview, now_ms);
                }
            }
        }
        Ok(())
    }

    async fn submit(&mut self, node: &Arc<Node>, mview: TableId, cause: Cause, now_ms: u64) -> Result<()> {
        let catalog = node.catalog();
        if !alter::is_live_and_active(&catalog, mview) {
            return Ok(());
        }
        let by_clock = catalog.table(mview).and_then(|table| table.mview()).is_some_and(has_period);
        let trigger = match cause {
            Cause::Time { .. } => RunTrigger::Scheduled,
            Cause::Again { .. } if by_clock => RunTrigger::Scheduled,
            Cause::Change { .. } | Cause::Again { .. } => RunTrigger::OnBaseTableChange,
        };
        // A change that touches no cell (of an excluded range, undone before it was seen) is no run.
        let fresh = |table: &Arc<Table>| is_fresh(&catalog, table, Purpose::Trigger, now_ms).unwrap_or(false);
        // A run that is open by now may have read its bases before they changed: it is not enough.
        if !catalog.table(mview).is_some_and(fresh) {
            refresh::submit_automatic(node, mview, trigger).await?;
        }
        // Last: a change whose run could not be recorded stays one.
        self.looked(&catalog, mview, now_ms);
        Ok(())
    }

    fn looked(&mut self, catalog: &Catalog, mview: TableId, now_ms: u64) {
        let looked = catalog.table(mview).and_then(|table| signature(catalog, table).ok());
        self.views.insert(mview, Memory { looked, changed_ms: None, last_ms: now_ms, active: true });
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
    catalog.mviews().any(|(_, mview)| has_period(mview))
}

fn has_period(mview: &Mview) -> bool {
    matches!(mview.refresh.trigger, RefreshTrigger::Every { .. })
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
