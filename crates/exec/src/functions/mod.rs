//! Functions that DataFusion does not have, or with other types.

mod converted;
mod date_format;
mod date_trunc;
mod decimal_divide;
mod hex;
mod interval;
mod large_int;
mod same;
mod sleep;
mod str_to_date;
mod time_slice;
mod timestamp_diff;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::async_udf::AsyncScalarUDF;

pub(crate) use converted::converted;
pub(crate) use decimal_divide::decimal_divide;
pub(crate) use interval::INTERVAL_OF;
pub(crate) use large_int::large_int;
pub(crate) use same::SAME;
pub(crate) use time_slice::slice_floor;
pub(crate) use timestamp_diff::TIMESTAMP_DIFF;

/// Adds our functions to `state`.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let asynchronous = AsyncScalarUDF::new(Arc::new(sleep::Sleep::new()));
    state.register_udf(Arc::new(asynchronous.into_scalar_udf()))?;
    state.register_udf(Arc::new(ScalarUDF::from(large_int::LargeInt::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(same::Same::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(hex::Hex::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(hex::Unhex::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(str_to_date::StrToDate::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(timestamp_diff::TimestampDiff::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(interval::IntervalOf::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(date_format::DateFormat::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(date_trunc::DateTrunc::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(time_slice::TimeSlice::of_datetimes())))?;
    state.register_udf(Arc::new(ScalarUDF::from(time_slice::TimeSlice::of_dates())))?;
    Ok(())
}
