//! Whether the rows of a view hold the rows that a block needs, and how to get at them.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, cast};

use super::block::{Block, Leaf, column, columns_of, position};
use super::definition::Definition;
use super::facts::{Classes, Facts, equality};
use crate::mview::cells::CellColumn;
use crate::mview::domain::Domain;
use crate::mview::links::compose;

/// Ways to put equal leaves beside each other that are tried.
const MAPPINGS_MAX: usize = 24;

/// A query's block, and what follows from its predicates.
pub(crate) struct Wanted<'a> {
    pub block: &'a Block,
    pub classes: &'a Classes,
    pub facts: &'a Facts<'a>,
    /// Of all columns of the leaves.
    pub schema: DFSchema,
}

/// How the rows of a view become rows of the query.
#[derive(Debug)]
pub(crate) struct Cover {
    /// For each leaf of the view the leaf of the query that it is.
    pub mapping: Vec<usize>,
    /// For canonical expressions of the query what gives them: columns of the view, columns of other leaves.
    handles: HashMap<Expr, Expr>,
    /// What is still to be filtered, in such terms.
    pub filters: Vec<Expr>,
    /// Predicates of the view, over the query's leaves, that rows of the query need not pass: the others are not in it.
    pub missing: Vec<Expr>,
    /// Predicates, over the query's leaves, for the rows of whole slices: the others cannot be told apart in it.
    pub slices: Vec<Expr>,
    /// Its columns that are slices of a time, finest first, with the columns of the query that they are slices of.
    sliced: Vec<(Expr, CellColumn)>,
    /// Of all columns of the query's leaves; only with `sliced`.
    schema: DFSchema,
}

/// The column `at` of the view in the plans that are made.
pub(crate) fn view_column(at: usize) -> Column {
    Column::new_unqualified(format!("m{at}"))
}

/// The position in the view that such a column is.
pub(crate) fn view_position(column: &Column) -> Option<usize> {
    column.name.strip_prefix('m')?.parse().ok()
}

impl Cover {
    /// Finds out whether `view` has the rows of `wanted`, or of some of its leaves.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn find(wanted: &Wanted<'_>, view: &Definition) -> Result<Self, String> {
        let mut reason = None;
        let tried = each_mapping(&wanted.block.leaves, &view.block.leaves, &mut |mapping| match Self::with(
            wanted, view, mapping,
        ) {
            Ok(cover) => ControlFlow::Break(cover),
            Err(e) => {
                reason.get_or_insert(e);
                ControlFlow::Continue(())
            }
        });
        match tried {
            ControlFlow::Break(cover) => Ok(cover),
            ControlFlow::Continue(()) => {
                Err(reason.unwrap_or_else(|| "it reads other tables than the query".to_owned()))
            }
        }
    }

    fn with(wanted: &Wanted<'_>, view: &Definition, mapping: &[usize]) -> Result<Self, String> {
        let moved: Vec<Expr> = view.block.conjuncts.iter().map(|e| moved(e, mapping)).collect();
        let mut this = Self {
            mapping: mapping.to_vec(),
            handles: HashMap::new(),
            filters: Vec::new(),
            missing: missing(wanted, &moved)?,
            slices: Vec::new(),
            sliced: Vec::new(),
            schema: DFSchema::empty(),
        };
        let mut own = BTreeMap::new();
        for (at, output) in view.block.outputs.iter().enumerate() {
            let aggregated = view.aggregated.get(at).copied().unwrap_or(true);
            if aggregated || !view.is_kept(at) || output.column_refs().is_empty() {
                continue;
            }
            let output = moved_canonical(output, mapping, wanted.classes);
            this.handles.entry(output).or_insert_with(|| value_of(view, at));
            if let Some(Expr::Column(c)) = view.block.outputs.get(at) {
                own.entry(moved_column(c, mapping)).or_insert_with(|| value_of(view, at));
            }
        }
        this.find_slices(wanted);
        this.equate(wanted, &moved, &own)?;
        this.add_other_leaves(wanted);
        this.compensate(wanted, &moved)?;
        Ok(this)
    }

    /// Filters for the equalities that the query wants and the view does not have. They compare columns of the view by
    /// what is equal *in the view*: by the query's own classes they would say nothing.
    fn equate(
        &mut self,
        wanted: &Wanted<'_>,
        moved: &[Expr],
        own: &BTreeMap<Column, Expr>,
    ) -> Result<(), String> {
        let have = Classes::of(moved.iter().filter_map(|c| equality(wanted.block, c)));
        for members in wanted.classes.all().into_values() {
            // One handle for each class that the view makes of these columns.
            let mut handles: BTreeMap<&Column, Option<Expr>> = BTreeMap::new();
            for member in members {
                let handle = match self.covers(member) {
                    true => own.get(member).cloned(),
                    false => Some(Expr::Column(member.clone())),
                };
                let slot = handles.entry(have.first_of(member)).or_default();
                if slot.is_none() {
                    *slot = handle;
                }
            }
            if handles.len() < 2 {
                continue;
            }
            let mut before: Option<Expr> = None;
            for (column, handle) in handles {
                let handle = handle.ok_or_else(|| not_a_column(wanted.block, column))?;
                if let Some(before) = before.replace(handle.clone()) {
                    self.filters.push(before.eq(handle));
                }
            }
        }
        Ok(())
    }

    fn covers(&self, column: &Column) -> bool {
        position(column).is_some_and(|(leaf, _)| self.mapping.contains(&leaf))
    }

    /// Columns of leaves that the view does not have stand for themselves.
    fn add_other_leaves(&mut self, wanted: &Wanted<'_>) {
        for (leaf, input) in wanted.block.leaves.iter().enumerate() {
            if self.mapping.contains(&leaf) {
                continue;
            }
            for at in 0..input.fields.len() {
                let own = column(leaf, at);
                let canonical = Expr::Column(wanted.classes.first_of(&own).clone());
                self.handles.entry(canonical).or_insert(Expr::Column(own));
            }
        }
    }

    /// The predicates of the query that the view's rows need not pass.
    fn compensate(&mut self, wanted: &Wanted<'_>, moved: &[Expr]) -> Result<(), String> {
        let passed = Facts::new(wanted.classes, moved.iter());
        for conjunct in &wanted.block.conjuncts {
            if equality(wanted.block, conjunct).is_some() {
                continue;
            }
            let canonical = wanted.classes.canonical(conjunct);
            // Where the rows are equal by the query alone, "not NULL" follows from the filters that make them so.
            if passed.imply(&canonical) {
                continue;
            }
            let filter = match self.rewrite(&canonical) {
                Some(filter) => filter,
                None => self.by_slices(wanted, &canonical).ok_or_else(|| {
                    format!(
                        "predicate ({}) of the query cannot be computed from its columns",
                        shown(wanted.block, conjunct)
                    )
                })?,
            };
            self.filters.push(filter);
        }
        Ok(())
    }

    /// A filter for the slices (`date_trunc`) that are whole in the range of `predicate`. What sticks out at its ends is
    /// among the rows that the view cannot give.
    fn by_slices(&mut self, wanted: &Wanted<'_>, predicate: &Expr) -> Option<Expr> {
        let (column, own) = Domain::of(predicate)?;
        // All that the query says of the column: two ends in one slice leave no slice whole.
        let domain = wanted.facts.domain(column).intersect(&own)?;
        for (handle, cell) in &self.sliced {
            if !matches!(&cell.expr, Expr::Column(c) if c == column) {
                continue;
            }
            let Some(whole) = cell.whole_slices(&domain).filter(|whole| !whole.is_empty()) else { continue };
            let inside = whole.predicate(&cell.expr);
            if !self.slices.contains(&inside) {
                self.slices.push(inside);
            }
            return Some(whole.predicate(&cast(handle.clone(), cell.ty.clone())));
        }
        None
    }

    fn find_slices(&mut self, wanted: &Wanted<'_>) {
        for (own, handle) in &self.handles {
            match CellColumn::of(own, &wanted.schema, None) {
                Ok(cell) if cell.floor.is_some() => self.sliced.push((handle.clone(), cell)),
                _ => {}
            }
        }
        if !self.sliced.is_empty() {
            self.schema = wanted.schema.clone();
            let rank = |(handle, cell): &(Expr, CellColumn)| {
                (cell.floor.map(|(unit, step)| (unit as u8, step)), handle.to_string())
            };
            self.sliced.sort_by_cached_key(rank);
        }
    }

    /// `expr` from finer slices than it asks for: years are made of months.
    fn by_finer_slices(&self, expr: &Expr) -> Option<Expr> {
        if self.sliced.is_empty() || !matches!(expr, Expr::ScalarFunction(_)) {
            return None;
        }
        let wanted = CellColumn::of(expr, &self.schema, None).ok()?;
        let coarse = wanted.transform()?;
        let is_finer = |(_, cell): &&(Expr, CellColumn)| {
            let both = cell.transform().and_then(|fine| compose(&coarse, &fine));
            cell.expr == wanted.expr && both.is_some_and(|both| both == coarse)
        };
        let (handle, cell) = self.sliced.iter().find(is_finer)?;
        let start = cast(handle.clone(), cell.ty.clone());
        let replaced = expr.clone().transform_down(|e| {
            Ok(match e == cell.expr {
                true => Transformed::new(start.clone(), true, TreeNodeRecursion::Jump),
                false => Transformed::no(e),
            })
        });
        replaced.ok().map(|e| e.data)
    }

    /// True for the rows of the query that the view has not, beside those where `outside` is true.
    pub(crate) fn rest(&self, outside: Option<Expr>) -> Option<Expr> {
        let not_in_it = self.missing.iter().chain(&self.slices).cloned();
        let not_in_it = not_in_it.map(|predicate| Expr::IsNotTrue(Box::new(predicate)));
        datafusion::logical_expr::utils::disjunction(outside.into_iter().chain(not_in_it))
    }

    /// Whether the rows that the view has, and not only whole groups of them, are told apart by predicates.
    pub(crate) fn is_divided(&self) -> bool {
        !self.missing.is_empty() || !self.slices.is_empty()
    }

    /// A canonical expression of the query from columns of the view and of other leaves; `None` when there is no way.
    pub(crate) fn rewrite(&self, expr: &Expr) -> Option<Expr> {
        rewrite_or(expr, &self.handles, &|part| self.by_finer_slices(part))
    }

    pub(crate) fn handles(&self) -> &HashMap<Expr, Expr> {
        &self.handles
    }
}

/// Puts `handles` into `expr`, the largest parts first; `None` when a column or an aggregate is left.
pub(crate) fn rewrite(expr: &Expr, handles: &HashMap<Expr, Expr>) -> Option<Expr> {
    rewrite_or(expr, handles, &|_| None)
}

fn rewrite_or(
    expr: &Expr,
    handles: &HashMap<Expr, Expr>,
    otherwise: &dyn Fn(&Expr) -> Option<Expr>,
) -> Option<Expr> {
    let mut missing = false;
    let done = expr.clone().transform_down(|e| {
        if let Some(handle) = handles.get(&e).cloned().or_else(|| otherwise(&e)) {
            return Ok(Transformed::new(handle, true, TreeNodeRecursion::Jump));
        }
        if matches!(e, Expr::Column(_) | Expr::AggregateFunction(_)) {
            missing = true;
            return Ok(Transformed::new(e, false, TreeNodeRecursion::Stop));
        }
        Ok(Transformed::no(e))
    });
    done.ok().filter(|_| !missing).map(|e| e.data)
}

/// The predicates of the view that rows of the query need not pass.
///
/// # Errors
/// When one of them is about how its tables are joined, or leaves no row that the query wants.
fn missing(wanted: &Wanted<'_>, moved: &[Expr]) -> Result<Vec<Expr>, String> {
    let mut missing = Vec::new();
    for conjunct in moved {
        let canonical = wanted.classes.canonical(conjunct);
        let is_join = equality(wanted.block, conjunct);
        let implied = match is_join {
            Some((a, b)) => wanted.classes.are_equal(a, b),
            None => wanted.facts.imply(&canonical),
        };
        if implied {
            continue;
        }
        let shown = shown(wanted.block, conjunct);
        if is_join.is_some() {
            return Err(format!("predicate ({shown}) of the view is not implied by the query"));
        }
        if wanted.facts.exclude(&canonical) {
            return Err(format!("predicate ({shown}) of the view leaves out all rows of the query"));
        }
        missing.push(conjunct.clone());
    }
    Ok(missing)
}

/// What the view's column `at` was made from.
pub(crate) fn value_of(view: &Definition, at: usize) -> Expr {
    let value = Expr::Column(view_column(at));
    match (view.types.get(at), view.fields.get(at)) {
        (Some(given), Some(kept)) if given != kept.data_type() => cast(value, given.clone()),
        _ => value,
    }
}

fn moved_column(of: &Column, mapping: &[usize]) -> Column {
    let to = position(of).and_then(|(leaf, at)| Some(column(*mapping.get(leaf)?, at)));
    to.unwrap_or_else(|| of.clone())
}

/// An expression of the view about the query's leaves.
pub(crate) fn moved(expr: &Expr, mapping: &[usize]) -> Expr {
    let done = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Column(c) => Transformed::yes(Expr::Column(moved_column(&c, mapping))),
            other => Transformed::no(other),
        })
    });
    done.map_or_else(|_| expr.clone(), |e| e.data)
}

pub(crate) fn moved_canonical(expr: &Expr, mapping: &[usize], classes: &Classes) -> Expr {
    classes.canonical(&moved(expr, mapping))
}

/// Calls `with` for the ways to find the view's leaves among the query's, up to a number.
fn each_mapping<B>(
    query: &[Leaf],
    view: &[Leaf],
    with: &mut dyn FnMut(&[usize]) -> ControlFlow<B>,
) -> ControlFlow<B> {
    fn next<B>(
        query: &[Leaf],
        view: &[Leaf],
        mapping: &mut Vec<usize>,
        left: &mut usize,
        with: &mut dyn FnMut(&[usize]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(leaf) = view.get(mapping.len()) else {
            *left = left.saturating_sub(1);
            return with(mapping);
        };
        for (at, _) in query.iter().enumerate().filter(|(_, q)| q.key.is_same(&leaf.key)) {
            if mapping.contains(&at) || *left == 0 {
                continue;
            }
            mapping.push(at);
            next(query, view, mapping, left, with)?;
            mapping.pop();
        }
        ControlFlow::Continue(())
    }
    next(query, view, &mut Vec::new(), &mut MAPPINGS_MAX.clone(), with)
}

/// `expr` with the names of columns, for people.
pub(crate) fn shown(block: &Block, expr: &Expr) -> String {
    let named = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Column(c) => {
                let name = block.field(&c).map_or(c.name.clone(), |f| f.name().clone());
                Transformed::yes(Expr::Column(Column::new_unqualified(name)))
            }
            other => Transformed::no(other),
        })
    });
    named.map_or_else(|_| String::new(), |e| e.data.human_display().to_string())
}

fn not_a_column(block: &Block, column: &Column) -> String {
    format!("column {} of the query is not among its columns", shown(block, &Expr::Column(column.clone())))
}

/// The columns of `exprs`.
pub(crate) fn used<'a>(exprs: impl Iterator<Item = &'a Expr>) -> std::collections::BTreeSet<Column> {
    exprs.flat_map(columns_of).collect()
}
