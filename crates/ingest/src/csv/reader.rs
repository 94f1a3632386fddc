//! A CSV stream into batches on one thread: the cutter and the parser in turn.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_types::Result;

use crate::csv::parser::Progress;
use crate::{BatchOptions, CsvCutter, CsvOptions, CsvParser, Tally, Target};

/// Rows are looked for when this many bytes have come.
const PIECE_BYTES: usize = 256 << 10;

/// Takes chunks of bytes, cut anywhere, and gives batches.
pub struct CsvReader {
    cutter: CsvCutter,
    parser: CsvParser,
    progress: Progress,
    tally: Tally,
}

impl CsvReader {
    /// A reader of rows with one field per target.
    ///
    /// # Errors
    /// `Analysis` for settings that cannot work.
    pub fn new(csv: CsvOptions, targets: Vec<Target>, batch: BatchOptions) -> Result<Self> {
        let cutter = CsvCutter::new(csv.clone(), batch, PIECE_BYTES)?;
        let parser = CsvParser::new(csv, targets, batch)?;
        let (progress, tally) = (parser.progress(), parser.tally());
        Ok(Self { cutter, parser, progress, tally })
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.parser.schema()
    }

    /// Takes the next bytes; gives the batches that became full.
    ///
    /// # Errors
    /// `ResourceExhausted` when a row is too long.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        if let Some(piece) = self.cutter.push(chunk)? {
            self.parser.parse_more(&piece, &mut self.progress, &mut self.tally, &mut batches)?;
        }
        Ok(batches)
    }

    /// The stream has ended: the last batches.
    ///
    /// # Errors
    /// `ResourceExhausted` when a row is too long.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        if let Some(piece) = self.cutter.finish() {
            self.parser.parse_more(&piece, &mut self.progress, &mut self.tally, &mut batches)?;
        }
        batches.extend(self.parser.finish(&mut self.progress)?);
        Ok(batches)
    }

    /// What happened to the rows so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}
