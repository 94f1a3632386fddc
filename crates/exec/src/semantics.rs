//! Where MySQL's operators and types mean something else than DataFusion's.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use cairn_ingest::arrow_type;
use cairn_types::SqlType;
use datafusion::common::{DFSchema, Result};
use datafusion::functions::expr_fn::nullif;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, TypePlanner};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::BinaryOperator;

use crate::functions::{INTERVAL_OF, decimal_divide, large_int};
use crate::sql_types::{DATETIME, typed};

/// `a / b` of integers is a DOUBLE; dividing by zero gives NULL; `DIV` cuts to an integer; text and FLOAT in arithmetic
/// are DOUBLE; integers are computed as BIGINT; a BOOLEAN beside a number is 0 or 1, as in `1 < a < 3`; what LARGEINT
/// cannot hold wraps, as BIGINT does.
#[derive(Debug)]
pub(crate) struct Arithmetic;

impl ExprPlanner for Arithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let expr = with_times(with_numbers(expr, schema)?, schema)?;
        let op = match expr.op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide | BinaryOperator::MyIntegerDivide => Operator::Divide,
            BinaryOperator::Modulo => Operator::Modulo,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let types = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let is_number = |ty: &DataType| ty.is_numeric() || ty.is_string() || *ty == DataType::Null;
        if !is_number(&types.0) || !is_number(&types.1) {
            return Ok(PlannerResult::Original(expr));
        }
        let is_double = |ty: &DataType| ty.is_string() || *ty == DataType::Float32;
        let divides = matches!(op, Operator::Divide | Operator::Modulo);
        let is_large = with_large(&expr, &types);
        if !is_double(&types.0) && !is_double(&types.1) && !divides && !is_large {
            return Ok(PlannerResult::Original(widened(expr, &types)));
        }
        if expr.op == BinaryOperator::Divide
            && let Some((left, right)) = as_decimals(&expr.left, &expr.right, &types)
        {
            return Ok(PlannerResult::Planned(decimal_divide(left, right)));
        }
        let as_integer = expr.op == BinaryOperator::MyIntegerDivide;
        let both_integers = is_large || types.0.is_integer() && types.1.is_integer();
        let prepared = |side: Expr, ty: &DataType| {
            let fractions = both_integers && op == Operator::Divide && !as_integer;
            if is_double(ty) || fractions {
                cast(side, DataType::Float64)
            } else if is_large {
                as_large(side, ty)
            } else {
                side
            }
        };
        let (left, mut right) = (prepared(expr.left, &types.0), prepared(expr.right, &types.1));
        if divides && !is_nonzero_literal(&right) {
            right = nullif(right, lit(0));
        }
        let computed = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
        Ok(PlannerResult::Planned(match (is_large, as_integer) {
            (true, _) if op != Operator::Divide || as_integer => large_int(computed),
            (false, true) => cast(computed, DataType::Int64),
            _ => computed,
        }))
    }
}

/// Both sides of `a / b` as DECIMALs, where one is such and the other one is, too, or an integer.
fn as_decimals(left: &Expr, right: &Expr, types: &(DataType, DataType)) -> Option<(Expr, Expr)> {
    let is_decimal = |ty: &DataType| matches!(ty, DataType::Decimal128(..));
    let as_decimal = |side: &Expr, ty: &DataType| match ty {
        DataType::Decimal128(..) | DataType::Decimal256(..) => Some(side.clone()),
        ty if ty.is_signed_integer() => Some(cast(side.clone(), DataType::Decimal128(20, 0))),
        _ => None,
    };
    if !is_decimal(&types.0) && !is_decimal(&types.1) {
        return None;
    }
    as_decimal(left, &types.0).zip(as_decimal(right, &types.1))
}

/// Integers that are not divided are computed as BIGINT: the product of two INTs seldom is an INT.
fn widened(mut expr: RawBinaryExpr, (left, right): &(DataType, DataType)) -> RawBinaryExpr {
    if left.is_signed_integer() && right.is_signed_integer() {
        expr.left = typed(expr.left, left, &DataType::Int64);
        expr.right = typed(expr.right, right, &DataType::Int64);
    }
    expr
}

fn as_large(side: Expr, ty: &DataType) -> Expr {
    let large = arrow_type(SqlType::LargeInt);
    match ty {
        ty if *ty == large => side,
        // A sum has more digits.
        DataType::Decimal256(..) => large_int(side),
        _ => cast(side, large),
    }
}

/// Whether a LARGEINT is computed with one, or with another integer. Literals that BIGINT does not hold are LARGEINT then.
fn with_large(expr: &RawBinaryExpr, (left, right): &(DataType, DataType)) -> bool {
    let is_large = |ty: &DataType| matches!(ty, DataType::Decimal256(_, 0));
    let is_whole = |side: &Expr, ty: &DataType| {
        let is_literal = matches!(side, Expr::Literal(..)) && matches!(ty, DataType::Decimal128(_, 0));
        is_large(ty) || ty.is_integer() || ty.is_null() || is_literal
    };
    (is_large(left) || is_large(right)) && is_whole(&expr.left, left) && is_whole(&expr.right, right)
}

/// A BOOLEAN that is compared or computed with a number, as a number.
fn with_numbers(mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<RawBinaryExpr> {
    use BinaryOperator::{
        Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, MyIntegerDivide, NotEq, Plus,
    };
    let compares = matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq);
    if !compares && !matches!(expr.op, Plus | Minus | Multiply | Divide | Modulo | MyIntegerDivide) {
        return Ok(expr);
    }
    let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
    match (&left, &right) {
        (DataType::Boolean, other) if other.is_numeric() => expr.left = cast(expr.left, DataType::Int8),
        (other, DataType::Boolean) if other.is_numeric() => expr.right = cast(expr.right, DataType::Int8),
        _ => {}
    }
    Ok(expr)
}

/// A DATE to which hours, minutes or seconds are added is a DATETIME, and so is a text to which an interval is added.
fn with_times(mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<RawBinaryExpr> {
    if !matches!(expr.op, BinaryOperator::Plus | BinaryOperator::Minus) {
        return Ok(expr);
    }
    let types = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
    let is_time = |ty: &DataType, interval: &Expr| match ty {
        DataType::Date32 => is_part_of_day(interval),
        ty => ty.is_string(),
    };
    if matches!(types.1, DataType::Interval(_)) && is_time(&types.0, &expr.right) {
        expr.left = cast(expr.left, DATETIME);
    } else if matches!(types.0, DataType::Interval(_)) && is_time(&types.1, &expr.left) {
        expr.right = cast(expr.right, DATETIME);
    }
    Ok(expr)
}

/// Whether `expr` is an interval with a part that is shorter than a day.
fn is_part_of_day(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => interval.nanoseconds != 0,
        Expr::ScalarFunction(call) if call.func.name() == INTERVAL_OF => match call.args.get(1) {
            Some(Expr::Literal(unit, _)) => {
                let unit = unit.try_as_str().flatten().unwrap_or_default();
                !["year", "quarter", "month", "week", "day"].contains(&unit)
            }
            _ => true,
        },
        _ => false,
    }
}

fn is_nonzero_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            !value.is_null()
                && datafusion::scalar::ScalarValue::new_zero(&value.data_type())
                    .is_ok_and(|zero| zero != *value)
        }
        Expr::Cast(cast) => is_nonzero_literal(&cast.expr),
        _ => false,
    }
}

/// StarRocks' type names in `CAST` are our column types, so that a CAST and a column of one name are one type.
#[derive(Debug)]
pub(crate) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &sqlparser::ast::DataType) -> Result<Option<FieldRef>> {
        match cairn_sql::sql_type(sql_type) {
            Ok(ty) => Ok(Some(Arc::new(Field::new("", arrow_type(ty), true)))),
            // Types that only queries have (INTERVAL, arrays…) are DataFusion's.
            Err(_) => Ok(None),
        }
    }
}
