//! What manifests list, remembered from run to run: they never change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cairn_catalog::{ManifestRef, Volume};
use cairn_objects::PartitionFolder;

use super::plan::{Holds, Wanted, wanted};
use super::unknown::Pins;
use crate::VolumeResolver;
use crate::reach::read_manifest;
use crate::usage::HolderName;

/// File names by manifest. What a run does not ask for is forgotten at its end.
#[derive(Default)]
pub(super) struct Manifests {
    known: HashMap<Key, Known>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    folder: PartitionFolder,
    manifest: String,
    checksum: u32,
}

struct Known {
    files: Arc<[String]>,
    asked: bool,
}

impl Manifests {
    /// The files that are reached in `folder`, and by whom; an error says why that cannot be known.
    pub(super) async fn reachable(
        &mut self,
        volumes: &dyn VolumeResolver,
        holds: &Holds,
        pins: &Pins,
        folder: &PartitionFolder,
    ) -> Result<BTreeMap<String, BTreeSet<HolderName>>, String> {
        let Wanted::Manifests(manifests) = wanted(holds, folder) else {
            return Err(format!("partition {} is known, but not in this folder", folder.partition));
        };
        let mut files: BTreeMap<String, BTreeSet<HolderName>> = BTreeMap::new();
        for (pinned, by) in pins.get(folder).into_iter().flatten() {
            files.entry(pinned.clone()).or_default().extend(by.iter().cloned());
        }
        for (name, (named, holders)) in manifests {
            let listed = self.files_of(volumes, holds, folder, &named).await?;
            for file in listed.iter().chain([&name]) {
                files.entry(file.clone()).or_default().extend(holders.iter().cloned());
            }
        }
        Ok(files)
    }

    async fn files_of(
        &mut self,
        volumes: &dyn VolumeResolver,
        holds: &Holds,
        folder: &PartitionFolder,
        named: &ManifestRef,
    ) -> Result<Arc<[String]>, String> {
        let key = Key { folder: folder.clone(), manifest: named.name.clone(), checksum: named.checksum };
        if let Some(known) = self.known.get_mut(&key) {
            known.asked = true;
            return Ok(Arc::clone(&known.files));
        }
        let volume = volume_of(holds, folder)
            .ok_or_else(|| format!("the storage volume of partition {} is not known", folder.partition))?;
        let store = volumes.open(volume).map_err(|e| e.message().to_owned())?;
        let (manifest, _) = read_manifest(&store, folder, named).await.map_err(|e| e.message().to_owned())?;
        let files: Arc<[String]> = manifest.segments().map(|(_, segment)| segment.file.clone()).collect();
        self.known.insert(key, Known { files: Arc::clone(&files), asked: true });
        Ok(files)
    }

    pub(super) fn end_run(&mut self) {
        self.known.retain(|_, known| std::mem::take(&mut known.asked));
    }
}

fn volume_of<'a>(holds: &'a Holds, folder: &PartitionFolder) -> Option<&'a Volume> {
    std::iter::once(&holds.catalog).chain(&holds.held).find_map(|catalog| {
        let partition = catalog.partition(folder.partition)?;
        catalog.volume(partition.volume).map(|v| &**v)
    })
}
