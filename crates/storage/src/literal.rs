//! Values of Arrow columns as [`Literal`]s and as ordinals.
//!
//! An *ordinal* is a value as an `i128` in the same order: integers, booleans, dates, times and unscaled decimals have
//! one. Routing, hashing and zone maps work on ordinals, so that they do not allocate per row.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use cairn_types::{Error, Literal, Result};

/// Calls `visit(row, ordinal)` for each row, `None` for NULL. Returns false, with no call, when values of this type have
/// no ordinal.
pub(crate) fn visit_ordinals(array: &dyn Array, mut visit: impl FnMut(usize, Option<i128>)) -> bool {
    macro_rules! primitive {
        ($ty:ty, $to:expr) => {{
            let values = array.as_primitive::<$ty>();
            if values.null_count() == 0 {
                values.values().iter().enumerate().for_each(|(row, v)| visit(row, Some($to(*v))));
            } else {
                values.iter().enumerate().for_each(|(row, v)| visit(row, v.map($to)));
            }
        }};
    }
    match array.data_type() {
        DataType::Boolean => {
            array.as_boolean().iter().enumerate().for_each(|(row, v)| visit(row, v.map(i128::from)));
        }
        DataType::Int8 => primitive!(Int8Type, i128::from),
        DataType::Int16 => primitive!(Int16Type, i128::from),
        DataType::Int32 => primitive!(Int32Type, i128::from),
        DataType::Int64 => primitive!(Int64Type, i128::from),
        DataType::Decimal128(..) => primitive!(Decimal128Type, |v| v),
        // LARGEINT: 39 digits are checked to be 128 bits when a batch is taken in.
        DataType::Decimal256(_, 0) => {
            primitive!(Decimal256Type, |v: arrow::datatypes::i256| v.to_i128().unwrap_or(i128::MAX));
        }
        DataType::Date32 => primitive!(Date32Type, i128::from),
        DataType::Timestamp(TimeUnit::Microsecond, None) => primitive!(TimestampMicrosecondType, i128::from),
        _ => return false,
    }
    true
}

/// Calls `visit(row, text)` for each row, `None` for NULL. Returns false, with no call, when it is no string column.
pub(crate) fn visit_strings(array: &dyn Array, mut visit: impl FnMut(usize, Option<&str>)) -> bool {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().iter().enumerate().for_each(|(row, v)| visit(row, v)),
        DataType::Utf8 => array.as_string::<i32>().iter().enumerate().for_each(|(row, v)| visit(row, v)),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().enumerate().for_each(|(row, v)| visit(row, v)),
        _ => return false,
    }
    true
}

/// Calls `visit(row, number)` for each row of a float column; false when it is none.
pub(crate) fn visit_floats(array: &dyn Array, mut visit: impl FnMut(usize, Option<f64>)) -> bool {
    match array.data_type() {
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            values.iter().enumerate().for_each(|(row, v)| visit(row, v.map(f64::from)));
        }
        DataType::Float64 => {
            array.as_primitive::<Float64Type>().iter().enumerate().for_each(|(row, v)| visit(row, v));
        }
        _ => return false,
    }
    true
}

/// The value at `row` of a column with one of the table types.
///
/// # Errors
/// `Internal` for an Arrow type that no column has, or a row that is not there.
pub fn literal_at(array: &dyn Array, row: usize) -> Result<Literal> {
    if row >= array.len() {
        return Err(Error::internal(format!("row {row} of a column with {} rows", array.len())));
    }
    let one = array.slice(row, 1);
    let mut found = None;
    let ordinal = visit_ordinals(&one, |_, v| {
        found = Some(v.map_or(Literal::Null, |ordinal| literal_of_ordinal(array.data_type(), ordinal)));
    });
    if !ordinal
        && !visit_strings(&one, |_, v| {
            found = Some(v.map_or(Literal::Null, |text| Literal::Str(text.to_owned())))
        })
    {
        visit_floats(&one, |_, v| found = Some(v.map_or(Literal::Null, Literal::Double)));
    }
    found.ok_or_else(|| Error::internal(format!("no column has the Arrow type {}", array.data_type())))
}

/// The literal of an ordinal of a column of `data_type`.
pub(crate) fn literal_of_ordinal(data_type: &DataType, ordinal: i128) -> Literal {
    match data_type {
        DataType::Boolean => Literal::Bool(ordinal != 0),
        DataType::Decimal128(_, scale) => Literal::Decimal(ordinal, u8::try_from(*scale).unwrap_or(0)),
        DataType::Date32 => Literal::Date(i32::try_from(ordinal).unwrap_or(i32::MAX)),
        DataType::Timestamp(..) => Literal::DateTime(i64::try_from(ordinal).unwrap_or(i64::MAX)),
        _ => Literal::Int(ordinal),
    }
}

/// The ordinal of a literal; `None` for NULL, strings and floats.
pub(crate) fn ordinal_of_literal(literal: &Literal) -> Option<i128> {
    match literal {
        Literal::Bool(b) => Some(i128::from(*b)),
        Literal::Int(i) | Literal::Decimal(i, _) => Some(*i),
        Literal::Date(days) => Some(i128::from(*days)),
        Literal::DateTime(micros) => Some(i128::from(*micros)),
        Literal::Null | Literal::Double(_) | Literal::Str(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float32Array, Int8Array, StringViewArray};

    fn check(array: ArrayRef, expected: &[Literal]) {
        for (row, literal) in expected.iter().enumerate() {
            assert_eq!(&literal_at(&array, row).unwrap(), literal, "{array:?}");
        }
        assert!(literal_at(&array, expected.len()).is_err());
    }

    #[test]
    fn values_become_literals() {
        check(Arc::new(Int8Array::from(vec![Some(-1), None])), &[Literal::Int(-1), Literal::Null]);
        check(Arc::new(Date32Array::from(vec![7])), &[Literal::Date(7)]);
        check(
            Arc::new(StringViewArray::from(vec![Some(""), None])),
            &[Literal::Str(String::new()), Literal::Null],
        );
        check(Arc::new(Float32Array::from(vec![0.5])), &[Literal::Double(0.5)]);
        let decimals = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap();
        check(Arc::new(decimals), &[Literal::Decimal(150, 2)]);
    }
}
