//! From a volume of a catalog to an open store.

use cairn_catalog::Volume;
use cairn_env::Env;
use cairn_objects::VolumeStore;
use cairn_types::Result;

/// Opens volumes. The server gives its open ones, a command line opens them as the catalog says, a test has its own.
pub trait VolumeResolver: Send + Sync {
    /// The store of `volume`, whose location and credentials are final (overrides were applied).
    ///
    /// # Errors
    /// `Unavailable`, naming the volume.
    fn open(&self, volume: &Volume) -> Result<VolumeStore>;
}

impl<F: Fn(&Volume) -> Result<VolumeStore> + Send + Sync> VolumeResolver for F {
    fn open(&self, volume: &Volume) -> Result<VolumeStore> {
        self(volume)
    }
}

/// Opens each volume at its location, with its properties, and what they lack from the environment.
pub struct OpenVolumes {
    env: Env,
}

impl OpenVolumes {
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env }
    }
}

impl VolumeResolver for OpenVolumes {
    fn open(&self, volume: &Volume) -> Result<VolumeStore> {
        VolumeStore::open(&volume.location, &volume.properties, &self.env)
            .map_err(|e| e.context(format!("storage volume '{}'", volume.name)))
    }
}
