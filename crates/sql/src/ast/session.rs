//! What acts on the session: variables, `KILL`, transactions, prepared statements, hints.

use std::fmt;

use sqlparser::ast::Expr;

use super::name::{commas, literal, quoted};
use crate::render;

/// `name = value` of `/*+ SET_VAR(name = value, …) */`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint {
    /// The variable, in lower case.
    pub name: String,
    /// The value's text, without quotes.
    pub value: String,
}

/// One item of `SET`.
#[derive(Clone, PartialEq, Debug)]
pub enum SetItem {
    /// `[GLOBAL | SESSION] name = value`, `@@[scope.]name = value`.
    Variable { scope: VariableScope, name: String, value: SetValue },
    /// `@name = expr`.
    User { name: String, value: Box<Expr> },
    /// `NAMES charset [COLLATE c]`; `None` is `DEFAULT`.
    Names { charset: Option<String>, collate: Option<String> },
    /// `CHARACTER SET charset`; `None` is `DEFAULT`.
    CharacterSet(Option<String>),
    /// `[scope] TRANSACTION [ISOLATION LEVEL …] [READ ONLY | READ WRITE]`.
    Transaction { scope: VariableScope, isolation: Option<String>, access: Option<TransactionAccess> },
}

/// Whose variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VariableScope {
    #[default]
    Session,
    Global,
}

/// The right side of `name = …`.
#[derive(Clone, PartialEq, Debug)]
pub enum SetValue {
    /// `DEFAULT`: back to the value of a new session.
    Default,
    /// A word without quotes (`ON`, `utf8mb4`), as written.
    Word(String),
    /// Anything else.
    Expr(Box<Expr>),
}

/// `READ ONLY` or `READ WRITE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionAccess {
    ReadOnly,
    ReadWrite,
}

/// `KILL [CONNECTION | QUERY] id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kill {
    /// Only the running query; the connection stays.
    pub query_only: bool,
    pub target: KillTarget,
}

/// What to kill.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KillTarget {
    Connection(u64),
    /// A query id (a UUID) as text.
    QueryId(String),
}

/// `EXECUTE name [USING @a, …]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Execute {
    pub name: String,
    /// User variables without the `@`.
    pub using: Vec<String>,
}

impl VariableScope {
    fn word(self) -> &'static str {
        match self {
            Self::Session => "SESSION ",
            Self::Global => "GLOBAL ",
        }
    }
}

impl fmt::Display for TransactionAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "READ ONLY",
            Self::ReadWrite => "READ WRITE",
        })
    }
}

impl fmt::Display for SetItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { scope, name, value } => {
                write!(f, "{}{} = {value}", scope.word(), quoted(name))
            }
            Self::User { name, value } => {
                write!(f, "@{} = ", quoted(name))?;
                render::expr(f, value)
            }
            Self::Names { charset, collate } => {
                write!(f, "NAMES {}", charset_text(charset.as_ref()))?;
                match collate {
                    Some(collate) => write!(f, " COLLATE {}", literal(collate)),
                    None => Ok(()),
                }
            }
            Self::CharacterSet(charset) => write!(f, "CHARACTER SET {}", charset_text(charset.as_ref())),
            Self::Transaction { scope, isolation, access } => {
                write!(f, "{}TRANSACTION", scope.word())?;
                if let Some(isolation) = isolation {
                    write!(f, " ISOLATION LEVEL {isolation}")?;
                }
                match access {
                    Some(access) if isolation.is_some() => write!(f, ", {access}"),
                    Some(access) => write!(f, " {access}"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn charset_text(charset: Option<&String>) -> String {
    charset.map_or_else(|| "DEFAULT".to_owned(), |name| literal(name).to_string())
}

impl fmt::Display for SetValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("DEFAULT"),
            Self::Word(word) => f.write_str(word),
            Self::Expr(expr) => render::expr(f, expr),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, literal(&self.value))
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.query_only { "KILL QUERY " } else { "KILL CONNECTION " })?;
        match &self.target {
            KillTarget::Connection(id) => id.fmt(f),
            KillTarget::QueryId(id) => literal(id).fmt(f),
        }
    }
}

impl fmt::Display for Execute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EXECUTE {}", quoted(&self.name))?;
        if self.using.is_empty() {
            return Ok(());
        }
        let variables: Vec<String> = self.using.iter().map(|name| format!("@{}", quoted(name))).collect();
        write!(f, " USING {}", commas(&variables))
    }
}
