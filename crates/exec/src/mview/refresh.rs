//! The query of an MV for one of its cells.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cairn_catalog::{Bounds, Catalog, Mview, PartitionLink, Table};
use cairn_ingest::{arrow_schema, arrow_type};
use cairn_types::{Error, PartitionId, Result, TableId};
use datafusion::common::Column;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, cast, lit};
use parking_lot::Mutex;

use super::cells::{CellColumn, within};
use super::rewrite::cover::{rewrite, view_column};
use super::scan::{Restrictions, ScanRestriction, table_of};
use super::shape::{IncrementalShape, MergeColumn};
use super::template::{Template, Unbound};
use crate::engine::{Engine, Planned, QueryContext};
use crate::error::from_datafusion;
use crate::resolve::Names;
use crate::sql_types::typed;
use crate::table::{ScanLog, TabletTable};

/// One partition of an MV, as it is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshCell {
    /// Of the MV's partition, in the types of its partition columns.
    pub bounds: Bounds,
    /// For each linked base the partitions that can have rows of the cell. A linked base without entry has none.
    pub sources: BTreeMap<TableId, Vec<PartitionId>>,
}

/// Which base rows a refresh reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefreshSource {
    /// All of the cell.
    Full,
    /// Those that came after these data versions; partitions of the one base that are not here are read whole.
    Delta(BTreeMap<PartitionId, u64>),
}

/// What the result of a refresh's query is to the rows of the cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshEffect {
    /// It takes their place.
    Replace,
    /// It is put beside them.
    Append,
}

/// The query of a refresh.
pub struct RefreshPlan {
    pub planned: Planned,
    pub effect: RefreshEffect,
}

impl Engine {
    /// Plans the query of `mview` for `cell` over the catalog of `context`. Its columns are the MV's, in order.
    ///
    /// # Errors
    /// What planning finds; `Unsupported` for a delta of a query that cannot take one.
    pub async fn plan_refresh(
        &self,
        context: QueryContext,
        mview: &Table,
        cell: &RefreshCell,
        source: RefreshSource,
    ) -> Result<RefreshPlan> {
        let definition = of(mview)?;
        let mut context = context;
        // A refresh reads its bases: an MV that were answered from itself would never change.
        context.mviews = super::MviewOptions::default();
        context.restrictions = restrictions(definition, cell, &source);
        if let (RefreshSource::Delta(_), Some(old)) = (&source, old_partition(&context.catalog, mview, cell))
        {
            let only = ScanRestriction { partitions: Some(vec![old]), since: BTreeMap::new() };
            context.restrictions.insert(mview.id, Arc::new(only));
        }
        if matches!(source, RefreshSource::Delta(_)) && definition.definition.links.is_empty() {
            context.scans = ScanLog::keeping_plans();
        }
        let context = Arc::new(context);
        let template = self.template(&context, mview, definition).await?;
        let state = self.state(&context, Names::of(&context), &definition.definition.default_db);
        let refresh = Refresh { context: &context, mview, definition, cell, template: &template };
        let (plan, state, optimized) = match source {
            RefreshSource::Full => (refresh.query()?, state, false),
            RefreshSource::Delta(_) => refresh.delta(state)?,
        };
        let effect = match (source, &template.shape) {
            (RefreshSource::Delta(_), Some(IncrementalShape::Append)) => RefreshEffect::Append,
            _ => RefreshEffect::Replace,
        };
        let names = mview.schema().columns.iter().map(|c| c.name.clone()).collect();
        let mut planned = Planned { names, optimized, ..Planned::of(plan, state, context) };
        if optimized {
            planned.ready = Mutex::new(Some(template.delta_runs.plan(&planned).await?));
        }
        Ok(RefreshPlan { planned, effect })
    }

    /// How new rows of the base of `mview` can be put into it, from its definition alone; `None`: not at all.
    ///
    /// # Errors
    /// What planning finds.
    pub async fn mview_shape(
        &self,
        context: QueryContext,
        mview: &Table,
    ) -> Result<Option<IncrementalShape>> {
        Ok(self.template(&Arc::new(context), mview, of(mview)?).await?.shape.clone())
    }
}

/// Rows of a cell that one task merges as fast as several.
const FEW_GROUPS_MAX: u64 = 64 << 10;

/// One cell to be made.
struct Refresh<'a> {
    context: &'a Arc<QueryContext>,
    mview: &'a Table,
    definition: &'a Mview,
    cell: &'a RefreshCell,
    template: &'a Template,
}

impl Refresh<'_> {
    /// The MV's query for the cell, with the MV's columns.
    fn query(&self) -> Result<LogicalPlan> {
        let query = self.template.query.bind(self.context)?;
        as_columns(restrict(query, &self.definition.definition.links, &self.cell.bounds)?, self.mview)
    }

    /// What takes new rows into the cell, and the state to go on with; then whether the plan is optimized.
    fn delta(&self, mut state: SessionState) -> Result<(LogicalPlan, SessionState, bool)> {
        // There is little to read: a better plan would cost more than it saves.
        let options = &mut state.config_mut().options_mut().optimizer;
        options.max_passes = 1;
        if self.has_few_groups() {
            // One task merges them before another has been woken.
            options.repartition_aggregations = false;
            options.enable_round_robin_repartition = false;
        }
        if !self.definition.definition.links.is_empty() {
            return Ok((self.merged()?, state, false));
        }
        // One cell has one plan, whatever is new.
        let plan = match self.template.delta.get() {
            Some(known) => known.bind(self.context)?,
            None => {
                let plan = state.optimize(&self.merged()?).map_err(from_datafusion)?;
                let made = Unbound::of(plan)?;
                self.template.delta.get_or_init(|| made).bind(self.context)?
            }
        };
        Ok((plan, state, true))
    }

    fn has_few_groups(&self) -> bool {
        let rows = |id: &PartitionId| Some(self.context.catalog.partition(*id)?.visible()?.manifest.rows);
        let old = self.context.restrictions.get(&self.mview.id).and_then(|only| only.partitions.as_deref());
        old.is_some_and(|old| old.iter().filter_map(rows).sum::<u64>() <= FEW_GROUPS_MAX)
    }

    fn merged(&self) -> Result<LogicalPlan> {
        let new = self.query()?;
        match &self.template.shape {
            Some(IncrementalShape::Append) => Ok(new),
            Some(IncrementalShape::Merge { columns }) => {
                merge(old_rows(self.context, self.mview)?, new, self.mview, columns)
            }
            None => Err(Error::unsupported(format!(
                "materialized view '{}' cannot be refreshed incrementally",
                self.mview.name
            ))),
        }
    }
}

fn of(table: &Table) -> Result<&Mview> {
    table.mview().ok_or_else(|| Error::analysis(format!("'{}' is not a materialized view", table.name)))
}

/// Which part of each base is read: of linked ones the cell's partitions, of one that only grew the new rowsets.
fn restrictions(mview: &Mview, cell: &RefreshCell, source: &RefreshSource) -> Restrictions {
    let mut restrictions = Restrictions::new();
    for link in &mview.definition.links {
        let partitions = Some(cell.sources.get(&link.base).cloned().unwrap_or_default());
        let restriction = ScanRestriction { partitions, since: BTreeMap::new() };
        restrictions.insert(link.base, Arc::new(restriction));
    }
    if let (RefreshSource::Delta(since), [base]) = (source, mview.definition.bases.as_slice()) {
        let restriction = restrictions.entry(base.id).or_default();
        Arc::make_mut(restriction).since = since.clone();
    }
    restrictions
}

/// Puts the cell's filter above each scan of a linked base: partitions of a base may be coarser than cells.
fn restrict(plan: LogicalPlan, links: &[PartitionLink], bounds: &Bounds) -> Result<LogicalPlan> {
    let restricted = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let link = table_of(scan).and_then(|t| links.iter().find(|l| l.base == t.id));
        let Some(link) = link else { return Ok(Transformed::no(node)) };
        let columns = link_columns(link, scan).map_err(crate::error::to_datafusion)?;
        let predicate = within(&columns, bounds).map_err(crate::error::to_datafusion)?;
        let filter = Filter::try_new(predicate, Arc::new(node))?;
        // What is below is done: the scan must not be met again.
        Ok(Transformed::new(
            LogicalPlan::Filter(filter),
            true,
            datafusion::common::tree_node::TreeNodeRecursion::Jump,
        ))
    });
    Ok(restricted.map_err(from_datafusion)?.data)
}

fn link_columns(link: &PartitionLink, scan: &datafusion::logical_expr::TableScan) -> Result<Vec<CellColumn>> {
    let schema = scan.source.schema();
    let column = |link: &cairn_catalog::LinkColumn| {
        let field = schema.fields().get(link.column).ok_or_else(|| {
            Error::internal(format!("a partition link names column {} of '{}'", link.column, scan.table_name))
        })?;
        let column = Column::new(Some(scan.table_name.clone()), field.name());
        CellColumn::linked(Expr::Column(column), field.data_type().clone(), &link.transform)
    };
    link.columns.iter().map(column).collect()
}

/// The result of `plan` with the names and types of the MV's columns.
fn as_columns(plan: LogicalPlan, mview: &Table) -> Result<LogicalPlan> {
    let columns = &mview.schema().columns;
    let fields = plan.schema().fields().len();
    if fields != columns.len() {
        return Err(Error::analysis(format!(
            "the query of '{}' gives {fields} columns, it was made with {}",
            mview.name,
            columns.len()
        )));
    }
    let column = |((qualifier, field), column): ((_, &arrow::datatypes::FieldRef), &cairn_types::Column)| {
        let expr = Expr::Column(Column::from((qualifier, field)));
        typed(expr, field.data_type(), &arrow_type(column.ty)).alias(column.name.to_lowercase())
    };
    let exprs: Vec<Expr> = plan.schema().iter().zip(columns).map(column).collect();
    LogicalPlanBuilder::from(plan).project(exprs).and_then(|b| b.build()).map_err(from_datafusion)
}

/// The MV's partition that is the cell.
fn old_partition(catalog: &Catalog, mview: &Table, cell: &RefreshCell) -> Option<PartitionId> {
    catalog.partitions_of(mview.olap()?).find(|p| p.bounds == cell.bounds).map(|p| p.id)
}

/// The rows that the cell has now.
fn old_rows(context: &QueryContext, mview: &Table) -> Result<LogicalPlan> {
    let missing = || Error::conflict(format!("'{}' has no such partition any more", mview.name));
    let table = context.catalog.table(mview.id).ok_or_else(missing)?;
    // Without one it would be all cells.
    context.restrictions.get(&mview.id).ok_or_else(missing)?;
    LogicalPlanBuilder::scan(
        "old",
        provider_as_source(Arc::new(TabletTable::of(context, table).with_hidden())),
        None,
    )
    .and_then(|b| b.build())
    .map_err(from_datafusion)
}

/// Old rows and those of new base rows, one row a group.
pub(super) fn merge(
    old: LogicalPlan,
    new: LogicalPlan,
    mview: &Table,
    columns: &[MergeColumn],
) -> Result<LogicalPlan> {
    let schema = arrow_schema(mview.schema());
    let named = |name: &str| Expr::Column(Column::new_unqualified(name));
    let (mut keys, mut merged, mut values) = (Vec::new(), Vec::new(), HashMap::new());
    for ((at, field), column) in schema.fields().iter().enumerate().zip(columns) {
        let value = named(field.name());
        let call = match column {
            MergeColumn::Computed(_) => continue,
            MergeColumn::Key => {
                keys.push(value.clone());
                values.insert(Expr::Column(view_column(at)), value);
                continue;
            }
            MergeColumn::Count | MergeColumn::Sum => sum(value),
            MergeColumn::Min => min(value),
            MergeColumn::Max => max(value),
        };
        let name = format!("merged_{at}");
        let value = match column {
            MergeColumn::Count => coalesce(vec![named(&name), lit(0i64)]),
            _ => named(&name),
        };
        merged.push(call.alias(name));
        values.insert(Expr::Column(view_column(at)), value);
    }
    let mut outputs = Vec::with_capacity(columns.len());
    for ((at, field), column) in schema.fields().iter().enumerate().zip(columns) {
        let own = Expr::Column(view_column(at));
        let value = match column {
            MergeColumn::Computed(value) => rewrite(value, &values),
            _ => values.get(&own).cloned(),
        };
        let value = value.ok_or_else(|| Error::internal("a merged column is missing"))?;
        outputs.push(cast(value, field.data_type().clone()).alias(field.name()));
    }
    let both = |old: LogicalPlan| {
        let columns: Vec<Expr> = schema
            .fields()
            .iter()
            .map(|f| Expr::Column(Column::new(Some("old"), f.name())).alias(f.name()))
            .collect();
        LogicalPlanBuilder::from(old)
            .project(columns)?
            .union(new)?
            .aggregate(keys, merged)?
            .project(outputs)?
            .build()
    };
    both(old).map_err(from_datafusion)
}
