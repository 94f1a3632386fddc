//! Rows of a load that wait to be written: whole batches, and for each row the tablet it goes to. Pure.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use cairn_types::Result;

use crate::arrow_error;
use crate::route::NO_TABLET;
use crate::sort::RowRef;

/// Batches of fewer rows are joined, so that many tiny writes do not cost by their number.
const BATCH_ROWS_MIN: usize = 4096;

/// Tablet numbers, each with its rows.
pub(crate) type TabletRows = Vec<(u32, Vec<RowRef>)>;

/// Batches with the tablet of each row.
#[derive(Default)]
pub(crate) struct Buffer {
    batches: Vec<RecordBatch>,
    /// Of each row of each batch.
    tablets: Vec<Vec<u32>>,
    /// How many of the last batches are still to be joined, and their rows.
    small: usize,
    small_rows: usize,
    bytes: usize,
    rows: u64,
}

impl Buffer {
    /// Adds a batch; `tablets` has a number for each of its rows.
    pub fn push(&mut self, batch: RecordBatch, tablets: Vec<u32>) -> Result<()> {
        self.bytes += batch_bytes(&batch) + tablets.len() * size_of::<u32>();
        self.rows += tablets.iter().filter(|t| **t != NO_TABLET).count() as u64;
        let rows = batch.num_rows();
        self.batches.push(batch);
        self.tablets.push(tablets);
        if rows >= BATCH_ROWS_MIN {
            (self.small, self.small_rows) = (0, 0);
            return Ok(());
        }
        self.small += 1;
        self.small_rows += rows;
        if self.small_rows >= BATCH_ROWS_MIN {
            self.join_small()?;
        }
        Ok(())
    }

    /// Joins the last, small batches into one.
    fn join_small(&mut self) -> Result<()> {
        let at = self.batches.len().saturating_sub(self.small);
        let small = self.batches.split_off(at);
        let tablets = self.tablets.split_off(at);
        if let Some(first) = small.first() {
            self.batches.push(concat_batches(&first.schema(), &small).map_err(arrow_error)?);
            self.tablets.push(tablets.concat());
        }
        (self.small, self.small_rows) = (0, 0);
        Ok(())
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows that go to some tablet.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The batches, and for each tablet (below `tablet_count`) that gets rows which ones.
    pub fn into_tablets(mut self, tablet_count: usize) -> Result<(Vec<RecordBatch>, TabletRows)> {
        self.join_small()?;
        let mut counts = vec![0usize; tablet_count];
        for tablet in self.tablets.iter().flatten() {
            if let Some(count) = counts.get_mut(*tablet as usize) {
                *count += 1;
            }
        }
        let mut rows: Vec<Vec<RowRef>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (batch, tablets) in (0u32..).zip(&self.tablets) {
            for (row, tablet) in (0u32..).zip(tablets) {
                if let Some(refs) = rows.get_mut(*tablet as usize) {
                    refs.push((batch, row));
                }
            }
        }
        let used = (0u32..).zip(rows).filter(|(_, refs)| !refs.is_empty()).collect();
        Ok((self.batches, used))
    }
}

/// About how many bytes of memory the rows of `batch` need. Unlike Arrow's own figure it does not count buffers which the
/// batch shares with others and does not use.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    let column = |array: &arrow::array::ArrayRef| {
        let rows = array.len();
        let values = match array.data_type() {
            DataType::Boolean => rows / 8,
            DataType::Utf8View => {
                let long: usize =
                    array.as_string_view().lengths().map(|l| if l > 12 { l as usize } else { 0 }).sum();
                rows * 16 + long
            }
            fixed => rows * fixed.primitive_width().unwrap_or(16),
        };
        values + array.nulls().map_or(0, |_| rows / 8)
    };
    batch.columns().iter().map(column).sum()
}

/// `batch` without the parts of string buffers that no row uses, when these are most of them.
pub(crate) fn without_dead_strings(batch: RecordBatch) -> Result<RecordBatch> {
    const DEAD_BYTES_MIN: usize = 1 << 20;
    let lean = |array: &arrow::array::ArrayRef| -> arrow::array::ArrayRef {
        let Some(views) = array.as_string_view_opt() else { return array.clone() };
        let held: usize = views.data_buffers().iter().map(arrow::buffer::Buffer::capacity).sum();
        if held < DEAD_BYTES_MIN || held < views.total_buffer_bytes_used() * 4 {
            return array.clone();
        }
        std::sync::Arc::new(views.gc())
    };
    let columns = batch.columns().iter().map(lean).collect();
    RecordBatch::try_new(batch.schema(), columns).map_err(arrow_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringViewArray};
    use arrow::datatypes::{Field, Int32Type, Schema};

    fn batch(values: std::ops::Range<i32>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from_iter_values(values))]).unwrap()
    }

    #[test]
    fn rows_are_counted_out_by_tablet() {
        let mut buffer = Buffer::default();
        buffer.push(batch(0..3), vec![2, 0, 2]).unwrap();
        buffer.push(batch(3..5), vec![NO_TABLET, 0]).unwrap();
        assert_eq!(buffer.rows(), 4);
        let (batches, tablets) = buffer.into_tablets(3).unwrap();
        assert_eq!(batches.len(), 1, "small batches are joined");
        assert_eq!(tablets, [(0, vec![(0, 1), (0, 4)]), (2, vec![(0, 0), (0, 2)])]);
    }

    #[test]
    fn many_tiny_batches_become_few() {
        let mut buffer = Buffer::default();
        for i in 0..10_000 {
            buffer.push(batch(i..i + 1), vec![0]).unwrap();
        }
        buffer.push(batch(10_000..20_000), vec![1; 10_000]).unwrap();
        buffer.push(batch(20_000..20_001), vec![1]).unwrap();
        let (batches, tablets) = buffer.into_tablets(2).unwrap();
        assert!(batches.len() < 2000, "{}", batches.len());
        let values: Vec<i32> = tablets
            .iter()
            .flat_map(|(_, refs)| refs)
            .map(|(b, r)| batches[*b as usize].column(0).as_primitive::<Int32Type>().value(*r as usize))
            .collect();
        assert_eq!(values, (0..20_001).collect::<Vec<_>>());
    }

    #[test]
    fn slices_count_what_they_use() {
        let whole = batch(0..100_000);
        assert!(batch_bytes(&whole.slice(0, 10)) < 100);
        let texts =
            StringViewArray::from_iter_values((0..50_000).map(|i| format!("a rather long text number {i}")));
        let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8View, false)]));
        let one = RecordBatch::try_new(schema, vec![Arc::new(texts.slice(7, 1))]).unwrap();
        let lean = without_dead_strings(one.clone()).unwrap();
        assert_eq!(lean, one);
        assert!(lean.get_array_memory_size() < 10_000, "{}", lean.get_array_memory_size());
    }
}
