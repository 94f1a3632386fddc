//! `str_to_date(text, pattern)` with MySQL's patterns: a DATETIME, NULL for a text that does not fit.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use chrono::format::{Parsed, StrftimeItems, parse_and_remainder};
use chrono::{NaiveDate, NaiveTime};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::sql_types::DATETIME;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct StrToDate {
    signature: Signature,
}

impl StrToDate {
    pub(super) fn new() -> Self {
        let types = vec![DataType::Utf8View, DataType::Utf8View];
        Self { signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for StrToDate {
    fn name(&self) -> &str {
        "str_to_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DATETIME)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [texts, patterns] = arrays.as_slice() else {
            return exec_err!("str_to_date takes a text and a pattern");
        };
        let rows = texts.as_string_view().iter().zip(patterns.as_string_view().iter());
        let times: TimestampMicrosecondArray =
            rows.map(|(text, pattern)| micros(text?, &pattern_of_chrono(pattern?)?)).collect();
        Ok(ColumnarValue::Array(Arc::new(times)))
    }
}

/// `None` for a code that names no part of a time.
fn pattern_of_chrono(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let code = match letters.next()? {
            'Y' => "%Y",
            'y' => "%y",
            'm' | 'c' => "%m",
            'd' | 'e' => "%d",
            'j' => "%j",
            'H' | 'k' => "%H",
            'h' | 'I' | 'l' => "%I",
            'i' => "%M",
            's' | 'S' => "%S",
            // Digits after the point, and not nanoseconds.
            'f' if out.ends_with('.') => {
                out.pop();
                "%.f"
            }
            'f' => "%6f",
            'p' => "%p",
            'T' => "%H:%M:%S",
            'r' => "%I:%M:%S %p",
            'M' => "%B",
            'b' => "%b",
            'W' => "%A",
            'a' => "%a",
            // Years and weeks that begin on a Sunday, and those of ISO.
            'X' => "%Y",
            'V' | 'U' => "%U",
            'x' => "%G",
            'v' => "%V",
            'w' => "%w",
            '%' => "%%",
            _ => return None,
        };
        out.push_str(code);
    }
    Some(out)
}

fn micros(text: &str, pattern: &str) -> Option<i64> {
    let mut parsed = Parsed::new();
    // A text may end before the pattern does, and go on after it.
    let mut rest = text.trim();
    for item in StrftimeItems::new(pattern) {
        if rest.is_empty() {
            break;
        }
        rest = parse_and_remainder(&mut parsed, rest, std::iter::once(item)).ok()?;
    }
    let date: NaiveDate = parsed.to_naive_date().ok()?;
    let has_time = parsed.hour_mod_12().is_some();
    let time = if has_time { whole(parsed)? } else { NaiveTime::MIN };
    Some(date.and_time(time).and_utc().timestamp_micros())
}

fn whole(mut parsed: Parsed) -> Option<NaiveTime> {
    if parsed.hour_div_12().is_none() {
        parsed.set_hour(i64::from(parsed.hour_mod_12()?)).ok()?;
    }
    if parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    parsed.to_naive_time().ok()
}

#[cfg(test)]
mod tests {
    use cairn_types::value::format_datetime;

    use super::*;

    #[test]
    fn texts_are_read_by_patterns() {
        let check = |text: &str, pattern: &str, expected: Option<&str>| {
            let read = pattern_of_chrono(pattern).and_then(|pattern| micros(text, &pattern));
            assert_eq!(read.map(format_datetime).as_deref(), expected, "{text} {pattern}");
        };
        check("2024-03-05", "%Y-%m-%d", Some("2024-03-05 00:00:00"));
        check("5/3/24", "%d/%m/%y", Some("2024-03-05 00:00:00"));
        check("2024-03-05 01:02:03", "%Y-%m-%d %H:%i:%s", Some("2024-03-05 01:02:03"));
        check("20240305 010203", "%Y%m%d %H%i%S", Some("2024-03-05 01:02:03"));
        check("Mar 5 2024 3:04 PM", "%b %e %Y %l:%i %p", Some("2024-03-05 15:04:00"));
        check("2024-03-05 01:02:03.25", "%Y-%m-%d %T.%f", Some("2024-03-05 01:02:03.250000"));
        check("2024-13-05", "%Y-%m-%d", None);
        check("2024-03-05 and more", "%Y-%m-%d", Some("2024-03-05 00:00:00"));
        check("2024-03-05", "%Y-%m-%d %H:%i:%s", Some("2024-03-05 00:00:00"));
        check("200442 Monday", "%X%V %W", Some("2004-10-18 00:00:00"));
        check("x", "%Y", None);
        check("2024", "%Q", None);
    }
}
