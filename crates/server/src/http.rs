//! The HTTP door: Stream Load and REST over the node.

use std::net::SocketAddr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use cairn_catalog::{Object, Table, TxnState};
use cairn_http::{
    Backend, Bootstrap, Health, LoadBody, LoadOutcome, LoadState, LoadStateKind, ProcRows, QueryColumn,
    QueryRequest, QueryRows, RestoreState, StreamLoadRequest,
};
use cairn_ingest::text::ColumnText;
use cairn_sql::ast::DatabaseName;
use cairn_types::{Error, ErrorKind, Literal, Privilege, Result};
use futures::{StreamExt, stream};
use serde_json::Value;

use crate::answer::{Answer, ResultStream};
use crate::load::stream_load;
use crate::metrics::Gauge;
use crate::mysql;
use crate::node::{Node, VERSION};
use crate::queries::SessionEntry;
use crate::rows::Rows;
use crate::session::Session;
use crate::statement::show;

/// The HTTP server's side of a node.
pub struct HttpDoor {
    pub node: Arc<Node>,
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct HttpUser {
    pub name: String,
    pub peer: SocketAddr,
}

#[async_trait]
impl Backend for HttpDoor {
    type Login = HttpUser;

    async fn authenticate(&self, user: &str, password: &str, peer: SocketAddr) -> Result<HttpUser> {
        let account = mysql::account(&self.node, user, peer);
        match account.is_some_and(|account| account.accepts_password(password.as_bytes())) {
            true => Ok(HttpUser { name: user.to_owned(), peer }),
            false => {
                Err(Error::new(ErrorKind::AccessDenied, format!("Access denied for {user}@{}", peer.ip())))
            }
        }
    }

    async fn stream_load(&self, login: HttpUser, request: StreamLoadRequest, body: LoadBody) -> LoadOutcome {
        stream_load(&self.node, &login.name, request, body).await
    }

    async fn load_error_log(&self, file: &str) -> Result<Bytes> {
        self.node.error_logs.read(file)
    }

    async fn load_state(&self, login: HttpUser, database: &str, label: &str) -> Result<LoadState> {
        let catalog = self.node.catalog().seen_by(&login.name);
        let db = crate::analyze::find_database(&catalog, database)?;
        let newest = catalog.txns().filter(|t| t.db == db.id && t.label == label).last();
        Ok(match newest {
            None => LoadState { kind: LoadStateKind::Unknown, reason: String::new() },
            Some(txn) => match txn.state {
                TxnState::Prepare => LoadState { kind: LoadStateKind::Prepare, reason: String::new() },
                TxnState::Visible => LoadState { kind: LoadStateKind::Visible, reason: String::new() },
                TxnState::Aborted => LoadState { kind: LoadStateKind::Aborted, reason: txn.details.clone() },
            },
        })
    }

    async fn cancel_load(&self, login: HttpUser, database: &str, label: &str) -> Result<()> {
        let catalog = self.node.catalog().seen_by(&login.name);
        let db = crate::analyze::find_database(&catalog, database)?;
        let txn = catalog.txn_labelled(db.id, label).filter(|t| t.state == TxnState::Prepare);
        let txn = txn.ok_or_else(|| Error::not_found(format!("no open load has the label [{label}]")))?.id;
        // A load in progress does not say into which tables: whoever may load into one of the database may cancel.
        let may = |table: &&Arc<Table>| catalog.may(&login.name, Privilege::Insert, Object::Table(table));
        if !catalog.tables_of(db.id).any(|table| may(&table)) {
            catalog.require(&login.name, Privilege::Operate, Object::System)?;
        }
        // The load itself finds out when it commits: an aborted transaction takes no changes.
        let reason = format!("cancelled by {}", login.name);
        self.node.propose(cairn_catalog::Command::AbortTxn { txn, reason }).await.map(|_| ())
    }

    async fn health(&self) -> Result<Health> {
        self.node.journal.health()?;
        Ok(Health { total_backends: 1, online_backends: 1 })
    }

    async fn bootstrap(&self) -> Result<Bootstrap> {
        Ok(Bootstrap {
            replayed_journal: self.node.journal.state().index,
            mysql_port: self.node.addresses.mysql.port(),
            start_time_ms: self.node.started_ms,
            version: VERSION.to_owned(),
        })
    }

    async fn metrics(&self) -> String {
        self.node.metrics.text(&gauges(&self.node))
    }

    /// The doors open when a restore is done.
    async fn restore_state(&self) -> RestoreState {
        RestoreState::Finished
    }

    async fn show_proc(&self, login: HttpUser, path: &str) -> Result<ProcRows> {
        self.node.catalog().require(&login.name, Privilege::Operate, Object::System)?;
        let rows = show::proc(&self.node, path).await?;
        let columns = rows.columns().iter().map(|(name, _)| name.clone()).collect();
        let cell = |value: &Literal| (!value.is_null()).then(|| value.to_string());
        Ok(ProcRows { columns, rows: rows.rows().iter().map(|row| row.iter().map(cell).collect()).collect() })
    }

    async fn query(&self, login: HttpUser, request: QueryRequest) -> Result<QueryRows> {
        let mut session = self.session(&login);
        if let Some(name) = request.database {
            session.use_database(&DatabaseName { catalog: Some(request.catalog), name })?;
        }
        for (name, value) in &request.variables {
            session.variables.set(name, Some(value))?;
        }
        let parsed = crate::session::single_statement(&request.sql)?;
        let connection_id = session.guard.entry.id.into();
        match session.run(&parsed).await? {
            Answer::Ok(_) => {
                Ok(QueryRows { connection_id, columns: Vec::new(), rows: stream::empty().boxed() })
            }
            Answer::Rows(rows) => in_memory(connection_id, &rows),
            Answer::Stream(running) => Ok(streamed(connection_id, running, session)),
        }
    }
}

/// Numbers of sessions that are not MySQL's begin here.
const FIRST_HTTP_SESSION: u32 = 1 << 31;

impl HttpDoor {
    fn session(&self, login: &HttpUser) -> Session {
        let number = u32::try_from(self.node.env.random_u64() >> 33).unwrap_or(0);
        let id = FIRST_HTTP_SESSION | number;
        let control = cairn_mysql::Control::detached();
        let host = login.peer.ip().to_string();
        let entry = SessionEntry::new(id, &login.name, &host, self.node.env.now_ms(), control);
        Session::new(Arc::clone(&self.node), self.node.sessions.add(entry))
    }
}

fn in_memory(connection_id: u64, rows: &Rows) -> Result<QueryRows> {
    let batch = rows.batch()?;
    let columns = rows
        .columns()
        .iter()
        .map(|(name, ty)| QueryColumn { name: name.clone(), type_name: ty.base_name().to_owned() });
    let values = json_rows(&batch)?;
    Ok(QueryRows {
        connection_id,
        columns: columns.collect(),
        rows: stream::iter(values.into_iter().map(Ok)).boxed(),
    })
}

fn streamed(connection_id: u64, running: ResultStream, session: Session) -> QueryRows {
    let type_name = |ty| cairn_exec::sql_type(ty).map_or("varchar", |ty| ty.base_name()).to_owned();
    let fields = running.schema.fields().iter().map(|f| type_name(f.data_type()));
    let columns = running
        .names
        .iter()
        .zip(fields)
        .map(|(name, type_name)| QueryColumn { name: name.clone(), type_name });
    let columns = columns.collect();
    // The session lives as long as its rows.
    let rows = stream::unfold(Some((running, session)), |state| async move {
        let (mut running, session) = state?;
        match running.next().await {
            Ok(None) => None,
            Ok(Some(batch)) => Some((json_rows(&batch), Some((running, session)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let rows = rows.flat_map(|batch| match batch {
        Ok(rows) => stream::iter(rows.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    });
    QueryRows { connection_id, columns, rows: rows.boxed() }
}

/// Numbers as numbers, everything else as text.
fn json_rows(batch: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let columns = batch.columns().iter().map(ColumnText::new).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let cells = columns.iter().zip(batch.columns()).map(|(column, array)| {
            let mut out = Vec::new();
            if !column.append(row, &mut out) {
                return Value::Null;
            }
            let text = String::from_utf8_lossy(&out).into_owned();
            let number = array.data_type().is_numeric().then(|| serde_json::from_str(&text).ok()).flatten();
            number.unwrap_or(Value::String(text))
        });
        cells.collect()
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn gauges(node: &Node) -> Vec<Gauge> {
    let catalog = node.catalog();
    let rss_bytes = cairn_env::process_memory_bytes().unwrap_or(0);
    let gauge = |name, help, value| Gauge { name, help, value };
    let blocks = node.storage.cache.blocks_usage();
    vec![
        gauge("cairn_up", "Whether the journal takes writes", u64::from(node.journal.health().is_ok())),
        gauge("cairn_journal_index", "Last applied journal entry", node.journal.state().index),
        gauge("cairn_epoch", "Incarnation of the cluster", catalog.cluster().epoch),
        gauge("cairn_sessions", "Open sessions", node.sessions.list().len() as u64),
        gauge("cairn_query_memory_bytes", "Memory reserved by queries", node.engine.memory_bytes() as u64),
        gauge("cairn_cache_bytes", "Segment bytes in memory", blocks.bytes),
        gauge("cairn_process_resident_bytes", "Resident memory of the process", rss_bytes),
        gauge(
            "cairn_tables",
            "Tables and views",
            catalog.tables().filter(|t| t.dropped.is_none()).count() as u64,
        ),
        gauge("cairn_partitions", "Partitions that are kept", catalog.partitions().count() as u64),
    ]
}
