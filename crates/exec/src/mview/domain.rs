//! Sets of values that one column may have, as intervals.

use std::cmp::Ordering;
use std::ops::Bound;

use datafusion::common::Column;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};
use datafusion::scalar::ScalarValue;

/// A set of values of one column.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Domain {
    /// Whether NULL is in it.
    pub null: bool,
    /// In order; no two touch.
    intervals: Vec<Interval>,
}

/// Values between two bounds. Of types whose values can be counted, `lower` is included and `upper` is not.
#[derive(Clone, PartialEq, Debug)]
struct Interval {
    lower: Bound<ScalarValue>,
    upper: Bound<ScalarValue>,
}

impl Domain {
    /// Any value, NULL too.
    pub(crate) fn all() -> Self {
        Self { null: true, intervals: vec![Interval { lower: Bound::Unbounded, upper: Bound::Unbounded }] }
    }

    pub(crate) fn none() -> Self {
        Self { null: false, intervals: Vec::new() }
    }

    pub(crate) fn only_null() -> Self {
        Self { null: true, intervals: Vec::new() }
    }

    pub(crate) fn not_null() -> Self {
        Self { null: false, ..Self::all() }
    }

    /// The values between two bounds, without NULL. `None` for values that have no order that filters follow.
    pub(crate) fn between(lower: Bound<ScalarValue>, upper: Bound<ScalarValue>) -> Option<Self> {
        for value in [&lower, &upper] {
            if let Bound::Included(v) | Bound::Excluded(v) = value
                && !is_ordered(v)
            {
                return None;
            }
        }
        let interval = Interval { lower: counted_lower(lower), upper: counted_upper(upper) };
        let intervals = if interval.is_empty()? { Vec::new() } else { vec![interval] };
        Some(Self { null: false, intervals })
    }

    pub(crate) fn point(value: ScalarValue) -> Option<Self> {
        Self::between(Bound::Included(value.clone()), Bound::Included(value))
    }

    /// The values of `conjunct` when it speaks of one column alone: rows where it is true have one of them.
    pub(crate) fn of(conjunct: &Expr) -> Option<(&Column, Self)> {
        match conjunct {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::Or | Operator::And => {
                    let ((a, left), (b, right)) = (Self::of(left)?, Self::of(right)?);
                    let both = match op {
                        Operator::Or => left.union(&right)?,
                        _ => left.intersect(&right)?,
                    };
                    (a == b).then_some((a, both))
                }
                _ => comparison(left, *op, right),
            },
            Expr::InList(list) => {
                let Expr::Column(column) = list.expr.as_ref() else { return None };
                let mut values = Self::none();
                for item in &list.list {
                    let Expr::Literal(value, _) = item else { return None };
                    values = values.union(&Self::point(value.clone())?)?;
                }
                let values = if list.negated { values.complement()?.without_null() } else { values };
                Some((column, values))
            }
            Expr::IsNotTrue(inner) => {
                let (column, values) = Self::of(inner)?;
                Some((column, values.complement()?))
            }
            Expr::IsNotNull(inner) => match inner.as_ref() {
                Expr::Column(column) => Some((column, Self::not_null())),
                _ => None,
            },
            Expr::IsNull(inner) => match inner.as_ref() {
                Expr::Column(column) => Some((column, Self::only_null())),
                _ => None,
            },
            _ => None,
        }
    }

    /// Each interval cut down to what begins at `up` of its lower bound and ends at `down` of its upper bound. `None` when
    /// a bound cannot be moved: then it is no time, or out of range.
    pub(crate) fn cut(
        &self,
        up: impl Fn(&ScalarValue) -> Option<ScalarValue>,
        down: impl Fn(&ScalarValue) -> Option<ScalarValue>,
    ) -> Option<Self> {
        let mut intervals = Vec::new();
        for interval in &self.intervals {
            let lower = match &interval.lower {
                Bound::Included(value) => Bound::Included(up(value)?),
                Bound::Unbounded => Bound::Unbounded,
                Bound::Excluded(_) => return None,
            };
            let upper = match &interval.upper {
                Bound::Excluded(value) => Bound::Excluded(down(value)?),
                Bound::Unbounded => Bound::Unbounded,
                Bound::Included(_) => return None,
            };
            let cut = Interval { lower, upper };
            if !cut.is_empty()? {
                intervals.push(cut);
            }
        }
        Some(Self { null: self.null, intervals })
    }

    pub(crate) fn without_null(self) -> Self {
        Self { null: false, ..self }
    }

    /// `None` when the values cannot be compared.
    pub(crate) fn intersect(&self, other: &Self) -> Option<Self> {
        let mut intervals = Vec::new();
        for a in &self.intervals {
            for b in &other.intervals {
                let lower =
                    if cmp_lower(&a.lower, &b.lower)? == Ordering::Less { &b.lower } else { &a.lower };
                let upper =
                    if cmp_upper(&a.upper, &b.upper)? == Ordering::Less { &a.upper } else { &b.upper };
                let both = Interval { lower: lower.clone(), upper: upper.clone() };
                if !both.is_empty()? {
                    intervals.push(both);
                }
            }
        }
        Some(Self { null: self.null && other.null, intervals })
    }

    /// `None` when the values cannot be compared.
    pub(crate) fn union(&self, other: &Self) -> Option<Self> {
        let mut all: Vec<Interval> = self.intervals.iter().chain(&other.intervals).cloned().collect();
        let mut comparable = true;
        all.sort_by(|a, b| {
            cmp_lower(&a.lower, &b.lower).unwrap_or_else(|| {
                comparable = false;
                Ordering::Equal
            })
        });
        if !comparable {
            return None;
        }
        let mut merged: Vec<Interval> = Vec::new();
        for interval in all {
            match merged.last_mut() {
                Some(last) if touches(&last.upper, &interval.lower)? => {
                    if cmp_upper(&last.upper, &interval.upper)? == Ordering::Less {
                        last.upper = interval.upper;
                    }
                }
                _ => merged.push(interval),
            }
        }
        Some(Self { null: self.null || other.null, intervals: merged })
    }

    /// What is not in it; NULL is when it was not.
    pub(crate) fn complement(&self) -> Option<Self> {
        let mut intervals = Vec::new();
        let mut lower = Some(Bound::Unbounded);
        for interval in &self.intervals {
            let from = lower.take()?;
            if let Some(upper) = flipped(&interval.lower) {
                let gap = Interval { lower: from, upper };
                if !gap.is_empty()? {
                    intervals.push(gap);
                }
            }
            match flipped(&interval.upper) {
                Some(next) => lower = Some(next),
                None => return Some(Self { null: !self.null, intervals }),
            }
        }
        intervals.push(Interval { lower: lower?, upper: Bound::Unbounded });
        Some(Self { null: !self.null, intervals })
    }

    /// Whether all of it is in `other`; `false` when that cannot be told.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let inside = |a: &Interval, b: &Interval| {
            let lower = cmp_lower(&b.lower, &a.lower).is_some_and(|o| o != Ordering::Greater);
            lower && cmp_upper(&a.upper, &b.upper).is_some_and(|o| o != Ordering::Greater)
        };
        (!self.null || other.null)
            && self.intervals.iter().all(|a| other.intervals.iter().any(|b| inside(a, b)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.null && self.intervals.is_empty()
    }

    /// A predicate that is true for the values of `expr` that are in it, and false for all others: never NULL, except
    /// that it may be NULL for NULL when NULL is not in it.
    pub(crate) fn predicate(&self, expr: &Expr) -> Expr {
        let mut ways = Vec::new();
        let mut points = Vec::new();
        for interval in &self.intervals {
            match interval.point() {
                Some(point) => points.push(lit(point.clone())),
                None => ways.push(interval.predicate(expr)),
            }
        }
        match points.len() {
            0 => {}
            1 => ways.extend(points.pop().map(|p| expr.clone().eq(p))),
            _ => ways.push(expr.clone().in_list(points, false)),
        }
        if self.null {
            ways.push(expr.clone().is_null());
        }
        if *self == Self::all() {
            return lit(true);
        }
        datafusion::logical_expr::utils::disjunction(ways).unwrap_or_else(|| lit(false))
    }
}

impl Interval {
    fn is_empty(&self) -> Option<bool> {
        Some(match (&self.lower, &self.upper) {
            (Bound::Included(l), Bound::Included(u)) => l.partial_cmp(u)? == Ordering::Greater,
            (Bound::Included(l) | Bound::Excluded(l), Bound::Included(u) | Bound::Excluded(u)) => {
                l.partial_cmp(u)? != Ordering::Less
            }
            _ => false,
        })
    }

    /// Its one value, when it has one.
    fn point(&self) -> Option<&ScalarValue> {
        match (&self.lower, &self.upper) {
            (Bound::Included(l), Bound::Included(u)) if l == u => Some(l),
            (Bound::Included(l), Bound::Excluded(u)) if next(l).is_some_and(|n| n == *u) => Some(l),
            _ => None,
        }
    }

    fn predicate(&self, expr: &Expr) -> Expr {
        let lower = match &self.lower {
            Bound::Included(v) => Some(expr.clone().gt_eq(lit(v.clone()))),
            Bound::Excluded(v) => Some(expr.clone().gt(lit(v.clone()))),
            Bound::Unbounded => None,
        };
        let upper = match &self.upper {
            Bound::Included(v) => Some(expr.clone().lt_eq(lit(v.clone()))),
            Bound::Excluded(v) => Some(expr.clone().lt(lit(v.clone()))),
            Bound::Unbounded => None,
        };
        match (lower, upper) {
            (Some(l), Some(u)) => l.and(u),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => expr.clone().is_not_null(),
        }
    }
}

/// The lower bound of what follows an upper bound, and the other way round; `None` where nothing does.
fn flipped(bound: &Bound<ScalarValue>) -> Option<Bound<ScalarValue>> {
    match bound {
        Bound::Included(v) => Some(Bound::Excluded(v.clone())),
        Bound::Excluded(v) => Some(Bound::Included(v.clone())),
        Bound::Unbounded => None,
    }
}

fn comparison<'a>(left: &'a Expr, op: Operator, right: &'a Expr) -> Option<(&'a Column, Domain)> {
    let (column, op, value) = match (left, right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
        _ => return None,
    };
    let value = value.clone();
    let domain = match op {
        Operator::Eq => Domain::point(value),
        Operator::NotEq => Domain::point(value)?.complement().map(Domain::without_null),
        Operator::Lt => Domain::between(Bound::Unbounded, Bound::Excluded(value)),
        Operator::LtEq => Domain::between(Bound::Unbounded, Bound::Included(value)),
        Operator::Gt => Domain::between(Bound::Excluded(value), Bound::Unbounded),
        Operator::GtEq => Domain::between(Bound::Included(value), Bound::Unbounded),
        _ => None,
    };
    Some((column, domain?))
}

/// Whether comparing scalars is what filters do with columns.
fn is_ordered(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float32(Some(f)) => !f.is_nan() && *f != 0.0,
        ScalarValue::Float64(Some(f)) => !f.is_nan() && *f != 0.0,
        ScalarValue::Boolean(Some(_))
        | ScalarValue::Int8(Some(_))
        | ScalarValue::Int16(Some(_))
        | ScalarValue::Int32(Some(_))
        | ScalarValue::Int64(Some(_))
        | ScalarValue::UInt64(Some(_))
        | ScalarValue::Decimal128(Some(_), ..)
        | ScalarValue::Decimal256(Some(_), ..)
        | ScalarValue::Date32(Some(_))
        | ScalarValue::TimestampMicrosecond(Some(_), _)
        | ScalarValue::TimestampNanosecond(Some(_), _)
        | ScalarValue::Utf8(Some(_))
        | ScalarValue::Utf8View(Some(_)) => true,
        _ => false,
    }
}

/// The next value of a type whose values can be counted.
fn next(value: &ScalarValue) -> Option<ScalarValue> {
    Some(match value {
        ScalarValue::Int8(Some(v)) => ScalarValue::Int8(Some(v.checked_add(1)?)),
        ScalarValue::Int16(Some(v)) => ScalarValue::Int16(Some(v.checked_add(1)?)),
        ScalarValue::Int32(Some(v)) => ScalarValue::Int32(Some(v.checked_add(1)?)),
        ScalarValue::Int64(Some(v)) => ScalarValue::Int64(Some(v.checked_add(1)?)),
        ScalarValue::Date32(Some(v)) => ScalarValue::Date32(Some(v.checked_add(1)?)),
        ScalarValue::TimestampMicrosecond(Some(v), None) => {
            ScalarValue::TimestampMicrosecond(Some(v.checked_add(1)?), None)
        }
        ScalarValue::TimestampNanosecond(Some(v), None) => {
            ScalarValue::TimestampNanosecond(Some(v.checked_add(1)?), None)
        }
        _ => return None,
    })
}

fn counted_lower(bound: Bound<ScalarValue>) -> Bound<ScalarValue> {
    match bound {
        Bound::Excluded(v) => next(&v).map_or(Bound::Excluded(v), Bound::Included),
        other => other,
    }
}

fn counted_upper(bound: Bound<ScalarValue>) -> Bound<ScalarValue> {
    match bound {
        Bound::Included(v) => next(&v).map_or(Bound::Included(v), Bound::Excluded),
        other => other,
    }
}

fn cmp_lower(a: &Bound<ScalarValue>, b: &Bound<ScalarValue>) -> Option<Ordering> {
    Some(match (a, b) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Less,
        (_, Bound::Unbounded) => Ordering::Greater,
        (Bound::Included(a), Bound::Included(b)) | (Bound::Excluded(a), Bound::Excluded(b)) => {
            a.partial_cmp(b)?
        }
        (Bound::Included(a), Bound::Excluded(b)) => a.partial_cmp(b)?.then(Ordering::Less),
        (Bound::Excluded(a), Bound::Included(b)) => a.partial_cmp(b)?.then(Ordering::Greater),
    })
}

fn cmp_upper(a: &Bound<ScalarValue>, b: &Bound<ScalarValue>) -> Option<Ordering> {
    Some(match (a, b) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Greater,
        (_, Bound::Unbounded) => Ordering::Less,
        (Bound::Included(a), Bound::Included(b)) | (Bound::Excluded(a), Bound::Excluded(b)) => {
            a.partial_cmp(b)?
        }
        (Bound::Included(a), Bound::Excluded(b)) => a.partial_cmp(b)?.then(Ordering::Greater),
        (Bound::Excluded(a), Bound::Included(b)) => a.partial_cmp(b)?.then(Ordering::Less),
    })
}

/// Whether an interval that ends at `upper` and one that begins at `lower`, not before it, leave no value between.
fn touches(upper: &Bound<ScalarValue>, lower: &Bound<ScalarValue>) -> Option<bool> {
    Some(match (upper, lower) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Excluded(u), Bound::Excluded(l)) => l.partial_cmp(u)? == Ordering::Less,
        (Bound::Included(u) | Bound::Excluded(u), Bound::Included(l) | Bound::Excluded(l)) => {
            l.partial_cmp(u)? != Ordering::Greater
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mview::tests::Dice;
    use datafusion::logical_expr::col;

    fn holds(domain: &Domain, value: Option<i64>) -> bool {
        match value {
            None => domain.null,
            Some(v) => Domain::point(ScalarValue::Int64(Some(v))).unwrap().is_within(domain),
        }
    }

    fn values() -> Vec<Option<i64>> {
        std::iter::once(None).chain((-7..8).map(Some)).collect()
    }

    /// A predicate over `c`, and the values that it is true for.
    fn predicate(dice: &mut Dice, depth: usize) -> (Expr, Vec<Option<i64>>) {
        if depth > 0 && dice.below(8) == 0 {
            let (a, at) = predicate(dice, depth - 1);
            return (
                Expr::IsNotTrue(Box::new(a)),
                values().into_iter().filter(|x| !at.contains(x)).collect(),
            );
        }
        if depth > 0 && dice.below(2) == 0 {
            let ((a, at), (b, bt)) = (predicate(dice, depth - 1), predicate(dice, depth - 1));
            return match dice.below(2) {
                0 => (a.and(b), at.into_iter().filter(|x| bt.contains(x)).collect()),
                _ => (a.or(b), values().into_iter().filter(|x| at.contains(x) || bt.contains(x)).collect()),
            };
        }
        let mut number = || dice.below(9) as i64 - 4;
        let (v, list) = (number(), vec![number(), number(), number()]);
        let kind = dice.below(8);
        let c = || col("c");
        let items = || list.iter().map(|v| lit(*v)).collect::<Vec<_>>();
        let expr = match kind {
            0 => c().eq(lit(v)),
            1 => c().not_eq(lit(v)),
            2 => c().lt(lit(v)),
            3 => lit(v).lt_eq(c()),
            4 => c().in_list(items(), false),
            5 => c().in_list(items(), true),
            6 => c().is_null(),
            _ => c().is_not_null(),
        };
        let is_true = |x: &Option<i64>| match (kind, x) {
            (6, x) => x.is_none(),
            (_, None) => false,
            (0, Some(x)) => *x == v,
            (1, Some(x)) => *x != v,
            (2, Some(x)) => *x < v,
            (3, Some(x)) => v <= *x,
            (4, Some(x)) => list.contains(x),
            (5, Some(x)) => !list.contains(x),
            _ => true,
        };
        (expr, values().into_iter().filter(is_true).collect())
    }

    #[test]
    fn domains_are_what_predicates_say() {
        let mut dice = Dice::new(7);
        for _ in 0..2_000 {
            let ((a, at), (b, bt)) = (predicate(&mut dice, 3), predicate(&mut dice, 3));
            let ((_, da), (_, db)) = (Domain::of(&a).unwrap(), Domain::of(&b).unwrap());
            let inside = |d: &Domain| values().into_iter().filter(|v| holds(d, *v)).collect::<Vec<_>>();
            assert_eq!(inside(&da), at, "{a}");
            let rest = values().into_iter().filter(|v| !at.contains(v)).collect::<Vec<_>>();
            assert_eq!(inside(&da.complement().unwrap()), rest, "{a}");
            // And back to a predicate.
            if let Some((_, again)) = Domain::of(&da.predicate(&col("c"))) {
                assert_eq!(again, da, "{a}");
            }
            // All values are tried, and outside of them the predicates are as at the ends.
            assert_eq!(da.is_within(&db), at.iter().all(|v| bt.contains(v)), "{a} within {b}");
        }
    }
}
