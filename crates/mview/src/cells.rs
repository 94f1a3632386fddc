//! The partitions that an MV should have.

use std::collections::BTreeMap;

use cairn_catalog::{Bounds, Catalog, Table};
use cairn_types::{PartitionId, Result, TableId};

use crate::bound::{Bound, BoundBase};
use crate::plan::{Planned, plan};
use crate::source::Source;

/// A partition that an MV should have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The name of the existing partition, or the one that a new partition is to have.
    pub name: String,
    pub bounds: Bounds,
    /// The MV's partition with exactly these bounds.
    pub partition: Option<PartitionId>,
    /// The partitions, ascending, of the bases that determine partitions (of all bases when the MV has no partitions).
    pub sources: BTreeMap<TableId, Vec<PartitionId>>,
}

/// All cells of an MV, apart from each other and sorted by their bounds: ranges by lower bound, lists by values.
///
/// # Errors
/// `Analysis` or `Unsupported` when partitions of a base cannot be mapped, naming the partition and the reason;
/// `InvalidValue` for text that is no date; `UnknownTable` when a base is gone.
pub fn cells(catalog: &Catalog, table: &Table) -> Result<Vec<Cell>> {
    let named = |e: cairn_types::Error| e.context(format_args!("materialized view {}", table.name));
    let bound = Bound::new(catalog, table).map_err(named)?;
    let plan = plan(catalog, &bound).map_err(named)?;
    Ok(plan.cells.into_iter().map(|cell| owned(&bound.bases, cell)).collect())
}

fn owned(bases: &[BoundBase<'_>], cell: Planned<'_>) -> Cell {
    let sources = sources(bases, &cell.sources);
    Cell { name: cell.name, bounds: cell.bounds, partition: cell.partition.map(|p| p.id), sources }
}

/// The ids of source partitions by base.
pub(crate) fn sources(bases: &[BoundBase<'_>], from: &[Source<'_>]) -> BTreeMap<TableId, Vec<PartitionId>> {
    let mut sources: BTreeMap<TableId, Vec<PartitionId>> = BTreeMap::new();
    for source in from {
        if let Some(base) = bases.get(source.base) {
            sources.entry(base.name.id).or_default().push(source.partition.id);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, by_month, date, datetime, floor, list, range, text};
    use cairn_catalog::{Floor, Partitioning, TimeUnit, Transform};
    use cairn_types::SqlType;

    const DATE: SqlType = SqlType::Date;
    const DATETIME: SqlType = SqlType::DateTime;
    const TEXT: SqlType = SqlType::String;

    fn ranges() -> Partitioning {
        Partitioning::Range { columns: vec![0] }
    }

    /// The type of a base's column, its partitioning and its partitions.
    type Described<'a> = (SqlType, Partitioning, &'a [(&'a str, Bounds)]);

    /// An MV `m` by `to` over bases `a`, `b`… with these partitions; all linked by `transform`.
    fn world(bases: &[Described<'_>], transform: &Transform, to: (SqlType, Partitioning)) -> World {
        let mut world = World::new();
        let names = &["a", "b", "c"][..bases.len()];
        for (name, (ty, partitioning, partitions)) in names.iter().zip(bases) {
            world.table(name, &[*ty], partitioning.clone());
            for (partition, bounds) in *partitions {
                world.add(name, partition, bounds.clone());
            }
        }
        world.mview("m", &[to.0], to.1, names);
        for name in names {
            world.link("m", name, &[(0, transform.clone())]);
        }
        world
    }

    fn show(bounds: &Bounds) -> String {
        let key = |key: &Vec<cairn_types::Literal>| {
            key.iter().map(|v| v.to_string().replace(" 00:00:00", "")).collect::<Vec<_>>().join(",")
        };
        let bound = |bound: &Option<_>| {
            bound.as_ref().map_or("-".to_owned(), key).replace("<day -2147483648>", "NULL+")
        };
        match bounds {
            Bounds::All => "all".to_owned(),
            Bounds::Range { lower, upper } => format!("[{} {})", bound(lower), bound(upper)),
            Bounds::List { keys } => format!("({})", keys.iter().map(key).collect::<Vec<_>>().join(";")),
        }
    }

    fn shown(world: &World) -> Vec<String> {
        let catalog = world.catalog();
        let name = |id: &PartitionId| catalog.partition(*id).unwrap().name.clone();
        let shown = |cell: Cell| {
            let names: Vec<_> = cell.sources.values().flatten().map(name).collect();
            format!("{} {} {}", cell.name, show(&cell.bounds), names.join("+"))
        };
        cells(&catalog, world.get("m")).unwrap().into_iter().map(shown).collect()
    }

    fn error(world: &World) -> String {
        cells(&world.catalog(), world.get("m")).unwrap_err().message().to_owned()
    }

    fn check(world: &World, expected: &[&str]) {
        assert_eq!(shown(world), expected);
    }

    #[test]
    fn without_links_there_is_one_cell() {
        let mut world = World::new();
        world.plain("a");
        world.plain("b");
        world.mview("m", &[DATE], Partitioning::None, &["b", "a"]);
        check(&world, &["m all a+b"]);
        world.add("m", "only", Bounds::All);
        check(&world, &["only all a+b"]);
    }

    #[test]
    fn finer_and_coarser_bases_are_sliced() {
        let days = [
            ("p1", range("2024-01-31", "2024-02-01")),
            ("p2", range("2024-02-01", "2024-02-02")),
            ("p3", range("2024-02-02", "2024-02-03")),
        ];
        let finer = world(&[(DATE, ranges(), &days)], &Transform::Same, (DATE, by_month()));
        check(&finer, &["p202401 [2024-01-01 2024-02-01) p1", "p202402 [2024-02-01 2024-03-01) p2+p3"]);
        let years = [("y", range("2024-01-15", "2024-03-01"))];
        let coarser = world(&[(DATE, ranges(), &years)], &Transform::Same, (DATE, by_month()));
        check(&coarser, &["p202401 [2024-01-01 2024-02-01) y", "p202402 [2024-02-01 2024-03-01) y"]);
        let weeks = Partitioning::Time { column: 0, unit: TimeUnit::Week, step: 1 };
        let months = [("jan", range("2024-01-29", "2024-02-01")), ("feb", range("2024-02-01", "2024-02-06"))];
        let crossing = world(&[(DATE, ranges(), &months)], &Transform::Same, (DATE, weeks));
        check(
            &crossing,
            &["p20240129 [2024-01-29 2024-02-05) jan+feb", "p20240205 [2024-02-05 2024-02-12) feb"],
        );
    }

    #[test]
    fn what_is_unbounded_stays_whole() {
        let partitions = [
            ("old", range("-", "2024-01-10")),
            ("jan", range("2024-01-10", "2024-02-01")),
            ("new", range("2024-02-01", "-")),
        ];
        let both = world(&[(DATE, ranges(), &partitions)], &Transform::Same, (DATE, by_month()));
        check(
            &both,
            &[
                "pMIN_20240101 [- 2024-01-01) old",
                "p202401 [2024-01-01 2024-02-01) old+jan",
                "p20240201_MAX [2024-02-01 -) new",
            ],
        );
        let all = [("all", range("-", "-"))];
        let everything = world(&[(DATE, ranges(), &all)], &Transform::Same, (DATE, by_month()));
        check(&everything, &["pMIN_MAX [- -) all"]);
    }

    #[test]
    fn null_is_apart_where_a_base_has_it_apart() {
        let days = Partitioning::Time { column: 0, unit: TimeUnit::Day, step: 1 };
        let automatic = [("pNULL", range("-", "NULL+")), ("p1", range("2024-02-01", "2024-02-02"))];
        let one = world(&[(DATETIME, days.clone(), &automatic)], &Transform::Same, (DATETIME, by_month()));
        check(&one, &["pNULL [- NULL+) pNULL", "p202402 [2024-02-01 2024-03-01) p1"]);
        let old = [("old", range("-", "2024-01-01"))];
        let two =
            world(&[(DATE, days, &automatic), (DATE, ranges(), &old)], &Transform::Same, (DATE, by_month()));
        check(
            &two,
            &[
                "pNULL [- NULL+) pNULL+old",
                "pMIN_20240101 [NULL+ 2024-01-01) old",
                "p202402 [2024-02-01 2024-03-01) p1",
            ],
        );
    }

    #[test]
    fn ranges_are_mirrored_and_cut() {
        let a = [("x", range("-", "10")), ("y", range("10", "20"))];
        let one = world(&[(SqlType::Int, ranges(), &a)], &Transform::Same, (SqlType::Int, ranges()));
        check(&one, &["x [- 10) x", "y [10 20) y"]);
        let b = [("z", range("5", "30"))];
        let bases: [(_, _, &[_]); 2] = [(SqlType::Int, ranges(), &a), (SqlType::Int, ranges(), &b)];
        let two = world(&bases, &Transform::Same, (SqlType::Int, ranges()));
        check(&two, &["pMIN_5 [- 5) x", "p5_10 [5 10) x+z", "p10_20 [10 20) y+z", "p20_30 [20 30) z"]);
        let dates = [("a1", range("2024-01-01", "2024-02-01"))];
        let other = [("b1", range("2024-01-01", "2024-01-11"))];
        let bases: [(_, _, &[_]); 2] = [(DATE, ranges(), &dates), (DATE, ranges(), &other)];
        let two = world(&bases, &Transform::Same, (DATE, ranges()));
        check(
            &two,
            &[
                "p20240101_20240111 [2024-01-01 2024-01-11) a1+b1",
                "p20240111_20240201 [2024-01-11 2024-02-01) a1",
            ],
        );
    }

    #[test]
    fn keys_of_several_columns_are_mirrored() {
        let key = |a: i128, b: i128| Some(vec![cairn_types::Literal::Int(a), cairn_types::Literal::Int(b)]);
        let mut world = World::new();
        let by = Partitioning::Range { columns: vec![0, 1] };
        world.table("a", &[SqlType::Int, SqlType::Int], by.clone());
        world.add("a", "x", Bounds::Range { lower: key(1, 1), upper: key(1, 5) });
        world.mview("m", &[SqlType::Int, SqlType::Int], by, &["a"]);
        world.link("m", "a", &[(0, Transform::Same), (1, Transform::Same)]);
        check(&world, &["x [1,1 1,5) x"]);
        world.mview_mut("m").definition.links[0].columns.reverse();
        assert!(error(&world).contains("the same columns in the same order"), "{}", error(&world));
    }

    #[test]
    fn floors_move_bounds() {
        let days = [
            ("d1", range("2024-01-30", "2024-01-31")),
            ("d2", range("2024-01-31", "2024-02-01")),
            ("d3", range("2024-02-01", "2024-02-02")),
        ];
        let months = floor(TimeUnit::Month);
        let expected = ["p202401 [2024-01-01 2024-02-01) d1+d2", "p202402 [2024-02-01 2024-03-01) d3"];
        check(&world(&[(DATE, ranges(), &days)], &months, (DATE, by_month())), &expected);
        check(&world(&[(DATE, ranges(), &days)], &months, (DATE, ranges())), &expected);
        let open = [("old", range("-", "2024-01-10")), ("new", range("2024-01-10", "-"))];
        check(
            &world(&[(DATE, ranges(), &open)], &months, (DATE, ranges())),
            &[
                "pMIN_20240101 [- 2024-01-01) old",
                "p202401 [2024-01-01 2024-02-01) old+new",
                "p20240201_MAX [2024-02-01 -) new",
            ],
        );
    }

    #[test]
    fn datetimes_become_dates() {
        let hours = [
            ("h1", range("2024-01-31 23:00:00", "2024-02-01 00:00:00")),
            ("h2", range("2024-02-01 00:00:00", "2024-02-01 01:00:00")),
            ("h3", range("2024-02-01 01:00:00", "2024-02-01 02:00:00")),
        ];
        let expected = ["p20240131 [2024-01-31 2024-02-01) h1", "p20240201 [2024-02-01 2024-02-02) h2+h3"];
        let day = floor(TimeUnit::Day);
        check(&world(&[(DATETIME, ranges(), &hours)], &day, (DATE, ranges())), &expected);
        check(&world(&[(DATETIME, ranges(), &hours)], &Transform::Same, (DATE, ranges())), &expected);
        let dates = [("d", range("2024-02-01", "2024-02-02"))];
        check(
            &world(&[(DATE, ranges(), &dates)], &Transform::Same, (DATETIME, ranges())),
            &["p20240201 [2024-02-01 2024-02-02) d"],
        );
        let by_hour = Partitioning::Time { column: 0, unit: TimeUnit::Hour, step: 1 };
        let wrong = world(&[(DATETIME, ranges(), &hours)], &Transform::Same, (DATE, by_hour));
        assert!(error(&wrong).contains("less than a day"));
    }

    #[test]
    fn lists_are_mirrored_grouped_and_projected() {
        let lists = || Partitioning::List { columns: vec![0] };
        let values = || Partitioning::values(vec![0]);
        let a = [("asia", list("jp;cn")), ("eu", list("de")), ("none", list("NULL"))];
        let one = world(&[(TEXT, lists(), &a)], &Transform::Same, (TEXT, lists()));
        check(&one, &["none (NULL) none", "asia (cn;jp) asia", "eu (de) eu"]);
        let each = world(&[(TEXT, lists(), &a)], &Transform::Same, (TEXT, values()));
        check(&each, &["none (NULL) none", "pcn (cn) asia", "eu (de) eu", "pjp (jp) asia"]);
        let b = [("x", list("cn;de"))];
        let two = world(&[(TEXT, lists(), &a), (TEXT, lists(), &b)], &Transform::Same, (TEXT, lists()));
        check(&two, &["pNULL (NULL) none", "pcn (cn) asia+x", "pde (de) eu+x", "pjp (jp) asia"]);
    }

    #[test]
    fn fewer_columns_than_the_base_group() {
        let mut world = World::new();
        world.table("a", &[TEXT, TEXT], Partitioning::values(vec![0, 1]));
        for (name, keys) in [("p1", "cn,1"), ("p2", "jp,1"), ("p3", "cn,2")] {
            world.add("a", name, list(keys));
        }
        world.mview("m", &[TEXT], Partitioning::values(vec![0]), &["a"]);
        world.link("m", "a", &[(0, Transform::Same)]);
        check(&world, &["pcn (cn) p1+p3", "pjp (jp) p2"]);
        world.mview("both", &[TEXT, TEXT], Partitioning::values(vec![0, 1]), &["a"]);
        world.link("both", "a", &[(1, Transform::Same), (0, Transform::Same)]);
        let swapped = cells(&world.catalog(), world.get("both")).unwrap();
        assert_eq!(
            swapped.iter().map(|c| show(&c.bounds)).collect::<Vec<_>>(),
            ["(1,cn)", "(1,jp)", "(2,cn)"]
        );
    }

    /// A list of a date and a text, both `NULL` or not: keys apart by `;`.
    fn days(keys: &str) -> Bounds {
        let literal = |at: usize, t: &str| match (at, t) {
            (_, "NULL") => cairn_types::Literal::Null,
            (0, t) if t.len() == 10 => date(t),
            (0, t) => datetime(t),
            (_, t) => text(t),
        };
        let key = |key: &str| key.split(',').enumerate().map(|(at, t)| literal(at, t)).collect();
        Bounds::List { keys: keys.split(';').map(key).collect() }
    }

    fn by(unit: TimeUnit) -> Partitioning {
        Partitioning::floored_values(vec![(0, Some(Floor { unit, step: 1 })), (1, None)])
    }

    /// An MV `m` by `to` over `a` by slices of days or more and a text; linked by these columns.
    fn sliced(
        from: Partitioning,
        partitions: &[&str],
        links: &[(usize, Transform)],
        to: Partitioning,
    ) -> World {
        let mut world = World::new();
        world.table("a", &[DATE, TEXT], from);
        for (at, keys) in partitions.iter().enumerate() {
            world.add("a", &format!("s{at}"), days(keys));
        }
        world.mview("m", &[DATE, TEXT], to, &["a"]);
        world.link("m", "a", links);
        world
    }

    #[test]
    fn slices_of_lists_are_followed_made_coarser_or_cut() {
        use TimeUnit::{Day, Month, Week, Year};
        let both = |unit| vec![(0, floor(unit)), (1, Transform::Same)];
        let partitions = ["2024-01-31,x", "2024-01-31,y", "2024-02-01,x", "NULL,x", "2024-01-30,NULL"];
        check(
            &sliced(by(Day), &partitions, &both(Day), by(Day)),
            &[
                "pNULL_x (NULL,x) s3",
                "p20240130_NULL (2024-01-30,NULL) s4",
                "p20240131_x (2024-01-31,x) s0",
                "p20240131_y (2024-01-31,y) s1",
                "p20240201_x (2024-02-01,x) s2",
            ],
        );
        check(
            &sliced(by(Day), &partitions, &both(Month), by(Month)),
            &[
                "pNULL_x (NULL,x) s3",
                "p202401_NULL (2024-01-01,NULL) s4",
                "p202401_x (2024-01-01,x) s0",
                "p202401_y (2024-01-01,y) s1",
                "p202402_x (2024-02-01,x) s2",
            ],
        );
        let years = Partitioning::floored_values(vec![(1, None), (0, Some(Floor { unit: Year, step: 1 }))]);
        let turned = [(1, Transform::Same), (0, floor(Year))];
        check(
            &sliced(by(Day), &partitions, &turned, years),
            &[
                "pNULL_2024 (NULL,2024-01-01) s4",
                "px_NULL (x,NULL) s3",
                "px_2024 (x,2024-01-01) s0+s2",
                "py_2024 (y,2024-01-01) s1",
            ],
        );
        // The text alone, and ranges from the time alone.
        let texts = sliced(by(Day), &partitions, &[(1, Transform::Same)], Partitioning::values(vec![1]));
        check(&texts, &["pNULL (NULL) s4", "px (x) s0+s2+s3", "py (y) s1"]);
        let months = sliced(by(Day), &partitions, &[(0, floor(Month))], by_month());
        check(
            &months,
            &[
                "pNULL [- NULL+) s3",
                "p202401 [2024-01-01 2024-02-01) s0+s1+s4",
                "p202402 [2024-02-01 2024-03-01) s2",
            ],
        );
        // A week of the base is of two months, and a month of several weeks.
        let weeks = ["2024-01-29,x", "2024-02-05,y"];
        let months = sliced(by(Week), &weeks, &[(0, floor(Month))], by_month());
        check(&months, &["p202401 [2024-01-01 2024-02-01) s0", "p202402 [2024-02-01 2024-03-01) s0+s1"]);
        let month = ["2024-02-01,x"];
        let week = Partitioning::Time { column: 0, unit: Week, step: 1 };
        let weeks = sliced(by(Month), &month, &[(0, floor(Week))], week);
        let starts = ["2024-01-29", "2024-02-05", "2024-02-12", "2024-02-19", "2024-02-26", "2024-03-04"];
        let expected: Vec<String> = starts
            .windows(2)
            .map(|pair| format!("p{} [{} {}) s0", pair[0].replace('-', ""), pair[0], pair[1]))
            .collect();
        check(&weeks, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn slices_that_are_not_within_cells_say_so() {
        let reason = "materialized view m: partition s0 of shop.a: its slices by month are not within the partitions of \
                      the materialized view";
        for to in [TimeUnit::Day, TimeUnit::Week] {
            let links = [(0, floor(to)), (1, Transform::Same)];
            assert_eq!(error(&sliced(by(TimeUnit::Month), &["2024-02-01,x"], &links, by(to))), reason);
        }
        let same = [(0, Transform::Same), (1, Transform::Same)];
        let exact = Partitioning::values(vec![0, 1]);
        assert_eq!(error(&sliced(by(TimeUnit::Month), &["2024-02-01,x"], &same, exact)), reason);
    }

    #[test]
    fn texts_become_dates() {
        let lists = Partitioning::List { columns: vec![0] };
        let days = [("d1", list("20240131")), ("d2", list("20240201;20240202")), ("n", list("NULL"))];
        let str2date = Transform::Date { format: "%Y%m%d".into() };
        check(
            &world(&[(TEXT, lists.clone(), &days)], &str2date, (DATE, by_month())),
            &[
                "pNULL [- NULL+) n",
                "p202401 [2024-01-01 2024-02-01) d1",
                "p202402 [2024-02-01 2024-03-01) d2",
            ],
        );
        check(
            &world(&[(TEXT, lists.clone(), &days)], &str2date, (DATE, ranges())),
            &[
                "pNULL [- NULL+) n",
                "p20240131 [2024-01-31 2024-02-01) d1",
                "p20240201 [2024-02-01 2024-02-02) d2",
                "p20240202 [2024-02-02 2024-02-03) d2",
            ],
        );
        let bad = [("d1", list("20240131;x"))];
        let message = error(&world(&[(TEXT, lists, &bad)], &str2date, (DATE, by_month())));
        assert_eq!(
            message,
            "materialized view m: partition d1 of shop.a: str2date('x', '%Y%m%d') is no date"
        );
    }

    #[test]
    fn what_cannot_be_mapped_says_why() {
        let days = [("d", range("2024-01-01", "2024-01-02"))];
        let list_by = Partitioning::List { columns: vec![0] };
        let ranges_to_lists = world(&[(DATE, ranges(), &days)], &Transform::Same, (DATE, list_by.clone()));
        assert!(error(&ranges_to_lists).contains("partition d of shop.a is no list of values"));
        let texts = [("t", list("a"))];
        let lists_to_ranges = world(&[(TEXT, list_by.clone(), &texts)], &Transform::Same, (TEXT, ranges()));
        assert!(error(&lists_to_ranges).contains("'a' cannot be made a range"));
        let lists_to_times = world(&[(TEXT, list_by, &texts)], &Transform::Same, (DATE, by_month()));
        assert!(error(&lists_to_times).contains("'a' cannot be made a range"));
        let text_ranges = [("d", Bounds::Range { lower: Some(vec![text("a")]), upper: None })];
        let str2date = Transform::Date { format: "%Y".into() };
        let text_to_date = world(&[(TEXT, ranges(), &text_ranges)], &str2date, (DATE, by_month()));
        assert!(error(&text_to_date).contains("str2date over ranges"));
        let all = [("a", Bounds::All)];
        let unpartitioned = world(&[(DATE, Partitioning::None, &all)], &Transform::Same, (DATE, by_month()));
        assert!(error(&unpartitioned).contains("shop.a is not partitioned by its column 'c0'"));
        let long = [("y", range("2020-01-01 00:00:00", "2024-01-01 00:00:00"))];
        let minutes = Partitioning::Time { column: 0, unit: TimeUnit::Minute, step: 1 };
        let many = world(&[(DATETIME, ranges(), &long)], &Transform::Same, (DATETIME, minutes));
        assert!(error(&many).contains("partition y of shop.a would be made into more than 10000"));
    }

    #[test]
    fn existing_partitions_keep_their_names() {
        let days = [("d1", range("2024-01-31", "2024-02-01")), ("d2", range("2024-02-01", "2024-02-02"))];
        let mut world = world(&[(DATE, ranges(), &days)], &Transform::Same, (DATE, by_month()));
        world.add("m", "p202402", range("2024-01-01", "2024-02-01"));
        check(&world, &["p202402 [2024-01-01 2024-02-01) d1", "p202402_2 [2024-02-01 2024-03-01) d2"]);
    }

    #[test]
    fn bounds_of_both_types_compare() {
        assert!(date("2024-01-01") < datetime("0001-01-01"), "types never mix within one partition column");
    }
}
