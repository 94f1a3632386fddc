//! Functions of times that DataFusion has as other expressions.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Value};

use super::differences::interval_of;
use super::{as_time, binary, call, case, cast, number, text};
use crate::functions::TIMESTAMP_DIFF;

/// Days from year 0 to 1970-01-01.
const DAYS_TO_1970: &str = "719528";

/// What `name(args)` is; `None`: no function of this kind.
pub(super) fn as_expression(name: &str, args: &[Expr]) -> Option<Expr> {
    if let (Some((unit, op)), [time, count]) = (shift(name), args) {
        return Some(binary(as_time(time.clone()), op, interval_of(count.clone(), unit)));
    }
    if let (Some(unit), [to, from]) = (difference(name), args) {
        return Some(between(unit, from, to));
    }
    Some(match (name, args) {
        ("timestampdiff", [unit, from, to]) => between(&word(unit)?, from, to),
        ("date_diff", [unit, to, from]) => between(&word(unit)?, from, to),
        ("timestampadd", [unit, count, time]) => {
            let interval = interval_of(count.clone(), &word(unit)?);
            binary(datetime(time), BinaryOperator::Plus, interval)
        }
        ("timestamp", [time]) => datetime(time),
        ("unix_timestamp", []) => seconds(call("now", Vec::new())),
        ("unix_timestamp", [time]) => seconds(datetime(time)),
        ("unix_timestamp", [value, pattern]) => seconds(parsed(value, pattern)),
        ("str_to_date", [value, pattern]) => parsed(value, pattern),
        ("str2date", [value, pattern]) => cast(parsed(value, pattern), DataType::Date),
        ("last_day", [date]) => last_day(date, "month"),
        ("last_day", [date, unit]) => last_day(date, &word(unit)?),
        ("dayname", [time]) => formatted(time, "%W"),
        ("monthname", [time]) => formatted(time, "%M"),
        ("week", [time]) => cast(formatted(time, "%U"), DataType::Int(None)),
        ("weekday", [time]) => {
            let from_sunday = call("date_part", vec![text("dow"), as_time(time.clone())]);
            let from_monday = binary(from_sunday, BinaryOperator::Plus, number("6"));
            binary(from_monday, BinaryOperator::Modulo, number("7"))
        }
        ("dayofweek_iso", [time]) => call("date_part", vec![text("isodow"), as_time(time.clone())]),
        ("microsecond", [time]) => {
            let micros = call("date_part", vec![text("microsecond"), datetime(time)]);
            binary(cast(micros, DataType::BigInt(None)), BinaryOperator::Modulo, number("1000000"))
        }
        ("to_days", [date]) => binary(day_number(date), BinaryOperator::Plus, number(DAYS_TO_1970)),
        ("from_days", [days]) => {
            let since_1970 = binary(days.clone(), BinaryOperator::Minus, number(DAYS_TO_1970));
            plus_days(cast(text("1970-01-01"), DataType::Date), since_1970)
        }
        ("makedate", [year, day]) => {
            let digits =
                call("lpad", vec![cast(year.clone(), DataType::String(None)), number("4"), text("0")]);
            let first = call("concat", vec![digits, text("-01-01")]);
            let after = binary(day.clone(), BinaryOperator::Minus, number("1"));
            let date = plus_days(cast(first, DataType::Date), after);
            let same_year =
                binary(call("date_part", vec![text("year"), date.clone()]), BinaryOperator::Eq, year.clone());
            let counts = binary(day.clone(), BinaryOperator::GtEq, number("1"));
            let null = Expr::Value(Value::Null.with_empty_span());
            case(binary(counts, BinaryOperator::And, same_year), date, null)
        }
        _ => return None,
    })
}

/// `hours_add`, `months_sub` and the like.
fn shift(name: &str) -> Option<(&str, BinaryOperator)> {
    let (units, op) = match (name.strip_suffix("_add"), name.strip_suffix("_sub")) {
        _ if name == "add_months" => ("months", BinaryOperator::Plus),
        (Some(units), _) => (units, BinaryOperator::Plus),
        (_, Some(units)) => (units, BinaryOperator::Minus),
        _ => return None,
    };
    Some((one_of(units)?, op))
}

/// `hours_diff` and the like.
fn difference(name: &str) -> Option<&str> {
    one_of(name.strip_suffix("_diff")?)
}

fn one_of(units: &str) -> Option<&str> {
    const UNITS: [&str; 10] =
        ["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"];
    let unit = units.strip_suffix('s')?;
    UNITS.contains(&unit).then_some(unit)
}

/// A unit, as a word or a text.
fn word(unit: &Expr) -> Option<String> {
    match unit {
        Expr::Identifier(word) => Some(word.value.to_lowercase()),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(word) => Some(word.to_lowercase()),
            _ => None,
        },
        _ => None,
    }
}

fn between(unit: &str, from: &Expr, to: &Expr) -> Expr {
    call(TIMESTAMP_DIFF, vec![text(unit), datetime(from), datetime(to)])
}

fn datetime(time: &Expr) -> Expr {
    cast(time.clone(), DataType::Datetime(None))
}

fn seconds(time: Expr) -> Expr {
    cast(call("date_part", vec![text("epoch"), time]), DataType::BigInt(None))
}

fn parsed(value: &Expr, pattern: &Expr) -> Expr {
    let texts = [value, pattern].map(|e| cast(e.clone(), DataType::Varchar(None)));
    call("str_to_date", texts.to_vec())
}

fn formatted(time: &Expr, pattern: &str) -> Expr {
    call("mysql_date_format", vec![datetime(time), cast(text(pattern), DataType::Varchar(None))])
}

fn last_day(date: &Expr, unit: &str) -> Expr {
    let first = call("date_trunc", vec![text(unit), cast(date.clone(), DataType::Date)]);
    let next = binary(first, BinaryOperator::Plus, interval_of(number("1"), unit));
    cast(binary(next, BinaryOperator::Minus, interval_of(number("1"), "day")), DataType::Date)
}

/// A CAST would give a number as 20240131.
fn day_number(date: &Expr) -> Expr {
    call("arrow_cast", vec![cast(date.clone(), DataType::Date), text("Int32")])
}

fn plus_days(date: Expr, days: Expr) -> Expr {
    cast(binary(date, BinaryOperator::Plus, interval_of(days, "day")), DataType::Date)
}
