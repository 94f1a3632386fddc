//! The verdict: which partitions of an MV are stale, and why.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{Bounds, Catalog, Freshness, Seen, Table};
use cairn_types::{PartitionId, Result, TableId};

use crate::bound::Bound;
use crate::differences::differences;
use crate::exclusions::excluded;
use crate::layers::{BaseFreshness, Layers};
use crate::plan::{Planned, plan};
use crate::{BaseName, Reason, cells, expiry, properties};

/// What the verdict is for, which decides what counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Should a refresh start by itself? Without `excluded_trigger_tables` and `excluded_refresh_tables`; only the
    /// newest `auto_refresh_partitions_limit` cells are looked at.
    Trigger,
    /// What does a refresh rebuild? Without `excluded_refresh_tables`.
    Refresh,
    /// May a query be answered? All bases count, and a base that is an MV must be fresh itself; cells that are not kept
    /// for their age are looked at too. `mv_rewrite_staleness_second` lets changes pass.
    Rewrite,
}

/// What is to be done about an MV.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The partitions that it should have, sorted by bounds and apart from each other.
    pub cells: Vec<CellVerdict>,
    /// Ids and names of its partitions that are no cell, by bounds. A refresh drops them before it makes cells; until
    /// then a query must not read them in place of the bases.
    pub obsolete: Vec<(PartitionId, String)>,
    /// For `Rewrite`: the bases that are MVs and not wholly fresh themselves.
    pub stale_bases: Vec<BaseName>,
}

/// One partition that an MV should have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CellVerdict {
    /// The name of the existing partition, or the one that a new partition is to have.
    pub name: String,
    pub bounds: Bounds,
    /// The MV's partition with exactly these bounds.
    pub partition: Option<PartitionId>,
    /// The partitions of the bases that determine partitions (of all bases when the MV has no partitions), ascending.
    pub sources: BTreeMap<TableId, Vec<PartitionId>>,
    /// What a refresh that reads this catalog records: all bases, excluded ones too, because they are read.
    pub seen: BTreeMap<TableId, Seen>,
    /// Empty: fresh. A fresh cell without partition has no rows.
    pub reasons: Vec<Reason>,
}

impl CellVerdict {
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Whether there is nothing to make: no partition, and no rows that one would be made from.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.partition.is_none() && self.reasons.is_empty()
    }
}

impl Verdict {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.obsolete.is_empty()
            && self.stale_bases.is_empty()
            && self.cells.iter().all(CellVerdict::is_fresh)
    }

    /// The cells that are not fresh.
    pub fn stale(&self) -> impl Iterator<Item = &CellVerdict> {
        self.cells.iter().filter(|cell| !cell.is_fresh())
    }
}

/// Compares what `table`, an MV, was made from with what there is in `catalog`. `now_ms`, milliseconds since 1970-01-01
/// UTC, counts for ages only.
///
/// # Errors
/// As [`cells()`](crate::cells()), and `Analysis` for a property that makes no sense.
pub fn verdict(catalog: &Catalog, table: &Table, purpose: Purpose, now_ms: u64) -> Result<Verdict> {
    verdict_within(catalog, table, purpose, now_ms, &mut Layers::default())
        .map_err(|e| e.context(format_args!("materialized view {}", table.name)))
}

/// Whether `verdict` finds nothing to be done.
///
/// # Errors
/// As [`verdict`].
pub fn is_fresh(catalog: &Catalog, table: &Table, purpose: Purpose, now_ms: u64) -> Result<bool> {
    verdict(catalog, table, purpose, now_ms).map(|verdict| verdict.is_fresh())
}

/// For an automatic run: takes away the cells that are older than the newest `auto_refresh_partitions_limit`, which
/// [`Purpose::Trigger`] does by itself.
///
/// # Errors
/// `Analysis` when the property is no number, or the partitions have no order in time.
pub fn limit_automatic(table: &Table, verdict: &mut Verdict, now_ms: u64) -> Result<()> {
    let properties = table.olap().map(|olap| &olap.properties);
    let limit = properties.map(|p| properties::limit(p, "auto_refresh_partitions_limit")).transpose()?;
    let Some(limit) = limit.flatten() else { return Ok(()) };
    let beyond = expiry::cells_beyond(verdict.cells.iter().map(|cell| &cell.bounds), limit, now_ms)?;
    verdict.cells.drain(..beyond.min(verdict.cells.len()));
    Ok(())
}

pub(crate) fn verdict_within(
    catalog: &Catalog,
    table: &Table,
    purpose: Purpose,
    now_ms: u64,
    layers: &mut Layers,
) -> Result<Verdict> {
    let bound = Bound::new(catalog, table)?;
    let mut plan = plan(catalog, &bound)?;
    if purpose != Purpose::Rewrite {
        expiry::drop_expired(table, &mut plan.cells, now_ms)?;
    }
    let judge = Judge {
        catalog,
        bound: &bound,
        purpose,
        excluded: excluded(bound.mview, purpose),
        dimensions: dimensions(&bound),
        layers: if purpose == Purpose::Rewrite {
            layers.of_bases(catalog, &bound, now_ms)
        } else {
            Vec::new()
        },
        excused: excused_since(&bound, purpose, now_ms)?,
    };
    let obsolete = plan.obsolete();
    let obsolete = obsolete.into_iter().filter(|p| judge.counts_as_obsolete(p.id));
    let obsolete = obsolete.map(|p| (p.id, p.name.clone())).collect();
    if purpose == Purpose::Trigger {
        expiry::drop_beyond_limit(table, &mut plan.cells, now_ms)?;
    }
    let stale_bases =
        judge.layers.iter().filter(|base| base.is_stale()).map(|base| base.name.clone()).collect();
    let cells = plan.cells.into_iter().map(|cell| judge.cell(cell)).collect();
    Ok(Verdict { cells, obsolete, stale_bases })
}

/// What is recorded of the bases that determine no partition: the same for all cells.
fn dimensions(bound: &Bound<'_>) -> Vec<(TableId, Seen)> {
    let dimensions = bound.bases.iter().filter(|base| !base.by_partitions(bound.mview));
    dimensions.map(|base| (base.name.id, Seen::Table(base.olap.data_version))).collect()
}

/// The refresh time from which on changes do not count for a rewrite.
fn excused_since(bound: &Bound<'_>, purpose: Purpose, now_ms: u64) -> Result<Option<u64>> {
    if purpose != Purpose::Rewrite {
        return Ok(None);
    }
    let seconds = properties::seconds(&bound.mview.table.properties, "mv_rewrite_staleness_second")?;
    Ok(seconds.map(|seconds| now_ms.saturating_sub(seconds.saturating_mul(1_000))))
}

struct Judge<'a> {
    catalog: &'a Catalog,
    bound: &'a Bound<'a>,
    purpose: Purpose,
    excluded: BTreeSet<TableId>,
    dimensions: Vec<(TableId, Seen)>,
    /// For `Rewrite`: the bases that are MVs.
    layers: Vec<BaseFreshness>,
    excused: Option<u64>,
}

impl Judge<'_> {
    fn cell(&self, planned: Planned<'_>) -> CellVerdict {
        let seen = self.seen(&planned);
        let partition = planned.partition.map(|p| p.id);
        let recorded = partition.and_then(|id| self.bound.mview.freshness.get(&id));
        let mut reasons = match recorded {
            Some(recorded) => self.reasons(recorded, &seen),
            None if self.builds(partition.is_some(), &seen) => vec![Reason::NeverBuilt],
            None => Vec::new(),
        };
        let stale = self.layers.iter().filter(|base| base.touches(&planned.sources));
        reasons.extend(stale.map(|base| Reason::BaseStale { base: base.name.clone() }));
        let sources = cells::sources(&self.bound.bases, &planned.sources);
        CellVerdict { name: planned.name, bounds: planned.bounds, partition, sources, seen, reasons }
    }

    fn reasons(&self, recorded: &Freshness, seen: &BTreeMap<TableId, Seen>) -> Vec<Reason> {
        if recorded.bases == *seen {
            return Vec::new();
        }
        let mut reasons = differences(self.catalog, self.bound, recorded, seen, &self.excluded);
        if self.excused.is_some_and(|since| recorded.refreshed.time_ms >= since) {
            reasons.retain(|reason| matches!(reason, Reason::BaseNew { .. } | Reason::BaseGone { .. }));
        }
        reasons
    }

    /// Partitions without rows are left out: one that comes or goes changes nothing.
    fn seen(&self, planned: &Planned<'_>) -> BTreeMap<TableId, Seen> {
        let mut of_bases = planned.sources.chunk_by(|a, b| a.base == b.base).peekable();
        let mut versions = |position: usize| {
            let sources = of_bases.next_if(|chunk| chunk.first().is_some_and(|first| first.base == position));
            let with_rows =
                sources.into_iter().flatten().filter_map(|s| Some((s.partition, s.partition.visible()?)));
            Seen::Partitions(with_rows.map(|(partition, last)| (partition.id, last.version)).collect())
        };
        let bases =
            self.bound.bases.iter().enumerate().filter(|(_, base)| base.by_partitions(self.bound.mview));
        let partitions = bases.map(|(position, base)| (base.name.id, versions(position)));
        partitions.chain(self.dimensions.iter().cloned()).collect()
    }

    /// Whether a cell that was never built is to be built. What determines partitions and has no rows makes none; and
    /// by itself nothing starts for the sake of excluded bases.
    fn builds(&self, exists: bool, seen: &BTreeMap<TableId, Seen>) -> bool {
        let whole = self.bound.mview.definition.links.is_empty();
        let has_rows = |id| matches!(seen.get(id), Some(Seen::Partitions(of)) if !of.is_empty());
        let mut ids = self.bound.bases.iter().map(|base| &base.name.id);
        match self.purpose {
            Purpose::Trigger => ids.any(|id| !self.excluded.contains(id) && (whole || has_rows(id))),
            Purpose::Refresh | Purpose::Rewrite => whole || exists || ids.any(has_rows),
        }
    }

    /// By itself nothing starts to drop what was made from excluded bases alone.
    fn counts_as_obsolete(&self, id: PartitionId) -> bool {
        let Some(recorded) = self.bound.mview.freshness.get(&id) else { return true };
        let counts = |(base, seen): (&TableId, &Seen)| {
            !self.excluded.contains(base) && matches!(seen, Seen::Partitions(of) if !of.is_empty())
        };
        self.purpose != Purpose::Trigger || self.excluded.is_empty() || recorded.bases.iter().any(counts)
    }
}
