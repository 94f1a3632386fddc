//! The listener: accepts connections, bounds their number, and ends them at shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cairn_env::Env;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::Config;
use crate::connection::{self, Stops};
use crate::router::{App, router};

/// Before accepting again after the system could not (out of file descriptors, mostly).
const ACCEPT_RETRY_MS: u64 = 100;
/// Clients that are being told so at the same time; more are closed without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// For loads whose connection was dropped to notice and to abort.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Type: text/plain\r\nContent-Length: 46\r\n\r\nThe server has as many connections as it may.\n";

/// A listening server.
pub struct Server<B> {
    listener: TcpListener,
    app: Arc<App<B>>,
}

impl<B: Backend> Server<B> {
    /// Connections wait until [`Self::serve`] is called.
    #[must_use]
    pub fn new(listener: TcpListener, config: Config, backend: Arc<B>, env: Env) -> Self {
        let loads = Arc::new(Semaphore::new(config.loads_max.min(Semaphore::MAX_PERMITS)));
        let app = App { backend, env, config, loads, tasks: TaskTracker::new() };
        Self { listener, app: Arc::new(app) }
    }

    /// Serves until `shutdown` is done. Then idle connections end at once, and running requests have
    /// [`Config::drain_timeout_ms`] to finish; after that they are dropped, and loads see their bodies break off.
    /// Dropping this future drops all requests at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, app } = self;
        let stops = Stops::default();
        let _drop_all = stops.now.clone().drop_guard();
        let (connections, refusals) = (TaskTracker::new(), TaskTracker::new());
        let routes = router(Arc::clone(&app));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) if connections.len() < app.config.connections_max => {
                    let served = connection::serve(stream, peer, routes.clone(), app.config, stops.clone());
                    app.env.spawn("http connection", connections.track_future(served));
                }
                Ok((stream, peer)) if refusals.len() < REFUSALS_MAX => {
                    app.env.spawn("http refusal", refusals.track_future(refuse(stream, peer)));
                }
                Ok((_, peer)) => tracing::warn!(%peer, "too many connections, and too many being told so"),
                Err(error) => {
                    tracing::warn!("could not accept a connection, trying again: {error}");
                    app.env.sleep_ms(ACCEPT_RETRY_MS).await;
                }
            }
        }
        drop(listener);
        connections.close();
        app.tasks.close();
        end(&connections, &app.tasks, &stops, Duration::from_millis(app.config.drain_timeout_ms)).await;
    }
}

/// Waits for what runs, in the end not patiently.
async fn end(connections: &TaskTracker, loads: &TaskTracker, stops: &Stops, drain: Duration) {
    let all = async {
        connections.wait().await;
        loads.wait().await;
    };
    let mut all = std::pin::pin!(all);
    stops.graceful.cancel();
    if tokio::time::timeout(drain, &mut all).await.is_ok() {
        return;
    }
    tracing::warn!(connections = connections.len(), loads = loads.len(), "dropping requests that still run");
    stops.now.cancel();
    if tokio::time::timeout(ABORT_TIMEOUT, all).await.is_err() {
        tracing::warn!(loads = loads.len(), "loads did not end although their clients are gone");
    }
}

/// Tells a client that there are too many, if it listens.
async fn refuse(mut stream: TcpStream, peer: SocketAddr) {
    tracing::warn!(%peer, "too many connections");
    let told = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    };
    match tokio::time::timeout(REFUSAL_TIMEOUT, told).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, "could not be told so: {error}"),
        Err(_) => tracing::debug!(%peer, "did not listen"),
    }
}
