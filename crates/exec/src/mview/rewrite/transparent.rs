//! MVs that give the rows of their query: what they hold where it is fresh, and the rest from their bases.

use std::sync::Arc;

use cairn_catalog::{Mview, Table};
use cairn_ingest::arrow_schema;
use cairn_types::{Error, Result};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan, cast};

use super::assemble::as_schema;
use super::definitions::candidate;
use super::options::{CandidateSpec, CandidateUse, MviewOptions, RewriteMode};
use super::{catalog_rows, rewrite};
use crate::engine::QueryContext;
use crate::error::from_datafusion;

/// What is read where a query names `table`; `None`: the rows that it has.
///
/// # Errors
/// `Analysis` when it is inactive and would rather be refused; what planning its query finds.
pub(crate) async fn plan(
    context: &Arc<QueryContext>,
    table: &Arc<Table>,
    mview: &Mview,
) -> Result<Option<LogicalPlan>> {
    let mode =
        mview.table.properties.get("transparent_mv_rewrite_mode").map(|mode| mode.to_ascii_lowercase());
    let mode = mode.as_deref().map_or("false", str::trim);
    let Some(source) = context.mviews.source.as_ref().filter(|_| mode != "false") else { return Ok(None) };
    match source.fresh(&context.catalog, table) {
        CandidateUse::All => Ok(None),
        // What its query means may have changed.
        CandidateUse::No(reason) if !mview.is_active() => match mode {
            "transparent_or_error" => Err(Error::analysis(format!(
                "materialized view '{}' cannot give the rows of its query: {reason}",
                table.name
            ))),
            _ => Ok(None),
        },
        usable => completed(context, table, mview, usable).await.map(Some),
    }
}

/// The rows of the MV's query, from the MV as far as it is fresh.
async fn completed(
    context: &Arc<QueryContext>,
    table: &Arc<Table>,
    mview: &Mview,
    usable: CandidateUse,
) -> Result<LogicalPlan> {
    let engine = &context.engine;
    let query = engine.template(context, table, mview).await?.query.bind(context)?;
    if let CandidateUse::No(_) = usable {
        return stored(query, table);
    }
    let spec = CandidateSpec { mview: Arc::clone(table), usable };
    // What cannot be compared with its own query is not used.
    let Ok(candidate) = candidate(engine, context, spec).await else { return stored(query, table) };
    let options = MviewOptions { mode: RewriteMode::Force, ..MviewOptions::default() };
    let rows_of = |id| catalog_rows::rows_of(&context.catalog, id);
    let outcome = rewrite(query, &[candidate], &options, &rows_of).map_err(from_datafusion)?;
    stored(outcome.plan, table)
}

/// `plan` with the columns of the MV that users see.
fn stored(plan: LogicalPlan, table: &Table) -> Result<LogicalPlan> {
    let schema = arrow_schema(&table.schema().without_hidden());
    let schema = DFSchema::try_from(schema).map_err(from_datafusion)?;
    let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let given = plan.schema().iter().nth(at);
        let given =
            given.ok_or_else(|| Error::analysis(format!("'{}' has other columns now", table.name)))?;
        Ok(cast(Expr::Column(given.into()), field.data_type().clone()))
    };
    let exprs = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    as_schema(plan, &exprs, &schema).map_err(from_datafusion)
}
