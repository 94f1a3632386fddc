//! Queries: from StarRocks' SQL through DataFusion to a stream of batches.
//!
//! The entry points are [`Engine::plan`] and [`Planned::execute`]. DataFusion plans and runs; here is what it lacks:
//! names as MySQL compares them ([`names`]), operators and functions as StarRocks means them, tables over a
//! catalog state ([`resolve`]), what a filter leaves out (partitions, tablets, segments), `FILES()`, limits, and what
//! materialized views are to queries ([`mview`]).
//!
//! **Invariants**
//! - A query sees one catalog state from its first name to its last row.
//! - A scan reports no hash partitioning: DataFusion would take our bucket hash for its own and join wrongly.
//! - What a filter leaves out is decided by statistics that are bounds; the rows that remain are filtered again.
//!
//! **Deliberately absent**: sessions, statements other than queries, and writing to tables.

#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod comparisons;
mod constant;
mod count_distinct;
mod engine;
mod error;
mod explain;
mod factor;
pub mod files;
mod functions;
mod lenient;
mod limit;
mod literal;
pub mod mview;
pub mod names;
mod partition_clause;
mod prepared;
mod prune;
pub mod resolve;
mod rewrite;
mod semantics;
mod sql_types;
mod table;
mod tablets;
mod workers;

pub use engine::{Engine, EngineOptions, Planned, QueryContext};
pub use error::{from_datafusion, to_datafusion};
pub use explain::{Detail, explain, explain_analyze};
pub use literal::scalar as literal_scalar;
pub use mview::{
    Analysis, CandidateSpec, CandidateUse, IncrementalShape, MergeColumn, MviewOptions, MviewSource,
    RefreshCell, RefreshEffect, RefreshPlan, RefreshSource, RewriteMode, ScanRestriction,
};
pub use resolve::{DEFAULT_CATALOG, SystemTables};
pub use sql_types::{sql_type, stored_type};
pub use table::ScanInfo;
pub use tablets::Tablets;
