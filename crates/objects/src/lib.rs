//! Storage volumes: named places for files, on a local folder or in S3, behind one handle.
//!
//! [`VolumeStore`] writes objects once and never changes them; [`layout`] is the only place that builds their keys;
//! [`Fence`] says which epoch of a cluster may write and delete in a volume, [`Starts`] which copy of its data directory;
//! [`Faults`] makes operations fail in tests.
//!
//! **Invariants**
//! - An object is created or refused, never overwritten. A repeated write of the same bytes is a success, so that a retry
//!   after a lost answer is not mistaken for somebody else's object.
//! - When a write returns, its bytes survive a power cut: file, name and every new parent folder are synced.
//! - Missing information is an error, never emptiness: a volume whose folder is gone does not list as empty.
//! - An error names volume and key, and never a secret.
//!
//! **Deliberately absent**: caching, the meaning of what is stored, and any decision about what may be deleted.

#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod failure;
mod fault;
mod fence;
mod folder;
pub mod layout;
mod location;
mod s3;
mod starts;
mod store;

pub use fault::{Fault, Faults};
pub use fence::{Fence, FenceRecord};
pub use layout::{DataKey, FileName, PartitionFolder};
pub use starts::{OwnStart, Seen, StartRecord, Starts, Verdict};
pub use store::{ObjectInfo, VolumeStore};
