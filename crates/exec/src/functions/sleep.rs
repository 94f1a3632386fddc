//! `SLEEP(seconds)`: waits, and returns whether it did. A query that is killed or runs out of time stops waiting.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Float64Type};
use async_trait::async_trait;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::async_udf::AsyncScalarUDFImpl;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Longer waits are cut: a session's time limit ends them anyway.
const SECONDS_MAX: f64 = 86_400.0;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sleep {
    signature: Signature,
}

impl Sleep {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Float64], Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &str {
        "sleep"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("sleep is asynchronous")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let seconds = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(seconds) = seconds.first().and_then(|a| a.as_primitive_opt::<Float64Type>()) else {
            return internal_err!("sleep takes a DOUBLE");
        };
        for wait in seconds.iter().flatten() {
            tokio::time::sleep(Duration::from_secs_f64(wait.clamp(0.0, SECONDS_MAX))).await;
        }
        let slept: BooleanArray =
            (0..seconds.len()).map(|row| seconds.is_valid(row).then_some(true)).collect();
        Ok(ColumnarValue::Array(Arc::new(slept)))
    }
}
