//! Takes in the rows of one load and writes them as segments, in bounded memory. Nothing is visible before a commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal256Type, SchemaRef};
use cairn_catalog::{Catalog, Command, PartitionSpec, Reply};
use cairn_types::{DbId, Error, ErrorKind, PartitionId, Result, TableId};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::buffer::{Buffer, batch_bytes, without_dead_strings};
use crate::context::{StorageContext, visible_partition, visible_table};
use crate::flush::{FlushTarget, Flushed, discard};
use crate::manifest::Rowset;
use crate::open_writes::WriteGuard;
use crate::route::{NO_TABLET, OUT_OF_RANGE, Router, Tablet};
use crate::segment::SegmentShape;
use crate::uploads::Uploads;
use crate::volumes::PartitionPlace;

/// What becomes of a row that no partition takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unroutable {
    /// The load fails.
    #[default]
    Fail,
    /// [`LoadWriter::write`] names the row and goes on without it.
    Skip,
}

/// How a load is to be written.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Memory for rows that wait. Half of it is being filled while the other half is being written.
    pub memory_bytes_max: usize,
    /// `INSERT INTO t PARTITION (…)`: only these partitions, and none is made.
    pub only: Option<Vec<PartitionId>>,
    pub unroutable: Unroutable,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 512 << 20, only: None, unroutable: Unroutable::Fail }
    }
}

/// A load into one table that is being written. Dropping it gives the load up; its files are the vacuum's then.
pub struct LoadWriter {
    ctx: Arc<StorageContext>,
    db: DbId,
    table: TableId,
    options: LoadOptions,
    schema: SchemaRef,
    router: Router,
    buffer: Buffer,
    target: Arc<FlushTarget>,
    /// The flush that is under way.
    flushing: Option<JoinHandle<Result<Vec<Flushed>>>>,
    flushed: Vec<Flushed>,
    rows: u64,
    partitions_made: usize,
}

impl LoadWriter {
    /// Begins a load into the visible table `table`.
    ///
    /// # Errors
    /// `UnknownTable`, `Analysis` (a view), `Conflict` (a partition that is gone), `Unavailable` (its volume).
    pub fn new(ctx: Arc<StorageContext>, table: TableId, options: LoadOptions) -> Result<Self> {
        let catalog = ctx.meta.catalog();
        let (entry, olap) = visible_table(&catalog, table)?;
        let first_bucket = u32::try_from(ctx.env.random_u64() & 0xffff).unwrap_or(0);
        let router = Router::new(&catalog, olap, options.only.as_deref(), first_bucket)?;
        let shape = SegmentShape::of(olap);
        let target = FlushTarget {
            env: ctx.env.clone(),
            cache: Arc::clone(&ctx.cache),
            shape: shape.clone(),
            write: Arc::new(ctx.open_writes.begin(&ctx.env)),
            encode_permits: Arc::clone(&ctx.encode_permits),
            places: Mutex::default(),
            next_file: AtomicU64::new(0),
            files: Mutex::default(),
            uploads: Arc::default(),
            cancelled: AtomicBool::new(false),
        };
        let places = catalog.partitions_of(olap).map(|p| Ok((p.id, ctx.volumes.place(&catalog, p)?)));
        *target.places.lock() = places.collect::<Result<HashMap<_, _>>>()?;
        Ok(Self {
            db: entry.db,
            table,
            options,
            schema: shape.schema,
            router,
            buffer: Buffer::default(),
            target: Arc::new(target),
            flushing: None,
            flushed: Vec::new(),
            rows: 0,
            partitions_made: 0,
            ctx,
        })
    }

    /// The columns that batches must have.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes in `batch`, whose columns are exactly the table's. Waits when memory is used up. Returns the positions of
    /// rows that no partition takes ([`Unroutable::Skip`]).
    ///
    /// # Errors
    /// `DataQuality` for a row that no partition takes ([`Unroutable::Fail`]); `InvalidValue` for a NULL in a NOT NULL
    /// column; `ResourceExhausted` (a full volume, too many partitions); `Unavailable`. The load cannot go on then.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<Vec<u32>> {
        let batch = self.checked(batch)?;
        // A batch that alone is over the budget is taken in parts.
        let budget = (self.options.memory_bytes_max / 2).max(1);
        let parts = (batch_bytes(&batch) / budget + 1).min(batch.num_rows().max(1));
        let part_rows = batch.num_rows().div_ceil(parts).max(1);
        let mut skipped = Vec::new();
        for start in (0..batch.num_rows()).step_by(part_rows) {
            let part = batch.slice(start, part_rows.min(batch.num_rows() - start));
            let offset = u32::try_from(start).unwrap_or(u32::MAX);
            skipped.extend(self.write_part(part).await?.into_iter().map(|row| row.saturating_add(offset)));
        }
        Ok(skipped)
    }

    async fn write_part(&mut self, batch: RecordBatch) -> Result<Vec<u32>> {
        let slots = self.router.locate(&batch)?;
        self.make_partitions().await?;
        let tablets = self.router.tablets(&batch, &slots)?;
        let skipped: Vec<u32> =
            (0u32..).zip(&tablets).filter(|(_, tablet)| **tablet == NO_TABLET).map(|(row, _)| row).collect();
        if let Some(row) = skipped.first()
            && self.options.unroutable == Unroutable::Fail
        {
            let row = self.rows + u64::from(*row) + 1;
            return Err(Error::new(ErrorKind::DataQuality, format!("Row {row}: {OUT_OF_RANGE}")));
        }
        self.rows += (batch.num_rows() - skipped.len()) as u64;
        self.buffer.push(batch, tablets)?;
        if self.buffer.bytes() >= self.options.memory_bytes_max / 2 {
            self.start_flush().await?;
        }
        Ok(skipped)
    }

    /// Refuses what would break the table's promises, wherever the batch comes from.
    fn checked(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let fields = self.schema.fields();
        let same = fields.len() == batch.num_columns()
            && fields.iter().zip(batch.columns()).all(|(f, c)| f.data_type() == c.data_type());
        if !same {
            return Err(Error::internal(format!(
                "a batch with columns {} was written to a table with columns {}",
                batch.schema(),
                self.schema
            )));
        }
        for (field, column) in fields.iter().zip(batch.columns()) {
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(Error::invalid_value(format!(
                    "NULL value in non-nullable column '{}'",
                    field.name()
                )));
            }
            if let DataType::Decimal256(..) = field.data_type()
                && column.as_primitive::<Decimal256Type>().iter().flatten().any(|v| v.to_i128().is_none())
            {
                return Err(Error::invalid_value(format!(
                    "value out of range of LARGEINT column '{}'",
                    field.name()
                )));
            }
        }
        let named = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec());
        without_dead_strings(named.map_err(crate::arrow_error)?)
    }

    /// Makes the partitions that rows of the last batch need.
    async fn make_partitions(&mut self) -> Result<()> {
        let specs = self.router.take_pending();
        if specs.is_empty() {
            return Ok(());
        }
        self.partitions_made += specs.len();
        let most = cairn_types::limits::PARTITIONS_PER_LOAD_MAX;
        if self.partitions_made > most {
            return Err(Error::resource_exhausted(format!(
                "the load needs more than {most} new partitions: check the partition column's values, or load in parts"
            )));
        }
        let command =
            Command::CreatePartitions { table: self.table, partitions: specs.clone(), if_not_exists: true };
        let Reply::Partitions(ids) = self.ctx.meta.propose(command).await? else {
            return Err(Error::internal("partitions were made, but not named"));
        };
        let catalog = self.ctx.meta.catalog();
        specs.iter().zip(ids).try_for_each(|(spec, id)| self.use_partition(&catalog, spec, id))
    }

    fn use_partition(&mut self, catalog: &Catalog, spec: &PartitionSpec, id: PartitionId) -> Result<()> {
        let partition = visible_partition(catalog, id)?;
        self.router.made(spec, partition)?;
        let place = self.ctx.volumes.place(catalog, partition)?;
        self.target.places.lock().insert(id, place);
        Ok(())
    }

    /// Hands the buffer over to be written, after the one before it.
    async fn start_flush(&mut self) -> Result<()> {
        self.finish_flush().await?;
        if self.buffer.rows() == 0 {
            self.buffer = Buffer::default();
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let count = u32::try_from(self.router.tablet_count()).unwrap_or(u32::MAX);
        let tablets: Vec<Tablet> = (0..count).filter_map(|number| self.router.tablet(number)).collect();
        let flush = Arc::clone(&self.target).flush(buffer, tablets);
        self.flushing = Some(self.ctx.env.spawn("load.flush", flush));
        Ok(())
    }

    async fn finish_flush(&mut self) -> Result<()> {
        if let Some(flushing) = self.flushing.take() {
            let flushed =
                flushing.await.map_err(|e| Error::internal(format!("writing segments failed: {e}")))??;
            self.flushed.extend(flushed);
        }
        Ok(())
    }

    /// Writes what is left. The rows become visible when the result is committed; small files may be under way until then.
    ///
    /// # Errors
    /// As [`LoadWriter::write`]; the files of a failed load are deleted.
    pub async fn finish(mut self) -> Result<Written> {
        match self.try_finish().await {
            Ok(()) => Ok(self.written()),
            Err(e) => {
                self.abort().await;
                Err(e)
            }
        }
    }

    async fn try_finish(&mut self) -> Result<()> {
        self.start_flush().await?;
        self.finish_flush().await?;
        self.ctx.env.failpoint("load.after_segments")
    }

    fn written(&mut self) -> Written {
        let mut tablets: BTreeMap<(PartitionId, u32), Vec<_>> = BTreeMap::new();
        for flushed in self.flushed.drain(..) {
            tablets
                .entry((flushed.tablet.partition, flushed.tablet.bucket))
                .or_default()
                .push(flushed.segment);
        }
        let mut partitions: BTreeMap<PartitionId, Vec<Rowset>> = BTreeMap::new();
        for ((partition, bucket), mut segments) in tablets {
            // Equal loads make equal manifests, whatever the order in which threads were done.
            segments.sort_by(|a, b| (a.file.len(), &a.file).cmp(&(b.file.len(), &b.file)));
            let write = self.target.write.id().to_owned();
            // The commit knows the version that it makes.
            let rowset = Rowset { write, bucket, segments, versions: None };
            partitions.entry(partition).or_default().push(rowset);
        }
        let segments = partitions.values().flatten().flat_map(|r| &r.segments);
        let bytes = segments.map(|s| s.bytes).sum();
        Written {
            db: self.db,
            table: self.table,
            rows: self.rows,
            bytes,
            partitions,
            only: self.options.only.clone(),
            guard: Arc::clone(&self.target.write),
            uploads: Arc::clone(&self.target.uploads),
            files: std::mem::take(&mut *self.target.files.lock()),
        }
    }

    /// Gives the load up and deletes its files, as far as that is possible now.
    pub async fn abort(mut self) {
        self.target.cancelled.store(true, Ordering::Relaxed);
        // Its error, if any, is of no interest any more; but no file may come after the clean-up.
        let _ = self.finish_flush().await;
        let _ = self.target.uploads.finish().await;
        let files = std::mem::take(&mut *self.target.files.lock());
        discard(&files).await;
    }

    /// Rows taken in so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Drop for LoadWriter {
    fn drop(&mut self) {
        self.target.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The files of a load that wait for a commit. Dropping it leaves them to the vacuum.
#[derive(Debug)]
pub struct Written {
    pub db: DbId,
    pub table: TableId,
    pub rows: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    pub partitions: BTreeMap<PartitionId, Vec<Rowset>>,
    /// The load was for these partitions only.
    pub only: Option<Vec<PartitionId>>,
    pub(crate) guard: Arc<WriteGuard>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) files: Vec<(PartitionPlace, String)>,
}

impl Written {
    /// The id that its file names begin with.
    #[must_use]
    pub fn write_id(&self) -> &str {
        self.guard.id()
    }

    /// Deletes the files of a load that will not be committed, as far as that is possible now.
    pub async fn discard(self) {
        // No file may come after the clean-up.
        let _ = self.uploads.finish().await;
        discard(&self.files).await;
    }
}
