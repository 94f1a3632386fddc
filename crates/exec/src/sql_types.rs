//! From Arrow types of query results to column types.

use arrow::datatypes::{DataType, TimeUnit};
use cairn_types::{Error, Result, SqlType, limits};
use datafusion::logical_expr::{Expr, cast};

/// What a DATETIME is in Arrow.
pub(crate) const DATETIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// `expr`, which is of the type `from`, as `to`.
pub(crate) fn typed(expr: Expr, from: &DataType, to: &DataType) -> Expr {
    if from == to { expr } else { cast(expr, to.clone()) }
}

/// The column type that holds values of an Arrow type.
///
/// # Errors
/// `Unsupported`, naming the type.
pub fn sql_type(ty: &DataType) -> Result<SqlType> {
    Ok(match ty {
        DataType::Boolean => SqlType::Boolean,
        DataType::Null | DataType::Int8 => SqlType::TinyInt,
        DataType::Int16 | DataType::UInt8 => SqlType::SmallInt,
        DataType::Int32 | DataType::UInt16 => SqlType::Int,
        DataType::Int64 | DataType::UInt32 => SqlType::BigInt,
        DataType::UInt64 | DataType::Decimal256(_, 0) => SqlType::LargeInt,
        DataType::Float16 | DataType::Float32 => SqlType::Float,
        DataType::Float64 => SqlType::Double,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => SqlType::Decimal {
            precision: (*p).min(limits::DECIMAL_PRECISION_MAX),
            scale: u8::try_from(*s).unwrap_or(0),
        },
        DataType::Date32 | DataType::Date64 => SqlType::Date,
        DataType::Timestamp(..) => SqlType::DateTime,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => SqlType::String,
        DataType::Dictionary(_, values) => sql_type(values)?,
        other => {
            return Err(Error::unsupported(format!(
                "there is no column type for values of type {other}: CAST them"
            )));
        }
    })
}

/// The column type that a table made from a query has: text of unknown length may be long.
///
/// # Errors
/// As [`sql_type`].
pub fn stored_type(ty: &DataType) -> Result<SqlType> {
    Ok(match sql_type(ty)? {
        SqlType::String => SqlType::Varchar(limits::VARCHAR_BYTES_MAX),
        other => other,
    })
}
