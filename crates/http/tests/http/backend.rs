//! A backend whose tables are behaviours, and a server before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_env::{Env, Failpoints};
use cairn_http::{
    Backend, Bootstrap, Config, ExistingLoad, Health, LoadBody, LoadOutcome, LoadState, LoadStateKind,
    LoadStatus, ProcRows, QueryColumn, QueryRequest, QueryRows, RestoreState, Server, StreamLoadRequest,
};
use cairn_types::{Error, ErrorKind, Result};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What a test waits for before it calls it lost.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Recorder {
    events: mpsc::UnboundedSender<String>,
    /// A permit lets one load of the table `held` begin to read.
    pub hold: tokio::sync::Semaphore,
}

impl Recorder {
    fn record(&self, event: impl Into<String>) {
        _ = self.events.send(event.into());
    }

    async fn take_all(&self, request: &StreamLoadRequest, mut body: LoadBody) -> LoadOutcome {
        let mut rows = 0_u64;
        loop {
            match body.chunk().await {
                Ok(Some(chunk)) => rows += chunk.iter().filter(|byte| **byte == b'\n').count() as u64,
                Ok(None) => break,
                Err(error) => {
                    self.record(format!("aborted {:?} {}", error.kind(), body.received_bytes()));
                    return LoadOutcome::failed(&request.label, &error);
                }
            }
        }
        self.record(format!("loaded {}", body.received_bytes()));
        LoadOutcome {
            txn_id: Some(5),
            label: request.label.clone(),
            status: LoadStatus::Success,
            message: "OK".to_owned(),
            rows_total: rows,
            rows_loaded: rows,
            load_bytes: body.received_bytes(),
            error_log: Some("log_1.txt".to_owned()),
            ..LoadOutcome::default()
        }
    }
}

#[async_trait]
impl Backend for Recorder {
    type Login = String;

    async fn authenticate(&self, user: &str, password: &str, _: SocketAddr) -> Result<String> {
        match (user, password) {
            ("root", "") | ("u", "p:w") => Ok(user.to_owned()),
            _ => Err(Error::new(ErrorKind::AccessDenied, format!("Access denied for user '{user}'"))),
        }
    }

    async fn stream_load(
        &self,
        login: String,
        request: StreamLoadRequest,
        mut body: LoadBody,
    ) -> LoadOutcome {
        let StreamLoadRequest { database, table, label, .. } = &request;
        self.record(format!("load {login} {database}.{table} {label}"));
        match table.as_str() {
            "used" => LoadOutcome::label_exists(label, ExistingLoad::Running),
            "unknown" => LoadOutcome::failed(label, &Error::unknown_table(table)),
            "panics" => panic!("as asked"),
            "first" => {
                let first = body.chunk().await;
                let bytes = first.ok().flatten().map_or(0, |chunk| chunk.len());
                LoadOutcome::failed(label, &Error::invalid_value(format!("bad row in {bytes} bytes")))
            }
            "held" => {
                let permit = self.hold.acquire().await;
                permit.expect("open").forget();
                self.take_all(&request, body).await
            }
            _ => self.take_all(&request, body).await,
        }
    }

    async fn load_error_log(&self, file: &str) -> Result<Bytes> {
        match file {
            "log_1.txt" => Ok(Bytes::from_static(b"Error: bad. Row: x\n")),
            _ => Err(Error::not_found(format!("No error log '{file}'"))),
        }
    }

    async fn load_state(&self, _: String, database: &str, label: &str) -> Result<LoadState> {
        match (database, label) {
            ("db", "done") => Ok(LoadState { kind: LoadStateKind::Visible, reason: String::new() }),
            ("db", _) => Ok(LoadState { kind: LoadStateKind::Unknown, reason: String::new() }),
            _ => Err(Error::unknown_database(database)),
        }
    }

    async fn cancel_load(&self, login: String, database: &str, label: &str) -> Result<()> {
        if login == "u" {
            return Err(Error::new(
                ErrorKind::PrivilegeDenied,
                "Access denied; you need the INSERT privilege",
            ));
        }
        self.record(format!("cancel {database} {label}"));
        Ok(())
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health { total_backends: 3, online_backends: 2 })
    }

    async fn bootstrap(&self) -> Result<Bootstrap> {
        Ok(Bootstrap {
            replayed_journal: 9,
            mysql_port: 9030,
            start_time_ms: 1,
            version: "4.0.0-x".to_owned(),
        })
    }

    async fn metrics(&self) -> String {
        "cairn_up 1\n".to_owned()
    }

    async fn restore_state(&self) -> RestoreState {
        RestoreState::Restoring
    }

    async fn show_proc(&self, _: String, path: &str) -> Result<ProcRows> {
        let columns = vec!["Zebra".to_owned(), "Apple".to_owned()];
        Ok(ProcRows { columns, rows: vec![vec![Some(path.to_owned()), None]] })
    }

    async fn query(&self, _: String, request: QueryRequest) -> Result<QueryRows> {
        if request.sql == "broken" {
            return Err(Error::parse("You have an error in your SQL"));
        }
        let column = QueryColumn { name: "a".to_owned(), type_name: "varchar".to_owned() };
        let row = Ok(vec![Value::from(format!("{request:?}"))]);
        let rows = match request.sql.as_str() {
            "breaks" => vec![row, Err(Error::internal("boom"))],
            _ => vec![row],
        };
        let rows = futures::stream::iter(rows).boxed();
        Ok(QueryRows { connection_id: 3, columns: vec![column], rows })
    }
}

/// A server that runs until it is dropped or stopped.
pub struct Running {
    pub address: SocketAddr,
    pub backend: Arc<Recorder>,
    pub serving: JoinHandle<()>,
    events: mpsc::UnboundedReceiver<String>,
    stop: Option<oneshot::Sender<()>>,
}

pub async fn start() -> Running {
    start_with(Config::default()).await
}

pub async fn start_with(config: Config) -> Running {
    let (sender, events) = mpsc::unbounded_channel();
    let backend = Arc::new(Recorder { events: sender, hold: tokio::sync::Semaphore::new(0) });
    let env = Env::real(Failpoints::default());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = Server::new(listener, config, Arc::clone(&backend), env);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async move { _ = stopped.await }));
    Running { address, backend, serving, events, stop: Some(stop) }
}

impl Running {
    /// The next thing that reached the backend.
    pub async fn event(&mut self) -> String {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("the backend is there")
    }

    /// Whether nothing (more) has reached the backend.
    pub fn is_quiet(&mut self) -> bool {
        self.events.try_recv().is_err()
    }

    pub fn stop(&mut self) {
        _ = self.stop.take().expect("stopped once").send(());
    }
}
