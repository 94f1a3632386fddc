//! `POST /api/v1/catalogs/{catalog}/databases/{db}/sql`: one statement, its result as lines of JSON:
//! `{"connectionId":…}`, `{"meta":[…]}`, one `{"data":[…]}` a row, `{"statistics":…}`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use cairn_types::{Error, ErrorKind, Result};
use futures::stream::{self, Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::{Backend, QueryColumn, QueryRequest, QueryRows};
use crate::connection::Peer;
use crate::reply;
use crate::router::App;

/// A piece of the answer is sent when it has so many bytes.
const PIECE_BYTES: usize = 64 << 10;

pub(crate) async fn in_database<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(peer): Extension<Peer>,
    Path((catalog, database)): Path<(String, String)>,
    request: Request,
) -> Response {
    run(&app, &peer, catalog, Some(database), request).await
}

pub(crate) async fn in_catalog<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(peer): Extension<Peer>,
    Path(catalog): Path<String>,
    request: Request,
) -> Response {
    run(&app, &peer, catalog, None, request).await
}

async fn run<B: Backend>(
    app: &App<B>,
    peer: &Peer,
    catalog: String,
    database: Option<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    match answer(app, peer, catalog, database, &parts.headers, body).await {
        Ok(rows) => {
            let kind = [(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")];
            (kind, Body::from_stream(lines(rows))).into_response()
        }
        Err(error) if error.kind() == ErrorKind::AccessDenied => reply::denied(&error),
        Err(error) => reply::failed(status_of(error.kind()), error.message()),
    }
}

async fn answer<B: Backend>(
    app: &App<B>,
    peer: &Peer,
    catalog: String,
    database: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<QueryRows> {
    let login = app.login(headers, peer.address).await?;
    let idle_timeout = Duration::from_millis(app.config.body_idle_timeout_ms);
    let body = read(body, app.config.query_bytes_max, idle_timeout).await?;
    let (sql, variables) = parse(&body)?;
    app.backend.query(login, QueryRequest { catalog, database, sql, variables }).await
}

/// The whole body, if it is not too long and does not take too long.
async fn read(body: Body, bytes_max: usize, timeout: Duration) -> Result<Bytes> {
    match tokio::time::timeout(timeout, axum::body::to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Error::resource_exhausted(format!(
            "The body could not be read: it broke off, or has more than {bytes_max} bytes"
        ))),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "The body did not come in time")),
    }
}

/// The statement and the variables of a request body.
fn parse(body: &[u8]) -> Result<(String, Vec<(String, String)>)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        query: Option<String>,
        #[serde(default)]
        session_variables: Option<BTreeMap<String, Value>>,
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        Error::analysis(format!("The body must be JSON like {{\"query\": \"SELECT 1\"}}: {error}"))
    })?;
    let sql = body.query.unwrap_or_default();
    if sql.trim().is_empty() {
        return Err(Error::analysis("\"query\" can not be empty"));
    }
    let variables = body.session_variables.unwrap_or_default();
    let variables = variables.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        _ => Err(Error::analysis(format!(
            "The session variable '{name}' must be a string, a number or a boolean"
        ))),
    });
    Ok((sql, variables.collect::<Result<_>>()?))
}

/// Which status says whose fault it was.
fn status_of(kind: ErrorKind) -> StatusCode {
    use ErrorKind as K;
    match kind {
        K::Parse | K::Analysis | K::Unsupported | K::InvalidValue | K::DataQuality | K::LabelUsed => {
            StatusCode::BAD_REQUEST
        }
        K::UnknownDatabase | K::UnknownTable | K::NotFound => StatusCode::NOT_FOUND,
        K::DatabaseExists | K::TableExists | K::AlreadyExists | K::Conflict => StatusCode::CONFLICT,
        K::AccessDenied => StatusCode::UNAUTHORIZED,
        K::PrivilegeDenied => StatusCode::FORBIDDEN,
        K::Unavailable | K::ResourceExhausted | K::Fenced => StatusCode::SERVICE_UNAVAILABLE,
        K::Cancelled | K::Timeout | K::Corrupt | K::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    ConnectionId(u64),
    Meta(Vec<Meta<'a>>),
    Data(&'a [Value]),
    Statistics(Statistics),
}

#[derive(Serialize)]
struct Meta<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    return_rows: u64,
}

/// The lines in pieces. An error in mid-result ends the stream with an error, so that the client sees a transfer that
/// broke off and not a short result.
fn lines(result: QueryRows) -> impl Stream<Item = Result<Bytes>> {
    let QueryRows { connection_id, columns, rows } = result;
    let mut head = BytesMut::new();
    let meta = |c: &QueryColumn| (c.name.clone(), c.type_name.clone());
    let columns: Vec<(String, String)> = columns.iter().map(meta).collect();
    let meta = columns.iter().map(|(name, type_name)| Meta { name, type_name }).collect();
    let begun =
        push(&mut head, &Line::ConnectionId(connection_id)).and_then(|()| push(&mut head, &Line::Meta(meta)));
    let state = begun.map(|()| Lines { rows: Some(rows), piece: head, row_count: 0 });
    stream::try_unfold(state, |state: Result<Lines>| async move { state?.next().await })
}

struct Lines {
    /// `None` when all were given.
    rows: Option<stream::BoxStream<'static, Result<Vec<Value>>>>,
    piece: BytesMut,
    row_count: u64,
}

impl Lines {
    async fn next(mut self) -> Result<Option<(Bytes, Result<Self>)>> {
        let Some(mut rows) = self.rows.take() else { return Ok(None) };
        while self.piece.len() < PIECE_BYTES {
            match rows.next().await {
                Some(row) => {
                    let row = row
                        .inspect_err(|error| tracing::warn!("a query over HTTP failed half way: {error}"))?;
                    push(&mut self.piece, &Line::Data(&row))?;
                    self.row_count += 1;
                }
                None => {
                    push(&mut self.piece, &Line::Statistics(Statistics { return_rows: self.row_count }))?;
                    return Ok(Some((self.piece.split().freeze(), Ok(self))));
                }
            }
        }
        self.rows = Some(rows);
        Ok(Some((self.piece.split().freeze(), Ok(self))))
    }
}

fn push(piece: &mut BytesMut, line: &Line<'_>) -> Result<()> {
    let text = serde_json::to_vec(line).map_err(|e| Error::internal(format!("Could not write JSON: {e}")))?;
    piece.extend_from_slice(&text);
    piece.extend_from_slice(b"\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_read() {
        let cases: [(&str, Option<(&str, usize)>); 8] = [
            (r#"{"query":"SELECT 1"}"#, Some(("SELECT 1", 0))),
            (
                r#"{"query":"x","sessionVariables":{"a":1,"b":"c","d":true},"disablePrintConnectionId":false}"#,
                Some(("x", 3)),
            ),
            (r#"{"query":"x","sessionVariables":null}"#, Some(("x", 0))),
            (r#"{"query":"x","sessionVariables":{"a":[]}}"#, None),
            (r#"{"query":"  "}"#, None),
            (r"{}", None),
            ("", None),
            ("SELECT 1", None),
        ];
        for (body, expected) in cases {
            let found = parse(body.as_bytes()).ok();
            let found = found.as_ref().map(|(sql, variables)| (sql.as_str(), variables.len()));
            assert_eq!(found, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn results_are_lines_in_bounded_pieces() {
        let row = || Ok(vec![Value::from(1), Value::from("x".repeat(10_000)), Value::Null]);
        let column = |name: &str| QueryColumn { name: name.to_owned(), type_name: "int".to_owned() };
        let rows = QueryRows {
            connection_id: 7,
            columns: vec![column("a"), column("b"), column("c")],
            rows: stream::iter((0..20).map(move |_| row())).boxed(),
        };
        let pieces: Vec<Bytes> = lines(rows).map(|piece| piece.expect("piece")).collect().await;
        assert!(pieces.len() >= 3 && pieces.iter().all(|piece| piece.len() < 80_000));
        let text = String::from_utf8(pieces.concat()).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"{"connectionId":7}"#);
        assert!(lines[1].starts_with(r#"{"meta":[{"name":"a","type":"int"},"#));
        assert!(lines[2].starts_with(r#"{"data":[1,"xxx"#) && lines[2].ends_with(r#"x",null]}"#));
        assert_eq!(lines[22], r#"{"statistics":{"returnRows":20}}"#);
        assert_eq!(lines.len(), 23);
    }

    #[tokio::test]
    async fn an_error_in_mid_result_breaks_off() {
        let rows = vec![Ok(vec![Value::from(1)]), Err(Error::internal("boom"))];
        let result = QueryRows { connection_id: 1, columns: vec![], rows: stream::iter(rows).boxed() };
        let pieces: Vec<_> = lines(result).collect().await;
        assert!(pieces.last().expect("piece").is_err());
    }
}
