//! The files of a snapshot beside its image: the chunks of the list of what it reaches, and the marker.

use cairn_catalog::{Catalog, Snapshot, SnapshotKind};
use cairn_codec::{Format, open, seal};
use cairn_types::{DbId, Error, PartitionId, Result, TableId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The newest versions of the formats that this Cairn writes and reads.
pub const CHUNK_VERSION: u16 = 1;
pub const MARKER_VERSION: u16 = 1;

/// Size and content of a file that is read as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSum {
    pub bytes: u64,
    /// CRC-32C of the whole file.
    pub checksum: u32,
}

impl FileSum {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, checksum: cairn_codec::checksum(bytes) }
    }

    /// What is wrong with `bytes`, if they should be these.
    #[must_use]
    pub fn difference(&self, bytes: &[u8]) -> Option<String> {
        let found = Self::of(bytes);
        if found.bytes != self.bytes {
            return Some(format!("it has {} bytes and should have {}", found.bytes, self.bytes));
        }
        (found.checksum != self.checksum).then(|| "its bytes are damaged (checksum differs)".to_owned())
    }
}

/// Written last: it makes the folder a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    pub cluster: String,
    pub epoch: u64,
    /// The J of `catalog(J)`.
    pub index: u64,
    pub name: String,
    pub kind: SnapshotKind,
    pub created_ms: u64,
    pub cairn_version: String,
    pub image: FileSum,
    /// Of `manifest-0`, `manifest-1`, …
    pub chunks: Vec<FileSum>,
    /// Everything that must be there to restore: image, chunks, partition manifests, segments.
    pub files: u64,
    pub bytes: u64,
}

impl Marker {
    /// The bytes of the marker file.
    ///
    /// # Errors
    /// `Internal`.
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(seal(Format::SnapshotMarker, MARKER_VERSION, &json(self)?))
    }

    /// Reads a marker file.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        parse("marker", open(bytes, Format::SnapshotMarker, MARKER_VERSION)?.body)
    }

    /// Whether it is the marker of the catalog's `snapshot`, and not one of another history of the cluster that used the
    /// same name.
    #[must_use]
    pub fn belongs_to(&self, catalog: &Catalog, snapshot: &Snapshot) -> bool {
        self.cluster == catalog.cluster().id
            && self.name == snapshot.name
            && self.index == snapshot.created.index
            && self.created_ms == snapshot.created.time_ms
    }
}

/// One chunk of the list of what a snapshot reaches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFiles {
    /// From 0: a chunk that strays is noticed.
    pub chunk: u64,
    pub partitions: Vec<PartitionFiles>,
}

/// The files of one partition version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionFiles {
    /// The name of the storage volume.
    pub volume: String,
    pub db: DbId,
    pub table: TableId,
    pub partition: PartitionId,
    /// Whether it waited in the recycle bin: then the snapshot does not pin it, and a restore can do without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recycled: bool,
    pub manifest: String,
    pub manifest_sum: FileSum,
    pub segments: Vec<SegmentFile>,
}

/// A segment by its file name; its checksums stand in the partition's manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentFile {
    pub file: String,
    pub bytes: u64,
}

impl PartitionFiles {
    /// Files and bytes, the manifest included.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let bytes: u64 = self.segments.iter().map(|s| s.bytes).sum();
        (1 + self.segments.len() as u64, bytes + self.manifest_sum.bytes)
    }

    /// About how many bytes it takes in a chunk.
    #[must_use]
    pub fn weight(&self) -> usize {
        let segments: usize = self.segments.iter().map(|s| s.file.len() + 32).sum();
        segments + self.manifest.len() + self.volume.len() + 200
    }
}

impl SnapshotFiles {
    /// The bytes of the chunk's file.
    ///
    /// # Errors
    /// `Internal`.
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(seal(Format::SnapshotManifest, CHUNK_VERSION, &json(self)?))
    }

    /// Reads chunk `chunk`.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(bytes: &[u8], chunk: u64) -> Result<Self> {
        let frame = open(bytes, Format::SnapshotManifest, CHUNK_VERSION)?;
        let files: Self = parse("list of files", frame.body)?;
        if files.chunk != chunk {
            return Err(Error::corrupt(format!("it is chunk {} where chunk {chunk} should be", files.chunk)));
        }
        Ok(files)
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal(format!("a snapshot's record is no JSON: {e}")))
}

fn parse<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|e| Error::corrupt(format!("the {what} cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker {
            cluster: "c1".into(),
            epoch: 1,
            index: 42,
            name: "s1".into(),
            kind: SnapshotKind::Manual,
            created_ms: 1_700_000_000_000,
            cairn_version: "0.1.0".into(),
            image: FileSum { bytes: 10, checksum: 11 },
            chunks: vec![FileSum { bytes: 20, checksum: 21 }],
            files: 4,
            bytes: 1000,
        }
    }

    fn chunk() -> SnapshotFiles {
        let partition = PartitionFiles {
            volume: "v".into(),
            db: DbId(1),
            table: TableId(2),
            partition: PartitionId(3),
            recycled: false,
            manifest: "ab.manifest".into(),
            manifest_sum: FileSum { bytes: 30, checksum: 31 },
            segments: vec![SegmentFile { file: "ab-0-0.parquet".into(), bytes: 970 }],
        };
        SnapshotFiles { chunk: 0, partitions: vec![partition] }
    }

    #[test]
    fn golden_files_stay_readable() {
        let golden = include_bytes!("../tests/golden/snapshot-marker-v1.bin");
        assert_eq!(Marker::decode(golden).unwrap(), marker());
        assert_eq!(marker().encode().unwrap(), golden, "the format of markers changed");
        let golden = include_bytes!("../tests/golden/snapshot-manifest-v1.bin");
        assert_eq!(SnapshotFiles::decode(golden, 0).unwrap(), chunk());
        assert_eq!(chunk().encode().unwrap(), golden, "the format of snapshot manifests changed");
    }

    #[test]
    fn a_stray_chunk_is_noticed() {
        let error = SnapshotFiles::decode(&chunk().encode().unwrap(), 1).unwrap_err();
        assert!(error.message().contains("chunk 0 where chunk 1"), "{error}");
    }

    #[test]
    fn sums_say_what_differs() {
        let sum = FileSum::of(b"abc");
        assert_eq!(sum.difference(b"abc"), None);
        assert!(sum.difference(b"abcd").unwrap().contains("4 bytes and should have 3"));
        assert!(sum.difference(b"abd").unwrap().contains("checksum"));
    }
}
