//! `CAST` of a value that the type cannot hold gives NULL, as in StarRocks: a row that does not fit never ends a query.

use std::cell::Cell;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, TableReference, internal_err, plan_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TryCast, Union, Volatility, cast, lit,
};

use crate::comparisons::{as_type, comparable, one_type, value_type};
use crate::functions::converted;

/// `plan`, as SQL has it, with casts that can fail giving NULL instead. Casts that cannot fail stay: more is known of them.
///
/// # Errors
/// Only when the plan was not valid.
pub(crate) fn lenient_casts(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = each_expr(plan, &|expr, schema| {
        comparable(expr, schema)
            .transform_data(|expr| Ok(one_type(expr, schema)))?
            .transform_data(|expr| Ok(lenient(expr, schema)))
    })?;
    if !changed.transformed {
        return Ok(changed.data);
    }
    // What a subquery knows of columns outside of it was noted before they could be NULL.
    Ok(each_expr(changed.data, &|expr, _| Ok(nullable_outside(expr)))?.data)
}

fn each_expr(
    plan: LogicalPlan,
    change: &impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let below = Cell::new(false);
    plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        // What is above calls columns by the names of their expressions.
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|e| {
            // Most are plain columns, whose names need not be made.
            if matches!(e, Expr::Column(_)) {
                return Ok(Transformed::no(e));
            }
            let name = names.save(&e);
            Ok(e.transform_up(|e| change(e, &schema))?.update_data(|e| name.restore(e)))
        })?;
        let node = node.transform_data(one_type_a_column)?;
        // A cast to NULL makes what is above nullable, too, and an aggregate may have another type.
        below.set(below.get() || node.transformed);
        if below.get() { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    })
}

/// A UNION whose inputs have columns of different types, with casts to the one that the column has.
fn one_type_a_column(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Union(Union { inputs, .. }) = &node else { return Ok(Transformed::no(node)) };
    let columns = node.schema().fields().len();
    let types: Vec<Option<DataType>> = (0..columns)
        .map(|at| {
            let of = |input: &Arc<LogicalPlan>| Some(input.schema().fields().get(at)?.data_type().clone());
            value_type(&inputs.iter().map(of).collect::<Option<Vec<_>>>()?)
        })
        .collect();
    if types.iter().all(Option::is_none) {
        return Ok(Transformed::no(node));
    }
    let cast = |input: &Arc<LogicalPlan>| {
        let schema = Arc::clone(input.schema());
        let cast = |((qualifier, field), ty): ((Option<&TableReference>, &FieldRef), &Option<DataType>)| {
            let column = Expr::Column((qualifier, field).into());
            match ty {
                Some(ty) => as_type(column, ty, &schema).alias(field.name()),
                None => column,
            }
        };
        let columns: Vec<Expr> = schema.iter().zip(&types).map(cast).collect();
        LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build().map(Arc::new)
    };
    let inputs = inputs.iter().map(cast).collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// A cast that gives what StarRocks gives.
pub(crate) fn lenient(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let cast = match expr {
        Expr::Cast(cast) => cast,
        Expr::AggregateFunction(call) => return aggregate(call, schema),
        Expr::Negative(value) if is_small(&value, schema) => {
            return Transformed::yes(Expr::Negative(Box::new(cast(*value, DataType::Int64))));
        }
        Expr::ScalarFunction(mut call)
            if call.name() == "abs" && call.args.iter().all(|e| is_small(e, schema)) =>
        {
            call.args = call.args.into_iter().map(|value| cast(value, DataType::Int64)).collect();
            return Transformed::yes(Expr::ScalarFunction(call));
        }
        other => return Transformed::no(other),
    };
    let Ok(from) = cast.expr.get_type(schema) else { return Transformed::no(Expr::Cast(cast)) };
    let to = cast.field.data_type().clone();
    if let Some(converted) = converted(&cast.expr, &from, &to) {
        return Transformed::yes(converted);
    }
    if !can_fail(&from, &to) {
        return Transformed::no(Expr::Cast(cast));
    }
    let tried = Expr::TryCast(TryCast { expr: cast.expr, field: cast.field });
    Transformed::yes(match from.is_numeric() && to.is_numeric() {
        true => ScalarUDF::from(Narrowed::new()).call(vec![tried]),
        false => tried,
    })
}

/// Whether the opposite of `value` may be too large for its type.
fn is_small(value: &Expr, schema: &DFSchema) -> bool {
    matches!(value.get_type(schema), Ok(DataType::Int8 | DataType::Int16 | DataType::Int32))
}

/// An aggregate of what StarRocks aggregates.
fn aggregate(mut call: AggregateFunction, schema: &DFSchema) -> Transformed<Expr> {
    let value = call.params.args.first();
    let ty = value.and_then(|value| value.get_type(schema).ok());
    let changed = match (call.func.name(), value, ty) {
        // Texts, as a cast makes them.
        ("string_agg", Some(value), Some(ty)) => converted(value, &ty, &DataType::Utf8View),
        // The average of a LARGEINT is a DOUBLE, like that of other integers.
        ("avg", Some(value), Some(DataType::Decimal256(_, 0))) => {
            Some(cast(value.clone(), DataType::Float64))
        }
        // 0.0 and -0.0 are one value: a sum with 0.0 is never -0.0.
        (_, Some(value), Some(ty @ (DataType::Float32 | DataType::Float64))) if call.params.distinct => {
            ScalarValue::new_zero(&ty).ok().map(|zero| value.clone() + lit(zero))
        }
        _ => None,
    };
    match (changed, call.params.args.first_mut()) {
        (Some(changed), Some(first)) => {
            *first = changed;
            Transformed::yes(Expr::AggregateFunction(call))
        }
        _ => Transformed::no(Expr::AggregateFunction(call)),
    }
}

fn nullable_outside(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::OuterReferenceColumn(field, column) if !field.is_nullable() => {
            let field = Arc::new(field.as_ref().clone().with_nullable(true));
            Transformed::yes(Expr::OuterReferenceColumn(field, column))
        }
        other => Transformed::no(other),
    }
}

/// Gives its argument back: a number in a narrower type. DataFusion moves a cast that it sees from the column to the literal it
/// is compared with, as if no number were cut or lost by it; of this it knows nothing.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrowed {
    signature: Signature,
}

impl Narrowed {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Narrowed {
    fn name(&self) -> &str {
        "narrowed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [ty] => Ok(ty.clone()),
            _ => plan_err!("narrowed takes one value"),
        }
    }

    /// A column is named as without it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(|arg| arg.schema_name().to_string()).unwrap_or_default())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => internal_err!("narrowed takes one value"),
        }
    }
}

/// Whether there are values of `from` that `to` has none for.
fn can_fail(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Null, Timestamp,
    };
    let wider = |from: &DataType, to: &DataType| {
        let order = [Int8, Int16, Int32, Int64];
        let rank = |ty: &DataType| order.iter().position(|one| one == ty);
        matches!((rank(from), rank(to)), (Some(from), Some(to)) if from <= to)
    };
    match (from, to) {
        (from, to) if from == to || wider(from, to) => false,
        (Null, _) | (_, Boolean) if !from.is_string() => false,
        (_, to) if to.is_string() => false,
        (Boolean, to) if to.is_numeric() => false,
        (from, Float32 | Float64) if from.is_numeric() => false,
        (Date32 | Timestamp(..), Date32 | Timestamp(..)) => false,
        // 19 digits before the point hold any BIGINT.
        (from, Decimal128(precision, scale)) if from.is_integer() => {
            i16::from(*precision) - i16::from(*scale) < 19
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    #[test]
    fn casts_that_can_fail_are_told_apart() {
        use DataType::{Boolean, Date32, Decimal128, Float64, Int8, Int32, Int64, Null, Utf8View};
        let datetime = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (from, to, expected) in [
            (Utf8View, Int32, true),
            (Utf8View, Date32, true),
            (Utf8View, Boolean, true),
            (Utf8View, Utf8View, false),
            (Int32, Utf8View, false),
            (Int64, Int32, true),
            (Int8, Int64, false),
            (Float64, Int64, true),
            (Int64, Float64, false),
            (Int64, Decimal128(20, 2), true),
            (Int64, Decimal128(38, 2), false),
            (Decimal128(38, 2), Decimal128(10, 2), true),
            (Date32, datetime.clone(), false),
            (datetime, Date32, false),
            (Boolean, Int8, false),
            (Null, Int8, false),
        ] {
            assert_eq!(can_fail(&from, &to), expected, "{from} to {to}");
        }
    }
}
