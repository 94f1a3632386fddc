//! Finds the rows in a stream of JSON: complete values at the top, or the elements of arrays at the top. It only
//! follows brackets and strings; whether a row is sound is seen when it is read.

use cairn_types::{Error, Result};

use crate::JSON_DEPTH_MAX;

/// Cuts a stream of JSON values into rows.
pub(crate) struct JsonCutter {
    /// Whether rows are the elements of arrays at the top.
    elements: bool,
    row_bytes_max: usize,
    held: Vec<u8>,
    /// `held` was looked at up to here.
    seen: usize,
    /// Where the unfinished row starts in `held`, if one has started.
    start: Option<usize>,
    /// Bytes of the stream before `held`.
    held_from: u64,
    place: Place,
    depth: usize,
    rows: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Where a value at the top may start.
    Top,
    /// In an array, where an element must start (or, behind `[`, may).
    ElementStart {
        first: bool,
    },
    /// In an array, behind an element.
    ElementEnd,
    /// In a value, outside of strings.
    Value,
    String,
    /// Behind a backslash in a string.
    Escape,
    /// In an element that is a number or a word.
    Scalar,
}

impl JsonCutter {
    pub(crate) fn new(elements: bool, row_bytes_max: usize) -> Self {
        Self {
            elements,
            row_bytes_max,
            held: Vec::new(),
            seen: 0,
            start: None,
            held_from: 0,
            place: Place::Top,
            depth: 0,
            rows: 0,
        }
    }

    /// Takes the next bytes; `row` is called with each row that is complete.
    ///
    /// # Errors
    /// `Parse` where the stream is no sequence of rows; `ResourceExhausted` for a row that is too long; what
    /// `row` returns.
    pub(crate) fn push(&mut self, chunk: &[u8], mut row: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.held.extend_from_slice(chunk);
        if self.held_from == 0 && self.seen == 0 && self.held.starts_with(b"\xef\xbb\xbf") {
            self.seen = 3;
        }
        while let Some(byte) = self.held.get(self.seen).copied() {
            if let Some(end) = self.step(byte)? {
                let start = self.start.take().unwrap_or(end);
                self.check_length(end - start)?;
                self.rows += 1;
                row(self.held.get(start..end).unwrap_or_default())?;
            }
        }
        self.drop_seen();
        self.check_length(self.held.len())
    }

    fn check_length(&self, bytes: usize) -> Result<()> {
        if bytes <= self.row_bytes_max {
            return Ok(());
        }
        Err(Error::resource_exhausted(format!(
            "JSON row {} is longer than {} bytes. Split the data, or set strip_outer_array if its rows are the \
             elements of one array, or set ignore_json_size",
            self.rows + 1,
            self.row_bytes_max
        )))
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// `Parse` when it ended within a row or an array.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.place {
            Place::Top => Ok(()),
            _ => Err(Error::parse(format!("The JSON data ends inside of row {}", self.rows + 1))),
        }
    }

    /// Looks at the next byte; the end of a row if one ends.
    fn step(&mut self, byte: u8) -> Result<Option<usize>> {
        let at = self.seen;
        self.seen += 1;
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match (self.place, byte) {
            (Place::String, b'"') => return Ok(self.value_end(at + 1)),
            (Place::String, b'\\') => self.place = Place::Escape,
            (Place::String, _) => {
                let rest = self.held.get(self.seen..).unwrap_or_default();
                self.seen += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            }
            (Place::Escape, _) => self.place = Place::String,
            (Place::Value, b'"') => self.place = Place::String,
            (Place::Value, b'{' | b'[') => self.open(at)?,
            (Place::Value, b'}' | b']') => {
                self.depth -= 1;
                return Ok(self.value_end(at + 1));
            }
            (Place::Value, _) => {}
            (Place::Scalar, b',' | b']') => {
                self.seen = at;
                self.place = Place::ElementEnd;
                return Ok(Some(at));
            }
            (Place::Scalar, _) => {}
            (_, _) if space => {}
            (Place::Top, b'[') if self.elements => self.place = Place::ElementStart { first: true },
            (Place::Top, b'{') if self.elements => {
                return Err(self.bad(at, "an object. With strip_outer_array the data must be an array"));
            }
            (Place::Top, b'{' | b'[') => self.start_row(at)?,
            (Place::Top, _) => return Err(self.bad(at, "no object or array")),
            (Place::ElementStart { first: true } | Place::ElementEnd, b']') => self.place = Place::Top,
            (Place::ElementEnd, b',') => self.place = Place::ElementStart { first: false },
            (Place::ElementEnd, _) => return Err(self.bad(at, "neither a comma nor the end of the array")),
            (Place::ElementStart { .. }, b'{' | b'[') => self.start_row(at)?,
            (Place::ElementStart { .. }, b',' | b']' | b'}') => return Err(self.bad(at, "no array element")),
            (Place::ElementStart { .. }, b'"') => {
                self.start = Some(at);
                self.place = Place::String;
            }
            (Place::ElementStart { .. }, _) => {
                self.start = Some(at);
                self.place = Place::Scalar;
            }
        }
        Ok(None)
    }

    fn start_row(&mut self, at: usize) -> Result<()> {
        self.start = Some(at);
        self.open(at)
    }

    fn open(&mut self, at: usize) -> Result<()> {
        self.depth += 1;
        self.place = Place::Value;
        if self.depth > JSON_DEPTH_MAX {
            let at = self.held_from + at as u64;
            let row = self.rows + 1;
            return Err(Error::parse(format!(
                "JSON row {row} is nested deeper than {JSON_DEPTH_MAX} levels, at byte {at} of the data"
            )));
        }
        Ok(())
    }

    /// A string or a bracket closed: the row ends with it if nothing is open any more.
    fn value_end(&mut self, end: usize) -> Option<usize> {
        if self.depth > 0 {
            self.place = Place::Value;
            return None;
        }
        self.place = if self.elements { Place::ElementEnd } else { Place::Top };
        Some(end)
    }

    fn bad(&self, at: usize, what: &str) -> Error {
        let row = self.rows + 1;
        let at = self.held_from + at as u64;
        Error::parse(format!("The JSON data cannot be read before row {row}: at byte {at} stands {what}"))
    }

    fn drop_seen(&mut self) {
        let keep_from = self.start.unwrap_or(self.seen);
        self.held.drain(..keep_from);
        self.held_from += keep_from as u64;
        self.seen -= keep_from;
        self.start = self.start.map(|_| 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, elements: bool, chunk_bytes: usize) -> Result<Vec<String>> {
        let mut cutter = JsonCutter::new(elements, 1000);
        let mut rows = Vec::new();
        for chunk in text.as_bytes().chunks(chunk_bytes) {
            cutter.push(chunk, |row| {
                rows.push(String::from_utf8(row.to_vec()).unwrap());
                Ok(())
            })?;
        }
        cutter.finish()?;
        Ok(rows)
    }

    fn check(text: &str, elements: bool, expected: Option<&[&str]>) {
        for chunk_bytes in [1, 2, 3, 1000] {
            let actual = rows(text, elements, chunk_bytes).ok();
            let expected = expected.map(|e| e.iter().map(|s| s.to_string()).collect::<Vec<_>>());
            assert_eq!(actual, expected, "{text} in chunks of {chunk_bytes}");
        }
    }

    #[test]
    fn rows_are_found_wherever_the_stream_is_cut() {
        check(r#"{"a":1}{"a":2}"#, false, Some(&[r#"{"a":1}"#, r#"{"a":2}"#]));
        check("{\"a\":[{}]}\n\n {}\n", false, Some(&["{\"a\":[{}]}", "{}"]));
        check(r#"{"a":"}\"]"}"#, false, Some(&[r#"{"a":"}\"]"}"#]));
        check("[1, 2]", false, Some(&["[1, 2]"]));
        check(r#"[{"a":1}, {"a":2}] [ ]"#, true, Some(&[r#"{"a":1}"#, r#"{"a":2}"#]));
        check(r#"[1,"x,]",null]"#, true, Some(&["1", r#""x,]""#, "null"]));
        check("", false, Some(&[]));
        check("  ", true, Some(&[]));
    }

    #[test]
    fn what_is_no_sequence_of_rows_is_refused() {
        for (text, elements) in [
            ("{\"a\":1", false),
            ("{},{}", false),
            ("abc", false),
            ("1", false),
            ("{}", true),
            ("[{}", true),
            ("[{},]", true),
            ("[{} {}]", true),
            ("[,]", true),
            ("\"open", false),
        ] {
            check(text, elements, None);
        }
        check(&"[".repeat(JSON_DEPTH_MAX + 1), false, None);
        check(&format!("{{\"a\":\"{}\"}}", "x".repeat(1000)), false, None);
    }
}
