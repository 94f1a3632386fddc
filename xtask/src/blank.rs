//! Rust source with everything that is not code made blank, so that later steps may count braces and words.
//!
//! Comments and the insides of string and character literals become spaces; line breaks stay, so a position in the
//! result is the same position, and the same line, in the source.

/// The source as bytes of equal length, comments and literals replaced by spaces.
pub fn blank(source: &str) -> Vec<u8> {
    let mut cursor = Cursor { source: source.as_bytes(), at: 0, out: Vec::with_capacity(source.len()) };
    while let Some(byte) = cursor.peek(0) {
        match byte {
            b'/' if cursor.peek(1) == Some(b'/') => cursor.line_comment(),
            b'/' if cursor.peek(1) == Some(b'*') => cursor.block_comment(),
            b'"' => cursor.string(),
            b'\'' => cursor.quote(),
            _ if is_word(byte) => cursor.word(),
            _ => cursor.keep(),
        }
    }
    cursor.out
}

/// Whether a byte can be part of an identifier or number (all of UTF-8 beyond ASCII counts as one).
pub fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

struct Cursor<'a> {
    source: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Cursor<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        if let Some(byte) = self.peek(0) {
            self.out.push(byte);
            self.at += 1;
        }
    }

    fn hide(&mut self, bytes: usize) {
        for _ in 0..bytes {
            if let Some(byte) = self.peek(0) {
                self.out.push(if byte == b'\n' { b'\n' } else { b' ' });
                self.at += 1;
            }
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.hide(1);
        }
    }

    /// Block comments nest in Rust.
    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    self.hide(2);
                }
                (b'*', Some(b'/')) => {
                    depth = depth.saturating_sub(1);
                    self.hide(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.hide(1),
            }
        }
    }

    fn string(&mut self) {
        self.hide(1);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.hide(2),
                b'"' => return self.hide(1),
                _ => self.hide(1),
            }
        }
    }

    /// A character literal is hidden, a lifetime or label is kept.
    fn quote(&mut self) {
        let width = match self.peek(1) {
            None => 1,
            Some(first) => char_width(first),
        };
        if self.peek(1) == Some(b'\\') {
            self.hide(3);
            while self.peek(0).is_some_and(|byte| byte != b'\'') {
                self.hide(1);
            }
            self.hide(1);
        } else if self.peek(1 + width) == Some(b'\'') {
            self.hide(2 + width);
        } else {
            self.keep();
        }
    }

    /// A whole identifier, which may turn out to be the prefix of a raw string.
    fn word(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(is_word) {
            self.keep();
        }
        let raw = matches!(self.source.get(start..self.at), Some(b"r" | b"br" | b"cr"));
        let hashes = (0..).take_while(|i| self.peek(*i) == Some(b'#')).count();
        if raw && self.peek(hashes) == Some(b'"') {
            self.raw_string(hashes);
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.hide(hashes + 1);
        while let Some(byte) = self.peek(0) {
            self.hide(1);
            if byte == b'"' && (0..hashes).all(|i| self.peek(i) == Some(b'#')) {
                return self.hide(hashes);
            }
        }
    }
}

fn char_width(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0..=0xEF => 3,
        0xC0..=0xDF => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        for (source, expected) in [
            ("a // { b\nc", "a c"),
            ("a /* { /* } */ { */ b", "a b"),
            (r#"f("{ \" }") {}"#, "f( ) {}"),
            ("f('{') g('\\'') h('\\u{7d}')", "f( ) g( ) h( )"),
            ("f::<'a>(&'a x, 'b: {})", "f::<'a>(&'a x, 'b: {})"),
            ("r\"{\" br#\"}\"}\"# x", "r br x"),
            ("r##\"a\"# {\"## }", "r }"),
            ("r#fn(r#\"}\"#)", "r#fn(r )"),
            ("for\"{\"{", "for {"),
            ("x('é', '{', b'}')", "x( , , b )"),
        ] {
            let got = String::from_utf8(blank(source)).unwrap();
            let words: Vec<&str> = got.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "source: {source}");
            assert_eq!(got.len(), source.len(), "positions must not move: {source}");
            assert_eq!(got.lines().count(), source.lines().count(), "lines must not move: {source}");
        }
    }

    #[test]
    fn unfinished_literals_end_with_the_file() {
        for source in ["\"abc", "r#\"abc\"", "/* a", "'\\", "'", "b'"] {
            assert_eq!(blank(source).len(), source.len(), "source: {source}");
        }
    }
}
