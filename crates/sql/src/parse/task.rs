//! Tasks, and schedules, which materialized views have too.

use cairn_types::{Error, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::interval::interval;
use super::{dml, table, unsupported};
use crate::ast::{DropTask, Schedule, Statement, SubmitTask, TaskName};
use crate::params::count_placeholders;

pub(super) fn submit(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("SUBMIT")?;
    c.expect("TASK")?;
    let name = if at_clause(c) { None } else { Some(task_name(c)?) };
    let (mut schedule, mut properties) = (None, Vec::new());
    loop {
        if c.eat("SCHEDULE") {
            c.once(schedule.is_some(), "SCHEDULE")?;
            schedule = Some(self::schedule(c)?);
        } else if c.is("PROPERTIES") {
            c.once(!properties.is_empty(), "PROPERTIES")?;
            properties = c.properties()?;
        } else {
            break;
        }
    }
    c.expect("AS")?;
    let hints = c.take_hints_before();
    let text = c.rest_text().to_owned();
    let statement = inner(c)?;
    if count_placeholders(&statement) > 0 {
        return Err(Error::analysis("A task's statement can hold no parameter (?): it is kept as text"));
    }
    Ok(Statement::SubmitTask(Box::new(SubmitTask { hints, name, schedule, properties, statement, text })))
}

/// Whether the name is left out. (A task may be called "schedule".)
fn at_clause(c: &Cursor<'_>) -> bool {
    c.is("AS")
        || c.is("SCHEDULE START")
        || c.is("SCHEDULE EVERY")
        || (c.is("PROPERTIES") && c.peek_is(1, &Token::LParen))
}

/// The statement that the task runs.
fn inner(c: &mut Cursor<'_>) -> Result<Statement> {
    const EXPECTED: &str = "INSERT or CREATE TABLE … AS";
    if c.is("INSERT") {
        return dml::insert(c);
    }
    let at = c.unexpected(EXPECTED);
    if !table::at_create(c) {
        return Err(unsupported::refusal(c).unwrap_or(at));
    }
    match table::create(c)? {
        Statement::CreateTable(table) if table.query.is_some() => Ok(Statement::CreateTable(table)),
        _ => Err(at),
    }
}

/// `[START ('time')] EVERY (INTERVAL n unit)`.
pub(super) fn schedule(c: &mut Cursor<'_>) -> Result<Schedule> {
    let mut start = None;
    if c.eat("START") {
        c.expect_token(&Token::LParen)?;
        start = Some(c.string("a time")?);
        c.expect_token(&Token::RParen)?;
    }
    c.expect("EVERY")?;
    c.expect_token(&Token::LParen)?;
    let every = interval(c)?;
    c.expect_token(&Token::RParen)?;
    Ok(Schedule { start, every })
}

/// Behind `DROP TASK`.
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = c.if_exists();
    let name = task_name(c)?;
    Ok(Statement::DropTask(DropTask { if_exists, name, force: c.eat("FORCE") }))
}

/// `[db.]name`.
fn task_name(c: &mut Cursor<'_>) -> Result<TaskName> {
    let mut parts = c.dotted("the name of a task", 2)?;
    let name = parts.pop().unwrap_or_default();
    Ok(TaskName { database: parts.pop(), name })
}
