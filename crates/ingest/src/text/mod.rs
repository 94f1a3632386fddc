//! Values as text, the way MySQL clients and CSV files show them. A column is resolved once per batch
//! ([`ColumnText::new`]); then each value is appended to a buffer without an allocation.
//!
//! | type | text |
//! |---|---|
//! | boolean | `1`, `0` |
//! | integers, decimals | digits, decimals with all places of their scale |
//! | floats | the shortest text that reads back the same; with an exponent (`1e+16`) below 1e-4 and from 1e16 on |
//! | date, datetime | `2024-01-31`, `2024-01-31 12:34:56`, with six places when there is a fraction of a second |
//! | binary | its bytes |
//! | lists, structs, maps | as JSON |

mod format;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, BooleanArray, GenericBinaryArray,
    PrimitiveArray, StringArray, StringViewArray, StringViewBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use cairn_types::{Error, Result};

pub use format::{append_date, append_datetime, append_decimal, append_double, append_float};

/// A column of a batch, ready to be written as text.
pub struct ColumnText {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    /// Only NULLs.
    Null,
    Bool(BooleanArray),
    I8(PrimitiveArray<Int8Type>),
    I16(PrimitiveArray<Int16Type>),
    I32(PrimitiveArray<Int32Type>),
    I64(PrimitiveArray<Int64Type>),
    U8(PrimitiveArray<UInt8Type>),
    U16(PrimitiveArray<UInt16Type>),
    U32(PrimitiveArray<UInt32Type>),
    U64(PrimitiveArray<UInt64Type>),
    F32(PrimitiveArray<Float32Type>),
    F64(PrimitiveArray<Float64Type>),
    Dec128(PrimitiveArray<Decimal128Type>, i8),
    Dec256(PrimitiveArray<Decimal256Type>, i8),
    Date(PrimitiveArray<Date32Type>),
    /// Ticks since 1970, and ticks of one second.
    DateTime(PrimitiveArray<Int64Type>, i64),
    /// Ticks since midnight, and ticks of one second.
    Time(PrimitiveArray<Int64Type>, i64),
    Utf8(StringArray),
    Utf8View(StringViewArray),
    Binary(GenericBinaryArray<i64>),
    BinaryView(BinaryViewArray),
    /// The elements, and where each list starts and ends in them.
    List(Box<ColumnText>, OffsetBuffer<i64>),
    Struct(Vec<(String, ColumnText)>),
    Map(Box<ColumnText>, Box<ColumnText>, OffsetBuffer<i32>),
}

/// Columns nested deeper than this are refused.
const NESTING_MAX: usize = 32;

/// Every value of `array` as text.
///
/// # Errors
/// As [`ColumnText::new`].
pub fn texts(array: &ArrayRef) -> Result<StringViewArray> {
    let column = ColumnText::new(array)?;
    let mut out = StringViewBuilder::with_capacity(array.len());
    let mut text = Vec::new();
    for row in 0..array.len() {
        text.clear();
        match column.append(row, &mut text) {
            true => out.append_value(String::from_utf8_lossy(&text)),
            false => out.append_null(),
        }
    }
    Ok(out.finish())
}

impl ColumnText {
    /// Resolves the type of a column.
    ///
    /// # Errors
    /// `Unsupported` naming the type, when it has no text.
    pub fn new(array: &ArrayRef) -> Result<Self> {
        Self::nested(array, 0)
    }

    fn nested(array: &ArrayRef, depth: usize) -> Result<Self> {
        if depth > NESTING_MAX {
            return Err(Error::unsupported(format!("Cannot show a type nested deeper than {NESTING_MAX}")));
        }
        match array.data_type() {
            DataType::Dictionary(_, inner) => Self::nested(&cast_to(array, inner)?, depth + 1),
            DataType::RunEndEncoded(_, inner) => Self::nested(&cast_to(array, inner.data_type())?, depth + 1),
            _ => Ok(Self { nulls: array.logical_nulls(), values: Values::new(array, depth)? }),
        }
    }

    /// Whether the value is NULL; a row that does not exist is.
    #[inline]
    #[must_use]
    pub fn is_null(&self, row: usize) -> bool {
        match &self.nulls {
            Some(nulls) => row >= nulls.len() || nulls.is_null(row),
            None => matches!(self.values, Values::Null),
        }
    }

    /// Appends the text of a value to `out`; `false`, and nothing appended, when it is NULL.
    #[inline]
    pub fn append(&self, row: usize, out: &mut Vec<u8>) -> bool {
        let there = !self.is_null(row);
        if there {
            self.values.append(row, out);
        }
        there
    }

    fn append_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
        } else if self.values.is_quoted() {
            let mut text = Vec::new();
            self.values.append(row, &mut text);
            format::append_json_string(&text, out);
        } else {
            self.values.append(row, out);
        }
    }
}

fn cast_to(array: &ArrayRef, ty: &DataType) -> Result<ArrayRef> {
    let name = array.data_type();
    cast(array, ty).map_err(|e| Error::unsupported(format!("Cannot show values of type {name}: {e}")))
}

/// Times of day and datetimes as ticks and ticks per second.
fn ticks(array: &ArrayRef, unit: TimeUnit) -> Result<(PrimitiveArray<Int64Type>, i64)> {
    let per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    Ok((cast_to(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), per_second))
}

impl Values {
    fn new(array: &ArrayRef, depth: usize) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::Int8 => Self::I8(primitive(array)),
            DataType::Int16 => Self::I16(primitive(array)),
            DataType::Int32 => Self::I32(primitive(array)),
            DataType::Int64 => Self::I64(primitive(array)),
            DataType::UInt8 => Self::U8(primitive(array)),
            DataType::UInt16 => Self::U16(primitive(array)),
            DataType::UInt32 => Self::U32(primitive(array)),
            DataType::UInt64 => Self::U64(primitive(array)),
            DataType::Float16 => Self::F32(primitive(&cast_to(array, &DataType::Float32)?)),
            DataType::Float32 => Self::F32(primitive(array)),
            DataType::Float64 => Self::F64(primitive(array)),
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                let wide = cast_to(array, &DataType::Decimal128(*precision, *scale))?;
                Self::Dec128(primitive(&wide), *scale)
            }
            DataType::Decimal128(_, scale) => Self::Dec128(primitive(array), *scale),
            DataType::Decimal256(_, scale) => Self::Dec256(primitive(array), *scale),
            DataType::Date32 => Self::Date(primitive(array)),
            DataType::Date64 => Self::Date(primitive(&cast_to(array, &DataType::Date32)?)),
            DataType::Timestamp(unit, _) => {
                let (ticks, per_second) = ticks(array, *unit)?;
                Self::DateTime(ticks, per_second)
            }
            DataType::Time32(unit) => {
                let (ticks, per_second) = ticks(&cast_to(array, &DataType::Int32)?, *unit)?;
                Self::Time(ticks, per_second)
            }
            DataType::Time64(unit) => {
                let (ticks, per_second) = ticks(array, *unit)?;
                Self::Time(ticks, per_second)
            }
            DataType::Utf8 => Self::Utf8(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => {
                Self::Utf8View(cast_to(array, &DataType::Utf8View)?.as_string_view().clone())
            }
            DataType::Utf8View => Self::Utf8View(array.as_string_view().clone()),
            DataType::BinaryView => Self::BinaryView(array.as_binary_view().clone()),
            DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
                Self::Binary(cast_to(array, &DataType::LargeBinary)?.as_binary::<i64>().clone())
            }
            _ => Self::new_nested(array, depth)?,
        })
    }

    fn new_nested(array: &ArrayRef, depth: usize) -> Result<Self> {
        let inner = |array: &ArrayRef| ColumnText::nested(array, depth + 1);
        Ok(match array.data_type() {
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                let element = Field::new("item", field.data_type().clone(), true);
                let list = cast_to(array, &DataType::LargeList(element.into()))?;
                let list = list.as_list::<i64>();
                Self::List(Box::new(inner(list.values())?), list.offsets().clone())
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let named =
                    fields.iter().zip(columns).map(|(f, column)| Ok((f.name().clone(), inner(column)?)));
                Self::Struct(named.collect::<Result<_>>()?)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (inner(map.keys())?, inner(map.values())?);
                Self::Map(Box::new(keys), Box::new(values), map.offsets().clone())
            }
            other => return Err(Error::unsupported(format!("Cannot show values of type {other} as text"))),
        })
    }

    /// Whether the text stands in quotes within JSON.
    fn is_quoted(&self) -> bool {
        use Values::*;
        match self {
            Date(_) | DateTime(..) | Time(..) | Utf8(_) | Utf8View(_) | Binary(_) | BinaryView(_) => true,
            Null | Bool(_) | I8(_) | I16(_) | I32(_) | I64(_) | U8(_) | U16(_) | U32(_) | U64(_) | F32(_)
            | F64(_) | Dec128(..) | Dec256(..) | List(..) | Struct(_) | Map(..) => false,
        }
    }

    /// `row` must be below the length and not NULL.
    #[inline]
    fn append(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Bool(a) => out.push(if a.value(row) { b'1' } else { b'0' }),
            Self::I8(a) => integer(a.value(row), out),
            Self::I16(a) => integer(a.value(row), out),
            Self::I32(a) => integer(a.value(row), out),
            Self::I64(a) => integer(a.value(row), out),
            Self::U8(a) => integer(a.value(row), out),
            Self::U16(a) => integer(a.value(row), out),
            Self::U32(a) => integer(a.value(row), out),
            Self::U64(a) => integer(a.value(row), out),
            Self::F32(a) => append_float(a.value(row), out),
            Self::F64(a) => append_double(a.value(row), out),
            Self::Dec128(a, scale) => append_decimal(a.value(row), *scale, out),
            Self::Dec256(a, scale) => match a.value(row).to_i128() {
                Some(value) => append_decimal(value, *scale, out),
                None => format::append_digits(&a.value(row).to_string(), *scale, out),
            },
            Self::Date(a) => append_date(a.value(row).into(), out),
            Self::DateTime(a, per_second) => {
                let ticks = a.value(row);
                let micros = format::micros_of(ticks.rem_euclid(*per_second), *per_second);
                format::append_datetime_parts(ticks.div_euclid(*per_second), micros, out);
            }
            Self::Time(a, per_second) => format::append_time(a.value(row), *per_second, out),
            Self::Utf8(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::Utf8View(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::Binary(a) => out.extend_from_slice(a.value(row)),
            Self::BinaryView(a) => out.extend_from_slice(a.value(row)),
            Self::List(..) | Self::Struct(_) | Self::Map(..) => self.append_nested(row, out),
        }
    }

    #[cold]
    fn append_nested(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::List(elements, offsets) => {
                out.push(b'[');
                for (at, element) in span(offsets, row).enumerate() {
                    comma(at, out);
                    elements.append_json(element, out);
                }
                out.push(b']');
            }
            Self::Struct(columns) => {
                out.push(b'{');
                for (at, (name, column)) in columns.iter().enumerate() {
                    comma(at, out);
                    format::append_json_string(name.as_bytes(), out);
                    out.push(b':');
                    column.append_json(row, out);
                }
                out.push(b'}');
            }
            Self::Map(keys, values, offsets) => {
                out.push(b'{');
                for (at, entry) in span(offsets, row).enumerate() {
                    comma(at, out);
                    keys.append_json(entry, out);
                    out.push(b':');
                    values.append_json(entry, out);
                }
                out.push(b'}');
            }
            _ => {}
        }
    }
}

fn comma(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

/// The places of the elements of one list.
fn span<O: arrow::array::OffsetSizeTrait>(offsets: &OffsetBuffer<O>, row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).map_or(0, |o| o.as_usize());
    at(row)..at(row + 1)
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> PrimitiveArray<T> {
    array.as_primitive::<T>().clone()
}

#[inline]
fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::*;
    use arrow::datatypes::i256;

    fn check(array: impl Array + 'static, expected: &[&str]) {
        let array: ArrayRef = Arc::new(array);
        let column = ColumnText::new(&array).unwrap();
        let actual: Vec<String> = (0..array.len())
            .map(|row| {
                let mut out = Vec::new();
                let there = column.append(row, &mut out);
                if there { String::from_utf8(out).unwrap() } else { "NULL".into() }
            })
            .collect();
        assert_eq!(actual, expected, "{}", array.data_type());
    }

    #[test]
    fn scalars() {
        check(BooleanArray::from(vec![Some(true), Some(false), None]), &["1", "0", "NULL"]);
        check(Int8Array::from(vec![-128, 127]), &["-128", "127"]);
        check(UInt64Array::from(vec![u64::MAX]), &["18446744073709551615"]);
        check(StringArray::from(vec![Some("a"), None]), &["a", "NULL"]);
        check(LargeStringArray::from(vec!["ü"]), &["ü"]);
        check(BinaryArray::from(vec![b"ab".as_slice()]), &["ab"]);
        check(NullArray::new(2), &["NULL", "NULL"]);
        let decimals = Decimal128Array::from(vec![5, -12345, 0]).with_precision_and_scale(10, 2).unwrap();
        check(decimals, &["0.05", "-123.45", "0.00"]);
        let large = vec![i256::from_i128(i128::MIN), i256::from_i128(7)];
        let large = Decimal256Array::from(large).with_precision_and_scale(39, 0).unwrap();
        check(large, &["-170141183460469231731687303715884105728", "7"]);
        let huge = i256::from_string("123456789012345678901234567890123456789012").unwrap();
        let huge = Decimal256Array::from(vec![huge]).with_precision_and_scale(60, 2).unwrap();
        check(huge, &["1234567890123456789012345678901234567890.12"]);
    }

    #[test]
    fn times() {
        check(Date32Array::from(vec![0, 19_782, -1]), &["1970-01-01", "2024-02-29", "1969-12-31"]);
        check(
            TimestampMicrosecondArray::from(vec![0, 1_500_000, -1]),
            &["1970-01-01 00:00:00", "1970-01-01 00:00:01.500000", "1969-12-31 23:59:59.999999"],
        );
        check(TimestampNanosecondArray::from(vec![1_999]), &["1970-01-01 00:00:00.000001"]);
        check(TimestampSecondArray::from(vec![86_399]).with_timezone("UTC"), &["1970-01-01 23:59:59"]);
        check(Time64MicrosecondArray::from(vec![3_661_000_000, 500_000]), &["01:01:01", "00:00:00.500000"]);
        check(Time32SecondArray::from(vec![59]), &["00:00:59"]);
    }

    #[test]
    fn dictionaries_and_nested_values() {
        let dictionary: DictionaryArray<Int32Type> = [Some("x"), None, Some("x")].into_iter().collect();
        check(dictionary, &["x", "NULL", "x"]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        check(list, &["[1,null]", "NULL", "[]"]);
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a\"b"]));
        let fields = StructArray::from(vec![(Arc::new(Field::new("n", DataType::Utf8, true)), names)]);
        check(fields, &[r#"{"n":"a\"b"}"#]);
    }

    #[test]
    fn types_without_text_are_refused_by_name() {
        let array: ArrayRef = Arc::new(IntervalYearMonthArray::from(vec![1]));
        let error = ColumnText::new(&array).err().unwrap();
        assert!(error.message().contains("Interval"), "{error}");
    }
}
