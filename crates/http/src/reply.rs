//! Answers of the REST interface: StarRocks' envelope around a result or an error.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cairn_types::{Error, ErrorKind};
use serde::Serialize;

/// The four keys that every answer has: `status` and `msg` for old clients, `code` and `message` for new ones.
#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    status: &'static str,
    code: &'static str,
    msg: &'a str,
    message: &'a str,
}

impl<'a> Envelope<'a> {
    pub const OK: Envelope<'static> = Envelope { status: "OK", code: "0", msg: "Success", message: "OK" };

    pub fn failed(message: &'a str) -> Self {
        Self { status: "FAILED", code: "1", msg: message, message }
    }
}

/// A JSON answer with status 200.
pub(crate) fn ok(value: impl Serialize) -> Response {
    Json(value).into_response()
}

/// A failed call in its envelope.
pub(crate) fn failed(status: StatusCode, message: &str) -> Response {
    (status, Json(Envelope::failed(message))).into_response()
}

/// The answer to a call that failed behind the door. As in StarRocks the status is 200 unless it is about access;
/// `status` in the body says that it failed.
pub(crate) fn error(error: &Error) -> Response {
    match error.kind() {
        ErrorKind::AccessDenied => denied(error),
        ErrorKind::PrivilegeDenied => failed(StatusCode::FORBIDDEN, error.message()),
        _ => failed(StatusCode::OK, error.message()),
    }
}

/// The answer to somebody who could not be identified, or could not be asked about.
pub(crate) fn denied(error: &Error) -> Response {
    if error.kind() != ErrorKind::AccessDenied {
        return failed(StatusCode::SERVICE_UNAVAILABLE, error.message());
    }
    let mut response = failed(StatusCode::UNAUTHORIZED, error.message());
    let realm = HeaderValue::from_static("Basic realm=\"\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    response
}

/// JSON that is already text.
pub(crate) fn json_text(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
