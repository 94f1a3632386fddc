//! What a session says about rewriting, and where the views come from.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cairn_catalog::{Catalog, Table};
use cairn_types::{PartitionId, TableId};

/// Whether queries are answered from MVs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RewriteMode {
    /// Where it reads fewer rows.
    #[default]
    Default,
    Disable,
    /// Wherever it is the same.
    Force,
}

/// The part of a query's context that is about MVs. The default has none: nothing is rewritten.
#[derive(Clone)]
pub struct MviewOptions {
    pub mode: RewriteMode,
    /// Whether an MV that holds a part of the rows is used together with its bases.
    pub union: bool,
    /// MVs over MVs that one query goes through.
    pub depth_max: usize,
    pub source: Option<Arc<dyn MviewSource>>,
}

impl Default for MviewOptions {
    fn default() -> Self {
        Self { mode: RewriteMode::default(), union: true, depth_max: 3, source: None }
    }
}

#[cfg(test)]
impl MviewOptions {
    /// Whatever is the same is rewritten.
    pub(crate) fn forced() -> Self {
        Self { mode: RewriteMode::Force, ..Self::default() }
    }
}

impl fmt::Debug for MviewOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MviewOptions")
            .field("mode", &self.mode)
            .field("union", &self.union)
            .field("depth_max", &self.depth_max)
            .field("source", &self.source.is_some())
            .finish()
    }
}

/// Knows the MVs of a catalog state, and which of their rows may be used.
pub trait MviewSource: Send + Sync {
    /// The MVs that a query of `tables` could be answered from: those whose bases are all among `tables`. Called once
    /// or twice for each query, so it must be cheap.
    fn candidates(&self, catalog: &Catalog, tables: &BTreeSet<TableId>) -> Vec<CandidateSpec>;

    /// Which rows of `mview` are those that its query gives now.
    fn fresh(&self, catalog: &Catalog, mview: &Table) -> CandidateUse;
}

/// An MV that a query could be answered from.
#[derive(Clone, Debug)]
pub struct CandidateSpec {
    /// A table of kind `Mview`, of the catalog that was asked for.
    pub mview: Arc<Table>,
    pub usable: CandidateUse,
}

/// Which rows of an MV may be used. What "fresh" means is up to who says so: a query that may read stale rows takes
/// them as fresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CandidateUse {
    /// All: for each value of its partition columns it has the rows of its query.
    All,
    /// Those of these partitions: for the values in their bounds it has the rows of its query.
    Partitions(BTreeSet<PartitionId>),
    /// None, and why not, for `EXPLAIN`.
    No(String),
}
