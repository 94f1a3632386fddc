//! `ALTER MATERIALIZED VIEW`, `DROP MATERIALIZED VIEW`, and `ADMIN PAUSE` and `RESUME`.

use std::sync::Arc;

use cairn_catalog::{Catalog, Command, InactiveCause, Mview, Reply, RunState, Table, TaskOf};
use cairn_sql::ast::{AlterMaterializedView, AlterMaterializedViewOp, DropMaterializedView, Property};
use cairn_types::{Error, ErrorKind, Result};

use super::properties::{self, RefreshMode};
use super::{active, create, find};
use crate::analyze;
use crate::answer::Answer;
use crate::node::Node;
use crate::session::Session;

/// StarRocks' words for a view that a user made inactive.
const BY_HAND: &str = "user use alter materialized view set status to inactive";
const PAUSED: &str = "paused by ADMIN PAUSE MATERIALIZED VIEWS";

/// `ALTER MATERIALIZED VIEW`. None of it touches what the view knows of its bases.
///
/// # Errors
/// `UnknownTable`; what the change meets.
pub async fn alter(session: &Session, statement: &AlterMaterializedView) -> Result<Answer> {
    let node = &session.node;
    let catalog = session.catalog();
    let (table, mview) = find(&catalog, &statement.name, &session.database)?;
    let id = table.id;
    let command = match &statement.op {
        AlterMaterializedViewOp::Rename(name) => Command::RenameTable { table: id, name: name.clone() },
        AlterMaterializedViewOp::Refresh(refresh) => {
            let refresh = create::scheme(session, &catalog, Some(refresh))?;
            Command::AlterMviewRefresh { mview: id, refresh }
        }
        AlterMaterializedViewOp::Active { no_validation } => {
            if mview.is_active() {
                return Ok(Answer::done());
            }
            active::activate(node, &catalog, table, !no_validation).await?;
            node.mviews.wake();
            return Ok(Answer::done());
        }
        AlterMaterializedViewOp::Inactive => {
            let cause = InactiveCause::Manual;
            Command::DeactivateMview { mview: id, cause, reason: BY_HAND.to_owned() }
        }
        AlterMaterializedViewOp::SwapWith(other) => {
            let other = catalog.table_named(table.db, other).ok_or_else(|| Error::unknown_table(other))?;
            Command::SwapTables { left: id, right: other.id }
        }
        AlterMaterializedViewOp::SetProperties(list) => set_properties(node, &catalog, table, list).await?,
        AlterMaterializedViewOp::OrderBy(_) => {
            return Err(Error::unsupported(
                "ALTER MATERIALIZED VIEW … ORDER BY is not supported: create a view with that order and SWAP WITH it",
            ));
        }
    };
    node.propose(command).await?;
    stop_runs_of_inactive(node);
    node.mviews.wake();
    Ok(Answer::done())
}

async fn set_properties(
    node: &Arc<Node>,
    catalog: &Arc<Catalog>,
    table: &Table,
    list: &[Property],
) -> Result<Command> {
    let mview = super::of(table)?;
    let properties = properties::check(list)?;
    let (schema, partitioning) = (&mview.table.schema, &mview.table.partitioning);
    properties::check_fit(&properties, &mview.definition, schema, partitioning, node.env.now_ms())?;
    if properties::refresh_mode(&properties) == RefreshMode::Incremental {
        let context = super::context(node, catalog, table)?;
        let shape = node.engine.mview_shape(context, table).await?;
        properties::check_mode(&properties, shape.is_some())?;
    }
    if properties.contains_key("storage_volume") {
        return Err(Error::unsupported("\"storage_volume\" of a materialized view cannot be changed"));
    }
    Ok(Command::SetTableProperties { table: table.id, properties })
}

/// `DROP MATERIALIZED VIEW`. Like a table it can be recovered.
///
/// # Errors
/// `UnknownTable`.
pub async fn drop(session: &Session, statement: &DropMaterializedView) -> Result<Answer> {
    let catalog = session.catalog();
    let found = match analyze::find_table(&catalog, &statement.name, &session.database) {
        Err(e)
            if statement.if_exists
                && matches!(e.kind(), ErrorKind::UnknownTable | ErrorKind::UnknownDatabase) =>
        {
            return Ok(Answer::done());
        }
        found => found?.1,
    };
    super::of(found)?;
    let (db, name, force) = (found.db, found.name.clone(), statement.force);
    session.node.propose(Command::DropTable { db, name, force }).await?;
    stop_runs_of_inactive(&session.node);
    Ok(Answer::done())
}

/// `ADMIN PAUSE MATERIALIZED VIEWS`: returns when no refresh runs any more.
///
/// # Errors
/// `Unavailable`.
pub async fn pause(session: &Session) -> Result<Answer> {
    let node = &session.node;
    let reply = node.propose(Command::PauseMviews { reason: PAUSED.to_owned() }).await?;
    stop_runs_of_inactive(node);
    node.mviews.wait_until_idle().await;
    Ok(Answer::affected(count(&reply), String::new()))
}

/// `ADMIN RESUME MATERIALIZED VIEWS`: active again are those, and only those, that the pause found active.
///
/// # Errors
/// `Unavailable`.
pub async fn resume(session: &Session) -> Result<Answer> {
    let reply = session.node.propose(Command::ResumeMviews {}).await?;
    session.node.mviews.wake();
    Ok(Answer::affected(count(&reply), String::new()))
}

fn count(reply: &Reply) -> u64 {
    match reply {
        Reply::Count(count) => *count,
        _ => 0,
    }
}

/// Runs whose view is gone or inactive could not commit: they need not go on.
pub fn stop_runs_of_inactive(node: &Arc<Node>) {
    let catalog = node.catalog();
    for run in catalog.task_runs().filter(|run| run.state == RunState::Running) {
        if let TaskOf::Mview(id) = run.task
            && !is_live_and_active(&catalog, id)
        {
            node.mviews.cancel(run.id);
        }
    }
}

pub(super) fn is_live_and_active(catalog: &Catalog, id: cairn_types::TableId) -> bool {
    let live = catalog.table(id).filter(|table| {
        table.dropped.is_none() && catalog.database(table.db).is_some_and(|db| db.dropped.is_none())
    });
    live.and_then(|table| table.mview()).is_some_and(Mview::is_active)
}
