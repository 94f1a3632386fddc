//! What rows with equal keys mean to a table.

use cairn_types::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Distribution, TableSpec};

/// The table model. The key of a table is its leading columns that are marked so; segments of UNIQUE and PRIMARY KEY
/// tables are sorted by exactly these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum TableModel {
    /// Rows are kept as they were loaded.
    #[default]
    Duplicate,
    /// A key has one row: the one that was loaded last.
    Unique,
    /// As `Unique`, and no column of the key is NULL.
    Primary,
}

impl TableModel {
    /// Whether a key has at most one row.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        self != Self::Duplicate
    }

    pub(crate) fn is_duplicate(&self) -> bool {
        *self == Self::Duplicate
    }

    /// As DDL has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "DUPLICATE KEY",
            Self::Unique => "UNIQUE KEY",
            Self::Primary => "PRIMARY KEY",
        }
    }
}

/// Rows of one key must meet in one tablet, sorted by the whole key: else an old row would not be found.
pub(crate) fn check_key(spec: &TableSpec) -> Result<()> {
    if !spec.model.is_keyed() {
        return Ok(());
    }
    let key: Vec<usize> = (0..spec.schema.columns.iter().take_while(|c| c.key).count()).collect();
    let model = spec.model.name();
    if key.is_empty() || spec.schema.columns.iter().skip(key.len()).any(|c| c.key) {
        return Err(Error::analysis(format!("the key of a {model} table must be its leading columns")));
    }
    if spec.sort_key != key {
        return Err(Error::unsupported(format!(
            "ORDER BY of a {model} table must be its key: another sort order is not supported yet"
        )));
    }
    let Distribution::Hash { columns, .. } = &spec.distribution else {
        return Err(Error::analysis(format!(
            "a {model} table must be DISTRIBUTED BY HASH of key columns: with RANDOM, rows of one key would not meet"
        )));
    };
    let name = |position: &usize| spec.schema.columns.get(*position).map_or("", |c| &c.name);
    if let Some(column) = columns.iter().find(|c| !key.contains(c)) {
        return Err(Error::analysis(format!(
            "The distribution column '{}' of a {model} table must be a key column",
            name(column)
        )));
    }
    if let Some(column) = spec.partitioning.columns().iter().find(|c| !key.contains(c)) {
        return Err(Error::analysis(format!(
            "The partition column '{}' of a {model} table must be a key column",
            name(column)
        )));
    }
    let nullable = spec.schema.columns.iter().take(key.len()).find(|c| c.nullable);
    match (spec.model, nullable) {
        (TableModel::Primary, Some(column)) => {
            Err(Error::analysis(format!("primary key column[{}] cannot be nullable", column.name)))
        }
        _ => Ok(()),
    }
}
