//! Cells with the MV's partitions that they are, while they still borrow from the catalog.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use cairn_catalog::{Bounds, Catalog, Partition, Partitioning};
use cairn_types::{Error, Result, SqlType};

use crate::bound::Bound;
use crate::source::Source;
use crate::time::Slicer;
use crate::{lists, names, order, ranges};

/// A cell without a name yet. Lists of them are sorted by bounds.
pub(crate) struct Wanted<'a> {
    pub bounds: Bounds,
    pub sources: Vec<Source<'a>>,
    /// The name of the one base partition that it is the same as.
    pub mirrored: Option<&'a str>,
    pub slicer: Option<Slicer>,
}

/// A cell; all cells of an MV are apart, and sorted by bounds.
pub(crate) struct Planned<'a> {
    pub name: String,
    pub bounds: Bounds,
    /// The MV's partition with exactly these bounds.
    pub partition: Option<&'a Partition>,
    /// By position of the base and partition id.
    pub sources: Vec<Source<'a>>,
}

pub(crate) struct Plan<'a> {
    pub cells: Vec<Planned<'a>>,
    /// The MV's visible partitions by bounds.
    pub existing: Vec<&'a Partition>,
}

pub(crate) fn plan<'a>(catalog: &'a Catalog, bound: &Bound<'a>) -> Result<Plan<'a>> {
    let wanted = wanted(bound)?;
    debug_assert!(wanted.is_sorted_by(|a, b| order::compare(&a.bounds, &b.bounds).is_lt()));
    let mut existing: Vec<_> = catalog.partitions_of(&bound.mview.table).map(AsRef::as_ref).collect();
    existing.sort_by(|a: &&Partition, b| order::compare(&a.bounds, &b.bounds));
    let found = same_bounds(&wanted, &existing);
    let cells = named(bound, wanted, found);
    Ok(Plan { cells, existing })
}

impl<'a> Plan<'a> {
    /// The MV's partitions that are no cell, by bounds.
    pub(crate) fn obsolete(&self) -> Vec<&'a Partition> {
        // Both lists are sorted alike, so the partitions of cells stand in the other list in the same order.
        let mut kept = self.cells.iter().filter_map(|cell| cell.partition).map(|p| p.id).peekable();
        self.existing.iter().filter(|p| kept.next_if_eq(&p.id).is_none()).copied().collect()
    }
}

/// For each cell the partition with its bounds; both lists are sorted by bounds.
fn same_bounds<'a>(wanted: &[Wanted<'_>], existing: &[&'a Partition]) -> Vec<Option<&'a Partition>> {
    let mut left = existing.iter().peekable();
    let mut find = |bounds: &Bounds| {
        loop {
            match order::compare(&left.peek()?.bounds, bounds) {
                Ordering::Less => left.next(),
                Ordering::Equal => return left.next().copied(),
                Ordering::Greater => return None,
            };
        }
    };
    wanted.iter().map(|cell| find(&cell.bounds)).collect()
}

fn wanted<'a>(bound: &Bound<'a>) -> Result<Vec<Wanted<'a>>> {
    let table = &bound.mview.table;
    if bound.mview.definition.links.is_empty() {
        return match table.partitioning {
            Partitioning::None => Ok(vec![everything(bound)]),
            _ => Err(Error::analysis("its partition columns come from no base")),
        };
    }
    match &table.partitioning {
        Partitioning::None => Err(Error::internal("links to bases, but no partition columns")),
        Partitioning::Time { column, unit, step } => {
            let ty = table.schema.columns.get(*column).map_or(SqlType::Date, |c| c.ty);
            ranges::slice(bound, Slicer { unit: *unit, step: *step }, ty)
        }
        Partitioning::Range { .. } => ranges::cut(bound),
        Partitioning::List { .. } => lists::by_sources(bound),
        Partitioning::Values { .. } => lists::one_a_key(bound),
    }
}

fn everything<'a>(bound: &Bound<'a>) -> Wanted<'a> {
    let mut sources = Vec::new();
    for (base, bound) in bound.bases.iter().enumerate() {
        sources.extend(bound.partitions.iter().map(|partition| Source { base, partition }));
    }
    sources.sort_by_key(Source::key);
    Wanted { bounds: Bounds::All, sources, mirrored: Some(&bound.table.name), slicer: None }
}

/// Gives each cell its partition's name, or a new one that no other cell has. A partition that is no cell keeps no
/// name from being used: it is dropped before cells are made.
fn named<'a>(
    bound: &Bound<'a>,
    wanted: Vec<Wanted<'a>>,
    found: Vec<Option<&'a Partition>>,
) -> Vec<Planned<'a>> {
    debug_assert_eq!(wanted.len(), found.len(), "cells of {}", bound.table.name);
    let mut used: BTreeSet<String> = match found.iter().all(Option::is_some) {
        true => BTreeSet::new(),
        false => found.iter().flatten().map(|p| p.name.clone()).collect(),
    };
    let mut cells = Vec::with_capacity(wanted.len());
    for (Wanted { bounds, sources, mirrored, slicer }, partition) in wanted.into_iter().zip(found) {
        let name = match partition {
            Some(partition) => partition.name.clone(),
            None => {
                let named = || names::name(&bounds, slicer, &bound.mview.table.partitioning);
                let name = mirrored.map_or_else(named, str::to_owned);
                unused(name, &mut used)
            }
        };
        cells.push(Planned { name, bounds, partition, sources });
    }
    cells
}

fn unused(name: String, used: &mut BTreeSet<String>) -> String {
    let mut free = name.clone();
    let mut tries = 1;
    while !used.insert(free.clone()) {
        tries += 1;
        free = format!("{name}_{tries}");
    }
    free
}
