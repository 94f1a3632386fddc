//! openraft's door to the log file: the same operations, with the newest entries in memory. Appending blocks the thread, which
//! is the journal's own; what comes seldom, or can take long, is done beside it.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use cairn_env::Env;
use cairn_types::{Error, Result};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;

use crate::entry;
use crate::errors::{REMEDY, StopCause, damaged};
use crate::group::{Entry, Group, LogId, StorageError, Vote};
use crate::log_file::LogFile;
use crate::state::State;

/// Entries kept in memory; openraft reads each one back right after it was written.
const RECENT_ENTRIES_MAX: usize = 64;
const RECENT_BYTES_MAX: usize = 8 << 20;

/// The log as openraft sees it; clones are the same log.
pub(crate) struct LogStore<S: State> {
    env: Env,
    file: Arc<LogFile>,
    cause: StopCause,
    shared: Arc<Mutex<Shared<S>>>,
}

struct Shared<S: State> {
    last: Option<LogId>,
    purged: Option<LogId>,
    /// Written with the next append, or never: it is a hint that openraft works out again.
    committed: Option<LogId>,
    recent: Recent<S>,
}

/// The newest entries, without holes, with their sizes in bytes.
struct Recent<S: State> {
    entries: VecDeque<(Entry<S>, usize)>,
    bytes: usize,
}

impl<S: State> Clone for LogStore<S> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            file: Arc::clone(&self.file),
            cause: self.cause.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: State> LogStore<S> {
    /// `committed` is what the caller knows to be committed and has applied.
    ///
    /// # Errors
    /// `Corrupt`, `Unavailable`.
    pub fn new(env: Env, file: LogFile, cause: StopCause, committed: Option<LogId>) -> Result<Self> {
        let progress = file.progress();
        let last = match file.last()? {
            Some(bytes) => Some(entry::scan(&bytes).map_err(|e| damaged(file.path(), &e))?.head.log_id),
            None => progress.purged,
        };
        let committed = committed.max(progress.committed);
        let recent = Recent { entries: VecDeque::new(), bytes: 0 };
        let shared = Shared { last, purged: progress.purged, committed, recent };
        Ok(Self { env, file: Arc::new(file), cause, shared: Arc::new(Mutex::new(shared)) })
    }

    /// Runs `work` on the file beside the runtime; its failure stops the journal.
    async fn on_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LogFile) -> Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let file = Arc::clone(&self.file);
        let done = self.env.spawn_blocking(move || work(&file)).await;
        done.unwrap_or_else(|e| Err(Error::internal(format!("a thread of the journal ended early: {e}"))))
            .map_err(|e| self.cause.note(&e))
    }
}

impl<S: State> Recent<S> {
    fn push(&mut self, entry: Entry<S>, bytes: usize) {
        if self.entries.back().is_some_and(|(last, _)| last.log_id.index + 1 != entry.log_id.index) {
            self.clear();
        }
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        while self.entries.len() > RECENT_ENTRIES_MAX
            || (self.bytes > RECENT_BYTES_MAX && self.entries.len() > 1)
        {
            self.bytes -= self.entries.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// All entries of `range`, or `None` when one of them is not here.
    fn get(&self, range: &Range<u64>) -> Option<Vec<Entry<S>>> {
        let first = self.entries.front()?.0.log_id.index;
        let skip = usize::try_from(range.start.checked_sub(first)?).ok()?;
        let count = usize::try_from(range.end.saturating_sub(range.start)).ok()?;
        let found: Vec<_> = self.entries.iter().skip(skip).take(count).map(|(e, _)| e.clone()).collect();
        (found.len() == count).then_some(found)
    }
}

/// `range` with both ends named, cut to what a log from after `purged` to `last` can hold.
fn held(range: impl RangeBounds<u64>, purged: Option<LogId>, last: Option<LogId>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    let after = |log_id: Option<LogId>| log_id.map_or(0, |l| l.index + 1);
    let start = start.max(after(purged));
    start..end.min(after(last)).max(start)
}

impl<S: State> RaftLogReader<Group<S>> for LogStore<S> {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<S>>, StorageError> {
        let range = {
            let shared = self.shared.lock();
            let range = held(range, shared.purged, shared.last);
            if range.is_empty() {
                return Ok(Vec::new());
            }
            if let Some(entries) = shared.recent.get(&range) {
                return Ok(entries);
            }
            range
        };
        self.on_file(move |file| {
            let decode = |(index, bytes): (u64, Vec<u8>)| {
                entry::decode::<S>(&bytes).map_err(|e| {
                    let place = format!("{}: log entry {index}", file.path().display());
                    Error::new(e.kind(), format!("{place}: {}: {REMEDY}", e.message()))
                })
            };
            file.entries(range)?.into_iter().map(decode).collect()
        })
        .await
    }
}

impl<S: State> RaftLogStorage<Group<S>> for LogStore<S> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Group<S>>, StorageError> {
        let shared = self.shared.lock();
        Ok(LogState { last_purged_log_id: shared.purged, last_log_id: shared.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.on_file(move |file| file.save_vote(&vote)).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.on_file(LogFile::vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.shared.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.shared.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Group<S>>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry<S>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let encoded: Result<Vec<_>> =
            entries.iter().map(|e| Ok((e.log_id.index, entry::encode::<S>(e)?))).collect();
        let encoded = encoded.map_err(|e| self.cause.note(&e))?;
        let sizes: Vec<_> = encoded.iter().map(|(_, bytes)| bytes.len()).collect();
        let committed = self.shared.lock().committed;
        // Not beside: the tasks of this thread have next to nothing to do before it is durable, and two wake-ups cost more.
        self.file.append(&encoded, committed).map_err(|e| self.cause.note(&e))?;
        {
            let mut shared = self.shared.lock();
            shared.last = entries.last().map(|e| e.log_id).or(shared.last);
            for (entry, bytes) in entries.into_iter().zip(sizes) {
                shared.recent.push(entry, bytes);
            }
        }
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let before = {
            let shared = self.shared.lock();
            (log_id.index.checked_sub(1), shared.purged)
        };
        let last = self
            .on_file(move |file| {
                file.truncate(log_id.index)?;
                match before {
                    (Some(index), purged) if purged.is_none_or(|p| p.index < index) => {
                        let found = file.entries(index..index + 1)?;
                        let head = |(_, bytes): &(u64, Vec<u8>)| {
                            entry::scan(bytes).map(|s| s.head.log_id).map_err(|e| damaged(file.path(), &e))
                        };
                        found.first().map(head).transpose()
                    }
                    (_, purged) => Ok(purged),
                }
            })
            .await?;
        let mut shared = self.shared.lock();
        shared.last = last;
        shared.recent.clear();
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.on_file(move |file| file.purge(log_id)).await?;
        let mut shared = self.shared.lock();
        shared.purged = shared.purged.max(Some(log_id));
        shared.last = shared.last.max(Some(log_id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Counter;
    use openraft::{CommittedLeaderId, EntryPayload};

    fn log_id(index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(1, 1), index)
    }

    #[test]
    fn ranges_are_cut_to_what_is_held() {
        let (purged, last) = (Some(log_id(4)), Some(log_id(9)));
        assert_eq!(held(0..100, purged, last), 5..10);
        assert_eq!(held(.., purged, last), 5..10);
        assert_eq!(held(6..=7, purged, last), 6..8);
        assert!(held(0..5, purged, last).is_empty());
        assert!(held(12..14, purged, last).is_empty());
        assert!(held(.., None, None).is_empty());
        assert_eq!(held(.., None, last), 0..10);
    }

    #[test]
    fn recent_entries_are_answered_whole_or_not_at_all() {
        let mut recent = Recent::<Counter> { entries: VecDeque::new(), bytes: 0 };
        let entry = |index| Entry::<Counter> { log_id: log_id(index), payload: EntryPayload::Blank };
        for index in 0..100 {
            recent.push(entry(index), 10);
        }
        assert_eq!(recent.entries.len(), RECENT_ENTRIES_MAX);
        let indexes =
            |range| recent.get(&range).map(|e| e.iter().map(|e| e.log_id.index).collect::<Vec<_>>());
        assert_eq!(indexes(97..100), Some(vec![97, 98, 99]));
        assert_eq!(indexes(97..101), None);
        assert_eq!(indexes(35..40), None);
        recent.push(entry(200), RECENT_BYTES_MAX + 1);
        assert_eq!(recent.entries.len(), 1);
        recent.push(entry(201), 1);
        assert_eq!((recent.entries.len(), recent.bytes), (1, 1));
    }
}
