//! `largeint(x)`: the whole part of a decimal as an integer of 128 bits. What is above or below begins again at the other
//! end, as BIGINT does: Arrow computes LARGEINT with more bits than it has.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal256Array};
use arrow::datatypes::{DataType, Decimal256Type, i256};
use cairn_ingest::arrow_type;
use cairn_types::SqlType;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `expr`, a decimal of 256 bits, as a LARGEINT.
pub(crate) fn large_int(expr: Expr) -> Expr {
    ScalarUDF::from(LargeInt::new()).call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LargeInt {
    signature: Signature,
}

impl LargeInt {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LargeInt {
    fn name(&self) -> &str {
        "largeint"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [DataType::Decimal256(_, 0..)] => Ok(arrow_type(SqlType::LargeInt)),
            other => datafusion::common::plan_err!("largeint takes a decimal of 256 bits, not {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else { return internal_err!("largeint takes one value") };
        let values = value.to_array(args.number_rows)?;
        let DataType::Decimal256(_, scale) = *values.data_type() else {
            return internal_err!("largeint takes a decimal of 256 bits");
        };
        let values = values.as_primitive::<Decimal256Type>();
        let Some(one) = i256::from_i128(10).checked_pow(u32::from(scale.unsigned_abs())) else {
            return exec_err!("a decimal with {scale} digits behind the point has no whole part");
        };
        let wrapped: Decimal256Array = values.unary(|v| i256::from_i128(v.wrapping_div(one).as_i128()));
        Ok(ColumnarValue::Array(Arc::new(wrapped.with_data_type(arrow_type(SqlType::LargeInt)))))
    }
}
