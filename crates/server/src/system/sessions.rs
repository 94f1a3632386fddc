//! Who is connected and what they have set: `processlist`, `session_variables`, `global_variables`.

use std::sync::Arc;

use cairn_catalog::{Catalog, Object};
use cairn_types::{Literal, Privilege};

use super::{LONG, Scope, SystemTable, TEXT, WAREHOUSE};
use crate::node::Addresses;
use crate::queries::SessionEntry;
use crate::rows::{Rows, boolean_text, int, text, time_text};
use crate::session::variables::Variables;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "processlist",
        columns: &[
            ("ID", LONG),
            ("USER", TEXT),
            ("HOST", TEXT),
            ("DB", TEXT),
            ("COMMAND", TEXT),
            ("TIME", LONG),
            ("STATE", TEXT),
            ("INFO", TEXT),
        ],
        fill: processlist,
    },
    SystemTable {
        name: "session_variables",
        columns: &[("VARIABLE_NAME", TEXT), ("VARIABLE_VALUE", TEXT)],
        fill: variables,
    },
    SystemTable {
        name: "global_variables",
        columns: &[("VARIABLE_NAME", TEXT), ("VARIABLE_VALUE", TEXT)],
        fill: variables,
    },
];

/// Sessions that `user` may see: who runs the cluster all, everyone else his own.
pub fn seen_by<'a>(
    sessions: &'a [Arc<SessionEntry>],
    catalog: &Catalog,
    user: &str,
) -> impl Iterator<Item = &'a Arc<SessionEntry>> {
    let all = catalog.may(user, Privilege::Operate, Object::System);
    sessions.iter().filter(move |entry| all || entry.user == user)
}

/// The newest moment that the sessions know of. Whoever reads a system table began a statement just now, so this is
/// the time of the question, without a clock.
fn now_ms(sessions: &[Arc<SessionEntry>]) -> u64 {
    sessions.iter().map(|entry| entry.activity().since_ms).max().unwrap_or(0)
}

fn processlist(scope: &Scope<'_>, rows: &mut Rows) {
    let now_ms = now_ms(scope.sessions);
    for entry in seen_by(scope.sessions, scope.catalog, scope.user) {
        let [_, rest @ ..] = process(entry, scope.addresses, now_ms, true);
        let [id, user, host, db, command, _connected, time, state, info, ..] = rest;
        rows.push([id, user, host, db, command, time, state, info]);
    }
}

/// A session as `SHOW PROCESSLIST` prints it.
pub(crate) fn process(entry: &SessionEntry, addresses: Addresses, now_ms: u64, full: bool) -> [Literal; 14] {
    /// What MySQL shows of a statement without FULL.
    const INFO_CHARS: usize = 100;
    let activity = entry.activity();
    let sleeping = activity.statement.is_empty();
    let info = match full {
        true => activity.statement.clone(),
        false => activity.statement.chars().take(INFO_CHARS).collect(),
    };
    let or_null = |value: String| if value.is_empty() { Literal::Null } else { text(value) };
    [
        text(addresses.mysql.ip().to_string()),
        int(entry.id),
        text(&entry.user),
        text(&entry.host),
        text(activity.database),
        text(if sleeping { "Sleep" } else { "Query" }),
        time_text(entry.connected_ms),
        int(now_ms.saturating_sub(activity.since_ms) / 1_000),
        text(if sleeping { "" } else { "OK" }),
        or_null(info),
        boolean_text(false),
        text(WAREHOUSE),
        text(cairn_exec::DEFAULT_CATALOG),
        or_null(activity.query_id),
    ]
}

/// The values of a new session: a system table is made from the catalog, which knows no session's own settings.
fn variables(scope: &Scope<'_>, rows: &mut Rows) {
    for (name, value) in Variables::default().list(scope.catalog, true) {
        rows.push([text(name), text(value)]);
    }
}

#[cfg(test)]
mod tests {
    use crate::system::tests::{sample, values};

    #[test]
    fn variables_are_listed_with_their_values() {
        let catalog = sample();
        let names = values(&catalog, "global_variables", "VARIABLE_NAME");
        let at = names.iter().position(|n| n == "query_timeout").unwrap();
        assert_eq!(values(&catalog, "global_variables", "VARIABLE_VALUE")[at], "300");
    }
}
