//! Tasks: statements that run later, once or again and again.

use std::fmt;

use super::Statement;
use super::interval::Interval;
use super::name::{Property, literal, properties, quoted, when};
use super::session::Hint;
use crate::render;

/// `[db.]name` of a task. Case as written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TaskName {
    pub database: Option<String>,
    pub name: String,
}

/// `[START ('time')] EVERY (INTERVAL n unit)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The first run's time, as written; `None`: now.
    pub start: Option<String>,
    pub every: Interval,
}

/// `SUBMIT [/*+ SET_VAR(…) */] TASK [name] [SCHEDULE …] [PROPERTIES(…)] AS statement`.
#[derive(Clone, Debug)]
pub struct SubmitTask {
    /// What stands before the inner statement; its own hints are in it.
    pub hints: Vec<Hint>,
    /// `None`: the server names it.
    pub name: Option<TaskName>,
    /// `None`: it runs once, at once.
    pub schedule: Option<Schedule>,
    pub properties: Vec<Property>,
    /// An INSERT or a CREATE TABLE AS.
    pub statement: Statement,
    /// The inner statement as the user wrote it, secrets too; no part of equality.
    pub text: String,
}

/// `DROP TASK [IF EXISTS] name [FORCE]`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropTask {
    pub if_exists: bool,
    pub name: TaskName,
    /// Its running run is ended too.
    pub force: bool,
}

impl PartialEq for SubmitTask {
    fn eq(&self, other: &Self) -> bool {
        let Self { hints, name, schedule, properties, statement, text: _ } = self;
        *hints == other.hints
            && *name == other.name
            && *schedule == other.schedule
            && *properties == other.properties
            && *statement == other.statement
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{}.", quoted(database))?;
        }
        quoted(&self.name).fmt(f)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(start) = &self.start {
            write!(f, "START ({}) ", literal(start))?;
        }
        write!(f, "EVERY ({})", self.every)
    }
}

impl fmt::Display for SubmitTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SUBMIT ")?;
        render::hints(f, &self.hints)?;
        f.write_str("TASK")?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        if let Some(schedule) = &self.schedule {
            write!(f, " SCHEDULE {schedule}")?;
        }
        properties(f, &self.properties)?;
        write!(f, " AS {}", self.statement)
    }
}

impl fmt::Display for DropTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DROP TASK {}{}{}",
            when(self.if_exists, "IF EXISTS "),
            self.name,
            when(self.force, " FORCE")
        )
    }
}
