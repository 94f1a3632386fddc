//! Values out of text. The everyday spellings are read by hand-written loops; everything else goes to the rules
//! of [`cairn_types::Literal`], which these loops must agree with (a test compares them on random texts).
//!
//! All functions ignore ASCII spaces around the value and return `None` for text that is no value of the type.

use std::str::FromStr;

use cairn_types::value::{parse_date, parse_datetime, parse_decimal};

/// An integer of any width up to 64 bits; `None` also when it does not fit.
pub(crate) fn integer<T: TryFrom<i64> + FromStr>(text: &str) -> Option<T> {
    match short_integer(text.as_bytes()) {
        Some(value) => T::try_from(value).ok(),
        None => text.trim_ascii().parse().ok(),
    }
}

/// A 128-bit integer.
pub(crate) fn large_integer(text: &str) -> Option<i128> {
    match short_integer(text.as_bytes()) {
        Some(value) => Some(value.into()),
        None => text.trim_ascii().parse().ok(),
    }
}

/// `[+-]` and 1 to 18 digits: what fits 64 bits without a check per digit.
#[inline]
fn short_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

#[inline]
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

/// `true`/`false` in any case, `1`, `0`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let text = text.trim_ascii();
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A finite 32-bit float.
pub(crate) fn float(text: &str) -> Option<f32> {
    text.trim_ascii().parse::<f32>().ok().filter(|v| v.is_finite())
}

/// A finite 64-bit float.
pub(crate) fn double(text: &str) -> Option<f64> {
    text.trim_ascii().parse::<f64>().ok().filter(|v| v.is_finite())
}

/// Reads decimals of one precision and scale.
#[derive(Clone, Copy)]
pub(crate) struct DecimalRule {
    precision: u8,
    scale: u8,
    /// 10^precision, or the largest value when that does not fit 64 bits.
    limit: u64,
}

const POWERS_OF_TEN: [u64; 19] = {
    let mut powers = [1u64; 19];
    let mut at = 1;
    while at < 19 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

impl DecimalRule {
    pub(crate) fn new(precision: u8, scale: u8) -> Self {
        let limit = POWERS_OF_TEN.get(usize::from(precision)).copied().unwrap_or(u64::MAX);
        Self { precision, scale, limit }
    }

    /// The unscaled value, rounded half away from zero; `None` also when it has too many digits.
    #[inline]
    pub(crate) fn parse(self, text: &str) -> Option<i128> {
        match self.short(text.as_bytes()) {
            Some(value) => Some(value),
            None => parse_decimal(text.trim_ascii(), self.precision, self.scale),
        }
    }

    /// Sign, at most 18 digits in all (also after filling up to the scale), no rounding, no exponent.
    #[inline]
    fn short(self, text: &[u8]) -> Option<i128> {
        let (negative, digits) = sign(text);
        if digits.len() > 19 {
            return None;
        }
        let mut value = 0u64;
        let mut seen = 0usize;
        let mut point = None;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
                seen += 1;
            } else if *byte == b'.' && point.is_none() {
                point = Some(seen);
            } else {
                return None;
            }
        }
        let places = seen - point.unwrap_or(seen);
        let fill = usize::from(self.scale).checked_sub(places)?;
        if seen == 0 || seen + fill > 18 {
            return None;
        }
        let value = value * POWERS_OF_TEN.get(fill)?;
        (value < self.limit).then_some(if negative { -i128::from(value) } else { i128::from(value) })
    }
}

/// Days since 1970-01-01.
#[inline]
pub(crate) fn date(text: &str) -> Option<i32> {
    match text.as_bytes().first_chunk::<10>().filter(|_| text.len() == 10).and_then(iso_date) {
        Some(days) => Some(days),
        None => parse_date(text),
    }
}

/// Microseconds since 1970-01-01 00:00:00.
#[inline]
pub(crate) fn datetime(text: &str) -> Option<i64> {
    match iso_datetime(text.as_bytes()) {
        Some(micros) => Some(micros),
        None => parse_datetime(text),
    }
}

/// `YYYY-MM-DD HH:MM:SS`, optionally with `.` and 1 to 6 digits.
fn iso_datetime(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let ([b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2], fraction) = rest.split_first_chunk::<9>()? else {
        return None;
    };
    let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let scale = POWERS_OF_TEN.get(6 - digits.len())?;
            let value = digits.iter().try_fold(0u64, |sum, b| Some(sum * 10 + u64::from(digit(*b)?)))?;
            i64::try_from(value * scale).ok()?
        }
        _ => return None,
    };
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Some((i64::from(iso_date(date)?) * 86_400 + seconds) * 1_000_000 + micros)
}

#[inline]
fn digit(byte: u8) -> Option<u32> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(u32::from(digit))
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<u32> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[inline]
fn iso_date(text: &[u8; 10]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if day == 0 || day > days {
        return None;
    }
    i32::try_from(days_from_civil(i64::from(year), i64::from(month), i64::from(day))).ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap
/// day is the last of its year, and in whole cycles of 400 years (146,097 days).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + day_of_year - 719_468
}

/// The reverse: (year, month, day) of a day number.
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let (cycle, of_cycle) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let day_of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year + cycle * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_types::{Literal, SqlType};
    use proptest::prelude::*;

    /// What `Literal` says about the same text, as an integer.
    fn by_literal(text: &str, ty: SqlType) -> Option<i128> {
        match Literal::parse(text.trim_ascii(), ty).ok()? {
            Literal::Int(v) | Literal::Decimal(v, _) => Some(v),
            Literal::Date(v) => Some(v.into()),
            Literal::DateTime(v) => Some(v.into()),
            Literal::Bool(v) => Some(v.into()),
            _ => None,
        }
    }

    fn same(text: &str) {
        let t = |ty| by_literal(text, ty);
        assert_eq!(integer::<i8>(text).map(i128::from), t(SqlType::TinyInt), "{text}");
        assert_eq!(integer::<i64>(text).map(i128::from), t(SqlType::BigInt), "{text}");
        assert_eq!(large_integer(text), t(SqlType::LargeInt), "{text}");
        assert_eq!(boolean(text).map(i128::from), t(SqlType::Boolean), "{text}");
        assert_eq!(date(text).map(i128::from), t(SqlType::Date), "{text}");
        assert_eq!(datetime(text).map(i128::from), t(SqlType::DateTime), "{text}");
        for (precision, scale) in [(5, 2), (15, 2), (18, 18), (38, 10), (1, 0)] {
            let rule = DecimalRule::new(precision, scale);
            assert_eq!(
                rule.parse(text),
                t(SqlType::Decimal { precision, scale }),
                "{text} {precision},{scale}"
            );
        }
    }

    #[test]
    fn fast_paths_agree_with_literal_on_the_edges() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "-.",
            "0",
            "-0",
            "+7",
            " 7 ",
            "127",
            "128",
            "-128",
            "-129",
            "1.",
            ".5",
            "1.005",
            "999.99",
            "999.995",
            "1000",
            "1e2",
            "9223372036854775807",
            "9223372036854775808",
            "170141183460469231731687303715884105727",
            "170141183460469231731687303715884105728",
            "123456789012345678",
            "1234567890123456789",
            "0.000000000000000001",
            "1.5.2",
            "TRUE",
            "False",
            "yes",
            "2024-02-29",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "0000-01-01",
            "9999-12-31",
            "2024-1-2",
            "20240131",
            "2024-01-31 23:59:59",
            "2024-01-31 24:00:00",
            "2024-01-31T01:02:03.5",
            "2024-01-31 01:02:03.",
            "2024-01-31 01:02:03.1234567",
            "1900-02-29",
            "2000-02-29",
        ] {
            same(text);
        }
    }

    #[test]
    fn floats_must_be_finite_and_fit() {
        assert_eq!(float("3.5"), Some(3.5));
        assert_eq!(float("1e39"), None, "beyond FLOAT");
        assert_eq!(double("1e39"), Some(1e39));
        assert_eq!(double("1e309"), None);
        assert_eq!(double("nan"), None);
        assert_eq!(double("inf"), None);
        assert_eq!(double(""), None);
    }

    proptest! {
        #[test]
        fn fast_paths_agree_with_literal(text in "[-+]?[0-9.e]{0,22}") {
            same(&text);
        }

        #[test]
        fn fast_dates_agree_with_literal(
            text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,8})?)?"
        ) {
            same(&text);
        }

        #[test]
        fn civil_dates_invert(days in -1_000_000i64..4_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month.into(), day.into()), days);
        }
    }
}
