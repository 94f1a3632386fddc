//! `partitions` as MySQL has it, `partitions_meta` as StarRocks has it.

use cairn_catalog::{Bounds, Catalog, OlapTable, Partition};
use cairn_objects::layout::PartitionFolder;
use cairn_types::{Literal, SqlType};

use super::objects::{quoted_columns, visible_tables};
use super::{BOOL, CATALOG_NAME, LONG, REAL, Scope, SystemTable, TEXT, TIME, count};
use crate::rows::{Rows, int, text, time};
use crate::statement::partitions::{bounds_text, distribution_columns, in_order, plain_columns};

const INT: SqlType = SqlType::Int;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "partitions",
        columns: &[
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("PARTITION_NAME", TEXT),
            ("SUBPARTITION_NAME", TEXT),
            ("PARTITION_ORDINAL_POSITION", LONG),
            ("SUBPARTITION_ORDINAL_POSITION", LONG),
            ("PARTITION_METHOD", TEXT),
            ("SUBPARTITION_METHOD", TEXT),
            ("PARTITION_EXPRESSION", TEXT),
            ("SUBPARTITION_EXPRESSION", TEXT),
            ("PARTITION_DESCRIPTION", TEXT),
            ("TABLE_ROWS", LONG),
            ("AVG_ROW_LENGTH", LONG),
            ("DATA_LENGTH", LONG),
            ("MAX_DATA_LENGTH", LONG),
            ("INDEX_LENGTH", LONG),
            ("DATA_FREE", LONG),
            ("CREATE_TIME", TIME),
            ("UPDATE_TIME", TIME),
            ("CHECK_TIME", TIME),
            ("CHECKSUM", LONG),
            ("PARTITION_COMMENT", TEXT),
            ("NODEGROUP", TEXT),
            ("TABLESPACE_NAME", TEXT),
        ],
        fill: partitions,
    },
    SystemTable {
        name: "partitions_meta",
        columns: &[
            ("DB_NAME", TEXT),
            ("TABLE_NAME", TEXT),
            ("PARTITION_NAME", TEXT),
            ("PARTITION_ID", LONG),
            ("COMPACT_VERSION", LONG),
            ("VISIBLE_VERSION", LONG),
            ("VISIBLE_VERSION_TIME", TIME),
            ("NEXT_VERSION", LONG),
            ("DATA_VERSION", LONG),
            ("VERSION_EPOCH", LONG),
            ("VERSION_TXN_TYPE", TEXT),
            ("PARTITION_KEY", TEXT),
            ("PARTITION_VALUE", TEXT),
            ("DISTRIBUTION_KEY", TEXT),
            ("BUCKETS", INT),
            ("REPLICATION_NUM", INT),
            ("STORAGE_MEDIUM", TEXT),
            ("COOLDOWN_TIME", TIME),
            ("LAST_CONSISTENCY_CHECK_TIME", TIME),
            ("IS_IN_MEMORY", BOOL),
            ("IS_TEMP", BOOL),
            ("DATA_SIZE", LONG),
            ("ROW_COUNT", LONG),
            ("ENABLE_DATACACHE", BOOL),
            ("AVG_CS", REAL),
            ("P50_CS", REAL),
            ("MAX_CS", REAL),
            ("STORAGE_PATH", TEXT),
            ("STORAGE_SIZE", LONG),
            ("METADATA_SWITCH_VERSION", LONG),
        ],
        fill: partitions_meta,
    },
];

/// Where the files of a partition lie.
fn storage_path(catalog: &Catalog, partition: &Partition) -> Literal {
    let Some(volume) = catalog.volume(partition.volume) else { return Literal::Null };
    let folder = PartitionFolder {
        cluster: catalog.cluster().id.clone(),
        db: partition.db,
        table: partition.table,
        partition: partition.id,
    };
    text(format!("{}/{folder}", volume.location))
}

fn partitions(scope: &Scope<'_>, rows: &mut Rows) {
    for (db, table) in visible_tables(scope.catalog) {
        let Some(olap) = table.olap() else { continue };
        for (at, partition) in in_order(scope.catalog, olap).into_iter().enumerate() {
            let head = [text(CATALOG_NAME), text(&db.name), text(&table.name)];
            rows.push(head.into_iter().chain(partition_facts(at, olap, partition)));
        }
    }
}

/// From `PARTITION_NAME` to `UPDATE_TIME`.
fn partition_facts(at: usize, olap: &OlapTable, partition: &Partition) -> [Literal; 17] {
    let manifest = partition.visible().map(|v| &v.manifest);
    let (row_count, bytes) = manifest.map_or((0, 0), |m| (m.rows, m.bytes));
    let (name, position) = match partition.bounds {
        // MySQL has no name for the one partition of a table without partitions.
        Bounds::All => (Literal::Null, Literal::Null),
        _ => (text(&partition.name), count(at + 1)),
    };
    let of_partitioned =
        |value: String| if partition.bounds == Bounds::All { Literal::Null } else { text(value) };
    let method = if matches!(partition.bounds, Bounds::List { .. }) { "LIST" } else { "RANGE" };
    [
        name,
        Literal::Null,
        position,
        Literal::Null,
        of_partitioned(method.to_owned()),
        Literal::Null,
        of_partitioned(quoted_columns(&olap.schema, olap.partitioning.columns())),
        Literal::Null,
        of_partitioned(bounds_text(olap, &partition.bounds)),
        int(row_count),
        int(bytes.checked_div(row_count).unwrap_or(0)),
        int(bytes),
        Literal::Null,
        Literal::Null,
        Literal::Null,
        time(partition.created.time_ms),
        time(partition.visible_since().time_ms),
    ]
}

fn partitions_meta(scope: &Scope<'_>, rows: &mut Rows) {
    for (db, table) in visible_tables(scope.catalog) {
        let Some(olap) = table.olap() else { continue };
        for partition in in_order(scope.catalog, olap) {
            let names = [text(&db.name), text(&table.name)];
            rows.push(names.into_iter().chain(meta_facts(scope.catalog, olap, partition)));
        }
    }
}

/// From `PARTITION_NAME` on.
fn meta_facts(catalog: &Catalog, olap: &OlapTable, partition: &Partition) -> [Literal; 28] {
    let manifest = partition.visible().map(|v| &v.manifest);
    let (row_count, bytes) = manifest.map_or((0, 0), |m| (m.rows, m.bytes));
    let version = partition.visible_version();
    [
        text(&partition.name),
        int(partition.id.0),
        Literal::Null,
        int(version),
        time(partition.visible_since().time_ms),
        int(version + 1),
        int(version),
        int(catalog.cluster().epoch),
        text("TXN_NORMAL"),
        text(plain_columns(&olap.schema, olap.partitioning.columns())),
        text(bounds_text(olap, &partition.bounds)),
        text(distribution_columns(olap)),
        int(partition.buckets),
        int(1),
        text("HDD"),
        Literal::Null,
        Literal::Null,
        Literal::Bool(false),
        Literal::Bool(false),
        int(bytes),
        int(row_count),
        Literal::Bool(true),
        // Compaction scores are worked out from manifests, which the catalog does not hold.
        Literal::Null,
        Literal::Null,
        Literal::Null,
        storage_path(catalog, partition),
        int(bytes),
        int(0),
    ]
}

#[cfg(test)]
mod tests {
    use crate::system::tests::{sample, table, values};

    #[test]
    fn partitions_are_listed_in_order() {
        let catalog = sample();
        let check = |table, column, expected: [&str; 3]| {
            assert_eq!(values(&catalog, table, column), expected, "{column}")
        };
        check("partitions", "PARTITION_NAME", ["p1", "p2", "NULL"]);
        check("partitions", "PARTITION_ORDINAL_POSITION", ["1", "2", "NULL"]);
        check("partitions", "TABLE_ROWS", ["0", "100", "0"]);
        check("partitions", "PARTITION_METHOD", ["RANGE", "RANGE", "NULL"]);
        check("partitions_meta", "PARTITION_NAME", ["p1", "p2", "plain"]);
        check("partitions_meta", "VISIBLE_VERSION", ["1", "2", "1"]);
        check("partitions_meta", "NEXT_VERSION", ["2", "3", "2"]);
        check("partitions_meta", "DATA_SIZE", ["0", "5000", "0"]);
        check("partitions_meta", "PARTITION_KEY", ["o_date", "o_date", ""]);
        check("partitions_meta", "DISTRIBUTION_KEY", ["o_key", "o_key", "ALL KEY"]);
    }

    #[test]
    fn a_partitions_folder_is_named() {
        let catalog = sample();
        let orders = table(&catalog, "tpch", "orders");
        let path = format!(
            "file:///vol/c1/data/{}/{}/{}",
            orders.db,
            orders.id,
            orders.olap().unwrap().partitions["p1"]
        );
        assert_eq!(values(&catalog, "partitions_meta", "STORAGE_PATH")[0], path);
    }
}
