//! `?` in prepared statements: how many, and their values put in.

use std::ops::ControlFlow;

use cairn_types::{Error, Result};
use sqlparser::ast::{Expr, Query, TableWithJoins, Value, ValueWithSpan, VisitMut, VisitorMut, With};
use sqlparser::tokenizer::{Location, Span};

use crate::ast::{AlterTable, SetItem, SetValue, Show, ShowFilter, ShowOrder, Statement};

/// How many `?` the statement has.
#[must_use]
pub fn count_placeholders(statement: &Statement) -> usize {
    places(&mut statement.clone()).len()
}

/// Puts `values` in the places of the `?`, in the order of the text.
///
/// # Errors
/// `Analysis` when the number of values is not the number of `?`.
pub fn bind_placeholders(statement: &mut Statement, values: Vec<Expr>) -> Result<()> {
    let mut order = places(statement);
    if order.len() != values.len() {
        return Err(Error::analysis(format!(
            "The statement has {} parameters, but {} values were given",
            order.len(),
            values.len()
        )));
    }
    // The tree is not always in the order of the text.
    order.sort_unstable();
    let mut binder = Binder { order, values };
    visit(statement, &mut binder);
    Ok(())
}

fn places(statement: &mut Statement) -> Vec<Location> {
    let mut finder = Finder(Vec::new());
    visit(statement, &mut finder);
    finder.0
}

fn placeholder(expr: &Expr) -> Option<Span> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), span }) => Some(*span),
        _ => None,
    }
}

struct Finder(Vec<Location>);

impl VisitorMut for Finder {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.0.extend(placeholder(expr).map(|span| span.start));
        ControlFlow::Continue(())
    }
}

struct Binder {
    /// The places of all placeholders, sorted; the n-th takes the n-th value.
    order: Vec<Location>,
    values: Vec<Expr>,
}

impl VisitorMut for Binder {
    type Break = ();

    // After the children, so that a bound value is not looked into.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(span) = placeholder(expr)
            && let Ok(rank) = self.order.binary_search(&span.start)
            && let Some(value) = self.values.get(rank)
        {
            *expr = value.clone();
        }
        ControlFlow::Continue(())
    }
}

/// What of a statement can hold expressions.
enum Part<'a> {
    Query(&'a mut Query),
    Expr(&'a mut Expr),
    With(&'a mut With),
    Table(&'a mut TableWithJoins),
}

fn visit<V: VisitorMut>(statement: &mut Statement, visitor: &mut V) {
    for part in parts(statement) {
        // Neither visitor of this file breaks.
        let _ = match part {
            Part::Query(node) => node.visit(visitor),
            Part::Expr(node) => node.visit(visitor),
            Part::With(node) => node.visit(visitor),
            Part::Table(node) => node.visit(visitor),
        };
    }
}

fn parts(statement: &mut Statement) -> Vec<Part<'_>> {
    match statement {
        Statement::Query(s) => vec![Part::Query(&mut s.query)],
        Statement::Explain(s) => parts(&mut s.statement),
        Statement::Insert(s) => vec![Part::Query(&mut s.source)],
        Statement::Delete(s) => {
            let mut parts: Vec<Part<'_>> = s.with.iter_mut().map(Part::With).collect();
            parts.extend(s.using.iter_mut().map(Part::Table));
            parts.extend(s.selection.iter_mut().map(Part::Expr));
            parts
        }
        Statement::Update(s) => {
            let mut parts: Vec<Part<'_>> = s.with.iter_mut().map(Part::With).collect();
            parts.extend(s.assignments.iter_mut().map(|a| Part::Expr(&mut a.value)));
            parts.extend(s.from.iter_mut().map(Part::Table));
            parts.extend(s.selection.iter_mut().map(Part::Expr));
            parts
        }
        Statement::CreateTable(s) => {
            let mut parts: Vec<Part<'_>> =
                s.columns.iter_mut().filter_map(|c| c.generated.as_mut()).map(Part::Expr).collect();
            parts.extend(s.clauses.partition_by.iter_mut().flat_map(|p| p.exprs.iter_mut()).map(Part::Expr));
            parts.extend(s.query.iter_mut().map(|q| Part::Query(&mut q.query)));
            parts
        }
        Statement::AlterTable(s) => alter_parts(s),
        Statement::CreateView(s) => vec![Part::Query(&mut s.query)],
        Statement::CreateMaterializedView(s) => {
            let partition_by = s.clauses.partition_by.iter_mut().flat_map(|p| p.exprs.iter_mut());
            partition_by.map(Part::Expr).chain([Part::Query(&mut s.query)]).collect()
        }
        Statement::SubmitTask(s) => parts(&mut s.statement),
        Statement::AlterView(s) => vec![Part::Query(&mut s.query)],
        Statement::Set(items) => items.iter_mut().filter_map(set_part).collect(),
        Statement::Show(show) => show_parts(show),
        _ => Vec::new(),
    }
}

fn alter_parts(alter: &mut AlterTable) -> Vec<Part<'_>> {
    use crate::ast::AlterOp::{AddColumn, ModifyColumn};
    let generated = alter.ops.iter_mut().filter_map(|op| match op {
        AddColumn { column, .. } | ModifyColumn { column, .. } => column.generated.as_mut(),
        _ => None,
    });
    generated.map(Part::Expr).collect()
}

fn set_part(item: &mut SetItem) -> Option<Part<'_>> {
    match item {
        SetItem::Variable { value: SetValue::Expr(expr), .. } | SetItem::User { value: expr, .. } => {
            Some(Part::Expr(expr))
        }
        _ => None,
    }
}

fn show_parts(show: &mut Show) -> Vec<Part<'_>> {
    let (filter, order): (Option<&mut ShowFilter>, Option<&mut ShowOrder>) = match show {
        Show::Databases { filter, .. }
        | Show::Catalogs { filter }
        | Show::Tables { filter, .. }
        | Show::TableStatus { filter, .. }
        | Show::MaterializedViews { filter, .. }
        | Show::Columns { filter, .. }
        | Show::Index { filter, .. }
        | Show::Variables { filter, .. }
        | Show::Status { filter, .. }
        | Show::StorageVolumes { filter }
        | Show::Snapshots { filter }
        | Show::CharacterSet { filter }
        | Show::Collation { filter }
        | Show::Triggers { filter, .. }
        | Show::Events { filter, .. }
        | Show::ProcedureStatus { filter }
        | Show::FunctionStatus { filter }
        | Show::OpenTables { filter, .. } => (filter.as_mut(), None),
        Show::Partitions { order, .. }
        | Show::Tablets { order, .. }
        | Show::Load { order, .. }
        | Show::AlterTableColumn { order, .. } => (None, Some(order)),
        Show::Transaction { selection, .. } => return selection.iter_mut().map(Part::Expr).collect(),
        _ => (None, None),
    };
    let filter = filter.and_then(|filter| match filter {
        ShowFilter::Where(expr) => Some(expr),
        ShowFilter::Like(_) => None,
    });
    filter.into_iter().chain(order.and_then(|order| order.selection.as_mut())).map(Part::Expr).collect()
}
