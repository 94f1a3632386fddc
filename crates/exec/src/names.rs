//! From StarRocks' naming rules to DataFusion's: a pass over the AST before planning.
//!
//! StarRocks compares column and function names without regard to case and table names with it; DataFusion compares
//! all exactly. So column names, column aliases and function names become lower case here, as they are in every Arrow
//! schema; table names and table aliases stay. What the user wrote is kept for the header of the result.

mod columns;

use std::ops::ControlFlow;

use cairn_types::{Error, Result};
use sqlparser::ast::{
    Expr, Function, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select,
    SelectItem, SetExpr, TableAlias, TableFactor, Value, VisitMut, VisitorMut,
};

/// Gives the values of `@@variables` and `@variables`, and of functions that are facts of the session.
pub trait SessionFacts: Send + Sync {
    /// The value of a system variable, named in lower case without `@@` and scope; `None`: unknown.
    fn variable(&self, name: &str) -> Option<Value>;

    /// The value of a function without arguments that is a fact of the session (`database()`, `current_user()`…),
    /// named in lower case; `None`: not such a function.
    fn function(&self, name: &str) -> Option<Value>;
}

/// The names of a query's result columns as the user wrote them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    before: Vec<String>,
    /// `None`: no wildcard, the names are all in `before`.
    after: Option<Vec<String>>,
}

impl Header {
    /// The header of `query`, from its first `SELECT`.
    #[must_use]
    pub fn of(query: &Query) -> Self {
        let mut this = Self { before: Vec::new(), after: None };
        let Some(select) = first_select(&query.body) else {
            return Self { before: Vec::new(), after: Some(Vec::new()) };
        };
        for item in &select.projection {
            let name = match item {
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) => ident.value.clone(),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                    parts.last().map(|p| p.value.clone()).unwrap_or_default()
                }
                SelectItem::UnnamedExpr(expr) => expr.to_string(),
                SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
                _ => {
                    // After a second wildcard positions cannot be told: the plan's own names serve.
                    if this.after.is_some() {
                        return Self { before: Vec::new(), after: Some(Vec::new()) };
                    }
                    this.after = Some(Vec::new());
                    continue;
                }
            };
            this.after.as_mut().unwrap_or(&mut this.before).push(name);
        }
        this
    }

    /// Puts the user's names over the plan's.
    #[must_use]
    pub fn apply(&self, planned: Vec<String>) -> Vec<String> {
        let after = self.after.as_deref().unwrap_or_default();
        let tail = planned.len().saturating_sub(after.len());
        planned
            .into_iter()
            .enumerate()
            .map(|(at, name)| {
                let late = at.checked_sub(tail).and_then(|at| after.get(at));
                self.before.get(at).or(late).cloned().unwrap_or(name)
            })
            .collect()
    }
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// Brings the names of `query` into DataFusion's form and puts facts of the session in.
///
/// # Errors
/// `Analysis` for an unknown variable.
pub fn normalize(query: &mut Query, facts: &dyn SessionFacts) -> Result<()> {
    let mut pass = Pass { facts };
    match query.visit(&mut pass) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The same for one expression (a generated column of a load, a WHERE clause).
///
/// # Errors
/// `Analysis` for an unknown variable.
pub fn normalize_expr(expr: &mut Expr, facts: &dyn SessionFacts) -> Result<()> {
    let mut pass = Pass { facts };
    match expr.visit(&mut pass) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Pass<'a> {
    facts: &'a dyn SessionFacts,
}

impl VisitorMut for Pass<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        for cte in query.with.iter_mut().flat_map(|w| &mut w.cte_tables) {
            lower_alias_columns(&mut cte.alias);
        }
        crate::rewrite::set_operators(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        crate::rewrite::query(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        lower_select(select);
        crate::rewrite::select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let Err(error) = crate::factor::check(factor) {
            return ControlFlow::Break(error);
        }
        crate::factor::unwrap_table_function(factor);
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::TableFunction { alias, .. } => {
                alias.iter_mut().for_each(lower_alias_columns);
            }
            _ => {}
        }
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            table_with_joins.joins.iter_mut().for_each(|j| lower_join(&mut j.join_operator));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match self.rewrite(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        crate::rewrite::rewrite(expr);
        ControlFlow::Continue(())
    }
}

impl Pass<'_> {
    fn rewrite(&self, expr: &mut Expr) -> Result<()> {
        if let Some(value) = self.fact(expr)? {
            *expr = Expr::Value(value.with_empty_span());
            return Ok(());
        }
        match expr {
            Expr::Identifier(ident) => lower(ident),
            Expr::CompoundIdentifier(parts) => parts.last_mut().into_iter().for_each(lower),
            Expr::Function(function) => lower_name(&mut function.name),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if matches!(**right, Expr::Subquery(_)) => {
                return Err(Error::unsupported(
                    "ANY, SOME and ALL with a subquery are not supported: use IN, EXISTS, or compare with its MIN or MAX",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// The value of an expression that is a fact of the session.
    fn fact(&self, expr: &Expr) -> Result<Option<Value>> {
        match expr {
            Expr::Identifier(ident) => self.variable(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(parts) => self.variable(parts),
            Expr::Function(function) => Ok(self.function(function)),
            _ => Ok(None),
        }
    }

    fn variable(&self, parts: &[Ident]) -> Result<Option<Value>> {
        let Some(first) = parts.first().filter(|p| is_variable(p)) else { return Ok(None) };
        let mut name = first.value.trim_start_matches('@').to_ascii_lowercase();
        for scope in ["session.", "global.", "local."] {
            if let Some(rest) = name.strip_prefix(scope) {
                name = rest.to_owned();
            }
        }
        if let [_, last] = parts
            && matches!(name.as_str(), "session" | "global" | "local")
        {
            name = last.value.to_ascii_lowercase();
        }
        if !first.value.starts_with("@@") {
            // A user variable that was never set is NULL, as in MySQL.
            return Ok(Some(self.facts.variable(&format!("@{name}")).unwrap_or(Value::Null)));
        }
        let unknown = || Error::analysis(format!("Unknown system variable '{name}'"));
        self.facts.variable(&name).map(Some).ok_or_else(unknown)
    }

    fn function(&self, function: &Function) -> Option<Value> {
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
        let no_arguments = match &function.args {
            sqlparser::ast::FunctionArguments::None => true,
            sqlparser::ast::FunctionArguments::List(list) => list.args.is_empty(),
            sqlparser::ast::FunctionArguments::Subquery(_) => false,
        };
        no_arguments.then(|| self.facts.function(&name.value.to_ascii_lowercase())).flatten()
    }
}

pub(crate) use columns::without_number;

fn lower(ident: &mut Ident) {
    ident.value = ident.value.to_lowercase();
}

fn lower_name(name: &mut ObjectName) {
    if let Some(ObjectNamePart::Identifier(ident)) = name.0.last_mut() {
        lower(ident);
    }
}

fn lower_alias_columns(alias: &mut TableAlias) {
    alias.columns.iter_mut().for_each(|column| lower(&mut column.name));
}

fn lower_join(operator: &mut JoinOperator) {
    if let Some(JoinConstraint::Using(columns)) = constraint(operator) {
        columns.iter_mut().for_each(lower_name);
    }
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::Semi(c)
        | JoinOperator::LeftSemi(c)
        | JoinOperator::RightSemi(c)
        | JoinOperator::Anti(c)
        | JoinOperator::LeftAnti(c)
        | JoinOperator::RightAnti(c) => Some(c),
        _ => None,
    }
}

fn lower_select(select: &mut Select) {
    for table in &mut select.from {
        table.joins.iter_mut().for_each(|j| lower_join(&mut j.join_operator));
    }
    columns::tell_apart(&mut select.projection);
}

fn is_variable(ident: &Ident) -> bool {
    ident.quote_style.is_none() && ident.value.starts_with('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Facts;

    impl SessionFacts for Facts {
        fn variable(&self, name: &str) -> Option<Value> {
            (name == "autocommit").then(|| Value::Number("1".into(), false))
        }

        fn function(&self, name: &str) -> Option<Value> {
            (name == "database").then(|| Value::SingleQuotedString("db".into()))
        }
    }

    fn check(sql: &str, expected: &str, header: &[&str]) {
        let mut query = cairn_sql::parse_query(sql).unwrap();
        assert_eq!(Header::of(&query).apply(vec!["planned".into(); header.len()]), header, "{sql}");
        normalize(&mut query, &Facts).unwrap();
        assert_eq!(query.to_string(), expected);
    }

    #[test]
    fn columns_lose_their_case_and_tables_keep_it() {
        check(
            "SELECT T.Key, COUNT(*) FROM T",
            "SELECT T.key, count(*) AS `count(*)` FROM T",
            &["Key", "COUNT(*)"],
        );
        check("SELECT A AS Foo FROM Db.T X", "SELECT a AS foo FROM Db.T X", &["Foo"]);
        check("SELECT *, A FROM T", "SELECT *, a AS `a#1` FROM T", &["planned", "planned", "A"]);
        check("SELECT a FROM T JOIN U USING(Id)", "SELECT a FROM T JOIN U USING(id)", &["a"]);
    }

    #[test]
    fn equal_columns_get_names_of_their_own() {
        check("SELECT a, A FROM t", "SELECT a, a AS `a#1` FROM t", &["a", "A"]);
        check("SELECT a, t.A FROM t", "SELECT a, t.a AS `t.a#1` FROM t", &["a", "A"]);
        check("SELECT t.a, u.a FROM t, u", "SELECT t.a, u.a FROM t, u", &["a", "a"]);
        check("SELECT t.a, u.*, t.* FROM t, u", "SELECT t.a AS `t.a#0`, u.*, t.* FROM t, u", &["a"; 0]);
        check("SELECT t.a, u.* FROM t, u", "SELECT t.a, u.* FROM t, u", &["a", "planned"]);
    }

    #[test]
    fn facts_of_the_session_are_put_in() {
        check(
            "SELECT @@autocommit, DATABASE()",
            "SELECT 1 AS `@@autocommit`, 'db' AS `database()`",
            &["@@autocommit", "DATABASE()"],
        );
        check("SELECT @nothing", "SELECT NULL AS `@nothing`", &["@nothing"]);
        let mut unknown = cairn_sql::parse_query("SELECT @@nonsense").unwrap();
        assert!(normalize(&mut unknown, &Facts).unwrap_err().message().contains("nonsense"));
    }
}
