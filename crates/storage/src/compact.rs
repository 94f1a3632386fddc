//! Merges segments of a partition and puts the result in their place. The rows stay, and so does the data version.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use cairn_catalog::{Catalog, Command, Partition};
use cairn_objects::layout;
use cairn_types::{Error, ErrorKind, PartitionId, Result};

use crate::commit::{Changed, any_base_changed, change, check_fences, may_have_happened};
use crate::compaction::{CompactionSettings, Pick, pick};
use crate::context::{StorageContext, visible_partition};
use crate::deletes::DeleteVector;
use crate::flush::discard;
use crate::manifest::{Manifest, RowVersions, Rowset, Segment};
use crate::merge::{MERGED_ROWS, merge};
use crate::open_writes::WriteGuard;
use crate::reader::SegmentReader;
use crate::segment::{
    BatchIter, EncodedSegment, RowsAhead, SegmentEncoder, SegmentShape, default_format, format_of,
};
use crate::supersede::{KeyFiles, Source, hide};
use crate::volumes::PartitionPlace;

/// How often a result is put on top of what others committed meanwhile.
const TRIES: usize = 16;

/// What a compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compacted {
    pub segments_in: usize,
    pub segments_out: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub rows: u64,
}

/// The result of one tablet's merge.
struct Merged {
    pick: Pick,
    rowset: Rowset,
    /// Rows of the inputs that were left out because they did not count.
    dead: u64,
}

/// Compacts partition `id` once, if it needs that. `None`: there was nothing to do, or others changed the same segments
/// first.
///
/// # Errors
/// `Conflict` when the partition is gone; `Corrupt` when an input is; `Fenced`, `ResourceExhausted`, `Unavailable`.
pub async fn compact(
    ctx: &Arc<StorageContext>,
    id: PartitionId,
    settings: &CompactionSettings,
) -> Result<Option<Compacted>> {
    let catalog = ctx.meta.catalog();
    let partition = visible_partition(&catalog, id)?;
    let place = ctx.volumes.place(&catalog, partition)?;
    let manifest = ctx.manifests.load_visible(&place, partition).await?;
    let picks = pick(&manifest, settings);
    if picks.is_empty() {
        return Ok(None);
    }
    let write = Arc::new(ctx.open_writes.begin(&ctx.env));
    let run = Run { ctx, place, write, shape: shape(&catalog, partition)?, settings: *settings, manifest };
    let mut files = Vec::new();
    let outcome = run.run(picks, &mut files).await;
    // An error of the journal leaves it open whether the result counts: the files stay then.
    let unknown = matches!(&outcome, Err((e, true)) if may_have_happened(e.kind()));
    if !matches!(outcome, Ok(Some(_))) && !unknown {
        discard(&files).await;
    }
    outcome.map_err(|(error, _)| error)
}

fn shape(catalog: &Catalog, partition: &Partition) -> Result<SegmentShape> {
    let table = catalog.table(partition.table).and_then(|t| t.olap());
    table
        .map(SegmentShape::of)
        .ok_or_else(|| Error::internal(format!("partition {} has no table", partition.id)))
}

struct Run<'a> {
    ctx: &'a Arc<StorageContext>,
    place: PartitionPlace,
    write: Arc<WriteGuard>,
    shape: SegmentShape,
    settings: CompactionSettings,
    /// What the inputs are read from.
    manifest: Arc<Manifest>,
}

/// An error, and whether the journal was asked already.
type RunResult<T> = std::result::Result<T, (Error, bool)>;

impl Run<'_> {
    async fn run(
        &self,
        picks: Vec<Pick>,
        files: &mut Vec<(PartitionPlace, String)>,
    ) -> RunResult<Option<Compacted>> {
        let before = |e| (e, false);
        let mut merged = Vec::with_capacity(picks.len());
        for pick in picks {
            merged.push(self.merge_tablet(pick, files).await.map_err(before)?);
        }
        self.ctx.env.failpoint("compaction.after_segments").map_err(before)?;
        let _locked = self.ctx.partition_locks.lock(vec![self.place.folder.partition]).await;
        match self.replace(&merged).await? {
            true => Ok(Some(summary(&merged))),
            false => Ok(None),
        }
    }

    /// Merges the segments of `pick` into a new rowset.
    async fn merge_tablet(&self, pick: Pick, files: &mut Vec<(PartitionPlace, String)>) -> Result<Merged> {
        let picked = self.manifest.segments().map(|(_, s)| s).filter(|s| pick.files.contains(&s.file));
        let segments: Vec<Segment> = picked.cloned().collect();
        let mut inputs = Vec::with_capacity(segments.len());
        for segment in &segments {
            let reader = SegmentReader::open(
                &self.ctx.cache,
                &self.place.store,
                &self.place.key(&segment.file),
                segment,
            );
            let decoded = format_of(segment.kind).decode(reader.read_whole().await?, None, MERGED_ROWS)?;
            inputs.push(live(conformed(decoded, self.shape.schema.clone()), segment));
        }
        let ahead = ahead(&self.shape, &segments);
        let rows: u64 = segments.iter().map(Segment::live_rows).sum();
        let dead = segments.iter().map(|s| s.rows).sum::<u64>() - rows;
        let (shape, bytes_max) = (self.shape.clone(), self.settings.input_bytes_max);
        let encoded = {
            let _permit = Arc::clone(&self.ctx.encode_permits).acquire_owned().await;
            let work = move || merge_into_segments(&shape, &ahead, inputs, bytes_max);
            let done = self.ctx.env.spawn_blocking(work).await;
            done.map_err(|e| Error::internal(format!("a compaction failed: {e}")))??
        };
        if encoded.iter().map(|e| e.rows).sum::<u64>() != rows {
            return Err(Error::internal(format!(
                "a compaction of {rows} rows would not keep them all: it was given up"
            )));
        }
        let mut rowset = Rowset {
            write: self.write.id().to_owned(),
            bucket: pick.bucket,
            segments: Vec::new(),
            versions: versions(&self.manifest, &pick),
        };
        for (number, segment) in (0u64..).zip(encoded) {
            let file = layout::segment_file(self.write.id(), pick.bucket, number);
            let described = segment.describe(file.clone());
            files.push((self.place.clone(), file));
            self.place.store.put_new(&self.place.key(&described.file), segment.bytes).await?;
            rowset.segments.push(described);
        }
        Ok(Merged { pick, rowset, dead })
    }

    /// Hides in the outputs, which stand in `next`, what was hidden in the inputs after they were read: rows whose keys came
    /// again in `current`. False when it cannot be told which rows these are.
    async fn catch_up(&self, current: &Manifest, next: &mut Manifest, merged: &[Merged]) -> Result<bool> {
        let known: BTreeSet<&str> = self.manifest.segments().map(|(_, s)| s.file.as_str()).collect();
        for one in merged {
            let inputs = current.segments().map(|(_, s)| s).filter(|s| one.pick.files.contains(&s.file));
            let hidden = inputs.map(|s| s.rows - s.live_rows()).sum::<u64>().saturating_sub(one.dead);
            if hidden == 0 {
                continue;
            }
            let in_tablet = current.segments().filter(|(rowset, _)| rowset.bucket == one.pick.bucket);
            let newer: Vec<&Segment> =
                in_tablet.map(|(_, s)| s).filter(|s| !known.contains(s.file.as_str())).collect();
            let files = KeyFiles { ctx: self.ctx, place: &self.place, shape: &self.shape };
            let wanted = files.wanted(&newer).await?;
            let outputs = one.rowset.segments.iter();
            // A newer row that does not count any more has hidden the older one all the same.
            let sources: Vec<_> = outputs.chain(newer).map(Source::whole).collect();
            let mut superseded = files.superseded(&sources, &wanted).await?;
            superseded.truncate(one.rowset.segments.len());
            if superseded.iter().map(DeleteVector::len).sum::<u64>() != hidden {
                return Ok(false);
            }
            hide(next, one.rowset.segments.iter().map(|s| s.file.as_str()).zip(&superseded));
        }
        Ok(true)
    }

    /// Makes the result count, on top of whatever was committed since. False when its inputs are gone.
    async fn replace(&self, merged: &[Merged]) -> RunResult<bool> {
        let before = |e| (e, false);
        for attempt in 0..TRIES {
            let catalog = self.ctx.meta.catalog();
            let partition = visible_partition(&catalog, self.place.folder.partition).map_err(before)?;
            let current = self.ctx.manifests.load_visible(&self.place, partition).await.map_err(before)?;
            let Some(mut next) = rebase(&current, merged) else { return Ok(false) };
            if !self.catch_up(&current, &mut next, merged).await.map_err(before)? {
                return Ok(false);
            }
            let write = match attempt {
                0 => Arc::clone(&self.write),
                _ => Arc::new(self.ctx.open_writes.begin(&self.ctx.env)),
            };
            check_fences(&catalog, std::iter::once(&self.place)).await.map_err(before)?;
            let manifest =
                self.ctx.manifests.write(&self.place, Arc::new(next), write.id()).await.map_err(before)?;
            self.ctx.env.failpoint("compaction.after_manifest").map_err(before)?;
            let change = change(partition, manifest, false);
            match self.ctx.meta.propose(Command::CommitCompaction { change: change.clone() }).await {
                Ok(_) => {
                    self.ctx.env.failpoint("compaction.after_commit").map_err(|e| (e, true))?;
                    return Ok(true);
                }
                Err(e) => {
                    let changed = [Changed { change, place: self.place.clone() }];
                    let overtaken = e.kind() == ErrorKind::Conflict
                        && any_base_changed(&self.ctx.meta.catalog(), &changed);
                    if !overtaken {
                        return Err((e, true));
                    }
                    discard(&changed.map(|c| (c.place, c.change.manifest.name))).await;
                }
            }
        }
        Ok(false)
    }
}

/// The rows of `batches`, which are those of `segment`, that count.
pub(crate) fn live(batches: BatchIter, segment: &Segment) -> BatchIter {
    let Some(deleted) = &segment.deleted else { return batches };
    let mask = deleted.live_mask(usize::try_from(segment.rows).unwrap_or(usize::MAX));
    let mut start = 0;
    Box::new(batches.map(move |batch| {
        let batch = batch?;
        let rows = batch.num_rows();
        if start + rows > mask.len() {
            return Err(Error::corrupt("a segment has more rows than its manifest says"));
        }
        let keep = BooleanArray::new(mask.slice(start, rows), None);
        start += rows;
        filter_record_batch(&batch, &keep).map_err(crate::arrow_error)
    }))
}

/// The data versions that the rows of `pick` came with.
fn versions(manifest: &Manifest, pick: &Pick) -> Option<RowVersions> {
    let picked = manifest.segments().filter(|(_, segment)| pick.files.contains(&segment.file));
    RowVersions::span(picked.map(|(rowset, _)| rowset.versions))
}

/// `current` without the inputs, with the outputs; `None` when an input is not there any more.
fn rebase(current: &Manifest, merged: &[Merged]) -> Option<Manifest> {
    let inputs: BTreeSet<&str> = merged.iter().flat_map(|m| &m.pick.files).map(String::as_str).collect();
    let present = current.segments().filter(|(_, s)| inputs.contains(s.file.as_str())).count();
    if present != inputs.len() {
        return None;
    }
    let mut next = current.clone();
    for rowset in &mut next.rowsets {
        rowset.segments.retain(|s| !inputs.contains(s.file.as_str()));
    }
    next.rowsets.retain(|rowset| !rowset.segments.is_empty());
    next.rowsets.extend(merged.iter().map(|m| m.rowset.clone()).filter(|r| !r.segments.is_empty()));
    Some(next)
}

/// Batches with exactly the columns of `schema`, found by name.
fn conformed(batches: BatchIter, schema: arrow::datatypes::SchemaRef) -> BatchIter {
    Box::new(batches.map(move |batch| {
        let batch = batch?;
        let column = |field: &Arc<arrow::datatypes::Field>| {
            batch
                .column_by_name(field.name())
                .filter(|c| c.data_type() == field.data_type())
                .cloned()
                .ok_or_else(|| {
                    Error::corrupt(format!(
                        "a segment has no column {} of type {}",
                        field.name(),
                        field.data_type()
                    ))
                })
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        arrow::array::RecordBatch::try_new(schema.clone(), columns).map_err(crate::arrow_error)
    }))
}

/// What the inputs' zone maps say about the rows to come.
fn ahead(shape: &SegmentShape, segments: &[Segment]) -> RowsAhead {
    let mut nan_columns = Vec::new();
    for (position, field) in
        shape.schema.fields().iter().enumerate().filter(|(_, f)| f.data_type().is_floating())
    {
        // Only a NaN keeps a float column with values from having bounds.
        let unbounded = |s: &Segment| {
            s.columns
                .iter()
                .find(|c| c.name == *field.name())
                .is_none_or(|c| c.min.is_none() && c.nulls < s.rows)
        };
        if segments.iter().any(unbounded) {
            nan_columns.push(position);
        }
    }
    RowsAhead { rows_max: segments.iter().map(|s| s.rows).sum(), nan_columns }
}

fn merge_into_segments(
    shape: &SegmentShape,
    ahead: &RowsAhead,
    inputs: Vec<BatchIter>,
    bytes_max: u64,
) -> Result<Vec<EncodedSegment>> {
    let mut done = Vec::new();
    let mut encoder: Option<Box<dyn SegmentEncoder>> = None;
    merge(&shape.schema, &shape.sort_key, inputs, &mut |batch| {
        let mut open = match encoder.take() {
            Some(open) => open,
            None => default_format().encoder(shape, ahead)?,
        };
        open.write(&batch)?;
        match open.bytes_so_far() as u64 > bytes_max.saturating_mul(2) {
            true => done.push(open.finish()?),
            false => encoder = Some(open),
        }
        Ok(())
    })?;
    if let Some(open) = encoder {
        done.push(open.finish()?);
    }
    Ok(done)
}

fn summary(merged: &[Merged]) -> Compacted {
    let mut done = Compacted::default();
    for one in merged {
        done.segments_in += one.pick.files.len();
        done.bytes_in += one.pick.bytes;
        done.segments_out += one.rowset.segments.len();
        done.bytes_out += one.rowset.segments.iter().map(|s| s.bytes).sum::<u64>();
        done.rows += one.rowset.segments.iter().map(|s| s.rows).sum::<u64>();
    }
    done
}
