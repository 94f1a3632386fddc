//! Databases, `USE` and `RECOVER`.

use cairn_types::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::{CreateDatabase, DatabaseName, DropDatabase, Recover, RecoverTarget, Statement};

/// Behind `CREATE DATABASE`.
pub(super) fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = c.if_not_exists();
    let name = c.database_name()?;
    loop {
        c.eat("DEFAULT");
        if c.eat("CHARACTER SET") || c.eat("CHARSET") || c.eat("CHAR SET") || c.eat("COLLATE") {
            c.eat_token(&Token::Eq);
            c.ident_or_string("the name of a character set or collation")?;
        } else {
            break;
        }
    }
    let properties = c.properties()?;
    Ok(Statement::CreateDatabase(CreateDatabase { if_not_exists, name, properties }))
}

/// Behind `DROP DATABASE`.
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    let name = c.database_name()?;
    Ok(Statement::DropDatabase(DropDatabase { if_exists, name, force: c.eat("FORCE") }))
}

pub(super) fn use_database(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("USE")?;
    let name = c.database_name()?;
    // A quoted name may hold the catalog too: USE 'default_catalog.db'.
    let name = match name.name.split_once('.') {
        Some((catalog, db)) if name.catalog.is_none() => {
            DatabaseName { catalog: Some(catalog.to_owned()), name: db.to_owned() }
        }
        _ => name,
    };
    Ok(Statement::Use(name))
}

pub(super) fn recover(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("RECOVER")?;
    let target = if c.eat("DATABASE") || c.eat("SCHEMA") {
        RecoverTarget::Database(c.database_name()?)
    } else if c.eat("TABLE") {
        RecoverTarget::Table(c.table_name()?)
    } else if c.eat("PARTITION") {
        let partition = c.ident("the name of a partition")?;
        c.expect("FROM")?;
        RecoverTarget::Partition { partition, table: c.table_name()? }
    } else {
        return Err(c.unexpected("DATABASE, TABLE or PARTITION"));
    };
    let new_name = if c.eat("AS") { Some(c.ident("a new name")?) } else { None };
    Ok(Statement::Recover(Recover { target, new_name }))
}
