//! The Arrow form of a table's rows as segments store them.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use cairn_types::{Schema, SqlType};

/// The Arrow type of a column of type `ty`.
#[must_use]
pub fn arrow_type(ty: SqlType) -> DataType {
    cairn_ingest::arrow_types::arrow_type(ty)
}

/// The Arrow schema of a table.
#[must_use]
pub fn arrow_schema(schema: &Schema) -> SchemaRef {
    Arc::clone(&cairn_ingest::arrow_types::arrow_schema(schema))
}
