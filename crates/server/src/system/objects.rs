//! Databases, tables and views: `schemata`, `tables`, `views`, `tables_config`.

use cairn_catalog::{Catalog, Database, Distribution, OlapTable, Table, TableKind, TableModel};
use cairn_types::{Literal, Schema};

use super::{
    CATALOG_NAME, CHARACTER_SET, COLLATION, INFORMATION_SCHEMA, LISTED_DATABASES, LONG, Scope, SystemTable,
    TEXT, TIME, visible_databases,
};
use crate::rows::{Rows, int, text, time};
use crate::statement::show_create;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "schemata",
        columns: &[
            ("CATALOG_NAME", TEXT),
            ("SCHEMA_NAME", TEXT),
            ("DEFAULT_CHARACTER_SET_NAME", TEXT),
            ("DEFAULT_COLLATION_NAME", TEXT),
            ("SQL_PATH", TEXT),
        ],
        fill: schemata,
    },
    SystemTable {
        name: "tables",
        columns: &[
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("TABLE_TYPE", TEXT),
            ("ENGINE", TEXT),
            ("VERSION", LONG),
            ("ROW_FORMAT", TEXT),
            ("TABLE_ROWS", LONG),
            ("AVG_ROW_LENGTH", LONG),
            ("DATA_LENGTH", LONG),
            ("MAX_DATA_LENGTH", LONG),
            ("INDEX_LENGTH", LONG),
            ("DATA_FREE", LONG),
            ("AUTO_INCREMENT", LONG),
            ("CREATE_TIME", TIME),
            ("UPDATE_TIME", TIME),
            ("CHECK_TIME", TIME),
            ("TABLE_COLLATION", TEXT),
            ("CHECKSUM", LONG),
            ("CREATE_OPTIONS", TEXT),
            ("TABLE_COMMENT", TEXT),
        ],
        fill: tables,
    },
    SystemTable {
        name: "views",
        columns: &[
            ("TABLE_CATALOG", TEXT),
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("VIEW_DEFINITION", TEXT),
            ("CHECK_OPTION", TEXT),
            ("IS_UPDATABLE", TEXT),
            ("DEFINER", TEXT),
            ("SECURITY_TYPE", TEXT),
            ("CHARACTER_SET_CLIENT", TEXT),
            ("COLLATION_CONNECTION", TEXT),
        ],
        fill: views,
    },
    SystemTable {
        name: "tables_config",
        columns: &[
            ("TABLE_SCHEMA", TEXT),
            ("TABLE_NAME", TEXT),
            ("TABLE_ENGINE", TEXT),
            ("TABLE_MODEL", TEXT),
            ("PRIMARY_KEY", TEXT),
            ("PARTITION_KEY", TEXT),
            ("DISTRIBUTE_KEY", TEXT),
            ("DISTRIBUTE_TYPE", TEXT),
            ("DISTRIBUTE_BUCKET", cairn_types::SqlType::Int),
            ("SORT_KEY", TEXT),
            ("PROPERTIES", TEXT),
            ("TABLE_ID", LONG),
        ],
        fill: tables_config,
    },
];

/// What is in a table's visible partitions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Contents {
    pub rows: u64,
    pub bytes: u64,
    /// When the data changed last; at first when the table was made.
    pub changed_ms: u64,
    pub partitions: u64,
    /// Buckets of all partitions.
    pub tablets: u64,
}

impl Contents {
    /// Adds up what the manifests of the visible versions say.
    #[must_use]
    pub fn of(catalog: &Catalog, table: &Table, olap: &OlapTable) -> Self {
        let mut sum = Self { changed_ms: table.created.time_ms, ..Self::default() };
        for partition in catalog.partitions_of(olap) {
            sum.partitions += 1;
            sum.tablets += u64::from(partition.buckets);
            if let Some(version) = partition.visible() {
                sum.rows += version.manifest.rows;
                sum.bytes += version.manifest.bytes;
                sum.changed_ms = sum.changed_ms.max(version.created.time_ms);
            }
        }
        sum
    }

    /// Bytes of a row; 0 without rows.
    #[must_use]
    pub fn row_bytes(&self) -> u64 {
        self.bytes.checked_div(self.rows).unwrap_or(0)
    }
}

/// Every table and view that users see, with its database, by name.
pub fn visible_tables(catalog: &Catalog) -> impl Iterator<Item = (&Database, &Table)> {
    visible_databases(catalog)
        .into_iter()
        .flat_map(move |db| catalog.tables_of(db.id).map(move |table| (&**db, &**table)))
}

/// The word of the column `TABLE_TYPE`.
#[must_use]
pub fn table_type(table: &Table) -> &'static str {
    match table.kind {
        TableKind::Olap(_) => "BASE TABLE",
        TableKind::View(_) | TableKind::Mview(_) => "VIEW",
    }
}

/// The names of the columns at `positions` in backticks.
#[must_use]
pub fn quoted_columns(schema: &Schema, positions: &[usize]) -> String {
    let names = positions.iter().filter_map(|at| schema.columns.get(*at));
    names.map(|column| show_create::quoted(&column.name)).collect::<Vec<_>>().join(", ")
}

fn schemata(scope: &Scope<'_>, rows: &mut Rows) {
    let names = LISTED_DATABASES
        .into_iter()
        .chain(visible_databases(scope.catalog).into_iter().map(|db| db.name.as_str()));
    for name in names {
        rows.push([text(CATALOG_NAME), text(name), text(CHARACTER_SET), text(COLLATION)]);
    }
}

fn tables(scope: &Scope<'_>, rows: &mut Rows) {
    for table in super::tables() {
        rows.push([
            text(CATALOG_NAME),
            text(INFORMATION_SCHEMA),
            text(table.name),
            text("SYSTEM VIEW"),
            text("MEMORY"),
        ]);
    }
    for (db, table) in visible_tables(scope.catalog) {
        let head = [text(CATALOG_NAME), text(&db.name), text(&table.name), text(table_type(table))];
        rows.push(head.into_iter().chain(table_facts(scope.catalog, table)));
    }
}

/// From `ENGINE` on.
fn table_facts(catalog: &Catalog, table: &Table) -> [Literal; 17] {
    let contents = table.olap().map(|olap| Contents::of(catalog, table, olap));
    let number = |of: fn(&Contents) -> u64| contents.as_ref().map_or(Literal::Null, |c| int(of(c)));
    let engine = if matches!(table.kind, TableKind::Olap(_)) { "StarRocks" } else { "" };
    [
        text(engine),
        Literal::Null,
        text(""),
        number(|c| c.rows),
        number(Contents::row_bytes),
        number(|c| c.bytes),
        Literal::Null,
        Literal::Null,
        Literal::Null,
        Literal::Null,
        time(table.created.time_ms),
        contents.as_ref().map_or(Literal::Null, |c| time(c.changed_ms)),
        Literal::Null,
        text(COLLATION),
        Literal::Null,
        text(""),
        text(&table.comment),
    ]
}

fn views(scope: &Scope<'_>, rows: &mut Rows) {
    for (db, table) in visible_tables(scope.catalog) {
        let Some(view) = table.view() else { continue };
        rows.push([
            text(CATALOG_NAME),
            text(&db.name),
            text(&table.name),
            text(show_create::view_query(view, &db.name)),
            text("NONE"),
            text("NO"),
            text(""),
            text(""),
            text(CHARACTER_SET),
            text(COLLATION),
        ]);
    }
}

/// The table model as StarRocks' tools know it.
#[must_use]
pub fn keys_type(model: TableModel) -> &'static str {
    match model {
        TableModel::Duplicate => "DUP_KEYS",
        TableModel::Unique => "UNIQUE_KEYS",
        TableModel::Primary => "PRIMARY_KEYS",
    }
}

fn tables_config(scope: &Scope<'_>, rows: &mut Rows) {
    for (db, table) in visible_tables(scope.catalog) {
        let Some(olap) = table.olap() else { continue };
        let (kind, columns): (&str, &[usize]) = match &olap.distribution {
            Distribution::Hash { columns, .. } => ("HASH", columns),
            Distribution::Random { .. } => ("RANDOM", &[]),
        };
        let properties: serde_json::Map<String, serde_json::Value> =
            show_create::properties(scope.catalog, olap).into_iter().map(|(k, v)| (k, v.into())).collect();
        rows.push([
            text(&db.name),
            text(&table.name),
            text("OLAP"),
            text(keys_type(olap.model)),
            // Of primary and unique key tables only: rows of a DUPLICATE KEY table are not unique.
            text(if olap.model.is_keyed() {
                quoted_columns(&olap.schema, &olap.sort_key)
            } else {
                String::new()
            }),
            text(quoted_columns(&olap.schema, olap.partitioning.columns())),
            text(quoted_columns(&olap.schema, columns)),
            text(kind),
            int(olap.distribution.buckets()),
            text(quoted_columns(&olap.schema, &olap.sort_key)),
            text(serde_json::Value::Object(properties).to_string()),
            int(table.id.0),
        ]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use cairn_catalog::{
        Bounds, Cluster, Command, ManifestRef, PartitionChange, Partitioning, Reply, SnapshotKind,
        SnapshotSpec, SnapshotState, Stamp, TableSpec, View, Volume, VolumeKind,
    };
    use cairn_sql::ast::Statement;
    use cairn_types::{DbId, VolumeId};

    use super::*;
    use crate::system::mviews::tests::with_mview;
    use crate::system::tests::values;

    /// Applies `command` at `index`; the time is `index` seconds.
    pub(crate) fn apply(catalog: &mut Catalog, index: u64, command: Command) -> Reply {
        catalog.apply(index, index * 1_000, &command).unwrap()
    }

    pub(crate) fn database(catalog: &Catalog, name: &str) -> DbId {
        catalog.database_named(name).unwrap().id
    }

    pub(crate) fn table<'a>(catalog: &'a Catalog, db: &str, name: &str) -> &'a Table {
        catalog.table_named(database(catalog, db), name).unwrap()
    }

    /// What `CREATE TABLE …` makes of `sql`.
    pub(crate) fn specification(db: DbId, sql: &str) -> TableSpec {
        let mut parsed = cairn_sql::parse_statements(sql).unwrap();
        let Some(Statement::CreateTable(create)) = parsed.pop().map(|p| p.statement) else { panic!("{sql}") };
        crate::analyze::table::specification(db, &create.name.name, &create.columns, &create.clauses).unwrap()
    }

    pub(crate) fn empty_catalog() -> Catalog {
        let cluster = Cluster { id: "c1".into(), epoch: 1, created_ms: 0, start: Default::default() };
        let volume = Volume {
            id: VolumeId(1),
            name: "builtin_storage_volume".into(),
            kind: VolumeKind::File,
            location: "file:///vol".into(),
            comment: "first".into(),
            properties: BTreeMap::from([("aws.s3.secret_key".into(), "hunter2".into())]),
            created: Stamp::default(),
        };
        Catalog::new(cluster, volume)
    }

    /// Two databases; a table with two range partitions of which one has rows, a plain one, a view; a load that is
    /// visible and one that is open; a finished snapshot, a running one and a failed one.
    pub(crate) fn sample() -> Catalog {
        let mut catalog = empty_catalog();
        for (index, name) in [(1, "tpch"), (2, "other")] {
            apply(&mut catalog, index, Command::CreateDatabase { name: name.into(), if_not_exists: false });
        }
        let db = database(&catalog, "tpch");
        let orders = "CREATE TABLE orders (o_key BIGINT NOT NULL COMMENT 'it''s the key', o_date DATE NOT NULL, \
            o_price DECIMAL(12, 2) DEFAULT '0.5', o_note STRING, o_big LARGEINT, o_f FLOAT) \
            DUPLICATE KEY(o_key, o_date) COMMENT 'all \"orders\"' \
            PARTITION BY RANGE(o_date) (PARTITION p1 VALUES LESS THAN ('2024-01-01'), \
            PARTITION p2 VALUES [('2024-01-01'), ('2025-01-01'))) DISTRIBUTED BY HASH(o_key) BUCKETS 4 \
            ORDER BY (o_date) PROPERTIES ('compression' = 'zstd')";
        apply(&mut catalog, 3, Command::CreateTable(Box::new(specification(db, orders))));
        let plain = specification(db, "CREATE TABLE plain (a INT)");
        assert_eq!(plain.partitioning, Partitioning::None);
        apply(&mut catalog, 4, Command::CreateTable(Box::new(plain)));
        let view = View {
            schema: catalog.table_named(db, "plain").unwrap().schema().clone(),
            query: "SELECT a FROM plain".into(),
            default_db: "tpch".into(),
            security_invoker: false,
        };
        apply(
            &mut catalog,
            5,
            Command::CreateView { db, name: "v".into(), view, comment: "a view".into(), or_replace: false },
        );
        load(&mut catalog, db);
        snapshots(&mut catalog);
        catalog
    }

    fn load(catalog: &mut Catalog, db: DbId) {
        let olap = table(catalog, "tpch", "orders").olap().unwrap().clone();
        let partition = olap.partitions["p2"];
        assert_ne!(catalog.partition(partition).unwrap().bounds, Bounds::All);
        let manifest = ManifestRef { name: "m1".into(), checksum: 7, rows: 100, bytes: 5_000, segments: 2 };
        let changes = vec![PartitionChange { partition, base: None, manifest, replaces: false }];
        let label = Some("l1".into());
        apply(catalog, 6, Command::Commit { db, txn: None, label, changes, details: "100 rows".into() });
        let open =
            Command::BeginTxn { db, label: "l2".into(), source: "stream load".into(), timeout_ms: 60_000 };
        apply(catalog, 7, open);
    }

    fn snapshots(catalog: &mut Catalog) {
        let named = |name: &str| SnapshotSpec {
            name: Some(name.into()),
            kind: SnapshotKind::Manual,
            volume: None,
            ttl_ms: Some(60_000),
            comment: "before the upgrade".into(),
            if_not_exists: false,
        };
        let automated = SnapshotSpec { name: None, kind: SnapshotKind::Automated, ttl_ms: None, ..named("") };
        let ends = [
            (Some(SnapshotState::Finished), named("good")),
            (Some(SnapshotState::Error), named("bad")),
            (None, automated),
        ];
        for (at, (end, spec)) in (10..).step_by(2).zip(ends) {
            let Reply::Snapshot(id) = apply(catalog, at, Command::BeginSnapshot(spec)) else { panic!() };
            let Some(state) = end else { continue };
            let error = if state == SnapshotState::Error { "disk full" } else { "" };
            let advance = Command::AdvanceSnapshot {
                id,
                state,
                detail: "done".into(),
                error: error.into(),
                bytes: 5_000,
                files: 4,
            };
            apply(catalog, at + 1, advance);
        }
    }

    #[test]
    fn schemas_are_listed_without_dropped_ones() {
        let mut catalog = sample();
        assert_eq!(
            values(&catalog, "schemata", "SCHEMA_NAME"),
            ["information_schema", "sys", "other", "tpch"]
        );
        apply(&mut catalog, 90, Command::DropDatabase { name: "other".into(), force: false });
        assert_eq!(values(&catalog, "schemata", "SCHEMA_NAME"), ["information_schema", "sys", "tpch"]);
    }

    #[test]
    fn tables_tell_rows_and_bytes() {
        let catalog = sample();
        let contents = Contents::of(
            &catalog,
            table(&catalog, "tpch", "orders"),
            table(&catalog, "tpch", "orders").olap().unwrap(),
        );
        let expected = Contents { rows: 100, bytes: 5_000, changed_ms: 6_000, partitions: 2, tablets: 8 };
        assert_eq!(contents, expected);
        assert_eq!(contents.row_bytes(), 50);
        assert_eq!(Contents::default().row_bytes(), 0);
        let own = |column| values(&catalog, "tables", column).split_off(crate::system::tables().count());
        assert_eq!(own("TABLE_NAME"), ["orders", "plain", "v"]);
        assert_eq!(own("TABLE_TYPE"), ["BASE TABLE", "BASE TABLE", "VIEW"]);
        assert_eq!(own("TABLE_ROWS"), ["100", "0", "NULL"]);
        assert_eq!(own("UPDATE_TIME")[0], "1970-01-01 00:00:06");
        assert_eq!(own("TABLE_COMMENT"), ["all \"orders\"", "", "a view"]);
    }

    #[test]
    fn tables_config_tells_the_layout() {
        let catalog = sample();
        let check =
            |column, expected: [&str; 2]| assert_eq!(values(&catalog, "tables_config", column), expected);
        check("TABLE_NAME", ["orders", "plain"]);
        check("PARTITION_KEY", ["`o_date`", ""]);
        check("DISTRIBUTE_KEY", ["`o_key`", ""]);
        check("DISTRIBUTE_TYPE", ["HASH", "RANDOM"]);
        check("DISTRIBUTE_BUCKET", ["4", "2"]);
        check("SORT_KEY", ["`o_date`", "`a`"]);
        let volume = r#""storage_volume":"builtin_storage_volume""#;
        check("PROPERTIES", [&format!(r#"{{"compression":"zstd",{volume}}}"#), &format!("{{{volume}}}")]);
    }

    #[test]
    fn views_show_their_query() {
        assert_eq!(values(&sample(), "views", "VIEW_DEFINITION"), ["SELECT a FROM plain"]);
    }

    #[test]
    fn materialized_views_are_listed_as_views_with_rows() {
        let catalog = with_mview();
        let own = |column| values(&catalog, "tables", column).split_off(crate::system::tables().count());
        assert_eq!(own("TABLE_NAME"), ["above", "daily", "orders", "plain", "v"]);
        assert_eq!(own("TABLE_TYPE"), ["VIEW", "VIEW", "BASE TABLE", "BASE TABLE", "VIEW"]);
        assert_eq!(own("ENGINE"), ["", "", "StarRocks", "StarRocks", ""]);
        assert_eq!(own("TABLE_ROWS"), ["0", "0", "100", "0", "NULL"]);
        assert_eq!(values(&catalog, "views", "TABLE_NAME"), ["v"]);
    }
}
