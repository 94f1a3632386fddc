//! Queries that read no table, `SELECT 1` and its like: connection pools ask them before each use of a connection.
//!
//! Optimizing and planning one costs many times its evaluation, so the simplest are evaluated at once.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection};

/// The one row of `plan`; `None` when it is more than a list of literals.
pub(crate) fn row(plan: &LogicalPlan) -> Result<Option<RecordBatch>> {
    let LogicalPlan::Projection(Projection { expr, input, schema, .. }) = plan else { return Ok(None) };
    let LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) = input.as_ref() else {
        return Ok(None);
    };
    let schema: &SchemaRef = schema.inner();
    let mut columns = Vec::with_capacity(expr.len());
    for (expr, field) in expr.iter().zip(schema.fields()) {
        let Some(value) = literal(expr).filter(|value| value.data_type() == *field.data_type()) else {
            return Ok(None);
        };
        columns.push(value.to_array()?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(Some(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?))
}

fn literal(expr: &Expr) -> Option<&datafusion::scalar::ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}
