//! What snapshots cost: the files that only they reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::retention::Holder;
use cairn_catalog::{Catalog, ManifestRef, Partition};
use cairn_storage::manifest::Manifest;

/// What one snapshot pins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotUsage {
    pub files: u64,
    pub bytes: u64,
    /// What would become free if only this snapshot went: nobody else reaches these.
    pub exclusive_files: u64,
    pub exclusive_bytes: u64,
}

/// Adds a file that `holders` reach.
pub(crate) fn add(usage: &mut BTreeMap<String, SnapshotUsage>, bytes: u64, holders: &BTreeSet<HolderName>) {
    let alone = holders.len() == 1;
    for holder in holders {
        if let HolderName::Snapshot(name) = holder {
            let one = usage.entry(name.clone()).or_default();
            one.files += 1;
            one.bytes += bytes;
            if alone {
                one.exclusive_files += 1;
                one.exclusive_bytes += bytes;
            }
        }
    }
}

/// Who reaches a file, for people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HolderName {
    Visible,
    RecycleBin,
    RunningQuery,
    Snapshot(String),
    /// A snapshot that the catalog does not know.
    UnknownSnapshot(String),
}

impl std::fmt::Display for HolderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Visible => f.write_str("visible"),
            Self::RecycleBin => f.write_str("recycle bin"),
            Self::RunningQuery => f.write_str("running query"),
            Self::Snapshot(name) => write!(f, "snapshot {name}"),
            Self::UnknownSnapshot(name) => write!(f, "snapshot {name}, which is not in the catalog"),
        }
    }
}

impl From<Holder> for HolderName {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Visible => Self::Visible,
            Holder::RecycleBin => Self::RecycleBin,
            Holder::Snapshot(name) => Self::Snapshot(name),
        }
    }
}

/// The partitions of which a snapshot can reach more than everyone sees: only their manifests matter for [`compute`].
pub fn candidates(catalog: &Catalog) -> impl Iterator<Item = (&Arc<Partition>, Vec<&ManifestRef>)> {
    catalog.partitions().filter_map(|partition| {
        let held = catalog.holders(partition);
        let by_snapshot = |by: &Vec<Holder>| by.iter().any(|h| matches!(h, Holder::Snapshot(_)));
        held.iter()
            .any(|(_, by)| by_snapshot(by))
            .then(|| (partition, held.iter().map(|(version, _)| &version.manifest).collect()))
    })
}

/// The usage of every snapshot, by name. `manifests` gives the decoded manifest of a reference of [`candidates`]; a missing
/// one makes its files count for nothing. Segments are counted; manifests themselves are not, they are small.
pub fn compute(
    catalog: &Catalog,
    manifests: impl Fn(&Partition, &ManifestRef) -> Option<Arc<Manifest>>,
) -> BTreeMap<String, SnapshotUsage> {
    let mut usage = BTreeMap::new();
    for (partition, _) in candidates(catalog) {
        let mut files: BTreeMap<String, (u64, BTreeSet<HolderName>)> = BTreeMap::new();
        for (version, holders) in catalog.holders(partition) {
            let Some(manifest) = manifests(partition, &version.manifest) else { continue };
            for (_, segment) in manifest.segments() {
                let (_, by) = files.entry(segment.file.clone()).or_insert((segment.bytes, BTreeSet::new()));
                by.extend(holders.iter().cloned().map(HolderName::from));
            }
        }
        for (bytes, holders) in files.values() {
            add(&mut usage, *bytes, holders);
        }
    }
    usage
}
