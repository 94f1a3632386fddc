//! Splitting with enclose and escape characters. One walk over a row serves both ends: finding where the row
//! ends (the cutter) and collecting its fields without the marks (the parser).
//!
//! As in StarRocks: a field is enclosed if it begins with the enclose character; in it a doubled one stands for
//! itself; what follows the closing one is text again. The escape character makes the next byte text anywhere.

use cairn_types::Result;

use crate::csv::CsvOptions;
use crate::csv::split::{BlockLimit, Rules, Split};
use crate::tally::Why;

/// What the walk tells about the fields.
pub(crate) trait Sink {
    /// More text of the current field, marks removed.
    fn text(&mut self, bytes: &[u8]);
    /// The current field ends.
    fn field_end(&mut self, kind: FieldKind);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldKind {
    Null,
    Enclosed,
    Bare,
}

/// For those who only want to know where the row ends.
pub(crate) struct NoSink;

impl Sink for NoSink {
    fn text(&mut self, _: &[u8]) {}
    fn field_end(&mut self, _: FieldKind) {}
}

/// How a row ended: where its text ends and where the next row starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RowEnd {
    Whole {
        end: usize,
        next: usize,
    },
    /// The text ended in an enclosed field, and no more text comes.
    Unterminated,
}

/// Walks the row at the start of `text`. `None`: the row does not end here, or it cannot be told without more
/// text; never when `last` says that no more comes.
pub(crate) fn walk_row(text: &[u8], csv: &CsvOptions, last: bool, sink: &mut impl Sink) -> Option<RowEnd> {
    let mut walk = Walk { text, csv, last, at: 0 };
    loop {
        let start = walk.at;
        if csv.trim_space {
            walk.skip_spaces();
        }
        let mut enclosed = false;
        if csv.enclose.is_some() && walk.peek() == csv.enclose {
            enclosed = true;
            walk.at += 1;
            match walk.enclosed(sink) {
                Step::Done => {}
                Step::More if last => return Some(RowEnd::Unterminated),
                Step::More => return None,
            }
            if csv.trim_space {
                walk.skip_spaces();
            }
        }
        let (end, next, row_ends) = walk.bare(sink)?;
        let raw = text.get(start..end).unwrap_or_default();
        let raw = if csv.trim_space { trim_spaces(raw) } else { raw };
        sink.field_end(match (enclosed, raw) {
            (true, _) => FieldKind::Enclosed,
            (false, b"\\N") => FieldKind::Null,
            (false, _) => FieldKind::Bare,
        });
        if row_ends {
            return Some(RowEnd::Whole { end, next });
        }
        walk.at = next;
    }
}

enum Step {
    Done,
    /// The text ended first.
    More,
}

struct Walk<'a> {
    text: &'a [u8],
    csv: &'a CsvOptions,
    last: bool,
    at: usize,
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().iter().take_while(|b| **b == b' ').count();
    }

    /// Gives `bytes` more bytes to the sink and goes on behind them.
    fn take(&mut self, bytes: usize, sink: &mut impl Sink) {
        sink.text(self.rest().get(..bytes).unwrap_or_default());
        self.at += bytes;
    }

    /// From behind the opening enclose character to behind the closing one.
    fn enclosed(&mut self, sink: &mut impl Sink) -> Step {
        let Some(enclose) = self.csv.enclose else { return Step::Done };
        let escape = self.csv.escape.unwrap_or(enclose);
        loop {
            let Some(found) = memchr::memchr2(enclose, escape, self.rest()) else { return Step::More };
            self.take(found, sink);
            let is_enclose = self.peek() == Some(enclose);
            match self.text.get(self.at + 1) {
                // `""` is `"`, and after an escape character everything is text.
                Some(next) if !is_enclose || *next == enclose => {
                    self.at += 1;
                    self.take(1, sink);
                }
                None if !is_enclose || !self.last => return Step::More,
                _ => {
                    self.at += 1;
                    return Step::Done;
                }
            }
        }
    }

    /// To the next separator or delimiter: (end of the field, start of the next, whether the row ends).
    fn bare(&mut self, sink: &mut impl Sink) -> Option<(usize, usize, bool)> {
        let (separator, delimiter) = (&self.csv.column_separator, &self.csv.row_delimiter);
        let (first, second) = (*separator.first()?, *delimiter.first()?);
        let third = self.csv.escape.unwrap_or(first);
        loop {
            let found = memchr::memchr3(first, second, third, self.rest());
            let Some(found) = found else {
                let end = self.text.len();
                self.take(end - self.at, sink);
                return self.last.then_some((end, end, true));
            };
            self.take(found, sink);
            let rest = self.rest();
            if rest.starts_with(delimiter) {
                return Some((self.at, self.at + delimiter.len(), true));
            }
            if rest.starts_with(separator) {
                return Some((self.at, self.at + separator.len(), false));
            }
            if !self.last && (delimiter.starts_with(rest) || separator.starts_with(rest)) {
                return None;
            }
            if self.csv.escape == self.peek() && self.csv.escape.is_some() {
                match rest.len() {
                    1 if !self.last => return None,
                    1 => {}
                    _ => self.at += 1,
                }
            }
            self.take(1, sink);
        }
    }
}

fn trim_spaces(mut raw: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = raw {
        raw = rest;
    }
    raw
}

/// Collects fields one after the other in `text`.
struct Collect<'a> {
    text: &'a mut Vec<u8>,
    split: &'a mut Split,
    field_start: usize,
    trim: bool,
}

impl Sink for Collect<'_> {
    fn text(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    fn field_end(&mut self, kind: FieldKind) {
        match kind {
            FieldKind::Null => {
                self.text.truncate(self.field_start);
                self.text.extend_from_slice(b"\\N");
            }
            FieldKind::Bare if self.trim => {
                while self.text.len() > self.field_start && self.text.last() == Some(&b' ') {
                    self.text.pop();
                }
            }
            FieldKind::Bare | FieldKind::Enclosed => {}
        }
        self.split.field_end_literal(self.text.len(), kind != FieldKind::Null);
        self.field_start = self.text.len();
    }
}

/// Splits rows like [`super::plain::split_plain`], but the fields, freed of their marks, go to `fields`, where
/// the places in `split` point.
///
/// # Errors
/// A row that is too long.
pub(crate) fn split_quoted(
    text: &[u8],
    rules: &Rules,
    limit: BlockLimit,
    split: &mut Split,
    fields: &mut Vec<u8>,
) -> Result<usize> {
    let mut at = 0;
    while at < text.len() && split.rows.len() < limit.rows && at < limit.bytes {
        let start = fields.len();
        let rest = text.get(at..).unwrap_or_default();
        let trim = rules.csv.trim_space;
        let mut sink = Collect { text: fields, split, field_start: start, trim };
        match walk_row(rest, &rules.csv, true, &mut sink) {
            Some(RowEnd::Whole { end, next }) => {
                split.row_end(rules, start, (at, at + end))?;
                at += next;
            }
            Some(RowEnd::Unterminated) | None => {
                split.row_fault((at, text.len()), Why::Unterminated);
                at = text.len();
            }
        }
    }
    Ok(at)
}
