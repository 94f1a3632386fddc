//! Bases whose changes do not count.

use std::collections::BTreeSet;

use cairn_catalog::{Base, Definition, Mview};
use cairn_types::TableId;

use crate::{Purpose, properties};

/// Stands for all bases that determine no partition.
const DIMENSIONS: &str = "@dimensions";

/// The bases that are left out for `purpose`.
pub(crate) fn excluded(mview: &Mview, purpose: Purpose) -> BTreeSet<TableId> {
    let lists: &[&str] = match purpose {
        Purpose::Trigger => &["excluded_trigger_tables", "excluded_refresh_tables"],
        Purpose::Refresh => &["excluded_refresh_tables"],
        Purpose::Rewrite => &[],
    };
    let names: Vec<_> =
        lists.iter().flat_map(|list| properties::names(&mview.table.properties, list)).collect();
    let definition = &mview.definition;
    let means = |name: &str, base: &Base| match name {
        DIMENSIONS => definition.links.iter().all(|link| link.base != base.id),
        name => means(name, base, &definition.default_db),
    };
    let excluded = definition.bases.iter().filter(|base| names.iter().any(|name| means(name, base)));
    excluded.map(|base| base.id).collect()
}

/// Whether a name of such a list means something.
pub(crate) fn is_meant(name: &str, definition: &Definition) -> bool {
    name == DIMENSIONS || definition.bases.iter().any(|base| means(name, base, &definition.default_db))
}

/// Whether `[[default_catalog.]db.]table` is this base; names are compared exactly, with or without backticks.
fn means(name: &str, base: &Base, default_db: &str) -> bool {
    let name = name.replace('`', "");
    let name = name.strip_prefix("default_catalog.").unwrap_or(&name);
    match name.split_once('.') {
        Some((db, table)) => db == base.db && table == base.name,
        None => default_db == base.db && name == base.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved() {
        let base = Base { id: TableId(1), db: "shop".into(), name: "Sales".into() };
        let check = |name: &str, default_db: &str, expected| {
            assert_eq!(means(name, &base, default_db), expected, "{name} in {default_db}");
        };
        check("Sales", "shop", true);
        check("Sales", "other", false);
        check("sales", "shop", false);
        check("shop.Sales", "other", true);
        check("other.Sales", "shop", false);
        check("`shop`.`Sales`", "other", true);
        check("default_catalog.shop.Sales", "other", true);
    }
}
