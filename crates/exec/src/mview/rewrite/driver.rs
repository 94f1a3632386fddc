//! The walk over a plan: at which parts views are tried, and which of several is taken.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cairn_types::TableId;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

use super::assemble::{as_schema, from_leaves, from_view, named, numbered, reason, union};
use super::block::{Block, Leaf, LeafKey, columns_of, position};
use super::candidate::Candidate;
use super::cover::{Cover, Wanted, shown};
use super::facts::{Classes, Facts, equality};
use super::groups::Groups;
use super::options::{MviewOptions, RewriteMode};
use super::reach::Reach;
use crate::mview::scan::table_of;

/// Rows of a table; `None`: unknown.
pub(crate) type RowsOf<'a> = &'a dyn Fn(TableId) -> Option<u64>;

/// What became of a plan.
#[derive(Debug)]
pub(crate) struct RewriteOutcome {
    pub plan: LogicalPlan,
    /// The views that it now reads, once each.
    pub used: Vec<String>,
    /// The others, and why not.
    pub rejected: Vec<(String, String)>,
}

/// Answers parts of `plan` (prepared) from `candidates`.
///
/// # Errors
/// Only when the plan cannot be walked.
pub(crate) fn rewrite(
    plan: LogicalPlan,
    candidates: &[Candidate],
    options: &MviewOptions,
    rows_of: RowsOf<'_>,
) -> Result<RewriteOutcome> {
    let mut driver = Driver { candidates, options, rows_of, used: Vec::new(), reasons: BTreeMap::new() };
    let plan = driver.walk(plan, Tried::Nothing)?.data;
    let name = |at: &usize| candidates.get(*at).map(|c| c.name.clone());
    let rejected = driver.reasons.iter().filter(|(at, _)| !driver.used.contains(at));
    let rejected = rejected.filter_map(|(at, (_, why))| Some((name(at)?, why.clone()))).collect();
    Ok(RewriteOutcome { used: driver.used.iter().filter_map(name).collect(), rejected, plan })
}

/// What was tried already at a node above, and need not be tried again below.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Nothing,
    /// The filters, projections and joins here, as a whole: a part of them has not more than the whole.
    Rows,
    /// The aggregate below projections.
    Groups,
}

struct Driver<'a> {
    candidates: &'a [Candidate],
    options: &'a MviewOptions,
    rows_of: RowsOf<'a>,
    used: Vec<usize>,
    /// The best reason so far: one about predicates says more than one about tables.
    reasons: BTreeMap<usize, (u8, String)>,
}

/// A view whose rows hold those of a block.
struct Fit {
    at: usize,
    cover: Cover,
    reach: Reach,
}

impl Driver<'_> {
    fn walk(&mut self, plan: LogicalPlan, tried: Tried) -> Result<Transformed<LogicalPlan>> {
        let (part, below) = part_at(&plan, tried);
        let block = match part {
            Part::None => None,
            Part::Rows => Block::spj(&plan).ok(),
            Part::Groups => Block::grouped(&plan).ok(),
        };
        // What could not be tried as a whole is tried in parts.
        let below = if block.is_some() || matches!(part, Part::None) { below } else { Tried::Nothing };
        if let Some(answer) = block.and_then(|block| self.answer(&plan, &block)) {
            return Ok(Transformed::yes(answer));
        }
        if matches!(&plan, LogicalPlan::Subquery(s) if !s.outer_ref_columns.is_empty()) {
            // It speaks of columns from outside.
            return Ok(Transformed::no(plan));
        }
        let walked = plan.map_children(|child| self.walk(child, below))?;
        walked
            .transform_data(|plan| plan.map_uncorrelated_subqueries(|child| self.walk(child, Tried::Nothing)))
    }

    /// What takes the place of `plan`, which is `block`.
    fn answer(&mut self, plan: &LogicalPlan, block: &Block) -> Option<LogicalPlan> {
        if block.leaves.iter().all(|leaf| matches!(leaf.key, LeafKey::Unknown)) {
            return None;
        }
        let classes = Classes::of(block.conjuncts.iter().filter_map(|c| equality(block, c)));
        let facts = Facts::new(&classes, block.conjuncts.iter());
        let schema = block.schema().ok()?;
        let wanted = Wanted { block, classes: &classes, facts: &facts, schema };
        let mut fits = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            match self.fit(&wanted, at, candidate) {
                Ok(fit) => fits.push(fit),
                Err((rank, why)) => self.note(at, rank, why),
            }
        }
        fits.sort_by_cached_key(|fit| self.cost(fit));
        for fit in fits {
            match self.build(plan, &wanted, &fit) {
                Ok(plan) => {
                    if !self.used.contains(&fit.at) {
                        self.used.push(fit.at);
                    }
                    return Some(plan);
                }
                Err(why) => self.note(fit.at, 2, why),
            }
        }
        None
    }

    fn note(&mut self, at: usize, rank: u8, why: String) {
        match self.reasons.get(&at) {
            Some((known, _)) if *known >= rank => {}
            _ => {
                self.reasons.insert(at, (rank, why));
            }
        }
    }

    fn fit(&self, wanted: &Wanted<'_>, at: usize, candidate: &Candidate) -> Result<Fit, (u8, String)> {
        let view = &candidate.definition.block;
        let has = |key: &LeafKey| wanted.block.leaves.iter().any(|leaf| leaf.key.is_same(key));
        if !view.leaves.iter().all(|leaf| has(&leaf.key)) {
            return Err((0, "it reads other tables than the query".to_owned()));
        }
        if view.grouping.is_some() && wanted.block.grouping.is_none() {
            return Err((1, "it groups, the query does not".to_owned()));
        }
        let cover = Cover::find(wanted, &candidate.definition).map_err(|why| (2, why))?;
        let mut reach = Reach::find(wanted, candidate, &cover.mapping).map_err(|why| (2, why))?;
        reach.rest = cover.rest(reach.rest);
        if reach.rest.is_some() && !self.options.union {
            return Err((
                2,
                "it is partly stale, and enable_materialized_view_union_rewrite is off".to_owned(),
            ));
        }
        if reach.rest.is_some() && !is_same_twice(wanted.block, &cover) {
            return Err((
                2,
                "it has a part of the rows, and a part of the query cannot be read twice".to_owned(),
            ));
        }
        self.check_cost(wanted, candidate, &cover, &reach).map_err(|why| (2, why))?;
        Ok(Fit { at, cover, reach })
    }

    /// A view with more rows than its tables is not worth it, unless it is asked for.
    fn check_cost(
        &self,
        wanted: &Wanted<'_>,
        candidate: &Candidate,
        cover: &Cover,
        reach: &Reach,
    ) -> Result<(), String> {
        if self.options.mode == RewriteMode::Force {
            return Ok(());
        }
        if let Some(predicate) = cover.missing.iter().find(|predicate| !is_cheap(wanted.block, predicate)) {
            let shown = shown(wanted.block, predicate);
            return Err(format!("predicate ({shown}) of the view is not implied by the query"));
        }
        let leaf_rows = |leaf: &usize| match wanted.block.leaves.get(*leaf)?.key {
            LeafKey::Table(id) => (self.rows_of)(id),
            _ => None,
        };
        let tables: Option<u64> = cover.mapping.iter().map(leaf_rows).sum();
        match (candidate.rows.count(reach.only.as_deref()), tables) {
            (Some(own), Some(tables)) if own > tables => {
                Err(format!("it has {own} rows, its tables have {tables}"))
            }
            _ => Ok(()),
        }
    }

    /// Smaller is better: without other tables' rows, with the most of the query done, with the fewest rows.
    fn cost(&self, fit: &Fit) -> (bool, bool, Reverse<usize>, u64) {
        let candidate = self.candidates.get(fit.at);
        let groups = candidate.is_some_and(|c| c.definition.block.grouping.is_some());
        let rows = candidate.and_then(|c| c.rows.count(fit.reach.only.as_deref())).unwrap_or(u64::MAX);
        (fit.reach.rest.is_some(), !groups, Reverse(fit.cover.mapping.len()), rows)
    }

    fn build(&self, plan: &LogicalPlan, wanted: &Wanted<'_>, fit: &Fit) -> Result<LogicalPlan, String> {
        let candidate = self.candidates.get(fit.at).ok_or("the view is gone")?;
        match &wanted.block.grouping {
            None => rows(plan, wanted, candidate, fit),
            Some(grouping) => {
                let (cover, reach, schema) = (&fit.cover, &fit.reach, plan.schema());
                Groups { wanted, grouping, candidate, cover, reach, schema }.answer()
            }
        }
    }
}

/// Whether the rows for which `predicate` is not true are found without reading all: it speaks of partition columns, or
/// of what the table is sorted by first.
fn is_cheap(block: &Block, predicate: &Expr) -> bool {
    let is_cheap = |column: &Column| {
        let (leaf, at) = position(column)?;
        let LogicalPlan::TableScan(scan) = block.leaves.get(leaf)?.plan.as_ref()? else { return None };
        let table = table_of(scan)?;
        let olap = table.olap()?;
        Some(olap.partitioning.columns().contains(&at) || olap.sort_key.first() == Some(&at))
    };
    columns_of(predicate).iter().all(|column| is_cheap(column) == Some(true))
}

/// Whether what is read beside the view, with its rows and with those of the tables, is the same both times.
fn is_same_twice(block: &Block, cover: &Cover) -> bool {
    let is_known =
        |(at, leaf): (usize, &Leaf)| cover.mapping.contains(&at) || !matches!(leaf.key, LeafKey::Unknown);
    block.leaves.iter().enumerate().all(is_known) && !block.has_subquery()
}

enum Part {
    None,
    Rows,
    Groups,
}

/// What is tried at `plan`, and what then was tried for its inputs.
fn part_at(plan: &LogicalPlan, tried: Tried) -> (Part, Tried) {
    if tried != Tried::Groups && is_group(plan) {
        return (Part::Groups, Tried::Groups);
    }
    match plan {
        LogicalPlan::Aggregate(_) => (Part::None, Tried::Rows),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) if tried == Tried::Groups => {
            (Part::None, tried)
        }
        _ if is_rows(plan) => match tried {
            Tried::Rows => (Part::None, Tried::Rows),
            _ => (Part::Rows, Tried::Rows),
        },
        // A view may be just this, whatever is below.
        _ if is_whole(plan) && tried != Tried::Rows => (Part::Rows, Tried::Nothing),
        _ => (Part::None, Tried::Nothing),
    }
}

/// An aggregate, below projections.
fn is_group(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::Projection(p) => is_group(&p.input),
        LogicalPlan::SubqueryAlias(a) => is_group(&a.input),
        _ => false,
    }
}

/// What is a part of a block only as a whole.
fn is_whole(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Limit(_) | LogicalPlan::Union(_) | LogicalPlan::Window(_) | LogicalPlan::Join(_)
    )
}

fn is_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::TableScan(_) => true,
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        _ => false,
    }
}

/// A block that does not group.
fn rows(
    plan: &LogicalPlan,
    wanted: &Wanted<'_>,
    candidate: &Candidate,
    fit: &Fit,
) -> Result<LogicalPlan, String> {
    let block = wanted.block;
    let mut exprs: Vec<Expr> = Vec::new();
    for output in &block.outputs {
        let rewritten = fit.cover.rewrite(&wanted.classes.canonical(output));
        exprs.push(rewritten.ok_or_else(|| {
            format!("{} of the query cannot be computed from its columns", shown(block, output))
        })?);
    }
    let exprs = named("c", exprs.into_iter());
    let view = from_view(block, candidate, &fit.cover, fit.reach.only.clone(), &exprs).map_err(reason)?;
    let rest = match &fit.reach.rest {
        None => None,
        Some(also) => {
            let exprs = named("c", block.outputs.iter().cloned());
            Some(from_leaves(block, Some(also), &exprs).map_err(reason)?)
        }
    };
    let both = union(view, rest).map_err(reason)?;
    as_schema(both, &numbered("c", block.outputs.len()), plan.schema()).map_err(reason)
}
