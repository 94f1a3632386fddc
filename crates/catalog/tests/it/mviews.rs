//! Materialized views: what they are bound to, when they are active, and what they were made from.

use std::collections::BTreeMap;

use cairn_catalog::{
    Command, Definition, InactiveCause, LinkColumn, MviewSpec, PartitionLink, Partitioning, RefreshScheme,
    RefreshSpec, RefreshTrigger, Reply, RunState, Seen, Stamp, TaskOf, Transform, View, image,
};
use cairn_types::{DbId, ErrorKind, PartitionId, Schema, TableId};
use proptest::prelude::*;

use crate::common::*;

use InactiveCause::{Base, Manual, Paused};

const SETTING: &str = "enable_mv_automatic_inactive_by_base_table_changes";

/// `t` ← `mv` ← `above`, a view `v` that only `mv` reads, and a table `u` that nobody reads.
struct Story {
    c: Cluster1,
    db: DbId,
    table: TableId,
    other: TableId,
    view: TableId,
    mview: TableId,
    above: TableId,
}

impl Story {
    fn new() -> Self {
        let (mut c, db, table, _) = Cluster1::with_table();
        let other = c.table(db, "u", Partitioning::None);
        let view = c.view(db, "v", "SELECT 1");
        let mview = c.mview(db, "mv", &[table], &[view]);
        let above = c.mview(db, "above", &[mview], &[]);
        Self { c, db, table, other, view, mview, above }
    }

    fn deactivate(&self, cause: InactiveCause) -> Command {
        Command::DeactivateMview { mview: self.mview, cause, reason: format!("{cause:?}") }
    }

    fn drop(&self, name: &str, force: bool) -> Command {
        Command::DropTable { db: self.db, name: name.into(), force }
    }

    fn replace_view(&self, query: &str) -> Command {
        let view = View {
            schema: Schema::default(),
            query: query.into(),
            default_db: "d".into(),
            security_invoker: false,
        };
        let comment = "another".into();
        Command::CreateView { db: self.db, name: "v".into(), view, comment, or_replace: true }
    }

    /// `ACTIVE`, bound to these.
    fn activate(&self, bases: &[TableId], views: &[TableId]) -> Command {
        let definition = Some(Box::new(self.c.definition(bases, views)));
        Command::ActivateMview { mview: self.mview, definition }
    }
}

#[test]
fn a_view_is_made_like_a_table() {
    let (mut c, db, table, _) = Cluster1::with_table();
    let mview = c.mview(db, "mv", &[table], &[]);
    let made = c.get_mview(mview);
    assert!(made.is_active() && made.freshness.is_empty());
    assert_eq!((made.definition.binding, made.table.partitions.len(), made.table.data_version), (1, 1, 0));
    assert_eq!(c.catalog.mviews().map(|(t, _)| t.name.as_str()).collect::<Vec<_>>(), ["mv"]);
    let again = c.mview_spec(db, "mv", &[table], &[]);
    assert!(c.refused(Command::CreateMview(Box::new(again))).contains("already exists"));
    let refresh = RefreshScheme { immediate: false, trigger: RefreshTrigger::Manual };
    let alter = Command::AlterMviewRefresh { mview, refresh: refresh.clone() };
    assert_eq!(c.ok(alter.clone()), Reply::Done);
    assert_eq!(c.ok(alter), Reply::Unchanged);
    assert_eq!(c.get_mview(mview).refresh, refresh);
    let alter = Command::AlterMviewRefresh { mview: table, refresh };
    assert_eq!(c.refused(alter), "'t' is not a materialized view");
}

/// A change of the spec, and why it is refused then.
fn check_binding(expected: &str, change: impl Fn(&mut MviewSpec, &Story)) {
    let mut story = Story::new();
    let mut spec = story.c.mview_spec(story.db, "new", &[story.table], &[story.view]);
    spec.table.partitioning = Partitioning::Range { columns: vec![1] };
    spec.table.partitions = Vec::new();
    spec.definition.links = vec![link(story.table, &[1])];
    change(&mut spec, &story);
    let refused = story.c.refused(Command::CreateMview(Box::new(spec)));
    assert!(refused.contains(expected), "{refused} instead of {expected}");
}

fn link(base: TableId, columns: &[usize]) -> PartitionLink {
    let column = |column: &usize| LinkColumn { column: *column, transform: Transform::Same };
    PartitionLink { base, columns: columns.iter().map(column).collect() }
}

#[test]
fn a_view_is_bound_to_what_is_there() {
    check_binding("Unknown table 'd.t'", |spec, _| spec.definition.bases[0].id = TableId(1));
    check_binding("Unknown table 'd.t'", |spec, story| spec.definition.bases[0].id = story.view);
    check_binding("Unknown table 'd.v'", |spec, story| spec.definition.views[0].id = story.table);
    check_binding("a base twice", |spec, _| spec.definition.bases.extend_from_within(..));
    check_binding("points outside", |spec, story| spec.definition.links = vec![link(story.other, &[1])]);
    check_binding("points outside", |spec, story| spec.definition.links = vec![link(story.table, &[2])]);
    check_binding("points outside", |spec, story| spec.definition.links = vec![link(story.table, &[0, 1])]);
    check_binding("exactly if", |spec, _| spec.definition.links = Vec::new());
    check_binding("exactly if", |spec, _| spec.table.partitioning = Partitioning::None);
    check_binding("Duplicate column", |spec, _| {
        let column = spec.table.schema.columns[0].clone();
        spec.table.schema.columns.push(column);
    });
}

#[test]
fn a_cause_gives_way_to_a_stronger_one() {
    for (first, second, expected) in [
        (None, Paused, Paused),
        (None, Base, Base),
        (None, Manual, Manual),
        (Some(Paused), Paused, Paused),
        (Some(Paused), Base, Base),
        (Some(Paused), Manual, Manual),
        (Some(Base), Paused, Base),
        (Some(Base), Base, Base),
        (Some(Base), Manual, Manual),
        (Some(Manual), Paused, Manual),
        (Some(Manual), Base, Manual),
        (Some(Manual), Manual, Manual),
    ] {
        let mut story = Story::new();
        if let Some(first) = first {
            story.c.ok(story.deactivate(first));
        }
        let before = story.c.catalog.clone();
        let reply = story.c.ok(story.deactivate(second));
        let changed = first != Some(expected);
        assert_eq!(reply, if changed { Reply::Done } else { Reply::Unchanged }, "{first:?} {second:?}");
        assert_eq!(story.c.catalog != before, changed);
        assert_eq!(story.c.inactive(story.mview), (Some(expected), format!("{expected:?}").as_str()));
        let above = if expected == Paused { (None, "") } else { (Some(Base), "base-mv inactive: mv") };
        assert_eq!(story.c.inactive(story.above), above, "{first:?} {second:?}");
    }
}

#[test]
fn a_pause_ends_as_it_began() {
    let mut story = Story::new();
    let lonely = story.c.mview(story.db, "lonely", &[story.other], &[]);
    let gone = story.c.mview(story.db, "gone", &[story.other], &[]);
    let (mview, above) = (story.mview, story.above);
    story.c.ok(Command::DeactivateMview { mview: above, cause: Manual, reason: "mine".into() });
    let pause = || Command::PauseMviews { reason: "a break".into() };
    assert_eq!(story.c.ok(pause()), Reply::Count(3));
    assert_eq!(story.c.ok(pause()), Reply::Count(0));
    let new = story.c.mview(story.db, "new", &[story.other], &[]);
    assert_eq!(story.c.inactive(new), (None, ""), "there is no flag for the cluster");
    story.c.ok(story.drop("gone", false));
    story.c.ok(story.drop("t", false));
    assert_eq!(story.c.inactive(mview), (Some(Base), "base-table dropped: t"));
    assert_eq!(story.c.inactive(lonely), (Some(Paused), "a break"));
    assert_eq!(story.c.ok(Command::ResumeMviews {}), Reply::Count(2));
    assert_eq!(story.c.ok(Command::ResumeMviews {}), Reply::Count(0));
    assert_eq!(story.c.inactive(mview).0, Some(Base), "a resume is not for it");
    assert_eq!(story.c.inactive(above), (Some(Manual), "mine"));
    assert_eq!(story.c.inactive(lonely), (None, ""));
    story.c.ok(Command::RecoverTable { db: story.db, name: "gone".into() });
    assert_eq!(story.c.inactive(gone), (None, ""), "it does not come back paused");
}

/// What a command makes of `mv` and of the view above it; with the setting off, `always` says whether it does so still.
fn check_change(expected: &str, always: bool, command: impl Fn(&Story) -> Command) {
    for setting in [None, Some("true"), Some("false")] {
        let mut story = Story::new();
        if let Some(value) = setting {
            story.c.ok(Command::Set { name: SETTING.into(), value: value.into() });
        }
        let command = command(&story);
        story.c.ok(command.clone());
        let falls = !expected.is_empty() && (always || setting != Some("false"));
        let mview = if falls { (Some(Base), expected) } else { (None, "") };
        let above = if falls { (Some(Base), "base-mv inactive: mv") } else { (None, "") };
        assert_eq!(story.c.inactive(story.mview), mview, "{command:?} {setting:?}");
        assert_eq!(story.c.inactive(story.above), above, "{command:?} {setting:?}");
    }
}

#[test]
fn a_change_of_a_base_is_seen_at_once() {
    check_change("base-table dropped: t", true, |story| story.drop("t", false));
    check_change("base-table dropped: t", true, |story| story.drop("t", true));
    check_change("base-table dropped: v", true, |story| story.drop("v", false));
    check_change("", true, |story| story.drop("u", false));
    let rename = |table: TableId| Command::RenameTable { table, name: "new".into() };
    check_change("base-table renamed: t", false, |story| rename(story.table));
    check_change("base-table renamed: v", false, |story| rename(story.view));
    check_change("", false, |story| rename(story.other));
    check_change("", false, |story| rename(story.above));
    check_change("base-table swapped: t", false, |s| Command::SwapTables { left: s.table, right: s.other });
    check_change("base-table swapped: t", false, |s| Command::SwapTables { left: s.other, right: s.table });
    check_change("base-view changed: v", false, |story| story.replace_view("SELECT 2"));
    check_change("", false, |story| story.replace_view("SELECT 1"));
    let comment = |table: TableId| Command::SetTableComment { table, comment: "x".into() };
    check_change("", false, |story| comment(story.table));
    check_change("", false, |story| Command::Truncate { table: story.table, partitions: Vec::new() });
    check_change("", false, |story| Command::SetTableProperties {
        table: story.table,
        properties: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    });
}

#[test]
fn a_view_that_is_a_base_counts_as_one() {
    for (drop, expected) in [(true, "base-table dropped: mv"), (false, "base-table renamed: mv")] {
        let mut story = Story::new();
        story.c.ok(match drop {
            true => story.drop("mv", false),
            false => Command::RenameTable { table: story.mview, name: "new".into() },
        });
        assert_eq!(story.c.inactive(story.mview), (None, ""));
        assert_eq!(story.c.inactive(story.above), (Some(Base), expected));
    }
    let mut story = Story::new();
    let twin = story.c.mview(story.db, "twin", &[story.other], &[]);
    story.c.ok(Command::SwapTables { left: story.mview, right: twin });
    assert_eq!(story.c.inactive(story.above), (Some(Base), "base-table swapped: mv"));
    let mixed = Command::SwapTables { left: story.mview, right: story.table };
    assert!(story.c.refused(mixed).contains("only SWAP WITH materialized view"));
}

#[test]
fn a_database_goes_and_comes_back_as_a_whole() {
    let mut story = Story::new();
    let Reply::Database(far) = story.c.ok(Command::CreateDatabase { name: "e".into(), if_not_exists: false })
    else {
        panic!()
    };
    let outside = story.c.mview(far, "outside", &[story.mview], &[]);
    let top = story.c.mview(far, "top", &[outside], &[]);
    story.c.refresh(story.mview, "m1");
    let before = story.c.get_mview(story.mview).clone();
    story.c.ok(Command::DropDatabase { name: "d".into(), force: false });
    assert_eq!(story.c.inactive(outside), (Some(Base), "base-table dropped: mv"));
    assert_eq!(story.c.inactive(top), (Some(Base), "base-mv inactive: outside"));
    assert_eq!(story.c.catalog.mviews().count(), 2);
    story.c.ok(Command::RecoverDatabase { name: "d".into() });
    assert_eq!(story.c.get_mview(story.mview), &before, "active and as fresh as it was");
    assert_eq!(story.c.inactive(outside).0, Some(Base), "somebody has to look at it");
}

#[test]
fn what_changes_while_a_view_is_in_the_recycle_bin_counts() {
    let mut story = Story::new();
    story.c.refresh(story.mview, "m1");
    let before = story.c.get_mview(story.mview).freshness.clone();
    story.c.ok(story.drop("mv", false));
    story.c.ok(Command::RenameTable { table: story.table, name: "new".into() });
    story.c.ok(Command::RecoverTable { db: story.db, name: "mv".into() });
    assert_eq!(story.c.inactive(story.mview), (Some(Base), "base-table renamed: t"));
    assert_eq!(story.c.get_mview(story.mview).freshness, before);
}

/// Activation: whether it is taken, and then (how often it was bound, whether it is still fresh).
fn check_activation(
    what: &str,
    expected: Result<(u64, bool), &str>,
    before: impl Fn(&mut Story),
    activate: impl Fn(&Story) -> Command,
) {
    let mut story = Story::new();
    story.c.refresh(story.mview, "m1");
    story.c.ok(story.deactivate(Manual));
    before(&mut story);
    let command = activate(&story);
    match expected {
        Err(expected) => {
            let refused = story.c.refused(command);
            assert!(refused.contains(expected), "{what}: {refused}");
        }
        Ok((binding, fresh)) => {
            assert_eq!(story.c.ok(command.clone()), Reply::Done, "{what}");
            let mview = story.c.get_mview(story.mview);
            let found = (mview.definition.binding, !mview.freshness.is_empty());
            assert_eq!((found, mview.is_active()), ((binding, fresh), true), "{what}");
            assert_eq!(story.c.ok(command), Reply::Unchanged, "{what}, again");
        }
    }
}

#[test]
fn activation_binds_anew_and_keeps_what_is_true() {
    let as_it_is = |s: &Story| Command::ActivateMview { mview: s.mview, definition: None };
    let same = |s: &Story| s.activate(&[s.table], &[s.view]);
    let drop_base = |s: &mut Story| drop(s.c.ok(s.drop("t", false)));
    let nothing = |_: &mut Story| {};
    check_activation("as it is", Ok((1, true)), nothing, as_it_is);
    check_activation("the same", Ok((1, true)), nothing, same);
    let rename = |s: &mut Story| drop(s.c.ok(Command::RenameTable { table: s.table, name: "n".into() }));
    check_activation("renamed", Ok((1, true)), rename, same);
    check_activation("another base", Ok((2, true)), nothing, |s| s.activate(&[s.other], &[s.view]));
    check_activation("one more", Ok((2, true)), nothing, |s| s.activate(&[s.table, s.other], &[s.view]));
    check_activation("no view", Ok((2, false)), nothing, |s| s.activate(&[s.table], &[]));
    check_activation("dropped", Err("Unknown table 'd.t'"), drop_base, as_it_is);
    check_activation("itself", Err("must not read itself"), nothing, |s| s.activate(&[s.mview], &[]));
    check_activation("a ring", Err("must not read itself"), nothing, |s| s.activate(&[s.above], &[]));
    check_activation("links", Err("exactly if"), nothing, |s| {
        let links = vec![link(s.table, &[1])];
        let definition = Definition { links, ..s.c.definition(&[s.table], &[s.view]) };
        Command::ActivateMview { mview: s.mview, definition: Some(Box::new(definition)) }
    });
}

/// Another text of a view asks another question; the same text under another id does not.
#[test]
fn the_text_of_views_counts() {
    let remade = |s: &Story| {
        let view = s.c.catalog.table_named(s.db, "v").unwrap().id;
        s.activate(&[s.table], &[view])
    };
    let drop_and_make = |query: &'static str| {
        move |s: &mut Story| {
            s.c.ok(s.drop("v", false));
            s.c.view(s.db, "v", query);
        }
    };
    let replace = |query: &'static str| move |s: &mut Story| drop(s.c.ok(s.replace_view(query)));
    check_activation("replaced by the same", Ok((1, true)), replace("SELECT 1"), remade);
    check_activation("replaced", Ok((2, false)), replace("SELECT 2"), remade);
    check_activation("made anew", Ok((2, true)), drop_and_make("SELECT 1"), remade);
    check_activation("made anew, another", Ok((2, false)), drop_and_make("SELECT 2"), remade);
    let forgotten = |s: &mut Story| {
        s.c.ok(s.drop("v", true));
        s.c.trim();
        s.c.view(s.db, "v", "SELECT 1");
    };
    check_activation("nobody knows", Ok((2, false)), forgotten, remade);
}

#[test]
fn only_a_refresh_changes_the_rows() {
    let (mut c, db, table, _) = Cluster1::with_table();
    let mview = c.mview_by_day(db, "mv", table);
    let partition = c.catalog.partitions().find(|p| p.table == mview).unwrap().clone();
    let changes = vec![appending(&partition, "m1")];
    let name = || "p1".to_owned();
    for command in [
        Command::Commit { db, txn: None, label: None, changes, details: String::new() },
        Command::Truncate { table: mview, partitions: Vec::new() },
        Command::DropPartition { table: mview, name: name(), force: false },
        Command::RenamePartition { table: mview, name: name(), to: "q".into() },
        Command::RecoverPartition { table: mview, name: name() },
    ] {
        assert!(c.refused(command).contains("'mv' is a materialized view"));
    }
    c.ok(Command::CreatePartitions {
        table: mview,
        partitions: vec![range("p3", 3, 4)],
        if_not_exists: false,
    });
    c.refresh(mview, "m1");
    let before = c.get_mview(mview).clone();
    let partition = c.catalog.partition(partition.id).unwrap().clone();
    c.ok(Command::CommitCompaction { change: appending(&partition, "m2") });
    assert_eq!(c.get_mview(mview), &before);
}

#[test]
fn a_refresh_is_one_change() {
    let (mut c, db, table, _) = Cluster1::with_table();
    let mview = c.mview_by_day(db, "mv", table);
    let id = |c: &Cluster1, name: &str| c.get_mview(mview).table.partitions[name];
    let (p1, p2) = (id(&c, "p1"), id(&c, "p2"));
    c.refresh(mview, "m1");
    let now = Stamp { index: c.index, time_ms: 1_000 + c.index * 10 };
    let seen = BTreeMap::from([(table, Seen::Table(0))]);
    for id in [p1, p2] {
        let fresh = c.get_mview(mview).freshness[&id].clone();
        assert_eq!((&fresh.bases, fresh.refreshed), (&seen, now));
    }
    assert_eq!(c.versions(mview, "p1"), (1, 2, 2));

    // What was only looked at is fresh, without a change of data; what is obsolete goes with its freshness.
    let newer = BTreeMap::from([(table, Seen::Partitions(BTreeMap::from([(PartitionId(1), 9)])))]);
    let part = RefreshSpec {
        changes: Vec::new(),
        built: vec![(p1, newer.clone())],
        ..c.refresh_spec(mview, "unused")
    };
    c.ok(Command::CommitRefresh(Box::new(part.clone())));
    assert_eq!(c.versions(mview, "p1"), (1, 2, 2));
    assert_eq!(c.get_mview(mview).freshness[&p1].bases, newer);
    let drops = RefreshSpec { built: Vec::new(), dropped: vec!["p2".into()], ..part.clone() };
    c.ok(Command::CommitRefresh(Box::new(drops.clone())));
    assert_eq!(c.versions(mview, "p1"), (2, 2, 2), "there were rows in it");
    assert_eq!(c.get_mview(mview).freshness.keys().collect::<Vec<_>>(), [&p1]);
    assert!(c.catalog.partition(p2).unwrap().dropped.unwrap().force);
    assert!(c.refused(Command::CommitRefresh(Box::new(drops))).contains("Unknown partition 'p2'"));

    // The run that did it ends in the same entry, or nothing of it happens.
    let run = submit(&mut c, TaskOf::Mview(mview));
    let ends = RefreshSpec { run: Some(Box::new(advance(run, RunState::Success))), ..part };
    c.ok(Command::CommitRefresh(Box::new(ends.clone())));
    assert_eq!(c.catalog.task_run(run).unwrap().state, RunState::Success);
    let before = c.catalog.clone();
    let ended = c.refused(Command::CommitRefresh(Box::new(ends)));
    assert!(ended.contains("it cannot become SUCCESS"), "{ended}");
    assert_eq!(c.catalog, before);

    // Rows of which nothing is said are not fresh.
    let silent = RefreshSpec { built: Vec::new(), ..c.refresh_spec(mview, "m2") };
    c.ok(Command::CommitRefresh(Box::new(silent)));
    assert_eq!(c.get_mview(mview).freshness.len(), 0);
    assert_eq!(c.versions(mview, "p1"), (3, 3, 3));
}

/// A refresh that read before, and what happened since: refused, with nothing changed.
fn check_overtaken(expected: &str, since: impl Fn(&mut Story)) {
    let mut story = Story::new();
    story.c.refresh(story.mview, "m0");
    let refreshed = |story: &Story| -> BTreeMap<_, _> {
        let freshness = &story.c.get_mview(story.mview).freshness;
        freshness.iter().map(|(id, f)| (*id, f.refreshed)).collect()
    };
    let before = Some(refreshed(&story));
    let spec = RefreshSpec { before, ..story.c.refresh_spec(story.mview, "m1") };
    since(&mut story);
    let command = Command::CommitRefresh(Box::new(spec));
    if expected.is_empty() {
        story.c.ok(command);
        return;
    }
    let refused = story.c.apply(&command).unwrap_err();
    assert!(refused.message().contains(expected), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    story.c.refused(command);
}

#[test]
fn a_refresh_that_was_overtaken_is_refused() {
    check_overtaken("", |_| {});
    check_overtaken("", |s| drop(s.c.ok(Command::RenameTable { table: s.mview, name: "n".into() })));
    check_overtaken("was dropped", |s| drop(s.c.ok(s.drop("mv", false))));
    check_overtaken("became inactive", |s| drop(s.c.ok(s.deactivate(Paused))));
    check_overtaken("became inactive", |s| drop(s.c.ok(s.drop("t", false))));
    check_overtaken("bound to other bases", |s| drop(s.c.ok(s.activate(&[s.other], &[s.view]))));
    check_overtaken("bound to other bases", |s| {
        s.c.ok(s.replace_view("SELECT 2"));
        s.c.ok(Command::ActivateMview { mview: s.mview, definition: None });
    });
    check_overtaken("by another run", |s| s.c.refresh(s.mview, "other"));
    check_overtaken("by another run", |s| {
        let spec = RefreshSpec { changes: Vec::new(), ..s.c.refresh_spec(s.mview, "other") };
        s.c.ok(Command::CommitRefresh(Box::new(spec)));
    });
}

#[test]
fn a_refresh_writes_to_its_view_alone() {
    let mut story = Story::new();
    let foreign = story.c.catalog.partitions().find(|p| p.table == story.table).unwrap().clone();
    let spec = story.c.refresh_spec(story.mview, "m1");
    let changes = vec![replacing(&foreign, "m1")];
    let refused = story.c.refused(Command::CommitRefresh(Box::new(RefreshSpec { changes, ..spec.clone() })));
    assert!(refused.contains("is not one of materialized view mv"));
    let built = vec![(foreign.id, BTreeMap::new())];
    let refused = story.c.refused(Command::CommitRefresh(Box::new(RefreshSpec { built, ..spec.clone() })));
    assert!(refused.contains("is not one of materialized view mv"));
    let dropped = vec!["mv".to_owned()];
    let refused = story.c.refused(Command::CommitRefresh(Box::new(RefreshSpec { dropped, ..spec })));
    assert!(refused.contains("never obsolete"));
}

/// Everything that says whether a view is fresh.
fn numbers(c: &Cluster1) -> Vec<String> {
    let tables = c.catalog.tables().filter_map(|table| {
        let olap = table.olap()?;
        let versions = c.catalog.partitions().filter(|p| p.table == table.id);
        let versions: Vec<_> =
            versions.map(|p| (p.id, p.visible_version(), p.replaced_version, p.dropped)).collect();
        Some(format!(
            "{} {} {versions:?} {:?}",
            table.id,
            olap.data_version,
            table.mview().map(|m| &m.freshness)
        ))
    });
    tables.collect()
}

/// A command that changes no row and asks no other question.
fn metadata_command(story: &Story, kind: u8, which: u8) -> Command {
    let tables = [story.table, story.other, story.mview, story.above];
    let name = format!("name{which}");
    let table = tables[usize::from(which) % tables.len()];
    let mview = if which.is_multiple_of(2) { story.mview } else { story.above };
    match kind {
        0 => Command::RenameTable { table, name },
        1 => Command::SwapTables {
            left: table,
            right: if which.is_multiple_of(2) { story.table } else { story.above },
        },
        2 => Command::SetTableComment { table, comment: name },
        3 => Command::SetTableProperties { table, properties: BTreeMap::from([(name, "1".to_owned())]) },
        4 => Command::PauseMviews { reason: name },
        5 => Command::ResumeMviews {},
        6 => Command::ActivateMview { mview, definition: None },
        7 => story.activate(&[story.table], &[story.view]),
        8 => story.activate(&[story.other], &[story.view]),
        9 => Command::DeactivateMview {
            mview,
            cause: [Manual, Paused, Base][usize::from(which) % 3],
            reason: name,
        },
        10 => story.replace_view("SELECT 1"),
        11 => {
            let name = story.c.catalog.table(table).unwrap().name.clone();
            Command::DropTable { db: story.db, name, force: false }
        }
        12 => {
            Command::RecoverTable { db: story.db, name: story.c.catalog.table(table).unwrap().name.clone() }
        }
        13 => {
            let partition = story.c.catalog.partitions().find(|p| p.table == table).unwrap();
            Command::CommitCompaction { change: appending(partition, &name) }
        }
        14 => Command::DropDatabase { name: "d".into(), force: false },
        15 => Command::RecoverDatabase { name: "d".into() },
        _ => Command::AlterMviewRefresh {
            mview,
            refresh: RefreshScheme { immediate: which == 0, trigger: RefreshTrigger::Manual },
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// What is fresh stays fresh, whatever is done to anything but rows and questions.
    #[test]
    fn metadata_changes_no_numbers(steps in proptest::collection::vec((0u8..19, 0u8..8), 0..40)) {
        let mut story = Story::new();
        let partition = story.c.catalog.partitions().find(|p| p.table == story.table).unwrap().id;
        story.c.commit(story.db, partition, "rows").unwrap();
        story.c.refresh(story.mview, "m1");
        story.c.refresh(story.above, "m2");
        let expected = numbers(&story.c);
        for (step, (kind, which)) in steps.into_iter().enumerate() {
            match kind {
                17 => {
                    let bytes = image::encode(&story.c.catalog, story.c.index);
                    let (index, catalog) = image::decode(&bytes).unwrap();
                    prop_assert_eq!(&catalog, &story.c.catalog);
                    story.c = Cluster1 { catalog, index };
                }
                18 => {
                    let now = Stamp { index: story.c.index, time_ms: 99 };
                    let epoch = story.c.catalog.cluster().epoch + 1;
                    story.c.catalog = story.c.catalog.clone().restored(epoch, "s", &[], now).unwrap();
                }
                _ => drop(story.c.apply(&metadata_command(&story, kind, which))),
            }
            prop_assert_eq!(numbers(&story.c), expected.clone(), "step {}", step);
        }
    }
}
