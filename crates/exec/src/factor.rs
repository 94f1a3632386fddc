//! What stands in FROM: forms that mean something else here are brought into DataFusion's, or refused by name.

use cairn_types::{Error, Result};
use sqlparser::ast::{
    Expr, FunctionArguments, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor,
    TableFunctionArgs,
};

/// Words that the parser takes for the name of an alias.
const CLAUSES: &[&str] = &["tablet", "tablets", "replica"];

/// Refuses what would be passed over.
///
/// # Errors
/// `Unsupported`, naming the clause.
pub(crate) fn check(factor: &TableFactor) -> Result<()> {
    let unsupported = |clause: &str, instead: &str| {
        Err(Error::unsupported(format!("{clause} of a table in FROM is not supported yet: {instead}")))
    };
    let (sample, hints, alias) = match factor {
        TableFactor::Table { sample, index_hints, alias, .. } => (sample, index_hints.as_slice(), alias),
        TableFactor::Derived { sample, alias, .. } => (sample, &[][..], alias),
        _ => return Ok(()),
    };
    let clause = |alias: &TableAlias| {
        let name = alias.name.value.to_lowercase();
        CLAUSES.contains(&name.as_str()) && alias.name.quote_style.is_none() && !alias.columns.is_empty()
    };
    match alias.as_ref().filter(|alias| clause(alias)) {
        Some(alias) => {
            let clause = alias.name.value.to_uppercase();
            unsupported(&clause, "put a condition on its columns into WHERE")
        }
        None if sample.is_some() => unsupported("TABLESAMPLE", "use LIMIT"),
        None if !hints.is_empty() => {
            unsupported("an index hint", "leave it out, indexes are chosen by themselves")
        }
        None => Ok(()),
    }
}

/// `TABLE(f(…))` is `f(…)`. A series without an alias has StarRocks' name for its column, too.
pub(crate) fn unwrap_table_function(factor: &mut TableFactor) {
    let TableFactor::TableFunction { expr: Expr::Function(function), alias } = factor else { return };
    let FunctionArguments::List(list) = &function.args else { return };
    let name = ObjectName(function.name.0.clone());
    let alias = alias.take().or_else(|| series_alias(&name));
    let args = Some(TableFunctionArgs { args: list.args.clone(), settings: None });
    *factor = TableFactor::Table {
        name,
        alias,
        args,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
}

fn series_alias(name: &ObjectName) -> Option<TableAlias> {
    const SERIES: &str = "generate_series";
    let column = TableAliasColumnDef::from_name(SERIES);
    let alias = TableAlias { explicit: true, name: Ident::new(SERIES), columns: vec![column], at: None };
    name.to_string().eq_ignore_ascii_case(SERIES).then_some(alias)
}
