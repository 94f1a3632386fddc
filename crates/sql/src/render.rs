//! Prints `sqlparser`'s parts so that they parse to the same again, with the secrets of `FILES()` masked.
//!
//! `sqlparser` prints strings without escaping backslashes; here the copy to be printed has them escaped before.

use std::fmt::{self, Display as _};
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, TableFactor, TableWithJoins, Value, ValueWithSpan, VisitMut,
    VisitorMut, With,
};

use crate::ast::Hint;
use crate::ast::name::{MASK, commas};
use crate::files;

pub(crate) fn query(f: &mut fmt::Formatter<'_>, query: &Query) -> fmt::Result {
    printable(query).fmt(f)
}

pub(crate) fn expr(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    printable(expr).fmt(f)
}

pub(crate) fn exprs(f: &mut fmt::Formatter<'_>, exprs: &[Expr]) -> fmt::Result {
    let exprs: Vec<Expr> = exprs.iter().map(printable).collect();
    commas(&exprs).fmt(f)
}

/// `WITH … `, or nothing.
pub(crate) fn with(f: &mut fmt::Formatter<'_>, with: Option<&With>) -> fmt::Result {
    match with {
        Some(with) => write!(f, "{} ", printable(with)),
        None => Ok(()),
    }
}

/// ` word a JOIN b, c`, or nothing.
pub(crate) fn tables(f: &mut fmt::Formatter<'_>, word: &str, tables: &[TableWithJoins]) -> fmt::Result {
    if tables.is_empty() {
        return Ok(());
    }
    let tables: Vec<TableWithJoins> = tables.iter().map(printable).collect();
    write!(f, "{word}{}", commas(&tables))
}

/// ` WHERE …`, or nothing.
pub(crate) fn selection(f: &mut fmt::Formatter<'_>, selection: Option<&Expr>) -> fmt::Result {
    match selection {
        Some(selection) => write!(f, " WHERE {}", printable(selection)),
        None => Ok(()),
    }
}

/// `/*+ SET_VAR(…) */ `, or nothing.
pub(crate) fn hints(f: &mut fmt::Formatter<'_>, hints: &[Hint]) -> fmt::Result {
    if hints.is_empty() {
        return Ok(());
    }
    write!(f, "/*+ SET_VAR({}) */ ", commas(hints))
}

fn printable<T: Clone + VisitMut>(node: &T) -> T {
    let mut copy = node.clone();
    // The visitor never breaks.
    let _ = copy.visit(&mut Printable);
    copy
}

struct Printable;

impl VisitorMut for Printable {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        files::for_each_property(table, |key, value| {
            if cairn_types::is_secret_property(key) {
                MASK.clone_into(value);
            }
        });
        space_before_partitions(table);
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::SingleQuotedString(text) = &mut value.value
            && text.contains(['\\', '\''])
        {
            *text = text.replace('\\', "\\\\").replace('\'', "\\'");
        }
        ControlFlow::Continue(())
    }
}

/// `sqlparser` prints `t PARTITION (p)` without the blank. An identifier without quotes is printed as it is, so the
/// clause is printed as a part of the name.
fn space_before_partitions(table: &mut TableFactor) {
    let TableFactor::Table { name, partitions, .. } = table else { return };
    if let (false, Some(last)) = (partitions.is_empty(), name.0.last_mut()) {
        *last = ObjectNamePart::Identifier(Ident::new(format!("{last} PARTITION ({})", commas(partitions))));
        partitions.clear();
    }
}
