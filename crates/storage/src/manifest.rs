//! Partition manifests: write-once files that list the rowsets and segments of one partition at one data version.

use cairn_codec::{Format, open, seal};
use cairn_types::{Error, Literal, PartitionId, Result};
use serde::{Deserialize, Serialize};

/// The newest version of the format that this Cairn writes and reads.
pub const MANIFEST_VERSION: u16 = 1;

/// Everything that a partition holds at one data version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which partition it was written for: a manifest that strays into another folder is noticed.
    pub partition: PartitionId,
    pub rowsets: Vec<Rowset>,
}

/// What one load (or compaction) added to one tablet.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rowset {
    /// The write that made it; unique in the cluster.
    pub write: String,
    /// Which tablet (bucket) of the partition.
    pub bucket: u32,
    pub segments: Vec<Segment>,
}

/// One sorted columnar file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// File name within the partition's folder.
    pub file: String,
    pub kind: SegmentKind,
    pub rows: u64,
    pub bytes: u64,
    /// CRC-32C of each [`BLOCK_BYTES`] of the file, in order: what is read is checked, block by block.
    pub block_checksums: Vec<u32>,
    /// Of each column, by the position that the column had when the segment was written; names stand beside.
    pub columns: Vec<ColumnStats>,
}

/// How a segment's bytes are to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SegmentKind {
    Parquet,
}

/// The zone map of a column in a segment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnStats {
    pub name: String,
    pub nulls: u64,
    /// `None`: unknown. Strings may be cut short: `min` is then a lower, `max` an upper bound.
    pub min: Option<Literal>,
    pub max: Option<Literal>,
    /// Whether `min` and `max` are values that occur.
    pub exact: bool,
}

/// Bytes of a file that one checksum covers.
pub const BLOCK_BYTES: usize = 4 << 20;

impl Manifest {
    #[must_use]
    pub fn empty(partition: PartitionId) -> Self {
        Self { partition, rowsets: Vec::new() }
    }

    pub fn segments(&self) -> impl Iterator<Item = (&Rowset, &Segment)> {
        self.rowsets.iter().flat_map(|r| r.segments.iter().map(move |s| (r, s)))
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.segments().map(|(_, s)| s.rows).sum()
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments().map(|(_, s)| s.bytes).sum()
    }

    /// The bytes of the manifest file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        #[allow(
            clippy::expect_used,
            reason = "its types have string keys and finite numbers: JSON cannot fail"
        )]
        let json = serde_json::to_vec(self).expect("a manifest is JSON");
        seal(Format::Manifest, MANIFEST_VERSION, &json)
    }

    /// Reads the manifest file of `partition`.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are damaged, of a later version, or another partition's.
    pub fn decode(bytes: &[u8], partition: PartitionId) -> Result<Self> {
        let frame = open(bytes, Format::Manifest, MANIFEST_VERSION)?;
        let manifest: Self = serde_json::from_slice(frame.body)
            .map_err(|e| Error::corrupt(format!("the manifest cannot be read: {e}")))?;
        if manifest.partition != partition {
            return Err(Error::corrupt(format!(
                "the manifest belongs to partition {}, not {partition}",
                manifest.partition
            )));
        }
        Ok(manifest)
    }
}

/// The checksums that [`Segment::block_checksums`] keeps.
#[must_use]
pub fn block_checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(BLOCK_BYTES).map(cairn_codec::checksum).collect()
}
