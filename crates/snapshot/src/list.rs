//! The snapshots in a storage volume, with torn ones shown as such.

use cairn_objects::{VolumeStore, layout};
use cairn_types::{Error, ErrorKind, Result};
use futures::TryStreamExt;

use crate::format::Marker;
use crate::source::{Source, is_cluster_id};

/// A snapshot's folder in a volume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotInfo {
    pub cluster: String,
    pub name: String,
    pub status: SnapshotStatus,
}

/// Whether there is a snapshot in the folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotStatus {
    /// The marker is there and valid; [`verify`](crate::verify()) says whether the rest is.
    Finished(Box<Marker>),
    /// There is no marker: its job did not finish, or it was being removed.
    Torn,
    /// There is a marker, but it cannot be believed: why.
    Damaged(String),
}

impl SnapshotStatus {
    /// Why it is no snapshot.
    #[must_use]
    pub fn defect(&self) -> Option<&str> {
        match self {
            Self::Finished(_) => None,
            Self::Torn => {
                Some("it has no marker: its job is running or did not finish, or it was being removed")
            }
            Self::Damaged(why) => Some(why),
        }
    }
}

impl SnapshotInfo {
    #[must_use]
    pub fn marker(&self) -> Option<&Marker> {
        match &self.status {
            SnapshotStatus::Finished(marker) => Some(marker),
            SnapshotStatus::Torn | SnapshotStatus::Damaged(_) => None,
        }
    }

    /// Why it is no snapshot.
    #[must_use]
    pub fn defect(&self) -> Option<&str> {
        self.status.defect()
    }

    /// The key of its folder in the volume.
    #[must_use]
    pub fn folder(&self) -> String {
        layout::snapshot_folder(&self.cluster, &self.name)
    }
}

/// The snapshots that `source` names in `store`: by cluster, then by epoch and index, torn ones last.
///
/// # Errors
/// `NotFound` when `source` names one snapshot and its folder is empty; `Unavailable`.
pub async fn list(store: &VolumeStore, source: &Source) -> Result<Vec<SnapshotInfo>> {
    let clusters = match &source.cluster {
        Some(cluster) => vec![cluster.clone()],
        None => store.list_folders("").await?.into_iter().filter(|name| is_cluster_id(name)).collect(),
    };
    let mut found = Vec::new();
    for cluster in clusters {
        let names = store.list_folders(&layout::snapshots_folder(&cluster)).await?;
        for name in
            names.into_iter().filter(|name| source.snapshot.as_ref().is_none_or(|wanted| wanted == name))
        {
            let status = status(store, &cluster, &name).await?;
            // An empty folder is no object; one may stay where files were removed.
            if matches!(status, SnapshotStatus::Torn) && is_empty(store, &cluster, &name).await? {
                continue;
            }
            found.push(SnapshotInfo { cluster: cluster.clone(), name, status });
        }
    }
    if let (Some(name), true) = (&source.snapshot, found.is_empty()) {
        return Err(Error::not_found(format!("there is no snapshot '{name}' in {}", store.location())));
    }
    let age = |info: &SnapshotInfo| info.marker().map_or((true, 0, 0), |m| (false, m.epoch, m.index));
    found.sort_by(|a, b| (&a.cluster, age(a), &a.name).cmp(&(&b.cluster, age(b), &b.name)));
    Ok(found)
}

async fn is_empty(store: &VolumeStore, cluster: &str, name: &str) -> Result<bool> {
    let first = store.list(&layout::snapshot_folder(cluster, name)).try_next().await?;
    Ok(first.is_none())
}

/// The newest finished snapshot of each cluster is the last one; this is it if there is one cluster.
///
/// # Errors
/// `NotFound` when there is no finished snapshot, saying what else there is; `Analysis` when there are several clusters.
pub fn newest(found: &[SnapshotInfo], place: &str) -> Result<SnapshotInfo> {
    let mut finished = found.iter().filter(|info| info.marker().is_some());
    let Some(first) = finished.next() else {
        let torn: Vec<_> = found.iter().map(|info| info.name.as_str()).collect();
        return Err(Error::not_found(match torn.is_empty() {
            true => format!("there is no snapshot in {place}"),
            false => format!("there is no finished snapshot in {place}, only torn ones: {}", torn.join(", ")),
        }));
    };
    if let Some(other) = found.iter().find(|info| info.cluster != first.cluster) {
        return Err(Error::analysis(format!(
            "{place} holds snapshots of several clusters ({}, {} …): name one by {place}/<cluster id>/meta",
            first.cluster, other.cluster
        )));
    }
    Ok(finished.next_back().unwrap_or(first).clone())
}

/// Reads the marker of one folder.
pub(crate) async fn status(store: &VolumeStore, cluster: &str, name: &str) -> Result<SnapshotStatus> {
    let key = layout::snapshot_marker(cluster, name);
    let bytes = match store.get(&key).await {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(SnapshotStatus::Torn),
        Err(e) => return Err(e),
    };
    Ok(match Marker::decode(&bytes) {
        Err(e) => SnapshotStatus::Damaged(format!("its marker {key} counts for nothing: {e}")),
        Ok(marker) if marker.cluster != cluster || marker.name != name => SnapshotStatus::Damaged(format!(
            "its marker {key} belongs to snapshot '{}' of cluster {}",
            marker.name, marker.cluster
        )),
        Ok(marker) => SnapshotStatus::Finished(Box::new(marker)),
    })
}
