//! What a statement is once it is read: data only, one file a family.
//!
//! Every statement has a `Display` that parses to an equal value again, with one exception on purpose: secrets
//! (passwords, keys of storage volumes and of `FILES()`) are printed as `***`, so a statement may go to a log.

pub mod admin;
pub mod alter;
pub mod database;
pub mod dml;
pub mod grant;
pub mod interval;
pub mod mview;
pub mod name;
pub mod partition;
pub mod session;
pub mod show;
pub mod table;
pub mod task;
pub mod user;
pub mod view;
pub mod volume;

use std::fmt;

use sqlparser::ast::Query;

pub use admin::{Admin, CreateSnapshot, DropSnapshot};
pub use alter::{AlterOp, AlterTable, ColumnPosition};
pub use database::{CreateDatabase, DropDatabase, Recover, RecoverTarget};
pub use dml::{Assignment, Delete, Insert, InsertPartitions, InsertTarget, Update};
pub use grant::{Grant, GrantObject};
pub use interval::Interval;
pub use mview::{
    AlterMaterializedView, AlterMaterializedViewOp, CancelRefresh, CreateMaterializedView,
    DropMaterializedView, MaterializedViewClauses, MaterializedViewPartitions, RefreshMaterializedView,
    RefreshMoment, RefreshPartitions, RefreshScheme, RefreshTrigger,
};
pub use name::{DatabaseName, Property, TableName, UserName};
pub use partition::{
    BoundValue, ListPartition, PartitionBy, PartitionDef, PartitionKind, RangeBounds, RangePartition,
    RangeSeries, TimeUnit,
};
pub use session::{Execute, Hint, Kill, KillTarget, SetItem, SetValue, TransactionAccess, VariableScope};
pub use show::{Describe, Show, ShowFilter, ShowOrder};
pub use table::{
    AnalyzeTable, ColumnDef, CreateTable, CreateTableLike, CreateTableQuery, DefaultValue, Distribution,
    DistributionKind, DropTable, IndexDef, KeyClause, KeyModel, Rollup, TableClauses, TruncateTable,
};
pub use task::{DropTask, Schedule, SubmitTask, TaskName};
pub use user::{AlterUser, AuthOption, CreateUser, DropUser, SetPassword};
pub use view::{AlterView, AlterViewSecurity, CreateView, DropView, ViewColumn};
pub use volume::{AlterStorageVolume, AlterVolumeOp, CreateStorageVolume, DropStorageVolume, VolumeName};

/// One statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Statement {
    Query(Box<QueryStatement>),
    Explain(Box<Explain>),
    /// `DESC t`, `DESC FILES(…)`, `DESC STORAGE VOLUME v`.
    Describe(Describe),

    Insert(Box<Insert>),
    Delete(Box<Delete>),
    Update(Box<Update>),

    CreateDatabase(CreateDatabase),
    DropDatabase(DropDatabase),
    /// `USE [catalog.]db`.
    Use(DatabaseName),
    Recover(Recover),

    /// `CREATE TABLE`, with `AS SELECT` too.
    CreateTable(Box<CreateTable>),
    CreateTableLike(Box<CreateTableLike>),
    AlterTable(Box<AlterTable>),
    DropTable(DropTable),
    TruncateTable(TruncateTable),
    AnalyzeTable(AnalyzeTable),

    CreateView(Box<CreateView>),
    AlterView(Box<AlterView>),
    AlterViewSecurity(AlterViewSecurity),
    DropView(DropView),

    CreateMaterializedView(Box<CreateMaterializedView>),
    AlterMaterializedView(Box<AlterMaterializedView>),
    DropMaterializedView(DropMaterializedView),
    RefreshMaterializedView(Box<RefreshMaterializedView>),
    /// `CANCEL REFRESH MATERIALIZED VIEW mv [FORCE]`.
    CancelRefresh(CancelRefresh),

    SubmitTask(Box<SubmitTask>),
    DropTask(DropTask),

    CreateStorageVolume(CreateStorageVolume),
    AlterStorageVolume(AlterStorageVolume),
    DropStorageVolume(DropStorageVolume),
    /// `SET v AS DEFAULT STORAGE VOLUME`.
    SetDefaultStorageVolume(VolumeName),

    CreateSnapshot(CreateSnapshot),
    DropSnapshot(DropSnapshot),
    Admin(Admin),

    CreateUser(CreateUser),
    AlterUser(AlterUser),
    DropUser(DropUser),
    SetPassword(SetPassword),

    /// `GRANT … ON … TO u`.
    Grant(Box<Grant>),
    /// `REVOKE … ON … FROM u`.
    Revoke(Box<Grant>),
    /// `EXECUTE AS [USER] u WITH NO REVERT`: the session goes on as another user.
    ExecuteAs(UserName),

    Show(Box<Show>),
    /// `SET a = 1, GLOBAL b = 2, NAMES utf8mb4`.
    Set(Vec<SetItem>),
    Kill(Kill),
    /// `BEGIN`, `START TRANSACTION`; the access mode when given.
    Begin(Option<TransactionAccess>),
    Commit,
    Rollback,
    /// `SYNC`: reads after it see what other frontends acknowledged before it.
    Sync,

    /// `PREPARE name FROM 'text'`.
    Prepare {
        name: String,
        text: String,
    },
    Execute(Execute),
    /// `DEALLOCATE PREPARE name`, `DROP PREPARE name`.
    Deallocate {
        name: String,
    },
}

/// A query and what its `/*+ SET_VAR(…) */` hints set for it.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryStatement {
    /// In the order of the text; they count for the whole statement wherever they stand.
    pub hints: Vec<Hint>,
    pub query: Query,
}

/// `EXPLAIN [ANALYZE] [LOGICAL | VERBOSE | COSTS] statement`.
#[derive(Clone, PartialEq, Debug)]
pub struct Explain {
    /// Run it and report what happened.
    pub analyze: bool,
    pub level: ExplainLevel,
    /// A query, INSERT, UPDATE, DELETE, CREATE TABLE AS, REFRESH MATERIALIZED VIEW, or ALTER MATERIALIZED VIEW … ACTIVE,
    /// which knows neither ANALYZE nor a level.
    pub statement: Statement,
}

/// How much `EXPLAIN` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ExplainLevel {
    #[default]
    Normal,
    Logical,
    Verbose,
    Costs,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(s) => s.fmt(f),
            Self::Explain(s) => s.fmt(f),
            Self::Describe(s) => s.fmt(f),
            Self::Insert(s) => s.fmt(f),
            Self::Delete(s) => s.fmt(f),
            Self::Update(s) => s.fmt(f),
            Self::CreateDatabase(s) => s.fmt(f),
            Self::DropDatabase(s) => s.fmt(f),
            Self::Use(name) => write!(f, "USE {name}"),
            Self::Recover(s) => s.fmt(f),
            Self::CreateTable(s) => s.fmt(f),
            Self::CreateTableLike(s) => s.fmt(f),
            Self::AlterTable(s) => s.fmt(f),
            Self::DropTable(s) => s.fmt(f),
            Self::TruncateTable(s) => s.fmt(f),
            Self::AnalyzeTable(s) => s.fmt(f),
            Self::CreateView(s) => s.fmt(f),
            Self::AlterView(s) => s.fmt(f),
            Self::AlterViewSecurity(s) => s.fmt(f),
            Self::DropView(s) => s.fmt(f),
            Self::CreateMaterializedView(s) => s.fmt(f),
            Self::AlterMaterializedView(s) => s.fmt(f),
            Self::DropMaterializedView(s) => s.fmt(f),
            Self::RefreshMaterializedView(s) => s.fmt(f),
            Self::CancelRefresh(s) => s.fmt(f),
            Self::SubmitTask(s) => s.fmt(f),
            Self::DropTask(s) => s.fmt(f),
            Self::CreateStorageVolume(s) => s.fmt(f),
            Self::AlterStorageVolume(s) => s.fmt(f),
            Self::DropStorageVolume(s) => s.fmt(f),
            Self::SetDefaultStorageVolume(v) => write!(f, "SET {v} AS DEFAULT STORAGE VOLUME"),
            Self::CreateSnapshot(s) => s.fmt(f),
            Self::DropSnapshot(s) => s.fmt(f),
            Self::Admin(s) => s.fmt(f),
            Self::CreateUser(s) => s.fmt(f),
            Self::AlterUser(s) => s.fmt(f),
            Self::DropUser(s) => s.fmt(f),
            Self::SetPassword(s) => s.fmt(f),
            Self::Grant(s) => s.fmt_as(f, "GRANT", "TO"),
            Self::Revoke(s) => s.fmt_as(f, "REVOKE", "FROM"),
            Self::ExecuteAs(user) => write!(f, "EXECUTE AS {user} WITH NO REVERT"),
            Self::Show(s) => s.fmt(f),
            Self::Set(items) => write!(f, "SET {}", name::commas(items)),
            Self::Kill(s) => s.fmt(f),
            Self::Begin(None) => f.write_str("BEGIN"),
            Self::Begin(Some(access)) => write!(f, "START TRANSACTION {access}"),
            Self::Commit => f.write_str("COMMIT"),
            Self::Rollback => f.write_str("ROLLBACK"),
            Self::Sync => f.write_str("SYNC"),
            Self::Prepare { name, text } => {
                write!(f, "PREPARE {} FROM {}", name::quoted(name), name::literal(text))
            }
            Self::Execute(s) => s.fmt(f),
            Self::Deallocate { name } => write!(f, "DEALLOCATE PREPARE {}", name::quoted(name)),
        }
    }
}

/// The hints stand inside the query's own `SELECT`s, where they came from.
impl fmt::Display for QueryStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::render::query(f, &self.query)
    }
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EXPLAIN ")?;
        if self.analyze {
            f.write_str("ANALYZE ")?;
        }
        f.write_str(match self.level {
            ExplainLevel::Normal => "",
            ExplainLevel::Logical => "LOGICAL ",
            ExplainLevel::Verbose => "VERBOSE ",
            ExplainLevel::Costs => "COSTS ",
        })?;
        self.statement.fmt(f)
    }
}
