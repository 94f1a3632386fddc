//! `DESC t`, `DESC FILES(…)`, `DESC STORAGE VOLUME v`, and what clients ask for by COM_FIELD_LIST.

use arrow::datatypes::SchemaRef;
use cairn_catalog::{Catalog, TableModel, Volume};
use cairn_exec::files::{self, FilesLocation};
use cairn_exec::sql_type;
use cairn_ingest::{DISPLAY_NAME, arrow_schema};
use cairn_mysql::ColumnDef;
use cairn_sql::ast::{Describe, Property, TableName};
use cairn_types::{Column, Error, Privilege, Result, Schema, SqlType, limits};

use crate::analyze;
use crate::answer::{self, Answer};
use crate::rows::{Rows, boolean_text, like, text};
use crate::session::Session;
use crate::system::{self, columns::default_text, objects::keys_type};

/// `DESC …`.
///
/// # Errors
/// `UnknownTable`, `UnknownDatabase`; `NotFound` when `FILES()` finds none; `Analysis` for an unknown volume.
pub async fn describe(session: &Session, describe: &Describe) -> Result<Answer> {
    match describe {
        Describe::Table { name, all } => {
            let found = Described::find(&session.seen(), name, &session.database)?;
            Ok(Answer::Rows(if *all { indexes(&found) } else { columns(&found.schema) }))
        }
        Describe::Files(properties) => describe_files(session, properties).await.map(Answer::Rows),
        Describe::StorageVolume(name) => {
            session.require_system(Privilege::CreateStorageVolume)?;
            volume(&session.catalog(), &name.0).map(Answer::Rows)
        }
    }
}

/// A table, view or system table by its columns.
#[derive(Clone, PartialEq, Debug)]
pub struct Described {
    pub database: String,
    pub table: String,
    pub model: TableModel,
    pub schema: Schema,
}

impl Described {
    /// What `name` means in a session whose database is `current`.
    ///
    /// # Errors
    /// `UnknownDatabase`, `UnknownTable`; `Analysis` without a database.
    pub fn find(catalog: &Catalog, name: &TableName, current: &str) -> Result<Self> {
        let (database, table) = analyze::table_name(name, current)?;
        if system::is_system_database(database) {
            let unknown = || Error::unknown_table(&format!("{database}.{table}"));
            let found = system::find(database, table).ok_or_else(unknown)?;
            let (database, table) = (system::INFORMATION_SCHEMA.to_owned(), found.name.to_owned());
            return Ok(Self { database, table, model: TableModel::Duplicate, schema: found.schema() });
        }
        let (db, found) = cairn_exec::resolve::find(catalog, database, table)?;
        let model = found.olap().map(|olap| olap.model).unwrap_or_default();
        let (database, table) = (db.name.clone(), found.name.clone());
        Ok(Self { database, table, model, schema: found.schema().without_hidden() })
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "YES" } else { "NO" }
}

/// From `Field` to `Extra`. There is no `Extra`: no column is aggregated, generated or counted up.
fn facts(column: &Column) -> [cairn_types::Literal; 6] {
    [
        text(&column.name),
        text(column.ty.to_string()),
        text(yes_no(column.nullable)),
        boolean_text(column.key),
        default_text(column),
        text(""),
    ]
}

/// `DESC t`.
#[must_use]
pub fn columns(schema: &Schema) -> Rows {
    let mut rows = Rows::text(&["Field", "Type", "Null", "Key", "Default", "Extra"]);
    schema.columns.iter().for_each(|column| rows.push(facts(column)));
    rows
}

/// `DESC t ALL`: by index, of which every table has one, itself. The index is named in its first row only.
fn indexes(found: &Described) -> Rows {
    let mut rows =
        Rows::text(&["IndexName", "IndexKeysType", "Field", "Type", "Null", "Key", "Default", "Extra"]);
    for (at, column) in found.schema.columns.iter().enumerate() {
        let (index, keys) = if at == 0 { (found.table.as_str(), keys_type(found.model)) } else { ("", "") };
        rows.push([text(index), text(keys)].into_iter().chain(facts(column)));
    }
    rows
}

async fn describe_files(session: &Session, properties: &[Property]) -> Result<Rows> {
    let location = FilesLocation::parse(properties)?;
    let (context, _) = session.context(&session.catalog(), &[])?;
    let table = files::table(&context, &location).await?;
    file_columns(&table.schema())
}

fn file_columns(schema: &SchemaRef) -> Result<Rows> {
    let mut rows = Rows::text(&["Field", "Type", "Null"]);
    for field in schema.fields() {
        let name = field.metadata().get(DISPLAY_NAME).unwrap_or(field.name());
        // Text of unknown length may be as long as a column can hold.
        let ty = match sql_type(field.data_type())? {
            SqlType::String => SqlType::Varchar(limits::VARCHAR_BYTES_MAX),
            ty => ty,
        };
        rows.push([text(name), text(ty.to_string()), text(yes_no(field.is_nullable()))]);
    }
    Ok(rows)
}

/// `DESC STORAGE VOLUME v`. Secrets are masked.
fn volume(catalog: &Catalog, name: &str) -> Result<Rows> {
    let unknown = || Error::analysis(format!("Unknown storage volume: {name}"));
    let volume = catalog.volume_named(name).ok_or_else(unknown)?;
    let mut rows = Rows::text(&["Name", "Type", "IsDefault", "Location", "Params", "Enabled", "Comment"]);
    rows.push([
        text(&volume.name),
        text(volume.kind.name()),
        boolean_text(catalog.default_volume() == volume.id),
        text(&volume.location),
        text(params(volume)),
        boolean_text(is_enabled(volume)),
        text(&volume.comment),
    ]);
    Ok(rows)
}

fn params(volume: &Volume) -> String {
    let params = volume.masked_properties().into_iter().map(|(name, value)| (name, value.into()));
    serde_json::Value::Object(params.collect()).to_string()
}

fn is_enabled(volume: &Volume) -> bool {
    !volume.properties.get("enabled").is_some_and(|value| value.eq_ignore_ascii_case("false"))
}

/// The columns of `table` in `database` whose names are like `wildcard`, or all if that is empty.
///
/// # Errors
/// As [`Described::find`].
pub fn field_list(catalog: &Catalog, database: &str, table: &str, wildcard: &str) -> Result<Vec<ColumnDef>> {
    let Described { database, table, model: _, mut schema } =
        Described::find(catalog, &TableName::bare(table), database)?;
    schema.columns.retain(|column| wildcard.is_empty() || like(wildcard, &column.name));
    let names: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
    let definitions = answer::columns(&names, &arrow_schema(&schema));
    let of_table = |(definition, column): (ColumnDef, &Column)| {
        let definition = definition.of_table(&database, &table, &column.name);
        if column.nullable { definition } else { definition.not_null() }
    };
    Ok(definitions.into_iter().zip(&schema.columns).map(of_table).collect())
}

#[cfg(test)]
mod tests {
    use cairn_types::ErrorKind;

    use super::*;
    use crate::system::tests::sample;

    fn texts(rows: &Rows) -> Vec<Vec<String>> {
        rows.rows().iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    fn find(name: &str, current: &str) -> Result<Described> {
        let (database, table) = name.split_once('.').map_or((None, name), |(d, t)| (Some(d.to_owned()), t));
        let name = TableName { catalog: None, database, name: table.to_owned() };
        Described::find(&sample(), &name, current)
    }

    #[test]
    fn a_table_is_described() {
        let rows = texts(&columns(&find("orders", "tpch").unwrap().schema));
        assert_eq!(rows[0], ["o_key", "bigint", "NO", "true", "NULL", ""]);
        assert_eq!(rows[2], ["o_price", "decimal(12, 2)", "YES", "false", "0.5", ""]);
        let all = texts(&indexes(&find("tpch.orders", "").unwrap()));
        assert_eq!(all[0][..3], ["orders", "DUP_KEYS", "o_key"]);
        assert_eq!(all[1][..3], ["", "", "o_date"]);
    }

    #[test]
    fn system_tables_are_described_too() {
        let found = find("Information_Schema.SCHEMATA", "tpch").unwrap();
        assert_eq!((found.database.as_str(), found.table.as_str()), ("information_schema", "schemata"));
        assert_eq!(found.schema.columns[1].name, "SCHEMA_NAME");
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |name, current, kind| assert_eq!(find(name, current).unwrap_err().kind(), kind, "{name}");
        check("nothing", "tpch", ErrorKind::UnknownTable);
        check("nowhere.t", "tpch", ErrorKind::UnknownDatabase);
        check("information_schema.nothing", "tpch", ErrorKind::UnknownTable);
        check("sys.tables", "tpch", ErrorKind::UnknownTable);
        check("orders", "", ErrorKind::Analysis);
    }

    #[test]
    fn volumes_hide_their_secrets() {
        let rows = texts(&volume(&sample(), "builtin_storage_volume").unwrap());
        let params = r#"{"aws.s3.secret_key":"******"}"#;
        assert_eq!(
            rows,
            [["builtin_storage_volume", "FILE", "true", "file:///vol", params, "true", "first"]]
        );
        assert!(volume(&sample(), "nope").unwrap_err().message().contains("Unknown storage volume: nope"));
    }

    #[test]
    fn fields_are_filtered_by_the_wildcard() {
        let names = |wildcard| {
            let fields = field_list(&sample(), "tpch", "orders", wildcard).unwrap();
            fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("").len(), 6);
        assert_eq!(names("%e"), ["o_date", "o_price", "o_note"]);
        let fields = field_list(&sample(), "information_schema", "tables", "").unwrap();
        assert_eq!(
            (fields[0].schema.as_str(), fields[0].org_name.as_str()),
            ("information_schema", "TABLE_CATALOG")
        );
    }
}
