//! Progress of long work, for a person who waits.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far some work is. Totals are 0 while they are not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    pub files: u64,
    pub bytes: u64,
    pub files_total: u64,
    pub bytes_total: u64,
}

/// Who wants to know; called often, from several tasks.
pub type OnProgress<'a> = &'a (dyn Fn(Done) + Send + Sync);

/// Adds up what several tasks do.
pub(crate) struct Meter<'a> {
    on: OnProgress<'a>,
    totals: (u64, u64),
    files: AtomicU64,
    bytes: AtomicU64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(on: OnProgress<'a>, files_total: u64, bytes_total: u64) -> Self {
        Self { on, totals: (files_total, bytes_total), files: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, files: u64, bytes: u64) {
        let files = self.files.fetch_add(files, Ordering::Relaxed) + files;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.on)(Done { files, bytes, files_total: self.totals.0, bytes_total: self.totals.1 });
    }

    /// Files and bytes so far.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
