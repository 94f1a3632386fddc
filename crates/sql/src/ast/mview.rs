//! Asynchronous materialized views.

use std::fmt;

use sqlparser::ast::{Expr, Query};

use super::name::{Property, TableName, commas, comment, literal, names, properties, quoted, when};
use super::partition::BoundValue;
use super::table::{Distribution, IndexDef};
use super::task::Schedule;
use super::view::ViewColumn;
use crate::render;

/// `CREATE MATERIALIZED VIEW [IF NOT EXISTS] mv [(a [COMMENT '…'], …, INDEX …)] [COMMENT '…'] … AS query`.
#[derive(Clone, Debug)]
pub struct CreateMaterializedView {
    pub if_not_exists: bool,
    pub name: TableName,
    /// Empty: the query's names.
    pub columns: Vec<ViewColumn>,
    pub indexes: Vec<IndexDef>,
    pub comment: Option<String>,
    pub clauses: MaterializedViewClauses,
    pub query: Query,
    /// The query as the user wrote it; no part of equality.
    pub query_text: String,
}

/// What may stand between the columns and `AS`, in any order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MaterializedViewClauses {
    pub partition_by: Option<MaterializedViewPartitions>,
    pub distribution: Option<Distribution>,
    /// The sort key; empty when not given.
    pub order_by: Vec<String>,
    pub refresh: Option<RefreshScheme>,
    pub properties: Vec<Property>,
}

/// `PARTITION BY expr`, `PARTITION BY (e1, e2, …)`.
#[derive(Clone, Debug)]
pub struct MaterializedViewPartitions {
    /// Columns or expressions over columns (`date_trunc('day', dt)`), as written.
    pub exprs: Vec<Expr>,
    /// The clause behind `PARTITION BY` as the user wrote it; no part of equality.
    pub text: String,
}

/// `REFRESH [IMMEDIATE | DEFERRED] trigger`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshScheme {
    /// `None`: the server's setting says.
    pub moment: Option<RefreshMoment>,
    pub trigger: RefreshTrigger,
}

/// When the first refresh is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshMoment {
    /// With the creation.
    Immediate,
    /// When the trigger says.
    Deferred,
}

/// What starts a refresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefreshTrigger {
    /// `ASYNC`: a load into a base table.
    Async,
    /// `ASYNC [START ('time')] EVERY (INTERVAL n unit)`, also `SCHEDULE …`.
    Every(Schedule),
    /// `INCREMENTAL`.
    Incremental,
    /// `MANUAL`: only REFRESH MATERIALIZED VIEW.
    Manual,
}

/// `ALTER MATERIALIZED VIEW mv op`.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterMaterializedView {
    pub name: TableName,
    pub op: AlterMaterializedViewOp,
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub enum AlterMaterializedViewOp {
    /// `RENAME new`.
    Rename(String),
    /// `REFRESH …`.
    Refresh(RefreshScheme),
    /// `ACTIVE [WITH NO_VALIDATION]`.
    Active {
        /// The definition is taken as it is, and not checked against the base tables.
        no_validation: bool,
    },
    /// `INACTIVE`.
    Inactive,
    /// `SWAP WITH other`: the two views exchange their names.
    SwapWith(String),
    /// `SET ("k" = "v", …)`.
    SetProperties(Vec<Property>),
    /// `ORDER BY (a, …)`.
    OrderBy(Vec<String>),
}

/// `DROP MATERIALIZED VIEW [IF EXISTS] mv [FORCE]`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropMaterializedView {
    pub if_exists: bool,
    pub name: TableName,
    /// Not into the recycle bin.
    pub force: bool,
}

/// `REFRESH MATERIALIZED VIEW mv [PARTITION …] [FORCE] [WITH SYNC | ASYNC MODE] [WITH PRIORITY n] [CASCADE]`.
#[derive(Clone, PartialEq, Debug)]
pub struct RefreshMaterializedView {
    pub name: TableName,
    /// `None`: all.
    pub partitions: Option<RefreshPartitions>,
    /// Fresh partitions too.
    pub force: bool,
    /// `WITH SYNC MODE`: return when it is done.
    pub synchronous: bool,
    /// 0 (the lowest) to 100.
    pub priority: Option<u8>,
    /// The views above it too, behind it.
    pub cascade: bool,
}

/// Which partitions to refresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefreshPartitions {
    /// `PARTITION START ('a') END ('b')`: lower inclusive, upper exclusive.
    Range { start: String, end: String },
    /// `PARTITION ('a', …)`, `PARTITION (('a', '1'), …)`: one row a partition, one entry a partition column.
    List(Vec<Vec<BoundValue>>),
}

/// `CANCEL REFRESH MATERIALIZED VIEW mv [FORCE]`.
#[derive(Clone, PartialEq, Debug)]
pub struct CancelRefresh {
    pub name: TableName,
    pub force: bool,
}

impl CreateMaterializedView {
    /// Whether it is a synchronous one (a rollup): neither a distribution nor a refresh clause.
    #[must_use]
    pub fn is_synchronous(&self) -> bool {
        self.clauses.distribution.is_none() && self.clauses.refresh.is_none()
    }
}

impl PartialEq for CreateMaterializedView {
    fn eq(&self, other: &Self) -> bool {
        let Self { if_not_exists, name, columns, indexes, comment, clauses, query, query_text: _ } = self;
        *if_not_exists == other.if_not_exists
            && *name == other.name
            && *columns == other.columns
            && *indexes == other.indexes
            && *comment == other.comment
            && *clauses == other.clauses
            && *query == other.query
    }
}

impl PartialEq for MaterializedViewPartitions {
    fn eq(&self, other: &Self) -> bool {
        let Self { exprs, text: _ } = self;
        *exprs == other.exprs
    }
}

impl fmt::Display for CreateMaterializedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE MATERIALIZED VIEW {}{}", when(self.if_not_exists, "IF NOT EXISTS "), self.name)?;
        if !self.columns.is_empty() || !self.indexes.is_empty() {
            let mut items: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
            items.extend(self.indexes.iter().map(ToString::to_string));
            write!(f, " ({})", commas(&items))?;
        }
        comment(f, self.comment.as_ref())?;
        self.clauses.fmt(f)?;
        f.write_str(" AS ")?;
        render::query(f, &self.query)
    }
}

impl fmt::Display for MaterializedViewClauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(partition_by) = &self.partition_by {
            write!(f, " {partition_by}")?;
        }
        if let Some(distribution) = &self.distribution {
            write!(f, " {distribution}")?;
        }
        if !self.order_by.is_empty() {
            write!(f, " ORDER BY ({})", names(&self.order_by))?;
        }
        if let Some(refresh) = &self.refresh {
            write!(f, " {refresh}")?;
        }
        properties(f, &self.properties)
    }
}

impl fmt::Display for MaterializedViewPartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PARTITION BY (")?;
        render::exprs(f, &self.exprs)?;
        f.write_str(")")
    }
}

impl fmt::Display for RefreshScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.moment {
            Some(RefreshMoment::Immediate) => "REFRESH IMMEDIATE ",
            Some(RefreshMoment::Deferred) => "REFRESH DEFERRED ",
            None => "REFRESH ",
        })?;
        self.trigger.fmt(f)
    }
}

impl fmt::Display for RefreshTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Async => f.write_str("ASYNC"),
            Self::Every(schedule) => write!(f, "ASYNC {schedule}"),
            Self::Incremental => f.write_str("INCREMENTAL"),
            Self::Manual => f.write_str("MANUAL"),
        }
    }
}

impl fmt::Display for AlterMaterializedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER MATERIALIZED VIEW {} {}", self.name, self.op)
    }
}

impl fmt::Display for AlterMaterializedViewOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename(name) => write!(f, "RENAME {}", quoted(name)),
            Self::Refresh(scheme) => scheme.fmt(f),
            Self::Active { no_validation } => {
                write!(f, "ACTIVE{}", when(*no_validation, " WITH NO_VALIDATION"))
            }
            Self::Inactive => f.write_str("INACTIVE"),
            Self::SwapWith(name) => write!(f, "SWAP WITH {}", quoted(name)),
            Self::SetProperties(items) => write!(f, "SET ({})", commas(items)),
            Self::OrderBy(columns) => write!(f, "ORDER BY ({})", names(columns)),
        }
    }
}

impl fmt::Display for DropMaterializedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exists, force) = (when(self.if_exists, "IF EXISTS "), when(self.force, " FORCE"));
        write!(f, "DROP MATERIALIZED VIEW {exists}{}{force}", self.name)
    }
}

impl fmt::Display for RefreshMaterializedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REFRESH MATERIALIZED VIEW {}", self.name)?;
        if let Some(partitions) = &self.partitions {
            write!(f, " PARTITION {partitions}")?;
        }
        f.write_str(when(self.force, " FORCE"))?;
        f.write_str(when(self.synchronous, " WITH SYNC MODE"))?;
        if let Some(priority) = self.priority {
            write!(f, " WITH PRIORITY {priority}")?;
        }
        f.write_str(when(self.cascade, " CASCADE"))
    }
}

impl fmt::Display for RefreshPartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { start, end } => write!(f, "START ({}) END ({})", literal(start), literal(end)),
            Self::List(rows) => {
                let rows: Vec<String> = rows.iter().map(|row| format!("({})", commas(row))).collect();
                write!(f, "({})", commas(&rows))
            }
        }
    }
}

impl fmt::Display for CancelRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CANCEL REFRESH MATERIALIZED VIEW {}{}", self.name, when(self.force, " FORCE"))
    }
}
