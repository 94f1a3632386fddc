//! The serialized catalog at one journal index.
//!
//! An image is a header frame, one section frame for each part of the tree, and a footer frame with the checksum of
//! all bytes before it. A section is a line of JSON (its name and number of records) and then one JSON record a line,
//! so a person can read it. The tree is taken apart without `..`: a new field that is not written does not compile.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_codec::{Format, open, open_prefix, seal_into};
use cairn_types::{Error, Result, VolumeId};
use imbl::OrdMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bounds_index::BoundsIndex;
use crate::{Catalog, Cluster, Names, SnapshotPolicy};

/// The newest version of the format that this Cairn writes and reads.
pub const IMAGE_VERSION: u16 = 3;

/// Since this version an image has the sections `tasks` and `task_runs`.
const VERSION_WITH_TASKS: u16 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    index: u64,
    sections: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionHead {
    section: String,
    records: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    bytes: u64,
    /// CRC-32C of all frames before the footer.
    checksum: u32,
}

/// What is not a map.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    cluster: Cluster,
    next_id: u64,
    default_volume: VolumeId,
    snapshot_policy: Option<SnapshotPolicy>,
}

/// Writes the image of `catalog`, which is the state after journal entry `index`.
#[must_use]
pub fn encode(catalog: &Catalog, index: u64) -> Vec<u8> {
    let Catalog {
        cluster,
        next_id,
        databases,
        tables,
        partitions,
        volumes,
        default_volume,
        users,
        txns,
        snapshots,
        snapshot_policy,
        settings,
        tasks,
        task_runs,
        // Made anew from the rest.
        names: _,
        bounds: _,
    } = catalog;
    let root = Root {
        cluster: cluster.clone(),
        next_id: *next_id,
        default_volume: *default_volume,
        snapshot_policy: snapshot_policy.clone(),
    };
    let sections = [
        section("root", std::iter::once(&root)),
        section("databases", databases.values()),
        section("tables", tables.values()),
        section("partitions", partitions.values()),
        section("volumes", volumes.values()),
        section("users", users.values()),
        section("txns", txns.values()),
        section("snapshots", snapshots.values()),
        section("settings", settings.iter()),
        section("tasks", tasks.values()),
        section("task_runs", task_runs.values()),
    ];
    let mut out = Vec::new();
    let header = Header { index, sections: sections.len() as u64 };
    seal_into(&mut out, Format::ImageHeader, IMAGE_VERSION, &json(&header));
    for body in &sections {
        seal_into(&mut out, Format::ImageSection, IMAGE_VERSION, body);
    }
    let footer = Footer { bytes: out.len() as u64, checksum: cairn_codec::checksum(&out) };
    seal_into(&mut out, Format::ImageFooter, IMAGE_VERSION, &json(&footer));
    out
}

fn section<T: Serialize>(name: &str, records: impl Iterator<Item = T>) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut count = 0;
    for record in records {
        lines.push(b'\n');
        lines.extend_from_slice(&json(&record));
        count += 1;
    }
    let mut body = json(&SectionHead { section: name.to_owned(), records: count });
    body.extend_from_slice(&lines);
    body
}

/// Our own types have string keys and finite numbers only, so writing them as JSON cannot fail.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "see above; an image that lacks a record must never be written")]
    serde_json::to_vec(value).expect("catalog types are JSON")
}

/// Reads an image: the journal index and the catalog after it.
///
/// # Errors
/// `Corrupt`, naming the part that is damaged, cut short, missing or not known to this Cairn.
pub fn decode(bytes: &[u8]) -> Result<(u64, Catalog)> {
    let (frame, mut rest) = open_prefix(bytes, Format::ImageHeader, IMAGE_VERSION)?;
    let header: Header = parse("image header", frame.body)?;
    let mut sections = BTreeMap::new();
    for _ in 0..header.sections {
        let (frame, after) = open_prefix(rest, Format::ImageSection, IMAGE_VERSION)?;
        rest = after;
        let (head, lines) = split_line(frame.body);
        let head: SectionHead = parse("section head", head)?;
        sections.insert(head.section, (head.records, lines));
    }
    let before_footer = bytes.len() - rest.len();
    let footer: Footer = parse("image footer", open(rest, Format::ImageFooter, IMAGE_VERSION)?.body)?;
    let sealed = bytes.get(..before_footer).unwrap_or_default();
    if footer.bytes != sealed.len() as u64 || footer.checksum != cairn_codec::checksum(sealed) {
        return Err(Error::corrupt("the footer of the image does not fit what stands before it"));
    }
    let catalog = assemble(Sections { version: frame.version, left: sections })?;
    Ok((header.index, catalog))
}

fn assemble(mut sections: Sections<'_>) -> Result<Catalog> {
    let root: Vec<Root> = sections.take("root")?;
    let [root] =
        <[Root; 1]>::try_from(root).map_err(|_| Error::corrupt("section root must have one record"))?;
    let mut catalog = Catalog {
        cluster: root.cluster,
        next_id: root.next_id,
        databases: sections.take_map("databases", |d: &crate::Database| d.id)?,
        tables: sections.take_map("tables", |t: &crate::Table| t.id)?,
        partitions: sections.take_map("partitions", |p: &crate::Partition| p.id)?,
        volumes: sections.take_map("volumes", |v: &crate::Volume| v.id)?,
        default_volume: root.default_volume,
        users: sections.take_map("users", |u: &crate::User| u.name.clone())?,
        txns: sections.take_map("txns", |t: &crate::Txn| t.id)?,
        snapshots: sections.take_map("snapshots", |s: &crate::Snapshot| s.id)?,
        snapshot_policy: root.snapshot_policy,
        settings: sections.take::<(String, String)>("settings")?.into_iter().collect(),
        tasks: sections.take_map_since(VERSION_WITH_TASKS, "tasks", |t: &crate::Task| t.id)?,
        task_runs: sections.take_map_since(VERSION_WITH_TASKS, "task_runs", |r: &crate::TaskRun| r.id)?,
        names: Names::default(),
        bounds: BoundsIndex::default(),
    };
    if let Some(unknown) = sections.left.keys().next() {
        return Err(Error::corrupt(format!(
            "the image has a section '{unknown}' that this Cairn does not know: use a newer one"
        )));
    }
    catalog.rebuild_derived();
    Ok(catalog)
}

/// The sections that were not taken yet.
struct Sections<'a> {
    /// Of the image.
    version: u16,
    left: BTreeMap<String, (u64, &'a [u8])>,
}

impl Sections<'_> {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Vec<T>> {
        let (count, mut lines) = self
            .left
            .remove(name)
            .ok_or_else(|| Error::corrupt(format!("the image has no section '{name}'")))?;
        let mut records = Vec::new();
        while !lines.is_empty() {
            let (line, rest) = split_line(lines);
            records.push(parse(name, line)?);
            lines = rest;
        }
        if records.len() as u64 != count {
            return Err(Error::corrupt(format!(
                "section '{name}' says {count} records and has {}",
                records.len()
            )));
        }
        Ok(records)
    }

    fn take_map<K: Ord + Clone, T: DeserializeOwned>(
        &mut self,
        name: &str,
        key: impl Fn(&T) -> K,
    ) -> Result<OrdMap<K, Arc<T>>> {
        Ok(self.take::<T>(name)?.into_iter().map(|record| (key(&record), Arc::new(record))).collect())
    }

    /// A section that images before `version` do not have.
    fn take_map_since<K: Ord + Clone, T: DeserializeOwned>(
        &mut self,
        version: u16,
        name: &str,
        key: impl Fn(&T) -> K,
    ) -> Result<OrdMap<K, Arc<T>>> {
        match self.version >= version {
            true => self.take_map(name, key),
            false => Ok(OrdMap::new()),
        }
    }
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|b| *b == b'\n') {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default()),
        None => (bytes, &[]),
    }
}

fn parse<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|e| Error::corrupt(format!("a record of {what} cannot be read: {e}")))
}

/// The catalog as one JSON value, for people. Secrets are masked.
#[must_use]
pub fn to_json(catalog: &Catalog, index: u64) -> serde_json::Value {
    let mut shown = catalog.clone();
    for volume in catalog.volumes() {
        let volume = crate::Volume { properties: volume.masked_properties(), ..crate::Volume::clone(volume) };
        shown.volumes.insert(volume.id, Arc::new(volume));
    }
    let users: Vec<_> = shown.users().map(|u| user_to_json(u)).collect();
    serde_json::json!({
        "index": index,
        "cluster": shown.cluster,
        "next_id": shown.next_id,
        "default_volume": shown.default_volume,
        "snapshot_policy": shown.snapshot_policy,
        "databases": shown.databases.values().collect::<Vec<_>>(),
        "tables": shown.tables.values().collect::<Vec<_>>(),
        "partitions": shown.partitions.values().collect::<Vec<_>>(),
        "volumes": shown.volumes.values().collect::<Vec<_>>(),
        "users": users,
        "txns": shown.txns.values().collect::<Vec<_>>(),
        "snapshots": shown.snapshots.values().collect::<Vec<_>>(),
        "settings": shown.settings.iter().collect::<BTreeMap<_, _>>(),
        "tasks": shown.tasks.values().collect::<Vec<_>>(),
        "task_runs": shown.task_runs.values().collect::<Vec<_>>(),
    })
}

/// What a person may see of a user: no digest.
fn user_to_json(user: &crate::User) -> serde_json::Value {
    serde_json::json!({
        "name": user.name,
        "plugin": user.plugin,
        "has_password": user.has_password(),
        "grants": user.grants,
    })
}
