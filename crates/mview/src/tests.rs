//! Verdicts over histories of bases.

use std::collections::BTreeSet;

use cairn_catalog::{Bounds, Floor, InactiveCause, MviewState, Partitioning, Seen, TimeUnit, Transform};
use cairn_types::{Literal, SqlType};
use proptest::prelude::*;

use crate::testing::{World, by_month, date, floor, list, range};
use crate::{Purpose, Verdict, delta, is_fresh, limit_automatic, select, strategy, verdict};

const DATE: SqlType = SqlType::Date;
const ALL: [Purpose; 3] = [Purpose::Trigger, Purpose::Refresh, Purpose::Rewrite];

fn ranges() -> Partitioning {
    Partitioning::Range { columns: vec![0] }
}

/// `sales` with January, February and an empty March; `dim` without partitions; the MV `m` by month over both.
fn shop() -> World {
    let mut world = World::new();
    world.table("sales", &[DATE], ranges());
    world.add_loaded("sales", "p1", range("2024-01-01", "2024-02-01"));
    world.add_loaded("sales", "p2", range("2024-02-01", "2024-03-01"));
    world.add("sales", "p3", range("2024-03-01", "2024-04-01"));
    world.plain("dim");
    world.mview("m", &[DATE], by_month(), &["sales", "dim"]);
    world.link("m", "sales", &[(0, Transform::Same)]);
    world
}

/// The same, and refreshed.
fn built() -> World {
    let mut world = shop();
    world.refresh("m");
    world
}

fn judge(world: &World, mview: &str, purpose: Purpose) -> Verdict {
    verdict(&world.catalog(), world.get(mview), purpose, world.now_ms).unwrap()
}

/// The stale cells with their reasons, then what is obsolete.
fn shown(world: &World, mview: &str, purpose: Purpose) -> Vec<String> {
    let verdict = judge(world, mview, purpose);
    let cell = |cell: &crate::CellVerdict| {
        let reasons: Vec<_> = cell.reasons.iter().map(ToString::to_string).collect();
        format!("{}: {}", cell.name, reasons.join("; "))
    };
    let obsolete = verdict.obsolete.iter().map(|(_, name)| format!("obsolete {name}"));
    verdict.stale().map(cell).chain(obsolete).collect()
}

fn check(world: &World, purpose: Purpose, expected: &[&str]) {
    assert_eq!(shown(world, "m", purpose), expected, "{purpose:?}");
}

fn check_all(world: &World, expected: &[&str]) {
    for purpose in ALL {
        check(world, purpose, expected);
    }
}

#[test]
fn what_has_no_rows_is_not_built() {
    check_all(&shop(), &["p202401: never built", "p202402: never built"]);
    let cells = judge(&shop(), "m", Purpose::Refresh).cells;
    assert_eq!(cells.iter().map(crate::CellVerdict::is_void).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn without_partitions_the_one_cell_is_built_even_from_nothing() {
    let mut world = World::new();
    world.table("sales", &[DATE], ranges());
    world.mview("m", &[DATE], Partitioning::None, &["sales"]);
    check_all(&world, &["m: never built"]);
    world.refresh("m");
    check_all(&world, &[]);
    world.add("sales", "p1", range("2024-01-01", "2024-02-01"));
    check_all(&world, &[]);
    world.load("sales", "p1");
    check_all(&world, &["m: shop.sales partition p1: new, version 2"]);
}

#[test]
fn what_was_recorded_is_fresh() {
    let world = built();
    check_all(&world, &[]);
    for purpose in ALL {
        assert!(is_fresh(&world.catalog(), world.get("m"), purpose, 0).unwrap());
    }
}

#[test]
fn changes_of_data_are_named() {
    let mut world = built();
    world.load("sales", "p2");
    check_all(&world, &["p202402: shop.sales partition p2: version 3, was 2"]);
    world.load("sales", "p3");
    check_all(&world, &["p202402: shop.sales partition p2: version 3, was 2", "p202403: never built"]);
    world.refresh("m");
    world.load("dim", "dim");
    let reason = "shop.dim: data version 2, was 1";
    let all = ["p202401", "p202402", "p202403"].map(|name| format!("{name}: {reason}"));
    check_all(&world, &all.each_ref().map(String::as_str));
}

#[test]
fn partitions_that_come_and_go_are_named() {
    let mut world = built();
    world.drop("sales", "p3");
    check_all(&world, &[]);
    let gone = world.partition_id("sales", "p2");
    world.drop("sales", "p2");
    world.add_loaded("sales", "p2a", range("2024-02-01", "2024-02-10"));
    world.add("sales", "p2b", range("2024-02-10", "2024-03-01"));
    let reasons = format!(
        "p202402: shop.sales partition p2a: new, version 2; shop.sales partition with id {gone}: gone"
    );
    check_all(&world, &[&reasons]);
    world.refresh("m");
    world.drop("sales", "p2a");
    world.drop("sales", "p2b");
    check_all(&world, &["obsolete p202402"]);
    world.refresh("m");
    check_all(&world, &[]);
}

#[test]
fn cells_that_change_replace_partitions() {
    let mut world = World::new();
    world.table("sales", &[SqlType::Int], ranges());
    world.add_loaded("sales", "x", range("0", "10"));
    world.mview("m", &[SqlType::Int], ranges(), &["sales"]);
    world.link("m", "sales", &[(0, Transform::Same)]);
    world.refresh("m");
    world.drop("sales", "x");
    world.add_loaded("sales", "x", range("0", "20"));
    check_all(&world, &["x: never built", "obsolete x"]);
}

#[test]
fn exclusions_hide_but_do_not_lie() {
    let stale = "p202401: shop.dim: data version 2, was 1";
    let stale2 = "p202402: shop.dim: data version 2, was 1";
    let cases: [(&str, &str, [bool; 3]); 7] = [
        ("excluded_trigger_tables", "dim", [false, true, true]),
        ("excluded_refresh_tables", "shop.dim", [false, false, true]),
        ("excluded_refresh_tables", "x , dim", [false, false, true]),
        ("excluded_refresh_tables", "@dimensions", [false, false, true]),
        ("excluded_trigger_tables", "@dimensions", [false, true, true]),
        ("excluded_refresh_tables", "other.dim,Dim", [true, true, true]),
        ("excluded_refresh_tables", "sales", [true, true, true]),
    ];
    for (property, value, counts) in cases {
        let mut world = built();
        world.set("m", property, value);
        world.load("dim", "dim");
        for (purpose, counts) in ALL.into_iter().zip(counts) {
            let expected = [stale, stale2];
            check(&world, purpose, if counts { &expected } else { &[] });
        }
        let mut later = world.clone();
        later.load("sales", "p2");
        later.refresh("m");
        later.set("m", property, "");
        let left: &[&str] = if counts[1] { &[] } else { &[stale] };
        check(&later, Purpose::Refresh, left);
    }
}

#[test]
fn excluded_bases_start_nothing() {
    let mut world = built();
    world.set("m", "excluded_trigger_tables", "sales");
    world.load("sales", "p3");
    check(&world, Purpose::Trigger, &[]);
    check(&world, Purpose::Refresh, &["p202403: never built"]);
    world.drop("sales", "p2");
    check(&world, Purpose::Trigger, &[]);
    check(&world, Purpose::Refresh, &["p202403: never built", "obsolete p202402"]);
}

#[test]
fn a_new_binding_shows() {
    let mut world = built();
    world.plain("dim2");
    let id = world.id_of("dim2");
    let gone = world.id_of("dim");
    let bases = &mut world.mview_mut("m").definition.bases;
    bases[1].id = id;
    bases[1].name = "dim2".to_owned();
    let reasons = format!("shop.dim2: was not read before; table with id {gone}: is not read any more");
    check_all(&world, &[&format!("p202401: {reasons}"), &format!("p202402: {reasons}")]);
}

#[test]
fn errors_name_the_mv() {
    let mut world = built();
    world.set("m", "partition_ttl", "soon");
    let message = |world: &World| {
        let found = verdict(&world.catalog(), world.get("m"), Purpose::Refresh, 0);
        found.unwrap_err().message().to_owned()
    };
    assert!(message(&world).starts_with("materialized view m: property partition_ttl"));
    let mut world = built();
    world.mview_mut("m").definition.bases[1].id = cairn_types::TableId(7);
    assert_eq!(message(&world), "materialized view m: Unknown table 'shop.dim'");
    let found = verdict(&world.catalog(), world.get("sales"), Purpose::Refresh, 0);
    assert!(found.unwrap_err().message().contains("not a materialized view"));
}

fn at(text: &str) -> u64 {
    u64::try_from(cairn_types::value::parse_datetime(text).unwrap() / 1_000).unwrap()
}

#[test]
fn old_cells_are_let_go() {
    let check = |property: &str, value: &str, expected: &[&str]| {
        let mut world = built();
        world.set("m", property, value);
        world.now_ms = at("2024-03-15 00:00:00");
        assert_eq!(shown(&world, "m", Purpose::Refresh), expected, "{property} {value}");
    };
    check("partition_ttl", "1 MONTH", &["obsolete p202401"]);
    check("partition_ttl", "44 DAY", &[]);
    check("partition_ttl", "1 DAY", &["obsolete p202401", "obsolete p202402"]);
    check("partition_ttl_number", "3", &[]);
    check("partition_ttl_number", "2", &["obsolete p202401"]);
    check("partition_ttl_number", "-1", &[]);
}

#[test]
fn what_is_let_go_is_stale_for_rewrites() {
    let mut world = shop();
    world.set("m", "partition_ttl_number", "2");
    world.now_ms = at("2024-03-15 00:00:00");
    world.refresh("m");
    check(&world, Purpose::Refresh, &[]);
    check(&world, Purpose::Rewrite, &["p202401: never built"]);
}

#[test]
fn automatic_runs_look_at_the_newest() {
    let mut world = built();
    world.set("m", "auto_refresh_partitions_limit", "1");
    for partition in ["p1", "p2"] {
        world.load("sales", partition);
    }
    let (old, new) = (
        "p202401: shop.sales partition p1: version 3, was 2",
        "p202402: shop.sales partition p2: version 3, was 2",
    );
    world.now_ms = at("2024-02-15 00:00:00");
    check(&world, Purpose::Trigger, &[new]);
    check(&world, Purpose::Refresh, &[old, new]);
    let mut limited = judge(&world, "m", Purpose::Refresh);
    limit_automatic(world.get("m"), &mut limited, world.now_ms).unwrap();
    assert_eq!(limited.stale().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["p202402"]);
    assert!(limited.obsolete.is_empty());
}

#[test]
fn rewrites_may_be_late() {
    let mut world = built();
    world.set("m", "mv_rewrite_staleness_second", "60");
    world.load("sales", "p2");
    world.load("sales", "p3");
    let stale = "p202402: shop.sales partition p2: version 3, was 2";
    world.now_ms += 60_000;
    check(&world, Purpose::Rewrite, &["p202403: never built"]);
    check(&world, Purpose::Refresh, &[stale, "p202403: never built"]);
    world.now_ms += 1;
    check(&world, Purpose::Rewrite, &[stale, "p202403: never built"]);
}

/// `m` over `low`, an MV by month over `sales`.
fn layers() -> World {
    let mut world = World::new();
    world.table("sales", &[DATE], ranges());
    world.add_loaded("sales", "p1", range("2024-01-01", "2024-02-01"));
    world.add_loaded("sales", "p2", range("2024-02-01", "2024-03-01"));
    for (name, base) in [("low", "sales"), ("m", "low")] {
        world.mview(name, &[DATE], by_month(), &[base]);
        world.link(name, base, &[(0, Transform::Same)]);
        world.refresh(name);
    }
    world
}

#[test]
fn layers_are_fresh_for_rewrites_only_together() {
    let mut world = layers();
    check_all(&world, &[]);
    world.load("sales", "p2");
    check(&world, Purpose::Trigger, &[]);
    check(&world, Purpose::Refresh, &[]);
    let stale = "shop.low: a materialized view that is not fresh itself";
    check(&world, Purpose::Rewrite, &[&format!("p202402: {stale}")]);
    world.refresh("low");
    check_all(&world, &["p202402: shop.low partition p202402: version 3, was 2"]);
    world.refresh("m");
    check_all(&world, &[]);
    world.add_loaded("sales", "p3", range("2024-03-01", "2024-04-01"));
    check(&world, Purpose::Rewrite, &[&format!("p202401: {stale}"), &format!("p202402: {stale}")]);
    world.refresh("low");
    world.refresh("m");
    check_all(&world, &[]);
    let (cause, reason, since) = (InactiveCause::Manual, String::new(), cairn_catalog::Stamp::default());
    world.mview_mut("low").state = MviewState::Inactive { cause, reason, since };
    assert_eq!(judge(&world, "m", Purpose::Rewrite).stale_bases.len(), 1);
    assert_eq!(judge(&world, "m", Purpose::Rewrite).stale().count(), 3);
}

#[test]
fn nothing_built_below_is_stale_above() {
    let mut world = World::new();
    world.table("sales", &[DATE], ranges());
    world.add_loaded("sales", "p1", range("2024-01-01", "2024-02-01"));
    for (name, base) in [("low", "sales"), ("m", "low"), ("top", "m")] {
        world.mview(name, &[DATE], by_month(), &[base]);
        world.link(name, base, &[(0, Transform::Same)]);
    }
    for (name, purpose, fresh) in
        [("m", Purpose::Refresh, true), ("m", Purpose::Rewrite, false), ("top", Purpose::Rewrite, false)]
    {
        assert_eq!(judge(&world, name, purpose).is_fresh(), fresh, "{name} {purpose:?}");
    }
}

#[test]
fn ranges_are_selected() {
    let select = |world: &World, start: &str, end: &str| {
        let verdict = judge(world, "m", Purpose::Refresh);
        let found = select::range(&world.catalog(), world.get("m"), verdict, start, end);
        found.map(|v| {
            let cells = v.cells.into_iter().map(|c| c.name);
            cells
                .chain(v.obsolete.into_iter().map(|(_, name)| format!("-{name}")))
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    let mut world = built();
    let check = |start, end, expected: &str| assert_eq!(select(&world, start, end).unwrap(), expected);
    check("2024-01-01", "2024-02-01", "p202401");
    check("2024-01-31", "2024-02-02", "p202401 p202402");
    check("2000-01-01", "3000-01-01", "p202401 p202402 p202403");
    check("2024-03-05", "2024-03-06", "p202403");
    let refused = |start, end, expected: &str| {
        let message = select(&world, start, end).unwrap_err().message().to_owned();
        assert!(message.contains(expected), "{message}");
    };
    refused("2024-04-01", "2024-05-01", "outside of the partitions of m");
    refused("2024-02-01", "2024-02-01", "is empty");
    refused("soon", "2024-02-01", "Invalid value 'soon'");
    world.drop("sales", "p2");
    assert_eq!(select(&world, "2024-01-15", "2024-02-02").unwrap(), "p202401 -p202402");
    assert_eq!(select(&world, "2024-01-15", "2024-02-01").unwrap(), "p202401");
}

#[test]
fn obsolete_partitions_in_the_way_of_selected_cells_are_dropped() {
    let mut world = World::new();
    world.table("sales", &[SqlType::Int], ranges());
    world.add_loaded("sales", "x", range("0", "100"));
    world.add_loaded("sales", "y", range("100", "200"));
    world.mview("m", &[SqlType::Int], ranges(), &["sales"]);
    world.link("m", "sales", &[(0, Transform::Same)]);
    world.refresh("m");
    for name in ["x", "y"] {
        world.drop("sales", name);
    }
    world.add_loaded("sales", "y", range("0", "50"));
    world.add_loaded("sales", "z", range("50", "120"));
    let select = |start: &str, end: &str| {
        let verdict = judge(&world, "m", Purpose::Refresh);
        let found = select::range(&world.catalog(), world.get("m"), verdict, start, end).unwrap();
        found.obsolete.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(select("0", "10"), ["x", "y"], "x overlaps the cell, y has its name");
    assert_eq!(select("60", "70"), ["x", "y"], "both overlap the cell");
    assert_eq!(select("150", "160"), ["y"], "overlaps the range");
}

#[test]
fn values_are_selected() {
    let mut world = World::new();
    world.table("sales", &[SqlType::String], Partitioning::List { columns: vec![0] });
    for (name, keys) in [("asia", "cn;jp"), ("eu", "de"), ("none", "NULL")] {
        world.add_loaded("sales", name, list(keys));
    }
    world.mview("m", &[SqlType::String], Partitioning::List { columns: vec![0] }, &["sales"]);
    world.link("m", "sales", &[(0, Transform::Same)]);
    world.refresh("m");
    let select = |keys: &[Option<&str>]| {
        let tuples: Vec<_> = keys.iter().map(|key| vec![key.map(str::to_owned)]).collect();
        let found =
            select::values(&world.catalog(), world.get("m"), judge(&world, "m", Purpose::Refresh), &tuples);
        found.map(|v| v.cells.into_iter().map(|c| c.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(select(&[Some("jp")]).unwrap(), "asia");
    assert_eq!(select(&[Some("de"), None]).unwrap(), "none eu");
    assert!(
        select(&[Some("jp"), Some("us")]).unwrap_err().message().contains("no partition of m holds (us)")
    );
    let wide = [vec![None, None]];
    let found = select::values(&world.catalog(), world.get("m"), judge(&world, "m", Purpose::Refresh), &wide);
    assert!(found.unwrap_err().message().contains("needs 1 values"));
}

/// `m` by months and texts over `sales` by days and texts, refreshed.
fn sliced() -> World {
    let by = |unit| Partitioning::floored_values(vec![(0, Some(Floor { unit, step: 1 })), (1, None)]);
    let mut world = World::new();
    world.table("sales", &[DATE, SqlType::String], by(TimeUnit::Day));
    for (name, day, text) in [("p1", "2024-01-30", "x"), ("p2", "2024-01-31", "x"), ("p3", "2024-01-31", "y")]
    {
        let keys = vec![vec![date(day), Literal::Str(text.into())]];
        world.add_loaded("sales", name, Bounds::List { keys });
    }
    world.mview("m", &[DATE, SqlType::String], by(TimeUnit::Month), &["sales"]);
    world.link("m", "sales", &[(0, floor(TimeUnit::Month)), (1, Transform::Same)]);
    world.refresh("m");
    world
}

#[test]
fn cells_of_slices_are_stale_by_their_own_sources() {
    let mut world = sliced();
    check_all(&world, &[]);
    world.load("sales", "p2");
    check_all(&world, &["p202401_x: shop.sales partition p2: version 3, was 2"]);
    let keys = vec![vec![date("2024-02-01"), Literal::Str("x".into())]];
    world.add_loaded("sales", "p4", Bounds::List { keys });
    world.drop("sales", "p3");
    let expected = [
        "p202401_x: shop.sales partition p2: version 3, was 2",
        "p202402_x: never built",
        "obsolete p202401_y",
    ];
    check(&world, Purpose::Refresh, &expected);
    world.refresh("m");
    check_all(&world, &[]);
}

#[test]
fn a_slice_lasts_to_its_end() {
    let check = |now: &str, expected: &[&str]| {
        let mut world = sliced();
        world.set("m", "partition_ttl", "1 DAY");
        world.now_ms = at(now);
        assert_eq!(shown(&world, "m", Purpose::Refresh), expected, "{now}");
    };
    check("2024-01-15 00:00:00", &[]);
    check("2024-02-01 12:00:00", &[]);
    check("2024-02-02 12:00:00", &["obsolete p202401_x", "obsolete p202401_y"]);
}

#[test]
fn any_value_of_a_slice_selects_it() {
    let world = sliced();
    let select = |day: &str, text: &str| {
        let tuples = vec![vec![Some(day.to_owned()), Some(text.to_owned())]];
        let verdict = judge(&world, "m", Purpose::Refresh);
        let found = select::values(&world.catalog(), world.get("m"), verdict, &tuples);
        found.map(|v| v.cells.into_iter().map(|c| c.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(select("2024-01-01", "x").unwrap(), "p202401_x");
    assert_eq!(select("2024-01-17", "y").unwrap(), "p202401_y");
    assert!(select("2024-02-01", "y").is_err());
}

#[test]
fn the_wrong_kind_of_selection_is_refused() {
    let mut world = World::new();
    world.plain("t");
    world.mview("m", &[SqlType::Int], Partitioning::None, &["t"]);
    let verdict = || judge(&world, "m", Purpose::Refresh);
    let (catalog, table) = (world.catalog(), world.get("m"));
    let range = select::range(&catalog, table, verdict(), "1", "2").unwrap_err();
    let values = select::values(&catalog, table, verdict(), &[]).unwrap_err();
    assert!(range.message().contains("not partitioned") && values.message().contains("not partitioned"));
    let world = built();
    let values = select::values(&world.catalog(), world.get("m"), judge(&world, "m", Purpose::Refresh), &[]);
    assert!(values.unwrap_err().message().contains("write PARTITION START"));
}

#[test]
fn forced_runs_do_not_redo_what_they_did() {
    let mut world = built();
    let created = world.get("sales").created.index;
    let forced = |world: &World, created: u64| {
        let mut verdict = judge(world, "m", Purpose::Refresh);
        select::force(world.get("m"), &mut verdict, created).unwrap();
        verdict.stale().map(|c| c.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(forced(&world, u64::MAX), ["p202401", "p202402"], "an empty March is not made");
    assert_eq!(forced(&world, created), [""; 0]);
    let p1 = world.partition_id("m", "p202401");
    let begun = world.mview_mut("m").freshness[&p1].refreshed.index + 1;
    assert_eq!(forced(&world, begun), ["p202401"]);
}

#[test]
fn batches_follow_the_properties() {
    let check = |properties: &[(&str, &str)], expected: &[&[usize]]| {
        let mut world = shop();
        for (name, value) in properties {
            world.set("m", name, value);
        }
        let verdict = judge(&world, "m", Purpose::Refresh);
        assert_eq!(
            crate::batches(&world.catalog(), world.get("m"), &verdict).unwrap(),
            expected,
            "{properties:?}"
        );
    };
    check(&[], &[&[0], &[1]]);
    check(&[("partition_refresh_number", "2")], &[&[0, 1]]);
    check(&[("partition_refresh_number", "-1")], &[&[0, 1]]);
    check(&[("partition_refresh_strategy", "ADAPTIVE")], &[&[0, 1]]);
    let mut world = shop();
    world.set("m", "partition_refresh_strategy", "force");
    assert_eq!(strategy(world.get("m")).unwrap(), crate::Strategy::Force);
    world.set("m", "partition_refresh_strategy", "often");
    assert!(strategy(world.get("m")).unwrap_err().message().contains("'often'"));
}

#[test]
fn growth_is_told_from_replacement() {
    let check = |what: &str, change: fn(&mut World), expected: Option<&[(&str, u64, u64)]>| {
        let mut world = built();
        change(&mut world);
        let verdict = judge(&world, "m", Purpose::Refresh);
        let cell = verdict.cells.iter().find(|cell| cell.name == "p202402").unwrap();
        let recorded = &world.get("m").mview().unwrap().freshness[&cell.partition.unwrap()];
        let catalog = world.catalog();
        let found = delta(&catalog, cell, recorded);
        let name = |id| catalog.partition(id).unwrap().name.clone();
        let found = found.map(|all| {
            all.into_iter().map(|g| (name(g.partition), g.from_version, g.to_version)).collect::<Vec<_>>()
        });
        let expected =
            expected.map(|all| all.iter().map(|(n, a, b)| ((*n).to_owned(), *a, *b)).collect::<Vec<_>>());
        assert_eq!(found, expected, "{what}");
    };
    check("fresh", |_| {}, None);
    check("grown", |w| w.load("sales", "p2"), Some(&[("p2", 2, 3)]));
    check("grown twice", |w| (w.load("sales", "p2"), w.load("sales", "p2")).0, Some(&[("p2", 2, 4)]));
    check("replaced", |w| w.overwrite("sales", "p2"), None);
    check("replaced, grown", |w| (w.overwrite("sales", "p2"), w.load("sales", "p2")).0, None);
    check("dimension", |w| w.load("dim", "dim"), None);
    check("both", |w| (w.load("sales", "p2"), w.load("dim", "dim")).0, None);
    let excluded = |w: &mut World| {
        w.set("m", "excluded_refresh_tables", "dim");
        w.load("sales", "p2");
        w.load("dim", "dim");
    };
    check("excluded dimension", excluded, None);
    check(
        "gone",
        |w| {
            w.drop("sales", "p2");
            w.add_loaded("sales", "p2", range("2024-02-01", "2024-03-01"));
        },
        None,
    );
}

#[test]
fn partitions_that_come_are_growth() {
    let mut world = World::new();
    world.table("sales", &[DATE], ranges());
    world.add_loaded("sales", "d1", range("2024-01-01", "2024-01-02"));
    world.mview("m", &[DATE], by_month(), &["sales"]);
    world.link("m", "sales", &[(0, Transform::Same)]);
    world.refresh("m");
    world.add("sales", "d2", range("2024-01-02", "2024-01-03"));
    world.overwrite("sales", "d2");
    let verdict = judge(&world, "m", Purpose::Refresh);
    let cell = &verdict.cells[0];
    let recorded = &world.get("m").mview().unwrap().freshness[&cell.partition.unwrap()];
    let growth = delta(&world.catalog(), cell, recorded).unwrap();
    assert_eq!((growth.len(), growth[0].from_version, growth[0].to_version), (1, 1, 2));
}

#[test]
fn ten_thousand_partitions() {
    let mut world = World::new();
    let day = |n: i32| cairn_types::Literal::Date(n);
    world.table("sales", &[DATE], ranges());
    for n in 0..10_000 {
        let bounds = Bounds::Range { lower: Some(vec![day(n)]), upper: Some(vec![day(n + 1)]) };
        world.add_loaded("sales", &format!("d{n}"), bounds);
    }
    let by_day = Partitioning::Time { column: 0, unit: cairn_catalog::TimeUnit::Day, step: 1 };
    world.mview("m", &[DATE], by_day, &["sales"]);
    world.link("m", "sales", &[(0, Transform::Same)]);
    world.refresh("m");
    assert_eq!(judge(&world, "m", Purpose::Refresh).cells.len(), 10_000);
    check(&world, Purpose::Refresh, &[]);
    world.load("sales", "d9000");
    check(&world, Purpose::Refresh, &["p19940823: shop.sales partition d9000: version 3, was 2"]);
}

/// What can happen to the tables `a` and `b`, both by ten days and linked, and to `dim`.
#[derive(Clone, Copy, Debug)]
enum Event {
    Add { table: usize, slot: i32 },
    Drop { table: usize, slot: i32 },
    Load { table: usize, slot: i32 },
    Overwrite { table: usize, slot: i32 },
    Dimension,
    Refresh,
}

const TABLES: [&str; 2] = ["a", "b"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let place = || (0..TABLES.len(), 0..5i32);
    let event = prop_oneof![
        4 => place().prop_map(|(table, slot)| Event::Add { table, slot }),
        1 => place().prop_map(|(table, slot)| Event::Drop { table, slot }),
        4 => place().prop_map(|(table, slot)| Event::Load { table, slot }),
        1 => place().prop_map(|(table, slot)| Event::Overwrite { table, slot }),
        1 => Just(Event::Dimension),
        2 => Just(Event::Refresh),
    ];
    proptest::collection::vec(event, 0..25)
}

/// Ten-day partitions of `a` and, five days off, of `b`: January 1970 and on.
fn slot_bounds(table: usize, slot: i32) -> Bounds {
    let start = slot * 10 + if table == 0 { 0 } else { 5 };
    let day = |n| Some(vec![cairn_types::Literal::Date(n)]);
    Bounds::Range { lower: day(start), upper: day(start + 10) }
}

fn happen(world: &mut World, event: Event) -> bool {
    let name = |slot: i32| format!("s{slot}");
    let exists = |world: &World, table: usize, slot| {
        world.get(TABLES[table]).olap().unwrap().partitions.contains_key(&name(slot))
    };
    match event {
        Event::Add { table, slot } if !exists(world, table, slot) => {
            world.add(TABLES[table], &name(slot), slot_bounds(table, slot));
        }
        Event::Drop { table, slot } if exists(world, table, slot) => world.drop(TABLES[table], &name(slot)),
        Event::Load { table, slot } if exists(world, table, slot) => world.load(TABLES[table], &name(slot)),
        Event::Overwrite { table, slot } if exists(world, table, slot) => {
            world.overwrite(TABLES[table], &name(slot));
        }
        Event::Dimension => world.load("dim", "dim"),
        Event::Refresh => world.refresh("m"),
        _ => return false,
    }
    true
}

fn random_world(by: Partitioning) -> World {
    let mut world = World::new();
    for table in TABLES {
        world.table(table, &[DATE], ranges());
    }
    world.plain("dim");
    world.mview("m", &[DATE], by, &["a", "dim", "b"]);
    for table in TABLES {
        world.link("m", table, &[(0, Transform::Same)]);
    }
    world
}

fn stale_names(verdict: &Verdict) -> BTreeSet<String> {
    verdict.stale().map(|cell| cell.name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn recorded_is_fresh_and_changes_make_exactly_their_cells_stale(
        events in events(),
        months: bool,
        table in 0..TABLES.len(),
        slot in 0..5i32,
    ) {
        let mut world = random_world(if months { by_month() } else { ranges() });
        for event in events {
            happen(&mut world, event);
        }
        world.refresh("m");
        for purpose in ALL {
            let verdict = judge(&world, "m", purpose);
            prop_assert!(verdict.is_fresh(), "{:?}", verdict);
            let apart = verdict.cells.windows(2).all(|pair| !pair[0].bounds.overlaps(&pair[1].bounds));
            prop_assert!(apart, "{:?}", verdict);
            let names: BTreeSet<_> = verdict.cells.iter().map(|cell| &cell.name).collect();
            prop_assert_eq!(names.len(), verdict.cells.len());
        }
        let changed = happen(&mut world, Event::Load { table, slot });
        let verdict = judge(&world, "m", Purpose::Refresh);
        let bounds = slot_bounds(table, slot);
        let touched = verdict.cells.iter().filter(|cell| changed && cell.bounds.overlaps(&bounds));
        let touched: BTreeSet<_> = touched.map(|cell| cell.name.clone()).collect();
        prop_assert_eq!(stale_names(&verdict), touched);
        world.refresh("m");
        happen(&mut world, Event::Dimension);
        let verdict = judge(&world, "m", Purpose::Refresh);
        let built: BTreeSet<_> =
            verdict.cells.iter().filter(|c| c.partition.is_some()).map(|cell| cell.name.clone()).collect();
        prop_assert_eq!(stale_names(&verdict), built);
    }

    /// Sources, not bounds, are what a cell is made from: each partition that overlaps a cell is one of its sources.
    #[test]
    fn cells_cover_their_sources(events in events(), months: bool) {
        let mut world = random_world(if months { by_month() } else { ranges() });
        for event in events {
            happen(&mut world, event);
        }
        let catalog = world.catalog();
        for cell in crate::cells(&catalog, world.get("m")).unwrap() {
            for table in TABLES {
                let table = world.get(table);
                let overlapping: Vec<_> = catalog
                    .partitions_of(table.olap().unwrap())
                    .filter(|p| p.bounds.overlaps(&cell.bounds))
                    .map(|p| p.id)
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
                prop_assert_eq!(cell.sources.get(&table.id).cloned().unwrap_or_default(), overlapping);
            }
        }
    }
}

#[test]
fn excluded_bases_are_recorded_as_read() {
    let mut world = built();
    world.set("m", "excluded_refresh_tables", "dim");
    world.load("dim", "dim");
    world.load("sales", "p1");
    let verdict = judge(&world, "m", Purpose::Refresh);
    let cell = verdict.stale().next().unwrap();
    assert_eq!(cell.seen[&world.id_of("dim")], Seen::Table(2));
}
