//! Tests of the whole journal over a tiny state.

mod damage;
mod faults;
mod life;
mod suite;

use std::path::Path;

use cairn_env::Env;
use cairn_types::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Journal, Options, State};

/// A sum, and what it was made of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub sum: i64,
    /// Index, time and summand of the last commands.
    pub seen: std::collections::VecDeque<(u64, u64, i64)>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Change {
    Add(i64),
    Note(String),
    Panic,
}

impl State for Counter {
    type Command = Change;
    type Outcome = i64;

    fn apply(&mut self, index: u64, time_ms: u64, command: &Change) -> i64 {
        let summand = match command {
            Change::Add(n) => *n,
            Change::Note(text) => text.len() as i64,
            Change::Panic => panic!("asked to"),
        };
        self.sum += summand;
        self.seen.push_back((index, time_ms, summand));
        if self.seen.len() > 100 {
            self.seen.pop_front();
        }
        self.sum
    }

    fn encode_image(&self, index: u64) -> Vec<u8> {
        serde_json::to_vec(&(index, self)).unwrap()
    }

    fn decode_image(bytes: &[u8]) -> Result<(u64, Self)> {
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt(e.to_string()))
    }
}

/// Each with random numbers of its own, so that two journals are two groups.
pub(crate) fn env() -> Env {
    static SEED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(7);
    Env::simulated(SEED.fetch_add(1, std::sync::atomic::Ordering::Relaxed), 1_000_000).0
}

/// No image and no purge unless asked for; everything imaged twice is purged.
pub(crate) fn options() -> Options {
    Options { entries_kept: 0, ..Options::default() }
}

pub(crate) async fn create(dir: &Path) -> Journal<Counter> {
    Journal::create(dir, env(), options(), 0, Counter::default()).await.unwrap()
}

pub(crate) async fn open(dir: &Path) -> Result<Journal<Counter>> {
    Journal::open(dir, env(), options()).await
}

/// Opens the journal in `dir` as soon as whoever has it lets it go.
pub(crate) async fn open_when_let_go(dir: &Path) -> Journal<Counter> {
    for _ in 0..1_000 {
        if let Ok(journal) = open(dir).await {
            return journal;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    open(dir).await.unwrap()
}

pub(crate) async fn add(journal: &Journal<Counter>, n: i64) -> Result<crate::Applied<Counter>> {
    journal.propose(Change::Add(n)).await
}

/// Copies a directory tree as it is: what `kill -9` leaves.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
