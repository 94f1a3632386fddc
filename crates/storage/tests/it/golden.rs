//! Files of earlier versions stay readable for ever.

use cairn_storage::Manifest;
use cairn_storage::manifest::{ColumnStats, Rowset, Segment, SegmentKind};
use cairn_types::{Literal, PartitionId};

fn manifest() -> Manifest {
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
    };
    Manifest {
        partition: PartitionId(10_007),
        rowsets: vec![Rowset { write: "00ff".into(), bucket: 1, segments: vec![segment] }],
    }
}

#[test]
fn manifest_v1_stays_readable() {
    let golden = include_bytes!("../golden/manifest-v1.bin");
    assert_eq!(Manifest::decode(golden, PartitionId(10_007)).unwrap(), manifest());
    assert_eq!(
        manifest().encode(),
        golden,
        "the format of manifests changed: it needs a new version and golden file"
    );
}
