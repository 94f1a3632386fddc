//! Which rows of a view may be read for a block, and which rows of its tables must be read beside.

use cairn_catalog::Bounds;
use cairn_types::PartitionId;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::candidate::Candidate;
use super::cover::{Wanted, moved};
use crate::mview::cells::{CellColumn, domain_of, outside};

/// Combinations of values that are looked for among the keys of cells.
const KEYS_MAX: usize = 1_000;

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
        if ids.is_empty() || candidate.partition_columns.is_empty() {
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
    let column = |at: &usize| {
        // An aggregate is no property of a row of the tables.
        if definition.aggregated.get(*at).copied().unwrap_or(true) {
            return Err("it is partitioned by an aggregate".to_owned());
        }
        let output = definition.block.outputs.get(*at).ok_or("its partition column is missing")?;
        CellColumn::of(&moved(output, mapping), &wanted.schema).map_err(|e| e.to_string())
    };
    candidate.partition_columns.iter().map(column).collect()
}

/// Whether the query's predicates leave no row of the cells.
fn is_apart(wanted: &Wanted<'_>, columns: &[CellColumn], cells: &[&Bounds]) -> bool {
    let [CellColumn { expr: Expr::Column(column), .. }] = columns else { return false };
    let Some(fresh) = columns.first().and_then(|column| domain_of(column, cells).ok()) else { return false };
    wanted.facts.domain(column).intersect(&fresh).is_some_and(|both| both.is_none())
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
    let points: Option<Vec<Vec<ScalarValue>>> = columns.iter().map(|c| domain(c)?.points()).collect();
    let Some(points) = points else { return false };
    let count = points.iter().try_fold(1usize, |n, p| n.checked_mul(p.len()));
    if count.is_none_or(|n| n > KEYS_MAX) {
        return false;
    }
    combinations(&points).iter().all(|key| cells.iter().any(|cell| holds(cell, columns, key)))
}

fn combinations(points: &[Vec<ScalarValue>]) -> Vec<Vec<ScalarValue>> {
    points.iter().fold(vec![Vec::new()], |keys, values| {
        let with = |key: &Vec<ScalarValue>| {
            let key = key.clone();
            values.iter().map(move |v| key.iter().cloned().chain([v.clone()]).collect()).collect::<Vec<_>>()
        };
        keys.iter().flat_map(with).collect()
    })
}

/// Whether a list of keys has this one.
fn holds(cell: &Bounds, columns: &[CellColumn], key: &[ScalarValue]) -> bool {
    let Bounds::List { keys } = cell else { return false };
    let is = |own: &Vec<cairn_types::Literal>| {
        own.len() == key.len()
            && columns.iter().zip(own).zip(key).all(|((column, own), value)| {
                column.floor.is_none() && crate::literal::scalar(own, &column.ty) == *value
            })
    };
    keys.iter().any(is)
}
