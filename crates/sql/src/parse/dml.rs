//! `INSERT`, `DELETE`, `UPDATE`.

use cairn_types::limits::LABEL_CHARS_MAX;
use cairn_types::{Error, Result};
use sqlparser::ast::{Expr, With};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::unsupported;
use crate::ast::{Assignment, Delete, Insert, InsertPartitions, InsertTarget, Statement, Update};

/// Whether an expression of `VALUES` or of `SET a = …` is the word `DEFAULT`.
#[must_use]
pub fn is_default_value(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("DEFAULT"))
}

pub(super) fn insert(c: &mut Cursor<'_>) -> Result<Statement> {
    if let Some(refusal) = unsupported::refusal(c) {
        return Err(refusal);
    }
    c.expect("INSERT")?;
    let overwrite = match c.eat_any(&[("INTO", false), ("OVERWRITE", true)]) {
        Some(overwrite) => overwrite,
        None => return Err(c.unexpected("INTO or OVERWRITE")),
    };
    c.eat("TABLE");
    let target = target(c)?;
    let mut insert = Insert {
        hints: c.take_hints(),
        overwrite,
        target,
        partitions: partitions(c)?,
        label: None,
        columns: Vec::new(),
        by_name: false,
        properties: Vec::new(),
        source: empty_source(),
    };
    if c.eat("WITH LABEL") {
        insert.label = Some(label(c)?);
    }
    if c.eat("BY NAME") {
        insert.by_name = true;
    } else if c.peek_is(0, &Token::LParen) && !c.at_query() {
        insert.columns = c.ident_list("the name of a column")?;
    }
    insert.properties = c.properties()?;
    if !c.at_query() {
        return Err(c.unexpected("VALUES or a query"));
    }
    insert.source = c.query()?;
    if c.is("ON DUPLICATE") {
        return Err(Error::unsupported(
            "INSERT … ON DUPLICATE KEY UPDATE is not supported; a PRIMARY KEY table replaces rows by itself",
        ));
    }
    Ok(Statement::Insert(Box::new(insert)))
}

/// Stands in until the query is read.
fn empty_source() -> sqlparser::ast::Query {
    let values = sqlparser::ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() };
    sqlparser::ast::Query {
        with: None,
        body: Box::new(sqlparser::ast::SetExpr::Values(values)),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

fn target(c: &mut Cursor<'_>) -> Result<InsertTarget> {
    if c.is("FILES") && c.peek_is(1, &Token::LParen) {
        c.expect("FILES")?;
        return c.property_list().map(InsertTarget::Files);
    }
    if c.is("BLACKHOLE") && c.peek_is(1, &Token::LParen) {
        c.expect("BLACKHOLE")?;
        c.expect_token(&Token::LParen)?;
        c.expect_token(&Token::RParen)?;
        return Ok(InsertTarget::Blackhole);
    }
    c.table_name().map(InsertTarget::Table)
}

fn partitions(c: &mut Cursor<'_>) -> Result<Option<InsertPartitions>> {
    let temporary = c.is("TEMPORARY PARTITION") || c.is("TEMPORARY PARTITIONS");
    if temporary {
        c.expect("TEMPORARY")?;
    }
    if !(c.eat("PARTITION") || c.eat("PARTITIONS")) {
        return Ok(None);
    }
    let names = partition_names(c)?;
    Ok(Some(InsertPartitions { temporary, names }))
}

/// `(p, …)` or one name.
pub(super) fn partition_names(c: &mut Cursor<'_>) -> Result<Vec<String>> {
    if c.peek_is(0, &Token::LParen) {
        c.ident_list("the name of a partition")
    } else {
        Ok(vec![c.ident("the name of a partition")?])
    }
}

fn label(c: &mut Cursor<'_>) -> Result<String> {
    let label = c.ident_or_string("a label")?;
    if label.is_empty() || label.chars().count() > LABEL_CHARS_MAX {
        return Err(c.error(&format!("a label has 1 to {LABEL_CHARS_MAX} characters")));
    }
    Ok(label)
}

pub(super) fn delete(c: &mut Cursor<'_>, with: Option<With>) -> Result<Statement> {
    c.expect("DELETE FROM")?;
    let table = c.table_name()?;
    let alias = alias(c, &["PARTITION", "PARTITIONS", "USING", "WHERE"])?;
    let partitions = if c.eat("PARTITION") || c.eat("PARTITIONS") { partition_names(c)? } else { Vec::new() };
    let using = if c.eat("USING") { c.tables()? } else { Vec::new() };
    let selection = c.selection()?;
    Ok(Statement::Delete(Box::new(Delete { with, table, alias, partitions, using, selection })))
}

pub(super) fn update(c: &mut Cursor<'_>, with: Option<With>) -> Result<Statement> {
    c.expect("UPDATE")?;
    let table = c.table_name()?;
    let alias = alias(c, &["SET"])?;
    c.expect("SET")?;
    let assignments = c.separated(|c| {
        let column = c.ident("the name of a column")?;
        c.expect_token(&Token::Eq)?;
        Ok(Assignment { column, value: c.expr()? })
    })?;
    let from = if c.eat("FROM") { c.tables()? } else { Vec::new() };
    let selection = c.selection()?;
    Ok(Statement::Update(Box::new(Update { with, table, alias, assignments, from, selection })))
}

/// `[AS] alias`, unless one of the words `next` comes.
fn alias(c: &mut Cursor<'_>, next: &[&str]) -> Result<Option<String>> {
    if c.eat("AS") {
        return c.ident("an alias").map(Some);
    }
    if c.at_end() || next.iter().any(|word| c.is(word)) {
        return Ok(None);
    }
    c.ident("an alias").map(Some)
}
