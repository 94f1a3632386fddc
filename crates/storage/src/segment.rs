//! How a segment's rows become bytes and back, behind a trait: the kind of each segment stands in the manifest, so a table
//! can hold several.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use cairn_catalog::{Distribution, OlapTable};
use cairn_types::Result;

use crate::literal::visit_floats;
use crate::manifest::{ColumnStats, Segment, SegmentKind, block_checksums};
use crate::parquet_format::ParquetFormat;
use crate::types::arrow_schema;

/// What is common to all segments of a table.
#[derive(Clone, Debug)]
pub struct SegmentShape {
    pub schema: SchemaRef,
    /// Positions of the columns that rows are sorted by; NULL first, strings by their bytes.
    pub sort_key: Vec<usize>,
    /// Positions of the columns that get bloom filters.
    pub bloom_columns: Vec<usize>,
    /// The sort key is a key: of rows that are equal there only the last counts.
    pub keyed: bool,
}

impl SegmentShape {
    /// The shape of new segments of `table`. Distribution columns get bloom filters, but for the first sort column: there
    /// zone maps and the page index find a value as well.
    #[must_use]
    pub fn of(table: &OlapTable) -> Self {
        let bloom_columns = match &table.distribution {
            Distribution::Hash { columns, .. } => {
                columns.iter().copied().filter(|c| table.sort_key.first() != Some(c)).collect()
            }
            Distribution::Random { .. } => Vec::new(),
        };
        Self {
            schema: arrow_schema(&table.schema),
            sort_key: table.sort_key.clone(),
            bloom_columns,
            keyed: table.model.is_keyed(),
        }
    }
}

/// What is known about the rows of a segment before they are written.
#[derive(Clone, Debug, Default)]
pub struct RowsAhead {
    /// At most so many rows.
    pub rows_max: u64,
    /// Positions of float columns that hold a NaN: it has no place between a smallest and a largest value, so these columns
    /// get no statistics.
    pub nan_columns: Vec<usize>,
}

impl RowsAhead {
    /// Looks at all rows.
    #[must_use]
    pub fn of(batches: &[RecordBatch]) -> Self {
        let mut nan_columns = Vec::new();
        let columns = batches.first().map_or(0, RecordBatch::num_columns);
        for position in 0..columns {
            let mut has_nan = false;
            for column in batches.iter().filter_map(|b| b.columns().get(position)) {
                visit_floats(column, |_, v| has_nan |= v.is_some_and(f64::is_nan));
            }
            if has_nan {
                nan_columns.push(position);
            }
        }
        Self { rows_max: batches.iter().map(|b| b.num_rows() as u64).sum(), nan_columns }
    }
}

/// The bytes of a segment file and what the manifest says about them.
#[derive(Clone, Debug)]
pub struct EncodedSegment {
    pub bytes: Bytes,
    pub kind: SegmentKind,
    pub rows: u64,
    pub columns: Vec<ColumnStats>,
}

impl EncodedSegment {
    /// The manifest's entry of this segment as `file`.
    #[must_use]
    pub fn describe(&self, file: String) -> Segment {
        Segment {
            file,
            kind: self.kind,
            rows: self.rows,
            bytes: self.bytes.len() as u64,
            block_checksums: block_checksums(&self.bytes),
            columns: self.columns.clone(),
            deleted: None,
        }
    }
}

/// Batches of a decoded segment, in the order of its rows.
pub type BatchIter = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A way to write and read segments.
pub trait SegmentFormat: Send + Sync {
    fn kind(&self) -> SegmentKind;

    /// Begins a segment.
    ///
    /// # Errors
    /// `Internal` when the shape cannot be stored.
    fn encoder(&self, shape: &SegmentShape, ahead: &RowsAhead) -> Result<Box<dyn SegmentEncoder>>;

    /// Reads back the rows of `bytes`, whose checksums were verified: all columns, or those at the positions
    /// `projection`, at most `batch_rows` at a time.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are no segment; also from the iterator.
    fn decode(&self, bytes: Bytes, projection: Option<&[usize]>, batch_rows: usize) -> Result<BatchIter>;
}

/// A segment that is being written. Rows come in order of the sort key.
pub trait SegmentEncoder: Send {
    /// # Errors
    /// `Internal` when the batch does not have the shape's schema.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// About how many bytes the file would have if it ended now.
    fn bytes_so_far(&self) -> usize;

    /// # Errors
    /// `Internal`.
    fn finish(self: Box<Self>) -> Result<EncodedSegment>;
}

/// The format of segments of this kind.
#[must_use]
pub fn format_of(kind: SegmentKind) -> &'static dyn SegmentFormat {
    match kind {
        SegmentKind::Parquet => &ParquetFormat,
    }
}

/// The format of new segments.
#[must_use]
pub fn default_format() -> &'static dyn SegmentFormat {
    &ParquetFormat
}

/// One segment of the sorted `batches`.
///
/// # Errors
/// `Internal`.
pub fn encode(
    format: &dyn SegmentFormat,
    shape: &SegmentShape,
    batches: &[RecordBatch],
) -> Result<EncodedSegment> {
    let mut encoder = format.encoder(shape, &RowsAhead::of(batches))?;
    batches.iter().try_for_each(|batch| encoder.write(batch))?;
    encoder.finish()
}
