//! The words every layer shares: ids, column types, literal values, schemas and error kinds.
//!
//! **Invariant**: nothing here does I/O, reads a clock or knows SQL syntax, Arrow or a file format.

pub mod error;
pub mod id;
pub mod limits;
pub mod privilege;
pub mod schema;
pub mod secret;
pub mod sqltype;
pub mod value;

pub use error::{Error, ErrorKind, Result};
pub use id::{DbId, JobId, PartitionId, SnapshotId, TableId, TaskId, TaskRunId, TxnId, VolumeId};
pub use privilege::{ObjectKind, Privilege};
pub use schema::{Column, ColumnDefault, Schema};
pub use secret::is_secret_property;
pub use sqltype::SqlType;
pub use value::Literal;
