//! The MySQL door: logins and sessions over the node.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_mysql::{Account, Backend, ColumnDef, Login, ParamValue, Prepared, ResultWriter, SessionStatus};
use cairn_sql::ast::{DatabaseName, Statement};
use cairn_sql::{ParsedStatement, count_placeholders, parse_statements};
use cairn_types::{Error, Privilege, Result};
use sqlparser::ast::Value;

use crate::answer;
use crate::node::Node;
use crate::queries::SessionEntry;
use crate::rows::like;
use crate::session::{self, Session};
use crate::statement::{describe, query};

/// The MySQL server's side of a node.
pub struct MysqlDoor {
    pub node: Arc<Node>,
}

#[async_trait]
impl Backend for MysqlDoor {
    type Session = Session;

    fn server_version(&self) -> String {
        "8.0.33".to_owned()
    }

    async fn account(&self, user: &str, peer: SocketAddr) -> Option<Account> {
        account(&self.node, user, peer)
    }

    async fn open(&self, login: Login) -> Result<Session> {
        let host = login.peer.ip().to_string();
        let entry = SessionEntry::new(
            login.connection_id,
            &login.user,
            &host,
            self.node.env.now_ms(),
            login.control.clone(),
        );
        let mut session = Session::new(Arc::clone(&self.node), self.node.sessions.add(entry));
        if let Some(database) = &login.database {
            session.use_database(&database_name(database))?;
        }
        session.end_activity();
        Ok(session)
    }
}

/// What proves that someone is `user`. Nobody logs in without a password from another machine.
pub fn account(node: &Node, user: &str, peer: SocketAddr) -> Option<Account> {
    let catalog = node.catalog();
    let user = catalog.user(user)?;
    if user.host.as_ref().is_some_and(|host| !comes_from(host, peer.ip())) {
        return None;
    }
    if !user.has_password() {
        return peer.ip().is_loopback().then(Account::without_password);
    }
    let native = user.native_hash.parse().ok();
    let sha2 = user.sha2_digest.parse().ok();
    Some(Account::from_hashes(native, sha2))
}

/// Whether `address` is one of `host`: an address, one with `%` and `_`, or `localhost`.
fn comes_from(host: &str, address: IpAddr) -> bool {
    // IPv4 clients of a socket that takes both.
    let address = address.to_canonical();
    (address.is_loopback() && host.eq_ignore_ascii_case("localhost")) || like(host, &address.to_string())
}

/// `catalog.database` or `database`.
fn database_name(text: &str) -> DatabaseName {
    match text.split_once('.') {
        Some((catalog, name)) => DatabaseName { catalog: Some(catalog.to_owned()), name: name.to_owned() },
        None => DatabaseName { catalog: None, name: text.to_owned() },
    }
}

#[async_trait]
impl cairn_mysql::Session for Session {
    async fn query(&mut self, sql: &str, out: &mut ResultWriter<'_>) -> Result<()> {
        let statements = parse_statements(sql)?;
        if statements.len() > 1 && !out.multi_statements_allowed() {
            return Err(Error::parse("several statements in one command: the client did not ask for that"));
        }
        if statements.is_empty() {
            return Err(Error::parse("Query was empty"));
        }
        for parsed in &statements {
            run_and_write(self, parsed, out).await?;
        }
        Ok(())
    }

    async fn prepare(&mut self, statement: u32, sql: &str) -> Result<Prepared> {
        let parsed = session::single_statement(sql)?;
        let count = count_placeholders(&parsed.statement);
        let parameters =
            u16::try_from(count).map_err(|_| Error::parse(format!("{count} parameters are too many")))?;
        let columns = match &parsed.statement {
            Statement::Query(_) => result_columns(self, &parsed.statement, count).await,
            _ => Vec::new(),
        };
        self.prepared.insert(statement, parsed.statement);
        Ok(Prepared { parameters, columns })
    }

    async fn execute(
        &mut self,
        statement: u32,
        parameters: Vec<ParamValue>,
        out: &mut ResultWriter<'_>,
    ) -> Result<()> {
        let prepared = self.prepared.get(&statement);
        let mut bound = prepared
            .cloned()
            .ok_or_else(|| Error::not_found(format!("Unknown prepared statement {statement}")))?;
        let values = parameters.into_iter().map(value).collect::<Result<Vec<_>>>()?;
        session::bind(&mut bound, values)?;
        let parsed = ParsedStatement { text: bound.to_string(), statement: bound };
        run_and_write(self, &parsed, out).await
    }

    async fn close_statement(&mut self, statement: u32) {
        self.prepared.remove(&statement);
    }

    async fn use_database(&mut self, name: &str) -> Result<()> {
        Session::use_database(self, &database_name(name))?;
        self.end_activity();
        Ok(())
    }

    async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<ColumnDef>> {
        describe::field_list(&self.seen(), &self.database, table, wildcard)
    }

    async fn reset(&mut self) -> Result<()> {
        Session::reset(self);
        Ok(())
    }

    async fn kill(&mut self, connection_id: u32) -> Result<()> {
        let all = self.require_system(Privilege::Operate).is_ok();
        self.node.sessions.kill(connection_id.into(), false, &self.user, all)
    }

    async fn statistics(&mut self) -> String {
        let up_seconds = self.node.env.now_ms().saturating_sub(self.node.started_ms) / 1_000;
        format!("Uptime: {up_seconds}  Threads: {}", self.node.sessions.list().len())
    }

    fn status(&self) -> SessionStatus {
        SessionStatus {
            autocommit: self.autocommit(),
            in_transaction: self.transaction.is_open(),
            no_backslash_escapes: false,
        }
    }

    fn idle_timeout(&self) -> Option<Duration> {
        let catalog = self.catalog();
        Some(Duration::from_secs(self.variables.number(&catalog, "wait_timeout").max(1)))
    }
}

async fn run_and_write(
    session: &mut Session,
    parsed: &ParsedStatement,
    out: &mut ResultWriter<'_>,
) -> Result<()> {
    let outcome = async {
        let answer = session.run(parsed).await?;
        out.set_status(cairn_mysql::Session::status(session));
        answer::write(answer, out).await
    }
    .await;
    session.end_activity();
    outcome
}

/// The columns of a query that is being prepared; none when they cannot be told before the parameters are known.
async fn result_columns(session: &Session, statement: &Statement, parameters: usize) -> Vec<ColumnDef> {
    let mut bound = statement.clone();
    if session::bind(&mut bound, vec![Value::Null; parameters]).is_err() {
        return Vec::new();
    }
    let Statement::Query(bound) = &bound else { return Vec::new() };
    match query::plan(session, &bound.query, &bound.hints).await {
        Ok(prepared) => answer::columns(&prepared.planned.names, &prepared.planned.schema()),
        Err(_) => Vec::new(),
    }
}

/// A parameter as an SQL value.
fn value(parameter: ParamValue) -> Result<Value> {
    let number = |text: String| Value::Number(text, false);
    Ok(match parameter {
        ParamValue::Null => Value::Null,
        ParamValue::Int(i) => number(i.to_string()),
        ParamValue::UInt(u) => number(u.to_string()),
        ParamValue::Float(f) => number(format!("{f:e}")),
        ParamValue::Double(d) => number(format!("{d:e}")),
        ParamValue::Decimal(text) => number(text),
        ParamValue::Bytes(bytes) => Value::SingleQuotedString(
            String::from_utf8(bytes).map_err(|_| Error::invalid_value("a parameter is no UTF-8 text"))?,
        ),
        ParamValue::Date { year, month, day } => {
            Value::SingleQuotedString(format!("{year:04}-{month:02}-{day:02}"))
        }
        ParamValue::DateTime { year, month, day, hour, minute, second, micros } => Value::SingleQuotedString(
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"),
        ),
        ParamValue::Time { .. } => {
            return Err(Error::unsupported("TIME parameters are not supported: there is no TIME type"));
        }
    })
}
