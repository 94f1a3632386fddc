//! The log file: entries, vote and progress in one redb database. Blocking; see [`crate::log_store`] for the door
//! that openraft uses.
//!
//! Every write is one durable commit, numbered by [`Progress::sequence`]; the number goes to [`crate::reached`] too.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_env::files::io_error;
use cairn_types::{Error, Result};
use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, Table, TableDefinition};

use crate::errors::{REMEDY, damaged, log_error, without_panic};
use crate::group::{LogId, Vote};
use crate::layout::Layout;
use crate::overlay::Overlay;
use crate::reached::ReachedFile;
use crate::records::{self, Progress, Reached};

const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
const PROGRESS: &str = "progress";
const VOTE: &str = "vote";

/// redb's page cache. Entries are read once, at the start, and come from memory afterwards.
const CACHE_BYTES: usize = 32 << 20;

/// The log file, open for writing.
#[derive(Debug)]
pub(crate) struct LogFile {
    db: Database,
    path: PathBuf,
    reached: ReachedFile,
    progress: Mutex<Progress>,
    commits: Arc<AtomicU64>,
}

/// The two tables in one write.
struct Tables<'txn> {
    entries: Table<'txn, u64, &'static [u8]>,
    records: Table<'txn, &'static str, &'static [u8]>,
}

/// The log file for reading only, whatever its state; nothing is written to it.
#[derive(Debug)]
pub(crate) struct LogReader {
    db: Database,
    path: PathBuf,
    pub progress: Progress,
    /// redb found its page accounting wrong although all data is whole.
    pub needs_repair: bool,
}

impl LogFile {
    /// Makes a log file whose first entry will follow `progress.purged`, and the file beside it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(layout: &Layout, progress: &Progress, vote: Option<Vote>) -> Result<()> {
        let path = layout.log();
        let db = builder().create(&path).map_err(|e| log_error("create", &path, e))?;
        let progress = Progress { sequence: progress.sequence + 1, ..progress.clone() };
        write(&db, &path, |tables| {
            put_record(&mut tables.records, &path, PROGRESS, &progress)?;
            vote.map_or(Ok(()), |vote| put_record(&mut tables.records, &path, VOTE, &vote))
        })?;
        ReachedFile::create(&layout.reached(), &progress.reached())
    }

    /// Opens the log file through `backend`, which reads and writes `layout.log()`. Call only after a
    /// [`LogReader`] found it whole.
    ///
    /// # Errors
    /// `Conflict` when another process has it open; `Corrupt`.
    pub fn open<B: StorageBackend>(layout: &Layout, backend: B, repair: bool) -> Result<Self> {
        let path = layout.log();
        without_panic("open", &path, || {
            let mut db = builder().create_with_backend(backend).map_err(|e| log_error("open", &path, e))?;
            if repair {
                tracing::warn!(path = %path.display(), "the journal's page accounting is repaired");
                db.check_integrity().map_err(|e| log_error("repair", &path, e))?;
            }
            let progress = read_progress(&db, &path)?;
            let reached = ReachedFile::open(&layout.reached())?;
            let commits = Arc::default();
            Ok(Self { db, path: path.clone(), reached, progress: Mutex::new(progress), commits })
        })
    }

    /// The file as a redb backend that locks it.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`; `Corrupt` for an empty file.
    pub fn backend(layout: &Layout) -> Result<FileBackend> {
        let path = layout.log();
        let file: File =
            OpenOptions::new().read(true).write(true).open(&path).map_err(|e| io_error("open", &path, &e))?;
        if file.metadata().map_err(|e| io_error("read", &path, &e))?.len() == 0 {
            return Err(Error::corrupt(format!("{} is empty: {REMEDY}", path.display())));
        }
        FileBackend::new(file).map_err(|e| log_error("open", &path, e))
    }

    pub fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    /// Counts durable commits since the file was opened.
    pub fn commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commits)
    }

    /// Adds entries by index, and notes what is committed by now. Durable when it returns.
    ///
    /// # Errors
    /// As the file system says; whether the entries are kept is open then.
    pub fn append(&self, entries: &[(u64, Vec<u8>)], committed: Option<LogId>) -> Result<()> {
        self.commit("append to", |tables, progress| {
            progress.committed = committed;
            for (index, bytes) in entries {
                tables.entries.insert(*index, bytes.as_slice()).map_err(|e| self.fail(e))?;
            }
            Ok(())
        })
    }

    /// Removes the entries from `index` on.
    ///
    /// # Errors
    /// As the file system says.
    pub fn truncate(&self, index: u64) -> Result<()> {
        self.commit("truncate", |tables, _| {
            tables.entries.retain_in(index.., |_, _| false).map_err(|e| self.fail(e))
        })
    }

    /// Removes the entries up to `log_id`, which stays known as the one before the first.
    ///
    /// # Errors
    /// As the file system says.
    pub fn purge(&self, log_id: LogId) -> Result<()> {
        self.commit("purge", |tables, progress| {
            progress.purged = progress.purged.max(Some(log_id));
            tables.entries.retain_in(..=log_id.index, |_, _| false).map_err(|e| self.fail(e))
        })
    }

    /// Keeps this member's vote.
    ///
    /// # Errors
    /// As the file system says.
    pub fn save_vote(&self, vote: &Vote) -> Result<()> {
        self.commit("write the vote to", |tables, _| put_record(&mut tables.records, &self.path, VOTE, vote))
    }

    /// # Errors
    /// `Corrupt`, `Unavailable`.
    pub fn vote(&self) -> Result<Option<Vote>> {
        read_record(&self.db, &self.path, VOTE)
    }

    /// The entries with an index in `range` that are there, in order.
    ///
    /// # Errors
    /// `Corrupt`, `Unavailable`.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut found = Vec::new();
        each_entry(&self.db, &self.path, range, &mut |index, bytes| {
            found.push((index, bytes.to_vec()));
            Ok(())
        })?;
        Ok(found)
    }

    /// The bytes of the last entry.
    ///
    /// # Errors
    /// `Corrupt`, `Unavailable`.
    pub fn last(&self) -> Result<Option<Vec<u8>>> {
        without_panic("read", &self.path, || {
            let table = open_entries(&self.db, &self.path)?;
            let last = table.last().map_err(|e| log_error("read", &self.path, e))?;
            Ok(last.map(|(_, value)| value.value().to_vec()))
        })
    }

    /// The text that names this file in errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn fail(&self, error: redb::StorageError) -> Error {
        log_error("write", &self.path, error)
    }

    fn commit(
        &self,
        doing: &str,
        change: impl FnOnce(&mut Tables<'_>, &mut Progress) -> Result<()>,
    ) -> Result<()> {
        let mut kept = self.progress.lock();
        let mut progress = Progress { sequence: kept.sequence + 1, ..kept.clone() };
        without_panic(doing, &self.path, || {
            write(&self.db, &self.path, |tables| {
                change(tables, &mut progress)?;
                put_record(&mut tables.records, &self.path, PROGRESS, &progress)
            })
        })?;
        self.reached.note(&progress.reached());
        self.commits.fetch_add(1, Ordering::Relaxed);
        *kept = progress;
        Ok(())
    }
}

impl LogReader {
    /// Opens the file as it is on disk and checks all its pages.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` when it is damaged, empty or no journal.
    pub fn open(layout: &Layout) -> Result<Self> {
        let path = layout.log();
        let overlay = Overlay::open(&path)?;
        without_panic("read", &path, || {
            let mut db = builder().create_with_backend(overlay).map_err(|e| log_error("read", &path, e))?;
            let whole = db.check_integrity().map_err(|e| log_error("check", &path, e))?;
            let progress = read_progress(&db, &path)?;
            Ok(Self { db, path: path.clone(), progress, needs_repair: !whole })
        })
    }

    /// Calls `each` with index and bytes of every entry, in order.
    ///
    /// # Errors
    /// `Corrupt`, and whatever `each` says.
    pub fn each_entry(&self, each: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        each_entry(&self.db, &self.path, 0..u64::MAX, each)
    }
}

impl Progress {
    pub fn reached(&self) -> Reached {
        Reached { group: self.group.clone(), sequence: self.sequence }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// One durable commit.
fn write(db: &Database, path: &Path, change: impl FnOnce(&mut Tables<'_>) -> Result<()>) -> Result<()> {
    let fail = |e: redb::Error| log_error("write", path, e);
    let txn = db.begin_write().map_err(|e| fail(e.into()))?;
    {
        let mut tables = Tables {
            entries: txn.open_table(ENTRIES).map_err(|e| fail(e.into()))?,
            records: txn.open_table(RECORDS).map_err(|e| fail(e.into()))?,
        };
        change(&mut tables)?;
    }
    txn.commit().map_err(|e| fail(e.into()))
}

fn put_record<T: serde::Serialize>(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    path: &Path,
    key: &str,
    record: &T,
) -> Result<()> {
    let sealed = records::seal(record)?;
    table.insert(key, sealed.as_slice()).map_err(|e| log_error("write", path, e))?;
    Ok(())
}

fn read_record<T: serde::de::DeserializeOwned>(db: &Database, path: &Path, key: &str) -> Result<Option<T>> {
    without_panic("read", path, || {
        let fail = |e: redb::Error| log_error("read", path, e);
        let txn = db.begin_read().map_err(|e| fail(e.into()))?;
        let table = txn.open_table(RECORDS).map_err(|e| fail(e.into()))?;
        let Some(value) = table.get(key).map_err(|e| fail(e.into()))? else { return Ok(None) };
        records::open(value.value()).map(Some).map_err(|e| damaged(path, &e.context(format!("its {key}"))))
    })
}

fn read_progress(db: &Database, path: &Path) -> Result<Progress> {
    read_record(db, path, PROGRESS)?
        .ok_or_else(|| Error::corrupt(format!("{} holds no journal: {REMEDY}", path.display())))
}

fn open_entries(db: &Database, path: &Path) -> Result<redb::ReadOnlyTable<u64, &'static [u8]>> {
    let txn = db.begin_read().map_err(|e| log_error("read", path, e))?;
    txn.open_table(ENTRIES).map_err(|e| log_error("read", path, e))
}

fn each_entry(
    db: &Database,
    path: &Path,
    range: Range<u64>,
    each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    without_panic("read", path, || {
        let table = open_entries(db, path)?;
        for row in table.range(range).map_err(|e| log_error("read", path, e))? {
            let (key, value) = row.map_err(|e| log_error("read", path, e))?;
            each(key.value(), value.value())?;
        }
        Ok(())
    })
}
