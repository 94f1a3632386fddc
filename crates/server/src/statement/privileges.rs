//! Which privilege a statement needs, and on what.
//!
//! Here are the objects that a statement changes. What a query reads is checked where its names are looked up, and what
//! runs the cluster (snapshots, settings, users, volumes) in the functions that do it, by [`Session::require_system`].
//! Listings need no privilege: they are made from [`Session::seen`], where the rest does not exist.

use cairn_catalog::{Catalog, Object, ROOT};
use cairn_sql::ast::{
    AlterMaterializedViewOp, AlterOp, DatabaseName, InsertTarget, RecoverTarget, Statement, TableName,
};
use cairn_types::{Privilege, Result};

use crate::analyze;
use crate::session::Session;

/// That the user of `session` may run `statement`. What it names and does not exist is for the statement itself to tell.
///
/// # Errors
/// `PrivilegeDenied`.
pub fn check(session: &Session, statement: &Statement) -> Result<()> {
    if session.user == ROOT {
        return Ok(());
    }
    let catalog = session.catalog();
    Asked { user: &session.user, database: &session.database, catalog: &catalog }.statement(statement)
}

/// Who asks, in which database.
struct Asked<'a> {
    user: &'a str,
    database: &'a str,
    catalog: &'a Catalog,
}

impl Asked<'_> {
    fn statement(&self, statement: &Statement) -> Result<()> {
        use Privilege as P;
        match statement {
            Statement::Explain(s) => self.statement(&s.statement),
            Statement::SubmitTask(s) => self.statement(&s.statement),
            Statement::Insert(s) => match &s.target {
                InsertTarget::Table(name) => self.table(name, P::Insert),
                InsertTarget::Files(_) | InsertTarget::Blackhole => Ok(()),
            },
            Statement::Delete(s) => self.table(&s.table, P::Delete),
            Statement::Update(s) => self.table(&s.table, P::Update),
            Statement::CreateDatabase(_) => self.of_catalog(P::CreateDatabase),
            Statement::DropDatabase(s) => self.database(&s.name, P::Drop),
            Statement::Recover(s) => match &s.target {
                RecoverTarget::Database(_) => self.of_catalog(P::CreateDatabase),
                RecoverTarget::Table(name) => self.database_of(name, P::CreateTable),
                RecoverTarget::Partition { table, .. } => self.table(table, P::Alter),
            },
            Statement::CreateTable(s) => self.database_of(&s.name, P::CreateTable),
            Statement::CreateTableLike(s) => {
                self.table(&s.like, P::Select)?;
                self.database_of(&s.name, P::CreateTable)
            }
            Statement::AlterTable(s) => {
                s.ops.iter().try_for_each(|op| self.swapped(&s.name, op))?;
                self.table(&s.name, P::Alter)
            }
            Statement::DropTable(s) => self.table(&s.name, P::Drop),
            Statement::TruncateTable(s) => self.table(&s.name, P::Delete),
            Statement::AnalyzeTable(s) => self.table(&s.name, P::Select),
            other => self.view_statement(other),
        }
    }

    fn view_statement(&self, statement: &Statement) -> Result<()> {
        use Privilege as P;
        match statement {
            Statement::CreateView(s) => {
                if s.or_replace {
                    self.table(&s.name, P::Alter)?;
                }
                self.database_of(&s.name, P::CreateView)
            }
            Statement::AlterView(s) => self.table(&s.name, P::Alter),
            Statement::AlterViewSecurity(s) => self.table(&s.name, P::Alter),
            Statement::DropView(s) => self.table(&s.name, P::Drop),
            Statement::CreateMaterializedView(s) => self.database_of(&s.name, P::CreateMaterializedView),
            Statement::AlterMaterializedView(s) => {
                if let AlterMaterializedViewOp::SwapWith(other) = &s.op {
                    self.table(&TableName { name: other.clone(), ..s.name.clone() }, P::Alter)?;
                }
                self.table(&s.name, P::Alter)
            }
            Statement::DropMaterializedView(s) => self.table(&s.name, P::Drop),
            Statement::RefreshMaterializedView(s) => {
                self.table(&s.name, P::Refresh)?;
                if s.cascade { self.views_above(&s.name) } else { Ok(()) }
            }
            Statement::CancelRefresh(s) => self.table(&s.name, P::Refresh),
            _ => Ok(()),
        }
    }

    /// What `CASCADE` refreshes, too.
    fn views_above(&self, name: &TableName) -> Result<()> {
        let Ok((_, table)) = analyze::find_table(self.catalog, name, self.database) else { return Ok(()) };
        let above = cairn_mview::graph::closure_above(self.catalog, table.id);
        let mut views = above.iter().filter_map(|id| self.catalog.table(*id));
        views.try_for_each(|view| self.catalog.require(self.user, Privilege::Refresh, Object::Table(view)))
    }

    /// The other table of `ALTER TABLE name SWAP WITH other`.
    fn swapped(&self, name: &TableName, op: &AlterOp) -> Result<()> {
        match op {
            AlterOp::SwapWith(other) => {
                self.table(&TableName { name: other.clone(), ..name.clone() }, Privilege::Alter)
            }
            _ => Ok(()),
        }
    }

    fn table(&self, name: &TableName, privilege: Privilege) -> Result<()> {
        match analyze::find_table(self.catalog, name, self.database) {
            Ok((_, table)) => self.catalog.require(self.user, privilege, Object::Table(table)),
            Err(_) => Ok(()),
        }
    }

    fn database(&self, name: &DatabaseName, privilege: Privilege) -> Result<()> {
        self.named_database(&name.name, privilege)
    }

    /// The database that the table `name` is or would be in.
    fn database_of(&self, name: &TableName, privilege: Privilege) -> Result<()> {
        self.named_database(name.database.as_deref().unwrap_or(self.database), privilege)
    }

    fn named_database(&self, name: &str, privilege: Privilege) -> Result<()> {
        match self.catalog.database_named(name) {
            Some(db) => self.catalog.require(self.user, privilege, Object::Database(db)),
            None => Ok(()),
        }
    }

    fn of_catalog(&self, privilege: Privilege) -> Result<()> {
        self.catalog.require(self.user, privilege, Object::Catalog)
    }
}
