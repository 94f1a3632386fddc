//! Reads the keys of segments: key columns alone, and of these the pages that can hold what is looked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::row::{RowConverter, Rows};
use cairn_types::{Error, Literal, Result};
use futures::StreamExt;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::arrow_error;
use crate::literal::literal_at;
use crate::manifest::Segment;
use crate::merge::MERGED_ROWS;
use crate::reader::{SegmentReader, parquet_error};
use crate::segment::SegmentShape;

/// What the first key column of the rows to be found is like. NULLs stand outside of bounds: who looks for one wants `All`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Wanted {
    /// Anything.
    All,
    Between(Literal, Literal),
    /// One of these, in order.
    OneOf(Vec<Literal>),
}

impl Wanted {
    /// Whether values from `min` to `max` can be wanted. Where these are not known, or of NULLs, anything can be.
    pub(crate) fn touches(&self, min: &Literal, max: &Literal) -> bool {
        if min.is_null() || max.is_null() {
            return true;
        }
        match self {
            Self::All => true,
            Self::Between(low, high) => low <= max && min <= high,
            Self::OneOf(values) => {
                let first = values.partition_point(|value| value < min);
                values.get(first).is_some_and(|value| value <= max)
            }
        }
    }

    /// Whether rows of `segment` can be wanted.
    pub(crate) fn touches_segment(&self, segment: &Segment, first_key: &str) -> bool {
        let stats = segment.columns.iter().find(|column| column.name == first_key);
        match stats.map(|stats| (&stats.min, &stats.max)) {
            Some((Some(min), Some(max))) => self.touches(min, max),
            _ => true,
        }
    }
}

/// The keys of a segment in their order, with the positions of their rows.
pub(crate) struct KeyStream {
    file: String,
    stream: ParquetRecordBatchStream<SegmentReader>,
    /// Rows that are still to come.
    positions: VecDeque<Range<u32>>,
    columns: Vec<ArrayRef>,
}

impl KeyStream {
    /// Opens the keys of the rows of `segment` that can be `wanted`.
    ///
    /// # Errors
    /// `Corrupt`, naming the file; `Unavailable`.
    pub(crate) async fn open(
        reader: SegmentReader,
        segment: &Segment,
        shape: &SegmentShape,
        wanted: &Wanted,
    ) -> Result<Self> {
        let file = segment.file.clone();
        let metadata = reader.metadata().await?;
        let broken = |e: ParquetError| parquet_error(e, &file);
        let positions = candidates(&metadata, shape, wanted).map_err(broken)?;
        let total = usize::try_from(segment.rows).unwrap_or(usize::MAX);
        let ranges = positions.iter().map(|r| r.start as usize..r.end as usize);
        let selection = RowSelection::from_consecutive_ranges(ranges, total);
        let known = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::default()).map_err(broken)?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, known);
        let mask = ProjectionMask::roots(builder.parquet_schema(), shape.sort_key.iter().copied());
        let builder = builder.with_projection(mask).with_row_selection(selection);
        let stream = builder.with_batch_size(MERGED_ROWS).build().map_err(broken)?;
        Ok(Self { file, stream, positions: positions.into(), columns: Vec::new() })
    }

    /// The next keys, or `None` at the end.
    ///
    /// # Errors
    /// As [`KeyStream::open`].
    pub(crate) async fn next(&mut self, converter: &RowConverter) -> Result<Option<Rows>> {
        // Keys in memory never make the stream wait: others get their turn here.
        tokio::task::yield_now().await;
        loop {
            let Some(batch) = self.stream.next().await else { return Ok(None) };
            let batch = batch.map_err(|e| parquet_error(e, &self.file))?;
            if batch.num_rows() > 0 {
                self.columns = batch.columns().to_vec();
                return converter.convert_columns(batch.columns()).map(Some).map_err(arrow_error);
            }
        }
    }

    /// The first key column of the keys that came last.
    pub(crate) fn first_column(&self) -> Option<&ArrayRef> {
        self.columns.first()
    }

    /// The position of the next row. Asked for once a row.
    ///
    /// # Errors
    /// `Corrupt` when the file has more rows than the manifest says.
    pub(crate) fn next_position(&mut self) -> Result<u32> {
        while let Some(range) = self.positions.front_mut() {
            if let Some(position) = range.next() {
                return Ok(position);
            }
            self.positions.pop_front();
        }
        Err(Error::corrupt(format!("segment file {} has more rows than its manifest says", self.file)))
    }
}

/// The rows of a file in which the first key column can have a wanted value: whole pages.
fn candidates(
    metadata: &Arc<ParquetMetaData>,
    shape: &SegmentShape,
    wanted: &Wanted,
) -> std::result::Result<Vec<Range<u32>>, ParquetError> {
    let rows = metadata.file_metadata().num_rows();
    let rows = u32::try_from(rows).map_err(|_| ParquetError::General("too many rows".into()))?;
    let all = std::iter::once(0..rows).collect();
    let (Some(column_index), Some(offset_index)) = (metadata.column_index(), metadata.offset_index()) else {
        return Ok(all);
    };
    let first_key = shape.sort_key.first().and_then(|at| shape.schema.fields().get(*at));
    let Some(first_key) = first_key.filter(|_| *wanted != Wanted::All) else { return Ok(all) };
    let descriptor = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(first_key.name(), &shape.schema, descriptor)?;
    let groups: Vec<usize> = (0..metadata.num_row_groups()).collect();
    let counts = converter.data_page_row_counts(offset_index, metadata.row_groups(), &groups)?;
    let Some(counts) = counts else { return Ok(all) };
    let mins = converter.data_page_mins(column_index, offset_index, &groups)?;
    let maxes = converter.data_page_maxes(column_index, offset_index, &groups)?;
    let mut touched: Vec<Range<u32>> = Vec::new();
    let mut start = 0u32;
    for page in 0..counts.len() {
        let end = start.saturating_add(u32::try_from(counts.value(page)).unwrap_or(u32::MAX));
        if page_touches(wanted, &mins, &maxes, page) {
            match touched.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => touched.push(start..end),
            }
        }
        start = end;
    }
    Ok(touched)
}

/// A page whose bounds cannot be read is looked into.
fn page_touches(wanted: &Wanted, mins: &ArrayRef, maxes: &ArrayRef, page: usize) -> bool {
    match (literal_at(mins, page), literal_at(maxes, page)) {
        (Ok(min), Ok(max)) => wanted.touches(&min, &max),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_touches_bounds() {
        let int = |i: i128| Literal::Int(i);
        let check = |wanted: &Wanted, min: i128, max: i128, expected: bool| {
            assert_eq!(wanted.touches(&int(min), &int(max)), expected, "{wanted:?} in {min}..={max}");
        };
        let between = Wanted::Between(int(5), int(9));
        for (min, max, expected) in
            [(1, 4, false), (1, 5, true), (6, 7, true), (9, 12, true), (10, 12, false)]
        {
            check(&between, min, max, expected);
            check(&Wanted::All, min, max, true);
        }
        let some = Wanted::OneOf(vec![int(3), int(8)]);
        for (min, max, expected) in [(1, 2, false), (1, 3, true), (4, 7, false), (4, 9, true), (9, 12, false)]
        {
            check(&some, min, max, expected);
        }
        check(&Wanted::OneOf(Vec::new()), 1, 9, false);
        assert!(some.touches(&Literal::Null, &Literal::Null), "bounds that are not known");
    }
}
