//! From names in a query to tables: one catalog state, the session's database, system tables, views.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_catalog::{Catalog, Database, Object, Table, TableKind};
use cairn_types::{Error, Privilege, Result};
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;

use crate::engine::QueryContext;
use crate::error::to_datafusion;
use crate::mview::{Bound, transparent};
use crate::table::TabletTable;

/// StarRocks' name for the catalog of its own tables.
pub const DEFAULT_CATALOG: &str = "default_catalog";

/// Views inside of views that a query may go through.
const VIEW_DEPTH_MAX: usize = 32;

/// Tables that are not in the catalog but made from it when they are read (`information_schema`).
pub trait SystemTables: Send + Sync {
    /// Whether `database` is one of the system's.
    fn is_system_database(&self, database: &str) -> bool;

    /// The rows of a system table as seen by `user`; `None` when there is no such table.
    ///
    /// # Errors
    /// Whatever keeps the rows from being made.
    fn table(
        &self,
        catalog: &Arc<Catalog>,
        user: &str,
        database: &str,
        table: &str,
    ) -> Result<Option<MemTable>>;
}

/// All catalogs: there is one.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) context: Arc<QueryContext>,
    /// How many views we are inside of.
    pub(crate) depth: usize,
    /// Whether an MV that wants it gives the rows of its query instead of its own.
    pub(crate) transparent: bool,
    /// Whether the names are those of a view or of a materialized view. What these read was allowed when they were made;
    /// who asks now needs a privilege on them alone, as in StarRocks.
    pub(crate) defined: bool,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl CatalogProviderList for Names {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![DEFAULT_CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == DEFAULT_CATALOG).then(|| Arc::new(self.clone()) as _)
    }
}

impl CatalogProvider for Names {
    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Any name gives a provider: which database is missing is said when a table is looked up.
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(InDatabase { names: self.clone(), database: name.to_owned() }))
    }
}

/// The tables of one database.
#[derive(Debug)]
struct InDatabase {
    names: Names,
    database: String,
}

#[async_trait]
impl SchemaProvider for InDatabase {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn table_exist(&self, _name: &str) -> bool {
        true
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        // `generate_series(…)` in FROM is asked for as a table first.
        if self.names.context.engine.is_table_function(name) {
            return Ok(None);
        }
        self.names.lookup(&self.database, name).await.map(Some).map_err(to_datafusion)
    }
}

impl Names {
    /// Names mean what the catalog has under them.
    pub(crate) fn of(context: &Arc<QueryContext>) -> Self {
        Self { context: Arc::clone(context), depth: 0, transparent: false, defined: false }
    }

    async fn lookup(&self, database: &str, name: &str) -> Result<Arc<dyn TableProvider>> {
        if let Some(table) = self.context.files_table(name) {
            return Ok(table);
        }
        if database.is_empty() {
            return Err(Error::new(cairn_types::ErrorKind::Analysis, "No database selected"));
        }
        let system = &self.context.engine.system;
        if system.is_system_database(database) {
            let found = system.table(&self.context.catalog, &self.context.user, database, name)?;
            let table = found.ok_or_else(|| Error::unknown_table(&format!("{database}.{name}")))?;
            self.context.bound.push(Bound::System(format!("{database}.{name}")));
            return Ok(Arc::new(table));
        }
        let (db, table) = find(&self.context.catalog, database, name)?;
        self.check_select(table)?;
        self.context.bound.push(Bound::Table(Arc::clone(db), Arc::clone(table)));
        self.table(table).await
    }

    /// That whoever asks may read `table`.
    ///
    /// # Errors
    /// `PrivilegeDenied`.
    pub(crate) fn check_select(&self, table: &Table) -> Result<()> {
        if self.defined {
            return Ok(());
        }
        self.context.catalog.require(&self.context.user, Privilege::Select, Object::Table(table))
    }

    async fn table(&self, table: &Arc<Table>) -> Result<Arc<dyn TableProvider>> {
        let context = &self.context;
        if let TableKind::Mview(mview) = &table.kind
            && self.transparent
            && let Some(plan) = Box::pin(transparent::plan(context, table, mview)).await?
        {
            return Ok(Arc::new(ViewTable::new(plan, None)));
        }
        match &table.kind {
            TableKind::Olap(_) | TableKind::Mview(_) => Ok(Arc::new(TabletTable::of(context, table))),
            TableKind::View(view) => {
                if self.depth >= VIEW_DEPTH_MAX {
                    return Err(Error::analysis(format!(
                        "view '{}' goes through more than {VIEW_DEPTH_MAX} views, or through itself",
                        table.name
                    )));
                }
                let defined = self.defined || !view.security_invoker;
                let inside = Self { depth: self.depth + 1, defined, ..self.clone() };
                let plan = Box::pin(context.engine.plan_view(inside, view)).await;
                let plan = plan.map_err(|e| e.context(format!("view '{}'", table.name)))?;
                Ok(Arc::new(ViewTable::new(plan, None)))
            }
        }
    }
}

/// The table or view `database.name` in `catalog`.
///
/// # Errors
/// `UnknownDatabase`, `UnknownTable`.
pub fn find<'a>(
    catalog: &'a Catalog,
    database: &str,
    name: &str,
) -> Result<(&'a Arc<Database>, &'a Arc<Table>)> {
    let db = catalog.database_named(database).ok_or_else(|| Error::unknown_database(database))?;
    let table = catalog
        .table_named(db.id, name)
        .ok_or_else(|| Error::unknown_table(&format!("{database}.{name}")))?;
    Ok((db, table))
}
