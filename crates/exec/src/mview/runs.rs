//! Physical plans that are run again over another catalog state: only what their scans read is new.
//!
//! Planning takes longer than taking in a few rows does. A plan is kept only if each of its leaves is a scan exactly as its
//! table gave it, without filter or limit. Then nothing that its rows depend on follows from what was read: where the
//! optimizer answers a count from statistics, or pushes something into a scan, a scan is missing or is another one.

use std::sync::Arc;

use cairn_types::{Error, TableId};
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SessionState;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parking_lot::Mutex;

use crate::engine::{Planned, QueryContext};
use crate::error::{from_datafusion, to_datafusion};
use crate::table::{Scan, TabletTable};

/// Plans of one query that are kept, at most: each number of tasks has its own.
const KEPT_MAX: usize = 16;

/// How one query was run.
#[derive(Default)]
pub(super) struct Runs {
    kept: Mutex<Vec<Arc<Run>>>,
}

/// A plan in which each leaf stands for a scan. It holds no catalog and no segments.
pub(super) struct Run {
    plan: Arc<dyn ExecutionPlan>,
    /// In the order of the leaves.
    leaves: Vec<Leaf>,
    settings: (usize, bool),
}

#[derive(PartialEq, Eq)]
struct Leaf {
    table: TableId,
    projection: Vec<usize>,
    /// Tasks that read it: what is above is made for as many.
    partitions: usize,
}

impl Runs {
    /// How `planned`, always the same query, is run over its catalog.
    ///
    /// # Errors
    /// What planning finds.
    pub(super) async fn plan(&self, planned: &Planned) -> cairn_types::Result<Arc<dyn ExecutionPlan>> {
        if let Some(plan) = self.again(planned).await.map_err(from_datafusion)? {
            return Ok(plan);
        }
        planned.context.scans.clear();
        let plan = planned.physical().await?;
        match Run::of(&plan, &planned.context.scans.take_scans(), &planned.state) {
            Ok(Some(run)) => self.keep(Arc::new(run)),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a plan is not kept"),
        }
        Ok(plan)
    }

    /// As before; `None` when the plan must be made.
    async fn again(&self, planned: &Planned) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let kept = self.kept.lock().clone();
        let Some(any) = kept.first() else { return Ok(None) };
        // All are of one query and read the same.
        let scans = any.scans(&planned.context, &planned.state).await?;
        let settings = settings(&planned.state);
        let fits = |run: &&Arc<Run>| run.settings == settings && run.fits(&scans);
        let Some(run) = kept.iter().find(fits) else { return Ok(None) };
        self.kept.lock().retain(|other| !Arc::ptr_eq(other, run));
        match with_leaves(&run.plan, scans.iter(), |_, scan| Ok(Arc::clone(&scan.exec))) {
            Ok(plan) => {
                self.keep(Arc::clone(run));
                Ok(Some(plan))
            }
            Err(error) => {
                tracing::debug!(%error, "a plan is made anew");
                Ok(None)
            }
        }
    }

    /// The one that was not used for longest gives way.
    fn keep(&self, run: Arc<Run>) {
        let mut kept = self.kept.lock();
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push(run);
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> Vec<Arc<Run>> {
        self.kept.lock().clone()
    }
}

impl Run {
    /// `plan`, whose scans were `scans`; `None` when more than these would be new in it.
    fn of(plan: &Arc<dyn ExecutionPlan>, scans: &[Scan], state: &SessionState) -> Result<Option<Self>> {
        let (mut leaves, mut is_scan) = (Vec::new(), true);
        plan.apply(|node| {
            if node.children().is_empty() {
                let scan = scans.iter().find(|scan| scan.unfiltered && Arc::ptr_eq(&scan.exec, node));
                match scan.filter(|scan| reads(&scan.exec)) {
                    Some(scan) => leaves.push(Leaf::of(scan)),
                    None => is_scan = false,
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !is_scan || leaves.len() != scans.len() {
            return Ok(None);
        }
        let empty = |node: &Arc<dyn ExecutionPlan>, leaf: &Leaf| {
            Ok(Arc::new(EmptyExec::new(node.schema()).with_partitions(leaf.partitions)) as _)
        };
        let plan = with_leaves(plan, leaves.iter(), empty)?;
        Ok(Some(Self { plan, leaves, settings: settings(state) }))
    }

    /// The scans that the leaves stand for.
    async fn scans(&self, context: &QueryContext, state: &SessionState) -> Result<Vec<Scan>> {
        for leaf in &self.leaves {
            let gone = || to_datafusion(Error::conflict("a table of the query is gone"));
            let table = context.catalog.table(leaf.table).ok_or_else(gone)?;
            TabletTable::of(context, table).scan(state, Some(&leaf.projection), &[], None).await?;
        }
        Ok(context.scans.take_scans())
    }

    fn fits(&self, scans: &[Scan]) -> bool {
        let found: Vec<Leaf> = scans.iter().map(Leaf::of).collect();
        self.leaves == found && scans.iter().all(|scan| reads(&scan.exec))
    }
}

impl Leaf {
    fn of(scan: &Scan) -> Self {
        let partitions = scan.exec.output_partitioning().partition_count();
        Self { table: scan.table, projection: scan.projection.clone(), partitions }
    }
}

/// Whether `scan` reads anything: a plan over nothing may leave out what stands above it.
fn reads(scan: &Arc<dyn ExecutionPlan>) -> bool {
    scan.downcast_ref::<DataSourceExec>().is_some()
}

/// What a refresh sets as it needs: how many tasks there are, and whether they share groups out.
fn settings(state: &SessionState) -> (usize, bool) {
    let config = state.config();
    (config.target_partitions(), config.repartition_aggregations())
}

/// `plan` with other leaves, made of `made` in their order. All nodes above are new: they count rows and memory of one run.
fn with_leaves<T>(
    plan: &Arc<dyn ExecutionPlan>,
    mut made: impl Iterator<Item = T>,
    make: impl Fn(&Arc<dyn ExecutionPlan>, T) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let replaced = Arc::clone(plan).transform_up(|node| {
        if !node.children().is_empty() {
            return Ok(Transformed::no(node));
        }
        let missing = || to_datafusion(Error::internal("a plan has more leaves than scans"));
        make(&node, made.next().ok_or_else(missing)?).map(Transformed::yes)
    });
    replaced.map(|replaced| replaced.data)
}
