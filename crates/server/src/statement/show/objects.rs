//! Databases, tables, columns: `SHOW DATABASES`, `SHOW TABLES`, `SHOW COLUMNS`, `SHOW CREATE …`, `SHOW DATA`.

use cairn_catalog::{Catalog, Database, Table};
use cairn_exec::DEFAULT_CATALOG;
use cairn_sql::ast::{DatabaseName, TableName};
use cairn_types::{Error, Literal, Result, SqlType};

use crate::analyze;
use crate::rows::{Rows, int, text, time};
use crate::statement::describe::Described;
use crate::statement::partitions::size_text;
use crate::statement::show_create;
use crate::system::objects::{Contents, table_type};
use crate::system::{
    self, CHARACTER_SET, COLLATION, LISTED_DATABASES, columns::default_text, mviews, visible_databases,
};

const TEXT: SqlType = SqlType::String;
const LONG: SqlType = SqlType::BigInt;
const TIME: SqlType = SqlType::DateTime;

/// The database that a statement means: the one it names, else the session's.
///
/// # Errors
/// `Analysis` when there is none; `UnknownDatabase`.
pub fn database_name<'a>(
    catalog: &Catalog,
    name: Option<&'a DatabaseName>,
    current: &'a str,
) -> Result<&'a str> {
    let name = match name {
        Some(name) => analyze::database_name(name)?,
        None if current.is_empty() => return Err(Error::analysis("No database selected")),
        None => current,
    };
    if !system::is_system_database(name) {
        analyze::find_database(catalog, name)?;
    }
    Ok(name)
}

/// `SHOW DATABASES`.
///
/// # Errors
/// `Analysis` for another catalog.
pub fn databases(catalog: &Catalog, of_catalog: Option<&str>) -> Result<Rows> {
    if let Some(other) = of_catalog.filter(|name| *name != DEFAULT_CATALOG) {
        return Err(Error::analysis(format!("Unknown catalog '{other}': there is only {DEFAULT_CATALOG}")));
    }
    let mut names: Vec<&str> = visible_databases(catalog).into_iter().map(|db| db.name.as_str()).collect();
    names.extend(LISTED_DATABASES);
    names.sort_unstable();
    let mut rows = Rows::text(&["Database"]);
    names.into_iter().for_each(|name| rows.push([text(name)]));
    Ok(rows)
}

/// `SHOW CATALOGS`.
pub fn catalogs() -> Rows {
    let mut rows = Rows::text(&["Catalog", "Type", "Comment"]);
    rows.push([text(DEFAULT_CATALOG), text("Internal"), text("The tables of this cluster")]);
    rows
}

/// `SHOW [FULL] TABLES`.
///
/// # Errors
/// As [`database_name`].
pub fn tables(catalog: &Catalog, name: Option<&DatabaseName>, current: &str, full: bool) -> Result<Rows> {
    let database = database_name(catalog, name, current)?;
    let column = format!("Tables_in_{database}");
    let mut rows = if full { Rows::text(&[&column, "Table_type"]) } else { Rows::text(&[&column]) };
    let mut push = |table: &str, kind: &str| match full {
        true => rows.push([text(table), text(kind)]),
        false => rows.push([text(table)]),
    };
    if let Some(db) = catalog.database_named(database) {
        catalog.tables_of(db.id).for_each(|table| push(&table.name, table_type(table)));
    } else if database.eq_ignore_ascii_case(system::INFORMATION_SCHEMA) {
        let mut names: Vec<&str> = system::tables().map(|table| table.name).collect();
        names.sort_unstable();
        names.into_iter().for_each(|table| push(table, "SYSTEM VIEW"));
    }
    Ok(rows)
}

/// `SHOW MATERIALIZED VIEWS`.
///
/// # Errors
/// As [`database_name`].
pub fn materialized_views(
    catalog: &Catalog,
    name: Option<&DatabaseName>,
    current: &str,
    now_ms: u64,
) -> Result<Rows> {
    let database = database_name(catalog, name, current)?;
    Ok(mviews::shown(catalog, catalog.database_named(database).map(|db| db.id), now_ms))
}

/// `SHOW TABLE STATUS`.
///
/// # Errors
/// As [`database_name`].
pub fn table_status(catalog: &Catalog, name: Option<&DatabaseName>, current: &str) -> Result<Rows> {
    let database = database_name(catalog, name, current)?;
    let mut rows = Rows::new(&[
        ("Name", TEXT),
        ("Engine", TEXT),
        ("Version", LONG),
        ("Row_format", TEXT),
        ("Rows", LONG),
        ("Avg_row_length", LONG),
        ("Data_length", LONG),
        ("Max_data_length", LONG),
        ("Index_length", LONG),
        ("Data_free", LONG),
        ("Auto_increment", LONG),
        ("Create_time", TIME),
        ("Update_time", TIME),
        ("Check_time", TIME),
        ("Collation", TEXT),
        ("Checksum", LONG),
        ("Create_options", TEXT),
        ("Comment", TEXT),
    ]);
    let Some(db) = catalog.database_named(database) else { return Ok(rows) };
    for table in catalog.tables_of(db.id) {
        rows.push(status(catalog, table));
    }
    Ok(rows)
}

fn status(catalog: &Catalog, table: &Table) -> [Literal; 18] {
    let contents = table.olap().map(|olap| Contents::of(catalog, table, olap));
    let number = |of: fn(&Contents) -> u64| contents.as_ref().map_or(Literal::Null, |c| int(of(c)));
    // MySQL's tools tell a view by its comment.
    let comment = if contents.is_none() { "VIEW" } else { table.comment.as_str() };
    [
        text(&table.name),
        contents.as_ref().map_or(Literal::Null, |_| text("StarRocks")),
        Literal::Null,
        Literal::Null,
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
        Literal::Null,
        text(comment),
    ]
}

/// `SHOW [FULL] COLUMNS`.
///
/// # Errors
/// `UnknownDatabase`, `UnknownTable`.
pub fn columns(catalog: &Catalog, name: &TableName, current: &str, full: bool) -> Result<Rows> {
    let found = Described::find(catalog, name, current)?;
    let yes_no = |yes: bool| text(if yes { "YES" } else { "NO" });
    let mut rows = match full {
        true => Rows::text(&[
            "Field",
            "Type",
            "Collation",
            "Null",
            "Key",
            "Default",
            "Extra",
            "Privileges",
            "Comment",
        ]),
        false => Rows::text(&["Field", "Type", "Null", "Key", "Default", "Extra"]),
    };
    for column in &found.schema.columns {
        let (field, ty) = (text(&column.name), text(column.ty.to_string()));
        let (null, key, default) = (yes_no(column.nullable), yes_no(column.key), default_text(column));
        if full {
            let collation = if column.ty.is_string() { text(COLLATION) } else { Literal::Null };
            rows.push([field, ty, collation, null, key, default, text(""), text(""), text(&column.comment)]);
        } else {
            rows.push([field, ty, null, key, default, text("")]);
        }
    }
    Ok(rows)
}

/// `SHOW INDEX`: the columns of MySQL. Tables have no indexes that one can name.
///
/// # Errors
/// `UnknownDatabase`, `UnknownTable`.
pub fn indexes(catalog: &Catalog, name: &TableName, current: &str) -> Result<Rows> {
    Described::find(catalog, name, current)?;
    Ok(Rows::new(&[
        ("Table", TEXT),
        ("Non_unique", LONG),
        ("Key_name", TEXT),
        ("Seq_in_index", LONG),
        ("Column_name", TEXT),
        ("Collation", TEXT),
        ("Cardinality", LONG),
        ("Sub_part", LONG),
        ("Packed", TEXT),
        ("Null", TEXT),
        ("Index_type", TEXT),
        ("Comment", TEXT),
        ("Index_comment", TEXT),
        ("Visible", TEXT),
        ("Expression", TEXT),
    ]))
}

fn find<'a>(catalog: &'a Catalog, name: &TableName, current: &str) -> Result<&'a Table> {
    let (database, table) = analyze::table_name(name, current)?;
    if system::find(database, table).is_some() {
        return Err(Error::analysis(format!(
            "'{database}.{table}' is made by the system, no statement creates it: DESC shows its columns"
        )));
    }
    analyze::find_table(catalog, name, current).map(|(_, table)| &**table)
}

/// `SHOW CREATE TABLE`, of a view and a materialized view too.
///
/// # Errors
/// `UnknownDatabase`, `UnknownTable`; `Analysis` for a system table.
pub fn create_table(catalog: &Catalog, name: &TableName, current: &str) -> Result<Rows> {
    let table = find(catalog, name, current)?;
    if table.view().is_some() {
        return create_view(catalog, name, current);
    }
    if table.mview().is_some() {
        return create_mview(catalog, name, current);
    }
    let mut rows = Rows::text(&["Table", "Create Table"]);
    rows.push([text(&table.name), text(show_create::create_table(catalog, table))]);
    Ok(rows)
}

/// `SHOW CREATE VIEW`.
///
/// # Errors
/// As [`create_table`]; `Analysis` for a table.
pub fn create_view(catalog: &Catalog, name: &TableName, current: &str) -> Result<Rows> {
    let table = find(catalog, name, current)?;
    if table.view().is_none() {
        return Err(Error::analysis(format!("'{}' is not VIEW: use SHOW CREATE TABLE", table.name)));
    }
    let mut rows = Rows::text(&["View", "Create View", "character_set_client", "collation_connection"]);
    let statement = show_create::create_table(catalog, table);
    rows.push([text(&table.name), text(statement), text(CHARACTER_SET), text(COLLATION)]);
    Ok(rows)
}

/// `SHOW CREATE MATERIALIZED VIEW`.
///
/// # Errors
/// As [`create_table`]; `Analysis` for a table or a view.
pub fn create_mview(catalog: &Catalog, name: &TableName, current: &str) -> Result<Rows> {
    let table = find(catalog, name, current)?;
    if table.mview().is_none() {
        let name = &table.name;
        return Err(Error::analysis(format!("'{name}' is not MATERIALIZED VIEW: use SHOW CREATE TABLE")));
    }
    let mut rows = Rows::text(&["Materialized View", "Create Materialized View"]);
    rows.push([text(&table.name), text(show_create::create_table(catalog, table))]);
    Ok(rows)
}

/// `SHOW CREATE DATABASE`.
///
/// # Errors
/// `UnknownDatabase`.
pub fn create_database(catalog: &Catalog, name: &DatabaseName) -> Result<Rows> {
    let name = analyze::database_name(name)?;
    let statement = match system::is_system_database(name) {
        true => format!("CREATE DATABASE {}", show_create::quoted(name)),
        false => show_create::create_database(analyze::find_database(catalog, name)?),
    };
    let mut rows = Rows::text(&["Database", "Create Database"]);
    rows.push([text(name), text(statement)]);
    Ok(rows)
}

/// `SHOW DATA [FROM t | db]`: every file lies once, so there is one replica of each tablet.
///
/// # Errors
/// `UnknownDatabase`, `UnknownTable`; `Analysis` without a database.
pub fn data(catalog: &Catalog, name: Option<&TableName>, current: &str) -> Result<Rows> {
    let Some(name) = name else {
        let database = database_name(catalog, None, current)?;
        return Ok(catalog.database_named(database).map_or_else(no_data, |db| database_data(catalog, db)));
    };
    let found = analyze::find_table(catalog, name, current);
    // `FROM x` names a table of the current database, or else a database.
    if let (Err(_), None, Some(db)) = (&found, &name.database, catalog.database_named(&name.name)) {
        return Ok(database_data(catalog, db));
    }
    table_data(catalog, found?.1)
}

fn no_data() -> Rows {
    Rows::new(&[("TableName", TEXT), ("Size", TEXT), ("ReplicaCount", LONG)])
}

fn database_data(catalog: &Catalog, db: &Database) -> Rows {
    let mut rows = no_data();
    let (mut bytes, mut tablets) = (0, 0);
    for table in catalog.tables_of(db.id) {
        let Some(olap) = table.olap() else { continue };
        let contents = Contents::of(catalog, table, olap);
        rows.push([text(&table.name), text(size_text(contents.bytes)), int(contents.tablets)]);
        bytes += contents.bytes;
        tablets += contents.tablets;
    }
    rows.push([text("Total"), text(size_text(bytes)), int(tablets)]);
    rows
}

fn table_data(catalog: &Catalog, table: &Table) -> Result<Rows> {
    let olap = table
        .olap()
        .ok_or_else(|| Error::analysis(format!("'{}' is a view: it has no data of its own", table.name)))?;
    let contents = Contents::of(catalog, table, olap);
    let mut rows = Rows::new(&[
        ("TableName", TEXT),
        ("IndexName", TEXT),
        ("Size", TEXT),
        ("ReplicaCount", LONG),
        ("RowCount", LONG),
    ]);
    let (size, tablets) = (text(size_text(contents.bytes)), int(contents.tablets));
    rows.push([text(&table.name), text(&table.name), size.clone(), tablets.clone(), int(contents.rows)]);
    rows.push([text(""), text("Total"), size, tablets, Literal::Null]);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use cairn_types::ErrorKind;

    use super::*;
    use crate::system::mviews::tests::with_mview;
    use crate::system::tests::sample;

    fn texts(rows: &Rows) -> Vec<Vec<String>> {
        rows.rows().iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    fn header(rows: &Rows) -> Vec<&str> {
        rows.columns().iter().map(|(name, _)| name.as_str()).collect()
    }

    fn db(name: &str) -> Option<DatabaseName> {
        Some(DatabaseName { catalog: None, name: name.into() })
    }

    #[test]
    fn databases_are_sorted_with_the_systems() {
        let catalog = sample();
        let listed = [["information_schema"], ["other"], ["sys"], ["tpch"]];
        assert_eq!(texts(&databases(&catalog, Some("default_catalog")).unwrap()), listed);
        assert!(databases(&catalog, Some("hive")).unwrap_err().message().contains("hive"));
    }

    #[test]
    fn tables_are_listed_by_database() {
        let catalog = sample();
        let full = tables(&catalog, None, "tpch", true).unwrap();
        assert_eq!(header(&full), ["Tables_in_tpch", "Table_type"]);
        assert_eq!(texts(&full), [["orders", "BASE TABLE"], ["plain", "BASE TABLE"], ["v", "VIEW"]]);
        let system = tables(&catalog, db("Information_Schema").as_ref(), "", false).unwrap();
        assert!(texts(&system).contains(&vec!["cluster_snapshots".to_owned()]));
        assert!(texts(&tables(&catalog, db("sys").as_ref(), "", false).unwrap()).is_empty());
        let fails = |name: Option<DatabaseName>, kind| {
            assert_eq!(tables(&catalog, name.as_ref(), "", false).unwrap_err().kind(), kind);
        };
        fails(None, ErrorKind::Analysis);
        fails(db("nope"), ErrorKind::UnknownDatabase);
    }

    #[test]
    fn columns_are_mysqls() {
        let catalog = sample();
        let rows = columns(&catalog, &TableName::bare("orders"), "tpch", false).unwrap();
        assert_eq!(texts(&rows)[1], ["o_date", "date", "NO", "YES", "NULL", ""]);
        let full = columns(&catalog, &TableName::bare("orders"), "tpch", true).unwrap();
        assert_eq!(texts(&full)[0], ["o_key", "bigint", "NULL", "NO", "YES", "NULL", "", "", "it's the key"]);
        assert_eq!(texts(&full)[3][2], "utf8mb4_general_ci");
    }

    #[test]
    fn create_statements_are_found_by_kind() {
        let catalog = sample();
        let name = TableName::bare("v");
        assert_eq!(header(&create_table(&catalog, &name, "tpch").unwrap())[..2], ["View", "Create View"]);
        let error = create_view(&catalog, &TableName::bare("orders"), "tpch").unwrap_err();
        assert!(error.message().contains("is not VIEW"), "{error}");
        let system = create_table(&catalog, &TableName::bare("tables"), "information_schema").unwrap_err();
        assert!(system.message().contains("made by the system"), "{system}");
        let database = create_database(&catalog, &db("tpch").unwrap()).unwrap();
        assert_eq!(texts(&database), [["tpch", "CREATE DATABASE `tpch`"]]);
    }

    #[test]
    fn materialized_views_are_listed_by_database() {
        let catalog = with_mview();
        let shown = |name| materialized_views(&catalog, db(name).as_ref(), "other", 0);
        assert_eq!(header(&shown("tpch").unwrap())[12], "last_refresh_state");
        assert_eq!(texts(&shown("tpch").unwrap())[0][1..3], ["tpch", "daily"]);
        assert_eq!(materialized_views(&catalog, None, "other", 0).unwrap().rows().len(), 1);
        assert!(shown("sys").unwrap().rows().is_empty());
        assert_eq!(shown("nope").unwrap_err().kind(), ErrorKind::UnknownDatabase);
        let create = create_table(&catalog, &TableName::bare("daily"), "tpch").unwrap();
        assert_eq!(header(&create), ["Materialized View", "Create Materialized View"]);
        let error = create_mview(&catalog, &TableName::bare("orders"), "tpch").unwrap_err();
        assert!(error.message().contains("is not MATERIALIZED VIEW"), "{error}");
    }

    #[test]
    fn data_is_summed_up() {
        let catalog = sample();
        let all = [["orders", "4.882KB", "8"], ["plain", "0B", "2"], ["Total", "4.882KB", "10"]];
        assert_eq!(texts(&data(&catalog, None, "tpch").unwrap()), all);
        assert_eq!(texts(&data(&catalog, Some(&TableName::bare("tpch")), "other").unwrap()), all);
        let one = texts(&data(&catalog, Some(&TableName::bare("orders")), "tpch").unwrap());
        assert_eq!(one[0], ["orders", "orders", "4.882KB", "8", "100"]);
        assert!(data(&catalog, Some(&TableName::bare("v")), "tpch").is_err());
        assert!(data(&catalog, None, "").is_err());
    }

    #[test]
    fn status_tells_tables_from_views() {
        let rows = texts(&table_status(&sample(), None, "tpch").unwrap());
        assert_eq!(rows[0][..5], ["orders", "StarRocks", "NULL", "NULL", "100"]);
        assert_eq!(rows[2].last().unwrap(), "VIEW");
    }
}
