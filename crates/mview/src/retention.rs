//! `partition_retention_condition`: which cells an MV keeps.
//!
//! A condition over its partition columns. A cell goes when no value in it can pass; one of which that cannot be told is
//! kept, and so is a cell of NULL: comparing it tells nothing.

mod read;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use cairn_catalog::{Bounds, Partitioning};
use cairn_types::{Literal, Result, Schema};

use crate::time::{BEFORE_ALL, DAY, Slicer, micros};

pub(crate) const PROPERTY: &str = "partition_retention_condition";

/// A condition that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Retention(Test);

#[derive(Clone, PartialEq, Debug)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Compare { term: Term, op: Op, value: Point },
    IsNull { term: Term, wanted: bool },
}

/// A partition column, cut to slices perhaps.
#[derive(Clone, PartialEq, Debug)]
struct Term {
    /// Position among the partition columns.
    at: usize,
    slicer: Option<Slicer>,
    /// DATE, which has no parts of a day.
    is_date: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// A value as it is compared: a time in microseconds, or as it is.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
enum Point {
    Time(i64),
    Value(Literal),
}

impl Retention {
    /// Reads the condition among the properties of an MV; times like `CURRENT_DATE()` are those of `now_ms`. `None`: it
    /// has none.
    ///
    /// # Errors
    /// `Analysis` or `Unsupported`, with the part of the condition that cannot be read.
    pub fn of(
        properties: &BTreeMap<String, String>,
        schema: &Schema,
        partitioning: &Partitioning,
        now_ms: u64,
    ) -> Result<Option<Self>> {
        let text = properties.get(PROPERTY).map_or("", |text| text.trim());
        match text.is_empty() {
            true => Ok(None),
            false => read::read(text, schema, partitioning, now_ms).map(|test| Some(Self(test))),
        }
    }

    /// Whether a cell may hold a value that passes.
    #[must_use]
    pub fn keeps(&self, bounds: &Bounds) -> bool {
        match bounds {
            Bounds::All => true,
            Bounds::List { keys } => keys.iter().any(|key| self.0.passes(key)),
            Bounds::Range { lower, upper } => {
                let first = |key: &Option<Vec<Literal>>| key.as_ref().and_then(|key| key.first()).cloned();
                self.0.may_pass(&Range { lower: first(lower), upper: first(upper) })
            }
        }
    }
}

/// The values of the first partition column in a cell: from `lower` on, below `upper`.
struct Range {
    lower: Option<Literal>,
    upper: Option<Literal>,
}

impl Test {
    fn passes(&self, key: &[Literal]) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.passes(key)),
            Self::Any(tests) => tests.iter().any(|test| test.passes(key)),
            Self::IsNull { term, wanted } => {
                key.get(term.at).is_none_or(|value| (*value == Literal::Null) == *wanted)
            }
            Self::Compare { term, op, value } => match key.get(term.at) {
                // It is neither passed nor not.
                Some(Literal::Null) => true,
                Some(own) => term.point(own).is_none_or(|own| op.holds(own.partial_cmp(value))),
                None => true,
            },
        }
    }

    /// False only when no value of the range passes. NULL counts where the range is of NULL alone.
    fn may_pass(&self, range: &Range) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.may_pass(range)),
            Self::Any(tests) => tests.iter().any(|test| test.may_pass(range)),
            // NULL is in the range without lower bound.
            Self::IsNull { term, wanted: true } => term.at > 0 || range.lower.is_none(),
            Self::IsNull { term, wanted: false } => term.at > 0 || !range.is_null_alone(),
            Self::Compare { term, .. } if term.at > 0 => true,
            Self::Compare { .. } if range.is_null_alone() => true,
            Self::Compare { term, op, value } => {
                let least = range.lower.as_ref().and_then(|lower| term.point(lower));
                let most = range.upper.as_ref().and_then(|upper| term.point(&term.before(upper)?));
                let against = |own: Option<Point>| own.and_then(|own| own.partial_cmp(value));
                op.may_hold(against(least), against(most))
            }
        }
    }
}

impl Range {
    fn is_null_alone(&self) -> bool {
        self.upper.as_ref().is_some_and(|upper| micros(upper) == Ok(BEFORE_ALL))
    }
}

impl Term {
    fn point(&self, value: &Literal) -> Option<Point> {
        match micros(value) {
            Ok(micros) => match self.slicer {
                Some(slicer) => slicer.floor(micros).ok().map(Point::Time),
                None => Some(Point::Time(micros)),
            },
            Err(_) => Some(Point::Value(value.clone())),
        }
    }

    /// The last value before the upper bound of a range.
    fn before(&self, upper: &Literal) -> Option<Literal> {
        match upper {
            Literal::Int(number) => number.checked_sub(1).map(Literal::Int),
            Literal::Date(_) | Literal::DateTime(_) => {
                let unit = if self.is_date { DAY } else { 1 };
                micros(upper).ok()?.checked_sub(unit).map(Literal::DateTime)
            }
            _ => None,
        }
    }
}

impl Op {
    /// What cannot be compared passes.
    fn holds(self, order: Option<Ordering>) -> bool {
        let Some(order) = order else { return true };
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }

    /// The same for some value of which the least and the most compare so; `None`: there is no bound.
    fn may_hold(self, least: Option<Ordering>, most: Option<Ordering>) -> bool {
        match self {
            Self::Less | Self::LessOrEqual => self.holds(least),
            Self::Greater | Self::GreaterOrEqual => self.holds(most),
            Self::Equal => Self::LessOrEqual.holds(least) && Self::GreaterOrEqual.holds(most),
            Self::NotEqual => !(least.is_some_and(Ordering::is_eq) && most.is_some_and(Ordering::is_eq)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{list, range};
    use cairn_types::{Column, SqlType, value::parse_datetime};

    const NOW: &str = "2024-03-15 12:00:00";

    fn read(condition: &str, columns: &[(&str, SqlType)]) -> Result<Option<Retention>> {
        let column = |(name, ty): &(&str, SqlType)| Column::new(*name, *ty, true);
        let schema = Schema { columns: columns.iter().map(column).collect() };
        let partitioning = Partitioning::List { columns: (0..columns.len()).collect() };
        let properties = BTreeMap::from([(PROPERTY.to_owned(), condition.to_owned())]);
        let now_ms = u64::try_from(parse_datetime(NOW).unwrap() / 1_000).unwrap();
        Retention::of(&properties, &schema, &partitioning, now_ms)
    }

    fn check(condition: &str, ty: SqlType, cells: &[(Bounds, bool)]) {
        let retention = read(condition, &[("dt", ty)]).unwrap().unwrap();
        for (bounds, expected) in cells {
            assert_eq!(retention.keeps(bounds), *expected, "{condition} of {bounds:?}");
        }
    }

    #[test]
    fn ranges_are_kept_when_some_value_passes() {
        let (first, second) = (range("2024-01-01", "2024-01-02"), range("2024-01-02", "2024-01-03"));
        let (all, null) = (range("-", "2024-01-01"), range("-", "NULL+"));
        let cells =
            |a, b, c, d| [(first.clone(), a), (second.clone(), b), (all.clone(), c), (null.clone(), d)];
        let date = SqlType::Date;
        check("dt > '2024-01-01'", date, &cells(false, true, false, true));
        check("dt >= '2024-01-01'", date, &cells(true, true, false, true));
        check("'2024-01-01' >= dt", date, &cells(true, false, true, true));
        check("dt < '2024-01-02'", date, &cells(true, false, true, true));
        check("dt = '2024-01-02'", date, &cells(false, true, false, true));
        check("dt <> '2024-01-02'", date, &cells(true, false, true, true));
        check("dt between '2024-01-02' and '2024-02-01'", date, &cells(false, true, false, true));
        check("dt in ('2024-01-01', '2024-05-01')", date, &cells(true, false, false, true));
        check("dt is null", date, &cells(false, false, true, true));
        check("dt is not null and dt > '2020-01-01'", date, &cells(true, true, true, false));
        check("dt < '2024-01-01' or dt > '2024-01-01'", date, &cells(false, true, true, true));
        // A DATETIME has moments after midnight.
        check("dt > '2024-01-01'", SqlType::DateTime, &cells(true, true, false, true));
    }

    #[test]
    fn conditions_follow_the_clock() {
        let cells = [
            (range("2024-01-01", "2024-02-01"), false),
            (range("2024-02-01", "2024-03-01"), true),
            (range("2024-03-01", "2024-04-01"), true),
        ];
        check("dt >= current_date() - interval 1 month", SqlType::Date, &cells);
        check("dt >= date_sub(now(), interval 30 day)", SqlType::Date, &cells);
        check("date_trunc('month', dt) >= '2024-02-01'", SqlType::Date, &cells);
    }

    #[test]
    fn lists_are_kept_by_their_keys() {
        let text = SqlType::Varchar(10);
        let cells =
            |a, b, c| [(list("2024-01-01"), a), (list("2024-01-02;2023-01-01"), b), (list("NULL"), c)];
        check("dt > '2024-01-01'", text, &cells(false, true, true));
        check("dt is null or dt = '2024-01-01'", text, &cells(true, false, true));
        let two = read("city = 'b'", &[("dt", text), ("city", text)]).unwrap().unwrap();
        assert!(two.keeps(&list("2024-01-01,a;2024-01-01,b")) && !two.keeps(&list("2024-01-01,a")));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let check = |condition: &str, expected: &str| {
            let error = read(condition, &[("dt", SqlType::Date)]).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(PROPERTY), "{condition}: {error}");
        };
        check("v > 1", "'v' is no partition column");
        check("dt > v", "v is not supported");
        check("dt + 1 > '2024-01-01'", "not supported");
        check("dt > 'soon'", "soon");
        check("dt >", "syntax error");
        assert_eq!(read("  ", &[("dt", SqlType::Date)]).unwrap(), None);
    }
}
