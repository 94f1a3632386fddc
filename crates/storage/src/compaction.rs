//! Which segments to merge. Pure: a manifest and settings in, picks out.
//!
//! Within a tablet, segments stand in tiers by size, each tier four times the one below. When a tier holds enough of them,
//! they are merged into one that belongs to a higher tier, so each row is rewritten about once a tier: the
//! work grows with the logarithm of the data. Segments that are large enough stay as they are.
//!
//! Of a segment with deleted rows only the share that counts has size, so that it sinks to lower tiers; one of which half is dead
//! is written anew even alone.

use std::collections::BTreeMap;

use crate::manifest::{Manifest, Segment};

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

/// A segment of a tablet. Smallest share that counts first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Member<'a> {
    /// The share of its bytes that counts.
    live_bytes: u64,
    bytes: u64,
    file: &'a str,
}

impl<'a> Member<'a> {
    fn of(segment: &'a Segment) -> Self {
        let share = u128::from(segment.bytes) * u128::from(segment.live_rows());
        let live_bytes = share.div_ceil(u128::from(segment.rows.max(1)));
        let live_bytes = u64::try_from(live_bytes).unwrap_or(segment.bytes);
        Self { live_bytes, bytes: segment.bytes, file: &segment.file }
    }

    /// Whether it is worth to be written anew without its dead rows.
    fn is_wasteful(&self) -> bool {
        self.live_bytes * 2 <= self.bytes
    }
}

/// The merges that `manifest` needs, at most one a tablet. Empty: none.
#[must_use]
pub fn pick(manifest: &Manifest, settings: &CompactionSettings) -> Vec<Pick> {
    let mut tablets: BTreeMap<u32, Vec<Member<'_>>> = BTreeMap::new();
    for (rowset, segment) in manifest.segments() {
        let member = Member::of(segment);
        // One that is half as large as a merge may be has nobody to be merged with.
        if member.bytes <= settings.input_bytes_max / 2 || member.is_wasteful() {
            tablets.entry(rowset.bucket).or_default().push(member);
        }
    }
    let picks = tablets.into_iter().filter_map(|(bucket, mut members)| {
        members.sort_unstable();
        let picked = pick_tablet(&members, settings);
        let picked = match picked.len() {
            0 | 1 => vec![members.iter().find(|member| member.is_wasteful())?],
            _ => picked,
        };
        let files = picked.iter().map(|member| member.file.to_owned()).collect();
        Some(Pick { bucket, files, bytes: picked.iter().map(|member| member.bytes).sum() })
    });
    picks.collect()
}

/// Those of a tablet's segments to merge, if they are several.
fn pick_tablet<'a>(members: &'a [Member<'a>], settings: &CompactionSettings) -> Vec<&'a Member<'a>> {
    let mut tiers: BTreeMap<u32, Vec<&Member<'_>>> = BTreeMap::new();
    for member in members {
        tiers.entry(tier(member.live_bytes)).or_default().push(member);
    }
    let mut picked = Vec::new();
    let (mut live_bytes, mut bytes) = (0u64, 0u64);
    for (number, members) in tiers {
        // What was merged below may come out as one more member of this tier.
        let carried = usize::from(!picked.is_empty() && tier(live_bytes) >= number);
        if members.len() + carried < settings.segments_min.max(2) {
            continue;
        }
        for member in members {
            if bytes + member.bytes <= settings.input_bytes_max {
                live_bytes += member.live_bytes;
                bytes += member.bytes;
                picked.push(member);
            }
        }
    }
    picked
}

fn tier(bytes: u64) -> u32 {
    (bytes / LOWEST_TIER_BYTES).checked_ilog(4).map_or(0, |tier| tier + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Rowset, SegmentKind};
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
                    deleted: None,
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
    fn segments_with_many_dead_rows_are_written_anew() {
        let settings = CompactionSettings { segments_min: 3, input_bytes_max: 100 << 20 };
        let check = |segments: &[(u64, u64, u32)], expected: &[&str]| {
            let sizes: Vec<u64> = segments.iter().map(|(bytes, ..)| *bytes).collect();
            let mut manifest = manifest(&[&sizes]);
            for (rowset, (_, rows, dead)) in manifest.rowsets.iter_mut().zip(segments) {
                rowset.segments[0].rows = *rows;
                rowset.segments[0].deleted = (*dead > 0).then(|| (0..*dead).collect());
            }
            let mut files = pick(&manifest, &settings).pop().map(|p| p.files).unwrap_or_default();
            files.sort();
            assert_eq!(files, expected, "{segments:?}");
        };
        check(&[(1000, 10, 4)], &[]);
        check(&[(1000, 10, 5)], &["0-0"]);
        check(&[(1000, 10, 10)], &["0-0"]);
        check(&[(90 << 20, 10, 9), (10, 1, 0)], &["0-0"]);
        // What is left of a large one is merged with small ones.
        check(&[(1 << 20, 1000, 999), (10, 1, 0), (10, 1, 0)], &["0-0", "0-1", "0-2"]);
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
