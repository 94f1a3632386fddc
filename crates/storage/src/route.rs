//! Where each row of a load goes: its partition and its tablet. Pure; the caller makes the partitions that are missing.

use std::collections::HashMap;

use arrow::array::{ArrayRef, RecordBatch};
use cairn_catalog::{Catalog, Distribution, OlapTable, Partition, PartitionSpec, Partitioning};
use cairn_types::{Error, PartitionId, Result, limits};

use crate::hash::{bucket_of_hash, hash_rows};
use crate::partition_index::{NO_SLOT, PartitionIndex, key_at};
use crate::types::arrow_type;

/// Why a row that no partition takes is refused, in StarRocks' words.
pub const OUT_OF_RANGE: &str = "The row is out of partition ranges. Please add a new partition.";

/// The tablet of a row that has none.
pub const NO_TABLET: u32 = u32::MAX;

/// A tablet that rows of the load go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tablet {
    pub partition: PartitionId,
    pub bucket: u32,
}

/// Decides for the rows of one load.
pub struct Router {
    partitioning: Partitioning,
    distribution: Distribution,
    index: PartitionIndex,
    slots: Vec<Slot>,
    by_name: HashMap<String, u32>,
    /// Slots whose partition is not made yet.
    pending: Vec<PartitionSpec>,
    tablets: Vec<Tablet>,
    creates: bool,
    /// Of random distribution: the bucket of the next batch.
    next_bucket: u32,
}

/// A partition that rows of this load go to.
struct Slot {
    /// `None` until the partition is made.
    made: Option<Made>,
}

#[derive(Clone, Copy)]
struct Made {
    buckets: u32,
    /// The number of its first tablet.
    first_tablet: u32,
}

impl Router {
    /// A router over the visible partitions of `table`; over `only` some of them, if named, and then it makes no others.
    /// Random distribution begins with `first_bucket`.
    ///
    /// # Errors
    /// `Conflict` when one of `only` is not a visible partition of the table.
    pub fn new(
        catalog: &Catalog,
        table: &OlapTable,
        only: Option<&[PartitionId]>,
        first_bucket: u32,
    ) -> Result<Self> {
        let types: Vec<_> = table
            .partitioning
            .columns()
            .iter()
            .filter_map(|position| table.schema.columns.get(*position))
            .map(|column| arrow_type(column.ty))
            .collect();
        let mut this = Self {
            partitioning: table.partitioning.clone(),
            distribution: table.distribution.clone(),
            index: PartitionIndex::new(&table.partitioning, &types),
            slots: Vec::new(),
            by_name: HashMap::new(),
            pending: Vec::new(),
            tablets: Vec::new(),
            creates: only.is_none() && table.partitioning.is_automatic(),
            next_bucket: first_bucket,
        };
        for partition in catalog.partitions_of(table) {
            if only.is_none_or(|ids| ids.contains(&partition.id)) {
                let slot = this.new_slot(&partition.name);
                this.index.add(&partition.bounds, slot);
                this.fill(slot, partition);
            }
        }
        if let Some(missing) =
            only.and_then(|ids| ids.iter().find(|id| !table.partitions.values().any(|p| p == *id)))
        {
            return Err(Error::conflict(format!(
                "partition {missing} was dropped or replaced meanwhile: load again"
            )));
        }
        Ok(this)
    }

    fn new_slot(&mut self, name: &str) -> u32 {
        let slot = u32::try_from(self.slots.len()).unwrap_or(NO_SLOT);
        self.slots.push(Slot { made: None });
        self.by_name.insert(name.to_owned(), slot);
        slot
    }

    fn fill(&mut self, slot: u32, partition: &Partition) {
        let first_tablet = u32::try_from(self.tablets.len()).unwrap_or(NO_TABLET);
        let tablets = (0..partition.buckets).map(|bucket| Tablet { partition: partition.id, bucket });
        self.tablets.extend(tablets);
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            entry.made = Some(Made { buckets: partition.buckets, first_tablet });
        }
    }

    /// The partition slot of each row. Rows that need a partition which is not there yet put it into
    /// [`Router::take_pending`], if the table makes partitions by itself.
    ///
    /// # Errors
    /// `InvalidValue` when no partition can hold a value; `ResourceExhausted` when one load makes too many.
    pub fn locate(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let columns = columns_at(batch, self.partitioning.columns())?;
        let mut slots = self.index.locate(&columns, batch.num_rows())?;
        if self.creates {
            for (row, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| **slot == NO_SLOT) {
                let key = key_at(&columns, row)?;
                *slot = match self.index.find(&key) {
                    Some(found) => found,
                    None => match self.partitioning.automatic(&key)? {
                        Some(spec) => self.plan(spec)?,
                        None => NO_SLOT,
                    },
                };
            }
        }
        Ok(slots)
    }

    fn plan(&mut self, spec: PartitionSpec) -> Result<u32> {
        if self.pending.len() >= limits::PARTITIONS_PER_LOAD_MAX {
            return Err(Error::resource_exhausted(format!(
                "the load needs more than {} new partitions: check the partition column's values, or load in parts",
                limits::PARTITIONS_PER_LOAD_MAX
            )));
        }
        if self.by_name.contains_key(&spec.name) {
            return Err(Error::analysis(format!(
                "the row needs partition {}, but a partition of that name has other bounds: rename that one",
                spec.name
            )));
        }
        let slot = self.new_slot(&spec.name);
        self.index.add(&spec.bounds, slot);
        self.pending.push(spec);
        Ok(slot)
    }

    /// The partitions that are to be made before [`Router::tablets`] is asked. Give each to [`Router::made`] then.
    pub fn take_pending(&mut self) -> Vec<PartitionSpec> {
        std::mem::take(&mut self.pending)
    }

    /// Says that `partition` was made (by this or another load) for the planned `spec`.
    ///
    /// # Errors
    /// `Conflict` when it has other bounds than were planned.
    pub fn made(&mut self, spec: &PartitionSpec, partition: &Partition) -> Result<()> {
        let slot = self.by_name.get(&spec.name).copied().filter(|_| partition.bounds == spec.bounds);
        let slot = slot.ok_or_else(|| {
            Error::conflict(format!(
                "partition {} was made with other bounds meanwhile: load again",
                spec.name
            ))
        })?;
        self.fill(slot, partition);
        Ok(())
    }

    /// The tablet number of each row, [`NO_TABLET`] for rows without partition. `slots` are from [`Router::locate`].
    ///
    /// # Errors
    /// `Internal` when a planned partition was not reported as made.
    pub fn tablets(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<Vec<u32>> {
        let hashes = match &self.distribution {
            Distribution::Hash { columns, .. } => hash_rows(&columns_at(batch, columns)?, batch.num_rows())?,
            Distribution::Random { .. } => {
                let bucket = u64::from(self.next_bucket);
                self.next_bucket = self.next_bucket.wrapping_add(1);
                vec![bucket; batch.num_rows()]
            }
        };
        let tablet = |(slot, hash): (&u32, &u64)| match self.slots.get(*slot as usize) {
            None => Ok(NO_TABLET),
            Some(Slot { made: Some(made) }) => Ok(made.first_tablet + bucket_of_hash(*hash, made.buckets)),
            Some(Slot { made: None }) => {
                Err(Error::internal("a row was routed to a partition that is not made yet"))
            }
        };
        slots.iter().zip(&hashes).map(tablet).collect()
    }

    /// What a tablet number stands for.
    #[must_use]
    pub fn tablet(&self, number: u32) -> Option<Tablet> {
        self.tablets.get(number as usize).copied()
    }

    /// How many tablet numbers there are.
    #[must_use]
    pub fn tablet_count(&self) -> usize {
        self.tablets.len()
    }
}

fn columns_at(batch: &RecordBatch, positions: &[usize]) -> Result<Vec<ArrayRef>> {
    let column = |position: &usize| {
        let missing =
            || Error::internal(format!("column {position} of a batch with {}", batch.num_columns()));
        batch.columns().get(*position).cloned().ok_or_else(missing)
    };
    positions.iter().map(column).collect()
}
