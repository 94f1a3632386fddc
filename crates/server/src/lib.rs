//! The server: sessions and doors over one node, and what runs beside them.
//!
//! [`boot::start`] makes a [`boot::Running`] node. A statement comes in by [`mysql`] or [`http`], runs in
//! [`session`] and [`statement`], reads through `cairn-exec`, writes through `cairn-storage`, and changes the
//! catalog through the journal ([`state`]). [`jobs`] take snapshots, compact, and vacuum.
//!
//! **Invariants**
//! - The catalog changes through the journal alone; what is acknowledged is durable.
//! - A query holds the catalog state that it was planned on until its last row.
//! - A process that was fenced out stops.

pub mod analyze;
pub mod answer;
pub mod boot;
mod error_logs;
mod fences;
mod http;
mod identity;
pub mod jobs;
mod load;
mod metrics;
pub mod mview;
mod mysql;
pub mod node;
mod ports;
pub mod queries;
pub mod rows;
pub mod session;
pub mod settings;
pub mod state;
pub mod statement;
pub mod system;

pub use boot::{Running, StartOptions, start};
pub use identity::Identity;
pub use node::Limits;
pub use state::CatalogState;
