//! The journal: totally ordered commands that change one deterministic [`State`], agreed on by a group of frontends
//! (openraft), kept in a log file (redb) and in images of the state.
//!
//! **Invariants**
//! - What [`Journal::propose`] returned is synced to disk on a majority, and is in the state after any restart.
//! - Commands are numbered without gaps (`index`), in the order in which every member applies them; their time never
//!   goes back. The group's own log entries (a new leader, changed members) have no number. A log entry holds all the
//!   commands that waited while the entry before it was synced.
//! - Files are checked whole before they are used or written to. Damaged, missing, mixed-up and cut-off files are
//!   refused by name; they are never taken for empty ones.
//! - The log reaches back to the older of the two images that are kept; an image counts only after it was read back.
//! - A failure to write an image is an error and no more; a failure to write the log stops the journal, which says so.
//!
//! **Deliberately absent**: openraft's types in the public interface; a special mode for a group of one; a setting
//! that acknowledges before the sync; connections between members (the module `network` has the place for them).

#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod batcher;
mod create;
mod entry;
mod errors;
mod group;
mod image;
mod imager;
mod inspect;
mod journal;
mod layout;
mod log_file;
mod log_store;
mod machine;
mod member;
mod network;
mod options;
mod overlay;
mod reached;
mod records;
mod recover;
mod state;

#[cfg(test)]
mod tests;

pub use image::ImageInfo;
pub use inspect::{Inspection, JournalReport, inspect};
pub use journal::Journal;
pub use member::{Member, Role};
pub use options::Options;
pub use state::{Applied, State, Versioned};
