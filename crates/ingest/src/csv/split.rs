//! The result of splitting a block of CSV text: where each field of each good row lies.

use std::borrow::Cow;

use cairn_types::{Error, Result};

use crate::csv::CsvOptions;
use crate::tally::Why;

/// What a splitter has to know besides the separators.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub csv: CsvOptions,
    /// Fields of a row.
    pub width: usize,
    pub row_bytes_max: usize,
}

/// How much one block may take: a block is worked on column by column and should stay in the cache.
#[derive(Clone, Copy)]
pub(crate) struct BlockLimit {
    pub rows: usize,
    pub bytes: usize,
}

/// A row of the block. All places are byte offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowPlace {
    /// Lines before it in the block.
    pub line: u32,
    /// Start of its first field in the text of the fields.
    start: u32,
    /// The row as it came, without its delimiter.
    pub raw: (u32, u32),
}

/// The fields of a block: `width` ends per good row. Reused from block to block.
#[derive(Default)]
pub(crate) struct Split {
    width: usize,
    /// Bytes between the end of a field and the start of the next in the same row.
    gap: usize,
    pub rows: Vec<RowPlace>,
    /// Ends of all fields, row by row.
    ends: Vec<u32>,
    /// Same places as `ends`: the field is text even if it reads `\N`. Empty when no field is.
    literal: Vec<bool>,
    /// Rows that are no rows.
    pub faults: Vec<(RowPlace, Why)>,
    /// Lines of the block, blank ones included.
    pub lines: u32,
    /// Where the ends of the unfinished row begin in `ends`.
    open: usize,
    /// Lines before the block.
    lines_before: u64,
}

/// Offsets of a block are 32 bits; the row bound keeps blocks far below that.
#[inline]
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Split {
    /// Empties it for the next block.
    pub(crate) fn clear(&mut self, lines_before: u64, width: usize, gap: usize) {
        self.lines_before = lines_before;
        self.width = width;
        self.gap = gap;
        self.rows.clear();
        self.ends.clear();
        self.literal.clear();
        self.faults.clear();
        self.lines = 0;
        self.open = 0;
    }

    #[inline]
    pub(crate) fn field_end(&mut self, at: usize) {
        self.ends.push(offset(at));
    }

    /// Ends a field and says whether `\N` in it is text.
    pub(crate) fn field_end_literal(&mut self, at: usize, literal: bool) {
        self.ends.push(offset(at));
        self.literal.push(literal);
    }

    /// Ends the row whose fields ended last. `start` is where its first field starts, `raw` the place of the
    /// row as it came.
    ///
    /// # Errors
    /// `ResourceExhausted` when the row is longer than allowed.
    #[inline]
    pub(crate) fn row_end(&mut self, rules: &Rules, start: usize, raw: (usize, usize)) -> Result<()> {
        let place = RowPlace { line: self.lines, start: offset(start), raw: (offset(raw.0), offset(raw.1)) };
        self.lines += 1;
        if raw.1 - raw.0 > rules.row_bytes_max {
            let row_number = self.lines_before + u64::from(self.lines);
            return Err(row_too_long(&format!("Row {row_number}"), rules.row_bytes_max));
        }
        let got = self.ends.len() - self.open;
        if got == self.width && raw.0 < raw.1 {
            self.rows.push(place);
            self.open = self.ends.len();
        } else {
            self.odd_row(rules, place, got);
        }
        Ok(())
    }

    /// A blank line, a row with one separator too many, or one with a wrong number of fields.
    fn odd_row(&mut self, rules: &Rules, place: RowPlace, got: usize) {
        if place.raw.0 == place.raw.1 {
            self.ends.truncate(self.open);
        } else if got == self.width + 1 && rules.csv.allow_trailing_separator && self.last_is_empty() {
            self.ends.truncate(self.open + self.width);
            self.rows.push(place);
        } else {
            self.ends.truncate(self.open);
            self.faults.push((place, Why::FieldCount(self.width, got)));
        }
        if !self.literal.is_empty() {
            self.literal.truncate(self.ends.len());
        }
        self.open = self.ends.len();
    }

    fn last_is_empty(&self) -> bool {
        match self.ends.as_slice() {
            [.., before, last] => *before as usize + self.gap == *last as usize,
            _ => false,
        }
    }

    /// Takes back the fields of an unfinished row and notes it as a fault.
    pub(crate) fn row_fault(&mut self, raw: (usize, usize), why: Why) {
        let place = RowPlace { line: self.lines, start: 0, raw: (offset(raw.0), offset(raw.1)) };
        self.lines += 1;
        self.ends.truncate(self.open);
        self.literal.truncate(self.open);
        self.faults.push((place, why));
    }

    /// The cells of one column, top to bottom; `None` is NULL. `text` is the text of the fields.
    #[inline]
    pub(crate) fn cells<'a>(
        &'a self,
        text: &'a str,
        column: usize,
        trim: bool,
    ) -> impl Iterator<Item = Option<&'a str>> {
        self.rows.iter().enumerate().zip(self.ends.chunks_exact(self.width)).map(
            move |((row, place), ends)| {
                // Both ends are between characters: the text was checked, and separators are whole characters.
                let cell = text.get(self.span(place, ends, column)).unwrap_or_default();
                let cell = if trim { cell.trim_matches(' ') } else { cell };
                let null = cell == "\\N" && !self.is_literal(row, column);
                (!null).then_some(cell)
            },
        )
    }

    /// The text of one cell, also of `\N`.
    pub(crate) fn cell<'a>(&self, text: &'a str, row: usize, column: usize) -> &'a str {
        let place = self.rows.get(row);
        let ends = self.ends.get(row * self.width..(row + 1) * self.width);
        let span = place.zip(ends).map(|(place, ends)| self.span(place, ends, column));
        span.and_then(|span| text.get(span)).unwrap_or_default()
    }

    #[inline]
    fn span(&self, place: &RowPlace, ends: &[u32], column: usize) -> std::ops::Range<usize> {
        let end = ends.get(column).map_or(0, |end| *end as usize);
        let start = match column.checked_sub(1).and_then(|before| ends.get(before)) {
            Some(before) => *before as usize + self.gap,
            None => place.start as usize,
        };
        start..end
    }

    fn is_literal(&self, row: usize, column: usize) -> bool {
        self.literal.get(row * self.width + column).copied().unwrap_or(false)
    }

    /// The text of the fields as UTF-8. Where it is not, the rows concerned become faults, and the bytes that
    /// are no text are replaced by others of the same number, so that all places stay right.
    pub(crate) fn utf8<'a>(&mut self, text: &'a [u8], separator: &[u8]) -> Cow<'a, str> {
        // A separator that is no UTF-8 could cut a character in two: then each field is looked at.
        if std::str::from_utf8(separator).is_ok()
            && let Ok(text) = std::str::from_utf8(text)
        {
            return Cow::Borrowed(text);
        }
        self.drop_broken_rows(text);
        let mut clean = text.to_vec();
        let mut from = 0;
        while let Some(Err(broken)) = clean.get(from..).map(std::str::from_utf8) {
            let start = from + broken.valid_up_to();
            let end = broken.error_len().map_or(clean.len(), |n| start + n);
            clean.get_mut(start..end).unwrap_or_default().fill(b'?');
            from = end;
        }
        Cow::Owned(String::from_utf8(clean).unwrap_or_default())
    }

    fn drop_broken_rows(&mut self, text: &[u8]) {
        let (width, gap) = (self.width, self.gap);
        let rows = std::mem::take(&mut self.rows);
        let ends = std::mem::take(&mut self.ends);
        let literal = std::mem::take(&mut self.literal);
        for (row, (place, row_ends)) in rows.iter().zip(ends.chunks_exact(width)).enumerate() {
            let mut start = place.start as usize;
            let whole = row_ends.iter().all(|end| {
                let field = text.get(start..*end as usize);
                start = *end as usize + gap;
                field.is_some_and(|field| std::str::from_utf8(field).is_ok())
            });
            if whole {
                self.rows.push(*place);
                self.ends.extend_from_slice(row_ends);
                self.literal
                    .extend_from_slice(literal.get(row * width..(row + 1) * width).unwrap_or_default());
            } else {
                self.faults.push((*place, Why::Utf8));
            }
        }
        self.open = self.ends.len();
    }
}

/// The error of a row that is longer than allowed; `row` names it.
pub(crate) fn row_too_long(row: &str, row_bytes_max: usize) -> Error {
    Error::resource_exhausted(format!(
        "{row} is longer than {row_bytes_max} bytes. Check the row delimiter and the enclose character"
    ))
}
