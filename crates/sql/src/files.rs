//! `FILES("path" = "…", …)` as a table of a query.
//!
//! `sqlparser` reads the arguments as comparisons of two strings; these functions read them as properties.

use cairn_types::{Error, Result};
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, ObjectName, TableFactor, Value, ValueWithSpan,
};

use crate::ast::Property;

/// Whether `table` is `FILES(…)`.
#[must_use]
pub fn is_files_function(table: &TableFactor) -> bool {
    matches!(table, TableFactor::Table { name, args: Some(_), .. } if is_files(name))
}

/// The properties of `FILES(…)`; `None` for another table.
///
/// # Errors
/// `Parse` when an argument is not `"key" = "value"`.
pub fn files_properties(table: &TableFactor) -> Option<Result<Vec<Property>>> {
    let TableFactor::Table { name, args: Some(args), .. } = table else { return None };
    is_files(name).then(|| args.args.iter().map(property).collect())
}

/// Calls `change` with the key and the value of every property of `FILES(…)`.
pub(crate) fn for_each_property(table: &mut TableFactor, mut change: impl FnMut(&str, &mut String)) {
    let TableFactor::Table { name, args: Some(args), .. } = table else { return };
    if !is_files(name) {
        return;
    }
    for arg in &mut args.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, right, .. })) = arg
            && let (Some(key), Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(value), .. })) =
                (string(left), right.as_mut())
        {
            change(key, value);
        }
    }
}

fn is_files(name: &ObjectName) -> bool {
    let [part] = name.0.as_slice() else { return false };
    part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case("FILES"))
}

fn property(arg: &FunctionArg) -> Result<Property> {
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op: BinaryOperator::Eq, right })) =
        arg
        && let (Some(key), Some(value)) = (string(left), string(right))
    {
        return Ok(Property { key: key.to_owned(), value: value.to_owned() });
    }
    // The argument itself may hold a secret, so it is not quoted here.
    Err(Error::parse("Arguments of FILES() must be \"key\" = \"value\", both in quotes"))
}

fn string(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}
