//! Merges sorted streams of batches into one, holding a batch of each. Pure.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows};
use cairn_types::Result;

use crate::arrow_error;
use crate::segment::BatchIter;
use crate::sort::{RowRef, gather, key_columns, key_converter};

/// Rows of one batch that comes out.
pub const MERGED_ROWS: usize = 8192;

/// Hands the rows of `inputs`, each sorted by `sort_key`, to `emit` in order. Equal keys come in the order of `inputs`.
/// Without a sort key, one input after the other.
///
/// # Errors
/// Those of the inputs and of `emit`.
pub fn merge(
    schema: &SchemaRef,
    sort_key: &[usize],
    inputs: Vec<BatchIter>,
    emit: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let Some(converter) = key_converter(schema, sort_key)? else {
        return inputs.into_iter().flatten().try_for_each(|batch| emit(batch?));
    };
    let mut merge =
        Merge { schema, sort_key, converter, held: Vec::new(), picked: Vec::with_capacity(MERGED_ROWS) };
    let mut cursors = Vec::with_capacity(inputs.len());
    let mut heads = BinaryHeap::with_capacity(inputs.len());
    for (number, batches) in inputs.into_iter().enumerate() {
        let mut cursor = Cursor { batches, slot: 0 };
        if let Some(keys) = merge.advance(&mut cursor)? {
            heads.push(Reverse(Head { keys, row: 0, cursor: number }));
        }
        cursors.push(cursor);
    }
    while let Some(mut top) = heads.peek_mut() {
        let Reverse(head) = &mut *top;
        let Some(cursor) = cursors.get_mut(head.cursor) else { break };
        merge.picked.push((cursor.slot, u32::try_from(head.row).unwrap_or(u32::MAX)));
        head.row += 1;
        if head.row == head.keys.num_rows() {
            match merge.advance(cursor)? {
                Some(keys) => (head.keys, head.row) = (keys, 0),
                None => {
                    PeekMut::pop(top);
                }
            }
        } else {
            drop(top);
        }
        if merge.picked.len() == MERGED_ROWS {
            merge.emit(&mut cursors, emit)?;
        }
    }
    merge.emit(&mut [], emit)
}

/// One input.
struct Cursor {
    batches: BatchIter,
    /// Where its current batch stands in [`Merge::held`].
    slot: u32,
}

/// The next row of an input.
struct Head {
    keys: Arc<Rows>,
    row: usize,
    cursor: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.keys.row(self.row).cmp(&other.keys.row(other.row)).then(self.cursor.cmp(&other.cursor))
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

struct Merge<'a> {
    schema: &'a SchemaRef,
    sort_key: &'a [usize],
    converter: RowConverter,
    /// Batches that rows not yet emitted come from.
    held: Vec<RecordBatch>,
    picked: Vec<RowRef>,
}

impl Merge<'_> {
    /// Goes to the input's next batch with rows; its keys, or `None` at the end.
    fn advance(&mut self, cursor: &mut Cursor) -> Result<Option<Arc<Rows>>> {
        for batch in cursor.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let keys =
                self.converter.convert_columns(&key_columns(&batch, self.sort_key)).map_err(arrow_error)?;
            cursor.slot = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
            self.held.push(batch);
            return Ok(Some(Arc::new(keys)));
        }
        cursor.slot = u32::MAX;
        Ok(None)
    }

    /// Hands out what was picked and lets go of batches that are used up.
    fn emit(
        &mut self,
        cursors: &mut [Cursor],
        emit: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        if !self.picked.is_empty() {
            emit(gather(self.schema, &self.held, &self.picked)?)?;
            self.picked.clear();
        }
        let mut current = Vec::with_capacity(cursors.len());
        for cursor in cursors {
            if let Some(batch) = self.held.get(cursor.slot as usize) {
                let slot = u32::try_from(current.len()).unwrap_or(u32::MAX);
                current.push(batch.clone());
                cursor.slot = slot;
            }
        }
        self.held = current;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};
    use proptest::prelude::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int32, true),
            Field::new("input", DataType::Int32, false),
        ]))
    }

    fn input(number: i32, keys: &[Option<i32>], batch_rows: usize) -> BatchIter {
        let batches: Vec<_> = keys
            .chunks(batch_rows)
            .map(|keys| {
                let inputs = Int32Array::from(vec![number; keys.len()]);
                let columns: Vec<arrow::array::ArrayRef> =
                    vec![Arc::new(Int32Array::from(keys.to_vec())), Arc::new(inputs)];
                Ok(RecordBatch::try_new(schema(), columns).unwrap())
            })
            .collect();
        Box::new(batches.into_iter())
    }

    proptest! {
        #[test]
        fn merged_is_sorted_and_complete(
            mut inputs in proptest::collection::vec(proptest::collection::vec(proptest::option::of(0..9), 0..60), 0..6),
            batch_rows in 1usize..20,
        ) {
            inputs.iter_mut().for_each(|keys| keys.sort());
            let streams = (0..).zip(&inputs).map(|(number, keys)| input(number, keys, batch_rows)).collect();
            let mut merged = Vec::new();
            merge(&schema(), &[0], streams, &mut |batch| {
                let keys = batch.column(0).as_primitive::<Int32Type>().iter();
                merged.extend(keys.zip(batch.column(1).as_primitive::<Int32Type>().values().iter().copied()));
                Ok(())
            }).unwrap();
            let mut expected: Vec<_> = (0..).zip(&inputs).flat_map(|(n, keys)| keys.iter().map(move |k| (*k, n))).collect();
            expected.sort();
            prop_assert_eq!(merged, expected);
        }
    }

    #[test]
    fn batches_come_in_bounded_pieces() {
        let keys: Vec<_> = (0..20_000).map(Some).collect();
        let mut rows = Vec::new();
        let streams = vec![input(0, &keys, 1000), input(1, &keys, 7000)];
        merge(&schema(), &[0], streams, &mut |batch| {
            rows.push(batch.num_rows());
            Ok(())
        })
        .unwrap();
        assert_eq!(rows.iter().sum::<usize>(), 40_000);
        assert!(rows.iter().all(|r| *r <= MERGED_ROWS));
    }

    #[test]
    fn without_a_sort_key_inputs_follow_each_other() {
        let mut keys = Vec::new();
        let streams = vec![input(0, &[Some(2)], 1), input(1, &[Some(1)], 1)];
        merge(&schema(), &[], streams, &mut |batch| {
            keys.extend(batch.column(0).as_primitive::<Int32Type>().iter());
            Ok(())
        })
        .unwrap();
        assert_eq!(keys, [Some(2), Some(1)]);
    }
}
