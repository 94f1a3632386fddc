//! Splitting without enclose and escape: a row ends at the first row delimiter, and within the row a field ends
//! at each separator.
//!
//! The usual case, a separator and a delimiter of one byte, looks at eight bytes at a time: comparing is a few
//! operations on a 64-bit word, and only matching bytes are visited. This loop decides how fast CSV loads.

use cairn_types::Result;
use memchr::memmem;

use crate::csv::split::{BlockLimit, Rules, Split};

/// Splits rows from the start of `text` until `limit` is reached or the text ends; the end also ends a row that
/// has no delimiter. Returns the bytes that were taken.
///
/// # Errors
/// A row that is too long.
pub(crate) fn split_plain(text: &[u8], rules: &Rules, limit: BlockLimit, split: &mut Split) -> Result<usize> {
    match (rules.csv.column_separator.as_slice(), rules.csv.row_delimiter.as_slice()) {
        ([separator], [delimiter]) => {
            let mut rows = Rows { rules, limit, split, start: 0 };
            rows.by_words(text, *separator, *delimiter)
        }
        (separator, delimiter) => by_search(text, rules, limit, split, separator, delimiter),
    }
}

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// The highest bit of each byte of `word` that is zero.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

struct Rows<'a> {
    rules: &'a Rules,
    limit: BlockLimit,
    split: &'a mut Split,
    /// Where the unfinished row starts.
    start: usize,
}

impl Rows<'_> {
    fn by_words(&mut self, text: &[u8], separator: u8, delimiter: u8) -> Result<usize> {
        let separators = u64::from(separator) * 0x0101_0101_0101_0101;
        let delimiters = u64::from(delimiter) * 0x0101_0101_0101_0101;
        let (words, tail) = text.as_chunks::<8>();
        for (at, bytes) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*bytes);
            let row_ends = zero_bytes(word ^ delimiters);
            let mut hits = row_ends | zero_bytes(word ^ separators);
            while hits != 0 {
                let bit = hits.trailing_zeros();
                let place = at * 8 + (bit / 8) as usize;
                self.split.field_end(place);
                if row_ends & (1 << bit) != 0 && self.row_end(place)? {
                    return Ok(self.start);
                }
                hits &= hits - 1;
            }
        }
        for (at, byte) in tail.iter().enumerate() {
            let place = words.len() * 8 + at;
            if *byte == separator || *byte == delimiter {
                self.split.field_end(place);
                if *byte == delimiter && self.row_end(place)? {
                    return Ok(self.start);
                }
            }
        }
        if self.start < text.len() {
            self.split.field_end(text.len());
            self.split.row_end(self.rules, self.start, (self.start, text.len()))?;
        }
        Ok(text.len())
    }

    /// Ends the row at its delimiter at `place`; says whether the block is full.
    #[inline]
    fn row_end(&mut self, place: usize) -> Result<bool> {
        self.split.row_end(self.rules, self.start, (self.start, place))?;
        self.start = place + 1;
        Ok(self.split.rows.len() >= self.limit.rows || self.start >= self.limit.bytes)
    }
}

/// Separators of several bytes.
fn by_search(
    text: &[u8],
    rules: &Rules,
    limit: BlockLimit,
    split: &mut Split,
    separator: &[u8],
    delimiter: &[u8],
) -> Result<usize> {
    let (separators, delimiters) = (memmem::Finder::new(separator), memmem::Finder::new(delimiter));
    let mut start = 0;
    while start < text.len() && split.rows.len() < limit.rows && start < limit.bytes {
        let rest = text.get(start..).unwrap_or_default();
        let (row, next) = match delimiters.find(rest) {
            Some(end) => (rest.get(..end).unwrap_or_default(), start + end + delimiter.len()),
            None => (rest, text.len()),
        };
        for field_end in separators.find_iter(row) {
            split.field_end(start + field_end);
        }
        split.field_end(start + row.len());
        split.row_end(rules, start, (start, start + row.len()))?;
        start = next;
    }
    Ok(start)
}
