//! Catalog literals as DataFusion scalars.

use arrow::datatypes::{DataType, TimeUnit, i256};
use cairn_types::Literal;
use datafusion::scalar::ScalarValue;

/// `literal` as a scalar of `ty`; a typed NULL when there is no such value.
#[must_use]
pub fn scalar(literal: &Literal, ty: &DataType) -> ScalarValue {
    let null = || ScalarValue::try_from(ty).unwrap_or(ScalarValue::Null);
    match (literal, ty) {
        (Literal::Bool(b), DataType::Boolean) => ScalarValue::Boolean(Some(*b)),
        (Literal::Int(i), DataType::Int8) => ScalarValue::Int8(i8::try_from(*i).ok()),
        (Literal::Int(i), DataType::Int16) => ScalarValue::Int16(i16::try_from(*i).ok()),
        (Literal::Int(i), DataType::Int32) => ScalarValue::Int32(i32::try_from(*i).ok()),
        (Literal::Int(i), DataType::Int64) => ScalarValue::Int64(i64::try_from(*i).ok()),
        (Literal::Int(i), DataType::Decimal256(p, s)) => {
            ScalarValue::Decimal256(Some(i256::from_i128(*i)), *p, *s)
        }
        #[allow(clippy::cast_possible_truncation, reason = "a FLOAT column holds f32")]
        (Literal::Double(d), DataType::Float32) => ScalarValue::Float32(Some(*d as f32)),
        (Literal::Double(d), DataType::Float64) => ScalarValue::Float64(Some(*d)),
        (Literal::Decimal(unscaled, _), DataType::Decimal128(p, s)) => {
            ScalarValue::Decimal128(Some(*unscaled), *p, *s)
        }
        (Literal::Date(days), DataType::Date32) => ScalarValue::Date32(Some(*days)),
        (Literal::DateTime(micros), DataType::Timestamp(TimeUnit::Microsecond, None)) => {
            ScalarValue::TimestampMicrosecond(Some(*micros), None)
        }
        (Literal::Str(s), DataType::Utf8View) => ScalarValue::Utf8View(Some(s.clone())),
        _ => null(),
    }
}
