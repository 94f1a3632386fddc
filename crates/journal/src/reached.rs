//! How far the log file has come, kept in a file of its own.
//!
//! redb commits in one step and takes a last commit that does not check out for one that a crash tore; it then goes
//! back by one commit in silence. It cannot know that the commit was acknowledged; this file does. It is written
//! after each durable commit and not synced: it outlives the process in any case, and after a power cut it says at
//! worst a smaller number. Two slots are written in turn, so that a torn one leaves the other.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cairn_env::files::{self, io_error};
use cairn_types::{Error, Result};

use crate::errors::REMEDY;
use crate::records::{self, Reached};

/// Slots lie in different disk blocks.
const SLOT_BYTES: u64 = 4096;
const RECORD_BYTES_MAX: usize = 512;

/// The open file.
#[derive(Debug)]
pub(crate) struct ReachedFile {
    file: File,
    path: PathBuf,
}

impl ReachedFile {
    /// Makes the file with both slots saying `reached`.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(path: &Path, reached: &Reached) -> Result<()> {
        let mut bytes = records::seal(reached)?;
        bytes.resize(SLOT_BYTES as usize, 0);
        let both = [bytes.as_slice(), bytes.as_slice()].concat();
        files::write_atomic(path, &both)
    }

    /// Opens the file for [`ReachedFile::note`].
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).open(path).map_err(|e| io_error("open", path, &e))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Notes that the log file has `reached` so far. A failure is only logged: the commit itself is durable, and the
    /// file goes on saying a number that is true as well.
    pub fn note(&self, reached: &Reached) {
        let slot = (reached.sequence % 2) * SLOT_BYTES;
        let written = records::seal(reached).and_then(|mut bytes| {
            bytes.resize(bytes.len().max(RECORD_BYTES_MAX), 0);
            self.file.write_all_at(&bytes, slot).map_err(|e| io_error("write", &self.path, &e))
        });
        if let Err(error) = written {
            tracing::warn!(%error, "how far the journal has come could not be noted");
        }
    }
}

/// What the file says: the later of its whole slots.
///
/// # Errors
/// `NotFound` without the file; `Corrupt` when neither slot is whole.
pub(crate) fn read(path: &Path) -> Result<Reached> {
    let Some(bytes) = files::read_optional(path)? else {
        return Err(Error::not_found(format!(
            "{} is missing, so the folder was copied or emptied in part: {REMEDY}",
            path.display()
        )));
    };
    later(&bytes).ok_or_else(|| Error::corrupt(format!("{} is damaged: {REMEDY}", path.display())))
}

fn later(bytes: &[u8]) -> Option<Reached> {
    let (first, second) = bytes.split_at_checked(SLOT_BYTES as usize).unwrap_or((bytes, &[]));
    let slots =
        [first, second].map(|slot| records::open_prefix::<Reached>(slot).ok().map(|(reached, _)| reached));
    slots.into_iter().flatten().max_by_key(|reached| reached.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(sequence: u64) -> Reached {
        Reached { group: "g".to_owned(), sequence }
    }

    #[test]
    fn the_later_whole_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.reached");
        assert!(read(&path).unwrap_err().message().contains("is missing"));
        ReachedFile::create(&path, &reached(1)).unwrap();
        assert_eq!(read(&path).unwrap(), reached(1));
        let file = ReachedFile::open(&path).unwrap();
        for sequence in 2..=1_000 {
            file.note(&reached(sequence));
        }
        assert_eq!(read(&path).unwrap(), reached(1_000));

        // Slot 0 holds 1000, slot 1 holds 999: losing one costs one step, losing both is seen.
        let mut bytes = files::read(&path).unwrap();
        bytes[40] ^= 1;
        assert_eq!(later(&bytes), Some(reached(999)));
        bytes[SLOT_BYTES as usize + 40] ^= 1;
        assert_eq!(later(&bytes), None);
        assert_eq!(later(&[]), None);
    }
}
