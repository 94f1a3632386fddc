//! StarRocks' functions that DataFusion has under another name or as another expression.

mod aggregates;
mod differences;
mod plain;
mod queries;
mod times;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Ident, ObjectName, ObjectNamePart, UnaryOperator, Value,
};

pub(crate) use queries::{query, select, set_operators};

/// Names that mean the same.
const RENAMED: &[(&str, &str)] = &[
    ("adddate", "date_add"),
    ("any_value", "first_value"),
    ("approx_count_distinct", "approx_distinct"),
    ("ceiling", "ceil"),
    // DataFusion has another function of this name, with other patterns.
    ("date_format", "mysql_date_format"),
    ("dayofmonth", "day"),
    ("group_concat", "string_agg"),
    ("ifnull", "coalesce"),
    ("lcase", "lower"),
    // Of bytes; DataFusion counts characters.
    ("length", "octet_length"),
    ("ndv", "approx_distinct"),
    ("nvl", "coalesce"),
    ("percentile_approx", "approx_percentile_cont"),
    ("pow", "power"),
    ("rand", "random"),
    ("sign", "signum"),
    ("std", "stddev_pop"),
    ("stddev", "stddev_pop"),
    ("stddev_samp", "stddev"),
    ("strleft", "left"),
    ("strright", "right"),
    ("subdate", "date_sub"),
    ("substring_index", "substr_index"),
    ("truncate", "trunc"),
    ("ucase", "upper"),
    ("variance", "var_pop"),
];

/// Functions of a date that are a part of it.
const PARTS: &[(&str, &str)] = &[
    ("day", "day"),
    ("dayofyear", "doy"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("month", "month"),
    ("quarter", "quarter"),
    ("second", "second"),
    ("week_iso", "week"),
    ("weekofyear", "week"),
    ("year", "year"),
];

/// Replaces `expr`, whose parts are replaced already, when it is such a function. Names are in lower case.
pub(crate) fn rewrite(expr: &mut Expr) {
    // `1e300` is a DOUBLE; plain `0.5` is a DECIMAL.
    if let Expr::Value(value) = expr
        && let Value::Number(digits, _) = &value.value
        && digits.contains(['e', 'E'])
    {
        *expr = cast(text(digits), DataType::Double(sqlparser::ast::ExactNumberInfo::None));
        return;
    }
    if let Expr::Interval(interval) = expr {
        quote_amount(interval);
        months_of_quarters(interval);
        if let Some(computed) = differences::interval(interval) {
            *expr = computed;
        }
        return;
    }
    if let Some(other) = regular_expression(expr).or_else(|| differences::substring(expr)) {
        *expr = other;
        return;
    }
    if let Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: inner } = expr {
        *expr = plain::bit_not(inner);
        return;
    }
    if matches!(expr, Expr::BinaryOp { .. } | Expr::UnaryOp { .. }) {
        queries::conditions(expr);
        return;
    }
    let Expr::Function(function) = expr else { return };
    match simple_name(function) {
        Some("group_concat") => separate(function),
        Some("time_slice" | "date_slice") => quote_boundary(function),
        _ => aggregates::rewrite(function),
    }
    if let Some(name) = any_name(function)
        && let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == name)
    {
        set_name(function, new);
    }
    if aggregates::is_unsigned(function) {
        *expr = cast(expr.clone(), DataType::BigInt(None));
        return;
    }
    let Some(name) = simple_name(function).map(str::to_owned) else { return };
    if let Some(new) = arguments(function).and_then(|args| as_expression(&name, args)) {
        *expr = new;
    }
}

/// `group_concat(x ORDER BY y SEPARATOR ';')`: the separator, a comma where none is given, becomes the second argument.
fn separate(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut separator = None;
    list.clauses.retain(|clause| match clause {
        FunctionArgumentClause::Separator(value) => {
            separator = Some(Expr::Value(value.clone()));
            false
        }
        _ => true,
    });
    if list.args.len() == 1 {
        let separator = separator.unwrap_or_else(|| text(","));
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(separator)));
    }
}

/// `INTERVAL 2 QUARTER` is one of 6 months.
fn months_of_quarters(interval: &mut sqlparser::ast::Interval) {
    use sqlparser::ast::DateTimeField;
    let Expr::Value(value) = interval.value.as_ref() else { return };
    let Value::SingleQuotedString(digits) = &value.value else { return };
    if let (Some(DateTimeField::Quarter), Ok(quarters)) = (&interval.leading_field, digits.parse::<i32>()) {
        *interval.value = text(&(i64::from(quarters) * 3).to_string());
        interval.leading_field = Some(DateTimeField::Month);
    }
}

/// `RANGE BETWEEN INTERVAL 1 DAY PRECEDING …` is planned with quotes only.
fn quote_amount(interval: &mut sqlparser::ast::Interval) {
    let number = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Some(digits.clone()),
            _ => None,
        },
        _ => None,
    };
    let quoted = match interval.value.as_ref() {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => number(expr).map(|digits| format!("-{digits}")),
        value => number(value),
    };
    if let Some(digits) = quoted {
        *interval.value = text(&digits);
    }
}

/// `time_slice(t, INTERVAL 1 DAY, CEIL)`: the third argument is a word.
fn quote_boundary(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(boundary))) = list.args.get_mut(2)
        && let Expr::Identifier(word) = boundary
        && ["floor", "ceil"].iter().any(|known| word.value.eq_ignore_ascii_case(known))
    {
        *boundary = text(&word.value);
    }
}

/// `x REGEXP pattern`, `x RLIKE pattern`.
fn regular_expression(expr: &Expr) -> Option<Expr> {
    let Expr::RLike { negated, expr, pattern, .. } = expr else { return None };
    let matched = call("regexp_like", vec![(**expr).clone(), (**pattern).clone()]);
    Some(match negated {
        true => Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Not, expr: Box::new(matched) },
        false => matched,
    })
}

/// Another expression for `name(args)`.
fn as_expression(name: &str, args: Vec<Expr>) -> Option<Expr> {
    let others = [plain::as_expression, differences::as_expression, times::as_expression];
    if let Some(other) = others.iter().find_map(|of| of(name, &args)) {
        return Some(other);
    }
    if let Some((_, part)) = PARTS.iter().find(|(function, _)| *function == name) {
        let [date] = <[Expr; 1]>::try_from(args).ok()?;
        return Some(call("date_part", vec![text(part), as_time(date)]));
    }
    match (name, <[Expr; 3]>::try_from(args)) {
        ("if", Ok([condition, then, otherwise])) => Some(case(condition, then, otherwise)),
        (_, Ok(_)) => None,
        (_, Err(args)) => few_arguments(name, args),
    }
}

fn few_arguments(name: &str, args: Vec<Expr>) -> Option<Expr> {
    match (name, args.len()) {
        ("now" | "current_timestamp" | "localtime" | "localtimestamp" | "sysdate", 0 | 1) => {
            Some(cast(call("now", Vec::new()), DataType::Datetime(None)))
        }
        ("curdate" | "current_date", 0) => Some(cast(call("now", Vec::new()), DataType::Date)),
        ("utc_timestamp", 0) => Some(cast(call("now", Vec::new()), DataType::Datetime(None))),
        ("date" | "to_date", 1) => Some(cast(args.into_iter().next()?, DataType::Date)),
        ("date_add" | "days_add" | "date_sub" | "days_sub", 2) => {
            let [date, amount] = <[Expr; 2]>::try_from(args).ok()?;
            let op = if name.ends_with("add") { BinaryOperator::Plus } else { BinaryOperator::Minus };
            Some(binary(as_time(date), op, as_interval(amount)))
        }
        ("mysql_date_format", 2) => {
            let [time, pattern] = <[Expr; 2]>::try_from(args).ok()?;
            let args = vec![cast(time, DataType::Datetime(None)), cast(pattern, DataType::Varchar(None))];
            Some(call("mysql_date_format", args))
        }
        ("datediff", 2) => {
            let [to, from] = <[Expr; 2]>::try_from(args).ok()?;
            // A CAST would give numbers as 20240131.
            let day = |e| call("arrow_cast", vec![cast(e, DataType::Date), text("Int32")]);
            Some(binary(day(to), BinaryOperator::Minus, day(from)))
        }
        ("dayofweek", 1) => {
            let date = as_time(args.into_iter().next()?);
            Some(binary(call("date_part", vec![text("dow"), date]), BinaryOperator::Plus, number("1")))
        }
        _ => None,
    }
}

/// A plain number of days is an interval; an INTERVAL stays.
fn as_interval(amount: Expr) -> Expr {
    let is_interval = |e: &Expr| match e {
        Expr::Function(function) => simple_name(function) == Some(crate::functions::INTERVAL_OF),
        other => matches!(other, Expr::Interval(_)),
    };
    match amount {
        amount if is_interval(&amount) => amount,
        days => differences::interval_of(days, "day"),
    }
}

/// Text literals that stand where a time is wanted.
fn as_time(expr: Expr) -> Expr {
    match &expr {
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => {
            cast(expr, DataType::Datetime(None))
        }
        _ => expr,
    }
}

/// The name of a function, over a window or not.
fn any_name(function: &Function) -> Option<&str> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(&name.value),
        _ => None,
    }
}

fn simple_name(function: &Function) -> Option<&str> {
    any_name(function).filter(|_| function.over.is_none())
}

fn set_name(function: &mut Function, name: &str) {
    function.name = ObjectName::from(vec![Ident::new(name)]);
}

/// The arguments, when they are plain expressions.
fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let list = match &function.args {
        FunctionArguments::None => return Some(Vec::new()),
        FunctionArguments::List(list) => list,
        FunctionArguments::Subquery(_) => return None,
    };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(plain).collect()
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(sqlparser::ast::FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn case(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    cases(vec![(condition, then)], otherwise)
}

fn cases(conditions: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    let when = |(condition, result)| CaseWhen { condition, result };
    Expr::Case {
        case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: conditions.into_iter().map(when).collect(),
        else_result: Some(Box::new(otherwise)),
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_empty_span())
}

fn boolean(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).with_empty_span())
}

fn number(value: &str) -> Expr {
    Expr::Value(Value::Number(value.to_owned(), false).with_empty_span())
}
