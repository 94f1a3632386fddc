//! Materialized views (MVs) as queries: what the query of one gives, how it is run for one partition, and which other
//! queries its rows answer.
//!
//! - [`analyze`]: at `CREATE` and `ACTIVE`, from the query to columns, bases, partition links;
//! - [`refresh`]: the query of an MV restricted to what belongs to one of its partitions;
//! - [`rewrite`]: answering a query from an MV where the result is provably the same.
//!
//! **Invariants**
//! - The rows of an MV are, over all cells, the rows of its query: a link that does not give this is refused.
//! - A rewrite that is not proven is not made.
//!
//! **Deliberately absent**: what is stale, and when to refresh (`cairn-mview`, `cairn-server`).

pub mod analyze;
mod bound;
mod cells;
mod deterministic;
mod domain;
mod links;
pub(crate) mod memo;
mod partials;
mod partition_by;
mod prepare;
pub mod refresh;
pub mod rewrite;
mod runs;
mod scan;
mod shape;
mod slices;
pub(crate) mod template;
#[cfg(test)]
pub(crate) mod tests;

pub use analyze::Analysis;
pub(crate) use bound::{Bound, BoundLog};
pub use partials::HIDDEN_PREFIX;
pub use refresh::{RefreshCell, RefreshEffect, RefreshPlan, RefreshSource};
pub(crate) use rewrite::transparent;
pub use rewrite::{CandidateSpec, CandidateUse, MviewOptions, MviewSource, RewriteMode};
pub(crate) use scan::Restrictions;
pub use scan::ScanRestriction;
pub use shape::{IncrementalShape, MergeColumn};
pub(crate) use slices::implied;
