//! Which cluster this is, and which run of it.

use cairn_types::Error;
use serde::{Deserialize, Serialize};

use crate::{Catalog, Outcome, Reply};

/// Which cluster this is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// 32 hexadecimal digits; the cluster's folder in every volume.
    pub id: String,
    /// The incarnation: a restored or forced cluster has a higher one.
    pub epoch: u64,
    pub created_ms: u64,
    /// The last start in this epoch.
    #[serde(default)]
    pub start: Start,
}

/// A start of the process on a data directory: every copy of the directory carries the last one before it was made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Rises by one; 0: never started in this epoch.
    pub number: u64,
    /// Tells two copies apart that were started for the same time.
    pub nonce: String,
}

impl Catalog {
    /// Two copies of a data directory may carry the same number, but not the same nonce.
    pub(crate) fn begin_start(&mut self, number: u64, nonce: &str) -> Outcome {
        let last = self.cluster.start.number;
        if number <= last {
            return Err(Error::conflict(format!("start {number} does not rise above {last}")));
        }
        self.cluster.start = Start { number, nonce: nonce.to_owned() };
        Ok(Reply::Done)
    }
}
