//! How single values are spelled.

use std::fmt::{Display, LowerExp};
use std::io::Write;

use crate::scalar::civil_from_days;

/// A double as the shortest text that reads back the same.
pub fn append_double(value: f64, out: &mut Vec<u8>) {
    append_real(value, value.abs(), out);
}

/// A float as the shortest text that reads back the same float.
pub fn append_float(value: f32, out: &mut Vec<u8>) {
    append_real(value, f64::from(value.abs()), out);
}

/// Ordinary sizes without an exponent, others like C does: a sign and at least two digits.
fn append_real(value: impl Display + LowerExp, size: f64, out: &mut Vec<u8>) {
    if size.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if size == 0.0 || size.is_infinite() || (1e-4..1e16).contains(&size) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{value}");
        return;
    }
    let start = out.len();
    let _ = write!(out, "{value:e}");
    let written = out.get(start..).unwrap_or_default();
    let Some(mark) = memchr::memchr(b'e', written).map(|at| start + at) else { return };
    let exponent = out.split_off(mark + 1);
    let (sign, digits) = match exponent.split_first() {
        Some((b'-', digits)) => (b'-', digits),
        _ => (b'+', exponent.as_slice()),
    };
    out.push(sign);
    if digits.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// An unscaled integer with `scale` places; a negative scale adds zeros.
pub fn append_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    append_digits(itoa::Buffer::new().format(unscaled), scale, out);
}

/// Puts the point into a number given as `[-]digits`.
pub(super) fn append_digits(number: &str, scale: i8, out: &mut Vec<u8>) {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    out.extend_from_slice(sign.as_bytes());
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits.as_bytes());
        if digits != "0" {
            out.resize(out.len() + places, b'0');
        }
        return;
    }
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(places)).unwrap_or_default();
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
    out.push(b'.');
    out.resize(out.len() + places - fraction.len(), b'0');
    out.extend_from_slice(fraction.as_bytes());
}

/// Day `days` since 1970-01-01.
pub fn append_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    match u32::try_from(year) {
        Ok(year) if year <= 9999 => {
            two(year / 100, out);
            two(year % 100, out);
        }
        _ => {
            let _ = write!(out, "{year:05}");
        }
    }
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
}

/// Microsecond `micros` since 1970-01-01 00:00:00.
pub fn append_datetime(micros: i64, out: &mut Vec<u8>) {
    append_datetime_parts(micros.div_euclid(1_000_000), fraction(micros.rem_euclid(1_000_000)), out);
}

/// `seconds` since 1970-01-01 00:00:00 and `micros` of the second.
pub(super) fn append_datetime_parts(seconds: i64, micros: u32, out: &mut Vec<u8>) {
    append_date(seconds.div_euclid(86_400), out);
    out.push(b' ');
    append_clock(seconds.rem_euclid(86_400), micros, out);
}

/// A time of day.
pub(super) fn append_time(ticks: i64, ticks_per_second: i64, out: &mut Vec<u8>) {
    let micros = micros_of(ticks.rem_euclid(ticks_per_second), ticks_per_second);
    append_clock(ticks.div_euclid(ticks_per_second).rem_euclid(86_400), micros, out);
}

fn append_clock(second_of_day: i64, micros: u32, out: &mut Vec<u8>) {
    let second = fraction(second_of_day);
    two(second / 3600, out);
    out.push(b':');
    two(second / 60 % 60, out);
    out.push(b':');
    two(second % 60, out);
    if micros != 0 {
        out.push(b'.');
        two(micros / 10_000, out);
        two(micros / 100 % 100, out);
        two(micros % 100, out);
    }
}

/// Microseconds of a fraction of a second, cut.
pub(super) fn micros_of(ticks: i64, ticks_per_second: i64) -> u32 {
    match ticks_per_second {
        1_000_000_000 => fraction(ticks / 1_000),
        per_second => fraction(ticks * (1_000_000 / per_second.max(1))),
    }
}

/// A number that is known to be small and not negative.
fn fraction(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

#[inline]
fn two(value: u32, out: &mut Vec<u8>) {
    let digit = |value: u32| b'0' + u8::try_from(value % 10).unwrap_or(0);
    out.extend_from_slice(&[digit(value / 10), digit(value)]);
}

/// A JSON string of bytes, which are taken as UTF-8 as far as they are.
pub(super) fn append_json_string(bytes: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(bytes);
    // Writing a string to a vector cannot fail.
    let _ = serde_json::to_writer(out, text.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_types::value;
    use proptest::prelude::*;

    fn text(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_have_exponents_only_when_they_are_extreme() {
        let cases = [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (-1.5e300, "-1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (5e-324, "5e-324"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| append_double(value, out)), expected);
        }
        assert_eq!(text(|out| append_float(0.1, out)), "0.1");
    }

    #[test]
    fn decimals_keep_their_places() {
        for (unscaled, scale, expected) in [
            (0, 0, "0"),
            (0, 3, "0.000"),
            (-5, 2, "-0.05"),
            (12345, 2, "123.45"),
            (100, 2, "1.00"),
            (7, -2, "700"),
            (0, -2, "0"),
        ] {
            assert_eq!(text(|out| append_decimal(unscaled, scale, out)), expected);
        }
    }

    proptest! {
        #[test]
        fn texts_agree_with_literal(number in any::<i128>(), scale in 0u8..=38) {
            let shown = text(|out| append_decimal(number, scale as i8, out));
            prop_assert_eq!(shown, value::format_decimal(number, scale));
        }

        #[test]
        fn datetimes_agree_with_literal(micros in -62_167_219_200_000_000i64..253_402_300_800_000_000) {
            prop_assert_eq!(text(|out| append_datetime(micros, out)), value::format_datetime(micros));
        }

        #[test]
        fn doubles_read_back(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            prop_assert_eq!(text(|out| append_double(number, out)).parse::<f64>().unwrap(), number);
        }

        #[test]
        fn any_day_has_a_text(days in any::<i32>(), micros in any::<i64>()) {
            text(|out| append_date(days.into(), out));
            text(|out| append_datetime(micros, out));
        }
    }
}
