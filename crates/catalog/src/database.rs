//! Databases: create, drop, recover.

use std::sync::Arc;

use cairn_types::{DbId, Error, ErrorKind, Result, limits};
use serde::{Deserialize, Serialize};

use crate::task::TaskOf;
use crate::{Catalog, Outcome, Reply, Stamp};

/// Names that belong to the system in StarRocks' default catalog.
pub const SYSTEM_DATABASES: [&str; 3] = ["information_schema", "_statistics_", "sys"];

/// A database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub id: DbId,
    pub name: String,
    pub created: Stamp,
    /// Set while it waits in the recycle bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

/// That and how something was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    pub at: Stamp,
    /// `DROP … FORCE`, or replaced by another: `RECOVER` does not find it.
    pub force: bool,
}

impl Catalog {
    /// The visible database `name`.
    pub(crate) fn existing_database(&self, name: &str) -> Result<&Arc<Database>> {
        self.database_named(name).ok_or_else(|| Error::unknown_database(name))
    }

    /// The visible database `id`.
    pub(crate) fn live_database(&self, id: DbId) -> Result<&Arc<Database>> {
        self.database(id)
            .filter(|db| db.dropped.is_none())
            .ok_or_else(|| Error::unknown_database(&format!("id {id}")))
    }

    pub(crate) fn create_database(&mut self, now: Stamp, name: &str, if_not_exists: bool) -> Outcome {
        if let Some(db) = self.database_named(name) {
            return match if_not_exists {
                true => Ok(Reply::Unchanged),
                false => Err(Error::new(
                    ErrorKind::DatabaseExists,
                    format!("Can't create database '{}'; database exists", db.name),
                )),
            };
        }
        if name.is_empty() || name.chars().count() > limits::DATABASE_NAME_CHARS_MAX {
            return Err(Error::analysis(format!("Incorrect database name '{name}'")));
        }
        if SYSTEM_DATABASES.contains(&name) {
            return Err(Error::new(
                ErrorKind::DatabaseExists,
                format!("Can't create database '{name}'; it belongs to the system"),
            ));
        }
        let id = DbId(self.take_id());
        self.names.databases.insert(name.to_owned(), id);
        let db = Database { id, name: name.to_owned(), created: now, dropped: None };
        self.databases.insert(id, Arc::new(db));
        Ok(Reply::Database(id))
    }

    pub(crate) fn drop_database(&mut self, now: Stamp, name: &str, force: bool) -> Outcome {
        let mut db = Database::clone(self.existing_database(name)?);
        self.check_no_open_txn(db.id)?;
        let tables: Vec<_> = self.tables_of(db.id).map(|t| t.name.clone()).collect();
        for table in tables {
            self.names.tables.remove(&(db.id, table));
        }
        let mviews: Vec<_> = self.mviews().filter(|(t, _)| t.db == db.id).map(|(t, _)| t.id).collect();
        for mview in mviews {
            self.cancel_pending_runs(now, TaskOf::Mview(mview), "the materialized view was dropped");
        }
        self.database_dropped(now, db.id);
        db.dropped = Some(Dropped { at: now, force });
        self.names.databases.remove(name);
        self.databases.insert(db.id, Arc::new(db));
        Ok(Reply::Done)
    }

    pub(crate) fn recover_database(&mut self, name: &str) -> Outcome {
        if self.database_named(name).is_some() {
            return Err(Error::new(
                ErrorKind::DatabaseExists,
                format!("Database '{name}' exists; it was not dropped"),
            ));
        }
        let newest = self
            .databases
            .values()
            .filter(|db| db.name == name && db.dropped.is_some_and(|d| !d.force))
            .max_by_key(|db| db.dropped.map(|d| d.at));
        let mut db = Database::clone(newest.ok_or_else(|| {
            Error::new(ErrorKind::UnknownDatabase, format!("Database '{name}' is not in the recycle bin"))
        })?);
        db.dropped = None;
        let id = db.id;
        self.databases.insert(id, Arc::new(db));
        self.rebuild_names();
        Ok(Reply::Database(id))
    }

    fn check_no_open_txn(&self, db: DbId) -> Result<()> {
        match self.txns.values().find(|t| t.db == db && t.state == crate::TxnState::Prepare) {
            None => Ok(()),
            Some(txn) => Err(Error::conflict(format!(
                "load {} (label '{}') is open in this database: wait for it or abort it",
                txn.id, txn.label
            ))),
        }
    }
}
