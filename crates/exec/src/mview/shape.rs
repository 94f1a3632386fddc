//! Whether new rows of a base can be put into an MV without its old base rows.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::rewrite::block::Block;
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeColumn {
    /// A group key: equal in both.
    Key,
    Sum,
    Count,
    Min,
    Max,
    /// From the sums and counts that other columns hold.
    Avg {
        sum_index: usize,
        count_index: usize,
    },
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
    let is_key = |e: &Expr| grouping.keys.contains(e);
    if !grouping.keys.iter().all(|key| block.outputs.contains(key)) {
        return None;
    }
    let schema = block.schema().ok()?;
    let column = |output: &Expr| {
        if is_key(output) { Some(MergeColumn::Key) } else { aggregate(output, block, &schema) }
    };
    let columns: Option<Vec<MergeColumn>> = block.outputs.iter().map(column).collect();
    columns.map(|columns| IncrementalShape::Merge { columns })
}

fn aggregate(output: &Expr, block: &Block, schema: &DFSchema) -> Option<MergeColumn> {
    let (name, arg) = plain(output)?;
    match name {
        "sum" => Some(MergeColumn::Sum),
        "count" => Some(MergeColumn::Count),
        "min" => Some(MergeColumn::Min),
        "max" => Some(MergeColumn::Max),
        "avg" => {
            let number = number(arg, schema);
            let position = |name: &str, is_wanted: &dyn Fn(&Expr) -> bool| {
                block.outputs.iter().position(|e| plain(e).is_some_and(|(n, a)| n == name && is_wanted(a)))
            };
            Some(MergeColumn::Avg {
                sum_index: position("sum", &|a| is_of(a, number, schema))?,
                count_index: position("count", &|a| counts(a, number, schema))?,
            })
        }
        _ => None,
    }
}

/// Whether `arg` of an aggregate is `number`, as it is or wider.
pub(super) fn is_of(arg: &Expr, number: &Expr, schema: &DFSchema) -> bool {
    self::number(arg, schema) == number
}

/// Whether `count(arg)` is how many values `number` has: of what is never NULL, it is how many rows there are.
pub(super) fn counts(arg: &Expr, number: &Expr, schema: &DFSchema) -> bool {
    match arg {
        Expr::Literal(value, _) => {
            !value.is_null() && number.nullable(schema).is_ok_and(|nullable| !nullable)
        }
        arg => is_of(arg, number, schema),
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
