//! Definitions of MVs, planned once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use cairn_catalog::{Catalog, Mview, Table};
use cairn_ingest::arrow_schema;
use cairn_types::{Schema, TableId};
use parking_lot::Mutex;

use super::candidate::Candidate;
use super::catalog_rows::CatalogRows;
use super::definition::Definition;
use super::options::{CandidateSpec, CandidateUse};
use crate::engine::{Engine, QueryContext};
use crate::mview::deterministic::check_plan;
use crate::mview::prepare::prepare;
use crate::mview::scan::each_table;

/// Definitions that are kept. Above that all are forgotten: MVs that were dropped are among them.
const KEPT_MAX: usize = 10_000;

/// A definition, or why there is none.
type Kept = Result<Arc<Definition>, String>;

/// Planned definitions, which hold no catalog, by MV. The number says what they were planned from.
#[derive(Default)]
pub(crate) struct DefinitionCache {
    kept: Mutex<HashMap<TableId, (u64, Kept)>>,
}

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
    let key = key(&context.catalog, mview).ok_or("a table of its query is gone")?;
    if let Some((known, kept)) = engine.definitions.kept.lock().get(&table.id)
        && *known == key
    {
        return kept.clone();
    }
    let planned = plan(engine, context, mview).await.map(Arc::new);
    let mut kept = engine.definitions.kept.lock();
    if kept.len() >= KEPT_MAX {
        kept.clear();
    }
    kept.insert(table.id, (key, planned.clone()));
    planned
}

async fn plan(engine: &Engine, context: &Arc<QueryContext>, mview: &Mview) -> Result<Definition, String> {
    let definition = &mview.definition;
    let planned = engine.plan_definition(context, &definition.query, &definition.default_db).await;
    let (plan, state) = planned.map_err(|e| e.to_string())?;
    let plan = prepare(&state, plan).map_err(|e| e.strip_backtrace())?;
    check_plan(&plan).map_err(|e| e.to_string())?;
    let mut is_bound = true;
    each_table(&plan, &mut |table| is_bound &= definition.bases.iter().any(|b| b.id == table.id));
    if !is_bound {
        return Err("its query reads other tables than it was bound to".to_owned());
    }
    let fields: Vec<FieldRef> = arrow_schema(&mview.table.schema).fields().iter().cloned().collect();
    Definition::of(&plan, fields)
}

/// A number of all that a definition is planned from: the query, the columns of its tables, the texts of its views.
fn key(catalog: &Catalog, mview: &Mview) -> Option<u64> {
    let definition = &mview.definition;
    let mut hasher = DefaultHasher::new();
    (&definition.query, &definition.default_db, definition.binding).hash(&mut hasher);
    columns(&mview.table.schema, &mut hasher);
    for base in definition.bases.iter().chain(&definition.views) {
        let table = catalog.table(base.id)?;
        base.id.hash(&mut hasher);
        columns(table.schema(), &mut hasher);
        if let Some(view) = table.view() {
            (&view.query, &view.default_db).hash(&mut hasher);
        }
    }
    Some(hasher.finish())
}

fn columns(schema: &Schema, hasher: &mut DefaultHasher) {
    for column in &schema.columns {
        (&column.name, column.ty, column.nullable).hash(hasher);
    }
}
