//! Loads and writes partition manifests.

use std::sync::Arc;

use cairn_catalog::{ManifestRef, Partition};
use cairn_objects::layout;
use cairn_types::{Error, ErrorKind, Result};

use crate::flight_cache::{CacheUsage, FlightCache};
use crate::manifest::Manifest;
use crate::volumes::PartitionPlace;

/// Manifests, the newest used of them in memory.
pub struct ManifestStore {
    kept: FlightCache<Arc<str>, Arc<Manifest>>,
}

impl ManifestStore {
    /// Keeps manifests of at most `bytes_max` file bytes in memory.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { kept: FlightCache::new(bytes_max) }
    }

    /// The manifest that `named` speaks of.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, when it is missing or is not the one that the catalog speaks of; `Unavailable`.
    pub async fn load(&self, place: &PartitionPlace, named: &ManifestRef) -> Result<Arc<Manifest>> {
        let file = place.describe(&named.name);
        let load = || async {
            let bytes = place.store.get(&place.key(&named.name)).await.map_err(|e| match e.kind() {
                ErrorKind::NotFound => Error::corrupt(format!(
                    "manifest {file} is missing, but the catalog names it for partition {}: restore it from a snapshot or a copy",
                    place.folder.partition
                )),
                _ => e,
            })?;
            if cairn_codec::checksum(&bytes) != named.checksum {
                return Err(Error::corrupt(format!(
                    "manifest {file} is damaged: its checksum differs from the catalog's"
                )));
            }
            let manifest = Manifest::decode(&bytes, place.folder.partition)
                .map_err(|e| e.context(format!("manifest {file}")))?;
            Ok((Arc::new(manifest), bytes.len()))
        };
        // The checksum is part of the name: what was loaded for one is never taken for another.
        let key = format!("{file}#{:08x}", named.checksum).into();
        self.kept.get_or_load(&key, load).await
    }

    /// The visible manifest of `partition`: an empty one when nothing was ever committed.
    ///
    /// # Errors
    /// As [`ManifestStore::load`].
    pub async fn load_visible(&self, place: &PartitionPlace, partition: &Partition) -> Result<Arc<Manifest>> {
        match partition.visible() {
            Some(version) => self.load(place, &version.manifest).await,
            None => Ok(Arc::new(Manifest::empty(partition.id))),
        }
    }

    /// Writes `manifest` as the one of `write`, durably.
    ///
    /// # Errors
    /// `AlreadyExists` when the write has another manifest for this partition; `ResourceExhausted`, `Unavailable`.
    pub async fn write(
        &self,
        place: &PartitionPlace,
        manifest: Arc<Manifest>,
        write: &str,
    ) -> Result<ManifestRef> {
        let bytes = manifest.encode();
        let written = ManifestRef {
            name: layout::manifest_file(write),
            checksum: cairn_codec::checksum(&bytes),
            rows: manifest.rows(),
            bytes: manifest.bytes(),
            segments: manifest.segments().count() as u64,
        };
        let file_bytes = bytes.len();
        place.store.put_new(&place.key(&written.name), bytes.into()).await?;
        // The next commit reads what this one wrote.
        let key = format!("{}#{:08x}", place.describe(&written.name), written.checksum).into();
        self.kept.put(&key, manifest, file_bytes);
        Ok(written)
    }

    #[must_use]
    pub fn usage(&self) -> CacheUsage {
        self.kept.usage()
    }
}
