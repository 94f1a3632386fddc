//! Tests of the storage engine through its public face, over a volume in memory.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commits;
mod common;
mod compaction;
mod damage;
mod golden;
mod keyed;
mod loads;
mod refresh;
mod segments;
mod throughput;
