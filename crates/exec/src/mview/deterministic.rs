//! What the query of an MV must not use: its rows are kept, so they must not depend on when and by whom it runs.

use std::ops::ControlFlow;

use cairn_types::{Error, Result};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, Volatility};
use sqlparser::ast::{
    Expr, Function, FunctionArguments, Ident, ObjectNamePart, Query, TableFactor, Visit, Visitor,
};

use crate::names::SessionFacts;

/// Functions whose value is a fact of the moment, the session or chance, by their StarRocks names. What they become
/// here may well be a literal, so the plan alone would not tell.
const NAMES: &[&str] = &[
    "catalog",
    "connection_id",
    "curdate",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "current_version",
    "curtime",
    "database",
    "host_name",
    "last_query_id",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random",
    "schema",
    "session_user",
    "sleep",
    "sysdate",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "uuid_numeric",
    "version",
];

/// Refuses a query with a function or variable of this kind, and one that reads files or partitions by name.
///
/// # Errors
/// `Analysis`, naming it.
pub(super) fn check_query(query: &Query, facts: &dyn SessionFacts) -> Result<()> {
    match query.visit(&mut Check { facts }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Check<'a> {
    facts: &'a dyn SessionFacts,
}

impl Visitor for Check<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        let refused = match expr {
            Expr::Function(function) => self.is_nondeterministic(function),
            Expr::Identifier(ident) => is_variable(ident),
            Expr::CompoundIdentifier(parts) => parts.first().is_some_and(is_variable),
            _ => false,
        };
        match refused {
            true => ControlFlow::Break(refusal(&expr.to_string())),
            false => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let name = match factor {
            // What a view holds is told by the versions of whole tables.
            TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
                return ControlFlow::Break(Error::unsupported(
                    "Materialized view query statement not supported PARTITION of a table: put a condition on the partition \
                     columns into WHERE",
                ));
            }
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => name,
            _ => return ControlFlow::Continue(()),
        };
        match last_name(&name.0) {
            Some(name) if name.eq_ignore_ascii_case("files") => ControlFlow::Break(Error::unsupported(
                "Materialized view query statement not supported table function FILES(): load the files into a table",
            )),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Check<'_> {
    fn is_nondeterministic(&self, function: &Function) -> bool {
        let Some(name) = last_name(&function.name.0) else { return false };
        let name = name.to_ascii_lowercase();
        let no_arguments = match &function.args {
            FunctionArguments::None => true,
            FunctionArguments::List(list) => list.args.is_empty(),
            FunctionArguments::Subquery(_) => false,
        };
        NAMES.binary_search(&name.as_str()).is_ok() || no_arguments && self.facts.function(&name).is_some()
    }
}

fn last_name(parts: &[ObjectNamePart]) -> Option<&str> {
    match parts.last()? {
        ObjectNamePart::Identifier(name) => Some(&name.value),
        ObjectNamePart::Function(_) => None,
    }
}

fn is_variable(ident: &Ident) -> bool {
    ident.quote_style.is_none() && ident.value.starts_with('@')
}

/// The same for the functions that `plan` calls: a net below [`check_query`], for names that it does not know.
///
/// # Errors
/// `Analysis`, naming the function.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found.take().or_else(|| changing_function(expr));
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    });
    visited.map_err(crate::error::from_datafusion)?;
    match found {
        Some(item) => Err(refusal(&item)),
        None => Ok(()),
    }
}

/// A function in `expr` that can give another value for the same arguments.
pub(crate) fn changing_function(expr: &PlanExpr) -> Option<String> {
    let mut found = None;
    let visited = expr.apply(|part| {
        if let PlanExpr::ScalarFunction(call) = part
            && call.func.signature().volatility != Volatility::Immutable
        {
            found = Some(format!("{}()", call.name()));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    found
}

fn refusal(item: &str) -> Error {
    Error::analysis(format!(
        "Materialized view query statement select item {item} not supported nondeterministic function"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::ast::Value;

    struct Facts;

    impl SessionFacts for Facts {
        fn variable(&self, _: &str) -> Option<Value> {
            None
        }

        fn function(&self, name: &str) -> Option<Value> {
            (name == "current_warehouse").then_some(Value::Null)
        }
    }

    fn check(sql: &str, refused: Option<&str>) {
        let outcome = check_query(&cairn_sql::parse_query(sql).unwrap(), &Facts);
        match refused {
            None => outcome.unwrap(),
            Some(item) => {
                let text = outcome.unwrap_err().to_string();
                assert!(text.contains(item), "{sql}: {text}");
            }
        }
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn facts_of_the_moment_are_refused() {
        check("SELECT a, upper(b) FROM t", None);
        check("SELECT rand() FROM t", Some("select item rand() not supported nondeterministic function"));
        check("SELECT a FROM t WHERE dt > Now()", Some("Now()"));
        check("SELECT a FROM (SELECT CURRENT_DATE AS a) x", Some("CURRENT_DATE"));
        check("SELECT @@autocommit FROM t", Some("@@autocommit"));
        check("SELECT a FROM t WHERE u = CURRENT_USER()", Some("CURRENT_USER()"));
        check("SELECT current_warehouse() FROM t", Some("current_warehouse()"));
        check("SELECT a FROM t WHERE a IN (SELECT uuid() FROM u)", Some("uuid()"));
    }
}
