//! A cluster's metadata without a journal, and a storage engine over a volume in memory: for the tests of this crate and
//! of those above. Not for production: nothing here is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use cairn_catalog::{Catalog, Cluster, Command, Reply, Stamp, TableSpec, Volume, VolumeKind};
use cairn_env::{Env, ManualClock};
use cairn_objects::{Fence, FenceRecord, VolumeStore};
use cairn_types::{DbId, Error, Result, TableId, VolumeId};
use parking_lot::Mutex;

use crate::context::{StorageContext, StorageOptions};
use crate::meta::Meta;

/// A plain catalog behind [`Meta`].
pub struct MemoryMeta {
    state: Mutex<State>,
}

struct State {
    catalog: Arc<Catalog>,
    index: u64,
    /// Fail the next proposals so: before the effect (`true`) or after it.
    faults: VecDeque<(Error, bool)>,
}

impl MemoryMeta {
    /// Over `catalog`, as after journal entry 1.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self { state: Mutex::new(State { catalog: Arc::new(catalog), index: 1, faults: VecDeque::new() }) }
    }

    /// Applies `command` now.
    ///
    /// # Errors
    /// The catalog's refusal.
    pub fn apply(&self, command: &Command) -> Result<Reply> {
        let mut state = self.state.lock();
        state.index += 1;
        let (index, mut next) = (state.index, Catalog::clone(&state.catalog));
        let outcome = next.apply(index, index, command);
        state.catalog = Arc::new(next);
        outcome
    }

    /// Fails one more of the proposals to come with `error`; the command is applied all the same if `applied`.
    pub fn fail_next(&self, error: Error, applied: bool) {
        self.state.lock().faults.push_back((error, applied));
    }
}

#[async_trait]
impl Meta for MemoryMeta {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.state.lock().catalog)
    }

    async fn propose(&self, command: Command) -> Result<Reply> {
        // Others get a turn, as they do while a real journal syncs.
        tokio::task::yield_now().await;
        let fault = self.state.lock().faults.pop_front();
        match fault {
            None => self.apply(&command),
            Some((error, applied)) => {
                if applied {
                    self.apply(&command)?;
                }
                Err(error)
            }
        }
    }
}

/// A cluster with one database and one volume in memory.
pub struct TestCluster {
    pub env: Env,
    pub clock: Arc<ManualClock>,
    pub meta: Arc<MemoryMeta>,
    pub ctx: Arc<StorageContext>,
    pub store: VolumeStore,
    pub db: DbId,
}

/// The cluster id of [`TestCluster`].
pub const CLUSTER: &str = "c0ffee";

impl TestCluster {
    /// A new one, over an empty volume in memory.
    ///
    /// # Errors
    /// `Internal` when the catalog refuses what it must take.
    pub async fn new() -> Result<Self> {
        Self::over(VolumeStore::in_memory()).await
    }

    /// A new one over `store`, whose fence it claims as epoch 1.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn over(store: VolumeStore) -> Result<Self> {
        let (env, clock) = Env::simulated(7, 1_000);
        let cluster = Cluster { id: CLUSTER.into(), epoch: 1, created_ms: 1, start: Default::default() };
        let id = VolumeId(1);
        let volume = Volume {
            id,
            name: "builtin".into(),
            kind: VolumeKind::File,
            location: "file:///nowhere".into(),
            comment: String::new(),
            properties: BTreeMap::new(),
            created: Stamp::default(),
        };
        let claim = FenceRecord { cluster: CLUSTER.into(), epoch: 1, claimed_ms: 1, nonce: "test".into() };
        Fence::claim(&store, &claim).await?;
        let meta = Arc::new(MemoryMeta::new(Catalog::new(cluster, volume)));
        let Reply::Database(db) =
            meta.apply(&Command::CreateDatabase { name: "d".into(), if_not_exists: false })?
        else {
            return Err(Error::internal("no database was made"));
        };
        let ctx = StorageContext::new(env.clone(), Arc::clone(&meta) as _, StorageOptions::default());
        ctx.volumes.put(id, store.clone());
        Ok(Self { env, clock, meta, ctx, store, db })
    }

    /// Makes a table.
    ///
    /// # Errors
    /// The catalog's refusal.
    pub fn create_table(&self, spec: TableSpec) -> Result<TableId> {
        match self.meta.apply(&Command::CreateTable(Box::new(spec)))? {
            Reply::Table(id) => Ok(id),
            _ => Err(Error::internal("no table was made")),
        }
    }
}
