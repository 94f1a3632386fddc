//! Whether a cell can be brought up to date by reading new rows alone.

use cairn_catalog::partition::EMPTY_VERSION;
use cairn_catalog::{Catalog, Freshness, Seen};
use cairn_types::{PartitionId, TableId};

use crate::{CellVerdict, Reason};

/// Rows that came into a base partition: those of its data versions after `from_version` up to `to_version`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth {
    pub base: TableId,
    pub partition: PartitionId,
    /// The version that the cell was made from; [`EMPTY_VERSION`] when the partition had no rows then.
    pub from_version: u64,
    pub to_version: u64,
}

/// The growth that makes a stale cell fresh, by partition: `Some` when the only differences to `recorded`, in all bases
/// that are read, excluded ones too, are partitions of one base that grew. Rows that were put in place of others, partitions
/// that went, and changes of dimensions need a rebuild: the cell's old rows would have to change.
///
/// Says nothing about whether the query can be merged, nor whether the manifests still tell the new rows apart.
#[must_use]
pub fn delta(catalog: &Catalog, cell: &CellVerdict, recorded: &Freshness) -> Option<Vec<Growth>> {
    let grows = |r: &Reason| matches!(r, Reason::PartitionChanged { .. } | Reason::PartitionAdded { .. });
    if cell.reasons.is_empty() || !cell.reasons.iter().all(grows) {
        return None;
    }
    if !cell.seen.keys().eq(recorded.bases.keys()) {
        return None;
    }
    let mut pairs = cell.seen.iter().zip(recorded.bases.values()).filter(|((_, new), old)| new != old);
    let ((base, Seen::Partitions(new)), Seen::Partitions(old)) = pairs.next()? else { return None };
    if pairs.next().is_some() || old.keys().any(|id| !new.contains_key(id)) {
        return None;
    }
    let changed = new.iter().filter(|(id, version)| old.get(id) != Some(version));
    changed.map(|(id, version)| growth(catalog, *base, *id, old.get(id).copied(), *version)).collect()
}

fn growth(
    catalog: &Catalog,
    base: TableId,
    partition: PartitionId,
    old: Option<u64>,
    to_version: u64,
) -> Option<Growth> {
    let from_version = old.unwrap_or(EMPTY_VERSION);
    let now = catalog.partition(partition)?;
    // Rows that replaced none were added: what an empty partition gets is growth whichever way it came.
    let only_grew = old.is_none() || now.replaced_version <= from_version;
    let grew = only_grew && from_version < to_version && now.visible_version() == to_version;
    grew.then_some(Growth { base, partition, from_version, to_version })
}
