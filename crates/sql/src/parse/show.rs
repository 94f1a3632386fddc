//! `SHOW …`.

use cairn_types::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dml::partition_names;
use super::{unsupported, user};
use crate::ast::{DatabaseName, Show, ShowFilter, ShowOrder, Statement, TableName, VariableScope};

pub(super) fn show(c: &mut Cursor<'_>) -> Result<Statement> {
    if let Some(refusal) = unsupported::refusal(c) {
        return Err(refusal);
    }
    c.expect("SHOW")?;
    let readers = [of_catalog, of_table, of_session, of_cluster, of_load, of_mysql];
    for reader in readers {
        if let Some(show) = reader(c)? {
            return Ok(Statement::Show(Box::new(show)));
        }
    }
    Err(c.unexpected("something that can be shown"))
}

/// Databases and tables.
fn of_catalog(c: &mut Cursor<'_>) -> Result<Option<Show>> {
    let full = c.eat("FULL");
    let show = if c.eat("DATABASES") || c.eat("SCHEMAS") {
        let catalog = if from(c) { Some(c.ident("the name of a catalog")?) } else { None };
        Show::Databases { catalog, filter: filter(c)? }
    } else if c.eat("CATALOGS") {
        Show::Catalogs { filter: filter(c)? }
    } else if c.eat("TABLES") {
        Show::Tables { full, database: database(c)?, filter: filter(c)? }
    } else if c.eat("TABLE STATUS") {
        Show::TableStatus { database: database(c)?, filter: filter(c)? }
    } else if c.eat("MATERIALIZED VIEWS") || c.eat("MATERIALIZED VIEW") {
        Show::MaterializedViews { database: database(c)?, filter: filter(c)? }
    } else if c.eat("OPEN TABLES") {
        Show::OpenTables { database: database(c)?, filter: filter(c)? }
    } else if c.eat("COLUMNS") || c.eat("FIELDS") {
        Show::Columns { full, table: table_in_database(c)?, filter: filter(c)? }
    } else if c.eat("PROCESSLIST") {
        Show::Processlist { full }
    } else if c.eat("CREATE TABLE") {
        Show::CreateTable(c.table_name()?)
    } else if c.eat("CREATE VIEW") {
        Show::CreateView(c.table_name()?)
    } else if c.eat("CREATE MATERIALIZED VIEW") {
        Show::CreateMaterializedView(c.table_name()?)
    } else if c.eat("CREATE DATABASE") || c.eat("CREATE SCHEMA") {
        c.if_not_exists();
        Show::CreateDatabase(c.database_name()?)
    } else if c.eat("CREATE USER") {
        Show::CreateUser(user::user_name(c)?)
    } else if full {
        return Err(c.unexpected("TABLES, COLUMNS or PROCESSLIST"));
    } else {
        return Ok(None);
    };
    Ok(Some(show))
}

/// What a table consists of.
fn of_table(c: &mut Cursor<'_>) -> Result<Option<Show>> {
    let show = if c.eat("INDEX") || c.eat("INDEXES") || c.eat("KEYS") || c.eat("KEY") {
        Show::Index { table: table_in_database(c)?, filter: filter(c)? }
    } else if c.is("PARTITIONS") || c.is("TEMPORARY PARTITIONS") {
        let temporary = c.eat("TEMPORARY");
        c.expect("PARTITIONS")?;
        expect_from(c)?;
        Show::Partitions { temporary, table: c.table_name()?, order: order(c)? }
    } else if c.eat("TABLET") || c.eat("TABLETS") {
        if matches!(c.parser.peek_token_ref().token, Token::Number(..)) {
            Show::Tablet(c.uint("the id of a tablet")?)
        } else {
            expect_from(c)?;
            let table = c.table_name()?;
            let named = c.eat("PARTITION") || c.eat("PARTITIONS");
            let partitions = if named { partition_names(c)? } else { Vec::new() };
            Show::Tablets { table, partitions, order: order(c)? }
        }
    } else if c.eat("DATA") {
        let table = if from(c) { Some(c.table_name()?) } else { None };
        Show::Data(table)
    } else {
        return Ok(None);
    };
    Ok(Some(show))
}

/// Variables, messages, privileges.
fn of_session(c: &mut Cursor<'_>) -> Result<Option<Show>> {
    let scopes = [
        ("GLOBAL", VariableScope::Global),
        ("SESSION", VariableScope::Session),
        ("LOCAL", VariableScope::Session),
    ];
    let scope = c.eat_any(&scopes);
    let show = if c.eat("VARIABLES") {
        Show::Variables { scope: scope.unwrap_or_default(), filter: filter(c)? }
    } else if c.eat("STATUS") {
        Show::Status { scope: scope.unwrap_or_default(), filter: filter(c)? }
    } else if scope.is_some() {
        return Err(c.unexpected("VARIABLES or STATUS"));
    } else if c.eat("WARNINGS") {
        Show::Warnings { limit: limit(c)?.map(|(_, limit)| limit) }
    } else if c.eat("ERRORS") {
        Show::Errors { limit: limit(c)?.map(|(_, limit)| limit) }
    } else if c.is("COUNT") {
        count(c)?
    } else if c.eat("GRANTS") {
        let user = if c.eat("FOR") { Some(user::after_word(c, "SHOW GRANTS FOR ROLE")?) } else { None };
        Show::Grants(user)
    } else if c.eat("USERS") {
        Show::Users
    } else if c.eat("PRIVILEGES") {
        Show::Privileges
    } else {
        return Ok(None);
    };
    Ok(Some(show))
}

/// `COUNT(*) WARNINGS | ERRORS`.
fn count(c: &mut Cursor<'_>) -> Result<Show> {
    c.expect("COUNT")?;
    for token in [Token::LParen, Token::Mul, Token::RParen] {
        c.expect_token(&token)?;
    }
    match c.eat_any(&[("WARNINGS", true), ("ERRORS", false)]) {
        Some(true) => Ok(Show::WarningsCount),
        Some(false) => Ok(Show::ErrorsCount),
        None => Err(c.unexpected("WARNINGS or ERRORS")),
    }
}

/// Nodes, storage volumes, snapshots, the tree of SHOW PROC.
fn of_cluster(c: &mut Cursor<'_>) -> Result<Option<Show>> {
    let show = if c.eat("PROC") {
        Show::Proc(c.string("a path")?)
    } else if c.eat("FRONTENDS") {
        Show::Frontends
    } else if c.eat("BACKENDS") {
        Show::Backends
    } else if c.eat("COMPUTE NODES") {
        Show::ComputeNodes
    } else if c.eat("STORAGE VOLUMES") {
        Show::StorageVolumes { filter: filter(c)? }
    } else if c.eat("SNAPSHOTS") {
        Show::Snapshots { filter: filter(c)? }
    } else {
        return Ok(None);
    };
    Ok(Some(show))
}

/// Loads, transactions, changes of tables.
fn of_load(c: &mut Cursor<'_>) -> Result<Option<Show>> {
    let show = if c.eat("TRANSACTION") {
        Show::Transaction { database: database(c)?, selection: c.selection()? }
    } else if c.eat("LOAD") {
        Show::Load { database: database(c)?, order: order(c)? }
    } else if c.eat("ALTER TABLE COLUMN") {
        Show::AlterTableColumn { database: database(c)?, order: order(c)? }
    } else {
        return Ok(None);
    };
    Ok(Some(show))
}

/// What MySQL has, and MySQL's tools ask for.
fn of_mysql(c: &mut Cursor<'_>) -> Result<Option<Show>> {
    let show = if c.eat("ENGINES") || c.eat("STORAGE ENGINES") {
        Show::Engines
    } else if c.eat("CHARACTER SET") || c.eat("CHARSET") || c.eat("CHAR SET") {
        Show::CharacterSet { filter: filter(c)? }
    } else if c.eat("COLLATION") {
        Show::Collation { filter: filter(c)? }
    } else if c.eat("PLUGINS") {
        Show::Plugins
    } else if c.eat("TRIGGERS") {
        Show::Triggers { database: database(c)?, filter: filter(c)? }
    } else if c.eat("EVENTS") {
        Show::Events { database: database(c)?, filter: filter(c)? }
    } else if c.eat("PROCEDURE STATUS") {
        Show::ProcedureStatus { filter: filter(c)? }
    } else if c.eat("FUNCTION STATUS") {
        Show::FunctionStatus { filter: filter(c)? }
    } else {
        return Ok(None);
    };
    Ok(Some(show))
}

fn from(c: &mut Cursor<'_>) -> bool {
    c.eat("FROM") || c.eat("IN")
}

fn expect_from(c: &mut Cursor<'_>) -> Result<()> {
    if from(c) { Ok(()) } else { Err(c.unexpected("FROM")) }
}

/// `FROM db`, or nothing.
fn database(c: &mut Cursor<'_>) -> Result<Option<DatabaseName>> {
    if from(c) { c.database_name().map(Some) } else { Ok(None) }
}

/// `FROM t [FROM db]`.
fn table_in_database(c: &mut Cursor<'_>) -> Result<TableName> {
    expect_from(c)?;
    let mut table = c.table_name()?;
    if let Some(DatabaseName { catalog, name }) = database(c)? {
        table.catalog = catalog;
        table.database = Some(name);
    }
    Ok(table)
}

/// `LIKE 'pattern'`, `WHERE condition`, or nothing.
fn filter(c: &mut Cursor<'_>) -> Result<Option<ShowFilter>> {
    if c.eat("LIKE") {
        return c.string("a pattern").map(|pattern| Some(ShowFilter::Like(pattern)));
    }
    Ok(c.selection()?.map(ShowFilter::Where))
}

/// `[WHERE …] [ORDER BY …] [LIMIT …]`.
fn order(c: &mut Cursor<'_>) -> Result<ShowOrder> {
    let selection = c.selection()?;
    let mut order_by = Vec::new();
    if c.eat("ORDER BY") {
        order_by = c.separated(|c| {
            let column = c.ident("the name of a column")?;
            Ok((column, c.eat_any(&[("ASC", true), ("DESC", false)]).unwrap_or(true)))
        })?;
    }
    let limit = limit(c)?;
    let offset = limit.map_or(0, |(offset, _)| offset);
    Ok(ShowOrder { selection, order_by, limit: limit.map(|(_, limit)| limit), offset })
}

/// `LIMIT n`, `LIMIT offset, n`, `LIMIT n OFFSET offset`: offset and n.
fn limit(c: &mut Cursor<'_>) -> Result<Option<(u64, u64)>> {
    if !c.eat("LIMIT") {
        return Ok(None);
    }
    let first = c.uint("a number of rows")?;
    if c.eat_token(&Token::Comma) {
        return Ok(Some((first, c.uint("a number of rows")?)));
    }
    let offset = if c.eat("OFFSET") { c.uint("a number of rows")? } else { 0 };
    Ok(Some((offset, first)))
}
