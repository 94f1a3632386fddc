//! What scans need of a manifest, made once: each segment with its statistics as DataFusion takes them.
//!
//! A table of many partitions has thousands of zone maps; turning them into scalars for each query costs more than a
//! point query itself.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use cairn_storage::manifest::{Manifest, Segment};
use cairn_types::Literal;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::scalar::ScalarValue;
use lru::LruCache;
use parking_lot::Mutex;

use crate::literal::scalar;

/// About how much memory a zone map (one a column a segment) takes.
const ZONE_MAP_BYTES: usize = 300;
/// About how much is kept.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// A segment of a manifest.
pub(crate) struct PreparedSegment {
    pub(crate) bucket: u32,
    /// The first and the last data version whose rows it holds; `None`: not known.
    pub(crate) versions: Option<(u64, u64)>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) statistics: Arc<Statistics>,
    /// The rows that count; `None`: all.
    pub(crate) live: Option<BooleanBuffer>,
}

/// A manifest, ready for scans.
pub(crate) struct PreparedManifest {
    schema: SchemaRef,
    pub(crate) segments: Vec<PreparedSegment>,
    /// Of all segments together.
    pub(crate) statistics: Statistics,
}

/// The prepared manifests that were used last.
pub(crate) struct PreparedManifests {
    kept: Mutex<Kept>,
}

struct Kept {
    by_name: LruCache<String, Arc<PreparedManifest>>,
    bytes: usize,
}

impl Default for PreparedManifests {
    fn default() -> Self {
        Self { kept: Mutex::new(Kept { by_name: LruCache::unbounded(), bytes: 0 }) }
    }
}

impl PreparedManifests {
    /// `manifest`, whose file is `name` (which is unique in the cluster), for a table of `schema`.
    pub(crate) fn prepare(
        &self,
        name: &str,
        manifest: &Manifest,
        schema: &SchemaRef,
    ) -> Arc<PreparedManifest> {
        // The file's name alone says what is in it; the columns may have been altered since.
        let key = format!("{}/{name}", manifest.partition);
        if let Some(found) = self.kept.lock().by_name.get(&key)
            && (Arc::ptr_eq(&found.schema, schema) || found.schema == *schema)
        {
            return Arc::clone(found);
        }
        let prepared = Arc::new(PreparedManifest::new(manifest, schema));
        self.kept.lock().put(key, Arc::clone(&prepared));
        prepared
    }
}

impl Kept {
    fn put(&mut self, key: String, prepared: Arc<PreparedManifest>) {
        self.bytes += prepared.bytes();
        if let Some(old) = self.by_name.put(key, prepared) {
            self.bytes -= old.bytes();
        }
        while self.bytes > KEPT_BYTES_MAX {
            let Some((_, oldest)) = self.by_name.pop_lru() else { return };
            self.bytes -= oldest.bytes();
        }
    }
}

impl PreparedManifest {
    fn new(manifest: &Manifest, schema: &SchemaRef) -> Self {
        let segments: Vec<PreparedSegment> = manifest
            .segments()
            .filter(|(_, segment)| segment.live_rows() > 0)
            .map(|(rowset, segment)| PreparedSegment {
                bucket: rowset.bucket,
                versions: rowset.versions.map(|versions| (versions.first, versions.last)),
                statistics: Arc::new(statistics(schema, segment)),
                live: live(segment),
                segment: Arc::new(segment.clone()),
            })
            .collect();
        let statistics = merge(schema, segments.iter().map(|s| &*s.statistics));
        Self { schema: Arc::clone(schema), segments, statistics }
    }

    /// About how much memory it takes: zone maps, and of deleted rows the mask and the vector.
    fn bytes(&self) -> usize {
        let zone_maps = (self.segments.len() + 1) * self.schema.fields().len();
        let masks = self.segments.iter().filter_map(|segment| segment.live.as_ref());
        zone_maps * ZONE_MAP_BYTES + masks.map(|mask| mask.len() / 8 * 2).sum::<usize>()
    }
}

/// The rows of `segment` that count, when some do not.
fn live(segment: &Segment) -> Option<BooleanBuffer> {
    let rows = usize::try_from(segment.rows).unwrap_or(usize::MAX);
    segment.deleted.as_ref().map(|deleted| deleted.live_mask(rows))
}

/// What the zone maps of `segment` say.
fn statistics(schema: &SchemaRef, segment: &Segment) -> Statistics {
    Statistics {
        num_rows: Precision::Exact(usize::try_from(segment.live_rows()).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Inexact(usize::try_from(segment.bytes).unwrap_or(usize::MAX)),
        column_statistics: schema.fields().iter().map(|field| column_statistics(field, segment)).collect(),
    }
}

fn column_statistics(field: &arrow::datatypes::Field, segment: &Segment) -> ColumnStatistics {
    let mut found = ColumnStatistics::new_unknown();
    let Some(stats) = segment.columns.iter().find(|c| c.name.eq_ignore_ascii_case(field.name())) else {
        return found;
    };
    let precise = |literal: &Option<Literal>| match literal.as_ref().map(|l| scalar(l, field.data_type())) {
        Some(value) if value.is_null() => Precision::Absent,
        Some(value) if stats.exact && !matches!(value, ScalarValue::Float32(_) | ScalarValue::Float64(_)) => {
            Precision::Exact(value)
        }
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    };
    found.null_count = Precision::Exact(usize::try_from(stats.nulls).unwrap_or(usize::MAX));
    found.min_value = precise(&stats.min);
    found.max_value = precise(&stats.max);
    match segment.deleted {
        None => found,
        // Zone maps are of all rows: they bound what is left.
        Some(_) => found.to_inexact(),
    }
}

/// What `parts` say together. Not DataFusion's own merge: there, one part without bounds because it holds NULLs alone
/// would take the bounds of all.
pub(crate) fn merge<'a>(
    schema: &SchemaRef,
    parts: impl Iterator<Item = &'a Statistics> + Clone,
) -> Statistics {
    let zero = (Precision::Exact(0), Precision::Exact(0));
    let (num_rows, total_byte_size) = parts
        .clone()
        .fold(zero, |(rows, bytes), part| (rows.add(&part.num_rows), bytes.add(&part.total_byte_size)));
    let column = |at: usize| {
        let columns = parts.clone().filter_map(move |part| Some((part, part.column_statistics.get(at)?)));
        merge_column(columns)
    };
    Statistics {
        num_rows,
        total_byte_size: total_byte_size.to_inexact(),
        column_statistics: (0..schema.fields().len()).map(column).collect(),
    }
}

fn merge_column<'a>(parts: impl Iterator<Item = (&'a Statistics, &'a ColumnStatistics)>) -> ColumnStatistics {
    let mut merged = ColumnStatistics::new_unknown();
    merged.null_count = Precision::Exact(0);
    let mut bounded = false;
    for (part, column) in parts {
        merged.null_count = merged.null_count.add(&column.null_count);
        if column.null_count == part.num_rows {
            continue;
        }
        (merged.min_value, merged.max_value) = match bounded {
            true => (merged.min_value.min(&column.min_value), merged.max_value.max(&column.max_value)),
            false => (column.min_value.clone(), column.max_value.clone()),
        };
        bounded = true;
    }
    merged
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use cairn_storage::manifest::{ColumnStats, Rowset, SegmentKind};
    use cairn_types::PartitionId;

    use super::*;

    /// Rows, NULLs and bounds of a segment.
    type Sketch = (u64, u64, Option<(i128, i128)>);

    fn manifest(segments: &[Sketch]) -> Manifest {
        let segment = |(at, (rows, nulls, bounds)): (usize, &Sketch)| Segment {
            file: format!("{at}.parquet"),
            kind: SegmentKind::Parquet,
            rows: *rows,
            bytes: 10,
            block_checksums: Vec::new(),
            columns: vec![ColumnStats {
                name: "k".into(),
                nulls: *nulls,
                min: bounds.map(|b| Literal::Int(b.0)),
                max: bounds.map(|b| Literal::Int(b.1)),
                exact: true,
            }],
            deleted: None,
        };
        let segments = segments.iter().enumerate().map(segment).collect();
        Manifest {
            partition: PartitionId(1),
            rowsets: vec![Rowset { write: "w".into(), bucket: 0, versions: None, segments }],
        }
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("k", DataType::Int32, true)]))
    }

    fn check(segments: &[Sketch], expected: &str) {
        let prepared = PreparedManifest::new(&manifest(segments), &schema());
        let column = &prepared.statistics.column_statistics[0];
        let shown = format!(
            "{:?} rows, {:?} nulls, {:?} to {:?}",
            prepared.statistics.num_rows.get_value(),
            column.null_count.get_value(),
            column.min_value.get_value().map(ToString::to_string),
            column.max_value.get_value().map(ToString::to_string)
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn zone_maps_are_merged() {
        check(&[], "Some(0) rows, Some(0) nulls, None to None");
        check(
            &[(3, 0, Some((1, 5))), (4, 1, Some((-2, 3)))],
            "Some(7) rows, Some(1) nulls, Some(\"-2\") to Some(\"5\")",
        );
        // A segment of NULLs hides nothing; one whose bounds are unknown hides all.
        check(
            &[(2, 2, None), (3, 0, Some((1, 5)))],
            "Some(5) rows, Some(2) nulls, Some(\"1\") to Some(\"5\")",
        );
        check(&[(2, 1, None), (3, 0, Some((1, 5)))], "Some(5) rows, Some(1) nulls, None to None");
    }

    #[test]
    fn a_manifest_is_prepared_once_for_a_schema() {
        let cache = PreparedManifests::default();
        let (manifest, schema) = (manifest(&[(1, 0, Some((1, 1)))]), schema());
        let first = cache.prepare("m", &manifest, &schema);
        assert!(Arc::ptr_eq(&first, &cache.prepare("m", &manifest, &schema)));
        let wider: SchemaRef = Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]));
        assert!(!Arc::ptr_eq(&first, &cache.prepare("m", &manifest, &wider)));
    }
}
