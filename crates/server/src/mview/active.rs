//! Makes views active again: by statement, and by itself when a base that changed fits again.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::{Catalog, Command, Definition, InactiveCause, MviewState, Table};
use cairn_mview::schedule::backoff;
use cairn_types::{Error, Result, SqlType, TableId};
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::settings;

/// Makes `table` active. With `validate`, its query must still give its columns; then it is bound to what its names mean
/// now. What it knows of its bases stays: nothing is refreshed that did not change.
///
/// # Errors
/// In StarRocks' words, why it cannot be.
pub async fn activate(node: &Arc<Node>, catalog: &Arc<Catalog>, table: &Table, validate: bool) -> Result<()> {
    let definition = match validate {
        false => None,
        true => Some(Box::new(bind(node, catalog, table).await.map_err(|error| {
            Error::analysis(format!(
                "Can not active materialized view [{}] because analyze materialized view define sql: {}",
                table.name,
                error.message()
            ))
        })?)),
    };
    node.propose(Command::ActivateMview { mview: table.id, definition }).await.map(|_| ())
}

/// The definition of `table`, bound to what its names mean in `catalog`.
async fn bind(node: &Arc<Node>, catalog: &Arc<Catalog>, table: &Table) -> Result<Definition> {
    let mview = super::of(table)?;
    let definition = &mview.definition;
    let query = cairn_sql::parse_query(&definition.query)?;
    let exprs = match definition.partition_by.is_empty() {
        true => Vec::new(),
        false => partition_exprs(&definition.partition_by)?,
    };
    let names: Vec<String> = table.schema().visible().iter().map(|c| c.name.clone()).collect();
    let context = Arc::new(super::context(node, catalog, table)?);
    let found = node.engine.analyze_mview(context, &query, &definition.query, &names, &exprs).await?;
    for (old, new) in table.schema().visible().iter().zip(found.schema.visible()) {
        // A view keeps its columns: what gives DATEs or BIGINTs now may have given DATETIMEs or INTs when it was made.
        let is_known = matches!(
            (old.ty, new.ty),
            (SqlType::DateTime, SqlType::Date)
                | (SqlType::TinyInt | SqlType::SmallInt | SqlType::Int, SqlType::BigInt)
        );
        if old.ty != new.ty && !is_known {
            return Err(Error::analysis(format!(
                "column schema not compatible: ({} {}) and ({} {})",
                old.name, old.ty, new.name, new.ty
            )));
        }
    }
    if found.partitioning != mview.table.partitioning {
        return Err(Error::analysis("its bases are partitioned in another way than when it was made"));
    }
    let mut found = found.definition(definition.binding);
    let bases: Vec<TableId> = found.bases.iter().map(|base| base.id).collect();
    if cairn_mview::graph::would_cycle(catalog, table.id, &bases) {
        return Err(Error::analysis("it would read itself, directly or through other materialized views"));
    }
    if let Some(base) = found.bases.iter().find(|base| is_inactive(catalog, base.id)) {
        return Err(Error::analysis(format!("its base materialized view {} is inactive", base.name)));
    }
    definition.partition_by.clone_into(&mut found.partition_by);
    Ok(found)
}

fn is_inactive(catalog: &Catalog, id: TableId) -> bool {
    catalog.table(id).and_then(|table| table.mview()).is_some_and(|mview| !mview.is_active())
}

/// The expressions of a `PARTITION BY` clause.
fn partition_exprs(text: &str) -> Result<Vec<sqlparser::ast::Expr>> {
    let text = text.trim();
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
    match cairn_sql::parse_expression(&format!("({inner})"))? {
        sqlparser::ast::Expr::Tuple(exprs) => Ok(exprs),
        sqlparser::ast::Expr::Nested(expr) => Ok(vec![*expr]),
        other => Ok(vec![other]),
    }
}

/// Between two looks at the clock: the interval may be changed at any time.
const TICK_MS: u64 = 1_000;

/// How often a view was tried in vain, and when it is next.
#[derive(Clone, Copy, Default)]
struct Attempt {
    count: u32,
    next_ms: u64,
}

/// Tries views that changes of bases made inactive, until `shutdown`.
pub async fn run(node: Arc<Node>, shutdown: CancellationToken) {
    let mut attempts = BTreeMap::new();
    let mut checked_ms = node.env.now_ms();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = node.env.sleep_ms(TICK_MS) => {}
        }
        let catalog = node.catalog();
        let interval_ms = settings::number(&catalog, "mv_active_checker_interval_seconds") * 1_000;
        let due = node.env.now_ms().saturating_sub(checked_ms) >= interval_ms;
        if due && settings::flag(&catalog, "enable_mv_automatic_active_check") {
            check(&node, &mut attempts).await;
            checked_ms = node.env.now_ms();
        }
    }
}

async fn check(node: &Arc<Node>, attempts: &mut BTreeMap<TableId, Attempt>) {
    let catalog = node.catalog();
    let fallen: Vec<TableId> = catalog
        .mviews()
        .filter(|(_, mview)| matches!(mview.state, MviewState::Inactive { cause: InactiveCause::Base, .. }))
        .map(|(table, _)| table.id)
        .collect();
    attempts.retain(|id, _| fallen.contains(id));
    let now_ms = node.env.now_ms();
    // Bottom-up, each on the newest catalog: one that becomes active lets those above follow in the same round.
    for id in cairn_mview::graph::order(&catalog, &fallen) {
        let attempt = attempts.entry(id).or_default();
        if attempt.next_ms > now_ms {
            continue;
        }
        let catalog = node.catalog();
        let Some(table) = catalog.table(id).cloned() else { continue };
        match activate(node, &catalog, &table, true).await {
            Ok(()) => {
                tracing::info!(mview = %table.name, "a materialized view is active again");
                attempts.remove(&id);
                node.mviews.wake();
            }
            Err(error) => {
                tracing::debug!(mview = %table.name, %error, "a materialized view stays inactive");
                attempt.next_ms = now_ms + backoff(attempt.count) * 60_000;
                attempt.count += 1;
            }
        }
    }
}
