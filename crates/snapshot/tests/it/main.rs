//! Snapshots and vacuum over a plain catalog and stores in memory or in a folder: what a cluster does, without one.

#![allow(clippy::disallowed_methods, reason = "tests may use the machine")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

mod damage;
mod failures;
mod history;
mod janitor;
mod memo;
mod restore;
mod vacuum;
mod world;
