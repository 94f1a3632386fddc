//! Segments as Parquet files.
//!
//! Snappy pages (they are cheap to write and to read), 256 k rows a row group, 4 k rows a page, page index, small
//! dictionaries, the Arrow schema embedded so that types come back exactly as they were.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use cairn_types::{Error, Literal, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::literal::literal_at;
use crate::manifest::{ColumnStats, SegmentKind};
use crate::reader::parquet_error;
use crate::segment::{BatchIter, EncodedSegment, RowsAhead, SegmentEncoder, SegmentFormat, SegmentShape};

const ROW_GROUP_ROWS_MAX: usize = 256 << 10;
/// What one row costs whoever asks for it by its key: a page of each column.
const PAGE_ROWS_MAX: usize = 4 << 10;
/// A reader of any page decodes the dictionary of its column first.
const DICTIONARY_BYTES_MAX: usize = 128 << 10;
/// Bytes of a string in statistics; longer ones are cut, and then are bounds instead of values.
const STATISTICS_BYTES_MAX: usize = 64;
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Parquet.
pub struct ParquetFormat;

impl SegmentFormat for ParquetFormat {
    fn kind(&self) -> SegmentKind {
        SegmentKind::Parquet
    }

    fn encoder(&self, shape: &SegmentShape, ahead: &RowsAhead) -> Result<Box<dyn SegmentEncoder>> {
        let properties = properties(shape, ahead);
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&shape.schema), Some(properties))
            .map_err(|e| Error::internal(format!("a segment cannot be begun: {e}")))?;
        let nulls = vec![0; shape.schema.fields().len()];
        Ok(Box::new(ParquetEncoder { writer, schema: Arc::clone(&shape.schema), rows: 0, nulls }))
    }

    fn decode(&self, bytes: Bytes, projection: Option<&[usize]>, batch_rows: usize) -> Result<BatchIter> {
        let mut builder =
            ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| parquet_error(e, "(in memory)"))?;
        if let Some(columns) = projection {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        let reader =
            builder.with_batch_size(batch_rows).build().map_err(|e| parquet_error(e, "(in memory)"))?;
        Ok(Box::new(
            reader
                .map(|batch| batch.map_err(|e| Error::corrupt(format!("a segment cannot be decoded: {e}")))),
        ))
    }
}

fn properties(shape: &SegmentShape, ahead: &RowsAhead) -> WriterProperties {
    let column =
        |position: usize| shape.schema.fields().get(position).map(|f| ColumnPath::from(f.name().as_str()));
    let sorting = shape.sort_key.iter().filter_map(|position| {
        let column_idx = i32::try_from(*position).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: true })
    });
    let mut builder = WriterProperties::builder()
        .set_created_by("cairn".to_owned())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_sorting_columns(Some(sorting.collect()));
    // Values of the first sort column rarely come back after others: a dictionary of them is work without gain.
    let first = shape.sort_key.first().copied();
    if let Some(path) = first
        .filter(|f| shape.schema.fields().get(*f).is_some_and(|f| f.data_type().is_integer()))
        .and_then(column)
    {
        builder = builder.set_column_dictionary_enabled(path, false);
    }
    for path in shape.bloom_columns.iter().filter_map(|c| column(*c)) {
        let values_max = ahead.rows_max.clamp(1, ROW_GROUP_ROWS_MAX as u64);
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path, values_max);
    }
    for path in ahead.nan_columns.iter().filter_map(|c| column(*c)) {
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    builder.build()
}

struct ParquetEncoder {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    rows: u64,
    /// NULLs of each column.
    nulls: Vec<u64>,
}

impl SegmentEncoder for ParquetEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        for (nulls, column) in self.nulls.iter_mut().zip(batch.columns()) {
            *nulls += column.null_count() as u64;
        }
        self.writer.write(batch).map_err(|e| Error::internal(format!("a segment cannot be written: {e}")))
    }

    fn bytes_so_far(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    fn finish(mut self: Box<Self>) -> Result<EncodedSegment> {
        let broken = |e| Error::internal(format!("a segment cannot be finished: {e}"));
        let metadata = self.writer.finish().map_err(broken)?;
        let columns = column_stats(&self.schema, &metadata, &self.nulls)?;
        // Finishing has flushed everything into it.
        let bytes = std::mem::take(self.writer.inner_mut());
        Ok(EncodedSegment { bytes: bytes.into(), kind: SegmentKind::Parquet, rows: self.rows, columns })
    }
}

/// The zone maps of all columns, from what the writer saw.
fn column_stats(schema: &SchemaRef, metadata: &ParquetMetaData, nulls: &[u64]) -> Result<Vec<ColumnStats>> {
    let descriptor = metadata.file_metadata().schema_descr();
    let one = |(field, nulls): (&Arc<arrow::datatypes::Field>, &u64)| {
        let broken = |e| Error::internal(format!("statistics of column {}: {e}", field.name()));
        let converter = StatisticsConverter::try_new(field.name(), schema, descriptor).map_err(broken)?;
        let groups = || metadata.row_groups().iter();
        let group_nulls = converter.row_group_null_counts(groups()).map_err(broken)?;
        let exact = [
            converter.row_group_is_min_value_exact(groups()).map_err(broken)?,
            converter.row_group_is_max_value_exact(groups()).map_err(broken)?,
        ];
        let found = RowGroupStats {
            all_null: groups()
                .zip(&group_nulls)
                .map(|(g, n)| n.and_then(|n| i64::try_from(n).ok()) == Some(g.num_rows()))
                .collect(),
            mins: converter.row_group_mins(groups()).map_err(broken)?,
            maxes: converter.row_group_maxes(groups()).map_err(broken)?,
            exact: exact.iter().all(|flags| flags.iter().all(|flag| flag != Some(false))),
        };
        found.combine(field.name(), *nulls)
    };
    schema.fields().iter().zip(nulls).map(one).collect()
}

/// A column's statistics by row group.
struct RowGroupStats {
    all_null: Vec<bool>,
    mins: ArrayRef,
    maxes: ArrayRef,
    exact: bool,
}

impl RowGroupStats {
    fn combine(&self, name: &str, nulls: u64) -> Result<ColumnStats> {
        let (mut min, mut max) = (None::<Literal>, None::<Literal>);
        let mut known = true;
        for (group, all_null) in self.all_null.iter().enumerate() {
            let (low, high) = (literal_at(&self.mins, group)?, literal_at(&self.maxes, group)?);
            if low.is_null() || high.is_null() {
                known &= all_null;
                continue;
            }
            min = Some(min.map_or(low.clone(), |m| m.min(low)));
            max = Some(max.map_or(high.clone(), |m| m.max(high)));
        }
        let (min, max) = if known { (min, max) } else { (None, None) };
        // Of floats the two zeros count as one in statistics: a bound may be a value that does not occur.
        let exact = self.exact && min.is_some() && !self.mins.data_type().is_floating();
        Ok(ColumnStats { name: name.to_owned(), nulls, min, max, exact })
    }
}
