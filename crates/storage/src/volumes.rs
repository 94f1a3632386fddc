//! Opens the catalog's volumes and keeps them open.

use std::collections::{BTreeMap, HashMap};

use cairn_catalog::{Catalog, Partition, Volume};
use cairn_env::Env;
use cairn_objects::{PartitionFolder, VolumeStore};
use cairn_types::{Error, Result, VolumeId};
use parking_lot::Mutex;

/// The volumes that are open in this process.
pub struct Volumes {
    env: Env,
    open: Mutex<HashMap<VolumeId, Open>>,
}

struct Open {
    /// What it was opened with; `None` for a store that was put in by hand, which stays.
    with: Option<(String, BTreeMap<String, String>)>,
    store: VolumeStore,
}

impl Volumes {
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env, open: Mutex::default() }
    }

    /// The store of `volume`; opened anew when its location or properties changed.
    ///
    /// # Errors
    /// As [`VolumeStore::open`], naming the volume.
    pub fn open(&self, volume: &Volume) -> Result<VolumeStore> {
        let mut open = self.open.lock();
        if let Some(known) = open.get(&volume.id) {
            let fresh =
                known.with.as_ref().is_none_or(|(l, p)| *l == volume.location && *p == volume.properties);
            if fresh {
                return Ok(known.store.clone());
            }
        }
        let store = VolumeStore::open(&volume.location, &volume.properties, &self.env)
            .map_err(|e| e.context(format!("storage volume '{}'", volume.name)))?;
        let with = Some((volume.location.clone(), volume.properties.clone()));
        open.insert(volume.id, Open { with, store: store.clone() });
        Ok(store)
    }

    /// Uses `store` for the volume `id` from now on, whatever the catalog says (tests, faults).
    pub fn put(&self, id: VolumeId, store: VolumeStore) {
        self.open.lock().insert(id, Open { with: None, store });
    }

    /// Where the files of `partition` lie.
    ///
    /// # Errors
    /// `Internal` when the catalog does not know its volume; else as [`Volumes::open`].
    pub fn place(&self, catalog: &Catalog, partition: &Partition) -> Result<PartitionPlace> {
        let volume = catalog.volume(partition.volume).ok_or_else(|| {
            Error::internal(format!(
                "partition {} lies in volume {}, which is not known",
                partition.id, partition.volume
            ))
        })?;
        let folder = PartitionFolder {
            cluster: catalog.cluster().id.clone(),
            db: partition.db,
            table: partition.table,
            partition: partition.id,
        };
        Ok(PartitionPlace { store: self.open(volume)?, folder })
    }
}

/// Where the files of one partition lie.
#[derive(Clone, Debug)]
pub struct PartitionPlace {
    pub store: VolumeStore,
    pub folder: PartitionFolder,
}

impl PartitionPlace {
    /// The key of `file` in the volume.
    #[must_use]
    pub fn key(&self, file: &str) -> String {
        self.folder.file(file)
    }

    /// The file for people: volume and key.
    #[must_use]
    pub fn describe(&self, file: &str) -> String {
        format!("{}/{}", self.store.location(), self.key(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_catalog::{Stamp, VolumeKind};
    use cairn_types::ErrorKind;

    #[test]
    fn a_changed_location_is_opened_anew() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volumes = Volumes::new(Env::simulated(0, 0).0);
        let at = |path: &std::path::Path| Volume {
            id: VolumeId(1),
            name: "v".into(),
            kind: VolumeKind::File,
            location: format!("file://{}", path.display()),
            comment: String::new(),
            properties: BTreeMap::new(),
            created: Stamp::default(),
        };
        for path in [one.path(), two.path(), two.path()] {
            assert_eq!(volumes.open(&at(path)).unwrap().location(), format!("file://{}", path.display()));
        }
        let gone = volumes.open(&at(&one.path().join("gone"))).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Unavailable);
        assert!(gone.message().contains("storage volume 'v'"), "{gone}");
    }
}
