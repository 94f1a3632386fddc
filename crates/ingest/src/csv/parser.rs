//! Whole CSV rows into batches.
//!
//! Work goes in blocks of some thousand rows: split the block, check that it is UTF-8 as a whole, then convert
//! it column by column, each in one tight loop. A refused row keeps its place in every column until the batch is
//! closed, where one filter removes all of them; so columns can never differ in length.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_types::{Error, Result};

use crate::batch::{BatchBuilder, target_schema};
use crate::column::Target;
use crate::csv::CsvOptions;
use crate::csv::plain::split_plain;
use crate::csv::quoted::split_quoted;
use crate::csv::split::{BlockLimit, Rules, Split};
use crate::tally::{Reason, Tally, Why, row_text};
use crate::{BATCH_BYTES_MAX, BatchOptions, ROW_BYTES_MAX_MAX};

const BLOCK_ROWS: usize = 1024;
const BLOCK_BYTES: usize = 1 << 20;

/// Parses pieces of whole rows; the same for all pieces of a load, on all threads.
pub struct CsvParser {
    rules: Rules,
    targets: Vec<Target>,
    batch: BatchOptions,
    schema: SchemaRef,
}

/// What is kept from piece to piece when they are parsed in turn.
pub(crate) struct Progress {
    builder: BatchBuilder,
    split: Split,
    fields: Vec<u8>,
    refused: Vec<(usize, usize, Why)>,
}

impl CsvParser {
    /// A parser of rows with one field per target.
    ///
    /// # Errors
    /// `Analysis` for settings that cannot work.
    pub fn new(csv: CsvOptions, targets: Vec<Target>, batch: BatchOptions) -> Result<Self> {
        csv.validate()?;
        if targets.is_empty() {
            return Err(Error::analysis("A CSV load needs at least one field"));
        }
        let batch_rows = batch.batch_rows.max(1);
        let row_bytes_max = batch.row_bytes_max.min(ROW_BYTES_MAX_MAX);
        let schema = target_schema(&targets);
        let rules = Rules { csv, width: targets.len(), row_bytes_max };
        Ok(Self { rules, targets, batch: BatchOptions { batch_rows, ..batch }, schema })
    }

    /// The schema of the batches: one field for each target that is not skipped.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// An empty tally that counts lines from behind the header.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::new(self.batch.rejected_kept);
        tally.lines = self.rules.csv.skip_header;
        tally
    }

    /// Parses whole rows (the last may lack its delimiter). Row numbers in the tally count from the start of
    /// `rows`.
    ///
    /// # Errors
    /// `ResourceExhausted` when a row is too long; nothing else the text can say is an error.
    pub fn parse(&self, rows: &[u8]) -> Result<(Vec<RecordBatch>, Tally)> {
        let mut progress = self.progress();
        let mut tally = Tally::new(self.batch.rejected_kept);
        let mut batches = Vec::new();
        self.parse_more(rows, &mut progress, &mut tally, &mut batches)?;
        batches.extend(self.finish(&mut progress)?);
        Ok((batches, tally))
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            builder: BatchBuilder::new(
                self.schema.clone(),
                &self.targets,
                self.batch.batch_rows.min(BLOCK_ROWS),
            ),
            split: Split::default(),
            fields: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Parses `rows` into `progress`; batches that became full go to `batches`.
    pub(crate) fn parse_more(
        &self,
        rows: &[u8],
        progress: &mut Progress,
        tally: &mut Tally,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let room = self.batch.batch_rows.saturating_sub(progress.builder.rows());
            let limit = BlockLimit { rows: room.clamp(1, BLOCK_ROWS), bytes: BLOCK_BYTES };
            let taken = self.block(rest, limit, progress, tally)?;
            rest = rest.get(taken..).unwrap_or_default();
            if progress.builder.rows() >= self.batch.batch_rows
                || progress.builder.text_bytes() >= BATCH_BYTES_MAX
            {
                batches.extend(progress.builder.take()?);
            }
        }
        Ok(())
    }

    /// The last batch, if it has rows.
    pub(crate) fn finish(&self, progress: &mut Progress) -> Result<Option<RecordBatch>> {
        progress.builder.take()
    }

    /// Splits and converts one block at the start of `rows`; returns the bytes that were taken.
    fn block(
        &self,
        rows: &[u8],
        limit: BlockLimit,
        progress: &mut Progress,
        tally: &mut Tally,
    ) -> Result<usize> {
        let Progress { builder, split, fields, refused } = progress;
        let csv = &self.rules.csv;
        let taken = if csv.is_quoted() {
            split.clear(tally.lines, self.rules.width, 0);
            fields.clear();
            split_quoted(rows, &self.rules, limit, split, fields)?
        } else {
            split.clear(tally.lines, self.rules.width, csv.column_separator.len());
            split_plain(rows, &self.rules, limit, split)?
        };
        let block = rows.get(..taken).unwrap_or(rows);
        let (text, trim) = match csv.is_quoted() {
            true => (split.utf8(fields, &csv.column_separator), false),
            false => (split.utf8(block, &csv.column_separator), csv.trim_space),
        };
        refused.clear();
        let mut failures = Vec::new();
        for (target, column) in &mut builder.columns {
            column.append_all(split.cells(&text, *target, trim), &mut failures);
            refused.extend(failures.drain(..).map(|(row, why)| (row, *target, why)));
        }
        refused.sort_unstable();
        refused.dedup_by_key(|(row, ..)| *row);
        builder.grew(split.rows.len(), taken, refused.iter().map(|(row, ..)| *row));
        self.count(block, &text, split, refused, tally);
        Ok(taken)
    }

    /// Adds the block to the tally, rejected rows in their order.
    fn count(
        &self,
        block: &[u8],
        text: &str,
        split: &mut Split,
        refused: &[(usize, usize, Why)],
        tally: &mut Tally,
    ) {
        let base = tally.lines;
        tally.lines += u64::from(split.lines);
        tally.rows_total += (split.rows.len() + split.faults.len()) as u64;
        if split.faults.is_empty() && refused.is_empty() {
            return;
        }
        // (row as it came, the cell that was refused if it was one, why)
        let mut rejected: Vec<_> = split.faults.iter().map(|(place, why)| (*place, None, *why)).collect();
        rejected.extend(refused.iter().filter_map(|(row, column, why)| {
            split.rows.get(*row).map(|place| (*place, Some((*row, *column)), *why))
        }));
        rejected.sort_by_key(|(place, ..)| place.line);
        for (place, cell, why) in rejected {
            tally.reject(base + u64::from(place.line) + 1, || {
                let target = cell.and_then(|(_, column)| self.targets.get(column));
                let reason = Reason {
                    why,
                    column: target.map_or("", Target::name),
                    ty: target.and_then(Target::ty),
                    value: cell.map_or("", |(row, column)| split.cell(text, row, column)),
                };
                let raw = block.get(place.raw.0 as usize..place.raw.1 as usize).unwrap_or_default();
                (reason.to_string(), row_text(raw))
            });
        }
    }
}
