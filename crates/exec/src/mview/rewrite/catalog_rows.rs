//! The rows of an MV at one catalog state.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::{Bounds, Catalog, Table};
use cairn_types::{PartitionId, TableId};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::TableSource;

use super::candidate::ViewRows;
use super::options::CandidateUse;
use crate::mview::ScanRestriction;
use crate::table::{ScanLog, TabletTable};
use crate::tablets::Tablets;

/// An MV's rows in the catalog's partitions.
pub(super) struct CatalogRows {
    pub catalog: Arc<Catalog>,
    pub table: Arc<Table>,
    pub usable: CandidateUse,
    pub tablets: Arc<Tablets>,
    pub log: Arc<ScanLog>,
}

impl ViewRows for CatalogRows {
    fn source(&self, only: Option<Vec<PartitionId>>) -> Arc<dyn TableSource> {
        let restriction =
            only.map(|ids| Arc::new(ScanRestriction { partitions: Some(ids), since: BTreeMap::new() }));
        let rows = TabletTable::new(
            Arc::clone(&self.catalog),
            Arc::clone(&self.table),
            Arc::clone(&self.tablets),
            Arc::clone(&self.log),
            restriction,
        );
        provider_as_source(Arc::new(rows.with_hidden()))
    }

    fn cells(&self) -> Option<Vec<(PartitionId, Bounds)>> {
        match &self.usable {
            CandidateUse::All => None,
            CandidateUse::No(_) => Some(Vec::new()),
            CandidateUse::Partitions(ids) => {
                // Only what is still there: a partition that was dropped has no rows.
                let olap = self.table.olap()?;
                let partitions = self.catalog.partitions_of(olap).filter(|p| ids.contains(&p.id));
                Some(partitions.map(|p| (p.id, p.bounds.clone())).collect())
            }
        }
    }

    fn count(&self, only: Option<&[PartitionId]>) -> Option<u64> {
        match only {
            None => rows_of(&self.catalog, self.table.id),
            Some(ids) => {
                let rows = |id: &PartitionId| Some(self.catalog.partition(*id)?.visible()?.manifest.rows);
                Some(ids.iter().filter_map(rows).sum())
            }
        }
    }
}

/// The rows of a table.
pub(super) fn rows_of(catalog: &Catalog, id: TableId) -> Option<u64> {
    let olap = catalog.table(id)?.olap()?;
    let rows = catalog.partitions_of(olap).filter_map(|p| Some(p.visible()?.manifest.rows));
    Some(rows.sum())
}
