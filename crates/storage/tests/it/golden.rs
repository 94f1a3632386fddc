//! Files of earlier versions stay readable for ever.

use cairn_storage::Manifest;
use cairn_storage::manifest::{ColumnStats, RowVersions, Rowset, Segment, SegmentKind};
use cairn_types::{Literal, PartitionId};

/// What a manifest of version 1 can say.
fn manifest_v1() -> Manifest {
    let stats = |name: &str, min: Option<Literal>, max: Option<Literal>, exact| ColumnStats {
        name: name.into(),
        nulls: 3,
        min,
        max,
        exact,
    };
    let segment = Segment {
        file: "00ff-1-0.parquet".into(),
        kind: SegmentKind::Parquet,
        rows: 9_007_199_254_740_993,
        bytes: 4_194_305,
        block_checksums: vec![1, u32::MAX],
        columns: vec![
            stats("b", Some(Literal::Bool(false)), Some(Literal::Bool(true)), true),
            stats("l", Some(Literal::Int(i128::MIN)), Some(Literal::Int(i128::MAX)), true),
            stats("f", Some(Literal::Double(-0.5)), Some(Literal::Double(1e300)), false),
            stats("d", Some(Literal::Decimal(-1, 2)), Some(Literal::Decimal(12_345, 2)), true),
            stats("day", Some(Literal::Date(-1)), Some(Literal::Date(20_000)), true),
            stats("time", Some(Literal::DateTime(-1)), Some(Literal::DateTime(1_700_000_000_000_000)), true),
            stats("s", Some(Literal::Str(String::new())), Some(Literal::Str("ü\"\\".into())), false),
            stats("none", None, None, false),
        ],
        deleted: None,
    };
    Manifest {
        partition: PartitionId(10_007),
        rowsets: vec![Rowset { write: "00ff".into(), bucket: 1, segments: vec![segment], versions: None }],
    }
}

fn manifest_v2() -> Manifest {
    let mut manifest = manifest_v1();
    let known = |first, last| Rowset {
        versions: Some(RowVersions { first, last }),
        segments: Vec::new(),
        ..manifest_v1().rowsets.remove(0)
    };
    manifest.rowsets.extend([known(3, 3), known(4, u64::MAX)]);
    manifest
}

/// With rows that do not count.
fn manifest() -> Manifest {
    let mut manifest = manifest_v2();
    let dead = [0, 1, 2, 3, 70_000, u32::MAX];
    manifest.rowsets[0].segments[0].deleted = Some(dead.into_iter().chain(100_000..200_000).collect());
    manifest
}

#[test]
fn manifests_stay_readable() {
    let v1 = include_bytes!("../golden/manifest-v1.bin");
    assert_eq!(Manifest::decode(v1, PartitionId(10_007)).unwrap(), manifest_v1());
    let v2 = include_bytes!("../golden/manifest-v2.bin");
    assert_eq!(Manifest::decode(v2, PartitionId(10_007)).unwrap(), manifest_v2());
    assert_eq!(manifest_v2().encode(), v2, "without delete vectors the version before is written");
    let v3 = include_bytes!("../golden/manifest-v3.bin");
    assert_eq!(Manifest::decode(v3, PartitionId(10_007)).unwrap(), manifest());
    assert_eq!(
        manifest().encode(),
        v3,
        "the format of manifests changed: it needs a new version and golden file"
    );
}

#[test]
#[ignore = "writes the golden file of a new format version"]
fn write_golden_manifest() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/manifest-v3.bin");
    std::fs::write(file, manifest().encode()).unwrap();
}
