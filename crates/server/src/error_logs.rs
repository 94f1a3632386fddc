//! Rows that loads refused, kept for a while so that the ErrorURL of a load opens.

use std::path::PathBuf;

use bytes::Bytes;
use cairn_env::{Env, files};
use cairn_ingest::Rejected;
use cairn_types::{Error, Result};

/// Files that are kept; the oldest go first.
const FILES_MAX: usize = 1_000;

/// A folder of small text files. Their names cannot be guessed, because they are read without a login.
pub struct ErrorLogs {
    dir: PathBuf,
    env: Env,
}

impl ErrorLogs {
    #[must_use]
    pub fn new(dir: PathBuf, env: Env) -> Self {
        Self { dir, env }
    }

    /// Keeps the rejected rows of a load; returns the name of the file.
    ///
    /// # Errors
    /// `ResourceExhausted`, `Unavailable`.
    pub fn keep(&self, rejected: &[Rejected]) -> Result<String> {
        files::create_dir(&self.dir)?;
        let name = format!("error_log_{:013}_{}", self.env.now_ms(), self.env.random_hex());
        let mut text = String::new();
        for row in rejected {
            text.push_str(&format!("Error: {}. Row: {} (row {})\n", row.reason, row.text, row.row_number));
        }
        files::write_atomic(&self.dir.join(&name), text.as_bytes())?;
        // Names begin with the time: the first are the oldest.
        let kept = files::list(&self.dir)?;
        for old in kept.iter().take(kept.len().saturating_sub(FILES_MAX)) {
            files::remove(old)?;
        }
        Ok(name)
    }

    /// The text of a file that [`ErrorLogs::keep`] named.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn read(&self, name: &str) -> Result<Bytes> {
        if !name.starts_with("error_log_") || name.contains(['/', '\\']) || name.contains("..") {
            return Err(Error::not_found(format!("there is no load error log '{name}'")));
        }
        files::read(&self.dir.join(name)).map(Bytes::from)
    }
}
