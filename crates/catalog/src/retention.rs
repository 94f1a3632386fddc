//! What must be kept: the one place that says which data versions some retained state can see.
//!
//! A version is *seen* by whoever reads the catalog as it was at some journal index between the entry that made the
//! version and the entry that replaced it. Readers of the present see the last one; each snapshot sees one.

use std::sync::Arc;

use crate::command::Trim;
use crate::database::Dropped;
use crate::{Catalog, Database, Outcome, Partition, Reply, Snapshot, Stamp, Table, TxnState, Version};

/// Why a version is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// It is the visible version of a visible partition.
    Visible,
    /// Its partition, table or database waits in the recycle bin.
    RecycleBin,
    /// This snapshot sees it.
    Snapshot(String),
}

impl Catalog {
    /// When `partition` went out of sight: by itself, with its table, or with its database, whatever came first.
    #[must_use]
    pub fn dropped(&self, partition: &Partition) -> Option<Dropped> {
        let table = self.table(partition.table).and_then(|t| t.dropped);
        let db = self.database(partition.db).and_then(|d| d.dropped);
        [partition.dropped, table, db].into_iter().flatten().min_by_key(|d| d.at)
    }

    /// The versions of `partition` that must be kept, each with who holds it. Exactly the files that these reach
    /// must stay.
    #[must_use]
    pub fn holders<'a>(&self, partition: &'a Partition) -> Vec<(&'a Version, Vec<Holder>)> {
        let dropped = self.dropped(partition);
        let mut held = Vec::new();
        for (position, version) in partition.versions.iter().enumerate() {
            let replaced = partition.versions.get(position + 1).map(|next| next.created.index);
            let mut holders = match (replaced, dropped) {
                (None, None) => vec![Holder::Visible],
                (None, Some(d)) if !d.force => vec![Holder::RecycleBin],
                _ => Vec::new(),
            };
            let until = replaced.into_iter().chain(dropped.map(|d| d.at.index)).min().unwrap_or(u64::MAX);
            let seeing = |s: &&Arc<Snapshot>| {
                s.state.pins() && (version.created.index..until).contains(&s.created.index)
            };
            holders.extend(self.snapshots().filter(seeing).map(|s| Holder::Snapshot(s.name.clone())));
            if !holders.is_empty() {
                held.push((version, holders));
            }
        }
        held
    }

    /// Forgets what no one can reach any more. Each part is checked here again: what a snapshot sees stays, whatever
    /// the command says.
    pub(crate) fn trim(&mut self, now: Stamp, trim: &Trim) -> Outcome {
        let forgotten = self.trim_versions()
            + self.trim_dropped(trim)
            + self.trim_txns(trim)
            + self.trim_snapshots(trim)
            + self.trim_task_runs(trim);
        debug_assert!(now.time_ms >= trim.dropped_before_ms, "a time to come would forget everything");
        Ok(match forgotten {
            0 => Reply::Unchanged,
            count => Reply::Trimmed(count),
        })
    }

    /// Versions that were replaced and that no snapshot sees any more.
    fn trim_versions(&mut self) -> u64 {
        let mut changed = Vec::new();
        for partition in self.partitions.values().filter(|p| p.versions.len() > 1) {
            let last = partition.versions.len() - 1;
            let seen = |position: usize, version: &Version| {
                position == last
                    || partition.versions.get(position + 1).is_none_or(|next| {
                        self.is_seen_by_snapshot(version.created.index, next.created.index)
                    })
            };
            let kept: imbl::Vector<Version> = partition
                .versions
                .iter()
                .enumerate()
                .filter(|(i, v)| seen(*i, v))
                .map(|(_, v)| v.clone())
                .collect();
            if kept.len() < partition.versions.len() {
                changed.push(Partition { versions: kept, ..Partition::clone(partition) });
            }
        }
        let count = changed.len() as u64;
        changed.into_iter().for_each(|p| self.put_partition(p));
        count
    }

    /// Databases, tables and partitions out of the recycle bin.
    fn trim_dropped(&mut self, trim: &Trim) -> u64 {
        let outlived = |d: &Dropped| d.force || d.at.time_ms < trim.dropped_before_ms;
        let gone: Vec<_> = self
            .partitions
            .values()
            .filter(|p| self.dropped(p).is_some_and(|d| outlived(&d)) && !self.is_partition_seen(p))
            .map(|p| p.id)
            .collect();
        for id in &gone {
            if let Some(partition) = self.partitions.remove(id) {
                // It is still there when its table was dropped, but not it.
                self.bounds.remove(&partition);
            }
        }
        let holds = |table: cairn_types::TableId| self.partitions.values().any(|p| p.table == table);
        let tables: Vec<_> = self
            .tables
            .values()
            .filter(|t| {
                let dropped = t.dropped.or_else(|| self.database(t.db).and_then(|d| d.dropped));
                dropped.is_some_and(|d| outlived(&d)) && !holds(t.id)
            })
            .map(|t| t.id)
            .collect();
        for id in &tables {
            self.tables.remove(id);
        }
        let databases: Vec<_> = self
            .databases
            .values()
            .filter(|d| {
                d.dropped.as_ref().is_some_and(outlived) && !self.tables.values().any(|t| t.db == d.id)
            })
            .map(|d| d.id)
            .collect();
        for id in &databases {
            self.databases.remove(id);
        }
        (gone.len() + tables.len() + databases.len()) as u64 + self.bar_recovery(&outlived)
    }

    /// What the recycle bin has no place for any more, and what only a snapshot keeps here, cannot be recovered: parts of it
    /// are gone. How many things that was news for.
    fn bar_recovery(&mut self, outlived: &dyn Fn(&Dropped) -> bool) -> u64 {
        let barred = |dropped: Option<Dropped>| {
            let dropped = dropped.filter(|d| !d.force && outlived(d))?;
            Some(Dropped { force: true, ..dropped })
        };
        let database =
            |d: &Arc<Database>| Some(Database { dropped: Some(barred(d.dropped)?), ..(**d).clone() });
        let table = |t: &Arc<Table>| Some(Table { dropped: Some(barred(t.dropped)?), ..(**t).clone() });
        let partition =
            |p: &Arc<Partition>| Some(Partition { dropped: Some(barred(p.dropped)?), ..(**p).clone() });
        let databases: Vec<_> = self.databases.values().filter_map(database).collect();
        let tables: Vec<_> = self.tables.values().filter_map(table).collect();
        let partitions: Vec<_> = self.partitions.values().filter_map(partition).collect();
        let count = databases.len() + tables.len() + partitions.len();
        databases.into_iter().for_each(|d| drop(self.databases.insert(d.id, Arc::new(d))));
        tables.into_iter().for_each(|t| self.put_table(t));
        partitions.into_iter().for_each(|p| self.put_partition(p));
        count as u64
    }

    /// Whether a snapshot sees some version of a dropped partition.
    fn is_partition_seen(&self, partition: &Partition) -> bool {
        self.holders(partition).iter().any(|(_, by)| by.iter().any(|h| matches!(h, Holder::Snapshot(_))))
    }

    /// Finished loads that are too old or too many, oldest first.
    fn trim_txns(&mut self, trim: &Trim) -> u64 {
        let mut finished: Vec<_> = self
            .txns
            .values()
            .filter(|t| t.state != TxnState::Prepare)
            .map(|t| (t.finished.map_or(0, |f| f.time_ms), t.id))
            .collect();
        finished.sort_unstable();
        let excess = finished.len().saturating_sub(usize::try_from(trim.txns_max).unwrap_or(usize::MAX));
        let mut count = 0;
        for (position, (time_ms, id)) in finished.iter().enumerate() {
            if position >= excess && *time_ms >= trim.txns_before_ms {
                continue;
            }
            if let Some(txn) = self.txns.remove(id) {
                let key = (txn.db, txn.label.clone());
                if self.names.labels.get(&key) == Some(id) {
                    self.names.labels.remove(&key);
                }
                count += 1;
            }
        }
        count
    }

    /// The history of snapshot jobs whose files are gone, oldest first.
    fn trim_snapshots(&mut self, trim: &Trim) -> u64 {
        let ended: Vec<_> = self.snapshots.values().filter(|s| s.is_gone()).map(|s| s.id).collect();
        let excess = ended.len().saturating_sub(usize::try_from(trim.jobs_max).unwrap_or(usize::MAX));
        for id in ended.iter().take(excess) {
            self.snapshots.remove(id);
        }
        excess as u64
    }
}
