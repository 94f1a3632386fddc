//! The properties of an MV that decide about refreshes, read strictly: what makes no sense is an error by name.

use std::collections::BTreeMap;

use cairn_types::{Error, Result};
use chrono::{DateTime, Days, Months};

type Map = BTreeMap<String, String>;

/// A whole number of at least 1; `None` when it is not set, or -1 (StarRocks' word for no limit).
pub(crate) fn limit(properties: &Map, name: &str) -> Result<Option<u64>> {
    let Some(text) = properties.get(name) else { return Ok(None) };
    match text.trim().parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(number) if number >= 1 => Ok(u64::try_from(number).ok()),
        _ => Err(Error::analysis(format!("property {name} must be -1 or a number from 1, not '{text}'"))),
    }
}

/// The names of a comma-separated list.
pub(crate) fn names<'a>(properties: &'a Map, name: &str) -> impl Iterator<Item = &'a str> {
    let list = properties.get(name).map_or("", String::as_str);
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// `now_ms` less a `2 MONTH` as in `partition_ttl`, in microseconds since 1970-01-01 UTC; `None` when it is not set.
pub(crate) fn oldest_kept(properties: &Map, now_ms: u64) -> Result<Option<i64>> {
    let Some(text) = properties.get("partition_ttl").filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    before(text, now_ms).map(Some).ok_or_else(|| {
        Error::analysis(format!(
            "property partition_ttl must be a number and HOUR, DAY, WEEK, MONTH or YEAR, not '{text}'"
        ))
    })
}

fn before(ttl: &str, now_ms: u64) -> Option<i64> {
    let (number, unit) = ttl.trim().split_once(char::is_whitespace)?;
    let number: u32 = number.parse().ok()?;
    let now = DateTime::from_timestamp_millis(i64::try_from(now_ms).ok()?)?.naive_utc();
    let days = |days: u64| now.checked_sub_days(Days::new(days));
    let months = |months: u32| now.checked_sub_months(Months::new(months));
    let oldest = match unit.trim().trim_end_matches(['s', 'S']).to_ascii_uppercase().as_str() {
        "HOUR" => now.checked_sub_signed(chrono::Duration::hours(number.into())),
        "DAY" => days(number.into()),
        "WEEK" => days(u64::from(number) * 7),
        "MONTH" => months(number),
        "YEAR" => months(number.checked_mul(12)?),
        _ => None,
    };
    oldest.map(|time| time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_types::value::{format_datetime, parse_datetime};

    fn map(name: &str, value: &str) -> Map {
        Map::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn limits() {
        let check = |text: &str, expected: Result<Option<u64>, ()>| {
            assert_eq!(limit(&map("n", text), "n").map_err(|_| ()), expected, "{text}");
        };
        check("-1", Ok(None));
        check(" 3 ", Ok(Some(3)));
        check("0", Err(()));
        check("-2", Err(()));
        check("many", Err(()));
        assert_eq!(limit(&map("n", "3"), "other").unwrap(), None);
    }

    #[test]
    fn times_to_live() {
        let check = |ttl: &str, expected: Option<&str>| {
            let now = parse_datetime("2024-03-31 12:00:00").unwrap() / 1_000;
            let oldest = oldest_kept(&map("partition_ttl", ttl), u64::try_from(now).unwrap());
            assert_eq!(oldest.ok().flatten().map(format_datetime).as_deref(), expected, "{ttl}");
        };
        check("1 MONTH", Some("2024-02-29 12:00:00"));
        check("2 years", Some("2022-03-31 12:00:00"));
        check("3 day", Some("2024-03-28 12:00:00"));
        check("1 week", Some("2024-03-24 12:00:00"));
        check("13 HOURS", Some("2024-03-30 23:00:00"));
        check("1 fortnight", None);
        check("month", None);
        check("", None);
    }
}
