//! Databases, tables, partitions, views: statements that change the catalog alone.

use std::sync::Arc;

use cairn_catalog::{Bounds, Catalog, Command, PartitionSpec, Partitioning, Reply, Table, TableSpec, View};
use cairn_exec::{sql_type, stored_type};
use cairn_ingest::DISPLAY_NAME;
use cairn_sql::ast::{
    AlterOp, AlterTable, AlterView, AlterViewSecurity, AnalyzeTable, CreateDatabase, CreateTable,
    CreateTableLike, CreateView, DropDatabase, DropTable, DropView, PartitionDef, Recover, RecoverTarget,
    TableName, TruncateTable, ViewColumn,
};
use cairn_types::{Column, Error, ErrorKind, Privilege, Result, Schema, TableId};
use sqlparser::ast::Query;

use super::{insert, query};
use crate::analyze::{self, partition, table};
use crate::answer::Answer;
use crate::session::Session;

/// `CREATE DATABASE`.
///
/// # Errors
/// `DatabaseExists`.
pub async fn create_database(session: &Session, statement: &CreateDatabase) -> Result<Answer> {
    let name = analyze::database_name(&statement.name)?.to_owned();
    let if_not_exists = statement.if_not_exists;
    session.node.propose(Command::CreateDatabase { name, if_not_exists }).await?;
    Ok(Answer::done())
}

/// `DROP DATABASE`.
///
/// # Errors
/// `UnknownDatabase`; `Conflict` while a load is open.
pub async fn drop_database(session: &mut Session, statement: &DropDatabase) -> Result<Answer> {
    let name = analyze::database_name(&statement.name)?.to_owned();
    if statement.if_exists && session.catalog().database_named(&name).is_none() {
        return Ok(Answer::done());
    }
    session.node.propose(Command::DropDatabase { name: name.clone(), force: statement.force }).await?;
    if session.database == name {
        session.database.clear();
    }
    Ok(Answer::done())
}

/// `RECOVER …`.
///
/// # Errors
/// When it is not in the recycle bin, or the name is in use.
pub async fn recover(session: &Session, statement: &Recover) -> Result<Answer> {
    if let Some(name) = &statement.new_name {
        return Err(Error::unsupported(format!(
            "RECOVER … AS {name} is not supported yet: rename what is in the way"
        )));
    }
    let catalog = session.catalog();
    let command = match &statement.target {
        RecoverTarget::Database(name) => {
            Command::RecoverDatabase { name: analyze::database_name(name)?.to_owned() }
        }
        RecoverTarget::Table(name) => {
            let (database, table) = analyze::table_name(name, &session.database)?;
            let db = analyze::find_database(&catalog, database)?.id;
            Command::RecoverTable { db, name: table.to_owned() }
        }
        RecoverTarget::Partition { partition, table } => {
            let (_, table) = analyze::find_table(&catalog, table, &session.database)?;
            Command::RecoverPartition { table: table.id, name: partition.clone() }
        }
    };
    session.node.propose(command).await?;
    Ok(Answer::done())
}

/// `CREATE TABLE`, with `AS SELECT` too.
///
/// # Errors
/// What the definition or the query meets; a table whose rows cannot be loaded is taken away again.
pub async fn create_table(session: &Session, statement: &CreateTable) -> Result<Answer> {
    if statement.temporary || statement.external {
        return Err(Error::unsupported("TEMPORARY and EXTERNAL tables are not supported"));
    }
    if let Some(index) = statement.indexes.first() {
        return Err(Error::unsupported(format!(
            "INDEX {} is not supported: segments have zone maps and bloom filters",
            index.name
        )));
    }
    let catalog = session.catalog();
    let (database, name) = analyze::table_name(&statement.name, &session.database)?;
    let db = analyze::find_database(&catalog, database)?.id;
    if statement.if_not_exists && catalog.table_named(db, name).is_some() {
        return Ok(Answer::done());
    }
    let Some(source) = &statement.query else {
        let spec = table::specification(db, name, &statement.columns, &statement.clauses)?;
        create(session, &catalog, spec).await?;
        return Ok(Answer::done());
    };
    if !statement.columns.is_empty() {
        return Err(Error::unsupported(
            "CREATE TABLE … AS with column types is not supported: name columns only",
        ));
    }
    let columns = query_columns(session, &source.query, &source.column_names).await?;
    let spec = table::specification(db, name, &columns, &statement.clauses)?;
    let id = create(session, &catalog, spec).await?;
    let rows = match insert::into_new_table(session, id, &source.query).await {
        Ok(rows) => rows,
        Err(error) => {
            session.node.propose(Command::DropTable { db, name: name.to_owned(), force: true }).await?;
            return Err(error);
        }
    };
    Ok(Answer::affected(rows, String::new()))
}

async fn create(session: &Session, catalog: &Catalog, mut spec: TableSpec) -> Result<TableId> {
    if let Some(volume) = spec.properties.get("storage_volume") {
        let found = catalog.volume_named(volume);
        let unknown = || Error::analysis(format!("Unknown storage volume: {volume}"));
        spec.volume = Some(found.ok_or_else(unknown)?.id);
    }
    match session.node.propose(Command::CreateTable(Box::new(spec))).await? {
        Reply::Table(id) => Ok(id),
        other => Err(Error::internal(format!("CREATE TABLE was answered by {other:?}"))),
    }
}

/// The columns that a query gives, as column definitions.
async fn query_columns(
    session: &Session,
    source: &Query,
    names: &[String],
) -> Result<Vec<cairn_sql::ast::ColumnDef>> {
    let planned = query::plan(session, source, &[]).await?.planned;
    let schema = planned.schema();
    if !names.is_empty() && names.len() != schema.fields().len() {
        return Err(Error::analysis(format!(
            "{} column names for {} columns",
            names.len(),
            schema.fields().len()
        )));
    }
    let given = |at: usize| names.get(at).or_else(|| planned.names.get(at)).cloned().unwrap_or_default();
    let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
        Ok(cairn_sql::ast::ColumnDef {
            name: given(at),
            ty: stored_type(field.data_type())?,
            key: false,
            aggregate: None,
            nullable: None,
            default: None,
            auto_increment: false,
            generated: None,
            comment: None,
        })
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// `CREATE TABLE … LIKE`.
///
/// # Errors
/// As `CREATE TABLE`.
pub async fn create_table_like(session: &Session, statement: &CreateTableLike) -> Result<Answer> {
    let clauses = &statement.clauses;
    if statement.temporary || clauses.partition_by.is_some() || clauses.distribution.is_some() {
        return Err(Error::unsupported("CREATE TABLE LIKE with clauses of its own is not supported"));
    }
    let catalog = session.catalog();
    let (database, name) = analyze::table_name(&statement.name, &session.database)?;
    let db = analyze::find_database(&catalog, database)?.id;
    if statement.if_not_exists && catalog.table_named(db, name).is_some() {
        return Ok(Answer::done());
    }
    let (_, like) = analyze::find_table(&catalog, &statement.like, &session.database)?;
    let Some(olap) = like.olap() else {
        return Err(Error::analysis(format!("'{}' is a view, not a table", like.name)));
    };
    let partitions =
        catalog.partitions_of(olap).filter(|_| !olap.partitioning.is_automatic()).map(|p| PartitionSpec {
            name: if p.bounds == Bounds::All { name.to_owned() } else { p.name.clone() },
            bounds: p.bounds.clone(),
            buckets: Some(p.buckets),
        });
    let spec = TableSpec {
        db,
        name: name.to_owned(),
        model: olap.model,
        schema: olap.schema.without_hidden(),
        sort_key: olap.sort_key.clone(),
        partitioning: olap.partitioning.clone(),
        distribution: olap.distribution.clone(),
        comment: like.comment.clone(),
        properties: olap.properties.clone(),
        volume: Some(olap.volume),
        partitions: partitions.collect(),
    };
    session.node.propose(Command::CreateTable(Box::new(spec))).await?;
    Ok(Answer::done())
}

/// `ALTER TABLE`.
///
/// # Errors
/// `Unsupported` for schema changes, by name.
pub async fn alter_table(session: &Session, statement: &AlterTable) -> Result<Answer> {
    for op in &statement.ops {
        let catalog = session.catalog();
        let (_, table) = analyze::find_table(&catalog, &statement.name, &session.database)?;
        let Some(command) = alter_command(&catalog, table, op)? else { continue };
        session.node.propose(command).await?;
    }
    Ok(Answer::done())
}

/// The command of one change; `None` when there is nothing to do.
fn alter_command(catalog: &Catalog, table: &Table, op: &AlterOp) -> Result<Option<Command>> {
    let temporary = || Err(Error::unsupported("temporary partitions are not supported"));
    let id = table.id;
    Ok(Some(match op {
        AlterOp::AddPartition { temporary: true, .. } | AlterOp::DropPartition { temporary: true, .. } => {
            return temporary();
        }
        AlterOp::AddPartition { partition, distribution, .. } => {
            add_partitions(catalog, table, partition, distribution.as_ref().and_then(|d| d.buckets))?
        }
        AlterOp::DropPartition { if_exists, name, force, .. } => {
            if *if_exists && table.olap().is_some_and(|o| !o.partitions.contains_key(name)) {
                return Ok(None);
            }
            Command::DropPartition { table: id, name: name.clone(), force: *force }
        }
        AlterOp::Rename(name) => Command::RenameTable { table: id, name: name.clone() },
        AlterOp::RenamePartition { from, to } => {
            Command::RenamePartition { table: id, name: from.clone(), to: to.clone() }
        }
        AlterOp::Comment(comment) => Command::SetTableComment { table: id, comment: comment.clone() },
        AlterOp::SwapWith(other) => {
            let other = catalog.table_named(table.db, other).ok_or_else(|| Error::unknown_table(other))?;
            Command::SwapTables { left: id, right: other.id }
        }
        AlterOp::SetProperties(_) => {
            return Err(Error::unsupported("ALTER TABLE … SET (…) has no property that can change yet"));
        }
        AlterOp::RenameColumn { .. } => return Err(schema_change("RENAME COLUMN")),
        AlterOp::AddColumn { .. } => return Err(schema_change("ADD COLUMN")),
        AlterOp::DropColumn { .. } => return Err(schema_change("DROP COLUMN")),
        AlterOp::ModifyColumn { .. } => return Err(schema_change("MODIFY COLUMN")),
    }))
}

fn schema_change(what: &str) -> Error {
    Error::unsupported(format!(
        "ALTER TABLE … {what} is not supported yet: create a new table and INSERT … SELECT"
    ))
}

fn add_partitions(
    catalog: &Catalog,
    table: &Table,
    definition: &PartitionDef,
    buckets: Option<u32>,
) -> Result<Command> {
    let olap =
        table.olap().ok_or_else(|| Error::analysis(format!("'{}' is a view, not a table", table.name)))?;
    if table.mview().is_some() {
        return Err(Error::analysis(format!(
            "'{}' is a materialized view: its partitions come from its base tables",
            table.name
        )));
    }
    if olap.partitioning == Partitioning::None {
        return Err(Error::analysis(format!("table {} is not partitioned", table.name)));
    }
    let existing: Vec<Bounds> = catalog.partitions_of(olap).map(|p| p.bounds.clone()).collect();
    let mut partitions =
        partition::specs(std::slice::from_ref(definition), &olap.partitioning, &olap.schema, &existing)?;
    partitions.iter_mut().for_each(|p| p.buckets = buckets);
    let if_not_exists = match definition {
        PartitionDef::Range(range) => range.if_not_exists,
        PartitionDef::List(list) => list.if_not_exists,
        PartitionDef::Series(_) => false,
    };
    Ok(Command::CreatePartitions { table: table.id, partitions, if_not_exists })
}

/// `DROP TABLE`.
///
/// # Errors
/// `UnknownTable`.
pub async fn drop_table(session: &Session, statement: &DropTable) -> Result<Answer> {
    drop_kind(session, &statement.name, statement.if_exists, statement.force, false).await
}

/// `DROP VIEW`.
///
/// # Errors
/// `UnknownTable`.
pub async fn drop_view(session: &Session, statement: &DropView) -> Result<Answer> {
    drop_kind(session, &statement.name, statement.if_exists, false, true).await
}

async fn drop_kind(
    session: &Session,
    name: &TableName,
    if_exists: bool,
    force: bool,
    view: bool,
) -> Result<Answer> {
    let catalog = session.catalog();
    let found = match analyze::find_table(&catalog, name, &session.database) {
        Err(e) if if_exists && matches!(e.kind(), ErrorKind::UnknownTable | ErrorKind::UnknownDatabase) => {
            return Ok(Answer::done());
        }
        found => found?.1,
    };
    if found.mview().is_some() {
        let name = &found.name;
        return Err(Error::analysis(format!(
            "The data of '{name}' cannot be dropped because '{name}' is a materialized view, use 'drop materialized view \
             {name}' to drop it."
        )));
    }
    match (found.view().is_some(), view) {
        (true, false) => return Err(Error::analysis(format!("'{}' is a view: use DROP VIEW", found.name))),
        (false, true) => return Err(Error::analysis(format!("'{}' is a table: use DROP TABLE", found.name))),
        _ => {}
    }
    session.node.propose(Command::DropTable { db: found.db, name: found.name.clone(), force }).await?;
    Ok(Answer::done())
}

/// `TRUNCATE TABLE`.
///
/// # Errors
/// `UnknownTable`; `Analysis` for an unknown partition.
pub async fn truncate(session: &Session, statement: &TruncateTable) -> Result<Answer> {
    let catalog = session.catalog();
    let (_, table) = analyze::find_table(&catalog, &statement.name, &session.database)?;
    let partitions = statement.partitions.clone();
    session.node.propose(Command::Truncate { table: table.id, partitions }).await?;
    Ok(Answer::done())
}

/// `ANALYZE TABLE`: every segment carries its statistics from the load on, so there is nothing to collect.
///
/// # Errors
/// `UnknownTable`.
pub fn analyze_table(session: &Session, statement: &AnalyzeTable) -> Result<Answer> {
    let catalog = session.catalog();
    let (db, table) = analyze::find_table(&catalog, &statement.name, &session.database)?;
    let mut rows = crate::rows::Rows::text(&["Table", "Op", "Msg_type", "Msg_text"]);
    rows.push(
        [format!("{}.{}", db.name, table.name), "analyze".into(), "status".into(), "OK".into()]
            .map(crate::rows::text),
    );
    Ok(Answer::Rows(rows))
}

/// `CREATE VIEW`.
///
/// # Errors
/// What planning its query meets; `TableExists`.
pub async fn create_view(session: &Session, statement: &CreateView) -> Result<Answer> {
    let catalog = session.catalog();
    let (database, name) = analyze::table_name(&statement.name, &session.database)?;
    let db = analyze::find_database(&catalog, database)?.id;
    if statement.if_not_exists && catalog.table_named(db, name).is_some() {
        return Ok(Answer::done());
    }
    let replaced = catalog.table_named(db, name).map(|table| table.id);
    let view = view(session, &statement.query, &statement.query_text, &statement.columns, replaced).await?;
    let view = View { security_invoker: statement.security_invoker, ..view };
    let comment = statement.comment.clone().unwrap_or_default();
    let or_replace = statement.or_replace;
    session
        .node
        .propose(Command::CreateView { db, name: name.to_owned(), view, comment, or_replace })
        .await?;
    Ok(Answer::done())
}

/// `ALTER VIEW`.
///
/// # Errors
/// As `CREATE VIEW`; `UnknownTable`.
pub async fn alter_view(session: &Session, statement: &AlterView) -> Result<Answer> {
    let catalog = session.catalog();
    let (_, table) = analyze::find_table(&catalog, &statement.name, &session.database)?;
    let view =
        view(session, &statement.query, &statement.query_text, &statement.columns, Some(table.id)).await?;
    let security_invoker = table.view().is_some_and(|view| view.security_invoker);
    let view = View { security_invoker, ..view };
    let (db, name, comment) = (table.db, table.name.clone(), table.comment.clone());
    session.node.propose(Command::CreateView { db, name, view, comment, or_replace: true }).await?;
    Ok(Answer::done())
}

/// `ALTER VIEW … SET SECURITY …`.
///
/// # Errors
/// `UnknownTable`; `PrivilegeDenied` where whoever may not grant would open the tables of the view.
pub async fn alter_view_security(session: &Session, statement: &AlterViewSecurity) -> Result<Answer> {
    let catalog = session.catalog();
    let (_, table) = analyze::find_table(&catalog, &statement.name, &session.database)?;
    let Some(view) = table.view() else {
        return Err(Error::analysis(format!("'{}' is a table, not a view", table.name)));
    };
    if view.security_invoker && !statement.invoker {
        session.require_system(Privilege::Grant)?;
    }
    let view = View { security_invoker: statement.invoker, ..view.clone() };
    let (db, name, comment) = (table.db, table.name.clone(), table.comment.clone());
    session.node.propose(Command::CreateView { db, name, view, comment, or_replace: true }).await?;
    Ok(Answer::done())
}

/// The view of a query. `replaced` is what has its name now.
async fn view(
    session: &Session,
    source: &Query,
    text: &str,
    columns: &[ViewColumn],
    replaced: Option<TableId>,
) -> Result<View> {
    let planned = query::plan(session, source, &[]).await?.planned;
    if replaced.is_some_and(|table| planned.reads(table)) {
        return Err(Error::analysis("a view cannot read itself, directly or through other views"));
    }
    let schema = planned.schema();
    if !columns.is_empty() && columns.len() != schema.fields().len() {
        return Err(Error::analysis(format!(
            "the view has {} column names, its query gives {} columns",
            columns.len(),
            schema.fields().len()
        )));
    }
    let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let shown =
            planned.names.get(at).or_else(|| field.metadata().get(DISPLAY_NAME)).unwrap_or(field.name());
        let name = columns.get(at).map_or(shown, |c| &c.name);
        let comment = columns.get(at).and_then(|c| c.comment.clone()).unwrap_or_default();
        Ok(Column { comment, ..Column::new(name, sql_type(field.data_type())?, field.is_nullable()) })
    };
    let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    let schema = Schema { columns };
    if let Some((at, column)) =
        schema.columns.iter().enumerate().find(|(at, c)| schema.position(&c.name) != Some(*at))
    {
        return Err(Error::analysis(format!(
            "Duplicate column name '{}' (column {}): give it an alias",
            column.name,
            at + 1
        )));
    }
    let (query, default_db) = (text.trim().to_owned(), session.database.clone());
    Ok(View { schema, query, default_db, security_invoker: false })
}
