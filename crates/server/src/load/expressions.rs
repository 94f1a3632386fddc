//! From the fields of a load to the columns of its table: the headers `columns` and `where`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use cairn_catalog::{Catalog, Table};
use cairn_exec::from_datafusion;
use cairn_http::{LoadColumn, StreamLoadRequest};
use cairn_ingest::{BadValue, ConvertOptions, Rejected, Target, TypedTarget, convert};
use cairn_types::{Column, ColumnDefault, Error, Result, Schema};
use datafusion::datasource::MemTable;
use futures::TryStreamExt;
use sqlparser::ast::Query;

use crate::node::Node;
use crate::session::variables::{Facts, Variables};
use crate::statement::insert::default_literal;

/// Under which name the fields are a table.
const FIELDS: &str = "__load";

/// How fields become columns.
pub(super) struct Shape {
    /// What becomes of each field of the data.
    pub(super) targets: Vec<Target>,
    schema: Schema,
    strict: bool,
    /// The column names of the batches that the targets make, in order.
    given: Vec<String>,
    /// Computes columns or leaves rows out; `None` when the fields are columns as they are.
    query: Option<Query>,
}

/// A batch of exactly the table's columns, and what was left out.
pub(super) struct Shaped {
    pub(super) batch: RecordBatch,
    pub(super) unselected: u64,
    pub(super) rejected: Vec<Rejected>,
}

impl Shape {
    pub(super) fn new(table: &Table, request: &StreamLoadRequest) -> Result<Self> {
        let schema = crate::statement::insert::olap(table)?.schema.clone();
        let all = || schema.columns.iter().map(|c| LoadColumn::Field(c.name.clone())).collect();
        let items: Vec<LoadColumn> = request.columns.clone().unwrap_or_else(all);
        let computed: Vec<(&String, &String)> = items
            .iter()
            .filter_map(|item| match item {
                LoadColumn::Computed { name, expression } => Some((name, expression)),
                LoadColumn::Field(_) => None,
            })
            .collect();
        if let Some((name, _)) = computed.iter().find(|(name, _)| schema.column(name).is_none()) {
            return Err(Error::analysis(format!("Unknown column '{name}' in '{}'", table.name)));
        }
        let is_computed = |name: &str| computed.iter().any(|(c, _)| c.eq_ignore_ascii_case(name));
        let mut targets = Vec::new();
        let mut given = Vec::new();
        for item in &items {
            let LoadColumn::Field(name) = item else { continue };
            given.push(name.to_lowercase());
            // A field whose column is computed is there for the expression alone, as text.
            targets.push(match schema.column(name).filter(|_| !is_computed(name)) {
                Some(column) => typed(column, request.strict_mode),
                None => Target::Raw { name: name.to_lowercase() },
            });
        }
        let query = query(&schema, &given, &computed, request.filter.as_deref())?;
        Ok(Self { targets, schema, strict: request.strict_mode, given, query })
    }

    pub(super) async fn apply(
        &self,
        node: &Arc<Node>,
        catalog: &Arc<Catalog>,
        user: &str,
        database: &str,
        batch: RecordBatch,
    ) -> Result<Shaped> {
        let plain = self.query.is_none()
            && self.given.len() == self.schema.columns.len()
            && self.given.iter().zip(&self.schema.columns).all(|(g, c)| c.name.eq_ignore_ascii_case(g));
        if plain {
            let schema = cairn_storage::arrow_schema(&self.schema);
            let columns = batch.columns().to_vec();
            let batch = RecordBatch::try_new(schema, columns).map_err(|e| Error::internal(e.to_string()))?;
            return Ok(Shaped { batch, unselected: 0, rejected: Vec::new() });
        }
        let before = batch.num_rows();
        let batch = match &self.query {
            Some(query) => run(node, catalog, user, database, query, batch).await?,
            None => self.fill(batch, node.env.now_micros())?,
        };
        let unselected = (before - batch.num_rows()) as u64;
        let bad_value = if self.strict { BadValue::Reject } else { BadValue::Null };
        let (batch, tally) =
            convert(&batch, &self.schema, &ConvertOptions { bad_value, ..ConvertOptions::default() })?;
        Ok(Shaped { batch, unselected, rejected: tally.rejected })
    }

    /// The given columns in the table's order, the others with their defaults.
    fn fill(&self, batch: RecordBatch, now_micros: u64) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.schema.columns.len());
        let mut fields = Vec::with_capacity(self.schema.columns.len());
        for column in &self.schema.columns {
            let field = cairn_ingest::arrow_types::arrow_field(column).with_nullable(true);
            let given = self.given.iter().position(|g| column.name.eq_ignore_ascii_case(g));
            columns.push(match given {
                Some(at) => Arc::clone(batch.column(at)),
                None => {
                    let literal = default_literal(column, now_micros)?;
                    let scalar = cairn_exec::literal_scalar(&literal, field.data_type());
                    scalar.to_array_of_size(batch.num_rows()).map_err(from_datafusion)?
                }
            });
            fields.push(field);
        }
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        RecordBatch::try_new(schema, columns).map_err(|e| Error::internal(e.to_string()))
    }
}

fn typed(column: &Column, strict: bool) -> Target {
    let when_missing = match &column.default {
        Some(ColumnDefault::Text(text)) => Some(text.clone()),
        _ => None,
    };
    Target::Typed(TypedTarget {
        name: column.name.to_lowercase(),
        ty: column.ty,
        nullable: column.nullable,
        strict,
        when_missing,
    })
}

/// `SELECT <each column of the table> FROM __load WHERE …`; `None` when there is nothing to compute or leave out.
fn query(
    schema: &Schema,
    given: &[String],
    computed: &[(&String, &String)],
    filter: Option<&str>,
) -> Result<Option<Query>> {
    if computed.is_empty() && filter.is_none() {
        return Ok(None);
    }
    let quoted = |name: &str| format!("`{}`", name.to_lowercase().replace('`', "``"));
    let item = |column: &Column| {
        let name = quoted(&column.name);
        let expression = computed.iter().find(|(c, _)| c.eq_ignore_ascii_case(&column.name)).map(|(_, e)| *e);
        match expression {
            Some(expression) => {
                // Read alone first: an expression must not reach beyond its own place in the query.
                cairn_sql::parse_expression(expression)
                    .map_err(|e| e.context(format!("columns header, '{}'", column.name)))?;
                Ok(format!("({expression}) AS {name}"))
            }
            None if given.iter().any(|g| column.name.eq_ignore_ascii_case(g)) => Ok(name),
            None => match &column.default {
                Some(ColumnDefault::Text(text)) => {
                    Ok(format!("'{}' AS {name}", text.replace('\\', "\\\\").replace('\'', "''")))
                }
                Some(ColumnDefault::CurrentTimestamp) => Ok(format!("now() AS {name}")),
                Some(ColumnDefault::Null) | None if column.nullable => Ok(format!("NULL AS {name}")),
                _ => Err(Error::analysis(format!(
                    "Column '{}' has no default value and is not in the columns header",
                    column.name
                ))),
            },
        }
    };
    let items = schema.columns.iter().map(item).collect::<Result<Vec<_>>>()?;
    let Some(filter) = filter else {
        return cairn_sql::parse_query(&format!("SELECT {} FROM {FIELDS}", items.join(", "))).map(Some);
    };
    cairn_sql::parse_expression(filter).map_err(|e| e.context("where header"))?;
    // The condition sees the table's columns as they will be, and the fields that are none.
    let columns: Vec<String> = schema.columns.iter().map(|c| quoted(&c.name)).collect();
    let others = given.iter().filter(|name| schema.column(name).is_none()).map(|name| quoted(name));
    let inner: Vec<String> = items.into_iter().chain(others).collect();
    let sql = format!(
        "SELECT {} FROM (SELECT {} FROM {FIELDS}) AS t WHERE {filter}",
        columns.join(", "),
        inner.join(", ")
    );
    cairn_sql::parse_query(&sql).map(Some)
}

async fn run(
    node: &Arc<Node>,
    catalog: &Arc<Catalog>,
    user: &str,
    database: &str,
    query: &Query,
    batch: RecordBatch,
) -> Result<RecordBatch> {
    let variables = Variables::default();
    let facts = Facts { variables, catalog: Arc::clone(catalog), functions: Vec::new() };
    let mut context = node.engine.context(Arc::clone(catalog), database, user, Arc::new(facts));
    context.parallelism = 1;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(from_datafusion)?;
    context.add_table(FIELDS, Arc::new(table));
    let planned = node.engine.plan(Arc::new(context), query).await?;
    let schema = planned.schema();
    let batches: Vec<RecordBatch> = planned.execute().await?.try_collect().await.map_err(from_datafusion)?;
    arrow::compute::concat_batches(&schema, &batches).map_err(|e| Error::internal(e.to_string()))
}
