//! `SHOW CREATE …`: from what the catalog holds back to the statement that makes the same again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use cairn_catalog::{
    Bounds, Catalog, Database, Distribution, Floor, Mview, OlapTable, Partition, Partitioning, RefreshScheme,
    RefreshTrigger, Table, TableKind, View,
};
use cairn_sql::Statement;
use cairn_sql::ast::{Property, QueryStatement};
use cairn_types::{Column, ColumnDefault, Literal, Schema, SqlType};
use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use super::partitions::in_order;
use crate::rows::time;

/// The statement that makes `table`, which may be a view or a materialized view.
#[must_use]
pub fn create_table(catalog: &Catalog, table: &Table) -> String {
    match &table.kind {
        TableKind::Olap(olap) => create_olap(catalog, table, olap),
        TableKind::Mview(mview) => create_mview(catalog, table, mview),
        TableKind::View(view) => create_view(catalog, table, view),
    }
}

/// The statement that makes `database`.
#[must_use]
pub fn create_database(database: &Database) -> String {
    format!("CREATE DATABASE {}", quoted(&database.name))
}

/// An identifier in backticks.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string in double quotes, as StarRocks prints comments, defaults and bounds.
fn string(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\""))
}

/// The properties to create `olap` with again. Its volume is always among them: the default may be another by then.
#[must_use]
pub fn properties(catalog: &Catalog, olap: &OlapTable) -> BTreeMap<String, String> {
    let mut properties = olap.properties.clone();
    if let Some(volume) = catalog.volume(olap.volume) {
        properties.insert("storage_volume".to_owned(), volume.name.clone());
    }
    properties
}

fn create_olap(catalog: &Catalog, table: &Table, olap: &OlapTable) -> String {
    let columns: Vec<String> = olap.schema.columns.iter().map(|c| format!("  {}", column(c))).collect();
    let mut sql = format!("CREATE TABLE {} (\n{}\n) ENGINE=OLAP ", quoted(&table.name), columns.join(",\n"));
    let key = key_columns(&olap.schema);
    if !key.is_empty() {
        push(&mut sql, &format!("{}({})", olap.model.name(), names(&olap.schema, &key)));
    }
    if !table.comment.is_empty() {
        push(&mut sql, &format!("COMMENT {}", string(&table.comment)));
    }
    if let Some(clause) = partition_by(olap) {
        push(&mut sql, &format!("PARTITION BY {clause}"));
        if let Some(list) = declared_partitions(catalog, olap) {
            push(&mut sql, &list);
        }
    }
    push(&mut sql, &format!("DISTRIBUTED BY {}", distribution(olap)));
    if olap.sort_key != key {
        push(&mut sql, &format!("ORDER BY({})", names(&olap.schema, &olap.sort_key)));
    }
    push_properties(&mut sql, catalog, olap);
    sql.push(';');
    sql
}

/// The positions of the key columns.
fn key_columns(schema: &Schema) -> Vec<usize> {
    schema.columns.iter().enumerate().filter(|(_, column)| column.key).map(|(at, _)| at).collect()
}

fn push_properties(sql: &mut String, catalog: &Catalog, olap: &OlapTable) {
    let properties = properties(catalog, olap);
    if !properties.is_empty() {
        let items: Vec<String> =
            properties.iter().map(|(k, v)| format!("{} = {}", string(k), string(v))).collect();
        push(sql, &format!("PROPERTIES (\n{}\n)", items.join(",\n")));
    }
}

/// Adds a clause on a line of its own.
fn push(sql: &mut String, clause: &str) {
    if !sql.ends_with('\n') {
        sql.push('\n');
    }
    sql.push_str(clause);
}

fn column(column: &Column) -> String {
    // STRING keeps its name: VARCHAR(65533) would be another column.
    let ty = if column.ty == SqlType::String { "string".to_owned() } else { column.ty.to_string() };
    let mut sql =
        format!("{} {ty} {}", quoted(&column.name), if column.nullable { "NULL" } else { "NOT NULL" });
    match &column.default {
        None => {}
        Some(ColumnDefault::Null) => sql.push_str(" DEFAULT NULL"),
        Some(ColumnDefault::CurrentTimestamp) => sql.push_str(" DEFAULT CURRENT_TIMESTAMP"),
        Some(ColumnDefault::Text(value)) => sql.push_str(&format!(" DEFAULT {}", string(value))),
    }
    if !column.comment.is_empty() {
        sql.push_str(&format!(" COMMENT {}", string(&column.comment)));
    }
    sql
}

fn names(schema: &Schema, positions: &[usize]) -> String {
    crate::system::objects::quoted_columns(schema, positions)
}

/// What stands behind `PARTITION BY`; `None` for a table without partitions.
#[must_use]
pub fn partition_by(olap: &OlapTable) -> Option<String> {
    let columns = names(&olap.schema, olap.partitioning.columns());
    match &olap.partitioning {
        Partitioning::None => None,
        Partitioning::Range { .. } => Some(format!("RANGE({columns})")),
        Partitioning::List { .. } => Some(format!("LIST({columns})")),
        Partitioning::Values { .. } => Some(format!("({})", values_by(olap))),
        Partitioning::Time { unit, step, .. } => Some(Floor { unit: *unit, step: *step }.sql(&columns)),
    }
}

/// The expressions by whose values a table is partitioned.
fn values_by(olap: &OlapTable) -> String {
    let expr = |(at, column): (usize, &usize)| {
        let column = names(&olap.schema, std::slice::from_ref(column));
        olap.partitioning.floor(at).map_or_else(|| column.clone(), |floor| floor.sql(&column))
    };
    olap.partitioning.columns().iter().enumerate().map(expr).collect::<Vec<_>>().join(", ")
}

/// The partitions of a table whose partitions are declared. Those that loads made come back with the rows.
fn declared_partitions(catalog: &Catalog, olap: &OlapTable) -> Option<String> {
    if olap.partitioning.is_automatic() {
        return None;
    }
    let partitions: Vec<String> = in_order(catalog, olap).into_iter().filter_map(partition).collect();
    Some(format!("({})", partitions.join(",\n")))
}

fn partition(partition: &Partition) -> Option<String> {
    let values = match &partition.bounds {
        Bounds::All => return None,
        Bounds::Range { lower: None, upper: None } => "LESS THAN MAXVALUE".to_owned(),
        Bounds::Range { lower: None, upper: Some(upper) } => format!("LESS THAN ({})", values(upper)),
        Bounds::Range { lower: Some(lower), upper } => {
            let upper = upper.as_ref().map_or("MAXVALUE".to_owned(), |upper| values(upper));
            format!("[({}), ({upper}))", values(lower))
        }
        Bounds::List { keys } => {
            format!("IN ({})", keys.iter().map(|key| list_key(key)).collect::<Vec<_>>().join(", "))
        }
    };
    Some(format!("PARTITION {} VALUES {values}", partition_name(&partition.name)))
}

/// Bare where that is safe, as StarRocks prints it: no reserved word holds a digit or an underscore.
fn partition_name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.contains(|c: char| c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

fn list_key(key: &[Literal]) -> String {
    match key {
        [single] => value(single),
        several => format!("({})", values(several)),
    }
}

fn values(key: &[Literal]) -> String {
    key.iter().map(value).collect::<Vec<_>>().join(", ")
}

fn value(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".to_owned(),
        other => string(&other.to_string()),
    }
}

fn distribution(olap: &OlapTable) -> String {
    match &olap.distribution {
        Distribution::Hash { columns, buckets } => {
            format!("HASH({}) BUCKETS {buckets}", names(&olap.schema, columns))
        }
        Distribution::Random { buckets } => format!("RANDOM BUCKETS {buckets}"),
    }
}

fn create_view(catalog: &Catalog, table: &Table, view: &View) -> String {
    let columns = view_columns(&view.schema);
    let mut sql = format!("CREATE VIEW {} ({columns})", quoted(&table.name));
    if !table.comment.is_empty() {
        let _ = write!(sql, "\nCOMMENT {}", string(&table.comment));
    }
    let database = catalog.database(table.db).map_or("", |db| db.name.as_str());
    if view.security_invoker {
        push(&mut sql, "SECURITY INVOKER");
    }
    let _ = write!(sql, "\nAS {};", view_query(view, database));
    sql
}

/// The columns of a view: their types come from the query.
fn view_columns(schema: &Schema) -> String {
    let column = |column: &Column| match column.comment.as_str() {
        "" => quoted(&column.name),
        comment => format!("{} COMMENT {}", quoted(&column.name), string(comment)),
    };
    schema.visible().iter().map(column).collect::<Vec<_>>().join(", ")
}

fn create_mview(catalog: &Catalog, table: &Table, mview: &Mview) -> String {
    let (olap, definition) = (&mview.table, &mview.definition);
    let mut sql =
        format!("CREATE MATERIALIZED VIEW {} ({})", quoted(&table.name), view_columns(&olap.schema));
    if !table.comment.is_empty() {
        push(&mut sql, &format!("COMMENT {}", string(&table.comment)));
    }
    match definition.partition_by.trim() {
        "" => {}
        whole if whole.starts_with('(') => push(&mut sql, &format!("PARTITION BY {whole}")),
        exprs => push(&mut sql, &format!("PARTITION BY ({exprs})")),
    }
    push(&mut sql, &format!("DISTRIBUTED BY {}", distribution(olap)));
    if olap.sort_key != key_columns(&olap.schema) {
        push(&mut sql, &format!("ORDER BY ({})", names(&olap.schema, &olap.sort_key)));
    }
    push(&mut sql, &format!("REFRESH {}", refresh(&mview.refresh)));
    push_properties(&mut sql, catalog, olap);
    let database = catalog.database(table.db).map_or("", |db| db.name.as_str());
    push(&mut sql, &format!("AS {};", stored_query(&definition.query, &definition.default_db, database)));
    sql
}

/// What stands behind `REFRESH`. The moment is always said: without it, it would be the server's setting.
fn refresh(scheme: &RefreshScheme) -> String {
    let moment = if scheme.immediate { "IMMEDIATE" } else { "DEFERRED" };
    match scheme.trigger {
        RefreshTrigger::Manual => format!("{moment} MANUAL"),
        RefreshTrigger::Change => format!("{moment} ASYNC"),
        RefreshTrigger::Every { start_ms, every_ms } => {
            let start = string(&time(start_ms).to_string());
            format!("{moment} ASYNC START({start}) EVERY({})", interval(every_ms / 1_000))
        }
    }
}

/// In the longest unit that gives a whole number.
fn interval(seconds: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("DAY", 86_400), ("HOUR", 3_600), ("MINUTE", 60)];
    let unit = UNITS.into_iter().find(|(_, length)| seconds > 0 && seconds.is_multiple_of(*length));
    let (name, length) = unit.unwrap_or(("SECOND", 1));
    format!("INTERVAL {} {name}", seconds / length)
}

/// The query of a view that lies in `database`: as it was written, unless that would name other tables in `database`
/// than it did, or tell a secret.
#[must_use]
pub fn view_query(view: &View, database: &str) -> String {
    stored_query(&view.query, &view.default_db, database)
}

fn stored_query(text: &str, default_db: &str, database: &str) -> String {
    // It was parsed when the view was made; should it not parse now, nobody can run it, and it may hold a secret.
    let Ok(mut query) = cairn_sql::parse_query(text) else {
        return format!("/* the query of this view cannot be read by this version; {} bytes */", text.len());
    };
    let foreign = default_db != database && !default_db.is_empty();
    if !foreign && !names_secret(&query) {
        return text.trim_end_matches([';', ' ', '\n', '\t', '\r']).to_owned();
    }
    if foreign {
        qualify(&mut query, default_db);
    }
    Statement::Query(Box::new(QueryStatement { hints: Vec::new(), query })).to_string()
}

/// Whether a `FILES()` in it has a key or a password.
fn names_secret(query: &Query) -> bool {
    struct Secrets;
    impl Visitor for Secrets {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            match cairn_sql::files_properties(factor) {
                // Properties that cannot be read may hold anything.
                Some(Err(_)) => ControlFlow::Break(()),
                Some(Ok(properties)) if properties.iter().any(Property::is_secret) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Visit::visit(query, &mut Secrets).is_break()
}

/// Puts `database` before every table name that has none and is not that of a `WITH`.
fn qualify(query: &mut Query, database: &str) {
    struct Withs(Vec<String>);
    impl Visitor for Withs {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(tables.map(|table| table.alias.name.value.clone()));
            ControlFlow::Continue(())
        }
    }
    struct Qualify<'a> {
        database: &'a str,
        withs: Vec<String>,
    }
    impl VisitorMut for Qualify<'_> {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name: ObjectName(parts), args: None, .. } = factor
                && let [ObjectNamePart::Identifier(name)] = parts.as_slice()
                && !self.withs.contains(&name.value)
            {
                parts.insert(0, ObjectNamePart::Identifier(Ident::with_quote('`', self.database)));
            }
            ControlFlow::Continue(())
        }
    }
    let mut withs = Withs(Vec::new());
    // Neither visitor breaks.
    let _ = Visit::visit(&*query, &mut withs);
    let _ = VisitMut::visit(query, &mut Qualify { database, withs: withs.0 });
}

#[cfg(test)]
mod tests {
    use cairn_catalog::{Command, PartitionSpec, TableSpec};
    use cairn_sql::ast::{self, CreateMaterializedView, RefreshMoment};
    use cairn_types::DbId;

    use super::*;
    use crate::system::mviews::tests::with_mview;
    use crate::system::objects::tests::{apply, database, empty_catalog, sample, specification, table};

    /// A catalog with `db.t` as `sql` makes it.
    fn with_table(sql: &str) -> Catalog {
        let mut catalog = empty_catalog();
        apply(&mut catalog, 1, Command::CreateDatabase { name: "db".into(), if_not_exists: false });
        let spec = specification(database(&catalog, "db"), sql);
        apply(&mut catalog, 2, Command::CreateTable(Box::new(spec)));
        catalog
    }

    /// What a table is, as a specification; partitions only where they are declared.
    fn as_specification(catalog: &Catalog, db: DbId, table: &Table) -> TableSpec {
        let olap = table.olap().unwrap();
        let declared = in_order(catalog, olap).into_iter().filter(|_| !olap.partitioning.is_automatic());
        TableSpec {
            db,
            name: table.name.clone(),
            model: olap.model,
            schema: olap.schema.clone(),
            sort_key: olap.sort_key.clone(),
            partitioning: olap.partitioning.clone(),
            distribution: olap.distribution.clone(),
            comment: table.comment.clone(),
            properties: properties(catalog, olap),
            volume: None,
            partitions: declared
                .map(|p| PartitionSpec { name: p.name.clone(), bounds: p.bounds.clone(), buckets: None })
                .collect(),
        }
    }

    fn check(sql: &str) {
        let catalog = with_table(sql);
        let db = database(&catalog, "db");
        let table = catalog.tables_of(db).next().unwrap();
        let printed = create_table(&catalog, table);
        assert_eq!(specification(db, &printed), as_specification(&catalog, db, table), "{printed}");
        assert_eq!(table.olap().unwrap().volume, catalog.volume_named("builtin_storage_volume").unwrap().id);
    }

    #[test]
    fn the_printed_statement_makes_the_same_table() {
        check("CREATE TABLE t (a INT)");
        check("CREATE TABLE t (a STRING, b FLOAT)");
        check("CREATE TABLE `we``ird ``` (`select` INT NOT NULL, `b c` VARCHAR(20)) DUPLICATE KEY(`select`)");
        check(
            "CREATE TABLE t (a TINYINT, b BOOLEAN DEFAULT 'true', c LARGEINT DEFAULT '-170141183460469231731687303715884105728', \
             d DECIMAL(38, 10) NOT NULL DEFAULT '1.5', e DOUBLE DEFAULT NULL, f DATETIME DEFAULT CURRENT_TIMESTAMP, \
             g CHAR(3) DEFAULT 'a\"b', h VARCHAR(100) DEFAULT 'it''s \\\\ so' COMMENT 'say \"hi\" \\\\ or ''bye''\nnow', \
             i STRING COMMENT '', j SMALLINT, k DATE) DUPLICATE KEY(a, b) COMMENT 'a \"quoted\" \\\\ ''one''' \
             DISTRIBUTED BY HASH(a, k) BUCKETS 7 ORDER BY (k, a) PROPERTIES ('compression' = 'zstd(3)', 'replication_num' = '1')",
        );
        check("CREATE TABLE t (a INT, b INT) DUPLICATE KEY(a) ORDER BY(b)");
        check(
            "CREATE TABLE t (a INT, b INT) DUPLICATE KEY(a, b) ORDER BY(a, b) DISTRIBUTED BY RANDOM BUCKETS 3",
        );
    }

    #[test]
    fn every_kind_of_partitioning_comes_back() {
        for partition_by in [
            "RANGE(d) ()",
            "RANGE(d) (PARTITION p9 VALUES LESS THAN ('2020-01-01'), PARTITION p1 VALUES LESS THAN ('2021-01-01'), \
             PARTITION `x y` VALUES [('2022-01-01'), ('2022-06-01')), PARTITION rest VALUES LESS THAN MAXVALUE)",
            "RANGE(d) (PARTITION everything VALUES LESS THAN MAXVALUE)",
            "RANGE(d) (PARTITION p1 VALUES [('2020-01-01'), (MAXVALUE)))",
            "RANGE(n, d) (PARTITION p1 VALUES [('-3', '2020-01-01'), ('5', '2021-01-01')), PARTITION p2 VALUES LESS THAN ('7'))",
            "RANGE(d) (START ('2024-01-01') END ('2024-04-01') EVERY (INTERVAL 1 MONTH))",
            "LIST(s) (PARTITION p1 VALUES IN ('a', 'b\"c', 'd''e', NULL), PARTITION p2 VALUES IN ('\\\\'))",
            "LIST(s, n) (PARTITION p1 VALUES IN (('a', '1'), ('b', NULL)))",
            "LIST(b) (PARTITION p1 VALUES IN ('true'))",
            "date_trunc('month', d)",
            "date_trunc('hour', t)",
            "time_slice(t, INTERVAL 5 minute)",
            "(s, n)",
            "s",
            "date_trunc('day', d), s",
            "s, date_trunc(\"month\", t), n",
            "(date_trunc('day', d), time_slice(t, INTERVAL 7 DAY))",
        ] {
            check(&format!(
                "CREATE TABLE t (n INT, d DATE, t DATETIME, s VARCHAR(10), b BOOLEAN) DUPLICATE KEY(n) \
                 PARTITION BY {partition_by} DISTRIBUTED BY HASH(n)"
            ));
        }
    }

    #[test]
    fn the_layout_is_starrocks() {
        let catalog = sample();
        let expected = r#"CREATE TABLE `orders` (
  `o_key` bigint NOT NULL COMMENT "it's the key",
  `o_date` date NOT NULL,
  `o_price` decimal(12, 2) NULL DEFAULT "0.5",
  `o_note` string NULL,
  `o_big` largeint NULL,
  `o_f` float NULL
) ENGINE=OLAP 
DUPLICATE KEY(`o_key`, `o_date`)
COMMENT "all ""orders"""
PARTITION BY RANGE(`o_date`)
(PARTITION p1 VALUES LESS THAN ("2024-01-01"),
PARTITION p2 VALUES [("2024-01-01"), ("2025-01-01")))
DISTRIBUTED BY HASH(`o_key`) BUCKETS 4
ORDER BY(`o_date`)
PROPERTIES (
"compression" = "zstd",
"storage_volume" = "builtin_storage_volume"
);"#;
        assert_eq!(create_table(&catalog, table(&catalog, "tpch", "orders")), expected);
    }

    fn view(query: &str, default_db: &str) -> View {
        View {
            schema: Schema::default(),
            query: query.into(),
            default_db: default_db.into(),
            security_invoker: false,
        }
    }

    #[test]
    fn views_come_back() {
        let catalog = sample();
        let printed = create_table(&catalog, table(&catalog, "tpch", "v"));
        assert_eq!(printed, "CREATE VIEW `v` (`a`)\nCOMMENT \"a view\"\nAS SELECT a FROM plain;");
        let parsed = cairn_sql::parse_statements(&printed).unwrap();
        assert!(
            matches!(&parsed[0].statement, Statement::CreateView(v) if v.query_text.trim() == "SELECT a FROM plain")
        );
    }

    fn parsed(sql: &str) -> CreateMaterializedView {
        match cairn_sql::parse_statements(sql).unwrap().remove(0).statement {
            Statement::CreateMaterializedView(create) => *create,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn materialized_views_come_back() {
        let catalog = with_mview();
        let printed = create_table(&catalog, table(&catalog, "tpch", "daily"));
        let expected = r#"CREATE MATERIALIZED VIEW `daily` (`o_date` COMMENT "the ""day""", `total`)
COMMENT "by day"
PARTITION BY (o_date)
DISTRIBUTED BY HASH(`o_date`) BUCKETS 4
REFRESH DEFERRED ASYNC START("2024-01-01 06:30:00") EVERY(INTERVAL 90 MINUTE)
PROPERTIES (
"partition_refresh_number" = "2",
"storage_volume" = "builtin_storage_volume"
)
AS SELECT o_date, sum(o_key) FROM orders GROUP BY o_date;"#;
        assert_eq!(printed, expected);
        let create = parsed(&printed);
        assert_eq!(create.query_text.trim(), "SELECT o_date, sum(o_key) FROM orders GROUP BY o_date");
        let clauses = &create.clauses;
        let buckets = clauses.distribution.as_ref().and_then(|d| d.buckets);
        assert_eq!((buckets, clauses.order_by.len(), clauses.properties.len()), (Some(4), 0, 2));
        let refresh = clauses.refresh.as_ref().unwrap();
        assert_eq!(refresh.moment, Some(RefreshMoment::Deferred));
        assert!(matches!(&refresh.trigger, ast::RefreshTrigger::Every(s) if s.every.seconds() == 5_400));
        assert_eq!(clauses.partition_by.as_ref().unwrap().exprs.len(), 1);
        let above = create_table(&catalog, table(&catalog, "other", "above"));
        assert!(above.contains("\nDISTRIBUTED BY RANDOM BUCKETS 2\nREFRESH IMMEDIATE MANUAL\n"), "{above}");
        assert!(above.ends_with("\nAS SELECT total FROM `tpch`.daily;"), "{above}");
    }

    #[test]
    fn intervals_are_in_the_longest_unit() {
        let check = |seconds, expected| assert_eq!(interval(seconds), expected);
        check(0, "INTERVAL 0 SECOND");
        check(61, "INTERVAL 61 SECOND");
        check(3_600, "INTERVAL 1 HOUR");
        check(172_800, "INTERVAL 2 DAY");
    }

    #[test]
    fn a_view_from_elsewhere_names_its_tables_in_full() {
        let check = |query, db, expected: &str| assert_eq!(view_query(&view(query, "db"), db), expected);
        check("SELECT 1  FROM t ", "db", "SELECT 1  FROM t");
        check("SELECT 1 FROM t, o.u", "else", "SELECT 1 FROM `db`.t, o.u");
        check(
            "WITH w AS (SELECT 1 FROM t) SELECT * FROM w",
            "else",
            "WITH w AS (SELECT 1 FROM `db`.t) SELECT * FROM w",
        );
        check(
            "SELECT a FROM t WHERE b IN (SELECT c FROM u)",
            "else",
            "SELECT a FROM `db`.t WHERE b IN (SELECT c FROM `db`.u)",
        );
    }

    #[test]
    fn a_view_tells_no_secret() {
        let query =
            r#"SELECT * FROM FILES("path" = "s3://b/f", "format" = "csv", "aws.s3.secret_key" = "hunter2")"#;
        let shown = view_query(&view(query, "db"), "db");
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        let broken = view_query(&view("SELECT FROM FILES(hunter2", "db"), "db");
        assert!(!broken.contains("hunter2"), "{broken}");
    }
}
