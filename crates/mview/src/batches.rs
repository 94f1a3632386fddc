//! In which portions the stale cells of a verdict are rebuilt.

use cairn_catalog::{Catalog, Table};
use cairn_types::{Error, PartitionId, Result};

use crate::bound::mview_of;
use crate::{CellVerdict, Verdict, properties};

/// Source rows of one batch of [`Strategy::Adaptive`], unless a single cell has more.
pub const ADAPTIVE_ROWS_MAX: u64 = 10_000_000;

/// The property `partition_refresh_strategy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// `partition_refresh_number` cells a batch. The default.
    Strict,
    /// As many cells as have at most [`ADAPTIVE_ROWS_MAX`] source rows.
    Adaptive,
    /// Each refresh is a forced one: the run calls [`force`](crate::select::force) for it. Batches as with `Strict`.
    Force,
}

/// The strategy of an MV.
///
/// # Errors
/// `Analysis` for a word that is no strategy, or when `table` is no MV.
pub fn strategy(table: &Table) -> Result<Strategy> {
    let word = mview_of(table)?.table.properties.get("partition_refresh_strategy");
    match word.map(|word| word.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "strict") => Ok(Strategy::Strict),
        Some("adaptive") => Ok(Strategy::Adaptive),
        Some("force") => Ok(Strategy::Force),
        Some(other) => Err(Error::analysis(format!(
            "property partition_refresh_strategy must be strict, adaptive or force, not '{other}'"
        ))),
    }
}

/// Positions in `verdict.cells` of the stale cells, in batches: ascending by bounds, so the oldest come first. Each
/// batch is one commit. None at all does not mean that nothing is to be done: there may be obsolete partitions.
/// `partition_refresh_number` is 1 unless set; -1 is all at once.
///
/// # Errors
/// `Analysis` for properties that make no sense, or when `table` is no MV.
pub fn batches(catalog: &Catalog, table: &Table, verdict: &Verdict) -> Result<Vec<Vec<usize>>> {
    let stale = verdict.cells.iter().enumerate().filter(|(_, cell)| !cell.is_fresh());
    let properties = &mview_of(table)?.table.properties;
    if strategy(table)? == Strategy::Adaptive {
        let sized = stale.map(|(at, cell)| (at, source_rows(catalog, cell)));
        return Ok(fill(sized, ADAPTIVE_ROWS_MAX));
    }
    let name = "partition_refresh_number";
    let cells_max = match properties.contains_key(name) {
        true => properties::limit(properties, name)?.unwrap_or(u64::MAX),
        false => 1,
    };
    Ok(fill(stale.map(|(at, _)| (at, 1)), cells_max))
}

/// Fills batches up to `max`; one alone may be greater.
fn fill(sized: impl Iterator<Item = (usize, u64)>, max: u64) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0u64;
    for (at, size) in sized {
        filled = filled.saturating_add(size);
        match batches.last_mut().filter(|_| filled <= max) {
            Some(batch) => batch.push(at),
            None => {
                batches.push(vec![at]);
                filled = size;
            }
        }
    }
    batches
}

/// The rows of all partitions that a cell is made from. A base partition that many cells share is counted in each:
/// each reads a part of it, and which part is not known.
fn source_rows(catalog: &Catalog, cell: &CellVerdict) -> u64 {
    let rows = |id: &PartitionId| Some(catalog.partition(*id)?.visible()?.manifest.rows);
    cell.sources.values().flatten().filter_map(rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_filled() {
        let check = |sizes: &[u64], max: u64, expected: &[&[usize]]| {
            assert_eq!(fill(sizes.iter().copied().enumerate(), max), expected, "{sizes:?} {max}");
        };
        check(&[], 1, &[]);
        check(&[1, 1, 1], 1, &[&[0], &[1], &[2]]);
        check(&[1, 1, 1], 2, &[&[0, 1], &[2]]);
        check(&[1, 1, 1], u64::MAX, &[&[0, 1, 2]]);
        check(&[5, 9, 1, 1, 20, 1], 10, &[&[0], &[1, 2], &[3], &[4], &[5]]);
        check(&[0, 0, 10], 10, &[&[0, 1, 2]]);
    }
}
