//! DataFusion's errors in the user's words.

use cairn_types::{Error, ErrorKind};
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// What a DataFusion error means to the user.
#[must_use]
pub fn from_datafusion(error: DataFusionError) -> Error {
    let error = translated(error);
    match in_our_words(error.message()) {
        Some(text) => Error::new(ErrorKind::Analysis, text),
        None => error,
    }
}

/// Another text for one that speaks of DataFusion's insides.
fn in_our_words(text: &str) -> Option<String> {
    // "… No function matches the given name and argument types 'sum(Boolean)'. …"
    let signature = text.split_once("name and argument types '").and_then(|(_, rest)| rest.split_once('\''));
    if let Some((signature, _)) = signature {
        return Some(format!("No matching function with signature: {signature}. CAST its arguments"));
    }
    let subqueries = ["expression Exists(", "expression InSubquery(", "expression ScalarSubquery("];
    if text.contains("Physical plan does not support") && subqueries.iter().any(|kind| text.contains(kind)) {
        return Some(
            "not supported: a subquery in this place. EXISTS and IN work as conditions of WHERE, and a subquery for one value when it \
             compares columns of the outer query by = only: otherwise use a JOIN"
                .to_owned(),
        );
    }
    None
}

fn translated(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => from_shared(&DataFusionError::External(other)),
        },
        DataFusionError::Context(_, inner) => translated(*inner),
        DataFusionError::Diagnostic(_, inner) => translated(*inner),
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::SchemaError(schema, _) => from_schema(&schema),
        DataFusionError::ResourcesExhausted(text) => out_of_memory(&text),
        DataFusionError::NotImplemented(text) => Error::unsupported(format!("not supported: {text}")),
        DataFusionError::Plan(text) => Error::analysis(text),
        DataFusionError::SQL(error, _) => Error::parse(error.to_string()),
        DataFusionError::ArrowError(error, _) => from_arrow(*error),
        DataFusionError::ParquetError(error) => from_parquet(*error),
        DataFusionError::Internal(text) => Error::internal(text),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => translated(errors.swap_remove(0)),
        other => Error::new(ErrorKind::Analysis, other.strip_backtrace()),
    }
}

/// A shared error can only be looked at.
fn from_shared(error: &DataFusionError) -> Error {
    let mut chain = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    if let Some(ours) = chain.find_map(|e| e.downcast_ref::<Error>()) {
        return ours.clone();
    }
    match error.find_root() {
        DataFusionError::External(inner) => Error::analysis(inner.to_string()),
        DataFusionError::ResourcesExhausted(text) => out_of_memory(text),
        DataFusionError::ArrowError(inner, _) => Error::invalid_value(inner.to_string()),
        other => Error::analysis(other.strip_backtrace()),
    }
}

/// The limit of the query itself names itself (see `limit`), also where an operator has put words around it.
fn out_of_memory(text: &str) -> Error {
    let remedy = match text.contains("query_mem_limit") {
        true => "Raise query_mem_limit, or select less",
        false => {
            "Select less, run fewer queries at once, or raise query_bytes_max under [limits] in cairn.toml"
        }
    };
    // Distinct values are all kept; nothing in the operator's name tells whether it counts them.
    let also = match text.contains("Aggregate") {
        true => "; instead of count(DISTINCT …), ndv(…) counts about as well in little memory",
        false => "",
    };
    Error::resource_exhausted(format!("Memory of query exceed limit: {text}. {remedy}{also}"))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_however_deep_it_lies() {
        let check = |error: DataFusionError, kind: ErrorKind, expected: &[&str]| {
            let told = from_datafusion(error);
            assert_eq!(told.kind(), kind, "{told}");
            for part in expected {
                assert!(told.message().contains(part), "{told}");
            }
        };
        let full = |text: &str| DataFusionError::ResourcesExhausted(text.to_owned());
        let shared = |error| DataFusionError::Shared(Arc::new(error));
        let arrow =
            |error: DataFusionError| DataFusionError::from(ArrowError::ExternalError(Box::new(error)));
        let of_query = ["of the 5 bytes of query_mem_limit", "Raise query_mem_limit"];
        let text = "it wants 9 bytes more, of the 5 bytes of query_mem_limit";
        let exhausted = ErrorKind::ResourceExhausted;
        check(full(text), exhausted, &of_query);
        check(shared(full(text)), exhausted, &of_query);
        check(shared(arrow(full(text))), exhausted, &of_query);
        check(shared(shared(full(text)).context("in a task")), exhausted, &of_query);
        check(DataFusionError::External(Box::new(full(text))), exhausted, &of_query);
        check(DataFusionError::External(Box::new(Arc::new(full(text)))), exhausted, &of_query);
        check(shared(full("the pool is empty")), exhausted, &["the pool is empty", "query_bytes_max"]);
        check(full("AggregateStream[0] wants 9 bytes more"), exhausted, &["query_bytes_max", "ndv(…)"]);
        let ours = || to_datafusion(Error::corrupt("a segment is damaged"));
        check(shared(arrow(ours())), ErrorKind::Corrupt, &["a segment is damaged"]);
        check(shared(ArrowError::DivideByZero.into()), ErrorKind::InvalidValue, &["Divide by zero"]);
    }
}
