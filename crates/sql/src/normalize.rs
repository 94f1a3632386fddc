//! Small corrections to what `sqlparser` read, and refusals of what it reads but a query may not hold.

use std::ops::ControlFlow;

use cairn_types::{Error, Result};
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Select, SetExpr, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use crate::balance;
use crate::dialect::DIV;

/// Makes every string literal a `SingleQuotedString`, `||` OR, `DIV` the operator, and long chains shallow.
///
/// # Errors
/// `Unsupported`: `SELECT … INTO`, and a query that writes (`WITH … INSERT`).
pub(crate) fn normalize<T: VisitMut>(node: &mut T) -> Result<()> {
    match node.visit(&mut Normalizer) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Normalizer;

impl VisitorMut for Normalizer {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let verb = match &*query.body {
            SetExpr::Insert(_) => "INSERT",
            SetExpr::Update(_) => "UPDATE",
            SetExpr::Delete(_) => "DELETE",
            SetExpr::Merge(_) => "MERGE",
            _ => {
                if balance::set_operations(&mut query.body) {
                    return ControlFlow::Continue(());
                }
                return ControlFlow::Break(Error::unsupported(
                    "UNION BY NAME is not supported; list the columns in the same order",
                ));
            }
        };
        ControlFlow::Break(Error::unsupported(format!(
            "{verb} inside a query is not supported; write WITH behind it: {verb} … WITH … SELECT …"
        )))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        if select.into.is_none() {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Error::unsupported(
            "SELECT … INTO is not supported; use CREATE TABLE … AS SELECT or INSERT INTO … SELECT",
        ))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::BinaryOp { op, .. } = expr {
            match op {
                BinaryOperator::StringConcat => *op = BinaryOperator::Or,
                BinaryOperator::Custom(word) if word == DIV => *op = BinaryOperator::MyIntegerDivide,
                _ => {}
            }
        }
        balance::logical_chain(expr);
        match expr {
            Expr::Value(ValueWithSpan { value: Value::Placeholder(text), .. }) if text != "?" => {
                variable(text).map_or_else(ControlFlow::Break, |variable| {
                    *expr = variable;
                    ControlFlow::Continue(())
                })
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Error> {
        if let Value::DoubleQuotedString(text) | Value::NationalStringLiteral(text) = &mut value.value {
            value.value = Value::SingleQuotedString(std::mem::take(text));
        }
        ControlFlow::Continue(())
    }
}

/// `sqlparser` reads a user variable with a quoted name as a placeholder.
fn variable(text: &str) -> Result<Expr> {
    let plain = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))
    };
    match text.strip_prefix('@') {
        Some(name) if plain(name) => Ok(Expr::Identifier(Ident::new(text))),
        Some(_) => Err(Error::unsupported(format!(
            "The name of the variable {text} has other signs than letters and digits"
        ))),
        None => {
            Err(Error::unsupported(format!("Parameter {text} is not supported; write ? for a parameter")))
        }
    }
}
