//! A Cairn table as DataFusion sees it: the segments of its visible partitions at one catalog state.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use cairn_catalog::{Catalog, Distribution, OlapTable, Partition, Table};
use cairn_ingest::arrow_schema;
use cairn_storage::manifest::Segment;
use cairn_types::TableId;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::engine::QueryContext;
use crate::error::to_datafusion;
use crate::mview::{ScanRestriction, implied};
use crate::prepared::{PreparedManifest, PreparedSegment, merge};
use crate::prune;
use crate::tablets::{SegmentReaders, SegmentRef, Tablets};

/// Segments with fewer rows together are read by one task.
const PARTED_ROWS_MIN: u64 = 64 << 10;
/// Manifests that one scan loads at once.
const MANIFESTS_AT_ONCE: usize = 16;

/// What a scan reads of a table, for `EXPLAIN`: `selected` of `total`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScanInfo {
    pub table: String,
    pub is_mview: bool,
    pub partitions: (usize, usize),
    pub tablets: (usize, usize),
    pub segments: (usize, usize),
    pub rows: u64,
    pub bytes: u64,
}

impl fmt::Display for ScanInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "TABLE: {}", self.table)?;
        if self.is_mview {
            writeln!(f, "MaterializedView: true")?;
        }
        writeln!(f, "partitions={}/{}", self.partitions.0, self.partitions.1)?;
        writeln!(f, "tabletRatio={}/{}", self.tablets.0, self.tablets.1)?;
        writeln!(f, "segments={}/{}", self.segments.0, self.segments.1)?;
        write!(f, "cardinality={} dataSize={}", self.rows, self.bytes)
    }
}

/// The scans of one query, in the order in which they were planned.
#[derive(Default)]
pub(crate) struct ScanLog {
    infos: Mutex<Vec<Arc<ScanInfo>>>,
    /// Only where they are asked for: they hold the list of all segments.
    scans: Option<Mutex<Vec<Scan>>>,
}

/// A scan as it was planned.
#[derive(Clone)]
pub(crate) struct Scan {
    pub table: TableId,
    /// The columns that it gives, by position in the table.
    pub projection: Vec<usize>,
    /// Whether it gives all rows that the context lets be read, whatever the query asks for.
    pub unfiltered: bool,
    pub exec: Arc<dyn ExecutionPlan>,
}

impl ScanLog {
    pub(crate) fn keeping_plans() -> Arc<Self> {
        Arc::new(Self { infos: Mutex::default(), scans: Some(Mutex::default()) })
    }

    fn add(&self, info: Arc<ScanInfo>, scan: Scan) {
        self.infos.lock().push(info);
        if let Some(scans) = &self.scans {
            scans.lock().push(scan);
        }
    }

    pub(crate) fn infos(&self) -> Vec<Arc<ScanInfo>> {
        self.infos.lock().clone()
    }

    /// The scans since the last call, where they are kept.
    pub(crate) fn take_scans(&self) -> Vec<Scan> {
        self.scans.as_ref().map(|scans| std::mem::take(&mut *scans.lock())).unwrap_or_default()
    }

    /// Begins anew.
    pub(crate) fn clear(&self) {
        self.infos.lock().clear();
        self.take_scans();
    }
}

/// What a scan is going to read.
struct Selection {
    segments: Vec<SegmentRef>,
    /// Of all segments together.
    statistics: Statistics,
    info: ScanInfo,
}

/// A table at one catalog state.
pub(crate) struct TabletTable {
    catalog: Arc<Catalog>,
    table: Arc<Table>,
    /// Of all columns.
    schema: SchemaRef,
    /// Of those that a scan gives: the first ones.
    shown: SchemaRef,
    tablets: Arc<Tablets>,
    log: Arc<ScanLog>,
    restriction: Option<Arc<ScanRestriction>>,
}

impl fmt::Debug for TabletTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TabletTable").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl TabletTable {
    /// `table` at the catalog state of `context`, of which the context may let only a part be read.
    pub(crate) fn of(context: &QueryContext, table: &Arc<Table>) -> Self {
        Self::restricted(context, table, context.restrictions.get(&table.id).cloned())
    }

    /// Of `table` what `restriction` lets be read.
    pub(crate) fn restricted(
        context: &QueryContext,
        table: &Arc<Table>,
        restriction: Option<Arc<ScanRestriction>>,
    ) -> Self {
        Self::new(
            Arc::clone(&context.catalog),
            Arc::clone(table),
            Arc::clone(&context.engine.tablets),
            Arc::clone(&context.scans),
            restriction,
        )
    }

    pub(crate) fn new(
        catalog: Arc<Catalog>,
        table: Arc<Table>,
        tablets: Arc<Tablets>,
        log: Arc<ScanLog>,
        restriction: Option<Arc<ScanRestriction>>,
    ) -> Self {
        let schema = arrow_schema(table.schema());
        let visible = table.schema().visible().len();
        let shown = match schema.fields().get(..visible) {
            Some(fields) if visible < schema.fields().len() => Arc::new(Schema::new(fields.to_vec())),
            _ => Arc::clone(&schema),
        };
        Self { catalog, table, schema, shown, tablets, log, restriction }
    }

    /// The same with the columns that users do not see.
    pub(crate) fn with_hidden(mut self) -> Self {
        self.shown = Arc::clone(&self.schema);
        self
    }

    /// What rows must pass, with what follows of them for the columns that ranges are known of; `None`: nothing.
    fn filter(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        if filters.is_empty() {
            return Ok(None);
        }
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let implied = implied(filters, &schema);
        let all = conjunction(filters.iter().cloned().chain(implied));
        all.map(|filter| state.create_physical_expr(filter, &schema)).transpose()
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub(crate) fn is_restricted(&self) -> bool {
        self.restriction.is_some()
    }

    fn olap(&self) -> Result<&OlapTable> {
        self.table.olap().ok_or_else(|| {
            to_datafusion(cairn_types::Error::internal(format!(
                "'{}' is a view, planned as a table",
                self.table.name
            )))
        })
    }

    /// The partitions that have rows and that `filter` can touch, and how many the table has.
    fn select_partitions(
        &self,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<(Vec<Arc<Partition>>, usize)> {
        let olap = self.olap()?;
        let mut all: Vec<Arc<Partition>> = self.catalog.partitions_of(olap).cloned().collect();
        let total = all.len();
        if let Some(restriction) = &self.restriction {
            all.retain(|p| restriction.reads(p.id, p.visible_version()));
        }
        let keep = match filter {
            // What cannot be told is kept, and its rows are filtered.
            Some(filter) => {
                prune::partitions(filter, &self.schema, olap, &all).unwrap_or_else(|_| vec![true; all.len()])
            }
            None => vec![true; all.len()],
        };
        let touched = all.into_iter().zip(keep).filter(|(p, keep)| *keep && p.visible().is_some());
        Ok((touched.map(|(p, _)| p).collect(), total))
    }

    /// The segments that `filter` can touch, with what was left out.
    async fn select(&self, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<Selection> {
        let (partitions, partitions_total) = self.select_partitions(filter)?;
        let manifests: Vec<(Arc<Partition>, Arc<PreparedManifest>)> = futures::stream::iter(partitions)
            .map(|partition| async move {
                let manifest = self.tablets.prepared(&self.catalog, &partition, &self.schema).await;
                Ok::<_, datafusion::error::DataFusionError>((partition, manifest.map_err(to_datafusion)?))
            })
            .buffered(MANIFESTS_AT_ONCE)
            .try_collect()
            .await?;
        let keys = self.bucket_keys(filter)?;
        let (mut tablets, mut segments_total) = ((0, 0), 0);
        let mut touched: Vec<(&Partition, &PreparedSegment)> = Vec::new();
        for (partition, manifest) in &manifests {
            let buckets = self.select_buckets(keys.as_deref(), partition)?;
            tablets.0 += buckets.iter().filter(|b| **b).count();
            tablets.1 += buckets.len();
            segments_total += manifest.segments.len();
            for segment in &manifest.segments {
                let in_bucket = buckets.get(segment.bucket as usize).copied().unwrap_or(true);
                if in_bucket && self.reads(partition, segment)? {
                    touched.push((&**partition, segment));
                }
            }
        }
        if let Some(filter) = filter {
            let zone_maps: Vec<Arc<Segment>> = touched.iter().map(|(_, s)| Arc::clone(&s.segment)).collect();
            if let Ok(keep) = prune::segments(filter, &self.schema, &zone_maps) {
                let mut keep = keep.into_iter();
                touched.retain(|_| keep.next().unwrap_or(true));
            }
        }
        let statistics = match touched.len() == segments_total {
            true => merge(&self.schema, manifests.iter().map(|(_, m)| &m.statistics)),
            false => merge(&self.schema, touched.iter().map(|(_, s)| &*s.statistics)),
        };
        let mut selected = Vec::with_capacity(touched.len());
        for (partition, segment) in touched {
            selected.push(self.tablets.segment(&self.catalog, partition, segment).map_err(to_datafusion)?);
        }
        let info = ScanInfo {
            table: self.table.name.clone(),
            is_mview: self.table.mview().is_some(),
            partitions: (manifests.len(), partitions_total),
            tablets,
            segments: (selected.len(), segments_total),
            rows: selected.iter().map(|s| s.segment.live_rows()).sum(),
            bytes: selected.iter().map(|s| s.segment.bytes).sum(),
        };
        Ok(Selection { segments: selected, statistics, info })
    }

    /// Whether the scan is not restricted to leave `segment` out.
    fn reads(&self, partition: &Partition, segment: &PreparedSegment) -> Result<bool> {
        let Some(restriction) = &self.restriction else { return Ok(true) };
        restriction.reads_rowset(partition.id, segment.versions).map_err(to_datafusion)
    }

    /// The keys that the bucket columns of rows that pass `filter` can have; `None`: any.
    fn bucket_keys(&self, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<Option<Vec<ArrayRef>>> {
        match (filter, &self.olap()?.distribution) {
            (Some(filter), Distribution::Hash { columns, .. }) => {
                prune::bucket_keys(filter, &self.schema, columns)
            }
            _ => Ok(None),
        }
    }

    /// For each bucket of `partition`, whether rows with `keys` can be in it.
    fn select_buckets(&self, keys: Option<&[ArrayRef]>, partition: &Partition) -> Result<Vec<bool>> {
        let count = partition.buckets as usize;
        let Some(keys) = keys else { return Ok(vec![true; count]) };
        let mut touched = vec![false; count];
        for bucket in self.tablets.buckets_of(keys, partition.buckets).map_err(to_datafusion)? {
            if let Some(slot) = touched.get_mut(bucket as usize) {
                *slot = true;
            }
        }
        Ok(touched)
    }
}

#[async_trait]
impl TableProvider for TabletTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shown)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Segments are left out by statistics; the rows that pass are DataFusion's to filter.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.shown.fields().len()).collect());
        let filter = self.filter(state, filters)?;
        let Selection { segments, statistics, info } = self.select(filter.as_ref()).await?;
        let info = Arc::new(info);
        let exec: Arc<dyn ExecutionPlan> = match segments.is_empty() {
            true => {
                let schema = datafusion::common::project_schema(&self.schema, Some(&projection))?;
                Arc::new(EmptyExec::new(schema))
            }
            false => {
                let segments = segments.into_iter().map(|s| s.with_info(&info)).collect();
                self.read(state, segments, statistics, &projection, filter.as_ref(), limit)?
            }
        };
        let unfiltered = filters.is_empty() && limit.is_none();
        let scan = Scan { table: self.table.id, projection, unfiltered, exec: Arc::clone(&exec) };
        self.log.add(info, scan);
        Ok(exec)
    }
}

impl TabletTable {
    /// What reads `segments`, of which there is one at least.
    fn read(
        &self,
        state: &dyn Session,
        segments: Vec<SegmentRef>,
        statistics: Statistics,
        projection: &[usize],
        filter: Option<&Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let readers: Arc<dyn ParquetFileReaderFactory> = Arc::new(SegmentReaders);
        // The filter itself comes back with the optimizer's pushdown, once.
        let lookup = match filter {
            Some(filter) => prune::is_lookup(filter, &self.schema, &self.olap()?.sort_key),
            None => false,
        };
        let groups = groups(segments, state.config().target_partitions(), lookup || limit.is_some());
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(readers)
            .with_pushdown_filters(lookup);
        let config = FileScanConfigBuilder::new(object_store_url()?, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(projection.to_vec()))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Files never go through DataFusion's object stores: [`SegmentReaders`] opens them. The name is a formality.
pub(crate) fn object_store_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse("cairn://segments")
}

/// Spreads segments over `count` groups. Where they are fewer than groups, each group gets a part of each, unless `few`
/// rows are wanted: opening a segment costs more than reading these.
fn groups(segments: Vec<SegmentRef>, count: usize, few: bool) -> Vec<FileGroup> {
    let rows: u64 = segments.iter().map(|s| s.segment.rows).sum();
    if few || segments.len() >= count || rows < PARTED_ROWS_MIN {
        return group(segments.into_iter().map(SegmentRef::into_file).collect(), count);
    }
    let parts = |number| segments.iter().filter_map(|s| s.part(number, count)).collect::<Vec<_>>();
    (0..count).map(parts).filter(|files| !files.is_empty()).map(FileGroup::new).collect()
}

/// Spreads files over `count` groups of about equal bytes; neighbours stay together.
fn group(files: Vec<PartitionedFile>, count: usize) -> Vec<FileGroup> {
    let total: u64 = files.iter().map(|f| f.object_meta.size).sum();
    let share = (total / count.max(1) as u64).max(1);
    let mut groups: Vec<FileGroup> = Vec::new();
    let (mut current, mut bytes) = (Vec::new(), 0);
    for file in files {
        bytes += file.object_meta.size;
        current.push(file);
        if bytes >= share && groups.len() + 1 < count {
            groups.push(FileGroup::new(std::mem::take(&mut current)));
            bytes = 0;
        }
    }
    if !current.is_empty() {
        groups.push(FileGroup::new(current));
    }
    groups
}
