//! One Cairn process: its metadata, its storage engine, its query engine, and what runs beside them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cairn_catalog::{Catalog, Command, Reply};
use cairn_env::Env;
use cairn_exec::{Engine, EngineOptions, Tablets};
use cairn_journal::Journal;
use cairn_objects::VolumeStore;
use cairn_storage::{Committer, Meta, StorageContext, StorageOptions};
use cairn_types::{Result, VolumeId};

use crate::error_logs::ErrorLogs;
use crate::fences::FencesView;
use crate::jobs::JobsView;
use crate::metrics::Metrics;
use crate::mview::MviewJobs;
use crate::queries::Sessions;
use crate::state::{CatalogState, JournalMeta};
use crate::system::System;

/// The version that clients of StarRocks see: `major.minor.patch`, then a name of our own.
pub const VERSION: &str = concat!("3.5.0-cairn-", env!("CARGO_PKG_VERSION"));

/// Memory and disk of one process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Memory of all queries together, in bytes.
    pub query_bytes_max: usize,
    /// Memory that caches segment files, in bytes.
    pub cache_bytes_max: usize,
    /// Memory that one load buffers rows in, in bytes.
    pub load_bytes_max: usize,
    /// Disk for spilling, in bytes.
    pub spill_bytes_max: u64,
    /// Partitions that a query runs in: the number of processors.
    pub parallelism: usize,
}

/// Where this process can be reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub mysql: SocketAddr,
    pub http: SocketAddr,
}

/// A running node.
pub struct Node {
    pub env: Env,
    pub data_dir: PathBuf,
    pub limits: Limits,
    pub started_ms: u64,
    pub addresses: Addresses,
    pub journal: Journal<CatalogState>,
    pub meta: Arc<dyn Meta>,
    pub storage: Arc<StorageContext>,
    pub committer: Committer,
    pub engine: Arc<Engine>,
    pub sessions: Arc<Sessions>,
    pub metrics: Metrics,
    pub error_logs: ErrorLogs,
    pub jobs: Arc<JobsView>,
    pub mviews: MviewJobs,
    pub fences: FencesView,
}

impl Node {
    /// Puts the parts together. Nothing runs yet.
    ///
    /// # Errors
    /// `Unavailable` when the spill folder cannot be used.
    pub fn new(
        env: Env,
        data_dir: PathBuf,
        limits: Limits,
        addresses: Addresses,
        journal: Journal<CatalogState>,
    ) -> Result<Arc<Self>> {
        let meta: Arc<dyn Meta> = Arc::new(JournalMeta(journal.clone()));
        let options = StorageOptions {
            cache_bytes_max: limits.cache_bytes_max,
            encode_threads: limits.parallelism,
            ..StorageOptions::default()
        };
        let storage = StorageContext::new(env.clone(), Arc::clone(&meta), options);
        let engine_options = EngineOptions {
            memory_bytes_max: limits.query_bytes_max,
            spill_dir: data_dir.join("spill"),
            spill_bytes_max: limits.spill_bytes_max,
            threads: limits.parallelism,
        };
        let sessions = Arc::new(Sessions::default());
        let jobs = Arc::new(JobsView::default());
        let system = Arc::new(System {
            journal: journal.clone(),
            sessions: Arc::clone(&sessions),
            jobs: Arc::clone(&jobs),
            env: env.clone(),
            addresses,
        });
        let tablets = Arc::new(Tablets::new(Arc::clone(&storage)));
        let engine = Engine::new(&engine_options, tablets, system)?;
        Ok(Arc::new(Self {
            started_ms: env.now_ms(),
            committer: Committer::new(Arc::clone(&storage)),
            error_logs: ErrorLogs::new(data_dir.join("load_errors"), env.clone()),
            metrics: Metrics::default(),
            jobs,
            mviews: MviewJobs::default(),
            fences: FencesView::default(),
            env,
            data_dir,
            limits,
            addresses,
            journal,
            meta,
            storage,
            engine,
            sessions,
        }))
    }

    /// The newest catalog.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.meta.catalog()
    }

    /// Changes the catalog.
    ///
    /// # Errors
    /// The catalog's refusal, or `Unavailable`.
    pub async fn propose(&self, command: Command) -> Result<Reply> {
        self.meta.propose(command).await
    }

    /// The store of a volume.
    ///
    /// # Errors
    /// `Unavailable`, or `NotFound` for a volume that is gone.
    pub fn store(&self, catalog: &Catalog, id: VolumeId) -> Result<VolumeStore> {
        let volume = catalog
            .volume(id)
            .ok_or_else(|| cairn_types::Error::not_found(format!("storage volume {id} is gone")))?;
        self.storage.volumes.open(volume)
    }
}
