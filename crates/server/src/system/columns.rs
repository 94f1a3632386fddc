//! `columns`: the columns of all tables and views, those of the system too.

use cairn_catalog::TableModel;
use cairn_types::{Column, ColumnDefault, Literal, SqlType};

use super::objects::visible_tables;
use super::{
    CATALOG_NAME, CHARACTER_SET, COLLATION, INFORMATION_SCHEMA, LONG, Scope, SystemTable, TEXT, count,
};
use crate::rows::{Rows, int, text};

pub(super) const TABLES: &[SystemTable] = &[SystemTable {
    name: "columns",
    columns: &[
        ("TABLE_CATALOG", TEXT),
        ("TABLE_SCHEMA", TEXT),
        ("TABLE_NAME", TEXT),
        ("COLUMN_NAME", TEXT),
        ("ORDINAL_POSITION", LONG),
        ("COLUMN_DEFAULT", TEXT),
        ("IS_NULLABLE", TEXT),
        ("DATA_TYPE", TEXT),
        ("CHARACTER_MAXIMUM_LENGTH", LONG),
        ("CHARACTER_OCTET_LENGTH", LONG),
        ("NUMERIC_PRECISION", LONG),
        ("NUMERIC_SCALE", LONG),
        ("DATETIME_PRECISION", LONG),
        ("CHARACTER_SET_NAME", TEXT),
        ("COLLATION_NAME", TEXT),
        ("COLUMN_TYPE", TEXT),
        ("COLUMN_KEY", TEXT),
        ("EXTRA", TEXT),
        ("PRIVILEGES", TEXT),
        ("COLUMN_COMMENT", TEXT),
        ("COLUMN_SIZE", LONG),
        ("DECIMAL_DIGITS", LONG),
        ("GENERATION_EXPRESSION", TEXT),
        ("SRS_ID", LONG),
    ],
    fill: columns,
}];

/// The text of a column's default as the system tables print it.
#[must_use]
pub(crate) fn default_text(column: &Column) -> Literal {
    match &column.default {
        None | Some(ColumnDefault::Null) => Literal::Null,
        Some(ColumnDefault::Text(value)) => text(value),
        Some(ColumnDefault::CurrentTimestamp) => text("CURRENT_TIMESTAMP"),
    }
}

fn key_word(model: TableModel) -> &'static str {
    match model {
        TableModel::Duplicate => "DUP",
        TableModel::Unique => "UNI",
        TableModel::Primary => "PRI",
    }
}

fn columns(scope: &Scope<'_>, rows: &mut Rows) {
    for table in super::tables() {
        for (at, column) in table.schema().columns.iter().enumerate() {
            rows.push(row(INFORMATION_SCHEMA, table.name, TableModel::Duplicate, at, column));
        }
    }
    for (db, table) in visible_tables(scope.catalog) {
        let model = table.olap().map(|olap| olap.model).unwrap_or_default();
        for (at, column) in table.schema().visible().iter().enumerate() {
            rows.push(row(&db.name, &table.name, model, at, column));
        }
    }
}

fn row(database: &str, table: &str, model: TableModel, at: usize, column: &Column) -> [Literal; 24] {
    let ty = column.ty;
    let or_null = |value: Option<u32>| value.map_or(Literal::Null, int);
    let of_text = |value: &str| if ty.is_string() { text(value) } else { Literal::Null };
    let (digits, scale) = digits(ty);
    [
        text(CATALOG_NAME),
        text(database),
        text(table),
        text(&column.name),
        count(at + 1),
        default_text(column),
        text(if column.nullable { "YES" } else { "NO" }),
        text(ty.base_name()),
        or_null(ty.bytes_max()),
        or_null(ty.bytes_max()),
        or_null(digits),
        or_null(scale),
        or_null((ty == SqlType::DateTime).then_some(6)),
        of_text(CHARACTER_SET),
        of_text(COLLATION),
        text(ty.to_string()),
        // The model of the table whose key it belongs to.
        text(if column.key { key_word(model) } else { "" }),
        text(""),
        text(""),
        text(&column.comment),
        or_null(digits.or(ty.bytes_max())),
        or_null(scale),
        text(""),
        Literal::Null,
    ]
}

/// Decimal digits of a number, and how many of them stand behind the point; of a floating one only the first is known.
fn digits(ty: SqlType) -> (Option<u32>, Option<u32>) {
    match ty {
        SqlType::TinyInt => (Some(3), Some(0)),
        SqlType::SmallInt => (Some(5), Some(0)),
        SqlType::Int => (Some(10), Some(0)),
        SqlType::BigInt => (Some(19), Some(0)),
        SqlType::LargeInt => (Some(39), Some(0)),
        SqlType::Float => (Some(7), None),
        SqlType::Double => (Some(15), None),
        SqlType::Decimal { precision, scale } => (Some(precision.into()), Some(scale.into())),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::system::tests::{sample, values};

    #[test]
    fn columns_tell_types_keys_and_defaults() {
        let catalog = sample();
        let skipped: usize = crate::system::tables().map(|t| t.schema().columns.len()).sum();
        let check = |column, expected: [&str; 8]| {
            assert_eq!(values(&catalog, "columns", column)[skipped..], expected, "{column}");
        };
        check("COLUMN_NAME", ["o_key", "o_date", "o_price", "o_note", "o_big", "o_f", "a", "a"]);
        check("ORDINAL_POSITION", ["1", "2", "3", "4", "5", "6", "1", "1"]);
        check("IS_NULLABLE", ["NO", "NO", "YES", "YES", "YES", "YES", "YES", "YES"]);
        check("COLUMN_DEFAULT", ["NULL", "NULL", "0.5", "NULL", "NULL", "NULL", "NULL", "NULL"]);
        let types = ["bigint", "date", "decimal(12, 2)", "varchar(65533)", "largeint", "float", "int", "int"];
        check("COLUMN_TYPE", types);
        check("COLUMN_KEY", ["DUP", "DUP", "", "", "", "", "DUP", "DUP"]);
        check("NUMERIC_PRECISION", ["19", "NULL", "12", "NULL", "39", "7", "10", "10"]);
        check("NUMERIC_SCALE", ["0", "NULL", "2", "NULL", "0", "NULL", "0", "0"]);
        check("CHARACTER_MAXIMUM_LENGTH", ["NULL", "NULL", "NULL", "65533", "NULL", "NULL", "NULL", "NULL"]);
        check("COLUMN_COMMENT", ["it's the key", "", "", "", "", "", "", ""]);
    }
}
