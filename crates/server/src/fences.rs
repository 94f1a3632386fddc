//! Whether this process may write and delete in the volumes of its cluster: each has a fence that says which epoch may, and
//! which start of it (docs/rfcs/0006-starts.md).

use std::path::Path;

use cairn_catalog::{Catalog, Command, Volume};
use cairn_env::{Env, files};
use cairn_objects::layout::Sign;
use cairn_objects::{Fence, FenceRecord, OwnStart, Seen, StartRecord, Starts, Verdict, VolumeStore};
use cairn_types::{Error, ErrorKind, Result};

use crate::identity::Identity;
use crate::node::Node;

/// For how long a volume without rows is waited for: a start must not hang on what nobody needs.
const ROWLESS_WAIT_MS: u64 = 3_000;
/// For how long a volume is watched for signs of another process: more than twice as long as between two signs.
const WATCH_MS: u64 = 12_000;
/// Between two looks while a volume is watched.
const LOOK_MS: u64 = 500;

/// Begins a start of this data directory: refused when another copy of it runs, was started later, or has come further.
///
/// # Errors
/// `Fenced` for these; `Unavailable` or `Corrupt` when a volume with rows cannot say.
pub async fn begin(node: &Node) -> Result<()> {
    let catalog = node.catalog();
    let stores = stores_with_rows(node, &catalog)?;
    let own = own_start(node, &catalog)?;
    for store in &stores {
        admit(node, &own, store).await?;
    }
    let number = own.start + 1;
    node.propose(Command::BeginStart { number, nonce: node.env.random_hex() }).await?;
    node.env.failpoint("start.after_entry")?;
    for store in &stores {
        announce(node, store).await?;
    }
    node.env.failpoint("start.after_record")
}

/// Asks what `store` says of other copies, and watches it where that is not clear.
async fn admit(node: &Node, own: &OwnStart, store: &VolumeStore) -> Result<()> {
    let look = || Starts::look(store, &own.cluster, own.epoch);
    let first = look().await?;
    let mut verdict = own.judge(first.as_ref());
    if verdict == Verdict::Watch {
        tell_of_watch(store, first.as_ref());
    }
    let watch = node.env.stopwatch();
    while verdict == Verdict::Watch && watch.elapsed_ms() < WATCH_MS {
        node.env.sleep_ms(LOOK_MS).await;
        verdict = own.judge_watched(first.as_ref(), look().await?.as_ref());
    }
    match verdict {
        Verdict::Refuse(why) => Err(Error::fenced(format!("volume {}: {why}", store.location()))),
        Verdict::Go | Verdict::Watch => Ok(()),
    }
}

fn tell_of_watch(store: &VolumeStore, seen: Option<&Seen>) {
    let place = seen.map(|seen| seen.record.place.as_str());
    tracing::warn!(
        volume = store.location(),
        last_started_at = place,
        "this data directory was last started at another place and not ended cleanly: looking for {} seconds whether it runs there",
        WATCH_MS / 1_000
    );
}

/// Says in a volume that this start has happened.
async fn announce(node: &Node, store: &VolumeStore) -> Result<()> {
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
    for volume in catalog.volumes() {
        let signed = async { Starts::sign(&node.storage.volumes.open(volume)?, &cluster.id, &sign).await };
        let signed = tokio::select! {
            signed = signed => signed,
            () = node.env.sleep_ms(ROWLESS_WAIT_MS) => Err(Error::unavailable("it does not answer")),
        };
        if let Err(error) = signed {
            tracing::warn!(%error, volume = volume.name, "no sign of this process could be left in a volume");
        }
    }
}

/// Asks each volume. One that holds no rows is claimed instead: a restore claims what it needs, and a volume that is empty or
/// holds snapshots only keeps nobody from starting when it cannot be reached. Why such could not be claimed is returned.
///
/// # Errors
/// `Fenced` when a later epoch took the cluster over, another copy was started later, or a volume with rows has no claim of
/// this one; `Unavailable` or `Corrupt` when that of a volume with rows cannot be found out.
pub async fn check(node: &Node) -> Result<Vec<Error>> {
    let catalog = node.catalog();
    let mut unclaimed = Vec::new();
    for volume in catalog.volumes() {
        if catalog.holds_rows(volume.id) {
            check_store(&catalog, &node.storage.volumes.open(volume)?).await?;
            continue;
        }
        match claim_rowless(node, volume).await {
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            Err(error) => unclaimed.push(error),
            Ok(()) => {}
        }
    }
    Ok(unclaimed)
}

/// Asks one volume.
///
/// # Errors
/// As [`check`].
pub async fn check_store(catalog: &Catalog, store: &VolumeStore) -> Result<()> {
    let cluster = catalog.cluster();
    Fence::check(store, &cluster.id, cluster.epoch, cluster.start.number).await
}

async fn claim_rowless(node: &Node, volume: &Volume) -> Result<()> {
    let store = node.storage.volumes.open(volume)?;
    let answered = tokio::select! {
        claimed = claim_and_announce(node, &store) => claimed,
        () = node.env.sleep_ms(ROWLESS_WAIT_MS) => Err(Error::unavailable("it does not answer")),
    };
    answered
        .map_err(|e| e.context(format!("storage volume '{}' holds no rows, and cannot be used", volume.name)))
}

/// Tries a new volume and claims it for this incarnation of the cluster.
///
/// # Errors
/// `Unavailable` when it cannot be written to; `Fenced` when the cluster was taken over there.
pub async fn claim_volume(node: &Node, store: &VolumeStore) -> Result<()> {
    store.probe().await?;
    claim_and_announce(node, store).await
}

/// A volume that is claimed knows of this start, so that no other copy of the directory takes it for its own.
async fn claim_and_announce(node: &Node, store: &VolumeStore) -> Result<()> {
    claim(&node.env, store, &identity(&node.data_dir)?).await?;
    announce(node, store).await?;
    check_store(&node.catalog(), store).await
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

fn stores_with_rows(node: &Node, catalog: &Catalog) -> Result<Vec<VolumeStore>> {
    let with_rows = catalog.volumes().filter(|v| catalog.holds_rows(v.id));
    with_rows.map(|volume| node.storage.volumes.open(volume)).collect()
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
