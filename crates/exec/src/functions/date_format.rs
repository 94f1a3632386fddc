//! `DATE_FORMAT(time, pattern)` with MySQL's patterns.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::sql_types::DATETIME;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateFormat {
    signature: Signature,
}

impl DateFormat {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DATETIME, DataType::Utf8View], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DateFormat {
    fn name(&self) -> &str {
        "mysql_date_format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [times, patterns] = arrays.as_slice() else {
            return exec_err!("date_format takes a time and a pattern");
        };
        let (times, patterns) = (times.as_primitive::<TimestampMicrosecondType>(), patterns.as_string_view());
        let rows = times.iter().zip(patterns.iter()).map(|(micros, pattern)| {
            let time = chrono::DateTime::from_timestamp_micros(micros?)?.naive_utc();
            Some(format(time, pattern?))
        });
        let formatted: StringViewArray = rows.collect();
        debug_assert_eq!(formatted.len(), times.len());
        Ok(ColumnarValue::Array(Arc::new(formatted)))
    }
}

fn format(time: NaiveDateTime, pattern: &str) -> String {
    // Three patterns of Java that StarRocks knows, too.
    let pattern = match pattern {
        "yyyyMMdd" => "%Y%m%d",
        "yyyy-MM-dd" => "%Y-%m-%d",
        "yyyy-MM-dd HH:mm:ss" => "%Y-%m-%d %H:%i:%s",
        other => other,
    };
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next() {
                Some(code) => specifier(time, code, &mut out),
                None => out.push('%'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Writes what `%code` stands for; an unknown code stands for itself, as in MySQL.
fn specifier(time: NaiveDateTime, code: char, out: &mut String) {
    let (pm, hour12) = time.hour12();
    let chrono_pattern = match code {
        'Y' => "%Y",
        'y' => "%y",
        'm' => "%m",
        'd' => "%d",
        'H' => "%H",
        'i' => "%M",
        's' | 'S' => "%S",
        'T' => "%H:%M:%S",
        'M' => "%B",
        'b' => "%b",
        'W' => "%A",
        'a' => "%a",
        'j' => "%j",
        'f' => "%6f",
        'h' | 'I' => "%I",
        'p' => "%p",
        'r' => "%I:%M:%S %p",
        'v' => "%V",
        'x' => "%G",
        'w' => "%w",
        'U' => "%U",
        'u' => "%W",
        _ => "",
    };
    let written = match code {
        'c' => write!(out, "{}", time.month()),
        'e' => write!(out, "{}", time.day()),
        'k' => write!(out, "{}", time.hour()),
        'l' => write!(out, "{hour12}"),
        'p' => write!(out, "{}", if pm { "PM" } else { "AM" }),
        _ if chrono_pattern.is_empty() => write!(out, "{code}"),
        _ => write!(out, "{}", time.format(chrono_pattern)),
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_mysqls() {
        let time = NaiveDateTime::parse_from_str("2024-02-09 15:04:05.25", "%Y-%m-%d %H:%M:%S%.f").unwrap();
        let check = |pattern, expected: &str| assert_eq!(format(time, pattern), expected, "{pattern}");
        check("%Y-%m-%d %H:%i:%s", "2024-02-09 15:04:05");
        check("%y/%c/%e %l %p", "24/2/9 3 PM");
        check("%f %j %M %W", "250000 040 February Friday");
        check("100%% %q %", "100% q %");
    }
}
