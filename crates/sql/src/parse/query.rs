//! Queries, `EXPLAIN` and `DESC`.

use cairn_types::Result;
use sqlparser::ast::With;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::{create, dml, mview, unsupported, volume};
use crate::ast::{Describe, Explain, ExplainLevel, QueryStatement, Statement};
use crate::hints;

/// A query, or `WITH … UPDATE`, `WITH … DELETE`.
pub(super) fn query(c: &mut Cursor<'_>) -> Result<Statement> {
    let with = if c.is("WITH") { Some(with(c)?) } else { None };
    if c.is("DELETE") {
        return dml::delete(c, with);
    }
    if c.is("UPDATE") {
        return dml::update(c, with);
    }
    let mut query = c.query()?;
    if with.is_some() {
        if query.with.is_some() {
            return Err(c.error("two WITH clauses in one query"));
        }
        query.with = with;
    }
    Ok(Statement::Query(Box::new(QueryStatement { hints: hints::of_query(&query)?, query })))
}

/// `WITH [RECURSIVE] a AS (…), …`.
fn with(c: &mut Cursor<'_>) -> Result<With> {
    let with_token = c.parser.peek_token();
    c.expect("WITH")?;
    let recursive = c.eat("RECURSIVE");
    let cte_tables = c.parser.parse_comma_separated(Parser::parse_cte);
    let with = cte_tables.map(|cte_tables| With { with_token: with_token.into(), recursive, cte_tables });
    c.finish(with)
}

/// `EXPLAIN …`, `DESC …`: a plan when a statement follows, else what a table looks like.
pub(super) fn explain(c: &mut Cursor<'_>) -> Result<Statement> {
    if let Some(refusal) = unsupported::refusal(c) {
        return Err(refusal);
    }
    // EXPLAIN, DESC or DESCRIBE.
    c.parser.advance_token();
    if c.eat("STORAGE VOLUME") {
        return volume::name(c).map(|name| Statement::Describe(Describe::StorageVolume(name)));
    }
    let mut words = 0;
    let analyze = c.is("ANALYZE");
    words += usize::from(analyze);
    let level = match c.peek_word(words).map(str::to_ascii_uppercase).as_deref() {
        Some("LOGICAL") => Some(ExplainLevel::Logical),
        Some("VERBOSE") => Some(ExplainLevel::Verbose),
        Some("COSTS") => Some(ExplainLevel::Costs),
        _ => None,
    };
    words += usize::from(level.is_some());
    if !explainable(c, words) {
        return describe(c);
    }
    for _ in 0..words {
        c.parser.advance_token();
    }
    if words > 0 && c.is("ALTER") {
        return Err(c.unexpected("EXPLAIN ALTER MATERIALIZED VIEW … ACTIVE without a word between"));
    }
    let level = level.unwrap_or_default();
    let statement = explained(c)?;
    Ok(Statement::Explain(Box::new(Explain { analyze, level, statement })))
}

/// Whether the `n`-th coming token begins a statement that has a plan.
fn explainable(c: &Cursor<'_>, n: usize) -> bool {
    const VERBS: [&str; 7] = ["SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "CREATE"];
    // A table may be called "refresh".
    let of_mview =
        ["REFRESH", "ALTER"].iter().any(|verb| c.word_is(n, verb)) && c.word_is(n + 1, "MATERIALIZED");
    of_mview || c.peek_is(n, &Token::LParen) || VERBS.iter().any(|verb| c.word_is(n, verb))
}

fn explained(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.at_query() {
        return query(c);
    }
    if c.is("INSERT") {
        return dml::insert(c);
    }
    if c.is("UPDATE") {
        return dml::update(c, None);
    }
    if c.is("DELETE") {
        return dml::delete(c, None);
    }
    if c.eat("REFRESH MATERIALIZED VIEW") {
        return mview::refresh(c);
    }
    if c.eat("ALTER MATERIALIZED VIEW") {
        return mview::previewed(c);
    }
    let at = c.unexpected("a query, INSERT, UPDATE, DELETE or CREATE TABLE … AS");
    match create(c)? {
        Statement::CreateTable(table) if table.query.is_some() => Ok(Statement::CreateTable(table)),
        _ => Err(at),
    }
}

fn describe(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.is("FILES") && c.peek_is(1, &Token::LParen) {
        c.expect("FILES")?;
        return Ok(Statement::Describe(Describe::Files(c.property_list()?)));
    }
    let name = c.table_name()?;
    Ok(Statement::Describe(Describe::Table { name, all: c.eat("ALL") }))
}
