//! Privileges: given to users, and taken from them.

use std::fmt::{self, Display as _};

use cairn_types::{ObjectKind, Privilege};

use super::name::{DatabaseName, TableName, UserName, commas, quoted};

/// `GRANT privileges ON object TO [USER] u`, `REVOKE privileges ON object FROM [USER] u`.
///
/// It has no `Display`: only the statement knows the verb.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// As written, without duplicates; `None`: `ALL [PRIVILEGES]`. All are privileges on [`Self::on`]'s kind.
    pub privileges: Option<Vec<Privilege>>,
    pub on: GrantObject,
    pub user: UserName,
}

/// What stands behind `ON`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GrantObject {
    /// `SYSTEM`.
    System,
    /// `CATALOG c`.
    Catalog(String),
    /// `ALL CATALOGS`.
    AllCatalogs,
    /// `DATABASE a`, `DATABASES a, b`; one word does for the other.
    Databases(Vec<DatabaseName>),
    /// `ALL DATABASES`.
    AllDatabases,
    /// `[TABLE | TABLES] t, db.u`, `VIEW | VIEWS v`, `MATERIALIZED VIEW | MATERIALIZED VIEWS mv`.
    Named {
        /// `Table`, `View` or `MaterializedView`.
        kind: ObjectKind,
        names: Vec<TableName>,
    },
    /// `ALL TABLES | VIEWS | MATERIALIZED VIEWS IN DATABASE db`, also `[TABLE] db.*`.
    AllIn {
        /// `Table`, `View` or `MaterializedView`.
        kind: ObjectKind,
        /// `None`: `IN ALL DATABASES`, also `*.*`.
        database: Option<DatabaseName>,
    },
    /// `USER u`, `USERS u, v`; one word does for the other.
    Users(Vec<UserName>),
    /// `ALL USERS`.
    AllUsers,
}

impl GrantObject {
    /// Says which privileges fit.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::System => ObjectKind::System,
            Self::Catalog(_) | Self::AllCatalogs => ObjectKind::Catalog,
            Self::Databases(_) | Self::AllDatabases => ObjectKind::Database,
            Self::Named { kind, .. } | Self::AllIn { kind, .. } => *kind,
            Self::Users(_) | Self::AllUsers => ObjectKind::User,
        }
    }
}

impl Grant {
    /// `GRANT … TO …` or `REVOKE … FROM …`.
    pub(super) fn fmt_as(&self, f: &mut fmt::Formatter<'_>, verb: &str, toward: &str) -> fmt::Result {
        write!(f, "{verb} ")?;
        match &self.privileges {
            Some(privileges) => commas(privileges).fmt(f)?,
            None => f.write_str("ALL")?,
        }
        write!(f, " ON {} {toward} USER {}", self.on, self.user)
    }
}

impl fmt::Display for GrantObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("SYSTEM"),
            Self::Catalog(name) => write!(f, "CATALOG {}", quoted(name)),
            Self::AllCatalogs => f.write_str("ALL CATALOGS"),
            Self::Databases(names) => write!(f, "DATABASE {}", commas(names)),
            Self::AllDatabases => f.write_str("ALL DATABASES"),
            Self::Named { kind, names } => write!(f, "{kind} {}", commas(names)),
            Self::AllIn { kind, database: Some(database) } => write!(f, "ALL {kind}S IN DATABASE {database}"),
            Self::AllIn { kind, database: None } => write!(f, "ALL {kind}S IN ALL DATABASES"),
            Self::Users(users) => write!(f, "USER {}", commas(users)),
            Self::AllUsers => f.write_str("ALL USERS"),
        }
    }
}
