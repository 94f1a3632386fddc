//! `time_slice(time, INTERVAL n unit [, FLOOR | CEIL])` and `date_slice(date, …)`: the start or the end of the slice that
//! holds a time. Slices are counted from 0001-01-01, as in StarRocks.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimestampMicrosecondType};
use cairn_catalog::{Floor, TimeUnit};
use cairn_types::value::MICROS_PER_DAY;
use chrono::{DateTime, Datelike};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::sql_types::DATETIME;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const MICROS_PER_MINUTE: i64 = 60_000_000;
/// 0001-01-01 00:00:00 as microseconds since 1970.
const ORIGIN: i64 = -719_162 * MICROS_PER_DAY;
/// 10000-01-01 00:00:00, which no DATETIME reaches.
const END: i64 = 2_932_897 * MICROS_PER_DAY;

/// One of the two functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeSlice {
    name: &'static str,
    /// Of the times that it takes and gives.
    ty: DataType,
    signature: Signature,
}

impl TimeSlice {
    pub(super) fn of_datetimes() -> Self {
        Self::new("time_slice", DATETIME)
    }

    pub(super) fn of_dates() -> Self {
        Self::new("date_slice", DataType::Date32)
    }

    fn new(name: &'static str, ty: DataType) -> Self {
        Self { name, ty, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The width and the end that arguments ask for.
    fn asked(&self, args: &[ColumnarValue]) -> Result<(Width, End)> {
        let width = match args.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(interval)))) => {
                Width::of(*interval)
            }
            _ => return exec_err!("{}: the interval must be a constant", self.name),
        };
        let end = match args.get(2) {
            None => End::Floor,
            Some(ColumnarValue::Scalar(value)) if is_text(value, "floor") => End::Floor,
            Some(ColumnarValue::Scalar(value)) if is_text(value, "ceil") => End::Ceil,
            Some(_) => return exec_err!("{}: the third argument must be FLOOR or CEIL", self.name),
        };
        match width {
            None => exec_err!("{}: the interval must be greater than 0", self.name),
            Some(Width::Micros(micros)) if self.ty == DataType::Date32 && micros % MICROS_PER_DAY != 0 => {
                exec_err!("{}: a DATE cannot be cut into slices of less than a day", self.name)
            }
            Some(width) => Ok((width, end)),
        }
    }
}

impl ScalarUDFImpl for TimeSlice {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_time = |ty: &DataType| ty.is_string() || ty.is_temporal() || ty.is_null();
        match types {
            [time, DataType::Interval(_)] if is_time(time) => Ok(vec![self.ty.clone(), INTERVAL]),
            [time, DataType::Interval(_), end] if is_time(time) && end.is_string() => {
                Ok(vec![self.ty.clone(), INTERVAL, end.clone()])
            }
            _ => plan_err!("{}(time, INTERVAL n unit [, FLOOR | CEIL]) cannot take {types:?}", self.name),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.ty.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (width, end) = self.asked(&args.args)?;
        let Some(times) = args.args.first() else { return plan_err!("{} takes a time", self.name) };
        let slice = |micros: Option<i64>| match micros {
            Some(micros) if micros < ORIGIN => {
                exec_err!("{}: a time before 0001-01-01 is in no slice", self.name)
            }
            Some(micros) => Ok(width.edge(micros, end)),
            None => Ok(None),
        };
        let of_array = |array: &dyn arrow::array::Array| -> Result<TimestampMicrosecondArray> {
            array.as_primitive::<TimestampMicrosecondType>().iter().map(slice).collect()
        };
        let sliced = match times.cast_to(&DATETIME, None)? {
            ColumnarValue::Array(array) => ColumnarValue::Array(Arc::new(of_array(&array)?)),
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(micros, _)) => {
                ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(slice(micros)?, None))
            }
            ColumnarValue::Scalar(other) => return exec_err!("{} cannot take {other}", self.name),
        };
        sliced.cast_to(&self.ty, None)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(inputs.first().map_or(SortProperties::Unordered, |time| time.sort_properties))
    }
}

/// The slices of `interval` as a partition column can have them; `None` for parts of minutes, which it cannot.
pub(crate) fn slice_floor(interval: &Expr) -> Option<Floor> {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = interval else { return None };
    let (unit, step) = match Width::of(*interval)? {
        Width::Months(months) if months % 12 == 0 => (TimeUnit::Year, i64::from(months / 12)),
        Width::Months(months) => (TimeUnit::Month, i64::from(months)),
        Width::Micros(micros) if micros % MICROS_PER_DAY == 0 => (TimeUnit::Day, micros / MICROS_PER_DAY),
        Width::Micros(micros) if micros % (60 * MICROS_PER_MINUTE) == 0 => {
            (TimeUnit::Hour, micros / (60 * MICROS_PER_MINUTE))
        }
        Width::Micros(micros) if micros % MICROS_PER_MINUTE == 0 => {
            (TimeUnit::Minute, micros / MICROS_PER_MINUTE)
        }
        Width::Micros(_) => return None,
    };
    Some(Floor { unit, step: u32::try_from(step).ok()? })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Floor,
    Ceil,
}

/// How long a slice is.
#[derive(Clone, Copy)]
enum Width {
    Months(u32),
    Micros(i64),
}

impl Width {
    /// `None` for an interval that is not positive, and for one of several parts.
    fn of(interval: IntervalMonthDayNano) -> Option<Self> {
        match (interval.months, interval.days, interval.nanoseconds) {
            (months @ 1.., 0, 0) => u32::try_from(months).ok().map(Self::Months),
            (0, days @ 1.., 0) => Some(Self::Micros(i64::from(days) * MICROS_PER_DAY)),
            (0, 0, nanos @ 1_000..) => Some(Self::Micros(nanos / 1_000)),
            _ => None,
        }
    }

    /// An end of the slice that holds `micros`, which is not before the origin; `None` when no DATETIME is so late.
    fn edge(self, micros: i64, end: End) -> Option<i64> {
        let edge = match self {
            Self::Micros(width) => {
                let start = micros - (micros - ORIGIN).rem_euclid(width);
                if end == End::Floor { start } else { start.checked_add(width)? }
            }
            Self::Months(width) => {
                let start =
                    TimeUnit::Month.floor(DateTime::from_timestamp_micros(micros)?.naive_utc(), width);
                let edge = match end {
                    End::Floor => start,
                    End::Ceil => TimeUnit::Month.next(start, width).filter(|next| next.year() <= 9_999)?,
                };
                edge.and_utc().timestamp_micros()
            }
        };
        (edge < END).then_some(edge)
    }
}

fn is_text(value: &ScalarValue, text: &str) -> bool {
    value.try_as_str().flatten().is_some_and(|value| value.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(time: &str) -> i64 {
        format!("{}Z", time.replace(' ', "T")).parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    fn nanos(seconds: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano::new(0, 0, seconds * 1_000_000_000)
    }

    #[test]
    fn slices_begin_and_end_where_starrocks_has_them() {
        let check = |time: &str, interval, expected: [&str; 2]| {
            let width = Width::of(interval).unwrap();
            let edges = [End::Floor, End::Ceil].map(|end| width.edge(micros(time), end));
            assert_eq!(edges, expected.map(|e| (!e.is_empty()).then(|| micros(e))), "{time}");
        };
        let (months, days) = (|n| IntervalMonthDayNano::new(n, 0, 0), |n| IntervalMonthDayNano::new(0, n, 0));
        check("1691-12-23 04:01:09", nanos(5), ["1691-12-23 04:01:05", "1691-12-23 04:01:10"]);
        check("2022-04-26 19:01:07", months(60), ["2021-01-01 00:00:00", "2026-01-01 00:00:00"]);
        check("0001-01-07 00:00:00", days(5), ["0001-01-06 00:00:00", "0001-01-11 00:00:00"]);
        check("2024-03-03 12:00:00", days(7), ["2024-02-26 00:00:00", "2024-03-04 00:00:00"]);
        // The start of a slice is in it.
        check("2024-02-01 00:00:00", months(1), ["2024-02-01 00:00:00", "2024-03-01 00:00:00"]);
        check("0001-01-01 00:00:00", nanos(1), ["0001-01-01 00:00:00", "0001-01-01 00:00:01"]);
        check("9999-12-31 23:59:59", months(1), ["9999-12-01 00:00:00", ""]);
        check("9999-12-31 23:59:59", days(1), ["9999-12-31 00:00:00", ""]);
        check("9999-12-31 23:59:59", months(i32::MAX), ["0001-01-01 00:00:00", ""]);
    }

    #[test]
    fn widths_are_positive_and_of_one_part() {
        let none = |months, days, nanos| Width::of(IntervalMonthDayNano::new(months, days, nanos)).is_none();
        assert!(none(0, 0, 0) && none(-1, 0, 0) && none(0, -1, 0) && none(0, 0, -1_000) && none(1, 1, 0));
    }

    /// A view that is cut by the function and one that is cut by its partitions are cut alike.
    #[test]
    fn slices_are_those_of_partitions() {
        let intervals = [1, 3, 12, 24].map(|n| IntervalMonthDayNano::new(n, 0, 0)).into_iter();
        let intervals = intervals.chain([1, 7, 10].map(|n| IntervalMonthDayNano::new(0, n, 0)));
        for interval in intervals.chain([60, 900, 3_600, 21_600].map(nanos)) {
            let literal = ScalarValue::IntervalMonthDayNano(Some(interval));
            let floor = slice_floor(&Expr::Literal(literal, None)).unwrap();
            for n in 0..2_000 {
                let micros = n * 31_557_123_456_789 - 61_000_000_000_000_000;
                let start = floor.start(&cairn_types::Literal::DateTime(micros)).unwrap();
                let edge = Width::of(interval).unwrap().edge(micros, End::Floor).unwrap();
                assert_eq!(start, cairn_types::Literal::DateTime(edge), "{interval:?} of {micros}");
            }
        }
        let literal = ScalarValue::IntervalMonthDayNano(Some(nanos(30)));
        assert_eq!(slice_floor(&Expr::Literal(literal, None)), None);
    }
}
