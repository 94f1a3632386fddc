//! Logical views.

use cairn_types::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::{AlterView, AlterViewSecurity, CreateView, DropView, Statement, ViewColumn};

pub(super) fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("CREATE")?;
    let or_replace = c.eat("OR REPLACE");
    c.expect("VIEW")?;
    let if_not_exists = c.if_not_exists();
    let name = c.table_name()?;
    let columns = columns(c)?;
    let comment = c.comment()?;
    let security_invoker = c.eat("SECURITY") && invoker(c)?;
    c.expect("AS")?;
    let query_text = c.rest_text().to_owned();
    let query = c.query()?;
    Ok(Statement::CreateView(Box::new(CreateView {
        or_replace,
        if_not_exists,
        name,
        columns,
        comment,
        security_invoker,
        query,
        query_text,
    })))
}

/// Behind `ALTER VIEW`.
pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.table_name()?;
    if c.eat("SET SECURITY") {
        return Ok(Statement::AlterViewSecurity(AlterViewSecurity { name, invoker: invoker(c)? }));
    }
    let columns = columns(c)?;
    c.expect("AS")?;
    let query_text = c.rest_text().to_owned();
    let query = c.query()?;
    Ok(Statement::AlterView(Box::new(AlterView { name, columns, query, query_text })))
}

/// Behind `DROP VIEW`.
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    Ok(Statement::DropView(DropView { if_exists, name: c.table_name()? }))
}

/// `NONE | INVOKER`.
fn invoker(c: &mut Cursor<'_>) -> Result<bool> {
    c.eat_any(&[("NONE", false), ("INVOKER", true)]).ok_or_else(|| c.unexpected("NONE or INVOKER"))
}

/// `(a [COMMENT '…'], …)`, or nothing.
fn columns(c: &mut Cursor<'_>) -> Result<Vec<ViewColumn>> {
    if !c.eat_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let columns = c.separated(column)?;
    c.expect_token(&Token::RParen)?;
    Ok(columns)
}

/// `a [COMMENT '…']`.
pub(super) fn column(c: &mut Cursor<'_>) -> Result<ViewColumn> {
    let name = c.ident("the name of a column")?;
    Ok(ViewColumn { name, comment: c.comment()? })
}
