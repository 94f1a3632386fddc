//! What becomes of a catalog when a cluster is brought back from a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_types::{Error, Result, id};

use crate::{Catalog, Snapshot, SnapshotState, Stamp, Start, TaskRun, Txn, TxnState, Volume, VolumeKind};

/// Another place or other credentials for a volume, by `storage_volumes` of `cluster_snapshot.yaml`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VolumeOverride {
    pub name: String,
    pub location: Option<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
}

impl Catalog {
    /// The catalog with which a restored cluster starts: `self` is `catalog(J)` as read from the snapshot.
    ///
    /// The epoch rises (its ids begin above every id of lower epochs), open loads are aborted, the snapshot itself is
    /// finished, other unfinished jobs and all open task runs are failed: nothing runs by itself. What materialized
    /// views were made from is as true as it was.
    ///
    /// # Errors
    /// `Conflict` when `epoch` does not rise; `Analysis` for an override of an unknown volume or another kind.
    pub fn restored(
        mut self,
        epoch: u64,
        snapshot: &str,
        overrides: &[VolumeOverride],
        now: Stamp,
    ) -> Result<Self> {
        if epoch <= self.cluster.epoch {
            return Err(Error::conflict(format!("epoch {epoch} does not rise above {}", self.cluster.epoch)));
        }
        self.cluster.epoch = epoch;
        self.cluster.start = Start::default();
        self.next_id = self.next_id.max(id::first_id_of_epoch(epoch));
        for change in overrides {
            self.override_volume(change)?;
        }
        let txns = self.txns.iter().map(|(id, txn)| (*id, end_txn(txn, now)));
        self.txns = txns.collect();
        let jobs = self.snapshots.iter().map(|(id, job)| (*id, end_job(job, snapshot, now)));
        self.snapshots = jobs.collect();
        let runs = self.task_runs.iter().map(|(id, run)| (*id, end_run(run, now)));
        self.task_runs = runs.collect();
        self.rebuild_derived();
        Ok(self)
    }

    fn override_volume(&mut self, change: &VolumeOverride) -> Result<()> {
        let volume = self.volume_named(&change.name).ok_or_else(|| {
            Error::analysis(format!(
                "storage volume '{}' is not in the snapshot; it has: {}",
                change.name,
                self.volumes().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })?;
        let mut volume = Volume::clone(volume);
        if let Some(location) = &change.location {
            (volume.kind, volume.location) = VolumeKind::of_location(location)?;
        }
        if let Some(comment) = &change.comment {
            volume.comment = comment.clone();
        }
        volume.properties.extend(change.properties.clone());
        self.volumes.insert(volume.id, Arc::new(volume));
        Ok(())
    }

    /// The catalog without secrets, as it is written into a volume: whoever restores brings the credentials.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut this = self.clone();
        for volume in self.volumes.values() {
            let mut volume = Volume::clone(volume);
            volume.properties.retain(|name, _| !cairn_types::is_secret_property(name));
            this.volumes.insert(volume.id, Arc::new(volume));
        }
        this
    }
}

fn end_txn(txn: &Arc<Txn>, now: Stamp) -> Arc<Txn> {
    if txn.state != TxnState::Prepare {
        return Arc::clone(txn);
    }
    let details = "the cluster was restored from a snapshot while this load was open".to_owned();
    Arc::new(Txn { state: TxnState::Aborted, finished: Some(now), details, ..Txn::clone(txn) })
}

fn end_run(run: &Arc<TaskRun>, now: Stamp) -> Arc<TaskRun> {
    if !run.state.is_open() {
        return Arc::clone(run);
    }
    let mut run = TaskRun::clone(run);
    run.fail(now, "the cluster was restored from a snapshot before this run was done");
    Arc::new(run)
}

fn end_job(job: &Arc<Snapshot>, restored_from: &str, now: Stamp) -> Arc<Snapshot> {
    if !job.state.is_running() {
        return Arc::clone(job);
    }
    let mut job = Snapshot::clone(job);
    job.finished = Some(now);
    if job.name == restored_from {
        job.state = SnapshotState::Finished;
        job.detail = "Finished time was reset after cluster restored".to_owned();
    } else {
        job.state = SnapshotState::Error;
        job.error = "the cluster was restored from another snapshot while this job ran".to_owned();
    }
    Arc::new(job)
}
