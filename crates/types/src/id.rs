//! Ids are newtypes over `u64`, handed out by the catalog's one counter and never used twice, not even
//! across a restore: a higher epoch starts above every id that a lower one can have given out.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A database.
    DbId,
    /// A table or a view.
    TableId,
    /// A partition of a table.
    PartitionId,
    /// A load, an insert or a compaction from begin to visible or aborted.
    TxnId,
    /// A storage volume.
    VolumeId,
    /// A cluster snapshot.
    SnapshotId,
    /// A snapshot job.
    JobId,
    /// A task that a user submitted.
    TaskId,
    /// One run of a task, or of a materialized view's refresh.
    TaskRunId,
}

/// The first id of epoch 1; lower ones are reserved for the system (`information_schema` is 1).
pub const FIRST_ID: u64 = 10_001;

/// The first id that `epoch` may give out. Each epoch owns 2^40 ids, so two of them never meet.
#[must_use]
pub fn first_id_of_epoch(epoch: u64) -> u64 {
    match epoch {
        0 | 1 => FIRST_ID,
        later => (later - 1) << 40,
    }
}
