//! `FROM t PARTITION (p, …)`: such a table becomes one of its own in the query, which stands for these partitions.

use std::ops::ControlFlow;
use std::sync::Arc;

use cairn_types::{Error, Result};
use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};

use crate::engine::QueryContext;
use crate::mview::{Bound, ScanRestriction};
use crate::resolve::{DEFAULT_CATALOG, Names, find};
use crate::table::TabletTable;

/// Makes a table of every such clause in `query` and puts its name there. Names without a database are those of
/// `database`.
///
/// # Errors
/// `UnknownTable`, `UnknownDatabase`; `PrivilegeDenied` as [`Names`]; `Analysis` for an unknown partition, and for what has
/// no partitions.
pub(crate) fn register(names: &Names, database: &str, query: &mut Query) -> Result<()> {
    let mut pass = Pass { names, context: &names.context, database, ctes: Vec::new() };
    match query.visit(&mut pass) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Pass<'a> {
    names: &'a Names,
    context: &'a QueryContext,
    database: &'a str,
    /// The names in the WITH of each query that we are inside of.
    ctes: Vec<Vec<String>>,
}

impl VisitorMut for Pass<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.push(tables.map(|cte| cte.alias.name.value.clone()).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match self.replace(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Pass<'_> {
    fn replace(&self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, alias, args, partitions, .. } = factor else { return Ok(()) };
        if partitions.is_empty() {
            return Ok(());
        }
        if args.is_some() {
            return Err(no_partitions(&name.to_string(), "a function"));
        }
        let (database, table) = self.parts(name)?;
        let partitions: Vec<String> = partitions.drain(..).map(|p| p.value).collect();
        let provider = Arc::new(self.table(&database, &table, &partitions)?);
        let mut tables = self.context.files.lock();
        // A name that nobody can say: a view's partitions must not be open to whoever may read the view.
        let nonce = self.context.engine.tablets.env().random_hex();
        let alone = format!("{table} PARTITION ({})#{nonce}", partitions.join(", "));
        *name = ObjectName::from(vec![Ident::with_quote('`', &alone)]);
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('`', table),
            columns: Vec::new(),
            at: None,
        });
        tables.insert(alone, provider);
        Ok(())
    }

    /// The database and the table that `name` means.
    fn parts(&self, name: &ObjectName) -> Result<(String, String)> {
        let part = |part: &ObjectNamePart| match part {
            ObjectNamePart::Identifier(ident) => Some(ident.value.clone()),
            ObjectNamePart::Function(_) => None,
        };
        let parts: Option<Vec<String>> = name.0.iter().map(part).collect();
        match parts.as_deref() {
            Some([table]) if self.ctes.iter().flatten().any(|cte| cte == table) => {
                Err(no_partitions(table, "a query of WITH"))
            }
            Some([_]) if self.database.is_empty() => Err(Error::analysis("No database selected")),
            Some([table]) => Ok((self.database.to_owned(), table.clone())),
            Some([database, table]) => Ok((database.clone(), table.clone())),
            Some([catalog, database, table]) if catalog == DEFAULT_CATALOG => {
                Ok((database.clone(), table.clone()))
            }
            _ => Err(Error::analysis(format!("Unknown table '{name}': there is only {DEFAULT_CATALOG}"))),
        }
    }

    /// The table itself, also where a materialized view would give the rows of its query: the partitions are its own.
    fn table(&self, database: &str, name: &str, partitions: &[String]) -> Result<TabletTable> {
        let context = self.context;
        if context.engine.is_system_database(database) {
            return Err(no_partitions(name, "a table of the system"));
        }
        let (db, table) = find(&context.catalog, database, name)?;
        self.names.check_select(table)?;
        let olap = table.olap().ok_or_else(|| no_partitions(name, "a view"))?;
        let id = |partition: &String| {
            let unknown = || Error::analysis(format!("Unknown partition '{partition}' in table '{name}'"));
            olap.partitions.get(partition).copied().ok_or_else(unknown)
        };
        let ids = partitions.iter().map(id).collect::<Result<_>>()?;
        context.bound.push(Bound::Table(Arc::clone(db), Arc::clone(table)));
        let restriction = ScanRestriction { partitions: Some(ids), ..ScanRestriction::default() };
        Ok(TabletTable::restricted(context, table, Some(Arc::new(restriction))))
    }
}

fn no_partitions(name: &str, what: &str) -> Error {
    Error::analysis(format!("'{name}' is {what}: it has no partitions to name by PARTITION (…)"))
}
