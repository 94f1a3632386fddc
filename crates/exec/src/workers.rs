//! Threads of their own for queries, and an end for those that would not let go of one.
//!
//! A join can compute for minutes between two points at which it could be stopped or let others run. On the threads that
//! serve sessions, a few of these would make the process deaf: not even KILL would be heard.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Batches that wait for whoever reads a result.
const BATCHES_AHEAD: usize = 2;

/// The threads that queries run on.
pub(crate) struct Workers {
    /// Always there, but for the moment of its end.
    runtime: Option<Runtime>,
}

impl Workers {
    /// `threads` of them, each with a stack of `stack_bytes`.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn new(threads: usize, stack_bytes: usize) -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads.max(1)).thread_name("query").thread_stack_size(stack_bytes);
        Ok(Self { runtime: Some(builder.enable_all().build()?) })
    }

    /// Runs `plan`: the plan as it runs, and its rows. Dropping the stream ends it.
    ///
    /// # Errors
    /// What starting the plan finds.
    pub(crate) fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream)> {
        let runtime = self.runtime.as_ref().ok_or_else(|| exec_datafusion_err!("queries have ended"))?;
        let stopped = Stopped::default();
        let plan = stoppable(plan, &stopped)?;
        let (schema, running_plan) = (plan.schema(), Arc::clone(&plan));
        let (send, batches) = mpsc::channel(BATCHES_AHEAD);
        let task = runtime.spawn(async move {
            let mut stream = execute_stream(running_plan, context)?;
            while let Some(batch) = stream.next().await {
                if send.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        let running = Running { batches, task: Some(task), stopped };
        let rows = futures::stream::unfold(running, |mut running| async {
            running.next().await.map(|batch| (batch, running))
        });
        Ok((plan, Box::pin(RecordBatchStreamAdapter::new(schema, rows))))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Without waiting: this may be a thread that must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A query whose rows are being read.
struct Running {
    batches: mpsc::Receiver<Result<RecordBatch>>,
    /// `None` when it has ended.
    task: Option<JoinHandle<Result<()>>>,
    stopped: Stopped,
}

impl Running {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        if let Some(batch) = self.batches.recv().await {
            return Some(batch);
        }
        // No more rows: because there are none, or because the task met its end. That must not look like the end of the rows.
        match self.task.take()?.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(error) => Some(Err(exec_datafusion_err!("a task of the query failed: {error}"))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopped.0.store(true, Ordering::Relaxed);
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Whether nobody wants the rest of a query any more.
#[derive(Clone, Default)]
struct Stopped(Arc<AtomicBool>);

/// `plan` with joins that let others run between batches, and that end within one when the query is `stopped`.
fn stoppable(plan: Arc<dyn ExecutionPlan>, stopped: &Stopped) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let is_join = node.downcast_ref::<HashJoinExec>().is_some()
            || node.downcast_ref::<CrossJoinExec>().is_some()
            || node.downcast_ref::<NestedLoopJoinExec>().is_some();
        if !is_join {
            return Ok(Transformed::no(node));
        }
        let join = with_stop(node, stopped)?;
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(plan.data)
}

/// A nested loop calls its filter again and again until it has a batch of rows that pass: there it is stopped.
fn with_stop(node: Arc<dyn ExecutionPlan>, stopped: &Stopped) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(node) };
    let Some(filter) = join.filter() else { return Ok(node) };
    let expr = StopExpr { inner: Arc::clone(filter.expression()), stopped: stopped.clone() };
    let filter =
        JoinFilter::new(Arc::new(expr), filter.column_indices().to_vec(), Arc::clone(filter.schema()));
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    let builder = NestedLoopJoinExecBuilder::new(left, right, *join.join_type()).with_filter(Some(filter));
    Ok(Arc::new(builder.with_projection_ref(join.projection().clone()).build()?))
}

/// `inner`, or an error when the query is stopped.
#[derive(Clone)]
struct StopExpr {
    inner: Arc<dyn PhysicalExpr>,
    stopped: Stopped,
}

impl PhysicalExpr for StopExpr {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.stopped.0.load(Ordering::Relaxed) {
            true => Err(DataFusionError::Execution("the query was stopped".to_owned())),
            false => self.inner.evaluate(batch),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match children.into_iter().next() {
            Some(inner) => Ok(Arc::new(Self { inner, stopped: self.stopped.clone() })),
            None => Err(exec_datafusion_err!("a condition needs its expression")),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

impl fmt::Display for StopExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl fmt::Debug for StopExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl PartialEq for StopExpr {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for StopExpr {}

impl Hash for StopExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}
