//! What `REFRESH MATERIALIZED VIEW … PARTITION … FORCE` asks for: a part of a verdict, or more than it.

use std::collections::BTreeSet;

use cairn_catalog::{Bounds, Catalog, Partitioning, Table};
use cairn_types::{Error, Literal, PartitionId, Result, SqlType};

use crate::bound::mview_of;
use crate::order;
use crate::{CellVerdict, Reason, Verdict};

/// `PARTITION START ("start") END ("end")`: the cells that overlap `start <= value < end`, the values read by the type
/// of the (first) partition column. Obsolete partitions stay when they overlap the range or a cell that stays, or have
/// the name of one.
///
/// # Errors
/// `Analysis` when the MV has no ranges, the range is empty, or nothing overlaps it; `InvalidValue` for a bad value.
pub fn range(catalog: &Catalog, table: &Table, verdict: Verdict, start: &str, end: &str) -> Result<Verdict> {
    let ty = match &mview_of(table)?.table.partitioning {
        Partitioning::Range { .. } | Partitioning::Time { .. } => column_types(table)?.first().copied(),
        Partitioning::List { .. } | Partitioning::Values { .. } => {
            let name = &table.name;
            return Err(Error::analysis(format!("{name} has lists of values: write PARTITION ((value), …)")));
        }
        Partitioning::None => None,
    };
    let ty = ty.ok_or_else(|| not_partitioned(table))?;
    let (lower, upper) = (Literal::parse(start, ty)?, Literal::parse(end, ty)?);
    if lower >= upper {
        return Err(Error::analysis(format!("refresh range START (\"{start}\") END (\"{end}\") is empty")));
    }
    let asked = Bounds::Range { lower: Some(vec![lower]), upper: Some(vec![upper]) };
    let narrowed = narrow(catalog, verdict, |bounds| bounds.overlaps(&asked));
    match narrowed.cells.is_empty() && narrowed.obsolete.is_empty() {
        false => Ok(narrowed),
        true => Err(Error::analysis(format!(
            "refresh range START (\"{start}\") END (\"{end}\") is outside of the partitions of {}",
            table.name
        ))),
    }
}

/// `PARTITION ((v1, v2), …)`: the cells that hold these values of the partition columns; `None` is NULL. Obsolete
/// partitions stay when they hold one of them, share a value with a cell that stays, or have the name of one.
///
/// # Errors
/// `Analysis` when the MV has no lists, a tuple has not one value a column, or no partition holds it; `InvalidValue`
/// for a bad value.
pub fn values(
    catalog: &Catalog,
    table: &Table,
    verdict: Verdict,
    tuples: &[Vec<Option<String>>],
) -> Result<Verdict> {
    match &mview_of(table)?.table.partitioning {
        Partitioning::List { .. } | Partitioning::Values { .. } => {}
        Partitioning::None => return Err(not_partitioned(table)),
        Partitioning::Range { .. } | Partitioning::Time { .. } => {
            let name = &table.name;
            return Err(Error::analysis(format!("{name} has ranges: write PARTITION START (…) END (…)")));
        }
    }
    let types = column_types(table)?;
    let partitioning = &mview_of(table)?.table.partitioning;
    let asked = |tuple: &Vec<_>| partitioning.key(&key(tuple, &types)?).map(std::borrow::Cow::into_owned);
    let asked: BTreeSet<_> = tuples.iter().map(asked).collect::<Result<_>>()?;
    let obsolete = verdict.obsolete.iter().filter_map(|(id, _)| catalog.partition(*id)).map(|p| &p.bounds);
    let held: BTreeSet<_> =
        verdict.cells.iter().map(|cell| &cell.bounds).chain(obsolete).flat_map(list).collect();
    if let Some(unknown) = asked.iter().find(|key| !held.contains(key)) {
        let shown: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        return Err(Error::analysis(format!("no partition of {} holds ({})", table.name, shown.join(", "))));
    }
    Ok(narrow(catalog, verdict, |bounds| list(bounds).iter().any(|key| asked.contains(key))))
}

/// `FORCE`: all cells are rebuilt, except those that were refreshed by a commit after journal index `created`, that of
/// the run: so a run that is taken up again does not do again what it did. A cell that has no rows to be made from stays
/// as it is.
///
/// # Errors
/// `Analysis` when `table` is no MV.
pub fn force(table: &Table, verdict: &mut Verdict, created: u64) -> Result<()> {
    let freshness = &mview_of(table)?.freshness;
    for cell in &mut verdict.cells {
        let recorded = cell.partition.and_then(|id| freshness.get(&id));
        if !cell.is_void() && recorded.is_none_or(|recorded| recorded.refreshed.index < created) {
            cell.reasons.push(Reason::Forced);
        }
    }
    Ok(())
}

fn not_partitioned(table: &Table) -> Error {
    Error::analysis(format!("{} is not partitioned: refresh it without PARTITION", table.name))
}

fn column_types(table: &Table) -> Result<Vec<SqlType>> {
    let olap = &mview_of(table)?.table;
    let ty = |column: &usize| olap.schema.columns.get(*column).map(|column| column.ty);
    let types: Option<Vec<_>> = olap.partitioning.columns().iter().map(ty).collect();
    types.ok_or_else(|| Error::internal("a partition column outside of the schema"))
}

fn key(tuple: &[Option<String>], types: &[SqlType]) -> Result<Vec<Literal>> {
    if tuple.len() != types.len() {
        return Err(Error::analysis(format!(
            "PARTITION needs {} values for the partition columns, not {}",
            types.len(),
            tuple.len()
        )));
    }
    let value = |(text, ty): (&Option<String>, &SqlType)| match text {
        Some(text) => Literal::parse(text, *ty),
        None => Ok(Literal::Null),
    };
    tuple.iter().zip(types).map(value).collect()
}

fn list(bounds: &Bounds) -> &[Vec<Literal>] {
    match bounds {
        Bounds::List { keys } => keys,
        _ => &[],
    }
}

fn narrow(catalog: &Catalog, verdict: Verdict, asked: impl Fn(&Bounds) -> bool) -> Verdict {
    let mut verdict = verdict;
    verdict.cells.retain(|cell| asked(&cell.bounds));
    let chosen = Chosen::new(&verdict.cells);
    verdict.obsolete.retain(|(id, name)| {
        let bounds = bounds(catalog, *id);
        bounds.is_none_or(|bounds| asked(bounds) || chosen.overlaps(bounds))
            || chosen.names.contains(name.as_str())
    });
    verdict
}

fn bounds(catalog: &Catalog, id: PartitionId) -> Option<&Bounds> {
    catalog.partition(id).map(|partition| &partition.bounds)
}

/// Cells, found by their bounds.
struct Chosen<'v> {
    cells: &'v [CellVerdict],
    keys: BTreeSet<&'v [Literal]>,
    names: BTreeSet<&'v str>,
}

impl<'v> Chosen<'v> {
    fn new(cells: &'v [CellVerdict]) -> Self {
        let keys = cells.iter().flat_map(|cell| list(&cell.bounds)).map(Vec::as_slice).collect();
        Self { cells, keys, names: cells.iter().map(|cell| cell.name.as_str()).collect() }
    }

    /// Cells are sorted and apart, so of those that begin before the end of `bounds` the last is the one to ask.
    fn overlaps(&self, bounds: &Bounds) -> bool {
        if let Bounds::List { keys } = bounds {
            return keys.iter().any(|key| self.keys.contains(key.as_slice()));
        }
        let Bounds::Range { upper, .. } = bounds else { return !self.cells.is_empty() };
        let begins_before = |cell: &CellVerdict| match (upper, &cell.bounds) {
            (Some(upper), Bounds::Range { lower: Some(lower), .. }) => lower < upper,
            _ => true,
        };
        debug_assert!(self.cells.is_sorted_by(|a, b| order::compare(&a.bounds, &b.bounds).is_le()));
        let before = self.cells.partition_point(begins_before);
        let last = before.checked_sub(1).and_then(|at| self.cells.get(at));
        last.is_some_and(|cell| cell.bounds.overlaps(bounds))
    }
}
