//! `timestamp_diff(unit, from, to)`: the whole units between two times, as `TIMESTAMPDIFF` counts them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDateTime};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::sql_types::DATETIME;

pub(crate) const TIMESTAMP_DIFF: &str = "timestamp_diff";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimestampDiff {
    signature: Signature,
}

impl TimestampDiff {
    pub(super) fn new() -> Self {
        let types = vec![DataType::Utf8, DATETIME, DATETIME];
        Self { signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TimestampDiff {
    fn name(&self) -> &str {
        TIMESTAMP_DIFF
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(unit))), from, to] = args.args.as_slice() else {
            return exec_err!("a difference of times has a unit and two times");
        };
        let Some(unit) = Unit::parse(unit) else {
            return exec_err!("differences in {unit} are not supported");
        };
        let (from, to) = (from.to_array(args.number_rows)?, to.to_array(args.number_rows)?);
        let micros = |array: &ArrayRef| array.as_primitive::<TimestampMicrosecondType>().clone();
        let (from, to) = (micros(&from), micros(&to));
        let between: Int64Array = from.iter().zip(to.iter()).map(|(a, b)| unit.between(a?, b?)).collect();
        Ok(ColumnarValue::Array(Arc::new(between)))
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Months(i64),
    Micros(i64),
}

impl Unit {
    fn parse(name: &str) -> Option<Self> {
        let second = 1_000_000;
        Some(match name {
            "year" => Self::Months(12),
            "quarter" => Self::Months(3),
            "month" => Self::Months(1),
            "week" => Self::Micros(7 * 86_400 * second),
            "day" => Self::Micros(86_400 * second),
            "hour" => Self::Micros(3_600 * second),
            "minute" => Self::Micros(60 * second),
            "second" => Self::Micros(second),
            "millisecond" => Self::Micros(1_000),
            "microsecond" => Self::Micros(1),
            _ => return None,
        })
    }

    /// Cut towards zero.
    fn between(self, from: i64, to: i64) -> Option<i64> {
        match self {
            Self::Micros(unit) => Some((to - from) / unit),
            Self::Months(unit) => Some(months(time(from)?, time(to)?) / unit),
        }
    }
}

fn time(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc())
}

/// A month is whole when day and time of day are reached again.
fn months(from: NaiveDateTime, to: NaiveDateTime) -> i64 {
    let count = |time: NaiveDateTime| i64::from(time.year()) * 12 + i64::from(time.month0());
    let rest = |time: NaiveDateTime| (time.day(), time.time());
    let months = count(to) - count(from);
    match months {
        1.. if rest(to) < rest(from) => months - 1,
        ..=-1 if rest(to) > rest(from) => months + 1,
        _ => months,
    }
}

#[cfg(test)]
mod tests {
    use cairn_types::value::parse_datetime;

    use super::*;

    #[test]
    fn whole_units_count() {
        let check = |unit: &str, from: &str, to: &str, expected: i64| {
            let (from, to) = (parse_datetime(from).unwrap(), parse_datetime(to).unwrap());
            assert_eq!(Unit::parse(unit).unwrap().between(from, to), Some(expected), "{unit}");
        };
        check("month", "2024-01-31", "2024-02-29", 0);
        check("month", "2024-01-31", "2024-03-31", 2);
        check("month", "2024-03-31", "2024-02-29", -1);
        check("year", "2020-02-29", "2024-02-28 23:59:59", 3);
        check("quarter", "2024-01-01", "2024-12-31", 3);
        check("day", "2024-01-02 12:00:00", "2024-01-01 13:00:00", 0);
        check("week", "2024-01-01", "2024-01-15", 2);
        check("second", "2024-01-01", "2023-12-31 23:59:58.5", -1);
    }
}
