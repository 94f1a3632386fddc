//! The settings of a CSV load.

use cairn_types::{Error, Result};

/// What separates what in a CSV text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsvOptions {
    /// Between fields; one or more bytes.
    pub column_separator: Vec<u8>,
    /// After each row (the last may lack it); one or more bytes. Files with `\r\n` need it set to that: with
    /// `\n` the `\r` is part of the last field, as in StarRocks.
    pub row_delimiter: Vec<u8>,
    /// Rows at the start that are not data.
    pub skip_header: u64,
    /// Whether spaces around a field are dropped (those within an enclosed field stay).
    pub trim_space: bool,
    /// A character around fields in which separators and delimiters are text; doubled, it is itself.
    pub enclose: Option<u8>,
    /// A character that makes the next one text.
    pub escape: Option<u8>,
    /// Whether a row may end in one separator too many, as the `.tbl` files of TPC tools do. StarRocks would
    /// count an empty field there and refuse the row.
    pub allow_trailing_separator: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            column_separator: b"\t".to_vec(),
            row_delimiter: b"\n".to_vec(),
            skip_header: 0,
            trim_space: false,
            enclose: None,
            escape: None,
            allow_trailing_separator: true,
        }
    }
}

/// Separators are looked for at every byte: longer ones are a mistake (StarRocks: 50).
const SEPARATOR_BYTES_MAX: usize = 50;

impl CsvOptions {
    /// Whether rows have to be walked through because a row delimiter may be text.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.enclose.is_some() || self.escape.is_some()
    }

    /// Refuses settings under which rows cannot be told apart.
    ///
    /// # Errors
    /// `Analysis` naming the setting.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in
            [("column_separator", &self.column_separator), ("row_delimiter", &self.row_delimiter)]
        {
            if value.is_empty() || value.len() > SEPARATOR_BYTES_MAX {
                let message = format!("{name} must have 1 to {SEPARATOR_BYTES_MAX} bytes");
                return Err(Error::analysis(message));
            }
            let special = [self.enclose, self.escape].into_iter().flatten().find(|c| value.contains(c));
            if let Some(byte) = special {
                let byte = char::from(byte);
                return Err(Error::analysis(format!(
                    "{name} contains '{byte}', which is also the enclose or escape character. Choose another"
                )));
            }
        }
        let (column, row) = (&self.column_separator, &self.row_delimiter);
        // The end of a separator must not look like the start of a delimiter: with what follows it could be one.
        let overlap = (0..column.len()).any(|at| column.get(at..).is_some_and(|end| row.starts_with(end)));
        if overlap || column.starts_with(row) {
            return Err(Error::analysis("column_separator and row_delimiter overlap. Choose different ones"));
        }
        for (name, byte) in [("enclose", self.enclose), ("escape", self.escape)] {
            if byte.is_some_and(|b| !b.is_ascii() || b == b' ' && self.trim_space) {
                return Err(Error::analysis(format!("{name} must be an ASCII character and no space")));
            }
        }
        if self.enclose.is_some() && self.enclose == self.escape {
            return Err(Error::analysis(
                "enclose and escape are the same character. Leave escape out: a doubled enclose is enough",
            ));
        }
        Ok(())
    }
}

/// Reads a separator as users write it: itself, with the escapes `\n \r \t \\ \xHH` (also `\\xHH`), or as hex
/// digits all through, `0x01` or `\x01`.
///
/// # Errors
/// `Analysis` when it is empty or has broken hex digits.
pub fn parse_separator(text: &str) -> Result<Vec<u8>> {
    let bad = |what: &str| Error::analysis(format!("Invalid separator '{text}': {what}"));
    if text.is_empty() {
        return Err(bad("it is empty"));
    }
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return hex_bytes(digits).ok_or_else(|| bad("after 0x come pairs of hex digits"));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        rest = rest.strip_prefix('\\').filter(|r| r.starts_with(['x', 'X'])).unwrap_or(rest);
        let (byte, used) = match rest.as_bytes() {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x' | b'X', ..] => {
                let byte = rest.get(1..3).and_then(hex_bytes).and_then(|bytes| bytes.first().copied());
                (byte.ok_or_else(|| bad("after \\x come two hex digits"))?, 3)
            }
            _ => (b'\\', 0),
        };
        out.push(byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(out)
}

/// Pairs of hex digits; `None` when there are none or one is broken.
fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_read_in_all_spellings() {
        let cases: [(&str, Option<&[u8]>); 14] = [
            (",", Some(b",")),
            ("||", Some(b"||")),
            ("\\t", Some(b"\t")),
            ("\\n", Some(b"\n")),
            ("\\r\\n", Some(b"\r\n")),
            ("\\x01", Some(b"\x01")),
            ("\\\\x01", Some(b"\x01")),
            ("\\x01\\x02", Some(b"\x01\x02")),
            ("0x0102", Some(b"\x01\x02")),
            ("，", Some("，".as_bytes())),
            ("\\", Some(b"\\")),
            ("", None),
            ("\\xg1", None),
            ("0x1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_separator(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let base = CsvOptions::default;
        let bad = [
            CsvOptions { column_separator: vec![], ..base() },
            CsvOptions { column_separator: b"\n".to_vec(), ..base() },
            CsvOptions { column_separator: b"\n\n".to_vec(), ..base() },
            CsvOptions { column_separator: b"x\r".to_vec(), row_delimiter: b"\r\n".to_vec(), ..base() },
            CsvOptions { enclose: Some(b'\t'), ..base() },
            CsvOptions { enclose: Some(0xff), ..base() },
            CsvOptions { enclose: Some(b'"'), escape: Some(b'"'), ..base() },
            CsvOptions { row_delimiter: vec![b'x'; 51], ..base() },
        ];
        for options in bad {
            assert!(options.validate().is_err(), "{options:?}");
        }
        assert!(base().validate().is_ok());
    }
}
