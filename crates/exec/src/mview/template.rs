//! The query of an MV, planned once: a plan in which each scan stands for a table of whatever catalog state it is bound to.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{FieldRef, SchemaRef};
use cairn_catalog::{Mview, Table};
use cairn_ingest::arrow_schema;
use cairn_types::{Error, Result, TableId};
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, TableScan, TableSource};

use super::partials;
use super::prepare::prepare;
use super::rewrite::definition::is_lossless;
use super::runs::Runs;
use super::scan::table_of;
use super::shape::{self, IncrementalShape};
use crate::engine::{Engine, QueryContext};
use crate::error::{from_datafusion, to_datafusion};
use crate::table::TabletTable;

/// What planning finds out about the query of an MV.
pub(crate) struct Template {
    /// Prepared.
    pub(crate) query: Unbound,
    /// How new rows of the base can be put into the MV; `None`: not at all.
    pub(super) shape: Option<IncrementalShape>,
    /// What takes new rows into an MV that is one cell, optimized; made when it is first needed.
    pub(super) delta: OnceLock<Unbound>,
    pub(super) delta_runs: Runs,
}

/// A plan that holds no catalog.
pub(crate) struct Unbound(LogicalPlan);

/// In the place of a table.
struct Stand {
    table: TableId,
    schema: SchemaRef,
}

impl TableSource for Stand {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Engine {
    /// The query of `table`, which is `mview`, planned now or before.
    ///
    /// # Errors
    /// What planning finds; `Conflict` when the query would read other tables than it was bound to.
    pub(crate) async fn template(
        &self,
        context: &Arc<QueryContext>,
        table: &Table,
        mview: &Mview,
    ) -> Result<Arc<Template>> {
        let gone = || Error::conflict("a table of the query is gone");
        let find = async {
            let definition = &mview.definition;
            let (plan, state) =
                self.plan_definition(context, &definition.query, &definition.default_db).await?;
            let plan = prepare(&state, plan).map_err(from_datafusion)?;
            let plan = partials::stored(plan, table.schema(), &state).map_err(from_datafusion)?;
            check_bases(&plan, mview)?;
            // Groups that the columns do not tell apart cannot be merged by them.
            let keeps =
                |(given, kept): (&FieldRef, &FieldRef)| is_lossless(given.data_type(), kept.data_type());
            let columns = arrow_schema(table.schema());
            let is_kept = plan.schema().fields().iter().zip(columns.fields()).all(keeps);
            let shape = shape::of(&plan).filter(|_| is_kept);
            Ok(Arc::new(Template {
                query: Unbound::of(plan)?,
                shape,
                delta: OnceLock::new(),
                delta_runs: Runs::default(),
            }))
        };
        self.templates.get(&context.catalog, table, mview, gone, find).await
    }
}

impl Unbound {
    /// # Errors
    /// None of its own.
    pub(super) fn of(plan: LogicalPlan) -> Result<Self> {
        let plan = each_scan(plan, |scan| {
            let stand = |table: Arc<Table>| Stand { table: table.id, schema: scan.source.schema() };
            Ok(table_of(scan).map(|table| Arc::new(stand(table)) as Arc<dyn TableSource>))
        })?;
        Ok(Self(plan))
    }

    /// The plan over the catalog and the restrictions of `context`.
    ///
    /// # Errors
    /// `Conflict` when a table is gone.
    pub(crate) fn bind(&self, context: &QueryContext) -> Result<LogicalPlan> {
        each_scan(self.0.clone(), |scan| {
            let Some(stand) = scan.source.downcast_ref::<Stand>() else { return Ok(None) };
            let gone = || Error::conflict("a table of the query is gone");
            let table = context.catalog.table(stand.table).ok_or_else(gone)?;
            Ok(Some(provider_as_source(Arc::new(TabletTable::of(context, table)))))
        })
    }
}

/// `plan` with other sources where `source` gives one, in subqueries too.
fn each_scan(
    plan: LogicalPlan,
    source: impl Fn(&TableScan) -> Result<Option<Arc<dyn TableSource>>>,
) -> Result<LogicalPlan> {
    let replaced = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        Ok(match source(scan).map_err(to_datafusion)? {
            None => Transformed::no(node),
            Some(source) => Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan.clone() })),
        })
    });
    Ok(replaced.map_err(from_datafusion)?.data)
}

/// A query that reads other tables than those it was bound to would be recorded as made from these.
fn check_bases(plan: &LogicalPlan, mview: &Mview) -> Result<()> {
    let bound: BTreeSet<TableId> = mview.definition.bases.iter().map(|b| b.id).collect();
    let mut other = None;
    super::scan::each_table(plan, &mut |table| {
        if !bound.contains(&table.id) {
            other.get_or_insert_with(|| table.name.clone());
        }
    });
    match other {
        None => Ok(()),
        Some(name) => Err(Error::conflict(format!(
            "the query reads '{name}', which is not the table it was bound to: activate the materialized view again"
        ))),
    }
}
