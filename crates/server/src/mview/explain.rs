//! `EXPLAIN REFRESH MATERIALIZED VIEW` and `EXPLAIN ALTER MATERIALIZED VIEW … ACTIVE`: what would happen, and why. Nothing
//! runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cairn_catalog::{
    Base, Catalog, Mview, MviewState, PartitionLink, RefreshRequest, RefreshTrigger, RunTrigger, Table,
    TaskOf,
};
use cairn_mview::{CellVerdict, Purpose, Strategy, batches, delta, graph, is_fresh, select, strategy};
use cairn_sql::ast::{AlterMaterializedView, AlterMaterializedViewOp, RefreshMaterializedView};
use cairn_types::{Error, Result};

use super::properties::{RefreshMode, refresh_mode};
use super::refresh;
use super::work::bounds_text;
use crate::answer::Answer;
use crate::rows::{Rows, text, time};
use crate::session::Session;
use crate::system::mviews::refresh_type;
use crate::system::objects::Contents;

/// `EXPLAIN REFRESH MATERIALIZED VIEW`.
///
/// # Errors
/// `UnknownTable`; `Analysis` for what is no materialized view, and for partitions that are not there.
pub fn refresh(session: &Session, statement: &RefreshMaterializedView) -> Result<Answer> {
    let catalog = session.catalog();
    let (table, _) = super::find(&catalog, &statement.name, &session.database)?;
    let request = RefreshRequest {
        force: statement.force,
        range: statement.partitions.as_ref().map(refresh::range).transpose()?,
        cascade: statement.cascade,
        trigger: RunTrigger::Manual,
    };
    explain_refresh(&catalog, table, &request, session.node.env.now_ms()).map(Answer::Rows)
}

/// `EXPLAIN ALTER MATERIALIZED VIEW … ACTIVE`.
///
/// # Errors
/// `UnknownTable`; `Analysis` for what is no materialized view; `Unsupported` for another change.
pub fn activate(session: &Session, statement: &AlterMaterializedView) -> Result<Answer> {
    let catalog = session.catalog();
    let (table, _) = super::find(&catalog, &statement.name, &session.database)?;
    match &statement.op {
        AlterMaterializedViewOp::Active { no_validation: false } => {
            explain_active(&catalog, table, session.node.env.now_ms()).map(Answer::Rows)
        }
        other => Err(Error::unsupported(format!(
            "EXPLAIN ALTER MATERIALIZED VIEW … {other} is not supported: there is nothing to be checked"
        ))),
    }
}

/// What `request` would refresh at `now_ms`, and why; from how much; and what would follow.
///
/// # Errors
/// `Analysis` for partitions that are not there, `UnknownTable` for a base that is gone.
pub fn explain_refresh(
    catalog: &Catalog,
    table: &Arc<Table>,
    request: &RefreshRequest,
    now_ms: u64,
) -> Result<Rows> {
    let mview = super::of(table)?;
    let mut lines = vec![head(catalog, table, mview)];
    if mview.is_active() {
        lines.extend(work(catalog, table, request, now_ms)?);
    } else {
        lines.push("REFRESH would be refused, because it is inactive. Once it is active:".to_owned());
        lines.extend(work_or_reason(catalog, table, request, now_ms));
    }
    Ok(rows(lines))
}

/// What `ACTIVE` would look at, and whether a refresh would start then; at `now_ms`.
///
/// # Errors
/// `Analysis` for what is no materialized view.
pub fn explain_active(catalog: &Catalog, table: &Arc<Table>, now_ms: u64) -> Result<Rows> {
    let mview = super::of(table)?;
    let mut lines = vec![head(catalog, table, mview)];
    if mview.is_active() {
        lines.push("ACTIVE would change nothing: it is active".to_owned());
        return Ok(rows(lines));
    }
    let definition = &mview.definition;
    let named = definition.bases.iter().chain(&definition.views);
    let found: Vec<(&Base, Found<'_>)> = named.map(|base| (base, Found::of(catalog, base))).collect();
    lines.extend(found.iter().map(|(base, found)| found.line(catalog, base)));
    if found.iter().any(|(_, found)| matches!(found, Found::Missing(_))) {
        lines.push("ACTIVE would fail: its query names what is not there".to_owned());
        return Ok(rows(lines));
    }
    let columns = mview.table.schema.visible().len();
    lines.push(format!("CHECKED BY ACTIVE: {columns} columns of its query by type, and its partitioning"));
    let rebound = found.iter().any(|(_, found)| matches!(found, Found::Other(_)));
    lines.push("NEXT REFRESH:".to_owned());
    match rebound {
        true => lines
            .push("not known before it is bound to the other tables: it was not made from them".to_owned()),
        false => lines.extend(work_or_reason(catalog, table, &RefreshRequest::default(), now_ms)),
    }
    lines.push(start(catalog, table, mview, rebound, now_ms));
    Ok(rows(lines))
}

fn rows(lines: Vec<String>) -> Rows {
    let mut rows = Rows::text(&["Explain String"]);
    lines.into_iter().for_each(|line| rows.push([text(line)]));
    rows
}

fn qualified(catalog: &Catalog, table: &Table) -> String {
    let database = catalog.database(table.db).map_or("", |db| db.name.as_str());
    format!("{database}.{}", table.name)
}

fn head(catalog: &Catalog, table: &Table, mview: &Mview) -> String {
    let state = match &mview.state {
        MviewState::Active => "ACTIVE".to_owned(),
        MviewState::Inactive { reason, .. } => format!("INACTIVE ({reason})"),
    };
    let kind = refresh_type(mview.refresh.trigger);
    format!("MATERIALIZED VIEW: {}, {state}, REFRESH {kind}", qualified(catalog, table))
}

/// As [`work`]; of an inactive view it may not be known, and that is no error.
fn work_or_reason(
    catalog: &Catalog,
    table: &Arc<Table>,
    request: &RefreshRequest,
    now_ms: u64,
) -> Vec<String> {
    work(catalog, table, request, now_ms).unwrap_or_else(|error| vec![format!("not known: {error}")])
}

/// A line for each cell that would be made, and what is below it.
fn work(catalog: &Catalog, table: &Arc<Table>, request: &RefreshRequest, now_ms: u64) -> Result<Vec<String>> {
    let mview = super::of(table)?;
    let mut verdict = refresh::narrow(catalog, table, request, now_ms)?;
    if request.force || strategy(table)? == Strategy::Force {
        // The run would be younger than every refresh that was.
        select::force(table, &mut verdict, u64::MAX)?;
    }
    let wanted = verdict.cells.iter().filter(|cell| !cell.is_void()).count();
    let stale = verdict.stale().count();
    if stale == 0 && verdict.obsolete.is_empty() {
        return Ok(vec![format!("nothing to refresh: all {wanted} partitions are fresh")]);
    }
    let mut lines = Vec::new();
    let mut total = Size::default();
    let dimensions = Size::of_dimensions(catalog, mview);
    for cell in verdict.stale() {
        let size = Size::of_sources(catalog, cell).plus(dimensions);
        total = total.plus(size);
        let new_rows = if only_grew(catalog, mview, cell) { " at most: new rows alone may do" } else { "" };
        lines.push(format!("PARTITION: {} {}", cell.name, bounds_text(&cell.bounds)));
        lines.extend(cell.reasons.iter().map(|reason| format!("  {reason}")));
        lines.push(format!("  {size}{new_rows}"));
    }
    let obsolete = verdict.obsolete.iter();
    lines.extend(
        obsolete.map(|(_, name)| format!("DROP PARTITION: {name}: it is made from nothing any more")),
    );
    let (batches, dropped) = (batches(catalog, table, &verdict)?.len(), verdict.obsolete.len());
    lines.push(format!(
        "TOTAL: partitions={stale} of {wanted}, batches={batches}, dropped={dropped}, {total}"
    ));
    lines.extend(follow(catalog, table, request.cascade));
    Ok(lines)
}

/// Rows and bytes that are read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Size {
    rows: u64,
    bytes: u64,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        let rows = self.rows.saturating_add(other.rows);
        Self { rows, bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// Of the partitions that `cell` is made from.
    fn of_sources(catalog: &Catalog, cell: &CellVerdict) -> Self {
        let sources = cell.sources.values().flatten().filter_map(|id| catalog.partition(*id)?.visible());
        let sizes = sources.map(|v| Self { rows: v.manifest.rows, bytes: v.manifest.bytes });
        sizes.fold(Self::default(), Self::plus)
    }

    /// Of the bases that determine no partition: each cell reads them as a whole.
    fn of_dimensions(catalog: &Catalog, mview: &Mview) -> Self {
        let links: &[PartitionLink] = &mview.definition.links;
        if links.is_empty() {
            return Self::default();
        }
        let bases = mview.definition.bases.iter().filter(|base| links.iter().all(|l| l.base != base.id));
        let contents = bases.filter_map(|base| {
            let table = catalog.table(base.id)?;
            Some(Contents::of(catalog, table, table.olap()?))
        });
        contents.map(|c| Self { rows: c.rows, bytes: c.bytes }).fold(Self::default(), Self::plus)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows={} bytes={}", self.rows, self.bytes)
    }
}

/// Whether new rows alone may bring `cell` up to date. Whether they will is known to who has planned the query.
fn only_grew(catalog: &Catalog, mview: &Mview, cell: &CellVerdict) -> bool {
    let recorded = cell.partition.and_then(|id| mview.freshness.get(&id));
    refresh_mode(&mview.table.properties) != RefreshMode::Full
        && mview.definition.bases.len() == 1
        && recorded.is_some_and(|recorded| delta(catalog, cell, recorded).is_some())
}

/// The views above, in the order in which they would be refreshed, and why some would not be.
fn follow(catalog: &Catalog, table: &Table, cascade: bool) -> Option<String> {
    let mut changing = BTreeSet::from([table.id]);
    let mut names = Vec::new();
    for id in graph::closure_above(catalog, table.id) {
        let Some(above) = catalog.table(id).filter(|above| above.id != table.id) else { continue };
        let Some(mview) = above.mview() else { continue };
        let reads_change = mview.definition.bases.iter().any(|base| changing.contains(&base.id));
        let name = qualified(catalog, above);
        match held_back(mview, cascade, reads_change) {
            Some(why) => names.push(format!("{name} ({why})")),
            None => {
                changing.insert(id);
                names.push(name);
            }
        }
    }
    (!names.is_empty()).then(|| format!("WOULD FOLLOW: {}", names.join(", ")))
}

/// Why a view would not be refreshed after one below it.
fn held_back(mview: &Mview, cascade: bool, reads_change: bool) -> Option<String> {
    let why = match (&mview.state, mview.refresh.trigger) {
        (MviewState::Inactive { reason, .. }, _) => return Some(format!("not: inactive, {reason}")),
        (MviewState::Active, _) if cascade => return None,
        (MviewState::Active, RefreshTrigger::Manual) => "not by itself: REFRESH MANUAL",
        (MviewState::Active, RefreshTrigger::Every { .. }) => "later: at the next time of its schedule",
        (MviewState::Active, RefreshTrigger::Change) if !reads_change => {
            "not: nothing that it reads would change"
        }
        (MviewState::Active, RefreshTrigger::Change) => return None,
    };
    Some(why.to_owned())
}

/// What the name of a base means now.
enum Found<'a> {
    Same(&'a Table),
    /// It was another one when the view was bound.
    Other(&'a Table),
    /// Nothing; the base has this new name, or is gone.
    Missing(Option<&'a Table>),
}

impl<'a> Found<'a> {
    fn of(catalog: &'a Catalog, base: &Base) -> Self {
        let named = catalog.database_named(&base.db).and_then(|db| catalog.table_named(db.id, &base.name));
        match named {
            Some(table) if table.id == base.id => Self::Same(table),
            Some(table) => Self::Other(table),
            None => {
                let renamed = catalog.table(base.id).filter(|table| catalog.is_visible(table));
                Self::Missing(renamed.map(|table| &**table))
            }
        }
    }

    fn line(&self, catalog: &Catalog, base: &Base) -> String {
        let found = match self {
            Self::Same(table) if table.mview().is_some_and(|mview| !mview.is_active()) => {
                "as it was, and inactive itself".to_owned()
            }
            Self::Same(_) => "as it was".to_owned(),
            Self::Other(table) => format!("another one now (id {}, was {})", table.id, base.id),
            Self::Missing(Some(table)) => format!("missing, it is {} now", qualified(catalog, table)),
            Self::Missing(None) => "missing, it was dropped".to_owned(),
        };
        format!("BASE: {}.{}: {found}", base.db, base.name)
    }
}

/// Whether activation by itself would start a refresh.
fn start(catalog: &Catalog, table: &Table, mview: &Mview, rebound: bool, now_ms: u64) -> String {
    match mview.refresh.trigger {
        RefreshTrigger::Manual => "ACTIVE would start no refresh: REFRESH MANUAL".to_owned(),
        RefreshTrigger::Change if rebound => "ACTIVE would start a refresh".to_owned(),
        RefreshTrigger::Change => match is_fresh(catalog, table, Purpose::Trigger, now_ms) {
            Ok(true) => "ACTIVE would start no refresh: no base changed".to_owned(),
            Ok(false) => "ACTIVE would start a refresh".to_owned(),
            Err(error) => format!("whether ACTIVE would start a refresh is not known: {error}"),
        },
        RefreshTrigger::Every { start_ms, every_ms } => {
            let last = catalog.task_runs().rev().find(|run| run.task == TaskOf::Mview(table.id));
            let last_ms = last.map_or(table.created, |run| run.created).time_ms;
            match due(start_ms, every_ms, last_ms, now_ms) {
                Due::Missed(at_ms) => format!("ACTIVE would start a refresh: that of {}", time(at_ms)),
                Due::Next(at_ms) => format!("ACTIVE would start no refresh: the next is at {}", time(at_ms)),
            }
        }
    }
}

/// When a schedule is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// The latest time since the last run; those before it are not made up for.
    Missed(u64),
    Next(u64),
}

fn due(start_ms: u64, every_ms: u64, last_ms: u64, now_ms: u64) -> Due {
    let every_ms = every_ms.max(1);
    let Some(since_start_ms) = now_ms.checked_sub(start_ms) else { return Due::Next(start_ms) };
    let latest_ms = now_ms - since_start_ms % every_ms;
    if latest_ms > last_ms { Due::Missed(latest_ms) } else { Due::Next(latest_ms.saturating_add(every_ms)) }
}

#[cfg(test)]
mod tests {
    use cairn_catalog::{
        Command, InactiveCause, ManifestRef, PartitionChange, PartitionSpec, RefreshRange, RefreshSpec, Reply,
    };
    use cairn_mview::verdict;

    use super::*;
    use crate::system::mviews::tests::with_mview;
    use crate::system::tests::{apply, database};

    fn daily(catalog: &Catalog) -> &Arc<Table> {
        catalog.table_named(database(catalog, "tpch"), "daily").unwrap()
    }

    fn lines(rows: &Rows) -> Vec<String> {
        rows.rows().iter().map(|row| row[0].to_string()).collect()
    }

    fn explained(catalog: &Catalog, request: &RefreshRequest) -> Vec<String> {
        lines(&explain_refresh(catalog, daily(catalog), request, 100_000).unwrap())
    }

    /// [`with_mview`] after a refresh of `daily`.
    fn refreshed() -> Catalog {
        let mut catalog = with_mview();
        let id = daily(&catalog).id;
        let found = verdict(&catalog, daily(&catalog), Purpose::Refresh, 0).unwrap();
        let cell = found.stale().next().unwrap().clone();
        let partitions = vec![PartitionSpec { name: cell.name, bounds: cell.bounds, buckets: None }];
        let make = Command::CreatePartitions { table: id, partitions, if_not_exists: true };
        let Reply::Partitions(made) = apply(&mut catalog, 50, make) else { panic!() };
        let manifest = ManifestRef { name: "m9".into(), checksum: 1, rows: 10, bytes: 100, segments: 1 };
        let change = PartitionChange { partition: made[0], base: None, manifest, replaces: true };
        let spec = RefreshSpec {
            mview: id,
            binding: 1,
            changes: vec![change],
            built: vec![(made[0], cell.seen)],
            dropped: vec![],
            before: None,
            run: None,
        };
        apply(&mut catalog, 51, Command::CommitRefresh(Box::new(spec)));
        catalog
    }

    #[test]
    fn stale_partitions_are_told_with_reasons_and_sizes() {
        let expected = [
            "MATERIALIZED VIEW: tpch.daily, ACTIVE, REFRESH ASYNC",
            "PARTITION: p2 [2024-01-01, 2025-01-01)",
            "  never built",
            "  rows=100 bytes=5000",
            "TOTAL: partitions=1 of 1, batches=1, dropped=0, rows=100 bytes=5000",
            "WOULD FOLLOW: other.above (not by itself: REFRESH MANUAL)",
        ];
        assert_eq!(explained(&with_mview(), &RefreshRequest::default()), expected);
        let cascade = RefreshRequest { cascade: true, ..RefreshRequest::default() };
        assert_eq!(explained(&with_mview(), &cascade).last().unwrap(), "WOULD FOLLOW: other.above");
    }

    #[test]
    fn what_is_fresh_is_left_alone() {
        let catalog = refreshed();
        let fresh = explained(&catalog, &RefreshRequest::default());
        assert_eq!(fresh[1..], ["nothing to refresh: all 1 partitions are fresh"]);
        let force = RefreshRequest { force: true, ..RefreshRequest::default() };
        assert_eq!(explained(&catalog, &force)[2], "  forced");
        let range = Some(RefreshRange::Range { start: "2030-01-01".into(), end: "2031-01-01".into() });
        let outside = RefreshRequest { range, ..RefreshRequest::default() };
        let error = explain_refresh(&catalog, daily(&catalog), &outside, 0).unwrap_err();
        assert!(error.message().contains("outside of the partitions"), "{error}");
    }

    #[test]
    fn activation_is_told_by_its_bases() {
        let mut catalog = refreshed();
        let active = |catalog: &Catalog| lines(&explain_active(catalog, daily(catalog), 100_000).unwrap());
        assert_eq!(active(&catalog)[1], "ACTIVE would change nothing: it is active");
        let orders = catalog.table_named(database(&catalog, "tpch"), "orders").unwrap().id;
        let (mview, cause, reason) = (daily(&catalog).id, InactiveCause::Manual, "by hand".to_owned());
        apply(&mut catalog, 90, Command::DeactivateMview { mview, cause, reason });
        let expected = [
            "MATERIALIZED VIEW: tpch.daily, INACTIVE (by hand), REFRESH ASYNC",
            "BASE: tpch.orders: as it was",
            "CHECKED BY ACTIVE: 2 columns of its query by type, and its partitioning",
            "NEXT REFRESH:",
            "nothing to refresh: all 1 partitions are fresh",
            "ACTIVE would start no refresh: the next is at 2024-01-01 06:30:00",
        ];
        assert_eq!(active(&catalog), expected);
        apply(&mut catalog, 91, Command::RenameTable { table: orders, name: "orders2".into() });
        let renamed = active(&catalog);
        assert_eq!(renamed[1], "BASE: tpch.orders: missing, it is tpch.orders2 now");
        assert_eq!(renamed[2..], ["ACTIVE would fail: its query names what is not there"]);
        let refused = explained(&catalog, &RefreshRequest::default());
        assert!(refused[1].starts_with("REFRESH would be refused"), "{}", refused[1]);
    }

    #[test]
    fn missed_times_are_made_up_for_once() {
        let check = |last_ms, now_ms, expected| assert_eq!(due(100, 10, last_ms, now_ms), expected);
        check(0, 99, Due::Next(100));
        check(0, 100, Due::Missed(100));
        check(0, 135, Due::Missed(130));
        check(130, 135, Due::Next(140));
    }
}
