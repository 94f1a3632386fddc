//! The way from a catalog's partitions to readers of their segments.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use cairn_catalog::{Catalog, Partition};
use cairn_env::Env;
use cairn_storage::hash::{bucket_of_hash, hash_rows};
use cairn_storage::manifest::{Segment, SegmentKind};
use cairn_storage::{SegmentReader, StorageContext};
use cairn_types::{PartitionId, Result};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetFileReaderFactory, ParquetRowSelection};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::async_reader::AsyncFileReader;

use crate::error::to_datafusion;
use crate::prepared::{PreparedManifest, PreparedManifests, PreparedSegment};
use crate::table::ScanInfo;

/// Parts of segments have a multiple of so many rows: that of a page.
const PART_ROWS: usize = 4 << 10;

/// The storage engine as scans use it.
pub struct Tablets {
    pub storage: Arc<StorageContext>,
    manifests: PreparedManifests,
}

/// A segment that a scan reads: travels with DataFusion's file.
#[derive(Clone)]
pub(crate) struct SegmentRef {
    pub(crate) partition: PartitionId,
    pub(crate) segment: Arc<Segment>,
    pub(crate) info: Option<Arc<ScanInfo>>,
    statistics: Arc<Statistics>,
    live: Option<BooleanBuffer>,
    reader: SegmentReader,
}

impl SegmentRef {
    /// The part `number` of `count` of its rows, as a file of its own: whole pages, as many in each part as in others. `None`:
    /// there are too few for this part to get any.
    pub(crate) fn part(&self, number: usize, count: usize) -> Option<PartitionedFile> {
        let rows = usize::try_from(self.segment.rows).unwrap_or(usize::MAX);
        let pages = rows.div_ceil(PART_ROWS);
        let edge = |part: usize| (pages * part / count * PART_ROWS).min(rows);
        let range = edge(number)..edge(number + 1);
        let range_rows = range.len();
        if range_rows == 0 {
            return None;
        }
        let selection = match &self.live {
            None => RowSelection::from_consecutive_ranges(std::iter::once(range), rows),
            Some(live) => {
                let mut mask = BooleanBufferBuilder::new(rows);
                mask.append_n(range.start, false);
                mask.append_buffer(&live.slice(range.start, range.len()));
                mask.append_n(rows - range.end, false);
                RowSelection::from_boolean_buffer(mask.finish())
            }
        };
        let mut statistics = Statistics::clone(&self.statistics).to_inexact();
        statistics.num_rows = Precision::Inexact(range_rows);
        let whole = Self { live: None, statistics: Arc::new(statistics), ..self.clone() };
        Some(whole.into_file().with_extension(ParquetRowSelection::new(selection)))
    }

    /// The file that DataFusion asks [`SegmentReaders`] for.
    pub(crate) fn into_file(self) -> PartitionedFile {
        let path = format!("{}/{}", self.partition, self.segment.file);
        let statistics = Arc::clone(&self.statistics);
        let live = self.live.clone();
        let file =
            PartitionedFile::new(path, self.segment.bytes).with_extension(self).with_statistics(statistics);
        match live {
            None => file,
            Some(live) => {
                file.with_extension(ParquetRowSelection::new(RowSelection::from_boolean_buffer(live)))
            }
        }
    }

    pub(crate) fn with_info(mut self, info: &Arc<ScanInfo>) -> Self {
        self.info = Some(Arc::clone(info));
        self
    }
}

impl Tablets {
    /// Reads through `storage`.
    #[must_use]
    pub fn new(storage: Arc<StorageContext>) -> Self {
        Self { storage, manifests: PreparedManifests::default() }
    }

    pub(crate) fn env(&self) -> &Env {
        &self.storage.env
    }

    /// The visible manifest of `partition`, ready for scans of a table of `schema`.
    pub(crate) async fn prepared(
        &self,
        catalog: &Catalog,
        partition: &Partition,
        schema: &SchemaRef,
    ) -> Result<Arc<PreparedManifest>> {
        let place = self.storage.volumes.place(catalog, partition)?;
        let manifest = self.storage.manifests.load_visible(&place, partition).await?;
        let name = partition.visible().map_or("", |version| &version.manifest.name);
        Ok(self.manifests.prepare(name, &manifest, schema))
    }

    pub(crate) fn segment(
        &self,
        catalog: &Catalog,
        partition: &Partition,
        prepared: &PreparedSegment,
    ) -> Result<SegmentRef> {
        let segment = &prepared.segment;
        let place = self.storage.volumes.place(catalog, partition)?;
        let reader =
            SegmentReader::open(&self.storage.cache, &place.store, &place.key(&segment.file), segment);
        let (segment, statistics) = (Arc::clone(segment), Arc::clone(&prepared.statistics));
        let live = prepared.live.clone();
        Ok(SegmentRef { partition: partition.id, segment, info: None, statistics, live, reader })
    }

    /// The bucket of each key; `keys` has one array a bucket column.
    pub(crate) fn buckets_of(&self, keys: &[ArrayRef], buckets: u32) -> Result<Vec<u32>> {
        let rows = keys.first().map_or(0, |k| k.len());
        Ok(hash_rows(keys, rows)?.into_iter().map(|hash| bucket_of_hash(hash, buckets)).collect())
    }
}

/// Opens segments for DataFusion's Parquet source.
pub(crate) struct SegmentReaders;

impl fmt::Debug for SegmentReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentReaders")
    }
}

impl ParquetFileReaderFactory for SegmentReaders {
    fn create_reader(
        &self,
        _partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let segment = file.extension::<SegmentRef>().ok_or_else(|| {
            to_datafusion(cairn_types::Error::internal(format!("file {} is no segment", file.path())))
        })?;
        match segment.segment.kind {
            SegmentKind::Parquet => Ok(Box::new(segment.reader.clone())),
        }
    }
}
