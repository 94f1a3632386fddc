//! Writes one buffer of a load: rows by tablet, sorted, encoded on a few threads, put into the volume.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::RecordBatch;
use cairn_env::Env;
use cairn_objects::layout;
use cairn_types::{Error, ErrorKind, PartitionId, Result};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::buffer::Buffer;
use crate::manifest::Segment;
use crate::open_writes::WriteGuard;
use crate::reader::BlockCache;
use crate::route::Tablet;
use crate::segment::{EncodedSegment, RowsAhead, SegmentShape, default_format};
use crate::sort::{RowRef, SortKeys, gather};
use crate::uploads::Uploads;
use crate::volumes::PartitionPlace;

/// Rows of one segment; more of one tablet in one buffer make several.
const SEGMENT_ROWS_MAX: usize = 2 << 20;
/// Rows that are gathered and encoded at a time.
const CHUNK_ROWS: usize = 32 << 10;
/// Tablets that are being encoded or written: more than threads, because a durable write mostly waits.
const TABLETS_AT_ONCE: usize = 8;
/// Buffers up to this are sorted and encoded where the load runs: waking another thread would take as long.
const SMALL_BYTES_MAX: usize = 64 << 10;
const SMALL_TABLETS_MAX: usize = 4;

/// Small files of one load that the block cache keeps from the start: a large load must not drive out what is read often.
const KEPT_FILES_MAX: u64 = 8;

/// What all flushes of a load share.
pub(crate) struct FlushTarget {
    pub env: Env,
    pub cache: Arc<BlockCache>,
    pub shape: SegmentShape,
    pub write: Arc<WriteGuard>,
    pub encode_permits: Arc<Semaphore>,
    pub places: Mutex<HashMap<PartitionId, PartitionPlace>>,
    /// Makes file names of the write unique.
    pub next_file: AtomicU64,
    /// Every file that may have been written.
    pub files: Mutex<Vec<(PartitionPlace, String)>>,
    pub uploads: Arc<Uploads>,
    /// The load was given up or has failed: no more files.
    pub cancelled: AtomicBool,
}

/// A segment that was written.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub tablet: Tablet,
    pub segment: Segment,
}

/// A tablet's rows of one buffer.
struct Piece {
    tablet: Tablet,
    refs: Vec<RowRef>,
}

struct Rows {
    batches: Vec<RecordBatch>,
    keys: SortKeys,
    /// Of all tablets together: NaNs must be known before a tablet's first row is written, and are rare.
    nan_columns: Vec<usize>,
    /// So few that no thread is woken for them.
    small: bool,
}

impl FlushTarget {
    /// Writes the rows of `buffer`; `tablets` says what its tablet numbers stand for.
    pub async fn flush(self: Arc<Self>, buffer: Buffer, tablets: Vec<Tablet>) -> Result<Vec<Flushed>> {
        let this = Arc::clone(&self);
        let small = buffer.bytes() <= SMALL_BYTES_MAX && tablets.len() <= SMALL_TABLETS_MAX;
        let (rows, pieces) = self.blocking(small, move || this.plan(buffer, &tablets, small)).await?;
        let rows = Arc::new(rows);
        let all = pieces.into_iter().map(|piece| Arc::clone(&self).write_piece(Arc::clone(&rows), piece));
        // All are waited for, also after an error: no file may appear after the clean-up that follows.
        let outcomes: Vec<_> = futures::stream::iter(all).buffer_unordered(TABLETS_AT_ONCE).collect().await;
        let mut flushed = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            flushed.extend(outcome?);
        }
        Ok(flushed)
    }

    fn plan(&self, buffer: Buffer, tablets: &[Tablet], small: bool) -> Result<(Rows, Vec<Piece>)> {
        let (batches, by_tablet) = buffer.into_tablets(tablets.len())?;
        let keys = SortKeys::new(&self.shape.schema, &self.shape.sort_key, &batches)?;
        let piece = |(number, refs): (u32, Vec<RowRef>)| {
            tablets.get(number as usize).map(|tablet| Piece { tablet: *tablet, refs })
        };
        let nan_columns = RowsAhead::of(&batches).nan_columns;
        Ok((Rows { batches, keys, nan_columns, small }, by_tablet.into_iter().filter_map(piece).collect()))
    }

    /// Writes one tablet's rows. A failure ends the load, so the other tablets need not go on either.
    async fn write_piece(self: Arc<Self>, rows: Arc<Rows>, piece: Piece) -> Result<Vec<Flushed>> {
        let outcome = Arc::clone(&self).try_write_piece(rows, piece).await;
        if outcome.is_err() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        outcome
    }

    async fn try_write_piece(self: Arc<Self>, rows: Arc<Rows>, piece: Piece) -> Result<Vec<Flushed>> {
        let encoded = {
            let _permit = Arc::clone(&self.encode_permits).acquire_owned().await;
            let this = Arc::clone(&self);
            let mut refs = piece.refs;
            self.blocking(rows.small, move || this.encode(&rows, &mut refs)).await?
        };
        let mut flushed = Vec::with_capacity(encoded.len());
        for segment in encoded {
            let segment = self.put(piece.tablet, segment).await?;
            flushed.push(Flushed { tablet: piece.tablet, segment });
        }
        Ok(flushed)
    }

    fn encode(&self, rows: &Rows, refs: &mut Vec<RowRef>) -> Result<Vec<EncodedSegment>> {
        self.check_cancelled()?;
        rows.keys.sort(refs);
        if self.shape.keyed {
            rows.keys.keep_last(refs);
        }
        let schema = &self.shape.schema;
        refs.chunks(SEGMENT_ROWS_MAX)
            .map(|refs| {
                let ahead = RowsAhead { rows_max: refs.len() as u64, nan_columns: rows.nan_columns.clone() };
                let mut encoder = default_format().encoder(&self.shape, &ahead)?;
                for chunk in refs.chunks(CHUNK_ROWS) {
                    encoder.write(&gather(schema, &rows.batches, chunk)?)?;
                }
                encoder.finish()
            })
            .collect()
    }

    async fn put(&self, tablet: Tablet, encoded: EncodedSegment) -> Result<Segment> {
        self.check_cancelled()?;
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let segment = encoded.describe(layout::segment_file(self.write.id(), tablet.bucket, number));
        let place = self.places.lock().get(&tablet.partition).cloned();
        let place =
            place.ok_or_else(|| Error::internal(format!("partition {} has no place", tablet.partition)))?;
        // Noted before it is written: a write whose answer is lost is cleaned up too.
        self.files.lock().push((place.clone(), segment.file.clone()));
        let (cache, key) = (Arc::clone(&self.cache), place.key(&segment.file));
        // Beside the bytes: as long as a file may come, the vacuum must know of the write.
        let write = Arc::clone(&self.write);
        let bytes = encoded.bytes.len();
        let upload = async move {
            place.store.put_new(&key, encoded.bytes.clone()).await?;
            if number < KEPT_FILES_MAX {
                cache.keep_written(&place.store, &key, &encoded.bytes);
            }
            drop(write);
            Ok(())
        };
        match self.shape.keyed {
            // A commit reads its keys.
            true => upload.await?,
            false => self.uploads.run(&self.env, bytes, upload).await?,
        }
        Ok(segment)
    }

    fn check_cancelled(&self) -> Result<()> {
        match self.cancelled.load(Ordering::Relaxed) {
            false => Ok(()),
            true => {
                Err(Error::new(ErrorKind::Cancelled, "the load was given up, or another part of it failed"))
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        small: bool,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if small {
            return work();
        }
        let done = self.env.spawn_blocking(work).await;
        done.map_err(|e| Error::internal(format!("writing segments failed: {e}")))?
    }
}

/// Deletes files that nothing reaches. Best effort: what stays is the vacuum's.
pub(crate) async fn discard(files: &[(PartitionPlace, String)]) {
    for (place, file) in files {
        if let Err(error) = place.store.delete(&place.key(file)).await {
            tracing::warn!(file = place.describe(file), %error, "a file of an aborted write is left to the vacuum");
        }
    }
}
