//! Sorts rows that are spread over many batches, and gathers them in order. Pure.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use cairn_types::Result;

use crate::arrow_error;

/// A row of a list of batches: which batch, which row of it.
pub type RowRef = (u32, u32);

/// The sort keys of batches, as bytes that compare as the keys do: NULL first, strings by bytes, floats in total order.
pub struct SortKeys {
    rows: Vec<Rows>,
}

/// Turns the sort columns of batches of one schema into comparable rows; `None` when rows have no order.
///
/// # Errors
/// `Internal` for a type that cannot be sorted.
pub fn key_converter(schema: &SchemaRef, sort_key: &[usize]) -> Result<Option<RowConverter>> {
    let fields: Vec<_> = sort_key
        .iter()
        .filter_map(|position| schema.fields().get(*position))
        .map(|field| SortField::new(field.data_type().clone()))
        .collect();
    match fields.is_empty() {
        true => Ok(None),
        false => RowConverter::new(fields).map(Some).map_err(arrow_error),
    }
}

/// The columns of `batch` at the positions `sort_key`.
pub(crate) fn key_columns(batch: &RecordBatch, sort_key: &[usize]) -> Vec<ArrayRef> {
    sort_key.iter().filter_map(|position| batch.columns().get(*position)).cloned().collect()
}

impl SortKeys {
    /// The keys of all rows of `batches`.
    ///
    /// # Errors
    /// `Internal` for a type that cannot be sorted.
    pub fn new(schema: &SchemaRef, sort_key: &[usize], batches: &[RecordBatch]) -> Result<Self> {
        let Some(converter) = key_converter(schema, sort_key)? else { return Ok(Self { rows: Vec::new() }) };
        let convert = |batch| converter.convert_columns(&key_columns(batch, sort_key)).map_err(arrow_error);
        Ok(Self { rows: batches.iter().map(convert).collect::<Result<_>>()? })
    }

    /// Leaves of rows with equal keys the last one. `refs` is sorted.
    pub fn keep_last(&self, refs: &mut Vec<RowRef>) {
        refs.dedup_by(|next, kept| {
            let same = self.key(*next) == self.key(*kept);
            if same {
                *kept = *next;
            }
            same
        });
    }

    fn key(&self, (batch, row): RowRef) -> &[u8] {
        self.rows.get(batch as usize).map_or(&[], |rows| rows.row(row as usize).data())
    }

    /// Puts `refs` in the order of their keys; rows with equal keys stay in the order of their batches.
    pub fn sort(&self, refs: &mut [RowRef]) {
        if self.rows.is_empty() || refs.is_sorted_by(|a, b| (self.key(*a), a) <= (self.key(*b), b)) {
            return;
        }
        // The first bytes beside each row decide most comparisons without a look elsewhere.
        let mut keyed: Vec<(u128, RowRef)> = refs.iter().map(|r| (prefix(self.key(*r)), *r)).collect();
        keyed.sort_unstable_by(|(a, left), (b, right)| {
            a.cmp(b).then_with(|| self.key(*left).cmp(self.key(*right))).then_with(|| left.cmp(right))
        });
        for (sorted, (_, row)) in refs.iter_mut().zip(keyed) {
            *sorted = row;
        }
    }
}

fn prefix(key: &[u8]) -> u128 {
    let mut first = [0u8; 16];
    for (to, from) in first.iter_mut().zip(key) {
        *to = *from;
    }
    u128::from_be_bytes(first)
}

/// A batch of the rows `refs` of `batches`, in that order.
///
/// # Errors
/// `Internal` when the batches do not have `schema`.
pub fn gather(schema: &SchemaRef, batches: &[RecordBatch], refs: &[RowRef]) -> Result<RecordBatch> {
    // Only the batches in use are handed on: a tablet's rows often come from a few of many.
    let mut used: Vec<Option<usize>> = vec![None; batches.len()];
    let mut sources: Vec<&RecordBatch> = Vec::new();
    let mut indices = Vec::with_capacity(refs.len());
    for (batch, row) in refs {
        let Some((entry, source)) = used.get_mut(*batch as usize).zip(batches.get(*batch as usize)) else {
            continue;
        };
        let position = *entry.get_or_insert_with(|| {
            sources.push(source);
            sources.len() - 1
        });
        indices.push((position, *row as usize));
    }
    let column = |position: usize| {
        let arrays: Vec<&dyn Array> = sources
            .iter()
            .filter_map(|b| b.columns().get(position))
            .map(|a| a.as_ref() as &dyn Array)
            .collect();
        match arrays.is_empty() {
            true => Ok(arrow::array::new_empty_array(schema.field(position).data_type())),
            false => interleave(&arrays, &indices).map_err(arrow_error),
        }
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(arrow_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, StringViewArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    fn batch(keys: &[Option<i64>], texts: &[&str]) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("t", DataType::Utf8View, false),
        ]));
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(keys.to_vec())), Arc::new(StringViewArray::from(texts.to_vec()))];
        RecordBatch::try_new(schema, columns).unwrap()
    }

    #[test]
    fn rows_of_many_batches_are_sorted() {
        let long = "a text that is longer than the prefix of a key: ";
        let (b1, b2) = (format!("{long}b"), format!("{long}a"));
        let batches =
            [batch(&[Some(5), None, Some(-1)], &["x", "y", "z"]), batch(&[Some(5), Some(5)], &[&b1, &b2])];
        let schema = batches[0].schema();
        let keys = SortKeys::new(&schema, &[0, 1], &batches).unwrap();
        let mut refs = vec![(1, 0), (0, 0), (1, 1), (0, 1), (0, 2)];
        keys.sort(&mut refs);
        assert_eq!(refs, [(0, 1), (0, 2), (1, 1), (1, 0), (0, 0)]);
        let gathered = gather(&schema, &batches, &refs).unwrap();
        let sorted: Vec<_> = gathered.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(sorted, [None, Some(-1), Some(5), Some(5), Some(5)]);
        assert_eq!(gathered.column(1).as_string_view().value(2), b2);
    }

    #[test]
    fn without_a_sort_key_rows_stay_as_they_are() {
        let batches = [batch(&[Some(2), Some(1)], &["", ""])];
        let keys = SortKeys::new(&batches[0].schema(), &[], &batches).unwrap();
        let mut refs = vec![(0, 0), (0, 1)];
        keys.sort(&mut refs);
        assert_eq!(refs, [(0, 0), (0, 1)]);
    }
}
