//! One column into a column type. Where Arrow's cast kernels mean the same as SQL they do it; text, datetimes,
//! 128-bit integers and everything into strings follow the rules of loads.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, PrimitiveArray, StringViewArray,
    StringViewBuilder, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, i256,
};
use cairn_types::value::MICROS_PER_DAY;
use cairn_types::{Error, Result, SqlType};

use crate::arrow_types::{LARGEINT_DIGITS, arrow_type};
use crate::column::ColumnBuilder;
use crate::tally::Why;
use crate::text::texts;

/// A column that was cast. Refused values are NULL in it.
pub(crate) struct Cast {
    pub array: ArrayRef,
    pub bad: Vec<(usize, Why)>,
}

/// 0000-01-01 and 9999-12-31 as days since 1970-01-01: the dates that SQL has.
const DAYS: std::ops::RangeInclusive<i32> = -719_528..=2_932_896;

/// Casts `array` to the Arrow type of `ty`.
///
/// # Errors
/// `Unsupported` when the type cannot become `ty`.
pub(crate) fn cast_column(array: &ArrayRef, ty: SqlType, utc_offset_seconds: i32) -> Result<Cast> {
    use DataType::*;
    match array.data_type() {
        Null => Ok(Cast { array: new_null_array(&arrow_type(ty), array.len()), bad: Vec::new() }),
        Dictionary(_, inner) => cast_column(&arrow_cast(array, inner)?, ty, utc_offset_seconds),
        RunEndEncoded(_, inner) => {
            cast_column(&arrow_cast(array, inner.data_type())?, ty, utc_offset_seconds)
        }
        Utf8 | LargeUtf8 | Utf8View => {
            let texts = arrow_cast(array, &Utf8View)?;
            Ok(match ty.is_string() {
                true => checked_strings(texts.as_string_view().clone(), ty),
                false => parsed(texts.as_string_view().iter(), texts.len(), ty),
            })
        }
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) if ty.is_string() => {
            let wide = if matches!(array.data_type(), FixedSizeBinary(_)) {
                &arrow_cast(array, &Binary)?
            } else {
                array
            };
            Ok(binary_to_strings(arrow_cast(wide, &BinaryView)?.as_binary_view(), ty))
        }
        _ if ty.is_string() => {
            let array = local_times(array, utc_offset_seconds)?;
            Ok(checked_strings(texts(&array)?, ty))
        }
        Date32 | Date64 | Timestamp(..) => temporal(array, ty, utc_offset_seconds),
        Boolean => match ty {
            SqlType::Date | SqlType::DateTime => Err(impossible(array, ty)),
            SqlType::Boolean => Ok(Cast { array: array.clone(), bad: Vec::new() }),
            _ => numeric(&arrow_cast(array, &Int8)?, ty),
        },
        source if source.is_numeric() => match ty {
            // 20240131 is a date; 45,000.5 is none.
            SqlType::Date | SqlType::DateTime if source.is_integer() => {
                let texts = texts(array)?;
                Ok(parsed(texts.iter(), texts.len(), ty))
            }
            SqlType::Date | SqlType::DateTime => Err(impossible(array, ty)),
            _ => numeric(array, ty),
        },
        _ => Err(impossible(array, ty)),
    }
}

fn impossible(array: &ArrayRef, ty: SqlType) -> Error {
    Error::unsupported(format!(
        "Values of type {} cannot become {}. Cast them in the query",
        array.data_type(),
        ty.to_string().to_ascii_uppercase()
    ))
}

/// Arrow's cast; values that do not fit become NULL.
fn arrow_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|e| {
        Error::unsupported(format!("Values of type {} cannot become {to}: {e}", array.data_type()))
    })
}

/// Texts by the rules of loads.
fn parsed<'a>(texts: impl Iterator<Item = Option<&'a str>>, rows: usize, ty: SqlType) -> Cast {
    let mut column = ColumnBuilder::typed(ty, true, true, rows);
    let mut bad = Vec::new();
    column.append_all(texts, &mut bad);
    Cast { array: column.finish(), bad }
}

/// Numbers into numbers and booleans.
fn numeric(array: &ArrayRef, ty: SqlType) -> Result<Cast> {
    if ty == SqlType::LargeInt {
        return large_integers(array);
    }
    let target = arrow_type(ty);
    // Arrow knows no boolean out of decimals.
    let source = match (ty, array.data_type().is_decimal()) {
        (SqlType::Boolean, true) => &arrow_cast(array, &DataType::Float64)?,
        _ => array,
    };
    let done = arrow_cast(source, &target)?;
    Ok(match ty {
        SqlType::Float => checked(&done, array, |v: f32| v.is_finite(), |a| a.as_primitive::<Float32Type>()),
        SqlType::Double => checked(&done, array, |v: f64| v.is_finite(), |a| a.as_primitive::<Float64Type>()),
        SqlType::Decimal { precision, .. } => {
            let limit = 10i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
            let fits = |v: i128| v.unsigned_abs() < limit.unsigned_abs();
            checked(&done, array, fits, |a| a.as_primitive::<Decimal128Type>())
        }
        _ => Cast { bad: lost(&done, array), array: done },
    })
}

/// Into 128-bit integers; Arrow checks digits only, not bits.
fn large_integers(array: &ArrayRef) -> Result<Cast> {
    let source = match array.data_type() {
        // Not all floats of this size can be cast directly; text is exact and cut at the point.
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let doubles = arrow_cast(array, &DataType::Float64)?;
            let doubles = doubles.as_primitive::<Float64Type>();
            let whole = doubles.iter().map(|v| {
                let value = v.filter(|v| v.is_finite() && v.abs() < 1.7e38)?;
                // The bounds make the conversion exact but for the fraction, which is cut as for other integers.
                Some(i256::from_i128(value.trunc() as i128))
            });
            Arc::new(PrimitiveArray::<Decimal256Type>::from_iter(whole).with_data_type(large_type()))
                as ArrayRef
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if *scale != 0 =>
        {
            // Through all digits, so that rounding cannot overflow before the check.
            arrow_cast(&arrow_cast(array, &DataType::Decimal256(76, *scale))?, &DataType::Decimal256(76, 0))?
        }
        _ => array.clone(),
    };
    let done = arrow_cast(&source, &large_type())?;
    Ok(checked(&done, array, |v: i256| v.to_i128().is_some(), |a| a.as_primitive::<Decimal256Type>()))
}

fn large_type() -> DataType {
    DataType::Decimal256(LARGEINT_DIGITS, 0)
}

/// Rows that had a value before the cast and have none after it.
fn lost(done: &ArrayRef, source: &ArrayRef) -> Vec<(usize, Why)> {
    if done.null_count() == source.logical_null_count() {
        return Vec::new();
    }
    let before = source.logical_nulls();
    let was = |row: usize| before.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    (0..done.len()).filter(|row| done.is_null(*row) && was(*row)).map(|row| (row, Why::Value)).collect()
}

/// Also refuses values that `fits` does not like.
fn checked<T: ArrowPrimitiveType>(
    done: &ArrayRef,
    source: &ArrayRef,
    fits: impl Fn(T::Native) -> bool,
    typed: impl Fn(&ArrayRef) -> &PrimitiveArray<T>,
) -> Cast {
    let values = typed(done);
    let mut bad = lost(done, source);
    if values.values().iter().all(|v| fits(*v)) {
        return Cast { array: done.clone(), bad };
    }
    let wrong = |row: &usize| values.is_valid(*row) && !fits(values.value(*row));
    let wrong: Vec<usize> = (0..values.len()).filter(wrong).collect();
    if wrong.is_empty() {
        return Cast { array: done.clone(), bad };
    }
    let keep = |row: usize| wrong.binary_search(&row).is_err();
    let mask = NullBuffer::from_iter((0..values.len()).map(keep));
    let nulls = NullBuffer::union(values.nulls(), Some(&mask));
    bad.extend(wrong.iter().map(|row| (*row, Why::Value)));
    bad.sort_unstable();
    let array =
        PrimitiveArray::<T>::new(values.values().clone(), nulls).with_data_type(values.data_type().clone());
    Cast { array: Arc::new(array), bad }
}

/// Timestamps with a time zone become local ones without; other columns stay.
fn local_times(array: &ArrayRef, utc_offset_seconds: i32) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Timestamp(_, Some(_)) => Ok(micros(array, utc_offset_seconds)?.array),
        _ => Ok(array.clone()),
    }
}

/// Dates and datetimes into each other.
fn temporal(array: &ArrayRef, ty: SqlType, utc_offset_seconds: i32) -> Result<Cast> {
    let day_of = |micros: i64| i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok();
    match (array.data_type(), ty) {
        (DataType::Date32, SqlType::Date) => {
            Ok(checked(array, array, |day: i32| DAYS.contains(&day), |a| a.as_primitive::<Date32Type>()))
        }
        (DataType::Date32, SqlType::DateTime) => {
            let days = array.as_primitive::<Date32Type>();
            let micros = days.unary_opt::<_, TimestampMicrosecondType>(|day| {
                DAYS.contains(&day).then(|| i64::from(day) * MICROS_PER_DAY)
            });
            let done: ArrayRef = Arc::new(micros);
            Ok(Cast { bad: lost(&done, array), array: done })
        }
        (DataType::Date64, _) => temporal(&arrow_cast(array, &DataType::Date32)?, ty, utc_offset_seconds),
        (DataType::Timestamp(..), SqlType::DateTime) => micros(array, utc_offset_seconds),
        (DataType::Timestamp(..), SqlType::Date) => {
            let Cast { array: datetimes, .. } = micros(array, utc_offset_seconds)?;
            let datetimes = datetimes.as_primitive::<TimestampMicrosecondType>();
            let done: ArrayRef = Arc::new(datetimes.unary_opt::<_, Date32Type>(day_of));
            Ok(Cast { bad: lost(&done, array), array: done })
        }
        _ => Err(impossible(array, ty)),
    }
}

/// Timestamps of any unit as local microseconds without a time zone. Finer ticks are cut.
fn micros(array: &ArrayRef, utc_offset_seconds: i32) -> Result<Cast> {
    let DataType::Timestamp(unit, zone) = array.data_type() else {
        return Err(impossible(array, SqlType::DateTime));
    };
    let offset = if zone.is_some() { i64::from(utc_offset_seconds) * 1_000_000 } else { 0 };
    let ticks = arrow_cast(array, &DataType::Int64)?;
    let in_range = |micros: &i64| day_range(*micros);
    let local = ticks.as_primitive::<Int64Type>().unary_opt::<_, TimestampMicrosecondType>(|ticks| {
        let micros = match unit {
            TimeUnit::Second => ticks.checked_mul(1_000_000)?,
            TimeUnit::Millisecond => ticks.checked_mul(1_000)?,
            TimeUnit::Microsecond => ticks,
            TimeUnit::Nanosecond => ticks.div_euclid(1_000),
        };
        micros.checked_add(offset).filter(in_range)
    });
    let done: ArrayRef = Arc::new(local);
    Ok(Cast { bad: lost(&done, array), array: done })
}

fn day_range(micros: i64) -> bool {
    i32::try_from(micros.div_euclid(MICROS_PER_DAY)).is_ok_and(|day| DAYS.contains(&day))
}

/// Bytes that are no UTF-8 are refused.
fn binary_to_strings(values: &BinaryViewArray, ty: SqlType) -> Cast {
    let mut bad = Vec::new();
    let mut out = StringViewBuilder::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        match value.map(std::str::from_utf8) {
            Some(Ok(text)) => out.append_value(text),
            Some(Err(_)) => {
                bad.push((row, Why::Value));
                out.append_null();
            }
            None => out.append_null(),
        }
    }
    let mut cast = checked_strings(out.finish(), ty);
    cast.bad.extend(bad);
    cast.bad.sort_unstable();
    cast
}

/// Strings that are too long are refused.
fn checked_strings(strings: StringViewArray, ty: SqlType) -> Cast {
    let bytes_max = ty.bytes_max().unwrap_or(u32::MAX);
    // The lowest 32 bits of a view are its length.
    let too_long = |view: &u128| (view & 0xffff_ffff) > u128::from(bytes_max);
    if !strings.views().iter().any(too_long) {
        return Cast { array: Arc::new(strings), bad: Vec::new() };
    }
    let views = strings.views().iter().enumerate();
    let rows: Vec<usize> =
        views.filter(|(row, view)| too_long(view) && strings.is_valid(*row)).map(|(row, _)| row).collect();
    let mut out = StringViewBuilder::with_capacity(strings.len());
    let mut refused = rows.iter().peekable();
    for (row, value) in strings.iter().enumerate() {
        match refused.next_if(|at| **at == row) {
            Some(_) => out.append_null(),
            None => out.append_option(value),
        }
    }
    Cast { array: Arc::new(out.finish()), bad: rows.into_iter().map(|row| (row, Why::TooLong)).collect() }
}
