//! `str2date`: text to a time by a pattern in MySQL's words.

use cairn_types::{Error, Result};
use chrono::{NaiveDate, NaiveTime};

/// Microseconds since 1970-01-01 of `text`, all of which the pattern must match; `None` when it does not.
///
/// # Errors
/// `Unsupported` for a specifier that is not one of `%Y %y %m %c %d %e %H %k %i %s %S %f %T %%`.
pub(crate) fn parse(text: &str, format: &str) -> Result<Option<i64>> {
    let mut parts = Parts::default();
    let rest = match parts.read(text, format)? {
        Some(rest) => rest,
        None => return Ok(None),
    };
    Ok(if rest.is_empty() { parts.micros() } else { None })
}

struct Parts {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
}

impl Default for Parts {
    fn default() -> Self {
        Self { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0, micros: 0 }
    }
}

impl Parts {
    /// Matches the start of `text` and gives back what follows.
    fn read<'t>(&mut self, text: &'t str, format: &str) -> Result<Option<&'t str>> {
        let mut rest = text;
        let mut pattern = format.chars();
        while let Some(c) = pattern.next() {
            let after = match c {
                '%' => self.specifier(rest, pattern.next(), format)?,
                c => rest.strip_prefix(c),
            };
            match after {
                Some(after) => rest = after,
                None => return Ok(None),
            }
        }
        Ok(Some(rest))
    }

    fn specifier<'t>(&mut self, text: &'t str, c: Option<char>, format: &str) -> Result<Option<&'t str>> {
        let (field, digits) = match c {
            Some('Y') => (&mut self.year, 4),
            Some('y') => return Ok(self.short_year(text)),
            Some('m' | 'c') => (&mut self.month, 2),
            Some('d' | 'e') => (&mut self.day, 2),
            Some('H' | 'k') => (&mut self.hour, 2),
            Some('i') => (&mut self.minute, 2),
            Some('s' | 'S') => (&mut self.second, 2),
            Some('f') => return Ok(self.fraction(text)),
            Some('T') => return self.read(text, "%H:%i:%s"),
            Some('%') => return Ok(text.strip_prefix('%')),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(Error::unsupported(format!(
                    "'%{other}' in the pattern '{format}' of str2date is not supported for partitions"
                )));
            }
        };
        Ok(number(text, digits).map(|(value, rest)| {
            *field = value;
            rest
        }))
    }

    /// 70 to 99 are of the 20th century, as in MySQL.
    fn short_year<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (value, rest) = number(text, 2)?;
        self.year = if value < 70 { 2000 + value } else { 1900 + value };
        Some(rest)
    }

    fn fraction<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (value, rest) = number(text, 6)?;
        let digits = u32::try_from(text.len() - rest.len()).ok()?;
        self.micros = value * 10u32.pow(6 - digits);
        Some(rest)
    }

    fn micros(&self) -> Option<i64> {
        let date = NaiveDate::from_ymd_opt(i32::try_from(self.year).ok()?, self.month, self.day)?;
        let time = NaiveTime::from_hms_micro_opt(self.hour, self.minute, self.second, self.micros)?;
        Some(date.and_time(time).and_utc().timestamp_micros())
    }
}

/// One to `digits_max` digits at the start of `text`, and what follows them.
fn number(text: &str, digits_max: usize) -> Option<(u32, &str)> {
    let digits = text.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_types::value::format_datetime;

    fn check(text: &str, format: &str, expected: Option<&str>) {
        let found = parse(text, format).unwrap().map(format_datetime);
        assert_eq!(found.as_deref(), expected, "{text} by {format}");
    }

    #[test]
    fn texts_become_times() {
        check("20240229", "%Y%m%d", Some("2024-02-29 00:00:00"));
        check("2024-2-9", "%Y-%m-%d", Some("2024-02-09 00:00:00"));
        check("2024-02-29 23:01:02", "%Y-%m-%d %H:%i:%s", Some("2024-02-29 23:01:02"));
        check("2024-02-29 23:01:02.5", "%Y-%m-%d %T.%f", Some("2024-02-29 23:01:02.500000"));
        check("69/01", "%y/%m", Some("2069-01-01 00:00:00"));
        check("100%2024", "100%%%Y", Some("2024-01-01 00:00:00"));
    }

    #[test]
    fn other_texts_do_not() {
        check("20230229", "%Y%m%d", None);
        check("2024-01-01x", "%Y-%m-%d", None);
        check("2024", "%Y-%m", None);
        check("", "%Y", None);
        check("é024", "%Y", None);
        check("2024-01-01 24:00:00", "%Y-%m-%d %T", None);
    }

    #[test]
    fn unknown_specifiers_are_named() {
        assert!(parse("x", "%W").unwrap_err().message().contains("'%W'"));
        assert!(parse("x", "x%").unwrap_err().message().contains("'%'"));
    }
}
