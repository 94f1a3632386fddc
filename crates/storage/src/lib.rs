//! The storage engine: rows become segments, segments and manifests make up a partition's versions.
//!
//! The way of a load: [`LoadWriter`] routes rows to tablets ([`route`]), sorts them and writes segments ([`segment`]);
//! [`Committer`] writes new manifests and makes them visible by one command; [`compact()`] merges small segments; readers
//! open segments through [`BlockCache`].
//!
//! **Invariants**
//! - A file is written once, under a name that nobody else uses; what counts is said by the catalog alone (manifest name
//!   and checksum), so a stale writer's left-over is never picked up.
//! - Every byte that is read was checked against a checksum that the catalog vouches for: a wrong byte is an error that
//!   names the file, never a wrong row.
//! - Manifests are durable before the command that makes them visible is proposed; a commit is all or nothing.
//! - Rows lie where [`route`] and [`hash`] say, for ever: pruning relies on it.
//! - The memory of a load or a compaction is bounded, whatever the size of its input.
//!
//! **Deliberately absent**: SQL and DataFusion, the journal, decisions when to compact or vacuum (schedulers of the
//! server), and deleting anything but the files of one's own failed write.

#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod buffer;
mod commit;
mod compact;
pub mod compaction;
mod context;
mod deletes;
mod fence;
mod flight_cache;
mod flush;
pub mod hash;
mod keys;
mod literal;
mod load;
pub mod manifest;
mod manifests;
mod merge;
pub mod meta;
mod open_writes;
mod parquet_format;
mod partition_index;
mod reader;
pub mod route;
mod scan;
pub mod segment;
mod sort;
mod supersede;
#[doc(hidden)]
pub mod testing;
mod types;
mod uploads;
mod volumes;

pub use commit::{CommitRequest, Committed, Committer, RefreshCommit};
pub use compact::{Compacted, compact};
pub use compaction::CompactionSettings;
pub use context::{StorageContext, StorageOptions, visible_partition, visible_table};
pub use deletes::DeleteVector;
pub use fence::check_fence;
pub use flight_cache::CacheUsage;
pub use literal::literal_at;
pub use load::{LoadOptions, LoadWriter, Unroutable, Written};
pub use manifest::{Manifest, RowVersions, rows_since};
pub use manifests::ManifestStore;
pub use meta::Meta;
pub use open_writes::{OpenWrites, WriteGuard};
pub use reader::{BlockCache, SegmentReader};
pub use scan::{SegmentRows, scan_partition};
pub use types::{arrow_schema, arrow_type};
pub use volumes::{PartitionPlace, Volumes};

/// Arrow's kernels fail only on what was checked before: such an error is a bug.
pub(crate) fn arrow_error(error: arrow::error::ArrowError) -> cairn_types::Error {
    cairn_types::Error::internal(format!("Arrow: {error}"))
}
