//! `CREATE MATERIALIZED VIEW`.

use std::sync::Arc;

use cairn_catalog::{
    Catalog, Command, FirstRun, MviewSpec, Partitioning, RefreshScheme, RefreshTrigger, TableSpec,
};
use cairn_exec::mview::Analysis;
use cairn_mview::schedule::PRIORITY_NORMAL;
use cairn_sql::ast::{
    self, ColumnDef, CreateMaterializedView, RefreshMoment, Schedule, TableClauses, ViewColumn,
};
use cairn_types::{Error, Result, value};

use super::properties;
use super::refresh;
use crate::analyze::{self, table};
use crate::answer::Answer;
use crate::session::Session;
use crate::settings;

/// `CREATE MATERIALIZED VIEW`.
///
/// # Errors
/// What its query or its clauses meet; nothing is created then.
pub async fn create(session: &Session, statement: &CreateMaterializedView) -> Result<Answer> {
    if statement.is_synchronous() {
        return Err(Error::unsupported(
            "synchronous materialized view (rollup) is not supported: add REFRESH or DISTRIBUTED BY to make an \
             asynchronous one",
        ));
    }
    if let Some(index) = statement.indexes.first() {
        return Err(Error::unsupported(format!(
            "INDEX {} is not supported: segments have zone maps and bloom filters",
            index.name
        )));
    }
    let catalog = session.catalog();
    let (database, name) = analyze::table_name(&statement.name, &session.database)?;
    let db = analyze::find_database(&catalog, database)?.id;
    if statement.if_not_exists && catalog.table_named(db, name).is_some() {
        return Ok(Answer::done());
    }
    let analysis = analyze_query(session, &catalog, statement).await?;
    let mut spec = specification(db, name, statement, &analysis)?;
    if let Some(volume) = spec.properties.get("storage_volume") {
        let found = catalog.volume_named(volume);
        spec.volume =
            Some(found.ok_or_else(|| Error::analysis(format!("Unknown storage volume: {volume}")))?.id);
    }
    let refresh = scheme(session, &catalog, statement.clauses.refresh.as_ref())?;
    let definition = analysis.definition(1);
    let first_run = refresh.immediate.then(|| FirstRun {
        query_id: crate::session::query_id(&session.node),
        definition: refresh::executed(name, &definition),
        priority: PRIORITY_NORMAL,
    });
    let (schema, partitioning) = (&analysis.schema, &analysis.partitioning);
    properties::check_fit(&spec.properties, &definition, schema, partitioning, session.node.env.now_ms())?;
    let creator = session.user.clone();
    let spec = MviewSpec { table: spec, definition, refresh, creator, first_run };
    session.node.propose(Command::CreateMview(Box::new(spec))).await?;
    session.node.mviews.wake();
    Ok(Answer::done())
}

async fn analyze_query(
    session: &Session,
    catalog: &Arc<Catalog>,
    statement: &CreateMaterializedView,
) -> Result<Analysis> {
    let (context, _) = session.context(catalog, &[])?;
    let names: Vec<String> = statement.columns.iter().map(|c| c.name.clone()).collect();
    let exprs = statement.clauses.partition_by.as_ref().map_or(&[][..], |p| &p.exprs);
    let engine = &session.node.engine;
    engine
        .analyze_mview(Arc::new(context), &statement.query, statement.query_text.trim(), &names, exprs)
        .await
}

fn specification(
    db: cairn_types::DbId,
    name: &str,
    statement: &CreateMaterializedView,
    analysis: &Analysis,
) -> Result<TableSpec> {
    let properties = properties::check(&statement.clauses.properties)?;
    properties::check_mode(&properties, analysis.shape.is_some())?;
    let clauses = TableClauses {
        comment: statement.comment.clone(),
        distribution: statement.clauses.distribution.clone(),
        order_by: statement.clauses.order_by.clone(),
        ..TableClauses::default()
    };
    let columns: Vec<ColumnDef> = analysis
        .schema
        .visible()
        .iter()
        .enumerate()
        .map(|(at, column)| definition(column, statement.columns.get(at)))
        .collect();
    let mut spec = table::specification(db, name, &columns, &clauses)?;
    spec.schema.columns.extend(analysis.schema.hidden().iter().cloned());
    if analysis.partitioning != Partitioning::None {
        spec.partitions.clear();
    }
    spec.partitioning = analysis.partitioning.clone();
    spec.properties = properties;
    Ok(spec)
}

fn definition(column: &cairn_types::Column, named: Option<&ViewColumn>) -> ColumnDef {
    ColumnDef {
        name: column.name.clone(),
        ty: column.ty,
        key: false,
        aggregate: None,
        nullable: Some(column.nullable),
        default: None,
        auto_increment: false,
        generated: None,
        comment: named.and_then(|c| c.comment.clone()),
    }
}

/// When it is refreshed. Without a clause, by hand; without a word, at once after it is made.
///
/// # Errors
/// `Analysis` for an interval that is too short or a time that is none.
pub fn scheme(
    session: &Session,
    catalog: &Catalog,
    refresh: Option<&ast::RefreshScheme>,
) -> Result<RefreshScheme> {
    let default = settings::flag(catalog, "default_mv_refresh_immediate");
    let Some(refresh) = refresh else {
        return Ok(RefreshScheme { immediate: default, trigger: RefreshTrigger::Manual });
    };
    let immediate = refresh.moment.map_or(default, |moment| moment == RefreshMoment::Immediate);
    let trigger = match &refresh.trigger {
        ast::RefreshTrigger::Manual => RefreshTrigger::Manual,
        ast::RefreshTrigger::Async => RefreshTrigger::Change,
        ast::RefreshTrigger::Every(schedule) => every(session, catalog, schedule)?,
        ast::RefreshTrigger::Incremental => {
            return Err(Error::unsupported(
                "REFRESH INCREMENTAL is not supported: use REFRESH ASYNC with \"refresh_mode\" = \"incremental\"",
            ));
        }
    };
    Ok(RefreshScheme { immediate, trigger })
}

fn every(session: &Session, catalog: &Catalog, schedule: &Schedule) -> Result<RefreshTrigger> {
    let min = settings::number(catalog, "materialized_view_min_refresh_interval");
    let seconds = schedule.every.seconds();
    if seconds < min {
        return Err(Error::analysis(format!(
            "Refresh schedule interval {seconds} is too small which may cost a lot of memory/cpu resources to refresh \
             the asynchronous materialized view, please config an interval larger than {min} seconds \
             (Config.materialized_view_min_refresh_interval)."
        )));
    }
    let start_ms = start_ms(schedule.start.as_deref(), session.node.env.now_ms())?;
    Ok(RefreshTrigger::Every { start_ms, every_ms: seconds.saturating_mul(1_000) })
}

/// The moment that `START('…')` names, or `now_ms`.
///
/// # Errors
/// `Analysis` for what is no time.
pub fn start_ms(start: Option<&str>, now_ms: u64) -> Result<u64> {
    let Some(text) = start else { return Ok(now_ms) };
    let micros = value::parse_datetime(text).filter(|micros| *micros >= 0);
    let micros = micros.and_then(|micros| u64::try_from(micros).ok());
    micros
        .map(|micros| micros / 1_000)
        .ok_or_else(|| Error::analysis(format!("START('{text}') is not a time as '2024-01-31 13:00:00'")))
}
