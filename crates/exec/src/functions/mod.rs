//! Functions that DataFusion does not have, or with other types.

mod date_format;
mod date_trunc;
mod large_int;
mod sleep;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::async_udf::AsyncScalarUDF;

pub(crate) use large_int::large_int;

/// Adds our functions to `state`.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let asynchronous = AsyncScalarUDF::new(Arc::new(sleep::Sleep::new()));
    state.register_udf(Arc::new(asynchronous.into_scalar_udf()))?;
    state.register_udf(Arc::new(ScalarUDF::from(large_int::LargeInt::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(date_format::DateFormat::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(date_trunc::DateTrunc::new())))?;
    Ok(())
}
