//! `INSERT INTO` and `INSERT OVERWRITE`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use cairn_catalog::{Catalog, OlapTable, Table};
use cairn_exec::literal_scalar;
use cairn_ingest::{ConvertOptions, convert};
use cairn_sql::ast::{Insert, InsertTarget};
use cairn_sql::is_default_value;
use cairn_storage::{CommitRequest, Committed, LoadOptions, LoadWriter, Written};
use cairn_types::{
    Column, ColumnDefault, DbId, Error, ErrorKind, Literal, PartitionId, Result, SqlType, TableId,
};
use sqlparser::ast::{CastKind, Expr, Query, SetExpr, UnaryOperator, Value};

use super::{query, write_files};
use crate::analyze;
use crate::answer::{Answer, ResultStream};
use crate::session::Session;

/// Rows of one `INSERT` that are buffered per table column at most this far: an INSERT shares the process with loads.
const INSERT_MEMORY_DIVISOR: usize = 2;

/// `INSERT …`.
///
/// # Errors
/// What the query, the rows or the commit meet; nothing of it is visible then.
pub async fn insert(session: &Session, statement: &Insert) -> Result<Answer> {
    if let Some(property) = statement.properties.first() {
        return Err(Error::unsupported(format!("INSERT property \"{}\" is not supported", property.key)));
    }
    match &statement.target {
        InsertTarget::Table(name) => {
            let catalog = session.catalog();
            let (_, table) = analyze::find_table(&catalog, name, &session.database)?;
            insert_into_table(session, statement, &catalog, table).await
        }
        InsertTarget::Files(properties) => {
            let stream = start(session, &statement.source, statement).await?;
            let rows = write_files::write(session, properties, stream).await?;
            Ok(Answer::affected(rows, String::new()))
        }
        InsertTarget::Blackhole => {
            let mut stream = start(session, &statement.source, statement).await?;
            let mut rows = 0;
            while let Some(batch) = stream.next().await? {
                rows += batch.num_rows() as u64;
            }
            Ok(Answer::affected(rows, String::new()))
        }
    }
}

async fn start(session: &Session, source: &Query, statement: &Insert) -> Result<ResultStream> {
    let mut hints = statement.hints.clone();
    if !hints.iter().any(|h| h.name == "query_timeout") {
        let value = session.variables.get(&session.catalog(), "insert_timeout").unwrap_or_default();
        hints.push(cairn_sql::ast::Hint { name: "query_timeout".into(), value });
    }
    query::start(query::plan(session, source, &hints).await?).await
}

async fn insert_into_table(
    session: &Session,
    statement: &Insert,
    catalog: &Catalog,
    table: &Table,
) -> Result<Answer> {
    let olap = olap(table)?;
    let mut source = statement.source.clone();
    fit_values(&mut source, statement, table)?;
    check_label(catalog, table.db, statement.label.as_deref())?;
    let stream = start(session, &source, statement).await?;
    let names = match statement.by_name {
        true => stream.names.clone(),
        false => statement.columns.clone(),
    };
    let layout = Layout::new(table, &names, stream.schema.fields().len(), session.node.env.now_micros())?;
    let only = match &statement.partitions {
        None => None,
        Some(p) if p.temporary => return Err(Error::unsupported("temporary partitions are not supported")),
        Some(p) => Some(partition_ids(olap, &table.name, &p.names)?),
    };
    let written = write(session, table.id, stream, &layout, only).await?;
    let rows = written.rows;
    let label = statement.label.clone();
    let request = CommitRequest {
        db: table.db,
        txn: None,
        label: label.clone(),
        written: vec![written],
        details: String::new(),
        overwrite: statement.overwrite,
        refresh: None,
    };
    let committed = commit(session, request).await?;
    session.node.metrics.rows_loaded(rows);
    let label = label.unwrap_or_else(|| format!("insert_{}", session.node.env.random_hex()));
    let txn = committed.txn.map_or(0, |t| t.0);
    Ok(Answer::affected(rows, format!("{{'label':'{label}', 'status':'VISIBLE', 'txnId':'{txn}'}}")))
}

/// From here on a KILL waits for how it ends: rows that are there must not be called interrupted.
async fn commit(session: &Session, request: CommitRequest) -> Result<Committed> {
    let _finishing = session.guard.entry.control.finish_first();
    session.node.committer.commit(request).await
}

/// Loads the rows of `source` into a table that was made for them.
///
/// # Errors
/// As `INSERT`.
pub async fn into_new_table(session: &Session, id: TableId, source: &Query) -> Result<u64> {
    let catalog = session.catalog();
    let table = catalog.table(id).ok_or_else(|| Error::internal(format!("table {id} is gone")))?;
    let stream = query::start(query::plan(session, source, &[]).await?).await?;
    let layout = Layout::new(table, &[], stream.schema.fields().len(), session.node.env.now_micros())?;
    let written = write(session, id, stream, &layout, None).await?;
    let rows = written.rows;
    let request = CommitRequest {
        db: table.db,
        txn: None,
        label: None,
        written: vec![written],
        details: String::new(),
        overwrite: false,
        refresh: None,
    };
    commit(session, request).await?;
    Ok(rows)
}

async fn write(
    session: &Session,
    table: TableId,
    mut stream: ResultStream,
    layout: &Layout,
    only: Option<Vec<PartitionId>>,
) -> Result<Written> {
    let memory_bytes_max = session.node.limits.load_bytes_max / INSERT_MEMORY_DIVISOR;
    let options = LoadOptions { memory_bytes_max, only, ..LoadOptions::default() };
    let mut writer = LoadWriter::new(Arc::clone(&session.node.storage), table, options)?;
    let outcome = async {
        while let Some(batch) = stream.next().await? {
            if batch.num_rows() > 0 {
                writer.write(layout.arrange(&batch)?).await?;
            }
        }
        Ok(())
    };
    match outcome.await {
        Ok(()) => writer.finish().await,
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

/// The table with data of its own.
///
/// # Errors
/// `Analysis` for a view.
pub fn olap(table: &Table) -> Result<&OlapTable> {
    if table.mview().is_some() {
        return Err(Error::analysis(format!(
            "The data of '{}' cannot be inserted because '{}' is a materialized view, and the data of materialized \
             view must be consistent with the base table.",
            table.name, table.name
        )));
    }
    table
        .olap()
        .ok_or_else(|| Error::analysis(format!("'{}' is a view: rows cannot be loaded into it", table.name)))
}

/// The partitions of these names.
///
/// # Errors
/// `Analysis` for an unknown one.
pub fn partition_ids(olap: &OlapTable, table: &str, names: &[String]) -> Result<Vec<PartitionId>> {
    let id = |name: &String| {
        let unknown = || Error::analysis(format!("Unknown partition '{name}' in table '{table}'"));
        olap.partitions.get(name).copied().ok_or_else(unknown)
    };
    names.iter().map(id).collect()
}

/// Refuses a label that was used, before any work is done for it.
///
/// # Errors
/// `LabelUsed`.
pub fn check_label(catalog: &Catalog, db: DbId, label: Option<&str>) -> Result<()> {
    match label.and_then(|label| catalog.txn_labelled(db, label)) {
        None => Ok(()),
        Some(txn) => {
            Err(Error::new(ErrorKind::LabelUsed, format!("Label [{}] has already been used.", txn.label)))
        }
    }
}

/// Makes the rows of VALUES fit the columns that they go to: DEFAULT becomes the column's default, and numbers become text
/// for columns of text and of type FLOAT, DOUBLE and LARGEINT. A column of VALUES has one type in the plan: that of `2.5` and
/// `1e300` together holds less than a DOUBLE, and that of `'007'` and `8` would be a number.
fn fit_values(source: &mut Query, statement: &Insert, table: &Table) -> Result<()> {
    let SetExpr::Values(values) = source.body.as_mut() else { return Ok(()) };
    let columns = &table.schema().columns;
    for row in &mut values.rows {
        for (at, value) in row.iter_mut().enumerate() {
            let column = match statement.columns.get(at) {
                Some(name) => table.schema().column(name),
                None => columns.get(at),
            };
            // A wrong count or name is refused when the layout is made.
            let Some(column) = column else { continue };
            if is_default_value(value) {
                *value = default_expr(column)?;
            } else if (column.ty.is_float() || column.ty == SqlType::LargeInt || column.ty.is_string())
                && let Some(digits) = number_text(value)
            {
                *value = Expr::Value(Value::SingleQuotedString(digits).with_empty_span());
            } else if column.ty.is_string() && !is_text_or_null(value) {
                *value = as_text(std::mem::replace(value, Expr::Value(Value::Null.with_empty_span())));
            }
        }
    }
    Ok(())
}

fn is_text_or_null(expr: &Expr) -> bool {
    let Expr::Value(value) = expr else { return false };
    matches!(value.value, Value::SingleQuotedString(_) | Value::DoubleQuotedString(_) | Value::Null)
}

fn as_text(expr: Expr) -> Expr {
    let data_type = sqlparser::ast::DataType::String(None);
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// The text of a number literal, with its sign.
fn number_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Some(digits.clone()),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            number_text(expr).map(|digits| format!("-{digits}"))
        }
        _ => None,
    }
}

fn default_expr(column: &Column) -> Result<Expr> {
    let value = match &column.default {
        Some(ColumnDefault::Text(text)) => Value::SingleQuotedString(text.clone()),
        Some(ColumnDefault::CurrentTimestamp) => return cairn_sql::parse_expression("now()"),
        Some(ColumnDefault::Null) | None if column.nullable => Value::Null,
        _ => {
            return Err(Error::invalid_value(format!(
                "Column '{}' has no default value and is NOT NULL",
                column.name
            )));
        }
    };
    Ok(Expr::Value(value.with_empty_span()))
}

/// How the columns of incoming batches become the columns of a table.
pub struct Layout {
    schema: cairn_types::Schema,
    arrow: SchemaRef,
    sources: Vec<SourceColumn>,
}

enum SourceColumn {
    /// This column of the batch.
    Given(usize),
    /// The same value in each row.
    Constant(Literal),
}

impl Layout {
    /// For batches of `count` columns that are called `names` (empty: all of the table's, in order).
    ///
    /// # Errors
    /// `Analysis` for unknown or doubled names or a wrong count; `InvalidValue` when a column without default is left out.
    pub fn new(table: &Table, names: &[String], count: usize, now_micros: u64) -> Result<Self> {
        let schema = table.schema().clone();
        let expected = if names.is_empty() { schema.columns.len() } else { names.len() };
        if count != expected {
            return Err(Error::analysis(format!(
                "Inserted target column count: {expected} doesn't match select/value column count: {count}"
            )));
        }
        for (at, name) in names.iter().enumerate() {
            if schema.column(name).is_none() {
                return Err(Error::analysis(format!("Unknown column '{name}' in '{}'", table.name)));
            }
            if names.iter().take(at).any(|earlier| earlier.eq_ignore_ascii_case(name)) {
                return Err(Error::analysis(format!("Column '{name}' specified twice")));
            }
        }
        let source = |(at, column): (usize, &Column)| {
            let given = match names.is_empty() {
                true => Some(at),
                false => names.iter().position(|name| name.eq_ignore_ascii_case(&column.name)),
            };
            match given {
                Some(at) => Ok(SourceColumn::Given(at)),
                None => default_literal(column, now_micros).map(SourceColumn::Constant),
            }
        };
        let sources = schema.columns.iter().enumerate().map(source).collect::<Result<_>>()?;
        let arrow = cairn_storage::arrow_schema(&schema);
        Ok(Self { schema, arrow, sources })
    }

    /// The table's columns of `batch`, with exactly the table's types.
    ///
    /// # Errors
    /// `InvalidValue`, naming column and value, for one that does not fit.
    pub fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.sources.len());
        for (source, field) in self.sources.iter().zip(self.arrow.fields()) {
            columns.push(match source {
                SourceColumn::Given(at) => Arc::clone(batch.column(*at)),
                SourceColumn::Constant(Literal::Null) => new_null_array(field.data_type(), rows),
                SourceColumn::Constant(literal) => literal_scalar(literal, field.data_type())
                    .to_array_of_size(rows)
                    .map_err(cairn_exec::from_datafusion)?,
            });
        }
        let fields = self.arrow.fields().iter().zip(&columns).map(|(field, column)| {
            field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true)
        });
        let loose = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(loose, columns).map_err(|e| Error::internal(e.to_string()))?;
        let (batch, _) = convert(&batch, &self.schema, &ConvertOptions::default())?;
        Ok(batch)
    }
}

/// What a column holds when a load does not name it.
///
/// # Errors
/// `InvalidValue` for a NOT NULL column without default.
pub fn default_literal(column: &Column, now_micros: u64) -> Result<Literal> {
    match &column.default {
        Some(ColumnDefault::Text(text)) => Literal::parse(text, column.ty),
        Some(ColumnDefault::CurrentTimestamp) => {
            let seconds = i64::try_from(now_micros / 1_000_000).unwrap_or(0);
            Ok(Literal::DateTime(seconds * 1_000_000))
        }
        Some(ColumnDefault::Null) | None if column.nullable => Ok(Literal::Null),
        _ => Err(Error::invalid_value(format!(
            "'{}' must be explicitly mentioned in column permutation: it is NOT NULL and has no default",
            column.name
        ))),
    }
}
