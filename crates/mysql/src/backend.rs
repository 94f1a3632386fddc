//! What the layer above implements: one [`Backend`] a server, one [`Session`] a login.

use crate::account::Account;
use crate::column::ColumnDef;
use crate::params::ParamValue;
use crate::writer::ResultWriter;
use async_trait::async_trait;
use cairn_types::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a server serves.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    type Session: Session;

    /// The version in the greeting, like `8.0.33`: clients choose their behaviour by its first digits.
    fn server_version(&self) -> String;

    /// What is kept of the password of `user` coming from `peer`; `None` when there is no such user, who is then
    /// refused exactly as for a wrong password.
    async fn account(&self, user: &str, peer: SocketAddr) -> Option<Account>;

    /// Begins a session for a user who has proved the password. An error (an unknown database, say) is told to the
    /// client, and the connection ends.
    async fn open(&self, login: Login) -> Result<Self::Session>;
}

/// One client's session. Errors of its methods are told to the client; the session goes on, unless a method says
/// otherwise. Any returned future may be dropped at an await point (see the crate's page on cancellation).
#[async_trait]
pub trait Session: Send {
    /// Runs the text of one query command, which may hold several statements if
    /// [`ResultWriter::multi_statements_allowed`]: then one result for each is written, in order. Returning without
    /// having written anything is answered by an empty OK.
    async fn query(&mut self, sql: &str, out: &mut ResultWriter<'_>) -> Result<()>;

    /// Prepares `sql` under the number `statement`, which is not used twice on a connection.
    async fn prepare(&mut self, statement: u32, sql: &str) -> Result<Prepared>;

    /// Runs a prepared statement; `parameters` are as many as it was prepared with.
    async fn execute(
        &mut self,
        statement: u32,
        parameters: Vec<ParamValue>,
        out: &mut ResultWriter<'_>,
    ) -> Result<()>;

    /// Forgets a prepared statement.
    async fn close_statement(&mut self, statement: u32);

    /// `USE name`; `name` may be `catalog.database`.
    async fn use_database(&mut self, name: &str) -> Result<()>;

    /// The columns of `table` in the current database, those like `wildcard` if that is not empty.
    async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<ColumnDef>>;

    /// Back to the state of a new login of the same user: variables, current transaction, prepared statements.
    async fn reset(&mut self) -> Result<()>;

    /// Ends another connection of this server, if this session's user may.
    async fn kill(&mut self, connection_id: u32) -> Result<()>;

    /// One line about the server, for `mysqladmin status`.
    async fn statistics(&mut self) -> String;

    /// The flags told with each answer.
    fn status(&self) -> SessionStatus;

    /// How long the client may send nothing (`wait_timeout`); `None` takes `Config::idle_timeout_ms`.
    fn idle_timeout(&self) -> Option<Duration> {
        None
    }
}

/// Who logged in, and from where.
#[derive(Clone, Debug)]
pub struct Login {
    pub connection_id: u32,
    pub user: String,
    pub peer: SocketAddr,
    /// The database named at login, maybe as `catalog.database`; never empty.
    pub database: Option<String>,
    /// The connection is encrypted.
    pub tls: bool,
    /// The MySQL number of the collation that the client asked for. Text is UTF-8 whatever it says.
    pub collation: u16,
    /// What the client says of itself, like `program_name`.
    pub attributes: Vec<(String, String)>,
    /// To stop this connection or its query from elsewhere.
    pub control: Control,
}

/// Stops a connection or what it is doing, from any task. Clones stop the same connection.
#[derive(Clone, Debug)]
pub struct Control {
    sender: Arc<watch::Sender<Asked>>,
}

/// What was asked of a connection, and whether its statement may still be stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) signal: Signal,
    pub(crate) finishing: bool,
}

/// What was asked of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    None,
    CancelQuery,
    Close,
}

impl Control {
    pub(crate) fn new() -> (Self, watch::Receiver<Asked>) {
        let (sender, receiver) = watch::channel(Asked { signal: Signal::None, finishing: false });
        (Self { sender: Arc::new(sender) }, receiver)
    }

    /// A control that stops nothing, for sessions that did not come by MySQL's protocol.
    #[must_use]
    pub fn detached() -> Self {
        Self::new().0
    }

    /// Drops the query that runs now, which its client sees as error 1317; the connection stays. Without a running
    /// query, or when it is [being finished](Self::finish_first), nothing happens.
    pub fn cancel_query(&self) {
        self.change(Signal::None, Signal::CancelQuery);
    }

    /// Drops the query that runs now, if any, and ends the connection.
    pub fn close(&self) {
        self.sender.send_modify(|asked| asked.signal = Signal::Close);
    }

    /// Forgets a cancellation that came when nothing ran (or is being honoured now).
    pub(crate) fn rearm(&self) {
        self.change(Signal::CancelQuery, Signal::None);
    }

    fn change(&self, from: Signal, to: Signal) {
        self.sender.send_if_modified(|asked| {
            let hit = asked.signal == from;
            if hit {
                asked.signal = to;
            }
            hit
        });
    }

    /// Keeps the running statement from being stopped until the guard is dropped: between the moment when it may count and
    /// its answer, "interrupted" would be a lie.
    #[must_use]
    pub fn finish_first(&self) -> Finishing<'_> {
        self.sender.send_modify(|asked| asked.finishing = true);
        Finishing(self)
    }
}

/// As long as it lives, the statement is not stopped. A client that leaves, or the end of the process, is not kept waiting.
#[derive(Debug)]
pub struct Finishing<'a>(&'a Control);

impl Drop for Finishing<'_> {
    fn drop(&mut self) {
        self.0.sender.send_modify(|asked| asked.finishing = false);
    }
}

/// A session's flags. `Default` is a fresh session that is not in autocommit mode.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SessionStatus {
    pub autocommit: bool,
    pub in_transaction: bool,
    /// `NO_BACKSLASH_ESCAPES` is in `sql_mode`: clients then quote differently.
    pub no_backslash_escapes: bool,
}

/// What an OK answer tells.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OkInfo {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub warnings: u16,
    /// Free text, like `{'label':'l1', 'status':'VISIBLE', 'txnId':'5'}`; may be empty.
    pub info: String,
}

/// A prepared statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Prepared {
    /// How many `?` it has.
    pub parameters: u16,
    /// The columns of its result; empty when it gives none or they are not known yet.
    pub columns: Vec<ColumnDef>,
}

/// The error of a query that was stopped by [`Control`].
pub(crate) fn interrupted() -> Error {
    Error::new(cairn_types::ErrorKind::Cancelled, "Query execution was interrupted: it was killed")
}
