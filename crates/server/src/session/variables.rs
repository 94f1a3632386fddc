//! Session and global variables: what MySQL clients ask for, and what changes how Cairn runs a query.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::Catalog;
use cairn_exec::names::SessionFacts;
use cairn_types::{Error, Result};
use sqlparser::ast::Value;

use super::hints::HINTS;

/// How a variable's text is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Number,
    Switch,
    OneOf(&'static [&'static str]),
    /// A switch of StarRocks that Cairn has only in this position: the other one is refused.
    Always(bool),
    /// Names of modes with commas between them, all of `SQL_MODES`.
    Modes,
    /// A name of UTC: DATETIMEs have no zone, and `now()` is in UTC.
    TimeZone,
    /// Cannot be set.
    Fixed,
}

/// The modes of MySQL that say what is so here anyway, or concern statements that there are none of. Others would change what
/// queries mean, and are refused.
const SQL_MODES: &[&str] = &[
    "ERROR_FOR_DIVISION_BY_ZERO",
    "IGNORE_SPACE",
    "NO_AUTO_CREATE_USER",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_ENGINE_SUBSTITUTION",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "TRADITIONAL",
];

const UTC_NAMES: &[&str] = &["UTC", "+00:00", "-00:00", "SYSTEM", "GMT", "Etc/UTC"];

/// All variables: name, kind, value of a new session.
const VARIABLES: &[(&str, Kind, &str)] = &[
    ("auto_increment_increment", Kind::Number, "1"),
    ("autocommit", Kind::Switch, "1"),
    ("catalog", Kind::Fixed, "default_catalog"),
    ("character_set_client", Kind::Text, "utf8mb4"),
    ("character_set_connection", Kind::Text, "utf8mb4"),
    ("character_set_database", Kind::Text, "utf8mb4"),
    ("character_set_results", Kind::Text, "utf8mb4"),
    ("character_set_server", Kind::Text, "utf8mb4"),
    ("collation_connection", Kind::Text, "utf8mb4_general_ci"),
    ("collation_database", Kind::Text, "utf8mb4_general_ci"),
    ("collation_server", Kind::Text, "utf8mb4_general_ci"),
    ("default_storage_engine", Kind::Fixed, "OLAP"),
    ("default_tmp_storage_engine", Kind::Fixed, "OLAP"),
    // A row that does not fit ends an INSERT; it is never left out.
    ("enable_insert_strict", Kind::Always(true), "1"),
    ("enable_materialized_view_rewrite", Kind::Switch, "1"),
    // Whether a view that is stale in part answers together with its tables.
    ("enable_materialized_view_union_rewrite", Kind::Switch, "1"),
    ("have_query_cache", Kind::Fixed, "NO"),
    ("have_ssl", Kind::Fixed, "YES"),
    ("init_connect", Kind::Fixed, ""),
    ("insert_timeout", Kind::Number, "14400"),
    ("interactive_timeout", Kind::Number, "3600"),
    ("language", Kind::Fixed, ""),
    ("license", Kind::Fixed, "Apache License 2.0"),
    ("lower_case_table_names", Kind::Fixed, "0"),
    // Whether queries are answered from materialized views: `default` where it reads less, `force` wherever it can be.
    ("materialized_view_rewrite_mode", Kind::OneOf(&["default", "disable", "force"]), "default"),
    ("max_allowed_packet", Kind::Number, "33554432"),
    // Views over views that a rewritten query goes through.
    ("nested_mv_rewrite_max_level", Kind::Number, "3"),
    ("net_buffer_length", Kind::Number, "16384"),
    ("net_read_timeout", Kind::Number, "60"),
    ("net_write_timeout", Kind::Number, "60"),
    ("performance_schema", Kind::Fixed, "0"),
    // Partitions that a query's operators run in; 0: the number of processors.
    ("pipeline_dop", Kind::Number, "0"),
    ("query_cache_size", Kind::Fixed, "0"),
    ("query_cache_type", Kind::Fixed, "OFF"),
    // Bytes of memory that one query may use; 0: what the process allows all queries together.
    ("query_mem_limit", Kind::Number, "0"),
    // Seconds after which a query is ended.
    ("query_timeout", Kind::Number, "300"),
    ("sql_auto_is_null", Kind::Switch, "0"),
    ("sql_mode", Kind::Modes, "ONLY_FULL_GROUP_BY"),
    ("sql_notes", Kind::Switch, "1"),
    ("sql_quote_show_create", Kind::Switch, "1"),
    ("sql_safe_updates", Kind::Switch, "0"),
    ("sql_select_limit", Kind::Number, "18446744073709551615"),
    ("sql_warnings", Kind::Switch, "0"),
    ("system_time_zone", Kind::Fixed, "UTC"),
    ("time_zone", Kind::TimeZone, "UTC"),
    ("transaction_isolation", Kind::Text, "READ-COMMITTED"),
    ("transaction_read_only", Kind::Switch, "0"),
    ("tx_isolation", Kind::Text, "READ-COMMITTED"),
    ("tx_read_only", Kind::Switch, "0"),
    ("unique_checks", Kind::Switch, "1"),
    ("version", Kind::Fixed, "8.0.33"),
    ("version_comment", Kind::Fixed, concat!("Cairn version ", env!("CARGO_PKG_VERSION"))),
    ("wait_timeout", Kind::Number, "28800"),
];

/// Under which name the catalog keeps a global value.
fn global_key(name: &str) -> String {
    format!("@@{name}")
}

/// The variables of one session: what differs from the global ones.
#[derive(Clone, Default, Debug)]
pub struct Variables {
    set: BTreeMap<String, String>,
    /// `@name` variables as SQL values.
    user: BTreeMap<String, Value>,
}

impl Variables {
    /// The value that counts, as text; `None` for an unknown variable.
    #[must_use]
    pub fn get(&self, catalog: &Catalog, name: &str) -> Option<String> {
        let (_, default) = known(name)?;
        let value =
            self.set.get(name).cloned().or_else(|| catalog.setting(&global_key(name)).map(str::to_owned));
        Some(value.unwrap_or_else(|| default.to_owned()))
    }

    /// The value of a number.
    #[must_use]
    pub fn number(&self, catalog: &Catalog, name: &str) -> u64 {
        self.get(catalog, name).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Sets `name` for this session; `None` puts the global value back.
    ///
    /// # Errors
    /// As [`check`].
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let name = name.to_ascii_lowercase();
        match value {
            None => {
                check_known(&name)?;
                self.set.remove(&name);
            }
            Some(value) => {
                let value = check(&name, value)?;
                self.set.insert(name, value);
            }
        }
        Ok(())
    }

    pub fn set_user(&mut self, name: &str, value: Value) {
        self.user.insert(name.to_lowercase(), value);
    }

    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Value> {
        self.user.get(&name.to_lowercase())
    }

    /// All values as `SHOW VARIABLES` lists them; `global` leaves the session's own out.
    #[must_use]
    pub fn list(&self, catalog: &Catalog, global: bool) -> Vec<(&'static str, String)> {
        let nothing_set = Self::default();
        let from = if global { &nothing_set } else { self };
        let names = VARIABLES.iter().map(|(name, ..)| *name).chain(HINTS.iter().map(|(name, _)| *name));
        let value = |name: &'static str| {
            let (kind, _) = known(name)?;
            Some((name, shown(kind, from.get(catalog, name)?)))
        };
        let mut all: Vec<_> = names.filter_map(value).collect();
        all.sort_unstable();
        all
    }
}

/// `SHOW VARIABLES` has ON and OFF where `SELECT @@x` has 1 and 0.
fn shown(kind: Kind, value: String) -> String {
    match (kind, value.as_str()) {
        (Kind::Switch | Kind::Always(_), "1") => "ON".to_owned(),
        (Kind::Switch | Kind::Always(_), "0") => "OFF".to_owned(),
        _ => value,
    }
}

/// The kind and the first value of the variable `name`.
fn known(name: &str) -> Option<(Kind, &'static str)> {
    if let Ok(at) = VARIABLES.binary_search_by_key(&name, |(name, ..)| name) {
        return VARIABLES.get(at).map(|(_, kind, default)| (*kind, *default));
    }
    let at = HINTS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    HINTS.get(at).map(|(_, default)| (Kind::Text, *default))
}

fn check_known(name: &str) -> Result<Kind> {
    let (kind, _) =
        known(name).ok_or_else(|| Error::analysis(format!("Unknown system variable '{name}'")))?;
    Ok(kind)
}

/// Checks a value and brings it into the form in which it is kept.
///
/// # Errors
/// `Analysis` for an unknown variable, one that cannot be set, or a value of the wrong kind.
pub fn check(name: &str, value: &str) -> Result<String> {
    let bad = |what: &str| Err(Error::analysis(format!("Variable '{name}' must be {what}, not '{value}'")));
    match check_known(name)? {
        Kind::Fixed => Err(Error::analysis(format!("Variable '{name}' is a read only variable"))),
        Kind::Text => Ok(value.to_owned()),
        Kind::Modes => modes(value),
        Kind::TimeZone => match UTC_NAMES.iter().find(|name| name.eq_ignore_ascii_case(value.trim())) {
            Some(zone) => Ok((*zone).to_owned()),
            None => Err(Error::unsupported(format!(
                "time_zone '{value}' is not supported: times are in UTC here ({})",
                UTC_NAMES.join(", ")
            ))),
        },
        Kind::OneOf(words) => {
            let value = value.trim().to_ascii_lowercase();
            match words.contains(&value.as_str()) {
                true => Ok(value),
                false => bad(&format!("one of {}", words.join(", "))),
            }
        }
        Kind::Number => match value.trim().parse::<u64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => bad("a number"),
        },
        Kind::Switch => match switch(value) {
            Some(on) => Ok(u8::from(on).to_string()),
            None => bad("ON or OFF"),
        },
        Kind::Always(always) => match switch(value) {
            Some(on) if on == always => Ok(u8::from(on).to_string()),
            Some(_) => Err(Error::unsupported(format!("Variable '{name}' = {value} is not supported"))),
            None => bad("ON or OFF"),
        },
    }
}

fn modes(value: &str) -> Result<String> {
    let names = value.split(',').map(|name| name.trim().to_ascii_uppercase()).filter(|name| !name.is_empty());
    let names: Vec<String> = names.collect();
    match names.iter().find(|name| !SQL_MODES.contains(&name.as_str())) {
        None => Ok(names.join(",")),
        Some(other) => Err(Error::unsupported(format!(
            "sql_mode {other} is not supported: it would change what queries mean. There are {}",
            SQL_MODES.join(", ")
        ))),
    }
}

fn switch(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "on" | "true" => Some(true),
        "0" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// The command's name and value that make `name = value` global.
///
/// # Errors
/// As [`check`].
pub fn global(name: &str, value: &str) -> Result<(String, String)> {
    let name = name.to_ascii_lowercase();
    let value = check(&name, value)?;
    Ok((global_key(&name), value))
}

/// What queries of a session can ask of it. Values are looked up when they are asked for: most queries ask for none.
pub struct Facts {
    pub variables: Variables,
    pub catalog: Arc<Catalog>,
    pub functions: Vec<(&'static str, Value)>,
}

impl SessionFacts for Facts {
    fn variable(&self, name: &str) -> Option<Value> {
        self.variables.value(&self.catalog, name)
    }

    fn function(&self, name: &str) -> Option<Value> {
        self.functions.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
    }
}

impl Variables {
    /// The value of a variable as SQL has it: `x` of the system, or `@x` of the user.
    fn value(&self, catalog: &Catalog, name: &str) -> Option<Value> {
        if let Some(user) = name.strip_prefix('@') {
            return self.user.get(user).cloned();
        }
        let (kind, _) = known(name)?;
        let text = self.get(catalog, name)?;
        let is_number =
            matches!(kind, Kind::Number | Kind::Switch | Kind::Always(_)) || text.parse::<u64>().is_ok();
        Some(if is_number { Value::Number(text, false) } else { Value::SingleQuotedString(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(VARIABLES.is_sorted_by_key(|(name, ..)| *name));
        assert!(HINTS.is_sorted_by_key(|(name, _)| *name));
        let both = HINTS.iter().find(|(name, _)| VARIABLES.iter().any(|(known, ..)| known == name));
        assert_eq!(both, None);
    }

    #[test]
    fn values_are_checked() {
        assert_eq!(check("autocommit", "ON").unwrap(), "1");
        assert!(check("autocommit", "maybe").is_err());
        assert!(check("version", "9").unwrap_err().message().contains("read only"));
        assert!(check("nonsense", "1").unwrap_err().message().contains("Unknown system variable"));
        assert!(check("query_timeout", "-3").is_err());
        assert_eq!(check("enable_insert_strict", "true").unwrap(), "1");
        assert!(check("enable_insert_strict", "false").unwrap_err().message().contains("not supported"));
        assert_eq!(check("new_planner_agg_stage", "2").unwrap(), "2");
    }
}
