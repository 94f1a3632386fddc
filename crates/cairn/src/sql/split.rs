//! Cuts a text that comes in pieces into statements, at each `;` that is outside of quotes and comments.

use cairn_types::limits::SQL_BYTES_MAX;
use cairn_types::{Error, Result};

/// What the next character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Statement,
    Quote(char),
    LineComment,
    BlockComment,
}

/// Takes text, gives statements without their `;`. Comments stay where they are (hints are some); what is only comment
/// is no statement.
pub struct Splitter {
    /// The statement that is not yet complete.
    text: String,
    /// Bytes of `text` that were looked at.
    seen: usize,
    within: Within,
    /// There is more than space and comments.
    any_word: bool,
}

impl Splitter {
    pub fn new() -> Self {
        Self { text: String::new(), seen: 0, within: Within::Statement, any_word: false }
    }

    /// Takes the next piece of the text; gives the statements that it completes.
    ///
    /// # Errors
    /// `Parse` for a statement that is too long for any server.
    pub fn push(&mut self, piece: &str) -> Result<Vec<String>> {
        self.text.push_str(piece);
        let mut statements = Vec::new();
        // One or two characters are kept back: what a character means may depend on the next ones.
        while self.text.len() > self.seen && self.step(false, &mut statements) {}
        if self.text.len() > SQL_BYTES_MAX {
            return Err(Error::parse(format!(
                "A statement has more than {SQL_BYTES_MAX} bytes. Is a quote or a ';' missing? Load data by Stream Load"
            )));
        }
        Ok(statements)
    }

    /// The text has ended: the last statement, which needs no `;`.
    pub fn finish(mut self) -> Vec<String> {
        let mut statements = Vec::new();
        while self.step(true, &mut statements) {}
        self.complete(self.text.len(), &mut statements);
        statements
    }

    /// Looks at the next character; false when there is none, or it cannot be told yet what it means.
    fn step(&mut self, at_end: bool, statements: &mut Vec<String>) -> bool {
        let rest = self.text.get(self.seen..).unwrap_or_default();
        let mut chars = rest.chars();
        let (Some(c), next, third) = (chars.next(), chars.next(), chars.next()) else { return false };
        let needs_third = matches!((c, next), ('-', Some('-')) | ('/', Some('*')));
        let undecided = next.is_none() || (needs_third && third.is_none());
        if undecided && !at_end {
            return false;
        }
        let mut length = c.len_utf8();
        let comment_pair = |pair: (char, char)| (c, next) == (pair.0, Some(pair.1));
        match self.within {
            Within::Statement if c == ';' => {
                self.complete(self.seen, statements);
                return true;
            }
            Within::Statement if c == '#' => self.within = Within::LineComment,
            Within::Statement
                if comment_pair(('-', '-')) && third.is_none_or(|c| c.is_whitespace() || c.is_control()) =>
            {
                self.within = Within::LineComment;
            }
            Within::Statement if comment_pair(('/', '*')) => {
                self.within = Within::BlockComment;
                length = 2;
                // `/*! … */` is a comment only to other servers.
                self.any_word |= third == Some('!');
            }
            Within::Statement => {
                if matches!(c, '\'' | '"' | '`') {
                    self.within = Within::Quote(c);
                }
                self.any_word |= !c.is_whitespace();
            }
            Within::Quote(quote) if c == '\\' && quote != '`' => length += next.map_or(0, char::len_utf8),
            Within::Quote(quote) if c == quote => self.within = Within::Statement,
            Within::LineComment if c == '\n' => self.within = Within::Statement,
            Within::BlockComment if comment_pair(('*', '/')) => {
                self.within = Within::Statement;
                length = 2;
            }
            Within::Quote(_) | Within::LineComment | Within::BlockComment => {}
        }
        self.seen += length;
        true
    }

    /// Ends a statement before byte `end`, and drops the `;` there.
    fn complete(&mut self, end: usize, statements: &mut Vec<String>) {
        let rest = self.text.get(end + 1..).unwrap_or_default().to_owned();
        self.text.truncate(end);
        if self.any_word {
            statements.push(self.text.trim().to_owned());
        }
        *self = Self { text: rest, ..Self::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All statements of `text` given in pieces of `size` characters.
    fn split(text: &str, size: usize) -> Vec<String> {
        let mut splitter = Splitter::new();
        let mut statements = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(size) {
            statements.extend(splitter.push(&piece.iter().collect::<String>()).expect("short"));
        }
        statements.extend(splitter.finish());
        statements
    }

    #[test]
    fn statements_end_outside_of_quotes_and_comments() {
        let cases: [(&str, &[&str]); 20] = [
            ("SELECT 1", &["SELECT 1"]),
            ("SELECT 1;", &["SELECT 1"]),
            (" a ;\n b;; ;c", &["a", "b", "c"]),
            ("", &[]),
            (" \n;", &[]),
            ("SELECT ';'; b", &["SELECT ';'", "b"]),
            ("SELECT 'it''s;', \"x\"\";\"; b", &["SELECT 'it''s;', \"x\"\";\"", "b"]),
            ("SELECT 'a\\';', 1; b", &["SELECT 'a\\';', 1", "b"]),
            ("SELECT '\\\\'; b", &["SELECT '\\\\'", "b"]),
            ("SELECT `a;\\`; b", &["SELECT `a;\\`", "b"]),
            ("a -- x;y\n; b", &["a -- x;y", "b"]),
            ("a --; b", &["a --", "b"]),
            ("SELECT 5--3; b", &["SELECT 5--3", "b"]),
            ("a # x;y\n; b", &["a # x;y", "b"]),
            ("a /* ; ' */ b; c", &["a /* ; ' */ b", "c"]),
            ("/*;*/; -- x\n; # y", &[]),
            ("/*/ ; */ a; b", &["/*/ ; */ a", "b"]),
            ("/*!40101 SET NAMES utf8 */; b", &["/*!40101 SET NAMES utf8 */", "b"]),
            ("-- only\nSELECT 'ü;ß'; ö", &["-- only\nSELECT 'ü;ß'", "ö"]),
            ("SELECT 'open; b", &["SELECT 'open; b"]),
        ];
        for (text, expected) in cases {
            for size in [1, 2, 3, 1000] {
                assert_eq!(split(text, size), expected, "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_statement_is_given_as_soon_as_it_is_complete() {
        let mut splitter = Splitter::new();
        assert_eq!(splitter.push("SELECT 1;\n"), Ok(vec!["SELECT 1".to_owned()]));
        assert_eq!(splitter.push("SELECT"), Ok(vec![]));
        assert_eq!(splitter.push(" 2;\n"), Ok(vec!["SELECT 2".to_owned()]));
    }

    #[test]
    fn endless_statements_are_refused() {
        let mut splitter = Splitter::new();
        let line = "x".repeat(1 << 20);
        let error = (0..20).find_map(|_| splitter.push(&line).err()).expect("refused");
        assert!(error.message().contains("bytes"), "{error}");
    }
}
