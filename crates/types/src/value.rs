//! Literal values outside of column data: partition bounds, defaults, zone maps.

use std::cmp::Ordering;
use std::fmt;

use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, SqlType};

/// A value of a scalar type, with a total order among values of one type. NULL is the smallest: StarRocks
/// puts NULL into the lowest range partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Literal {
    Null,
    Bool(bool),
    /// All integer types. As text in JSON, where numbers end at 53 bits.
    #[serde(with = "i128_text")]
    Int(i128),
    Double(f64),
    /// The unscaled number and its scale.
    Decimal(#[serde(with = "i128_text")] i128, u8),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01 00:00:00.
    DateTime(i64),
    Str(String),
}

impl Literal {
    /// Reads `text` as a value of `ty`, as loads and defaults do.
    ///
    /// # Errors
    /// `InvalidValue` when the text is no such value or does not fit.
    pub fn parse(text: &str, ty: SqlType) -> Result<Self> {
        let bad = || Error::invalid_value(format!("Invalid value '{text}' for type {ty}"));
        Ok(match ty {
            SqlType::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Self::Bool(true),
                "false" | "0" => Self::Bool(false),
                _ => return Err(bad()),
            },
            SqlType::TinyInt => Self::Int(text.parse::<i8>().map_err(|_| bad())?.into()),
            SqlType::SmallInt => Self::Int(text.parse::<i16>().map_err(|_| bad())?.into()),
            SqlType::Int => Self::Int(text.parse::<i32>().map_err(|_| bad())?.into()),
            SqlType::BigInt => Self::Int(text.parse::<i64>().map_err(|_| bad())?.into()),
            SqlType::LargeInt => Self::Int(text.parse().map_err(|_| bad())?),
            SqlType::Float | SqlType::Double => {
                let value: f64 = text.parse().map_err(|_| bad())?;
                if !value.is_finite() {
                    return Err(bad());
                }
                Self::Double(value)
            }
            SqlType::Decimal { precision, scale } => {
                Self::Decimal(parse_decimal(text, precision, scale).ok_or_else(bad)?, scale)
            }
            SqlType::Date => Self::Date(parse_date(text).ok_or_else(bad)?),
            SqlType::DateTime => Self::DateTime(parse_datetime(text).ok_or_else(bad)?),
            SqlType::Char(_) | SqlType::Varchar(_) | SqlType::String => {
                if ty.bytes_max().is_some_and(|max| text.len() > max as usize) {
                    return Err(Error::invalid_value(format!(
                        "Value of {} bytes is too long for type {ty}",
                        text.len()
                    )));
                }
                Self::Str(text.to_owned())
            }
        })
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Double(_) => 3,
            Self::Decimal(..) => 4,
            Self::Date(_) => 5,
            Self::DateTime(_) => 6,
            Self::Str(_) => 7,
        }
    }
}

/// As in the order: a NaN equals itself.
impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Literal {}

impl PartialOrd for Literal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Literal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Double(a), Self::Double(b)) => a.total_cmp(b),
            // Values of one type have one scale; others only need some order.
            (Self::Decimal(a, sa), Self::Decimal(b, sb)) => sa.cmp(sb).then(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::DateTime(a), Self::DateTime(b)) => a.cmp(b),
            (Self::Str(a), Self::Str(b)) => a.as_bytes().cmp(b.as_bytes()),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

/// As it stands in SQL results: no quotes, `NULL` for null.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(b) => f.write_str(if *b { "1" } else { "0" }),
            Self::Int(i) => write!(f, "{i}"),
            Self::Double(d) => write!(f, "{d}"),
            Self::Decimal(unscaled, scale) => f.write_str(&format_decimal(*unscaled, *scale)),
            Self::Date(days) => f.write_str(&format_date(*days)),
            Self::DateTime(micros) => f.write_str(&format_datetime(*micros)),
            Self::Str(s) => f.write_str(s),
        }
    }
}

/// Reads a decimal number (also with an exponent) as an unscaled integer; extra digits are rounded half away
/// from zero, as MySQL does. `None` when it is no number or has more than `precision` digits.
#[must_use]
pub fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let text = text.trim();
    let (text, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The digit at position `p` (0 = first) counts 10^(point - 1 - p); all beyond `scale` places is rounded.
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let keep = point.checked_add(i32::from(scale))?;
    let mut unscaled: i128 = 0;
    let mut seen = 0i32;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = i128::from(byte.checked_sub(b'0').filter(|d| *d <= 9)?);
        if seen < keep {
            unscaled = unscaled.checked_mul(10)?.checked_add(digit)?;
        } else if seen == keep && digit >= 5 {
            unscaled = unscaled.checked_add(1)?;
        }
        seen += 1;
    }
    if unscaled != 0 {
        for _ in seen..keep {
            unscaled = unscaled.checked_mul(10)?;
        }
    }
    let limit = 10i128.checked_pow(u32::from(precision))?;
    (unscaled < limit).then_some(if negative { -unscaled } else { unscaled })
}

/// The usual text of an unscaled integer with `scale` places.
#[must_use]
pub fn format_decimal(unscaled: i128, scale: u8) -> String {
    if scale == 0 {
        return unscaled.to_string();
    }
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

fn epoch_date() -> NaiveDate {
    NaiveDate::default()
}

/// Days since 1970-01-01 of `2024-01-31`, `2024/1/31`, `20240131`, or of a datetime's date.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    let text = text.trim();
    if let Some(days) = parse_plain_date(text) {
        return Some(days);
    }
    parse_datetime(text).map(|micros| i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(0))
}

fn parse_plain_date(text: &str) -> Option<i32> {
    let (year, month, day) = if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        (&text[..4], &text[4..6], &text[6..])
    } else {
        let mut parts = text.splitn(3, ['-', '/']);
        (parts.next()?, parts.next()?, parts.next()?)
    };
    let short = |s: &str| (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) || !short(month) || !short(day) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    i32::try_from(date.signed_duration_since(epoch_date()).num_days()).ok()
}

/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Microseconds since 1970-01-01 of `2024-01-31 12:34:56[.ffffff]`, with `T` or a space, or of a plain date.
#[must_use]
pub fn parse_datetime(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(days) = parse_plain_date(text) {
        return Some(i64::from(days) * MICROS_PER_DAY);
    }
    if text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit()) {
        let date = parse_plain_date(&text[..8])?;
        let clock = format!("{}:{}:{}", &text[8..10], &text[10..12], &text[12..]);
        return Some(i64::from(date) * MICROS_PER_DAY + parse_clock(&clock)?);
    }
    let at = text.find(['T', ' '])?;
    let date = parse_plain_date(&text[..at])?;
    Some(i64::from(date) * MICROS_PER_DAY + parse_clock(text[at + 1..].trim_start())?)
}

/// Microseconds of `HH:MM[:SS[.ffffff]]`.
fn parse_clock(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let mut next = |max: i64| -> Option<i64> {
        let part = parts.next()?;
        let short = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let value: i64 = if short { part.parse().ok()? } else { return None };
        (value < max).then_some(value)
    };
    let (hour, minute) = (next(24)?, next(60)?);
    let second = if clock.matches(':').count() == 2 { next(60)? } else { 0 };
    if clock.matches(':').count() > 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{:0<6}", fraction.get(..6).unwrap_or(fraction)).parse().ok()?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// `2024-01-31`.
#[must_use]
pub fn format_date(days: i32) -> String {
    let date = epoch_date().checked_add_signed(chrono::Duration::days(days.into()));
    date.map_or_else(|| format!("<day {days}>"), |d| d.format("%Y-%m-%d").to_string())
}

/// `2024-01-31 12:34:56`, with six places of a second when there is a fraction.
#[must_use]
pub fn format_datetime(micros: i64) -> String {
    let start = NaiveDateTime::new(epoch_date(), chrono::NaiveTime::default());
    let Some(time) = start.checked_add_signed(chrono::Duration::microseconds(micros)) else {
        return format!("<microsecond {micros}>");
    };
    let pattern =
        if micros.rem_euclid(1_000_000) == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    time.format(pattern).to_string()
}

mod i128_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, ty: SqlType, expected: Option<&str>) {
        let actual = Literal::parse(text, ty).ok().map(|v| v.to_string());
        assert_eq!(actual.as_deref(), expected, "{text} as {ty}");
    }

    #[test]
    fn values_are_read_as_starrocks_reads_them() {
        let decimal = SqlType::Decimal { precision: 5, scale: 2 };
        check("127", SqlType::TinyInt, Some("127"));
        check("128", SqlType::TinyInt, None);
        check("true", SqlType::Boolean, Some("1"));
        check("yes", SqlType::Boolean, None);
        check("123.455", decimal, Some("123.46"));
        check("-0.004", decimal, Some("0.00"));
        check("1000", decimal, None);
        check("1e2", decimal, Some("100.00"));
        check("12345e-2", decimal, Some("123.45"));
        check("1.2.3", decimal, None);
        check("", decimal, None);
        check(".5", decimal, Some("0.50"));
        check("2024-02-30", SqlType::Date, None);
        check("20240229", SqlType::Date, Some("2024-02-29"));
        check("2024-1-2", SqlType::Date, Some("2024-01-02"));
        check("2024-01-02 03:04:05.5", SqlType::DateTime, Some("2024-01-02 03:04:05.500000"));
        check("2024-01-02T03:04:05", SqlType::DateTime, Some("2024-01-02 03:04:05"));
        check("2024-01-02 25:00:00", SqlType::DateTime, None);
        check("abc", SqlType::Char(2), None);
        check("nan", SqlType::Double, None);
    }

    #[test]
    fn null_is_the_smallest() {
        assert!(Literal::Null < Literal::Int(i128::MIN));
        assert!(Literal::Null < Literal::Str(String::new()));
    }

    proptest! {
        #[test]
        fn decimals_survive_text(unscaled in -99_999i128..=99_999, scale in 0u8..=5) {
            let text = format_decimal(unscaled, scale);
            prop_assert_eq!(parse_decimal(&text, 10, scale), Some(unscaled));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_decimal(&text, 38, 10);
            let _ = parse_date(&text);
            let _ = parse_datetime(&text);
        }

        #[test]
        fn datetimes_survive_text(micros in -60_000_000_000_000_000i64..250_000_000_000_000_000) {
            prop_assert_eq!(parse_datetime(&format_datetime(micros)), Some(micros));
        }
    }
}
