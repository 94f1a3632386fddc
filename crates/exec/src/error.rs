//! DataFusion's errors in the user's words.

use cairn_types::{Error, ErrorKind};
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// What a DataFusion error means to the user.
#[must_use]
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::analysis(other.to_string()),
        },
        DataFusionError::Context(_, inner) => from_datafusion(*inner),
        DataFusionError::Diagnostic(_, inner) => from_datafusion(*inner),
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::SchemaError(schema, _) => from_schema(&schema),
        DataFusionError::ResourcesExhausted(text) => Error::resource_exhausted(format!(
            "Memory of query exceed limit: {text}. Raise query_mem_limit, or select less"
        )),
        DataFusionError::NotImplemented(text) => Error::unsupported(format!("not supported: {text}")),
        DataFusionError::Plan(text) => Error::analysis(text),
        DataFusionError::SQL(error, _) => Error::parse(error.to_string()),
        DataFusionError::ArrowError(error, _) => from_arrow(*error),
        DataFusionError::ParquetError(error) => from_parquet(*error),
        DataFusionError::Internal(text) => Error::internal(text),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            from_datafusion(errors.swap_remove(0))
        }
        other => Error::new(ErrorKind::Analysis, other.strip_backtrace()),
    }
}

/// A shared error can only be looked at.
fn from_shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::analysis(inner.to_string()),
        },
        DataFusionError::Context(_, inner) => from_shared(inner),
        DataFusionError::Shared(inner) => from_shared(inner),
        DataFusionError::ResourcesExhausted(text) => {
            Error::resource_exhausted(format!("Memory of query exceed limit: {text}"))
        }
        other => Error::analysis(other.strip_backtrace()),
    }
}

fn from_arrow(error: arrow::error::ArrowError) -> Error {
    match error {
        arrow::error::ArrowError::ExternalError(inner) => from_boxed(inner),
        other => Error::invalid_value(other.to_string()),
    }
}

fn from_parquet(error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(inner) => from_boxed(inner),
        other => Error::corrupt(format!("a segment cannot be read: {other}")),
    }
}

fn from_boxed(inner: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(inner) => inner,
    };
    match inner.downcast::<DataFusionError>() {
        Ok(error) => from_datafusion(*error),
        Err(other) => Error::analysis(other.to_string()),
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            Error::analysis(format!("Column '{}' cannot be resolved", field.flat_name()))
        }
        SchemaError::AmbiguousReference { field } => {
            Error::analysis(format!("Column '{}' is ambiguous", field.flat_name()))
        }
        other => Error::analysis(other.to_string()),
    }
}

/// Our error as DataFusion carries it through a plan.
#[must_use]
pub fn to_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
