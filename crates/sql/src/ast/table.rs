//! Creating, dropping and emptying tables.

use std::fmt;

use cairn_types::SqlType;
use sqlparser::ast::{Expr, Query};

use super::name::{Property, TableName, commas, comment, literal, names, properties, quoted, when};
use super::partition::PartitionBy;
use crate::render;

/// `CREATE TABLE [IF NOT EXISTS] t (…) … [AS query]`.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateTable {
    pub temporary: bool,
    pub external: bool,
    pub if_not_exists: bool,
    pub name: TableName,
    /// Empty when the columns come from the query.
    pub columns: Vec<ColumnDef>,
    pub indexes: Vec<IndexDef>,
    pub clauses: TableClauses,
    /// `CREATE TABLE … AS`.
    pub query: Option<CreateTableQuery>,
}

/// The query of `CREATE TABLE t [(a, b)] AS query`.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateTableQuery {
    /// New names of the query's columns; empty keeps theirs.
    pub column_names: Vec<String>,
    pub query: Query,
}

/// What may stand between the columns and `AS`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TableClauses {
    /// As written; StarRocks has `OLAP` and names of external systems.
    pub engine: Option<String>,
    pub key: Option<KeyClause>,
    pub comment: Option<String>,
    pub partition_by: Option<PartitionBy>,
    pub distribution: Option<Distribution>,
    /// The sort key; empty when not given.
    pub order_by: Vec<String>,
    pub rollups: Vec<Rollup>,
    pub properties: Vec<Property>,
}

/// `DUPLICATE KEY (a, b)` and its like.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyClause {
    pub model: KeyModel,
    pub columns: Vec<String>,
}

/// The table model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyModel {
    Duplicate,
    Aggregate,
    Unique,
    Primary,
}

/// `DISTRIBUTED BY … [BUCKETS n]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Distribution {
    pub kind: DistributionKind,
    /// `None`: the server chooses.
    pub buckets: Option<u32>,
}

/// How rows find their bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DistributionKind {
    Hash(Vec<String>),
    Random,
}

/// One column of `CREATE TABLE` or `ADD COLUMN`.
#[derive(Clone, PartialEq, Debug)]
pub struct ColumnDef {
    pub name: String,
    pub ty: SqlType,
    /// The word `KEY` behind the type.
    pub key: bool,
    /// The aggregate word (`SUM`, `REPLACE`…), in upper case.
    pub aggregate: Option<String>,
    /// `None` where neither `NULL` nor `NOT NULL` is written.
    pub nullable: Option<bool>,
    pub default: Option<DefaultValue>,
    pub auto_increment: bool,
    /// `AS expr`.
    pub generated: Option<Expr>,
    pub comment: Option<String>,
}

/// `DEFAULT …` of a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DefaultValue {
    Null,
    CurrentTimestamp,
    /// A literal's text; its type is the column's.
    Text(String),
    /// `(uuid())`: the function's name, in lower case.
    Function(String),
}

/// `INDEX i (a) [USING BITMAP] [('k' = 'v')] [COMMENT …]`.
#[derive(Clone, PartialEq, Debug)]
pub struct IndexDef {
    pub name: String,
    pub columns: Vec<String>,
    /// `BITMAP`, `GIN`…, in upper case.
    pub kind: Option<String>,
    pub properties: Vec<Property>,
    pub comment: Option<String>,
}

/// `r (a, b) [DUPLICATE KEY (…)] [FROM base] [PROPERTIES(…)]` in `ROLLUP (…)`.
#[derive(Clone, PartialEq, Debug)]
pub struct Rollup {
    pub name: String,
    pub columns: Vec<String>,
    pub duplicate_key: Vec<String>,
    pub base: Option<String>,
    pub properties: Vec<Property>,
}

/// `CREATE TABLE [IF NOT EXISTS] t [PARTITION BY …] [DISTRIBUTED BY …] [PROPERTIES(…)] LIKE other`.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateTableLike {
    pub temporary: bool,
    pub if_not_exists: bool,
    pub name: TableName,
    pub like: TableName,
    /// Only `partition_by`, `distribution` and `properties` can be set.
    pub clauses: TableClauses,
}

/// `DROP TABLE [IF EXISTS] t [FORCE]`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropTable {
    pub temporary: bool,
    pub if_exists: bool,
    pub name: TableName,
    /// Not into the recycle bin: it cannot be recovered.
    pub force: bool,
}

/// `TRUNCATE TABLE t [PARTITION (p, …)]`.
#[derive(Clone, PartialEq, Debug)]
pub struct TruncateTable {
    pub name: TableName,
    /// Empty: the whole table.
    pub partitions: Vec<String>,
}

/// `ANALYZE [FULL | SAMPLE] TABLE t [(a, …)] [WITH SYNC | ASYNC MODE] [PROPERTIES(…)]`.
#[derive(Clone, PartialEq, Debug)]
pub struct AnalyzeTable {
    pub name: TableName,
    /// Empty: all.
    pub columns: Vec<String>,
    pub sample: bool,
    /// `WITH ASYNC MODE`: return at once.
    pub asynchronous: bool,
    pub properties: Vec<Property>,
}

impl fmt::Display for CreateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.temporary { "TEMPORARY " } else { when(self.external, "EXTERNAL ") };
        write!(f, "CREATE {kind}TABLE {}{}", when(self.if_not_exists, "IF NOT EXISTS "), self.name)?;
        let column_names = self.query.as_ref().map_or(&[][..], |q| &q.column_names);
        if !column_names.is_empty() || !self.indexes.is_empty() || !self.columns.is_empty() {
            let mut items: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
            items.extend(column_names.iter().map(|name| quoted(name).to_string()));
            items.extend(self.indexes.iter().map(ToString::to_string));
            write!(f, " ({})", commas(&items))?;
        }
        self.clauses.fmt(f)?;
        if let Some(query) = &self.query {
            f.write_str(" AS ")?;
            render::query(f, &query.query)?;
        }
        Ok(())
    }
}

impl fmt::Display for TableClauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(engine) = &self.engine {
            write!(f, " ENGINE = {}", quoted(engine))?;
        }
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        comment(f, self.comment.as_ref())?;
        if let Some(partition_by) = &self.partition_by {
            write!(f, " {partition_by}")?;
        }
        if let Some(distribution) = &self.distribution {
            write!(f, " {distribution}")?;
        }
        if !self.order_by.is_empty() {
            write!(f, " ORDER BY ({})", names(&self.order_by))?;
        }
        if !self.rollups.is_empty() {
            write!(f, " ROLLUP ({})", commas(&self.rollups))?;
        }
        properties(f, &self.properties)
    }
}

impl fmt::Display for KeyModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "DUPLICATE KEY",
            Self::Aggregate => "AGGREGATE KEY",
            Self::Unique => "UNIQUE KEY",
            Self::Primary => "PRIMARY KEY",
        })
    }
}

impl fmt::Display for KeyClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.model, names(&self.columns))
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DistributionKind::Hash(columns) => write!(f, "DISTRIBUTED BY HASH ({})", names(columns))?,
            DistributionKind::Random => f.write_str("DISTRIBUTED BY RANDOM")?,
        }
        match self.buckets {
            Some(n) => write!(f, " BUCKETS {n}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ColumnDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", quoted(&self.name))?;
        match self.ty {
            SqlType::String => f.write_str("string")?,
            ty => ty.fmt(f)?,
        }
        f.write_str(when(self.key, " KEY"))?;
        if let Some(aggregate) = &self.aggregate {
            write!(f, " {aggregate}")?;
        }
        f.write_str(match self.nullable {
            Some(true) => " NULL",
            Some(false) => " NOT NULL",
            None => "",
        })?;
        if let Some(default) = &self.default {
            write!(f, " DEFAULT {default}")?;
        }
        f.write_str(when(self.auto_increment, " AUTO_INCREMENT"))?;
        if let Some(expr) = &self.generated {
            f.write_str(" AS (")?;
            render::expr(f, expr)?;
            f.write_str(")")?;
        }
        comment(f, self.comment.as_ref())
    }
}

impl fmt::Display for DefaultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::CurrentTimestamp => f.write_str("CURRENT_TIMESTAMP"),
            Self::Text(text) => literal(text).fmt(f),
            Self::Function(name) => write!(f, "({}())", quoted(name)),
        }
    }
}

impl fmt::Display for IndexDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INDEX {} ({})", quoted(&self.name), names(&self.columns))?;
        if let Some(kind) = &self.kind {
            write!(f, " USING {kind}")?;
        }
        if !self.properties.is_empty() {
            write!(f, " ({})", commas(&self.properties))?;
        }
        comment(f, self.comment.as_ref())
    }
}

impl fmt::Display for Rollup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", quoted(&self.name), names(&self.columns))?;
        if !self.duplicate_key.is_empty() {
            write!(f, " DUPLICATE KEY ({})", names(&self.duplicate_key))?;
        }
        if let Some(base) = &self.base {
            write!(f, " FROM {}", quoted(base))?;
        }
        properties(f, &self.properties)
    }
}

impl fmt::Display for CreateTableLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (temporary, exists) =
            (when(self.temporary, "TEMPORARY "), when(self.if_not_exists, "IF NOT EXISTS "));
        write!(f, "CREATE {temporary}TABLE {exists}{}{} LIKE {}", self.name, self.clauses, self.like)
    }
}

impl fmt::Display for DropTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (temporary, exists) = (when(self.temporary, "TEMPORARY "), when(self.if_exists, "IF EXISTS "));
        write!(f, "DROP {temporary}TABLE {exists}{}{}", self.name, when(self.force, " FORCE"))
    }
}

impl fmt::Display for TruncateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TRUNCATE TABLE {}", self.name)?;
        if self.partitions.is_empty() {
            return Ok(());
        }
        write!(f, " PARTITION ({})", names(&self.partitions))
    }
}

impl fmt::Display for AnalyzeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ANALYZE {}TABLE {}", when(self.sample, "SAMPLE "), self.name)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", names(&self.columns))?;
        }
        f.write_str(when(self.asynchronous, " WITH ASYNC MODE"))?;
        properties(f, &self.properties)
    }
}
