//! One batch under construction: columns of equal length, and the rows that are filtered out when it is closed.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions};
use arrow::compute::FilterBuilder;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use cairn_types::{Error, Result};

use crate::column::{ColumnBuilder, Target};

/// Builds batches for a list of targets.
pub(crate) struct BatchBuilder {
    schema: SchemaRef,
    /// One for each target that is not skipped, with the position of its target.
    pub columns: Vec<(usize, ColumnBuilder)>,
    rows: usize,
    text_bytes: usize,
    /// Rows to be filtered out, ascending.
    refused: Vec<usize>,
}

/// The schema of batches for `targets`.
pub(crate) fn target_schema(targets: &[Target]) -> SchemaRef {
    Arc::new(ArrowSchema::new(targets.iter().filter_map(Target::field).collect::<Vec<Field>>()))
}

impl BatchBuilder {
    pub(crate) fn new(schema: SchemaRef, targets: &[Target], rows: usize) -> Self {
        let columns = targets
            .iter()
            .enumerate()
            .filter_map(|(at, target)| Some((at, ColumnBuilder::new(target, rows)?)))
            .collect();
        Self { schema, columns, rows: 0, text_bytes: 0, refused: Vec::new() }
    }

    /// Rows in the batch so far, refused ones included.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of text that went into the batch so far.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Notes that every column has got `rows` more cells out of `text_bytes`, of which `refused` (ascending,
    /// counted from the first of them) are not to be kept.
    pub(crate) fn grew(&mut self, rows: usize, text_bytes: usize, refused: impl Iterator<Item = usize>) {
        let base = self.rows;
        self.refused.extend(refused.map(|row| base + row));
        self.rows += rows;
        self.text_bytes += text_bytes;
    }

    /// The batch so far without its refused rows, if any are left; the builder is empty again.
    ///
    /// # Errors
    /// `Internal` when the columns do not make a batch: a bug.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>> {
        let rows = std::mem::take(&mut self.rows);
        let refused = std::mem::take(&mut self.refused);
        self.text_bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.iter_mut().map(|(_, column)| column.finish()).collect();
        let batch = without_rows(&self.schema, arrays, rows, &refused)?;
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}

/// A batch of `arrays`, each `rows` long, without the `refused` rows.
pub(crate) fn without_rows(
    schema: &SchemaRef,
    arrays: Vec<ArrayRef>,
    rows: usize,
    refused: &[usize],
) -> Result<RecordBatch> {
    let internal = |e| Error::internal(format!("Cannot make a batch of the loaded columns: {e}"));
    let kept = rows.saturating_sub(refused.len());
    let options = RecordBatchOptions::new().with_row_count(Some(kept));
    if refused.is_empty() {
        return RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(internal);
    }
    let mut mask = BooleanBufferBuilder::new(rows);
    mask.append_n(rows, true);
    for row in refused.iter().filter(|row| **row < rows) {
        mask.set_bit(*row, false);
    }
    let filter = FilterBuilder::new(&BooleanArray::new(mask.finish(), None)).optimize().build();
    let arrays = arrays.iter().map(|array| filter.filter(array)).collect::<Result<Vec<_>, _>>();
    RecordBatch::try_new_with_options(schema.clone(), arrays.map_err(internal)?, &options).map_err(internal)
}
