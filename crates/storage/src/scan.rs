//! Reads all rows of a partition, segment by segment: for tests and checks. Queries go through `exec`.

use arrow::array::RecordBatch;
use cairn_catalog::{Catalog, Partition};
use cairn_types::Result;

use crate::compact::live;
use crate::context::StorageContext;
use crate::manifest::Segment;
use crate::merge::MERGED_ROWS;
use crate::reader::SegmentReader;
use crate::segment::format_of;

/// The rows of one segment, in its order.
#[derive(Clone, Debug)]
pub struct SegmentRows {
    pub bucket: u32,
    pub segment: Segment,
    pub batches: Vec<RecordBatch>,
}

/// All rows of the visible version of `partition`, of all columns or of those at the positions `projection`. Holds them
/// all in memory.
///
/// # Errors
/// `Corrupt`, naming the file; `Unavailable`.
pub async fn scan_partition(
    ctx: &StorageContext,
    catalog: &Catalog,
    partition: &Partition,
    projection: Option<&[usize]>,
) -> Result<Vec<SegmentRows>> {
    let place = ctx.volumes.place(catalog, partition)?;
    let manifest = ctx.manifests.load_visible(&place, partition).await?;
    let mut scanned = Vec::new();
    for (rowset, segment) in manifest.segments() {
        let key = place.key(&segment.file);
        let reader = SegmentReader::open(&ctx.cache, &place.store, &key, segment);
        let bytes = reader.read(0..segment.bytes).await?;
        let named =
            |e: cairn_types::Error| e.context(format!("segment file {}", place.describe(&segment.file)));
        let decoded = format_of(segment.kind).decode(bytes, projection, MERGED_ROWS).map_err(named)?;
        let batches = live(decoded, segment).collect::<Result<Vec<_>>>().map_err(named)?;
        scanned.push(SegmentRows { bucket: rowset.bucket, segment: segment.clone(), batches });
    }
    Ok(scanned)
}
