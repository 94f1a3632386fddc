//! Cluster snapshots: a name for a journal index, and a pin on every file that the catalog of that index reaches.

use std::sync::Arc;

use cairn_types::{Error, JobId, Result, SnapshotId, VolumeId, limits};
use serde::{Deserialize, Serialize};

use crate::{Catalog, Outcome, Reply, SnapshotSpec, Stamp};

/// A snapshot and the job that makes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub job: JobId,
    pub name: String,
    pub kind: SnapshotKind,
    /// `created.index` is the J of `catalog(J)`.
    pub created: Stamp,
    pub finished: Option<Stamp>,
    pub state: SnapshotState,
    pub volume: VolumeId,
    /// Milliseconds that it lives after `created`; `None`: until dropped (or until newer automated ones push it out).
    pub ttl_ms: Option<u64>,
    pub pinned: bool,
    pub comment: String,
    pub detail: String,
    pub error: String,
    /// Bytes of all files that it reaches, known once finished.
    pub bytes: u64,
    pub files: u64,
    /// Of a failed job, which stays `ERROR` in the history: whether its files were removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleaned: bool,
}

/// Who asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SnapshotKind {
    Automated,
    Manual,
}

impl SnapshotKind {
    /// StarRocks' word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Automated => "AUTOMATED",
            Self::Manual => "MANUAL",
        }
    }
}

/// StarRocks' job states.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum SnapshotState {
    Initializing,
    Snapshoting,
    Uploading,
    Finished,
    /// Dropped or outlived: the pin is gone, its files are being removed.
    Expired,
    /// Its files are gone.
    Deleted,
    Error,
}

impl SnapshotState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Snapshoting => "SNAPSHOTING",
            Self::Uploading => "UPLOADING",
            Self::Finished => "FINISHED",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Error => "ERROR",
        }
    }

    /// Whether what the snapshot sees must be kept.
    #[must_use]
    pub fn pins(self) -> bool {
        matches!(self, Self::Initializing | Self::Snapshoting | Self::Uploading | Self::Finished)
    }

    /// Whether its job still has work to do.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Initializing | Self::Snapshoting | Self::Uploading)
    }
}

/// `ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotPolicy {
    pub volume: VolumeId,
    /// `None`: as the setting `automated_cluster_snapshot_interval_seconds` says.
    pub interval_seconds: Option<u64>,
}

impl Snapshot {
    /// The name of an automated snapshot's folder begins with this, as in StarRocks.
    pub const AUTOMATED_PREFIX: &str = "automated_cluster_snapshot_";

    /// Whether nothing of it can be in its volume any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == SnapshotState::Deleted || (self.state == SnapshotState::Error && self.cleaned)
    }

    /// When it ends of itself.
    #[must_use]
    pub fn expires_ms(&self) -> Option<u64> {
        self.ttl_ms.map(|ttl| self.created.time_ms.saturating_add(ttl))
    }
}

impl Catalog {
    /// Whether a snapshot sees what was current from `from_index` up to but without `to_index`.
    #[must_use]
    pub fn is_seen_by_snapshot(&self, from_index: u64, to_index: u64) -> bool {
        let seen = |s: &Arc<Snapshot>| s.state.pins() && (from_index..to_index).contains(&s.created.index);
        self.snapshots.values().any(seen)
    }

    pub(crate) fn set_snapshot_policy(&mut self, policy: Option<&SnapshotPolicy>) -> Outcome {
        if let Some(policy) = policy
            && self.volume(policy.volume).is_none()
        {
            return Err(Error::not_found(format!("storage volume {} is gone", policy.volume)));
        }
        self.snapshot_policy = policy.cloned();
        Ok(Reply::Done)
    }

    pub(crate) fn begin_snapshot(&mut self, now: Stamp, spec: &SnapshotSpec) -> Outcome {
        let name = match (&spec.name, spec.kind) {
            (Some(name), _) => name.clone(),
            (None, SnapshotKind::Automated) => format!("{}{}", Snapshot::AUTOMATED_PREFIX, now.time_ms),
            (None, SnapshotKind::Manual) => format!("snapshot_{}", now.time_ms),
        };
        check_name(&name, spec.kind)?;
        if self.snapshot_holding(&name).is_some() {
            return match spec.if_not_exists {
                true => Ok(Reply::Unchanged),
                false => Err(Error::already_exists(format!("Snapshot '{name}' already exists"))),
            };
        }
        let volume = spec.volume.unwrap_or(self.default_volume);
        if self.volume(volume).is_none() {
            return Err(Error::not_found(format!("storage volume {volume} is gone")));
        }
        let (id, job) = (SnapshotId(self.take_id()), JobId(self.take_id()));
        let snapshot = Snapshot {
            id,
            job,
            name,
            kind: spec.kind,
            created: now,
            finished: None,
            state: SnapshotState::Initializing,
            volume,
            ttl_ms: spec.ttl_ms,
            pinned: false,
            comment: spec.comment.clone(),
            detail: String::new(),
            error: String::new(),
            bytes: 0,
            files: 0,
            cleaned: false,
        };
        self.snapshots.insert(id, Arc::new(snapshot));
        Ok(Reply::Snapshot(id))
    }

    /// The snapshot that owns the folder of this name: as long as its files may be there, no other may use it.
    fn snapshot_holding(&self, name: &str) -> Option<&Arc<Snapshot>> {
        self.snapshots.values().find(|s| s.name == name && !s.is_gone())
    }

    fn existing_snapshot(&self, id: SnapshotId) -> Result<&Arc<Snapshot>> {
        self.snapshot(id).ok_or_else(|| Error::not_found(format!("snapshot {id} is not known")))
    }

    /// Moves a job on. States only go forward; a job that failed or was dropped never comes back to life. `Deleted` says
    /// that the files are gone; a failed job stays `Error` then, so that the history keeps telling why.
    pub(crate) fn advance_snapshot(
        &mut self,
        now: Stamp,
        id: SnapshotId,
        state: SnapshotState,
        detail: &str,
        error: &str,
        (bytes, files): (u64, u64),
    ) -> Outcome {
        let mut snapshot = Snapshot::clone(self.existing_snapshot(id)?);
        let from = snapshot.state;
        let allowed = match state {
            SnapshotState::Error => from.is_running(),
            SnapshotState::Deleted => {
                matches!(from, SnapshotState::Expired | SnapshotState::Error) && !snapshot.cleaned
            }
            SnapshotState::Expired => from == SnapshotState::Finished,
            later => from.is_running() && from < later,
        };
        if !allowed {
            return Err(Error::conflict(format!(
                "snapshot '{}' is {}, it cannot become {}",
                snapshot.name,
                from.name(),
                state.name()
            )));
        }
        if state == SnapshotState::Finished {
            (snapshot.bytes, snapshot.files) = (bytes, files);
        }
        if !state.is_running() && snapshot.finished.is_none() {
            snapshot.finished = Some(now);
        }
        if !error.is_empty() {
            snapshot.error = error.to_owned();
        }
        match (from, state) {
            (SnapshotState::Error, SnapshotState::Deleted) => snapshot.cleaned = true,
            _ => {
                snapshot.state = state;
                snapshot.detail = detail.to_owned();
            }
        }
        self.snapshots.insert(id, Arc::new(snapshot));
        Ok(Reply::Done)
    }

    pub(crate) fn drop_snapshot(&mut self, now: Stamp, name: &str, if_exists: bool, detail: &str) -> Outcome {
        let Some(snapshot) = self.snapshot_named(name) else {
            return match if_exists {
                true => Ok(Reply::Unchanged),
                false => Err(Error::not_found(format!("Snapshot '{name}' does not exist"))),
            };
        };
        if snapshot.pinned {
            return Err(Error::conflict(format!("Snapshot '{name}' is pinned: unpin it first")));
        }
        let mut snapshot = Snapshot::clone(snapshot);
        let id = snapshot.id;
        snapshot.state = match snapshot.state {
            SnapshotState::Finished => SnapshotState::Expired,
            _ => SnapshotState::Error,
        };
        snapshot.finished.get_or_insert(now);
        snapshot.detail = detail.to_owned();
        self.snapshots.insert(id, Arc::new(snapshot));
        Ok(Reply::Snapshot(id))
    }

    pub(crate) fn set_snapshot_pinned(&mut self, id: SnapshotId, pinned: bool) -> Outcome {
        let mut snapshot = Snapshot::clone(self.existing_snapshot(id)?);
        snapshot.pinned = pinned;
        self.snapshots.insert(id, Arc::new(snapshot));
        Ok(Reply::Done)
    }
}

/// A name is a folder in a volume: letters, digits, `_`, `-` and `.`, and the automated ones' prefix is theirs.
fn check_name(name: &str, kind: SnapshotKind) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let fits = (1..=limits::LABEL_CHARS_MAX).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('.');
    if !fits {
        return Err(Error::analysis(format!(
            "Invalid snapshot name '{name}': use 1 to {} letters, digits, '_', '-' or '.'",
            limits::LABEL_CHARS_MAX
        )));
    }
    if kind == SnapshotKind::Manual && name.starts_with(Snapshot::AUTOMATED_PREFIX) {
        return Err(Error::analysis(format!(
            "names that begin with '{}' belong to automated snapshots",
            Snapshot::AUTOMATED_PREFIX
        )));
    }
    Ok(())
}
