//! What a catalog reaches: for each partition the version that a reader of that catalog sees, and where its files lie.

use cairn_catalog::{Catalog, ManifestRef, Partition, Version, Volume};
use cairn_objects::{PartitionFolder, VolumeStore};
use cairn_storage::manifest::Manifest;
use cairn_types::{Error, ErrorKind, PartitionId, Result};

use crate::format::FileSum;

/// The current version of a partition.
#[derive(Clone, Copy)]
pub(crate) struct Reached<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) version: &'a Version,
    pub(crate) volume: &'a Volume,
    /// Whether it waits in the recycle bin.
    pub(crate) recycled: bool,
}

/// The partitions with data that readers of `catalog` see, or that wait in its recycle bin, by id.
pub(crate) fn reached(catalog: &Catalog) -> Result<Vec<Reached<'_>>> {
    let mut all = Vec::new();
    for partition in catalog.partitions() {
        let dropped = catalog.dropped(partition);
        let Some(version) = partition.visible() else { continue };
        if dropped.is_some_and(|d| d.force) {
            continue;
        }
        let volume = catalog.volume(partition.volume).ok_or_else(|| {
            Error::corrupt(format!(
                "partition {} lies in storage volume {}, which the catalog does not have",
                partition.id, partition.volume
            ))
        })?;
        all.push(Reached { partition, version, volume, recycled: dropped.is_some() });
    }
    Ok(all)
}

/// Where the files of `partition` lie.
pub(crate) fn folder_of(catalog: &Catalog, partition: &Partition) -> PartitionFolder {
    PartitionFolder {
        cluster: catalog.cluster().id.clone(),
        db: partition.db,
        table: partition.table,
        partition: partition.id,
    }
}

/// Reads and checks the manifest that `named` speaks of.
///
/// # Errors
/// `Corrupt`, naming the file, when it is missing or another one; `Unavailable`.
pub(crate) async fn read_manifest(
    store: &VolumeStore,
    folder: &PartitionFolder,
    named: &ManifestRef,
) -> Result<(Manifest, FileSum)> {
    let key = folder.file(&named.name);
    let file = || format!("manifest {}/{key}", store.location());
    let bytes = store.get(&key).await.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::corrupt(format!("{} is missing", file())),
        _ => e,
    })?;
    let sum = FileSum::of(&bytes);
    if sum.checksum != named.checksum {
        return Err(Error::corrupt(format!(
            "{} is damaged: its checksum differs from the catalog's",
            file()
        )));
    }
    Ok((decode_manifest(&bytes, folder.partition).map_err(|e| e.context(file()))?, sum))
}

pub(crate) fn decode_manifest(bytes: &[u8], partition: PartitionId) -> Result<Manifest> {
    Manifest::decode(bytes, partition)
}
