//! The server against real clients: `mysql_async`, and a raw one for what a well-behaved client never sends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod backend;
mod connections;
mod login;
mod raw;
mod results;
mod strangers;
mod tls;

use backend::Echo;
use cairn_env::{Env, Failpoints};
use cairn_mysql::{Config, Server};
use mysql_async::{Conn, Opts, OptsBuilder};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server for one test; it ends when this is dropped.
struct Running {
    address: SocketAddr,
    echo: Arc<Echo>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(config: Config) -> Self {
        let echo = Arc::new(Echo::default());
        let env = Env::real(Failpoints::default());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(listener, config, Arc::clone(&echo), env);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { address, echo, stop: Some(stop), serving }
    }

    fn opts(&self, user: &str, password: &str) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(self.address.ip().to_string())
            .tcp_port(self.address.port())
            .user(Some(user))
            .pass((!password.is_empty()).then_some(password))
            .prefer_socket(false)
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(1000))
    }

    async fn connect(&self, user: &str, password: &str) -> mysql_async::Result<Conn> {
        Conn::new(Opts::from(self.opts(user, password))).await
    }

    /// The user `ann`, who has both kinds of hashes.
    async fn ann(&self) -> Conn {
        self.connect("ann", "apple").await.unwrap()
    }

    async fn shut_down(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.serving.await.unwrap();
    }
}

async fn running() -> Running {
    Running::start(Config::default()).await
}

/// The number and text of a server's error.
fn server_error<T>(outcome: mysql_async::Result<T>) -> (u16, String) {
    match outcome {
        Err(mysql_async::Error::Server(error)) => (error.code, error.message),
        Err(other) => panic!("not an error of the server: {other}"),
        Ok(_) => panic!("no error"),
    }
}

/// Waits until `condition` holds; fails after five seconds.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
