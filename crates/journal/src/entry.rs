//! A log entry as bytes: a record frame with its place in the log, then one frame for each command.

use std::sync::Arc;

use cairn_codec::{self as codec, Format};
use cairn_types::{Error, Result};
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};

use crate::group::{Batch, Entry, LogId, Membership, Proposal};
use crate::records;
use crate::state::State;

const VERSION: u16 = 1;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub log_id: LogId,
    pub holds: Holds,
}

/// What a log entry is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    /// Nothing: a new leader's first entry.
    Nothing,
    /// The members of the group from here on.
    Members(Membership),
    /// So many commands, each in a frame of its own.
    Commands(usize),
}

/// One command as the journal keeps it.
#[derive(Serialize)]
struct CommandOut<'a, C> {
    time_ms: u64,
    command: &'a C,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandIn<C> {
    time_ms: u64,
    command: C,
}

/// A log entry with its frames checked and its commands not yet read.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    pub head: Head,
    /// The JSON of each command.
    pub commands: Vec<&'a [u8]>,
}

/// A command as a sealed journal entry.
///
/// # Errors
/// `Internal` when it does not become JSON.
pub(crate) fn seal_command<S: State>(time_ms: u64, command: &S::Command) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(&CommandOut { time_ms, command })
        .map_err(|e| Error::internal(format!("a command does not become JSON: {e}")))?;
    Ok(codec::seal(Format::JournalEntry, VERSION, &json))
}

/// A whole log entry.
///
/// # Errors
/// `Internal` when a command does not become JSON.
pub(crate) fn encode<S: State>(entry: &Entry<S>) -> Result<Vec<u8>> {
    let holds = match &entry.payload {
        EntryPayload::Blank => Holds::Nothing,
        EntryPayload::Membership(members) => Holds::Members(members.clone()),
        EntryPayload::Normal(batch) => Holds::Commands(batch.0.len()),
    };
    let mut bytes = records::seal(&Head { log_id: entry.log_id, holds })?;
    if let EntryPayload::Normal(batch) = &entry.payload {
        for proposal in &batch.0 {
            match &proposal.frame {
                Some(frame) => bytes.extend_from_slice(frame),
                None => bytes.extend_from_slice(&seal_command::<S>(proposal.time_ms, &proposal.command)?),
            }
        }
    }
    Ok(bytes)
}

/// Checks every frame of a log entry.
///
/// # Errors
/// `Corrupt`; the caller adds file and place.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned<'_>> {
    let (head, mut rest): (Head, _) = records::open_prefix(bytes)?;
    let mut commands = Vec::new();
    while !rest.is_empty() {
        let (frame, after) = codec::open_prefix(rest, Format::JournalEntry, VERSION)?;
        commands.push(frame.body);
        rest = after;
    }
    let expected = match head.holds {
        Holds::Commands(count) => count,
        Holds::Nothing | Holds::Members(_) => 0,
    };
    if commands.len() != expected {
        return Err(Error::corrupt(format!("it says {expected} commands and holds {}", commands.len())));
    }
    Ok(Scanned { head, commands })
}

/// Reads one command.
///
/// # Errors
/// `Unsupported` when this Cairn does not know it; the caller adds its number.
pub(crate) fn read_command<S: State>(json: &[u8]) -> Result<(u64, S::Command)> {
    serde_json::from_slice::<CommandIn<S::Command>>(json).map(|c| (c.time_ms, c.command)).map_err(|e| {
        Error::unsupported(format!(
            "a command this Cairn does not know: {e}; use the Cairn that wrote it, or a newer one"
        ))
    })
}

/// Reads a whole log entry back.
///
/// # Errors
/// As [`scan`] and [`read_command`].
pub(crate) fn decode<S: State>(bytes: &[u8]) -> Result<Entry<S>> {
    let scanned = scan(bytes)?;
    let payload = match scanned.head.holds {
        Holds::Nothing => EntryPayload::Blank,
        Holds::Members(members) => EntryPayload::Membership(members),
        Holds::Commands(_) => {
            let proposals = scanned.commands.iter().map(|json| {
                let (time_ms, command) = read_command::<S>(json)?;
                Ok(Proposal { time_ms, command: Arc::new(command), frame: None })
            });
            EntryPayload::Normal(Batch(proposals.collect::<Result<_>>()?))
        }
    };
    Ok(Entry::<S> { log_id: scanned.head.log_id, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Counter;

    fn proposal(add: i64) -> Proposal<Counter> {
        Proposal { time_ms: 5, command: Arc::new(crate::tests::Change::Add(add)), frame: None }
    }

    fn entries() -> Vec<Entry<Counter>> {
        let members = Membership::new(
            vec![[1].into()],
            [(1, crate::group::Node::new("h:1"))].into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        );
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Membership(members),
            EntryPayload::Normal(Batch(Vec::new())),
            EntryPayload::Normal(Batch(vec![proposal(1), proposal(-2)])),
        ];
        let log_id = LogId::new(openraft::CommittedLeaderId::new(3, 1), 9);
        payloads.into_iter().map(|payload| Entry::<Counter> { log_id, payload }).collect()
    }

    #[test]
    fn entries_come_back_the_same() {
        for entry in entries() {
            let bytes = encode(&entry).unwrap();
            let again = decode::<Counter>(&bytes).unwrap();
            assert_eq!(encode(&again).unwrap(), bytes);
            assert_eq!(again.log_id, entry.log_id);
        }
    }

    #[test]
    fn a_frame_made_by_the_proposer_is_what_encoding_makes() {
        let mut with_frame = proposal(4);
        with_frame.frame = Some(seal_command::<Counter>(5, &with_frame.command).unwrap().into());
        let log_id = LogId::default();
        let encoded = [with_frame, proposal(4)].map(|p| {
            encode(&Entry::<Counter> { log_id, payload: EntryPayload::Normal(Batch(vec![p])) }).unwrap()
        });
        assert_eq!(encoded[0], encoded[1]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        for entry in entries() {
            let bytes = encode(&entry).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(scan(&bad).is_err(), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert!(scan(&bytes[..len]).is_err(), "cut to {len}");
            }
        }
    }

    #[test]
    fn an_unknown_command_is_named() {
        let error = read_command::<Counter>(br#"{"time_ms":1,"command":{"Multiply":3}}"#).unwrap_err();
        assert!(error.message().contains("Multiply"), "{error}");
        assert!(read_command::<Counter>(br#"{"time_ms":1,"command":{"Add":3},"more":1}"#).is_err());
    }
}
