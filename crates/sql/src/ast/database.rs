//! Databases, and bringing dropped things back.

use std::fmt;

use super::name::{DatabaseName, Property, TableName, properties, quoted, when};

/// `CREATE DATABASE [IF NOT EXISTS] db [PROPERTIES(…)]`. A character set and collation are read and not kept:
/// everything is UTF-8.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateDatabase {
    pub if_not_exists: bool,
    pub name: DatabaseName,
    pub properties: Vec<Property>,
}

/// `DROP DATABASE [IF EXISTS] db [FORCE]`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropDatabase {
    pub if_exists: bool,
    pub name: DatabaseName,
    /// Not into the recycle bin: it cannot be recovered.
    pub force: bool,
}

/// `RECOVER DATABASE db | TABLE t | PARTITION p FROM t [AS name]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Recover {
    pub target: RecoverTarget,
    /// The name to come back under (an addition to StarRocks' syntax).
    pub new_name: Option<String>,
}

/// What to bring back from the recycle bin.
#[derive(Clone, PartialEq, Debug)]
pub enum RecoverTarget {
    Database(DatabaseName),
    Table(TableName),
    Partition { partition: String, table: TableName },
}

impl fmt::Display for CreateDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE DATABASE {}{}", when(self.if_not_exists, "IF NOT EXISTS "), self.name)?;
        properties(f, &self.properties)
    }
}

impl fmt::Display for DropDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exists, force) = (when(self.if_exists, "IF EXISTS "), when(self.force, " FORCE"));
        write!(f, "DROP DATABASE {exists}{}{force}", self.name)
    }
}

impl fmt::Display for Recover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            RecoverTarget::Database(name) => write!(f, "RECOVER DATABASE {name}")?,
            RecoverTarget::Table(name) => write!(f, "RECOVER TABLE {name}")?,
            RecoverTarget::Partition { partition, table } => {
                write!(f, "RECOVER PARTITION {} FROM {table}", quoted(partition))?;
            }
        }
        match &self.new_name {
            Some(name) => write!(f, " AS {}", quoted(name)),
            None => Ok(()),
        }
    }
}
