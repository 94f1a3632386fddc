//! What the parts of the storage engine share in one process.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_catalog::{Catalog, OlapTable, Partition, Table};
use cairn_env::Env;
use cairn_types::{Error, PartitionId, Result, TableId};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use crate::manifests::ManifestStore;
use crate::meta::Meta;
use crate::open_writes::OpenWrites;
use crate::reader::BlockCache;
use crate::volumes::Volumes;

/// Bounds of the storage engine of one process.
#[derive(Clone, Copy, Debug)]
pub struct StorageOptions {
    /// Segment file blocks in memory.
    pub cache_bytes_max: usize,
    /// Parsed segment footers in memory.
    pub footer_bytes_max: usize,
    /// Manifests in memory, counted by the bytes of their files.
    pub manifest_bytes_max: usize,
    /// Segments that are encoded or merged at the same time.
    pub encode_threads: usize,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            cache_bytes_max: 1 << 30,
            footer_bytes_max: 128 << 20,
            manifest_bytes_max: 64 << 20,
            encode_threads: 2,
        }
    }
}

/// The storage engine of one process.
pub struct StorageContext {
    pub env: Env,
    pub meta: Arc<dyn Meta>,
    pub volumes: Volumes,
    pub manifests: ManifestStore,
    pub cache: Arc<BlockCache>,
    pub open_writes: Arc<OpenWrites>,
    pub(crate) partition_locks: PartitionLocks,
    pub(crate) encode_permits: Arc<Semaphore>,
}

impl StorageContext {
    #[must_use]
    pub fn new(env: Env, meta: Arc<dyn Meta>, options: StorageOptions) -> Arc<Self> {
        Arc::new(Self {
            volumes: Volumes::new(env.clone()),
            manifests: ManifestStore::new(options.manifest_bytes_max),
            cache: BlockCache::new(options.cache_bytes_max, options.footer_bytes_max),
            open_writes: Arc::default(),
            partition_locks: PartitionLocks::default(),
            encode_permits: Arc::new(Semaphore::new(options.encode_threads.max(1))),
            env,
            meta,
        })
    }
}

/// One lock a partition: within this process, changes of its manifest come one after another instead of by conflict.
#[derive(Default)]
pub(crate) struct PartitionLocks {
    locks: Mutex<HashMap<PartitionId, Arc<tokio::sync::Mutex<()>>>>,
}

impl PartitionLocks {
    /// Locks `ids`. They are taken in order, so that two who want the same ones never wait for each other.
    pub async fn lock(&self, mut ids: Vec<PartitionId>) -> Vec<OwnedMutexGuard<()>> {
        ids.sort_unstable();
        ids.dedup();
        let mut guards = Vec::with_capacity(ids.len());
        for id in ids {
            let lock = {
                let mut locks = self.locks.lock();
                if locks.len() > 4096 {
                    locks.retain(|_, lock| Arc::strong_count(lock) > 1);
                }
                Arc::clone(locks.entry(id).or_default())
            };
            guards.push(lock.lock_owned().await);
        }
        guards
    }
}

/// The visible table `id` of `catalog` with its data.
///
/// # Errors
/// `UnknownTable`; `Analysis` for a view.
pub fn visible_table(catalog: &Catalog, id: TableId) -> Result<(&Arc<Table>, &OlapTable)> {
    let visible =
        |t: &&Arc<Table>| t.dropped.is_none() && catalog.database(t.db).is_some_and(|d| d.dropped.is_none());
    let table = catalog.table(id).filter(visible).ok_or_else(|| Error::unknown_table(&format!("id {id}")))?;
    let olap =
        table.olap().ok_or_else(|| Error::analysis(format!("'{}' is a view, not a table", table.name)))?;
    Ok((table, olap))
}

/// The visible partition `id` of `catalog`.
///
/// # Errors
/// `Conflict` when it was dropped or replaced.
pub fn visible_partition(catalog: &Catalog, id: PartitionId) -> Result<&Arc<Partition>> {
    let visible = |p: &&Arc<Partition>| catalog.dropped(p).is_none();
    catalog.partition(id).filter(visible).ok_or_else(|| {
        Error::conflict(format!("partition {id} was dropped or replaced meanwhile: begin again"))
    })
}
