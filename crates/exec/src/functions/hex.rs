//! `hex(x)`: of an integer its digits, of a text its bytes; `unhex(digits)`: the text of these bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Hex {
    signature: Signature,
}

impl Hex {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Hex {
    fn name(&self) -> &str {
        "hex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = arrays.as_slice() else { return exec_err!("hex takes one value") };
        Ok(ColumnarValue::Array(Arc::new(digits(values)?)))
    }
}

/// What is no text in digits is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Unhex {
    signature: Signature,
}

impl Unhex {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8View], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Unhex {
    fn name(&self) -> &str {
        "unhex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = arrays.as_slice() else { return exec_err!("unhex takes one text") };
        let texts: StringViewArray = values.as_string_view().iter().map(|digits| bytes_of(digits?)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

fn bytes_of(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [_, _] => u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok(),
        _ => None,
    };
    String::from_utf8(pairs.map(byte).collect::<Option<Vec<u8>>>()?).ok()
}

fn digits(values: &ArrayRef) -> Result<StringViewArray> {
    if values.data_type().is_integer() {
        let numbers = cast(values, &DataType::Int64)?;
        return Ok(numbers.as_primitive::<Int64Type>().iter().map(|n| Some(format!("{:X}", n?))).collect());
    }
    let texts = cast(values, &DataType::Utf8View)?;
    Ok(texts.as_string_view().iter().map(|text| Some(of_bytes(text?.as_bytes()))).collect())
}

fn of_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let written = write!(out, "{byte:02X}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        out
    })
}
