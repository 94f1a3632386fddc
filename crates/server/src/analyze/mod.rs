//! From statements to catalog commands: pure functions of a statement and a catalog.

pub mod partition;
pub mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::{Catalog, Database, Table};
use cairn_exec::{DEFAULT_CATALOG, resolve};
use cairn_sql::ast::{DatabaseName, Property, TableName};
use cairn_types::{Error, Result};

/// The name of the database that `name` means.
///
/// # Errors
/// `Unsupported` for another catalog.
pub fn database_name(name: &DatabaseName) -> Result<&str> {
    match name.catalog.as_deref() {
        None | Some(DEFAULT_CATALOG) => Ok(&name.name),
        Some(other) => {
            Err(Error::analysis(format!("Unknown catalog '{other}': there is only {DEFAULT_CATALOG}")))
        }
    }
}

/// The database and table names that `name` means in a session whose database is `current` (empty: none).
///
/// # Errors
/// `Analysis` when no database is selected or the catalog is another.
pub fn table_name<'a>(name: &'a TableName, current: &'a str) -> Result<(&'a str, &'a str)> {
    if let Some(other) = name.catalog.as_deref().filter(|c| *c != DEFAULT_CATALOG) {
        return Err(Error::analysis(format!("Unknown catalog '{other}': there is only {DEFAULT_CATALOG}")));
    }
    match name.database.as_deref().unwrap_or(current) {
        "" => Err(Error::analysis("No database selected")),
        database => Ok((database, &name.name)),
    }
}

/// The table or view that `name` means.
///
/// # Errors
/// `UnknownDatabase`, `UnknownTable`, and as [`table_name`].
pub fn find_table<'a>(
    catalog: &'a Catalog,
    name: &TableName,
    current: &str,
) -> Result<(&'a Arc<Database>, &'a Arc<Table>)> {
    let (database, table) = table_name(name, current)?;
    resolve::find(catalog, database, table)
}

/// The database that `name` means.
///
/// # Errors
/// `UnknownDatabase`.
pub fn find_database<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Database>> {
    catalog.database_named(name).ok_or_else(|| Error::unknown_database(name))
}

/// Properties as a map with keys in lower case.
#[must_use]
pub fn properties(list: &[Property]) -> BTreeMap<String, String> {
    list.iter().map(|p| (p.key.to_ascii_lowercase(), p.value.clone())).collect()
}
