//! Aggregates that DataFusion answers from statistics, without those that it answers wrongly.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Aggregate, ExprSchemable, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use datafusion::optimizer::{Optimizer, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::aggregate_statistics::AggregateStatistics;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// DataFusion's rules, but plans with `COUNT(DISTINCT c)` are not answered from statistics: a filter `c = 3` promises
/// exactly one value of `c`, also when no row passes it.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let inner = AggregateStatistics::new();
    let name = inner.name().to_owned();
    let own = Arc::new(WithoutDistinct(inner)) as Arc<dyn PhysicalOptimizerRule + Send + Sync>;
    let rules = PhysicalOptimizer::new().rules.into_iter();
    rules.map(|rule| if rule.name() == name { Arc::clone(&own) } else { rule }).collect()
}

/// DataFusion's rules, but an aggregate with sums of decimals is not split in two: the sum of sums has more digits, and what was
/// planned above knows the sum's.
pub(crate) fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let inner = SingleDistinctToGroupBy::new();
    let name = inner.name().to_owned();
    let own = Arc::new(WithoutDecimals(inner)) as Arc<dyn OptimizerRule + Send + Sync>;
    let rules = Optimizer::new().rules.into_iter();
    rules.map(|rule| if rule.name() == name { Arc::clone(&own) } else { rule }).collect()
}

#[derive(Debug)]
struct WithoutDecimals(SingleDistinctToGroupBy);

impl OptimizerRule for WithoutDecimals {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let sums_decimals = |aggregate: &Aggregate| {
            let schema = aggregate.input.schema();
            aggregate.aggr_expr.iter().any(|e| e.get_type(schema).is_ok_and(|ty| ty.is_decimal()))
        };
        match &plan {
            LogicalPlan::Aggregate(aggregate) if sums_decimals(aggregate) => Ok(Transformed::no(plan)),
            _ => self.0.rewrite(plan, config),
        }
    }
}

#[derive(Debug)]
struct WithoutDistinct(AggregateStatistics);

impl PhysicalOptimizerRule for WithoutDistinct {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if counts_distinct(&plan) { Ok(plan) } else { self.0.optimize(plan, config) }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn counts_distinct(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let here = plan.downcast_ref::<AggregateExec>();
    here.is_some_and(|aggregate| aggregate.aggr_expr().iter().any(|expr| expr.is_distinct()))
        || plan.children().into_iter().any(counts_distinct)
}
