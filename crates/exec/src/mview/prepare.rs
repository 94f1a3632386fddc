//! The form of a plan that links, shapes and rewrites look at.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;

/// Coerces types, folds constants and makes DISTINCT an aggregate, so that what means the same looks the same. Nothing
/// is moved: filters stand where the query has them.
///
/// # Errors
/// What coercion finds.
pub(crate) fn prepare(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    let rules = Optimizer::with_rules(vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(ReplaceDistinctWithAggregate::new()),
    ]);
    rules.optimize(plan, state, |_, _| {})
}
