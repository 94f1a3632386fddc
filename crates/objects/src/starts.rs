//! Starts: which of several copies of one data directory may run. The protocol is docs/rfcs/0006-starts.md.

use bytes::Bytes;
use cairn_codec::{Format, open, seal};
use cairn_types::{Error, Result};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::layout::{FenceKey, Sign};
use crate::{VolumeStore, layout};

const START_VERSION: u16 = 1;

/// What a start leaves in every volume.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRecord {
    pub cluster: String,
    pub epoch: u64,
    pub start: u64,
    pub nonce: String,
    /// Host, path and inode of the data directory.
    pub place: String,
    pub started_ms: u64,
}

/// The last start that a data directory knows of, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnStart {
    pub cluster: String,
    pub epoch: u64,
    /// 0: it was never started.
    pub start: u64,
    pub nonce: String,
    pub place: String,
    /// The last applied journal index.
    pub index: u64,
}

/// What a volume says of the newest start of an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub start: u64,
    /// `None`: somebody removed it, and signs are left.
    pub record: Option<StartRecord>,
    /// Its newest sign.
    pub sign: Option<Sign>,
}

/// Whether a data directory may be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Go,
    /// If no new sign comes.
    Watch,
    Refuse(String),
}

impl OwnStart {
    /// Whether this directory may be started when a volume says `seen`.
    #[must_use]
    pub fn judge(&self, seen: Option<&Seen>) -> Verdict {
        let Some(Seen { start, record, sign }) = seen else { return Verdict::Go };
        let is_later = *start > self.start;
        let is_other = |record: &StartRecord| record.start == self.start && record.nonce != self.nonce;
        if let Some(record) = record.as_ref().filter(|record| is_later || is_other(record)) {
            return Verdict::Refuse(format!(
                "another copy of this data directory was started since this one stopped, at {}: go on with that one. If it is lost, \
                 restore the newest cluster snapshot; to go on with this one instead, and lose what that one committed, remove \
                 {}",
                record.place,
                layout::fence_start(&self.cluster, self.epoch, record.start, &record.nonce)
            ));
        }
        match sign {
            // Whoever removed the record of a later start takes its loss.
            Some(sign) if !is_later && sign.index > self.index => Verdict::Refuse(format!(
                "this copy of the data directory is too old: its journal ends at {}, and the cluster was seen at {}. Use the newest \
                 copy, or restore the newest cluster snapshot; to go on with this one, and lose what came after, remove {}",
                self.index,
                sign.index,
                layout::fence_sign(&self.cluster, sign)
            )),
            Some(sign) if sign.stopped => Verdict::Go,
            // Without a record it may run anywhere.
            _ if record.as_ref().is_some_and(|record| record.place == self.place) => Verdict::Go,
            _ => Verdict::Watch,
        }
    }

    /// As [`judge`](Self::judge), after the volume said `before` and was watched for some time.
    #[must_use]
    pub fn judge_watched(&self, before: Option<&Seen>, now: Option<&Seen>) -> Verdict {
        let newest = |seen: Option<&Seen>| seen.and_then(|s| s.sign);
        match self.judge(now) {
            Verdict::Watch if newest(before) != newest(now) => Verdict::Refuse(format!(
                "a process is running on another copy of this data directory, at {}: stop it first",
                now.and_then(|seen| seen.record.as_ref()).map_or("an unknown place", |record| &record.place)
            )),
            other => other,
        }
    }
}

/// Records and signs in a volume.
pub struct Starts;

impl Starts {
    /// What the volume says of the newest start of `epoch`; `None` when there was none.
    ///
    /// # Errors
    /// `Corrupt` when its record cannot be read; `Unavailable`.
    pub async fn look(store: &VolumeStore, cluster: &str, epoch: u64) -> Result<Option<Seen>> {
        let (mut starts, mut signs) = (Vec::new(), Vec::new());
        for (_, key) in keys(store, cluster).await? {
            match key {
                FenceKey::Start { epoch: e, start, nonce } if e == epoch => starts.push((start, nonce)),
                FenceKey::Sign(sign) if sign.epoch == epoch => signs.push(sign),
                _ => {}
            }
        }
        let numbers = starts.iter().map(|(start, _)| *start).chain(signs.iter().map(|sign| sign.start));
        let Some(start) = numbers.max() else { return Ok(None) };
        // Of two with one number the smaller nonce goes on.
        let record = match starts.into_iter().filter(|(n, _)| *n == start).map(|(_, nonce)| nonce).min() {
            Some(nonce) => Some(read(store, cluster, epoch, (start, &nonce)).await?),
            None => None,
        };
        // The furthest one counts, and of two of one index the later.
        let sign = signs.into_iter().filter(|s| s.start == start).max_by_key(|s| (s.index, s.at_ms));
        Ok(Some(Seen { start, record, sign }))
    }

    /// Whether `cluster` was ever started on this volume.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn any(store: &VolumeStore, cluster: &str) -> Result<bool> {
        Ok(keys(store, cluster).await?.iter().any(|(_, key)| matches!(key, FenceKey::Start { .. })))
    }

    /// Says that a start has happened. Of several with one number the one with the smallest nonce goes on, see
    /// [`Fence::check`](crate::Fence::check).
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn put(store: &VolumeStore, record: &StartRecord) -> Result<()> {
        let key = layout::fence_start(&record.cluster, record.epoch, record.start, &record.nonce);
        let json =
            serde_json::to_vec(record).map_err(|e| Error::internal(format!("a start is no JSON: {e}")))?;
        store.put_new(&key, seal(Format::Start, START_VERSION, &json).into()).await
    }

    /// Leaves a sign and removes what it makes needless: older signs and records, and the claims of lower epochs. Where the start
    /// left no record there is nothing to sign.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn sign(store: &VolumeStore, cluster: &str, sign: &Sign) -> Result<()> {
        let by = (sign.epoch, sign.start);
        let found = keys(store, cluster).await?;
        let is_own =
            |key: &FenceKey| matches!(key, FenceKey::Start { epoch, start, .. } if (*epoch, *start) == by);
        if !found.iter().any(|(_, key)| is_own(key)) {
            return Ok(());
        }
        store.put_new(&layout::fence_sign(cluster, sign), Bytes::new()).await?;
        let needless = found.into_iter().filter(|(_, other)| match other {
            FenceKey::Claim { epoch } => *epoch < sign.epoch,
            FenceKey::Start { epoch, start, .. } => (*epoch, *start) < by,
            FenceKey::Sign(other) => (other.epoch, other.start) <= by && other != sign,
        });
        let needless: Vec<String> = needless.map(|(key, _)| key).collect();
        store.delete_all(&needless).await
    }
}

async fn keys(store: &VolumeStore, cluster: &str) -> Result<Vec<(String, FenceKey)>> {
    let parsed = |key: String| FenceKey::parse(cluster, &key).map(|parsed| (key, parsed));
    let listed: Vec<_> = store.list(&layout::fence_folder(cluster)).map_ok(|o| o.key).try_collect().await?;
    Ok(listed.into_iter().filter_map(parsed).collect())
}

async fn read(
    store: &VolumeStore,
    cluster: &str,
    epoch: u64,
    (start, nonce): (u64, &str),
) -> Result<StartRecord> {
    let key = layout::fence_start(cluster, epoch, start, nonce);
    let bytes = store.get(&key).await?;
    let record = decode(&bytes).map_err(|e| e.context(format!("{key} in volume {}", store.location())))?;
    if (record.cluster.as_str(), record.epoch, record.start, record.nonce.as_str())
        != (cluster, epoch, start, nonce)
    {
        return Err(Error::corrupt(format!(
            "{key} in volume {} is the record of another start",
            store.location()
        )));
    }
    Ok(record)
}

fn decode(bytes: &[u8]) -> Result<StartRecord> {
    let frame = open(bytes, Format::Start, START_VERSION)?;
    serde_json::from_slice(frame.body)
        .map_err(|e| Error::corrupt(format!("the record of a start cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnStart {
        OwnStart {
            cluster: "c1".into(),
            epoch: 2,
            start: 5,
            nonce: "n5".into(),
            place: "here".into(),
            index: 100,
        }
    }

    fn seen(start: u64, nonce: &str, place: &str, sign: Option<(u64, bool)>) -> Seen {
        let record = StartRecord {
            cluster: "c1".into(),
            epoch: 2,
            start,
            nonce: nonce.into(),
            place: place.into(),
            started_ms: 7,
        };
        let sign = sign.map(|(index, stopped)| Sign { epoch: 2, start, index, at_ms: 9, stopped });
        Seen { start, record: Some(record), sign }
    }

    #[test]
    fn a_copy_may_start_when_nothing_speaks_against_it() {
        let check = |seen: Option<Seen>, expected: &str| {
            let said = match own().judge(seen.as_ref()) {
                Verdict::Go => "go".to_owned(),
                Verdict::Watch => "watch".to_owned(),
                Verdict::Refuse(why) => why,
            };
            assert!(said.contains(expected), "{seen:?}: {said}");
        };
        check(None, "go");
        // The record of start 5 never came to be written.
        check(Some(seen(4, "n4", "here", Some((99, false)))), "go");
        check(Some(seen(4, "n4", "there", Some((99, false)))), "watch");
        check(Some(seen(4, "n4", "there", Some((99, true)))), "go");
        check(Some(seen(4, "n4", "here", Some((999, false)))), "too old");
        check(Some(seen(5, "n5", "here", None)), "go");
        check(Some(seen(5, "n5", "here", Some((100, false)))), "go");
        check(Some(seen(5, "n5", "here", Some((101, false)))), "too old");
        check(Some(seen(5, "n5", "here", Some((101, true)))), "too old");
        check(Some(seen(5, "n5", "there", None)), "watch");
        check(Some(seen(5, "n5", "there", Some((99, false)))), "watch");
        check(Some(seen(5, "n5", "there", Some((100, true)))), "go");
        check(Some(seen(5, "other", "here", None)), "was started since this one stopped, at here");
        check(Some(seen(6, "n6", "there", None)), "was started since this one stopped, at there");
        let removed = |start: u64| Seen { record: None, ..seen(start, "", "", Some((120, false))) };
        check(Some(removed(5)), "too old");
        check(Some(removed(6)), "watch");
    }

    #[test]
    fn a_new_sign_tells_a_running_process() {
        let before = seen(5, "n5", "there", Some((90, false)));
        assert_eq!(own().judge_watched(Some(&before), Some(&before)), Verdict::Watch);
        let now = seen(5, "n5", "there", Some((91, false)));
        assert!(
            matches!(own().judge_watched(Some(&before), Some(&now)), Verdict::Refuse(why) if why.contains("is running"))
        );
        let stopped = seen(5, "n5", "there", Some((91, true)));
        assert_eq!(own().judge_watched(Some(&before), Some(&stopped)), Verdict::Go);
    }

    #[test]
    fn golden_start_stays_readable() {
        let record = seen(5, "n5", "host:/data 1:2", None).record.unwrap();
        let golden = include_bytes!("../tests/golden/start-v1.bin");
        assert_eq!(decode(golden).unwrap(), record);
        let json = serde_json::to_vec(&record).unwrap();
        assert_eq!(seal(Format::Start, START_VERSION, &json), golden, "the format of starts changed");
    }
}
