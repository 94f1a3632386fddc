//! The REST calls around loads and the state of the server.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cairn_types::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, ProcRows, RestoreState};
use crate::connection::Peer;
use crate::load::request::check_label;
use crate::reply::{self, Envelope};
use crate::router::App;

const FILE_NAME_BYTES_MAX: usize = 255;

/// What calls are given behind the `?`. Each knows which of it it needs.
#[derive(Deserialize)]
pub(crate) struct Parameters {
    file: Option<String>,
    label: Option<String>,
    path: Option<String>,
}

/// `GET /api/_load_error_log?file=…`: the rejected rows of a load, as text.
pub(crate) async fn load_error_log<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Query(parameters): Query<Parameters>,
) -> Response {
    let file = parameters.file.unwrap_or_default();
    if !is_file_name(&file) {
        return reply::failed(
            StatusCode::BAD_REQUEST,
            "No error log of this name: open the address that a load gave as ErrorURL",
        );
    }
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    match app.backend.load_error_log(&file).await {
        Ok(text) => (headers, text).into_response(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            reply::failed(StatusCode::NOT_FOUND, error.message())
        }
        Err(error) => reply::failed(StatusCode::INTERNAL_SERVER_ERROR, error.message()),
    }
}

/// Whether `name` is a plain file name that cannot lead anywhere else.
fn is_file_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= FILE_NAME_BYTES_MAX && !name.starts_with('.') && name.chars().all(fits)
}

/// `GET /api/{db}/get_load_state?label=…`
pub(crate) async fn load_state<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(peer): Extension<Peer>,
    Path(database): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    #[derive(Serialize)]
    struct Answer {
        state: &'static str,
        reason: String,
        #[serde(flatten)]
        envelope: Envelope<'static>,
    }
    answer(async {
        let login = app.login(&headers, peer.address).await?;
        let label = parameters.label.as_deref().filter(|label| !label.is_empty());
        let label = label.ok_or_else(|| Error::analysis("No label selected: add ?label=… to the address"))?;
        check_label(label)?;
        let state = app.backend.load_state(login, &database, label).await?;
        Ok(Answer { state: state.kind.word(), reason: state.reason, envelope: Envelope::OK })
    })
    .await
}

/// `POST /api/{db}/{label}/_cancel`
pub(crate) async fn cancel_load<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(peer): Extension<Peer>,
    Path((database, label)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let login = app.login(&headers, peer.address).await?;
        check_label(&label)?;
        app.backend.cancel_load(login, &database, &label).await?;
        Ok(Envelope::OK)
    })
    .await
}

/// `GET /api/show_proc?path=…`
pub(crate) async fn show_proc<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(peer): Extension<Peer>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let login = app.login(&headers, peer.address).await?;
        let path = parameters.path.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        Ok(ProcObjects(app.backend.show_proc(login, &path).await?))
    })
    .await
}

/// Rows as an array of objects whose keys keep the order of the columns.
struct ProcObjects(ProcRows);

impl Serialize for ProcObjects {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        struct Object<'a>(&'a [String], &'a [Option<String>]);
        impl Serialize for Object<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().zip(self.1))
            }
        }
        serializer.collect_seq(self.0.rows.iter().map(|row| Object(&self.0.columns, row)))
    }
}

/// `GET /api/health`
pub(crate) async fn health<B: Backend>(State(app): State<Arc<App<B>>>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        online_backend_num: u64,
        total_backend_num: u64,
        status: &'static str,
    }
    match app.backend.health().await {
        Ok(health) => reply::ok(Answer {
            online_backend_num: health.online_backends,
            total_backend_num: health.total_backends,
            status: "OK",
        }),
        Err(error) => reply::failed(StatusCode::SERVICE_UNAVAILABLE, error.message()),
    }
}

/// `GET /api/bootstrap`: probes read `status`; the answer to a server that is not ready is a 200 as well.
pub(crate) async fn bootstrap<B: Backend>(State(app): State<Arc<App<B>>>) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        replayed_journal_id: u64,
        query_port: u16,
        rpc_port: u16,
        fe_start_time: u64,
        fe_version: String,
        #[serde(flatten)]
        envelope: Envelope<'static>,
    }
    answer(async {
        let found = app.backend.bootstrap().await?;
        Ok(Answer {
            replayed_journal_id: found.replayed_journal,
            query_port: found.mysql_port,
            // There is no port between nodes yet; StarRocks' probes read the key.
            rpc_port: 0,
            fe_start_time: found.start_time_ms,
            fe_version: found.version,
            envelope: Envelope::OK,
        })
    })
    .await
}

/// `GET /metrics`
pub(crate) async fn metrics<B: Backend>(State(app): State<Arc<App<B>>>) -> Response {
    let text = app.backend.metrics().await;
    ([(header::CONTENT_TYPE, metrics_type(&text))], text).into_response()
}

/// The content type decides how a scraper reads the text: OpenMetrics has an end mark.
fn metrics_type(text: &str) -> &'static str {
    match text.trim_end().ends_with("# EOF") {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    }
}

/// `GET /api/v2/get_cluster_snapshot_restore_state`
pub(crate) async fn restore_state<B: Backend>(State(app): State<Arc<App<B>>>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        cluster_snapshot_restore_state: &'static str,
        status: &'static str,
    }
    let state = match app.backend.restore_state().await {
        RestoreState::Restoring => "restoring",
        RestoreState::Finished => "finished",
    };
    reply::ok(Answer { cluster_snapshot_restore_state: state, status: "OK" })
}

/// `/api/transaction/…`: refused by name.
pub(crate) async fn transaction(Path(operation): Path<String>) -> Response {
    let message = format!(
        "Transaction loads (/api/transaction/{operation}) are not supported. Use Stream Load: PUT \
         /api/{{db}}/{{table}}/_stream_load is a transaction of its own, exactly once by its label"
    );
    reply::failed(StatusCode::NOT_IMPLEMENTED, &message)
}

async fn answer<T: Serialize>(call: impl Future<Output = Result<T>>) -> Response {
    match call.await {
        Ok(value) => reply::ok(value),
        Err(error) => reply::error(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_logs_have_plain_names() {
        let long = "x".repeat(256);
        let cases = [
            ("error_log_1a-2b.txt", true),
            ("", false),
            (".", false),
            ("..", false),
            (".hidden", false),
            ("a/b", false),
            ("..\\a", false),
            ("a%2fb", false),
            ("a\0b", false),
            ("ä", false),
            (&long, false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_file_name(name), expected, "{name}");
        }
    }

    #[test]
    fn metrics_say_what_they_are() {
        assert!(metrics_type("a 1\n# EOF\n").starts_with("application/openmetrics-text"));
        assert!(metrics_type("a 1\n").starts_with("text/plain; version=0.0.4"));
    }
}
