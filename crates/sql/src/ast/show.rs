//! `SHOW …` and `DESC …`.

use std::fmt::{self, Display as _};

use sqlparser::ast::Expr;

use super::name::{DatabaseName, Property, TableName, UserName, commas, literal, names, quoted, when};
use super::session::VariableScope;
use super::volume::VolumeName;
use crate::render;

/// `DESC …`.
#[derive(Clone, PartialEq, Debug)]
pub enum Describe {
    /// `DESC t [ALL]`, also `EXPLAIN t` and `DESCRIBE t`.
    Table {
        name: TableName,
        all: bool,
    },
    /// `DESC FILES(…)`: the columns that would be read.
    Files(Vec<Property>),
    StorageVolume(VolumeName),
}

/// `LIKE 'pattern'` or `WHERE condition`.
#[expect(clippy::large_enum_variant, reason = "one a statement, and most statements are boxed around it")]
#[derive(Clone, PartialEq, Debug)]
pub enum ShowFilter {
    Like(String),
    Where(Expr),
}

/// `[WHERE …] [ORDER BY …] [LIMIT [offset,] n]` of the longer listings.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ShowOrder {
    pub selection: Option<Expr>,
    /// Columns, each with `true` for ascending.
    pub order_by: Vec<(String, bool)>,
    pub limit: Option<u64>,
    pub offset: u64,
}

/// One `SHOW` statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Show {
    Databases {
        catalog: Option<String>,
        filter: Option<ShowFilter>,
    },
    Catalogs {
        filter: Option<ShowFilter>,
    },
    Tables {
        full: bool,
        database: Option<DatabaseName>,
        filter: Option<ShowFilter>,
    },
    TableStatus {
        database: Option<DatabaseName>,
        filter: Option<ShowFilter>,
    },
    /// `SHOW MATERIALIZED VIEWS [FROM db] …`, also `SHOW MATERIALIZED VIEW`.
    MaterializedViews {
        database: Option<DatabaseName>,
        filter: Option<ShowFilter>,
    },
    Columns {
        full: bool,
        table: TableName,
        filter: Option<ShowFilter>,
    },
    CreateTable(TableName),
    CreateView(TableName),
    CreateMaterializedView(TableName),
    CreateDatabase(DatabaseName),
    CreateUser(UserName),
    /// `SHOW INDEX | INDEXES | KEYS FROM t`.
    Index {
        table: TableName,
        filter: Option<ShowFilter>,
    },
    Variables {
        scope: VariableScope,
        filter: Option<ShowFilter>,
    },
    Status {
        scope: VariableScope,
        filter: Option<ShowFilter>,
    },
    Processlist {
        full: bool,
    },
    Partitions {
        temporary: bool,
        table: TableName,
        order: ShowOrder,
    },
    /// `SHOW PROC '/path'`.
    Proc(String),
    Frontends,
    Backends,
    ComputeNodes,
    StorageVolumes {
        filter: Option<ShowFilter>,
    },
    Snapshots {
        filter: Option<ShowFilter>,
    },
    Users,
    /// `SHOW GRANTS [FOR [USER] u]`; `None`: one's own.
    Grants(Option<UserName>),
    Warnings {
        limit: Option<u64>,
    },
    Errors {
        limit: Option<u64>,
    },
    /// `SHOW COUNT(*) WARNINGS`.
    WarningsCount,
    /// `SHOW COUNT(*) ERRORS`.
    ErrorsCount,
    Engines,
    CharacterSet {
        filter: Option<ShowFilter>,
    },
    Collation {
        filter: Option<ShowFilter>,
    },
    Plugins,
    Privileges,
    /// `SHOW DATA [FROM t]`.
    Data(Option<TableName>),
    /// `SHOW TABLET id`.
    Tablet(u64),
    /// `SHOW TABLET FROM t [PARTITION (…)] …`.
    Tablets {
        table: TableName,
        partitions: Vec<String>,
        order: ShowOrder,
    },
    /// `SHOW TRANSACTION [FROM db] [WHERE …]`.
    Transaction {
        database: Option<DatabaseName>,
        selection: Option<Expr>,
    },
    /// `SHOW LOAD [FROM db] …`.
    Load {
        database: Option<DatabaseName>,
        order: ShowOrder,
    },
    /// `SHOW ALTER TABLE COLUMN [FROM db] …`.
    AlterTableColumn {
        database: Option<DatabaseName>,
        order: ShowOrder,
    },
    Triggers {
        database: Option<DatabaseName>,
        filter: Option<ShowFilter>,
    },
    Events {
        database: Option<DatabaseName>,
        filter: Option<ShowFilter>,
    },
    ProcedureStatus {
        filter: Option<ShowFilter>,
    },
    FunctionStatus {
        filter: Option<ShowFilter>,
    },
    OpenTables {
        database: Option<DatabaseName>,
        filter: Option<ShowFilter>,
    },
}

impl fmt::Display for Describe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { name, all } => write!(f, "DESC {name}{}", when(*all, " ALL")),
            Self::Files(items) => write!(f, "DESC FILES({})", commas(items)),
            Self::StorageVolume(name) => write!(f, "DESC STORAGE VOLUME {name}"),
        }
    }
}

impl fmt::Display for ShowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Like(pattern) => write!(f, "LIKE {}", literal(pattern)),
            Self::Where(expr) => {
                f.write_str("WHERE ")?;
                render::expr(f, expr)
            }
        }
    }
}

impl fmt::Display for ShowOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::selection(f, self.selection.as_ref())?;
        if !self.order_by.is_empty() {
            let items: Vec<String> = self
                .order_by
                .iter()
                .map(|(column, ascending)| {
                    format!("{} {}", quoted(column), if *ascending { "ASC" } else { "DESC" })
                })
                .collect();
            write!(f, " ORDER BY {}", commas(&items))?;
        }
        match self.limit {
            Some(limit) if self.offset > 0 => write!(f, " LIMIT {}, {limit}", self.offset),
            Some(limit) => write!(f, " LIMIT {limit}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW ")?;
        match self {
            Self::Databases { catalog, filter } => {
                f.write_str("DATABASES")?;
                if let Some(catalog) = catalog {
                    write!(f, " FROM {}", quoted(catalog))?;
                }
                filtered(f, "", filter.as_ref())
            }
            Self::Tables { full, database, filter } => {
                listing(f, if *full { "FULL TABLES" } else { "TABLES" }, database.as_ref(), filter.as_ref())
            }
            Self::TableStatus { database, filter } => {
                listing(f, "TABLE STATUS", database.as_ref(), filter.as_ref())
            }
            Self::MaterializedViews { database, filter } => {
                listing(f, "MATERIALIZED VIEWS", database.as_ref(), filter.as_ref())
            }
            Self::Triggers { database, filter } => listing(f, "TRIGGERS", database.as_ref(), filter.as_ref()),
            Self::Events { database, filter } => listing(f, "EVENTS", database.as_ref(), filter.as_ref()),
            Self::OpenTables { database, filter } => {
                listing(f, "OPEN TABLES", database.as_ref(), filter.as_ref())
            }
            Self::Columns { full, table, filter } => {
                write!(f, "{}COLUMNS FROM {table}", when(*full, "FULL "))?;
                filtered(f, "", filter.as_ref())
            }
            Self::Index { table, filter } => {
                write!(f, "INDEX FROM {table}")?;
                filtered(f, "", filter.as_ref())
            }
            Self::Variables { scope, filter } => {
                scoped(f, *scope)?;
                filtered(f, "VARIABLES", filter.as_ref())
            }
            Self::Status { scope, filter } => {
                scoped(f, *scope)?;
                filtered(f, "STATUS", filter.as_ref())
            }
            Self::Catalogs { filter } => filtered(f, "CATALOGS", filter.as_ref()),
            Self::StorageVolumes { filter } => filtered(f, "STORAGE VOLUMES", filter.as_ref()),
            Self::Snapshots { filter } => filtered(f, "SNAPSHOTS", filter.as_ref()),
            Self::CharacterSet { filter } => filtered(f, "CHARACTER SET", filter.as_ref()),
            Self::Collation { filter } => filtered(f, "COLLATION", filter.as_ref()),
            Self::ProcedureStatus { filter } => filtered(f, "PROCEDURE STATUS", filter.as_ref()),
            Self::FunctionStatus { filter } => filtered(f, "FUNCTION STATUS", filter.as_ref()),
            other => other.fmt_rest(f),
        }
    }
}

impl Show {
    /// The forms without a filter.
    fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTable(name) => write!(f, "CREATE TABLE {name}"),
            Self::CreateView(name) => write!(f, "CREATE VIEW {name}"),
            Self::CreateMaterializedView(name) => write!(f, "CREATE MATERIALIZED VIEW {name}"),
            Self::CreateDatabase(name) => write!(f, "CREATE DATABASE {name}"),
            Self::CreateUser(user) => write!(f, "CREATE USER {user}"),
            Self::Processlist { full } => write!(f, "{}PROCESSLIST", when(*full, "FULL ")),
            Self::Partitions { temporary, table, order } => {
                write!(f, "{}PARTITIONS FROM {table}{order}", when(*temporary, "TEMPORARY "))
            }
            Self::Proc(path) => write!(f, "PROC {}", literal(path)),
            Self::Frontends => f.write_str("FRONTENDS"),
            Self::Backends => f.write_str("BACKENDS"),
            Self::ComputeNodes => f.write_str("COMPUTE NODES"),
            Self::Users => f.write_str("USERS"),
            Self::Grants(None) => f.write_str("GRANTS"),
            Self::Grants(Some(user)) => write!(f, "GRANTS FOR {user}"),
            Self::Warnings { limit } => limited(f, "WARNINGS", *limit),
            Self::Errors { limit } => limited(f, "ERRORS", *limit),
            Self::WarningsCount => f.write_str("COUNT(*) WARNINGS"),
            Self::ErrorsCount => f.write_str("COUNT(*) ERRORS"),
            Self::Engines => f.write_str("ENGINES"),
            Self::Plugins => f.write_str("PLUGINS"),
            Self::Privileges => f.write_str("PRIVILEGES"),
            Self::Data(None) => f.write_str("DATA"),
            Self::Data(Some(table)) => write!(f, "DATA FROM {table}"),
            Self::Tablet(id) => write!(f, "TABLET {id}"),
            Self::Tablets { table, partitions, order } => {
                write!(f, "TABLET FROM {table}")?;
                if !partitions.is_empty() {
                    write!(f, " PARTITION ({})", names(partitions))?;
                }
                order.fmt(f)
            }
            Self::Transaction { database, selection } => {
                listing(f, "TRANSACTION", database.as_ref(), None)?;
                render::selection(f, selection.as_ref())
            }
            Self::Load { database, order } => {
                listing(f, "LOAD", database.as_ref(), None)?;
                order.fmt(f)
            }
            Self::AlterTableColumn { database, order } => {
                listing(f, "ALTER TABLE COLUMN", database.as_ref(), None)?;
                order.fmt(f)
            }
            // All others have a filter and are printed by `fmt`.
            _ => Ok(()),
        }
    }
}

fn scoped(f: &mut fmt::Formatter<'_>, scope: VariableScope) -> fmt::Result {
    f.write_str(match scope {
        VariableScope::Session => "SESSION ",
        VariableScope::Global => "GLOBAL ",
    })
}

fn listing(
    f: &mut fmt::Formatter<'_>,
    words: &str,
    database: Option<&DatabaseName>,
    filter: Option<&ShowFilter>,
) -> fmt::Result {
    f.write_str(words)?;
    if let Some(database) = database {
        write!(f, " FROM {database}")?;
    }
    filtered(f, "", filter)
}

fn filtered(f: &mut fmt::Formatter<'_>, words: &str, filter: Option<&ShowFilter>) -> fmt::Result {
    f.write_str(words)?;
    match filter {
        Some(filter) => write!(f, " {filter}"),
        None => Ok(()),
    }
}

fn limited(f: &mut fmt::Formatter<'_>, words: &str, limit: Option<u64>) -> fmt::Result {
    f.write_str(words)?;
    match limit {
        Some(limit) => write!(f, " LIMIT {limit}"),
        None => Ok(()),
    }
}
