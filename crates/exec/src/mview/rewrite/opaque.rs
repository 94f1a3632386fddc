//! Parts of a plan that are compared as they are: outer joins, unions, windows, limits, aggregates below joins.

use cairn_types::TableId;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, NullEquality};
use datafusion::logical_expr::{Expr, FetchType, Join, JoinType, Limit, LogicalPlan, SkipType, Sort};

use super::block::{Block, has_subquery, is_constant_in_time, resolve};
use crate::mview::scan::whole_table_of;

/// A plan without names: two that are equal give the same rows from the same tables.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Opaque {
    kind: Kind,
    /// Columns are positions in the inputs, one input behind the other.
    exprs: Vec<Expr>,
    inputs: Vec<Opaque>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Table(TableId),
    Projection,
    Filter,
    /// Its number of pairs of keys; they come before the filter.
    Join(JoinType, NullEquality, usize),
    /// Its number of keys.
    Aggregate(usize),
    Window,
    Union,
    /// How many rows are left out and how many come then, with the directions of its order.
    Limit(usize, Option<usize>, Vec<(bool, bool)>),
    Empty(bool),
}

impl Opaque {
    /// `plan` without names; `None` when it holds what cannot be compared, as an order that rows must have.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = whole_table_of(scan)?;
                if !scan.filters.is_empty() || scan.fetch.is_some() {
                    return None;
                }
                let columns = scan.projection.iter().flatten().map(|at| Expr::Column(numbered(*at)));
                Some(Self { kind: Kind::Table(table.id), exprs: columns.collect(), inputs: Vec::new() })
            }
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            LogicalPlan::Projection(p) => Self::node(Kind::Projection, &p.expr, &p.input),
            LogicalPlan::Filter(f) => Self::node(Kind::Filter, std::slice::from_ref(&f.predicate), &f.input),
            LogicalPlan::Window(w) => Self::node(Kind::Window, &w.window_expr, &w.input),
            LogicalPlan::Aggregate(a) => {
                let exprs: Vec<Expr> = a.group_expr.iter().chain(&a.aggr_expr).cloned().collect();
                Self::node(Kind::Aggregate(a.group_expr.len()), &exprs, &a.input)
            }
            LogicalPlan::Join(join) => Self::join(join),
            LogicalPlan::Union(union) => {
                let inputs: Option<Vec<Self>> = union.inputs.iter().map(|input| Self::of(input)).collect();
                Some(Self { kind: Kind::Union, exprs: Vec::new(), inputs: inputs? })
            }
            // An order says nothing where nothing is cut off.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Self::of(&sort.input),
            LogicalPlan::Limit(limit) => Self::limit(limit),
            LogicalPlan::EmptyRelation(empty) if empty.schema.fields().is_empty() => {
                Some(Self { kind: Kind::Empty(empty.produce_one_row), exprs: Vec::new(), inputs: Vec::new() })
            }
            _ => None,
        }
    }

    fn node(kind: Kind, exprs: &[Expr], input: &LogicalPlan) -> Option<Self> {
        let exprs: Option<Vec<Expr>> = exprs.iter().map(|e| unnamed(e, input.schema(), 0)).collect();
        Some(Self { kind, exprs: exprs?, inputs: vec![Self::of(input)?] })
    }

    /// The first rows of an order that leaves no choice.
    fn limit(limit: &Limit) -> Option<Self> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type().ok()?, limit.get_fetch_type().ok()?)
        else {
            return None;
        };
        let sort = order_of(&limit.input).filter(|sort| is_total(sort))?;
        let directions = sort.expr.iter().map(|by| (by.asc, by.nulls_first)).collect();
        let exprs: Option<Vec<Expr>> =
            sort.expr.iter().map(|by| unnamed(&by.expr, sort.input.schema(), 0)).collect();
        let inputs = vec![Self::of(&limit.input)?];
        Some(Self { kind: Kind::Limit(skip, fetch, directions), exprs: exprs?, inputs })
    }

    fn join(join: &Join) -> Option<Self> {
        let right = join.left.schema().fields().len();
        let mut exprs = Vec::new();
        for (l, r) in &join.on {
            exprs.push(unnamed(l, join.left.schema(), 0)?);
            exprs.push(unnamed(r, join.right.schema(), right)?);
        }
        if let Some(filter) = &join.filter {
            let both = join.left.schema().join(join.right.schema()).ok()?;
            exprs.push(unnamed(filter, &both, 0)?);
        }
        let kind = Kind::Join(join.join_type, join.null_equality, join.on.len());
        Some(Self { kind, exprs, inputs: vec![Self::of(&join.left)?, Self::of(&join.right)?] })
    }
}

/// The order in which the rows of `plan` come.
fn order_of(plan: &LogicalPlan) -> Option<&Sort> {
    match plan {
        LogicalPlan::Sort(sort) => Some(sort),
        LogicalPlan::Projection(p) => order_of(&p.input),
        LogicalPlan::SubqueryAlias(alias) => order_of(&alias.input),
        _ => None,
    }
}

/// Whether rows that `sort` does not tell apart are the same: it is by all keys of an aggregate, or by all columns.
fn is_total(sort: &Sort) -> bool {
    let schema = sort.input.schema();
    if let Ok(Block { grouping: Some(grouping), outputs, .. }) = Block::grouped(&sort.input) {
        let by: Vec<Expr> =
            sort.expr.iter().filter_map(|by| resolve(&by.expr, schema, &outputs).ok()).collect();
        return grouping.keys.iter().all(|key| by.contains(key));
    }
    schema.columns().iter().all(|column| sort.expr.iter().any(|by| by.expr == Expr::Column(column.clone())))
}

fn numbered(at: usize) -> Column {
    Column::new_unqualified(format!("#{at}"))
}

fn unnamed(expr: &Expr, schema: &DFSchema, offset: usize) -> Option<Expr> {
    if has_subquery(expr) || expr.is_volatile() || expr.contains_outer() || !is_constant_in_time(expr) {
        return None;
    }
    let replaced = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            Expr::Column(column) => {
                Transformed::yes(Expr::Column(numbered(schema.index_of_column(&column)? + offset)))
            }
            other => Transformed::no(other),
        })
    });
    replaced.ok().map(|e| e.data)
}
