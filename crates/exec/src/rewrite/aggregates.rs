//! Aggregates that DataFusion has in another form.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, OrderByExpr, OrderByOptions, Value,
};

use super::{any_name, call, case, set_name, simple_name};

/// Changes `function`, when it is such an aggregate.
pub(super) fn rewrite(function: &mut Function) {
    match simple_name(function) {
        Some("max_by") => first_by(function, false),
        Some("min_by") => first_by(function, true),
        Some("count") => count_distinct(function),
        Some("multi_distinct_count") => distinct(function, "count"),
        Some("multi_distinct_sum") => distinct(function, "sum"),
        _ => {}
    }
}

/// Whether DataFusion counts it without a sign, for which a table would need a LARGEINT; StarRocks has BIGINTs.
pub(super) fn is_unsigned(function: &Function) -> bool {
    match any_name(function) {
        Some("row_number" | "rank" | "dense_rank" | "ntile") => function.over.is_some(),
        Some("approx_distinct") => true,
        _ => false,
    }
}

fn arguments(function: &mut Function) -> Option<&mut FunctionArgumentList> {
    match &mut function.args {
        FunctionArguments::List(list) => Some(list),
        _ => None,
    }
}

/// `max_by(x, y)` is the first `x` by falling `y`; rows without `y` do not count.
fn first_by(function: &mut Function, rising: bool) {
    let Some(list) = arguments(function) else { return };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(_)), FunctionArg::Unnamed(FunctionArgExpr::Expr(by))] =
        list.args.as_slice()
    else {
        return;
    };
    let by = by.clone();
    list.args.truncate(1);
    let options = OrderByOptions { asc: Some(rising), nulls_first: Some(false) };
    let order = OrderByExpr { expr: by.clone(), options, with_fill: None };
    list.clauses.push(FunctionArgumentClause::OrderBy(vec![order]));
    let counts = Expr::IsNotNull(Box::new(by));
    let filter = match function.filter.take() {
        Some(filter) => super::binary(*filter, sqlparser::ast::BinaryOperator::And, counts),
        None => counts,
    };
    function.filter = Some(Box::new(filter));
    set_name(function, "first_value");
}

/// `count(DISTINCT a, b)` counts the pairs in which nothing is NULL.
fn count_distinct(function: &mut Function) {
    let Some(list) = arguments(function) else { return };
    if list.duplicate_treatment != Some(DuplicateTreatment::Distinct) || list.args.len() < 2 {
        return;
    }
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let Some(args) = list.args.iter().map(plain).collect::<Option<Vec<Expr>>>() else { return };
    let nulls = args.iter().map(|e| Expr::IsNull(Box::new(e.clone())));
    let Some(any_null) = nulls.reduce(|a, b| super::binary(a, sqlparser::ast::BinaryOperator::Or, b)) else {
        return;
    };
    let null = Expr::Value(Value::Null.with_empty_span());
    let tuple = case(any_null, null, call("struct", args));
    list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(tuple))];
}

fn distinct(function: &mut Function, name: &str) {
    if let Some(list) = arguments(function) {
        list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
        set_name(function, name);
    }
}
