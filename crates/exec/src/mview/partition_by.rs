//! The `PARTITION BY` expressions of an MV: a column of its result, and what is done to it.

use cairn_catalog::{Floor, TimeUnit, Transform};
use cairn_types::{Error, Result, Schema, SqlType};
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

/// One expression of the clause. Its transform is none or a floor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PartitionExpr {
    /// Position in the MV's columns.
    pub column: usize,
    pub transform: Transform,
}

/// Reads the clause of an MV with the columns `schema`.
///
/// # Errors
/// `Analysis` for an unknown column, `Unsupported` for another expression, by name.
pub(super) fn read(exprs: &[Expr], schema: &Schema) -> Result<Vec<PartitionExpr>> {
    let read: Vec<PartitionExpr> = exprs.iter().map(|e| one(e, schema)).collect::<Result<_>>()?;
    for (at, partition) in read.iter().enumerate() {
        if read.iter().take(at).any(|p| p.column == partition.column) {
            return Err(Error::analysis("PARTITION BY names a column twice"));
        }
    }
    Ok(read)
}

fn one(expr: &Expr, schema: &Schema) -> Result<PartitionExpr> {
    match expr {
        Expr::Identifier(name) => {
            Ok(PartitionExpr { column: column(&name.value, schema)?, transform: Transform::Same })
        }
        Expr::Nested(inner) => one(inner, schema),
        Expr::Function(_) => function(expr, schema),
        _ => Err(unsupported(expr)),
    }
}

fn unsupported(expr: &Expr) -> Error {
    Error::unsupported(format!(
        "PARTITION BY {expr} is not supported: use a column, date_trunc('unit', column), time_slice(column, \
         INTERVAL n unit) or str2date(column, 'format')"
    ))
}

fn column(name: &str, schema: &Schema) -> Result<usize> {
    let at = schema.position(name).ok_or_else(|| {
        Error::analysis(format!(
            "Materialized view partition exp column:{name} is not found in query statement"
        ))
    })?;
    match schema.columns.get(at).map(|c| c.ty) {
        Some(ty) if ty.is_float() || matches!(ty, SqlType::Decimal { .. }) => {
            Err(Error::analysis(format!("Column '{name}' of type {ty} cannot be a partition column")))
        }
        _ => Ok(at),
    }
}

fn function(expr: &Expr, schema: &Schema) -> Result<PartitionExpr> {
    let Expr::Function(function) = expr else { return Err(unsupported(expr)) };
    let FunctionArguments::List(list) = &function.args else { return Err(unsupported(expr)) };
    let args: Vec<&Expr> = list.args.iter().filter_map(plain).collect();
    let name = function.name.to_string().to_ascii_lowercase();
    match (name.as_str(), args.as_slice()) {
        ("date_trunc", [unit, Expr::Identifier(name)]) => {
            let unit = TimeUnit::parse(&text(unit).ok_or_else(|| unsupported(expr))?)?;
            floor(&name.value, unit, 1, schema)
        }
        ("time_slice", [Expr::Identifier(name), Expr::Interval(interval)]) => {
            let unit = interval.leading_field.as_ref().ok_or_else(|| unsupported(expr))?;
            let step = text(&interval.value).and_then(|s| s.parse().ok()).filter(|step| *step > 0);
            let step = step.ok_or_else(|| unsupported(expr))?;
            floor(&name.value, TimeUnit::parse(&unit.to_string())?, step, schema)
        }
        // One partition a text is at least as fine as one a date, and mirrors the base.
        ("str2date", [Expr::Identifier(name), format]) if text(format).is_some() => {
            let at = column(&name.value, schema)?;
            match schema.columns.get(at).map(|c| c.ty) {
                Some(ty) if ty.is_string() => Ok(PartitionExpr { column: at, transform: Transform::Same }),
                _ => Err(Error::analysis(format!("PARTITION BY {expr} needs a column of text"))),
            }
        }
        _ => Err(unsupported(expr)),
    }
}

fn floor(name: &str, unit: TimeUnit, step: u32, schema: &Schema) -> Result<PartitionExpr> {
    let at = column(name, schema)?;
    match schema.columns.get(at).map(|c| c.ty) {
        Some(SqlType::Date | SqlType::DateTime) => {
            schema.columns.get(at).map_or(Ok(()), |column| Floor { unit, step }.check(column))?;
            Ok(PartitionExpr { column: at, transform: Transform::Floor { unit, step } })
        }
        _ => Err(Error::analysis(format!(
            "Materialized view partition column '{name}' must be DATE or DATETIME to be cut by {}",
            unit.name()
        ))),
    }
}

fn plain(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(s) | Value::DoubleQuotedString(s) | Value::Number(s, _) => {
                Some(s.clone())
            }
            _ => None,
        },
        _ => None,
    }
}
