//! Which queries are answered from which views; each answer is compared with that of the tables.

use super::fixture::{Cells, Fixture};
use super::*;

async fn fixture() -> Fixture {
    let mut world = World::new();
    let none = || Partitioning::None;
    world.table(
        "orders",
        "id int not null, cust int, dt date, price decimal, qty int not null, status varchar",
        none(),
        vec![],
    );
    world.table("items", "order_id int not null, part int, amount bigint, cost double", none(), vec![]);
    world.table("custs", "id int not null, name varchar, nation int", none(), vec![]);
    let mut this = Fixture::new(&world);
    let row = |i: i32| {
        let dt = match i % 7 {
            0 => "NULL".to_owned(),
            day => format!("DATE '2024-0{}-0{}'", 1 + i % 3, day),
        };
        let null = |every: i32, text: String| if i % every == 0 { "NULL".to_owned() } else { text };
        let status = null(11, format!("'{}'", ["open", "done", "sent"][(i % 3) as usize]));
        format!(
            "({i}, {}, {dt}, {}, {}, {status})",
            null(5, (i % 4).to_string()),
            null(6, format!("{}.{:02}", i % 9, i % 100)),
            i % 5
        )
    };
    let values: Vec<String> = (1..40).map(row).collect();
    this.fill("orders", &format!("SELECT * FROM (VALUES {}) v(a, b, c, d, e, f)", values.join(","))).await;
    let row = |i: i32| {
        format!(
            "({}, {}, {}, {}.5)",
            1 + i % 45,
            i % 6,
            if i % 8 == 0 { "NULL".into() } else { i.to_string() },
            i % 4
        )
    };
    let values: Vec<String> = (1..90).map(row).collect();
    this.fill("items", &format!("SELECT * FROM (VALUES {}) v(a, b, c, d)", values.join(","))).await;
    let values = "(0, 'ann', 1), (1, 'bob', 2), (2, 'cyd', NULL), (7, 'dee', 1)";
    this.fill("custs", &format!("SELECT * FROM (VALUES {values}) v(a, b, c)")).await;
    this
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Checks queries against one view: each is answered from it (`""`), or not, for a reason.
#[track_caller]
fn check(view: &str, queries: &[(&str, &str)]) {
    check_cells(view, None, queries);
}

#[track_caller]
fn check_cells(view: &str, cells: Option<Cells>, queries: &[(&str, &str)]) {
    run(async {
        let mut fixture = fixture().await;
        let candidate = fixture.view("mv", view, cells).await;
        for (sql, expected) in queries {
            let answered = fixture.answer(sql, std::slice::from_ref(&candidate)).await;
            let answered = answered.unwrap_or_else(|e| panic!("{e}"));
            match *expected {
                "" => assert_eq!(answered.used, ["mv"], "{sql}: {:?}\n{}", answered.rejected, answered.plan),
                // What the plan must or must not read beside.
                "alone" => {
                    assert_eq!(answered.used, ["mv"], "{sql}: {:?}", answered.rejected);
                    assert!(!answered.plan.contains("TableScan: orders"), "{sql}\n{}", answered.plan);
                }
                "union" => {
                    assert_eq!(answered.used, ["mv"], "{sql}: {:?}", answered.rejected);
                    assert!(answered.plan.contains("Union"), "{sql}\n{}", answered.plan);
                }
                reason => {
                    assert!(answered.used.is_empty(), "{sql}\n{}", answered.plan);
                    let why = answered.rejected.first().map(|(_, why)| why.as_str()).unwrap_or("nothing");
                    assert!(why.contains(reason), "{sql}: {why}");
                }
            }
        }
    });
}

#[test]
fn rows_of_one_table() {
    check(
        "SELECT id, cust, dt, price, qty + 1 AS q1, status FROM orders WHERE price > 2 AND status <> 'sent'",
        &[
            (
                "SELECT id, cust, dt, price, qty + 1, status FROM orders WHERE price > 2 AND status <> 'sent'",
                "",
            ),
            ("SELECT id FROM orders WHERE price > 3 AND status = 'open'", ""),
            (
                "SELECT id, price * 2 FROM orders WHERE status IN ('open', 'done') AND price BETWEEN 3 AND 5",
                "",
            ),
            ("SELECT id FROM orders WHERE price >= 2.01 AND 'sent' <> status AND qty + 1 = 2", ""),
            ("SELECT count(*), max(dt) FROM orders WHERE price > 4 AND status = 'done'", ""),
            (
                "SELECT cust, sum(price), avg(price) FROM orders WHERE price > 4 AND status = 'done' GROUP BY cust",
                "",
            ),
            ("SELECT o.id FROM orders o WHERE o.price > 7 AND o.status < 'a'", ""),
            (
                "SELECT id FROM (SELECT id, price p, status FROM orders) x WHERE p > 5 AND status = 'open' ORDER BY id LIMIT 2",
                "",
            ),
            ("SELECT id FROM orders WHERE price > 1 AND status = 'open'", "union"),
            ("SELECT id FROM orders WHERE price > 2", "union"),
            ("SELECT id FROM orders WHERE price > 2 AND status = 'open' OR id = 3", "union"),
            ("SELECT qty FROM orders WHERE price > 2 AND status = 'open'", "cannot be computed"),
            (
                "SELECT id FROM orders WHERE price > 2 AND status = 'open' AND qty = 1",
                "predicate (qty = 1) of the query cannot be computed",
            ),
            ("SELECT part FROM items", "other tables"),
        ],
    );
}

#[test]
fn rows_count_where_no_column_is_asked_for() {
    check(
        "SELECT id, cust FROM orders",
        &[
            ("SELECT count(*) FROM orders", ""),
            ("SELECT 1 FROM orders", ""),
            ("SELECT count(*) FROM orders o, custs c", ""),
            ("SELECT count(*) FROM orders o, custs c WHERE o.id = 3", ""),
            ("SELECT cust, count(*) FROM orders o, custs c GROUP BY cust", ""),
        ],
    );
}

#[test]
fn predicates_that_imply() {
    check(
        "SELECT id, cust, dt, qty, status FROM orders WHERE dt >= '2024-01-03' AND dt < '2024-03-01' AND \
         (cust = 1 OR cust = 3) AND status IS NOT NULL",
        &[
            (
                "SELECT id FROM orders WHERE dt >= '2024-02-01' AND dt <= '2024-02-29' AND cust = 3 AND status = 'open'",
                "",
            ),
            (
                "SELECT id FROM orders WHERE dt = '2024-02-04' AND cust IN (1, 3) AND status LIKE 'o%' AND status IS NOT NULL",
                "",
            ),
            (
                "SELECT id FROM orders WHERE dt > '2024-01-02' AND dt <= '2024-02-29' AND cust IN (3, 1) AND status >= 'a'",
                "",
            ),
            ("SELECT id FROM orders WHERE dt >= '2024-02-01' AND cust = 3 AND status = 'open'", "union"),
            ("SELECT id FROM orders WHERE dt = '2024-02-04' AND cust IN (1, 2) AND status = 'open'", "union"),
            ("SELECT id FROM orders WHERE dt = '2024-02-04' AND cust = 1", "union"),
        ],
    );
    check(
        "SELECT id, cust, qty, status FROM orders WHERE cust > qty AND upper(status) = 'OPEN'",
        &[
            ("SELECT id FROM orders WHERE qty < cust AND 'OPEN' = upper(status)", ""),
            ("SELECT id FROM orders WHERE qty <= cust AND 'OPEN' = upper(status)", "union"),
        ],
    );
}

#[test]
fn what_the_view_leaves_out_comes_from_its_tables() {
    check(
        "SELECT cust, sum(price) AS s, count(*) AS n, max(dt) AS m FROM orders WHERE price > 3 GROUP BY cust",
        &[
            ("SELECT cust, sum(price), count(*) FROM orders GROUP BY cust", "union"),
            ("SELECT count(*) FROM orders", "union"),
            ("SELECT cust, avg(price) FROM orders GROUP BY cust", "cannot be computed"),
            ("SELECT cust, count(*) FROM orders WHERE price > 3 GROUP BY cust", "alone"),
            // No row of the view is wanted.
            ("SELECT cust, count(*) FROM orders WHERE price < 2 GROUP BY cust", "leaves out all rows"),
        ],
    );
}

#[test]
fn ranges_of_time_are_cut_to_whole_slices() {
    let view = "SELECT date_trunc('month', dt) AS month, cust, sum(price) AS s, count(*) AS n FROM orders \
                GROUP BY date_trunc('month', dt), cust";
    check(
        view,
        &[
            ("SELECT cust, sum(price) FROM orders WHERE dt >= '2024-02-01' GROUP BY cust", "union"),
            ("SELECT cust, count(*) FROM orders WHERE dt > '2024-01-20' GROUP BY cust", "union"),
            ("SELECT count(*) FROM orders WHERE dt > '2024-01-20' AND dt <= '2024-03-02'", "union"),
            ("SELECT count(*) FROM orders WHERE dt < '2024-01-20' OR dt > '2024-02-10'", "union"),
            // Years are made of months, weeks are not.
            (
                "SELECT date_trunc('year', dt), sum(price) FROM orders WHERE dt > '2024-01-20' GROUP BY date_trunc('year', dt)",
                "union",
            ),
            (
                "SELECT date_trunc('quarter', dt), count(*) FROM orders GROUP BY date_trunc('quarter', dt)",
                "alone",
            ),
            (
                "SELECT date_trunc('week', dt), count(*) FROM orders GROUP BY date_trunc('week', dt)",
                "cannot be computed",
            ),
            (
                "SELECT time_slice(dt, INTERVAL 6 MONTH), count(*) FROM orders GROUP BY time_slice(dt, INTERVAL 6 MONTH)",
                "alone",
            ),
            (
                "SELECT date_slice(dt, INTERVAL 1 QUARTER), sum(price) FROM orders WHERE dt > '2024-01-20' \
                 GROUP BY date_slice(dt, INTERVAL 1 QUARTER)",
                "union",
            ),
            (
                "SELECT time_slice(dt, INTERVAL 7 DAY), count(*) FROM orders GROUP BY time_slice(dt, INTERVAL 7 DAY)",
                "cannot be computed",
            ),
            // The end of a slice is no start of one.
            (
                "SELECT time_slice(dt, INTERVAL 1 YEAR, CEIL), count(*) FROM orders \
                 GROUP BY time_slice(dt, INTERVAL 1 YEAR, CEIL)",
                "cannot be computed",
            ),
            ("SELECT max(price) FROM orders WHERE dt > '2024-01-20'", "cannot be computed"),
            // No month is whole.
            (
                "SELECT count(*) FROM orders WHERE dt > '2024-01-20' AND dt < '2024-02-20'",
                "cannot be computed",
            ),
            ("SELECT count(*) FROM orders WHERE dt = '2024-01-20'", "cannot be computed"),
            ("SELECT count(*) FROM orders WHERE dt > '2024-01-20' AND qty = 1", "cannot be computed"),
        ],
    );
}

#[test]
fn joins() {
    let view = "SELECT o.id, o.cust, o.dt, o.price, i.part, i.amount FROM orders o JOIN items i ON o.id = i.order_id WHERE o.price > 1";
    check(
        view,
        &[
            ("SELECT o.dt, i.part FROM items i JOIN orders o ON i.order_id = o.id WHERE o.price > 1", ""),
            (
                "SELECT i.order_id, i.part FROM items i, orders o WHERE i.order_id = o.id AND o.price > 3 AND i.part = 2",
                "",
            ),
            ("SELECT o.id + i.order_id FROM orders o JOIN items i ON o.id = i.order_id AND o.price > 2", ""),
            (
                "SELECT o.cust, sum(i.amount), count(*) FROM orders o JOIN items i ON o.id = i.order_id WHERE o.price > 1 GROUP BY o.cust",
                "",
            ),
            // With another table beside.
            (
                "SELECT c.name, i.part FROM orders o JOIN items i ON o.id = i.order_id JOIN custs c ON c.id = o.cust WHERE o.price > 1",
                "",
            ),
            (
                "SELECT c.name, max(i.part) FROM custs c, orders o, items i WHERE o.id = i.order_id AND c.id \
                 = o.cust AND o.price > 4 AND c.nation = 1 GROUP BY c.name HAVING max(i.part) > 1",
                "",
            ),
            // An equality that the view does not have.
            (
                "SELECT o.id FROM orders o JOIN items i ON o.id = i.order_id WHERE o.price > 1 AND o.cust = i.part",
                "",
            ),
            (
                "SELECT o.id FROM orders o JOIN items i ON o.id = i.order_id AND o.id = i.part WHERE o.price > 1",
                "",
            ),
            ("SELECT o.id FROM orders o JOIN items i ON o.cust = i.part WHERE o.price > 1", "not implied"),
            ("SELECT id FROM orders WHERE price > 1", "other tables"),
            (
                "SELECT o.id FROM orders o LEFT JOIN items i ON o.id = i.order_id WHERE o.price > 1",
                "other tables",
            ),
            (
                "SELECT o.id FROM orders o WHERE o.price > 1 AND o.id IN (SELECT order_id FROM items)",
                "other tables",
            ),
        ],
    );
    check(
        "SELECT a.id, b.qty FROM orders a JOIN orders b ON a.cust = b.cust WHERE a.status = 'open'",
        &[
            ("SELECT b.id, a.qty FROM orders a, orders b WHERE a.cust = b.cust AND b.status = 'open'", ""),
            (
                "SELECT a.id, b.qty FROM orders a, orders b WHERE a.cust = b.cust AND a.status = 'open' AND b.status = 'open'",
                "cannot be computed",
            ),
            ("SELECT id FROM orders WHERE status = 'open'", "other tables"),
        ],
    );
}

#[test]
fn equal_columns_stand_for_each_other_only_where_they_are_equal() {
    check(
        "SELECT id, qty FROM orders",
        &[
            // cust = qty cannot be checked.
            ("SELECT id FROM orders WHERE cust = qty", "not among its columns"),
            ("SELECT id FROM orders WHERE id = qty", ""),
        ],
    );
    check(
        "SELECT id, cust, qty FROM orders",
        &[
            ("SELECT cust + 1, qty FROM orders WHERE cust = qty AND qty > 1", ""),
            ("SELECT cust FROM orders WHERE cust = cust", ""),
        ],
    );
    check(
        "SELECT id, qty FROM orders WHERE cust = qty",
        &[
            ("SELECT cust FROM orders WHERE cust = qty AND cust > 1", ""),
            ("SELECT id FROM orders WHERE cust = qty AND cust IS NOT NULL", ""),
            ("SELECT id FROM orders", "not implied"),
        ],
    );
}

#[test]
fn outer_joins_and_other_parts_as_they_are() {
    check(
        "SELECT o.id, o.cust, c.name, c.nation FROM orders o LEFT JOIN custs c ON o.cust = c.id",
        &[
            (
                "SELECT x.name, x.id FROM (SELECT b.name, a.id FROM orders a LEFT JOIN custs b ON a.cust = b.id) x WHERE x.name IS NULL",
                "",
            ),
            ("SELECT name, count(*) FROM orders o LEFT JOIN custs c ON o.cust = c.id GROUP BY name", ""),
            ("SELECT o.id, name FROM orders o LEFT JOIN custs c ON o.id = c.id", "other tables"),
            ("SELECT o.id, name FROM orders o RIGHT JOIN custs c ON o.cust = c.id", "other tables"),
            ("SELECT o.id, name FROM orders o JOIN custs c ON o.cust = c.id", "other tables"),
        ],
    );
    check(
        "SELECT id, cust FROM orders UNION ALL SELECT order_id, part FROM items",
        &[
            (
                "SELECT id FROM (SELECT id, cust FROM orders UNION ALL SELECT order_id, part FROM items) u WHERE cust > 2",
                "",
            ),
            ("SELECT id, cust FROM orders UNION ALL SELECT order_id, 1 FROM items", "other tables"),
            ("SELECT id, cust FROM orders UNION ALL SELECT order_id, part FROM items", ""),
            ("SELECT id, cust FROM orders UNION ALL SELECT order_id, part FROM items ORDER BY 1 LIMIT 2", ""),
        ],
    );
    check(
        "SELECT id, row_number() OVER (PARTITION BY cust ORDER BY id) AS r FROM orders",
        &[
            (
                "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY cust ORDER BY id) AS r FROM orders) x WHERE r = 1",
                "",
            ),
            (
                "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY qty ORDER BY id) AS r FROM orders) x WHERE r = 1",
                "other tables",
            ),
        ],
    );
    check(
        "SELECT cust, count(*) c FROM orders GROUP BY cust HAVING count(*) > 3",
        &[
            ("SELECT cust FROM orders GROUP BY cust HAVING count(*) > 3", ""),
            ("SELECT cust, sum(qty) FROM orders GROUP BY cust HAVING count(*) > 3", "other tables"),
            ("SELECT cust, count(*) FROM orders GROUP BY cust HAVING count(*) > 4", ""),
            ("SELECT cust, count(*) FROM orders GROUP BY cust HAVING count(*) > 2", "union"),
        ],
    );
}

#[test]
fn first_rows_where_the_order_leaves_no_choice() {
    check(
        "SELECT cust, sum(qty) q FROM orders GROUP BY cust ORDER BY cust DESC LIMIT 3",
        &[
            ("SELECT cust, sum(qty) AS s FROM orders GROUP BY cust ORDER BY cust DESC LIMIT 3", ""),
            (
                "SELECT c FROM (SELECT cust c, sum(qty) s FROM orders GROUP BY 1 ORDER BY 1 DESC LIMIT 3) x WHERE s > 1",
                "",
            ),
            ("SELECT cust, sum(qty) FROM orders GROUP BY cust ORDER BY cust LIMIT 3", "other tables"),
            ("SELECT cust, sum(qty) FROM orders GROUP BY cust ORDER BY cust DESC LIMIT 2", "other tables"),
            (
                "SELECT cust, sum(qty) FROM orders GROUP BY cust ORDER BY cust DESC LIMIT 3 OFFSET 1",
                "other tables",
            ),
            (
                "SELECT cust, sum(qty) FROM orders GROUP BY cust ORDER BY sum(qty) DESC LIMIT 3",
                "other tables",
            ),
            ("SELECT cust, sum(qty) FROM orders GROUP BY cust", "other tables"),
        ],
    );
    check(
        "SELECT id, cust FROM orders ORDER BY cust, id LIMIT 4",
        &[
            ("SELECT id, cust FROM orders ORDER BY cust, id LIMIT 4", ""),
            ("SELECT id, cust FROM orders ORDER BY id, cust LIMIT 4", "other tables"),
        ],
    );
}

#[test]
fn groups() {
    check(
        "SELECT cust, status, dt, sum(price) s, count(price) c, count(*) n, min(qty) lo, max(qty) hi, \
         sum(qty) sq FROM orders WHERE qty < 4 GROUP BY cust, status, dt",
        &[
            (
                "SELECT dt, status, cust, count(*), sum(price) FROM orders WHERE qty < 4 GROUP BY dt, cust, status",
                "",
            ),
            (
                "SELECT cust, sum(price), count(*), count(price), avg(price), min(qty), max(qty) FROM orders WHERE qty < 4 GROUP BY cust",
                "",
            ),
            ("SELECT status, avg(qty), sum(qty) / count(*) FROM orders WHERE qty < 4 GROUP BY status", ""),
            ("SELECT count(*), sum(price), avg(price), max(dt), min(status) FROM orders WHERE qty < 4", ""),
            // Nothing is left to group.
            (
                "SELECT count(*), sum(price), count(price), avg(qty) FROM orders WHERE qty < 4 AND cust = 77",
                "",
            ),
            ("SELECT cust, count(*) FROM orders WHERE qty < 4 AND cust = 77 GROUP BY cust", ""),
            ("SELECT count(DISTINCT cust), count(DISTINCT dt) FROM orders WHERE qty < 4", ""),
            (
                "SELECT status, count(DISTINCT cust), sum(price) FROM orders WHERE qty < 4 AND dt > '2024-01-02' GROUP BY status",
                "",
            ),
            ("SELECT DISTINCT cust, dt FROM orders WHERE qty < 4", ""),
            (
                "SELECT upper(status) u, sum(qty) FROM orders WHERE qty < 4 AND status <> 'done' GROUP BY \
                 upper(status) HAVING sum(qty) > 1 ORDER BY u",
                "",
            ),
            ("SELECT cust + 1 FROM orders WHERE qty < 4 GROUP BY cust + 1", ""),
            (
                "SELECT c.name, s.n FROM custs c JOIN (SELECT cust, count(*) n FROM orders WHERE qty < 4 GROUP BY cust) s ON c.id = s.cust",
                "",
            ),
            (
                "SELECT name FROM custs WHERE nation < (SELECT count(*) FROM orders WHERE qty < 4 AND cust = 2)",
                "",
            ),
            ("SELECT sum(price) FROM orders", "union"),
            (
                "SELECT sum(price) FROM orders WHERE qty < 3",
                "predicate (qty < 3) of the query cannot be computed",
            ),
            ("SELECT id, count(*) FROM orders WHERE qty < 4 GROUP BY id", "cannot be computed"),
            (
                "SELECT cust, sum(DISTINCT price) FROM orders WHERE qty < 4 GROUP BY cust",
                "cannot be computed",
            ),
            (
                "SELECT cust, max(price) FROM orders WHERE qty < 4 GROUP BY cust",
                "max(price) of the query cannot be computed",
            ),
            ("SELECT cust, status FROM orders WHERE qty < 4", "it groups, the query does not"),
            (
                "SELECT nation, sum(price) FROM orders o JOIN custs c ON o.cust = c.id WHERE qty < 4 GROUP BY nation",
                "groups before a join",
            ),
        ],
    );
    check(
        "SELECT count(*) c, sum(price) s FROM orders",
        &[
            ("SELECT sum(price), count(*) FROM orders", ""),
            ("SELECT count(*) FROM orders WHERE 1 = 0", ""),
            ("SELECT count(*) FROM orders WHERE cust = 1", "cannot be computed"),
            ("SELECT 1, count(*) FROM orders GROUP BY 1 + 1", "has one group"),
        ],
    );
    check(
        "SELECT cust, avg(price) a, count(DISTINCT dt) d, sum(price) / count(*) AS m FROM orders GROUP BY cust",
        &[
            ("SELECT cust, count(DISTINCT dt), avg(price) FROM orders WHERE cust > 1 GROUP BY cust", ""),
            ("SELECT sum(price) / count(*) FROM orders GROUP BY cust", ""),
            ("SELECT avg(price) FROM orders", "cannot be computed"),
        ],
    );
    check(
        "SELECT o.cust, i.part, sum(i.amount) s, count(i.amount) c, sum(cost) f, count(cost) fc, count(*) n \
         FROM orders o JOIN items i ON o.id = i.order_id GROUP BY o.cust, i.part",
        &[
            (
                "SELECT part, sum(amount), avg(cost) FROM items, orders WHERE id = order_id AND cust = 2 GROUP BY part",
                "",
            ),
            // BIGINT sums may be too large where averages are not.
            (
                "SELECT part, avg(amount) FROM items, orders WHERE id = order_id GROUP BY part",
                "cannot be computed",
            ),
        ],
    );
}

fn months(fresh: [bool; 4]) -> Vec<(Bounds, bool)> {
    let cells = [
        range("p", "", "2024-01-01"),
        range("p", "2024-01-01", "2024-02-01"),
        range("p", "2024-02-01", "2024-03-01"),
        range("p", "2024-03-01", "2024-04-01"),
    ];
    cells.into_iter().map(|c| c.bounds).zip(fresh).collect()
}

#[test]
fn stale_cells_are_read_from_the_tables() {
    // NULL and February are stale.
    let cells = |column| {
        Some(Cells {
            partitioning: Partitioning::values(vec![column]),
            bounds: months([false, true, false, true]),
        })
    };
    let queries: &[(&str, &str)] = &[
        ("SELECT id, dt FROM orders", "union"),
        ("SELECT id, dt FROM orders WHERE dt >= '2024-01-05' AND dt < '2024-02-03'", "union"),
        ("SELECT id FROM orders WHERE dt >= '2024-03-01' AND dt <= '2024-03-31'", "alone"),
        ("SELECT id FROM orders WHERE dt IN ('2024-01-02', '2024-03-04')", "alone"),
        ("SELECT id FROM orders WHERE dt IS NULL", "none of the rows"),
        (
            "SELECT status, count(*), sum(price), avg(price), count(DISTINCT cust) FROM orders GROUP BY status",
            "union",
        ),
        ("SELECT count(*), max(price) FROM orders WHERE dt < '2024-02-02'", "union"),
        ("SELECT o.id, c.name FROM orders o JOIN custs c ON o.cust = c.id", "union"),
    ];
    check_cells("SELECT id, cust, dt, price, status FROM orders", cells(2), queries);
    let queries: &[(&str, &str)] = &[
        ("SELECT dt, status, sum(price), count(*) FROM orders GROUP BY dt, status", "union"),
        ("SELECT status, sum(price), count(*), avg(price), max(dt) FROM orders GROUP BY status", "union"),
        ("SELECT count(*), count(DISTINCT dt), sum(price) FROM orders", "union"),
        (
            "SELECT status, count(*) FROM orders WHERE dt >= '2024-01-01' AND dt < '2024-02-01' GROUP BY status",
            "alone",
        ),
        ("SELECT status FROM orders GROUP BY status", "union"),
    ];
    let view = "SELECT dt, status, sum(price) s, count(price) c, count(*) n FROM orders GROUP BY dt, status";
    check_cells(view, cells(0), queries);
}

#[test]
fn what_is_read_twice_must_be_the_same_twice() {
    let cells = Some(Cells {
        partitioning: Partitioning::values(vec![1]),
        bounds: months([false, true, true, true]),
    });
    check_cells(
        "SELECT id, dt, cust FROM orders",
        cells,
        &[
            (
                "SELECT o.id, c.x FROM orders o JOIN (SELECT id + 1 AS x FROM custs) c ON o.cust = c.x",
                "union",
            ),
            (
                "SELECT o.id, c.id FROM orders o JOIN (SELECT id FROM custs LIMIT 2) c ON o.cust = c.id",
                "read twice",
            ),
            ("SELECT id FROM orders WHERE cust IN (SELECT id FROM custs LIMIT 1)", "read twice"),
            (
                "SELECT id FROM orders WHERE cust IN (SELECT id FROM custs LIMIT 1) AND dt = '2024-02-04'",
                "alone",
            ),
        ],
    );
}

#[test]
fn cells_of_what_is_computed() {
    let bound = |text: &str| Some(vec![Literal::parse(text, SqlType::Date).unwrap()]);
    let month = |from: &str, to: &str| Bounds::Range { lower: bound(from), upper: bound(to) };
    let null = Bounds::Range { lower: None, upper: Some(vec![Literal::Date(i32::MIN)]) };
    let bounds = vec![
        (null, true),
        (month("2024-01-01", "2024-02-01"), false),
        // Bounds that are no starts of months: February's start alone is within.
        (month("2024-01-10", "2024-02-05"), true),
    ];
    check_cells(
        "SELECT date_trunc('month', dt) m, count(*) n FROM orders GROUP BY date_trunc('month', dt)",
        Some(Cells { partitioning: Partitioning::values(vec![0]), bounds: bounds.clone() }),
        &[
            (
                "SELECT date_trunc('month', dt), count(*) FROM orders GROUP BY date_trunc('month', dt)",
                "union",
            ),
            ("SELECT count(*) FROM orders", "union"),
        ],
    );
    check_cells(
        "SELECT date_trunc('month', dt) m, dt, id FROM orders",
        Some(Cells { partitioning: Partitioning::values(vec![0]), bounds }),
        &[
            ("SELECT id FROM orders WHERE dt >= '2024-02-03' AND dt < '2024-03-01'", "alone"),
            ("SELECT id FROM orders WHERE dt IS NULL", "alone"),
            ("SELECT id FROM orders WHERE dt >= '2024-01-30'", "union"),
        ],
    );
}

#[test]
fn cells_of_lists() {
    let text = |t: &str| Literal::Str(t.into());
    let list = |keys: &[&[Literal]]| Bounds::List { keys: keys.iter().map(|k| k.to_vec()).collect() };
    let bounds = vec![(list(&[&[text("open")], &[Literal::Null]]), true), (list(&[&[text("done")]]), false)];
    check_cells(
        "SELECT status, id, qty FROM orders",
        Some(Cells { partitioning: Partitioning::values(vec![0]), bounds }),
        &[
            ("SELECT id, status FROM orders", "union"),
            ("SELECT id FROM orders WHERE status = 'open'", "alone"),
            ("SELECT id FROM orders WHERE status IS NULL", "alone"),
            ("SELECT sum(qty) FROM orders WHERE status <> 'open'", "none of the rows"),
        ],
    );
    let key = |c: Literal, s: Literal| vec![c, s];
    let bounds = vec![
        (
            Bounds::List { keys: vec![key(Literal::Int(1), text("open")), key(Literal::Null, text("done"))] },
            true,
        ),
        (Bounds::List { keys: vec![key(Literal::Int(2), text("open"))] }, false),
        (Bounds::List { keys: vec![key(Literal::Int(3), Literal::Null)] }, true),
    ];
    check_cells(
        "SELECT status, cust, count(*) n FROM orders GROUP BY status, cust",
        Some(Cells { partitioning: Partitioning::values(vec![1, 0]), bounds }),
        &[
            ("SELECT cust, count(*) FROM orders GROUP BY cust", "union"),
            ("SELECT sum(qty), status FROM orders GROUP BY status", "cannot be computed"),
            ("SELECT count(*) FROM orders WHERE cust = 1 AND status = 'open'", "alone"),
            ("SELECT count(*) FROM orders WHERE cust = 1 AND status = 'done'", "union"),
        ],
    );
}

/// Lists whose keys are starts of months stand for all days of the months.
#[test]
fn cells_of_lists_of_slices() {
    let month = Some(Floor { unit: TimeUnit::Month, step: 1 });
    let text = |t: &str| if t.is_empty() { Literal::Null } else { Literal::Str(t.into()) };
    let day = |t: &str| if t.is_empty() { Literal::Null } else { date(t) };
    let cell = |d: &str, s: &str, fresh| (Bounds::List { keys: vec![vec![day(d), text(s)]] }, fresh);
    let mut bounds = Vec::new();
    for (at, month) in ["", "2024-01-01", "2024-02-01", "2024-03-01"].iter().enumerate() {
        for (status, fresh) in [("", at == 3), ("open", at != 2), ("done", at == 1), ("sent", true)] {
            bounds.push(cell(month, status, fresh));
        }
    }
    let cells = |columns: [usize; 2]| {
        let by = vec![(columns[0], month), (columns[1], None)];
        Some(Cells { partitioning: Partitioning::floored_values(by), bounds: bounds.clone() })
    };
    let queries: &[(&str, &str)] = &[
        ("SELECT id, dt FROM orders", "union"),
        ("SELECT id FROM orders WHERE dt = '2024-01-02' AND status = 'open'", "alone"),
        (
            "SELECT id FROM orders WHERE dt IN ('2024-01-02', '2024-01-03') AND status IN ('open', 'done')",
            "alone",
        ),
        ("SELECT id FROM orders WHERE dt = '2024-02-02' AND status = 'open'", "union"),
        ("SELECT id FROM orders WHERE dt >= '2024-01-01' AND dt < '2024-02-01' AND status = 'open'", "alone"),
        ("SELECT id FROM orders WHERE dt >= '2024-01-15' AND dt < '2024-02-02' AND status = 'sent'", "alone"),
        ("SELECT id FROM orders WHERE dt >= '2024-01-15' AND dt < '2024-02-02' AND status = 'open'", "union"),
        ("SELECT id FROM orders WHERE dt < '2024-02-01' AND dt >= '2024-01-01' AND status IS NULL", "union"),
        ("SELECT id FROM orders WHERE dt = '2024-03-06' AND status IS NULL", "alone"),
        ("SELECT id FROM orders WHERE dt IS NULL", "union"),
        ("SELECT status, count(*), sum(price) FROM orders GROUP BY status", "union"),
        ("SELECT date_trunc('month', dt), count(*) FROM orders GROUP BY date_trunc('month', dt)", "union"),
    ];
    check_cells("SELECT id, cust, dt, price, status FROM orders", cells([2, 4]), queries);
    let view = "SELECT dt, status, sum(price) s, count(*) n FROM orders GROUP BY dt, status";
    check_cells(view, cells([0, 1]), queries.get(10..).unwrap());
    // Slices of what is cut already: of the same, of finer, and of slices that cross months.
    for unit in ["month", "day", "week"] {
        let view = format!("SELECT date_trunc('{unit}', dt) m, dt, status, id FROM orders");
        let queries = [("SELECT id, status FROM orders", "union"), ("SELECT dt FROM orders", "union")];
        check_cells(&view, cells([0, 2]), &queries);
    }
}

#[test]
fn views_over_views_and_the_best_of_several() {
    run(async {
        let mut fixture = fixture().await;
        let fine = fixture
            .view(
                "fine",
                "SELECT cust, status, sum(price) s, count(*) n FROM orders GROUP BY cust, status",
                None,
            )
            .await;
        let rows = fixture.view("plain", "SELECT cust, status, price FROM orders", None).await;
        let coarse = fixture.view("coarse", "SELECT status, sum(s) s FROM fine GROUP BY status", None).await;
        let sql = "SELECT status, sum(price) FROM orders GROUP BY status";
        let answered = fixture.answer(sql, &[rows.clone(), fine.clone(), coarse.clone()]).await.unwrap();
        assert_eq!(answered.used, ["fine"]);
        // A second look at what came out.
        let planned = fixture.planned(sql).await.unwrap();
        let prepare = |plan| crate::mview::prepare::prepare(&planned.state, plan).unwrap();
        let rewrite = |plan| {
            let views = [rows.clone(), fine.clone(), coarse.clone()];
            crate::mview::rewrite::rewrite(plan, &views, &crate::MviewOptions::forced(), &|_| None).unwrap()
        };
        let first = rewrite(prepare(planned.plan.clone()));
        let second = rewrite(prepare(first.plan));
        assert_eq!(second.used, ["coarse"], "{:?}", second.rejected);
        let expected = super::fixture::collect(&planned, planned.plan.clone()).await;
        let actual = super::fixture::collect(&planned, second.plan).await;
        assert_eq!(super::fixture::rows(&actual), super::fixture::rows(&expected));
    });
}

#[test]
fn what_cannot_be_a_definition() {
    run(async {
        let fixture = fixture().await;
        let reason = async |sql: &str| {
            let planned = fixture.planned(sql).await.unwrap();
            let plan = crate::mview::prepare::prepare(&planned.state, planned.plan.clone()).unwrap();
            let fields = plan.schema().fields().iter().cloned().collect();
            crate::mview::rewrite::Definition::of(&plan, fields).unwrap_err()
        };
        let open = "its query has a LIMIT, and its order leaves open which rows come";
        assert_eq!(reason("SELECT id FROM orders ORDER BY price LIMIT 3").await, open);
        assert_eq!(reason("SELECT id FROM orders LIMIT 3").await, open);
        let subquery = reason("SELECT id FROM orders WHERE cust IN (SELECT id FROM custs)").await;
        assert_eq!(subquery, "its query has a subquery in an expression");
    });
}
