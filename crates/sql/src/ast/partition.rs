//! `PARTITION BY` and the partitions that a statement names.

use std::fmt;

use sqlparser::ast::Expr;

use super::name::{Property, commas, literal, properties, quoted, when};
use crate::render;

/// `PARTITION BY …`.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionBy {
    pub kind: PartitionKind,
    /// Columns or expressions over columns (`date_trunc('day', dt)`), as written.
    pub exprs: Vec<Expr>,
    pub partitions: Vec<PartitionDef>,
}

/// The word between `PARTITION BY` and the parenthesis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionKind {
    Range,
    List,
    /// No word: partitions by the value of the expressions, created on load.
    Expression,
}

/// What one entry of a partition list (or one `ADD PARTITION`) makes.
#[derive(Clone, PartialEq, Debug)]
pub enum PartitionDef {
    Range(RangePartition),
    Series(RangeSeries),
    List(ListPartition),
}

/// `PARTITION [IF NOT EXISTS] p VALUES …` over a range.
#[derive(Clone, PartialEq, Debug)]
pub struct RangePartition {
    pub if_not_exists: bool,
    pub name: String,
    pub bounds: RangeBounds,
    pub properties: Vec<Property>,
}

/// The bounds of a range partition, one value a partition column.
#[derive(Clone, PartialEq, Debug)]
pub enum RangeBounds {
    /// `VALUES LESS THAN (…)`; `LESS THAN MAXVALUE` is one [`BoundValue::Max`].
    LessThan(Vec<BoundValue>),
    /// `VALUES [(…), (…))`: lower inclusive, upper exclusive.
    Fixed { lower: Vec<BoundValue>, upper: Vec<BoundValue> },
}

/// A bound as text: its type is the partition column's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BoundValue {
    Max,
    Null,
    Text(String),
}

/// `START ("a") END ("b") EVERY (INTERVAL n unit | n)`.
#[derive(Clone, PartialEq, Debug)]
pub struct RangeSeries {
    pub start: String,
    pub end: String,
    pub every: u64,
    /// `None` for numbers: `EVERY (n)`.
    pub unit: Option<TimeUnit>,
    pub properties: Vec<Property>,
}

/// `PARTITION [IF NOT EXISTS] p VALUES IN (…)`.
#[derive(Clone, PartialEq, Debug)]
pub struct ListPartition {
    pub if_not_exists: bool,
    pub name: String,
    /// One row a value, one entry a partition column.
    pub values: Vec<Vec<BoundValue>>,
    pub properties: Vec<Property>,
}

/// The unit of an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeUnit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl TimeUnit {
    /// Every unit with its word.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Second, "SECOND"),
        (Self::Minute, "MINUTE"),
        (Self::Hour, "HOUR"),
        (Self::Day, "DAY"),
        (Self::Week, "WEEK"),
        (Self::Month, "MONTH"),
        (Self::Quarter, "QUARTER"),
        (Self::Year, "YEAR"),
    ];

    /// Seconds of `count` units; `None` for months and longer, whose length varies, and on overflow.
    #[must_use]
    pub fn seconds(self, count: u64) -> Option<u64> {
        let unit_seconds = match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
            Self::Month | Self::Quarter | Self::Year => return None,
        };
        count.checked_mul(unit_seconds)
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(unit, _)| unit == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

impl fmt::Display for BoundValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("MAXVALUE"),
            Self::Null => f.write_str("NULL"),
            Self::Text(text) => literal(text).fmt(f),
        }
    }
}

impl fmt::Display for RangeBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LessThan(values) => write!(f, "LESS THAN ({})", commas(values)),
            Self::Fixed { lower, upper } => write!(f, "[({}), ({}))", commas(lower), commas(upper)),
        }
    }
}

impl fmt::Display for PartitionDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(p) => {
                partition_head(f, p.if_not_exists, &p.name)?;
                write!(f, "VALUES {}", p.bounds)?;
                row_properties(f, &p.properties)
            }
            Self::List(p) => {
                partition_head(f, p.if_not_exists, &p.name)?;
                let rows: Vec<String> = p.values.iter().map(|row| format!("({})", commas(row))).collect();
                write!(f, "VALUES IN ({})", commas(&rows))?;
                row_properties(f, &p.properties)
            }
            Self::Series(s) => {
                write!(f, "START ({}) END ({}) EVERY (", literal(&s.start), literal(&s.end))?;
                match s.unit {
                    Some(unit) => write!(f, "INTERVAL {} {unit})", s.every)?,
                    None => write!(f, "{})", s.every)?,
                }
                properties(f, &s.properties)
            }
        }
    }
}

fn partition_head(f: &mut fmt::Formatter<'_>, if_not_exists: bool, name: &str) -> fmt::Result {
    write!(f, "PARTITION {}{} ", when(if_not_exists, "IF NOT EXISTS "), quoted(name))
}

/// A partition's own properties stand in bare parentheses.
fn row_properties(f: &mut fmt::Formatter<'_>, items: &[Property]) -> fmt::Result {
    if items.is_empty() { Ok(()) } else { write!(f, " ({})", commas(items)) }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            PartitionKind::Range => "RANGE ",
            PartitionKind::List => "LIST ",
            PartitionKind::Expression => "",
        };
        write!(f, "PARTITION BY {word}(")?;
        render::exprs(f, &self.exprs)?;
        f.write_str(")")?;
        match self.partitions.as_slice() {
            [] if self.kind == PartitionKind::Expression => Ok(()),
            items => write!(f, " ({})", commas(items)),
        }
    }
}
