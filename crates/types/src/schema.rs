//! Columns and schemas of tables.

use serde::{Deserialize, Serialize};

use crate::SqlType;

/// What a column holds when a load names no value for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ColumnDefault {
    /// The text of `DEFAULT "…"`; parsed by the column's type when used.
    Text(String),
    /// `DEFAULT CURRENT_TIMESTAMP`.
    CurrentTimestamp,
    /// `DEFAULT NULL`.
    Null,
}

/// A column of a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// As written by the user; compared without regard to case.
    pub name: String,
    pub ty: SqlType,
    pub nullable: bool,
    /// Whether it is one of the (leading) key columns.
    pub key: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ColumnDefault>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Of materialized views only: what a refresh merges by, and no user sees. Hidden columns are the last ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Column {
    /// A column that is no key, without default and comment.
    #[must_use]
    pub fn new(name: impl Into<String>, ty: SqlType, nullable: bool) -> Self {
        let comment = String::new();
        Self { name: name.into(), ty, nullable, key: false, default: None, comment, hidden: false }
    }
}

/// The columns of a table, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    pub columns: Vec<Column>,
}

impl Schema {
    /// The columns that users see.
    #[must_use]
    pub fn visible(&self) -> &[Column] {
        let count = self.columns.iter().take_while(|c| !c.hidden).count();
        self.columns.get(..count).unwrap_or_default()
    }

    /// The schema that users see.
    #[must_use]
    pub fn without_hidden(&self) -> Self {
        Self { columns: self.visible().to_vec() }
    }

    /// The columns that users do not see: those after [`Schema::visible`].
    #[must_use]
    pub fn hidden(&self) -> &[Column] {
        self.columns.get(self.visible().len()..).unwrap_or_default()
    }

    /// The position of the column `name`, without regard to case.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// The column `name`, without regard to case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }
}
