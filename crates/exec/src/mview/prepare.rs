//! The form of a plan that links, shapes and rewrites look at.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
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
    rules.optimize(plan, state, |_, _| {}).and_then(each_key_once)
}

/// `GROUP BY k, k` is `GROUP BY k`: the columns of an aggregate are its different keys, and positions count these.
fn each_key_once(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        let mut keys: Vec<Expr> = Vec::new();
        aggregate.group_expr.iter().for_each(|key| {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        });
        if keys.len() == aggregate.group_expr.len() {
            return Ok(Transformed::no(node));
        }
        let Aggregate { input, aggr_expr, schema, .. } = aggregate.clone();
        let once = Aggregate::try_new_with_schema(input, keys, aggr_expr, schema)?;
        Ok(Transformed::yes(LogicalPlan::Aggregate(once)))
    });
    done.map(|done| done.data)
}
