//! How fast a load is written. Run by hand, in release.

use std::sync::Arc;
use std::time::Instant;

use cairn_catalog::{Distribution, Partitioning, TimeUnit};
use cairn_objects::VolumeStore;
use cairn_storage::testing::TestCluster;
use cairn_storage::{Committer, LoadOptions, LoadWriter};
use cairn_types::{Schema, SqlType};

use crate::common::*;

fn lineitem() -> Schema {
    let money = SqlType::Decimal { precision: 15, scale: 2 };
    schema(&[
        ("l_orderkey", SqlType::BigInt),
        ("l_linenumber", SqlType::Int),
        ("l_partkey", SqlType::Int),
        ("l_suppkey", SqlType::Int),
        ("l_quantity", money),
        ("l_extendedprice", money),
        ("l_discount", money),
        ("l_tax", money),
        ("l_returnflag", SqlType::Varchar(1)),
        ("l_linestatus", SqlType::Varchar(1)),
        ("l_shipdate", SqlType::Date),
        ("l_commitdate", SqlType::Date),
        ("l_receiptdate", SqlType::Date),
        ("l_shipinstruct", SqlType::Varchar(25)),
        ("l_shipmode", SqlType::Varchar(10)),
        ("l_comment", SqlType::Varchar(44)),
    ])
}

/// Rows like lineitem's, made fast.
fn lineitem_batch(first: i64, rows: i64) -> arrow::array::RecordBatch {
    use arrow::array::*;
    let mix = |i: i64, salt: i64| {
        ((i * 31 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) as u64 >> 33) as i64
    };
    let all = || first..first + rows;
    let ints = |salt, max: i64| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(all().map(|i| (mix(i, salt) % max) as i32)))
    };
    let money = |salt, max: i64| -> ArrayRef {
        let values = Decimal128Array::from_iter_values(all().map(|i| i128::from(mix(i, salt) % max)));
        Arc::new(values.with_precision_and_scale(15, 2).unwrap())
    };
    let dates = |add: i32| -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(all().map(|i| 8035 + (mix(i, 9) % 2526) as i32 + add)))
    };
    let words = |salt, words: &'static [&str]| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(all().map(|i| words[mix(i, salt) as usize % words.len()])))
    };
    let comments =
        all().map(|i| format!("carefully {} final deposits {}", mix(i, 1) % 1000, mix(i, 2) % 1000));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(all().map(|i| i / 4))),
        Arc::new(Int32Array::from_iter_values(all().map(|i| (i % 4) as i32))),
        ints(1, 200_000),
        ints(2, 10_000),
        money(3, 5_000),
        money(4, 10_000_000),
        money(5, 11),
        money(6, 9),
        words(7, &["A", "N", "R"]),
        words(8, &["F", "O"]),
        dates(0),
        dates(30),
        dates(45),
        words(10, &["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]),
        words(11, &["AIR", "FOB", "MAIL", "RAIL", "SHIP", "TRUCK", "REG AIR"]),
        Arc::new(StringViewArray::from_iter_values(comments)),
    ];
    RecordBatch::try_new(cairn_storage::arrow_schema(&lineitem()), columns).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: run in release"]
async fn six_million_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (env, _) = cairn_env::Env::simulated(1, 1);
    let store =
        VolumeStore::open(&format!("file://{}", folder.path().display()), &Default::default(), &env).unwrap();
    let cluster = TestCluster::over(store).await.unwrap();
    let partitioning = Partitioning::Time { column: 10, unit: TimeUnit::Month, step: 1 };
    let mut spec =
        spec(cluster.db, lineitem(), partitioning, Distribution::Hash { columns: vec![0], buckets: 4 });
    spec.sort_key = vec![0, 1];
    let table = cluster.create_table(spec).unwrap();
    let batches: Vec<_> = (0..92).map(|n| lineitem_batch(n * 65_536, 65_536)).collect();
    let start = Instant::now();
    let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, LoadOptions::default()).unwrap();
    for batch in batches {
        writer.write(batch).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    let (rows, bytes) = (written.rows, written.bytes);
    let segments: usize = written.partitions.values().flatten().map(|r| r.segments.len()).sum();
    let wrote = start.elapsed();
    Committer::new(Arc::clone(&cluster.ctx)).commit(request(&cluster, vec![written])).await.unwrap();
    let total = start.elapsed();
    println!(
        "{rows} rows, {segments} segments, {} MB: written in {wrote:?}, visible after {total:?}",
        bytes >> 20
    );
}
