//! Asynchronous materialized views.

use cairn_types::limits::COLUMNS_MAX;
use cairn_types::{Error, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::partition::{list_values, series_bound, unparenthesized};
use super::table::{distribution, index, sort_key};
use super::task::schedule;
use super::unsupported::not_yet;
use super::view::column;
use crate::ast::{
    AlterMaterializedView, AlterMaterializedViewOp, BoundValue, CancelRefresh, CreateMaterializedView,
    DropMaterializedView, IndexDef, MaterializedViewClauses, MaterializedViewPartitions,
    RefreshMaterializedView, RefreshMoment, RefreshPartitions, RefreshScheme, RefreshTrigger, Statement,
    ViewColumn,
};
use crate::params::count_placeholders;

/// Changes that StarRocks knows, or knows of tables, and Cairn does not.
const NOT_YET: [&str; 8] = [
    "ADD INDEX",
    "DROP INDEX",
    "ADD COLUMN",
    "DROP COLUMN",
    "ADD PARTITION",
    "DROP PARTITION",
    "DISTRIBUTED BY",
    "PARTITION BY",
];

/// The highest priority of a task run.
const PRIORITY_MAX: u8 = 100;

/// Behind `CREATE MATERIALIZED VIEW`.
pub(super) fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = c.if_not_exists();
    let name = c.table_name()?;
    let (columns, indexes) = columns(c)?;
    let comment = c.comment()?;
    let mut clauses = MaterializedViewClauses::default();
    while clause(c, &mut clauses)? {}
    if !c.eat("AS") {
        return Err(
            c.unexpected("PARTITION BY, DISTRIBUTED BY, ORDER BY, REFRESH, PROPERTIES or AS and a query")
        );
    }
    if !c.take_hints_before().is_empty() {
        return Err(c.error(
            "SET_VAR belongs into the query, or write PROPERTIES (\"session.variable\" = \"value\")",
        ));
    }
    let query_text = c.rest_text().to_owned();
    let query = c.query()?;
    let view =
        CreateMaterializedView { if_not_exists, name, columns, indexes, comment, clauses, query, query_text };
    let statement = Statement::CreateMaterializedView(Box::new(view));
    if count_placeholders(&statement) > 0 {
        return Err(Error::analysis("A materialized view can hold no parameter (?): it is kept as text"));
    }
    Ok(statement)
}

/// `(a [COMMENT '…'], …, INDEX …)`, or nothing.
fn columns(c: &mut Cursor<'_>) -> Result<(Vec<ViewColumn>, Vec<IndexDef>)> {
    let (mut columns, mut indexes) = (Vec::new(), Vec::new());
    if !c.eat_token(&Token::LParen) {
        return Ok((columns, indexes));
    }
    loop {
        // A column may be called "index".
        if c.is("INDEX") && c.peek_is(2, &Token::LParen) {
            indexes.push(index(c)?);
        } else {
            columns.push(column(c)?);
        }
        if columns.len() > COLUMNS_MAX {
            return Err(c.error(&format!("a materialized view has at most {COLUMNS_MAX} columns")));
        }
        if !c.eat_token(&Token::Comma) {
            break;
        }
    }
    if !c.eat_token(&Token::RParen) {
        return Err(c.unexpected("',' or ')' behind a column, whose type comes from the query"));
    }
    Ok((columns, indexes))
}

/// Reads one of the clauses before `AS`; `false` when none comes.
fn clause(c: &mut Cursor<'_>, clauses: &mut MaterializedViewClauses) -> Result<bool> {
    if c.eat("PARTITION BY") {
        c.once(clauses.partition_by.is_some(), "PARTITION BY")?;
        clauses.partition_by = Some(partition_by(c)?);
    } else if c.is("DISTRIBUTED BY") {
        c.once(clauses.distribution.is_some(), "DISTRIBUTED BY")?;
        clauses.distribution = Some(distribution(c)?);
    } else if c.eat("ORDER BY") {
        c.once(!clauses.order_by.is_empty(), "ORDER BY")?;
        clauses.order_by = sort_key(c)?;
    } else if c.eat("REFRESH") {
        c.once(clauses.refresh.is_some(), "REFRESH")?;
        clauses.refresh = Some(refresh_scheme(c)?);
    } else if c.is("PROPERTIES") {
        c.once(!clauses.properties.is_empty(), "PROPERTIES")?;
        clauses.properties = c.properties()?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Behind `PARTITION BY`: one expression, or several in parentheses.
fn partition_by(c: &mut Cursor<'_>) -> Result<MaterializedViewPartitions> {
    if (c.is("RANGE") || c.is("LIST")) && c.peek_is(1, &Token::LParen) {
        return Err(c.error(
            "a materialized view has its partitions from its base tables: write PARTITION BY column or expression",
        ));
    }
    let start = c.byte();
    let exprs = if c.eat_token(&Token::LParen) {
        let exprs = c.separated(Cursor::expr)?;
        c.expect_token(&Token::RParen)?;
        exprs
    } else {
        vec![c.expr()?]
    };
    let text = c.text_since(start).to_owned();
    Ok(MaterializedViewPartitions { exprs: exprs.into_iter().map(unparenthesized).collect(), text })
}

/// Behind `REFRESH` of a definition.
fn refresh_scheme(c: &mut Cursor<'_>) -> Result<RefreshScheme> {
    let moment = c.eat_any(&[("IMMEDIATE", RefreshMoment::Immediate), ("DEFERRED", RefreshMoment::Deferred)]);
    let trigger = if c.eat("ASYNC") {
        if c.is("START") || c.is("EVERY") {
            RefreshTrigger::Every(schedule(c)?)
        } else {
            RefreshTrigger::Async
        }
    } else if c.eat("SCHEDULE") {
        RefreshTrigger::Every(schedule(c)?)
    } else if c.eat("INCREMENTAL") {
        RefreshTrigger::Incremental
    } else if c.eat("MANUAL") {
        RefreshTrigger::Manual
    } else {
        return Err(c.unexpected("ASYNC, SCHEDULE, INCREMENTAL or MANUAL"));
    };
    Ok(RefreshScheme { moment, trigger })
}

/// Behind `ALTER MATERIALIZED VIEW`.
pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.table_name()?;
    let op = alter_op(c)?;
    Ok(Statement::AlterMaterializedView(Box::new(AlterMaterializedView { name, op })))
}

/// Behind `EXPLAIN ALTER MATERIALIZED VIEW`: only `ACTIVE` has something to preview.
pub(super) fn previewed(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.table_name()?;
    if !c.is("ACTIVE") {
        return Err(c.unexpected("ACTIVE, the only change that EXPLAIN previews"));
    }
    let op = alter_op(c)?;
    Ok(Statement::AlterMaterializedView(Box::new(AlterMaterializedView { name, op })))
}

fn alter_op(c: &mut Cursor<'_>) -> Result<AlterMaterializedViewOp> {
    if let Some(name) = NOT_YET.iter().find(|name| c.is(name)) {
        return Err(not_yet(&format!("ALTER MATERIALIZED VIEW … {name}")));
    }
    if c.is("COMMENT") {
        return Err(not_yet("ALTER MATERIALIZED VIEW … COMMENT"));
    }
    let op = if c.eat("RENAME") {
        AlterMaterializedViewOp::Rename(c.ident("the new name")?)
    } else if c.eat("REFRESH") {
        AlterMaterializedViewOp::Refresh(refresh_scheme(c)?)
    } else if c.eat("ACTIVE") {
        AlterMaterializedViewOp::Active { no_validation: c.eat("WITH NO_VALIDATION") }
    } else if c.eat("INACTIVE") {
        AlterMaterializedViewOp::Inactive
    } else if c.eat("SWAP WITH") {
        AlterMaterializedViewOp::SwapWith(c.ident("the name of a materialized view")?)
    } else if c.eat("SET") {
        AlterMaterializedViewOp::SetProperties(c.property_list()?)
    } else if c.eat("ORDER BY") {
        AlterMaterializedViewOp::OrderBy(sort_key(c)?)
    } else {
        return Err(c.unexpected("RENAME, REFRESH, ACTIVE, INACTIVE, SWAP WITH, SET or ORDER BY"));
    };
    Ok(op)
}

/// Behind `DROP MATERIALIZED VIEW`.
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    let name = c.table_name()?;
    Ok(Statement::DropMaterializedView(DropMaterializedView { if_exists, name, force: c.eat("FORCE") }))
}

/// Behind `REFRESH MATERIALIZED VIEW`.
pub(super) fn refresh(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.table_name()?;
    let partitions = refresh_partitions(c)?;
    let (mut force, mut cascade, mut synchronous, mut priority) = (false, false, None, None);
    loop {
        if c.eat("FORCE") {
            c.once(force, "FORCE")?;
            force = true;
        } else if c.eat("CASCADE") {
            c.once(cascade, "CASCADE")?;
            cascade = true;
        } else if let Some(sync) = c.eat_any(&[("WITH SYNC MODE", true), ("WITH ASYNC MODE", false)]) {
            c.once(synchronous.is_some(), "WITH … MODE")?;
            synchronous = Some(sync);
        } else if c.eat("WITH PRIORITY") {
            c.once(priority.is_some(), "WITH PRIORITY")?;
            priority = Some(self::priority(c)?);
        } else {
            break;
        }
    }
    let synchronous = synchronous.unwrap_or(false);
    let refresh = RefreshMaterializedView { name, partitions, force, synchronous, priority, cascade };
    Ok(Statement::RefreshMaterializedView(Box::new(refresh)))
}

/// `PARTITION …`, or nothing.
fn refresh_partitions(c: &mut Cursor<'_>) -> Result<Option<RefreshPartitions>> {
    if !c.eat("PARTITION") {
        return Ok(None);
    }
    if c.eat("START") {
        let start = series_bound(c)?;
        c.expect("END")?;
        return Ok(Some(RefreshPartitions::Range { start, end: series_bound(c)? }));
    }
    if !c.peek_is(0, &Token::LParen) {
        return Err(c.unexpected("START (…) END (…), or values in parentheses"));
    }
    let rows = list_values(c)?;
    if rows.iter().flatten().any(|value| *value == BoundValue::Max) {
        return Err(c.error("MAXVALUE is no partition's value"));
    }
    Ok(Some(RefreshPartitions::List(rows)))
}

fn priority(c: &mut Cursor<'_>) -> Result<u8> {
    let priority = c.uint("a priority")?;
    let valid = u8::try_from(priority).ok().filter(|priority| *priority <= PRIORITY_MAX);
    valid.ok_or_else(|| c.error(&format!("a priority is between 0 and {PRIORITY_MAX}")))
}

/// Behind `CANCEL REFRESH MATERIALIZED VIEW`.
pub(super) fn cancel(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.table_name()?;
    Ok(Statement::CancelRefresh(CancelRefresh { name, force: c.eat("FORCE") }))
}
