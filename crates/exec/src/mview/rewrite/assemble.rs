//! Plans that give expressions of a block: from its own leaves, or from a view in the place of some.

use std::collections::BTreeSet;

use cairn_types::PartitionId;
use datafusion::common::{Column, DFSchema, Result, TableReference, internal_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};

use super::block::{Block, position};
use super::candidate::Candidate;
use super::cover::{Cover, used, view_position};
use super::functions::with_field;

/// The rows that a view gives for a block, with these expressions (of its columns and of other leaves) as columns.
pub(crate) fn from_view(
    block: &Block,
    candidate: &Candidate,
    cover: &Cover,
    only: Option<Vec<PartitionId>>,
    exprs: &[Expr],
) -> Result<LogicalPlan> {
    let used = used(exprs.iter().chain(&cover.filters));
    let mut plan = LogicalPlanBuilder::from(view(candidate, only, &used)?);
    for leaf in (0..block.leaves.len()).filter(|leaf| !cover.mapping.contains(leaf)) {
        plan = plan.cross_join(leaf_rows(block, leaf, &used)?)?;
    }
    finish(plan, cover.filters.clone(), exprs)
}

/// The rows of the block itself, those for which `also` is true, with these expressions of leaves as columns.
pub(crate) fn from_leaves(block: &Block, also: Option<&Expr>, exprs: &[Expr]) -> Result<LogicalPlan> {
    let filters: Vec<Expr> = block.conjuncts.iter().chain(also).cloned().collect();
    let used = used(exprs.iter().chain(&filters));
    let mut plan: Option<LogicalPlanBuilder> = None;
    for leaf in 0..block.leaves.len() {
        let rows = leaf_rows(block, leaf, &used)?;
        plan = Some(match plan {
            None => LogicalPlanBuilder::from(rows),
            Some(before) => before.cross_join(rows)?,
        });
    }
    match plan {
        Some(plan) => finish(plan, filters, exprs),
        None => internal_err!("a block without leaves"),
    }
}

fn finish(plan: LogicalPlanBuilder, filters: Vec<Expr>, exprs: &[Expr]) -> Result<LogicalPlan> {
    let plan = match conjunction(filters) {
        Some(filter) => plan.filter(filter)?,
        None => plan,
    };
    plan.project(exprs.to_vec())?.build()
}

fn view(
    candidate: &Candidate,
    only: Option<Vec<PartitionId>>,
    used: &BTreeSet<Column>,
) -> Result<LogicalPlan> {
    let name = TableReference::bare(candidate.name.clone());
    let scan = LogicalPlanBuilder::scan(name.clone(), candidate.rows.source(only), None)?;
    let fields = &candidate.definition.fields;
    let mut columns = Vec::new();
    for column in used {
        let Some(at) = view_position(column) else { continue };
        let Some(field) = fields.get(at) else { return internal_err!("a column of the view is missing") };
        columns.push(Expr::Column(Column::new(Some(name.clone()), field.name())).alias(&column.name));
    }
    if columns.is_empty() {
        // Its rows count even where no value of it is asked for.
        columns.push(lit(1i64).alias("m"));
    }
    scan.project(columns)?.build()
}

fn leaf_rows(block: &Block, leaf: usize, used: &BTreeSet<Column>) -> Result<LogicalPlan> {
    let Some(plan) = block.leaves.get(leaf).and_then(|l| l.plan.clone()) else {
        return internal_err!("a leaf without a plan");
    };
    let mut columns = Vec::new();
    for column in used {
        let Some((_, at)) = position(column).filter(|(of, _)| *of == leaf) else { continue };
        let Some(given) = plan.schema().iter().nth(at) else {
            return internal_err!("a column of a leaf is missing");
        };
        columns.push(Expr::Column(Column::from(given)).alias(&column.name));
    }
    if columns.is_empty() {
        columns.push(lit(1i64).alias(format!("l{leaf}")));
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// The rows of both.
pub(crate) fn union(view: LogicalPlan, rest: Option<LogicalPlan>) -> Result<LogicalPlan> {
    match rest {
        None => Ok(view),
        Some(rest) => LogicalPlanBuilder::from(view).union(rest)?.build(),
    }
}

/// `plan` with `exprs` as its columns, which get exactly the names, types and nullability of `schema`.
pub(crate) fn as_schema(plan: LogicalPlan, exprs: &[Expr], schema: &DFSchema) -> Result<LogicalPlan> {
    let mut columns = Vec::new();
    for (expr, (qualifier, field)) in exprs.iter().zip(schema.iter()) {
        let (_, given) = expr.to_field(plan.schema())?;
        if given.data_type() != field.data_type() {
            return internal_err!("{expr} gives {} for {}", given.data_type(), field.data_type());
        }
        let is_same = given.is_nullable() == field.is_nullable() && given.metadata() == field.metadata();
        let expr = if is_same { expr.clone() } else { with_field(expr.clone(), field) };
        columns.push(expr.alias_qualified(qualifier.cloned(), field.name()));
    }
    let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
    let is_same = plan.schema().fields() == schema.fields()
        && plan.schema().iter().map(|(q, _)| q).eq(schema.iter().map(|(q, _)| q));
    match is_same {
        true => Ok(plan),
        false => internal_err!("a rewritten plan has other columns"),
    }
}

/// The names `prefix0`, `prefix1`… for expressions.
pub(crate) fn named(prefix: &str, exprs: impl Iterator<Item = Expr>) -> Vec<Expr> {
    exprs.enumerate().map(|(at, expr)| expr.alias(format!("{prefix}{at}"))).collect()
}

/// A column by its name.
pub(crate) fn plain(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The columns `prefix0`… that [`named`] made.
pub(crate) fn numbered(prefix: &str, count: usize) -> Vec<Expr> {
    (0..count).map(|at| plain(format!("{prefix}{at}"))).collect()
}

/// For messages.
pub(crate) fn reason(error: datafusion::error::DataFusionError) -> String {
    error.strip_backtrace()
}
