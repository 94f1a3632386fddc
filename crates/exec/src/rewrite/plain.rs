//! Functions of numbers and texts that DataFusion has as other expressions.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Value};

use super::{binary, call, case, cases, cast, number, text};

/// What `name(args)` is; `None`: no function of this kind.
pub(super) fn as_expression(name: &str, args: &[Expr]) -> Option<Expr> {
    of_numbers(name, args).or_else(|| of_texts(name, args))
}

fn of_numbers(name: &str, args: &[Expr]) -> Option<Expr> {
    Some(match (name, args) {
        ("bitand", [a, b]) => binary(a.clone(), BinaryOperator::BitwiseAnd, b.clone()),
        ("bitor", [a, b]) => binary(a.clone(), BinaryOperator::BitwiseOr, b.clone()),
        ("bitxor", [a, b]) => binary(a.clone(), BinaryOperator::BitwiseXor, b.clone()),
        ("bitnot", [a]) => bit_not(a),
        ("bit_shift_left", [a, b]) => binary(a.clone(), BinaryOperator::PGBitwiseShiftLeft, b.clone()),
        ("bit_shift_right", [a, b]) => binary(a.clone(), BinaryOperator::PGBitwiseShiftRight, b.clone()),
        ("e", []) => call("exp", vec![number("1")]),
        ("square", [x]) => {
            let x = cast(x.clone(), DataType::Double(sqlparser::ast::ExactNumberInfo::None));
            binary(x.clone(), BinaryOperator::Multiply, x)
        }
        ("positive", [x]) => x.clone(),
        ("negative", [x]) => binary(number("0"), BinaryOperator::Minus, x.clone()),
        ("fmod", [x, y]) => binary(x.clone(), BinaryOperator::Modulo, y.clone()),
        ("pmod", [x, y]) => {
            let rest = binary(x.clone(), BinaryOperator::Modulo, y.clone());
            let raised = binary(rest, BinaryOperator::Plus, y.clone());
            binary(raised, BinaryOperator::Modulo, y.clone())
        }
        // Where there is no number the answer is NULL.
        ("sqrt" | "dsqrt", [x]) => call("sqrt", vec![where_it(x, BinaryOperator::GtEq)]),
        ("ln" | "dlog1" | "log", [x]) => call("ln", vec![where_it(x, BinaryOperator::Gt)]),
        ("log2", [x]) => call("log2", vec![where_it(x, BinaryOperator::Gt)]),
        ("log10" | "dlog10", [x]) => call("log10", vec![where_it(x, BinaryOperator::Gt)]),
        ("log", [base, x]) => {
            let is_base = binary(base.clone(), BinaryOperator::NotEq, number("1"));
            let both = [where_it(base, BinaryOperator::Gt), where_it(x, BinaryOperator::Gt)];
            case(is_base, call("log", both.to_vec()), null())
        }
        ("power", [x, y]) => {
            let none = binary(
                binary(x.clone(), BinaryOperator::Eq, number("0")),
                BinaryOperator::And,
                binary(y.clone(), BinaryOperator::Lt, number("0")),
            );
            let double = |e: &Expr| cast(e.clone(), DataType::Double(sqlparser::ast::ExactNumberInfo::None));
            case(none, null(), call("power", vec![double(x), double(y)]))
        }
        ("count_if", [condition]) => call("count", vec![case(condition.clone(), number("1"), null())]),
        _ => return None,
    })
}

/// `~x` is `-x - 1`.
pub(super) fn bit_not(x: &Expr) -> Expr {
    let negative = binary(number("0"), BinaryOperator::Minus, x.clone());
    binary(negative, BinaryOperator::Minus, number("1"))
}

/// `x`, where it compares so with 0, else NULL.
fn where_it(x: &Expr, op: BinaryOperator) -> Expr {
    match x {
        // Of a literal it is known.
        Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits != "0") => x.clone(),
        x => case(binary(x.clone(), op, number("0")), x.clone(), null()),
    }
}

fn of_texts(name: &str, args: &[Expr]) -> Option<Expr> {
    let equal = |a: &Expr, b: &Expr| binary(a.clone(), BinaryOperator::Eq, b.clone());
    Some(match (name, args) {
        // DataFusion knows no type for a text beside a time, nor for a number beside a BOOLEAN.
        ("coalesce", [first @ .., last]) if !first.is_empty() && args.iter().any(is_literal) => {
            let known = |value: &Expr| (Expr::IsNotNull(Box::new(value.clone())), value.clone());
            cases(first.iter().map(known).collect(), last.clone())
        }
        // Of the type of its first argument.
        ("nullif", [x, other]) => case(equal(x, other), null(), x.clone()),
        ("space", [count]) => call("repeat", vec![text(" "), count.clone()]),
        ("char", [code]) => call("chr", vec![code.clone()]),
        ("unhex", [digits]) => call("unhex", vec![cast(digits.clone(), DataType::Varchar(None))]),
        ("sha2", [x, Expr::Value(bits)]) => {
            let Value::Number(bits, _) = &bits.value else { return None };
            call("encode", vec![call(&format!("sha{bits}"), vec![x.clone()]), text("hex")])
        }
        ("null_or_empty", [x]) => {
            let is_null = Expr::IsNull(Box::new(x.clone()));
            binary(is_null, BinaryOperator::Or, equal(x, &text("")))
        }
        ("strcmp", [a, b]) => {
            let after = case(binary(a.clone(), BinaryOperator::Gt, b.clone()), number("1"), null());
            let before = binary(number("0"), BinaryOperator::Minus, number("1"));
            let before = case(binary(a.clone(), BinaryOperator::Lt, b.clone()), before, after);
            case(equal(a, b), number("0"), before)
        }
        ("field", [x, choices @ ..]) if !choices.is_empty() => {
            let at = |(at, choice): (usize, &Expr)| (equal(x, choice), number(&(at + 1).to_string()));
            cases(choices.iter().enumerate().map(at).collect(), number("0"))
        }
        ("elt", [n, choices @ ..]) if !choices.is_empty() => {
            let at =
                |(at, choice): (usize, &Expr)| (equal(n, &number(&(at + 1).to_string())), choice.clone());
            cases(choices.iter().enumerate().map(at).collect(), null())
        }
        ("regexp_extract", [x, pattern, group]) => {
            // The whole match is one group more.
            let whole = call("concat", vec![text("("), pattern.clone(), text(")")]);
            let groups = call("regexp_match", vec![x.clone(), whole]);
            let at = binary(group.clone(), BinaryOperator::Plus, number("1"));
            let found = call("coalesce", vec![call("array_element", vec![groups, at]), text("")]);
            case(Expr::IsNull(Box::new(x.clone())), null(), found)
        }
        _ => return None,
    })
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(_))
}

fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}
