//! Makes the files of loads visible: new manifests, durable, then one command for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::{
    Catalog, Command, ManifestRef, Partition, PartitionChange, RefreshSpec, Reply, RunAdvance, Seen, Stamp,
    TxnState,
};
use cairn_types::{DbId, Error, ErrorKind, PartitionId, Result, TableId, TxnId};
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::context::{StorageContext, visible_partition, visible_table};
use crate::flush::discard;
use crate::load::Written;
use crate::manifest::{Manifest, RowVersions, Rowset};
use crate::open_writes::WriteGuard;
use crate::segment::SegmentShape;
use crate::supersede::{KeyFiles, hide_superseded};
use crate::volumes::PartitionPlace;

/// How often a commit starts anew because somebody else changed a partition first.
const TRIES: usize = 16;
/// For how long a fence is believed to be as it was. Who takes a directory over first looks for signs of life for 12 seconds, so
/// only a process that stood still in between (a suspended machine, SIGSTOP) can have lost its journal meanwhile.
const FENCE_TRUSTED_MS: u64 = 2_000;
const COMMITTED_ALONE: &str = "the commit took long, and whether it counts could not be confirmed";
/// Manifests that are written at the same time.
const MANIFESTS_AT_ONCE: usize = 8;

/// What is to become visible, all of it or nothing.
pub struct CommitRequest {
    pub db: DbId,
    /// The load, when it was begun.
    pub txn: Option<TxnId>,
    /// A label to be used by this commit, when it was not.
    pub label: Option<String>,
    /// May be empty: the label is used all the same.
    pub written: Vec<Written>,
    /// What the load wants remembered.
    pub details: String,
    /// The new rows take the place of all others: of the whole table, or of the partitions that the load was for.
    pub overwrite: bool,
    /// The new rows are those of a materialized view: what they were made from becomes visible with them.
    pub refresh: Option<RefreshCommit>,
}

/// The part of a commit that only the refresh of a materialized view has. `txn`, `label`, `details` and `overwrite` of the
/// request do not count beside it. It is committed without any rows, too.
#[derive(Clone, PartialEq, Debug)]
pub struct RefreshCommit {
    pub mview: TableId,
    /// That of the definition by which the bases were read.
    pub binding: u64,
    /// The partitions that are fresh then, each with what it was made from. Rows go into these alone.
    pub built: BTreeMap<PartitionId, BTreeMap<TableId, Seen>>,
    /// Names of partitions to be dropped.
    pub dropped: Vec<String>,
    /// The rows of each partition in `built` give way to the new ones, be there none. Otherwise the new ones are added.
    pub replace: bool,
    /// When each partition in `built` was last refreshed in the state that was read (absent: never); a conflict when it
    /// was since. `None`: not looked at.
    pub before: Option<BTreeMap<PartitionId, Stamp>>,
    /// How far the run is then, or that it has ended.
    pub run: Option<RunAdvance>,
}

/// What became visible.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    pub txn: Option<TxnId>,
    pub rows: u64,
    /// Bytes of the new segments.
    pub bytes: u64,
    pub partitions: usize,
}

/// Whether an error leaves it open if the commit happened.
enum Failure {
    /// It did not happen and will not.
    Refused(Error),
    /// It may have happened: its files must stay.
    Unknown(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// A partition's part of a commit.
struct Part<'a> {
    partition: PartitionId,
    rowsets: &'a [Rowset],
    /// Drop what is there.
    replace: bool,
}

/// A part, its partition, and where that lies.
type Placed<'a> = (&'a Part<'a>, &'a Partition, PartitionPlace);

/// Commits loads.
#[derive(Clone)]
pub struct Committer {
    ctx: Arc<StorageContext>,
}

impl Committer {
    #[must_use]
    pub fn new(ctx: Arc<StorageContext>) -> Self {
        Self { ctx }
    }

    /// Makes everything in `request` visible by one command. Others' commits to the same partitions are not lost: their
    /// rows stay beside the new ones, unless this one overwrites.
    ///
    /// # Errors
    /// `LabelUsed`; `Conflict` when a partition was dropped or the load was aborted meanwhile; `Fenced`;
    /// `ResourceExhausted`; `Unavailable`. The new files are deleted, except after an `Unavailable`, `Timeout` or
    /// `Internal` of the journal: the commit may have happened then, and its label tells.
    pub async fn commit(&self, request: CommitRequest) -> Result<Committed> {
        let ids = parts(&self.ctx.meta.catalog(), &request)
            .map(|parts| parts.iter().map(|part| part.partition).collect::<Vec<_>>());
        let outcome = match ids {
            Ok(ids) => {
                let _locked = self.ctx.partition_locks.lock(ids).await;
                self.commit_locked(&request).await
            }
            Err(error) => Err(Failure::Refused(error)),
        };
        match outcome {
            Ok(committed) => Ok(committed),
            Err(Failure::Unknown(error)) => Err(error),
            Err(Failure::Refused(error)) => {
                for written in request.written {
                    written.discard().await;
                }
                Err(error)
            }
        }
    }

    async fn commit_locked(&self, request: &CommitRequest) -> Result<Committed, Failure> {
        for attempt in 0..TRIES {
            let catalog = self.ctx.meta.catalog();
            check_txn(&catalog, request.txn)?;
            // A manifest's name is used once: each further attempt is a write of its own.
            let write = match request.written.first() {
                Some(first) if attempt == 0 => Arc::clone(&first.guard),
                _ => Arc::new(self.ctx.open_writes.begin(&self.ctx.env)),
            };
            let since_asked = self.ctx.env.stopwatch();
            let parts = parts(&catalog, request)?;
            let places = self.places(&catalog, &parts)?;
            // Each is a way to the disk, or to S3 and back. Nothing names the manifests before the command, so they need
            // come neither after the files that they name nor after the fence.
            let fences = check_fences(&catalog, places.iter().map(|(.., place)| place));
            let manifests = self.write_manifests(&catalog, &places, &write);
            let (changed, uploaded, allowed) =
                futures::join!(manifests, finish_uploads(&request.written), fences);
            if let Err(error) = allowed.and(uploaded) {
                discard_manifests(changed.unwrap_or_default()).await;
                return Err(Failure::Refused(error));
            }
            let changed = changed?;
            let (before_commit, after_commit) = failpoints(request);
            self.ctx.env.failpoint_async(before_commit).await?;
            let changes = changed.iter().map(|c| c.change.clone()).collect();
            match self.ctx.meta.propose(command(request, changes)).await {
                Ok(reply) => {
                    if since_asked.elapsed_ms() > FENCE_TRUSTED_MS {
                        let asked = check_fences(&catalog, places.iter().map(|(.., place)| place)).await;
                        asked.map_err(|e| Failure::Unknown(e.context(COMMITTED_ALONE)))?;
                    }
                    self.ctx.env.failpoint_async(after_commit).await.map_err(Failure::Unknown)?;
                    return Ok(committed(request, &reply, changed.len()));
                }
                Err(e) if may_have_happened(e.kind()) => return Err(Failure::Unknown(e)),
                Err(e) => {
                    let overtaken = e.kind() == ErrorKind::Conflict
                        && any_base_changed(&self.ctx.meta.catalog(), &changed);
                    discard_manifests(changed).await;
                    if !overtaken {
                        return Err(Failure::Refused(e));
                    }
                }
            }
        }
        let busy =
            "the partitions were changed by others too often while this load was committed: load again";
        Err(Failure::Refused(Error::conflict(busy)))
    }

    /// Where each part goes.
    fn places<'p>(&self, catalog: &'p Catalog, parts: &'p [Part<'p>]) -> Result<Vec<Placed<'p>>> {
        let place = |part: &'p Part<'p>| {
            let partition = visible_partition(catalog, part.partition)?;
            Ok((part, &**partition, self.ctx.volumes.place(catalog, partition)?))
        };
        parts.iter().map(place).collect()
    }

    async fn write_manifests(
        &self,
        catalog: &Catalog,
        places: &[Placed<'_>],
        write: &WriteGuard,
    ) -> Result<Vec<Changed>> {
        let mut writes = Vec::with_capacity(places.len());
        for (part, partition, place) in places {
            writes.push(self.write_manifest(catalog, part, partition, place.clone(), write).boxed());
        }
        futures::stream::iter(writes).buffered(MANIFESTS_AT_ONCE).try_collect().await
    }

    async fn write_manifest(
        &self,
        catalog: &Catalog,
        part: &Part<'_>,
        partition: &Partition,
        place: PartitionPlace,
        write: &WriteGuard,
    ) -> Result<Changed> {
        let mut manifest = match part.replace {
            true => Manifest::empty(partition.id),
            false => Manifest::clone(&*self.ctx.manifests.load_visible(&place, partition).await?),
        };
        // The version that this commit makes: the catalog takes it on top of exactly this manifest, or not at all.
        let versions = Some(RowVersions::of(partition.visible_version() + 1));
        manifest.rowsets.extend(part.rowsets.iter().map(|rowset| Rowset { versions, ..rowset.clone() }));
        let hides = self.hide_superseded(catalog, partition, &place, &mut manifest, part.rowsets).await?;
        let manifest = self.ctx.manifests.write(&place, Arc::new(manifest), write.id()).await?;
        Ok(Changed { change: change(partition, manifest, part.replace || hides), place })
    }

    /// In a table with a unique key the new rows take the place of those with the same keys. Whether there were any.
    async fn hide_superseded(
        &self,
        catalog: &Catalog,
        partition: &Partition,
        place: &PartitionPlace,
        manifest: &mut Manifest,
        new: &[Rowset],
    ) -> Result<bool> {
        let (_, olap) = visible_table(catalog, partition.table)?;
        let Some(first) = new.first().filter(|_| olap.model.is_keyed()) else { return Ok(false) };
        let shape = SegmentShape::of(olap);
        let files = KeyFiles { ctx: &self.ctx, place, shape: &shape };
        hide_superseded(&files, manifest, &first.write).await
    }
}

/// A manifest that was written for a partition.
pub(crate) struct Changed {
    pub change: PartitionChange,
    pub place: PartitionPlace,
}

/// Waits for the files of the loads that are still under way.
async fn finish_uploads(written: &[Written]) -> Result<()> {
    let mut outcome = Ok(());
    for one in written {
        outcome = outcome.and(one.uploads.finish().await);
    }
    outcome
}

async fn discard_manifests(changed: Vec<Changed>) {
    let files = changed.into_iter().map(|c| (c.place, c.change.manifest.name));
    discard(&files.collect::<Vec<_>>()).await;
}

/// The change from the visible manifest of `partition` to `manifest`.
pub(crate) fn change(partition: &Partition, manifest: ManifestRef, replaces: bool) -> PartitionChange {
    PartitionChange {
        partition: partition.id,
        base: partition.visible().map(|v| v.manifest.name.clone()),
        manifest,
        replaces,
    }
}

/// The command that makes `changes` visible.
fn command(request: &CommitRequest, changes: Vec<PartitionChange>) -> Command {
    match &request.refresh {
        None => Command::Commit {
            db: request.db,
            txn: request.txn,
            label: request.label.clone(),
            changes,
            details: request.details.clone(),
        },
        Some(refresh) => Command::CommitRefresh(Box::new(RefreshSpec {
            mview: refresh.mview,
            binding: refresh.binding,
            changes,
            built: refresh.built.iter().map(|(id, seen)| (*id, seen.clone())).collect(),
            dropped: refresh.dropped.clone(),
            before: refresh.before.clone(),
            run: refresh.run.clone().map(Box::new),
        })),
    }
}

/// Before and after the command.
fn failpoints(request: &CommitRequest) -> (&'static str, &'static str) {
    match request.refresh {
        None => ("load.after_manifests", "load.after_commit"),
        Some(_) => ("refresh.before_commit", "refresh.after_commit"),
    }
}

/// Whether one of the partitions has another visible manifest than `changed` was made from.
pub(crate) fn any_base_changed(catalog: &Catalog, changed: &[Changed]) -> bool {
    changed.iter().any(|c| match catalog.partition(c.change.partition) {
        Some(partition) => partition.visible().map(|v| &v.manifest.name) != c.change.base.as_ref(),
        None => true,
    })
}

/// Asks each volume whether this epoch may still write there.
pub(crate) async fn check_fences(
    catalog: &Catalog,
    places: impl Iterator<Item = &PartitionPlace>,
) -> Result<()> {
    let cluster = catalog.cluster();
    let stores: BTreeMap<&str, _> = places.map(|place| (place.store.location(), &place.store)).collect();
    let checks = stores.into_values().map(|store| crate::check_fence(store, cluster));
    let errors = futures::future::join_all(checks).await.into_iter().filter_map(Result::err);
    // That another process took over says more than that a volume does not answer.
    errors.min_by_key(|error| error.kind() != ErrorKind::Fenced).map_or(Ok(()), Err)
}

/// Whether a command that failed so may have been taken by the journal all the same.
pub(crate) fn may_have_happened(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Internal | ErrorKind::Cancelled)
}

fn check_txn(catalog: &Catalog, txn: Option<TxnId>) -> Result<()> {
    let Some(id) = txn else { return Ok(()) };
    let txn = catalog.txn(id).ok_or_else(|| Error::not_found(format!("load {id} is not known")))?;
    match txn.state {
        TxnState::Prepare => Ok(()),
        state => Err(Error::conflict(format!(
            "load {id} (label '{}') is {} already: {}",
            txn.label,
            state.name(),
            txn.details
        ))),
    }
}

/// What changes, by partition.
fn parts<'a>(catalog: &Catalog, request: &'a CommitRequest) -> Result<Vec<Part<'a>>> {
    match &request.refresh {
        None => load_parts(catalog, request),
        Some(refresh) => refresh_parts(catalog, request, refresh),
    }
}

fn load_parts<'a>(catalog: &Catalog, request: &'a CommitRequest) -> Result<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    for written in &request.written {
        let new = written.partitions.iter().map(|(id, rowsets)| (*id, rowsets.as_slice()));
        let mut rowsets: BTreeMap<PartitionId, &[Rowset]> = new.collect();
        if request.overwrite {
            let (_, olap) = visible_table(catalog, written.table)?;
            let emptied = catalog
                .partitions_of(olap)
                .filter(|p| written.only.as_ref().is_none_or(|only| only.contains(&p.id)))
                .filter(|p| has_segments(p));
            for partition in emptied {
                rowsets.entry(partition.id).or_default();
            }
        }
        let part = |(partition, rowsets)| Part { partition, rowsets, replace: request.overwrite };
        parts.extend(rowsets.into_iter().map(part));
    }
    each_once(parts)
}

/// What is written, and what is emptied: rows that are to be replaced by none.
fn refresh_parts<'a>(
    catalog: &Catalog,
    request: &'a CommitRequest,
    refresh: &RefreshCommit,
) -> Result<Vec<Part<'a>>> {
    let replace = refresh.replace;
    let mut parts = Vec::new();
    for written in &request.written {
        if let Some(other) = written.partitions.keys().find(|id| !refresh.built.contains_key(id)) {
            return Err(Error::internal(format!(
                "a refresh wrote to partition {other}, which it does not build"
            )));
        }
        let new = written.partitions.iter();
        parts.extend(new.map(|(id, rowsets)| Part { partition: *id, rowsets, replace }));
    }
    if replace {
        let filled: BTreeSet<_> = parts.iter().map(|part| part.partition).collect();
        for id in refresh.built.keys().filter(|id| !filled.contains(id)) {
            if has_segments(visible_partition(catalog, *id)?) {
                parts.push(Part { partition: *id, rowsets: &[], replace });
            }
        }
    }
    each_once(parts)
}

fn has_segments(partition: &Partition) -> bool {
    partition.visible().is_some_and(|v| v.manifest.segments > 0)
}

fn each_once(parts: Vec<Part<'_>>) -> Result<Vec<Part<'_>>> {
    let mut ids: Vec<_> = parts.iter().map(|part| part.partition).collect();
    ids.sort_unstable();
    match ids.windows(2).any(|pair| pair.first() == pair.last()) {
        true => Err(Error::internal("two parts of one commit write to one partition")),
        false => Ok(parts),
    }
}

fn committed(request: &CommitRequest, reply: &Reply, partitions: usize) -> Committed {
    let txn = match reply {
        Reply::Txn(id) => Some(*id),
        _ => request.txn,
    };
    let rows = request.written.iter().map(|w| w.rows).sum();
    Committed { txn, rows, bytes: request.written.iter().map(|w| w.bytes).sum(), partitions }
}
