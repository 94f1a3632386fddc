//! Keys: where each kind of object lies in a volume. Nothing else builds or takes apart a key.
//!
//! ```text
//! <cluster>/data/<db>/<table>/<partition>/<write>-<bucket>-<n>.parquet   a segment
//! <cluster>/data/<db>/<table>/<partition>/<write>.manifest               a manifest
//! <cluster>/meta/image/<snapshot>/image                                   a snapshot's catalog
//! <cluster>/meta/image/<snapshot>/manifest-<n>                            a chunk of the list of what it reaches
//! <cluster>/meta/image/<snapshot>/_finished                               its marker, written last
//! <cluster>/fence/epoch-<20 digits>                                       who may write
//! <cluster>/fence/start-…, alive-…, stopped-…                             which copy of the data directory runs
//! ```
//!
//! A write id is plain hexadecimal digits or letters: it never holds `-` or `.`, which end it in a file name.

use std::fmt;

use cairn_types::{DbId, PartitionId, TableId};

/// The name of a snapshot's marker.
pub const MARKER: &str = "_finished";

/// What stands in the name of a file that is being written to a local folder; a crash can leave one behind.
pub const TEMPORARY: &str = ".tmp-";

/// All data files of `cluster`.
#[must_use]
pub fn data_folder(cluster: &str) -> String {
    format!("{cluster}/data")
}

/// All metadata of `cluster` in a volume: what `cluster_snapshot_path` may name.
#[must_use]
pub fn meta_folder(cluster: &str) -> String {
    format!("{cluster}/meta")
}

/// The folder of all snapshots of `cluster`.
#[must_use]
pub fn snapshots_folder(cluster: &str) -> String {
    format!("{cluster}/meta/image")
}

/// The folder of one snapshot.
#[must_use]
pub fn snapshot_folder(cluster: &str, snapshot: &str) -> String {
    format!("{cluster}/meta/image/{snapshot}")
}

/// The catalog of a snapshot.
#[must_use]
pub fn snapshot_image(cluster: &str, snapshot: &str) -> String {
    format!("{cluster}/meta/image/{snapshot}/image")
}

/// Chunk `chunk` (from 0) of the list of everything that a snapshot reaches.
#[must_use]
pub fn snapshot_manifest(cluster: &str, snapshot: &str, chunk: u64) -> String {
    format!("{cluster}/meta/image/{snapshot}/manifest-{chunk}")
}

/// The marker that makes a snapshot a whole one.
#[must_use]
pub fn snapshot_marker(cluster: &str, snapshot: &str) -> String {
    format!("{cluster}/meta/image/{snapshot}/{MARKER}")
}

/// The folder of the claims on `cluster` in a volume.
#[must_use]
pub fn fence_folder(cluster: &str) -> String {
    format!("{cluster}/fence")
}

/// The claim of `epoch`.
#[must_use]
pub fn fence(cluster: &str, epoch: u64) -> String {
    format!("{cluster}/fence/epoch-{epoch:020}")
}

/// The record of a start.
#[must_use]
pub fn fence_start(cluster: &str, epoch: u64, start: u64, nonce: &str) -> String {
    format!("{cluster}/fence/start-{epoch:020}-{start:020}-{nonce}")
}

/// What a restore writes and removes to learn whether it could claim a volume.
#[must_use]
pub fn fence_probe(cluster: &str, nonce: &str) -> String {
    format!("{cluster}/fence/probe-{nonce}")
}

/// A sign of a start.
#[must_use]
pub fn fence_sign(cluster: &str, sign: &Sign) -> String {
    let Sign { stopped, epoch, start, index, at_ms } = sign;
    let word = if *stopped { "stopped" } else { "alive" };
    format!("{cluster}/fence/{word}-{epoch:020}-{start:020}-{index:020}-{at_ms:020}")
}

/// How far the journal of a start had come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sign {
    pub epoch: u64,
    pub start: u64,
    /// The journal index that was applied.
    pub index: u64,
    pub at_ms: u64,
    /// It ended cleanly, and there.
    pub stopped: bool,
}

/// What lies in a fence folder, by its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FenceKey {
    Claim { epoch: u64 },
    Start { epoch: u64, start: u64, nonce: String },
    Sign(Sign),
}

impl FenceKey {
    /// Takes a key apart; `None` for a key of another folder or one that Cairn never gives out.
    #[must_use]
    pub fn parse(cluster: &str, key: &str) -> Option<Self> {
        let name = key.strip_prefix(&fence_folder(cluster))?.strip_prefix('/')?;
        let parts: Vec<&str> = name.split('-').collect();
        match parts.as_slice() {
            ["epoch", epoch] => Some(Self::Claim { epoch: twenty_digits(epoch)? }),
            ["start", epoch, start, nonce] if is_write(nonce) => Some(Self::Start {
                epoch: twenty_digits(epoch)?,
                start: twenty_digits(start)?,
                nonce: (*nonce).to_owned(),
            }),
            [word @ ("alive" | "stopped"), epoch, start, index, at_ms] => Some(Self::Sign(Sign {
                epoch: twenty_digits(epoch)?,
                start: twenty_digits(start)?,
                index: twenty_digits(index)?,
                at_ms: twenty_digits(at_ms)?,
                stopped: *word == "stopped",
            })),
            _ => None,
        }
    }
}

fn twenty_digits(text: &str) -> Option<u64> {
    let plain = text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// The file name of a segment.
#[must_use]
pub fn segment_file(write: &str, bucket: u32, number: u64) -> String {
    format!("{write}-{bucket}-{number}.parquet")
}

/// The file name of a manifest.
#[must_use]
pub fn manifest_file(write: &str) -> String {
    format!("{write}.manifest")
}

/// Where the files of one partition lie.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionFolder {
    pub cluster: String,
    pub db: DbId,
    pub table: TableId,
    pub partition: PartitionId,
}

impl PartitionFolder {
    /// The key of `file` in this folder.
    #[must_use]
    pub fn file(&self, file: &str) -> String {
        format!("{self}/{file}")
    }
}

/// The key of the folder.
impl fmt::Display for PartitionFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, db, table, partition } = self;
        write!(f, "{cluster}/data/{db}/{table}/{partition}")
    }
}

/// The key of a data file, taken apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DataKey {
    pub folder: PartitionFolder,
    pub file: String,
}

impl DataKey {
    /// Takes a key apart; `None` when it is not that of a file in a partition's folder.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.split('/').collect();
        let [cluster, "data", db, table, partition, file] = parts.as_slice() else { return None };
        if cluster.is_empty() || file.is_empty() {
            return None;
        }
        let folder = PartitionFolder {
            cluster: (*cluster).to_owned(),
            db: DbId(number(db)?),
            table: TableId(number(table)?),
            partition: PartitionId(number(partition)?),
        };
        Some(Self { folder, file: (*file).to_owned() })
    }
}

/// A number as we write it: no sign, no leading zero.
fn number(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// The key itself.
impl fmt::Display for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.file)
    }
}

/// What a file in a partition's folder is, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileName<'a> {
    Segment {
        write: &'a str,
        bucket: u32,
        number: u64,
    },
    Manifest {
        write: &'a str,
    },
    /// A write that was cut off.
    Temporary {
        write: &'a str,
    },
}

impl<'a> FileName<'a> {
    /// Reads a file name; `None` when Cairn never gives out such a name.
    #[must_use]
    pub fn parse(file: &'a str) -> Option<Self> {
        if let Some((whole, _)) = file.split_once(TEMPORARY) {
            let write = Self::parse(whole)?.write();
            return Some(Self::Temporary { write });
        }
        if let Some(write) = file.strip_suffix(".manifest") {
            return is_write(write).then_some(Self::Manifest { write });
        }
        let mut parts = file.strip_suffix(".parquet")?.split('-');
        let (write, bucket, count) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !is_write(write) {
            return None;
        }
        Some(Self::Segment { write, bucket: u32::try_from(number(bucket)?).ok()?, number: number(count)? })
    }

    /// The write that made it.
    #[must_use]
    pub fn write(&self) -> &'a str {
        match self {
            Self::Segment { write, .. } | Self::Manifest { write } | Self::Temporary { write } => write,
        }
    }
}

fn is_write(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_keys_are_read_back() {
        let folder = PartitionFolder {
            cluster: "c1".into(),
            db: DbId(1),
            table: TableId(20),
            partition: PartitionId(300),
        };
        let key = folder.file("ab-0-1.parquet");
        assert_eq!(key, "c1/data/1/20/300/ab-0-1.parquet");
        let parsed = DataKey::parse(&key).unwrap();
        assert_eq!((parsed.to_string(), parsed.folder), (key, folder));
        for foreign in [
            "",
            "c1/data/1/20/300",
            "c1/data/1/20/300/",
            "/data/1/20/300/f",
            "c1/meta/1/20/300/f",
            "c1/data/01/20/300/f",
            "c1/data/+1/20/300/f",
            "c1/data/x/20/300/f",
            "c1/data/1/20/300/sub/f",
        ] {
            assert_eq!(DataKey::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn file_names_are_read_back() {
        let segment = segment_file("a1", 7, 12);
        assert_eq!(FileName::parse(&segment), Some(FileName::Segment { write: "a1", bucket: 7, number: 12 }));
        assert_eq!(FileName::parse(&manifest_file("a1")), Some(FileName::Manifest { write: "a1" }));
        let cut_off = format!("{segment}{TEMPORARY}99");
        assert_eq!(FileName::parse(&cut_off), Some(FileName::Temporary { write: "a1" }));
        for foreign in [
            "",
            "a1",
            "a1.parquet",
            "a1-0.parquet",
            "a1-0-0-0.parquet",
            "-0-0.parquet",
            "a1-x-0.parquet",
            "a1-0-00.parquet",
            ".manifest",
            "a.b.manifest",
            "a1.txt",
            "a1.txt.tmp-1",
        ] {
            assert_eq!(FileName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn fences_are_read_back() {
        assert_eq!(fence("c1", 3), "c1/fence/epoch-00000000000000000003");
        assert_eq!(FenceKey::parse("c1", &fence("c1", u64::MAX)), Some(FenceKey::Claim { epoch: u64::MAX }));
        assert_eq!(
            FenceKey::parse("c1", &fence_start("c1", 2, 7, "ab")),
            Some(FenceKey::Start { epoch: 2, start: 7, nonce: "ab".into() })
        );
        for stopped in [false, true] {
            let sign = Sign { epoch: 2, start: 7, index: 50, at_ms: 1_700_000_000_000, stopped };
            assert_eq!(FenceKey::parse("c1", &fence_sign("c1", &sign)), Some(FenceKey::Sign(sign)));
        }
        for foreign in [
            "c1/fence/epoch-3",
            "c2/fence/epoch-00000000000000000003",
            "c1/fence/epoch-00000000000000000003.tmp-1",
            "c1/fence/epoch-00000000000000000003-00000000000000000003",
            "c1/fence/start-00000000000000000003-00000000000000000003",
            "c1/fence/start-00000000000000000003-00000000000000000003-a.tmp-1",
            "c1/fence/other-00000000000000000003",
        ] {
            assert_eq!(FenceKey::parse("c1", foreign), None, "{foreign}");
        }
    }
}
