//! The parser from the outside: what is read, what is refused, and that every statement prints to itself.

#![allow(clippy::panic, reason = "a test that fails panics")]

mod depth;
mod grants;
mod mviews;
mod printed;
mod property;
mod queries;
mod refused;
mod roundtrip;

use cairn_sql::{ParsedStatement, Statement, parse_statements};

/// The one statement of `sql`.
pub fn one(sql: &str) -> Statement {
    let mut parsed = parse_statements(sql).unwrap_or_else(|e| panic!("{sql}\n  {e}"));
    assert_eq!(parsed.len(), 1, "{sql}");
    let ParsedStatement { statement, .. } = parsed.remove(0);
    statement
}

/// The message with which `sql` is refused.
pub fn refused(sql: &str) -> String {
    match parse_statements(sql) {
        Ok(parsed) => panic!("{sql} was read as {parsed:?}"),
        Err(error) => error.message().to_owned(),
    }
}

/// `sql` parses, prints, and its print parses to an equal statement.
pub fn check_roundtrip(sql: &str) {
    let first = one(sql);
    let printed = first.to_string();
    let second = one(&printed);
    assert_eq!(first, second, "{sql}\n  printed as {printed}");
    assert_eq!(printed, second.to_string(), "printing is stable: {sql}");
}
