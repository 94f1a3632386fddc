//! Splits a text into statements and each into tokens, dropping white space and comments on the way.
//!
//! `sqlparser`'s tokenizer makes a token of every blank, so a text of blanks would cost a hundred times its size.
//! This scanner finds the pieces between the blanks and gives only those to the tokenizer. It knows strings,
//! identifiers in backticks and comments; where it and the tokenizer disagreed, a piece would not tokenize.
//!
//! Comments: `-- …`, `# …`, `/* … */` are dropped. `/*+ … */` is kept as a token (a hint). `/*! … */` and
//! `/*!40101 … */` are executed, as in MySQL, unless they ask for a version newer than the one we announce.

use std::ops::Range;

use cairn_types::{Error, Result};
use sqlparser::tokenizer::{Location, TokenWithSpan, Tokenizer};

use crate::dialect::StarRocksDialect;
use crate::error;
use crate::guard::Guard;

/// Tokens of one text, as in StarRocks' `parse_tokens_limit`.
pub(crate) const TOKENS_MAX: usize = 3_500_000;

/// The MySQL version that clients are told (8.0.33): newer version comments are only comments.
const MYSQL_VERSION: u32 = 80_033;

/// The tokens of one statement; its spans are places in the whole text.
pub(crate) struct RawStatement {
    pub tokens: Vec<TokenWithSpan>,
    /// Bytes of the text, from the first token to the last.
    pub bytes: Range<usize>,
}

/// Splits `text` at `;`. Statements without a token are left out.
///
/// # Errors
/// `Parse`: an unterminated string, identifier or comment; a character that is no token; too many tokens; a statement
/// that would be too deep.
pub(crate) fn split(text: &str, dialect: &StarRocksDialect) -> Result<Vec<RawStatement>> {
    let mut scanner = Scanner::new(text, dialect);
    let mut statements = Vec::new();
    while let Some(statement) = scanner.next_statement()? {
        statements.push(statement);
    }
    Ok(statements)
}

struct Scanner<'a> {
    text: &'a str,
    dialect: &'a StarRocksDialect,
    /// Where the next character is.
    byte: usize,
    place: Location,
    /// Where the open piece began.
    piece: Option<(usize, Location)>,
    tokens: Vec<TokenWithSpan>,
    bytes: Option<Range<usize>>,
    guard: Guard,
    /// At least as many tokens as were read.
    token_count: usize,
    /// Inside `/*! … */`: where it began.
    version_comment: Option<Location>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, dialect: &'a StarRocksDialect) -> Self {
        Self {
            text,
            dialect,
            byte: 0,
            place: Location { line: 1, column: 1 },
            piece: None,
            tokens: Vec::new(),
            bytes: None,
            guard: Guard::new(),
            token_count: 0,
            version_comment: None,
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.byte..).unwrap_or("")
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.byte += c.len_utf8();
        if c == '\n' {
            self.place.line += 1;
            self.place.column = 1;
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn bump_chars(&mut self, count: usize) {
        for _ in 0..count {
            self.bump();
        }
    }

    fn next_statement(&mut self) -> Result<Option<RawStatement>> {
        loop {
            let Some(c) = self.rest().chars().next() else {
                self.end_piece()?;
                if let Some(began) = self.version_comment {
                    return Err(error::at(self.text, began, "the comment is not closed by */"));
                }
                return Ok(self.take());
            };
            if is_blank(c) {
                self.end_piece()?;
                self.bump();
            } else if c == ';' {
                self.end_piece()?;
                self.bump();
                if let Some(statement) = self.take() {
                    return Ok(Some(statement));
                }
            } else if !self.comment(c)? {
                self.token_part(c)?;
            }
        }
    }

    fn take(&mut self) -> Option<RawStatement> {
        let bytes = self.bytes.take()?;
        self.guard = Guard::new();
        Some(RawStatement { tokens: std::mem::take(&mut self.tokens), bytes })
    }

    /// Reads a comment, if one begins here with `c`.
    fn comment(&mut self, c: char) -> Result<bool> {
        let rest = self.rest();
        let is_line = c == '#'
            || (rest.starts_with("--") && rest.chars().nth(2).is_none_or(|c| is_blank(c) || c.is_control()));
        if is_line {
            self.end_piece()?;
            while self.bump().is_some_and(|c| c != '\n') {}
        } else if self.version_comment.is_some() && rest.starts_with("*/") {
            self.end_piece()?;
            self.bump_chars(2);
            self.version_comment = None;
        } else if rest.starts_with("/*+") {
            self.end_piece()?;
            self.begin_piece();
            self.block_comment()?;
            self.end_piece()?;
        } else if rest.starts_with("/*!") && self.version_comment.is_none() {
            self.end_piece()?;
            self.version_comment()?;
        } else if rest.starts_with("/*") {
            self.end_piece()?;
            self.block_comment()?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `/*!` and an optional version of 5 or 6 digits.
    fn version_comment(&mut self) -> Result<()> {
        let rest = self.rest();
        let digits: String = rest.chars().skip(3).take_while(char::is_ascii_digit).take(6).collect();
        let asked: u32 = if digits.len() < 5 { 0 } else { digits.parse().unwrap_or(u32::MAX) };
        if asked > MYSQL_VERSION {
            return self.block_comment();
        }
        self.version_comment = Some(self.place);
        self.bump_chars(3 + if digits.len() < 5 { 0 } else { digits.len() });
        Ok(())
    }

    fn block_comment(&mut self) -> Result<()> {
        let began = self.place;
        let Some(length) = self.rest().get(2..).and_then(|inner| inner.find("*/")) else {
            return Err(error::at(self.text, began, "the comment is not closed by */"));
        };
        let end = self.byte + 2 + length + 2;
        while self.byte < end {
            self.bump();
        }
        Ok(())
    }

    /// Reads the string, word or sign at `c` into the open piece.
    fn token_part(&mut self, c: char) -> Result<()> {
        self.begin_piece();
        self.token_count += 1;
        if self.token_count > TOKENS_MAX {
            return Err(Error::parse(format!(
                "The text has more than {TOKENS_MAX} words and signs. Detail message: load this many rows from a \
                 file (Stream Load, or INSERT INTO … SELECT … FROM FILES(…))"
            )));
        }
        match c {
            '\'' | '"' => self.string(c, true),
            '`' => self.string(c, false),
            'b' | 'B' if self.rest().get(1..).is_some_and(|rest| rest.starts_with(['\'', '"'])) => {
                self.bump();
                let quote = self.rest().chars().next().unwrap_or('\'');
                self.string(quote, false)
            }
            c if is_word(c) => {
                while self.rest().chars().next().is_some_and(is_word) {
                    self.bump();
                }
                Ok(())
            }
            _ => {
                self.bump();
                Ok(())
            }
        }
    }

    /// Skips a quoted text; the quote doubled is part of it.
    fn string(&mut self, quote: char, backslash_escapes: bool) -> Result<()> {
        let began = self.place;
        self.bump();
        while let Some(c) = self.bump() {
            if c == '\\' && backslash_escapes {
                self.bump();
            } else if c == quote {
                if !self.rest().starts_with(quote) {
                    return Ok(());
                }
                self.bump();
            }
        }
        Err(error::at(self.text, began, &format!("the text that begins here is not closed by {quote}")))
    }

    fn begin_piece(&mut self) {
        if self.piece.is_none() {
            self.piece = Some((self.byte, self.place));
        }
    }

    /// Gives the open piece to the tokenizer.
    fn end_piece(&mut self) -> Result<()> {
        let Some((start, origin)) = self.piece.take() else { return Ok(()) };
        let piece = self.text.get(start..self.byte).unwrap_or("");
        let first = self.bytes.as_ref().map_or(start, |bytes| bytes.start);
        self.bytes = Some(first..self.byte);
        let before = self.tokens.len();
        Tokenizer::new(self.dialect, piece)
            .tokenize_with_location_into_buf_with_mapper(&mut self.tokens, |mut token| {
                token.span.start = moved(token.span.start, origin);
                token.span.end = moved(token.span.end, origin);
                token
            })
            .map_err(|e| error::at(self.text, moved(e.location, origin), &e.message))?;
        let guard = &mut self.guard;
        self.tokens.iter().skip(before).try_for_each(|token| guard.check(token, self.text))
    }
}

/// A place in a piece as a place in the text, where the piece begins at `origin`.
fn moved(place: Location, origin: Location) -> Location {
    if place.line == 1 {
        Location { line: origin.line, column: origin.column + place.column - 1 }
    } else {
        Location { line: origin.line + place.line - 1, column: place.column }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | '\u{3000}' | '\u{feff}')
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '@') || (!c.is_ascii() && !is_blank(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        let dialect = StarRocksDialect::default();
        let statements = split(sql, &dialect).map_err(|e| e.message().to_owned());
        statements
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
            .iter()
            .map(|s| s.tokens.iter().map(|t| t.token.to_string()).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_strings_and_comments() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" ;; -- nothing\n ; /* ; */ # ; ", &[]),
            ("a;b", &["a", "b"]),
            ("a ';' \";\" `;`; b", &["a ';' \";\" `;`", "b"]),
            ("'it''s; \\'; ' ;b", &["'it's; '; '", "b"]),
            ("a--b", &["a - - b"]),
            ("a -- b; c\n;d", &["a", "d"]),
            ("b'\\';c", &["B'\\'", "c"]),
            ("/*!40101 SET a */;", &["SET a"]),
            ("/*! SET a */ b", &["SET a b"]),
            ("a /*!99999 SET a */ b", &["a b"]),
            ("/*M!100100 x */ a", &["a"]),
            ("SELECT /*+ SET_VAR(a=1) */ 1", &["SELECT /*+ SET_VAR(a=1) */ 1"]),
            ("\u{feff}a\u{3000}b", &["a b"]),
        ];
        for (sql, expected) in cases {
            assert_eq!(texts(sql), *expected, "{sql}");
        }
    }

    #[test]
    fn spans_are_places_in_the_whole_text() {
        let dialect = StarRocksDialect::default();
        let statements = split("ä;\n  b 'x\ny'+1", &dialect).unwrap_or_default();
        let places: Vec<(u64, u64)> =
            statements[1].tokens.iter().map(|t| (t.span.start.line, t.span.start.column)).collect();
        assert_eq!(places, [(2, 3), (2, 5), (3, 3), (3, 4)]);
        assert_eq!(statements[1].bytes, 6..15);
    }

    #[test]
    fn what_is_not_closed_is_an_error_with_its_place() {
        for (sql, place) in
            [("a 'b", "column 3"), ("a\n`b", "line 2, column 1"), ("/* x", "column 1"), ("/*! x", "column 1")]
        {
            let error = split(sql, &StarRocksDialect::default()).err().map(|e| e.message().to_owned());
            assert!(
                error.as_ref().is_some_and(|e| e.contains(place) && e.contains("not closed")),
                "{sql}: {error:?}"
            );
        }
    }
}
