//! The query of an MV as blocks are compared with it.

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::logical_expr::{LogicalPlan, utils::split_conjunction};

use super::block::{Block, LeafKey, aggregates_of, is_constant_in_time};

/// The query of an MV, and the columns that keep its result.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// Without plans.
    pub block: Block,
    /// The types that the query gives.
    pub types: Vec<DataType>,
    /// The columns of the MV.
    pub fields: Vec<FieldRef>,
    /// Which output is an aggregate, or made of one.
    pub aggregated: Vec<bool>,
}

impl Definition {
    /// From the prepared plan of the query.
    ///
    /// # Errors
    /// Why no query can be answered from it.
    pub(crate) fn of(plan: &LogicalPlan, fields: Vec<FieldRef>) -> Result<Self, String> {
        let plan = unordered(plan);
        let types: Vec<DataType> = plan.schema().fields().iter().map(|f| f.data_type().clone()).collect();
        if types.len() != fields.len() {
            return Err("its query gives other columns than it has".to_owned());
        }
        let block = Block::grouped(plan).or_else(|_| Block::spj(plan))?;
        if block.leaves.iter().any(|leaf| matches!(leaf.key, LeafKey::Unknown)) {
            return Err(match has_limit(plan) {
                true => "its query has a LIMIT, and its order leaves open which rows come".to_owned(),
                false => "a part of its query cannot be compared".to_owned(),
            });
        }
        if block.has_subquery() {
            return Err("its query has a subquery in an expression".to_owned());
        }
        if !block.exprs().all(is_constant_in_time) {
            return Err("its query depends on the time".to_owned());
        }
        let aggregated = block.outputs.iter().map(|output| !aggregates_of(output).is_empty()).collect();
        Ok(Self { aggregated, block: without_plans(block), types, fields })
    }

    /// Whether the column `at` gives back what the query gave, by a cast at most.
    pub(crate) fn is_kept(&self, at: usize) -> bool {
        match (self.types.get(at), self.fields.get(at)) {
            (Some(given), Some(kept)) => is_lossless(given, kept.data_type()),
            _ => false,
        }
    }
}

/// An order of the rows of an MV says nothing.
fn unordered(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => unordered(&sort.input),
        other => other,
    }
}

fn has_limit(plan: &LogicalPlan) -> bool {
    let is_limit = |node: &LogicalPlan| match node {
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Sort(sort) => sort.fetch.is_some(),
        _ => false,
    };
    is_limit(plan) || plan.inputs().into_iter().any(has_limit)
}

fn without_plans(mut block: Block) -> Block {
    block.leaves.iter_mut().for_each(|leaf| leaf.plan = None);
    block.conjuncts = block.conjuncts.iter().flat_map(|c| split_conjunction(c)).cloned().collect();
    block
}

/// Whether a value of the type `given` comes back from a column of the type `kept`.
pub(crate) fn is_lossless(given: &DataType, kept: &DataType) -> bool {
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match (given, kept) {
        (a, b) if a == b => true,
        (a, b) if is_text(a) && is_text(b) => true,
        (DataType::UInt8, DataType::Int16)
        | (DataType::UInt16, DataType::Int32)
        | (DataType::UInt32, DataType::Int64)
        | (DataType::UInt64, DataType::Decimal256(39, 0)) => true,
        // A DATE comes back from a DATETIME: functions gave DATETIMEs when some views were made.
        (DataType::Date32, DataType::Timestamp(TimeUnit::Microsecond, None)) => true,
        (
            DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, None),
        ) => true,
        (DataType::Decimal32(p, s) | DataType::Decimal64(p, s), DataType::Decimal128(kp, ks)) => {
            p == kp && s == ks
        }
        _ => false,
    }
}
