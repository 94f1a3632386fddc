//! What a client is told of a result's columns. Pure.

use crate::handshake::COLLATION_UTF8MB4;
use crate::primitive::put_lenenc_bytes;
use mysql_common::constants::{ColumnFlags, ColumnType};

/// The collation number that says "bytes, not text"; of numbers and times too.
const COLLATION_BINARY: u16 = 63;
/// Decimals of a value that has as many as it needs.
const DECIMALS_AS_NEEDED: u8 = 31;

/// A column of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnDef {
    pub schema: String,
    /// The table's name in the query (its alias).
    pub table: String,
    /// The table's own name.
    pub org_table: String,
    /// The column's name in the result.
    pub name: String,
    /// The column's name in its table.
    pub org_name: String,
    /// A collation number; 45 is UTF-8 text, 63 bytes.
    pub collation: u16,
    /// Characters that a client needs to show any value.
    pub length: u32,
    pub column_type: ColumnType,
    pub flags: ColumnFlags,
    /// Digits behind the point (or of the seconds' fraction); 31 = as needed.
    pub decimals: u8,
}

impl ColumnDef {
    /// A column without a table, its width and collation those usual for the type.
    #[must_use]
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        let (length, decimals, collation) = usual(column_type);
        let flags = match collation == COLLATION_BINARY {
            true => ColumnFlags::BINARY_FLAG,
            false => ColumnFlags::empty(),
        };
        Self {
            schema: String::new(),
            table: String::new(),
            org_table: String::new(),
            name: name.into(),
            org_name: String::new(),
            collation,
            length,
            column_type,
            flags,
            decimals,
        }
    }

    /// Says that the column is `org_name` of `schema.table`.
    #[must_use]
    pub fn of_table(mut self, schema: &str, table: &str, org_name: &str) -> Self {
        self.schema = schema.to_owned();
        self.table = table.to_owned();
        self.org_table = table.to_owned();
        self.org_name = org_name.to_owned();
        self
    }

    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.flags |= ColumnFlags::UNSIGNED_FLAG;
        self
    }

    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.flags |= ColumnFlags::NOT_NULL_FLAG;
        self
    }

    #[must_use]
    pub fn with_length(mut self, length: u32) -> Self {
        self.length = length;
        self
    }

    #[must_use]
    pub fn with_decimals(mut self, decimals: u8) -> Self {
        self.decimals = decimals;
        self
    }

    /// Appends the definition's payload.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_lenenc_bytes(out, b"def");
        for text in [&self.schema, &self.table, &self.org_table, &self.name, &self.org_name] {
            put_lenenc_bytes(out, text.as_bytes());
        }
        out.push(0x0C); // bytes of the fixed part
        out.extend_from_slice(&self.collation.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.push(self.column_type as u8);
        out.extend_from_slice(&self.flags.bits().to_le_bytes());
        out.extend_from_slice(&[self.decimals, 0, 0]);
    }

    /// As [`Self::put`], for COM_FIELD_LIST, whose definitions end with a default value; NULL here.
    pub(crate) fn put_with_default(&self, out: &mut Vec<u8>) {
        self.put(out);
        out.push(0xFB);
    }
}

/// Width, decimals and collation of a type where nothing else is known.
fn usual(column_type: ColumnType) -> (u32, u8, u16) {
    use ColumnType::*;
    match column_type {
        MYSQL_TYPE_TINY => (4, 0, COLLATION_BINARY),
        MYSQL_TYPE_SHORT => (6, 0, COLLATION_BINARY),
        MYSQL_TYPE_INT24 => (9, 0, COLLATION_BINARY),
        MYSQL_TYPE_LONG => (11, 0, COLLATION_BINARY),
        MYSQL_TYPE_LONGLONG => (20, 0, COLLATION_BINARY),
        MYSQL_TYPE_FLOAT => (12, DECIMALS_AS_NEEDED, COLLATION_BINARY),
        MYSQL_TYPE_DOUBLE => (22, DECIMALS_AS_NEEDED, COLLATION_BINARY),
        MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => (40, 0, COLLATION_BINARY),
        MYSQL_TYPE_YEAR => (4, 0, COLLATION_BINARY),
        MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE => (10, 0, COLLATION_BINARY),
        MYSQL_TYPE_TIME | MYSQL_TYPE_TIME2 => (17, 0, COLLATION_BINARY),
        MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2 | MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIMESTAMP2 => {
            (26, 0, COLLATION_BINARY)
        }
        MYSQL_TYPE_NULL => (0, 0, COLLATION_BINARY),
        MYSQL_TYPE_BIT => (64, 0, COLLATION_BINARY),
        MYSQL_TYPE_TINY_BLOB | MYSQL_TYPE_MEDIUM_BLOB | MYSQL_TYPE_LONG_BLOB | MYSQL_TYPE_BLOB => {
            (1_048_576, 0, COLLATION_BINARY)
        }
        _ => (1_048_576, 0, COLLATION_UTF8MB4),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mysql_common::io::ParseBuf;
    use mysql_common::packets::Column;

    #[test]
    fn a_client_library_reads_a_definition() {
        let column = ColumnDef::new("n", ColumnType::MYSQL_TYPE_LONGLONG)
            .of_table("tpch", "lineitem", "l_orderkey")
            .unsigned()
            .not_null();
        let mut out = Vec::new();
        column.put(&mut out);
        let read: Column = ParseBuf(&out).parse(()).unwrap();
        assert_eq!((read.schema_str(), read.table_str()), ("tpch".into(), "lineitem".into()));
        assert_eq!((read.name_str(), read.org_name_str()), ("n".into(), "l_orderkey".into()));
        assert_eq!(read.column_type(), ColumnType::MYSQL_TYPE_LONGLONG);
        assert_eq!((read.column_length(), read.character_set()), (20, COLLATION_BINARY));
        assert_eq!(
            read.flags(),
            ColumnFlags::UNSIGNED_FLAG | ColumnFlags::NOT_NULL_FLAG | ColumnFlags::BINARY_FLAG
        );
    }

    #[test]
    fn text_is_utf8_and_not_binary() {
        let column = ColumnDef::new("s", ColumnType::MYSQL_TYPE_VAR_STRING).with_length(80);
        assert_eq!((column.collation, column.length), (COLLATION_UTF8MB4, 80));
        assert_eq!(column.flags, ColumnFlags::empty());
    }
}
