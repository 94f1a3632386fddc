//! `ALTER TABLE`.

use std::fmt;

use super::name::{Property, TableName, commas, literal, quoted, when};
use super::partition::PartitionDef;
use super::table::{ColumnDef, Distribution};

/// `ALTER TABLE t op [, op …]`.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterTable {
    pub name: TableName,
    /// At least one. StarRocks takes several only of one kind (columns).
    pub ops: Vec<AlterOp>,
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub enum AlterOp {
    /// `ADD PARTITION p VALUES …`, `ADD PARTITIONS START … END … EVERY …`.
    AddPartition {
        temporary: bool,
        partition: PartitionDef,
        /// `DISTRIBUTED BY …` of the new partition.
        distribution: Option<Distribution>,
    },
    /// `DROP PARTITION [IF EXISTS] p [FORCE]`.
    DropPartition {
        temporary: bool,
        if_exists: bool,
        name: String,
        /// Not into the recycle bin.
        force: bool,
    },
    /// `RENAME new`.
    Rename(String),
    /// `RENAME PARTITION a b`.
    RenamePartition {
        from: String,
        to: String,
    },
    /// `RENAME COLUMN a TO b`.
    RenameColumn {
        from: String,
        to: String,
    },
    /// `SET ("k" = "v", …)`.
    SetProperties(Vec<Property>),
    /// `COMMENT = 'text'`.
    Comment(String),
    /// `SWAP WITH other`: the two tables exchange their names.
    SwapWith(String),
    AddColumn {
        column: ColumnDef,
        position: Option<ColumnPosition>,
    },
    DropColumn {
        name: String,
    },
    ModifyColumn {
        column: ColumnDef,
        position: Option<ColumnPosition>,
    },
}

/// Where a column goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColumnPosition {
    First,
    After(String),
}

impl fmt::Display for AlterTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER TABLE {} {}", self.name, commas(&self.ops))
    }
}

impl fmt::Display for AlterOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddPartition { temporary, partition, distribution } => {
                let several = matches!(partition, PartitionDef::Series(_));
                let kind = when(*temporary, "TEMPORARY ");
                write!(f, "ADD {kind}{}{partition}", when(several, "PARTITIONS "))?;
                match distribution {
                    Some(distribution) => write!(f, " {distribution}"),
                    None => Ok(()),
                }
            }
            Self::DropPartition { temporary, if_exists, name, force } => {
                let (kind, exists) = (when(*temporary, "TEMPORARY "), when(*if_exists, "IF EXISTS "));
                write!(f, "DROP {kind}PARTITION {exists}{}{}", quoted(name), when(*force, " FORCE"))
            }
            Self::Rename(name) => write!(f, "RENAME {}", quoted(name)),
            Self::RenamePartition { from, to } => {
                write!(f, "RENAME PARTITION {} {}", quoted(from), quoted(to))
            }
            Self::RenameColumn { from, to } => {
                write!(f, "RENAME COLUMN {} TO {}", quoted(from), quoted(to))
            }
            Self::SetProperties(items) => write!(f, "SET ({})", commas(items)),
            Self::Comment(text) => write!(f, "COMMENT = {}", literal(text)),
            Self::SwapWith(name) => write!(f, "SWAP WITH {}", quoted(name)),
            Self::AddColumn { column, position } => placed(f, "ADD COLUMN", column, position.as_ref()),
            Self::DropColumn { name } => write!(f, "DROP COLUMN {}", quoted(name)),
            Self::ModifyColumn { column, position } => placed(f, "MODIFY COLUMN", column, position.as_ref()),
        }
    }
}

fn placed(
    f: &mut fmt::Formatter<'_>,
    words: &str,
    column: &ColumnDef,
    position: Option<&ColumnPosition>,
) -> fmt::Result {
    write!(f, "{words} {column}")?;
    match position {
        Some(ColumnPosition::First) => f.write_str(" FIRST"),
        Some(ColumnPosition::After(name)) => write!(f, " AFTER {}", quoted(name)),
        None => Ok(()),
    }
}
