//! Which segments to merge. Pure: a manifest and settings in, picks out.
//!
//! Within a tablet, segments stand in tiers by size, each tier four times the one below. When a tier holds enough of them,
//! they are merged into one that belongs to a higher tier, so each row is rewritten about once a tier: the
//! work grows with the logarithm of the data. Segments that are large enough stay as they are.

use std::collections::BTreeMap;

use crate::manifest::Manifest;

/// When segments are merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompactionSettings {
    /// Segments of one size tier and tablet that are merged when there are so many.
    pub segments_min: usize,
    /// File bytes that one merge of a tablet reads at most; it needs a small multiple of this in memory.
    pub input_bytes_max: u64,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self { segments_min: 5, input_bytes_max: 128 << 20 }
    }
}

/// Segments of one tablet to be merged, by file name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pick {
    pub bucket: u32,
    pub files: Vec<String>,
    /// Bytes of these files.
    pub bytes: u64,
}

/// Bytes up to which a segment belongs to the lowest tier.
const LOWEST_TIER_BYTES: u64 = 64 << 10;

/// The merges that `manifest` needs, at most one a tablet. Empty: none.
#[must_use]
pub fn pick(manifest: &Manifest, settings: &CompactionSettings) -> Vec<Pick> {
    let mut tablets: BTreeMap<u32, Vec<(u64, &str)>> = BTreeMap::new();
    for (rowset, segment) in manifest.segments() {
        // One that is half as large as a merge may be has nobody to be merged with.
        if segment.bytes <= settings.input_bytes_max / 2 {
            tablets.entry(rowset.bucket).or_default().push((segment.bytes, &segment.file));
        }
    }
    let picks = tablets.into_iter().filter_map(|(bucket, mut segments)| {
        segments.sort_unstable();
        let (files, bytes) = pick_tablet(&segments, settings)?;
        Some(Pick { bucket, files, bytes })
    });
    picks.collect()
}

/// The files to merge of one tablet's segments (bytes, file), smallest first.
fn pick_tablet(segments: &[(u64, &str)], settings: &CompactionSettings) -> Option<(Vec<String>, u64)> {
    let mut tiers: BTreeMap<u32, Vec<&(u64, &str)>> = BTreeMap::new();
    for segment in segments {
        tiers.entry(tier(segment.0)).or_default().push(segment);
    }
    let mut picked: Vec<&(u64, &str)> = Vec::new();
    let mut bytes = 0u64;
    for (number, members) in tiers {
        // What was merged below may come out as one more member of this tier.
        let carried = usize::from(!picked.is_empty() && tier(bytes) >= number);
        if members.len() + carried < settings.segments_min.max(2) {
            continue;
        }
        for member in members {
            if bytes + member.0 <= settings.input_bytes_max {
                bytes += member.0;
                picked.push(member);
            }
        }
    }
    (picked.len() > 1).then(|| (picked.into_iter().map(|(_, file)| (*file).to_owned()).collect(), bytes))
}

fn tier(bytes: u64) -> u32 {
    (bytes / LOWEST_TIER_BYTES).checked_ilog(4).map_or(0, |tier| tier + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Rowset, Segment, SegmentKind};
    use cairn_types::PartitionId;

    fn manifest(tablets: &[&[u64]]) -> Manifest {
        let mut rowsets = Vec::new();
        for (bucket, sizes) in (0u32..).zip(tablets) {
            for (number, bytes) in sizes.iter().enumerate() {
                let segment = Segment {
                    file: format!("{bucket}-{number}"),
                    kind: SegmentKind::Parquet,
                    rows: 1,
                    bytes: *bytes,
                    block_checksums: Vec::new(),
                    columns: Vec::new(),
                };
                rowsets.push(Rowset { write: "w".into(), bucket, segments: vec![segment], versions: None });
            }
        }
        Manifest { partition: PartitionId(1), rowsets }
    }

    fn check(sizes: &[u64], expected: Option<&[&str]>) {
        let settings = CompactionSettings { segments_min: 3, input_bytes_max: 100 << 20 };
        let picks = pick(&manifest(&[sizes]), &settings);
        let mut files = picks.first().map(|p| p.files.clone());
        files.iter_mut().for_each(|f| f.sort());
        assert_eq!(
            files.as_deref(),
            expected.map(|e| e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref()
        );
    }

    #[test]
    fn many_small_segments_are_merged_and_large_ones_stay() {
        const M: u64 = 1 << 20;
        check(&[], None);
        check(&[10, 10], None);
        check(&[10, 10, 10], Some(&["0-0", "0-1", "0-2"]));
        check(&[10, 10, 10, 40 * M], Some(&["0-0", "0-1", "0-2"]));
        check(&[40 * M, 10, 41 * M, 10], None);
        check(&[60 * M, 60 * M, 60 * M], None);
        // Three would be over the bound: two are merged.
        check(&[45 * M, 45 * M, 45 * M], Some(&["0-0", "0-1"]));
        // Three of the lowest tier make one more for the next tier, which then has enough, too.
        check(&[60_000, 60_000, 60_000, 100_000, 100_000], Some(&["0-0", "0-1", "0-2", "0-3", "0-4"]));
        check(&[100, 100, 100, 100_000, 100_000], Some(&["0-0", "0-1", "0-2"]));
    }

    #[test]
    fn tablets_are_merged_apart() {
        let settings = CompactionSettings { segments_min: 2, ..CompactionSettings::default() };
        let picks = pick(&manifest(&[&[5, 5], &[5], &[7, 7, 7]]), &settings);
        let shown: Vec<_> = picks.iter().map(|p| (p.bucket, p.files.len(), p.bytes)).collect();
        assert_eq!(shown, [(0, 2, 10), (2, 3, 21)]);
    }

    /// Single-row loads for ever: every row is rewritten only about as often as there are tiers, and few segments stay.
    #[test]
    fn work_grows_with_the_logarithm() {
        let settings = CompactionSettings { segments_min: 4, input_bytes_max: 1 << 40 };
        let loads = 20_000u64;
        let size = LOWEST_TIER_BYTES;
        let (mut sizes, mut rewritten, mut most) = (Vec::<u64>::new(), 0u64, 0);
        for _ in 0..loads {
            sizes.push(size);
            most = most.max(sizes.len());
            if let Some(pick) = pick(&manifest(&[&sizes]), &settings).first() {
                rewritten += pick.bytes;
                let gone: Vec<usize> = pick.files.iter().map(|f| f[2..].parse().unwrap()).collect();
                let mut position = 0;
                sizes.retain(|_| {
                    position += 1;
                    !gone.contains(&(position - 1))
                });
                sizes.push(pick.bytes);
            }
        }
        assert!(rewritten < loads * size * 10, "each row was rewritten {} times", rewritten / (loads * size));
        assert!(most < 40, "{most} segments");
    }
}
