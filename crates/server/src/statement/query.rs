//! `SELECT` and `EXPLAIN`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use cairn_exec::{Detail, Planned, from_datafusion};
use cairn_ingest::text::ColumnText;
use cairn_sql::ast::{Explain, ExplainLevel, Hint, QueryStatement, Statement};
use cairn_types::{Error, Result};
use futures::TryStreamExt;
use sqlparser::ast::{Expr, LimitClause, Query, Value};

use crate::answer::{Answer, ResultStream, timeout};
use crate::mview;
use crate::queries::Hold;
use crate::rows::{Rows, text};
use crate::session::Session;

/// A planned query, the catalog state it holds, and its time limit.
pub struct Prepared {
    pub planned: Planned,
    pub hold: Hold,
    pub deadline: tokio::time::Instant,
    pub timeout_seconds: u64,
}

/// Plans `query` on the newest catalog.
///
/// # Errors
/// What planning finds.
pub async fn plan(session: &Session, query: &Query, hints: &[Hint]) -> Result<Prepared> {
    let (catalog, hold) = session.node.sessions.hold_newest(session.node.meta.as_ref());
    let (context, timeout_seconds) = session.context(&catalog, hints)?;
    #[allow(
        clippy::disallowed_methods,
        reason = "a deadline for tokio's timers, which its paused clock rules too"
    )]
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_seconds);
    let planning = session.node.engine.plan(Arc::new(context), query);
    let planned =
        tokio::time::timeout_at(deadline, planning).await.map_err(|_| timeout(timeout_seconds))??;
    Ok(Prepared { planned, hold, deadline, timeout_seconds })
}

/// Starts `prepared`.
///
/// # Errors
/// What physical planning finds.
pub async fn start(prepared: Prepared) -> Result<ResultStream> {
    let Prepared { planned, hold, deadline, timeout_seconds } = prepared;
    let starting = tokio::time::timeout_at(deadline, planned.execute());
    let batches = starting.await.map_err(|_| timeout(timeout_seconds))??;
    let schema = planned.schema();
    Ok(ResultStream { names: planned.names, schema, batches, hold, deadline, timeout_seconds })
}

/// `SELECT …`.
///
/// # Errors
/// What the query meets before its first row.
pub async fn select(session: &Session, statement: &QueryStatement) -> Result<Answer> {
    let query = with_select_limit(session, &statement.query);
    let prepared = plan(session, &query, &statement.hints).await?;
    start(prepared).await.map(Answer::Stream)
}

/// `query` with the session's `sql_select_limit`, which counts for queries that say no limit themselves.
fn with_select_limit<'a>(session: &Session, query: &'a Query) -> Cow<'a, Query> {
    let limit = session.variables.number(&session.catalog(), "sql_select_limit");
    if limit == u64::MAX || query.limit_clause.is_some() || query.fetch.is_some() {
        return Cow::Borrowed(query);
    }
    let limit = Expr::value(Value::Number(limit.to_string(), false));
    let clause = LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() };
    Cow::Owned(Query { limit_clause: Some(clause), ..query.clone() })
}

/// `EXPLAIN [ANALYZE] …`.
///
/// # Errors
/// As the explained statement; `Unsupported` for one that has no plan.
pub async fn explain(session: &Session, explain: &Explain) -> Result<Answer> {
    let (query, hints) = match &explain.statement {
        Statement::Query(s) => (&s.query, &s.hints),
        Statement::Insert(s) if !explain.analyze => (&s.source, &s.hints),
        Statement::CreateTable(s) if !explain.analyze && s.query.is_some() => {
            let query = s.query.as_ref().ok_or_else(|| Error::internal("CREATE TABLE AS without a query"))?;
            (&query.query, &Vec::new())
        }
        Statement::RefreshMaterializedView(s) if !explain.analyze => {
            return mview::explain::refresh(session, s);
        }
        Statement::AlterMaterializedView(s) if !explain.analyze => {
            return mview::explain::activate(session, s);
        }
        _ => return Err(Error::unsupported("EXPLAIN of this statement is not supported: explain its query")),
    };
    let prepared = plan(session, query, hints).await?;
    let detail = match explain.level {
        ExplainLevel::Normal => Detail::Normal,
        ExplainLevel::Logical => Detail::Logical,
        ExplainLevel::Verbose | ExplainLevel::Costs => Detail::Verbose,
    };
    let work = async {
        match explain.analyze {
            true => cairn_exec::explain_analyze(&prepared.planned).await,
            false => cairn_exec::explain(&prepared.planned, detail).await,
        }
    };
    let lines = tokio::time::timeout_at(prepared.deadline, work).await;
    let mut rows = Rows::text(&["Explain String"]);
    for line in lines.map_err(|_| timeout(prepared.timeout_seconds))?? {
        rows.push([text(line)]);
    }
    Ok(Answer::Rows(rows))
}

/// Runs `query` to its end and returns its batches. For small results.
///
/// # Errors
/// What the query meets.
pub async fn collect(session: &Session, query: &Query) -> Result<Vec<RecordBatch>> {
    let prepared = plan(session, query, &[]).await?;
    let deadline = prepared.deadline;
    let seconds = prepared.timeout_seconds;
    let stream = start(prepared).await?;
    let collected = tokio::time::timeout_at(deadline, stream.batches.try_collect::<Vec<_>>()).await;
    collected.map_err(|_| timeout(seconds))?.map_err(from_datafusion)
}

/// The value of `expr`, which reads no table, as one row of text.
///
/// # Errors
/// What evaluating meets.
pub async fn evaluate(session: &Session, expr: &Expr) -> Result<Vec<Vec<Option<String>>>> {
    let query = cairn_sql::parse_query(&format!("SELECT {expr}"))?;
    texts(&collect(session, &query).await?)
}

/// All values of `batches` as text.
///
/// # Errors
/// `Unsupported` for a type without a text form.
pub fn texts(batches: &[RecordBatch]) -> Result<Vec<Vec<Option<String>>>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(ColumnText::new).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let cell = |column: &ColumnText| {
                let mut out = Vec::new();
                column.append(row, &mut out).then(|| String::from_utf8_lossy(&out).into_owned())
            };
            rows.push(columns.iter().map(cell).collect());
        }
    }
    Ok(rows)
}
