//! `SHOW …`: which function makes the rows of which statement.

pub mod cluster;
pub mod filter;
pub mod loads;
mod mysql;
pub mod objects;
mod proc;
mod tablets;
mod users;

use std::sync::Arc;

use cairn_catalog::Catalog;
use cairn_sql::ast::{Show, ShowFilter, ShowOrder};
use cairn_types::{Privilege, Result};

use super::partitions;
use crate::answer::Answer;
use crate::rows::Rows;
use crate::session::Session;

pub use proc::proc;

/// `SHOW …`.
///
/// # Errors
/// What is unknown; `PrivilegeDenied` for what is root's; what the filter meets.
pub async fn show(session: &Session, show: &Show) -> Result<Answer> {
    if let Some((rows, like_column, filter)) = of_server(session, show) {
        return filter::filtered(session, rows, like_column, filter).await;
    }
    let catalog = session.seen();
    if let Some((rows, like_column, filter)) = of_objects(session, &catalog, show)? {
        return filter::filtered(session, rows, like_column, filter).await;
    }
    if let Some((rows, order)) = with_order(session, &catalog, show).await? {
        return filter::ordered(session, rows, &order).await;
    }
    match show {
        Show::Partitions { temporary, table, order } => {
            partitions::show(session, &catalog, table, *temporary, order).await
        }
        Show::Proc(path) => {
            session.require_system(Privilege::Operate)?;
            proc(&session.node, path).await.map(Answer::Rows)
        }
        other => plain(session, &catalog, other).map(Answer::Rows),
    }
}

/// Rows that a `LIKE` on one of their columns, or a `WHERE`, chooses from.
type Filtered<'a> = (Rows, usize, Option<&'a ShowFilter>);

/// The statements about the server itself with `LIKE` or `WHERE`; `None` for the others. Drivers send them all the time.
fn of_server<'a>(session: &Session, show: &'a Show) -> Option<Filtered<'a>> {
    Some(match show {
        Show::Variables { scope, filter } => {
            (mysql::variables(&session.variables, &session.catalog(), *scope), 0, filter.as_ref())
        }
        Show::Status { filter, .. } => (cluster::status(&session.node), 0, filter.as_ref()),
        Show::CharacterSet { filter } => (mysql::character_sets(), 0, filter.as_ref()),
        Show::Collation { filter } => (mysql::collations(), 0, filter.as_ref()),
        Show::OpenTables { filter, .. } => (mysql::open_tables(), 1, filter.as_ref()),
        Show::ProcedureStatus { filter } | Show::FunctionStatus { filter } => {
            (mysql::routines(), 1, filter.as_ref())
        }
        Show::Catalogs { filter } => (objects::catalogs(), 0, filter.as_ref()),
        _ => return None,
    })
}

/// The statements about objects of `catalog` with `LIKE` or `WHERE`; `None` for the others.
fn of_objects<'a>(session: &Session, catalog: &Arc<Catalog>, show: &'a Show) -> Result<Option<Filtered<'a>>> {
    let node = &session.node;
    let database = &session.database;
    Ok(Some(match show {
        Show::Databases { catalog: name, filter } => {
            (objects::databases(catalog, name.as_deref())?, 0, filter.as_ref())
        }
        Show::Tables { full, database: name, filter } => {
            (objects::tables(catalog, name.as_ref(), database, *full)?, 0, filter.as_ref())
        }
        Show::TableStatus { database: name, filter } => {
            (objects::table_status(catalog, name.as_ref(), database)?, 0, filter.as_ref())
        }
        Show::MaterializedViews { database: name, filter } => {
            let now_ms = node.env.now_ms();
            (objects::materialized_views(catalog, name.as_ref(), database, now_ms)?, 2, filter.as_ref())
        }
        Show::Columns { full, table, filter } => {
            (objects::columns(catalog, table, database, *full)?, 0, filter.as_ref())
        }
        Show::Index { table, filter } => (objects::indexes(catalog, table, database)?, 2, filter.as_ref()),
        Show::StorageVolumes { filter } => (cluster::volumes(catalog), 0, filter.as_ref()),
        Show::Snapshots { filter } => {
            (cluster::snapshots(catalog, &node.jobs.snapshot_usages()), 0, filter.as_ref())
        }
        Show::Triggers { database: name, filter } => {
            objects::database_name(catalog, name.as_ref(), database)?;
            (mysql::triggers(), 2, filter.as_ref())
        }
        Show::Events { database: name, filter } => {
            objects::database_name(catalog, name.as_ref(), database)?;
            (mysql::events(), 1, filter.as_ref())
        }
        _ => return Ok(None),
    }))
}

/// The statements with `WHERE`, `ORDER BY`, `LIMIT`; `None` for the others.
async fn with_order(
    session: &Session,
    catalog: &Arc<Catalog>,
    show: &Show,
) -> Result<Option<(Rows, ShowOrder)>> {
    let current = &session.database;
    Ok(Some(match show {
        Show::Tablets { table, partitions, order } => {
            (tablets::of_table(session, catalog, table, partitions).await?, order.clone())
        }
        Show::Load { database, order } => {
            let db = loads::database(catalog, database.as_ref(), current)?;
            (loads::jobs(catalog, db), order.clone())
        }
        Show::Transaction { database, selection } => {
            let db = loads::database(catalog, database.as_ref(), current)?;
            (loads::transactions(catalog, db), loads::transaction_order(selection.as_ref()))
        }
        Show::AlterTableColumn { database, order } => {
            objects::database_name(catalog, database.as_ref(), current)?;
            (loads::alter_jobs(), order.clone())
        }
        _ => return Ok(None),
    }))
}

/// The statements that nothing chooses from.
fn plain(session: &Session, catalog: &Arc<Catalog>, show: &Show) -> Result<Rows> {
    let node = &session.node;
    let current = &session.database;
    match show {
        Show::CreateTable(name) => objects::create_table(catalog, name, current),
        Show::CreateView(name) => objects::create_view(catalog, name, current),
        Show::CreateMaterializedView(name) => objects::create_mview(catalog, name, current),
        Show::CreateDatabase(name) => objects::create_database(catalog, name),
        Show::CreateUser(user) => users::create_user(session, user),
        Show::Processlist { full } => Ok(cluster::processlist(node, &session.user, *full)),
        Show::Frontends | Show::Backends | Show::ComputeNodes => {
            session.require_system(Privilege::Node)?;
            Ok(match show {
                Show::Frontends => cluster::frontends(node),
                Show::Backends => cluster::backends(),
                _ => cluster::compute_nodes(node),
            })
        }
        Show::Users => users::users(session),
        Show::Grants(user) => users::grants(session, user.as_ref()),
        Show::Warnings { .. } | Show::Errors { .. } => Ok(mysql::messages()),
        Show::WarningsCount => Ok(mysql::message_count("@@session.warning_count")),
        Show::ErrorsCount => Ok(mysql::message_count("@@session.error_count")),
        Show::Engines => Ok(mysql::engines()),
        Show::Plugins => Ok(mysql::plugins()),
        Show::Privileges => Ok(users::privileges()),
        Show::Data(name) => objects::data(catalog, name.as_ref(), current),
        Show::Tablet(id) => tablets::one(catalog, *id),
        other => Err(cairn_types::Error::internal(format!("{other} has no rows"))),
    }
}
