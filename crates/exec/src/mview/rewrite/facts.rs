//! What holds for every row that passes the predicates of a block.

use std::collections::{BTreeMap, HashMap, HashSet};

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::block::Block;
use crate::mview::domain::Domain;

/// Columns that are equal in every row, in classes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    /// The smallest column of the class of a column, for columns that are in one.
    first: BTreeMap<Column, Column>,
}

impl Classes {
    pub(crate) fn of<'a>(pairs: impl Iterator<Item = (&'a Column, &'a Column)>) -> Self {
        let mut this = Self::default();
        for (a, b) in pairs {
            let (a, b) = (this.first_of(a).clone(), this.first_of(b).clone());
            let (keep, merge) = if a <= b { (a, b) } else { (b, a) };
            for first in this.first.values_mut().filter(|first| **first == merge) {
                *first = keep.clone();
            }
            this.first.insert(merge, keep.clone());
            this.first.insert(keep.clone(), keep);
        }
        this
    }

    /// The column that stands for the class of `column`.
    pub(crate) fn first_of<'a>(&'a self, column: &'a Column) -> &'a Column {
        self.first.get(column).unwrap_or(column)
    }

    pub(crate) fn are_equal(&self, a: &Column, b: &Column) -> bool {
        self.first_of(a) == self.first_of(b)
    }

    /// Whether `column` equals another: then it is not NULL.
    fn has_class(&self, column: &Column) -> bool {
        self.first.contains_key(column)
    }

    /// The classes, each with its columns.
    pub(crate) fn all(&self) -> BTreeMap<&Column, Vec<&Column>> {
        let mut classes: BTreeMap<&Column, Vec<&Column>> = BTreeMap::new();
        for (column, first) in &self.first {
            classes.entry(first).or_default().push(column);
        }
        classes
    }

    /// `expr` in one of its forms: columns stand for their class, comparisons are written one way round.
    pub(crate) fn canonical(&self, expr: &Expr) -> Expr {
        let done = expr.clone().transform_up(|e| {
            Ok(match e {
                Expr::Column(column) => {
                    let first = self.first_of(&column).clone();
                    Transformed::yes(Expr::Column(first))
                }
                Expr::BinaryExpr(binary) => Transformed::yes(Expr::BinaryExpr(one_way_round(binary))),
                other => Transformed::no(other),
            })
        });
        done.map_or_else(|_| expr.clone(), |e| e.data)
    }
}

fn one_way_round(binary: BinaryExpr) -> BinaryExpr {
    let BinaryExpr { left, op, right } = binary;
    let swapped = match op {
        Operator::Gt => Some(Operator::Lt),
        Operator::GtEq => Some(Operator::LtEq),
        Operator::Eq | Operator::NotEq | Operator::And | Operator::Or
            if left.partial_cmp(&right) == Some(std::cmp::Ordering::Greater) =>
        {
            Some(op)
        }
        _ => None,
    };
    match swapped {
        Some(op) => BinaryExpr { left: right, op, right: left },
        None => BinaryExpr { left, op, right },
    }
}

/// The two columns that `conjunct` says are equal.
pub(crate) fn equality<'a>(block: &Block, conjunct: &'a Expr) -> Option<(&'a Column, &'a Column)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { return None };
    let (Expr::Column(a), Expr::Column(b)) = (left.as_ref(), right.as_ref()) else { return None };
    let same_type = block.field(a)?.data_type() == block.field(b)?.data_type();
    // `a = a` says that a is not NULL, and makes no class.
    (a != b && same_type).then_some((a, b))
}

/// The predicates of a block, ready to be asked what follows from them.
pub(crate) struct Facts<'a> {
    pub classes: &'a Classes,
    /// Predicates, canonical.
    predicates: HashSet<Expr>,
    /// By the first column of a class.
    domains: HashMap<Column, Domain>,
}

impl<'a> Facts<'a> {
    /// `conjuncts` may be other than those that `classes` come from: what is then said holds where the classes do.
    pub(crate) fn new<'e>(classes: &'a Classes, conjuncts: impl Iterator<Item = &'e Expr>) -> Self {
        let mut this = Self { classes, predicates: HashSet::new(), domains: HashMap::new() };
        for conjunct in conjuncts {
            let predicate = classes.canonical(conjunct);
            if let Some((column, domain)) = Domain::of(&predicate) {
                this.narrow(column, domain);
            }
            this.predicates.insert(predicate);
        }
        this
    }

    fn narrow(&mut self, column: &Column, domain: Domain) {
        let both = match self.domains.get(column) {
            Some(before) => before.intersect(&domain),
            None => Some(domain),
        };
        // Values that cannot be compared say nothing more.
        if let Some(both) = both {
            self.domains.insert(column.clone(), both);
        }
    }

    /// The values that a column can have.
    pub(crate) fn domain(&self, column: &Column) -> Domain {
        let known = self.domains.get(self.classes.first_of(column)).cloned();
        let domain = known.unwrap_or_else(Domain::all);
        match self.classes.has_class(column) {
            true => domain.without_null(),
            false => domain,
        }
    }

    /// Whether `predicate`, canonical by the same classes, is true for no row; `false` when that cannot be told.
    pub(crate) fn exclude(&self, predicate: &Expr) -> bool {
        let Some((column, domain)) = Domain::of(predicate) else { return false };
        self.domain(column).intersect(&domain).is_some_and(|both| both.is_empty())
    }

    /// Whether `predicate`, canonical by the same classes, is true for every row.
    pub(crate) fn imply(&self, predicate: &Expr) -> bool {
        if self.predicates.contains(predicate) {
            return true;
        }
        if let Some((column, domain)) = Domain::of(predicate)
            && self.domain(column).is_within(&domain)
        {
            return true;
        }
        match predicate {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (op, left.as_ref(), right.as_ref()) {
                (Operator::Or, l, r) => self.imply(l) || self.imply(r),
                (Operator::And, l, r) => self.imply(l) && self.imply(r),
                // One class: equal, and not NULL.
                (Operator::Eq, Expr::Column(l), Expr::Column(r)) => l == r && !self.domain(l).null,
                _ => false,
            },
            Expr::Literal(value, _) => *value == datafusion::scalar::ScalarValue::Boolean(Some(true)),
            _ => false,
        }
    }
}
