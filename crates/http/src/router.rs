//! Which address leads where.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use cairn_env::Env;
use cairn_types::Result;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::Config;
use crate::load::handler::stream_load;
use crate::{basic_auth, query, reply, rest};

/// What all requests share.
pub(crate) struct App<B> {
    pub backend: Arc<B>,
    pub env: Env,
    pub config: Config,
    /// One permit for each load that may run.
    pub loads: Arc<Semaphore>,
    /// Connections and loads, to be waited for at shutdown.
    pub tasks: TaskTracker,
}

impl<B: Backend> App<B> {
    /// Who asks.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn login(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<B::Login> {
        let (user, password) = basic_auth::credentials(headers)?;
        self.backend.authenticate(&user, &password, peer).await
    }
}

pub(crate) fn router<B: Backend>(app: Arc<App<B>>) -> Router {
    Router::new()
        .route("/api/{db}/{name}/_stream_load", put(stream_load::<B>))
        .route("/api/{db}/{name}/_cancel", post(rest::cancel_load::<B>))
        .route("/api/{db}/get_load_state", get(rest::load_state::<B>))
        .route("/api/_load_error_log", get(rest::load_error_log::<B>))
        .route("/api/transaction/{operation}", any(rest::transaction))
        .route("/api/v1/catalogs/{catalog}/databases/{db}/sql", post(query::in_database::<B>))
        .route("/api/v1/catalogs/{catalog}/sql", post(query::in_catalog::<B>))
        .route("/api/v2/get_cluster_snapshot_restore_state", get(rest::restore_state::<B>))
        .route("/api/show_proc", get(rest::show_proc::<B>))
        .route("/api/health", get(rest::health::<B>))
        .route("/api/bootstrap", get(rest::bootstrap::<B>))
        .route("/metrics", get(rest::metrics::<B>))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

async fn unknown(request: Request) -> Response {
    let message = format!("Nothing is served at {} {}", request.method(), request.uri().path());
    reply::failed(StatusCode::NOT_FOUND, &message)
}

async fn wrong_method(request: Request) -> Response {
    let message = format!("{} is not for the method {}", request.uri().path(), request.method());
    reply::failed(StatusCode::METHOD_NOT_ALLOWED, &message)
}
