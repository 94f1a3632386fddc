//! UNIQUE and PRIMARY KEY tables: of the rows of one key the one that was written last counts. Finds the others, so that a
//! commit can hide them.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use arrow::array::Array;
use arrow::row::{RowConverter, Rows};
use cairn_types::{Error, Literal, Result};

use crate::context::StorageContext;
use crate::deletes::DeleteVector;
use crate::keys::{KeyStream, Wanted};
use crate::literal::literal_at;
use crate::manifest::{Manifest, Segment};
use crate::reader::SegmentReader;
use crate::segment::SegmentShape;
use crate::sort::key_converter;
use crate::volumes::PartitionPlace;

/// Up to so many new rows are looked for one by one; of more, only their range is.
const WANTED_VALUES_MAX: u64 = 4096;
/// Older segments that are read at the same time, each holding some MiB of its keys.
const OLD_AT_ONCE: usize = 8;

/// Where the segments of a manifest are read.
pub(crate) struct KeyFiles<'a> {
    pub(crate) ctx: &'a StorageContext,
    pub(crate) place: &'a PartitionPlace,
    pub(crate) shape: &'a SegmentShape,
}

/// A segment whose keys are compared.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) segment: &'a Segment,
    /// These rows do not count.
    pub(crate) without: Option<&'a DeleteVector>,
}

impl<'a> Source<'a> {
    /// The rows of `segment` that count.
    fn live(segment: &'a Segment) -> Self {
        Self { segment, without: segment.deleted.as_ref() }
    }

    /// All rows of `segment`.
    pub(crate) fn whole(segment: &'a Segment) -> Self {
        Self { segment, without: None }
    }
}

/// Hides in `manifest` all rows whose keys come again in a segment of the write `write`, which stands behind all others.
/// Returns whether rows that were visible before are among them.
///
/// # Errors
/// `Corrupt`, naming the file; `Unavailable`.
pub(crate) async fn hide_superseded(
    files: &KeyFiles<'_>,
    manifest: &mut Manifest,
    write: &str,
) -> Result<bool> {
    let buckets: BTreeSet<u32> =
        manifest.rowsets.iter().filter(|r| r.write == write).map(|r| r.bucket).collect();
    let mut hidden_before = false;
    for bucket in buckets {
        let (new, old): (Vec<_>, Vec<_>) = manifest
            .segments()
            .filter(|(rowset, _)| rowset.bucket == bucket)
            .partition(|(r, _)| r.write == write);
        let new: Vec<&Segment> = new.into_iter().map(|(_, segment)| segment).collect();
        let wanted = files.wanted(&new).await?;
        let first_key = files.first_key();
        let old = old.into_iter().map(|(_, s)| s).filter(|s| wanted.touches_segment(s, first_key));
        let old: Vec<&Segment> = old.filter(|s| s.live_rows() > 0).collect();
        if old.is_empty() && new.len() < 2 {
            continue;
        }
        // Old rows that count have different keys: their segments need not be compared with each other.
        let mut found = Vec::new();
        for old in old.chunks(OLD_AT_ONCE).chain(old.is_empty().then_some(&[][..])) {
            let sources: Vec<_> = old.iter().chain(&new).map(|segment| Source::live(segment)).collect();
            let superseded = files.superseded(&sources, &wanted).await?;
            hidden_before |= superseded.iter().take(old.len()).any(|rows| !rows.is_empty());
            found.extend(sources.iter().map(|s| s.segment.file.clone()).zip(superseded));
        }
        hide(manifest, found.iter().map(|(file, rows)| (file.as_str(), rows)));
    }
    Ok(hidden_before)
}

/// Adds rows to the delete vectors of the segments of these files.
pub(crate) fn hide<'a>(manifest: &mut Manifest, rows: impl Iterator<Item = (&'a str, &'a DeleteVector)>) {
    for (file, dead) in rows.filter(|(_, dead)| !dead.is_empty()) {
        let segments = manifest.rowsets.iter_mut().flat_map(|rowset| &mut rowset.segments);
        for segment in segments.filter(|segment| segment.file == file) {
            segment.deleted.get_or_insert_default().extend(dead);
        }
    }
}

impl KeyFiles<'_> {
    fn first_key(&self) -> &str {
        let first = self.shape.sort_key.first().and_then(|at| self.shape.schema.fields().get(*at));
        first.map_or("", |field| field.name())
    }

    fn converter(&self) -> Result<RowConverter> {
        key_converter(&self.shape.schema, &self.shape.sort_key)?
            .ok_or_else(|| Error::internal("a table with a unique key has no key columns"))
    }

    async fn open(&self, segment: &Segment, wanted: &Wanted) -> Result<KeyStream> {
        let key = self.place.key(&segment.file);
        let reader = SegmentReader::open(&self.ctx.cache, &self.place.store, &key, segment);
        KeyStream::open(reader, segment, self.shape, wanted).await
    }

    /// What the first key column of the rows of `segments` is like.
    pub(crate) async fn wanted(&self, segments: &[&Segment]) -> Result<Wanted> {
        let mut bounds: Option<(Literal, Literal)> = None;
        for segment in segments {
            let stats = segment.columns.iter().find(|column| column.name == self.first_key());
            let Some((Some(min), Some(max), 0)) = stats.map(|s| (&s.min, &s.max, s.nulls)) else {
                return Ok(Wanted::All);
            };
            bounds = Some(match bounds {
                None => (min.clone(), max.clone()),
                Some((low, high)) => (low.min(min.clone()), high.max(max.clone())),
            });
        }
        let Some((low, high)) = bounds else { return Ok(Wanted::OneOf(Vec::new())) };
        match segments.iter().map(|s| s.rows).sum::<u64>() <= WANTED_VALUES_MAX {
            true => self.values(segments).await.map(Wanted::OneOf),
            false => Ok(Wanted::Between(low, high)),
        }
    }

    async fn values(&self, segments: &[&Segment]) -> Result<Vec<Literal>> {
        let converter = self.converter()?;
        let mut values = BTreeSet::new();
        for segment in segments {
            let mut keys = self.open(segment, &Wanted::All).await?;
            while keys.next(&converter).await?.is_some() {
                let Some(column) = keys.first_column() else { continue };
                for row in 0..column.len() {
                    values.insert(literal_at(column, row)?);
                }
            }
        }
        Ok(values.into_iter().collect())
    }

    /// Of each source the rows whose keys a later source has, too; only those with `wanted` keys are looked for.
    ///
    /// # Errors
    /// `Corrupt`, naming the file; `Unavailable`.
    pub(crate) async fn superseded(
        &self,
        sources: &[Source<'_>],
        wanted: &Wanted,
    ) -> Result<Vec<DeleteVector>> {
        // Comparing keys is work like encoding them.
        let _permit = self.ctx.encode_permits.acquire().await;
        let converter = self.converter()?;
        let mut superseded = vec![DeleteVector::default(); sources.len()];
        let mut streams = Vec::with_capacity(sources.len());
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            let mut keys = self.open(source.segment, wanted).await?;
            if let Some(head) = Head::first(&mut keys, number, source.without, &converter).await? {
                heads.push(Reverse(head));
            }
            streams.push(keys);
        }
        let mut last: Option<Head> = None;
        while let Some(Reverse(head)) = heads.pop() {
            if let Some(last) = last.filter(|last| last.key() == head.key())
                && let Some(rows) = superseded.get_mut(last.source)
            {
                rows.insert(last.position);
            }
            let without = sources.get(head.source).and_then(|source| source.without);
            if let Some(keys) = streams.get_mut(head.source)
                && let Some(next) = head.next(keys, without, &converter).await?
            {
                heads.push(Reverse(next));
            }
            last = Some(head);
        }
        Ok(superseded)
    }
}

/// The next key of a source.
struct Head {
    keys: Arc<Rows>,
    row: usize,
    position: u32,
    source: usize,
}

impl Head {
    fn key(&self) -> arrow::row::Row<'_> {
        self.keys.row(self.row)
    }

    async fn first(
        keys: &mut KeyStream,
        source: usize,
        without: Option<&DeleteVector>,
        converter: &RowConverter,
    ) -> Result<Option<Self>> {
        match keys.next(converter).await? {
            None => Ok(None),
            Some(rows) => {
                Self { keys: Arc::new(rows), row: 0, position: 0, source }
                    .live(keys, without, converter)
                    .await
            }
        }
    }

    async fn next(
        &self,
        keys: &mut KeyStream,
        without: Option<&DeleteVector>,
        converter: &RowConverter,
    ) -> Result<Option<Self>> {
        let next = Self { keys: Arc::clone(&self.keys), row: self.row + 1, ..*self };
        next.live(keys, without, converter).await
    }

    /// This row, or the next after it that counts.
    async fn live(
        mut self,
        keys: &mut KeyStream,
        without: Option<&DeleteVector>,
        converter: &RowConverter,
    ) -> Result<Option<Self>> {
        loop {
            if self.row >= self.keys.num_rows() {
                match keys.next(converter).await? {
                    None => return Ok(None),
                    Some(rows) => (self.keys, self.row) = (Arc::new(rows), 0),
                }
            }
            self.position = keys.next_position()?;
            if !without.is_some_and(|rows| rows.contains(self.position)) {
                return Ok(Some(self));
            }
            self.row += 1;
        }
    }
}

/// By key; of equal keys the older source first.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key()).then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}
