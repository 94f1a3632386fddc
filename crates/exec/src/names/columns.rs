//! Names for the columns of one SELECT: DataFusion refuses two of one name, MySQL does not. The header keeps what the user wrote.

use std::collections::HashSet;

use sqlparser::ast::{Expr, Ident, SelectItem, SelectItemQualifiedWildcardKind};

use super::{is_variable, lower};

/// Gives columns that DataFusion would take for one an alias of their own. Aliases become lower case.
pub(super) fn tell_apart(items: &mut [SelectItem]) {
    let wildcards: Vec<Vec<String>> = items.iter().filter_map(wildcard).collect();
    let mut seen = HashSet::new();
    let mut columns: Vec<Vec<String>> = Vec::new();
    for (at, item) in items.iter_mut().enumerate() {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => {
                lower(alias);
                if !seen.insert(alias.value.clone()) {
                    alias.value = format!("{}#{at}", alias.value);
                }
            }
            SelectItem::UnnamedExpr(expr) => {
                let text = expr.to_string().to_lowercase();
                let path = column(expr);
                let is_known = path.as_ref().is_some_and(|path| {
                    columns.iter().any(|other| may_be_one(path, other))
                        || wildcards.iter().any(|w| has(w, path))
                });
                columns.extend(path);
                let is_new = seen.insert(text.clone()) && !is_known;
                if !is_new || is_computed(expr) {
                    let name = if is_new { text } else { format!("{text}#{at}") };
                    let alias = Ident::with_quote('`', name);
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
            _ => {}
        }
    }
}

/// The name that a column had before it was told apart.
pub(crate) fn without_number(name: &str) -> &str {
    match name.rsplit_once('#') {
        Some((own, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => own,
        _ => name,
    }
}

/// DataFusion names an expression without its casts, so `7 / 2` and `7 DIV 2` would have one name, and so would `now()` and
/// `current_date()`, `std(a)` and `stddev(a)`.
fn is_computed(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { .. } | Expr::Cast { .. } | Expr::Nested(_) | Expr::Function(_) => true,
        // Two variables may have one value.
        Expr::Identifier(first) => is_variable(first),
        Expr::CompoundIdentifier(parts) => parts.first().is_some_and(is_variable),
        _ => false,
    }
}

/// The path of a column, in lower case.
fn column(expr: &Expr) -> Option<Vec<String>> {
    let parts = match expr {
        Expr::Identifier(ident) => std::slice::from_ref(ident),
        Expr::CompoundIdentifier(parts) => parts.as_slice(),
        _ => return None,
    };
    let is_column = !parts.first().is_some_and(is_variable);
    is_column.then(|| parts.iter().map(|part| part.value.to_lowercase()).collect())
}

/// The path of the table whose columns a wildcard stands for; empty: of all.
fn wildcard(item: &SelectItem) -> Option<Vec<String>> {
    match item {
        SelectItem::Wildcard(_) => Some(Vec::new()),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let parts = name.0.iter().filter_map(|part| part.as_ident());
            Some(parts.map(|part| part.value.to_lowercase()).collect())
        }
        _ => None,
    }
}

/// `a`, `t.a` and `d.t.a` may be one column; `t.a` and `u.a` are two.
fn may_be_one(left: &[String], right: &[String]) -> bool {
    left.ends_with(right) || right.ends_with(left)
}

/// Whether `wildcard` may stand for the column at `path`.
fn has(wildcard: &[String], path: &[String]) -> bool {
    let table = path.split_last().map_or(path, |(_, table)| table);
    wildcard.is_empty() || may_be_one(wildcard, table)
}
