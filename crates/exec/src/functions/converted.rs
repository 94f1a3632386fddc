//! Casts that give another value than Arrow's: a time, a BOOLEAN or a DOUBLE as the text that clients see; 20240131 as a date,
//! and a time as such a number.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use cairn_ingest::text::texts;
use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::to_datafusion;
use crate::sql_types::DATETIME;

/// `expr`, a value of the type `from`, as `to`; `None` where Arrow's cast does the same.
pub(crate) fn converted(expr: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
    let is_time = |ty: &DataType| matches!(ty, DataType::Date32 | DataType::Timestamp(_, None));
    let differs = match (from, to) {
        (DataType::Timestamp(_, None) | DataType::Boolean, to) => {
            to.is_string() || is_time(from) && to.is_integer()
        }
        (DataType::Float32 | DataType::Float64, to) => to.is_string(),
        (DataType::Date32, to) => to.is_integer(),
        (from, to) => from.is_integer() && is_time(to),
    };
    differs.then(|| {
        let function = Converted { to: to.clone(), signature: Signature::any(1, Volatility::Immutable) };
        ScalarUDF::from(function).call(vec![expr.clone()])
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Converted {
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Converted {
    fn name(&self) -> &str {
        "converted"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    /// A column is named as without it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(|arg| arg.schema_name().to_string()).unwrap_or_default())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else { return internal_err!("converted takes one value") };
        let values = value.to_array(args.number_rows)?;
        let converted = if self.to.is_string() {
            Arc::new(texts(&values).map_err(to_datafusion)?)
        } else if self.to.is_integer() {
            numbers(&values)?
        } else {
            times(&values)?
        };
        Ok(ColumnarValue::Array(cast(&converted, &self.to)?))
    }
}

/// Of a date 20240131, of a time 20240131235959.
fn numbers(values: &ArrayRef) -> Result<ArrayRef> {
    let with_clock = matches!(values.data_type(), DataType::Timestamp(..));
    let micros = cast(values, &DATETIME)?;
    let number = |micros: Option<i64>| {
        let time = DateTime::from_timestamp_micros(micros?)?;
        let date = i64::from(time.year()) * 10_000 + i64::from(time.month() * 100 + time.day());
        let clock = i64::from(time.hour() * 10_000 + time.minute() * 100 + time.second());
        Some(if with_clock { date * 1_000_000 + clock } else { date })
    };
    let numbers: Int64Array = micros.as_primitive::<TimestampMicrosecondType>().iter().map(number).collect();
    Ok(Arc::new(numbers))
}

/// What is no time is NULL.
fn times(values: &ArrayRef) -> Result<ArrayRef> {
    let numbers = cast(values, &DataType::Int64)?;
    let time = |number: Option<i64>| {
        let (date, clock) = match number? {
            date @ ..=99_999_999 => (date, 0),
            time => (time / 1_000_000, time % 1_000_000),
        };
        let digits = |number: i64, behind: i64| u32::try_from(number / behind % 100).ok();
        let year = i32::try_from(date / 10_000).ok().filter(|year| (0..=9_999).contains(year))?;
        let day = NaiveDate::from_ymd_opt(year, digits(date, 100)?, digits(date, 1)?)?;
        let time = day.and_hms_opt(digits(clock, 10_000)?, digits(clock, 100)?, digits(clock, 1)?)?;
        Some(time.and_utc().timestamp_micros())
    };
    let times: TimestampMicrosecondArray = numbers.as_primitive::<Int64Type>().iter().map(time).collect();
    Ok(Arc::new(times))
}
