//! Statements, a family a file. [`run`] is the one place that says which function runs which statement.

pub mod admin;
pub mod ddl;
pub mod describe;
mod grants;
pub mod insert;
pub mod partitions;
mod privileges;
pub mod query;
pub mod show;
pub mod show_create;
pub mod users;
pub mod volumes;
mod write_files;

use cairn_sql::ParsedStatement;
use cairn_sql::ast::Statement;
use cairn_types::{Error, Result};

use crate::answer::Answer;
use crate::mview;
use crate::session::Session;

/// Runs one statement.
///
/// # Errors
/// `PrivilegeDenied`; whatever the statement meets.
pub async fn run(session: &mut Session, parsed: &ParsedStatement) -> Result<Answer> {
    privileges::check(session, &parsed.statement)?;
    match &parsed.statement {
        Statement::Query(s) => query::select(session, s).await,
        Statement::Explain(s) => query::explain(session, s).await,
        Statement::Describe(s) => describe::describe(session, s).await,
        Statement::Insert(s) => insert::insert(session, s).await.inspect(|_| session.wrote()),
        Statement::Delete(_) => Err(not_yet("DELETE", "use TRUNCATE or DROP PARTITION")),
        Statement::Update(_) => Err(not_yet(
            "UPDATE",
            "INSERT into a PRIMARY KEY table takes the place of rows with the same key",
        )),
        Statement::CreateDatabase(s) => ddl::create_database(session, s).await,
        Statement::DropDatabase(s) => ddl::drop_database(session, s).await,
        Statement::Use(name) => session.use_database(name).map(|()| Answer::done()),
        Statement::Recover(s) => ddl::recover(session, s).await,
        Statement::CreateTable(s) => ddl::create_table(session, s).await,
        Statement::CreateTableLike(s) => ddl::create_table_like(session, s).await,
        Statement::AlterTable(s) => ddl::alter_table(session, s).await,
        Statement::DropTable(s) => ddl::drop_table(session, s).await,
        Statement::TruncateTable(s) => ddl::truncate(session, s).await.inspect(|_| session.wrote()),
        // Statistics are kept with every segment: there is nothing to collect.
        Statement::AnalyzeTable(s) => ddl::analyze_table(session, s),
        Statement::CreateView(s) => ddl::create_view(session, s).await,
        Statement::AlterView(s) => ddl::alter_view(session, s).await,
        Statement::AlterViewSecurity(s) => ddl::alter_view_security(session, s).await,
        Statement::DropView(s) => ddl::drop_view(session, s).await,
        Statement::CreateMaterializedView(s) => mview::create::create(session, s).await,
        Statement::AlterMaterializedView(s) => mview::alter::alter(session, s).await,
        Statement::DropMaterializedView(s) => mview::alter::drop(session, s).await,
        Statement::RefreshMaterializedView(s) => mview::refresh::refresh(session, s).await,
        Statement::CancelRefresh(s) => mview::refresh::cancel(session, s).await,
        Statement::SubmitTask(s) => mview::tasks::submit(session, s).await,
        Statement::DropTask(s) => mview::tasks::drop(session, s).await,
        Statement::CreateStorageVolume(s) => volumes::create(session, s).await,
        Statement::AlterStorageVolume(s) => volumes::alter(session, s).await,
        Statement::DropStorageVolume(s) => volumes::drop(session, s).await,
        Statement::SetDefaultStorageVolume(name) => volumes::set_default(session, name).await,
        Statement::CreateSnapshot(s) => admin::create_snapshot(session, s).await,
        Statement::DropSnapshot(s) => admin::drop_snapshot(session, s).await,
        Statement::Admin(s) => admin::run(session, s).await,
        Statement::CreateUser(s) => users::create(session, s).await,
        Statement::AlterUser(s) => users::alter(session, s).await,
        Statement::DropUser(s) => users::drop(session, s).await,
        Statement::SetPassword(s) => users::set_password(session, s).await,
        Statement::Grant(s) => grants::grant(session, s).await,
        Statement::Revoke(s) => grants::revoke(session, s).await,
        Statement::ExecuteAs(user) => grants::execute_as(session, user),
        Statement::Show(s) => show::show(session, s).await,
        Statement::Set(items) => session.set(items).await,
        Statement::Kill(s) => session.kill(s),
        Statement::Begin(access) => session.transaction.begin(*access).map(|()| Answer::done()),
        Statement::Commit => {
            session.transaction.commit();
            Ok(Answer::done())
        }
        Statement::Rollback => {
            session.transaction.rollback().map(|told| Answer::affected(0, told.to_owned()))
        }
        Statement::Sync => session.node.journal.read_barrier().await.map(|()| Answer::done()),
        Statement::Prepare { name, text } => session.prepare_named(name, text),
        Statement::Execute(s) => {
            let parsed = session.bound(s)?;
            Box::pin(run(session, &parsed)).await
        }
        Statement::Deallocate { name } => session.deallocate(name),
    }
}

fn not_yet(what: &str, instead: &str) -> Error {
    Error::unsupported(format!("{what} is not supported yet: {instead}"))
}
