//! MVs on MVs: a query may read an MV only if the MVs that it was made from are fresh too.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{Catalog, Table};
use cairn_types::{PartitionId, TableId};

use crate::BaseName;
use crate::bound::{Bound, BoundBase};
use crate::source::Source;
use crate::verdict::{Purpose, verdict_within};

/// What was found about MVs so far: each is looked at once, however many paths lead to it.
#[derive(Default)]
pub(crate) struct Layers(BTreeMap<TableId, Stale>);

#[derive(Clone)]
enum Stale {
    /// These partitions; none: it is fresh.
    Partitions(BTreeSet<PartitionId>),
    /// Rows are missing or too many in no partition that could be named, so all that reads it is stale.
    Whole,
}

/// A base that is an MV.
pub(crate) struct BaseFreshness {
    pub name: BaseName,
    by_partitions: bool,
    position: usize,
    stale: Stale,
}

impl BaseFreshness {
    pub(crate) fn is_stale(&self) -> bool {
        !matches!(&self.stale, Stale::Partitions(stale) if stale.is_empty())
    }

    /// Whether stale rows of this base are in a cell made from `sources`.
    pub(crate) fn touches(&self, sources: &[Source<'_>]) -> bool {
        match &self.stale {
            Stale::Whole => true,
            Stale::Partitions(stale) if !self.by_partitions => !stale.is_empty(),
            Stale::Partitions(stale) => {
                let mut of_base = sources.iter().filter(|source| source.base == self.position);
                of_base.any(|source| stale.contains(&source.partition.id))
            }
        }
    }
}

impl Layers {
    /// What is stale of the bases of an MV that are MVs.
    pub(crate) fn of_bases(
        &mut self,
        catalog: &Catalog,
        bound: &Bound<'_>,
        now_ms: u64,
    ) -> Vec<BaseFreshness> {
        let mut layers = Vec::new();
        for (position, base) in bound.bases.iter().enumerate() {
            let BoundBase { name, table, .. } = base;
            if table.mview().is_some() {
                let stale = self.stale(catalog, table, now_ms);
                let by_partitions = base.by_partitions(bound.mview);
                layers.push(BaseFreshness { name: name.clone(), by_partitions, position, stale });
            }
        }
        layers
    }

    fn stale(&mut self, catalog: &Catalog, table: &Table, now_ms: u64) -> Stale {
        if let Some(known) = self.0.get(&table.id) {
            return known.clone();
        }
        // Stands while the MV is looked at, so that a circle, which should not be, ends.
        self.0.insert(table.id, Stale::Whole);
        let stale = self.look_at(catalog, table, now_ms);
        self.0.insert(table.id, stale.clone());
        stale
    }

    fn look_at(&mut self, catalog: &Catalog, table: &Table, now_ms: u64) -> Stale {
        if !table.mview().is_some_and(cairn_catalog::Mview::is_active) {
            return Stale::Whole;
        }
        // An MV that cannot be judged cannot be called fresh.
        let Ok(verdict) = verdict_within(catalog, table, Purpose::Rewrite, now_ms, self) else {
            return Stale::Whole;
        };
        let without_partition = verdict.stale().any(|cell| cell.partition.is_none());
        let empty = verdict.cells.is_empty() && !verdict.stale_bases.is_empty();
        if without_partition || empty || !verdict.obsolete.is_empty() {
            return Stale::Whole;
        }
        Stale::Partitions(verdict.stale().filter_map(|cell| cell.partition).collect())
    }
}
