//! One row on its way into a packet, in the text or the binary protocol. Pure.

use crate::column::ColumnDef;
use crate::primitive::{put_lenenc_bytes, put_lenenc_int};
use cairn_types::{Error, Result};
use mysql_common::constants::{ColumnFlags, ColumnType};
use std::fmt::Display;
use std::io::Write as _;

/// How rows are written: as text for queries, in binary for prepared statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Binary,
}

/// What the binary protocol makes of a column's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WireType {
    /// An integer of this many bytes.
    Int {
        bytes: usize,
        unsigned: bool,
    },
    Float,
    Double,
    Date,
    DateTime,
    Time,
    /// Anything with a length in front.
    Bytes,
    Null,
}

impl WireType {
    pub(crate) fn of(column: &ColumnDef) -> Self {
        use ColumnType::*;
        let unsigned = column.flags.contains(ColumnFlags::UNSIGNED_FLAG);
        let int = |bytes| Self::Int { bytes, unsigned };
        match column.column_type {
            MYSQL_TYPE_TINY => int(1),
            MYSQL_TYPE_SHORT | MYSQL_TYPE_YEAR => int(2),
            MYSQL_TYPE_LONG | MYSQL_TYPE_INT24 => int(4),
            MYSQL_TYPE_LONGLONG => int(8),
            MYSQL_TYPE_FLOAT => Self::Float,
            MYSQL_TYPE_DOUBLE => Self::Double,
            MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE => Self::Date,
            MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2 | MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIMESTAMP2 => {
                Self::DateTime
            }
            MYSQL_TYPE_TIME | MYSQL_TYPE_TIME2 => Self::Time,
            MYSQL_TYPE_NULL => Self::Null,
            _ => Self::Bytes,
        }
    }
}

/// Takes the values of one row in the order of its columns and appends them straight to the send buffer, as the
/// protocol in use wants them. Numbers and times may also be put into a text column, where they are written as text.
/// A value which does not fit its column, or a wrong number of values, makes the row an error.
pub struct RowBuf<'a> {
    out: &'a mut Vec<u8>,
    columns: &'a [WireType],
    format: Format,
    next: usize,
    /// Where the binary protocol's NULL bitmap begins.
    bitmap: usize,
    fault: Option<Error>,
}

impl<'a> RowBuf<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, columns: &'a [WireType], format: Format) -> Self {
        let bitmap = out.len() + 1;
        if format == Format::Binary {
            out.push(0);
            // The first two bits of the bitmap are not used.
            out.resize(bitmap + (columns.len() + 2).div_ceil(8), 0);
        }
        Self { out, columns, format, next: 0, bitmap, fault: None }
    }

    /// The protocol in use, where the caller wants to write text of its own in one and values in the other.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// NULL, whatever the column.
    pub fn null(&mut self) {
        let Some(_) = self.column() else { return };
        if self.format == Format::Text {
            self.out.push(0xFB);
            return;
        }
        let bit = self.next + 1; // `next` is already behind this column, and bits begin at 2
        if let Some(byte) = self.out.get_mut(self.bitmap + bit / 8) {
            *byte |= 1 << (bit % 8);
        }
    }

    /// An integer, for integer columns of any width; it must fit.
    pub fn int(&mut self, value: i64) {
        match self.target() {
            Some(WireType::Int { bytes, unsigned }) => {
                let fits = match (bytes, unsigned) {
                    (1, false) => i8::try_from(value).is_ok(),
                    (1, true) => u8::try_from(value).is_ok(),
                    (2, false) => i16::try_from(value).is_ok(),
                    (2, true) => u16::try_from(value).is_ok(),
                    (4, false) => i32::try_from(value).is_ok(),
                    (4, true) => u32::try_from(value).is_ok(),
                    (_, unsigned) => !unsigned || value >= 0,
                };
                self.little_endian(fits, bytes, value.to_le_bytes(), value);
            }
            Some(WireType::Bytes) => self.put_display(value),
            other => self.misfit(other, "an integer"),
        }
    }

    /// An unsigned integer, for integer columns of any width; it must fit.
    pub fn uint(&mut self, value: u64) {
        match self.target() {
            Some(WireType::Int { bytes, unsigned }) => {
                let bits = 8 * bytes as u32 - u32::from(!unsigned);
                let fits = value.checked_shr(bits).unwrap_or(0) == 0;
                self.little_endian(fits, bytes, value.to_le_bytes(), value);
            }
            Some(WireType::Bytes) => self.put_display(value),
            other => self.misfit(other, "an integer"),
        }
    }

    fn little_endian(&mut self, fits: bool, bytes: usize, value: [u8; 8], shown: impl Display) {
        match value.get(..bytes) {
            Some(value) if fits => self.out.extend_from_slice(value),
            _ => self.fail(format!("{shown} does not fit into {bytes} bytes")),
        }
    }

    /// A 32-bit floating point number. As text it is the shortest that gives the same number again.
    pub fn float(&mut self, value: f32) {
        match self.target() {
            Some(WireType::Float) => self.out.extend_from_slice(&value.to_le_bytes()),
            Some(WireType::Double) => self.out.extend_from_slice(&f64::from(value).to_le_bytes()),
            Some(WireType::Bytes) if wants_exponent(f64::from(value)) => {
                self.put_display(format_args!("{value:e}"))
            }
            Some(WireType::Bytes) => self.put_display(value),
            other => self.misfit(other, "a number"),
        }
    }

    /// A 64-bit floating point number. As text it is the shortest that gives the same number again.
    pub fn double(&mut self, value: f64) {
        match self.target() {
            Some(WireType::Double) => self.out.extend_from_slice(&value.to_le_bytes()),
            Some(WireType::Bytes) if wants_exponent(value) => self.put_display(format_args!("{value:e}")),
            Some(WireType::Bytes) => self.put_display(value),
            other => self.misfit(other, "a double"),
        }
    }

    /// Text, a decimal number's digits, or bytes, for columns of such types; in the text protocol for any column.
    pub fn bytes(&mut self, value: &[u8]) {
        match self.target() {
            Some(WireType::Bytes) => put_lenenc_bytes(self.out, value),
            other => self.misfit(other, "bytes"),
        }
    }

    /// As [`Self::bytes`].
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// As [`Self::bytes`], of what `value` prints, without a string in between.
    pub fn display(&mut self, value: impl Display) {
        match self.target() {
            Some(WireType::Bytes) => self.put_display(value),
            other => self.misfit(other, "text"),
        }
    }

    /// A day. A month and a day of 0 are possible (`0000-00-00`).
    pub fn date(&mut self, year: u16, month: u8, day: u8) {
        match self.target() {
            Some(WireType::Bytes) => self.put_display(format_args!("{year:04}-{month:02}-{day:02}")),
            Some(WireType::Date | WireType::DateTime) if (year, month, day) == (0, 0, 0) => self.out.push(0),
            Some(WireType::Date | WireType::DateTime) => {
                self.out.push(4);
                self.out.extend_from_slice(&year.to_le_bytes());
                self.out.extend_from_slice(&[month, day]);
            }
            other => self.misfit(other, "a date"),
        }
    }

    /// A day and a time of it: `(year, month, day)`, `(hour, minute, second)`. The text has the microseconds only
    /// when there are some.
    pub fn datetime(&mut self, date: (u16, u8, u8), time: (u8, u8, u8), micros: u32) {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        match self.target() {
            Some(WireType::Bytes) => {
                let seconds = format_args!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
                match micros {
                    0 => self.put_display(seconds),
                    _ => self.put_display(format_args!("{seconds}.{micros:06}")),
                }
            }
            Some(WireType::DateTime) => {
                let length = match (time, micros) {
                    ((0, 0, 0), 0) => 4,
                    (_, 0) => 7,
                    _ => 11,
                };
                let [y0, y1] = year.to_le_bytes();
                let [m0, m1, m2, m3] = micros.to_le_bytes();
                let all = [length, y0, y1, month, day, hour, minute, second, m0, m1, m2, m3];
                self.out.extend(all.into_iter().take(usize::from(length) + 1));
            }
            other => self.misfit(other, "a date and time"),
        }
    }

    /// A span of time: its sign, whole hours (which may be many), `(minutes, seconds)` and microseconds.
    pub fn time(&mut self, negative: bool, hours: u32, (minutes, seconds): (u8, u8), micros: u32) {
        let sign = if negative { "-" } else { "" };
        match self.target() {
            Some(WireType::Bytes) if micros == 0 => {
                self.put_display(format_args!("{sign}{hours:02}:{minutes:02}:{seconds:02}"));
            }
            Some(WireType::Bytes) => {
                self.put_display(format_args!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"));
            }
            Some(WireType::Time) => {
                let length = if micros == 0 { 8 } else { 12 };
                self.out.extend_from_slice(&[length, u8::from(negative)]);
                self.out.extend_from_slice(&(hours / 24).to_le_bytes());
                self.out.extend_from_slice(&[(hours % 24) as u8, minutes, seconds]);
                if micros != 0 {
                    self.out.extend_from_slice(&micros.to_le_bytes());
                }
            }
            other => self.misfit(other, "a time"),
        }
    }

    /// Ends the row.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.next != self.columns.len() {
            let (values, columns) = (self.next, self.columns.len());
            self.fail(format!("a row of {values} values was written for {columns} columns"));
        }
        self.fault.map_or(Ok(()), Err)
    }

    /// Goes to the next column and says what the binary protocol makes of it.
    fn column(&mut self) -> Option<WireType> {
        let column = self.columns.get(self.next).copied();
        self.next += 1;
        column
    }

    /// As [`Self::column`], but in the text protocol everything is text.
    fn target(&mut self) -> Option<WireType> {
        let column = self.column();
        if self.format == Format::Text { column.map(|_| WireType::Bytes) } else { column }
    }

    /// Appends a length and the printed value, which is nearly always shorter than 251 bytes: one byte of length.
    fn put_display(&mut self, value: impl Display) {
        let start = self.out.len();
        self.out.push(0);
        if write!(self.out, "{value}").is_err() {
            self.fail("a value could not be printed".to_owned());
        }
        let length = self.out.len() - start - 1;
        match u8::try_from(length) {
            Ok(short @ 0..=250) => {
                if let Some(place) = self.out.get_mut(start) {
                    *place = short;
                }
            }
            _ => {
                let text = self.out.split_off(start + 1);
                self.out.truncate(start);
                put_lenenc_int(self.out, length as u64);
                self.out.extend_from_slice(&text);
            }
        }
    }

    fn misfit(&mut self, column: Option<WireType>, what: &str) {
        // Too many values are told by their number, in `finish`.
        if let Some(column) = column {
            self.fail(format!("{what} was written where the protocol wants {column:?}"));
        }
    }

    /// Keeps the first fault.
    fn fail(&mut self, why: String) {
        let column = self.next;
        self.fault.get_or_insert_with(|| {
            Error::internal(format!("Result column {column}: {why}; this is a bug, please report the query"))
        });
    }
}

/// Numbers with more zeros than digits are shown with an exponent.
fn wants_exponent(value: f64) -> bool {
    let size = value.abs();
    size.is_finite() && size != 0.0 && !(1e-5..1e15).contains(&size)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mysql_common::constants::ColumnType::*;

    fn row(types: &[ColumnType], format: Format, write: impl FnOnce(&mut RowBuf<'_>)) -> Result<Vec<u8>> {
        let columns: Vec<_> = types.iter().map(|t| WireType::of(&ColumnDef::new("c", *t))).collect();
        let mut out = Vec::new();
        let mut row = RowBuf::new(&mut out, &columns, format);
        write(&mut row);
        row.finish().map(|()| out)
    }

    #[test]
    fn text_values() {
        let check = |write: fn(&mut RowBuf<'_>), expected: &str| {
            let out = row(&[MYSQL_TYPE_LONGLONG], Format::Text, write).unwrap();
            assert_eq!(usize::from(out[0]), out.len() - 1, "its length stands in front");
            assert_eq!(std::str::from_utf8(&out[1..]).unwrap(), expected);
        };
        check(|r| r.int(i64::MIN), "-9223372036854775808");
        check(|r| r.uint(u64::MAX), "18446744073709551615");
        check(|r| r.display(i128::MIN), "-170141183460469231731687303715884105728");
        check(|r| r.float(0.1), "0.1");
        check(|r| r.double(0.1 + 0.2), "0.30000000000000004");
        check(|r| r.double(1e20), "1e20");
        check(|r| r.double(-2.5e-7), "-2.5e-7");
        check(|r| r.double(0.00001), "0.00001");
        check(|r| r.double(-0.0), "-0");
        check(|r| r.float(3e38), "3e38");
        check(|r| r.str("grüße"), "grüße");
        check(|r| r.str(""), "");
        check(|r| r.date(2024, 2, 29), "2024-02-29");
        check(|r| r.date(0, 0, 0), "0000-00-00");
        check(|r| r.datetime((1, 1, 1), (0, 0, 0), 0), "0001-01-01 00:00:00");
        check(|r| r.datetime((9999, 12, 31), (23, 59, 59), 999_999), "9999-12-31 23:59:59.999999");
        check(|r| r.time(true, 838, (59, 59), 0), "-838:59:59");
        check(|r| r.time(false, 1, (2, 3), 4), "01:02:03.000004");
    }

    #[test]
    fn null_is_not_an_empty_text() {
        let out = row(&[MYSQL_TYPE_STRING, MYSQL_TYPE_STRING], Format::Text, |r| {
            r.null();
            r.str("");
        });
        assert_eq!(out.unwrap(), [0xFB, 0]);
    }

    #[test]
    fn long_printed_values_get_a_longer_length() {
        for length in [250_usize, 251, 70_000] {
            let text = "x".repeat(length);
            let displayed = row(&[MYSQL_TYPE_STRING], Format::Text, |r| r.display(&text)).unwrap();
            let plain = row(&[MYSQL_TYPE_STRING], Format::Text, |r| r.str(&text)).unwrap();
            assert_eq!(displayed, plain, "{length}");
        }
    }

    #[test]
    fn binary_values() {
        let check = |column: ColumnType, write: fn(&mut RowBuf<'_>), expected: &[u8]| {
            let out = row(&[column], Format::Binary, write).unwrap();
            assert_eq!(out[..2], [0, 0], "header and bitmap");
            assert_eq!(&out[2..], expected, "{column:?}");
        };
        check(MYSQL_TYPE_TINY, |r| r.int(-1), &[0xFF]);
        check(MYSQL_TYPE_SHORT, |r| r.int(-2), &[0xFE, 0xFF]);
        check(MYSQL_TYPE_LONG, |r| r.int(1), &[1, 0, 0, 0]);
        check(MYSQL_TYPE_LONGLONG, |r| r.uint(5), &[5, 0, 0, 0, 0, 0, 0, 0]);
        check(MYSQL_TYPE_FLOAT, |r| r.float(1.0), &[0, 0, 0x80, 0x3F]);
        check(MYSQL_TYPE_DOUBLE, |r| r.double(1.0), &[0, 0, 0, 0, 0, 0, 0xF0, 0x3F]);
        check(MYSQL_TYPE_DOUBLE, |r| r.float(1.0), &[0, 0, 0, 0, 0, 0, 0xF0, 0x3F]);
        check(MYSQL_TYPE_NEWDECIMAL, |r| r.str("1.50"), b"\x041.50");
        check(MYSQL_TYPE_VAR_STRING, |r| r.int(-170), b"\x04-170");
        check(MYSQL_TYPE_VAR_STRING, |r| r.date(2024, 2, 9), b"\x0a2024-02-09");
        check(MYSQL_TYPE_DATE, |r| r.date(2024, 2, 29), &[4, 0xE8, 7, 2, 29]);
        check(MYSQL_TYPE_DATE, |r| r.date(0, 0, 0), &[0]);
        check(MYSQL_TYPE_DATETIME, |r| r.datetime((2024, 2, 29), (0, 0, 0), 0), &[4, 0xE8, 7, 2, 29]);
        check(
            MYSQL_TYPE_DATETIME,
            |r| r.datetime((2024, 2, 29), (1, 2, 3), 0),
            &[7, 0xE8, 7, 2, 29, 1, 2, 3],
        );
        check(
            MYSQL_TYPE_DATETIME,
            |r| r.datetime((2024, 2, 29), (1, 2, 3), 5),
            &[11, 0xE8, 7, 2, 29, 1, 2, 3, 5, 0, 0, 0],
        );
        check(MYSQL_TYPE_TIME, |r| r.time(true, 49, (2, 3), 0), &[8, 1, 2, 0, 0, 0, 1, 2, 3]);
        check(MYSQL_TYPE_TIME, |r| r.time(false, 0, (0, 0), 7), &[12, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn the_null_bitmap_begins_at_its_third_bit() {
        let out = row(&[MYSQL_TYPE_TINY; 8], Format::Binary, |r| {
            for n in 0..8 {
                if [0, 5, 6, 7].contains(&n) { r.null() } else { r.int(n) }
            }
        });
        assert_eq!(out.unwrap(), [0, 0b1000_0100, 0b0000_0011, 1, 2, 3, 4]);
    }

    #[test]
    fn bugs_of_the_layer_above_are_told_not_sent() {
        let check = |columns: &[ColumnType], write: fn(&mut RowBuf<'_>), expected: &str| {
            let error = row(columns, Format::Binary, write).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check(&[MYSQL_TYPE_TINY], |r| r.int(128), "column 1: 128 does not fit into 1 bytes");
        check(&[MYSQL_TYPE_LONGLONG], |r| r.uint(1 << 63), "does not fit into 8 bytes");
        check(
            &[MYSQL_TYPE_DATE],
            |r| r.int(1),
            "column 1: an integer was written where the protocol wants Date",
        );
        check(&[MYSQL_TYPE_LONG], |r| r.str("1"), "bytes was written where");
        check(&[MYSQL_TYPE_LONG], |_| (), "a row of 0 values was written for 1 columns");
        check(
            &[MYSQL_TYPE_LONG],
            |r| {
                r.int(1);
                r.int(2);
            },
            "a row of 2 values was written for 1 columns",
        );
        let unsigned = [WireType::of(&ColumnDef::new("c", MYSQL_TYPE_LONGLONG).unsigned())];
        let mut out = Vec::new();
        let mut row = RowBuf::new(&mut out, &unsigned, Format::Binary);
        row.uint(u64::MAX);
        row.finish().unwrap();
        assert_eq!(out[2..], [0xFF; 8]);
    }
}
