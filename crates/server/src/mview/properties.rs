//! The properties of a materialized view: each works, is a hint that is kept, or is refused by name.

use std::collections::BTreeMap;

use cairn_catalog::{Definition, Partitioning};
use cairn_mview::retention::Retention;
use cairn_sql::ast::Property;
use cairn_types::{Error, Result, Schema, SqlType};

use crate::session::variables;

/// What a property's value must be.
enum Kind {
    /// A number from 1, or -1.
    Limit,
    /// A number from 0.
    Seconds,
    OneOf(&'static [&'static str]),
    /// Read where it is used.
    Text,
}

/// Properties that work.
const PROPERTIES: &[(&str, Kind)] = &[
    ("auto_refresh_partitions_limit", Kind::Limit),
    ("enable_query_rewrite", Kind::OneOf(&["default", "true", "false"])),
    ("excluded_refresh_tables", Kind::Text),
    ("excluded_trigger_tables", Kind::Text),
    ("mv_rewrite_staleness_second", Kind::Seconds),
    ("partition_refresh_number", Kind::Limit),
    ("partition_refresh_strategy", Kind::OneOf(&["strict", "adaptive", "force"])),
    ("partition_retention_condition", Kind::Text),
    ("partition_ttl", Kind::Text),
    ("partition_ttl_number", Kind::Limit),
    ("query_rewrite_consistency", Kind::OneOf(&["disable", "checked", "loose", "nocheck", "force_mv"])),
    ("refresh_mode", Kind::OneOf(&["auto", "full", "incremental", "pct"])),
    (
        "transparent_mv_rewrite_mode",
        Kind::OneOf(&["false", "true", "transparent_or_error", "transparent_or_default"]),
    ),
];

/// Properties that change nothing here, as those of tables: hints for other planners, and places that the storage
/// volume decides.
const HINTS: &[&str] = &[
    "compression",
    "datacache.enable",
    "enable_async_write_back",
    "force_external_table_query_rewrite",
    "foreign_key_constraints",
    "replicated_storage",
    "replication_num",
    "storage_medium",
    "unique_constraints",
];

/// Checks `list`; keys in lower case.
///
/// # Errors
/// `Unsupported` for a property that Cairn does not have, `Analysis` for a value that makes no sense.
pub fn check(list: &[Property]) -> Result<BTreeMap<String, String>> {
    let properties = crate::analyze::properties(list);
    for (name, value) in &properties {
        check_one(name, value)?;
    }
    Ok(properties)
}

/// Whether `properties` fit the view that they are for.
///
/// # Errors
/// `Analysis` or `Unsupported`, naming the property.
pub fn check_fit(
    properties: &BTreeMap<String, String>,
    definition: &Definition,
    schema: &Schema,
    partitioning: &Partitioning,
    now_ms: u64,
) -> Result<()> {
    Retention::of(properties, schema, partitioning, now_ms)?;
    let column = |at: &usize| schema.columns.get(*at).map(|column| column.ty);
    let types: Vec<SqlType> = partitioning.columns().iter().filter_map(column).collect();
    cairn_mview::check_properties(properties, definition, &types)
}

fn check_one(name: &str, value: &str) -> Result<()> {
    if let Some(variable) = name.strip_prefix("session.") {
        return variables::check(variable, value).map(|_| ());
    }
    if HINTS.contains(&name) || name == "storage_volume" {
        return Ok(());
    }
    let Some((_, kind)) = PROPERTIES.iter().find(|(known, _)| *known == name) else {
        return Err(Error::unsupported(format!("materialized view property \"{name}\" is not supported")));
    };
    let bad = |what: &str| Err(Error::analysis(format!("Invalid {name}: it must be {what}, not '{value}'")));
    let text = value.trim().to_ascii_lowercase();
    match kind {
        Kind::Text => Ok(()),
        Kind::Limit => match text.parse::<i64>() {
            Ok(number) if number == -1 || number >= 1 => Ok(()),
            _ => bad("-1 or a number from 1"),
        },
        Kind::Seconds => match text.parse::<u64>() {
            Ok(_) => Ok(()),
            Err(_) => bad("a number of seconds"),
        },
        Kind::OneOf(words) => match words.contains(&text.as_str()) {
            true => Ok(()),
            false => bad(&words.join(", ")),
        },
    }
}

/// Whether a query that new rows alone can (or cannot) be taken into has a fitting `refresh_mode`.
///
/// # Errors
/// `Unsupported` for `incremental` where they cannot.
pub fn check_mode(properties: &BTreeMap<String, String>, takes_new_rows: bool) -> Result<()> {
    match refresh_mode(properties) {
        RefreshMode::Incremental if !takes_new_rows => Err(Error::unsupported(
            "\"refresh_mode\" = \"incremental\" is not supported for this query: it must read one table and only filter, \
             project, or group by with SUM, COUNT, MIN, MAX and AVG",
        )),
        _ => Ok(()),
    }
}

/// Whether and when new rows alone are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshMode {
    /// Where it is expected to read less.
    Auto,
    Full,
    /// Wherever it can be.
    Incremental,
}

/// The property `refresh_mode`; `pct` (partition change tracking) is StarRocks' word for `full`.
#[must_use]
pub fn refresh_mode(properties: &BTreeMap<String, String>) -> RefreshMode {
    match properties.get("refresh_mode").map(|mode| mode.trim().to_ascii_lowercase()).as_deref() {
        Some("full" | "pct") => RefreshMode::Full,
        Some("incremental") => RefreshMode::Incremental,
        _ => RefreshMode::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str, expected: Option<&str>) {
        let found = super::check(&[Property { key: key.to_owned(), value: value.to_owned() }]);
        match (found, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(word)) => assert!(error.message().contains(word), "{key}: {error}"),
            (found, _) => panic!("{key} = {value}: {found:?}"),
        }
    }

    #[test]
    fn properties_are_checked_by_name() {
        check("partition_refresh_number", "-1", None);
        check("Partition_Refresh_Number", "0", Some("from 1"));
        check("query_rewrite_consistency", "LOOSE", None);
        check("query_rewrite_consistency", "maybe", Some("checked"));
        check("mv_rewrite_staleness_second", "soon", Some("seconds"));
        check("session.query_timeout", "10", None);
        check("session.nonsense", "10", Some("nonsense"));
        check("colocate_with", "g", Some("colocate_with"));
        check("replication_num", "1", None);
        assert!(PROPERTIES.is_sorted_by_key(|(name, _)| *name) && HINTS.is_sorted());
    }
}
