//! `interval_of(n, unit)`: the interval of so many units, where `n` is no literal.

use std::sync::Arc;

use arrow::array::{AsArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

pub(crate) const INTERVAL_OF: &str = "interval_of";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IntervalOf {
    signature: Signature,
}

impl IntervalOf {
    pub(super) fn new() -> Self {
        let types = vec![DataType::Int64, DataType::Utf8];
        Self { signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IntervalOf {
    fn name(&self) -> &str {
        INTERVAL_OF
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [amount, ColumnarValue::Scalar(ScalarValue::Utf8(Some(unit)))] = args.args.as_slice() else {
            return exec_err!("an interval has a number and a unit");
        };
        let Some(one) = one(unit) else { return exec_err!("INTERVAL … {unit} is not supported") };
        let amounts = amount.to_array(args.number_rows)?;
        // What no interval can hold is NULL, as what no time can hold is.
        let intervals: IntervalMonthDayNanoArray =
            amounts.as_primitive::<Int64Type>().iter().map(|n| times(one, n?)).collect();
        Ok(ColumnarValue::Array(Arc::new(intervals)))
    }
}

/// One `unit`, in months, days and microseconds.
fn one(unit: &str) -> Option<(i64, i64, i64)> {
    Some(match unit {
        "year" => (12, 0, 0),
        "quarter" => (3, 0, 0),
        "month" => (1, 0, 0),
        "week" => (0, 7, 0),
        "day" => (0, 1, 0),
        "hour" => (0, 0, 3_600_000_000),
        "minute" => (0, 0, 60_000_000),
        "second" => (0, 0, 1_000_000),
        "millisecond" => (0, 0, 1_000),
        "microsecond" => (0, 0, 1),
        _ => return None,
    })
}

fn times((months, days, micros): (i64, i64, i64), n: i64) -> Option<IntervalMonthDayNano> {
    let months = i32::try_from(months.checked_mul(n)?).ok()?;
    let days = i32::try_from(days.checked_mul(n)?).ok()?;
    Some(IntervalMonthDayNano::new(months, days, micros.checked_mul(n)?.checked_mul(1_000)?))
}
