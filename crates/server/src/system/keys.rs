//! Indexes and constraints: `statistics`, `table_constraints`, `key_column_usage`, `referential_constraints`.
//!
//! They have no rows, as in StarRocks: there are no indexes or foreign keys to tell of, and which key a table has stands in
//! `columns` and `tables_config`.

use super::{LONG, SystemTable, TEXT, empty};

pub(super) const TABLES: &[SystemTable] = &[
    empty(
        "statistics",
        &[
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("NON_UNIQUE", LONG),
            ("INDEX_SCHEMA", TEXT),
            ("INDEX_NAME", TEXT),
            ("SEQ_IN_INDEX", LONG),
            ("COLUMN_NAME", TEXT),
            ("COLLATION", TEXT),
            ("CARDINALITY", LONG),
            ("SUB_PART", LONG),
            ("PACKED", TEXT),
            ("NULLABLE", TEXT),
            ("INDEX_TYPE", TEXT),
            ("COMMENT", TEXT),
            ("INDEX_COMMENT", TEXT),
        ],
    ),
    empty(
        "table_constraints",
        &[
            ("CONSTRAINT_CATALOG", TEXT),
            ("CONSTRAINT_SCHEMA", TEXT),
            ("CONSTRAINT_NAME", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("CONSTRAINT_TYPE", TEXT),
        ],
    ),
    empty(
        "key_column_usage",
        &[
            ("CONSTRAINT_CATALOG", TEXT),
            ("CONSTRAINT_SCHEMA", TEXT),
            ("CONSTRAINT_NAME", TEXT),
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("COLUMN_NAME", TEXT),
            ("ORDINAL_POSITION", LONG),
            ("POSITION_IN_UNIQUE_CONSTRAINT", LONG),
            ("REFERENCED_TABLE_SCHEMA", TEXT),
            ("REFERENCED_TABLE_NAME", TEXT),
            ("REFERENCED_COLUMN_NAME", TEXT),
        ],
    ),
    empty(
        "referential_constraints",
        &[
            ("CONSTRAINT_CATALOG", TEXT),
            ("CONSTRAINT_SCHEMA", TEXT),
            ("CONSTRAINT_NAME", TEXT),
            ("UNIQUE_CONSTRAINT_CATALOG", TEXT),
            ("UNIQUE_CONSTRAINT_SCHEMA", TEXT),
            ("UNIQUE_CONSTRAINT_NAME", TEXT),
            ("MATCH_OPTION", TEXT),
            ("UPDATE_RULE", TEXT),
            ("DELETE_RULE", TEXT),
            ("TABLE_NAME", TEXT),
            ("REFERENCED_TABLE_NAME", TEXT),
        ],
    ),
];
