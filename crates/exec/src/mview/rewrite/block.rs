//! Select-project-join-group blocks: a part of a plan as sets of tables, predicates, keys and results, whatever the order
//! in which the query has them.
//!
//! All expressions of a block speak of [columns](column()) of its leaves by position, so that two blocks over the same
//! tables can be compared.

use std::collections::BTreeSet;

use arrow::datatypes::FieldRef;
use cairn_types::TableId;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, NullEquality};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Expr, Join, JoinType, LogicalPlan, TableScan, lit};

use super::opaque::Opaque;
use crate::mview::deterministic::changing_function;
use crate::mview::scan::whole_table_of;

/// Parts that one expression may grow to while the projections below it are put into it.
const EXPR_NODES_MAX: usize = 2_000;

/// An input of a block.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub key: LeafKey,
    pub fields: Vec<FieldRef>,
    /// Gives `fields`, in order. Dropped from definitions that are kept: it holds a catalog.
    pub plan: Option<LogicalPlan>,
}

/// What makes two leaves the same rows.
#[derive(Clone, Debug)]
pub(crate) enum LeafKey {
    Table(TableId),
    /// A part that is not looked into: an outer join, an aggregate below a join, a union, a window.
    Opaque(Opaque),
    /// Equal to nothing.
    Unknown,
}

impl LeafKey {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(a), Self::Table(b)) => a == b,
            (Self::Opaque(a), Self::Opaque(b)) => a == b,
            _ => false,
        }
    }
}

/// Keys and aggregates of a block that groups.
#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub keys: Vec<Expr>,
    pub aggregates: Vec<Expr>,
}

/// A part of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub leaves: Vec<Leaf>,
    pub conjuncts: Vec<Expr>,
    pub grouping: Option<Grouping>,
    /// One a column of the result. Where the block groups, aggregate calls stand inside, and all else is made of keys.
    pub outputs: Vec<Expr>,
}

/// Why a part of a plan is no block.
pub(crate) type NoBlock = String;

/// The column `at` of the leaf `leaf`, in all expressions of a block and in the plans that are made from it.
pub(crate) fn column(leaf: usize, at: usize) -> Column {
    Column::new_unqualified(format!("l{leaf}_{at}"))
}

/// The leaf and position that a column of a block is.
pub(crate) fn position(column: &Column) -> Option<(usize, usize)> {
    let (leaf, at) = column.name.strip_prefix('l')?.split_once('_')?;
    Some((leaf.parse().ok()?, at.parse().ok()?))
}

/// The columns in `expr`.
pub(crate) fn columns_of(expr: &Expr) -> BTreeSet<Column> {
    expr.column_refs().into_iter().cloned().collect()
}

/// The aggregate calls in `expr`.
pub(crate) fn aggregates_of(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let visited = expr.apply(|e| {
        if matches!(e, Expr::AggregateFunction(_)) {
            found.push(e);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    found
}

/// Whether `expr` holds a subquery.
pub(crate) fn has_subquery(expr: &Expr) -> bool {
    let is = |e: &Expr| {
        matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
    };
    expr.exists(|e| Ok(is(e))).unwrap_or(true)
}

impl Block {
    /// `plan` as filters, projections and inner joins over leaves.
    pub(crate) fn spj(plan: &LogicalPlan) -> Result<Self, NoBlock> {
        let mut collector = Collector::default();
        let outputs = collector.node(plan)?;
        Ok(Self { leaves: collector.leaves, conjuncts: collector.conjuncts, grouping: None, outputs })
    }

    /// `plan` as projections over an aggregate over such.
    pub(crate) fn grouped(plan: &LogicalPlan) -> Result<Self, NoBlock> {
        match plan {
            LogicalPlan::Aggregate(aggregate) => Self::of_aggregate(aggregate),
            LogicalPlan::SubqueryAlias(alias) => Self::grouped(&alias.input),
            LogicalPlan::Projection(projection) => {
                let mut block = Self::grouped(&projection.input)?;
                let schema = projection.input.schema();
                let resolve = |e: &Expr| resolve(e, schema, &block.outputs);
                block.outputs = projection.expr.iter().map(resolve).collect::<Result<_, _>>()?;
                Ok(block)
            }
            _ => Err("it is no aggregate".to_owned()),
        }
    }

    fn of_aggregate(aggregate: &Aggregate) -> Result<Self, NoBlock> {
        if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return Err("it groups by several sets of keys".to_owned());
        }
        let mut collector = Collector::default();
        let below = collector.input(&aggregate.input);
        let schema = aggregate.input.schema();
        let all = |exprs: &[Expr]| -> Result<Vec<Expr>, NoBlock> {
            exprs.iter().map(|e| resolve(e, schema, &below)).collect()
        };
        let keys = all(&aggregate.group_expr)?;
        let aggregates = all(&aggregate.aggr_expr)?;
        let Collector { leaves, conjuncts } = collector;
        let aggregates: Vec<Expr> = aggregates.into_iter().map(|e| count_rows(e, &leaves)).collect();
        let outputs = keys.iter().chain(&aggregates).cloned().collect();
        Ok(Self { leaves, conjuncts, grouping: Some(Grouping { keys, aggregates }), outputs })
    }

    /// All expressions.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let grouping = self.grouping.iter().flat_map(|g| g.keys.iter().chain(&g.aggregates));
        self.conjuncts.iter().chain(&self.outputs).chain(grouping)
    }

    pub(crate) fn has_subquery(&self) -> bool {
        self.exprs().any(has_subquery)
    }

    /// The type and nullability of a column.
    pub(crate) fn field(&self, column: &Column) -> Option<&FieldRef> {
        let (leaf, at) = position(column)?;
        self.leaves.get(leaf)?.fields.get(at)
    }

    /// All columns of all leaves.
    pub(crate) fn schema(&self) -> datafusion::common::Result<DFSchema> {
        let mut fields = Vec::new();
        for (leaf, input) in self.leaves.iter().enumerate() {
            for (at, field) in input.fields.iter().enumerate() {
                fields.push(field.as_ref().clone().with_name(column(leaf, at).name));
            }
        }
        DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new())
    }
}

/// `count(c)` of a column that is never NULL counts rows, as `count(*)` does.
fn count_rows(expr: Expr, leaves: &[Leaf]) -> Expr {
    let is_never_null = |e: &Expr| match e {
        Expr::Column(column) => position(column)
            .and_then(|(leaf, at)| leaves.get(leaf)?.fields.get(at))
            .is_some_and(|field| !field.is_nullable()),
        Expr::Literal(value, _) => !value.is_null(),
        _ => false,
    };
    match expr {
        Expr::AggregateFunction(mut call)
            if call.func.name() == "count"
                && !call.params.distinct
                && call.params.args.len() == 1
                && call.params.args.iter().all(is_never_null) =>
        {
            call.params.args = vec![lit(1i64)];
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

/// Gathers leaves and predicates.
#[derive(Default)]
struct Collector {
    leaves: Vec<Leaf>,
    conjuncts: Vec<Expr>,
}

impl Collector {
    /// The expressions of the columns of `plan`. What is no part of a block becomes a leaf.
    fn input(&mut self, plan: &LogicalPlan) -> Vec<Expr> {
        let (leaves, conjuncts) = (self.leaves.len(), self.conjuncts.len());
        match self.node(plan) {
            Ok(columns) => columns,
            Err(_) => {
                self.leaves.truncate(leaves);
                self.conjuncts.truncate(conjuncts);
                self.opaque(plan)
            }
        }
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<Vec<Expr>, NoBlock> {
        match plan {
            LogicalPlan::TableScan(scan) => Ok(self.scan(plan, scan)),
            LogicalPlan::SubqueryAlias(alias) => Ok(self.input(&alias.input)),
            LogicalPlan::Projection(projection) => {
                let below = self.input(&projection.input);
                let schema = projection.input.schema();
                projection.expr.iter().map(|e| resolve(e, schema, &below)).collect()
            }
            LogicalPlan::Filter(filter) => {
                let below = self.input(&filter.input);
                for part in split_conjunction(&filter.predicate) {
                    self.conjuncts.push(resolve(part, filter.input.schema(), &below)?);
                }
                Ok(below)
            }
            LogicalPlan::Join(join)
                if join.join_type == JoinType::Inner
                    && join.null_equality == NullEquality::NullEqualsNothing =>
            {
                self.join(join)
            }
            other => Ok(self.opaque(other)),
        }
    }

    fn join(&mut self, join: &Join) -> Result<Vec<Expr>, NoBlock> {
        let mut columns = self.input(&join.left);
        let right = self.input(&join.right);
        for (l, r) in &join.on {
            let l = resolve(l, join.left.schema(), &columns)?;
            let r = resolve(r, join.right.schema(), &right)?;
            self.conjuncts.push(l.eq(r));
        }
        columns.extend(right);
        for part in join.filter.iter().flat_map(split_conjunction) {
            self.conjuncts.push(resolve(part, &join.schema, &columns)?);
        }
        Ok(columns)
    }

    fn scan(&mut self, plan: &LogicalPlan, scan: &TableScan) -> Vec<Expr> {
        let table = whole_table_of(scan).filter(|_| scan.filters.is_empty() && scan.fetch.is_none());
        let Some(table) = table else { return self.opaque(plan) };
        let whole = TableScanBuilder::new(scan.table_name.clone(), std::sync::Arc::clone(&scan.source));
        let Ok(whole) = whole.build() else { return self.opaque(plan) };
        let leaf = self.leaves.len();
        self.leaves.push(Leaf {
            key: LeafKey::Table(table.id),
            fields: whole.projected_schema.fields().iter().cloned().collect(),
            plan: Some(LogicalPlan::TableScan(whole)),
        });
        let columns: Vec<usize> = match &scan.projection {
            Some(columns) => columns.clone(),
            None => (0..scan.projected_schema.fields().len()).collect(),
        };
        columns.into_iter().map(|at| Expr::Column(column(leaf, at))).collect()
    }

    fn opaque(&mut self, plan: &LogicalPlan) -> Vec<Expr> {
        let leaf = self.leaves.len();
        let fields: Vec<FieldRef> = plan.schema().fields().iter().cloned().collect();
        let count = fields.len();
        let key = Opaque::of(plan).map_or(LeafKey::Unknown, LeafKey::Opaque);
        self.leaves.push(Leaf { key, fields, plan: Some(plan.clone()) });
        (0..count).map(|at| Expr::Column(column(leaf, at))).collect()
    }
}

/// `expr`, over `schema`, with each column replaced by what it is in `columns`.
pub(super) fn resolve(expr: &Expr, schema: &DFSchema, columns: &[Expr]) -> Result<Expr, NoBlock> {
    check(expr)?;
    let replaced = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            Expr::Column(column) => {
                let at = schema.index_of_column(&column)?;
                let missing =
                    || datafusion::common::internal_datafusion_err!("a column of a block is missing");
                Transformed::yes(columns.get(at).ok_or_else(missing)?.clone())
            }
            other => Transformed::no(other),
        })
    });
    let replaced = replaced.map_err(|e| e.strip_backtrace())?.data;
    let mut nodes = 0;
    let counted = replaced.apply(|_| {
        nodes += 1;
        Ok(if nodes > EXPR_NODES_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match counted {
        Ok(_) if nodes <= EXPR_NODES_MAX => Ok(replaced),
        _ => Err("an expression is too large".to_owned()),
    }
}

/// Refuses what gives other values elsewhere in a plan.
fn check(expr: &Expr) -> Result<(), NoBlock> {
    if expr.is_volatile() || expr.contains_outer() {
        return Err("it depends on chance or on an outer query".to_owned());
    }
    let is_bound_here = |e: &Expr| match e {
        Expr::WindowFunction(_)
        | Expr::Unnest(_)
        | Expr::GroupingSet(_)
        | Expr::Placeholder(_)
        | Expr::ScalarVariable(..)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => true,
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        Expr::InSubquery(e) => !e.subquery.outer_ref_columns.is_empty(),
        Expr::Exists(e) => !e.subquery.outer_ref_columns.is_empty(),
        Expr::SetComparison(e) => !e.subquery.outer_ref_columns.is_empty(),
        _ => false,
    };
    match expr.exists(|e| Ok(is_bound_here(e))) {
        Ok(false) => Ok(()),
        _ => Err("it depends on its place in the query".to_owned()),
    }
}

/// Whether `expr` gives the same value whenever it is computed.
pub(crate) fn is_constant_in_time(expr: &Expr) -> bool {
    changing_function(expr).is_none()
}
