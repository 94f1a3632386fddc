//! Runs of tasks that users submitted: a statement in a session of its own.

use std::sync::Arc;

use cairn_catalog::{Command, RefreshRequest, RunTrigger, Task, TaskOf, TaskRun, TaskRunSpec};
use cairn_mview::schedule::PRIORITY_NORMAL;
use cairn_mysql::Control;
use cairn_types::{Error, Result};

use crate::answer::Answer;
use crate::node::Node;
use crate::queries::SessionEntry;
use crate::session::Session;

/// Ids of sessions that no client opened count down from here.
const SESSION_ID_LAST: u32 = u32::MAX;

/// Records a run of `task`.
///
/// # Errors
/// `Unavailable`; `NotFound` when the task is gone.
pub async fn submit(node: &Arc<Node>, task: &Task, trigger: RunTrigger) -> Result<()> {
    let spec = TaskRunSpec {
        query_id: crate::session::query_id(node),
        task: TaskOf::Task(task.id),
        definition: task.definition.clone(),
        priority: PRIORITY_NORMAL,
        request: RefreshRequest { trigger, ..RefreshRequest::default() },
        properties: task.properties.clone(),
        root_run: None,
    };
    node.propose(Command::SubmitRun(Box::new(spec))).await?;
    node.mviews.wake();
    Ok(())
}

/// Runs the statement of `run` as who submitted its task.
///
/// # Errors
/// What the statement meets.
pub(super) async fn execute(node: &Arc<Node>, run: &TaskRun) -> Result<()> {
    let catalog = node.catalog();
    let TaskOf::Task(id) = run.task else { return Err(Error::internal("a refresh is no statement")) };
    let task = catalog.task(id).ok_or_else(|| Error::not_found("the task was dropped"))?;
    let number = SESSION_ID_LAST.saturating_sub(u32::try_from(run.id.0 & 0xffff).unwrap_or(0));
    let entry = SessionEntry::new(number, &task.creator, "task", node.env.now_ms(), Control::detached());
    let mut session = Session::new(Arc::clone(node), node.sessions.add(entry));
    session.database = run.db.clone();
    for (name, value) in &task.properties {
        if let Some(variable) = name.strip_prefix("session.") {
            session.variables.set(variable, Some(value))?;
        }
    }
    for parsed in cairn_sql::parse_statements(&task.definition)? {
        // Statements start runs, and runs statements: the compiler needs one of the two on the heap.
        if let Answer::Stream(mut rows) = Box::pin(session.run(&parsed)).await? {
            while rows.next().await?.is_some() {}
        }
    }
    Ok(())
}
