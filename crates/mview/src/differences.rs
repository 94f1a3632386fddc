//! The differences between what a cell was made from and what a refresh would record now.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{Catalog, Freshness, Seen};
use cairn_types::{PartitionId, TableId};

use crate::bound::{Bound, BoundBase};
use crate::{BaseName, Reason};

/// One reason for each difference, by base in the order of the definition; `excluded` bases have none.
pub(crate) fn differences(
    catalog: &Catalog,
    bound: &Bound<'_>,
    recorded: &Freshness,
    seen: &BTreeMap<TableId, Seen>,
    excluded: &BTreeSet<TableId>,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for BoundBase { name, .. } in bound.bases.iter().filter(|base| !excluded.contains(&base.name.id)) {
        match (recorded.bases.get(&name.id), seen.get(&name.id)) {
            (Some(Seen::Table(old)), Some(Seen::Table(new))) if old != new => {
                reasons.push(Reason::TableChanged { base: name.clone(), old: *old, new: *new });
            }
            (Some(Seen::Table(_)), Some(Seen::Table(_))) => {}
            (Some(Seen::Partitions(old)), Some(Seen::Partitions(new))) => {
                partitions(catalog, name, old, new, &mut reasons);
            }
            _ => reasons.push(Reason::BaseNew { base: name.clone() }),
        }
    }
    let gone = recorded.bases.keys().filter(|id| !seen.contains_key(id));
    reasons.extend(gone.map(|table| Reason::BaseGone { table: *table }));
    reasons
}

fn partitions(
    catalog: &Catalog,
    base: &BaseName,
    old: &BTreeMap<PartitionId, u64>,
    new: &BTreeMap<PartitionId, u64>,
    reasons: &mut Vec<Reason>,
) {
    if old == new {
        return;
    }
    let name = |id: &PartitionId| catalog.partition(*id).map_or_else(|| id.to_string(), |p| p.name.clone());
    for (id, version) in new {
        match old.get(id) {
            Some(old) if old == version => {}
            Some(old) => reasons.push(Reason::PartitionChanged {
                base: base.clone(),
                name: name(id),
                old: *old,
                new: *version,
            }),
            None => {
                reasons.push(Reason::PartitionAdded {
                    base: base.clone(),
                    name: name(id),
                    version: *version,
                });
            }
        }
    }
    let gone = old.keys().filter(|id| !new.contains_key(id));
    reasons.extend(gone.map(|id| Reason::PartitionGone { base: base.clone(), partition: *id }));
}
