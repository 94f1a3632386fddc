//! Cuts a stream of CSV bytes into pieces of whole rows.

use bytes::Bytes;
use cairn_types::Result;
use memchr::memmem;

use crate::BatchOptions;
use crate::csv::CsvOptions;
use crate::csv::quoted::{NoSink, RowEnd, walk_row};
use crate::csv::split::row_too_long;

/// Where the last whole row of `text` ends, its delimiter included; `None` when no row ends in it. `text` must
/// start at the start of a row.
///
/// With plain separators of one byte this looks from the end, so it costs nothing. Otherwise it walks through.
#[must_use]
pub fn find_last_row_end(options: &CsvOptions, text: &[u8]) -> Option<usize> {
    match options.row_delimiter.as_slice() {
        _ if options.is_quoted() => {
            let mut end = None;
            while let Some(next) = first_row_end(options, text.get(end.unwrap_or(0)..)?) {
                end = Some(end.unwrap_or(0) + next);
            }
            end
        }
        [delimiter] => memchr::memrchr(*delimiter, text).map(|at| at + 1),
        // From the front: with a delimiter like `\n\n` the last match from behind may overlap a real one.
        delimiter => memmem::find_iter(text, delimiter).last().map(|at| at + delimiter.len()),
    }
}

/// Where the first row of `text` ends, its delimiter included.
fn first_row_end(options: &CsvOptions, text: &[u8]) -> Option<usize> {
    if options.is_quoted() {
        return match walk_row(text, options, false, &mut NoSink) {
            Some(RowEnd::Whole { next, .. }) => Some(next),
            Some(RowEnd::Unterminated) | None => None,
        };
    }
    let delimiter = &options.row_delimiter;
    memmem::find(text, delimiter).map(|at| at + delimiter.len())
}

const UTF8_MARK: &[u8] = "\u{feff}".as_bytes();

/// Collects bytes and gives them back in pieces of whole rows, without the header rows. Pieces can be parsed
/// by [`crate::CsvParser::parse`] on any thread; their tallies are put together in order by
/// [`crate::Tally::absorb`], starting from [`crate::CsvParser::tally`].
pub struct CsvCutter {
    options: CsvOptions,
    row_bytes_max: usize,
    piece_bytes: usize,
    held: Vec<u8>,
    /// Bytes of the stream before `held`.
    held_from: u64,
    /// No row ends in `held` before it has this many bytes: looking earlier would look again and again.
    look_at_bytes: usize,
    header_rows_left: u64,
    at_start: bool,
}

impl CsvCutter {
    /// A cutter of pieces of about `piece_bytes`, for instance 4 MiB.
    ///
    /// # Errors
    /// `Analysis` for settings that cannot work.
    pub fn new(options: CsvOptions, batch: BatchOptions, piece_bytes: usize) -> Result<Self> {
        options.validate()?;
        let piece_bytes = piece_bytes.max(UTF8_MARK.len());
        Ok(Self {
            header_rows_left: options.skip_header,
            options,
            row_bytes_max: batch.row_bytes_max.min(crate::ROW_BYTES_MAX_MAX),
            piece_bytes,
            held: Vec::new(),
            held_from: 0,
            look_at_bytes: piece_bytes,
            at_start: true,
        })
    }

    /// Takes the next bytes of the stream; gives a piece when enough is there.
    ///
    /// # Errors
    /// `ResourceExhausted` when a row is longer than allowed.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Option<Bytes>> {
        self.held.extend_from_slice(chunk);
        if self.held.len() < self.look_at_bytes {
            return Ok(None);
        }
        self.skip_mark();
        match find_last_row_end(&self.options, &self.held) {
            Some(end) => {
                // Room for a whole piece at once: growing step by step would copy everything again.
                let mut rest = Vec::with_capacity(self.held.capacity());
                rest.extend_from_slice(self.held.get(end..).unwrap_or_default());
                self.held.truncate(end);
                self.held_from += end as u64;
                self.check_length(&rest)?;
                self.look_at_bytes = self.piece_bytes.max(rest.len().saturating_mul(2));
                let piece = std::mem::replace(&mut self.held, rest);
                Ok(self.without_header(piece))
            }
            None => {
                self.check_length(&self.held)?;
                let twice = self.held.len().saturating_mul(2);
                self.look_at_bytes = twice.min(self.row_bytes_max.saturating_add(1));
                Ok(None)
            }
        }
    }

    /// The stream has ended: the rest of it, whose last row may lack its delimiter.
    /// Nothing is left of it afterwards.
    pub fn finish(&mut self) -> Option<Bytes> {
        self.skip_mark();
        let rest = std::mem::take(&mut self.held);
        self.without_header(rest)
    }

    fn check_length(&self, row: &[u8]) -> Result<()> {
        if row.len() > self.row_bytes_max {
            let row = format!("The row that starts at byte {} of the input", self.held_from);
            return Err(row_too_long(&row, self.row_bytes_max));
        }
        Ok(())
    }

    /// Windows programs put a mark before UTF-8 text.
    fn skip_mark(&mut self) {
        if std::mem::take(&mut self.at_start) && self.held.starts_with(UTF8_MARK) {
            self.held.drain(..UTF8_MARK.len());
            self.held_from += UTF8_MARK.len() as u64;
        }
    }

    fn without_header(&mut self, piece: Vec<u8>) -> Option<Bytes> {
        let mut piece = Bytes::from(piece);
        while self.header_rows_left > 0 && !piece.is_empty() {
            let end = first_row_end(&self.options, &piece).unwrap_or(piece.len());
            piece = piece.slice(end..);
            self.header_rows_left -= 1;
        }
        (!piece.is_empty()).then_some(piece)
    }
}
