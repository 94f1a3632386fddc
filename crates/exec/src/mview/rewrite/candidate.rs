//! An MV that a query may be answered from.

use std::sync::Arc;

use cairn_catalog::{Bounds, Partitioning};
use cairn_types::PartitionId;
use datafusion::logical_expr::TableSource;

use super::definition::Definition;

/// An MV and its definition.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub name: String,
    pub definition: Arc<Definition>,
    pub partitioning: Partitioning,
    pub rows: Arc<dyn ViewRows>,
}

/// The rows of an MV. Asked only when its definition fits.
pub(crate) trait ViewRows: Send + Sync {
    /// All rows, or those of some partitions.
    fn source(&self, only: Option<Vec<PartitionId>>) -> Arc<dyn TableSource>;

    /// The partitions whose rows may be used, with their bounds; `None`: all rows may.
    fn cells(&self) -> Option<Vec<(PartitionId, Bounds)>>;

    /// Rows of these partitions, or of all; `None`: unknown.
    fn count(&self, only: Option<&[PartitionId]>) -> Option<u64>;
}
