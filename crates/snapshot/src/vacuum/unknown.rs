//! Snapshots in the volumes that the catalog does not know: a restore to an earlier snapshot leaves those behind that were
//! taken after it. Finished ones can still be restored, so what they reach is kept; torn ones are litter.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::Catalog;
use cairn_objects::{PartitionFolder, VolumeStore, layout};
use cairn_types::{Error, Result};

use crate::format::{Marker, SnapshotFiles};
use crate::list::{SnapshotStatus, status};
use crate::usage::HolderName;

/// The files that unknown snapshots reach, by folder.
pub(super) type Pins = BTreeMap<PartitionFolder, BTreeMap<String, BTreeSet<HolderName>>>;

#[derive(Default)]
pub(super) struct Unknown {
    /// Location of the volume, and name.
    pub(super) finished: Vec<(String, String)>,
    pub(super) pins: Pins,
    /// Folders without a marker.
    pub(super) torn: Vec<(VolumeStore, String)>,
}

/// Looks for them in all volumes.
///
/// # Errors
/// When it cannot be known what one reaches.
pub(super) async fn find(stores: &[VolumeStore], catalog: &Catalog) -> Result<Unknown> {
    let mut unknown = Unknown::default();
    let cluster = &catalog.cluster().id;
    for store in stores {
        for name in store.list_folders(&layout::snapshots_folder(cluster)).await? {
            // A known name is the janitor's; if another history's snapshot has it, it must be looked at all the same.
            let known = catalog.snapshots().filter(|s| s.name == name && !s.is_gone()).collect::<Vec<_>>();
            match status(store, cluster, &name).await? {
                // One that is being removed pins nothing, and can be restored until its marker is gone.
                SnapshotStatus::Finished(marker)
                    if !known.iter().any(|s| s.state.pins() && marker.belongs_to(catalog, s)) =>
                {
                    unknown.finished.push((store.location().to_owned(), name.clone()));
                    pin(&mut unknown.pins, store, &marker).await?;
                }
                SnapshotStatus::Torn if known.is_empty() => unknown.torn.push((store.clone(), name)),
                SnapshotStatus::Damaged(why) if known.is_empty() => {
                    return Err(Error::corrupt(format!(
                        "snapshot '{name}' in {} is not in the catalog, and what it reaches cannot be known: {why}",
                        store.location()
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(unknown)
}

async fn pin(pins: &mut Pins, store: &VolumeStore, marker: &Marker) -> Result<()> {
    let holder = HolderName::UnknownSnapshot(marker.name.clone());
    for (chunk, sum) in (0_u64..).zip(&marker.chunks) {
        let key = layout::snapshot_manifest(&marker.cluster, &marker.name, chunk);
        let what = || {
            format!("snapshot '{}', which the catalog does not know: {}/{key}", marker.name, store.location())
        };
        let bytes = store.get(&key).await.map_err(|e| e.context(what()))?;
        if let Some(difference) = sum.difference(&bytes) {
            return Err(Error::corrupt(format!("{}: {difference}", what())));
        }
        for files in SnapshotFiles::decode(&bytes, chunk).map_err(|e| e.context(what()))?.partitions {
            let folder = PartitionFolder {
                cluster: marker.cluster.clone(),
                db: files.db,
                table: files.table,
                partition: files.partition,
            };
            let held = pins.entry(folder).or_default();
            for file in files.segments.into_iter().map(|s| s.file).chain([files.manifest]) {
                held.entry(file).or_default().insert(holder.clone());
            }
        }
    }
    Ok(())
}
