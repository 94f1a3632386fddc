//! A small cluster: catalog, volume, writers and readers, all in the test's hands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_catalog::{
    Bounds, Catalog, Cluster, Command, Distribution, ManifestRef, Partition, PartitionChange, PartitionSpec,
    Partitioning, Reply, SnapshotKind, SnapshotSpec, SnapshotState, Stamp, TableSpec, Volume, VolumeKind,
};
use cairn_env::Env;
use cairn_objects::{Fence, FenceRecord, PartitionFolder, VolumeStore, layout};
use cairn_snapshot::vacuum::{OpenWork, VacuumReport, VacuumSettings};
use cairn_snapshot::{
    FilesMemo, Marker, Source, TakeOptions, Vacuum, VerifyOptions, VerifyReport, take, verify,
};
use cairn_storage::manifest::{Manifest, Rowset, Segment, SegmentKind, block_checksums};
use cairn_storage::meta::Meta;
use cairn_types::{
    Column, DbId, Error, Literal, PartitionId, Result, Schema, SnapshotId, SqlType, TableId, VolumeId,
};
use futures::TryStreamExt;
use parking_lot::Mutex;

pub const CLUSTER: &str = "00000000000000000000000000000001";
pub const START_MS: u64 = 1_700_000_000_000;

/// How a proposal fails.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Lost {
    Before,
    After,
}

/// Metadata without a journal.
pub struct PlainMeta {
    env: Env,
    state: Mutex<(Arc<Catalog>, u64)>,
    /// Proposals until one fails, and how.
    pub fail: Mutex<Option<(u64, Lost)>>,
}

#[async_trait]
impl Meta for PlainMeta {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.state.lock().0)
    }

    async fn propose(&self, command: Command) -> Result<Reply> {
        let lost = {
            let mut fail = self.fail.lock();
            match fail.as_mut() {
                Some((0, lost)) => Some(*lost),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        if lost == Some(Lost::Before) {
            return Err(Error::unavailable("the journal cannot be reached"));
        }
        let outcome = self.apply(&command);
        match lost {
            Some(_) => Err(Error::unavailable("the answer of the journal was lost")),
            None => outcome,
        }
    }
}

impl PlainMeta {
    pub fn new(env: &Env, catalog: Catalog, index: u64) -> Self {
        Self { env: env.clone(), state: Mutex::new((Arc::new(catalog), index)), fail: Mutex::new(None) }
    }

    fn apply(&self, command: &Command) -> Result<Reply> {
        let mut state = self.state.lock();
        let mut catalog = Catalog::clone(&state.0);
        let index = state.1 + 1;
        let outcome = catalog.apply(index, self.env.now_ms(), command);
        *state = (Arc::new(catalog), index);
        outcome
    }
}

/// What the process works on.
#[derive(Default)]
pub struct Work {
    writes: Mutex<BTreeSet<String>>,
    held: Mutex<Vec<(u64, Arc<Catalog>)>>,
}

impl OpenWork for Work {
    fn may_delete(&self) -> Result<()> {
        Ok(())
    }

    fn open_writes(&self) -> BTreeSet<String> {
        self.writes.lock().clone()
    }

    fn held_catalogs(&self) -> Vec<Arc<Catalog>> {
        self.held.lock().iter().map(|(_, c)| Arc::clone(c)).collect()
    }
}

impl Work {
    /// A query begins: takes the newest catalog and registers it in one step.
    pub fn begin_query(&self, meta: &dyn Meta, id: u64) -> Arc<Catalog> {
        let mut held = self.held.lock();
        let catalog = meta.catalog();
        held.push((id, Arc::clone(&catalog)));
        catalog
    }

    pub fn end_query(&self, id: u64) {
        self.held.lock().retain(|(held, _)| *held != id);
    }

    pub fn queries(&self) -> Vec<(u64, Arc<Catalog>)> {
        self.held.lock().clone()
    }
}

/// A write whose files are there and that is not committed.
pub struct Pending {
    pub write: String,
    pub db: DbId,
    pub change: PartitionChange,
    pub compaction: bool,
}

pub struct World {
    pub env: Env,
    pub clock: Arc<cairn_env::ManualClock>,
    pub meta: PlainMeta,
    pub store: VolumeStore,
    pub work: Work,
    pub memo: FilesMemo,
}

impl World {
    /// A new cluster on a volume in memory.
    pub async fn new() -> Self {
        let (env, clock) = Env::simulated(7, START_MS);
        Self::on(VolumeStore::in_memory(), env, clock).await
    }

    pub async fn on(store: VolumeStore, env: Env, clock: Arc<cairn_env::ManualClock>) -> Self {
        let volume = Volume {
            id: VolumeId(9_000),
            name: "main".into(),
            kind: VolumeKind::File,
            location: store.location().to_owned(),
            comment: String::new(),
            properties: BTreeMap::new(),
            created: Stamp::default(),
        };
        let cluster =
            Cluster { id: CLUSTER.into(), epoch: 1, created_ms: START_MS, start: Default::default() };
        let claim =
            FenceRecord { cluster: CLUSTER.into(), epoch: 1, claimed_ms: START_MS, nonce: "first".into() };
        Fence::claim(&store, &claim).await.unwrap();
        let meta = PlainMeta::new(&env, Catalog::new(cluster, volume), 0);
        let world = Self { env, clock, meta, store, work: Work::default(), memo: FilesMemo::default() };
        world.apply(Command::CreateDatabase { name: "db".into(), if_not_exists: false });
        world
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        self.meta.catalog()
    }

    pub fn open(&self) -> impl Fn(&Volume) -> Result<VolumeStore> + Send + Sync + '_ {
        |_: &Volume| Ok(self.store.clone())
    }

    pub fn try_apply(&self, command: Command) -> Result<Reply> {
        self.meta.apply(&command)
    }

    pub fn apply(&self, command: Command) -> Reply {
        self.try_apply(command).unwrap()
    }

    pub fn db(&self) -> DbId {
        self.catalog().database_named("db").unwrap().id
    }

    pub fn table(&self, name: &str) -> TableId {
        self.catalog().table_named(self.db(), name).unwrap().id
    }

    /// Makes table `name` with so many range partitions `p0`, `p1`, …
    pub fn create_table(&self, name: &str, partitions: u32) -> TableId {
        let column = Column { key: true, ..Column::new("k", SqlType::Int, false) };
        let bound = |n: u32| Some(vec![Literal::Int(i128::from(n) * 10)]);
        let partition = |n| PartitionSpec {
            name: format!("p{n}"),
            bounds: Bounds::Range { lower: bound(n), upper: bound(n + 1) },
            buckets: None,
        };
        let spec = TableSpec {
            db: self.db(),
            model: Default::default(),
            name: name.into(),
            schema: Schema { columns: vec![column] },
            sort_key: vec![0],
            partitioning: Partitioning::Range { columns: vec![0] },
            distribution: Distribution::Random { buckets: 1 },
            comment: String::new(),
            properties: BTreeMap::new(),
            volume: None,
            partitions: (0..partitions).map(partition).collect(),
        };
        match self.apply(Command::CreateTable(Box::new(spec))) {
            Reply::Table(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The visible partitions of a table by name.
    pub fn partitions(&self, table: TableId) -> Vec<Arc<Partition>> {
        let catalog = self.catalog();
        let table = catalog.table(table).unwrap();
        catalog.partitions_of(table.olap().unwrap()).cloned().collect()
    }

    /// Writes a new segment and a new manifest for `partition`: more rows, or the same in one segment.
    pub async fn begin_write(&self, partition: &Partition, compaction: bool) -> Pending {
        let write = self.env.random_hex();
        self.work.writes.lock().insert(write.clone());
        let folder = folder(partition);
        let mut manifest = match partition.visible() {
            None => Manifest::empty(partition.id),
            Some(version) => {
                let bytes = self.store.get(&folder.file(&version.manifest.name)).await.unwrap();
                Manifest::decode(&bytes, partition.id).unwrap()
            }
        };
        if compaction {
            manifest.rowsets.clear();
        }
        let mut bytes = vec![0; 64 + usize::try_from(self.env.random_u64() % 200).unwrap()];
        self.env.fill_random(&mut bytes);
        let file = layout::segment_file(&write, 0, 0);
        self.store.put_new(&folder.file(&file), bytes.clone().into()).await.unwrap();
        let segment = Segment {
            file,
            kind: SegmentKind::Parquet,
            rows: 1,
            bytes: bytes.len() as u64,
            block_checksums: block_checksums(&bytes),
            columns: Vec::new(),
            deleted: None,
        };
        manifest.rowsets.push(Rowset {
            write: write.clone(),
            bucket: 0,
            segments: vec![segment],
            versions: None,
        });
        let encoded = manifest.encode();
        let named = ManifestRef {
            name: layout::manifest_file(&write),
            checksum: cairn_codec::checksum(&encoded),
            rows: manifest.rows(),
            bytes: manifest.bytes(),
            segments: manifest.segments().count() as u64,
        };
        self.store.put_new(&folder.file(&named.name), encoded.into()).await.unwrap();
        let base = partition.visible().map(|v| v.manifest.name.clone());
        let change = PartitionChange { partition: partition.id, base, manifest: named, replaces: false };
        Pending { write, db: partition.db, change, compaction }
    }

    /// Commits; a conflict or a dropped partition leaves garbage, as in life.
    pub fn end_write(&self, pending: Pending) -> Result<Reply> {
        let Pending { write, db, change, compaction } = pending;
        let outcome = self.try_apply(match compaction {
            true => Command::CommitCompaction { change },
            false => {
                Command::Commit { db, txn: None, label: None, changes: vec![change], details: String::new() }
            }
        });
        self.work.writes.lock().remove(&write);
        outcome
    }

    pub fn abandon_write(&self, pending: &Pending) {
        self.work.writes.lock().remove(&pending.write);
    }

    /// The server died: what its process knew is gone.
    pub fn crash(&self) {
        self.work.writes.lock().clear();
        self.work.held.lock().clear();
    }

    /// Loads once into every partition of a table.
    pub async fn load(&self, table: TableId) {
        for partition in self.partitions(table) {
            let pending = self.begin_write(&partition, false).await;
            self.end_write(pending).unwrap();
        }
    }

    pub async fn compact(&self, table: TableId) {
        for partition in self.partitions(table) {
            let pending = self.begin_write(&partition, true).await;
            self.end_write(pending).unwrap();
        }
    }

    /// The entry that begins a snapshot, and the catalog right after it.
    pub fn begin_snapshot(&self, name: &str) -> Result<(SnapshotId, Arc<Catalog>)> {
        let spec = SnapshotSpec {
            name: Some(name.into()),
            kind: SnapshotKind::Manual,
            volume: None,
            ttl_ms: None,
            comment: String::new(),
            if_not_exists: false,
        };
        match self.try_apply(Command::BeginSnapshot(spec))? {
            Reply::Snapshot(id) => Ok((id, self.catalog())),
            other => panic!("{other:?}"),
        }
    }

    pub async fn snapshot(&self, name: &str) -> Result<Marker> {
        self.snapshot_with(name, TakeOptions { memo: Some(&self.memo), ..TakeOptions::default() }).await
    }

    pub async fn snapshot_with(&self, name: &str, options: TakeOptions<'_>) -> Result<Marker> {
        let (id, catalog) = self.begin_snapshot(name)?;
        take(&self.env, &self.meta, &self.open(), &catalog, id, options, &|_| {}).await
    }

    pub async fn verify(&self, name: &str) -> VerifyReport {
        verify(&self.store, CLUSTER, name, &self.open(), &[], VerifyOptions::default(), &|_| {})
            .await
            .unwrap()
    }

    pub fn state(&self, name: &str) -> SnapshotState {
        self.catalog().snapshots().rev().find(|s| s.name == name).unwrap().state
    }

    pub async fn vacuum(&self, vacuum: &mut Vacuum, grace_ms: u64) -> VacuumReport {
        vacuum
            .run(&self.env, &self.meta, &self.open(), &self.work, VacuumSettings { grace_ms })
            .await
            .unwrap()
    }

    pub async fn keys(&self, prefix: &str) -> BTreeSet<String> {
        self.store.list(prefix).map_ok(|o| o.key).try_collect().await.unwrap()
    }

    pub async fn data_keys(&self) -> BTreeSet<String> {
        self.keys(&layout::data_folder(CLUSTER)).await
    }

    /// The keys of every file that the visible (or recoverable) data of `catalog` needs, by reading it.
    pub async fn needed(&self, catalog: &Catalog) -> Result<BTreeSet<String>> {
        let mut keys = BTreeSet::new();
        for partition in catalog.partitions() {
            if catalog.dropped(partition).is_some_and(|d| d.force) {
                continue;
            }
            let Some(version) = partition.visible() else { continue };
            let folder = folder(partition);
            let manifest_key = folder.file(&version.manifest.name);
            let manifest = Manifest::decode(&self.store.get(&manifest_key).await?, partition.id)?;
            keys.insert(manifest_key);
            for (_, segment) in manifest.segments() {
                let key = folder.file(&segment.file);
                let bytes = self.store.get(&key).await?;
                assert_eq!(block_checksums(&bytes), segment.block_checksums, "{key}");
                keys.insert(key);
            }
        }
        Ok(keys)
    }

    /// The keys of the files that a finished snapshot pins, by its own list.
    pub async fn pinned(&self, name: &str) -> BTreeSet<String> {
        self.listed(name, false).await
    }

    /// The keys of the files on a finished snapshot's list, with or without those of the recycle bin.
    pub async fn listed(&self, name: &str, recycled: bool) -> BTreeSet<String> {
        let marker = self.store.get(&layout::snapshot_marker(CLUSTER, name)).await.unwrap();
        let marker = Marker::decode(&marker).unwrap();
        let mut keys = BTreeSet::new();
        for chunk in 0..marker.chunks.len() as u64 {
            let bytes = self.store.get(&layout::snapshot_manifest(CLUSTER, name, chunk)).await.unwrap();
            let listed = cairn_snapshot::SnapshotFiles::decode(&bytes, chunk).unwrap();
            for files in listed.partitions.into_iter().filter(|p| recycled || !p.recycled) {
                let folder = PartitionFolder {
                    cluster: CLUSTER.into(),
                    db: files.db,
                    table: files.table,
                    partition: files.partition,
                };
                keys.insert(folder.file(&files.manifest));
                keys.extend(files.segments.iter().map(|s| folder.file(&s.file)));
            }
        }
        keys
    }

    /// Replaces an object, as damage does.
    pub async fn overwrite(&self, key: &str, bytes: Bytes) {
        self.store.delete(key).await.unwrap();
        self.store.put_new(key, bytes).await.unwrap();
    }

    pub fn source(&self) -> Source {
        Source { location: self.store.location().to_owned(), cluster: Some(CLUSTER.into()), snapshot: None }
    }
}

pub fn folder(partition: &Partition) -> PartitionFolder {
    PartitionFolder {
        cluster: CLUSTER.into(),
        db: partition.db,
        table: partition.table,
        partition: partition.id,
    }
}

/// What a reader of a catalog sees: the manifest of each visible partition.
pub fn seen(catalog: &Catalog) -> BTreeMap<PartitionId, Option<ManifestRef>> {
    let visible = catalog.partitions().filter(|p| catalog.dropped(p).is_none());
    visible.map(|p| (p.id, p.visible().map(|v| v.manifest.clone()))).collect()
}
