//! Cells that are not wanted, or not refreshed by themselves, because they are old.

use cairn_catalog::{Bounds, Floor, Table};
use cairn_types::{Error, Literal, Result};

use crate::plan::Planned;
use crate::properties;
use crate::retention::Retention;
use crate::time::{BEFORE_ALL, DAY, micros};

/// Takes away the cells that `partition_ttl`, `partition_ttl_number` and `partition_retention_condition` let go.
pub(crate) fn drop_expired(table: &Table, cells: &mut Vec<Planned<'_>>, now_ms: u64) -> Result<()> {
    let Some(olap) = table.olap() else { return Ok(()) };
    if let Some(oldest) = properties::oldest_kept(&olap.properties, now_ms)? {
        let mut old = Vec::with_capacity(cells.len());
        for cell in &*cells {
            old.push(end(&cell.bounds, olap.partitioning.floor(0))?.is_some_and(|end| end <= oldest));
        }
        let mut old = old.into_iter();
        cells.retain(|_| old.next() != Some(true));
    }
    if let Some(retention) = Retention::of(&olap.properties, &olap.schema, &olap.partitioning, now_ms)? {
        cells.retain(|cell| retention.keeps(&cell.bounds));
    }
    keep_newest(cells, properties::limit(&olap.properties, "partition_ttl_number")?, now_ms)
}

/// Takes away the cells that are older than the newest `auto_refresh_partitions_limit`.
pub(crate) fn drop_beyond_limit(table: &Table, cells: &mut Vec<Planned<'_>>, now_ms: u64) -> Result<()> {
    let Some(olap) = table.olap() else { return Ok(()) };
    keep_newest(cells, properties::limit(&olap.properties, "auto_refresh_partitions_limit")?, now_ms)
}

/// Cells that begin in the future are not counted, as in StarRocks.
fn keep_newest(cells: &mut Vec<Planned<'_>>, count: Option<u64>, now_ms: u64) -> Result<()> {
    let Some(count) = count else { return Ok(()) };
    let excess = cells_beyond(cells.iter().map(|cell| &cell.bounds), count, now_ms)?;
    cells.drain(..excess.min(cells.len()));
    Ok(())
}

/// How many of the first of these ascending bounds are older than the newest `count` that do not begin in the future.
pub(crate) fn cells_beyond<'b>(
    bounds: impl Iterator<Item = &'b Bounds>,
    count: u64,
    now_ms: u64,
) -> Result<usize> {
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
    let mut begun = 0;
    for bounds in bounds {
        if start(bounds)?.is_none_or(|start| start <= now) {
            begun += 1;
        }
    }
    Ok(begun - usize::try_from(count).unwrap_or(usize::MAX).min(begun))
}

/// When a cell begins; `None` when it begins before all times, or is no time (then all cells count as begun).
fn start(bounds: &Bounds) -> Result<Option<i64>> {
    match bounds {
        Bounds::All => Ok(None),
        Bounds::Range { lower, .. } => Ok(lower.as_ref().and_then(|key| micros(key.first()?).ok())),
        Bounds::List { .. } => Ok(last_value(bounds, None)?.map(|(start, _)| start)),
    }
}

/// When the last value of a cell has passed, whose first column may be cut by `floor`; `None` when it has no end.
fn end(bounds: &Bounds, floor: Option<Floor>) -> Result<Option<i64>> {
    match bounds {
        Bounds::All => Ok(None),
        Bounds::Range { upper, .. } => {
            upper.as_ref().and_then(|key| key.first()).map(micros).transpose().map_err(no_time)
        }
        Bounds::List { .. } => Ok(last_value(bounds, floor)?.map(|(_, end)| end)),
    }
}

/// From when to when the newest value of a list lasts. NULL is before all.
fn last_value(bounds: &Bounds, floor: Option<Floor>) -> Result<Option<(i64, i64)>> {
    let Bounds::List { keys } = bounds else { return Ok(None) };
    let last = keys.iter().filter_map(|key| key.first()).max();
    last.map(|value| match (value, floor) {
        (Literal::Null, _) => Ok((BEFORE_ALL, BEFORE_ALL)),
        (value, Some(floor)) => Ok((micros(value)?, micros(&floor.end(value)?)?)),
        (Literal::Date(_), None) => micros(value).map(|start| (start, start.saturating_add(DAY))),
        (value, None) => micros(value).map(|start| (start, start.saturating_add(1))),
    })
    .transpose()
    .map_err(no_time)
}

fn no_time(e: Error) -> Error {
    e.context("partitions can be kept by their age only if they are partitions by date")
}
