//! The text of a condition.

use cairn_catalog::{Partitioning, TimeUnit};
use cairn_types::{Error, Literal, Result, Schema, SqlType};
use chrono::{DateTime, NaiveDateTime};
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval, Value,
};

use super::{Op, PROPERTY, Point, Term, Test};
use crate::time::{Slicer, micros};

pub(super) fn read(text: &str, schema: &Schema, partitioning: &Partitioning, now_ms: u64) -> Result<Test> {
    let in_condition = |e: Error| e.context(format_args!("property {PROPERTY} ({text})"));
    let expr = cairn_sql::parse_expression(text).map_err(in_condition)?;
    let now = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis);
    let now = now.ok_or_else(|| Error::internal("the clock is out of range"))?.naive_utc();
    Reader { schema, columns: partitioning.columns(), now }.test(&expr).map_err(in_condition)
}

struct Reader<'a> {
    schema: &'a Schema,
    /// The positions of the partition columns.
    columns: &'a [usize],
    now: NaiveDateTime,
}

impl Reader<'_> {
    fn test(&self, expr: &Expr) -> Result<Test> {
        match expr {
            Expr::Nested(inner) => self.test(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                Ok(Test::All(vec![self.test(left)?, self.test(right)?]))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                Ok(Test::Any(vec![self.test(left)?, self.test(right)?]))
            }
            Expr::BinaryOp { left, op, right } => self.comparison(left, op, right),
            Expr::Between { expr, negated: false, low, high } => Ok(Test::All(vec![
                self.compare(expr, Op::GreaterOrEqual, low)?,
                self.compare(expr, Op::LessOrEqual, high)?,
            ])),
            Expr::InList { expr, list, negated: false } => {
                let tests = list.iter().map(|value| self.compare(expr, Op::Equal, value));
                Ok(Test::Any(tests.collect::<Result<_>>()?))
            }
            Expr::IsNull(expr) => Ok(Test::IsNull { term: self.term(expr)?.0, wanted: true }),
            Expr::IsNotNull(expr) => Ok(Test::IsNull { term: self.term(expr)?.0, wanted: false }),
            other => Err(unsupported(other)),
        }
    }

    fn comparison(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Test> {
        let (op, mirrored) = match op {
            BinaryOperator::Lt => (Op::Less, Op::Greater),
            BinaryOperator::LtEq => (Op::LessOrEqual, Op::GreaterOrEqual),
            BinaryOperator::Eq => (Op::Equal, Op::Equal),
            BinaryOperator::NotEq => (Op::NotEqual, Op::NotEqual),
            BinaryOperator::GtEq => (Op::GreaterOrEqual, Op::LessOrEqual),
            BinaryOperator::Gt => (Op::Greater, Op::Less),
            _ => return Err(Error::unsupported(format!("{left} {op} {right} is not supported"))),
        };
        match self.term(left) {
            Ok(_) => self.compare(left, op, right),
            Err(error) if self.term(right).is_err() => Err(error),
            Err(_) => self.compare(right, mirrored, left),
        }
    }

    fn compare(&self, term: &Expr, op: Op, value: &Expr) -> Result<Test> {
        let (term, ty) = self.term(term)?;
        Ok(Test::Compare { term, op, value: self.value(value, ty)? })
    }

    /// A partition column, or `date_trunc('unit', column)`.
    fn term(&self, expr: &Expr) -> Result<(Term, SqlType)> {
        match expr {
            Expr::Nested(inner) => self.term(inner),
            Expr::Identifier(name) => self.column(&name.value),
            Expr::Function(function) => match (name_of(function).as_str(), arguments(function).as_slice()) {
                ("date_trunc", [unit, Expr::Identifier(name)]) => {
                    let unit = TimeUnit::parse(&text(unit).ok_or_else(|| unsupported(expr))?)?;
                    let (term, ty) = self.column(&name.value)?;
                    match ty {
                        SqlType::Date | SqlType::DateTime => {
                            Ok((Term { slicer: Some(Slicer { unit, step: 1 }), ..term }, ty))
                        }
                        _ => Err(Error::analysis(format!("{expr} needs a DATE or DATETIME"))),
                    }
                }
                _ => Err(unsupported(expr)),
            },
            other => Err(unsupported(other)),
        }
    }

    fn column(&self, name: &str) -> Result<(Term, SqlType)> {
        let position = self.schema.position(name);
        let at = position.and_then(|position| self.columns.iter().position(|column| *column == position));
        let ty = position.and_then(|position| self.schema.columns.get(position)).map(|c| c.ty);
        match at.zip(ty) {
            Some((at, ty)) => Ok((Term { at, slicer: None, is_date: ty == SqlType::Date }, ty)),
            None => Err(Error::analysis(format!("'{name}' is no partition column"))),
        }
    }

    /// A constant of the type `ty`.
    fn value(&self, expr: &Expr, ty: SqlType) -> Result<Point> {
        if matches!(ty, SqlType::Date | SqlType::DateTime) {
            return self.time(expr).map(|time| Point::Time(time.and_utc().timestamp_micros()));
        }
        let text = text(expr).ok_or_else(|| unsupported(expr))?;
        Literal::parse(&text, ty).map(Point::Value)
    }

    fn time(&self, expr: &Expr) -> Result<NaiveDateTime> {
        if let Some(text) = text(expr) {
            let micros = micros(&Literal::parse(&text, SqlType::DateTime)?)?;
            let time = DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc());
            return time.ok_or_else(|| unsupported(expr));
        }
        match expr {
            Expr::Nested(inner) => self.time(inner),
            Expr::TypedString(typed) => match typed.value.clone().into_string() {
                Some(_) => self.time(&Expr::Value(typed.value.clone())),
                None => Err(unsupported(expr)),
            },
            Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => self.moved(left, right, true, expr),
            Expr::BinaryOp { left, op: BinaryOperator::Plus, right } => self.moved(left, right, false, expr),
            Expr::Function(function) => match (name_of(function).as_str(), arguments(function).as_slice()) {
                ("current_date" | "curdate", []) => Ok(self.now.date().into()),
                ("now" | "current_timestamp" | "localtime" | "localtimestamp", []) => Ok(self.now),
                ("date_sub" | "subdate", [from, by]) => self.moved(from, by, true, expr),
                ("date_add" | "adddate", [from, by]) => self.moved(from, by, false, expr),
                _ => Err(unsupported(expr)),
            },
            other => Err(unsupported(other)),
        }
    }

    fn moved(&self, from: &Expr, by: &Expr, back: bool, whole: &Expr) -> Result<NaiveDateTime> {
        let Expr::Interval(interval) = by else { return Err(unsupported(whole)) };
        let moved = shift(self.time(from)?, interval, back);
        moved.ok_or_else(|| unsupported(whole))
    }
}

fn shift(from: NaiveDateTime, interval: &Interval, back: bool) -> Option<NaiveDateTime> {
    let count: u32 = text(&interval.value)?.trim().parse().ok()?;
    let unit = interval.leading_field.as_ref()?.to_string().to_ascii_uppercase();
    let months = |n: u32| {
        let months = chrono::Months::new(count.checked_mul(n)?);
        if back { from.checked_sub_months(months) } else { from.checked_add_months(months) }
    };
    let seconds = |n: i64| {
        let span = chrono::Duration::try_seconds(i64::from(count).checked_mul(n)?)?;
        if back { from.checked_sub_signed(span) } else { from.checked_add_signed(span) }
    };
    match unit.trim_end_matches('S') {
        "YEAR" => months(12),
        "QUARTER" => months(3),
        "MONTH" => months(1),
        "WEEK" => seconds(604_800),
        "DAY" => seconds(86_400),
        "HOUR" => seconds(3_600),
        "MINUTE" => seconds(60),
        "SECOND" => seconds(1),
        _ => None,
    }
}

fn name_of(function: &Function) -> String {
    function.name.to_string().to_ascii_lowercase()
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let plain = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(plain).collect()
}

fn text(expr: &Expr) -> Option<String> {
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::SingleQuotedString(s) | Value::DoubleQuotedString(s) | Value::Number(s, _) => Some(s.clone()),
        _ => None,
    }
}

fn unsupported(expr: &Expr) -> Error {
    Error::unsupported(format!(
        "{expr} is not supported: compare a partition column, or date_trunc('unit', column), with a constant, \
         CURRENT_DATE() or NOW(), and intervals from these"
    ))
}
