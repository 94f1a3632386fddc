//! The listener: accepts connections, bounds their number, and ends them at shutdown.

use crate::backend::Backend;
use crate::channel::Channel;
use crate::config::Config;
use crate::connection::serve_connection;
use crate::reply::ErrorReply;
use cairn_env::Env;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Connections that are being told that there are too many; beyond it they are closed without a word.
const REFUSALS_MAX: usize = 64;
/// For a refused client to take its error.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Before accepting again after the system could not (out of file descriptors, mostly).
const ACCEPT_RETRY_MS: u64 = 100;

/// A listening server.
pub struct Server<B> {
    listener: TcpListener,
    config: Arc<Config>,
    backend: Arc<B>,
    env: Env,
}

impl<B: Backend> Server<B> {
    /// Connections wait until [`Self::serve`] is called.
    #[must_use]
    pub fn new(listener: TcpListener, config: Config, backend: Arc<B>, env: Env) -> Self {
        Self { listener, config: Arc::new(config), backend, env }
    }

    /// Serves until `shutdown` is done. Then idle connections end at once, and running commands have
    /// `Config::drain_timeout_ms` to finish. Dropping this future ends all connections at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let mut connections = Tasks::default();
        let mut refusals = Tasks::default();
        let mut last_id = 0_u32;
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = connections.reap() => {}
                () = refusals.reap() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) if connections.len() < self.config.connections_max => {
                        last_id = last_id.checked_add(1).unwrap_or(1);
                        connections.add(self.welcome(stream, peer, last_id, stopping.clone()));
                    }
                    Ok((stream, peer)) if refusals.len() < REFUSALS_MAX => {
                        refusals.add(self.refuse(stream, peer));
                    }
                    Ok((_, peer)) => tracing::warn!(%peer, "too many connections, and too many being told so"),
                    Err(error) => {
                        tracing::warn!("could not accept a connection, trying again: {error}");
                        self.env.sleep_ms(ACCEPT_RETRY_MS).await;
                    }
                },
            }
        }
        drop(self.listener);
        stop.send_replace(true);
        let drain = Duration::from_millis(self.config.drain_timeout_ms);
        if tokio::time::timeout(drain, connections.end()).await.is_err() {
            tracing::warn!(
                count = connections.len(),
                "dropped connections that were still running a command"
            );
        }
    }

    fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        id: u32,
        stopping: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, "no TCP_NODELAY: {error}");
        }
        let (config, backend) = (Arc::clone(&self.config), Arc::clone(&self.backend));
        let serve = serve_connection(Box::new(stream), peer, id, config, backend, self.env.clone(), stopping);
        self.env.spawn("mysql connection", serve)
    }

    fn refuse(&self, stream: TcpStream, peer: SocketAddr) -> JoinHandle<()> {
        tracing::warn!(%peer, "too many connections");
        let reply = ErrorReply::too_many_connections(self.config.connections_max);
        self.env.spawn("mysql refusal", async move {
            let mut channel = Channel::new(Box::new(stream), 0, REFUSAL_TIMEOUT);
            channel.refuse(&reply).await;
        })
    }
}

/// Tasks that end when this is dropped.
#[derive(Default)]
struct Tasks {
    running: FuturesUnordered<JoinHandle<()>>,
}

impl Tasks {
    fn add(&mut self, task: JoinHandle<()>) {
        self.running.push(task);
    }

    fn len(&self) -> usize {
        self.running.len()
    }

    /// Returns when one has ended; never while there is none.
    async fn reap(&mut self) {
        match self.running.next().await {
            Some(Err(error)) if error.is_panic() => tracing::error!("a connection's task panicked: {error}"),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Returns when all have ended.
    async fn end(&mut self) {
        while self.len() > 0 {
            self.reap().await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}
