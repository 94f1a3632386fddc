//! The type in which values of different types are compared. DataFusion would compare DOUBLEs as decimals of 15 digits, end
//! a query for a text that is no number, and know no time after 2262.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use cairn_types::limits::DECIMAL_PRECISION_MAX;
use cairn_types::value::{MICROS_PER_DAY, parse_date, parse_datetime};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator};
use datafusion::scalar::ScalarValue;

use crate::lenient::lenient;
use crate::sql_types::DATETIME;

/// `expr`, when it compares values of different types, with casts to the one in which they are compared.
pub(crate) fn comparable(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Some(ty) = operands(&expr).and_then(|operands| common(&operands, schema)) else {
        return Transformed::no(expr);
    };
    let of = |operand: Box<Expr>| Box::new(as_type(*operand, &ty, schema));
    Transformed::yes(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Expr::BinaryExpr(BinaryExpr { left: of(left), op, right: of(right) })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            Expr::Between(Between { expr: of(expr), negated, low: of(low), high: of(high) })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.into_iter().map(|e| as_type(e, &ty, schema)).collect();
            Expr::InList(InList { expr: of(expr), list, negated })
        }
        other => other,
    })
}

/// `expr`, when it gives one of several values of different types, with casts to the one that it has.
pub(crate) fn one_type(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (expr, is_searched) = match expr {
        Expr::Case(case) if case.expr.is_some() => {
            let case = searched(case, schema);
            let is_searched = case.expr.is_none();
            (Expr::Case(case), is_searched)
        }
        other => (other, false),
    };
    let Some(ty) = alternatives(&expr).and_then(|values| {
        let types: Result<Vec<_>, _> = values.iter().map(|e| e.get_type(schema)).collect();
        value_type(&types.ok()?)
    }) else {
        return Transformed::new_transformed(expr, is_searched);
    };
    let of = |value: Expr| as_type(value, &ty, schema);
    Transformed::yes(match expr {
        Expr::Case(mut case) => {
            let then = case.when_then_expr.into_iter().map(|(when, then)| (when, Box::new(of(*then))));
            case.when_then_expr = then.collect();
            case.else_expr = case.else_expr.map(|value| Box::new(of(*value)));
            Expr::Case(case)
        }
        Expr::ScalarFunction(mut call) => {
            call.args = call.args.into_iter().map(of).collect();
            Expr::ScalarFunction(call)
        }
        other => other,
    })
}

/// `CASE x WHEN v …` whose `x` and `v` have different types compares them as `x = v` does.
fn searched(mut case: Case, schema: &DFSchema) -> Case {
    let Some(operand) = case.expr.clone() else { return case };
    let compared: Vec<&Expr> =
        std::iter::once(&*operand).chain(case.when_then_expr.iter().map(|(when, _)| &**when)).collect();
    if common(&compared, schema).is_none() {
        return case;
    }
    case.expr = None;
    let condition = |(when, then): (Box<Expr>, Box<Expr>)| {
        let equal = BinaryExpr::new(operand.clone(), Operator::Eq, when);
        (Box::new(comparable(Expr::BinaryExpr(equal), schema).data), then)
    };
    case.when_then_expr = case.when_then_expr.into_iter().map(condition).collect();
    case
}

/// The values of which `expr` gives one.
fn alternatives(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::Case(case) => {
            let then = case.when_then_expr.iter().map(|(_, then)| &**then);
            Some(then.chain(case.else_expr.as_deref()).collect())
        }
        Expr::ScalarFunction(call) if matches!(call.name(), "coalesce" | "greatest" | "least") => {
            Some(call.args.iter().collect())
        }
        _ => None,
    }
}

/// The type of a column whose values have these types; `None`: DataFusion's choice is right. Beside texts all are texts.
pub(crate) fn value_type(types: &[DataType]) -> Option<DataType> {
    let any = |is: fn(&DataType) -> bool| types.iter().any(is);
    let all = |is: fn(&DataType) -> bool| types.iter().all(|ty| is(ty) || ty.is_null());
    let is_text = any(DataType::is_string) && !all(DataType::is_string);
    let is_time_beside_other = any(is_time) && !all(is_time);
    if is_text || is_time_beside_other {
        Some(DataType::Utf8View)
    } else if any(is_boolean) && !all(is_boolean) {
        number_type(types)
    } else if any(is_time) && all(is_time) && !all(|ty| *ty == DataType::Date32) && !all(|ty| *ty == DATETIME)
    {
        Some(DATETIME)
    } else if any(DataType::is_floating) && any(is_decimal) && all(DataType::is_numeric) {
        Some(DataType::Float64)
    } else if any(is_large) && any(|ty| matches!(ty, DataType::Decimal128(..))) && all(DataType::is_numeric) {
        let scale = types.iter().map(|ty| if let DataType::Decimal128(_, scale) = ty { *scale } else { 0 });
        Some(DataType::Decimal128(DECIMAL_PRECISION_MAX, scale.max().unwrap_or(0)))
    } else {
        None
    }
}

/// The type of numbers beside which BOOLEANs stand.
fn number_type(types: &[DataType]) -> Option<DataType> {
    let numbers: Vec<DataType> = types
        .iter()
        .filter(|ty| !ty.is_null())
        .map(|ty| if *ty == DataType::Boolean { DataType::Int8 } else { ty.clone() })
        .collect();
    if !numbers.iter().all(DataType::is_numeric) {
        return None;
    }
    let widest =
        numbers.iter().find(|ty| ty.is_floating()).or_else(|| numbers.iter().find(|ty| is_decimal(ty)));
    Some(match widest {
        Some(ty) if ty.is_floating() => DataType::Float64,
        Some(ty) => ty.clone(),
        None => DataType::Int64,
    })
}

fn is_boolean(ty: &DataType) -> bool {
    *ty == DataType::Boolean
}

fn is_large(ty: &DataType) -> bool {
    matches!(ty, DataType::Decimal256(_, 0))
}

/// What `expr` compares with each other.
fn operands(expr: &Expr) -> Option<Vec<&Expr>> {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    match expr {
        Expr::BinaryExpr(e)
            if matches!(e.op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom) =>
        {
            Some(vec![&e.left, &e.right])
        }
        Expr::Between(e) => Some(vec![&e.expr, &e.low, &e.high]),
        Expr::InList(e) => Some(std::iter::once(&*e.expr).chain(&e.list).collect()),
        _ => None,
    }
}

/// The type to compare `operands` in; `None`: DataFusion's choice is right.
fn common(operands: &[&Expr], schema: &DFSchema) -> Option<DataType> {
    let types: Vec<DataType> = operands.iter().map(|e| e.get_type(schema)).collect::<Result<_, _>>().ok()?;
    let any = |is: fn(&DataType) -> bool| types.iter().any(is);
    let has_text = any(DataType::is_string);
    if any(is_time) && types.iter().all(|ty| is_time(ty) || ty.is_string() || ty.is_null()) {
        return common_time(operands, &types);
    }
    if !types.iter().all(|ty| ty.is_numeric() || ty.is_string() || ty.is_null()) {
        return None;
    }
    let with_decimals = any(DataType::is_floating) && any(is_decimal);
    let with_text = has_text && any(DataType::is_numeric) && !are_such_numbers(operands, &types);
    (with_decimals || with_text).then_some(DataType::Float64)
}

fn is_time(ty: &DataType) -> bool {
    *ty == DataType::Date32 || *ty == DATETIME
}

fn is_decimal(ty: &DataType) -> bool {
    matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..))
}

/// DATEs among themselves stay so; with a DATETIME, or a text that has a time of day, all are DATETIMEs.
fn common_time(operands: &[&Expr], types: &[DataType]) -> Option<DataType> {
    let mut ty = if types.contains(&DATETIME) { DATETIME } else { DataType::Date32 };
    for (operand, _) in operands.iter().zip(types).filter(|(_, ty)| ty.is_string()) {
        // An error names what is no time.
        let is_date = match literal(operand) {
            Some(text) => parse_datetime(text)?.rem_euclid(MICROS_PER_DAY) == 0,
            None => false,
        };
        if !is_date {
            ty = DATETIME;
        }
    }
    types.iter().any(|own| *own != ty && !own.is_null()).then_some(ty)
}

/// Whether each text is a literal, and of the kind of the numbers beside it: `'12'` beside INTs, `'1.5'` beside DECIMALs.
fn are_such_numbers(operands: &[&Expr], types: &[DataType]) -> bool {
    let fits = |text: &str| {
        types.iter().filter(|ty| ty.is_numeric()).all(|ty| match ty {
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
                let places = text.split_once('.').map_or(0, |(_, places)| places.len());
                text.parse::<f64>().is_ok()
                    && !text.contains(['e', 'E'])
                    && places <= usize::from(scale.unsigned_abs())
            }
            ty if ty.is_floating() => text.parse::<f64>().is_ok(),
            _ => text.parse::<i64>().is_ok(),
        })
    };
    let is_literal_number = |ty: &DataType, e: &Expr| is_decimal(ty) && matches!(e, Expr::Literal(..));
    // A literal has no more digits than it shows.
    !operands.iter().zip(types).any(|(e, ty)| is_literal_number(ty, e))
        && operands
            .iter()
            .zip(types)
            .filter(|(_, ty)| ty.is_string())
            .all(|(operand, _)| literal(operand).is_some_and(fits))
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

pub(crate) fn as_type(operand: Expr, ty: &DataType, schema: &DFSchema) -> Expr {
    if let Some(text) = literal(&operand) {
        let time = match ty {
            DataType::Date32 => Some(ScalarValue::Date32(parse_date(text))),
            ty if *ty == DATETIME => Some(ScalarValue::TimestampMicrosecond(parse_datetime(text), None)),
            _ => None,
        };
        if let Some(time) = time {
            return Expr::Literal(time, None);
        }
    }
    match operand.get_type(schema) {
        Ok(own) if own == *ty => operand,
        _ => {
            let field = Arc::new(Field::new("", ty.clone(), true));
            let cast = Expr::Cast(Cast { expr: Box::new(operand), field });
            lenient(cast, schema).data
        }
    }
}
