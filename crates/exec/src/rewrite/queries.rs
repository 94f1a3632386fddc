//! What a whole query needs beyond its expressions.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, GroupByExpr, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
    SetOperator, TableFactor, UnaryOperator, Value, visit_expressions, visit_expressions_mut,
};

use super::{boolean, call, cast, number, text};
use crate::functions::SAME;

/// `MINUS` is `EXCEPT`.
pub(crate) fn set_operators(body: &mut SetExpr) {
    if let SetExpr::SetOperation { op, left, right, .. } = body {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        set_operators(left);
        set_operators(right);
    }
}

/// A SELECT before its parts are rewritten: `FROM DUAL` is no table, and a number is a condition.
pub(crate) fn select(select: &mut Select) {
    let is_dual = |factor: &TableFactor| match factor {
        TableFactor::Table { name, alias: None, .. } => name.to_string().eq_ignore_ascii_case("dual"),
        _ => false,
    };
    if let [only] = select.from.as_slice()
        && only.joins.is_empty()
        && is_dual(&only.relation)
    {
        select.from.clear();
    }
    select.selection.iter_mut().chain(select.having.as_mut()).for_each(condition);
}

/// A number that stands for true or false.
fn condition(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && let Value::Number(digits, _) = &value.value
        && let Ok(number) = digits.parse::<f64>()
    {
        *expr = boolean(number != 0.0);
    }
}

/// Numbers that `AND`, `OR` and `NOT` take for conditions.
pub(super) fn conditions(expr: &mut Expr) {
    match expr {
        // To DataFusion it is an operator of bits.
        Expr::BinaryOp { left, op: op @ BinaryOperator::Xor, right } => {
            *op = BinaryOperator::NotEq;
            for side in [left, right] {
                **side = cast((**side).clone(), DataType::Boolean);
            }
        }
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            condition(left);
            condition(right);
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => condition(expr),
        _ => {}
    }
}

/// A query after its parts were rewritten.
pub(crate) fn query(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = &mut query.order_by {
        keys.iter_mut().for_each(|key| by_item(&mut key.expr, select));
    }
    tell_casts_apart(select, &mut query.order_by);
}

/// `SELECT sum(v) AS v … ORDER BY sum(v)`: the key is the column, not a sum of it; so it is within `abs(sum(v))`. With DISTINCT
/// each key is a column. A plain name is that of a column already.
fn by_item(key: &mut Expr, select: &Select) {
    if matches!(key, Expr::Identifier(_)) {
        return;
    }
    let is_wildcard =
        |item: &SelectItem| !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if select.distinct.is_some() && !select.projection.iter().any(is_wildcard) {
        let is_it = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr == key,
            _ => false,
        };
        if let Some(at) = select.projection.iter().position(is_it) {
            *key = number(&(at + 1).to_string());
            return;
        }
    }
    // From the outside: what holds a column may be one itself.
    let aliased = |expr: &mut Expr| {
        let alias = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr: own, alias } if own == expr => Some(alias.clone()),
            _ => None,
        });
        if let (Some(alias), Expr::Function(_)) = (alias, &*expr) {
            *expr = Expr::Identifier(alias);
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = aliased(key);
    let _ = visit_expressions_mut(key, aliased);
}

/// DataFusion names keys and aggregates without their casts, so `GROUP BY date(t), t` would have one key twice. Where this
/// happens, casts get a name.
fn tell_casts_apart(select: &mut Select, order_by: &mut Option<OrderBy>) {
    if !one_name_for_two(select) {
        return;
    }
    let mut name = |expr: &mut Expr| {
        if let Expr::Cast { data_type, .. } = expr {
            let name = text(&data_type.to_string());
            *expr = call(SAME, vec![expr.clone(), name]);
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit_expressions_mut(&mut select.projection, &mut name);
    let _ = visit_expressions_mut(&mut select.group_by, &mut name);
    let _ = visit_expressions_mut(&mut select.having, &mut name);
    let _ = visit_expressions_mut(&mut select.qualify, &mut name);
    let _ = visit_expressions_mut(order_by, &mut name);
}

/// Whether two different keys or calls differ in casts only.
fn one_name_for_two(select: &Select) -> bool {
    let mut named: Vec<Expr> = Vec::new();
    let mut has_cast = false;
    if let GroupByExpr::Expressions(keys, _) = &select.group_by {
        named.extend(keys.iter().map(|key| meant(key, &select.projection).clone()));
    }
    let mut look = |expr: &Expr| {
        has_cast |= matches!(expr, Expr::Cast { .. });
        if matches!(expr, Expr::Function(_)) {
            named.push(expr.clone());
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit_expressions(&select.projection, &mut look);
    let _ = visit_expressions(&select.group_by, &mut look);
    let _ = visit_expressions(&select.having, &mut look);
    let mut texts: HashMap<String, String> = HashMap::new();
    has_cast
        && named.iter().any(|expr| {
            let text = expr.to_string();
            *texts.entry(without_casts(expr)).or_insert_with(|| text.clone()) != text
        })
}

/// What `GROUP BY 1` and `GROUP BY alias` mean.
fn meant<'a>(key: &'a Expr, items: &'a [SelectItem]) -> &'a Expr {
    let item = match key {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => {
                digits.parse::<usize>().ok().and_then(|n| items.get(n.checked_sub(1)?))
            }
            _ => None,
        },
        Expr::Identifier(name) => items.iter().find(
            |item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == name.value),
        ),
        _ => None,
    };
    match item {
        Some(SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) => expr,
        _ => key,
    }
}

fn without_casts(expr: &Expr) -> String {
    let mut bare = expr.clone();
    let _ = visit_expressions_mut(&mut bare, |part| {
        match part {
            Expr::Cast { expr, .. } | Expr::Nested(expr) => *part = (**expr).clone(),
            Expr::CompoundIdentifier(parts) => {
                if let Some(last) = parts.pop() {
                    *part = Expr::Identifier(last);
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    bare.to_string()
}
