//! Whether this process may write and delete in the volumes of its cluster: each has a fence that says which epoch may, and
//! which start of it (docs/rfcs/0006-starts.md).

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cairn_catalog::{Catalog, Command, Volume};
use cairn_env::{Env, files};
use cairn_objects::layout::Sign;
use cairn_objects::{Fence, FenceRecord, OwnStart, Seen, StartRecord, Starts, Verdict, VolumeStore};
use cairn_types::{Error, ErrorKind, Result, VolumeId};
use parking_lot::Mutex;

use crate::identity::Identity;
use crate::node::Node;

/// For how long a volume without rows is waited for: a start must not hang on what nobody needs.
const ROWLESS_WAIT_MS: u64 = 3_000;
/// For how long volumes are watched for signs of another process: more than twice as long as between two signs.
const WATCH_MS: u64 = 12_000;
/// Between two looks while volumes are watched.
const LOOK_MS: u64 = 500;

/// What the process knows of its start.
#[derive(Default)]
pub struct FencesView {
    /// What the data directory knew before it: by that volumes are judged that answer later.
    before: OnceLock<OwnStart>,
    /// Volumes that were judged, and watched where that was called for, before the start began.
    admitted: OnceLock<BTreeSet<VolumeId>>,
    /// Volumes that were told of the start. Whoever removes its record there must not get it back.
    told: Mutex<BTreeSet<VolumeId>>,
}

/// Begins a start of this data directory: refused when another copy of it runs, was started later, or has come further. Every
/// volume that answers is asked; a copy may be from before the first row. [`check`] tells them of it.
///
/// # Errors
/// `Fenced` for these; `Unavailable` or `Corrupt` when a volume with rows cannot say.
pub async fn begin(node: &Node) -> Result<()> {
    let catalog = node.catalog();
    let own = own_start(node, &catalog)?;
    let asked = catalog.volumes().map(|volume| admit(node, &own, &catalog, volume));
    let admitted: Vec<(VolumeId, u64)> =
        futures::future::try_join_all(asked).await?.into_iter().flatten().collect();
    let newest = admitted.iter().map(|(_, start)| *start).max().unwrap_or(0);
    let number = newest.max(own.start) + 1;
    node.fences.before.get_or_init(|| own);
    node.fences.admitted.get_or_init(|| admitted.into_iter().map(|(id, _)| id).collect());
    // From here on this copy calls itself the newest: whatever speaks against it was asked before.
    node.propose(Command::BeginStart { number, nonce: node.env.random_hex() }).await?;
    node.env.failpoint("start.after_entry")
}

/// Asks what `volume` says of other copies, and watches it where that is not clear: the volume, and the newest start there (0:
/// none). `None`: it holds no rows, and does not answer.
async fn admit(
    node: &Node,
    own: &OwnStart,
    catalog: &Catalog,
    volume: &Volume,
) -> Result<Option<(VolumeId, u64)>> {
    let has_rows = catalog.holds_rows(volume.id);
    let first = match look(node, own, volume).await {
        // It is claimed before it is used; what it says is asked then.
        Err(e) if e.kind() == ErrorKind::Unavailable && !has_rows => return Ok(None),
        first => first?,
    };
    if has_rows {
        let store = node.storage.volumes.open(volume)?;
        Fence::check_epoch(&store, &own.cluster, own.epoch).await?;
    }
    let mut verdict = own.judge(first.as_ref());
    if verdict == Verdict::Watch {
        tell_of_watch(volume, first.as_ref());
    }
    let watch = node.env.stopwatch();
    while verdict == Verdict::Watch && watch.elapsed_ms() < WATCH_MS {
        node.env.sleep_ms(LOOK_MS).await;
        verdict = own.judge_watched(first.as_ref(), look(node, own, volume).await?.as_ref());
    }
    match verdict {
        Verdict::Refuse(why) => Err(Error::fenced(format!("volume {}: {why}", volume.location))),
        Verdict::Go | Verdict::Watch => Ok(Some((volume.id, first.map_or(0, |seen| seen.start)))),
    }
}

async fn look(node: &Node, own: &OwnStart, volume: &Volume) -> Result<Option<Seen>> {
    let store = node.storage.volumes.open(volume)?;
    let looked = Starts::look(&store, &own.cluster, own.epoch);
    if node.catalog().holds_rows(volume.id) { looked.await } else { in_time(node, looked).await }
}

/// What does not answer in time is unavailable.
async fn in_time<T>(node: &Node, answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        answer = answer => answer,
        () = node.env.sleep_ms(ROWLESS_WAIT_MS) => Err(Error::unavailable("it does not answer")),
    }
}

fn tell_of_watch(volume: &Volume, seen: Option<&Seen>) {
    let place = seen.and_then(|seen| seen.record.as_ref()).map(|record| record.place.as_str());
    tracing::warn!(
        volume = volume.location,
        last_started_at = place,
        "this data directory was last started at another place and not ended cleanly: looking for {} seconds whether it runs there",
        WATCH_MS / 1_000
    );
}

/// Says in a volume that this start has happened.
async fn tell(node: &Node, store: &VolumeStore) -> Result<()> {
    let own = own_start(node, &node.catalog())?;
    let record = StartRecord {
        cluster: own.cluster,
        epoch: own.epoch,
        start: own.start,
        nonce: own.nonce,
        place: own.place,
        started_ms: node.started_ms,
    };
    Starts::put(store, &record).await
}

/// Leaves a sign of life, or of the end, in each volume. One that does not answer is told of and passed over.
pub async fn sign(node: &Node, stopped: bool) {
    let state = node.journal.state();
    let catalog = &state.state.0;
    let cluster = catalog.cluster();
    let (epoch, start) = (cluster.epoch, cluster.start.number);
    let sign = Sign { epoch, start, index: state.index, at_ms: node.env.now_ms(), stopped };
    let one = |volume: Arc<Volume>| async move {
        let signed = async { Starts::sign(&node.storage.volumes.open(&volume)?, &cluster.id, &sign).await };
        if let Err(error) = in_time(node, signed).await {
            tracing::debug!(%error, volume = volume.name, "no sign of this process could be left in a volume");
        }
    };
    // All at once: one that hangs must not delay what the others say.
    futures::future::join_all(catalog.volumes().map(|volume| one(Arc::clone(volume)))).await;
}

/// Asks each volume, and tells one of this start that was not told yet. Why such could not be told is returned: it is not written
/// to, and keeps nobody from starting.
///
/// # Errors
/// `Fenced` when a later epoch took the cluster over or another copy was started later; `Unavailable` or `Corrupt` when a volume
/// with rows that was told does not say so any more.
pub async fn check(node: &Node) -> Result<Vec<Error>> {
    let catalog = node.catalog();
    let asked = catalog.volumes().map(|volume| check_volume(node, &catalog, volume));
    let answers = futures::future::join_all(asked).await;
    // Who was fenced out must know it, whatever else is wrong.
    let (fenced, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|a| a.as_ref().is_err_and(|e| e.kind() == ErrorKind::Fenced));
    fenced.into_iter().chain(others).filter_map(Result::transpose).collect()
}

async fn check_volume(node: &Node, catalog: &Catalog, volume: &Volume) -> Result<Option<Error>> {
    let has_rows = catalog.holds_rows(volume.id);
    let is_told = node.fences.told.lock().contains(&volume.id);
    let asked = async {
        let store = node.storage.volumes.open(volume)?;
        if is_told { check_store(catalog, &store).await } else { enter(node, catalog, volume, &store).await }
    };
    match if has_rows { asked.await } else { in_time(node, asked).await } {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Fenced || (has_rows && is_told) => Err(error),
        Err(error) => {
            Ok(Some(error.context(format!("storage volume '{}' cannot be written to", volume.name))))
        }
    }
}

/// Claims a volume that was not told of this start, and tells it.
async fn enter(node: &Node, catalog: &Catalog, volume: &Volume, store: &VolumeStore) -> Result<()> {
    // A mount point without its disk is another volume.
    if catalog.holds_files(volume.id) && Fence::newest_epoch(store, &catalog.cluster().id).await?.is_none() {
        return Err(Error::unavailable(
            "files of this cluster should be there, and nothing is: is its disk mounted?",
        ));
    }
    if !node.fences.admitted.get().is_some_and(|admitted| admitted.contains(&volume.id)) {
        judge_late(node, store).await?;
    }
    claim_and_tell(node, store).await?;
    node.fences.told.lock().insert(volume.id);
    Ok(())
}

/// Asks one volume.
///
/// # Errors
/// As [`check`].
pub async fn check_store(catalog: &Catalog, store: &VolumeStore) -> Result<()> {
    cairn_storage::check_fence(store, catalog.cluster()).await
}

/// Tries a new volume and claims it for this incarnation of the cluster.
///
/// # Errors
/// `Unavailable` when it cannot be written to; `Fenced` when the cluster was taken over there.
pub async fn claim_volume(node: &Node, store: &VolumeStore) -> Result<()> {
    store.probe().await?;
    judge_late(node, store).await?;
    claim_and_tell(node, store).await
}

/// A volume that is claimed knows of this start, so that no other copy of the directory takes it for its own.
async fn claim_and_tell(node: &Node, store: &VolumeStore) -> Result<()> {
    claim(&node.env, store, &identity(&node.data_dir)?).await?;
    tell(node, store).await?;
    check_store(&node.catalog(), store).await
}

/// Asks a volume that did not answer when this process started, or is new.
async fn judge_late(node: &Node, store: &VolumeStore) -> Result<()> {
    let now = own_start(node, &node.catalog())?;
    let seen = Starts::look(store, &now.cluster, now.epoch).await?;
    let is_own = |record: &StartRecord| (record.start, &record.nonce) == (now.start, &now.nonce);
    if seen.as_ref().and_then(|seen| seen.record.as_ref()).is_some_and(is_own) {
        return Ok(());
    }
    match node.fences.before.get().unwrap_or(&now).judge(seen.as_ref()) {
        Verdict::Go => Ok(()),
        Verdict::Watch => Err(Error::unavailable(format!(
            "volume {} was last used from another place: start again, so that it is looked at whether a process runs there",
            store.location()
        ))),
        Verdict::Refuse(why) => Err(Error::fenced(format!("volume {}: {why}", store.location()))),
    }
}

/// Claims a volume for the incarnation that `identity` names.
///
/// # Errors
/// `Fenced` when another one has it; `Unavailable`.
pub async fn claim(env: &Env, store: &VolumeStore, identity: &Identity) -> Result<()> {
    let record = FenceRecord {
        cluster: identity.cluster.clone(),
        epoch: identity.epoch,
        claimed_ms: env.now_ms(),
        nonce: identity.nonce.clone(),
    };
    Fence::claim(store, &record).await
}

fn own_start(node: &Node, catalog: &Catalog) -> Result<OwnStart> {
    let cluster = catalog.cluster();
    Ok(OwnStart {
        cluster: cluster.id.clone(),
        epoch: cluster.epoch,
        start: cluster.start.number,
        nonce: cluster.start.nonce.clone(),
        place: files::place_of(&node.data_dir)?,
        index: node.journal.state().index,
    })
}

fn identity(data_dir: &Path) -> Result<Identity> {
    Identity::read(data_dir)?
        .ok_or_else(|| Error::corrupt(format!("{} has lost its file IDENTITY", data_dir.display())))
}
