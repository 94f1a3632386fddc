//! The catalog as those see it who send it commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod commands;
mod common;
mod grants;
mod images;
mod mviews;
mod partitions;
mod tasks;
