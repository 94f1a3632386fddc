//! Makes long chains shallow: `a OR b OR c …` and `q UNION ALL q …` are read as trees as deep as they are long; as
//! balanced trees they mean the same (the operators are associative, and the order of the operands stays) and are
//! logarithmically deep.

use sqlparser::ast::{BinaryOperator, Expr, SetExpr, SetOperator, SetQuantifier, Value, Values};

/// Balances the chain of ANDs, or of ORs, at the top of `expr`. A balanced chain stays as it is.
pub(crate) fn logical_chain(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else { return };
    // `||` and OR are one operator.
    let op = match op {
        BinaryOperator::And => BinaryOperator::And,
        BinaryOperator::Or | BinaryOperator::StringConcat => BinaryOperator::Or,
        _ => return,
    };
    let mut operands = Vec::new();
    let mut todo = vec![std::mem::replace(expr, Expr::Value(Value::Null.into()))];
    // The left operand is put on top, so that the operands come out in their order.
    while let Some(next) = todo.pop() {
        match next {
            Expr::BinaryOp { left, op: inner, right } if is_same(&inner, &op) => {
                todo.push(*right);
                todo.push(*left);
            }
            operand => operands.push(operand),
        }
    }
    let join = |left, right| Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) };
    if let Some(balanced) = balanced(operands, &join) {
        *expr = balanced;
    }
}

fn is_same(inner: &BinaryOperator, op: &BinaryOperator) -> bool {
    inner == op || (*op == BinaryOperator::Or && *inner == BinaryOperator::StringConcat)
}

/// Balances the runs of equal UNIONs and INTERSECTs of a query; `false` when one of them is BY NAME.
pub(crate) fn set_operations(body: &mut Box<SetExpr>) -> bool {
    if !matches!(**body, SetExpr::SetOperation { .. }) {
        return true;
    }
    let mut first = std::mem::replace(&mut **body, nothing());
    // Down the left side; what is on the right is a query, or operators that bind more.
    let mut rights = Vec::new();
    let mut by_position = true;
    while let SetExpr::SetOperation { left, op, set_quantifier, mut right } = first {
        by_position &= set_operations(&mut right) && is_by_position(set_quantifier);
        // UNION DISTINCT is UNION.
        let quantifier =
            if set_quantifier == SetQuantifier::Distinct { SetQuantifier::None } else { set_quantifier };
        rights.push((op, quantifier, *right));
        first = *left;
    }
    let mut run = vec![first];
    let mut run_of: Option<(SetOperator, SetQuantifier)> = None;
    for (op, quantifier, right) in rights.into_iter().rev() {
        if let Some(of) = run_of
            && (of != (op, quantifier) || !is_associative(op))
        {
            run = joined(run, of);
        }
        run_of = Some((op, quantifier));
        run.push(right);
    }
    if let Some(of) = run_of {
        run = joined(run, of);
    }
    if let Some(all) = run.pop() {
        **body = all;
    }
    by_position
}

fn is_by_position(quantifier: SetQuantifier) -> bool {
    matches!(quantifier, SetQuantifier::None | SetQuantifier::All | SetQuantifier::Distinct)
}

fn is_associative(op: SetOperator) -> bool {
    matches!(op, SetOperator::Union | SetOperator::Intersect)
}

/// The run as one operand.
fn joined(run: Vec<SetExpr>, (op, set_quantifier): (SetOperator, SetQuantifier)) -> Vec<SetExpr> {
    let join = |left, right| SetExpr::SetOperation {
        op,
        set_quantifier,
        left: Box::new(left),
        right: Box::new(right),
    };
    balanced(run, &join).into_iter().collect()
}

fn nothing() -> SetExpr {
    SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() })
}

/// A balanced tree of the operands in their order; `None` of none.
fn balanced<T>(mut operands: Vec<T>, join: &impl Fn(T, T) -> T) -> Option<T> {
    if operands.len() < 2 {
        return operands.pop();
    }
    let right = operands.split_off(operands.len() / 2);
    match (balanced(operands, join), balanced(right, join)) {
        (Some(left), Some(right)) => Some(join(left, right)),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> Expr {
        Expr::Value(Value::Number(n.to_string(), false).into())
    }

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }

    #[test]
    fn a_chain_becomes_shallow_and_keeps_its_order() {
        for count in [1, 2, 3, 7, 1_000] {
            let mut chain = number(0);
            for n in 1..count {
                chain = Expr::BinaryOp {
                    left: Box::new(chain),
                    op: BinaryOperator::Or,
                    right: Box::new(number(n)),
                };
            }
            let text = chain.to_string();
            logical_chain(&mut chain);
            assert_eq!(chain.to_string(), text);
            assert!(depth(&chain) <= 10, "{count} operands are {} deep", depth(&chain));
            let again = {
                let mut again = chain.clone();
                logical_chain(&mut again);
                again
            };
            assert_eq!(again, chain, "a balanced chain stays");
        }
    }
}
