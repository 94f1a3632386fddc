//! Whose data directory this is: a small file beside the journal, written once.

use std::path::{Path, PathBuf};

use cairn_codec::{Format, open, seal};
use cairn_env::files;
use cairn_types::{Error, Result};
use serde::{Deserialize, Serialize};

const VERSION: u16 = 1;

/// The cluster that a data directory belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub cluster: String,
    pub epoch: u64,
    /// With which this incarnation claims volumes.
    pub nonce: String,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("IDENTITY")
}

impl Identity {
    /// Writes it into a new data directory.
    ///
    /// # Errors
    /// `Unavailable`, `ResourceExhausted`.
    pub fn write(&self, data_dir: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))?;
        files::write_atomic(&path(data_dir), &seal(Format::Identity, VERSION, &json))
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt`, naming the file.
    pub fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = path(data_dir);
        let Some(bytes) = files::read_optional(&path)? else { return Ok(None) };
        let frame = open(&bytes, Format::Identity, VERSION).map_err(|e| e.context(path.display()))?;
        serde_json::from_slice(frame.body)
            .map(Some)
            .map_err(|e| Error::corrupt(format!("{}: {e}", path.display())))
    }
}
