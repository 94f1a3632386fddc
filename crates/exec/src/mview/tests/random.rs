//! Random views and queries of one small grammar: whatever is answered from a view is what the tables give.

use super::fixture::{Cells, Fixture};
use super::*;

/// `SELECT outputs FROM tables WHERE predicates [GROUP BY keys]`.
#[derive(Clone, Debug)]
struct Spec {
    /// Aliases; the table is the first letter and digit.
    tables: Vec<&'static str>,
    predicates: Vec<String>,
    keys: Option<Vec<String>>,
    outputs: Vec<String>,
}

const COLUMNS: &[&str] = &["a", "b", "c", "d", "dt", "s"];

impl Spec {
    fn sql(&self) -> String {
        let from: Vec<String> = self.tables.iter().map(|alias| format!("{} {alias}", &alias[..2])).collect();
        let outputs: Vec<String> =
            self.outputs.iter().enumerate().map(|(at, o)| format!("{o} AS o{at}")).collect();
        let mut sql = format!("SELECT {} FROM {}", outputs.join(", "), from.join(", "));
        if !self.predicates.is_empty() {
            sql += &format!(" WHERE {}", self.predicates.join(" AND "));
        }
        match &self.keys {
            Some(keys) if !keys.is_empty() => sql + &format!(" GROUP BY {}", keys.join(", ")),
            _ => sql,
        }
    }
}

fn column(dice: &mut Dice, tables: &[&str]) -> String {
    format!("{}.{}", dice.one(tables), dice.one(COLUMNS))
}

fn computed(dice: &mut Dice, tables: &[&str]) -> String {
    let x = *dice.one(tables);
    match dice.below(12) {
        0 => format!("{x}.b + {x}.c"),
        1 => format!("upper({x}.s)"),
        2 => format!("date_trunc('{}', {x}.dt)", dice.one(&["day", "week", "month", "quarter"])),
        3 => format!("{x}.d * 2"),
        4 => format!("coalesce({x}.b, 0)"),
        _ => column(dice, tables),
    }
}

/// A predicate, and one that is true for fewer rows.
fn predicate(dice: &mut Dice, tables: &[&str]) -> (String, String) {
    let x = *dice.one(tables);
    let number = dice.below(4);
    let day = 1 + dice.below(5);
    let pair = |weak: String, strong: String| (weak, strong);
    match dice.below(11) {
        0 => pair(format!("{x}.b > {number}"), format!("{x}.b > {}", number + 1)),
        1 => pair(format!("{x}.b <= {number}"), format!("{x}.b = {number}")),
        2 => pair(format!("{x}.c IN (1, 2, {number})"), format!("{x}.c = {number}")),
        3 => pair(format!("{x}.dt >= '2024-01-0{day}'"), format!("{x}.dt > '2024-01-0{day}'")),
        4 => pair(format!("{x}.dt < '2024-03-0{day}'"), format!("{x}.dt <= '2024-02-0{day}'")),
        5 => pair(format!("{x}.s IS NOT NULL"), format!("{x}.s = 'u'")),
        6 => pair(format!("({x}.b = 1 OR {x}.c = 2)"), format!("{x}.c = 2")),
        7 => pair(format!("{x}.b <> {number}"), format!("{x}.b < {number}")),
        8 => pair(format!("{x}.d > 1.5"), format!("{x}.d BETWEEN 2 AND 4.25")),
        9 => pair(format!("{x}.b = {x}.c"), format!("{x}.b = {x}.c")),
        _ => pair(format!("{x}.b + {x}.c > 2"), format!("{x}.b + {x}.c > 2 AND {x}.b > 0")),
    }
}

fn aggregate(dice: &mut Dice, tables: &[&str]) -> String {
    let x = *dice.one(tables);
    match dice.below(14) {
        0 | 1 => "count(*)".to_owned(),
        2 => format!("count({x}.b)"),
        3 => format!("sum({x}.b)"),
        4 => format!("sum({x}.d)"),
        5 => format!("min({x}.c)"),
        6 => format!("max({x}.dt)"),
        7 => format!("avg({x}.b)"),
        8 => format!("avg({x}.d)"),
        9 => format!("count(DISTINCT {x}.c)"),
        10 => format!("count({x}.d)"),
        11 => format!("sum({x}.d) / count(*)"),
        12 => format!("coalesce(sum({x}.b), 0) + max({x}.c)"),
        _ => format!("sum({x}.b + {x}.c)"),
    }
}

fn unique(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    texts.retain(|t| {
        !seen.contains(t) && {
            seen.push(t.clone());
            true
        }
    });
    texts
}

fn many(dice: &mut Dice, least: usize, most: usize, mut one: impl FnMut(&mut Dice) -> String) -> Vec<String> {
    let count = least + dice.below(most - least + 1);
    unique((0..count).map(|_| one(dice)).collect())
}

fn view(dice: &mut Dice) -> (Spec, Vec<String>) {
    let tables: Vec<&str> = match dice.below(5) {
        0 | 1 => vec!["t1"],
        2 => vec!["t2"],
        3 => vec!["t1", "t2"],
        _ => vec!["t1", "t1x"],
    };
    let mut predicates = Vec::new();
    let mut stronger = Vec::new();
    if let [x, y] = tables.as_slice() {
        let on = *dice.one(&["a", "b"]);
        predicates.push(format!("{x}.{on} = {y}.{on}"));
        stronger.push(format!("{y}.{on} = {x}.{on}"));
    }
    for _ in 0..dice.below(3) {
        let (weak, strong) = predicate(dice, &tables);
        predicates.push(weak);
        stronger.push(strong);
    }
    let keys = dice.chance(50).then(|| many(dice, 0, 4, |d| computed(d, &tables)));
    let outputs = match &keys {
        None => many(dice, 4, 9, |d| computed(d, &tables)),
        Some(keys) => {
            let aggregates = many(dice, 3, 7, |d| aggregate(d, &tables));
            keys.iter().cloned().chain(aggregates).collect()
        }
    };
    (Spec { tables, predicates, keys, outputs }, stronger)
}

/// A query that is close to the view: predicates are kept, strengthened, dropped, added.
fn query(dice: &mut Dice, view: &Spec, stronger: &[String]) -> Spec {
    let mut tables = view.tables.clone();
    let mut predicates = Vec::new();
    for (weak, strong) in view.predicates.iter().zip(stronger) {
        match dice.below(20) {
            0 => {}
            1..8 => predicates.push(strong.clone()),
            _ => predicates.push(weak.clone()),
        }
    }
    let columns: Vec<String> = match &view.keys {
        Some(keys) => keys.clone(),
        None => view.outputs.clone(),
    };
    if dice.chance(20) && !tables.contains(&"t3") {
        tables.push("t3");
        predicates.push(format!("{}.b = t3.b", tables[0]));
    }
    // Mostly about columns that the view has.
    let known = |dice: &mut Dice| columns.is_empty() || dice.chance(8);
    for _ in 0..dice.below(3) {
        let (weak, _) = predicate(dice, &tables);
        let has = columns.iter().any(|c| c.len() < 7 && weak.contains(c.as_str()));
        if has || dice.chance(15) {
            predicates.push(weak);
        }
    }
    let expr = |dice: &mut Dice| match known(dice) {
        true => computed(dice, &tables),
        false => dice.one(&columns).clone(),
    };
    let groups = match &view.keys {
        Some(_) => !dice.chance(5),
        None => dice.chance(50),
    };
    if !groups {
        let outputs = many(dice, 1, 4, expr);
        return Spec { tables, predicates, keys: None, outputs };
    }
    let keys = many(dice, 0, 3, expr);
    let known: Vec<String> =
        view.outputs.iter().filter(|o| o.contains('(') && !columns.contains(o)).cloned().collect();
    let one = |dice: &mut Dice| match (known.is_empty() || dice.chance(12), columns.is_empty()) {
        (true, true) => aggregate(dice, &tables),
        (true, false) if dice.chance(50) => format!("count(DISTINCT {})", dice.one(&columns)),
        (true, false) => aggregate(dice, &tables),
        (false, _) => dice.one(&known).replace("sum(", if dice.chance(30) { "avg(" } else { "sum(" }),
    };
    let aggregates = many(dice, 1, 3, one);
    Spec { tables, predicates, outputs: keys.iter().cloned().chain(aggregates).collect(), keys: Some(keys) }
}

/// Cells of slices of days and of a number or text, each fresh or not.
fn sliced_cells(dice: &mut Dice, view: &Spec) -> Option<Cells> {
    let ends = |suffix: &str| view.outputs.iter().position(|o| o.ends_with(suffix) && !o.contains('('));
    let (day, text) = (ends(".dt")?, ends(".s")?);
    let floor = Floor { unit: *dice.one(&[TimeUnit::Day, TimeUnit::Week, TimeUnit::Month]), step: 1 };
    let partitioning = match dice.below(2) {
        0 => Partitioning::floored_values(vec![(day, Some(floor)), (text, None)]),
        _ => Partitioning::floored_values(vec![(text, None), (day, Some(floor))]),
    };
    let mut bounds: Vec<(Bounds, bool)> = Vec::new();
    for month in 1..4 {
        for day in 0..6 {
            for text in ["", "u", "v", "w"] {
                let or_null = |none, value| if none { Literal::Null } else { value };
                let text = or_null(text.is_empty(), Literal::Str(text.into()));
                let day = or_null(day == 0, date(&format!("2024-0{month}-0{}", day.max(1))));
                let key = if partitioning.floor(0).is_some() { [day, text] } else { [text, day] };
                let cell = partitioning.automatic(&key).unwrap().unwrap().bounds;
                if !bounds.iter().any(|(known, _)| *known == cell) {
                    bounds.push((cell, dice.chance(60)));
                }
            }
        }
    }
    Some(Cells { partitioning, bounds })
}

/// Cells of one or two of the view's columns, each fresh or not.
fn cells(dice: &mut Dice, view: &Spec) -> Option<Cells> {
    if dice.chance(40)
        && let Some(cells) = sliced_cells(dice, view)
    {
        return Some(cells);
    }
    let ends = |suffix: &str| view.outputs.iter().position(|o| o.ends_with(suffix) && !o.contains('('));
    if let Some(column) = ends(".dt")
        && dice.chance(60)
    {
        let bounds = ["", "2024-01-03", "2024-02-01", "2024-02-04", "2024-03-01", ""];
        let cell = |at: usize| range("p", bounds[at], bounds[at + 1]).bounds;
        return Some(Cells {
            partitioning: Partitioning::values(vec![column]),
            bounds: (0..5).map(|at| (cell(at), dice.chance(60))).collect(),
        });
    }
    let lists = [".s", ".b", ".c"].iter().find_map(|suffix| Some((*suffix, ends(suffix)?)));
    let (suffix, column) = lists.filter(|_| dice.chance(50))?;
    let keys: Vec<Literal> = match suffix {
        ".s" => ["u", "v", "w"].iter().map(|s| Literal::Str((*s).into())).chain([Literal::Null]).collect(),
        _ => (0..6).map(Literal::Int).chain([Literal::Null]).collect(),
    };
    let bounds = keys.into_iter().map(|k| (Bounds::List { keys: vec![vec![k]] }, dice.chance(60)));
    Some(Cells { partitioning: Partitioning::values(vec![column]), bounds: bounds.collect() })
}

async fn fixture(dice: &mut Dice) -> Fixture {
    let mut world = World::new();
    for name in ["t1", "t2", "t3"] {
        let columns = "a int not null, b int, c int, d decimal, dt date, s varchar";
        world.table(name, columns, Partitioning::None, vec![]);
    }
    let mut this = Fixture::new(&world);
    for (name, count) in [("t1", 60), ("t2", 25), ("t3", 8)] {
        let mut rows = Vec::new();
        for _ in 0..count {
            let or_null = |text: String, d: &mut Dice| if d.chance(20) { "NULL".to_owned() } else { text };
            let (b, c) = (dice.below(6).to_string(), dice.below(5).to_string());
            let d = format!("{}.{:02}", dice.below(7), dice.below(100));
            let dt = format!("DATE '2024-0{}-0{}'", 1 + dice.below(3), 1 + dice.below(5));
            let s = format!("'{}'", dice.one(&["u", "v", "w"]));
            let row = [b, c, d, dt, s].map(|text| or_null(text, dice));
            rows.push(format!("({}, {})", dice.below(8), row.join(", ")));
        }
        // Some rows more than once.
        let again: Vec<String> = rows.iter().take(5).cloned().collect();
        rows.extend(again);
        this.fill(name, &format!("SELECT * FROM (VALUES {}) v(a, b, c, d, e, f)", rows.join(", "))).await;
    }
    this
}

#[derive(Default, Debug)]
struct Tally {
    queries: usize,
    rewritten: usize,
    unions: usize,
    grouped: usize,
    from_groups: usize,
    joined: usize,
}

async fn round(seed: u64, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    let mut fixture = fixture(&mut dice).await;
    for number in 0..12 {
        let (spec, stronger) = view(&mut dice);
        let cells = cells(&mut dice, &spec);
        let mv = fixture.view(&format!("mv{number}"), &spec.sql(), cells.clone()).await;
        for _ in 0..6 {
            let wanted = query(&mut dice, &spec, &stronger);
            let sql = match dice.below(6) {
                0 => format!(
                    "SELECT q.o0, count(*) FROM ({}) q WHERE q.o0 IS NOT NULL GROUP BY q.o0",
                    wanted.sql()
                ),
                _ => wanted.sql(),
            };
            let answered = fixture.answer(&sql, std::slice::from_ref(&mv)).await;
            let answered =
                answered.unwrap_or_else(|e| panic!("seed {seed}\nview {}\ncells {cells:?}\n{e}", spec.sql()));
            tally.queries += 1;
            if answered.used.is_empty() {
                continue;
            }
            tally.rewritten += 1;
            tally.unions += usize::from(answered.plan.contains("Union"));
            tally.grouped += usize::from(wanted.keys.is_some());
            tally.from_groups += usize::from(spec.keys.is_some());
            tally.joined += usize::from(wanted.tables.len() > 1);
        }
    }
}

#[test]
fn answers_from_views_are_those_of_the_tables() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rounds = std::env::var("CAIRN_MVIEW_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let mut tally = Tally::default();
    for seed in 1..=rounds {
        runtime.block_on(round(seed, &mut tally));
    }
    println!("{tally:?}");
    // A test in which nothing is rewritten proves nothing.
    assert!(tally.rewritten * 100 > tally.queries * 25, "{tally:?}");
    assert!(tally.unions * 100 > tally.queries * 4, "{tally:?}");
    assert!(tally.from_groups * 100 > tally.queries * 5, "{tally:?}");
    assert!(tally.joined * 100 > tally.queries * 5, "{tally:?}");
}
