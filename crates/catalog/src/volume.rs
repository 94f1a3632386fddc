//! Storage volumes: named places for files.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_types::{Error, Result, VolumeId, is_secret_property};
use serde::{Deserialize, Serialize};

use crate::{Catalog, Outcome, Reply, Stamp};

/// A storage volume.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    pub id: VolumeId,
    pub name: String,
    pub kind: VolumeKind,
    /// `file:///path` or `s3://bucket/path`, without a slash at the end.
    pub location: String,
    pub comment: String,
    /// StarRocks' names (`aws.s3.endpoint`…). Secrets stand here in clear; see [`is_secret_property`].
    pub properties: BTreeMap<String, String>,
    pub created: Stamp,
}

/// Where a volume is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum VolumeKind {
    File,
    S3,
}

impl VolumeKind {
    /// The word of `TYPE = …`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "FILE",
            Self::S3 => "S3",
        }
    }

    /// The kind of a `TYPE = …` word.
    ///
    /// # Errors
    /// `Unsupported`, naming the kinds that there are.
    pub fn parse(name: &str) -> Result<Self> {
        match name.to_ascii_uppercase().as_str() {
            "FILE" => Ok(Self::File),
            "S3" => Ok(Self::S3),
            other => Err(Error::unsupported(format!(
                "storage volume type {other} is not supported: use S3 or FILE"
            ))),
        }
    }

    /// The kind and the cleaned location of a URI.
    ///
    /// # Errors
    /// `Analysis` for anything but `file:///…` and `s3://bucket…`.
    pub fn of_location(location: &str) -> Result<(Self, String)> {
        let clean = location.trim_end_matches('/').to_owned();
        let kind = match clean.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Self::File,
            Some(("s3", bucket)) if !bucket.is_empty() => Self::S3,
            _ => {
                return Err(Error::analysis(format!(
                    "'{location}' is no storage location: write file:///path or s3://bucket/path"
                )));
            }
        };
        Ok((kind, clean))
    }
}

/// What is shown in place of a secret.
pub const SECRET_MASK: &str = "******";

impl Volume {
    /// The properties as they may be shown.
    #[must_use]
    pub fn masked_properties(&self) -> BTreeMap<String, String> {
        let mask = |(name, value): (&String, &String)| {
            let shown = if is_secret_property(name) && !value.is_empty() { SECRET_MASK } else { value };
            (name.clone(), shown.to_owned())
        };
        self.properties.iter().map(mask).collect()
    }
}

impl Catalog {
    fn existing_volume(&self, name: &str) -> Result<&Arc<Volume>> {
        self.volume_named(name).ok_or_else(|| Error::analysis(format!("Unknown storage volume: {name}")))
    }

    pub(crate) fn create_volume(
        &mut self,
        now: Stamp,
        name: &str,
        kind: VolumeKind,
        location: &str,
        comment: &str,
        properties: &BTreeMap<String, String>,
    ) -> Outcome {
        if self.volume_named(name).is_some() {
            return Err(Error::already_exists(format!("Storage volume '{name}' already exists")));
        }
        let (located, location) = VolumeKind::of_location(location)?;
        if located != kind {
            return Err(Error::analysis(format!(
                "a volume of type {} cannot lie at {location}",
                kind.name()
            )));
        }
        let id = VolumeId(self.take_id());
        self.names.volumes.insert(name.to_owned(), id);
        let volume = Volume {
            id,
            name: name.to_owned(),
            kind,
            location,
            comment: comment.to_owned(),
            properties: properties.clone(),
            created: now,
        };
        self.volumes.insert(id, Arc::new(volume));
        Ok(Reply::Volume(id))
    }

    pub(crate) fn alter_volume(
        &mut self,
        name: &str,
        comment: Option<&str>,
        properties: &BTreeMap<String, String>,
    ) -> Outcome {
        let mut volume = Volume::clone(self.existing_volume(name)?);
        if let Some(comment) = comment {
            volume.comment = comment.to_owned();
        }
        volume.properties.extend(properties.iter().map(|(k, v)| (k.clone(), v.clone())));
        self.volumes.insert(volume.id, Arc::new(volume));
        Ok(Reply::Done)
    }

    /// Whether rows of tables lie in volume `id`.
    #[must_use]
    pub fn holds_rows(&self, id: VolumeId) -> bool {
        self.partitions.values().any(|p| p.volume == id && p.visible().is_some())
    }

    /// Whether files that this or an earlier state needs lie in volume `id`.
    #[must_use]
    pub fn holds_files(&self, id: VolumeId) -> bool {
        self.holds_rows(id) || self.snapshots.values().any(|s| s.volume == id && s.state.pins())
    }

    /// Whether a partition or a table names volume `id`.
    #[must_use]
    pub fn has_tables_in(&self, id: VolumeId) -> bool {
        self.partitions.values().any(|p| p.volume == id)
            || self.tables.values().any(|t| t.olap().is_some_and(|o| o.volume == id))
    }

    /// Whether a partition, a table, a snapshot or the policy for snapshots names volume `id`.
    #[must_use]
    pub fn uses_volume(&self, id: VolumeId) -> bool {
        self.has_tables_in(id)
            || self.snapshots.values().any(|s| s.volume == id && s.state.pins())
            || self.snapshot_policy.as_ref().is_some_and(|p| p.volume == id)
    }

    pub(crate) fn drop_volume(&mut self, name: &str) -> Outcome {
        let id = self.existing_volume(name)?.id;
        if id == self.default_volume {
            return Err(Error::analysis(format!(
                "default storage volume can not be removed: set another one first ('{name}')"
            )));
        }
        if self.uses_volume(id) {
            return Err(Error::analysis(format!(
                "Storage volume '{name}' is referenced by tables or snapshots; drop these first"
            )));
        }
        self.names.volumes.remove(name);
        self.volumes.remove(&id);
        Ok(Reply::Done)
    }

    pub(crate) fn set_default_volume(&mut self, name: &str) -> Outcome {
        self.default_volume = self.existing_volume(name)?.id;
        Ok(Reply::Done)
    }
}
