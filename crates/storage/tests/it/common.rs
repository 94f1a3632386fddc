//! Tables, rows and batches for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::i256;
use cairn_catalog::{Bounds, Distribution, PartitionSpec, Partitioning, TableSpec};
use cairn_storage::testing::TestCluster;
use cairn_storage::{
    CommitRequest, Committed, Committer, LoadOptions, LoadWriter, Written, arrow_schema, literal_at,
    scan_partition,
};
use cairn_types::{Column, DbId, Literal, Result, Schema, SqlType, TableId};

pub type Row = Vec<Literal>;

pub fn schema(columns: &[(&str, SqlType)]) -> Schema {
    let column = |(name, ty): &(&str, SqlType)| Column::new(*name, *ty, true);
    Schema { columns: columns.iter().map(column).collect() }
}

pub fn spec(db: DbId, schema: Schema, partitioning: Partitioning, distribution: Distribution) -> TableSpec {
    let whole = PartitionSpec { name: "t".into(), bounds: Bounds::All, buckets: None };
    TableSpec {
        db,
        model: Default::default(),
        name: "t".into(),
        schema,
        sort_key: vec![0],
        partitions: if partitioning == Partitioning::None { vec![whole] } else { Vec::new() },
        partitioning,
        distribution,
        comment: String::new(),
        properties: BTreeMap::new(),
        volume: None,
    }
}

/// A table `(k INT, s STRING)` sorted by `k` with one partition.
pub fn plain_table(cluster: &TestCluster, buckets: u32) -> TableId {
    let columns = schema(&[("k", SqlType::Int), ("s", SqlType::String)]);
    let distribution = Distribution::Hash { columns: vec![0], buckets };
    cluster.create_table(spec(cluster.db, columns, Partitioning::None, distribution)).unwrap()
}

pub fn plain_rows(keys: std::ops::Range<i32>) -> Vec<Row> {
    keys.map(|k| vec![Literal::Int(k.into()), Literal::Str(format!("the text of row number {k}"))]).collect()
}

pub fn batch(schema: &Schema, rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = schema
        .columns
        .iter()
        .enumerate()
        .map(|(position, column)| {
            array(column.ty, &rows.iter().map(|row| &row[position]).collect::<Vec<_>>())
        })
        .collect();
    RecordBatch::try_new(arrow_schema(schema), columns).unwrap()
}

fn int<T: TryFrom<i128>>(v: &Literal) -> Option<T> {
    match v {
        Literal::Null => None,
        Literal::Int(i) => Some(T::try_from(*i).ok().expect("fits")),
        other => panic!("{other:?} is no integer"),
    }
}

fn array(ty: SqlType, values: &[&Literal]) -> ArrayRef {
    macro_rules! of {
        ($array:ty, $pattern:pat => $value:expr) => {
            Arc::new(
                values
                    .iter()
                    .map(|v| match v {
                        Literal::Null => None,
                        $pattern => Some($value),
                        other => panic!("{other:?}"),
                    })
                    .collect::<$array>(),
            )
        };
    }
    match ty {
        SqlType::Boolean => of!(BooleanArray, Literal::Bool(b) => *b),
        SqlType::TinyInt => Arc::new(values.iter().map(|v| int::<i8>(v)).collect::<Int8Array>()),
        SqlType::SmallInt => Arc::new(values.iter().map(|v| int::<i16>(v)).collect::<Int16Array>()),
        SqlType::Int => Arc::new(values.iter().map(|v| int::<i32>(v)).collect::<Int32Array>()),
        SqlType::BigInt => Arc::new(values.iter().map(|v| int::<i64>(v)).collect::<Int64Array>()),
        SqlType::LargeInt => {
            let wide =
                values.iter().map(|v| int::<i128>(v).map(i256::from_i128)).collect::<Decimal256Array>();
            Arc::new(wide.with_precision_and_scale(39, 0).unwrap())
        }
        SqlType::Float => of!(Float32Array, Literal::Double(d) => *d as f32),
        SqlType::Double => of!(Float64Array, Literal::Double(d) => *d),
        SqlType::Decimal { precision, scale } => {
            let unscaled: Decimal128Array = values
                .iter()
                .map(|v| match v {
                    Literal::Decimal(d, _) => Some(*d),
                    _ => None,
                })
                .collect();
            Arc::new(unscaled.with_precision_and_scale(precision, scale as i8).unwrap())
        }
        SqlType::Date => of!(Date32Array, Literal::Date(d) => *d),
        SqlType::DateTime => of!(TimestampMicrosecondArray, Literal::DateTime(t) => *t),
        _ => of!(StringViewArray, Literal::Str(s) => s.clone()),
    }
}

pub fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    let row =
        |batch: &RecordBatch, row| batch.columns().iter().map(|c| literal_at(c, row).unwrap()).collect();
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |r| row(batch, r))).collect()
}

pub fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// All visible rows of a table, sorted.
pub async fn table_rows(cluster: &TestCluster, table: TableId) -> Result<Vec<Row>> {
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap().clone();
    let mut all = Vec::new();
    for partition in catalog.partitions_of(&olap) {
        for segment in scan_partition(&cluster.ctx, &catalog, partition, None).await? {
            all.extend(rows(&segment.batches));
        }
    }
    Ok(sorted(all))
}

/// The newest catalog.
pub trait Newest {
    fn newest(&self) -> Arc<cairn_catalog::Catalog>;
}

impl Newest for cairn_storage::testing::MemoryMeta {
    fn newest(&self) -> Arc<cairn_catalog::Catalog> {
        cairn_storage::Meta::catalog(self)
    }
}

pub async fn write(
    cluster: &TestCluster,
    table: TableId,
    rows: &[Row],
    options: LoadOptions,
) -> Result<Written> {
    let catalog = cluster.meta.newest();
    let mut writer = LoadWriter::new(Arc::clone(&cluster.ctx), table, options)?;
    writer.write(batch(catalog.table(table).unwrap().schema(), rows)).await?;
    writer.finish().await
}

pub fn request(cluster: &TestCluster, written: Vec<Written>) -> CommitRequest {
    CommitRequest {
        db: cluster.db,
        txn: None,
        label: None,
        written,
        details: String::new(),
        overwrite: false,
        refresh: None,
    }
}

pub async fn load(cluster: &TestCluster, table: TableId, rows: &[Row]) -> Result<Committed> {
    let written = write(cluster, table, rows, LoadOptions::default()).await?;
    Committer::new(Arc::clone(&cluster.ctx)).commit(request(cluster, vec![written])).await
}

/// The keys of all files of the cluster's tables, sorted.
pub async fn files(cluster: &TestCluster) -> Vec<String> {
    use futures::TryStreamExt;
    let folder = cairn_objects::layout::data_folder(cairn_storage::testing::CLUSTER);
    let listed: Vec<_> = cluster.store.list(&folder).try_collect().await.unwrap();
    let mut keys: Vec<_> = listed.into_iter().map(|o| o.key).collect();
    keys.sort();
    keys
}

/// Equal as the order of values has it: a NaN equals itself.
#[track_caller]
pub fn assert_rows(actual: &[Row], expected: &[Row]) {
    assert!(actual.cmp(expected).is_eq(), "rows: {actual:?}\nexpected: {expected:?}");
}

/// The versions of each rowset of a table's partitions, sorted.
pub async fn row_versions(cluster: &TestCluster, table: TableId) -> Vec<Option<(u64, u64)>> {
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap().clone();
    let mut versions = Vec::new();
    for partition in catalog.partitions_of(&olap) {
        let place = cluster.ctx.volumes.place(&catalog, partition).unwrap();
        let manifest = cluster.ctx.manifests.load_visible(&place, partition).await.unwrap();
        versions.extend(manifest.rowsets.iter().map(|r| r.versions.map(|v| (v.first, v.last))));
    }
    versions.sort_unstable();
    versions
}

/// The data versions of a table and of its partition of this name, and the one that last replaced rows.
pub fn data_versions(cluster: &TestCluster, table: TableId, partition: &str) -> (u64, u64, u64) {
    let catalog = cluster.meta.newest();
    let olap = catalog.table(table).unwrap().olap().unwrap();
    let partition = catalog.partition(olap.partitions[partition]).unwrap();
    (olap.data_version, partition.visible_version(), partition.replaced_version)
}
