//! Rows that belong to a cell (a partition of an MV), as predicates over columns of its bases.

use std::ops::Bound;

use arrow::datatypes::{DataType, TimeUnit as ArrowUnit};
use cairn_catalog::{Bounds, Floor, TimeUnit, Transform};
use cairn_types::value::MICROS_PER_DAY;
use cairn_types::{Error, Literal, Result};
use chrono::NaiveDateTime;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, lit};
use datafusion::scalar::ScalarValue;

use super::domain::Domain;
use super::links::{Step, compose, step};
use crate::literal::scalar;

/// One partition column of an MV as a function of an expression over bases: `floor(expr)`, or `expr` itself.
#[derive(Clone, Debug)]
pub(crate) struct CellColumn {
    pub expr: Expr,
    pub ty: DataType,
    pub floor: Option<(TimeUnit, u32)>,
}

impl CellColumn {
    /// From what `expr` is over `schema`, cut into slices of `floor`. A floor is taken off, so that bounds can be compared
    /// with the column below it: that is what partitions and segments are left out by.
    pub(crate) fn of(expr: &Expr, schema: &DFSchema, floor: Option<Floor>) -> Result<Self> {
        let ty = |e: &Expr| e.get_type(schema).map_err(crate::error::from_datafusion);
        let floor = floor.map(|Floor { unit, step }| (unit, step));
        let is_time = |ty: &DataType| {
            matches!(ty, DataType::Date32 | DataType::Timestamp(ArrowUnit::Microsecond, None))
        };
        let whole = || match ty(expr)? {
            ty if floor.is_some() && !is_time(&ty) => {
                let message = format!("slices of a partition column computed as {ty} cannot be told apart");
                Err(Error::unsupported(message))
            }
            ty => Ok(Self { expr: expr.clone(), ty, floor }),
        };
        let (mut inner, mut transform) = match floor {
            Some((unit, step)) => (expr, Transform::Floor { unit, step }),
            None => (expr, Transform::Same),
        };
        loop {
            match step(inner, schema) {
                Some(Step::Column(_)) => break,
                Some(Step::Function(next, below)) => {
                    let Some(both) = compose(&transform, &next) else { return whole() };
                    (inner, transform) = (below, both);
                }
                None => return whole(),
            }
        }
        let floor = match transform {
            Transform::Same => None,
            Transform::Floor { unit, step } => Some((unit, step)),
            Transform::Date { .. } => return whole(),
        };
        let ty = ty(inner)?;
        match floor {
            Some(_) if !is_time(&ty) => whole(),
            _ => Ok(Self { expr: inner.clone(), ty, floor }),
        }
    }

    /// From a link of a base.
    pub(crate) fn linked(expr: Expr, ty: DataType, transform: &Transform) -> Result<Self> {
        match transform {
            Transform::Same => Ok(Self { expr, ty, floor: None }),
            Transform::Floor { unit, step } => Ok(Self { expr, ty, floor: Some((*unit, *step)) }),
            Transform::Date { .. } => Err(Error::unsupported("partitions by str2date() are not supported")),
        }
    }

    /// The first value of the column that is not below `bound`, as a value of `expr`: `floor(x) >= bound` exactly where
    /// `x >= edge(bound)`.
    fn edge(&self, bound: &Literal) -> Result<Edge> {
        if *bound == Literal::Date(i32::MIN) {
            // The upper end of the cell of NULL: below any date.
            return Ok(Edge::Lowest);
        }
        let bad = || Error::internal(format!("the bound {bound} of a partition is no {}", self.ty));
        let moved = match (&self.floor, micros(bound)) {
            (Some((unit, step)), Some(micros)) => Some(ceiling(micros, *unit, *step).ok_or_else(bad)?),
            (_, micros) => micros,
        };
        let literal = match (&self.ty, moved) {
            (DataType::Date32, Some(micros)) => {
                let days = -((-micros).div_euclid(MICROS_PER_DAY));
                Literal::Date(i32::try_from(days).map_err(|_| bad())?)
            }
            (DataType::Timestamp(ArrowUnit::Microsecond, None), Some(micros)) => Literal::DateTime(micros),
            _ => bound.clone(),
        };
        let value = scalar(&literal, &self.ty);
        if value.is_null() { Err(bad()) } else { Ok(Edge::Value(value)) }
    }

    /// Its floor as a step from `expr`.
    pub(crate) fn transform(&self) -> Option<Transform> {
        self.floor.map(|(unit, step)| Transform::Floor { unit, step })
    }

    /// Of `domain`, values of `expr`, those that fill whole slices; `None` when it has no slices.
    pub(crate) fn whole_slices(&self, domain: &Domain) -> Option<Domain> {
        let (unit, step) = self.floor?;
        let moved = |value: &ScalarValue, to: &dyn Fn(i64) -> Option<i64>| match value {
            ScalarValue::Date32(Some(days)) => {
                let micros = to(i64::from(*days) * MICROS_PER_DAY)?;
                // Slices of a DATE are whole days.
                let days = (micros % MICROS_PER_DAY == 0).then_some(micros / MICROS_PER_DAY)?;
                Some(ScalarValue::Date32(Some(i32::try_from(days).ok()?)))
            }
            ScalarValue::TimestampMicrosecond(Some(micros), None) => {
                Some(ScalarValue::TimestampMicrosecond(Some(to(*micros)?), None))
            }
            _ => None,
        };
        let floor = |micros: i64| Some(unit.floor(time(micros)?, step).and_utc().timestamp_micros());
        domain.cut(|value| moved(value, &|micros| ceiling(micros, unit, step)), |value| moved(value, &floor))
    }

    /// The value of `expr` from which on slices begin at `at` or later; `None` when there is none, or no slices.
    pub(crate) fn start_after(&self, at: &ScalarValue) -> Option<ScalarValue> {
        self.floor?;
        let micros = match at {
            ScalarValue::Date32(Some(days)) => i64::from(*days) * MICROS_PER_DAY,
            ScalarValue::TimestampMicrosecond(Some(micros), None) => *micros,
            ScalarValue::TimestampNanosecond(Some(nanos), None) => {
                nanos.div_euclid(1_000) + i64::from(nanos.rem_euclid(1_000) > 0)
            }
            _ => return None,
        };
        match self.edge(&Literal::DateTime(micros)).ok()? {
            Edge::Value(value) => Some(value),
            Edge::Lowest => None,
        }
    }

    /// The values that belong to a cell with these bounds, where this is the only column.
    pub(crate) fn domain(&self, bounds: &Bounds) -> Result<Domain> {
        let incomparable = || Error::internal("the bounds of a partition cannot be compared");
        match bounds {
            Bounds::All => Ok(Domain::all()),
            Bounds::Range { lower, upper } => {
                let first = |key: &Option<Vec<Literal>>| key.as_ref().and_then(|k| k.first()).cloned();
                let lower = first(lower).filter(|l| !l.is_null());
                let null = lower.is_none();
                let from = match lower.map(|l| self.edge(&l)).transpose()? {
                    Some(Edge::Value(value)) => Bound::Included(value),
                    Some(Edge::Lowest) | None => Bound::Unbounded,
                };
                let upper = first(upper);
                if upper.as_ref().is_some_and(Literal::is_null) {
                    // Nothing is below NULL.
                    return Ok(Domain::none());
                }
                let to = match upper.map(|u| self.edge(&u)).transpose()? {
                    Some(Edge::Value(value)) => Bound::Excluded(value),
                    // Only NULL is below.
                    Some(Edge::Lowest) if null => return Ok(Domain::only_null()),
                    Some(Edge::Lowest) => return Ok(Domain::none()),
                    None => Bound::Unbounded,
                };
                let mut domain = Domain::between(from, to).ok_or_else(incomparable)?;
                domain.null = null;
                Ok(domain)
            }
            Bounds::List { keys } => {
                let mut domain = Domain::none();
                for key in keys {
                    let value = self.key(key.first().unwrap_or(&Literal::Null))?;
                    domain = domain.union(&value).ok_or_else(incomparable)?;
                }
                Ok(domain)
            }
        }
    }

    /// Whether the column can have this value at all: the start of a slice, of a day.
    fn can_be(&self, value: &Literal) -> bool {
        let Some(micros) = micros(value) else { return true };
        let of_days = self.ty != DataType::Date32 || micros.rem_euclid(MICROS_PER_DAY) == 0;
        let is_start = |(unit, step): (TimeUnit, u32)| ceiling(micros, unit, step) == Some(micros);
        of_days && self.floor.is_none_or(is_start)
    }

    /// The values that a list's key stands for.
    pub(crate) fn key(&self, key: &Literal) -> Result<Domain> {
        let incomparable = || Error::internal(format!("the key {key} of a partition cannot be compared"));
        if key.is_null() {
            return Ok(Domain::only_null());
        }
        if !self.can_be(key) {
            return Ok(Domain::none());
        }
        let from = match self.edge(key)? {
            Edge::Value(value) => value,
            Edge::Lowest => return Ok(Domain::none()),
        };
        let Some((unit, step)) = self.floor else {
            return Domain::point(from).ok_or_else(incomparable);
        };
        let end = micros(key).and_then(|m| unit.next(time(m)?, step)).ok_or_else(incomparable)?;
        let Edge::Value(to) = self.edge(&Literal::DateTime(end.and_utc().timestamp_micros()))? else {
            return Ok(Domain::none());
        };
        Domain::between(Bound::Included(from), Bound::Excluded(to)).ok_or_else(incomparable)
    }
}

enum Edge {
    Value(ScalarValue),
    /// Below all values.
    Lowest,
}

fn micros(literal: &Literal) -> Option<i64> {
    match literal {
        Literal::Date(days) => Some(i64::from(*days) * MICROS_PER_DAY),
        Literal::DateTime(micros) => Some(*micros),
        _ => None,
    }
}

fn time(micros: i64) -> Option<NaiveDateTime> {
    Some(chrono::DateTime::from_timestamp_micros(micros)?.naive_utc())
}

/// The start of the first slice that does not begin before `micros`.
fn ceiling(micros: i64, unit: TimeUnit, step: u32) -> Option<i64> {
    let at = time(micros)?;
    let floor = unit.floor(at, step);
    let start = if floor == at { floor } else { unit.next(floor, step)? };
    Some(start.and_utc().timestamp_micros())
}

/// A predicate that is true for the rows of the cell, and for no others.
pub(crate) fn within(columns: &[CellColumn], bounds: &Bounds) -> Result<Expr> {
    if let [column] = columns {
        return Ok(column.domain(bounds)?.predicate(&column.expr));
    }
    match bounds {
        Bounds::All => Ok(lit(true)),
        Bounds::Range { lower, upper } => {
            let mut both = lit(true);
            if let Some(lower) = lower {
                both = both.and(Expr::IsNotTrue(Box::new(below(columns, lower)?)));
            }
            if let Some(upper) = upper {
                both = both.and(below(columns, upper)?);
            }
            Ok(both)
        }
        Bounds::List { keys } => {
            let mut any = lit(false);
            for key in keys {
                let mut all = lit(true);
                for (column, value) in columns.iter().zip(key) {
                    all = all.and(column.key(value)?.predicate(&column.expr));
                }
                any = any.or(all);
            }
            Ok(any)
        }
    }
}

/// A predicate that is true for the rows of none of the cells.
pub(crate) fn outside(columns: &[CellColumn], cells: &[&Bounds]) -> Result<Expr> {
    if let [column] = columns {
        return Ok(domain_of(column, cells)?
            .complement()
            .ok_or_else(|| Error::internal("the bounds of partitions cannot be compared"))?
            .predicate(&column.expr));
    }
    let mut any = lit(false);
    for bounds in cells {
        any = any.or(within(columns, bounds)?);
    }
    Ok(Expr::IsNotTrue(Box::new(any)))
}

/// The values of all `cells`, where `column` is the only column.
pub(crate) fn domain_of(column: &CellColumn, cells: &[&Bounds]) -> Result<Domain> {
    let mut domain = Domain::none();
    for bounds in cells {
        let both = domain.union(&column.domain(bounds)?);
        domain = both.ok_or_else(|| Error::internal("the bounds of partitions cannot be compared"))?;
    }
    Ok(domain)
}

/// True where the columns, compared one by one with NULL first, are below `key`; else false or NULL.
fn below(columns: &[CellColumn], key: &[Literal]) -> Result<Expr> {
    let mut any = lit(false);
    let mut equal = lit(true);
    for (column, value) in columns.iter().zip(key) {
        if column.floor.is_some() {
            return Err(Error::internal("ranges of several columns are of the columns themselves"));
        }
        let (smaller, same) = match value {
            Literal::Null => (lit(false), column.expr.clone().is_null()),
            value => match column.edge(value)? {
                Edge::Lowest => (column.expr.clone().is_null(), lit(false)),
                Edge::Value(v) => {
                    let smaller = column.expr.clone().is_null().or(column.expr.clone().lt(lit(v.clone())));
                    (smaller, column.expr.clone().eq(lit(v)))
                }
            },
        };
        any = any.or(equal.clone().and(smaller));
        equal = equal.and(same);
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, Int32Array, RecordBatch};
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::col;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::mview::tests::Dice;

    fn key(dice: &mut Dice, columns: usize) -> Vec<Literal> {
        let one = |dice: &mut Dice| match dice.below(6) {
            0 => Literal::Null,
            n => Literal::Int(n as i128),
        };
        (0..columns).map(|_| one(dice)).collect()
    }

    fn bounds(dice: &mut Dice, columns: usize) -> Bounds {
        if dice.chance(50) {
            return Bounds::List { keys: (0..1 + dice.below(4)).map(|_| key(dice, columns)).collect() };
        }
        let end = |dice: &mut Dice| dice.chance(80).then(|| key(dice, columns));
        Bounds::Range { lower: end(dice), upper: end(dice) }
    }

    /// The rows of all values of two columns for which `predicate` is true.
    fn rows(predicate: &Expr) -> Vec<Vec<Literal>> {
        let values: Vec<Option<i32>> = std::iter::once(None).chain((0..7).map(Some)).collect();
        let pairs: Vec<_> = values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b))).collect();
        type Pair = (Option<i32>, Option<i32>);
        let column = |one: fn(&Pair) -> Option<i32>| -> Int32Array { pairs.iter().map(one).collect() };
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int32, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let columns = vec![Arc::new(column(|p| p.0)) as _, Arc::new(column(|p| p.1)) as _];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let schema = DFSchema::try_from(schema).unwrap();
        let physical = SessionContext::new().create_physical_expr(predicate.clone(), &schema).unwrap();
        let passed = physical.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
        let passed = passed.as_boolean();
        let literal = |value: Option<i32>| value.map_or(Literal::Null, |v| Literal::Int(v.into()));
        let is_true = |(row, _): &(usize, _)| passed.is_valid(*row) && passed.value(*row);
        pairs.iter().enumerate().filter(is_true).map(|(_, (a, b))| vec![literal(*a), literal(*b)]).collect()
    }

    #[test]
    fn predicates_are_what_bounds_contain() {
        let mut dice = Dice::new(3);
        let all = rows(&lit(true));
        for round in 0..1_000 {
            let count = 1 + round % 2;
            let of = |name| CellColumn { expr: col(name), ty: DataType::Int32, floor: None };
            let columns: Vec<CellColumn> = ["a", "b"].iter().take(count).map(|n| of(*n)).collect();
            let cells: Vec<Bounds> = (0..1 + dice.below(3)).map(|_| bounds(&mut dice, count)).collect();
            let has = |cell: &Bounds, row: &[Literal]| cell.contains(&row[..count]);
            for cell in &cells {
                let expected: Vec<_> = all.iter().filter(|row| has(cell, row)).cloned().collect();
                assert_eq!(rows(&within(&columns, cell).unwrap()), expected, "{cell:?}");
            }
            let expected = all.iter().filter(|row| !cells.iter().any(|cell| has(cell, row)));
            let cells_of: Vec<&Bounds> = cells.iter().collect();
            let rest = outside(&columns, &cells_of).unwrap();
            assert_eq!(rows(&rest), expected.cloned().collect::<Vec<_>>(), "{cells:?}");
        }
    }
}
