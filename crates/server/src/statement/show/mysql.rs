//! What MySQL's clients ask any server: variables, engines, character sets, warnings, and listings that are empty here.

use cairn_catalog::Catalog;
use cairn_sql::ast::VariableScope;
use cairn_types::SqlType;

use crate::rows::{Rows, int, text};
use crate::session::variables::Variables;
use crate::system::{CHARACTER_SET, COLLATION};

const TEXT: SqlType = SqlType::String;
const LONG: SqlType = SqlType::BigInt;
const TIME: SqlType = SqlType::DateTime;

/// `SHOW [GLOBAL | SESSION] VARIABLES`.
pub fn variables(variables: &Variables, catalog: &Catalog, scope: VariableScope) -> Rows {
    let mut rows = Rows::text(&["Variable_name", "Value"]);
    for (name, value) in variables.list(catalog, scope == VariableScope::Global) {
        rows.push([text(name), text(value)]);
    }
    rows
}

/// `SHOW WARNINGS` and `SHOW ERRORS`: a statement succeeds or fails, and its answer says so at once; nothing is kept.
pub fn messages() -> Rows {
    Rows::new(&[("Level", TEXT), ("Code", LONG), ("Message", TEXT)])
}

/// `SHOW COUNT(*) WARNINGS` and `ERRORS`: as many as [`messages`] lists.
pub fn message_count(name: &str) -> Rows {
    let mut rows = Rows::new(&[(name, LONG)]);
    rows.push([int(0)]);
    rows
}

/// `SHOW ENGINES`.
pub fn engines() -> Rows {
    let mut rows = Rows::text(&["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"]);
    let comment = "Columnar tables over a storage volume";
    rows.push([text("OLAP"), text("DEFAULT"), text(comment), text("NO"), text("NO"), text("NO")]);
    rows
}

/// `SHOW CHARACTER SET`.
pub fn character_sets() -> Rows {
    let mut rows =
        Rows::new(&[("Charset", TEXT), ("Description", TEXT), ("Default collation", TEXT), ("Maxlen", LONG)]);
    rows.push([text(CHARACTER_SET), text("UTF-8 Unicode"), text(COLLATION), int(4)]);
    rows
}

/// `SHOW COLLATION`.
pub fn collations() -> Rows {
    let mut rows = Rows::new(&[
        ("Collation", TEXT),
        ("Charset", TEXT),
        ("Id", LONG),
        ("Default", TEXT),
        ("Compiled", TEXT),
        ("Sortlen", LONG),
    ]);
    rows.push([text(COLLATION), text(CHARACTER_SET), int(45), text("Yes"), text("Yes"), int(1)]);
    rows
}

/// `SHOW PLUGINS`: the ways to prove a password.
pub fn plugins() -> Rows {
    let mut rows = Rows::text(&["Name", "Status", "Type", "Library", "License"]);
    for name in ["mysql_native_password", "caching_sha2_password"] {
        let library = cairn_types::Literal::Null;
        rows.push([text(name), text("ACTIVE"), text("AUTHENTICATION"), library, text("Apache License 2.0")]);
    }
    rows
}

/// `SHOW TRIGGERS`.
pub fn triggers() -> Rows {
    Rows::new(&[
        ("Trigger", TEXT),
        ("Event", TEXT),
        ("Table", TEXT),
        ("Statement", TEXT),
        ("Timing", TEXT),
        ("Created", TIME),
        ("sql_mode", TEXT),
        ("Definer", TEXT),
        ("character_set_client", TEXT),
        ("collation_connection", TEXT),
        ("Database Collation", TEXT),
    ])
}

/// `SHOW EVENTS`.
pub fn events() -> Rows {
    Rows::new(&[
        ("Db", TEXT),
        ("Name", TEXT),
        ("Definer", TEXT),
        ("Time zone", TEXT),
        ("Type", TEXT),
        ("Execute at", TIME),
        ("Interval value", TEXT),
        ("Interval field", TEXT),
        ("Starts", TIME),
        ("Ends", TIME),
        ("Status", TEXT),
        ("Originator", LONG),
        ("character_set_client", TEXT),
        ("collation_connection", TEXT),
        ("Database Collation", TEXT),
    ])
}

/// `SHOW PROCEDURE STATUS` and `SHOW FUNCTION STATUS`.
pub fn routines() -> Rows {
    Rows::new(&[
        ("Db", TEXT),
        ("Name", TEXT),
        ("Type", TEXT),
        ("Definer", TEXT),
        ("Modified", TIME),
        ("Created", TIME),
        ("Security_type", TEXT),
        ("Comment", TEXT),
        ("character_set_client", TEXT),
        ("collation_connection", TEXT),
        ("Database Collation", TEXT),
    ])
}

/// `SHOW OPEN TABLES`: no table is ever locked open.
pub fn open_tables() -> Rows {
    Rows::new(&[("Database", TEXT), ("Table", TEXT), ("In_use", LONG), ("Name_locked", LONG)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::sample;

    #[test]
    fn session_variables_differ_from_global_ones() {
        let catalog = sample();
        let mut session = Variables::default();
        session.set("query_timeout", Some("7")).unwrap();
        let value = |scope| {
            let rows = variables(&session, &catalog, scope);
            let row = rows.rows().iter().find(|row| row[0].to_string() == "query_timeout").cloned();
            row.unwrap()[1].to_string()
        };
        assert_eq!(value(VariableScope::Session), "7");
        assert_eq!(value(VariableScope::Global), "300");
    }
}
