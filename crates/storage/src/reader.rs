//! Reads segment files: block by block, each checked against the manifest, kept in memory, parsed once.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cairn_objects::VolumeStore;
use cairn_types::{Error, ErrorKind, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::flight_cache::{CacheUsage, FlightCache};
use crate::manifest::{BLOCK_BYTES, Segment};

/// Bytes at the end of a file that are looked at first for the footer; one read finds the whole one of most files.
const FOOTER_GUESS_BYTES: usize = 64 << 10;

/// Blocks and parsed footers of segment files, shared by all readers of a process.
pub struct BlockCache {
    blocks: FlightCache<(Arc<str>, u32), Bytes>,
    footers: FlightCache<Arc<str>, Arc<ParquetMetaData>>,
}

impl BlockCache {
    /// At most `cache_bytes_max` bytes of file blocks, and `footer_bytes_max` of parsed footers.
    #[must_use]
    pub fn new(cache_bytes_max: usize, footer_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            blocks: FlightCache::new(cache_bytes_max),
            footers: FlightCache::new(footer_bytes_max),
        })
    }

    #[must_use]
    pub fn blocks_usage(&self) -> CacheUsage {
        self.blocks.usage()
    }

    /// Keeps a file that was just written and is one block: who writes a little is often read at once. Checked it was when
    /// its checksum was taken.
    pub(crate) fn keep_written(&self, store: &VolumeStore, key: &str, file: &Bytes) {
        if file.len() <= BLOCK_BYTES {
            self.blocks.put(&(file_name(store, key), 0), file.clone(), file.len());
        }
    }

    #[must_use]
    pub fn footers_usage(&self) -> CacheUsage {
        self.footers.usage()
    }
}

/// One segment file. Cheap to clone.
#[derive(Clone)]
pub struct SegmentReader {
    cache: Arc<BlockCache>,
    store: VolumeStore,
    key: Arc<str>,
    /// Volume and key: what caches and errors call it.
    name: Arc<str>,
    bytes: u64,
    block_checksums: Arc<[u32]>,
}

impl SegmentReader {
    /// A reader of the file at `key` in `store`, which a manifest describes as `segment`. Nothing is read yet.
    #[must_use]
    pub fn open(cache: &Arc<BlockCache>, store: &VolumeStore, key: &str, segment: &Segment) -> Self {
        Self {
            cache: Arc::clone(cache),
            store: store.clone(),
            key: key.into(),
            name: file_name(store, key),
            bytes: segment.bytes,
            block_checksums: segment.block_checksums.as_slice().into(),
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes `range` of the file, checked. Without a copy when they lie in one block.
    ///
    /// # Errors
    /// `Corrupt`, naming file and block, when the bytes are not those that the manifest speaks of or the file is missing;
    /// `Unavailable`.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.bytes {
            return Err(self
                .damaged(&format!("bytes {}..{} of {} were asked for", range.start, range.end, self.bytes)));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let block_bytes = BLOCK_BYTES as u64;
        let (first, last) = (range.start / block_bytes, (range.end - 1) / block_bytes);
        let blocks = futures::future::try_join_all((first..=last).map(|number| self.block(number))).await?;
        let offset = usize::try_from(range.start % block_bytes).unwrap_or(usize::MAX);
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        match blocks.as_slice() {
            // `block` has checked the lengths: both slices lie inside.
            [one] => Ok(one.slice(offset..offset + length)),
            many => {
                let mut joined = BytesMut::with_capacity(length);
                let mut skip = offset;
                for block in many {
                    let rest = block.get(skip..).unwrap_or_default();
                    joined.extend_from_slice(rest.get(..length - joined.len()).unwrap_or(rest));
                    skip = 0;
                }
                Ok(joined.freeze())
            }
        }
    }

    /// The whole file, checked, past the cache: for compaction, which reads a file once.
    ///
    /// # Errors
    /// As [`SegmentReader::read`].
    pub async fn read_whole(&self) -> Result<Bytes> {
        let file = self.store.get(&self.key).await.map_err(|e| self.read_error(e))?;
        if file.len() as u64 != self.bytes {
            return Err(self.damaged(&format!("it has {} bytes, not {}", file.len(), self.bytes)));
        }
        for (number, block) in (0u64..).zip(file.chunks(BLOCK_BYTES)) {
            self.check(number, block)?;
        }
        Ok(file)
    }

    /// The parsed footer with the page index.
    ///
    /// # Errors
    /// As [`SegmentReader::read`].
    pub async fn metadata(&self) -> Result<Arc<ParquetMetaData>> {
        let load = || async {
            let mut fetch = self.clone();
            let metadata = ParquetMetaDataReader::new()
                .with_page_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(Some(FOOTER_GUESS_BYTES))
                .load_and_finish(&mut fetch, self.bytes)
                .await
                .map_err(|e| parquet_error(e, &self.name))?;
            let bytes = metadata.memory_size();
            Ok((Arc::new(metadata), bytes))
        };
        self.cache.footers.get_or_load(&self.name, load).await
    }

    async fn block(&self, number: u64) -> Result<Bytes> {
        let start = number * BLOCK_BYTES as u64;
        let end = (start + BLOCK_BYTES as u64).min(self.bytes);
        let load = || async {
            let block = self.store.get_range(&self.key, start..end).await.map_err(|e| self.read_error(e))?;
            if block.len() as u64 != end - start {
                return Err(self.damaged(&format!("block {number} is cut short")));
            }
            self.check(number, &block)?;
            let bytes = block.len();
            Ok((block, bytes))
        };
        let position = u32::try_from(number).map_err(|_| self.damaged("it is too long"))?;
        self.cache.blocks.get_or_load(&(Arc::clone(&self.name), position), load).await
    }

    fn check(&self, number: u64, block: &[u8]) -> Result<()> {
        let expected = usize::try_from(number).ok().and_then(|n| self.block_checksums.get(n));
        match expected {
            Some(checksum) if *checksum == cairn_codec::checksum(block) => Ok(()),
            Some(_) => Err(self.damaged(&format!("the checksum of block {number} differs"))),
            None => Err(self.damaged(&format!("the manifest has no checksum of block {number}"))),
        }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::corrupt(format!("segment file {} is damaged: {what}", self.name))
    }

    /// A file that a manifest names and that is not there is damage, not absence.
    fn read_error(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let partition = cairn_objects::DataKey::parse(&self.key).map(|k| k.folder.partition.to_string());
        Error::corrupt(format!(
            "segment file {} is missing, but the manifest of partition {} names it: restore it from a snapshot or a copy",
            self.name,
            partition.unwrap_or_else(|| "(unknown)".into())
        ))
    }
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.read(range).await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        let this = &*self;
        async move {
            let reads = futures::future::try_join_all(ranges.into_iter().map(|range| this.read(range)));
            reads.await.map_err(|e| ParquetError::External(Box::new(e)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move { self.metadata().await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }
}

/// What caches and errors call the file at `key`.
fn file_name(store: &VolumeStore, key: &str) -> Arc<str> {
    format!("{}/{key}", store.location()).into()
}

/// The error of the Parquet library while it read `file`: our own error if that is what it wraps. The bytes had the right
/// checksum then, so anything else means that they are no segment.
pub(crate) fn parquet_error(error: ParquetError, file: &str) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::corrupt(format!("segment file {file} cannot be read: {other}")),
        },
        other => Error::corrupt(format!("segment file {file} cannot be read: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{SegmentKind, block_checksums};

    const KEY: &str = "c/data/1/2/3/w-0-0.parquet";

    async fn stored(bytes: usize) -> (VolumeStore, Bytes, Segment) {
        let content: Bytes = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
        let store = VolumeStore::in_memory();
        store.put_new(KEY, content.clone()).await.unwrap();
        let segment = Segment {
            file: "w-0-0.parquet".into(),
            kind: SegmentKind::Parquet,
            rows: 1,
            bytes: bytes as u64,
            block_checksums: block_checksums(&content),
            columns: Vec::new(),
            deleted: None,
        };
        (store, content, segment)
    }

    #[tokio::test]
    async fn ranges_are_read_across_blocks_and_kept() {
        let block = BLOCK_BYTES as u64;
        let (store, content, segment) = stored(BLOCK_BYTES * 2 + 100).await;
        let cache = BlockCache::new(64 << 20, 1 << 20);
        let reader = SegmentReader::open(&cache, &store, KEY, &segment);
        for range in
            [0..0, 0..1, 5..block, block - 1..block + 1, 3..block * 2 + 100, block * 2..block * 2 + 100]
        {
            let expected = content.slice(range.start as usize..range.end as usize);
            assert_eq!(reader.read(range.clone()).await.unwrap(), expected, "{range:?}");
        }
        assert_eq!(reader.read_whole().await.unwrap(), content);
        assert_eq!(cache.blocks_usage().misses, 3);
        store.delete(KEY).await.unwrap();
        assert!(reader.read(0..block).await.is_ok(), "kept in memory");
        assert_eq!(reader.read(0..block * 3).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn damage_is_named_and_never_kept() {
        let (store, content, mut segment) = stored(BLOCK_BYTES + 10).await;
        let cache = BlockCache::new(64 << 20, 1 << 20);
        segment.block_checksums[1] ^= 1;
        let reader = SegmentReader::open(&cache, &store, KEY, &segment);
        assert!(reader.read(0..10).await.is_ok(), "the first block is whole");
        for read in [reader.read(0..segment.bytes).await, reader.read_whole().await] {
            let error = read.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(
                error.message().contains("w-0-0.parquet") && error.message().contains("block 1"),
                "{error}"
            );
        }
        segment.block_checksums = block_checksums(&content);
        let healed = SegmentReader::open(&cache, &store, KEY, &segment);
        assert_eq!(healed.read(0..segment.bytes).await.unwrap(), content);
    }

    #[tokio::test]
    async fn a_missing_or_short_file_is_damage() {
        let (store, content, segment) = stored(100).await;
        let cache = BlockCache::new(0, 0);
        store.delete(KEY).await.unwrap();
        let reader = SegmentReader::open(&cache, &store, KEY, &segment);
        for read in [reader.read(0..10).await, reader.read_whole().await] {
            let error = read.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.message().contains("partition 3"), "{error}");
        }
        store.put_new(KEY, content.slice(..99)).await.unwrap();
        assert_eq!(reader.read(0..10).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(reader.read_whole().await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
