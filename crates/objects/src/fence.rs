//! Fences: which epoch of a cluster may write and delete under its folder in a volume.
//!
//! Each epoch claims the folder by an object of its own, created once. The highest claim counts, and within its epoch
//! the highest [start](crate::Starts). A process asks [`Fence::check`] before it deletes or makes something count; a missing or
//! unreadable claim is a "no".

use cairn_codec::{Format, open, seal};
use cairn_types::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::layout::FenceKey;
use crate::{VolumeStore, layout};

const FENCE_VERSION: u16 = 1;

/// What a claim says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FenceRecord {
    pub cluster: String,
    pub epoch: u64,
    pub claimed_ms: u64,
    /// Tells two claimants of one epoch apart, and a claimant's second try from another's first.
    pub nonce: String,
}

/// Claims and checks.
pub struct Fence;

impl Fence {
    /// Claims `record.epoch` of `record.cluster`: of all claimants of an epoch exactly one wins. The winner may claim
    /// again.
    ///
    /// # Errors
    /// `Fenced` when another nonce has this epoch or any has a higher one; `Unavailable`.
    pub async fn claim(store: &VolumeStore, record: &FenceRecord) -> Result<()> {
        let (cluster, epoch) = (record.cluster.as_str(), record.epoch);
        let refuse_higher = |newest: Option<u64>| match newest {
            Some(higher) if higher > epoch => Err(taken_over(store, cluster, epoch, higher)),
            _ => Ok(()),
        };
        refuse_higher(Self::newest_epoch(store, cluster).await?)?;
        if let Some(held) = Self::read(store, cluster, epoch).await? {
            // The time of the first claim stays.
            if held.nonce != record.nonce {
                return Err(taken(store, cluster, epoch));
            }
            return Ok(());
        }
        match store.put_new(&layout::fence(cluster, epoch), encode(record)?.into()).await {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(taken(store, cluster, epoch)),
            done => done?,
        }
        // Somebody may have claimed a higher one between the look and the claim.
        refuse_higher(Self::newest_epoch(store, cluster).await?)
    }

    /// The highest claimed epoch; `None` when the volume holds no claim on this cluster.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn newest_epoch(store: &VolumeStore, cluster: &str) -> Result<Option<u64>> {
        Ok(Newest::list(store, cluster).await?.epoch)
    }

    /// The claim of `epoch`, if there is one.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read as this epoch's claim; `Unavailable`.
    pub async fn read(store: &VolumeStore, cluster: &str, epoch: u64) -> Result<Option<FenceRecord>> {
        let key = layout::fence(cluster, epoch);
        let bytes = match store.get(&key).await {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let record =
            decode(&bytes).map_err(|e| e.context(format!("{key} in volume {}", store.location())))?;
        if record.cluster != cluster || record.epoch != epoch {
            return Err(Error::corrupt(format!(
                "{key} in volume {} is the claim of epoch {} of cluster {}",
                store.location(),
                record.epoch,
                record.cluster
            )));
        }
        Ok(Some(record))
    }

    /// Whether start `start` of `epoch`, with this nonce, may write and delete now. Start 0 was never told of.
    ///
    /// # Errors
    /// `Fenced` when a higher epoch took over or another copy of the data directory was started later; `Unavailable` when `epoch`
    /// never claimed the volume or the start left no record there (missing information means "no", but not that somebody else
    /// may), or when that cannot be found out; `Corrupt`.
    pub async fn check(
        store: &VolumeStore,
        cluster: &str,
        epoch: u64,
        (start, nonce): (u64, &str),
    ) -> Result<()> {
        let newest = Self::checked_epoch(store, cluster, epoch).await?;
        let starts = newest.starts.iter().filter(|(of, ..)| *of == epoch);
        // Of two that were started as one number the smaller nonce goes on.
        let is_later = |n: u64, other: &str| n > start || n == start && other < nonce;
        let mut is_known = start == 0;
        for (_, number, other) in starts {
            if is_later(*number, other) {
                let key = layout::fence_start(cluster, epoch, *number, other);
                return Err(Error::fenced(format!(
                    "another copy of this data directory was started later ({key} in volume {}): this process must stop",
                    store.location()
                )));
            }
            is_known |= (*number, other.as_str()) == (start, nonce);
        }
        if is_known {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "the record of this start ({}) is not in volume {}: this process must not write or delete there",
            layout::fence_start(cluster, epoch, start, nonce),
            store.location()
        )))
    }

    /// Whether the volume is that of `epoch`, whatever start it is.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn check_epoch(store: &VolumeStore, cluster: &str, epoch: u64) -> Result<()> {
        Self::checked_epoch(store, cluster, epoch).await.map(|_| ())
    }

    /// The fence of a volume that is that of `epoch`.
    async fn checked_epoch(store: &VolumeStore, cluster: &str, epoch: u64) -> Result<Newest> {
        // Side by side: on S3 each is a round trip, and a claim is never taken back once it counted.
        let (newest, claim) = futures::join!(Newest::list(store, cluster), Self::read(store, cluster, epoch));
        let newest = newest?;
        match newest.epoch {
            Some(higher) if higher > epoch => Err(taken_over(store, cluster, epoch, higher)),
            Some(newest_epoch) if newest_epoch == epoch && claim?.is_some() => Ok(newest),
            _ => Err(unclaimed(store, cluster, epoch)),
        }
    }

    /// Whether the volume can be written to: tried before anything is claimed.
    ///
    /// # Errors
    /// `ResourceExhausted`, `Unavailable`.
    pub async fn probe(store: &VolumeStore, cluster: &str, nonce: &str) -> Result<()> {
        let key = layout::fence_probe(cluster, nonce);
        store.put_new(&key, nonce.to_owned().into()).await?;
        store.delete(&key).await
    }

    /// Takes the claim of `record` back, when it is that of this claimant.
    ///
    /// # Errors
    /// `Corrupt`, `Unavailable`.
    pub async fn withdraw(store: &VolumeStore, record: &FenceRecord) -> Result<()> {
        match Self::read(store, &record.cluster, record.epoch).await? {
            Some(held) if held.nonce == record.nonce => {
                store.delete(&layout::fence(&record.cluster, record.epoch)).await
            }
            _ => Ok(()),
        }
    }
}

/// What one listing of a fence folder says.
struct Newest {
    epoch: Option<u64>,
    /// Epoch, number and nonce.
    starts: Vec<(u64, u64, String)>,
}

impl Newest {
    async fn list(store: &VolumeStore, cluster: &str) -> Result<Self> {
        let mut newest = Self { epoch: None, starts: Vec::new() };
        let mut objects = store.list(&layout::fence_folder(cluster));
        while let Some(object) = objects.try_next().await? {
            match FenceKey::parse(cluster, &object.key) {
                Some(FenceKey::Claim { epoch }) => newest.epoch = newest.epoch.max(Some(epoch)),
                Some(FenceKey::Start { epoch, start, nonce }) => newest.starts.push((epoch, start, nonce)),
                Some(FenceKey::Sign(_)) | None => {}
            }
        }
        Ok(newest)
    }
}

fn unclaimed(store: &VolumeStore, cluster: &str, epoch: u64) -> Error {
    Error::unavailable(format!(
        "epoch {epoch} of cluster {cluster} has no claim in volume {} (its folder {} was removed, or another volume is mounted \
         there): this process must not write or delete",
        store.location(),
        layout::fence_folder(cluster)
    ))
}

fn taken_over(store: &VolumeStore, cluster: &str, epoch: u64, higher: u64) -> Error {
    Error::fenced(format!(
        "epoch {epoch} of cluster {cluster} was taken over by epoch {higher} in volume {}: this process must stop",
        store.location()
    ))
}

fn taken(store: &VolumeStore, cluster: &str, epoch: u64) -> Error {
    Error::fenced(format!(
        "epoch {epoch} of cluster {cluster} was claimed by another process in volume {}: restore again to get a higher one",
        store.location()
    ))
}

fn encode(record: &FenceRecord) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(record).map_err(|e| Error::internal(format!("a fence is no JSON: {e}")))?;
    Ok(seal(Format::Fence, FENCE_VERSION, &json))
}

fn decode(bytes: &[u8]) -> Result<FenceRecord> {
    let frame = open(bytes, Format::Fence, FENCE_VERSION)?;
    serde_json::from_slice(frame.body).map_err(|e| Error::corrupt(format!("the fence cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_fence_stays_readable() {
        let record =
            FenceRecord { cluster: "c1".into(), epoch: 2, claimed_ms: 1_700_000_000_000, nonce: "n".into() };
        let golden = include_bytes!("../tests/golden/fence-v1.bin");
        assert_eq!(decode(golden).unwrap(), record);
        assert_eq!(encode(&record).unwrap(), golden, "the format of fences changed");
    }
}
