//! Partitions and their data versions.

use std::cmp::Ordering;
use std::sync::Arc;

use cairn_types::{DbId, Error, Literal, PartitionId, Result, TableId, VolumeId, limits};
use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::database::Dropped;
use crate::{Catalog, OlapTable, Outcome, PartitionSpec, Partitioning, Reply, Stamp};

/// The data version of a partition without rows.
pub const EMPTY_VERSION: u64 = 1;

/// A partition of a table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    pub id: PartitionId,
    pub db: DbId,
    pub table: TableId,
    pub name: String,
    pub bounds: Bounds,
    pub buckets: u32,
    pub volume: VolumeId,
    pub created: Stamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// Oldest first; the last is the visible one. Empty: no data was ever committed ([`EMPTY_VERSION`]).
    pub versions: Vector<Version>,
    /// The version whose commit last put rows in place of others; above it the partition only grew.
    #[serde(default)]
    pub replaced_version: u64,
}

/// What a partition held from one journal entry up to the next that changed it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Grows by one with each visible change of the data; a compaction keeps it.
    pub version: u64,
    pub manifest: ManifestRef,
    pub created: Stamp,
}

/// Which manifest counts: exact name and checksum, so that a stale writer's left-over is never picked up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRef {
    /// File name within the partition's folder.
    pub name: String,
    /// CRC-32C of the whole file.
    pub checksum: u32,
    /// Rows in all segments.
    pub rows: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    pub segments: u64,
}

/// Which rows belong to a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Bounds {
    /// All rows: the table has one partition.
    All,
    /// `lower <= key < upper`, compared column by column; `None` is without bound.
    Range { lower: Option<Vec<Literal>>, upper: Option<Vec<Literal>> },
    /// The key is one of these.
    List { keys: Vec<Vec<Literal>> },
}

impl Bounds {
    #[must_use]
    pub fn contains(&self, key: &[Literal]) -> bool {
        match self {
            Self::All => true,
            Self::Range { lower, upper } => {
                lower.as_ref().is_none_or(|l| compare(key, l) != Ordering::Less)
                    && upper.as_ref().is_none_or(|u| compare(key, u) == Ordering::Less)
            }
            Self::List { keys } => keys.iter().any(|k| k == key),
        }
    }

    /// Whether some row could belong to both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Range { lower: l1, upper: u1 }, Self::Range { lower: l2, upper: u2 }) => {
                begins_before(l1.as_ref(), u2.as_ref()) && begins_before(l2.as_ref(), u1.as_ref())
            }
            (Self::List { keys: a }, Self::List { keys: b }) => a.iter().any(|key| b.contains(key)),
            _ => true,
        }
    }
}

/// A key that is no start of a slice would take no row, and what is asked by slices would not find it.
fn check_key(partitioning: &Partitioning, name: &str, key: &[Literal]) -> Result<()> {
    let start = partitioning.key(key)?;
    match key.iter().zip(start.iter()).find(|(value, start)| value != start) {
        None => Ok(()),
        Some((value, start)) => Err(Error::analysis(format!(
            "partition {name}: '{value}' is not the start of a slice of its partition column; that is '{start}'"
        ))),
    }
}

fn begins_before(lower: Option<&Vec<Literal>>, upper: Option<&Vec<Literal>>) -> bool {
    match (lower, upper) {
        (Some(lower), Some(upper)) => compare(lower, upper) == Ordering::Less,
        _ => true,
    }
}

/// Column by column; a shorter key that is a prefix counts as smaller.
fn compare(a: &[Literal], b: &[Literal]) -> Ordering {
    a.cmp(b)
}

impl Partition {
    /// The visible data version.
    #[must_use]
    pub fn visible_version(&self) -> u64 {
        self.versions.last().map_or(EMPTY_VERSION, |v| v.version)
    }

    /// The visible manifest; `None` while the partition is empty.
    #[must_use]
    pub fn visible(&self) -> Option<&Version> {
        self.versions.last()
    }

    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.visible().is_some_and(|v| v.manifest.rows > 0)
    }

    /// When the visible version came.
    #[must_use]
    pub fn visible_since(&self) -> Stamp {
        self.versions.last().map_or(self.created, |v| v.created)
    }
}

impl Catalog {
    pub(crate) fn put_partition(&mut self, partition: Partition) {
        self.partitions.insert(partition.id, Arc::new(partition));
    }

    /// The visible partition `id` of a visible table.
    pub(crate) fn live_partition(&self, id: PartitionId) -> Result<&Arc<Partition>> {
        let gone = || Error::conflict(format!("partition {id} was dropped or replaced meanwhile"));
        let partition = self.partition(id).filter(|p| p.dropped.is_none()).ok_or_else(gone)?;
        self.live_table(partition.table).map_err(|_| gone())?;
        Ok(partition)
    }

    pub(crate) fn create_partitions(
        &mut self,
        now: Stamp,
        table_id: TableId,
        specs: &[PartitionSpec],
        if_not_exists: bool,
    ) -> Outcome {
        let (table, mut olap) = self.live_olap(table_id)?;
        let mut ids = Vec::with_capacity(specs.len());
        for spec in specs {
            if let Some(existing) = olap.partitions.get(&spec.name) {
                if if_not_exists {
                    ids.push(*existing);
                    continue;
                }
                return Err(Error::analysis(format!("Duplicate partition name {}", spec.name)));
            }
            self.check_bounds(table_id, &olap, spec)?;
            let id = PartitionId(self.take_id());
            let partition = Partition {
                id,
                db: table.db,
                table: table_id,
                name: spec.name.clone(),
                bounds: spec.bounds.clone(),
                buckets: spec.buckets.unwrap_or_else(|| olap.distribution.buckets()),
                volume: olap.volume,
                created: now,
                dropped: None,
                versions: Vector::new(),
                replaced_version: 0,
            };
            self.bounds.insert(&partition);
            self.put_partition(partition);
            olap.partitions.insert(spec.name.clone(), id);
            ids.push(id);
        }
        self.put_olap(table, olap);
        Ok(Reply::Partitions(ids))
    }

    fn check_bounds(&self, table: TableId, olap: &OlapTable, spec: &PartitionSpec) -> Result<()> {
        let fits = match (&olap.partitioning, &spec.bounds) {
            (Partitioning::None, Bounds::All) => olap.partitions.is_empty(),
            (Partitioning::Range { .. } | Partitioning::Time { .. }, Bounds::Range { .. }) => true,
            (Partitioning::List { .. } | Partitioning::Values { .. }, Bounds::List { .. }) => true,
            _ => false,
        };
        if !fits {
            return Err(Error::analysis(format!(
                "partition {} does not fit the table's PARTITION BY clause",
                spec.name
            )));
        }
        if spec.buckets.is_some_and(|n| n == 0 || n > limits::BUCKETS_MAX) {
            return Err(Error::analysis(format!("BUCKETS must be 1 to {}", limits::BUCKETS_MAX)));
        }
        if let Bounds::Range { lower, upper } = &spec.bounds
            && !begins_before(lower.as_ref(), upper.as_ref())
        {
            return Err(Error::analysis(format!("partition {} has no room between its bounds", spec.name)));
        }
        if let Bounds::List { keys } = &spec.bounds {
            keys.iter().try_for_each(|key| check_key(&olap.partitioning, &spec.name, key))?;
        }
        let near = self.bounds.neighbours(table, &spec.bounds);
        let mut near = near.into_iter().filter_map(|id| self.partition(id));
        match near.find(|p| p.bounds.overlaps(&spec.bounds)) {
            None => Ok(()),
            Some(other) => Err(Error::analysis(format!(
                "Range or list of partition {} is intersected with partition {}",
                spec.name, other.name
            ))),
        }
    }

    pub(crate) fn drop_partition(&mut self, now: Stamp, table: TableId, name: &str, force: bool) -> Outcome {
        let (table, mut olap) = self.changeable_olap(table)?;
        let Some(id) = olap.partitions.remove(name) else {
            return Err(unknown_partition(name, &table.name));
        };
        if olap.partitioning == Partitioning::None {
            return Err(Error::analysis(format!(
                "table {} is not partitioned; use TRUNCATE TABLE",
                table.name
            )));
        }
        olap.data_version += u64::from(self.retire(now, id, force));
        self.put_olap(table, olap);
        Ok(Reply::Done)
    }

    /// Takes a partition out of sight; its files stay while it can be recovered or a snapshot sees it. True when there
    /// were rows in it.
    pub(crate) fn retire(&mut self, now: Stamp, id: PartitionId, force: bool) -> bool {
        let Some(mut partition) = self.partition(id).map(|p| Partition::clone(p)) else { return false };
        let had_rows = partition.has_rows();
        self.bounds.remove(&partition);
        partition.dropped = Some(Dropped { at: now, force });
        self.put_partition(partition);
        had_rows
    }

    pub(crate) fn recover_partition(&mut self, table: TableId, name: &str) -> Outcome {
        let (table, mut olap) = self.changeable_olap(table)?;
        if olap.partitions.contains_key(name) {
            return Err(Error::analysis(format!("Duplicate partition name {name}")));
        }
        let newest = self
            .partitions
            .values()
            .filter(|p| p.table == table.id && p.name == name && p.dropped.is_some_and(|d| !d.force))
            .max_by_key(|p| p.dropped.map(|d| d.at));
        let Some(partition) = newest.map(|p| Partition::clone(p)) else {
            return Err(Error::analysis(format!("Partition '{name}' is not in the recycle bin")));
        };
        let spec = PartitionSpec {
            name: name.to_owned(),
            bounds: partition.bounds.clone(),
            buckets: Some(partition.buckets),
        };
        self.check_bounds(table.id, &olap, &spec)?;
        olap.partitions.insert(name.to_owned(), partition.id);
        olap.data_version += u64::from(partition.has_rows());
        self.bounds.insert(&partition);
        self.put_partition(Partition { dropped: None, ..partition });
        self.put_olap(table, olap);
        Ok(Reply::Done)
    }

    pub(crate) fn rename_partition(&mut self, table: TableId, name: &str, to: &str) -> Outcome {
        let (table, mut olap) = self.changeable_olap(table)?;
        if olap.partitions.contains_key(to) {
            return Err(Error::analysis(format!("Duplicate partition name {to}")));
        }
        let id = olap.partitions.remove(name).ok_or_else(|| unknown_partition(name, &table.name))?;
        let mut partition = Partition::clone(self.live_partition(id)?);
        partition.name = to.to_owned();
        olap.partitions.insert(to.to_owned(), id);
        self.put_partition(partition);
        self.put_olap(table, olap);
        Ok(Reply::Done)
    }

    pub(crate) fn truncate(&mut self, now: Stamp, table: TableId, names: &[String]) -> Outcome {
        let (table, mut olap) = self.changeable_olap(table)?;
        let names = match names.is_empty() {
            true => olap.partitions.keys().cloned().collect(),
            false => names.to_vec(),
        };
        let mut specs = Vec::with_capacity(names.len());
        let mut had_rows = false;
        for name in &names {
            let id = olap.partitions.remove(name).ok_or_else(|| unknown_partition(name, &table.name))?;
            let old = Partition::clone(self.live_partition(id)?);
            had_rows |= self.retire(now, id, true);
            specs.push(PartitionSpec { name: old.name, bounds: old.bounds, buckets: Some(old.buckets) });
        }
        let id = table.id;
        olap.data_version += u64::from(had_rows);
        self.put_olap(table, olap);
        self.create_partitions(now, id, &specs, false)
    }
}

pub(crate) fn unknown_partition(name: &str, table: &str) -> Error {
    Error::analysis(format!("Unknown partition '{name}' in table '{table}'"))
}
