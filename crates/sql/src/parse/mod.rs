//! From text to statements: which family a statement belongs to is told by its first words.

mod admin;
mod alter;
mod column;
pub(crate) mod cursor;
mod database;
mod dml;
mod grant;
mod interval;
mod mview;
mod partition;
mod query;
mod session;
mod show;
mod table;
mod task;
mod unsupported;
mod user;
mod view;
mod volume;

use cairn_types::limits::SQL_BYTES_MAX;
use cairn_types::{Error, ErrorKind, Result};
use sqlparser::ast::{Expr, Query};

use crate::ast::Statement;
use crate::dialect::StarRocksDialect;
use crate::scan::{self, RawStatement};
use cursor::Cursor;

pub use dml::is_default_value;

/// A statement and the text it was read from.
#[derive(Clone, PartialEq, Debug)]
pub struct ParsedStatement {
    pub statement: Statement,
    /// Its own part of the text, without the `;`. It can hold secrets: print `statement` instead.
    pub text: String,
}

/// Reads all statements of a text, which are separated by `;`. Empty ones and comments are none.
///
/// # Errors
/// `Parse` with line, column and the text near it; `Unsupported` with the name of what Cairn does not have;
/// `Analysis` for what parses and can mean nothing, such as a privilege on a kind of object that does not have it.
/// Then no statement of the text is returned, those before it neither.
pub fn parse_statements(sql: &str) -> Result<Vec<ParsedStatement>> {
    let dialect = StarRocksDialect::default();
    let mut parsed = Vec::new();
    for raw in pieces(sql, &dialect)? {
        let text = sql.get(raw.bytes.clone()).unwrap_or("").to_owned();
        let mut cursor = Cursor::new(sql, raw, &dialect)?;
        let statement = whole(&mut cursor, statement)?;
        parsed.push(ParsedStatement { statement, text });
    }
    Ok(parsed)
}

/// Reads one expression, such as one that the catalog keeps as text.
///
/// # Errors
/// As [`parse_statements`].
pub fn parse_expression(sql: &str) -> Result<Expr> {
    one(sql, "an expression", |c| c.expr())
}

/// Reads one query, such as a view's.
///
/// # Errors
/// As [`parse_statements`].
pub fn parse_query(sql: &str) -> Result<Query> {
    one(sql, "a query", |c| c.query())
}

fn one<T>(sql: &str, what: &str, read: impl FnOnce(&mut Cursor<'_>) -> Result<T>) -> Result<T> {
    let dialect = StarRocksDialect::default();
    let mut raw = pieces(sql, &dialect)?;
    match (raw.pop(), raw.is_empty()) {
        (Some(raw), true) => whole(&mut Cursor::new(sql, raw, &dialect)?, read),
        _ => Err(Error::parse(format!("Expected {what}, found {} texts", raw.len() + 1))),
    }
}

fn pieces(sql: &str, dialect: &StarRocksDialect) -> Result<Vec<RawStatement>> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Parse,
            format!(
                "The text has {} bytes, more than {SQL_BYTES_MAX}. Detail message: load rows from a file (Stream Load, \
                 or INSERT INTO … SELECT … FROM FILES(…))",
                sql.len()
            ),
        ));
    }
    scan::split(sql, dialect)
}

/// Reads with `read`, and nothing may be left.
fn whole<'a, T>(cursor: &mut Cursor<'a>, read: impl FnOnce(&mut Cursor<'a>) -> Result<T>) -> Result<T> {
    let read = read(cursor)?;
    cursor.expect_end()?;
    Ok(read)
}

/// Reads one statement, up to where it ends.
fn statement(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.at_query() {
        return query::query(c);
    }
    let first = c.peek_word(0).unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "EXPLAIN" | "DESC" | "DESCRIBE" => query::explain(c),
        "INSERT" => dml::insert(c),
        "DELETE" => dml::delete(c, None),
        "UPDATE" => dml::update(c, None),
        "CREATE" => create(c),
        "DROP" => drop(c),
        "ALTER" => alter(c),
        "SHOW" => show::show(c),
        "SET" => session::set(c),
        "ADMIN" => admin::admin(c),
        "USE" => database::use_database(c),
        "RECOVER" => database::recover(c),
        "TRUNCATE" => table::truncate(c),
        "ANALYZE" => table::analyze(c),
        "REFRESH" if c.eat("REFRESH MATERIALIZED VIEW") => mview::refresh(c),
        "CANCEL" if c.eat("CANCEL REFRESH MATERIALIZED VIEW") => mview::cancel(c),
        "SUBMIT" => task::submit(c),
        "GRANT" => grant::grant(c),
        "REVOKE" => grant::revoke(c),
        "KILL" => session::kill(c),
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" => session::transaction(c),
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => session::prepared(c),
        "SYNC" => {
            c.expect("SYNC")?;
            Ok(Statement::Sync)
        }
        _ => Err(unsupported::refusal(c).unwrap_or_else(|| c.unexpected("a statement"))),
    }
}

fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.eat("CREATE DATABASE") || c.eat("CREATE SCHEMA") {
        database::create(c)
    } else if table::at_create(c) {
        table::create(c)
    } else if c.is("CREATE VIEW") || c.is("CREATE OR REPLACE VIEW") {
        view::create(c)
    } else if c.eat("CREATE MATERIALIZED VIEW") {
        mview::create(c)
    } else if c.eat("CREATE STORAGE VOLUME") {
        volume::create(c)
    } else if c.eat("CREATE SNAPSHOT") {
        admin::create_snapshot(c)
    } else if c.eat("CREATE USER") {
        user::create(c)
    } else {
        Err(unsupported::refusal(c).unwrap_or_else(|| behind_verb(c, "CREATE")))
    }
}

fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.eat("DROP DATABASE") || c.eat("DROP SCHEMA") {
        database::drop(c)
    } else if c.is("DROP TABLE") || c.is("DROP TEMPORARY TABLE") {
        table::drop(c)
    } else if c.eat("DROP VIEW") {
        view::drop(c)
    } else if c.eat("DROP MATERIALIZED VIEW") {
        mview::drop(c)
    } else if c.eat("DROP TASK") {
        task::drop(c)
    } else if c.eat("DROP STORAGE VOLUME") {
        volume::drop(c)
    } else if c.eat("DROP SNAPSHOT") {
        admin::drop_snapshot(c)
    } else if c.eat("DROP USER") {
        user::drop(c)
    } else if c.is("DROP PREPARE") {
        session::prepared(c)
    } else {
        Err(unsupported::refusal(c).unwrap_or_else(|| behind_verb(c, "DROP")))
    }
}

fn alter(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.eat("ALTER TABLE") {
        alter::alter(c)
    } else if c.eat("ALTER VIEW") {
        view::alter(c)
    } else if c.eat("ALTER MATERIALIZED VIEW") {
        mview::alter(c)
    } else if c.eat("ALTER STORAGE VOLUME") {
        volume::alter(c)
    } else if c.eat("ALTER USER") {
        user::alter(c)
    } else if c.is("ALTER SYSTEM") {
        admin::alter_system(c)
    } else {
        Err(unsupported::refusal(c).unwrap_or_else(|| behind_verb(c, "ALTER")))
    }
}

/// The error that the word behind `verb` names nothing.
fn behind_verb(c: &mut Cursor<'_>, verb: &str) -> Error {
    c.eat(verb);
    c.unexpected(&format!("what to {verb}"))
}
