//! `PARTITION BY` clauses and partition definitions.

use cairn_catalog::{Bounds, Floor, PartitionSpec, Partitioning, TimeUnit, partitioning};
use cairn_sql::ast::{self, BoundValue, PartitionBy, PartitionDef, PartitionKind, RangeBounds};
use cairn_types::{Error, Literal, Result, Schema, SqlType, limits};
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

/// What `PARTITION BY` means for a table with these columns.
///
/// # Errors
/// `Analysis` for an unknown column, `Unsupported` for an expression that partitions cannot be cut by, by name.
pub fn partitioning(clause: &PartitionBy, schema: &Schema) -> Result<Partitioning> {
    match clause.kind {
        PartitionKind::Range => match clause.exprs.as_slice() {
            [Expr::Function(_)] => expression(clause, schema),
            exprs => Ok(Partitioning::Range { columns: columns(exprs, schema)? }),
        },
        PartitionKind::List => Ok(Partitioning::List { columns: columns(&clause.exprs, schema)? }),
        PartitionKind::Expression => expression(clause, schema),
    }
}

fn columns(exprs: &[Expr], schema: &Schema) -> Result<Vec<usize>> {
    exprs.iter().map(|expr| column(expr, schema)).collect()
}

fn column(expr: &Expr, schema: &Schema) -> Result<usize> {
    let Expr::Identifier(name) = expr else {
        return Err(Error::unsupported(format!(
            "PARTITION BY {expr} is not supported: name columns or use date_trunc()"
        )));
    };
    let at = schema
        .position(&name.value)
        .ok_or_else(|| Error::analysis(format!("Partition column '{}' does not exist", name.value)))?;
    match schema.columns.get(at).map(|c| c.ty) {
        Some(ty) if ty.is_float() || matches!(ty, SqlType::Decimal { .. }) => {
            Err(Error::analysis(format!("Column '{}' of type {ty} cannot be a partition column", name.value)))
        }
        _ => Ok(at),
    }
}

fn expression(clause: &PartitionBy, schema: &Schema) -> Result<Partitioning> {
    if let [expr @ Expr::Function(_)] = clause.exprs.as_slice() {
        let (column, Floor { unit, step }) = time_function(expr, schema)?;
        return Ok(Partitioning::Time { column, unit, step });
    }
    let mut columns: Vec<(usize, Option<Floor>)> = Vec::new();
    for expr in &clause.exprs {
        let (at, floor) = match expr {
            Expr::Function(_) => time_function(expr, schema).map(|(at, floor)| (at, Some(floor)))?,
            expr => (column(expr, schema)?, None),
        };
        if columns.iter().any(|(other, _)| *other == at) {
            let name = schema.columns.get(at).map_or("?", |column| column.name.as_str());
            return Err(Error::analysis(format!("Duplicate partition column '{name}'")));
        }
        columns.push((at, floor));
    }
    Ok(Partitioning::floored_values(columns))
}

/// The column and the floor of `date_trunc('unit', c)` and `time_slice(c, INTERVAL n unit)`.
fn time_function(expr: &Expr, schema: &Schema) -> Result<(usize, Floor)> {
    let unsupported = || {
        Error::unsupported(format!(
            "PARTITION BY {expr} is not supported: use date_trunc('unit', column) or time_slice(column, INTERVAL n unit)"
        ))
    };
    let Expr::Function(function) = expr else { return Err(unsupported()) };
    let FunctionArguments::List(list) = &function.args else { return Err(unsupported()) };
    let args: Vec<&Expr> = list
        .args
        .iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    let name = function.name.to_string().to_ascii_lowercase();
    let (column_expr, floor) = match (name.as_str(), args.as_slice()) {
        ("date_trunc", [unit, column]) => {
            let unit = TimeUnit::parse(&string(unit).ok_or_else(unsupported)?)?;
            (*column, Floor { unit, step: 1 })
        }
        ("time_slice", [column, Expr::Interval(interval)]) => {
            let unit = interval.leading_field.as_ref().ok_or_else(unsupported)?.to_string();
            let step = string(&interval.value)
                .and_then(|s| s.parse().ok())
                .filter(|n| *n > 0)
                .ok_or_else(unsupported)?;
            (*column, Floor { unit: TimeUnit::parse(&unit)?, step })
        }
        _ => return Err(unsupported()),
    };
    let at = column(column_expr, schema)?;
    schema.columns.get(at).map_or(Ok(()), |column| floor.check(column))?;
    Ok((at, floor))
}

fn string(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(s) | Value::Number(s, _) => Some(s.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The partitions that `definitions` make, in order. `lower` bounds of `LESS THAN` follow from the partitions before,
/// also from those that exist already (`existing`).
///
/// # Errors
/// `Analysis` for values that do not fit the partition columns or a definition of another kind.
pub fn specs(
    definitions: &[PartitionDef],
    partitioning: &Partitioning,
    schema: &Schema,
    existing: &[Bounds],
) -> Result<Vec<PartitionSpec>> {
    let types: Vec<SqlType> =
        partitioning.columns().iter().filter_map(|at| schema.columns.get(*at)).map(|c| c.ty).collect();
    let mut specs: Vec<PartitionSpec> = Vec::new();
    for definition in definitions {
        match (definition, partitioning) {
            (PartitionDef::Range(range), Partitioning::Range { .. } | Partitioning::Time { .. }) => {
                let before = existing.iter().chain(specs.iter().map(|s| &s.bounds));
                let bounds = range_bounds(&range.bounds, &types, before)?;
                specs.push(PartitionSpec { name: range.name.clone(), bounds, buckets: None });
            }
            (PartitionDef::Series(series), Partitioning::Range { .. } | Partitioning::Time { .. }) => {
                specs.extend(self::series(series, &types)?);
            }
            (PartitionDef::List(list), Partitioning::List { .. } | Partitioning::Values { .. }) => {
                let keys = list.values.iter().map(|row| key(row, &types)).collect::<Result<_>>()?;
                specs.push(PartitionSpec {
                    name: list.name.clone(),
                    bounds: Bounds::List { keys },
                    buckets: None,
                });
            }
            _ => {
                return Err(Error::analysis(
                    "the partition definition does not fit the table's PARTITION BY clause",
                ));
            }
        }
    }
    Ok(specs)
}

fn range_bounds<'a>(
    bounds: &RangeBounds,
    types: &[SqlType],
    before: impl Iterator<Item = &'a Bounds>,
) -> Result<Bounds> {
    Ok(match bounds {
        RangeBounds::Fixed { lower, upper } => {
            Bounds::Range { lower: Some(key(lower, types)?), upper: range_end(upper, types)? }
        }
        RangeBounds::LessThan(values) => {
            let upper = range_end(values, types)?;
            let ends = before.filter_map(|b| match b {
                Bounds::Range { upper: Some(end), .. } => Some(end),
                _ => None,
            });
            let lower = ends.filter(|end| upper.as_ref().is_none_or(|u| *end <= u)).max().cloned();
            Bounds::Range { lower, upper }
        }
    })
}

/// `None` for MAXVALUE: without bound.
fn range_end(values: &[BoundValue], types: &[SqlType]) -> Result<Option<Vec<Literal>>> {
    match values.first() {
        Some(BoundValue::Max) => Ok(None),
        _ => key(values, types).map(Some),
    }
}

fn key(values: &[BoundValue], types: &[SqlType]) -> Result<Vec<Literal>> {
    if values.len() > types.len() {
        return Err(Error::analysis(format!(
            "{} values for {} partition columns",
            values.len(),
            types.len()
        )));
    }
    let literal = |(value, ty): (&BoundValue, &SqlType)| match value {
        BoundValue::Text(text) => Literal::parse(text, *ty),
        BoundValue::Null => Ok(Literal::Null),
        BoundValue::Max => Err(Error::unsupported("MAXVALUE is supported for a whole upper bound only")),
    };
    values.iter().zip(types).map(literal).collect()
}

fn series(series: &ast::RangeSeries, types: &[SqlType]) -> Result<Vec<PartitionSpec>> {
    let [ty] = types else {
        return Err(Error::analysis("START … END … EVERY needs exactly one partition column"));
    };
    let (start, end) = (Literal::parse(&series.start, *ty)?, Literal::parse(&series.end, *ty)?);
    match series.unit {
        Some(unit) => {
            let step = u32::try_from(series.every).map_err(|_| Error::analysis("EVERY is out of range"))?;
            let unit = TimeUnit::parse(&unit.to_string())?;
            partitioning::every(&start, &end, unit, step, limits::PARTITIONS_PER_LOAD_MAX)
        }
        None => integer_series(&start, &end, series.every),
    }
}

fn integer_series(start: &Literal, end: &Literal, every: u64) -> Result<Vec<PartitionSpec>> {
    let (Literal::Int(start), Literal::Int(end)) = (start, end) else {
        return Err(Error::analysis(
            "EVERY (n) needs an integer partition column; for dates write INTERVAL n unit",
        ));
    };
    let every = i128::from(every.max(1));
    if (end - start) / every >= limits::PARTITIONS_PER_LOAD_MAX as i128 {
        return Err(Error::analysis(format!("more than {} partitions", limits::PARTITIONS_PER_LOAD_MAX)));
    }
    let mut specs = Vec::new();
    let mut at = *start;
    while at < *end {
        let next = (at + every).min(*end);
        let bounds =
            Bounds::Range { lower: Some(vec![Literal::Int(at)]), upper: Some(vec![Literal::Int(next)]) };
        specs.push(PartitionSpec { name: format!("p{at}"), bounds, buckets: None });
        at = next;
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clause means for columns `n INT, d DATE, t DATETIME, s VARCHAR(10), f DOUBLE`.
    fn analyze(clause: &str) -> Result<Partitioning> {
        let sql = format!(
            "CREATE TABLE x (n INT, d DATE, t DATETIME, s VARCHAR(10), f DOUBLE) PARTITION BY {clause}"
        );
        let parsed = cairn_sql::parse_statements(&sql).unwrap().pop().unwrap().statement;
        let cairn_sql::Statement::CreateTable(create) = parsed else { panic!("{sql}") };
        crate::analyze::table::specification(cairn_types::DbId(1), "x", &create.columns, &create.clauses)
            .map(|spec| spec.partitioning)
    }

    #[test]
    fn one_function_makes_ranges_and_several_expressions_lists() {
        let check = |clause: &str, expected| assert_eq!(analyze(clause).unwrap(), expected, "{clause}");
        let floor = |unit, step| Some(Floor { unit, step });
        check("date_trunc('day', d)", Partitioning::Time { column: 1, unit: TimeUnit::Day, step: 1 });
        check("(s, n)", Partitioning::values(vec![3, 0]));
        let by_day = vec![(1, floor(TimeUnit::Day, 1)), (3, None)];
        check("date_trunc('day', d), s", Partitioning::floored_values(by_day.clone()));
        check("(date_trunc(\"DAY\", D), S)", Partitioning::floored_values(by_day));
        let twice = vec![(2, floor(TimeUnit::Hour, 6)), (1, floor(TimeUnit::Month, 1))];
        check("time_slice(t, INTERVAL 6 HOUR), date_trunc('month', d)", Partitioning::floored_values(twice));
    }

    #[test]
    fn what_cannot_be_cut_is_refused_by_name() {
        let check = |clause: &str, expected: &str| {
            let message = analyze(clause).unwrap_err().message().to_owned();
            assert!(message.contains(expected), "{clause}: {message}");
        };
        check("date_trunc('day', d), abs(n)", "PARTITION BY abs(n) is not supported");
        check("date_trunc('day', d), n + 1", "PARTITION BY n + 1 is not supported");
        check("date_trunc('day', d), d", "Duplicate partition column 'd'");
        check("date_trunc('day', d), date_trunc('month', D)", "Duplicate partition column 'd'");
        check("s, date_trunc('hour', d)", "a DATE column cannot be cut into slices of less than a day");
        check("s, date_trunc('day', n)", "needs a DATE or DATETIME column");
        check("s, date_trunc('second', t)", "partition unit 'second' is not supported");
        check("s, time_slice(t, INTERVAL 0 DAY)", "is not supported");
        check("date_trunc('day', d), f", "of type double cannot be a partition column");
        check("date_trunc('day', d), z", "Partition column 'z' does not exist");
        check("LIST(date_trunc('day', d), s) ()", "is not supported");
    }
}
