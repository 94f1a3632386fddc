//! Restore: first a plan that has checked everything, then the takeover, which changes nothing in a volume but its fence.
//!
//! [`plan`] reads the snapshot and finds every file that it needs; [`execute`] claims the volumes for a higher epoch, looks
//! once more, and returns the catalog with which the new cluster starts. Making a data directory of it is the caller's.

use std::collections::BTreeMap;

use cairn_catalog::restore::VolumeOverride;
use cairn_catalog::{Catalog, Command, Snapshot, SnapshotState, Stamp, Trim, Volume};
use cairn_env::Env;
use cairn_objects::{Fence, FenceRecord, VolumeStore};
use cairn_types::{Error, ErrorKind, Result};

use crate::VolumeResolver;
use crate::checked::{Closeness, Findings, Opened, Place, check_files};
use crate::format::Marker;
use crate::list::{self, SnapshotStatus};
use crate::progress::{Meter, OnProgress};
use crate::source::Source;
use crate::verify::{Problem, Verdict};

/// What is to be restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreRequest {
    /// One snapshot, or a place whose newest finished one is meant.
    pub source: Source,
    /// Volumes that are elsewhere now, or whose credentials the environment does not give.
    pub overrides: Vec<VolumeOverride>,
    /// Reads every byte before, as `verify` does; else segments are looked up by name and size.
    pub read_everything: bool,
    /// Files that are looked at at the same time.
    pub at_once: usize,
}

/// A table that comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TablePlan {
    pub database: String,
    pub table: String,
    pub partitions: u64,
    pub rows: u64,
    pub bytes: u64,
}

/// What a restore will do. Printed by a dry run.
pub struct RestorePlan {
    /// The snapshot's volume.
    pub location: String,
    pub marker: Marker,
    /// Snapshots that were passed over, and why.
    pub torn: Vec<(String, String)>,
    pub tables: Vec<TablePlan>,
    /// Name and location of each volume that the restored cluster uses.
    pub volumes: Vec<(String, String)>,
    /// Files and bytes that the restored cluster needs; they stay where they are.
    pub files: u64,
    pub bytes: u64,
    /// Name and recorded location of volumes that must be named before they are taken over: the snapshot is not where its own
    /// volume was, so this may be a copy.
    pub unconfirmed: Vec<(String, String)>,
    /// Why it cannot be done. Empty: it can.
    pub problems: Vec<Problem>,
    /// What is missing of the recycle bin, which then comes back empty.
    pub recycled: Vec<Problem>,
    store: VolumeStore,
    opened: Opened,
    closeness: Closeness,
}

/// A restored cluster, up to its data directory.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The catalog with which the journal begins, secrets of the overrides included.
    pub catalog: Catalog,
    /// The journal index of that catalog.
    pub index: u64,
    pub epoch: u64,
    /// The nonce of the claims; it belongs into the new data directory, to claim further volumes with.
    pub nonce: String,
    /// Older snapshots that the cluster forgets, because their files are gone.
    pub given_up: Vec<String>,
    takeover: Takeover,
}

/// The claims of a restore.
#[derive(Clone, Debug)]
struct Takeover {
    record: FenceRecord,
    stores: Vec<VolumeStore>,
}

impl Restored {
    /// Gives the cluster back to whom it was taken from, for a restore that cannot be ended: says what has become of it.
    pub async fn give_back(self, cause: Error) -> Error {
        self.takeover.give_back(cause).await
    }
}

/// Checks everything and changes nothing. `store` is the volume at `request.source.location`.
///
/// # Errors
/// `NotFound` when there is no such or no finished snapshot; `Corrupt` when marker or image are damaged; `Analysis` for an
/// override of an unknown volume; `Unavailable` when a volume cannot be reached. Files that are missing or wrong are no
/// error, but stand in the plan.
pub async fn plan(
    store: &VolumeStore,
    request: &RestoreRequest,
    resolver: &dyn VolumeResolver,
    on_progress: OnProgress<'_>,
) -> Result<RestorePlan> {
    let found = list::list(store, &request.source).await?;
    let chosen = list::newest(&found, store.location())?;
    let torn = found.iter().filter_map(|info| Some((info.name.clone(), info.defect()?.to_owned())));
    let place = Place {
        store,
        cluster: &chosen.cluster,
        name: &chosen.name,
        resolver,
        overrides: &request.overrides,
    };
    let opened = place.open().await?.map_err(|problem| Error::corrupt(problem.to_string()))?;
    let closeness = Closeness { read_segments: request.read_everything, at_once: request.at_once };
    let meter = Meter::new(on_progress, opened.marker.files, opened.marker.bytes);
    meter.add(1, opened.marker.image.bytes);
    let Findings { mut problems, mut recycled, .. } = check_files(&place, &opened, closeness, &meter).await?;
    problems.sort();
    recycled.sort();
    Ok(RestorePlan {
        location: store.location().to_owned(),
        torn: torn.collect(),
        tables: tables(&opened.catalog),
        volumes: opened
            .stores
            .iter()
            .map(|(name, store)| (name.clone(), store.location().to_owned()))
            .collect(),
        files: opened.marker.files,
        bytes: opened.marker.bytes,
        marker: opened.marker.clone(),
        unconfirmed: opened.unconfirmed.clone(),
        problems,
        recycled,
        store: store.clone(),
        opened,
        closeness: Closeness { read_segments: false, ..closeness },
    })
}

fn tables(catalog: &Catalog) -> Vec<TablePlan> {
    let mut plans = Vec::new();
    for db in catalog.databases().filter(|d| d.dropped.is_none()) {
        for table in catalog.tables_of(db.id) {
            let Some(olap) = table.olap() else { continue };
            let mut plan = TablePlan {
                database: db.name.clone(),
                table: table.name.clone(),
                partitions: 0,
                rows: 0,
                bytes: 0,
            };
            for partition in catalog.partitions_of(olap) {
                plan.partitions += 1;
                if let Some(version) = partition.visible() {
                    plan.rows += version.manifest.rows;
                    plan.bytes += version.manifest.bytes;
                }
            }
            plans.push(plan);
        }
    }
    plans
}

/// Takes the cluster over: from here on the old one can neither write nor delete in the volumes that this one uses. When it
/// fails the cluster is given back.
///
/// # Errors
/// `Corrupt` or `Unavailable` when the plan has problems, or when files went away between the plan and the takeover; `Fenced` when
/// another restore was quicker; `ResourceExhausted`, `Unavailable`.
pub async fn execute(env: &Env, plan: RestorePlan, resolver: &dyn VolumeResolver) -> Result<Restored> {
    plan.check()?;
    env.failpoint("restore.after_check")?;
    let takeover = take_over(env, &plan).await?;
    match after_takeover(env, plan, resolver, takeover.clone()).await {
        Ok(restored) => Ok(restored),
        Err(cause) => Err(takeover.give_back(cause).await),
    }
}

async fn after_takeover(
    env: &Env,
    plan: RestorePlan,
    resolver: &dyn VolumeResolver,
    takeover: Takeover,
) -> Result<Restored> {
    env.failpoint("restore.after_fence")?;

    // Until the fence stood, the old cluster may have dropped the snapshot or let files go.
    let (cluster, name) = (plan.marker.cluster.as_str(), plan.marker.name.as_str());
    let overrides = plan.opened.overrides.clone();
    let place = Place { store: &plan.store, cluster, name, resolver, overrides: &overrides };
    let opened = place.open().await?.map_err(|problem| Error::corrupt(problem.to_string()))?;
    let meter = Meter::new(&|_| {}, 0, 0);
    let findings = check_files(&place, &opened, plan.closeness, &meter).await?;
    refuse(&findings.problems, name)?;

    let (index, epoch) = (plan.marker.index, takeover.record.epoch);
    let now = Stamp { index, time_ms: env.now_ms() };
    let mut catalog = opened.catalog.clone();
    finish_snapshot(&mut catalog, &plan.marker, now)?;
    finish_others(&mut catalog, &opened, resolver, now).await?;
    let given_up = drop_lost_snapshots(&mut catalog, &opened, resolver, now).await?;
    if !findings.recycled.is_empty() {
        empty_recycle_bin(&mut catalog, now)?;
    }
    let catalog = catalog.restored(epoch, name, &overrides, now)?;
    let nonce = takeover.record.nonce.clone();
    Ok(Restored { catalog, index, epoch, nonce, given_up, takeover })
}

fn refuse(problems: &[Problem], name: &str) -> Result<()> {
    let Some(first) = problems.first() else { return Ok(()) };
    let count = problems.len();
    let and_more = if count > 1 { " …" } else { "" };
    Err(match Verdict::of(problems) {
        Verdict::Unreadable => Error::unavailable(format!(
            "snapshot '{name}' cannot be restored now, {count} of its files could not be read: {first}{and_more}. Nothing was \
             changed; see to the volume and its credentials, and try again"
        )),
        _ => Error::corrupt(format!(
            "snapshot '{name}' cannot be restored, {count} of its files are missing or damaged: {first}{and_more}. Nothing was \
             changed; try an older snapshot"
        )),
    })
}

/// Claims every volume for an epoch above all that were ever claimed in any of them; all or none.
async fn take_over(env: &Env, plan: &RestorePlan) -> Result<Takeover> {
    let nonce = env.random_hex();
    let cluster = plan.marker.cluster.as_str();
    // Two volumes may be one place.
    let stores: BTreeMap<&str, &VolumeStore> =
        plan.opened.stores.values().chain([&plan.store]).map(|s| (s.location(), s)).collect();
    let mut newest = plan.marker.epoch;
    for store in stores.values() {
        newest = newest.max(Fence::newest_epoch(store, cluster).await?.unwrap_or(0));
        Fence::probe(store, cluster, &nonce).await.map_err(|e| e.context("nothing was taken over"))?;
    }
    let record =
        FenceRecord { cluster: cluster.to_owned(), epoch: newest + 1, claimed_ms: env.now_ms(), nonce };
    let mut takeover = Takeover { record, stores: Vec::new() };
    for store in stores.into_values() {
        takeover.stores.push(store.clone());
        if let Err(cause) = Fence::claim(store, &takeover.record).await {
            return Err(takeover.give_back(cause).await);
        }
    }
    Ok(takeover)
}

impl Takeover {
    /// Takes the claims back.
    async fn give_back(self, cause: Error) -> Error {
        let mut left = Ok(());
        for store in &self.stores {
            left = left.and(Fence::withdraw(store, &self.record).await);
        }
        let (cluster, epoch) = (&self.record.cluster, self.record.epoch);
        cause.context(match left {
            Ok(()) => format!(
                "the restore failed after it had taken cluster {cluster} over, and gave it back: if the old process has stopped \
                 meanwhile, start it again"
            ),
            Err(e) => format!(
                "the restore failed after it had taken cluster {cluster} over as epoch {epoch}, which could not be undone ({}): the \
                 old process stops; restore again",
                e.message()
            ),
        })
    }
}

fn apply(catalog: &mut Catalog, now: Stamp, command: &Command) -> Result<()> {
    catalog.apply(now.index, now.time_ms, command).map(drop)
}

/// In its own image a snapshot is still being taken.
fn finish_snapshot(catalog: &mut Catalog, marker: &Marker, now: Stamp) -> Result<()> {
    let snapshot = catalog
        .snapshot_named(&marker.name)
        .ok_or_else(|| Error::corrupt(format!("the image does not know snapshot '{}'", marker.name)))?;
    let finished = Command::AdvanceSnapshot {
        id: snapshot.id,
        state: SnapshotState::Finished,
        detail: "Finished time was reset after cluster restored".to_owned(),
        error: String::new(),
        bytes: marker.bytes,
        files: marker.files,
    };
    apply(catalog, now, &finished)
}

/// Snapshots that were being taken when the image was made may have been finished since: those count. The others
/// come back as failed, and their files are removed.
async fn finish_others(
    catalog: &mut Catalog,
    opened: &Opened,
    resolver: &dyn VolumeResolver,
    now: Stamp,
) -> Result<()> {
    let running: Vec<_> = catalog.snapshots().filter(|s| s.state.is_running()).cloned().collect();
    for snapshot in running {
        match status_of(catalog, opened, resolver, &snapshot).await? {
            Some(SnapshotStatus::Finished(marker)) if marker.belongs_to(catalog, &snapshot) => {
                finish_snapshot(catalog, &marker, now)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Older snapshots that the image knows may have been dropped since: without their files they must not pin anything. What
/// cannot be found out stays.
async fn drop_lost_snapshots(
    catalog: &mut Catalog,
    opened: &Opened,
    resolver: &dyn VolumeResolver,
    now: Stamp,
) -> Result<Vec<String>> {
    let mut given_up = Vec::new();
    let others: Vec<_> = catalog
        .snapshots()
        .filter(|s| s.state == SnapshotState::Finished && s.name != opened.marker.name)
        .cloned()
        .collect();
    for snapshot in others {
        if !is_lost(catalog, opened, resolver, &snapshot).await? {
            continue;
        }
        apply(catalog, now, &Command::SetSnapshotPinned { id: snapshot.id, pinned: false })?;
        let detail = "its files were gone when the cluster was restored".to_owned();
        let expired = SnapshotState::Expired;
        let (id, error) = (snapshot.id, String::new());
        apply(
            catalog,
            now,
            &Command::AdvanceSnapshot { id, state: expired, detail, error, bytes: 0, files: 0 },
        )?;
        given_up.push(snapshot.name.clone());
    }
    Ok(given_up)
}

async fn is_lost(
    catalog: &Catalog,
    opened: &Opened,
    resolver: &dyn VolumeResolver,
    snapshot: &Snapshot,
) -> Result<bool> {
    let Some(volume) = opened.located.volume(snapshot.volume) else { return Ok(true) };
    let status = async {
        let store = store_of(opened, resolver, volume)?;
        // A volume that knows nothing of the cluster is another one, or none: a mount point without its disk.
        if Fence::newest_epoch(&store, &catalog.cluster().id).await?.is_none() {
            return Err(Error::unavailable("the volume holds nothing of this cluster"));
        }
        list::status(&store, &catalog.cluster().id, &snapshot.name).await
    };
    Ok(match status.await {
        Ok(SnapshotStatus::Torn) => true,
        Ok(SnapshotStatus::Finished(marker)) => !marker.belongs_to(catalog, snapshot),
        // A marker that is there, however damaged, was not removed: the rest was not either.
        Ok(SnapshotStatus::Damaged(_)) => false,
        Err(e) if e.kind() == ErrorKind::Unavailable => false,
        Err(e) => return Err(e),
    })
}

fn store_of(opened: &Opened, resolver: &dyn VolumeResolver, volume: &Volume) -> Result<VolumeStore> {
    match opened.stores.get(&volume.name) {
        Some(store) => Ok(store.clone()),
        None => resolver.open(volume),
    }
}

/// What lies in the volume of `snapshot`; `None` when the volume is not known any more.
async fn status_of(
    catalog: &Catalog,
    opened: &Opened,
    resolver: &dyn VolumeResolver,
    snapshot: &Snapshot,
) -> Result<Option<SnapshotStatus>> {
    let Some(volume) = opened.located.volume(snapshot.volume) else { return Ok(None) };
    let store = store_of(opened, resolver, volume)?;
    list::status(&store, &catalog.cluster().id, &snapshot.name).await.map(Some)
}

/// Forgets dropped tables and partitions, whose files the old cluster removed since.
fn empty_recycle_bin(catalog: &mut Catalog, now: Stamp) -> Result<()> {
    let trim = Trim {
        dropped_before_ms: now.time_ms,
        txns_before_ms: 0,
        txns_max: u64::MAX,
        jobs_max: u64::MAX,
        task_runs_before_ms: 0,
        task_runs_max: None,
    };
    // Older snapshots may see some of it; their pins hold, so these files are there.
    apply(catalog, now, &Command::Trim(trim))
}

impl RestorePlan {
    /// The catalog of the snapshot.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.opened.catalog
    }

    /// Refuses a plan that cannot be carried out.
    ///
    /// # Errors
    /// `Analysis` when volumes must be confirmed; `Corrupt`, or `Unavailable` when files could only not be read, naming the
    /// first problem.
    pub fn check(&self) -> Result<()> {
        if !self.unconfirmed.is_empty() {
            let names: Vec<String> = self.unconfirmed.iter().map(|(n, l)| format!("{n} = {l}")).collect();
            return Err(Error::analysis(format!(
                "snapshot '{}' was found in {}, which is not where its volume was when it was taken. If that is a copy, the \
                 cluster may still run on the original, and this restore would take its other volumes over. Say where they \
                 are ('storage_volumes' of the YAML file, or --storage-volume NAME=LOCATION), even if they have not moved: {}",
                self.marker.name,
                self.location,
                names.join(", ")
            )));
        }
        refuse(&self.problems, &self.marker.name)
    }
}
