//! `ALTER TABLE`.

use cairn_types::Result;
use sqlparser::tokenizer::Token;

use super::column::column_def;
use super::cursor::Cursor;
use super::partition::{partition_def, series};
use super::table::distribution;
use super::unsupported::not_yet;
use crate::ast::{AlterOp, AlterTable, ColumnPosition, PartitionDef, Statement};

/// Changes that StarRocks knows and Cairn does not.
const NOT_YET: [&str; 16] = [
    "ADD ROLLUP",
    "DROP ROLLUP",
    "RENAME ROLLUP",
    "ADD INDEX",
    "DROP INDEX",
    "MODIFY PARTITION",
    "MODIFY PARTITIONS",
    "REPLACE PARTITION",
    "REPLACE TEMPORARY PARTITION",
    "DISTRIBUTED BY",
    "PARTITION BY",
    "COMPACT",
    "CUMULATIVE COMPACT",
    "BASE COMPACT",
    "SPLIT TABLET",
    "ADD FIELD",
];

/// Behind `ALTER TABLE`.
pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.table_name()?;
    let mut ops = Vec::new();
    loop {
        alter_op(c, &mut ops)?;
        if !c.eat_token(&Token::Comma) {
            break;
        }
    }
    Ok(Statement::AlterTable(Box::new(AlterTable { name, ops })))
}

fn alter_op(c: &mut Cursor<'_>, ops: &mut Vec<AlterOp>) -> Result<()> {
    if let Some(name) = NOT_YET.iter().find(|name| c.is(name)) {
        return Err(not_yet(&format!("ALTER TABLE … {name}")));
    }
    if c.eat("ADD COLUMN") {
        return add_columns(c, ops);
    }
    let op = if c.is("ADD PARTITION") || c.is("ADD PARTITIONS") || c.is("ADD TEMPORARY") {
        add_partition(c)?
    } else if c.is("DROP PARTITION") || c.is("DROP TEMPORARY PARTITION") {
        drop_partition(c)?
    } else if c.eat("DROP COLUMN") {
        AlterOp::DropColumn { name: c.ident("the name of a column")? }
    } else if c.eat("MODIFY COLUMN") {
        let column = column_def(c)?;
        AlterOp::ModifyColumn { column, position: position(c)? }
    } else if c.is("RENAME") {
        rename(c)?
    } else if c.eat("SWAP WITH") {
        AlterOp::SwapWith(c.ident("the name of a table")?)
    } else if c.eat("SET") {
        AlterOp::SetProperties(c.property_list()?)
    } else if let Some(text) = c.comment()? {
        AlterOp::Comment(text)
    } else {
        return Err(c.unexpected("ADD, DROP, MODIFY, RENAME, SWAP WITH, SET or COMMENT"));
    };
    ops.push(op);
    Ok(())
}

/// Behind `ADD COLUMN`: one column, or several in parentheses.
fn add_columns(c: &mut Cursor<'_>, ops: &mut Vec<AlterOp>) -> Result<()> {
    if c.eat_token(&Token::LParen) {
        let columns = c.separated(column_def)?;
        c.expect_token(&Token::RParen)?;
        ops.extend(columns.into_iter().map(|column| AlterOp::AddColumn { column, position: None }));
    } else {
        let column = column_def(c)?;
        ops.push(AlterOp::AddColumn { column, position: position(c)? });
    }
    if c.is("TO") {
        return Err(not_yet("ALTER TABLE … ADD COLUMN … TO rollup"));
    }
    Ok(())
}

fn position(c: &mut Cursor<'_>) -> Result<Option<ColumnPosition>> {
    if c.eat("FIRST") {
        return Ok(Some(ColumnPosition::First));
    }
    if c.eat("AFTER") {
        return Ok(Some(ColumnPosition::After(c.ident("the name of a column")?)));
    }
    Ok(None)
}

fn add_partition(c: &mut Cursor<'_>) -> Result<AlterOp> {
    c.expect("ADD")?;
    let temporary = c.eat("TEMPORARY");
    let mut partition =
        if c.eat("PARTITIONS") { PartitionDef::Series(series(c)?) } else { partition_def(c)? };
    let distribution = if c.is("DISTRIBUTED BY") { Some(distribution(c)?) } else { None };
    let properties = if c.is("PROPERTIES") { c.properties()? } else { Vec::new() };
    match &mut partition {
        PartitionDef::Range(p) => p.properties.extend(properties),
        PartitionDef::List(p) => p.properties.extend(properties),
        PartitionDef::Series(s) => s.properties.extend(properties),
    }
    Ok(AlterOp::AddPartition { temporary, partition, distribution })
}

fn drop_partition(c: &mut Cursor<'_>) -> Result<AlterOp> {
    c.expect("DROP")?;
    let temporary = c.eat("TEMPORARY");
    c.expect("PARTITION")?;
    let if_exists = c.if_exists();
    let name = c.ident("the name of a partition")?;
    Ok(AlterOp::DropPartition { temporary, if_exists, name, force: c.eat("FORCE") })
}

fn rename(c: &mut Cursor<'_>) -> Result<AlterOp> {
    c.expect("RENAME")?;
    // A table may be called "partition"; then nothing follows.
    if c.is("PARTITION") && !c.peek_is(1, &Token::EOF) {
        c.expect("PARTITION")?;
        let from = c.ident("the name of a partition")?;
        return Ok(AlterOp::RenamePartition { from, to: c.ident("the new name")? });
    }
    if c.is("COLUMN") && !c.peek_is(1, &Token::EOF) {
        c.expect("COLUMN")?;
        let from = c.ident("the name of a column")?;
        c.expect("TO")?;
        return Ok(AlterOp::RenameColumn { from, to: c.ident("the new name")? });
    }
    Ok(AlterOp::Rename(c.ident("the new name")?))
}
