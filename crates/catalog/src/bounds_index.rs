//! Where the partitions of each table begin, in order: whether a new one would overlap is asked of its neighbours alone.

use std::ops::Bound;

use cairn_types::{Literal, PartitionId, TableId};
use imbl::OrdMap;

use crate::{Bounds, Partition};

/// `None` is before every key.
type Start = Option<Vec<Literal>>;

/// The visible partitions of all tables by where they begin. Derived from tables and partitions.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct BoundsIndex(OrdMap<(TableId, Start), PartitionId>);

impl BoundsIndex {
    pub fn insert(&mut self, partition: &Partition) {
        for start in starts(&partition.bounds) {
            self.0.insert((partition.table, start), partition.id);
        }
    }

    /// Does nothing when the partition is not in it.
    pub fn remove(&mut self, partition: &Partition) {
        for start in starts(&partition.bounds) {
            let key = (partition.table, start);
            if self.0.get(&key) == Some(&partition.id) {
                self.0.remove(&key);
            }
        }
    }

    /// The partitions of `table` that may overlap `bounds`; as they do not overlap each other, no others can.
    pub fn neighbours(&self, table: TableId, bounds: &Bounds) -> Vec<PartitionId> {
        match bounds {
            Bounds::All => Vec::new(),
            Bounds::List { keys } => {
                keys.iter().filter_map(|key| self.0.get(&(table, Some(key.clone())))).copied().collect()
            }
            Bounds::Range { lower, .. } => {
                let at = (table, lower.clone());
                let before = self.0.get_prev(&at);
                let after = self.0.range((Bound::Excluded(at), Bound::Unbounded)).next();
                let near = before.into_iter().chain(after);
                near.filter(|((of, _), _)| *of == table).map(|(_, id)| *id).collect()
            }
        }
    }
}

/// Where a partition begins: one place for a range, one for each key of a list.
fn starts(bounds: &Bounds) -> Vec<Start> {
    match bounds {
        Bounds::All => Vec::new(),
        Bounds::Range { lower, .. } => vec![lower.clone()],
        Bounds::List { keys } => keys.iter().cloned().map(Some).collect(),
    }
}
