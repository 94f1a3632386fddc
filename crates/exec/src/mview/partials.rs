//! What an MV keeps, in hidden columns, beside the columns of its query, so that new rows can be merged into its groups:
//! `avg(v)` cannot be merged, the `sum(v)` and `count(v)` behind it can.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use cairn_ingest::arrow_type;
use cairn_types::{Column, Schema};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::logical_plan::SubqueryAlias;
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Projection, cast, lit,
};
use datafusion::scalar::ScalarValue;

use super::rewrite::block::{Block, Grouping, aggregates_of};
use super::shape::{self, IncrementalShape};
use crate::sql_types::stored_type;

/// The names of hidden columns begin with this: no user's column may.
pub const HIDDEN_PREFIX: &str = "__partial";

/// `plan`, the prepared query of an MV whose own columns cannot be merged, with hidden ones behind them, and how it is merged
/// then; `None` when it cannot be with any.
pub(super) fn extended(plan: &LogicalPlan, state: &SessionState) -> Option<(LogicalPlan, IncrementalShape)> {
    let block = Block::grouped(plan).ok()?;
    let missing = Missing::of(&block, aggregate_of(plan)?, state)?;
    let extended = with_columns(plan, &missing.written).ok()?;
    let shape = shape::of(&extended)?;
    Some((extended, shape))
}

/// The hidden columns of `extended`, which has `visible` columns besides; `None` when one cannot be stored.
pub(super) fn columns(extended: &LogicalPlan, visible: usize) -> Option<Vec<Column>> {
    let hidden = extended.schema().fields().iter().skip(visible).enumerate();
    let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let ty = stored_type(field.data_type()).ok()?;
        // NULL where the query comes to need others.
        Some(Column { hidden: true, ..Column::new(name(at), ty, true) })
    };
    hidden.map(column).collect()
}

/// The prepared query of an MV whose columns are `schema`: `plan`, with the hidden columns too. Where the query needs others
/// than when the MV was made, they are NULL, and nothing is merged by them.
///
/// # Errors
/// None of its own.
pub(crate) fn stored(plan: LogicalPlan, schema: &Schema, state: &SessionState) -> Result<LogicalPlan> {
    if schema.hidden().is_empty() {
        return Ok(plan);
    }
    let types = |columns: &[Column]| columns.iter().map(|c| c.ty).collect::<Vec<_>>();
    if let Some((extended, _)) = extended(&plan, state)
        && let Some(columns) = columns(&extended, plan.schema().fields().len())
        && types(&columns) == types(schema.hidden())
    {
        return Ok(extended);
    }
    let own = plan.schema().columns().into_iter().map(Expr::Column);
    let none = |column: &Column| cast(lit(ScalarValue::Null), arrow_type(column.ty)).alias(&column.name);
    let exprs: Vec<Expr> = own.chain(schema.hidden().iter().map(none)).collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

fn name(at: usize) -> String {
    format!("{HIDDEN_PREFIX}_{at}")
}

/// The aggregate that [`Block::grouped`] looks at.
fn aggregate_of(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::SubqueryAlias(alias) => aggregate_of(&alias.input),
        LogicalPlan::Projection(projection) => aggregate_of(&projection.input),
        _ => None,
    }
}

/// Keys and aggregates that the outputs do not show, each once.
#[derive(Default)]
struct Missing {
    /// As the block has them.
    resolved: Vec<Expr>,
    /// As the aggregate of the plan has them.
    written: Vec<Expr>,
}

impl Missing {
    /// `None` when something is no key and cannot be merged.
    fn of(block: &Block, aggregate: &Aggregate, state: &SessionState) -> Option<Self> {
        let Grouping { keys, aggregates } = block.grouping.as_ref()?;
        let schema = block.schema().ok()?;
        let mut this = Self::default();
        for (key, written) in keys.iter().zip(&aggregate.group_expr) {
            this.add(block, key.clone(), written.clone());
        }
        for (call, written) in aggregates.iter().zip(&aggregate.aggr_expr) {
            let is_used = |output: &Expr| aggregates_of(output).contains(&call);
            if !block.outputs.iter().any(is_used) {
                continue;
            }
            let written = written.clone().unalias_nested().data;
            match shape::plain(call)? {
                ("sum", _) if !fits_column(call, &schema) => return None,
                ("sum" | "count" | "min" | "max", _) => this.add(block, call.clone(), written),
                ("avg", _) => {
                    for name in shape::missing_for_average(call, block, &schema) {
                        let function = state.aggregate_functions().get(name)?;
                        let partial = over(function, call, &schema)?;
                        if !fits_column(&partial, &schema) {
                            return None;
                        }
                        this.add(block, partial, over(function, &written, aggregate.input.schema())?);
                    }
                }
                _ => return None,
            }
        }
        Some(this)
    }

    fn add(&mut self, block: &Block, resolved: Expr, written: Expr) {
        if !block.outputs.contains(&resolved) && !self.resolved.contains(&resolved) {
            self.resolved.push(resolved);
            self.written.push(written);
        }
    }
}

/// Whether each value of `partial` fits a column: what the query computes with may be larger than what it shows.
fn fits_column(partial: &Expr, schema: &DFSchema) -> bool {
    let is_full = |ty: DataType| match ty {
        DataType::Decimal128(precision, _) => precision >= DECIMAL128_MAX_PRECISION,
        ty => matches!(ty, DataType::Decimal256(..)),
    };
    partial.get_type(schema).is_ok_and(|ty| !is_full(ty))
}

/// `function` of what `call` averages. Values are counted as they are, and so the count is good for others, too.
fn over(function: &Arc<AggregateUDF>, call: &Expr, schema: &DFSchema) -> Option<Expr> {
    let (_, averaged) = shape::plain(call)?;
    let arg = if function.name() == "count" { shape::number(averaged, schema) } else { averaged };
    Some(function.call(vec![arg.clone()]))
}

/// `plan` with the keys and aggregates `missing` as its last columns, under the names of hidden ones.
fn with_columns(plan: &LogicalPlan, missing: &[Expr]) -> Result<LogicalPlan> {
    let visible = plan.schema().fields().len();
    let (plan, positions) = passed_up(plan, missing)?;
    let schema = Arc::clone(plan.schema());
    let column = |at: &usize| Expr::Column(schema.qualified_field(*at).into());
    let shown = (0..visible).map(|at| column(&at));
    let hidden = positions.iter().enumerate().map(|(at, position)| column(position).alias(name(at)));
    LogicalPlanBuilder::from(plan).project(shown.chain(hidden).collect::<Vec<_>>())?.build()
}

/// `plan` with columns for `missing`, and where they stand. The columns that it had stay where they are.
fn passed_up(plan: &LogicalPlan, missing: &[Expr]) -> Result<(LogicalPlan, Vec<usize>)> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, positions) = passed_up(&alias.input, missing)?;
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok((LogicalPlan::SubqueryAlias(alias), positions))
        }
        LogicalPlan::Projection(projection) => {
            let (input, below) = passed_up(&projection.input, missing)?;
            let mut exprs = projection.expr.clone();
            let mut positions = Vec::with_capacity(below.len());
            for at in below {
                let column = Expr::Column(input.schema().qualified_field(at).into());
                let known = exprs.iter().position(|e| *e == column);
                positions.push(known.unwrap_or(exprs.len()));
                if known.is_none() {
                    exprs.push(column);
                }
            }
            Ok((LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?), positions))
        }
        LogicalPlan::Aggregate(aggregate) => added(aggregate, missing),
        other => datafusion::common::internal_err!("{} in the query of a view that groups", other.display()),
    }
}

fn added(aggregate: &Aggregate, missing: &[Expr]) -> Result<(LogicalPlan, Vec<usize>)> {
    let keys = aggregate.group_expr.len();
    let mut calls = aggregate.aggr_expr.clone();
    let mut positions = Vec::with_capacity(missing.len());
    for expr in missing {
        let key = aggregate.group_expr.iter().position(|key| key == expr);
        let call = |calls: &[Expr]| calls.iter().position(|call| call.clone().unalias() == *expr);
        let at = match key.or_else(|| call(&calls).map(|at| keys + at)) {
            Some(at) => at,
            None => {
                // Under a name of its own: the sums of BIGINTs and of the same as DOUBLEs are called alike.
                calls.push(expr.clone().alias(name(calls.len())));
                keys + calls.len() - 1
            }
        };
        positions.push(at);
    }
    let grouped = Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr.clone(), calls)?;
    Ok((LogicalPlan::Aggregate(grouped), positions))
}
