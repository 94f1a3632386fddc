//! Real processes, real clients: one test binary, because linking the query engine is the cost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod clients;
mod copies;
mod faults;
mod harness;
mod lifecycle;
mod loads;
mod mview_faults;
mod mview_statements;
mod mviews;
mod privileges;
mod shortage;
mod slt;
mod snapshots;
