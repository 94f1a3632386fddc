//! Taking a snapshot: image, list of files, marker. No write waits for it: it works on a catalog of its own.

use std::sync::Arc;

use cairn_catalog::{Catalog, Command, Snapshot, SnapshotState, image};
use cairn_env::Env;
use cairn_objects::{VolumeStore, layout};
use cairn_storage::meta::Meta;
use cairn_types::{Error, ErrorKind, Result, SnapshotId};
use futures::FutureExt;
use futures::stream::{StreamExt, TryStreamExt};

use crate::format::{FileSum, Marker, PartitionFiles, SegmentFile, SnapshotFiles};
use crate::list::{SnapshotStatus, status};
use crate::memo::{FilesMemo, ManifestFiles, NextFiles};
use crate::progress::{Meter, OnProgress};
use crate::reach::{Reached, folder_of, reached, read_manifest};
use crate::{VolumeResolver, clean};

/// How a snapshot is taken.
#[derive(Clone, Copy)]
pub struct TakeOptions<'a> {
    /// A chunk of the list of files is closed when it has about this many bytes.
    pub chunk_bytes_max: usize,
    /// Partition manifests that are read at the same time.
    pub reads_at_once: usize,
    /// What the last job read of the manifests; it gets what this one read.
    pub memo: Option<&'a FilesMemo>,
}

impl Default for TakeOptions<'_> {
    fn default() -> Self {
        Self { chunk_bytes_max: 64 << 20, reads_at_once: 16, memo: None }
    }
}

/// Drives the job of snapshot `id` from its begin to its end. `catalog` is the state right after the `BeginSnapshot` entry,
/// that is `catalog(J)`; `meta` is the running cluster's.
///
/// When it fails, the job becomes `ERROR` with the cause, and its files are removed (if that fails too, the janitor does
/// it later).
///
/// # Errors
/// The cause.
pub async fn take(
    env: &Env,
    meta: &dyn Meta,
    volumes: &dyn VolumeResolver,
    catalog: &Arc<Catalog>,
    id: SnapshotId,
    options: TakeOptions<'_>,
    on_progress: OnProgress<'_>,
) -> Result<Marker> {
    let snapshot = catalog.snapshot(id).ok_or_else(|| {
        Error::internal(format!("snapshot {id} is not in the catalog that it was begun in"))
    })?;
    let job = Job { env, meta, volumes, catalog, snapshot, options };
    match job.run(on_progress).await {
        Ok(marker) => Ok(marker),
        Err(cause) => {
            job.fail(&cause).await;
            Err(cause.context(format!("snapshot '{}'", snapshot.name)))
        }
    }
}

struct Job<'a> {
    env: &'a Env,
    meta: &'a dyn Meta,
    volumes: &'a dyn VolumeResolver,
    catalog: &'a Catalog,
    snapshot: &'a Snapshot,
    options: TakeOptions<'a>,
}

impl Job<'_> {
    async fn run(&self, on_progress: OnProgress<'_>) -> Result<Marker> {
        self.env.failpoint("snapshot.after_command")?;
        let store = self.open_target().await?;
        self.advance(SnapshotState::Snapshoting, "writing the catalog", (0, 0)).await?;
        let image = image::encode(&self.catalog.without_secrets(), self.snapshot.created.index);
        let image_sum = FileSum::of(&image);
        let (cluster, name) = (&self.catalog.cluster().id, &self.snapshot.name);
        store.put_new(&layout::snapshot_image(cluster, name), image.into()).await?;
        self.env.failpoint("snapshot.after_image")?;

        self.advance(SnapshotState::Uploading, "writing the list of files", (0, 0)).await?;
        let (bytes_total, files_total) = self.expected();
        let meter = Meter::new(on_progress, files_total, bytes_total);
        meter.add(1, image_sum.bytes);
        let chunks = self.write_chunks(&store, &meter).await?;
        self.env.failpoint("snapshot.after_manifest")?;

        let (files, bytes) = meter.done();
        let marker = Marker {
            cluster: cluster.clone(),
            epoch: self.catalog.cluster().epoch,
            index: self.snapshot.created.index,
            name: name.clone(),
            kind: self.snapshot.kind,
            created_ms: self.snapshot.created.time_ms,
            cairn_version: env!("CARGO_PKG_VERSION").to_owned(),
            image: image_sum,
            chunks,
            files,
            bytes,
        };
        // Whoever lost the volume meanwhile, or the pin, must not make it look like a snapshot.
        self.check_still_wanted()?;
        self.check_fence(&store).await?;
        store.put_new(&layout::snapshot_marker(cluster, name), marker.encode()?.into()).await?;
        self.env.failpoint("snapshot.after_marker")?;
        self.advance(SnapshotState::Finished, "", (bytes, files)).await?;
        self.env.failpoint("snapshot.after_finish")?;
        Ok(marker)
    }

    async fn check_fence(&self, store: &VolumeStore) -> Result<()> {
        cairn_storage::check_fence(store, self.catalog.cluster()).await
    }

    /// Opens the volume; the folder must be free. A finished snapshot there is of another history of this cluster (one that
    /// a restore left behind) and is not ours to touch.
    async fn open_target(&self) -> Result<VolumeStore> {
        let volume = self.catalog.volume(self.snapshot.volume).ok_or_else(|| {
            Error::internal(format!(
                "storage volume {} of the snapshot is not in the catalog",
                self.snapshot.volume
            ))
        })?;
        let store = self.volumes.open(volume)?;
        let cluster = self.catalog.cluster();
        self.check_fence(&store).await?;
        match status(&store, &cluster.id, &self.snapshot.name).await? {
            SnapshotStatus::Finished(marker) if !marker.belongs_to(self.catalog, self.snapshot) => {
                Err(Error::already_exists(format!(
                    "volume '{}' holds a snapshot of this name from epoch {} already: choose another name",
                    volume.name, marker.epoch
                )))
            }
            _ => self.check_folder_empty(&store).await.map(|()| store),
        }
    }

    /// Remains of an earlier snapshot could be mixed up with this one, by whoever is removing them just now.
    async fn check_folder_empty(&self, store: &VolumeStore) -> Result<()> {
        let folder = layout::snapshot_folder(&self.catalog.cluster().id, &self.snapshot.name);
        match store.list(&folder).try_next().await? {
            None => Ok(()),
            Some(found) => Err(Error::already_exists(format!(
                "{}/{} is left of an earlier snapshot of this name: choose another name, or try again when it is removed",
                store.location(),
                found.key
            ))),
        }
    }

    fn check_still_wanted(&self) -> Result<()> {
        match self.meta.catalog().snapshot(self.snapshot.id) {
            Some(now) if now.state.is_running() => Ok(()),
            _ => Err(Error::conflict("it was dropped while it was taken")),
        }
    }

    /// Bytes and files that the catalog says (without the manifests' own bytes, which it does not know).
    fn expected(&self) -> (u64, u64) {
        let versions = reached(self.catalog).unwrap_or_default();
        let sum = |count: fn(&Reached<'_>) -> u64| versions.iter().map(count).sum::<u64>();
        (sum(|r| r.version.manifest.bytes), sum(|r| 1 + r.version.manifest.segments))
    }

    /// Writes the list of everything that the snapshot reaches, chunk by chunk.
    async fn write_chunks(&self, store: &VolumeStore, meter: &Meter<'_>) -> Result<Vec<FileSum>> {
        let mut sums = Vec::new();
        let mut open = Vec::new();
        let mut weight = 0;
        let all = reached(self.catalog)?;
        // Boxed one by one: a closure over borrowed parts would keep the whole job from being sent to another thread.
        let listed: Vec<_> = all.into_iter().map(|one| FutureExt::boxed(self.files_of(one))).collect();
        let mut listed = futures::stream::iter(listed).buffered(self.options.reads_at_once.max(1));
        let mut next = NextFiles::default();
        while let Some((one, read)) = listed.try_next().await? {
            next.add(one.partition.id, &one.version.manifest, &read);
            let files = partition_files(&one, &read);
            let (count, bytes) = files.totals();
            meter.add(count, bytes);
            weight += files.weight();
            open.push(files);
            if weight >= self.options.chunk_bytes_max {
                weight = 0;
                sums.push(self.write_chunk(store, sums.len(), std::mem::take(&mut open), meter).await?);
            }
        }
        if let Some(memo) = self.options.memo {
            memo.replace(next);
        }
        // An empty cluster has one empty chunk: a list that says so.
        if !open.is_empty() || sums.is_empty() {
            sums.push(self.write_chunk(store, sums.len(), open, meter).await?);
        }
        Ok(sums)
    }

    async fn write_chunk(
        &self,
        store: &VolumeStore,
        number: usize,
        partitions: Vec<PartitionFiles>,
        meter: &Meter<'_>,
    ) -> Result<FileSum> {
        let chunk = number as u64;
        let bytes = SnapshotFiles { chunk, partitions }.encode()?;
        let sum = FileSum::of(&bytes);
        let key = layout::snapshot_manifest(&self.catalog.cluster().id, &self.snapshot.name, chunk);
        store.put_new(&key, bytes.into()).await?;
        meter.add(1, sum.bytes);
        Ok(sum)
    }

    /// What the manifest of `one` lists, read if the last snapshot did not.
    async fn files_of<'c>(&self, one: Reached<'c>) -> Result<(Reached<'c>, Arc<ManifestFiles>)> {
        let named = &one.version.manifest;
        if let Some(known) = self.options.memo.and_then(|memo| memo.get(one.partition.id, named)) {
            return Ok((one, known));
        }
        let store = self.volumes.open(one.volume)?;
        let folder = folder_of(self.catalog, one.partition);
        let (manifest, sum) = read_manifest(&store, &folder, named).await?;
        let segment =
            |s: &cairn_storage::manifest::Segment| SegmentFile { file: s.file.clone(), bytes: s.bytes };
        let segments = manifest.segments().map(|(_, s)| segment(s)).collect();
        Ok((one, Arc::new(ManifestFiles { sum, segments })))
    }

    async fn advance(&self, state: SnapshotState, detail: &str, (bytes, files): (u64, u64)) -> Result<()> {
        let id = self.snapshot.id;
        let (detail, error) = (detail.to_owned(), String::new());
        self.meta.propose(Command::AdvanceSnapshot { id, state, detail, error, bytes, files }).await.map(drop)
    }

    /// Ends the job as failed. Files go only if the catalog agrees that it failed: an answer that was lost on the way may
    /// have been a "finished".
    async fn fail(&self, cause: &Error) {
        let id = self.snapshot.id;
        let failed = Command::AdvanceSnapshot {
            id,
            state: SnapshotState::Error,
            detail: String::new(),
            error: cause.message().to_owned(),
            bytes: 0,
            files: 0,
        };
        match self.meta.propose(failed).await {
            Ok(_) => {}
            // Dropped meanwhile, or finished after all: the cleaner looks which.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(e) => {
                tracing::warn!(snapshot = self.snapshot.name, error = %e, "a failed snapshot job could not be ended; the janitor will");
                return;
            }
        }
        if let Err(e) = clean::remove_files(self.env, self.meta, self.volumes, id).await {
            tracing::warn!(snapshot = self.snapshot.name, error = %e, "files of a failed snapshot are left; the janitor will remove them");
        }
    }
}

fn partition_files(one: &Reached<'_>, read: &ManifestFiles) -> PartitionFiles {
    PartitionFiles {
        volume: one.volume.name.clone(),
        db: one.partition.db,
        table: one.partition.table,
        partition: one.partition.id,
        recycled: one.recycled,
        manifest: one.version.manifest.name.clone(),
        manifest_sum: read.sum,
        segments: read.segments.clone(),
    }
}
