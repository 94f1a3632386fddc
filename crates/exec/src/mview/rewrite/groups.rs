//! Blocks that group, from views that do not, from views that group alike, and from views that group finer.

use std::collections::{BTreeSet, HashMap};

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit};

use super::assemble::{as_schema, from_leaves, from_view, named, numbered, plain, reason, union};
use super::block::Grouping;
use super::candidate::Candidate;
use super::cover::{Cover, Wanted, moved, rewrite, shown, value_of};
use super::reach::Reach;
use crate::mview::shape;

/// Aggregates that give the same for a value however often it comes.
const COUNT_NO_DUPLICATES: &[&str] =
    &["approx_distinct", "bit_and", "bit_or", "bool_and", "bool_or", "max", "min"];

/// A block that groups, and a view that has its rows.
pub(crate) struct Groups<'a> {
    pub wanted: &'a Wanted<'a>,
    pub grouping: &'a Grouping,
    pub candidate: &'a Candidate,
    pub cover: &'a Cover,
    pub reach: &'a Reach,
    pub schema: &'a DFSchema,
}

/// Keys and aggregates without those that come twice: as written, and canonical.
struct Parts {
    keys: Vec<(Expr, Expr)>,
    aggregates: Vec<(Expr, Expr)>,
}

impl Groups<'_> {
    /// The plan that takes the block's place.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn answer(&self) -> Result<LogicalPlan, String> {
        let parts =
            Parts { keys: self.once(&self.grouping.keys), aggregates: self.once(&self.grouping.aggregates) };
        let Some(view) = &self.candidate.definition.block.grouping else { return self.by_rows(&parts) };
        if self.cover.mapping.len() != self.wanted.block.leaves.len() {
            return Err("it groups before a join of the query".to_owned());
        }
        if view.keys.is_empty() && !parts.keys.is_empty() {
            // It has a row even when there are no rows to group.
            return Err("it has one group, the query groups by keys".to_owned());
        }
        // A group may have rows on both sides of a predicate.
        if !self.cover.is_divided()
            && self.is_exact(view)
            && let Some(plan) = self.by_groups(&parts)?
        {
            return Ok(plan);
        }
        self.by_finer_groups(&parts)
    }

    fn once(&self, exprs: &[Expr]) -> Vec<(Expr, Expr)> {
        let mut seen = Vec::new();
        for expr in exprs {
            let canonical = self.wanted.classes.canonical(expr);
            if !seen.iter().any(|(_, c)| *c == canonical) {
                seen.push((expr.clone(), canonical));
            }
        }
        seen
    }

    /// Whether each row of the view is one group of the query.
    fn is_exact(&self, view: &Grouping) -> bool {
        let set = |keys: &mut dyn Iterator<Item = Expr>| -> BTreeSet<String> {
            keys.filter(|k| !k.column_refs().is_empty()).map(|k| k.to_string()).collect()
        };
        let own = set(&mut self.grouping.keys.iter().map(|k| self.wanted.classes.canonical(k)));
        let theirs = set(&mut view.keys.iter().map(|k| self.canonical_moved(k)));
        let one_row = self.grouping.keys.is_empty();
        // Without keys there is always a row, which no filter may take away.
        own == theirs && view.keys.is_empty() == one_row && (!one_row || self.cover.filters.is_empty())
    }

    fn canonical_moved(&self, expr: &Expr) -> Expr {
        self.wanted.classes.canonical(&moved(expr, &self.cover.mapping))
    }

    /// From a view that does not group: its rows are grouped.
    fn by_rows(&self, parts: &Parts) -> Result<LogicalPlan, String> {
        // What aggregates take is a column of the rows; literals stay where they are.
        let mut inputs: Vec<(Expr, Expr)> = parts.keys.clone();
        let keys = inputs.len();
        let mut calls = Vec::new();
        for (call, _) in &parts.aggregates {
            calls.push(self.over_columns(call, &mut inputs)?);
        }
        let mut view = Vec::new();
        for (expr, canonical) in &inputs {
            view.push(self.cover.rewrite(canonical).ok_or_else(|| self.missing(expr))?);
        }
        let rows = self.rows(view, |_| inputs.iter().map(|(expr, _)| expr.clone()).collect())?;
        self.group(rows, numbered("c", keys), calls, parts)
    }

    /// The aggregate `call` over the columns `c0`… of `inputs`, to which it adds.
    fn over_columns(&self, call: &Expr, inputs: &mut Vec<(Expr, Expr)>) -> Result<Expr, String> {
        let Expr::AggregateFunction(call) = call else {
            return Err("an aggregate of the query is none".to_owned());
        };
        let mut column = |expr: &Expr| {
            if expr.column_refs().is_empty() {
                return expr.clone();
            }
            let canonical = self.wanted.classes.canonical(expr);
            let at = inputs.iter().position(|(_, c)| *c == canonical).unwrap_or_else(|| {
                inputs.push((expr.clone(), canonical));
                inputs.len() - 1
            });
            plain(format!("c{at}"))
        };
        let mut call: AggregateFunction = call.clone();
        call.params.args = call.params.args.iter().map(&mut column).collect();
        call.params.filter = call.params.filter.as_ref().map(|f| Box::new(column(f)));
        for sort in &mut call.params.order_by {
            sort.expr = column(&sort.expr);
        }
        Ok(Expr::AggregateFunction(call))
    }

    /// The rows of the view, `exprs` of its columns, and those of `rest` where the view has not all.
    fn rows(&self, exprs: Vec<Expr>, rest: impl FnOnce(&Expr) -> Vec<Expr>) -> Result<LogicalPlan, String> {
        let block = self.wanted.block;
        let exprs = named("c", exprs.into_iter());
        let view =
            from_view(block, self.candidate, self.cover, self.reach.only.clone(), &exprs).map_err(reason)?;
        let rest = match &self.reach.rest {
            None => None,
            Some(also) => {
                let exprs = named("c", rest(also).into_iter());
                Some(from_leaves(block, Some(also), &exprs).map_err(reason)?)
            }
        };
        union(view, rest).map_err(reason)
    }

    /// Groups `rows` by `keys`, and gives the block's outputs.
    fn group(
        &self,
        rows: LogicalPlan,
        keys: Vec<Expr>,
        calls: Vec<Expr>,
        parts: &Parts,
    ) -> Result<LogicalPlan, String> {
        let calls = named("g", calls.into_iter());
        let results = numbered("g", calls.len());
        let grouped = LogicalPlanBuilder::from(rows).aggregate(keys.clone(), calls);
        let grouped = grouped.and_then(|b| b.build()).map_err(reason)?;
        self.outputs(grouped, keys, results, parts)
    }

    /// The block's outputs from columns for its keys and its aggregates.
    fn outputs(
        &self,
        grouped: LogicalPlan,
        keys: Vec<Expr>,
        aggregates: Vec<Expr>,
        parts: &Parts,
    ) -> Result<LogicalPlan, String> {
        let canonical = parts.keys.iter().chain(&parts.aggregates).map(|(_, c)| c.clone());
        let handles: HashMap<Expr, Expr> = canonical.zip(keys.into_iter().chain(aggregates)).collect();
        let mut exprs = Vec::new();
        for output in &self.wanted.block.outputs {
            let canonical = self.wanted.classes.canonical(output);
            exprs.push(rewrite(&canonical, &handles).ok_or_else(|| self.missing(output))?);
        }
        as_schema(grouped, &exprs, self.schema).map_err(reason)
    }

    fn missing(&self, expr: &Expr) -> String {
        format!("{} of the query cannot be computed from its columns", shown(self.wanted.block, expr))
    }

    /// From a view whose rows are the query's groups; `None` when it lacks an aggregate.
    fn by_groups(&self, parts: &Parts) -> Result<Option<LogicalPlan>, String> {
        let definition = &self.candidate.definition;
        let mut handles = self.cover.handles().clone();
        for (at, output) in definition.block.outputs.iter().enumerate() {
            if definition.aggregated.get(at).copied().unwrap_or(false) && definition.is_kept(at) {
                handles.entry(self.canonical_moved(output)).or_insert_with(|| value_of(definition, at));
            }
        }
        let rewritten = |output: &Expr| rewrite(&self.wanted.classes.canonical(output), &handles);
        let exprs: Option<Vec<Expr>> = self.wanted.block.outputs.iter().map(rewritten).collect();
        let Some(exprs) = exprs else { return Ok(None) };
        let block = self.wanted.block;
        let exprs = named("c", exprs.into_iter());
        let view =
            from_view(block, self.candidate, self.cover, self.reach.only.clone(), &exprs).map_err(reason)?;
        // A group has one value of the partition column, so no group is in both.
        let rest = match &self.reach.rest {
            None => None,
            Some(also) => Some(self.own_groups(also, parts)?),
        };
        let both = union(view, rest).map_err(reason)?;
        as_schema(both, &numbered("c", block.outputs.len()), self.schema).map(Some).map_err(reason)
    }

    /// The block's own outputs for the rows where `also` is true, as columns `c0`….
    fn own_groups(&self, also: &Expr, parts: &Parts) -> Result<LogicalPlan, String> {
        let mut inputs = parts.keys.clone();
        let mut calls = Vec::new();
        for (call, _) in &parts.aggregates {
            calls.push(self.over_columns(call, &mut inputs)?);
        }
        let exprs = named("c", inputs.iter().map(|(expr, _)| expr.clone()));
        let rows = from_leaves(self.wanted.block, Some(also), &exprs).map_err(reason)?;
        let calls = named("g", calls.into_iter());
        let results = numbered("g", calls.len());
        let keys = numbered("c", parts.keys.len());
        let grouped = LogicalPlanBuilder::from(rows).aggregate(keys.clone(), calls).map_err(reason)?;
        let canonical = parts.keys.iter().chain(&parts.aggregates).map(|(_, c)| c.clone());
        let handles: HashMap<Expr, Expr> = canonical.zip(keys.into_iter().chain(results)).collect();
        let mut outputs = Vec::new();
        for output in &self.wanted.block.outputs {
            let canonical = self.wanted.classes.canonical(output);
            outputs.push(rewrite(&canonical, &handles).ok_or_else(|| self.missing(output))?);
        }
        let outputs = named("c", outputs.into_iter());
        grouped.project(outputs).and_then(|b| b.build()).map_err(reason)
    }

    /// From a view that groups by more keys: its groups are merged.
    fn by_finer_groups(&self, parts: &Parts) -> Result<LogicalPlan, String> {
        let mut merge = Merge { groups: self, partials: Vec::new(), calls: Vec::new() };
        let mut results = Vec::new();
        for (expr, canonical) in &parts.aggregates {
            results.push(merge.aggregate(expr, canonical)?);
        }
        let Merge { partials, calls, .. } = merge;
        let mut view = Vec::new();
        for (expr, canonical) in &parts.keys {
            view.push(self.cover.rewrite(canonical).ok_or_else(|| self.missing(expr))?);
        }
        let keys = view.len();
        let view = named("k", view.into_iter())
            .into_iter()
            .chain(named("p", partials.iter().map(|p| p.view.clone())))
            .collect::<Vec<_>>();
        let block = self.wanted.block;
        let rows =
            from_view(block, self.candidate, self.cover, self.reach.only.clone(), &view).map_err(reason)?;
        let rest = match &self.reach.rest {
            None => None,
            Some(also) => Some(self.own_partials(also, parts, &partials)?),
        };
        let rows = union(rows, rest).map_err(reason)?;
        let calls = named("g", calls.into_iter());
        let keys = numbered("k", keys);
        let grouped = LogicalPlanBuilder::from(rows).aggregate(keys.clone(), calls);
        let grouped = grouped.and_then(|b| b.build()).map_err(reason)?;
        self.outputs(grouped, keys, results, parts)
    }

    /// What the view would have for the rows where `also` is true, grouped by the query's keys.
    fn own_partials(&self, also: &Expr, parts: &Parts, partials: &[Partial]) -> Result<LogicalPlan, String> {
        let mut inputs = parts.keys.clone();
        let mut calls = Vec::new();
        // For each partial where it stands in the aggregate: a further key, or a call.
        let mut places = Vec::new();
        for partial in partials.iter().filter(|p| p.is_key) {
            let canonical = self.wanted.classes.canonical(&partial.own);
            if !inputs.iter().any(|(_, c)| *c == canonical) {
                inputs.push((partial.own.clone(), canonical));
            }
        }
        let keys = inputs.len();
        for partial in partials {
            if partial.is_key {
                let canonical = self.wanted.classes.canonical(&partial.own);
                let at = inputs.iter().position(|(_, c)| *c == canonical).unwrap_or_default();
                places.push(plain(format!("c{at}")));
            } else {
                places.push(plain(format!("g{}", calls.len())));
                calls.push(self.over_columns(&partial.own, &mut inputs)?);
            }
        }
        let exprs = named("c", inputs.iter().map(|(expr, _)| expr.clone()));
        let rows = from_leaves(self.wanted.block, Some(also), &exprs).map_err(reason)?;
        let outputs: Vec<Expr> = named("k", numbered("c", parts.keys.len()).into_iter())
            .into_iter()
            .chain(named("p", places.into_iter()))
            .collect();
        LogicalPlanBuilder::from(rows)
            .aggregate(numbered("c", keys), named("g", calls.into_iter()))
            .and_then(|b| b.project(outputs))
            .and_then(|b| b.build())
            .map_err(reason)
    }
}

/// A value that a group of the view has, and that groups are merged by.
struct Partial {
    /// From the view's columns.
    view: Expr,
    /// From the block's leaves: an aggregate, or a key.
    own: Expr,
    is_key: bool,
}

/// Gathers what must be known of the view's groups to have the query's.
struct Merge<'a> {
    groups: &'a Groups<'a>,
    /// The columns `p0`….
    partials: Vec<Partial>,
    /// The columns `g0`….
    calls: Vec<Expr>,
}

impl Merge<'_> {
    /// The aggregate `expr` in terms of the columns `g0`….
    fn aggregate(&mut self, expr: &Expr, canonical: &Expr) -> Result<Expr, String> {
        if let Some(result) = self.of_keys(canonical) {
            return Ok(result);
        }
        let missing = || self.groups.missing(expr);
        let (name, arg) = shape::plain(canonical).ok_or_else(missing)?;
        let ty = expr.get_type(&self.groups.wanted.schema).map_err(reason)?;
        match name {
            "sum" => {
                let partial = self.partial("sum", &|a| a == arg).ok_or_else(missing)?;
                Ok(cast(self.call(sum(partial)), ty))
            }
            "count" => {
                let partial = self.partial("count", &|a| a == arg).ok_or_else(missing)?;
                Ok(coalesce(vec![cast(self.call(sum(partial)), ty), lit(0i64)]))
            }
            "min" | "max" => {
                let partial = self.partial(name, &|a| a == arg).ok_or_else(missing)?;
                let Expr::AggregateFunction(call) = expr else { return Err(missing()) };
                let mut call = call.clone();
                call.params.args = vec![partial];
                Ok(self.call(Expr::AggregateFunction(call)))
            }
            "avg" => self.average(arg, &ty).ok_or_else(missing),
            _ => Err(missing()),
        }
    }

    /// An aggregate that duplicates do not change, of keys of the view.
    fn of_keys(&mut self, canonical: &Expr) -> Option<Expr> {
        let Expr::AggregateFunction(call) = canonical else { return None };
        let params = &call.params;
        let takes_values_once = params.distinct || COUNT_NO_DUPLICATES.contains(&call.func.name());
        if !takes_values_once || params.filter.is_some() || !params.order_by.is_empty() {
            return None;
        }
        let mut args = Vec::new();
        for arg in &params.args {
            args.push((arg.clone(), self.groups.cover.rewrite(arg)?));
        }
        let mut call = call.clone();
        call.params.args = args
            .into_iter()
            .map(|(arg, view)| match arg.column_refs().is_empty() {
                true => arg,
                false => self.put(Partial { view, own: arg, is_key: true }),
            })
            .collect();
        Some(self.call(Expr::AggregateFunction(call)))
    }

    /// `avg` from a sum and a count of the same number.
    fn average(&mut self, arg: &Expr, ty: &DataType) -> Option<Expr> {
        let schema = &self.groups.wanted.schema;
        let sums = self.partial("sum", &|a| shape::sums(a, arg, schema))?;
        let counts = self.partial("count", &|a| shape::counts(a, shape::number(arg, schema), schema))?;
        let (sums, counts) = (self.call(sum(sums)), self.call(sum(counts)));
        Some(super::functions::average(sums, counts, ty))
    }

    /// The column of the view that is the aggregate `name` of an argument.
    fn partial(&mut self, name: &str, is_wanted: &dyn Fn(&Expr) -> bool) -> Option<Expr> {
        let definition = &self.groups.candidate.definition;
        for (at, output) in definition.block.outputs.iter().enumerate() {
            let canonical = self.groups.canonical_moved(output);
            let fits = shape::plain(&canonical).is_some_and(|(n, a)| n == name && is_wanted(a));
            if fits && definition.is_kept(at) {
                let own = moved(output, &self.groups.cover.mapping);
                return Some(self.put(Partial { view: value_of(definition, at), own, is_key: false }));
            }
        }
        None
    }

    fn put(&mut self, partial: Partial) -> Expr {
        let same = |p: &Partial| p.view == partial.view && p.is_key == partial.is_key;
        let at = self.partials.iter().position(same).unwrap_or_else(|| {
            self.partials.push(partial);
            self.partials.len() - 1
        });
        plain(format!("p{at}"))
    }

    fn call(&mut self, call: Expr) -> Expr {
        let at = self.calls.iter().position(|c| *c == call).unwrap_or_else(|| {
            self.calls.push(call);
            self.calls.len() - 1
        });
        plain(format!("g{at}"))
    }
}
