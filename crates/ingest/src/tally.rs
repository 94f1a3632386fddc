//! What happened to the rows of a load: how many came, how many were rejected, and why the first of them were.

use std::fmt;

use cairn_types::SqlType;

use crate::REJECTED_TEXT_BYTES_MAX;

/// A row that was not loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Place of the row in its input, from 1. CSV counts every line, also header and blank ones.
    pub row_number: u64,
    pub reason: String,
    /// The row as it came, cut to [`REJECTED_TEXT_BYTES_MAX`]; broken UTF-8 is shown as U+FFFD.
    pub text: String,
}

/// Counts of a load, or of one piece of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Rows seen, good or bad, without header and blank lines.
    pub rows_total: u64,
    /// Rows that were not loaded.
    pub rows_rejected: u64,
    /// Rows and everything else that has a row number.
    pub lines: u64,
    /// The first rejected rows.
    pub rejected: Vec<Rejected>,
    rejected_kept: usize,
}

impl Tally {
    /// An empty tally that keeps at most `rejected_kept` rows.
    #[must_use]
    pub fn new(rejected_kept: usize) -> Self {
        Self { rows_total: 0, rows_rejected: 0, lines: 0, rejected: Vec::new(), rejected_kept }
    }

    /// Adds the tally of the piece that comes right after this one; its row numbers continue ours.
    pub fn absorb(&mut self, next: Self) {
        let room = self.rejected_kept.saturating_sub(self.rejected.len());
        let base = self.lines;
        self.rejected.extend(next.rejected.into_iter().take(room).map(|mut rejected| {
            rejected.row_number += base;
            rejected
        }));
        self.rows_total += next.rows_total;
        self.rows_rejected += next.rows_rejected;
        self.lines += next.lines;
    }

    /// Counts a rejected row; `describe` (reason, text) runs only for the rows that are kept.
    pub(crate) fn reject(&mut self, row_number: u64, describe: impl FnOnce() -> (String, String)) {
        self.rows_rejected += 1;
        if self.rejected.len() < self.rejected_kept {
            let (reason, text) = describe();
            self.rejected.push(Rejected { row_number, reason, text });
        }
    }
}

/// Why a value or a row was refused. Formatted only for rows that are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Why {
    /// (expected, got) fields.
    FieldCount(usize, usize),
    Utf8,
    Unterminated,
    Null,
    Value,
    TooLong,
}

/// A refused value with everything its message names.
pub(crate) struct Reason<'a> {
    pub why: Why,
    pub column: &'a str,
    pub ty: Option<SqlType>,
    pub value: &'a str,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column;
        let ty = self.ty.map_or_else(|| "VARCHAR".to_owned(), |ty| ty.to_string().to_ascii_uppercase());
        let value = shorten(self.value, 200);
        match self.why {
            Why::FieldCount(expected, got) => {
                write!(f, "Value count does not match column count. Expected: {expected}, but got: {got}")
            }
            Why::Utf8 => f.write_str("Invalid UTF-8 row"),
            Why::Unterminated => {
                f.write_str("The row ends inside an enclosed field. Check the enclose and escape characters")
            }
            Why::Null => write!(f, "NULL value in non-nullable column '{column}'"),
            Why::Value => write!(f, "Value '{value}' is out of range. The type of '{column}' is {ty}"),
            Why::TooLong => write!(
                f,
                "Value '{value}' of {} bytes is too long. The type of '{column}' is {ty}",
                self.value.len()
            ),
        }
    }
}

/// `text`, or its beginning with `...` when it has more than `bytes_max` bytes.
pub(crate) fn shorten(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// The text of a rejected row as it is kept.
pub(crate) fn row_text(row: &[u8]) -> String {
    let head = row.get(..REJECTED_TEXT_BYTES_MAX).unwrap_or(row);
    let text = String::from_utf8_lossy(head);
    if head.len() < row.len() { format!("{text}...") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_with_continuing_row_numbers() {
        let piece = || {
            let mut piece = Tally::new(2);
            piece.rows_total = 5;
            piece.lines = 6;
            piece.reject(4, || ("why".into(), "row".into()));
            piece
        };
        let mut all = Tally::new(2);
        for _ in 0..3 {
            all.absorb(piece());
        }
        assert_eq!((all.rows_total, all.rows_rejected, all.lines), (15, 3, 18));
        let numbers: Vec<_> = all.rejected.iter().map(|r| r.row_number).collect();
        assert_eq!(numbers, [4, 10], "only two are kept");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shorten("äöü", 3), "ä...");
        assert_eq!(shorten("äöü", 6), "äöü");
        assert_eq!(row_text(&[b'a', 0xff]), "a\u{fffd}");
    }
}
