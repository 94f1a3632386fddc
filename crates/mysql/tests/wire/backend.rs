//! A backend that answers a small language: `;` parts statements, each a word and its arguments.

use async_trait::async_trait;
use cairn_mysql::{
    Account, Backend, ColumnDef, ColumnType, Control, Login, OkInfo, ParamValue, Prepared, ResultWriter,
    Session, SessionStatus, native_hash, sha2_digest,
};
use cairn_types::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Echo {
    /// Sessions that exist now.
    pub sessions: Arc<AtomicUsize>,
    /// Statements that run now.
    pub statements: Arc<AtomicUsize>,
    pub controls: Mutex<HashMap<u32, Control>>,
    /// What `commit` waits for.
    pub finish: Arc<tokio::sync::Notify>,
}

/// Counts while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

pub struct EchoSession {
    login: Login,
    database: String,
    in_transaction: bool,
    prepared: HashMap<u32, String>,
    others: HashMap<u32, Control>,
    statements: Arc<AtomicUsize>,
    finish: Arc<tokio::sync::Notify>,
    _counted: Counted,
}

#[async_trait]
impl Backend for Echo {
    type Session = EchoSession;

    fn server_version(&self) -> String {
        "8.0.33".into()
    }

    async fn account(&self, user: &str, _peer: SocketAddr) -> Option<Account> {
        match user {
            "root" => Some(Account::without_password()),
            "ann" => Some(Account::with_password("apple")),
            "native" => Some(Account::from_hashes(Some(native_hash("nut")), None)),
            "sha2" => Some(Account::from_hashes(None, Some(sha2_digest("salt")))),
            "locked" => Some(Account::from_hashes(None, None)),
            _ => None,
        }
    }

    async fn open(&self, login: Login) -> Result<EchoSession> {
        let database = login.database.clone().unwrap_or_default();
        if database == "nowhere" {
            return Err(Error::unknown_database("nowhere"));
        }
        let mut controls = self.controls.lock().unwrap();
        controls.insert(login.connection_id, login.control.clone());
        Ok(EchoSession {
            database,
            in_transaction: false,
            prepared: HashMap::new(),
            others: controls.clone(),
            statements: Arc::clone(&self.statements),
            finish: Arc::clone(&self.finish),
            _counted: Counted::new(&self.sessions),
            login,
        })
    }
}

pub fn text(name: &str) -> ColumnDef {
    ColumnDef::new(name, ColumnType::MYSQL_TYPE_VAR_STRING)
}

impl EchoSession {
    async fn statement(&mut self, sql: &str, out: &mut ResultWriter<'_>) -> Result<()> {
        let (word, rest) = sql.trim().split_once(' ').unwrap_or((sql.trim(), ""));
        let number = || rest.parse::<usize>().map_err(|error| Error::parse(error.to_string()));
        match word {
            "echo" => one_text(out, rest).await,
            "rows" => {
                out.columns(&[ColumnDef::new("n", ColumnType::MYSQL_TYPE_LONGLONG), text("t")]).await?;
                out.rows(number()?, |n, row| {
                    row.int(n as i64);
                    if n % 2 == 0 {
                        row.null()
                    } else {
                        row.display(format_args!("row {n}"))
                    }
                    Ok(())
                })
                .await
            }
            "big" => one_text(out, &"b".repeat(number()?)).await,
            "length" => one_text(out, &rest.len().to_string()).await,
            "types" => types(out).await,
            "affected" => {
                let affected_rows = number()? as u64;
                let info = "Rows matched".to_owned();
                out.ok(OkInfo { affected_rows, last_insert_id: 9, warnings: 3, info }).await
            }
            // What some clients send of their own accord at login.
            "SET" | "nothing" => Ok(()),
            "begin" => {
                self.in_transaction = true;
                out.ok(OkInfo::default()).await
            }
            "fail" => Err(Error::unknown_table(rest)),
            "fail_amid" => {
                out.columns(&[text("t")]).await?;
                out.row(|row| {
                    row.str("first");
                    Ok(())
                })
                .await?;
                Err(Error::new(ErrorKind::Timeout, "amid"))
            }
            "hang" => std::future::pending().await,
            "commit" => {
                let _finishing = self.login.control.finish_first();
                self.finish.notified().await;
                Ok(())
            }
            "hang_amid" => {
                out.columns(&[text("t")]).await?;
                std::future::pending().await
            }
            "panic_amid" => {
                out.columns(&[text("t")]).await?;
                out.row(|row| {
                    row.str("half a row");
                    panic!("as asked")
                })
                .await
            }
            "forever" => {
                out.columns(&[text("t")]).await?;
                loop {
                    out.row(|row| {
                        row.str(&"x".repeat(1000));
                        Ok(())
                    })
                    .await?;
                }
            }
            "who" => {
                let login = &self.login;
                let mut attributes: Vec<_> = login.attributes.iter().map(|(k, _)| k.as_str()).collect();
                attributes.sort_unstable();
                let database = &self.database;
                one_text(out, &format!("{} {database} tls={} {attributes:?}", login.user, login.tls)).await
            }
            _ => Err(Error::parse(format!("no statement '{word}'"))),
        }
    }
}

async fn one_text(out: &mut ResultWriter<'_>, value: &str) -> Result<()> {
    out.columns(&[text("t")]).await?;
    out.row(|row| {
        row.str(value);
        Ok(())
    })
    .await
}

async fn types(out: &mut ResultWriter<'_>) -> Result<()> {
    use ColumnType::*;
    let types = [
        MYSQL_TYPE_TINY,
        MYSQL_TYPE_SHORT,
        MYSQL_TYPE_LONG,
        MYSQL_TYPE_LONGLONG,
        MYSQL_TYPE_FLOAT,
        MYSQL_TYPE_DOUBLE,
        MYSQL_TYPE_NEWDECIMAL,
        MYSQL_TYPE_DATE,
        MYSQL_TYPE_DATETIME,
        MYSQL_TYPE_TIME,
        MYSQL_TYPE_BLOB,
        MYSQL_TYPE_VAR_STRING,
    ];
    let mut columns: Vec<_> = types.map(|t| ColumnDef::new(format!("{t:?}"), t)).into();
    columns.push(ColumnDef::new("unsigned", MYSQL_TYPE_LONGLONG).unsigned());
    out.columns(&columns).await?;
    out.row(|row| {
        row.int(-128);
        row.int(-32_768);
        row.int(i64::from(i32::MIN));
        row.int(i64::MIN);
        row.float(1.5);
        row.double(-0.1);
        row.str("-12345678901234567890.123456");
        row.date(2024, 2, 29);
        row.datetime((2024, 2, 29), (23, 59, 58), 1);
        row.time(true, 49, (2, 3), 0);
        row.bytes(&[0, 0xFF, 0xFB]);
        row.null();
        row.uint(u64::MAX);
        Ok(())
    })
    .await
}

#[async_trait]
impl Session for EchoSession {
    async fn query(&mut self, sql: &str, out: &mut ResultWriter<'_>) -> Result<()> {
        let _counted = Counted::new(&self.statements);
        for statement in sql.split(';').filter(|s| !s.trim().is_empty()) {
            self.statement(statement, out).await?;
        }
        Ok(())
    }

    async fn prepare(&mut self, statement: u32, sql: &str) -> Result<Prepared> {
        if sql.starts_with("fail") {
            return Err(Error::parse("cannot be prepared"));
        }
        self.prepared.insert(statement, sql.to_owned());
        let parameters = sql.matches('?').count() as u16;
        Ok(Prepared { parameters, columns: vec![text("t"); usize::from(parameters)] })
    }

    async fn execute(
        &mut self,
        statement: u32,
        parameters: Vec<ParamValue>,
        out: &mut ResultWriter<'_>,
    ) -> Result<()> {
        let _counted = Counted::new(&self.statements);
        let sql = self.prepared[&statement].clone();
        if parameters.is_empty() {
            return self.statement(&sql, out).await;
        }
        out.columns(&vec![text("t"); parameters.len()]).await?;
        out.row(|row| {
            parameters.iter().for_each(|parameter| row.display(format_args!("{parameter:?}")));
            Ok(())
        })
        .await
    }

    async fn close_statement(&mut self, statement: u32) {
        self.prepared.remove(&statement);
    }

    async fn use_database(&mut self, name: &str) -> Result<()> {
        if name == "nowhere" {
            return Err(Error::unknown_database(name));
        }
        self.database = name.to_owned();
        Ok(())
    }

    async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<ColumnDef>> {
        Ok(vec![text(table), text(wildcard)])
    }

    async fn reset(&mut self) -> Result<()> {
        self.database.clear();
        self.prepared.clear();
        self.in_transaction = false;
        Ok(())
    }

    async fn kill(&mut self, connection_id: u32) -> Result<()> {
        let other = self.others.get(&connection_id);
        other
            .map(Control::close)
            .ok_or_else(|| Error::not_found(format!("Unknown thread id: {connection_id}")))
    }

    async fn statistics(&mut self) -> String {
        "Uptime: 1".into()
    }

    fn status(&self) -> SessionStatus {
        SessionStatus { autocommit: true, in_transaction: self.in_transaction, ..SessionStatus::default() }
    }
}
