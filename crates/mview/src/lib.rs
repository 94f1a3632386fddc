//! Materialized views (MVs), decided: what is stale and why, what a refresh does, in which order, and when.
//!
//! Pure: a catalog in, a decision out. `docs/rfcs/0002-materialized-views.md` is the design.
//!
//! - [`cells()`]: the partitions that an MV should have.
//! - [`verdict()`]: which of them are stale, and why; the same function for triggers, refreshes and rewrites.
//! - [`select`], [`batches()`]: the part of a verdict that a `REFRESH` asks for, and its portions.
//! - [`delta`]: whether new rows alone bring a cell up to date.
//! - [`graph`], [`schedule`]: the order of MVs on MVs, and what starts when.
//!
//! **Invariants**
//! - Numbers decide, never times: `now_ms` counts for ages that a property asks for, and for nothing else.
//! - What a verdict calls fresh equals what a refresh would record, but for bases that a property excludes and for
//!   `mv_rewrite_staleness_second`.
//! - No step is quadratic in partitions; nothing is formatted unless there is a reason to show.
//!
//! **Deliberately absent**: queries (whether one can be merged or answered is not known here; the only SQL is that of
//! [`retention`]), and the state of runs.

mod batches;
mod bound;
mod cells;
mod differences;
mod exclusions;
mod expiry;
pub mod graph;
mod incremental;
mod layers;
mod lists;
mod map;
mod names;
mod order;
mod plan;
mod properties;
mod ranges;
mod reason;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod select;
mod signature;
mod source;
mod str2date;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;
mod verdict;

pub use batches::{ADAPTIVE_ROWS_MAX, Strategy, batches, strategy};
pub use bound::BaseName;
pub use cells::{Cell, cells};
pub use incremental::{Growth, delta};
pub use properties::check as check_properties;
pub use reason::Reason;
pub use signature::signature;
pub use verdict::{CellVerdict, Purpose, Verdict, is_fresh, limit_automatic, verdict};
