//! `cairn sql`: a client of the MySQL port, of this server or any other.

mod print;
mod split;

use std::io::{self, BufRead, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use cairn_env::Env;
use cairn_types::limits::SQL_BYTES_MAX;
use cairn_types::{Error, Result};
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, Conn, Opts, OptsBuilder, Row};

use crate::args::{Format, SqlArgs};
use print::{Header, Printer, Value};
use split::Splitter;

/// Runs the statements of `args`, or of standard input, and prints to standard output.
///
/// # Errors
/// The first one, as it is to be shown.
pub async fn run(args: &SqlArgs, env: &Env) -> Result<()> {
    let mut client = Client::connect(args, env).await?;
    let done = match &args.execute {
        Some(text) => client.run_text(text).await,
        None => client.run_input(io::stdin().lock(), io::stdin().is_terminal()).await,
    };
    // The answers are here: an error while saying goodbye is of no interest.
    _ = client.conn.disconnect().await;
    done
}

struct Client<'a> {
    conn: Conn,
    format: Format,
    /// Whether a person reads: then how much, and how long it took, is said.
    talks: bool,
    env: &'a Env,
}

impl<'a> Client<'a> {
    async fn connect(args: &SqlArgs, env: &'a Env) -> Result<Self> {
        let (host, port, user) = (&args.host, args.port, &args.user);
        let conn = Conn::new(options(args)).await.map_err(|error| {
            let hint = match &error {
                mysql_async::Error::Io(_) => ". Is the server running there (cairn start)?",
                _ => "",
            };
            Error::unavailable(format!(
                "Could not connect to {host}:{port} as '{user}': {}{hint}",
                describe(&error)
            ))
        })?;
        let talks = args.format == Format::Table && io::stdout().is_terminal();
        Ok(Self { conn, format: args.format, talks, env })
    }

    async fn run_text(&mut self, text: &str) -> Result<()> {
        let mut splitter = Splitter::new();
        let mut statements = splitter.push(text)?;
        statements.extend(splitter.finish());
        self.run_all(statements).await
    }

    /// Runs statements as they come: the next line is read when the statements before it are done.
    async fn run_input(&mut self, mut input: impl BufRead, prompts: bool) -> Result<()> {
        let mut splitter = Splitter::new();
        let mut line = String::new();
        loop {
            if prompts {
                eprint!("cairn> ");
            }
            line.clear();
            let read = input.read_line(&mut line);
            let bytes =
                read.map_err(|e| Error::invalid_value(format!("Could not read standard input: {e}")))?;
            if bytes == 0 {
                return self.run_all(splitter.finish()).await;
            }
            let statements = splitter.push(&line)?;
            self.run_all(statements).await?;
        }
    }

    async fn run_all(&mut self, statements: Vec<String>) -> Result<()> {
        for statement in statements {
            self.run_statement(statement).await?;
        }
        Ok(())
    }

    /// Runs one statement and prints its results.
    async fn run_statement(&mut self, statement: String) -> Result<()> {
        let watch = self.env.stopwatch();
        let mut out = BufWriter::new(io::stdout().lock());
        let mut result = self.conn.query_iter(statement).await.map_err(|e| failed(&e))?;
        loop {
            let columns = result.columns().filter(|columns| !columns.is_empty());
            let Some(columns) = columns else {
                let rows = result.affected_rows();
                let told = format!("{} affected", count(rows, "row"));
                result.next().await.map_err(|e| failed(&e))?;
                say(self.talks, &mut out, &told, watch.elapsed())?;
                if result.is_empty() {
                    return Ok(());
                }
                continue;
            };
            let headers = columns.iter().map(header).collect();
            let mut printer = Printer::begin(&mut out, self.format, headers).map_err(|e| unwritten(&e))?;
            while let Some(row) = result.next().await.map_err(|e| failed(&e))? {
                printer.row(&values(row)).map_err(|e| unwritten(&e))?;
            }
            let rows = printer.end().map_err(|e| unwritten(&e))?;
            say(self.talks, &mut out, &count(rows, "row"), watch.elapsed())?;
            if result.is_empty() {
                return Ok(());
            }
        }
    }
}

fn options(args: &SqlArgs) -> Opts {
    let options = OptsBuilder::default()
        .ip_or_hostname(&args.host)
        .tcp_port(args.port)
        .user(Some(&args.user))
        .pass(Some(&args.password))
        .db_name(args.database.as_ref())
        // Without these the client asks the server for them first.
        .prefer_socket(false)
        .max_allowed_packet(Some(SQL_BYTES_MAX))
        .wait_timeout(Some(28_800));
    options.into()
}

fn say(talks: bool, out: &mut impl Write, what: &str, elapsed: Duration) -> Result<()> {
    if talks {
        writeln!(out, "{what} in {:.2}s\n", elapsed.as_secs_f64()).map_err(|e| unwritten(&e))?;
        out.flush().map_err(|e| unwritten(&e))?;
    }
    Ok(())
}

/// `1 row`, `2 rows`.
fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn header(column: &Column) -> Header {
    use ColumnType as T;
    let numeric = matches!(
        column.column_type(),
        T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_FLOAT
            | T::MYSQL_TYPE_DOUBLE
            | T::MYSQL_TYPE_DECIMAL
            | T::MYSQL_TYPE_NEWDECIMAL
    );
    Header { name: column.name_str().into_owned(), numeric }
}

/// The values of a row of the text protocol, which are all bytes.
fn values(row: Row) -> Vec<Value> {
    let value = |value| match value {
        mysql_async::Value::NULL => None,
        mysql_async::Value::Bytes(bytes) => Some(bytes),
        other => Some(other.as_sql(false).into_bytes()),
    };
    row.unwrap().into_iter().map(value).collect()
}

fn failed(error: &mysql_async::Error) -> Error {
    Error::invalid_value(describe(error))
}

/// An error of the server in the form that MySQL's own client uses.
fn describe(error: &mysql_async::Error) -> String {
    match error {
        mysql_async::Error::Server(e) => format!("ERROR {} ({}): {}", e.code, e.state, e.message),
        mysql_async::Error::Io(mysql_async::IoError::Io(e)) => e.to_string(),
        other => other.to_string(),
    }
}

fn unwritten(error: &io::Error) -> Error {
    Error::unavailable(format!("Could not write the result: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_plural() {
        let found = [0, 1, 2].map(|n| count(n, "row"));
        assert_eq!(found, ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn the_client_goes_where_it_is_told_and_nowhere_else() {
        let args = SqlArgs {
            execute: None,
            host: "h".to_owned(),
            port: 1,
            user: "u".to_owned(),
            password: "p".to_owned(),
            database: Some("d".to_owned()),
            format: Format::Csv,
        };
        let options = options(&args);
        assert_eq!((options.ip_or_hostname(), options.tcp_port()), ("h", 1));
        assert_eq!((options.user(), options.pass(), options.db_name()), (Some("u"), Some("p"), Some("d")));
        assert!(!options.prefer_socket());
    }

    #[test]
    fn server_errors_look_like_mysql() {
        let error = mysql_async::ServerError {
            code: 5501,
            message: "Unknown database 'x'".into(),
            state: "3F000".into(),
        };
        assert_eq!(describe(&error.into()), "ERROR 5501 (3F000): Unknown database 'x'");
    }
}
