//! `SHOW TABLET`: the buckets of partitions. The catalog has no ids for them; one is made of partition and bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::{Catalog, OlapTable, Partition};
use cairn_sql::ast::TableName;
use cairn_storage::manifest::Manifest;
use cairn_types::{Error, PartitionId, Result, SqlType, limits};

use super::cluster::COMPUTE_NODE_ID;
use crate::analyze;
use crate::node::Node;
use crate::rows::{Rows, int, text};
use crate::session::Session;
use crate::statement::partitions::in_order;

/// Ids of one partition's tablets; no partition has more buckets.
const IDS_OF_PARTITION: u64 = limits::BUCKETS_MAX as u64;

/// The id of bucket `bucket` of `partition`.
#[must_use]
pub fn tablet_id(partition: PartitionId, bucket: u32) -> u64 {
    partition.0.saturating_mul(IDS_OF_PARTITION).saturating_add(u64::from(bucket))
}

/// The partition and bucket of a tablet's id.
fn of_id(id: u64) -> (PartitionId, u64) {
    (PartitionId(id / IDS_OF_PARTITION), id % IDS_OF_PARTITION)
}

/// `SHOW TABLET FROM t [PARTITION (…)]`.
///
/// # Errors
/// `UnknownTable`; `Analysis` for a view or an unknown partition; what reading manifests meets.
pub async fn of_table(
    session: &Session,
    catalog: &Catalog,
    name: &TableName,
    partitions: &[String],
) -> Result<Rows> {
    let (_, table) = analyze::find_table(catalog, name, &session.database)?;
    let olap = table
        .olap()
        .ok_or_else(|| Error::analysis(format!("'{}' is a view: it has no tablets", table.name)))?;
    if let Some(unknown) = partitions.iter().find(|p| !olap.partitions.contains_key(*p)) {
        return Err(Error::analysis(format!("Unknown partition '{unknown}' in table '{}'", table.name)));
    }
    of_partitions(&session.node, catalog, olap, |p| partitions.is_empty() || partitions.contains(&p.name))
        .await
}

/// The tablets of those partitions of a table that `chosen` chooses.
///
/// # Errors
/// What reading manifests meets.
pub async fn of_partitions(
    node: &Node,
    catalog: &Catalog,
    olap: &OlapTable,
    chosen: impl Fn(&Partition) -> bool,
) -> Result<Rows> {
    let mut rows = no_tablets();
    let partitions: Vec<&Partition> = in_order(catalog, olap).into_iter().filter(|p| chosen(p)).collect();
    for partition in partitions {
        let place = node.storage.volumes.place(catalog, partition)?;
        let manifest: Arc<Manifest> = node.storage.manifests.load_visible(&place, partition).await?;
        fill(partition, &manifest, &mut rows);
    }
    Ok(rows)
}

fn no_tablets() -> Rows {
    Rows::new(&[
        ("TabletId", SqlType::BigInt),
        ("BackendId", SqlType::String),
        ("DataSize", SqlType::BigInt),
        ("RowCount", SqlType::BigInt),
        ("MinVersion", SqlType::BigInt),
        ("VirtualBuckets", SqlType::String),
    ])
}

fn fill(partition: &Partition, manifest: &Manifest, rows: &mut Rows) {
    let mut contents: BTreeMap<u32, (u64, u64)> =
        (0..partition.buckets).map(|bucket| (bucket, (0, 0))).collect();
    for (rowset, segment) in manifest.segments() {
        let (bytes, row_count) = contents.entry(rowset.bucket).or_default();
        *bytes += segment.bytes;
        *row_count += segment.live_rows();
    }
    for (bucket, (bytes, row_count)) in contents {
        rows.push([
            int(tablet_id(partition.id, bucket)),
            text(format!("[{COMPUTE_NODE_ID}]")),
            int(bytes),
            int(row_count),
            int(partition.visible_version()),
            text(format!("[{bucket}]")),
        ]);
    }
}

/// `SHOW TABLET id`.
///
/// # Errors
/// `NotFound`.
pub fn one(catalog: &Catalog, id: u64) -> Result<Rows> {
    let (partition, bucket) = of_id(id);
    let unknown =
        || Error::not_found(format!("Unknown tablet {id}: SHOW TABLET FROM t lists those of a table"));
    let partition =
        catalog.partition(partition).filter(|p| bucket < u64::from(p.buckets)).ok_or_else(unknown)?;
    let (table, db) =
        catalog.table(partition.table).zip(catalog.database(partition.db)).ok_or_else(unknown)?;
    let mut rows = Rows::new(&[
        ("DbName", SqlType::String),
        ("TableName", SqlType::String),
        ("PartitionName", SqlType::String),
        ("IndexName", SqlType::String),
        ("DbId", SqlType::BigInt),
        ("TableId", SqlType::BigInt),
        ("PartitionId", SqlType::BigInt),
        ("IndexId", SqlType::BigInt),
        ("IsSync", SqlType::String),
        ("DetailCmd", SqlType::String),
    ]);
    let detail = format!("SHOW PROC '/dbs/{}/{}/partitions/{}';", db.id, table.id, partition.id);
    rows.push([
        text(&db.name),
        text(&table.name),
        text(&partition.name),
        text(&table.name),
        int(db.id.0),
        int(table.id.0),
        int(partition.id.0),
        int(table.id.0),
        text("true"),
        text(detail),
    ]);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::{sample, table};

    #[test]
    fn a_tablet_is_found_by_its_id() {
        let catalog = sample();
        let partition = table(&catalog, "tpch", "orders").olap().unwrap().partitions["p2"];
        let found = one(&catalog, tablet_id(partition, 3)).unwrap();
        let names: Vec<String> = found.rows()[0][..3].iter().map(ToString::to_string).collect();
        assert_eq!(names, ["tpch", "orders", "p2"]);
        assert!(one(&catalog, tablet_id(partition, 4)).unwrap_err().message().contains("Unknown tablet"));
        assert!(one(&catalog, u64::MAX).is_err());
    }

    #[test]
    fn empty_buckets_are_listed_too() {
        let catalog = sample();
        let olap = table(&catalog, "tpch", "orders").olap().unwrap();
        let partition = catalog.partition(olap.partitions["p1"]).unwrap();
        let mut rows = no_tablets();
        fill(partition, &Manifest::empty(partition.id), &mut rows);
        assert_eq!(rows.rows().len(), 4);
        assert_eq!(rows.rows()[3][0].to_string(), tablet_id(partition.id, 3).to_string());
    }
}
