//! How each column type lies in memory. Every crate that holds table data in Arrow uses this mapping.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use cairn_types::{Column, Schema, SqlType};

/// Digits of `LARGEINT` as an Arrow decimal: enough for 128 bits.
pub const LARGEINT_DIGITS: u8 = 39;

/// The Arrow type of a column of type `ty`.
#[must_use]
pub fn arrow_type(ty: SqlType) -> DataType {
    match ty {
        SqlType::Boolean => DataType::Boolean,
        SqlType::TinyInt => DataType::Int8,
        SqlType::SmallInt => DataType::Int16,
        SqlType::Int => DataType::Int32,
        SqlType::BigInt => DataType::Int64,
        SqlType::LargeInt => DataType::Decimal256(LARGEINT_DIGITS, 0),
        SqlType::Float => DataType::Float32,
        SqlType::Double => DataType::Float64,
        SqlType::Decimal { precision, scale } => {
            DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX))
        }
        SqlType::Date => DataType::Date32,
        SqlType::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        SqlType::Char(_) | SqlType::Varchar(_) | SqlType::String => DataType::Utf8View,
    }
}

/// Key of a field's metadata: the name as the user wrote it, where that is not the field's own.
pub const DISPLAY_NAME: &str = "cairn.name";

/// The Arrow field of a table column. Its name is in lower case, because columns are compared without regard to case.
#[must_use]
pub fn arrow_field(column: &Column) -> Field {
    let name = column.name.to_lowercase();
    let field = Field::new(&name, arrow_type(column.ty), column.nullable);
    match name == column.name {
        true => field,
        false => field.with_metadata([(DISPLAY_NAME.to_owned(), column.name.clone())].into()),
    }
}

/// The Arrow schema of a table.
#[must_use]
pub fn arrow_schema(schema: &Schema) -> SchemaRef {
    Arc::new(ArrowSchema::new(schema.columns.iter().map(arrow_field).collect::<Vec<_>>()))
}
