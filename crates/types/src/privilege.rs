//! What a user can be allowed to do, and to what kind of thing. Words are StarRocks'.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a user may do to an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Alter,
    Drop,
    Refresh,
    Export,
    CreateTable,
    CreateView,
    CreateMaterializedView,
    CreateFunction,
    CreateDatabase,
    Usage,
    /// Become another user by `EXECUTE AS`.
    Impersonate,
    /// Snapshots, images, settings, and whatever else runs the cluster.
    Operate,
    Node,
    /// Make users, and say what they may do.
    Grant,
    /// Make, change and drop storage volumes.
    CreateStorageVolume,
}

/// What privileges are granted on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    System,
    Catalog,
    Database,
    Table,
    View,
    MaterializedView,
    User,
}

impl Privilege {
    /// Every one, the longer names before those that they begin with.
    pub const ALL: &[Self] = &[
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Alter,
        Self::Drop,
        Self::Refresh,
        Self::Export,
        Self::CreateTable,
        Self::CreateView,
        Self::CreateMaterializedView,
        Self::CreateFunction,
        Self::CreateDatabase,
        Self::Usage,
        Self::Impersonate,
        Self::Operate,
        Self::Node,
        Self::Grant,
        Self::CreateStorageVolume,
    ];

    /// As statements have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
            Self::Refresh => "REFRESH",
            Self::Export => "EXPORT",
            Self::CreateTable => "CREATE TABLE",
            Self::CreateView => "CREATE VIEW",
            Self::CreateMaterializedView => "CREATE MATERIALIZED VIEW",
            Self::CreateFunction => "CREATE FUNCTION",
            Self::CreateDatabase => "CREATE DATABASE",
            Self::Usage => "USAGE",
            Self::Impersonate => "IMPERSONATE",
            Self::Operate => "OPERATE",
            Self::Node => "NODE",
            Self::Grant => "GRANT",
            Self::CreateStorageVolume => "CREATE STORAGE VOLUME",
        }
    }
}

impl ObjectKind {
    /// Every one, in the order in which people read of them.
    pub const ALL: &[Self] = &[
        Self::System,
        Self::Catalog,
        Self::Database,
        Self::Table,
        Self::View,
        Self::MaterializedView,
        Self::User,
    ];

    /// As statements have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Catalog => "CATALOG",
            Self::Database => "DATABASE",
            Self::Table => "TABLE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::User => "USER",
        }
    }

    /// Those that can be granted on such an object; what `ALL` means for it.
    #[must_use]
    pub fn privileges(self) -> &'static [Privilege] {
        use Privilege as P;
        match self {
            Self::System => &[P::Operate, P::Node, P::Grant, P::CreateStorageVolume],
            Self::Catalog => &[P::Usage, P::CreateDatabase, P::Alter, P::Drop],
            Self::Database => &[
                P::Alter,
                P::Drop,
                P::CreateTable,
                P::CreateView,
                P::CreateMaterializedView,
                P::CreateFunction,
            ],
            Self::Table => {
                &[P::Select, P::Insert, P::Update, P::Delete, P::Alter, P::Drop, P::Refresh, P::Export]
            }
            Self::View => &[P::Select, P::Alter, P::Drop],
            Self::MaterializedView => &[P::Select, P::Alter, P::Refresh, P::Drop],
            Self::User => &[P::Impersonate],
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
