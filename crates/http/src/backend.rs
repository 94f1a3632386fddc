//! What the layer above implements: one [`Backend`] a server.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_types::Result;
use futures::stream::BoxStream;

use crate::load::body::LoadBody;
use crate::load::outcome::LoadOutcome;
use crate::load::request::StreamLoadRequest;

/// What a server serves. Errors are told to the client.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// A user who has proved the password.
    type Login: Clone + Send + Sync + 'static;

    /// Checks a password.
    ///
    /// # Errors
    /// `AccessDenied`, the same for an unknown user as for a wrong password.
    async fn authenticate(&self, user: &str, password: &str, peer: SocketAddr) -> Result<Self::Login>;

    /// Loads `body` into a table. Whatever can be refused without the data (privilege, database, table, columns,
    /// label) must be refused before the first [`LoadBody::chunk`]: that call is what lets the client begin to send.
    ///
    /// Runs to its end even if the client goes away; `body` then gives an error, and the load must be aborted. The
    /// bound `request.timeout_seconds` is the backend's to keep.
    async fn stream_load(
        &self,
        login: Self::Login,
        request: StreamLoadRequest,
        body: LoadBody,
    ) -> LoadOutcome;

    /// The rejected rows that [`LoadOutcome::error_log`] named. Asked for without a login, as users click on the
    /// address: names must not be guessable. `file` has only letters, digits, `_`, `-` and `.`, and does not begin
    /// with `.`.
    async fn load_error_log(&self, file: &str) -> Result<Bytes>;

    /// What became of the load with `label`; [`LoadStateKind::Unknown`] when there is none.
    async fn load_state(&self, login: Self::Login, database: &str, label: &str) -> Result<LoadState>;

    /// Aborts the load with `label`.
    async fn cancel_load(&self, login: Self::Login, database: &str, label: &str) -> Result<()>;

    /// The nodes; an error (status 503) when the server cannot serve. Asked for without a login, like the next
    /// three.
    async fn health(&self) -> Result<Health>;

    /// Where the frontend stands; an error when it is not ready.
    async fn bootstrap(&self) -> Result<Bootstrap>;

    /// All metrics, in Prometheus' text format or (then ending in `# EOF`) as OpenMetrics.
    async fn metrics(&self) -> String;

    /// Whether the cluster is being restored from a snapshot.
    async fn restore_state(&self) -> RestoreState;

    /// `SHOW PROC 'path'`.
    async fn show_proc(&self, login: Self::Login, path: &str) -> Result<ProcRows>;

    /// Runs one statement that gives rows. Dropping the stream stops it.
    async fn query(&self, login: Self::Login, request: QueryRequest) -> Result<QueryRows>;
}

/// What became of a load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadState {
    pub kind: LoadStateKind,
    /// Why it was aborted; else empty.
    pub reason: String,
}

/// The state of a load's transaction, in StarRocks' words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadStateKind {
    Unknown,
    Prepare,
    Prepared,
    Committed,
    Visible,
    Aborted,
}

impl LoadStateKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Prepare => "PREPARE",
            Self::Prepared => "PREPARED",
            Self::Committed => "COMMITTED",
            Self::Visible => "VISIBLE",
            Self::Aborted => "ABORTED",
        }
    }
}

/// How many nodes there are, and how many of them answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    pub total_backends: u64,
    pub online_backends: u64,
}

/// Where the frontend stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap {
    /// The last journal entry that was applied.
    pub replayed_journal: u64,
    pub mysql_port: u16,
    /// Milliseconds since 1970-01-01 UTC.
    pub start_time_ms: u64,
    pub version: String,
}

/// Whether the cluster is being restored from a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreState {
    Restoring,
    /// Done, or there was none to do.
    Finished,
}

/// Rows of `SHOW PROC`; each as long as `columns`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcRows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// One statement of `POST …/sql`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryRequest {
    pub catalog: String,
    pub database: Option<String>,
    pub sql: String,
    /// Session variables to set first.
    pub variables: Vec<(String, String)>,
}

/// A column of a query's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryColumn {
    pub name: String,
    /// StarRocks' name of the type in lower case, like `varchar`.
    pub type_name: String,
}

/// The result of a query, while it runs.
pub struct QueryRows {
    pub connection_id: u64,
    pub columns: Vec<QueryColumn>,
    /// Each as long as `columns`.
    pub rows: BoxStream<'static, Result<Vec<serde_json::Value>>>,
}
