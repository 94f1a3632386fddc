//! Small corrections to what `sqlparser` read, and refusals of what it reads but a query may not hold.

use std::ops::ControlFlow;

use cairn_types::{Error, Result};
use sqlparser::ast::{
    BinaryOperator, Expr, Query, Select, SetExpr, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use crate::dialect::DIV;

/// Makes every string literal a `SingleQuotedString`, `||` OR and `DIV` the operator.
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
            _ => return ControlFlow::Continue(()),
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
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Error> {
        if let Value::DoubleQuotedString(text) | Value::NationalStringLiteral(text) = &mut value.value {
            value.value = Value::SingleQuotedString(std::mem::take(text));
        }
        ControlFlow::Continue(())
    }
}
