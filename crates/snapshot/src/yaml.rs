//! `cluster_snapshot.yaml`, StarRocks' file for a restore.

use std::collections::BTreeMap;

use cairn_catalog::VolumeKind;
use cairn_catalog::restore::VolumeOverride;
use cairn_types::{Error, Result};
use serde::Deserialize;

use crate::source::Source;

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreFile {
    /// Where to look, in the volume `volume`.
    pub source: Source,
    /// The name of the volume that holds the snapshot; it is one of `volumes`.
    pub volume: String,
    /// Where volumes are now, and their credentials.
    pub volumes: Vec<VolumeOverride>,
    /// Read and kept for a cluster of several nodes.
    pub frontends: Vec<Frontend>,
    pub compute_nodes: Vec<ComputeNode>,
}

/// A frontend that joins the restored cluster.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontend {
    pub host: String,
    pub edit_log_port: u16,
    #[serde(rename = "type", default)]
    pub role: FrontendRole,
}

/// StarRocks' words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrontendRole {
    #[default]
    Follower,
    Observer,
}

/// A compute node that joins the restored cluster.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeNode {
    pub host: String,
    pub heartbeat_service_port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster_snapshot: Option<Snapshot>,
    frontends: Option<Vec<Frontend>>,
    compute_nodes: Option<Vec<ComputeNode>>,
    storage_volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    cluster_snapshot_path: String,
    storage_volume_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Volume {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    location: String,
    comment: Option<String>,
    properties: Option<Vec<Property>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Property {
    key: String,
    value: Scalar,
}

/// `value: true` and `value: 9000` are written without quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Int(i64),
    Text(String),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Text(value) => value,
        }
    }
}

/// Reads the file.
///
/// # Errors
/// `Analysis`, naming the key that is unknown, missing or wrong.
pub fn parse(text: &str) -> Result<RestoreFile> {
    let file: File =
        serde_yaml_ng::from_str(text).map_err(|e| Error::analysis(format!("cluster_snapshot.yaml: {e}")))?;
    let snapshot = file.cluster_snapshot.ok_or_else(|| {
        Error::analysis(
            "cluster_snapshot.yaml has no section cluster_snapshot, so the local metadata would be used: start without \
             --cluster-snapshot for that, or name cluster_snapshot_path and storage_volume_name",
        )
    })?;
    let volumes =
        file.storage_volumes.unwrap_or_default().into_iter().map(volume).collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = volumes.iter().map(|v| v.name.as_str()).collect();
    if let Some((at, twice)) =
        names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name))
    {
        return Err(Error::analysis(format!(
            "cluster_snapshot.yaml: storage_volumes[{at}] has the name '{twice}' a second time"
        )));
    }
    let own = volumes.iter().find(|v| v.name == snapshot.storage_volume_name);
    let location = own.and_then(|v| v.location.as_deref()).ok_or_else(|| {
        Error::analysis(format!(
            "cluster_snapshot.yaml: storage_volume_name '{}' is not in storage_volumes, which has: {}",
            snapshot.storage_volume_name,
            names.join(", ")
        ))
    })?;
    Ok(RestoreFile {
        source: source(location, &snapshot.cluster_snapshot_path)?,
        volume: snapshot.storage_volume_name,
        frontends: file.frontends.unwrap_or_default(),
        compute_nodes: file.compute_nodes.unwrap_or_default(),
        volumes,
    })
}

fn volume(volume: Volume) -> Result<VolumeOverride> {
    let wrong = |e: Error| e.context(format!("cluster_snapshot.yaml: storage volume '{}'", volume.name));
    let kind = VolumeKind::parse(&volume.kind).map_err(wrong)?;
    let (located, location) = VolumeKind::of_location(&volume.location).map_err(wrong)?;
    if located != kind {
        return Err(wrong(Error::analysis(format!(
            "a volume of type {} cannot lie at {location}",
            kind.name()
        ))));
    }
    let properties: BTreeMap<String, String> =
        volume.properties.unwrap_or_default().into_iter().map(|p| (p.key, p.value.into_text())).collect();
    Ok(VolumeOverride { name: volume.name, location: Some(location), comment: volume.comment, properties })
}

/// The path is a full URI, or lies within the volume's location.
fn source(location: &str, path: &str) -> Result<Source> {
    let uri = match path.contains("://") {
        true => path.to_owned(),
        false => format!("{location}/{}", path.trim_start_matches('/')),
    };
    let mut source =
        Source::parse(&uri).map_err(|e| e.context("cluster_snapshot.yaml: cluster_snapshot_path"))?;
    if source.cluster.is_none() && source.location == location {
        source.location = location.to_owned();
    }
    if source.location != location {
        return Err(Error::analysis(format!(
            "cluster_snapshot.yaml: cluster_snapshot_path '{path}' is not a path of the form <cluster id>/meta or \
             <cluster id>/meta/image/<snapshot> in the volume at {location}"
        )));
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn file(snapshot: &str, rest: &str) -> String {
        format!("{snapshot}\nstorage_volumes:\n  - name: v\n    type: S3\n    location: s3://b/p/\n{rest}")
    }

    #[test]
    fn the_documented_file_is_read() {
        let text = file(
            &format!(
                "cluster_snapshot:\n  cluster_snapshot_path: s3://b/p/{ID}/meta/image/s1\n  storage_volume_name: v"
            ),
            "    comment: moved
    properties:
      - key: aws.s3.endpoint
        value: http://h:1
      - key: aws.s3.enable_path_style_access
        value: true
frontends:
  - host: h1
    edit_log_port: 9010
  - {host: h2, edit_log_port: 9010, type: observer}
compute_nodes:
  - host: h3
    heartbeat_service_port: 9050
",
        );
        let read = parse(&text).unwrap();
        assert_eq!(read.source.location, "s3://b/p");
        assert_eq!(read.source.cluster.as_deref(), Some(ID));
        assert_eq!(read.source.snapshot.as_deref(), Some("s1"));
        assert_eq!(read.volumes[0].location.as_deref(), Some("s3://b/p"));
        assert_eq!(read.volumes[0].comment.as_deref(), Some("moved"));
        assert_eq!(read.volumes[0].properties["aws.s3.enable_path_style_access"], "true");
        assert_eq!(
            read.frontends.iter().map(|f| f.role).collect::<Vec<_>>(),
            [FrontendRole::Follower, FrontendRole::Observer]
        );
        assert_eq!(read.compute_nodes[0].heartbeat_service_port, 9050);
    }

    #[test]
    fn a_path_within_the_volume_is_enough() {
        for path in [format!("{ID}/meta"), format!("/{ID}/meta/"), format!("s3://b/p/{ID}/meta")] {
            let snapshot =
                format!("cluster_snapshot: {{cluster_snapshot_path: '{path}', storage_volume_name: v}}");
            let read = parse(&file(&snapshot, "")).unwrap();
            assert_eq!((read.source.cluster.as_deref(), read.source.snapshot), (Some(ID), None), "{path}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = format!("cluster_snapshot: {{cluster_snapshot_path: {ID}/meta, storage_volume_name: v}}");
        for (text, said) in [
            (String::new(), "local metadata would be used"),
            (file("frontends: []", ""), "local metadata would be used"),
            (file(&good, "    colour: red\n"), "unknown field `colour`"),
            (file(&good, "colour: red\n"), "unknown field `colour`"),
            (file(&good.replace("name: v", "name: w"), ""), "'w' is not in storage_volumes, which has: v"),
            (file(&good.replace("storage_volume_name: v", "x: v"), ""), "unknown field `x`"),
            (
                file(&good.replace(&format!("{ID}/meta"), &format!("s3://other/{ID}/meta")), ""),
                "in the volume at s3://b/p",
            ),
            (file(&good.replace(&format!("{ID}/meta"), "some/where"), ""), "in the volume at s3://b/p"),
            (file(&good, "  - {name: v, type: S3, location: 's3://c'}\n"), "a second time"),
            (file(&good, "  - {name: h, type: HDFS, location: 'hdfs://c'}\n"), "HDFS is not supported"),
            (file(&good, "  - {name: h, type: FILE, location: 's3://c'}\n"), "cannot lie at"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.message().contains(said), "{said}: {error}");
        }
    }
}
