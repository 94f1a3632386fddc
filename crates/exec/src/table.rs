//! A Cairn table as DataFusion sees it: the segments of its visible partitions at one catalog state.

use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use cairn_catalog::{Catalog, Distribution, OlapTable, Partition, Table};
use cairn_ingest::arrow_schema;
use cairn_storage::manifest::{Manifest, Segment};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Result, Statistics};
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
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt};

use crate::error::to_datafusion;
use crate::literal::scalar;
use crate::mview::ScanRestriction;
use crate::prune;
use crate::tablets::{SegmentReaders, SegmentRef, Tablets};

/// Manifests that one scan loads at once.
const MANIFESTS_AT_ONCE: usize = 16;

/// What a scan reads of a table, for `EXPLAIN`: `selected` of `total`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScanInfo {
    pub table: String,
    pub partitions: (usize, usize),
    pub tablets: (usize, usize),
    pub segments: (usize, usize),
    pub rows: u64,
    pub bytes: u64,
}

impl fmt::Display for ScanInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "TABLE: {}", self.table)?;
        writeln!(f, "partitions={}/{}", self.partitions.0, self.partitions.1)?;
        writeln!(f, "tabletRatio={}/{}", self.tablets.0, self.tablets.1)?;
        writeln!(f, "segments={}/{}", self.segments.0, self.segments.1)?;
        write!(f, "cardinality={} dataSize={}", self.rows, self.bytes)
    }
}

/// The scans of one query, in the order in which they were planned.
pub(crate) type ScanLog = Arc<Mutex<Vec<Arc<ScanInfo>>>>;

/// A table at one catalog state.
pub(crate) struct TabletTable {
    catalog: Arc<Catalog>,
    table: Arc<Table>,
    schema: SchemaRef,
    tablets: Arc<Tablets>,
    log: ScanLog,
    restriction: Option<Arc<ScanRestriction>>,
}

impl fmt::Debug for TabletTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TabletTable").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl TabletTable {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        table: Arc<Table>,
        tablets: Arc<Tablets>,
        log: ScanLog,
        restriction: Option<Arc<ScanRestriction>>,
    ) -> Self {
        let schema = arrow_schema(table.schema());
        Self { catalog, table, schema, tablets, log, restriction }
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
            all.retain(|p| restriction.reads(p.id));
        }
        let keep = match filter {
            Some(filter) => prune::partitions(filter, &self.schema, olap, &all)?,
            None => vec![true; all.len()],
        };
        let touched = all.into_iter().zip(keep).filter(|(p, keep)| *keep && p.visible().is_some());
        Ok((touched.map(|(p, _)| p).collect(), total))
    }

    /// The segments that `filter` can touch, with what was left out.
    async fn select(&self, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<(Vec<SegmentRef>, ScanInfo)> {
        let (partitions, partitions_total) = self.select_partitions(filter)?;
        let manifests: Vec<(Arc<Partition>, Arc<Manifest>)> = futures::stream::iter(partitions)
            .map(|partition| async move {
                let manifest =
                    self.tablets.manifest(&self.catalog, &partition).await.map_err(to_datafusion)?;
                Ok::<_, datafusion::error::DataFusionError>((partition, manifest))
            })
            .buffered(MANIFESTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut selected = Vec::new();
        let (mut tablets, mut segments_total) = ((0, 0), 0);
        for (partition, manifest) in &manifests {
            let buckets = self.select_buckets(filter, partition)?;
            tablets.0 += buckets.iter().filter(|b| **b).count();
            tablets.1 += buckets.len();
            segments_total += manifest.segments().count();
            let in_buckets =
                manifest.segments().filter(|(r, _)| buckets.get(r.bucket as usize).copied().unwrap_or(true));
            for (rowset, segment) in in_buckets {
                // The version range of a rowset is not in the manifest yet.
                let (versions, _) = (None, rowset);
                let restriction = self.restriction.as_ref();
                let reads = restriction.map_or(Ok(true), |r| r.reads_rowset(partition.id, versions));
                if !reads.map_err(to_datafusion)? {
                    continue;
                }
                selected
                    .push(self.tablets.segment(&self.catalog, partition, segment).map_err(to_datafusion)?);
            }
        }
        if let Some(filter) = filter {
            let zone_maps: Vec<Arc<Segment>> = selected.iter().map(|s| Arc::clone(&s.segment)).collect();
            let mut keep = prune::segments(filter, &self.schema, &zone_maps)?.into_iter();
            selected.retain(|_| keep.next().unwrap_or(true));
        }
        let info = ScanInfo {
            table: self.table.name.clone(),
            partitions: (manifests.len(), partitions_total),
            tablets,
            segments: (selected.len(), segments_total),
            rows: selected.iter().map(|s| s.segment.rows).sum(),
            bytes: selected.iter().map(|s| s.segment.bytes).sum(),
        };
        Ok((selected, info))
    }

    /// For each bucket of `partition`, whether rows that pass `filter` can be in it.
    fn select_buckets(
        &self,
        filter: Option<&Arc<dyn PhysicalExpr>>,
        partition: &Partition,
    ) -> Result<Vec<bool>> {
        let count = partition.buckets as usize;
        let all = vec![true; count];
        let (Some(filter), Distribution::Hash { columns, .. }) = (filter, &self.olap()?.distribution) else {
            return Ok(all);
        };
        let Some(keys) = prune::bucket_keys(filter, &self.schema, columns)? else { return Ok(all) };
        let mut touched = vec![false; count];
        for bucket in self.tablets.buckets_of(&keys, partition.buckets).map_err(to_datafusion)? {
            if let Some(slot) = touched.get_mut(bucket as usize) {
                *slot = true;
            }
        }
        Ok(touched)
    }

    fn file(&self, segment: SegmentRef) -> PartitionedFile {
        let statistics = Arc::new(statistics(&self.schema, std::slice::from_ref(&segment)));
        let path = format!("{}/{}", segment.partition, segment.segment.file);
        PartitionedFile::new(path, segment.segment.bytes).with_extension(segment).with_statistics(statistics)
    }
}

#[async_trait]
impl TableProvider for TabletTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
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
        let filter = match conjunction(filters.iter().cloned()) {
            Some(filter) => {
                let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
                Some(state.create_physical_expr(filter, &schema)?)
            }
            None => None,
        };
        let (segments, info) = self.select(filter.as_ref()).await?;
        let info = Arc::new(info);
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::clone(&info));
        if segments.is_empty() {
            let schema = datafusion::common::project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let statistics = statistics(&self.schema, &segments);
        let groups = group(
            segments.into_iter().map(|s| self.file(s.with_info(&info))).collect(),
            state.config().target_partitions(),
        );
        let readers: Arc<dyn ParquetFileReaderFactory> = Arc::new(SegmentReaders);
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(readers);
        if let Some(filter) = filter {
            source = source.with_predicate(filter);
        }
        let config = FileScanConfigBuilder::new(object_store_url()?, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Files never go through DataFusion's object stores: [`SegmentReaders`] opens them. The name is a formality.
pub(crate) fn object_store_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse("cairn://segments")
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

/// What the zone maps say of all `segments` together.
fn statistics(schema: &SchemaRef, segments: &[SegmentRef]) -> Statistics {
    let rows: u64 = segments.iter().map(|s| s.segment.rows).sum();
    let bytes: u64 = segments.iter().map(|s| s.segment.bytes).sum();
    Statistics {
        num_rows: Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX)),
        column_statistics: schema.fields().iter().map(|field| column_statistics(field, segments)).collect(),
    }
}

fn column_statistics(field: &arrow::datatypes::Field, segments: &[SegmentRef]) -> ColumnStatistics {
    let mut merged = ColumnStatistics::new_unknown();
    let (mut nulls, mut exact) = (0, true);
    let (mut min, mut max): (Option<&cairn_types::Literal>, Option<&cairn_types::Literal>) = (None, None);
    for segment in segments {
        let stats = segment.segment.columns.iter().find(|c| c.name.eq_ignore_ascii_case(field.name()));
        let Some(stats) = stats else { return merged };
        nulls += stats.nulls;
        exact &= stats.exact;
        let all_null = stats.nulls == segment.segment.rows;
        match (&stats.min, &stats.max) {
            (Some(low), Some(high)) => {
                min = Some(min.map_or(low, |m| m.min(low)));
                max = Some(max.map_or(high, |m| m.max(high)));
            }
            _ if all_null => {}
            _ => return merged,
        }
    }
    let precise = |literal: Option<&cairn_types::Literal>| match literal.map(|l| scalar(l, field.data_type()))
    {
        Some(value) if value.is_null() => Precision::Absent,
        Some(value) if exact && !matches!(value, ScalarValue::Float32(_) | ScalarValue::Float64(_)) => {
            Precision::Exact(value)
        }
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    };
    merged.null_count = Precision::Exact(usize::try_from(nulls).unwrap_or(usize::MAX));
    merged.min_value = precise(min);
    merged.max_value = precise(max);
    merged
}
