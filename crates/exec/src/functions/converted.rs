//! Casts that give another value than Arrow's: a time, a BOOLEAN or a DOUBLE as the text that clients see; 20240131 as a date,
//! and a time as such a number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewBuilder, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use cairn_ingest::text::ColumnText;
use cairn_types::value::parse_datetime;
use chrono::{DateTime, Datelike, Timelike};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::to_datafusion;

const DATETIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

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
            text(&values)?
        } else if self.to.is_integer() {
            numbers(&values)?
        } else {
            times(&values)?
        };
        Ok(ColumnarValue::Array(cast(&converted, &self.to)?))
    }
}

fn text(values: &ArrayRef) -> Result<ArrayRef> {
    let column = ColumnText::new(values).map_err(to_datafusion)?;
    let mut out = StringViewBuilder::with_capacity(values.len());
    let mut buffer = Vec::new();
    for row in 0..values.len() {
        buffer.clear();
        match column.append(row, &mut buffer) {
            true => out.append_value(String::from_utf8_lossy(&buffer)),
            false => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
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
        let number = number?;
        match number {
            0..=99_999_999 => parse_datetime(&format!("{number:08}")),
            _ => parse_datetime(&with_separators(number)?),
        }
    };
    let times: TimestampMicrosecondArray = numbers.as_primitive::<Int64Type>().iter().map(time).collect();
    Ok(Arc::new(times))
}

/// `2024-01-31 23:59:59` of 20240131235959.
fn with_separators(number: i64) -> Option<String> {
    let (date, clock) = (number / 1_000_000, number % 1_000_000);
    let is_time = (0..=99_999_999).contains(&date) && number >= 0;
    let (year, day) = (date / 10_000, date % 10_000);
    let (hour, second) = (clock / 10_000, clock % 10_000);
    is_time.then(|| {
        format!(
            "{year:04}-{:02}-{:02} {hour:02}:{:02}:{:02}",
            day / 100,
            day % 100,
            second / 100,
            second % 100
        )
    })
}
