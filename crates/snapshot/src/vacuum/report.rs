//! What a vacuum saw and did: `SHOW PROC '/vacuum'`.

use std::collections::{BTreeMap, BTreeSet};

use cairn_objects::PartitionFolder;

use super::plan::Verdict;
use crate::usage::SnapshotUsage;

/// A number of files and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    pub files: u64,
    pub bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// One partition's folder in one volume.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FolderReport {
    pub total: Amount,
    /// Reached by something that is retained.
    pub live: Amount,
    /// By whom: `visible`, `recycle bin`, `snapshot NAME`, `running query`. Files count for each of their holders.
    pub held: BTreeMap<String, Amount>,
    /// Of loads and compactions that are under way.
    pub open: Amount,
    /// Reached by nothing, waiting for the grace period to pass.
    pub marked: Amount,
    pub deleted: Amount,
    /// Files whose names Cairn never gives: kept.
    pub unknown: BTreeSet<String>,
    /// Why the whole folder was kept.
    pub problem: Option<String>,
}

impl FolderReport {
    pub(crate) fn add(&mut self, file: &str, bytes: u64, verdict: &Verdict) {
        self.total.add(bytes);
        match verdict {
            Verdict::Live(holders) => {
                self.live.add(bytes);
                holders.iter().for_each(|by| self.held.entry(by.to_string()).or_default().add(bytes));
            }
            Verdict::Open => self.open.add(bytes),
            Verdict::Unknown => drop(self.unknown.insert(file.to_owned())),
            // The folder's problem says why.
            Verdict::Kept => {}
            Verdict::Marked { .. } | Verdict::Delete { .. } => self.marked.add(bytes),
        }
    }

    /// A marked file was deleted.
    pub(crate) fn marked_went(&mut self, bytes: u64) {
        self.deleted.add(bytes);
        self.marked.files = self.marked.files.saturating_sub(1);
        self.marked.bytes = self.marked.bytes.saturating_sub(bytes);
    }
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VacuumReport {
    pub started_ms: u64,
    pub finished_ms: u64,
    /// By the location of the volume and the folder.
    pub folders: BTreeMap<(String, PartitionFolder), FolderReport>,
    /// Keys outside of partition folders that are not known: kept.
    pub unknown: BTreeSet<String>,
    /// Finished snapshots that the catalog does not know (a restore went back behind them), by volume and name: what they
    /// reach is kept until they are removed.
    pub unknown_snapshots: Vec<(String, String)>,
    /// What could not be looked at, and why: nothing was deleted there.
    pub problems: Vec<String>,
    /// What each snapshot reaches.
    pub snapshots: BTreeMap<String, SnapshotUsage>,
    pub deleted: Amount,
}
