//! Cluster snapshots: taken, listed, verified, restored, let go; and the vacuum that deletes what nothing reaches.
//!
//! A snapshot is a pin in the catalog (journal index J) and a folder in a storage volume: the image of `catalog(J)`, the list
//! of every file that it reaches, and a marker written last. Decisions are pure functions of a catalog, a listing and a time
//! ([`janitor::plan`], [`vacuum::judge`], [`usage`]); drivers do what they say.
//!
//! **Invariants**
//! - A folder without a valid marker is never taken for a snapshot. The marker goes last when one is made, first when one is
//!   removed.
//! - Whoever writes or deletes in a volume holds the fence of the newest epoch there, and checks it before each step.
//! - Missing information means keep: an unreadable manifest, an unknown file or a lost fence never leads to a deletion.
//! - Restore changes nothing in a volume but the fence, and nothing at all before everything was checked.
//!
//! **Deliberately absent**: the journal (the server hands catalogs in and commands out), SQL, and time of its own.

#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod checked;
pub mod clean;
pub mod format;
pub mod janitor;
pub mod list;
mod memo;
mod progress;
mod reach;
pub mod restore;
pub mod source;
pub mod take;
pub mod usage;
pub mod vacuum;
pub mod verify;
mod volumes;
pub mod yaml;

pub use format::{Marker, SnapshotFiles};
pub use list::{SnapshotInfo, SnapshotStatus, list};
pub use memo::FilesMemo;
pub use progress::{Done, OnProgress};
pub use source::Source;
pub use take::{TakeOptions, take};
pub use vacuum::Vacuum;
pub use verify::{Defect, Problem, Verdict, VerifyOptions, VerifyReport, verify};
pub use volumes::{OpenVolumes, VolumeResolver};
