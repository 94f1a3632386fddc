//! The server as clients see it, by raw bytes and by `curl`, before a backend that only records what reaches it.
#![allow(clippy::disallowed_methods, reason = "tests use the real thing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod backend;
mod client;
mod curl;
mod faults;
mod load;
mod rest;
