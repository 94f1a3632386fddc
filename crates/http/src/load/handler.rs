//! `PUT /api/{db}/{table}/_stream_load`: who asks, what is asked, and only then the data.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use cairn_types::Error;
use serde::Serialize;

use crate::backend::Backend;
use crate::connection::Peer;
use crate::load::body::LoadBody;
use crate::load::headers::LoadHeaders;
use crate::load::outcome::{LoadOutcome, pretty};
use crate::load::request::{StreamLoadRequest, label};
use crate::reply;
use crate::router::App;

pub(crate) async fn stream_load<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(peer): Extension<Peer>,
    Path((database, table)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let login = match app.login(&parts.headers, peer.address).await {
        Ok(login) => login,
        Err(error) => return closing(reply::denied(&error)),
    };
    if parts.version == Version::HTTP_11 && !expects_continue(&parts.headers) {
        return closing(reply::json_text(StatusCode::OK, no_continue()));
    }
    let base_url = format!("http://{}", peer.local);
    let new_label = || label_of(&app.env.random_hex());
    let request = match StreamLoadRequest::parse(&database, &table, &parts.headers, new_label) {
        Ok(request) => request,
        Err(error) => {
            let label = label(LoadHeaders(&parts.headers)).ok().flatten().unwrap_or_default();
            return closing(answer(&LoadOutcome::failed(label, &error), &base_url));
        }
    };
    let (outcome, body_ended) = run(&app, login, request, body).await;
    let response = answer(&outcome, &base_url);
    if body_ended { response } else { closing(response) }
}

/// Runs the load as a task of its own, which a lost connection does not drop. Says whether the body was read whole.
async fn run<B: Backend>(
    app: &Arc<App<B>>,
    login: B::Login,
    request: StreamLoadRequest,
    body: Body,
) -> (LoadOutcome, bool) {
    let label = request.label.clone();
    let Ok(permit) = Arc::clone(&app.loads).try_acquire_owned() else {
        return (LoadOutcome::failed(label, &too_many_loads(app.config.loads_max)), false);
    };
    let idle_timeout = Duration::from_millis(app.config.body_idle_timeout_ms);
    let body = LoadBody::new(body, request.body_bytes, idle_timeout);
    let ended = body.ended();
    let backend = Arc::clone(&app.backend);
    let load = app.tasks.track_future(async move {
        let outcome = backend.stream_load(login, request, body).await;
        drop(permit);
        outcome
    });
    let outcome = app.env.spawn("stream load", load).await.unwrap_or_else(|error| {
        tracing::error!(label, "a stream load ended unexpectedly: {error}");
        let message = "The load ended unexpectedly, which is a bug; the server's log says more. Ask for its state by its \
                       label before sending it again";
        LoadOutcome::failed(label, &Error::internal(message))
    });
    (outcome, ended.load(Ordering::Acquire))
}

fn too_many_loads(loads_max: usize) -> Error {
    Error::resource_exhausted(format!(
        "{loads_max} Stream Loads are running, which is as many as may. Try again later, with fewer and larger loads"
    ))
}

/// Whether the client waits for `100 Continue`.
fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The frontend's answer to a load that would have been sent in vain.
fn no_continue() -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refusal {
        status: &'static str,
        message: &'static str,
    }
    pretty(&Refusal { status: "FAILED", message: "There is no 100-continue header" })
}

fn answer(outcome: &LoadOutcome, base_url: &str) -> Response {
    reply::json_text(StatusCode::OK, outcome.to_json(base_url))
}

/// An answer to a client that may still be sending: it is told to stop.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 32 hex digits in the groups of a UUID, the form in which StarRocks makes up labels.
fn label_of(hex: &str) -> String {
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|group| hex.get(group).unwrap_or_default()).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_labels_look_like_uuids() {
        assert_eq!(label_of("00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn a_load_without_expect_is_told_so_in_starrocks_words() {
        let expected =
            "{\n    \"Status\": \"FAILED\",\n    \"Message\": \"There is no 100-continue header\"\n}\n";
        assert_eq!(no_continue(), expected);
    }
}
