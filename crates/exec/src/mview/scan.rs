//! Scans of tables in plans: which table they read, and restrictions to a part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::Table;
use cairn_types::{Error, PartitionId, Result, TableId};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, TableScan, TableSource};

use crate::table::TabletTable;

/// Which part of a table a scan reads. What is left out must be left out before any filter: rows are not told apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScanRestriction {
    /// Only these partitions; `None`: all.
    pub partitions: Option<Vec<PartitionId>>,
    /// Of these partitions only rowsets whose data versions are all above the number.
    pub since: BTreeMap<PartitionId, u64>,
}

impl ScanRestriction {
    /// Whether a rowset is read that holds the data versions `versions` (first and last) of `partition`.
    ///
    /// # Errors
    /// `Conflict` when it cannot be told, or when it holds old and new rows together: the cell must then be computed as
    /// a whole. To read it anyway would count rows twice.
    pub fn reads_rowset(&self, partition: PartitionId, versions: Option<(u64, u64)>) -> Result<bool> {
        let Some(since) = self.since.get(&partition) else { return Ok(true) };
        match versions {
            Some((first, _)) if first > *since => Ok(true),
            Some((_, last)) if last <= *since => Ok(false),
            _ => Err(Error::conflict(format!(
                "partition {partition} has rows of before and after version {since} in one rowset: refresh the whole cell"
            ))),
        }
    }

    /// Whether anything is read of `partition`, whose rows are those of data version `visible`.
    #[must_use]
    pub fn reads(&self, partition: PartitionId, visible: u64) -> bool {
        let chosen = self.partitions.as_ref().is_none_or(|only| only.contains(&partition));
        chosen && self.since.get(&partition).is_none_or(|since| visible > *since)
    }
}

/// The restrictions of one query, by table.
pub(crate) type Restrictions = BTreeMap<TableId, Arc<ScanRestriction>>;

/// The table that a scan reads; `None` for what is not in the catalog.
pub(crate) fn table_of(scan: &TableScan) -> Option<Arc<Table>> {
    table_of_source(&scan.source)
}

/// The same, when the scan reads all of it: a part of a table does not stand for the table.
pub(crate) fn whole_table_of(scan: &TableScan) -> Option<Arc<Table>> {
    let provider = source_as_provider(&scan.source).ok()?;
    #[cfg(test)]
    if provider.downcast_ref::<super::tests::TestTable>().is_some_and(|t| t.only.is_some()) {
        return None;
    }
    match provider.downcast_ref::<TabletTable>() {
        Some(table) if table.is_restricted() => None,
        _ => table_of(scan),
    }
}

fn table_of_source(source: &Arc<dyn TableSource>) -> Option<Arc<Table>> {
    let provider = source_as_provider(source).ok()?;
    #[cfg(test)]
    if let Some(table) = provider.downcast_ref::<super::tests::TestTable>() {
        return Some(Arc::clone(&table.table));
    }
    provider.downcast_ref::<TabletTable>().map(|table| Arc::clone(table.table()))
}

/// Calls `found` with each table that `plan` reads, in subqueries of expressions too.
pub(crate) fn each_table(plan: &LogicalPlan, found: &mut dyn FnMut(&Arc<Table>)) {
    use datafusion::common::tree_node::TreeNodeRecursion;
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = table_of(scan)
        {
            found(&table);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rowsets_are_read_when_all_of_them_is_new() {
        let since = BTreeMap::from([(PartitionId(1), 3)]);
        let restriction = ScanRestriction { partitions: None, since };
        let check = |versions, expected: Option<bool>| {
            assert_eq!(restriction.reads_rowset(PartitionId(1), versions).ok(), expected, "{versions:?}");
        };
        check(Some((4, 5)), Some(true));
        check(Some((1, 3)), Some(false));
        check(Some((3, 4)), None);
        check(None, None);
        assert!(restriction.reads_rowset(PartitionId(2), None).unwrap());
        let reads = |partition, visible| restriction.reads(PartitionId(partition), visible);
        assert!(reads(1, 4) && !reads(1, 3) && reads(2, 1), "without new rows the manifest is not even read");
    }
}
