//! From a column of a query's result down to the partition columns of its tables.
//!
//! A link promises: for any set of values C, the rows of the query whose partition column is in C are exactly the rows
//! of the query over its tables where each *linked* table is cut to the rows whose linked column is in C, and all
//! others are whole. [`Tracer`] only takes steps that keep this promise; a query for which there are none is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::{Floor, LinkColumn, PartitionLink, Partitioning, Table, TimeUnit, Transform};
use cairn_types::{Error, Result, TableId};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Join, JoinType, LogicalPlan, Operator, Window,
};

use super::partition_by::PartitionExpr;
use super::scan::table_of;

/// How an MV is cut into partitions, and where that comes from.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Links {
    pub partitioning: Partitioning,
    pub links: Vec<PartitionLink>,
}

/// Where a node stands in a plan: which input, from the top. Nodes are shared between the places where a CTE is read,
/// so their addresses do not tell them apart.
type Path = Vec<usize>;

/// A partition column of a table that a column of the result comes from.
#[derive(Clone, Debug)]
struct Origin {
    scan: Path,
    table: Arc<Table>,
    column: usize,
    transform: Transform,
}

/// Why a column comes from no partition column.
type Traced = std::result::Result<Vec<Origin>, String>;

/// Finds the links for partitioning the result of `plan` (prepared) by `exprs`.
///
/// # Errors
/// `Analysis`, saying why the query cannot be partitioned so.
pub(super) fn find(plan: &LogicalPlan, exprs: &[PartitionExpr]) -> Result<Links> {
    let scans = scans(plan);
    // Tables that may not be linked, and why.
    let mut excluded: BTreeMap<TableId, String> = BTreeMap::new();
    loop {
        let traced = trace_all(plan, exprs, &excluded).map_err(|reason| refusal(&excluded, &reason))?;
        let (linked, conflicts) = complete(&scans, exprs, &traced);
        if conflicts.is_empty() {
            return links(exprs, &linked).map_err(|reason| refusal(&excluded, &reason));
        }
        excluded.extend(conflicts);
    }
}

fn refusal(excluded: &BTreeMap<TableId, String>, reason: &str) -> Error {
    let reason = excluded.values().next().map_or(reason, String::as_str);
    Error::analysis(format!(
        "Materialized view partition column in partition exp must be base table partition column: {reason}"
    ))
}

/// The origins of each partition expression.
fn trace_all(
    plan: &LogicalPlan,
    exprs: &[PartitionExpr],
    excluded: &BTreeMap<TableId, String>,
) -> std::result::Result<Vec<Vec<Origin>>, String> {
    let tracer = Tracer { excluded };
    let trace = |expr: &PartitionExpr| {
        let origins = tracer.column(plan, expr.column, &Vec::new())?;
        transformed(origins, &expr.transform)
    };
    exprs.iter().map(trace).collect()
}

/// All scans of tables, in subqueries too; those have paths that no trace reaches.
fn scans(plan: &LogicalPlan) -> Vec<(Path, Arc<Table>)> {
    fn walk(plan: &LogicalPlan, path: &Path, found: &mut Vec<(Path, Arc<Table>)>) {
        if let LogicalPlan::TableScan(scan) = plan
            && let Some(table) = table_of(scan)
        {
            found.push((path.clone(), table));
        }
        for (at, input) in plan.inputs().into_iter().enumerate() {
            walk(input, &child(path, at), found);
        }
        let inside = child(path, usize::MAX);
        let visited = plan.apply_subqueries(|subquery| {
            walk(subquery, &inside, found);
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
        debug_assert!(visited.is_ok(), "the visitor never fails");
    }
    let mut found = Vec::new();
    walk(plan, &Vec::new(), &mut found);
    found
}

fn child(path: &Path, at: usize) -> Path {
    path.iter().copied().chain([at]).collect()
}

/// A linked table, and how it is cut by each partition expression.
type Linked = (Arc<Table>, Vec<Cut>);

/// How an MV's partition column comes from a base's.
#[derive(Clone, PartialEq, Debug)]
struct Cut {
    /// Position in the base's schema.
    column: usize,
    transform: Transform,
    /// The floor of the MV's own column, where its values are not the keys of cells.
    floor: Option<Floor>,
}

/// Which tables are linked by every expression at every place where they are read, and which are not but begin to.
///
/// A table that is read once by its partition column and once as a whole (a self join) must not be linked: the second
/// reading sees rows of other cells, so a change of any partition changes every cell.
fn complete(
    scans: &[(Path, Arc<Table>)],
    exprs: &[PartitionExpr],
    traced: &[Vec<Origin>],
) -> (Vec<Linked>, BTreeMap<TableId, String>) {
    let mut linked: Vec<Linked> = Vec::new();
    let mut conflicts = BTreeMap::new();
    let ids: BTreeSet<TableId> = traced.iter().flatten().map(|o| o.table.id).collect();
    for (_, table) in scans {
        if !ids.contains(&table.id) || linked.iter().any(|(t, _)| t.id == table.id) {
            continue;
        }
        match link_of(table, scans, exprs, traced) {
            Ok(columns) => linked.push((Arc::clone(table), columns)),
            Err(reason) => {
                conflicts.insert(table.id, reason);
            }
        }
    }
    // All must be cut in one way, or cells of one would not be cells of the other: the first decides.
    let first = linked.first().map(|(table, cuts)| (kind(table), functions(cuts)));
    for (table, cuts) in &linked {
        if first.as_ref().is_some_and(|f| *f != (kind(table), functions(cuts))) {
            let reason = format!("table '{}' is partitioned in another way than the others", table.name);
            conflicts.insert(table.id, reason);
        }
    }
    (linked, conflicts)
}

fn functions(cuts: &[Cut]) -> Vec<(Transform, Option<Floor>)> {
    cuts.iter().map(|cut| (cut.transform.clone(), cut.floor)).collect()
}

fn link_of(
    table: &Table,
    scans: &[(Path, Arc<Table>)],
    exprs: &[PartitionExpr],
    traced: &[Vec<Origin>],
) -> std::result::Result<Vec<Cut>, String> {
    let mut columns: Option<Vec<Cut>> = None;
    for (path, _) in scans.iter().filter(|(_, t)| t.id == table.id) {
        let mut here = Vec::new();
        for (expr, origins) in exprs.iter().zip(traced) {
            let origin = origins.iter().find(|o| o.scan == *path).ok_or_else(|| {
                format!("table '{}' is not read by its partition column everywhere in the query", table.name)
            })?;
            here.push(cut(table, expr, origin, exprs.len() == 1)?);
        }
        if columns.as_ref().is_some_and(|c| *c != here) {
            return Err(format!("table '{}' is read by different partition columns", table.name));
        }
        columns = Some(here);
    }
    columns.ok_or_else(|| format!("table '{}' is not read", table.name))
}

/// How the base's partition column is cut by `expr`. List partitions of slices of time have all values of a slice as
/// one key: the MV's partitions must hold whole ones, and where it asks for no slices they are the base's.
fn cut(
    table: &Table,
    expr: &PartitionExpr,
    origin: &Origin,
    alone: bool,
) -> std::result::Result<Cut, String> {
    let asked = match expr.transform {
        Transform::Floor { unit, step } => Some(Floor { unit, step }),
        Transform::Same | Transform::Date { .. } => None,
    };
    let transform = origin.transform.clone();
    let as_asked = Cut { column: origin.column, transform: transform.clone(), floor: asked };
    let Some(floor) = slices(table, origin.column) else { return Ok(as_asked) };
    let base = Transform::Floor { unit: floor.unit, step: floor.step };
    if compose(&transform, &base).is_some_and(|both| both == transform) {
        return Ok(as_asked);
    }
    match asked {
        None if compose(&base, &transform).is_some_and(|both| both == base) => {
            Ok(Cut { column: origin.column, transform: base, floor: Some(floor) })
        }
        // Ranges can be cut anywhere: a base partition is then a source of several.
        Some(_) if alone => Ok(as_asked),
        _ => Err(format!(
            "partitions of '{}' by {} are not within those of the materialized view",
            table.name,
            floor.unit.name()
        )),
    }
}

/// The slices that list partitions of `table` hold of its partition column at this position of its schema.
fn slices(table: &Table, column: usize) -> Option<Floor> {
    let partitioning = &table.olap()?.partitioning;
    let at = partitioning.columns().iter().position(|c| *c == column)?;
    partitioning.floor(at)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Ranges,
    Lists,
}

fn kind(table: &Table) -> Option<Kind> {
    match table.olap()?.partitioning {
        Partitioning::None => None,
        Partitioning::Range { .. } | Partitioning::Time { .. } => Some(Kind::Ranges),
        Partitioning::List { .. } | Partitioning::Values { .. } => Some(Kind::Lists),
    }
}

/// The partitioning that follows from the linked tables.
fn links(exprs: &[PartitionExpr], linked: &[Linked]) -> std::result::Result<Links, String> {
    let (first, cuts) = linked.first().ok_or("no table of the query has this partition column")?;
    let own: Vec<usize> = exprs.iter().map(|e| e.column).collect();
    let partitioning = match (kind(first), cuts.as_slice(), own.as_slice()) {
        (Some(Kind::Ranges), [cut], [column]) => {
            if base_columns(first).len() != 1 {
                return Err(format!("table '{}' is partitioned by ranges of several columns", first.name));
            }
            by_range(&cut.transform, *column)
        }
        (Some(Kind::Ranges), cuts, _) => {
            let same = cuts.iter().all(|cut| cut.transform == Transform::Same);
            if !same || cuts.iter().map(|cut| cut.column).ne(base_columns(first).iter().copied()) {
                return Err(format!(
                    "PARTITION BY must name the partition columns of '{}', in order",
                    first.name
                ));
            }
            Partitioning::Range { columns: own }
        }
        (Some(Kind::Lists), [cut], [column]) if cut.floor.is_some() => by_range(&cut.transform, *column),
        (Some(Kind::Lists), cuts, _) => {
            let floors = cuts.iter().map(|cut| cut.floor);
            Partitioning::floored_values(own.into_iter().zip(floors).collect())
        }
        (None, ..) => return Err(format!("table '{}' is not partitioned", first.name)),
    };
    let column = |cut: &Cut| LinkColumn { column: cut.column, transform: cut.transform.clone() };
    let of =
        |(table, cuts): &Linked| PartitionLink { base: table.id, columns: cuts.iter().map(column).collect() };
    Ok(Links { partitioning, links: linked.iter().map(of).collect() })
}

fn base_columns(table: &Table) -> &[usize] {
    table.olap().map_or(&[], |olap| olap.partitioning.columns())
}

fn by_range(transform: &Transform, column: usize) -> Partitioning {
    match transform {
        Transform::Floor { unit, step } => Partitioning::Time { column, unit: *unit, step: *step },
        Transform::Same | Transform::Date { .. } => Partitioning::Range { columns: vec![column] },
    }
}

/// Follows columns down a plan.
struct Tracer<'a> {
    excluded: &'a BTreeMap<TableId, String>,
}

impl Tracer<'_> {
    /// Where the column `at` of the result of `plan` comes from.
    fn column(&self, plan: &LogicalPlan, at: usize, path: &Path) -> Traced {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = table_of(scan).ok_or("it comes from what is no table")?;
                let column = match &scan.projection {
                    Some(columns) => *columns.get(at).ok_or("the scan has no such column")?,
                    None => at,
                };
                self.base_column(table, column, path)
            }
            LogicalPlan::Projection(p) => {
                let expr = p.expr.get(at).ok_or("there is no such column")?;
                self.expr(expr, &p.input, &child(path, 0))
            }
            LogicalPlan::SubqueryAlias(a) => self.column(&a.input, at, &child(path, 0)),
            LogicalPlan::Sort(s) if s.fetch.is_none() => self.column(&s.input, at, &child(path, 0)),
            LogicalPlan::Distinct(Distinct::All(input)) => self.column(input, at, &child(path, 0)),
            LogicalPlan::Filter(f) => {
                let pairs = equal_pairs(f.input.schema(), &split_conjunction(&f.predicate));
                let equal = equal_columns(&pairs, at);
                self.any(equal.into_iter().map(|at| self.column(&f.input, at, &child(path, 0))))
            }
            LogicalPlan::Aggregate(a) => self.aggregate(a, at, path),
            LogicalPlan::Window(w) => self.window(w, at, path),
            LogicalPlan::Join(j) => self.join(j, at, path),
            LogicalPlan::Union(u) => {
                // Each branch must be cut, or its rows would be in every cell.
                let mut all = Vec::new();
                for (branch, input) in u.inputs.iter().enumerate() {
                    all.extend(self.column(input, at, &child(path, branch))?);
                }
                Ok(all)
            }
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
                Err("the query has a LIMIT, which counts rows of all partitions together".to_owned())
            }
            other => Err(format!("a part of the query ({}) hides it", other.display())),
        }
    }

    fn base_column(&self, table: Arc<Table>, column: usize, path: &Path) -> Traced {
        if let Some(reason) = self.excluded.get(&table.id) {
            return Err(reason.clone());
        }
        if !base_columns(&table).contains(&column) {
            let name = table.schema().columns.get(column).map_or("?", |c| c.name.as_str());
            return Err(format!("'{name}' is no partition column of '{}'", table.name));
        }
        Ok(vec![Origin { scan: path.clone(), table, column, transform: Transform::Same }])
    }

    /// At least one way must lead to a table; further ones cut further tables.
    fn any(&self, ways: impl Iterator<Item = Traced>) -> Traced {
        let mut found = Vec::new();
        let mut reason = None;
        for way in ways {
            match way {
                Ok(origins) => found.extend(origins),
                Err(e) => reason = reason.or(Some(e)),
            }
        }
        match (found.is_empty(), reason) {
            (false, _) => Ok(found),
            (true, reason) => Err(reason.unwrap_or_else(|| "there is no such column".to_owned())),
        }
    }

    /// A value of `expr` is a function of one column, which a cell of values cuts as well.
    fn expr(&self, expr: &Expr, input: &LogicalPlan, path: &Path) -> Traced {
        match step(expr, input.schema()) {
            Some(Step::Column(at)) => self.column(input, at, path),
            Some(Step::Function(transform, inner)) => transformed(self.expr(inner, input, path)?, &transform),
            None => Err(format!("it is computed as {}", expr.human_display())),
        }
    }

    fn aggregate(&self, aggregate: &Aggregate, at: usize, path: &Path) -> Traced {
        let has_sets = aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
        match aggregate.group_expr.get(at) {
            Some(expr) if !has_sets => self.expr(expr, &aggregate.input, &child(path, 0)),
            // Rows of several cells would be in one group.
            _ => Err("the query must group by it (GROUP BY or DISTINCT)".to_owned()),
        }
    }

    fn window(&self, window: &Window, at: usize, path: &Path) -> Traced {
        if at >= window.input.schema().fields().len() {
            return Err("it is computed by a window function".to_owned());
        }
        let is_it = |e: &Expr| matches!(step(e, window.input.schema()), Some(Step::Column(c)) if c == at);
        for expr in &window.window_expr {
            let by = match expr.clone().unalias_nested().data {
                Expr::WindowFunction(function) => function.params.partition_by,
                _ => Vec::new(),
            };
            // A window over rows of several cells would see those of one alone.
            if !by.iter().any(is_it) {
                return Err("a window function of the query does not PARTITION BY it".to_owned());
            }
        }
        self.column(&window.input, at, &child(path, 0))
    }

    fn join(&self, join: &Join, at: usize, path: &Path) -> Traced {
        let left_count = join.left.schema().fields().len();
        let left = |at: usize| self.column(&join.left, at, &child(path, 0));
        let right = |at: usize| self.column(&join.right, at, &child(path, 1));
        let missing = || Err("it is of the side of an outer join whose rows may be missing".to_owned());
        match join.join_type {
            JoinType::Inner => {
                let filters = join.filter.as_ref().map(split_conjunction).unwrap_or_default();
                let mut pairs = equal_pairs(&join.schema, &filters);
                for (l, r) in &join.on {
                    let found = position(l, join.left.schema()).zip(position(r, join.right.schema()));
                    pairs.extend(found.map(|(l, r)| (l, r + left_count)));
                }
                let equal = equal_columns(&pairs, at);
                let side = |at: usize| if at < left_count { left(at) } else { right(at - left_count) };
                self.any(equal.into_iter().map(side))
            }
            // Only the preserved side is cut: rows of the other that no cell's rows meet do no harm.
            JoinType::Left | JoinType::LeftMark if at < left_count => left(at),
            JoinType::LeftSemi | JoinType::LeftAnti => left(at),
            JoinType::RightSemi | JoinType::RightAnti => right(at),
            JoinType::Right if at >= left_count => right(at - left_count),
            _ => missing(),
        }
    }
}

fn transformed(origins: Vec<Origin>, outer: &Transform) -> Traced {
    let apply = |mut origin: Origin| {
        origin.transform = compose(outer, &origin.transform)
            .ok_or_else(|| "its functions cannot be taken together".to_owned())?;
        Ok(origin)
    };
    origins.into_iter().map(apply).collect()
}

/// `outer(inner(x))` as one transform.
pub(super) fn compose(outer: &Transform, inner: &Transform) -> Option<Transform> {
    match (outer, inner) {
        (Transform::Same, other) | (other, Transform::Same) => Some(other.clone()),
        (Transform::Floor { unit: outer_unit, step: outer_step }, Transform::Floor { unit, step }) => {
            let outer_floor = Floor { unit: *outer_unit, step: *outer_step };
            let inner_floor = Floor { unit: *unit, step: *step };
            if outer_floor.is_made_of(inner_floor) {
                Some(outer.clone())
            } else if inner_floor.is_made_of(outer_floor) {
                Some(inner.clone())
            } else {
                None
            }
        }
        _ => None,
    }
}

/// One step from an expression towards a column.
pub(crate) enum Step<'a> {
    Column(usize),
    Function(Transform, &'a Expr),
}

/// What `expr` does to one column of `schema`, when it is something that keeps cells apart.
pub(crate) fn step<'a>(expr: &'a Expr, schema: &DFSchema) -> Option<Step<'a>> {
    match expr {
        Expr::Alias(alias) => step(&alias.expr, schema),
        Expr::Column(column) => schema.maybe_index_of_column(column).map(Step::Column),
        Expr::Cast(cast) => {
            use datafusion::logical_expr::ExprSchemable;
            let from = cast.expr.get_type(schema).ok()?;
            Some(Step::Function(cast_transform(&from, cast.field.data_type())?, &cast.expr))
        }
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("date_trunc", [unit, inner]) => {
                let unit = TimeUnit::parse(text(unit)?).ok()?;
                Some(Step::Function(Transform::Floor { unit, step: 1 }, inner))
            }
            ("time_slice" | "date_slice", [inner, interval]) => {
                let Floor { unit, step } = crate::functions::slice_floor(interval)?;
                Some(Step::Function(Transform::Floor { unit, step }, inner))
            }
            ("str2date", [inner, format]) => {
                Some(Step::Function(Transform::Date { format: text(format)?.to_owned() }, inner))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Casts that keep values, or cut times to days.
fn cast_transform(from: &DataType, to: &DataType) -> Option<Transform> {
    match (from, to) {
        (from, to) if from == to => Some(Transform::Same),
        (DataType::Date32 | DataType::Timestamp(..), DataType::Timestamp(..)) => Some(Transform::Same),
        (DataType::Timestamp(..), DataType::Date32) => {
            Some(Transform::Floor { unit: TimeUnit::Day, step: 1 })
        }
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, to) if to.is_string() => {
            Some(Transform::Same)
        }
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    use datafusion::scalar::ScalarValue;
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(s)) | ScalarValue::Utf8View(Some(s)) | ScalarValue::LargeUtf8(Some(s)),
            _,
        ) => Some(s),
        Expr::Cast(cast) => text(&cast.expr),
        _ => None,
    }
}

fn position(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

/// The pairs of columns of `schema` that `filters` say are equal.
fn equal_pairs(schema: &DFSchema, filters: &[&Expr]) -> Vec<(usize, usize)> {
    let pair = |filter: &&Expr| match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            position(left, schema).zip(position(right, schema))
        }
        _ => None,
    };
    filters.iter().filter_map(pair).collect()
}

/// The columns that equal the column `at` in every row that passes, itself first.
fn equal_columns(pairs: &[(usize, usize)], at: usize) -> Vec<usize> {
    let mut equal = vec![at];
    let mut next = 0;
    while let Some(column) = equal.get(next).copied() {
        for (left, right) in pairs {
            let other = match (*left == column, *right == column) {
                (true, _) => *right,
                (_, true) => *left,
                _ => continue,
            };
            if !equal.contains(&other) {
                equal.push(other);
            }
        }
        next += 1;
    }
    equal
}
