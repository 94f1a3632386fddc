//! Materialized views (MVs): a table, the query that fills it, and the numbers that say what it was filled from.
//!
//! See `docs/rfcs/0002-materialized-views.md`. What is stale is decided in `cairn-mview`; here is only what is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_types::{PartitionId, TableId};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{OlapTable, Stamp, TimeUnit};

/// A materialized view.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mview {
    /// Its rows; to all but refresh and rewrite it is a table like any other.
    pub table: OlapTable,
    pub definition: Definition,
    pub refresh: RefreshScheme,
    pub state: MviewState,
    /// What each partition was made from. No entry: never built.
    pub freshness: OrdMap<PartitionId, Arc<Freshness>>,
    /// Who made it.
    pub creator: String,
}

/// The query of an MV and what its names were bound to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The SQL text of its query.
    pub query: String,
    /// The database in which unqualified names of the query are looked up.
    pub default_db: String,
    /// The text of the `PARTITION BY` clause, without these words; empty: none.
    pub partition_by: String,
    /// Tables and MVs that the query reads, through views too; each once.
    pub bases: Vec<Base>,
    /// Views that the query reads.
    pub views: Vec<Base>,
    /// How its partition columns come from bases; empty: one partition, made from everything.
    pub links: Vec<PartitionLink>,
    /// Grows by one with each binding to other bases: a refresh that read before must not commit after.
    pub binding: u64,
}

/// A table or view that the query names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    pub id: TableId,
    /// `db` and name when it was bound; a later rename shows.
    pub db: String,
    pub name: String,
}

/// One base that determines partitions of the MV.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionLink {
    pub base: TableId,
    /// For each partition column of the MV, in their order.
    pub columns: Vec<LinkColumn>,
}

/// `MV partition column = transform(base column)`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkColumn {
    /// Position in the base's schema.
    pub column: usize,
    pub transform: Transform,
}

/// What is done to a base column on its way to an MV's partition column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Transform {
    Same,
    /// `date_trunc`, `time_slice`.
    Floor {
        unit: TimeUnit,
        step: u32,
    },
    /// `str2date(column, format)`.
    Date {
        format: String,
    },
}

/// When an MV is refreshed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshScheme {
    /// `DEFERRED` is `false`: creation alone fills nothing.
    pub immediate: bool,
    pub trigger: RefreshTrigger,
}

/// What starts a refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum RefreshTrigger {
    /// `REFRESH MV` only.
    Manual,
    /// `ASYNC`: a change of a base.
    Change,
    /// `ASYNC [START(…)] EVERY(…)`: at `start_ms + n * every_ms`.
    Every { start_ms: u64, every_ms: u64 },
}

/// Whether an MV is refreshed and used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum MviewState {
    Active,
    Inactive { cause: InactiveCause, reason: String, since: Stamp },
}

/// Why an MV is inactive, which decides what makes it active again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum InactiveCause {
    /// `ALTER MATERIALIZED VIEW … INACTIVE`: only `ACTIVE` ends it.
    Manual,
    /// `ADMIN PAUSE MATERIALIZED VIEWS`: `ADMIN RESUME` ends it.
    Paused,
    /// A base was changed: looked at again from time to time.
    Base,
}

/// What an MV partition was made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    pub bases: BTreeMap<TableId, Seen>,
    /// The commit of the refresh.
    pub refreshed: Stamp,
}

/// The numbers of one base.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Seen {
    /// Its partitions that have rows, and their data versions.
    Partitions(BTreeMap<PartitionId, u64>),
    /// The data version of the whole table.
    Table(u64),
}

impl Mview {
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == MviewState::Active
    }
}
