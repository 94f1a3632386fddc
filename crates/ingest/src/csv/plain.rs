//! Splitting without enclose and escape: a row ends at the first row delimiter, and within the row a field ends
//! at each separator.
//!
//! The usual case, a separator and a delimiter of one byte, makes a bit map of the matches in 64 bytes by a few
//! operations on 64-bit words, and visits only these. In blocks of 64 because a field is about as long as a word:
//! with smaller blocks the processor cannot foresee how many matches come. This loop decides how fast CSV loads.

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
            rows.by_blocks(text, *separator, *delimiter)
        }
        (separator, delimiter) => by_search(text, rules, limit, split, separator, delimiter),
    }
}

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// One bit for each of the 64 bytes that is `byte`, the first byte lowest.
#[inline]
fn places_of(byte: u8, block: &[u8; 64]) -> u64 {
    let pattern = u64::from(byte) * 0x0101_0101_0101_0101;
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |places, word| {
        let word = u64::from_le_bytes(*word) ^ pattern;
        // The highest bit of each byte that is zero; then these bits side by side. No two of the shifted copies
        // that the product adds up have a bit in common, so nothing is carried.
        let zeros = !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS);
        places << 8 | zeros.wrapping_mul(0x0002_0408_1020_4081) >> 56
    })
}

struct Rows<'a> {
    rules: &'a Rules,
    limit: BlockLimit,
    split: &'a mut Split,
    /// Where the unfinished row starts.
    start: usize,
}

impl Rows<'_> {
    fn by_blocks(&mut self, text: &[u8], separator: u8, delimiter: u8) -> Result<usize> {
        let (blocks, tail) = text.as_chunks::<64>();
        for (at, block) in blocks.iter().enumerate() {
            let row_ends = places_of(delimiter, block);
            let mut hits = row_ends | places_of(separator, block);
            while hits != 0 {
                let bit = hits.trailing_zeros();
                let place = at * 64 + bit as usize;
                self.split.field_end(place);
                if row_ends >> bit & 1 != 0 && self.row_end(place)? {
                    return Ok(self.start);
                }
                hits &= hits - 1;
            }
        }
        for (at, byte) in tail.iter().enumerate() {
            let place = blocks.len() * 64 + at;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bit_map_is_right(bytes in prop::array::uniform32(prop_oneof![Just(b','), Just(b','^0x80), Just(0), any::<u8>()])) {
            let mut block = [0u8; 64];
            block[..32].copy_from_slice(&bytes);
            block[32..].copy_from_slice(&bytes);
            for byte in [b',', 0, 0xff, bytes[7]] {
                let places = places_of(byte, &block);
                for (at, found) in block.iter().enumerate() {
                    prop_assert_eq!(places >> at & 1 == 1, *found == byte);
                }
            }
        }
    }
}
