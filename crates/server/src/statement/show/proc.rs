//! `SHOW PROC '/path'`: the state of the cluster as a tree.

use std::sync::Arc;

use cairn_catalog::{Catalog, Database, Partition, Partitioning, Table};
use cairn_types::{Error, Literal, Result, SqlType};

use super::{cluster, loads, tablets};
use crate::node::Node;
use crate::rows::{Rows, int, text};
use crate::statement::partitions::{self, plain_columns};
use crate::system::objects::Contents;
use crate::system::{count, snapshots, visible_databases};

const TEXT: SqlType = SqlType::String;
const LONG: SqlType = SqlType::BigInt;

/// The first parts of paths.
const ROOTS: [&str; 10] = [
    "backends",
    "compute_nodes",
    "current_queries",
    "dbs",
    "frontends",
    "images",
    "jobs",
    "statistic",
    "transactions",
    "vacuum",
];

/// The rows at `path`. Databases, tables and partitions are named by id or by name.
///
/// # Errors
/// `NotFound` for another path, naming those that exist.
pub async fn proc(node: &Arc<Node>, path: &str) -> Result<Rows> {
    let catalog = node.catalog();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Ok(match parts.as_slice() {
        ["backends"] => cluster::backends(),
        ["compute_nodes"] => cluster::compute_nodes(node),
        ["current_queries"] => cluster::current_queries(node),
        ["frontends"] => cluster::frontends(node),
        ["images"] => cluster::images(node),
        ["jobs"] => snapshots::jobs(&catalog, &node.jobs.snapshot_usages()),
        ["vacuum"] => crate::jobs::vacuum_rows(node).await?,
        ["dbs", db, table, "partitions", partition] => {
            let table = find_table(&catalog, find_database(&catalog, db)?, table)?;
            partition_tablets(node, &catalog, table, partition).await?
        }
        parts => of_catalog(&catalog, parts).ok_or_else(|| unknown(path))??,
    })
}

/// The paths that the catalog alone answers; `None` for any other.
fn of_catalog(catalog: &Catalog, parts: &[&str]) -> Option<Result<Rows>> {
    let database = |name: &str| find_database(catalog, name);
    Some(match parts {
        [] => Ok(roots()),
        ["statistic"] => Ok(cluster::statistic(catalog)),
        ["dbs"] => Ok(databases(catalog)),
        ["dbs", db] => database(db).map(|db| tables(catalog, db)),
        ["dbs", db, table] | ["dbs", db, table, "partitions"] => database(db)
            .and_then(|db| find_table(catalog, db, table))
            .and_then(|table| table_partitions(catalog, table)),
        ["transactions"] => Ok(transaction_databases(catalog)),
        ["transactions", db] => database(db).map(|db| transaction_states(catalog, db)),
        ["transactions", db, "running"] => {
            database(db).map(|db| loads::transactions_of(catalog, db.id, true))
        }
        ["transactions", db, "finished"] => {
            database(db).map(|db| loads::transactions_of(catalog, db.id, false))
        }
        _ => return None,
    })
}

fn unknown(path: &str) -> Error {
    let paths: Vec<String> = ROOTS.iter().map(|root| format!("/{root}")).collect();
    Error::not_found(format!(
        "proc path '{path}' does not exist; there are {}, /dbs/<db>/<table>/partitions/<partition>, \
         /transactions/<db>/running and /transactions/<db>/finished",
        paths.join(", ")
    ))
}

fn roots() -> Rows {
    let mut rows = Rows::text(&["name"]);
    ROOTS.iter().for_each(|root| rows.push([text(*root)]));
    rows
}

fn find_database<'a>(catalog: &'a Catalog, id_or_name: &str) -> Result<&'a Database> {
    let by_id = |id: u64| visible_databases(catalog).into_iter().find(|db| db.id.0 == id);
    let found = id_or_name.parse().ok().and_then(by_id).or_else(|| catalog.database_named(id_or_name));
    found.map(|db| &**db).ok_or_else(|| Error::unknown_database(id_or_name))
}

fn find_table<'a>(catalog: &'a Catalog, db: &Database, id_or_name: &str) -> Result<&'a Table> {
    let by_id = |id: u64| catalog.tables_of(db.id).find(|table| table.id.0 == id);
    let found = id_or_name.parse().ok().and_then(by_id).or_else(|| catalog.table_named(db.id, id_or_name));
    found.map(|table| &**table).ok_or_else(|| Error::unknown_table(&format!("{}.{id_or_name}", db.name)))
}

fn databases(catalog: &Catalog) -> Rows {
    let mut rows = Rows::new(&[
        ("DbId", LONG),
        ("DbName", TEXT),
        ("TableNum", LONG),
        ("Quota", TEXT),
        ("LastConsistencyCheckTime", TEXT),
        ("ReplicaQuota", LONG),
    ]);
    for db in visible_databases(catalog) {
        // There are no quotas.
        rows.push([int(db.id.0), text(&db.name), count(catalog.tables_of(db.id).count())]);
    }
    rows
}

fn tables(catalog: &Catalog, db: &Database) -> Rows {
    let mut rows = Rows::new(&[
        ("TableId", LONG),
        ("TableName", TEXT),
        ("IndexNum", LONG),
        ("PartitionColumnName", TEXT),
        ("PartitionNum", LONG),
        ("State", TEXT),
        ("Type", TEXT),
        ("LastConsistencyCheckTime", TEXT),
        ("ReplicaCount", LONG),
        ("PartitionType", TEXT),
        ("StoragePath", TEXT),
    ]);
    for table in catalog.tables_of(db.id) {
        rows.push(table_row(catalog, table));
    }
    rows
}

fn table_row(catalog: &Catalog, table: &Table) -> [Literal; 11] {
    let (id, name) = (int(table.id.0), text(&table.name));
    let null = Literal::Null;
    let Some(olap) = table.olap() else {
        let mut row = [const { Literal::Null }; 11];
        (row[0], row[1], row[6]) = (id, name, text("VIEW"));
        return row;
    };
    let contents = Contents::of(catalog, table, olap);
    let kind = match olap.partitioning {
        Partitioning::None => "UNPARTITIONED",
        Partitioning::Range { .. } => "RANGE",
        Partitioning::List { .. } | Partitioning::Values { .. } => "LIST",
        Partitioning::Time { .. } => "EXPR_RANGE",
    };
    let path = catalog.volume(olap.volume).map_or(Literal::Null, |volume| {
        let folder = cairn_objects::layout::data_folder(&catalog.cluster().id);
        text(format!("{}/{folder}/{}/{}", volume.location, table.db, table.id))
    });
    [
        id,
        name,
        int(1),
        text(plain_columns(&olap.schema, olap.partitioning.columns())),
        int(contents.partitions),
        text("NORMAL"),
        text("CLOUD_NATIVE"),
        null,
        int(contents.tablets),
        text(kind),
        path,
    ]
}

fn table_partitions(catalog: &Catalog, table: &Table) -> Result<Rows> {
    let olap = table
        .olap()
        .ok_or_else(|| Error::analysis(format!("'{}' is a view: it has no partitions", table.name)))?;
    Ok(partitions::rows(catalog, olap))
}

async fn partition_tablets(node: &Node, catalog: &Catalog, table: &Table, id_or_name: &str) -> Result<Rows> {
    let olap = table
        .olap()
        .ok_or_else(|| Error::analysis(format!("'{}' is a view: it has no partitions", table.name)))?;
    let chosen =
        |partition: &Partition| partition.name == id_or_name || partition.id.to_string() == id_or_name;
    if !catalog.partitions_of(olap).any(|partition| chosen(partition)) {
        return Err(Error::analysis(format!("Unknown partition '{id_or_name}' in table '{}'", table.name)));
    }
    tablets::of_partitions(node, catalog, olap, chosen).await
}

fn transaction_databases(catalog: &Catalog) -> Rows {
    let mut rows = Rows::new(&[("DbId", LONG), ("DbName", TEXT)]);
    visible_databases(catalog).into_iter().for_each(|db| rows.push([int(db.id.0), text(&db.name)]));
    rows
}

fn transaction_states(catalog: &Catalog, db: &Database) -> Rows {
    let mut rows = Rows::new(&[("State", TEXT), ("Number", LONG)]);
    for (state, open) in [("running", true), ("finished", false)] {
        rows.push([text(state), count(loads::transactions_of(catalog, db.id, open).rows().len())]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::{database, sample, table};

    fn texts(path: &str) -> Vec<Vec<String>> {
        let catalog = sample();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rows = of_catalog(&catalog, &parts).unwrap().unwrap();
        rows.rows().iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn the_tree_goes_from_databases_to_partitions() {
        let catalog = sample();
        let db = database(&catalog, "tpch");
        let orders = table(&catalog, "tpch", "orders").id;
        assert_eq!(texts("/dbs")[1][..3], [db.to_string(), "tpch".to_owned(), "3".to_owned()]);
        let listed = texts(&format!("/dbs/{db}"));
        assert_eq!(listed[0][..3], [orders.to_string(), "orders".to_owned(), "1".to_owned()]);
        assert_eq!(listed[2][6], "VIEW");
        let by_id = texts(&format!("/dbs/{db}/{orders}/partitions"));
        assert_eq!(by_id, texts("/dbs/tpch/orders"));
        assert_eq!(by_id[1][1], "p2");
    }

    #[test]
    fn transactions_are_counted() {
        assert_eq!(texts("/transactions/tpch"), [["running", "1"], ["finished", "1"]]);
        assert_eq!(texts("/transactions/tpch/running")[0][1], "l2");
    }

    #[test]
    fn the_root_lists_what_there_is() {
        assert_eq!(texts("/").len(), ROOTS.len());
        assert!(ROOTS.is_sorted());
    }

    #[test]
    fn unknown_paths_are_answered_with_those_that_exist() {
        let catalog = sample();
        assert!(of_catalog(&catalog, &["nonsense"]).is_none());
        assert!(unknown("/nonsense").message().contains("/vacuum"));
        assert!(of_catalog(&catalog, &["dbs", "nope"]).unwrap().is_err());
        assert!(of_catalog(&catalog, &["dbs", "tpch", "v"]).unwrap().is_err());
    }
}
