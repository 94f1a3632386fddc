//! The small sealed records of a journal: JSON in a frame of [`Format::JournalRecord`].

use cairn_codec::{self as codec, Format};
use cairn_types::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::group::{LogId, StoredMembership};

const VERSION: u16 = 1;

/// What [`crate::log_file`] keeps beside the entries, rewritten with every durable commit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Random name of the group; the same in all files of one journal.
    pub group: String,
    /// Durable commits of the log file so far.
    pub sequence: u64,
    /// The last entry known to be on a majority; it may lag.
    pub committed: Option<LogId>,
    /// The last entry removed because images hold it.
    pub purged: Option<LogId>,
    /// This member's number.
    pub member_id: u64,
}

/// How far the log file had come, kept outside it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reached {
    pub group: String,
    pub sequence: u64,
}

/// The head of an image file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageHead {
    pub group: String,
    /// Number of the last command in the image.
    pub index: u64,
    /// When that command was made.
    pub time_ms: u64,
    /// The last log entry in the image.
    pub log_id: Option<LogId>,
    /// The group's members as of that entry.
    pub membership: StoredMembership,
    /// openraft's name for the image.
    pub name: String,
    /// Bytes of the state that follow the head.
    pub state_bytes: u64,
    /// CRC-32C of those bytes.
    pub state_crc: u32,
}

/// A record as a sealed frame.
pub(crate) fn seal<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(record)
        .map_err(|e| Error::internal(format!("a journal record does not become JSON: {e}")))?;
    Ok(codec::seal(Format::JournalRecord, VERSION, &json))
}

/// The record that `bytes` must be.
///
/// # Errors
/// `Corrupt`; the caller adds the file's name.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    read(codec::open(bytes, Format::JournalRecord, VERSION)?.body)
}

/// The record at the start of `bytes`, and what follows it.
///
/// # Errors
/// `Corrupt`; the caller adds the file's name.
pub(crate) fn open_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    let (frame, rest) = codec::open_prefix(bytes, Format::JournalRecord, VERSION)?;
    Ok((read(frame.body)?, rest))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|e| Error::corrupt(format!("a journal record this Cairn does not know: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_strangers_refused() {
        let record = Reached { group: "g".to_owned(), sequence: 7 };
        let sealed = seal(&record).unwrap();
        assert_eq!(open::<Reached>(&sealed).unwrap(), record);
        let mut padded = sealed.clone();
        padded.extend_from_slice(&[0; 8]);
        assert!(open::<Reached>(&padded).is_err());
        assert_eq!(open_prefix::<Reached>(&padded).unwrap(), (record, [0; 8].as_slice()));
        assert!(open::<ImageHead>(&sealed).unwrap_err().message().contains("does not know"));
    }
}
