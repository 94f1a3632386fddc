//! Materialized views: create, and bind to what the query reads.

use std::collections::{BTreeMap, BTreeSet};

use cairn_types::{Error, Result, TableId};
use imbl::OrdMap;

use crate::{
    Base, Catalog, Definition, Mview, MviewSpec, MviewState, Outcome, PartitionLink, RefreshScheme, Reply,
    Stamp, Table, TableKind,
};

/// The binding that a view is made with.
const FIRST_BINDING: u64 = 1;

impl Catalog {
    /// The visible materialized views, by id.
    pub fn mviews(&self) -> impl Iterator<Item = (&Table, &Mview)> {
        let visible = self.tables.values().filter(|table| self.is_visible(table));
        visible.filter_map(|table| Some((&**table, table.mview()?)))
    }

    /// The visible materialized view `id`.
    pub(crate) fn live_mview(&self, id: TableId) -> Result<(&Table, &Mview)> {
        let table = self.live_table(id)?;
        match table.mview() {
            Some(mview) => Ok((table, mview)),
            None => Err(Error::analysis(format!("'{}' is not a materialized view", table.name))),
        }
    }

    /// Does nothing when there is no such view.
    pub(crate) fn change_mview(&mut self, id: TableId, change: impl FnOnce(&mut Mview)) {
        let Some(mut table) = self.table(id).map(|t| Table::clone(t)) else { return };
        if let TableKind::Mview(mview) = &mut table.kind {
            change(mview);
            self.put_table(table);
        }
    }

    pub(crate) fn create_mview(&mut self, now: Stamp, spec: &MviewSpec) -> Outcome {
        self.check_definition(&spec.definition, spec.table.partitioning.columns().len(), None)?;
        let created = self.create_with_rows(now, &spec.table, |table| {
            TableKind::Mview(Box::new(Mview {
                table,
                definition: Definition { binding: FIRST_BINDING, ..spec.definition.clone() },
                refresh: spec.refresh.clone(),
                state: MviewState::Active,
                freshness: OrdMap::new(),
                creator: spec.creator.clone(),
            }))
        })?;
        if let (Reply::Table(id), Some(first)) = (&created, &spec.first_run) {
            self.submit_run(now, &first.of(*id))?;
        }
        Ok(created)
    }

    pub(crate) fn alter_mview_refresh(&mut self, id: TableId, refresh: &RefreshScheme) -> Outcome {
        let (_, mview) = self.live_mview(id)?;
        if mview.refresh == *refresh {
            return Ok(Reply::Unchanged);
        }
        self.change_mview(id, |mview| mview.refresh = refresh.clone());
        Ok(Reply::Done)
    }

    /// Makes a view active, bound as it is or as `definition` says. What was made from other bases stays recorded: it
    /// does not fit the new ones, and whoever compares sees that. No number tells of another query, though.
    pub(crate) fn activate_mview(&mut self, id: TableId, definition: Option<&Definition>) -> Outcome {
        let (_, mview) = self.live_mview(id)?;
        let old = &mview.definition;
        let mut bound = definition.unwrap_or(old).clone();
        self.check_definition(&bound, mview.table.partitioning.columns().len(), Some(id))?;
        bound.binding = old.binding + u64::from(!binds_the_same(old, &bound));
        if mview.is_active() && *old == bound {
            return Ok(Reply::Unchanged);
        }
        let another_query = self.means_another(old, &bound);
        self.change_mview(id, |mview| {
            if another_query {
                mview.freshness = OrdMap::new();
            }
            mview.definition = bound;
            mview.state = MviewState::Active;
        });
        Ok(Reply::Done)
    }

    /// The catalog's own check of what the analyzer made. `itself` is the view when it exists already.
    fn check_definition(
        &self,
        definition: &Definition,
        partition_columns: usize,
        itself: Option<TableId>,
    ) -> Result<()> {
        for base in &definition.bases {
            self.live_base(base, |table| table.olap().is_some())?;
        }
        for view in &definition.views {
            self.live_base(view, |table| table.view().is_some())?;
        }
        let ids = ids(&definition.bases);
        if ids.len() != definition.bases.len() {
            return Err(Error::internal("a materialized view names a base twice"));
        }
        if let Some(id) = itself
            && self.is_read_by(id, &ids)
        {
            return Err(Error::analysis("a materialized view must not read itself, through others neither"));
        }
        if definition.links.is_empty() != (partition_columns == 0) {
            return Err(Error::internal(
                "a materialized view has links to its bases exactly if it has partitions",
            ));
        }
        definition.links.iter().try_for_each(|link| self.check_link(link, &ids, partition_columns))
    }

    fn live_base(&self, base: &Base, fits: impl FnOnce(&Table) -> bool) -> Result<&Table> {
        let table = self.table(base.id).filter(|table| self.is_visible(table) && fits(table));
        table.map(|t| &**t).ok_or_else(|| Error::unknown_table(&format!("{}.{}", base.db, base.name)))
    }

    fn check_link(&self, link: &PartitionLink, bases: &BTreeSet<TableId>, columns: usize) -> Result<()> {
        let table = self.live_table(link.base)?;
        let fits = bases.contains(&link.base)
            && link.columns.len() == columns
            && link.columns.iter().all(|c| c.column < table.schema().columns.len());
        match fits {
            true => Ok(()),
            false => Err(Error::internal(format!("the link to base '{}' points outside of it", table.name))),
        }
    }

    /// Whether the rows of `new` may differ from those of `old` over the same bases: another text, or other views.
    fn means_another(&self, old: &Definition, new: &Definition) -> bool {
        let view = |base: &Base| self.table(base.id).and_then(|t| t.view());
        let same = |(old, new): (&Base, &Base)| {
            old.id == new.id || matches!((view(old), view(new)), (Some(a), Some(b)) if !a.differs(b))
        };
        let (old_views, new_views) = (by_name(&old.views), by_name(&new.views));
        old.query != new.query
            || old_views.len() != new_views.len()
            || !old_views.into_values().zip(new_views.into_values()).all(same)
    }

    /// Whether one of `readers` is `id`, or reads it through materialized views.
    fn is_read_by(&self, id: TableId, readers: &BTreeSet<TableId>) -> bool {
        let mut open: Vec<TableId> = readers.iter().copied().collect();
        let mut seen = BTreeSet::new();
        while let Some(reader) = open.pop() {
            if reader == id {
                return true;
            }
            if seen.insert(reader)
                && let Some(mview) = self.table(reader).and_then(|t| t.mview())
            {
                open.extend(mview.definition.bases.iter().map(|base| base.id));
            }
        }
        false
    }
}

fn ids(bases: &[Base]) -> BTreeSet<TableId> {
    bases.iter().map(|base| base.id).collect()
}

fn by_name(views: &[Base]) -> BTreeMap<(&str, &str), &Base> {
    views.iter().map(|view| ((view.db.as_str(), view.name.as_str()), view)).collect()
}

/// Whether a refresh that read by `old` has read what it would have by `new`. A renamed base is the same base.
fn binds_the_same(old: &Definition, new: &Definition) -> bool {
    old.query == new.query
        && ids(&old.bases) == ids(&new.bases)
        && ids(&old.views) == ids(&new.views)
        && old.links == new.links
}
