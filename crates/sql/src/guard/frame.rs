//! What the guard knows of one open parenthesis, and what it will cost.

/// Stack that one more level takes, in units of 100 bytes.
pub(super) type Cost = usize;

/// 1.25 MiB of stack.
pub(super) const COST_MAX: Cost = 12_500;
/// An operator, and what nests like one; also a join, which makes the plan deeper.
pub(super) const OPERATOR: Cost = 12;
/// An AND or OR: costs only the dropping of the unbalanced tree, if it is never balanced.
pub(super) const LOGICAL: Cost = 2;
/// Another set operation of the same kind: as [`LOGICAL`].
pub(super) const SET_AGAIN: Cost = 3;
/// One level of set operations.
pub(super) const SET_LEVEL: Cost = 190;
/// Parentheses or brackets, a function's or type's included.
pub(super) const BRACKET: Cost = 75;
pub(super) const CASE: Cost = 30;
/// Parentheses around a query.
pub(super) const SUBQUERY: Cost = 225;
/// A table wrapped by PIVOT and its like.
pub(super) const WRAPPED_TABLE: Cost = 60;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Opener {
    Statement,
    Bracket,
    Case,
}

/// A set operation's word.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SetKind {
    Union,
    Intersect,
    Except,
}

/// Equal ones in a row become a balanced tree.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct SetOperation {
    pub kind: SetKind,
    pub all: bool,
}

/// An open parenthesis, bracket or CASE.
pub(super) struct Frame {
    pub opener: Opener,
    /// Whether anything was read in it.
    pub begun: bool,
    /// Whether it begins as a query does.
    pub query: bool,
    /// Joins and the like: these go on past commas.
    pub chain: Cost,
    /// Finished runs of equal set operations.
    pub sets: Cost,
    /// The running run: its kind and length.
    pub set_run: Option<(SetOperation, usize)>,
    pub logicals: usize,
    /// BETWEENs whose AND has not come.
    pub betweens: usize,
    /// Operators of this term.
    pub term: Cost,
    /// The deepest closed frame of this term.
    pub inner: Cost,
    /// The deepest of this expression's terms before.
    pub widest_term: Cost,
    /// The deepest of the expressions before.
    pub widest: Cost,
    /// Between FROM and the next clause a comma is a join.
    pub in_from: bool,
}

impl Frame {
    pub fn new(opener: Opener) -> Self {
        Self {
            opener,
            begun: false,
            query: false,
            chain: 0,
            sets: 0,
            set_run: None,
            logicals: 0,
            betweens: 0,
            term: 0,
            inner: 0,
            widest_term: 0,
            widest: 0,
            in_from: false,
        }
    }

    pub fn cost(&self) -> Cost {
        self.sets + run_cost(self.set_run) + self.chain + self.widest.max(self.expression_cost())
    }

    pub fn expression_cost(&self) -> Cost {
        // A balanced tree of ORs, over balanced trees of ANDs, over the terms.
        let logicals = 2 * levels(self.logicals) * OPERATOR + self.logicals * LOGICAL;
        logicals + self.widest_term.max(self.term + self.inner)
    }

    /// At AND or OR.
    pub fn end_term(&mut self) {
        self.widest_term = self.widest_term.max(self.term + self.inner);
        self.term = 0;
        self.inner = 0;
        self.logicals += 1;
    }

    /// At a comma, or at a word that begins a clause.
    pub fn end_expression(&mut self) {
        self.widest = self.widest.max(self.expression_cost());
        self.term = 0;
        self.inner = 0;
        self.widest_term = 0;
        self.logicals = 0;
    }
}

/// A run of equal set operations becomes a balanced tree; EXCEPTs do not.
pub(super) fn run_cost(run: Option<(SetOperation, usize)>) -> Cost {
    match run {
        None => 0,
        Some((SetOperation { kind: SetKind::Except, .. }, length)) => SET_LEVEL * length,
        Some((_, length)) => SET_LEVEL * levels(length) + SET_AGAIN * length,
    }
}

/// The depth of a balanced tree with so many operators.
pub(super) fn levels(operators: usize) -> usize {
    (operators + 1).next_power_of_two().trailing_zeros() as usize
}
