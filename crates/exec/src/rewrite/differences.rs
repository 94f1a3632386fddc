//! Functions that DataFusion has under the same name and with another answer.

use sqlparser::ast::{BinaryOperator, DataType, Expr, UnaryOperator, Value};

use super::{binary, call, case, cast, number, text};

/// What `name(args)` means here; `None`: what it means there.
pub(super) fn as_expression(name: &str, args: &[Expr]) -> Option<Expr> {
    Some(match (name, args) {
        // With a NULL there is no text, and no greatest value.
        ("concat", [first, rest @ ..]) => rest
            .iter()
            .fold(as_text(first), |all, next| binary(all, BinaryOperator::StringConcat, as_text(next))),
        ("greatest" | "least", [first, rest @ ..]) if !rest.is_empty() => {
            let is_null = |e: &Expr| Expr::IsNull(Box::new(e.clone()));
            let any = rest.iter().fold(is_null(first), |any, e| binary(any, BinaryOperator::Or, is_null(e)));
            case(any, Expr::Value(Value::Null.with_empty_span()), call(name, args.to_vec()))
        }
        ("mod", [x, y]) => binary(x.clone(), BinaryOperator::Modulo, y.clone()),
        ("isnull", [x]) => Expr::Nested(Box::new(Expr::IsNull(Box::new(x.clone())))),
        ("isnotnull", [x]) => Expr::Nested(Box::new(Expr::IsNotNull(Box::new(x.clone())))),
        ("locate", [part, whole]) => call("strpos", vec![whole.clone(), part.clone()]),
        ("regexp_replace", [x, pattern, new]) => {
            call(name, vec![x.clone(), pattern.clone(), new.clone(), text("g")])
        }
        ("from_unixtime", [x, pattern]) => {
            let time = cast(call(name, vec![x.clone()]), DataType::Datetime(None));
            call("mysql_date_format", vec![time, cast(pattern.clone(), DataType::Varchar(None))])
        }
        ("left" | "right", [x, count]) if !is_natural(count) => {
            let none = binary(count.clone(), BinaryOperator::Lt, number("0"));
            call(name, vec![x.clone(), case(none, number("0"), count.clone())])
        }
        ("substr" | "substring" | "mid", [x, from, rest @ ..]) if rest.len() <= 1 => part(x, from, rest),
        _ => return None,
    })
}

/// `SUBSTRING`, which is syntax of its own.
pub(super) fn substring(expr: &Expr) -> Option<Expr> {
    let Expr::Substring { expr, substring_from: Some(from), substring_for, .. } = expr else { return None };
    let rest: Vec<Expr> = substring_for.iter().map(|e| (**e).clone()).collect();
    Some(part(expr, from, &rest))
}

/// `substr(x, from, rest)`: from the end where `from` is negative, nothing where it is 0.
fn part(x: &Expr, from: &Expr, rest: &[Expr]) -> Expr {
    let of = |from: Expr| call("substr", [x.clone(), from].into_iter().chain(rest.iter().cloned()).collect());
    if is_natural(from) && !is_zero(from) {
        return of(from.clone());
    }
    let length = call("character_length", vec![x.clone()]);
    // The last character is at -1.
    let counted =
        binary(binary(length, BinaryOperator::Plus, from.clone()), BinaryOperator::Plus, number("1"));
    let is_outside = binary(
        binary(from.clone(), BinaryOperator::Eq, number("0")),
        BinaryOperator::Or,
        binary(counted.clone(), BinaryOperator::Lt, number("1")),
    );
    let from_end = case(is_outside, text(""), of(counted));
    case(binary(from.clone(), BinaryOperator::Gt, number("0")), of(from.clone()), from_end)
}

fn as_text(expr: &Expr) -> Expr {
    cast(expr.clone(), DataType::String(None))
}

/// Whether `expr` is a number without a sign.
fn is_natural(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

fn is_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits == "0"))
}

/// An INTERVAL of what is no literal.
pub(super) fn interval(interval: &sqlparser::ast::Interval) -> Option<Expr> {
    let is_literal = |e: &Expr| match e {
        Expr::Value(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            matches!(**expr, Expr::Value(_))
        }
        _ => false,
    };
    if is_literal(&interval.value) {
        return None;
    }
    let unit = interval.leading_field.as_ref()?.to_string().to_lowercase();
    Some(interval_of((*interval.value).clone(), &unit))
}

pub(super) fn interval_of(amount: Expr, unit: &str) -> Expr {
    call(crate::functions::INTERVAL_OF, vec![cast(amount, DataType::BigInt(None)), text(unit)])
}
