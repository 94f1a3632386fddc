//! One segment: what goes in comes out, and its zone maps are true.

use cairn_storage::hash::bucket_of;
use cairn_storage::segment::{SegmentShape, default_format, encode};
use cairn_storage::{BlockCache, SegmentReader, arrow_schema};
use cairn_types::{Literal, Schema, SqlType};
use proptest::prelude::*;

use crate::common::{Row, assert_rows, batch, rows, schema};

fn all_types() -> Schema {
    schema(&[
        ("b", SqlType::Boolean),
        ("i8", SqlType::TinyInt),
        ("i16", SqlType::SmallInt),
        ("i32", SqlType::Int),
        ("i64", SqlType::BigInt),
        ("i128", SqlType::LargeInt),
        ("f32", SqlType::Float),
        ("f64", SqlType::Double),
        ("d9", SqlType::Decimal { precision: 9, scale: 2 }),
        ("d38", SqlType::Decimal { precision: 38, scale: 10 }),
        ("date", SqlType::Date),
        ("time", SqlType::DateTime),
        ("c", SqlType::Char(10)),
        ("v", SqlType::Varchar(100)),
        ("s", SqlType::String),
    ])
}

fn extremes() -> Vec<Row> {
    let text = |t: &str| Literal::Str(t.into());
    let largest = 10i128.pow(38) - 1;
    vec![
        vec![Literal::Null; 15],
        vec![
            Literal::Bool(false),
            Literal::Int(i8::MIN.into()),
            Literal::Int(i16::MIN.into()),
            Literal::Int(i32::MIN.into()),
            Literal::Int(i64::MIN.into()),
            Literal::Int(i128::MIN),
            Literal::Double(f64::from(f32::MIN)),
            Literal::Double(f64::MIN),
            Literal::Decimal(-999_999_999, 2),
            Literal::Decimal(-largest, 10),
            Literal::Date(-719_528),
            Literal::DateTime(-62_167_219_200_000_000),
            text(""),
            text(""),
            text(""),
        ],
        vec![
            Literal::Bool(true),
            Literal::Int(i8::MAX.into()),
            Literal::Int(i16::MAX.into()),
            Literal::Int(i32::MAX.into()),
            Literal::Int(i64::MAX.into()),
            Literal::Int(i128::MAX),
            Literal::Double(f64::INFINITY),
            Literal::Double(f64::NEG_INFINITY),
            Literal::Decimal(999_999_999, 2),
            Literal::Decimal(largest, 10),
            Literal::Date(2_932_896),
            Literal::DateTime(253_402_300_799_999_999),
            text("\u{10ffff}"),
            text(&"x".repeat(100)),
            text(&"ü".repeat(5000)),
        ],
    ]
}

fn shape(schema: &Schema) -> SegmentShape {
    SegmentShape { schema: arrow_schema(schema), sort_key: vec![0], bloom_columns: vec![3], keyed: false }
}

#[test]
fn every_type_comes_back_as_it_was() {
    let schema = all_types();
    let mut given = extremes();
    let mut not_numbers = given[1].clone();
    (not_numbers[6], not_numbers[7]) = (Literal::Double(f64::NAN), Literal::Double(-f64::NAN));
    given.push(not_numbers);
    let whole = batch(&schema, &given);
    let encoded = encode(default_format(), &shape(&schema), &[whole.slice(0, 1), whole.slice(1, 3)]).unwrap();
    assert_eq!(encoded.rows, 4);
    let decoded: Vec<_> =
        default_format().decode(encoded.bytes.clone(), None, 3).unwrap().map(Result::unwrap).collect();
    assert_eq!(decoded[0].schema(), whole.schema());
    assert_rows(&rows(&decoded), &given);
    let projected: Vec<_> =
        default_format().decode(encoded.bytes, Some(&[14, 5]), 9).unwrap().map(Result::unwrap).collect();
    let expected: Vec<Row> = given.iter().map(|row| vec![row[5].clone(), row[14].clone()]).collect();
    // In the order of the table, whatever the order asked for.
    assert_rows(&rows(&projected), &expected);
}

#[test]
fn zone_maps_hold_the_extremes() {
    let schema = all_types();
    let given = extremes();
    let encoded = encode(default_format(), &shape(&schema), &[batch(&schema, &given)]).unwrap();
    for (position, stats) in encoded.columns.iter().enumerate() {
        let (low, high) = (&given[1][position], &given[2][position]);
        let (low, high) = if low <= high { (low, high) } else { (high, low) };
        let (min, max) = (stats.min.as_ref().unwrap(), stats.max.as_ref().unwrap());
        assert!(min <= low && high <= max, "{}: {min:?} {max:?}", stats.name);
        let cut = matches!(high, Literal::Str(s) if s.len() > 64);
        let float = matches!(high, Literal::Double(_));
        assert_eq!(stats.exact, !cut && !float, "{}", stats.name);
        assert!(float || cut || (min == low && max == high), "{}: {min:?} {max:?}", stats.name);
        assert_eq!((stats.nulls, stats.name.as_str()), (1, schema.columns[position].name.as_str()));
    }
}

#[test]
fn without_order_or_values_zone_maps_say_nothing() {
    let schema = schema(&[("k", SqlType::Int), ("f", SqlType::Double)]);
    let given = [vec![Literal::Null, Literal::Double(f64::NAN)], vec![Literal::Null, Literal::Double(1.0)]];
    let encoded = encode(default_format(), &shape(&schema), &[batch(&schema, &given)]).unwrap();
    let shown: Vec<_> =
        encoded.columns.iter().map(|c| (c.nulls, c.min.clone(), c.max.clone(), c.exact)).collect();
    assert_eq!(shown, [(2, None, None, false), (0, None, None, false)]);
}

#[tokio::test]
async fn a_hot_segment_is_read_without_the_volume() {
    use cairn_objects::{Faults, VolumeStore};
    use futures::TryStreamExt;
    use parquet::arrow::ParquetRecordBatchStreamBuilder;

    let schema = all_types();
    let encoded = encode(default_format(), &shape(&schema), &[batch(&schema, &extremes())]).unwrap();
    let (faults, key) = (Faults::default(), "c/data/1/2/3/w-0-0.parquet");
    let store = VolumeStore::in_memory().with_faults(&faults);
    store.put_new(key, encoded.bytes.clone()).await.unwrap();
    let cache = BlockCache::new(1 << 20, 1 << 20);
    let segment = encoded.describe("w-0-0.parquet".into());
    let mut operations = Vec::new();
    for _ in 0..2 {
        let reader = SegmentReader::open(&cache, &store, key, &segment);
        let metadata = reader.metadata().await.unwrap();
        assert!(
            metadata.column_index().is_some() && metadata.offset_index().is_some(),
            "the page index is there"
        );
        let stream = ParquetRecordBatchStreamBuilder::new(reader).await.unwrap().build().unwrap();
        let read: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(rows(&read), extremes());
        operations.push(faults.operations());
    }
    assert_eq!(operations[0], operations[1]);
    let usage = cache.footers_usage();
    assert_eq!(usage.misses, 1);
    assert!(usage.bytes > 0 && usage.hits >= 3, "{usage:?}");
}

proptest! {
    #[test]
    fn strings_of_any_length_stay_within_their_zone_map(texts in proptest::collection::vec(proptest::option::of(".{0,100}"), 1..40)) {
        let schema = schema(&[("s", SqlType::String)]);
        let given: Vec<Row> = texts.iter().map(|t| vec![t.clone().map_or(Literal::Null, Literal::Str)]).collect();
        let shape = SegmentShape { bloom_columns: vec![], ..shape(&schema) };
        let encoded = encode(default_format(), &shape, &[batch(&schema, &given)]).unwrap();
        let stats = &encoded.columns[0];
        for value in given.iter().flatten().filter(|v| !v.is_null()) {
            prop_assert!(stats.min.as_ref().is_none_or(|min| min <= value), "{stats:?}");
            prop_assert!(stats.max.as_ref().is_none_or(|max| value <= max), "{stats:?}");
            prop_assert!(bucket_of(std::slice::from_ref(value), 5) < 5);
        }
    }
}
