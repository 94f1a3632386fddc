//! `INSERT`, `DELETE`, `UPDATE`.

use std::fmt;

use sqlparser::ast::{Expr, Query, TableWithJoins, With};

use super::name::{Property, TableName, commas, names, properties, quoted};
use super::session::Hint;
use crate::render;

/// `INSERT INTO | OVERWRITE target … VALUES … | query`.
#[derive(Clone, PartialEq, Debug)]
pub struct Insert {
    /// From `INSERT /*+ SET_VAR(…) */` and from the query.
    pub hints: Vec<Hint>,
    pub overwrite: bool,
    pub target: InsertTarget,
    pub partitions: Option<InsertPartitions>,
    pub label: Option<String>,
    /// The column list; empty: all columns in order.
    pub columns: Vec<String>,
    /// `BY NAME`: the query's column names say where values go.
    pub by_name: bool,
    pub properties: Vec<Property>,
    /// `VALUES` is a query too; a value `DEFAULT` in it is told by [`crate::is_default_value`].
    pub source: Query,
}

/// Where the rows go.
#[derive(Clone, PartialEq, Debug)]
pub enum InsertTarget {
    Table(TableName),
    /// `FILES("path" = …, …)`.
    Files(Vec<Property>),
    /// `BLACKHOLE()`: run the query, forget the rows.
    Blackhole,
}

/// `[TEMPORARY] PARTITION (p, …)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InsertPartitions {
    pub temporary: bool,
    pub names: Vec<String>,
}

/// `[WITH …] DELETE FROM t [PARTITION (p, …)] [USING …] [WHERE …]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Delete {
    pub with: Option<With>,
    pub table: TableName,
    pub alias: Option<String>,
    pub partitions: Vec<String>,
    pub using: Vec<TableWithJoins>,
    pub selection: Option<Expr>,
}

/// `[WITH …] UPDATE t [alias] SET a = expr, … [FROM …] [WHERE …]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    pub with: Option<With>,
    pub table: TableName,
    pub alias: Option<String>,
    pub assignments: Vec<Assignment>,
    pub from: Vec<TableWithJoins>,
    pub selection: Option<Expr>,
}

/// `column = value` of an `UPDATE`; the value may be `DEFAULT` ([`crate::is_default_value`]).
#[derive(Clone, PartialEq, Debug)]
pub struct Assignment {
    pub column: String,
    pub value: Expr,
}

impl fmt::Display for Insert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source prints the hints of its own SELECTs; printing all here keeps those of the INSERT, and
        // reading sets an equal hint once.
        f.write_str("INSERT ")?;
        render::hints(f, &self.hints)?;
        f.write_str(if self.overwrite { "OVERWRITE " } else { "INTO " })?;
        self.target.fmt(f)?;
        if let Some(partitions) = &self.partitions {
            let kind = if partitions.temporary { "TEMPORARY " } else { "" };
            write!(f, " {kind}PARTITION ({})", names(&partitions.names))?;
        }
        if let Some(label) = &self.label {
            write!(f, " WITH LABEL {}", quoted(label))?;
        }
        if self.by_name {
            f.write_str(" BY NAME")?;
        } else if !self.columns.is_empty() {
            write!(f, " ({})", names(&self.columns))?;
        }
        properties(f, &self.properties)?;
        f.write_str(" ")?;
        render::query(f, &self.source)
    }
}

impl fmt::Display for InsertTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => name.fmt(f),
            Self::Files(items) => write!(f, "FILES({})", commas(items)),
            Self::Blackhole => f.write_str("BLACKHOLE()"),
        }
    }
}

impl fmt::Display for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::with(f, self.with.as_ref())?;
        write!(f, "DELETE FROM {}", self.table)?;
        if let Some(alias) = &self.alias {
            write!(f, " AS {}", quoted(alias))?;
        }
        if !self.partitions.is_empty() {
            write!(f, " PARTITION ({})", names(&self.partitions))?;
        }
        render::tables(f, " USING ", &self.using)?;
        render::selection(f, self.selection.as_ref())
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::with(f, self.with.as_ref())?;
        write!(f, "UPDATE {}", self.table)?;
        if let Some(alias) = &self.alias {
            write!(f, " AS {}", quoted(alias))?;
        }
        write!(f, " SET {}", commas(&self.assignments))?;
        render::tables(f, " FROM ", &self.from)?;
        render::selection(f, self.selection.as_ref())
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", quoted(&self.column))?;
        render::expr(f, &self.value)
    }
}
