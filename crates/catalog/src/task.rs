//! Tasks and their runs: what is to be executed in the background, and what became of it.
//!
//! A refresh of a materialized view is a run, too. Its task is not stored: it is named after the view's id and follows
//! from the view. Runs are records: a process that starts finds in them what is open and what was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_types::{DbId, Error, Result, TableId, TaskId, TaskRunId, limits};
use serde::{Deserialize, Serialize};

use crate::command::Trim;
use crate::{Catalog, Outcome, Reply, Stamp};

/// A task that a user submitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub id: TaskId,
    /// Unique in the cluster.
    pub name: String,
    /// The database in which unqualified names of the definition are looked up.
    pub db: DbId,
    /// The SQL text of its statement.
    pub definition: String,
    /// `None`: it runs when it is submitted, and no more.
    pub schedule: Option<TaskSchedule>,
    pub properties: BTreeMap<String, String>,
    pub creator: String,
    pub created: Stamp,
    /// When it is forgotten; `None`: never.
    pub expires_ms: Option<u64>,
}

/// At `start_ms + n * every_ms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSchedule {
    pub start_ms: u64,
    pub every_ms: u64,
}

/// A task to be stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    pub name: String,
    pub db: DbId,
    pub definition: String,
    pub schedule: Option<TaskSchedule>,
    pub properties: BTreeMap<String, String>,
    pub creator: String,
    pub expires_ms: Option<u64>,
}

/// Whose run it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum TaskOf {
    /// The refresh of this materialized view.
    Mview(TableId),
    Task(TaskId),
}

/// One run of a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRun {
    pub id: TaskRunId,
    /// What a client waits for and may kill.
    pub query_id: String,
    pub task: TaskOf,
    /// Names as they were when it was submitted: the task may be gone while its runs are still listed.
    pub task_name: String,
    pub db: String,
    /// The SQL text that it executes, for people.
    pub definition: String,
    pub created: Stamp,
    pub started: Option<Stamp>,
    pub finished: Option<Stamp>,
    pub state: RunState,
    /// Higher ones go first.
    pub priority: u32,
    pub request: RefreshRequest,
    pub error_code: i32,
    pub error: String,
    pub progress_percent: u32,
    /// What the run wants to be known of it: JSON text, or empty.
    pub extra: String,
    pub properties: BTreeMap<String, String>,
    /// The run that this one goes on with, that caused it, or that took it in.
    pub root_run: Option<TaskRunId>,
}

/// A run to be recorded as waiting.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRunSpec {
    pub query_id: String,
    pub task: TaskOf,
    pub definition: String,
    pub priority: u32,
    pub request: RefreshRequest,
    pub properties: BTreeMap<String, String>,
    pub root_run: Option<TaskRunId>,
}

/// StarRocks' states. What is cancelled is `Failed`, and its error says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RunState {
    Pending,
    Running,
    Success,
    Failed,
    /// Another run does its work as well.
    Merged,
    /// There was nothing to do, or no time.
    Skipped,
}

impl RunState {
    /// StarRocks' word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Merged => "MERGED",
            Self::Skipped => "SKIPPED",
        }
    }

    /// Whether there is still something to come.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// States only go forward; a running one may say again that it runs, and how far it is.
    fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Running, Self::Running) => true,
            (Self::Pending | Self::Running, next) => self < next,
            _ => false,
        }
    }
}

/// What a refresh was asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Fresh partitions, too.
    pub force: bool,
    /// `None`: all partitions.
    pub range: Option<RefreshRange>,
    /// The materialized views above it after it, bottom-up.
    pub cascade: bool,
    pub trigger: RunTrigger,
}

/// The partitions that a refresh is for, as the statement says them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum RefreshRange {
    /// `PARTITION START ("…") END ("…")`.
    Range { start: String, end: String },
    /// `PARTITION (…)`: values of the partition columns; `None` is NULL.
    List { values: Vec<Vec<Option<String>>> },
}

/// What started a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum RunTrigger {
    #[default]
    None,
    Manual,
    Scheduled,
    OnBaseTableChange,
}

impl RunTrigger {
    /// StarRocks' word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Manual => "MANUAL",
            Self::Scheduled => "SCHEDULED",
            Self::OnBaseTableChange => "ON_BASE_TABLE_CHANGE",
        }
    }
}

/// How far a run is, and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunAdvance {
    pub id: TaskRunId,
    pub state: RunState,
    pub progress_percent: u32,
    pub error_code: i32,
    pub error: String,
    /// Empty: as it is.
    pub extra: String,
    /// For a merged run: the one that does its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<TaskRunId>,
}

/// The error code of a run that failed for no reason of its own: it was cancelled.
const CANCELLED_CODE: i32 = -1;

impl TaskRun {
    /// The name of the task that refreshes `mview`.
    #[must_use]
    pub fn mview_task_name(mview: TableId) -> String {
        format!("mv-{mview}")
    }

    /// When it began to run; `None` while it waits, or when it never ran. A short one is recorded with its last commit only.
    #[must_use]
    pub fn begun(&self) -> Option<Stamp> {
        self.started.or(self.finished.filter(|_| self.state == RunState::Success))
    }

    pub(crate) fn fail(&mut self, now: Stamp, error: &str) {
        self.state = RunState::Failed;
        self.finished = Some(now);
        self.error_code = CANCELLED_CODE;
        error.clone_into(&mut self.error);
    }
}

impl Catalog {
    /// The tasks that users submitted, by id.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(&id)
    }

    #[must_use]
    pub fn task_named(&self, name: &str) -> Option<&Arc<Task>> {
        self.tasks.values().find(|task| task.name == name)
    }

    /// All runs, by id (that is, by age).
    pub fn task_runs(&self) -> impl DoubleEndedIterator<Item = &Arc<TaskRun>> {
        self.task_runs.values()
    }

    #[must_use]
    pub fn task_run(&self, id: TaskRunId) -> Option<&Arc<TaskRun>> {
        self.task_runs.get(&id)
    }

    pub(crate) fn create_task(&mut self, now: Stamp, spec: &TaskSpec) -> Outcome {
        self.live_database(spec.db)?;
        if spec.name.is_empty() || spec.name.chars().count() > limits::IDENTIFIER_CHARS_MAX {
            return Err(Error::analysis(format!("Incorrect task name '{}'", spec.name)));
        }
        if spec.name.starts_with("mv-") {
            return Err(Error::analysis(format!(
                "task name '{}' begins with 'mv-': such names belong to materialized views",
                spec.name
            )));
        }
        if self.task_named(&spec.name).is_some() {
            return Err(Error::already_exists(format!("Task {} already exists", spec.name)));
        }
        let task = Task {
            id: TaskId(self.take_id()),
            name: spec.name.clone(),
            db: spec.db,
            definition: spec.definition.clone(),
            schedule: spec.schedule,
            properties: spec.properties.clone(),
            creator: spec.creator.clone(),
            created: now,
            expires_ms: spec.expires_ms,
        };
        let id = task.id;
        self.tasks.insert(id, Arc::new(task));
        Ok(Reply::Task(id))
    }

    /// Its runs stay in the history; those that wait will not run.
    pub(crate) fn drop_task(&mut self, now: Stamp, name: &str, if_exists: bool) -> Outcome {
        let Some(id) = self.task_named(name).map(|task| task.id) else {
            return match if_exists {
                true => Ok(Reply::Unchanged),
                false => Err(Error::not_found(format!("Task {name} does not exist"))),
            };
        };
        self.tasks.remove(&id);
        self.cancel_pending_runs(now, TaskOf::Task(id), "the task was dropped");
        Ok(Reply::Done)
    }

    pub(crate) fn submit_run(&mut self, now: Stamp, spec: &TaskRunSpec) -> Outcome {
        let (task_name, db) = self.names_of_task(spec.task)?;
        let db = self.live_database(db)?.name.clone();
        let run = TaskRun {
            id: TaskRunId(self.take_id()),
            query_id: spec.query_id.clone(),
            task: spec.task,
            task_name,
            db,
            definition: spec.definition.clone(),
            created: now,
            started: None,
            finished: None,
            state: RunState::Pending,
            priority: spec.priority,
            request: spec.request.clone(),
            error_code: 0,
            error: String::new(),
            progress_percent: 0,
            extra: String::new(),
            properties: spec.properties.clone(),
            root_run: spec.root_run,
        };
        let id = run.id;
        self.task_runs.insert(id, Arc::new(run));
        Ok(Reply::TaskRun(id))
    }

    fn names_of_task(&self, task: TaskOf) -> Result<(String, DbId)> {
        match task {
            TaskOf::Mview(id) => Ok((TaskRun::mview_task_name(id), self.live_mview(id)?.0.db)),
            TaskOf::Task(id) => {
                let task =
                    self.task(id).ok_or_else(|| Error::not_found(format!("Task {id} does not exist")))?;
                Ok((task.name.clone(), task.db))
            }
        }
    }

    pub(crate) fn advance_run(&mut self, now: Stamp, to: &RunAdvance) -> Outcome {
        let run = self.task_run(to.id);
        let run = run.ok_or_else(|| Error::not_found(format!("task run {} is not known", to.id)))?;
        let mut run = TaskRun::clone(run);
        if !run.state.may_become(to.state) {
            return Err(Error::conflict(format!(
                "run {} of {} is {}, it cannot become {}",
                run.id,
                run.task_name,
                run.state.name(),
                to.state.name()
            )));
        }
        run.state = to.state;
        run.progress_percent = to.progress_percent.min(100);
        run.error_code = to.error_code;
        run.error.clone_from(&to.error);
        if !to.extra.is_empty() {
            run.extra.clone_from(&to.extra);
        }
        run.root_run = to.into.or(run.root_run);
        match to.state.is_open() {
            true => run.started = run.started.or(Some(now)),
            false => run.finished = Some(now),
        }
        self.task_runs.insert(run.id, Arc::new(run));
        Ok(Reply::Done)
    }

    /// Runs of `task` that wait do so in vain. A running one notices by itself, or its commit is refused.
    pub(crate) fn cancel_pending_runs(&mut self, now: Stamp, task: TaskOf, error: &str) {
        let waiting = |run: &&Arc<TaskRun>| run.task == task && run.state == RunState::Pending;
        let waiting: Vec<_> = self.task_runs.values().filter(waiting).cloned().collect();
        for run in waiting {
            let mut run = TaskRun::clone(&run);
            run.fail(now, error);
            self.task_runs.insert(run.id, Arc::new(run));
        }
    }

    /// Forgets finished runs that are too old or too many, oldest first.
    pub(crate) fn trim_task_runs(&mut self, trim: &Trim) -> u64 {
        let finished = self.task_runs.values().filter(|run| !run.state.is_open());
        let mut finished: Vec<_> =
            finished.map(|run| (run.finished.map_or(0, |f| f.time_ms), run.id)).collect();
        finished.sort_unstable();
        let kept_max = trim.task_runs_max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let excess = finished.len().saturating_sub(kept_max);
        let mut count = 0;
        for (position, (time_ms, id)) in finished.iter().enumerate() {
            if position < excess || *time_ms < trim.task_runs_before_ms {
                self.task_runs.remove(id);
                count += 1;
            }
        }
        count
    }
}
