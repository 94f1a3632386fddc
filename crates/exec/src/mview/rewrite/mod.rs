//! Answering queries from materialized views.
//!
//! A query's plan is looked at from the top. A part of it that selects, joins and groups becomes a [`block`]; so does
//! the query of each view. A view answers a block when ([`cover`]) each row that the block wants passed the view's
//! predicates, and all that the block computes can be computed from the view's columns; [`groups`] says the same of
//! aggregates, and [`reach`] which partitions of the view may be read and what must be read of the tables beside.
//!
//! The plan that takes a block's place gives exactly the same columns. What cannot be proven is not done.

mod assemble;
pub(crate) mod block;
mod candidate;
mod catalog_rows;
pub(crate) mod cover;
pub(crate) mod definition;
mod definitions;
mod driver;
mod facts;
pub(crate) mod functions;
mod groups;
mod opaque;
mod options;
mod reach;
pub(crate) mod transparent;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_types::{Result, TableId};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

#[cfg(test)]
pub(crate) use candidate::{Candidate, ViewRows};
#[cfg(test)]
pub(crate) use definition::Definition;
pub(crate) use definitions::Kept;
pub(crate) use driver::rewrite;
pub use options::{CandidateSpec, CandidateUse, MviewOptions, MviewSource, RewriteMode};

use super::prepare::prepare;
use super::scan::whole_table_of;
use crate::engine::{Engine, QueryContext};
use crate::error::from_datafusion;

/// Answers `plan` from the views that the context knows. A plan that is not rewritten stays as it was.
///
/// # Errors
/// Only when a plan that was rewritten cannot be walked again.
pub(crate) async fn apply(
    engine: &Engine,
    state: &SessionState,
    context: &Arc<QueryContext>,
    plan: LogicalPlan,
) -> Result<(LogicalPlan, Vec<String>)> {
    let source = match (&context.mviews.source, context.mviews.mode) {
        (Some(source), RewriteMode::Default | RewriteMode::Force) => source,
        _ => return Ok((plan, Vec::new())),
    };
    let mut plan = plan;
    let mut used = BTreeSet::new();
    let mut rejected = BTreeMap::new();
    // Of these a user must not learn what they ask for.
    let mut unseen = BTreeSet::new();
    for _ in 0..context.mviews.depth_max {
        let tables = whole_tables(&plan);
        if tables.is_empty() {
            break;
        }
        let specs = source.candidates(&context.catalog, &tables);
        if specs.is_empty() {
            break;
        }
        let hides = |spec: &&CandidateSpec| !context.catalog.sees_table(&context.user, &spec.mview);
        unseen.extend(specs.iter().filter(hides).map(|spec| spec.mview.name.clone()));
        let (mut candidates, unusable) = definitions::candidates(engine, context, specs).await;
        // What is read beside a view that is partly stale is none of its rows: it is not asked for them again.
        candidates.retain(|c| !used.contains(&c.name) || c.rows.cells().is_none());
        rejected.extend(unusable);
        // What is wrong with the plan itself is said where it is planned on.
        let Ok(prepared) = prepare(state, plan.clone()) else { break };
        let rows_of = |id: TableId| catalog_rows::rows_of(&context.catalog, id);
        let outcome = rewrite(prepared, &candidates, &context.mviews, &rows_of).map_err(from_datafusion)?;
        rejected.extend(outcome.rejected);
        if outcome.used.is_empty() {
            break;
        }
        used.extend(outcome.used);
        plan = outcome.plan;
    }
    rejected.retain(|name, _| !used.contains(name) && !unseen.contains(name));
    Ok((plan, rejected.into_iter().map(|(name, why)| format!("{name}: not used: {why}")).collect()))
}

/// The tables that `plan` reads as a whole.
fn whole_tables(plan: &LogicalPlan) -> BTreeSet<TableId> {
    let mut tables = BTreeSet::new();
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.extend(whole_table_of(scan).map(|table| table.id));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    tables
}
