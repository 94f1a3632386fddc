//! The properties of an MV that decide about refreshes, read strictly: what makes no sense is an error by name.

use std::collections::BTreeMap;

use cairn_catalog::Definition;
use cairn_types::{Error, Result, SqlType};
use chrono::{DateTime, Days, Months};

use crate::exclusions::is_meant;

type Map = BTreeMap<String, String>;

/// Whether `properties` fit an MV of `definition` with partition columns of `types`: what does not would fail each refresh,
/// or be left out without a word.
///
/// # Errors
/// `Analysis`, naming the property.
pub fn check(properties: &Map, definition: &Definition, types: &[SqlType]) -> Result<()> {
    for list in ["excluded_refresh_tables", "excluded_trigger_tables"] {
        if let Some(name) = names(properties, list).find(|name| !is_meant(name, definition)) {
            return Err(Error::analysis(format!(
                "property {list}: '{name}' is not a base table of the materialized view"
            )));
        }
    }
    oldest_kept(properties, 0)?;
    let ttl = ["partition_ttl", "partition_ttl_number"];
    let set = |name: &&str| properties.get(*name).is_some_and(|value| !["", "-1"].contains(&value.trim()));
    match (ttl.into_iter().find(set), types) {
        (None, _) | (Some(_), [SqlType::Date | SqlType::DateTime, ..]) => Ok(()),
        (Some(name), []) => Err(Error::analysis(format!(
            "property {name} does not support non-partitioned materialized view"
        ))),
        (Some(name), [_, ..]) => Err(Error::analysis(format!("property {name} needs partitions by date"))),
    }
}

/// A whole number of at least 1; `None` when it is not set, or -1 (StarRocks' word for no limit).
pub(crate) fn limit(properties: &Map, name: &str) -> Result<Option<u64>> {
    let Some(text) = properties.get(name) else { return Ok(None) };
    match text.trim().parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(number) if number >= 1 => Ok(u64::try_from(number).ok()),
        _ => Err(Error::analysis(format!("property {name} must be -1 or a number from 1, not '{text}'"))),
    }
}

/// A number of seconds from 1; `None` when it is not set, or 0.
pub(crate) fn seconds(properties: &Map, name: &str) -> Result<Option<u64>> {
    let Some(text) = properties.get(name) else { return Ok(None) };
    match text.trim().parse::<u64>() {
        Ok(number) => Ok(Some(number).filter(|number| *number > 0)),
        Err(_) => Err(Error::analysis(format!("property {name} must be a number of seconds, not '{text}'"))),
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
    use cairn_catalog::Base;
    use cairn_types::TableId;
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
    fn seconds_may_be_none() {
        let check = |text: &str, expected: Result<Option<u64>, ()>| {
            assert_eq!(seconds(&map("n", text), "n").map_err(|_| ()), expected, "{text}");
        };
        check("0", Ok(None));
        check(" 60 ", Ok(Some(60)));
        check("-1", Err(()));
    }

    #[test]
    fn properties_must_fit_the_view() {
        let base = |id, name: &str| Base { id: TableId(id), db: "shop".into(), name: name.into() };
        let definition = Definition {
            query: String::new(),
            default_db: "shop".into(),
            partition_by: String::new(),
            bases: vec![base(1, "sales"), base(2, "cities")],
            views: Vec::new(),
            links: Vec::new(),
            binding: 1,
        };
        let check = |name: &str, value: &str, types: &[SqlType], expected: &str| {
            let found = super::check(&map(name, value), &definition, types);
            let found = found.map_or_else(|e| e.message().to_owned(), |()| String::new());
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
        };
        let (date, time, text) = ([SqlType::Date], [SqlType::DateTime, SqlType::Int], [SqlType::Int]);
        check("excluded_trigger_tables", "sales, shop.cities,@dimensions", &[], "");
        check("excluded_trigger_tables", "sales, town", &[], "'town' is not a base table");
        check("excluded_refresh_tables", "other.sales", &[], "'other.sales' is not a base table");
        check("partition_ttl", "2 MONTH", &date, "");
        check("partition_ttl", "soon", &date, "partition_ttl must be");
        check("partition_ttl", "2 MONTH", &[], "does not support non-partitioned");
        check("partition_ttl_number", "3", &time, "");
        check("partition_ttl_number", "3", &text, "partitions by date");
        check("partition_ttl_number", "-1", &[], "");
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
