//! What MySQL has and its tools ask for: `engines`, `character_sets`, `collations`, and the empty `triggers`,
//! `routines`, `events`.

use super::{CHARACTER_SET, COLLATION, LONG, Scope, SystemTable, TEXT, TIME, empty};
use crate::rows::{Rows, int, text};

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "engines",
        columns: &[
            ("ENGINE", TEXT),
            ("SUPPORT", TEXT),
            ("COMMENT", TEXT),
            ("TRANSACTIONS", TEXT),
            ("XA", TEXT),
            ("SAVEPOINTS", TEXT),
        ],
        fill: engines,
    },
    SystemTable {
        name: "character_sets",
        columns: &[
            ("CHARACTER_SET_NAME", TEXT),
            ("DEFAULT_COLLATE_NAME", TEXT),
            ("DESCRIPTION", TEXT),
            ("MAXLEN", LONG),
        ],
        fill: character_sets,
    },
    SystemTable {
        name: "collations",
        columns: &[
            ("COLLATION_NAME", TEXT),
            ("CHARACTER_SET_NAME", TEXT),
            ("ID", LONG),
            ("IS_DEFAULT", TEXT),
            ("IS_COMPILED", TEXT),
            ("SORTLEN", LONG),
        ],
        fill: collations,
    },
    empty(
        "triggers",
        &[
            ("TRIGGER_CATALOG", TEXT),
            ("TRIGGER_SCHEMA", TEXT),
            ("TRIGGER_NAME", TEXT),
            ("EVENT_MANIPULATION", TEXT),
            ("EVENT_OBJECT_CATALOG", TEXT),
            ("EVENT_OBJECT_SCHEMA", TEXT),
            ("EVENT_OBJECT_TABLE", TEXT),
            ("ACTION_ORDER", LONG),
            ("ACTION_CONDITION", TEXT),
            ("ACTION_STATEMENT", TEXT),
            ("ACTION_ORIENTATION", TEXT),
            ("ACTION_TIMING", TEXT),
            ("ACTION_REFERENCE_OLD_TABLE", TEXT),
            ("ACTION_REFERENCE_NEW_TABLE", TEXT),
            ("ACTION_REFERENCE_OLD_ROW", TEXT),
            ("ACTION_REFERENCE_NEW_ROW", TEXT),
            ("CREATED", TIME),
            ("SQL_MODE", TEXT),
            ("DEFINER", TEXT),
            ("CHARACTER_SET_CLIENT", TEXT),
            ("COLLATION_CONNECTION", TEXT),
            ("DATABASE_COLLATION", TEXT),
        ],
    ),
    empty(
        "routines",
        &[
            ("SPECIFIC_NAME", TEXT),
            ("ROUTINE_CATALOG", TEXT),
            ("ROUTINE_SCHEMA", TEXT),
            ("ROUTINE_NAME", TEXT),
            ("ROUTINE_TYPE", TEXT),
            ("DATA_TYPE", TEXT),
            ("CHARACTER_MAXIMUM_LENGTH", LONG),
            ("CHARACTER_OCTET_LENGTH", LONG),
            ("NUMERIC_PRECISION", LONG),
            ("NUMERIC_SCALE", LONG),
            ("DATETIME_PRECISION", LONG),
            ("CHARACTER_SET_NAME", TEXT),
            ("COLLATION_NAME", TEXT),
            ("DTD_IDENTIFIER", TEXT),
            ("ROUTINE_BODY", TEXT),
            ("ROUTINE_DEFINITION", TEXT),
            ("EXTERNAL_NAME", TEXT),
            ("EXTERNAL_LANGUAGE", TEXT),
            ("PARAMETER_STYLE", TEXT),
            ("IS_DETERMINISTIC", TEXT),
            ("SQL_DATA_ACCESS", TEXT),
            ("SQL_PATH", TEXT),
            ("SECURITY_TYPE", TEXT),
            ("CREATED", TIME),
            ("LAST_ALTERED", TIME),
            ("SQL_MODE", TEXT),
            ("ROUTINE_COMMENT", TEXT),
            ("DEFINER", TEXT),
            ("CHARACTER_SET_CLIENT", TEXT),
            ("COLLATION_CONNECTION", TEXT),
            ("DATABASE_COLLATION", TEXT),
        ],
    ),
    empty(
        "events",
        &[
            ("EVENT_CATALOG", TEXT),
            ("EVENT_SCHEMA", TEXT),
            ("EVENT_NAME", TEXT),
            ("DEFINER", TEXT),
            ("TIME_ZONE", TEXT),
            ("EVENT_BODY", TEXT),
            ("EVENT_DEFINITION", TEXT),
            ("EVENT_TYPE", TEXT),
            ("EXECUTE_AT", TIME),
            ("INTERVAL_VALUE", TEXT),
            ("INTERVAL_FIELD", TEXT),
            ("SQL_MODE", TEXT),
            ("STARTS", TIME),
            ("ENDS", TIME),
            ("STATUS", TEXT),
            ("ON_COMPLETION", TEXT),
            ("CREATED", TIME),
            ("LAST_ALTERED", TIME),
            ("LAST_EXECUTED", TIME),
            ("EVENT_COMMENT", TEXT),
            ("ORIGINATOR", LONG),
            ("CHARACTER_SET_CLIENT", TEXT),
            ("COLLATION_CONNECTION", TEXT),
            ("DATABASE_COLLATION", TEXT),
        ],
    ),
];

fn engines(_: &Scope<'_>, rows: &mut Rows) {
    let comment = "Columnar tables over a storage volume";
    rows.push([text("OLAP"), text("DEFAULT"), text(comment), text("NO"), text("NO"), text("NO")]);
}

fn character_sets(_: &Scope<'_>, rows: &mut Rows) {
    rows.push([text(CHARACTER_SET), text(COLLATION), text("UTF-8 Unicode"), int(4)]);
}

/// All text is UTF-8 and compared byte by byte; the number is MySQL's of the name that clients expect.
fn collations(_: &Scope<'_>, rows: &mut Rows) {
    rows.push([text(COLLATION), text(CHARACTER_SET), int(45), text("Yes"), text("Yes"), int(1)]);
}
