//! Logical views.

use std::fmt;

use sqlparser::ast::Query;

use super::name::{TableName, commas, comment, quoted, when};
use crate::render;

/// `CREATE [OR REPLACE] VIEW [IF NOT EXISTS] v [(a COMMENT '…', …)] [COMMENT '…'] [SECURITY NONE | INVOKER] AS query`.
#[derive(Clone, Debug)]
pub struct CreateView {
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: TableName,
    /// Empty: the query's names.
    pub columns: Vec<ViewColumn>,
    pub comment: Option<String>,
    /// Who reads the view must be allowed to read its tables, too.
    pub security_invoker: bool,
    pub query: Query,
    /// The query as the user wrote it; no part of equality.
    pub query_text: String,
}

/// `ALTER VIEW v SET SECURITY NONE | INVOKER`.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterViewSecurity {
    pub name: TableName,
    pub invoker: bool,
}

/// A view's column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewColumn {
    pub name: String,
    pub comment: Option<String>,
}

/// `ALTER VIEW v [(a, …)] AS query`.
#[derive(Clone, Debug)]
pub struct AlterView {
    pub name: TableName,
    /// Empty: the query's names.
    pub columns: Vec<ViewColumn>,
    pub query: Query,
    /// The query as the user wrote it; no part of equality.
    pub query_text: String,
}

/// `DROP VIEW [IF EXISTS] v`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropView {
    pub if_exists: bool,
    pub name: TableName,
}

impl PartialEq for CreateView {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            or_replace,
            if_not_exists,
            name,
            columns,
            comment,
            security_invoker,
            query,
            query_text: _,
        } = self;
        *or_replace == other.or_replace
            && *if_not_exists == other.if_not_exists
            && *name == other.name
            && *columns == other.columns
            && *comment == other.comment
            && *security_invoker == other.security_invoker
            && *query == other.query
    }
}

impl PartialEq for AlterView {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, columns, query, query_text: _ } = self;
        *name == other.name && *columns == other.columns && *query == other.query
    }
}

impl fmt::Display for ViewColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(&self.name).fmt(f)?;
        comment(f, self.comment.as_ref())
    }
}

impl fmt::Display for CreateView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (replace, exists) =
            (when(self.or_replace, "OR REPLACE "), when(self.if_not_exists, "IF NOT EXISTS "));
        write!(f, "CREATE {replace}VIEW {exists}{}", self.name)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", commas(&self.columns))?;
        }
        comment(f, self.comment.as_ref())?;
        f.write_str(when(self.security_invoker, " SECURITY INVOKER"))?;
        f.write_str(" AS ")?;
        render::query(f, &self.query)
    }
}

impl fmt::Display for AlterViewSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let security = if self.invoker { "INVOKER" } else { "NONE" };
        write!(f, "ALTER VIEW {} SET SECURITY {security}", self.name)
    }
}

impl fmt::Display for AlterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER VIEW {}", self.name)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", commas(&self.columns))?;
        }
        f.write_str(" AS ")?;
        render::query(f, &self.query)
    }
}

impl fmt::Display for DropView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP VIEW {}{}", when(self.if_exists, "IF EXISTS "), self.name)
    }
}
