//! Definitions of MVs, planned once.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use cairn_catalog::{Mview, Table};
use cairn_ingest::arrow_schema;

use super::candidate::Candidate;
use super::catalog_rows::CatalogRows;
use super::definition::Definition;
use super::options::{CandidateSpec, CandidateUse};
use crate::engine::{Engine, QueryContext};
use crate::mview::deterministic::check_plan;
use crate::mview::partials;
use crate::mview::prepare::prepare;
use crate::mview::scan::each_table;

/// A definition, or why there is none.
pub(crate) type Kept = Result<Arc<Definition>, String>;

/// The MVs of `specs` that queries can be compared with, and the others with reasons.
pub(super) async fn candidates(
    engine: &Engine,
    context: &Arc<QueryContext>,
    specs: Vec<CandidateSpec>,
) -> (Vec<Candidate>, Vec<(String, String)>) {
    let (mut candidates, mut unusable) = (Vec::new(), Vec::new());
    for spec in specs {
        let name = spec.mview.name.clone();
        if let CandidateUse::No(reason) = spec.usable {
            unusable.push((name, reason));
            continue;
        }
        match candidate(engine, context, spec).await {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => unusable.push((name, reason)),
        }
    }
    (candidates, unusable)
}

/// The MV of `spec` as blocks are compared with it.
///
/// # Errors
/// Why none can be.
pub(super) async fn candidate(
    engine: &Engine,
    context: &Arc<QueryContext>,
    spec: CandidateSpec,
) -> Result<Candidate, String> {
    let mview = spec.mview.mview().ok_or("it is no materialized view")?;
    Ok(Candidate {
        name: spec.mview.name.clone(),
        definition: definition(engine, context, &spec.mview, mview).await?,
        partitioning: mview.table.partitioning.clone(),
        rows: Arc::new(CatalogRows {
            catalog: Arc::clone(&context.catalog),
            usable: spec.usable,
            tablets: Arc::clone(&engine.tablets),
            log: Arc::clone(&context.scans),
            table: Arc::clone(&spec.mview),
        }),
    })
}

async fn definition(engine: &Engine, context: &Arc<QueryContext>, table: &Table, mview: &Mview) -> Kept {
    let find = async { Ok(plan(engine, context, mview).await.map(Arc::new)) };
    let gone = || "a table of its query is gone".to_owned();
    engine.definitions.get(&context.catalog, table, mview, gone, find).await?
}

async fn plan(engine: &Engine, context: &Arc<QueryContext>, mview: &Mview) -> Result<Definition, String> {
    let definition = &mview.definition;
    let planned = engine.plan_definition(context, &definition.query, &definition.default_db).await;
    let (plan, state) = planned.map_err(|e| e.to_string())?;
    let plan = prepare(&state, plan).map_err(|e| e.strip_backtrace())?;
    let plan = partials::stored(plan, &mview.table.schema, &state).map_err(|e| e.strip_backtrace())?;
    check_plan(&plan).map_err(|e| e.to_string())?;
    let mut is_bound = true;
    each_table(&plan, &mut |table| is_bound &= definition.bases.iter().any(|b| b.id == table.id));
    if !is_bound {
        return Err("its query reads other tables than it was bound to".to_owned());
    }
    let fields: Vec<FieldRef> = arrow_schema(&mview.table.schema).fields().iter().cloned().collect();
    Definition::of(&plan, fields)
}
