//! The commit of a refresh: new rows, what they were made from, and what goes, all in one entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_types::{Error, PartitionId, Result, TableId};
use serde::{Deserialize, Serialize};

use crate::partition::unknown_partition;
use crate::{
    Catalog, Freshness, Mview, Outcome, PartitionChange, Partitioning, Reply, RunAdvance, Seen, Stamp, Table,
};

/// What a refresh makes visible.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSpec {
    pub mview: TableId,
    /// That of the definition by which the refresh read its bases; another current one is a conflict.
    pub binding: u64,
    pub changes: Vec<PartitionChange>,
    /// The partitions that are fresh then, each with what it was made from.
    pub built: Vec<(PartitionId, BTreeMap<TableId, Seen>)>,
    /// Names of partitions that no base determines any more.
    pub dropped: Vec<String>,
    /// When the partitions in `built` were last refreshed in the state that the refresh read; absent: never. Another
    /// refresh since then is a conflict: what both add would be there twice. `None`: not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BTreeMap<PartitionId, Stamp>>,
    /// How far the run that made all this is then, or that it has ended: told with what it did, not after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<RunAdvance>>,
}

impl Catalog {
    pub(crate) fn commit_refresh(&mut self, now: Stamp, spec: &RefreshSpec) -> Outcome {
        let (table, mview) = self.refreshable(spec)?;
        self.check_partitions(table, mview, spec)?;
        let mut freshness = mview.freshness.clone();
        for change in &spec.changes {
            // Rows that nothing is known of are never fresh.
            freshness.remove(&change.partition);
            self.change_partition(now, change, 1)?;
        }
        for (id, bases) in &spec.built {
            freshness.insert(*id, Arc::new(Freshness { bases: bases.clone(), refreshed: now }));
        }
        self.change_mview(spec.mview, |mview| mview.freshness = freshness);
        let lost_rows = self.drop_obsolete(now, spec)?;
        if lost_rows || !spec.changes.is_empty() {
            self.data_changed(spec.mview);
        }
        match &spec.run {
            Some(run) => self.advance_run(now, run),
            None => Ok(Reply::Done),
        }
    }

    /// The view, if it still is what the refresh read.
    fn refreshable(&self, spec: &RefreshSpec) -> Result<(&Table, &Mview)> {
        let (table, mview) = self.live_mview(spec.mview).map_err(|_| {
            Error::conflict(format!(
                "materialized view {} was dropped while it was refreshed: its rows are not kept",
                spec.mview
            ))
        })?;
        if let crate::MviewState::Inactive { reason, .. } = &mview.state {
            return Err(Error::conflict(format!(
                "materialized view {} became inactive while it was refreshed: {reason}",
                table.name
            )));
        }
        if mview.definition.binding != spec.binding {
            return Err(Error::conflict(format!(
                "materialized view {} was bound to other bases while it was refreshed: refresh it again",
                table.name
            )));
        }
        Ok((table, mview))
    }

    /// Drops what is obsolete, for good. True when there were rows in it.
    fn drop_obsolete(&mut self, now: Stamp, spec: &RefreshSpec) -> Result<bool> {
        if spec.dropped.is_empty() {
            return Ok(false);
        }
        let (table, mut olap) = self.live_olap(spec.mview)?;
        if olap.partitioning == Partitioning::None {
            return Err(Error::internal(format!("the one partition of {} is never obsolete", table.name)));
        }
        let mut gone = Vec::with_capacity(spec.dropped.len());
        let mut had_rows = false;
        for name in &spec.dropped {
            let id = olap.partitions.remove(name).ok_or_else(|| unknown_partition(name, &table.name))?;
            had_rows |= self.retire(now, id, true);
            gone.push(id);
        }
        self.put_olap(table, olap);
        self.change_mview(spec.mview, |mview| {
            for id in &gone {
                mview.freshness.remove(id);
            }
        });
        Ok(had_rows)
    }

    /// Every partition is one of the view's, and as the refresh knew it.
    fn check_partitions(&self, table: &Table, mview: &Mview, spec: &RefreshSpec) -> Result<()> {
        let changed = spec.changes.iter().map(|change| change.partition);
        for id in changed.chain(spec.built.iter().map(|(id, _)| *id)) {
            if self.live_partition(id)?.table != table.id {
                return Err(Error::conflict(format!(
                    "partition {id} is not one of materialized view {}",
                    table.name
                )));
            }
        }
        let Some(before) = &spec.before else { return Ok(()) };
        let refreshed = |id: &PartitionId| mview.freshness.get(id).map(|f| f.refreshed);
        match spec.built.iter().find(|(id, _)| refreshed(id).as_ref() != before.get(id)) {
            None => Ok(()),
            Some((id, _)) => Err(Error::conflict(format!(
                "partition {id} of materialized view {} was refreshed by another run meanwhile",
                table.name
            ))),
        }
    }
}
