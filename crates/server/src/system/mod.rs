//! System tables: `information_schema`, made from one catalog state whenever they are read.
//!
//! The columns that StarRocks has come first, under its names and in its order, because clients read them by name or
//! by place; what only Cairn has stands behind them. Every table is a list of columns and a pure function that fills
//! in rows from a [`Scope`]; a family of tables has a file. `sys` and `_statistics_` are there and empty.

pub mod columns;
mod keys;
pub mod loads;
pub mod mviews;
mod mysql;
pub mod objects;
mod partitions;
mod privileges;
pub mod sessions;
pub mod snapshots;
mod tasks;

use std::sync::Arc;

use cairn_catalog::{Catalog, Database, SYSTEM_DATABASES};
use cairn_env::Env;
use cairn_exec::SystemTables;
use cairn_journal::Journal;
use cairn_types::{Column, Literal, Result, Schema, SqlType};
use datafusion::datasource::MemTable;

use crate::jobs::{JobsView, SnapshotUsages};
use crate::node::Addresses;
use crate::queries::{SessionEntry, Sessions};
use crate::rows::{Rows, int};
use crate::state::CatalogState;

/// The database of system tables.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// System databases that are listed; `_statistics_` is only reserved, because statistics stand in the segments.
pub const LISTED_DATABASES: [&str; 2] = [INFORMATION_SCHEMA, "sys"];
/// What StarRocks and MySQL print for the catalog of every table.
pub const CATALOG_NAME: &str = "def";
pub(crate) const COLLATION: &str = "utf8mb4_general_ci";
pub(crate) const CHARACTER_SET: &str = "utf8mb4";
/// The warehouse of StarRocks that all nodes without another one belong to.
pub(crate) const WAREHOUSE: &str = "default_warehouse";

// Short, for the long lists of columns.
const TEXT: SqlType = SqlType::String;
const LONG: SqlType = SqlType::BigInt;
const TIME: SqlType = SqlType::DateTime;
const BOOL: SqlType = SqlType::Boolean;
const REAL: SqlType = SqlType::Double;

/// The system tables of one node.
pub struct System {
    pub env: Env,
    pub journal: Journal<CatalogState>,
    pub sessions: Arc<Sessions>,
    pub jobs: Arc<JobsView>,
    pub addresses: Addresses,
}

/// What system tables are made from.
pub struct Scope<'a> {
    pub catalog: &'a Catalog,
    pub sessions: &'a [Arc<SessionEntry>],
    /// What each snapshot reaches, as the last round of the vacuum found it.
    pub usage: &'a SnapshotUsages,
    pub addresses: Addresses,
    /// Who asks.
    pub user: &'a str,
    /// Milliseconds since 1970-01-01 UTC.
    pub now_ms: u64,
}

/// One system table.
pub struct SystemTable {
    /// In lower case.
    pub name: &'static str,
    columns: &'static [(&'static str, SqlType)],
    fill: fn(&Scope<'_>, &mut Rows),
}

/// A table that has its columns and never a row: what it lists does not exist here.
const fn empty(name: &'static str, columns: &'static [(&'static str, SqlType)]) -> SystemTable {
    SystemTable { name, columns, fill: |_, _| {} }
}

impl SystemTable {
    /// Its rows at this moment.
    #[must_use]
    pub fn rows(&self, scope: &Scope<'_>) -> Rows {
        let mut rows = Rows::new(self.columns);
        (self.fill)(scope, &mut rows);
        rows
    }

    /// Its columns, as those of a user's table.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let column = |(name, ty): &(&str, SqlType)| Column::new(*name, *ty, true);
        Schema { columns: self.columns.iter().map(column).collect() }
    }
}

/// All tables of `information_schema`, by family.
pub fn tables() -> impl Iterator<Item = &'static SystemTable> {
    let families: [&'static [SystemTable]; 11] = [
        objects::TABLES,
        columns::TABLES,
        partitions::TABLES,
        keys::TABLES,
        mysql::TABLES,
        privileges::TABLES,
        snapshots::TABLES,
        loads::TABLES,
        sessions::TABLES,
        mviews::TABLES,
        tasks::TABLES,
    ];
    families.into_iter().flatten()
}

/// The system table `database.table`, both without regard to case.
#[must_use]
pub fn find(database: &str, table: &str) -> Option<&'static SystemTable> {
    if !database.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
        return None;
    }
    tables().find(|t| t.name.eq_ignore_ascii_case(table))
}

/// Whether `name` is a database of the system.
#[must_use]
pub fn is_system_database(name: &str) -> bool {
    SYSTEM_DATABASES.iter().any(|system| system.eq_ignore_ascii_case(name))
}

impl SystemTables for System {
    fn is_system_database(&self, database: &str) -> bool {
        is_system_database(database)
    }

    fn table(
        &self,
        catalog: &Arc<Catalog>,
        user: &str,
        database: &str,
        table: &str,
    ) -> Result<Option<MemTable>> {
        let Some(found) = find(database, table) else { return Ok(None) };
        let sessions = self.sessions.list();
        let usage = self.jobs.snapshot_usages();
        let (addresses, now_ms) = (self.addresses, self.env.now_ms());
        let seen = catalog.seen_by(user);
        let scope = Scope { catalog: &seen, sessions: &sessions, usage: &usage, addresses, user, now_ms };
        found.rows(&scope).table().map(Some)
    }
}

/// The databases that users see, by name.
#[must_use]
pub fn visible_databases(catalog: &Catalog) -> Vec<&Arc<Database>> {
    let mut visible: Vec<_> = catalog.databases().filter(|db| db.dropped.is_none()).collect();
    visible.sort_by(|a, b| a.name.cmp(&b.name));
    visible
}

/// A number of things.
#[must_use]
pub fn count(things: usize) -> Literal {
    int(things as i128)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;
    use std::net::SocketAddr;

    use super::*;

    pub(crate) use crate::system::objects::tests::{apply, database, sample, table};

    /// Where no session is open and root asks.
    pub(crate) fn scope(catalog: &Catalog) -> Scope<'_> {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = Addresses { mysql: local(9030), http: local(8030) };
        static NONE: SnapshotUsages = SnapshotUsages::new();
        Scope { catalog, sessions: &[], usage: &NONE, addresses, user: "root", now_ms: 100_000 }
    }

    /// The values of `column` in all rows of a system table.
    pub(crate) fn values(catalog: &Catalog, table: &str, column: &str) -> Vec<String> {
        let rows = find(INFORMATION_SCHEMA, table).unwrap().rows(&scope(catalog));
        let at = rows.columns().iter().position(|(name, _)| name == column).unwrap();
        rows.rows().iter().map(|row| row[at].to_string()).collect()
    }

    #[test]
    fn names_are_found_without_regard_to_case() {
        assert_eq!(find("INFORMATION_SCHEMA", "Tables").map(|t| t.name), Some("tables"));
        assert!(find("sys", "tables").is_none());
        assert!(is_system_database("SYS") && is_system_database("_statistics_"));
        assert!(!is_system_database("information"));
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut seen = HashSet::new();
        for table in tables() {
            assert!(seen.insert(table.name), "{} twice", table.name);
            assert_eq!(table.name, table.name.to_lowercase());
            let mut columns = HashSet::new();
            for (column, _) in table.columns {
                assert!(columns.insert(column.to_lowercase()), "{}.{column} twice", table.name);
            }
        }
    }

    /// A value of another type than its column's would come out as NULL in the batch.
    #[test]
    fn every_value_is_of_its_columns_type() {
        let catalog = super::mviews::tests::with_mview();
        for table in tables() {
            let rows = table.rows(&scope(&catalog));
            let batch = rows.batch().unwrap();
            assert_eq!(batch.num_columns(), table.columns.len(), "{}", table.name);
            for (at, (column, _)) in rows.columns().iter().enumerate() {
                let given = rows.rows().iter().filter(|row| !row[at].is_null()).count();
                let kept = batch.num_rows() - batch.column(at).null_count();
                assert_eq!(given, kept, "{}.{column}", table.name);
            }
        }
    }
}
