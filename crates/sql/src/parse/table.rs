//! Creating, emptying and dropping tables.

use cairn_types::limits::{BUCKETS_MAX, COLUMNS_MAX};
use cairn_types::{Error, Result};
use sqlparser::tokenizer::Token;

use super::column::column_def;
use super::cursor::Cursor;
use super::dml::partition_names;
use super::partition::partition_by;
use crate::ast::{
    AnalyzeTable, ColumnDef, CreateTable, CreateTableLike, CreateTableQuery, Distribution, DistributionKind,
    DropTable, IndexDef, KeyClause, KeyModel, Rollup, Statement, TableClauses, TruncateTable,
};

/// Whether `CREATE [EXTERNAL | TEMPORARY] TABLE` comes.
pub(super) fn at_create(c: &Cursor<'_>) -> bool {
    c.is("CREATE TABLE") || c.is("CREATE EXTERNAL TABLE") || c.is("CREATE TEMPORARY TABLE")
}

pub(super) fn create(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("CREATE")?;
    let external = c.eat("EXTERNAL");
    let temporary = c.eat("TEMPORARY");
    c.expect("TABLE")?;
    let if_not_exists = c.if_not_exists();
    let name = c.table_name()?;
    let mut items = Items::default();
    if c.eat_token(&Token::LParen) {
        items = table_items(c)?;
    }
    let clauses = clauses(c)?;
    if items.is_empty() && c.eat("LIKE") {
        let like = c.table_name()?;
        return like_statement(CreateTableLike { temporary, if_not_exists, name, like, clauses });
    }
    let Items { columns, column_names, indexes } = items;
    let mut query = None;
    if c.eat("AS") {
        query = Some(CreateTableQuery { column_names, query: c.query()? });
    } else if !column_names.is_empty() {
        return Err(c.unexpected("AS and a query, because the columns have no types"));
    } else if columns.is_empty() {
        return Err(c.unexpected("columns, or AS and a query"));
    }
    if query.is_some() && !columns.is_empty() {
        return Err(Error::analysis(format!(
            "CREATE TABLE {name} … AS takes its types from the query: list the columns by name only"
        )));
    }
    let table = CreateTable { temporary, external, if_not_exists, name, columns, indexes, clauses, query };
    Ok(Statement::CreateTable(Box::new(table)))
}

fn like_statement(like: CreateTableLike) -> Result<Statement> {
    let TableClauses { engine, key, comment, order_by, rollups, .. } = &like.clauses;
    if engine.is_some() || key.is_some() || comment.is_some() || !order_by.is_empty() || !rollups.is_empty() {
        return Err(Error::analysis(format!(
            "CREATE TABLE {} LIKE can only change the partitions, the distribution and properties",
            like.name
        )));
    }
    Ok(Statement::CreateTableLike(Box::new(like)))
}

/// What stands in the parentheses behind the table's name.
#[derive(Default)]
struct Items {
    columns: Vec<ColumnDef>,
    column_names: Vec<String>,
    indexes: Vec<IndexDef>,
}

impl Items {
    fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.column_names.is_empty() && self.indexes.is_empty()
    }
}

/// Behind the opening parenthesis, up to the closing one.
fn table_items(c: &mut Cursor<'_>) -> Result<Items> {
    let mut items = Items::default();
    loop {
        let alone = c.peek_is(1, &Token::Comma) || c.peek_is(1, &Token::RParen);
        if c.is("INDEX") && !alone && c.peek_is(2, &Token::LParen) {
            items.indexes.push(index(c)?);
        } else if c.is("PRIMARY KEY") || c.is("UNIQUE KEY") {
            return Err(c.error("write the key behind the columns: CREATE TABLE t (…) PRIMARY KEY (…)"));
        } else if alone {
            items.column_names.push(c.ident("the name of a column")?);
        } else {
            items.columns.push(column_def(c)?);
        }
        if items.columns.len() + items.column_names.len() > COLUMNS_MAX {
            return Err(c.error(&format!("a table has at most {COLUMNS_MAX} columns")));
        }
        if !c.eat_token(&Token::Comma) {
            break;
        }
    }
    if !c.eat_token(&Token::RParen) {
        return Err(c.unexpected("',' or ')' behind a column"));
    }
    if !items.columns.is_empty() && !items.column_names.is_empty() {
        return Err(c.error("some columns have a type and some have not"));
    }
    Ok(items)
}

pub(super) fn index(c: &mut Cursor<'_>) -> Result<IndexDef> {
    c.expect("INDEX")?;
    let name = c.ident("the name of an index")?;
    let columns = c.ident_list("the name of a column")?;
    let kind =
        if c.eat("USING") { Some(c.ident("the kind of an index")?.to_ascii_uppercase()) } else { None };
    let properties = if c.peek_is(0, &Token::LParen) { c.property_list()? } else { Vec::new() };
    Ok(IndexDef { name, columns, kind, properties, comment: c.comment()? })
}

/// The clauses behind the columns, in any order, each once.
pub(super) fn clauses(c: &mut Cursor<'_>) -> Result<TableClauses> {
    let mut clauses = TableClauses::default();
    while clause(c, &mut clauses)? {}
    Ok(clauses)
}

fn clause(c: &mut Cursor<'_>, clauses: &mut TableClauses) -> Result<bool> {
    if c.eat("ENGINE") {
        c.once(clauses.engine.is_some(), "ENGINE")?;
        c.eat_token(&Token::Eq);
        clauses.engine = Some(c.ident_or_string("the name of an engine")?);
    } else if c.eat("DEFAULT CHARSET") || c.eat("CHARSET") {
        c.eat_token(&Token::Eq);
        c.ident_or_string("the name of a character set")?;
    } else if let Some(model) = key_model(c) {
        c.once(clauses.key.is_some(), "the key")?;
        clauses.key = Some(KeyClause { model, columns: c.ident_list("the name of a column")? });
    } else if c.is("COMMENT") {
        c.once(clauses.comment.is_some(), "COMMENT")?;
        clauses.comment = c.comment()?;
    } else if c.eat("PARTITION BY") {
        c.once(clauses.partition_by.is_some(), "PARTITION BY")?;
        clauses.partition_by = Some(partition_by(c)?);
    } else if c.is("DISTRIBUTED BY") {
        c.once(clauses.distribution.is_some(), "DISTRIBUTED BY")?;
        clauses.distribution = Some(distribution(c)?);
    } else if c.eat("ORDER BY") {
        c.once(!clauses.order_by.is_empty(), "ORDER BY")?;
        clauses.order_by = sort_key(c)?;
    } else if c.eat("ROLLUP") {
        c.once(!clauses.rollups.is_empty(), "ROLLUP")?;
        c.expect_token(&Token::LParen)?;
        clauses.rollups = c.separated(rollup)?;
        c.expect_token(&Token::RParen)?;
    } else if c.is("PROPERTIES") {
        c.once(!clauses.properties.is_empty(), "PROPERTIES")?;
        clauses.properties = c.properties()?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn key_model(c: &mut Cursor<'_>) -> Option<KeyModel> {
    c.eat_any(&[
        ("DUPLICATE KEY", KeyModel::Duplicate),
        ("AGGREGATE KEY", KeyModel::Aggregate),
        ("UNIQUE KEY", KeyModel::Unique),
        ("PRIMARY KEY", KeyModel::Primary),
    ])
}

/// `(a, b)` or `a, b`.
pub(super) fn sort_key(c: &mut Cursor<'_>) -> Result<Vec<String>> {
    if c.peek_is(0, &Token::LParen) {
        c.ident_list("the name of a column")
    } else {
        c.separated(|c| c.ident("the name of a column"))
    }
}

/// `DISTRIBUTED BY HASH (…) | RANDOM [BUCKETS n]`.
pub(super) fn distribution(c: &mut Cursor<'_>) -> Result<Distribution> {
    c.expect("DISTRIBUTED BY")?;
    let kind = if c.eat("HASH") {
        DistributionKind::Hash(c.ident_list("the name of a column")?)
    } else if c.eat("RANDOM") {
        DistributionKind::Random
    } else {
        return Err(c.unexpected("HASH (…) or RANDOM"));
    };
    let mut buckets = None;
    if c.eat("BUCKETS") {
        let count = c.uint("the number of buckets")?;
        let valid = u32::try_from(count).ok().filter(|n| (1..=BUCKETS_MAX).contains(n));
        buckets =
            Some(valid.ok_or_else(|| {
                c.error(&format!("the number of buckets must be between 1 and {BUCKETS_MAX}"))
            })?);
    }
    Ok(Distribution { kind, buckets })
}

fn rollup(c: &mut Cursor<'_>) -> Result<Rollup> {
    let name = c.ident("the name of a rollup")?;
    let columns = c.ident_list("the name of a column")?;
    let duplicate_key =
        if c.eat("DUPLICATE KEY") { c.ident_list("the name of a column")? } else { Vec::new() };
    let base = if c.eat("FROM") { Some(c.ident("the name of a rollup")?) } else { None };
    Ok(Rollup { name, columns, duplicate_key, base, properties: c.properties()? })
}

pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("DROP")?;
    let temporary = c.eat("TEMPORARY");
    c.expect("TABLE")?;
    let if_exists = c.if_exists();
    let name = c.table_name()?;
    Ok(Statement::DropTable(DropTable { temporary, if_exists, name, force: c.eat("FORCE") }))
}

pub(super) fn truncate(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("TRUNCATE")?;
    c.eat("TABLE");
    let name = c.table_name()?;
    let partitions = if c.eat("PARTITION") || c.eat("PARTITIONS") { partition_names(c)? } else { Vec::new() };
    Ok(Statement::TruncateTable(TruncateTable { name, partitions }))
}

pub(super) fn analyze(c: &mut Cursor<'_>) -> Result<Statement> {
    c.expect("ANALYZE")?;
    let sample = c.eat_any(&[("SAMPLE", true), ("FULL", false)]).unwrap_or(false);
    c.expect("TABLE")?;
    let name = c.table_name()?;
    let columns =
        if c.peek_is(0, &Token::LParen) { c.ident_list("the name of a column")? } else { Vec::new() };
    let asynchronous = c.eat_any(&[("WITH ASYNC MODE", true), ("WITH SYNC MODE", false)]).unwrap_or(false);
    let properties = c.properties()?;
    if c.is("UPDATE HISTOGRAM") || c.is("DROP HISTOGRAM") {
        return Err(super::unsupported::not_yet("ANALYZE TABLE … HISTOGRAM"));
    }
    Ok(Statement::AnalyzeTable(AnalyzeTable { name, columns, sample, asynchronous, properties }))
}
