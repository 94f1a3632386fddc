//! Why a cell is not fresh.

use std::fmt;

use cairn_types::{PartitionId, TableId};

use crate::BaseName;

/// One difference between what a cell was made from and what there is now. Shown as one line for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    NeverBuilt,
    /// `REFRESH … FORCE`.
    Forced,
    /// A base partition has another data version.
    PartitionChanged {
        base: BaseName,
        name: String,
        old: u64,
        new: u64,
    },
    /// A base partition that was not there, or had no rows, has this data version.
    PartitionAdded {
        base: BaseName,
        name: String,
        version: u64,
    },
    /// A base partition that had rows is dropped, replaced by an empty one, or belongs to another cell.
    PartitionGone {
        base: BaseName,
        partition: PartitionId,
    },
    /// A base that determines no partition has another data version.
    TableChanged {
        base: BaseName,
        old: u64,
        new: u64,
    },
    /// A base that is an MV is not fresh itself (for rewrites only).
    BaseStale {
        base: BaseName,
    },
    /// The definition reads a base that the cell was not made from, or in another way.
    BaseNew {
        base: BaseName,
    },
    /// The cell was made from a table that the definition does not read any more.
    BaseGone {
        table: TableId,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBuilt => f.write_str("never built"),
            Self::Forced => f.write_str("forced"),
            Self::PartitionChanged { base, name, old, new } => {
                write!(f, "{base} partition {name}: version {new}, was {old}")
            }
            Self::PartitionAdded { base, name, version } => {
                write!(f, "{base} partition {name}: new, version {version}")
            }
            Self::PartitionGone { base, partition } => {
                write!(f, "{base} partition with id {partition}: gone")
            }
            Self::TableChanged { base, old, new } => write!(f, "{base}: data version {new}, was {old}"),
            Self::BaseStale { base } => write!(f, "{base}: a materialized view that is not fresh itself"),
            Self::BaseNew { base } => write!(f, "{base}: was not read before"),
            Self::BaseGone { table } => write!(f, "table with id {table}: is not read any more"),
        }
    }
}
