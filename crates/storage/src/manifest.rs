//! Partition manifests: write-once files that list the rowsets and segments of one partition at one data version.

use cairn_codec::{Format, open, seal};
use cairn_types::{Error, Literal, PartitionId, Result};
use serde::{Deserialize, Serialize};

use crate::deletes::DeleteVector;

/// The newest version of the format that this Cairn reads, and writes where there are delete vectors.
pub const MANIFEST_VERSION: u16 = 3;
/// Written where there are none: the Cairn before can read it.
const WITHOUT_DELETES_VERSION: u16 = 2;

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
    /// Which data versions of the partition added its rows; `None`: unknown, as in all manifests of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<RowVersions>,
}

/// A span of data versions, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowVersions {
    pub first: u64,
    pub last: u64,
}

impl RowVersions {
    #[must_use]
    pub fn of(version: u64) -> Self {
        Self { first: version, last: version }
    }

    /// The smallest span that holds all of `spans`; `None` when one is unknown, or there is none.
    #[must_use]
    pub fn span(spans: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let join = |a: Self, b: Self| Self { first: a.first.min(b.first), last: a.last.max(b.last) };
        spans.into_iter().reduce(|a, b| Some(join(a?, b?))).flatten()
    }
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
    /// Rows that a later row of the same key has taken the place of. All else that is said here is said of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<DeleteVector>,
}

impl Segment {
    /// Rows that count.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.rows.saturating_sub(self.deleted.as_ref().map_or(0, DeleteVector::len))
    }
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

    /// Rows that count.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.segments().map(|(_, s)| s.live_rows()).sum()
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
        let version = match self.segments().any(|(_, s)| s.deleted.is_some()) {
            true => MANIFEST_VERSION,
            false => WITHOUT_DELETES_VERSION,
        };
        seal(Format::Manifest, version, &json)
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
        let outside = |s: &Segment| {
            s.deleted.as_ref().and_then(DeleteVector::last).is_some_and(|row| u64::from(row) >= s.rows)
        };
        if let Some((_, segment)) = manifest.segments().find(|(_, s)| outside(s)) {
            return Err(Error::corrupt(format!(
                "it deletes rows that segment {} does not have",
                segment.file
            )));
        }
        Ok(manifest)
    }
}

/// The rowsets whose rows came after data `version`. `None` when that cannot be told: a rowset is of unknown versions, or
/// a compaction put rows from before and after into one.
///
/// It says nothing of rows that went: the partition must only have grown since.
#[must_use]
pub fn rows_since(manifest: &Manifest, version: u64) -> Option<Vec<&Rowset>> {
    let mut since = Vec::new();
    for rowset in &manifest.rowsets {
        let RowVersions { first, last } = rowset.versions?;
        match (first > version, last <= version) {
            (true, _) => since.push(rowset),
            (false, true) => {}
            (false, false) => return None,
        }
    }
    Some(since)
}

/// The checksums that [`Segment::block_checksums`] keeps.
#[must_use]
pub fn block_checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(BLOCK_BYTES).map(cairn_codec::checksum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rowset(versions: Option<(u64, u64)>) -> Rowset {
        let versions = versions.map(|(first, last)| RowVersions { first, last });
        Rowset { write: format!("{versions:?}"), bucket: 0, segments: Vec::new(), versions }
    }

    fn check(spans: &[Option<(u64, u64)>], version: u64, expected: Option<&[usize]>) {
        let rowsets: Vec<_> = spans.iter().copied().map(rowset).collect();
        let manifest = Manifest { partition: PartitionId(1), rowsets };
        let expected = expected.map(|at| at.iter().map(|i| &manifest.rowsets[*i]).collect::<Vec<_>>());
        assert_eq!(rows_since(&manifest, version), expected, "{spans:?} since {version}");
    }

    #[test]
    fn rows_since_a_version_are_told_apart() {
        check(&[], 7, Some(&[]));
        check(&[Some((2, 2)), Some((3, 3))], 1, Some(&[0, 1]));
        check(&[Some((2, 2)), Some((3, 3))], 2, Some(&[1]));
        check(&[Some((3, 3)), Some((2, 2))], 3, Some(&[]));
        check(&[Some((2, 5)), Some((6, 9))], 5, Some(&[1]));
        check(&[Some((2, 5)), Some((6, 9))], 4, None);
        check(&[Some((2, 5)), Some((6, 9))], 6, None);
        check(&[Some((2, 5)), Some((6, 9))], 9, Some(&[]));
        check(&[None, Some((6, 6))], 5, None);
        check(&[Some((6, 6)), None], 9, None);
    }

    #[test]
    fn a_span_holds_its_parts() {
        let of = |spans: &[Option<(u64, u64)>]| {
            let spans = spans.iter().map(|s| s.map(|(first, last)| RowVersions { first, last }));
            RowVersions::span(spans).map(|s| (s.first, s.last))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Some((3, 3))]), Some((3, 3)));
        assert_eq!(of(&[Some((3, 3)), Some((1, 2)), Some((5, 5))]), Some((1, 5)));
        assert_eq!(of(&[Some((3, 3)), None, Some((5, 5))]), None);
        assert_eq!(of(&[None]), None);
    }
}
