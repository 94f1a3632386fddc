//! Whether materialized views are active: what users, the administrator and changes of bases do to that.
//!
//! A change of a base is seen in the command that makes it: there is no moment in which a view is active above a table
//! that is gone. Freshness stays, except where the text of a view says that the rows must be others.

use std::collections::BTreeSet;

use cairn_types::{DbId, TableId};
use imbl::OrdMap;

use crate::task::TaskOf;
use crate::{Catalog, InactiveCause, Mview, MviewState, Outcome, Reply, Stamp};

/// `false`: only a dropped base makes the views above it inactive.
const SETTING: &str = "enable_mv_automatic_inactive_by_base_table_changes";

/// What happened to a base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BaseChange {
    Dropped,
    Renamed,
    Swapped,
    ViewChanged,
    MviewInactive,
}

impl BaseChange {
    /// StarRocks' words.
    fn reason(self, name: &str) -> String {
        let what = match self {
            Self::Dropped => "base-table dropped",
            Self::Renamed => "base-table renamed",
            Self::Swapped => "base-table swapped",
            Self::ViewChanged => "base-view changed",
            Self::MviewInactive => "base-mv inactive",
        };
        format!("{what}: {name}")
    }
}

impl InactiveCause {
    /// A cause gives way to a stronger one only.
    fn strength(self) -> u8 {
        match self {
            Self::Paused => 1,
            Self::Base => 2,
            Self::Manual => 3,
        }
    }
}

impl Catalog {
    pub(crate) fn deactivate_mview(
        &mut self,
        now: Stamp,
        id: TableId,
        cause: InactiveCause,
        reason: &str,
    ) -> Outcome {
        self.live_mview(id)?;
        if !self.make_inactive(now, id, cause, reason) {
            return Ok(Reply::Unchanged);
        }
        // Above a paused view all are paused.
        if cause != InactiveCause::Paused {
            self.base_changed(now, id, BaseChange::MviewInactive);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn pause_mviews(&mut self, now: Stamp, reason: &str) -> Outcome {
        let active: Vec<_> =
            self.mviews().filter(|(_, mview)| mview.is_active()).map(|(table, _)| table.id).collect();
        for id in &active {
            self.make_inactive(now, *id, InactiveCause::Paused, reason);
        }
        Ok(Reply::Count(active.len() as u64))
    }

    /// Those in the recycle bin too: they must not come back paused.
    pub(crate) fn resume_mviews(&mut self) -> Outcome {
        let is_paused =
            |state: &MviewState| matches!(state, MviewState::Inactive { cause: InactiveCause::Paused, .. });
        let paused = self.tables.values().filter(|t| t.mview().is_some_and(|m| is_paused(&m.state)));
        let paused: Vec<_> = paused.map(|table| table.id).collect();
        for id in &paused {
            self.change_mview(*id, |mview| mview.state = MviewState::Active);
        }
        Ok(Reply::Count(paused.len() as u64))
    }

    /// What the change of a base does to the views above it.
    pub(crate) fn base_changed(&mut self, now: Stamp, base: TableId, change: BaseChange) {
        self.bases_changed(now, BTreeSet::from([base]), change, None);
    }

    /// What another text of a view does to the materialized views above it: what they hold answers another question.
    pub(crate) fn view_changed(&mut self, now: Stamp, view: TableId) {
        let reads = |mview: &Mview| mview.definition.views.iter().any(|base| base.id == view);
        let above = self.tables.values().filter(|t| t.mview().is_some_and(reads));
        let above: Vec<_> = above.map(|table| table.id).collect();
        for id in above {
            self.change_mview(id, |mview| {
                mview.freshness = OrdMap::new();
                mview.definition.binding += 1;
            });
        }
        self.base_changed(now, view, BaseChange::ViewChanged);
    }

    /// What dropping a database does to the views above its tables. Its own go and come back with their bases.
    pub(crate) fn database_dropped(&mut self, now: Stamp, db: DbId) {
        let bases =
            self.tables.values().filter(|t| t.db == db && t.dropped.is_none()).map(|t| t.id).collect();
        self.bases_changed(now, bases, BaseChange::Dropped, Some(db));
    }

    /// Views in the recycle bin are looked at as well: `RECOVER` must not bring an active one back above what changed.
    fn bases_changed(
        &mut self,
        now: Stamp,
        mut bases: BTreeSet<TableId>,
        mut change: BaseChange,
        mut except: Option<DbId>,
    ) {
        if change != BaseChange::Dropped && self.setting(SETTING) == Some("false") {
            return;
        }
        while !bases.is_empty() {
            let mut fallen = BTreeSet::new();
            for (id, reason) in self.reasons_above(&bases, change, except) {
                if self.make_inactive(now, id, InactiveCause::Base, &reason) {
                    fallen.insert(id);
                }
            }
            // Each round makes views inactive that were not, or not for so strong a cause: it ends.
            (bases, change, except) = (fallen, BaseChange::MviewInactive, None);
        }
    }

    /// The views that read one of `bases`, each with the reason that this is for it.
    fn reasons_above(
        &self,
        bases: &BTreeSet<TableId>,
        change: BaseChange,
        except: Option<DbId>,
    ) -> Vec<(TableId, String)> {
        let reason = |table: &crate::Table| {
            let definition = &table.mview()?.definition;
            let mut read = definition.bases.iter().chain(&definition.views);
            let base = read.find(|base| bases.contains(&base.id))?;
            Some((table.id, change.reason(&base.name)))
        };
        self.tables.values().filter(|t| Some(t.db) != except).filter_map(|t| reason(t)).collect()
    }

    /// False when it is inactive already, for a cause as strong.
    fn make_inactive(&mut self, now: Stamp, id: TableId, cause: InactiveCause, reason: &str) -> bool {
        let gives_way = |state: &MviewState| match state {
            MviewState::Active => true,
            MviewState::Inactive { cause: old, .. } => old.strength() < cause.strength(),
        };
        if !self.table(id).and_then(|t| t.mview()).is_some_and(|m| gives_way(&m.state)) {
            return false;
        }
        let state = MviewState::Inactive { cause, reason: reason.to_owned(), since: now };
        self.change_mview(id, |mview| mview.state = state);
        let error = format!("the materialized view is inactive: {reason}");
        self.cancel_pending_runs(now, TaskOf::Mview(id), &error);
        true
    }
}
