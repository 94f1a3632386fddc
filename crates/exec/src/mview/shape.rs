//! Whether new rows of a base can be put into an MV without its old base rows.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};

use super::rewrite::block::{Block, Grouping};
use super::rewrite::cover::{rewrite, view_column};
use super::rewrite::functions::average;
use super::scan::table_of;

/// How new rows of the one base change an MV's rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IncrementalShape {
    /// The query only filters and projects: its rows over the new rows are added.
    Append,
    /// The query groups: its rows over the new rows are merged with the old ones of the same keys.
    Merge {
        /// What each output column is, in order.
        columns: Vec<MergeColumn>,
    },
}

/// What an output column of an aggregate is, and so how two rows of one group become one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MergeColumn {
    /// A group key: equal in both.
    Key,
    Sum,
    Count,
    Min,
    Max,
    /// Computed from the others, which stand in it as columns of the view.
    Computed(Expr),
}

impl IncrementalShape {
    /// Positions of the group keys among the output columns.
    #[must_use]
    pub fn keys(&self) -> Vec<usize> {
        match self {
            Self::Append => Vec::new(),
            Self::Merge { columns } => {
                let keys = columns.iter().enumerate().filter(|(_, c)| **c == MergeColumn::Key);
                keys.map(|(at, _)| at).collect()
            }
        }
    }
}

/// The shape of the prepared `plan` of an MV.
pub(super) fn of(plan: &LogicalPlan) -> Option<IncrementalShape> {
    if let Ok(block) = Block::grouped(plan) {
        return merge(&block);
    }
    let block = Block::spj(plan).ok()?;
    let reads_one_table = is_one_table(&block) && !block.has_subquery();
    reads_one_table.then_some(IncrementalShape::Append)
}

/// Whether it reads one table, all of it or a part: a refresh looks at plans that are cut already.
fn is_one_table(block: &Block) -> bool {
    match block.leaves.as_slice() {
        [leaf] => matches!(&leaf.plan, Some(LogicalPlan::TableScan(scan)) if table_of(scan).is_some()),
        _ => false,
    }
}

fn merge(block: &Block) -> Option<IncrementalShape> {
    let grouping = block.grouping.as_ref()?;
    if !is_one_table(block) || block.has_subquery() {
        return None;
    }
    // Without all keys two groups could not be told apart by what the MV keeps.
    if !grouping.keys.iter().all(|key| block.outputs.contains(key)) {
        return None;
    }
    let schema = block.schema().ok()?;
    let handles = handles(block, grouping, &schema)?;
    let column = |output: &Expr| {
        if grouping.keys.contains(output) {
            return Some(MergeColumn::Key);
        }
        merged(output).or_else(|| rewrite(output, &handles).map(MergeColumn::Computed))
    };
    let columns: Option<Vec<MergeColumn>> = block.outputs.iter().map(column).collect();
    columns.map(|columns| IncrementalShape::Merge { columns })
}

/// How an aggregate that is kept as it is becomes one from two rows.
fn merged(output: &Expr) -> Option<MergeColumn> {
    match plain(output)?.0 {
        "sum" => Some(MergeColumn::Sum),
        "count" => Some(MergeColumn::Count),
        "min" => Some(MergeColumn::Min),
        "max" => Some(MergeColumn::Max),
        _ => None,
    }
}

/// The keys and aggregates of `block` from the columns that hold them, or their sums and counts.
fn handles(block: &Block, grouping: &Grouping, schema: &DFSchema) -> Option<HashMap<Expr, Expr>> {
    let kept = |at: usize, output: &Expr| -> Option<Expr> {
        Some(cast(Expr::Column(view_column(at)), output.get_type(schema).ok()?))
    };
    let mut handles = HashMap::new();
    for (at, output) in block.outputs.iter().enumerate() {
        if grouping.keys.contains(output) || merged(output).is_some() {
            handles.insert(output.clone(), kept(at, output)?);
        }
    }
    for call in &grouping.aggregates {
        if let Some((Some(sum), Some(count))) = average_of(call, block, schema) {
            let (sum, count) = (kept(sum, block.outputs.get(sum)?)?, kept(count, block.outputs.get(count)?)?);
            handles.insert(call.clone(), average(sum, count, &call.get_type(schema).ok()?));
        }
    }
    Some(handles)
}

/// Where the outputs of `block` hold the sum and the count behind `call`; `None` when it is no average.
fn average_of(call: &Expr, block: &Block, schema: &DFSchema) -> Option<(Option<usize>, Option<usize>)> {
    let ("avg", averaged) = plain(call)? else { return None };
    let position = |name: &str, is_wanted: &dyn Fn(&Expr) -> bool| {
        block.outputs.iter().position(|e| plain(e).is_some_and(|(n, arg)| n == name && is_wanted(arg)))
    };
    let sum = position("sum", &|arg| sums(arg, averaged, schema));
    Some((sum, position("count", &|arg| counts(arg, number(averaged, schema), schema))))
}

/// What the outputs of `block` lack of the sum and the count behind `call`.
pub(super) fn missing_for_average(call: &Expr, block: &Block, schema: &DFSchema) -> Vec<&'static str> {
    let (sum, count) = average_of(call, block, schema).unwrap_or_default();
    let missing = [("sum", sum), ("count", count)].into_iter().filter(|(_, at)| at.is_none());
    missing.map(|(name, _)| name).collect()
}

/// Whether `avg(averaged)` can be made from `sum(arg)`. The sum of BIGINTs can be too large for a BIGINT where their
/// average, which adds DOUBLEs, is not.
pub(super) fn sums(arg: &Expr, averaged: &Expr, schema: &DFSchema) -> bool {
    let number = number(averaged, schema);
    let is_safe = match number.get_type(schema) {
        Ok(DataType::Int8 | DataType::Int16 | DataType::Int32) => true,
        Ok(DataType::Float32 | DataType::Float64 | DataType::Decimal128(..)) => true,
        _ => matches!(arg.get_type(schema), Ok(DataType::Float64)),
    };
    is_safe && self::number(arg, schema) == number
}

/// Whether `count(arg)` is how many values `number` has: of what is never NULL, it is how many rows there are.
pub(super) fn counts(arg: &Expr, number: &Expr, schema: &DFSchema) -> bool {
    match arg {
        Expr::Literal(value, _) => {
            !value.is_null() && number.nullable(schema).is_ok_and(|nullable| !nullable)
        }
        arg => self::number(arg, schema) == number,
    }
}

/// The name and argument of an aggregate without DISTINCT, FILTER and ORDER BY.
pub(super) fn plain(expr: &Expr) -> Option<(&str, &Expr)> {
    let Expr::AggregateFunction(call) = expr else { return None };
    let params = &call.params;
    if params.distinct || params.filter.is_some() || !params.order_by.is_empty() {
        return None;
    }
    match params.args.as_slice() {
        [arg] => Some((call.func.name(), arg)),
        _ => None,
    }
}

/// What `expr` casts to a wider type: `sum` and `avg` cast what they take, each to another type.
pub(super) fn number<'a>(expr: &'a Expr, schema: &DFSchema) -> &'a Expr {
    let Expr::Cast(cast) = expr else { return expr };
    let is_wider = match (cast.expr.get_type(schema), cast.field.data_type()) {
        (Ok(DataType::Int8 | DataType::Int16 | DataType::Int32), DataType::Int64 | DataType::Float64)
        | (Ok(DataType::Int64 | DataType::Float32), DataType::Float64) => true,
        (Ok(from), to) => from == *to,
        (Err(_), _) => false,
    };
    if is_wider { number(&cast.expr, schema) } else { expr }
}
