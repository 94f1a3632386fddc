//! Offers views to queries: which could answer, and which of their partitions are fresh enough.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_catalog::{Catalog, Mview, MviewState, Table};
use cairn_exec::mview::{CandidateSpec, CandidateUse, MviewOptions, MviewSource, RewriteMode};
use cairn_mview::{Purpose, verdict};
use cairn_types::{Result, TableId};

use crate::session::variables::Variables;

/// Each level plans once more.
const DEPTH_MAX: usize = 10;

/// The views of whatever catalog a query is planned on.
struct Views {
    now_ms: u64,
}

/// What a session says about views.
///
/// # Errors
/// None now: values were checked when they were set.
pub fn options(variables: &Variables, catalog: &Catalog, now_ms: u64) -> Result<MviewOptions> {
    let is_on = |name: &str| variables.get(catalog, name).as_deref() == Some("1");
    let on = is_on("enable_materialized_view_rewrite");
    let mode = match variables.get(catalog, "materialized_view_rewrite_mode").as_deref() {
        _ if !on => RewriteMode::Disable,
        Some("disable") => RewriteMode::Disable,
        Some("force") => RewriteMode::Force,
        _ => RewriteMode::Default,
    };
    Ok(MviewOptions {
        mode,
        union: is_on("enable_materialized_view_union_rewrite"),
        depth_max: usize::try_from(variables.number(catalog, "nested_mv_rewrite_max_level"))
            .unwrap_or(0)
            .min(DEPTH_MAX),
        source: Some(Arc::new(Views { now_ms })),
    })
}

impl MviewSource for Views {
    fn candidates(&self, catalog: &Catalog, tables: &BTreeSet<TableId>) -> Vec<CandidateSpec> {
        let fits = |mview: &Mview| mview.definition.bases.iter().all(|base| tables.contains(&base.id));
        let candidates = catalog.mviews().filter(|(table, mview)| !tables.contains(&table.id) && fits(mview));
        let spec = |(table, mview): (&Table, &Mview)| {
            let usable = self.usable(catalog, table, mview);
            Some(CandidateSpec { mview: Arc::clone(catalog.table(table.id)?), usable })
        };
        candidates.filter_map(spec).collect()
    }

    fn fresh(&self, catalog: &Catalog, table: &Table) -> CandidateUse {
        match table.mview().map(|mview| &mview.state) {
            Some(MviewState::Inactive { reason, .. }) => {
                CandidateUse::No(format!("it is inactive: {reason}"))
            }
            _ => self.verdict(catalog, table),
        }
    }
}

impl Views {
    fn usable(&self, catalog: &Catalog, table: &Table, mview: &Mview) -> CandidateUse {
        let property = |name: &str| mview.table.properties.get(name).map(|v| v.trim().to_ascii_lowercase());
        if property("enable_query_rewrite").as_deref() == Some("false") {
            return CandidateUse::No("\"enable_query_rewrite\" is false".to_owned());
        }
        match property("query_rewrite_consistency").as_deref() {
            Some("disable") => CandidateUse::No("\"query_rewrite_consistency\" is disable".to_owned()),
            // Who says so takes the rows as they are.
            Some("loose" | "nocheck" | "force_mv") if mview.is_active() => CandidateUse::All,
            _ => self.fresh(catalog, table),
        }
    }

    fn verdict(&self, catalog: &Catalog, table: &Table) -> CandidateUse {
        let found = match verdict(catalog, table, Purpose::Rewrite, self.now_ms) {
            Ok(found) => found,
            Err(error) => return CandidateUse::No(error.message().to_owned()),
        };
        if found.is_fresh() {
            return CandidateUse::All;
        }
        if let Some(base) = found.stale_bases.first() {
            return CandidateUse::No(format!("its base {} is stale itself", base.name));
        }
        let fresh: BTreeSet<_> =
            found.cells.iter().filter(|c| c.is_fresh()).filter_map(|c| c.partition).collect();
        if !fresh.is_empty() {
            return CandidateUse::Partitions(fresh);
        }
        let why = found.stale().flat_map(|cell| &cell.reasons).next();
        CandidateUse::No(match why {
            Some(reason) => format!("it is stale: {reason}"),
            None => "it is stale".to_owned(),
        })
    }
}
