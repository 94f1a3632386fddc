//! StarRocks' scalar column types.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{STRING_BYTES_MAX, VARCHAR_BYTES_MAX};

/// A column type. Lengths of `CHAR` and `VARCHAR` are bytes, as in StarRocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SqlType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    /// 128-bit signed integer.
    LargeInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    /// Microseconds, no time zone.
    DateTime,
    Char(u32),
    Varchar(u32),
    /// `STRING`: a `VARCHAR(65533)` that keeps its name.
    String,
}

impl SqlType {
    #[must_use]
    pub fn is_string(self) -> bool {
        matches!(self, Self::Char(_) | Self::Varchar(_) | Self::String)
    }

    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt | Self::LargeInt)
    }

    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::Double)
    }

    /// Bytes a string of this type may have; `None` for other types.
    #[must_use]
    pub fn bytes_max(self) -> Option<u32> {
        match self {
            Self::Char(n) | Self::Varchar(n) => Some(n),
            Self::String => Some(STRING_BYTES_MAX.min(VARCHAR_BYTES_MAX)),
            _ => None,
        }
    }

    /// `DATA_TYPE` of `information_schema.columns`: the type without its parameters.
    #[must_use]
    pub fn base_name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::LargeInt => "largeint",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal { .. } => "decimal",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Char(_) => "char",
            Self::Varchar(_) | Self::String => "varchar",
        }
    }
}

/// As `SHOW CREATE TABLE` and `DESC` print it.
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Self::Char(n) => write!(f, "char({n})"),
            Self::Varchar(n) => write!(f, "varchar({n})"),
            Self::String => write!(f, "varchar({STRING_BYTES_MAX})"),
            other => f.write_str(other.base_name()),
        }
    }
}
