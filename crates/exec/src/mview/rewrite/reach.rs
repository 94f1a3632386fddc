//! Which rows of a view may be read for a block, and which rows of its tables must be read beside.

use std::collections::BTreeMap;

use cairn_catalog::{Bounds, Partitioning};
use cairn_types::{Literal, PartitionId};
use datafusion::logical_expr::Expr;

use super::candidate::Candidate;
use super::cover::{Wanted, moved};
use crate::mview::cells::{CellColumn, domain_of, outside};
use crate::mview::domain::Domain;

/// What of a view is read.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Only these partitions; `None`: all.
    pub only: Option<Vec<PartitionId>>,
    /// True for the rows of the block that these do not hold; `None`: there are none.
    pub rest: Option<Expr>,
}

impl Reach {
    /// Finds out what can be read of `candidate`, whose leaves are `mapping` of the query's.
    ///
    /// # Errors
    /// Why nothing.
    pub(crate) fn find(
        wanted: &Wanted<'_>,
        candidate: &Candidate,
        mapping: &[usize],
    ) -> Result<Self, String> {
        let Some(cells) = candidate.rows.cells() else { return Ok(Self { only: None, rest: None }) };
        let (ids, bounds): (Vec<PartitionId>, Vec<Bounds>) = cells.into_iter().unzip();
        if bounds.contains(&Bounds::All) {
            return Ok(Self { only: Some(ids), rest: None });
        }
        if ids.is_empty() || candidate.partitioning == Partitioning::None {
            return Err("it has no fresh rows".to_owned());
        }
        let columns = columns(wanted, candidate, mapping)?;
        let bounds: Vec<&Bounds> = bounds.iter().collect();
        if is_apart(wanted, &columns, &bounds) {
            return Err("its fresh partitions have none of the rows".to_owned());
        }
        if is_confined(wanted, &columns, &bounds) {
            return Ok(Self { only: Some(ids), rest: None });
        }
        let rest = outside(&columns, &bounds).map_err(|e| e.to_string())?;
        Ok(Self { only: Some(ids), rest: Some(rest) })
    }
}

fn columns(wanted: &Wanted<'_>, candidate: &Candidate, mapping: &[usize]) -> Result<Vec<CellColumn>, String> {
    let definition = &candidate.definition;
    let partitioning = &candidate.partitioning;
    let column = |(place, at): (usize, &usize)| {
        // An aggregate is no property of a row of the tables.
        if definition.aggregated.get(*at).copied().unwrap_or(true) {
            return Err("it is partitioned by an aggregate".to_owned());
        }
        let output = definition.block.outputs.get(*at).ok_or("its partition column is missing")?;
        let floor = partitioning.floor(place);
        CellColumn::of(&moved(output, mapping), &wanted.schema, floor).map_err(|e| e.to_string())
    };
    partitioning.columns().iter().enumerate().map(column).collect()
}

/// Whether the query's predicates leave no row of the cells.
fn is_apart(wanted: &Wanted<'_>, columns: &[CellColumn], cells: &[&Bounds]) -> bool {
    let [CellColumn { expr: Expr::Column(column), .. }] = columns else { return false };
    let Some(fresh) = columns.first().and_then(|column| domain_of(column, cells).ok()) else { return false };
    wanted.facts.domain(column).intersect(&fresh).is_some_and(|both| both.is_empty())
}

/// Whether the query's predicates leave only rows of the cells.
fn is_confined(wanted: &Wanted<'_>, columns: &[CellColumn], cells: &[&Bounds]) -> bool {
    let domain = |column: &CellColumn| match &column.expr {
        Expr::Column(c) => Some(wanted.facts.domain(c)),
        _ => None,
    };
    if let [column] = columns {
        let Ok(fresh) = domain_of(column, cells) else { return false };
        return domain(column).is_some_and(|d| d.is_within(&fresh));
    }
    let Some(domains) = columns.iter().map(domain).collect::<Option<Vec<Domain>>>() else { return false };
    let mut keys = Vec::new();
    for cell in cells {
        let Bounds::List { keys: of_cell } = cell else { return false };
        keys.extend(of_cell.iter().map(Vec::as_slice));
    }
    let columns: Vec<_> = columns.iter().zip(domains).collect();
    is_covered(&columns, &keys) == Some(true)
}

/// Whether each combination of values of the columns' domains is one that a key stands for; `None` when that cannot be
/// told. The keys of a column stand for values that are apart, so it can be asked column by column.
fn is_covered(columns: &[(&CellColumn, Domain)], keys: &[&[Literal]]) -> Option<bool> {
    let Some(((column, domain), rest)) = columns.split_first() else { return Some(!keys.is_empty()) };
    let mut by_first: BTreeMap<&Literal, Vec<&[Literal]>> = BTreeMap::new();
    for key in keys {
        let (first, others) = key.split_first()?;
        by_first.entry(first).or_default().push(others);
    }
    let mut left = domain.clone();
    for (first, others) in by_first {
        let values = column.key(first).ok()?;
        if !domain.intersect(&values)?.is_empty() && is_covered(rest, &others)? {
            left = left.intersect(&values.complement()?)?;
        }
    }
    Some(left.is_empty())
}
