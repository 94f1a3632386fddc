//! What statements and properties of materialized views do, seen from a client.

use std::time::Duration;

use mysql_async::Conn;

use crate::harness::{PLAIN, STALE, Server, Start, error, explain, one, refresh, rows, run, stale, wait_for};

/// Runs that did something.
const DONE: &str = "SELECT count(*) FROM information_schema.task_runs WHERE state = 'SUCCESS'";

/// Months of sales, old and new, and the cities that they were in.
async fn shop(server: &Server) -> Conn {
    let mut conn = server.connect().await;
    for sql in [
        "CREATE DATABASE shop",
        "CREATE DATABASE d",
        "USE d",
        "CREATE TABLE shop.sales (day DATE, city INT, amount BIGINT) PARTITION BY date_trunc('month', day) \
         DISTRIBUTED BY HASH(city) BUCKETS 1",
        "INSERT INTO shop.sales VALUES ('2020-01-05', 1, 10), ('2020-02-01', 2, 20)",
        "INSERT INTO shop.sales SELECT current_date(), 1, 30",
        "CREATE TABLE cities (id INT, name STRING) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "INSERT INTO cities VALUES (1, 'Oslo'), (2, 'Rome')",
    ] {
        run(&mut conn, sql).await;
    }
    conn
}

async fn sum(conn: &mut Conn, hint: &str) -> String {
    one(conn, &format!("SELECT {hint} sum(amount) FROM shop.sales")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_its_time_to_live_goes_and_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    let months = "SELECT count(*) FROM recent";
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW recent PARTITION BY date_trunc('month', day) REFRESH DEFERRED MANUAL \
         PROPERTIES ('partition_ttl' = '1 YEAR') AS SELECT day, city, amount FROM shop.sales",
    )
    .await;
    refresh(&mut conn, "recent").await;
    assert_eq!(one(&mut conn, months).await, "1");
    run(&mut conn, "INSERT INTO shop.sales VALUES ('2020-01-06', 3, 1)").await;
    assert_eq!(stale(&mut conn).await, "0");
    let done = one(&mut conn, DONE).await;
    refresh(&mut conn, "recent").await;
    assert_eq!((one(&mut conn, DONE).await, one(&mut conn, months).await), (done, "1".to_owned()));
    assert_eq!((sum(&mut conn, "").await, sum(&mut conn, PLAIN).await), ("61".to_owned(), "61".to_owned()));

    // A longer time brings them back, a small number lets the oldest go.
    run(&mut conn, "ALTER MATERIALIZED VIEW recent SET ('partition_ttl' = '100 YEAR')").await;
    assert_eq!(stale(&mut conn).await, "2");
    refresh(&mut conn, "recent").await;
    assert_eq!(one(&mut conn, months).await, "4");
    run(&mut conn, "ALTER MATERIALIZED VIEW recent SET ('partition_ttl_number' = '2')").await;
    assert_eq!(stale(&mut conn).await, "1", "it is to be dropped");
    refresh(&mut conn, "recent").await;
    assert_eq!(rows(&mut conn, "SELECT min(day), count(*) FROM recent").await, [["2020-02-01", "2"]]);
    run(&mut conn, "INSERT INTO shop.sales VALUES ('2020-01-07', 3, 1)").await;
    assert_eq!(stale(&mut conn).await, "0");
    assert_eq!((sum(&mut conn, "").await, sum(&mut conn, PLAIN).await), ("62".to_owned(), "62".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_view_answers_only_where_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW total REFRESH DEFERRED MANUAL AS SELECT sum(amount) AS s, count(*) AS n FROM shop.sales",
    )
    .await;
    refresh(&mut conn, "total").await;
    // Fresh it answers always, unless it must not at all.
    let (old, new) = ("60", "160");
    let properties = [
        ("mv_rewrite_staleness_second", "3600", old),
        ("mv_rewrite_staleness_second", "0", new),
        ("query_rewrite_consistency", "loose", old),
        ("query_rewrite_consistency", "nocheck", old),
        ("query_rewrite_consistency", "force_mv", old),
        ("query_rewrite_consistency", "checked", new),
        ("query_rewrite_consistency", "disable", new),
    ];
    for (name, value, _) in properties {
        run(&mut conn, &format!("ALTER MATERIALIZED VIEW total SET ('{name}' = '{value}')")).await;
        let plan = explain(&mut conn, "SELECT sum(amount) FROM shop.sales").await;
        assert_eq!(plan.contains("TABLE: total"), value != "disable", "{name} = {value}: {plan}");
        assert_eq!(sum(&mut conn, "").await, old);
    }
    run(&mut conn, "INSERT INTO shop.sales VALUES ('2020-01-05', 1, 100)").await;
    for (name, value, expected) in properties {
        run(&mut conn, &format!("ALTER MATERIALIZED VIEW total SET ('{name}' = '{value}')")).await;
        if name.starts_with("mv") {
            let checked = "ALTER MATERIALIZED VIEW total SET ('query_rewrite_consistency' = 'checked')";
            run(&mut conn, checked).await;
        }
        assert_eq!(sum(&mut conn, "").await, expected, "{name} = {value}");
        assert_eq!((sum(&mut conn, PLAIN).await.as_str(), stale(&mut conn).await.as_str()), (new, "1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_run_by_their_schedule_until_they_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    run(&mut conn, "CREATE TABLE ticks (k INT)").await;
    let submit = "SUBMIT TASK tick SCHEDULE EVERY(INTERVAL 1 SECOND) AS INSERT INTO ticks VALUES (1)";
    let (_, text) = error(&mut conn, submit).await;
    assert!(text.contains("minimum value is 10"), "{text}");
    run(&mut conn, "ADMIN SET FRONTEND CONFIG ('task_min_schedule_interval_s' = '1')").await;
    run(&mut conn, submit).await;
    assert!(error(&mut conn, submit).await.1.contains("Task tick already exists"));
    wait_for(&mut conn, "SELECT count(*) >= 3 FROM ticks", "1").await;
    let task =
        "SELECT task_name, `schedule` LIKE '%EVERY%' FROM information_schema.tasks WHERE task_name = 'tick'";
    assert_eq!(rows(&mut conn, task).await, [["tick", "1"]]);
    run(&mut conn, "DROP TASK tick").await;
    // One that began before may end after.
    let open = "SELECT count(*) FROM information_schema.task_runs WHERE state IN ('PENDING', 'RUNNING')";
    wait_for(&mut conn, open, "0").await;
    let before = one(&mut conn, "SELECT count(*) FROM ticks").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM ticks").await, before);
    assert_eq!(one(&mut conn, DONE).await, before, "each run is told");
    assert!(error(&mut conn, "DROP TASK tick").await.1.contains("Task tick does not exist"));
    run(&mut conn, "DROP TASK IF EXISTS tick").await;

    // What fails is told, too.
    run(&mut conn, "SUBMIT TASK bad AS INSERT INTO ticks SELECT nosuch FROM ticks").await;
    wait_for(&mut conn, "SELECT state FROM information_schema.task_runs WHERE task_name = 'bad'", "FAILED")
        .await;
    let why =
        one(&mut conn, "SELECT error_message FROM information_schema.task_runs WHERE task_name = 'bad'")
            .await;
    assert!(why.contains("nosuch"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_layers_are_refreshed_at_once_and_answer_queries_of_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    for (name, query) in [
        (
            "by_day",
            "SELECT day, city, sum(amount) AS total, count(*) AS n FROM shop.sales GROUP BY day, city",
        ),
        ("by_city", "SELECT city, sum(total) AS total, sum(n) AS n FROM by_day GROUP BY city"),
        ("whole", "SELECT sum(total) AS total FROM by_city"),
    ] {
        run(&mut conn, &format!("CREATE MATERIALIZED VIEW {name} REFRESH DEFERRED MANUAL AS {query}")).await;
    }
    let cascade = "REFRESH MATERIALIZED VIEW by_day CASCADE WITH SYNC MODE";
    let query = "SELECT city, sum(amount) FROM shop.sales GROUP BY city ORDER BY city";
    for (statement, total) in [
        ("SELECT 1", "60"),
        ("INSERT INTO shop.sales VALUES ('2020-03-01', 2, 40)", "100"),
        ("INSERT OVERWRITE shop.sales VALUES ('2020-03-01', 2, 7)", "7"),
    ] {
        run(&mut conn, statement).await;
        run(&mut conn, cascade).await;
        assert_eq!(stale(&mut conn).await, "0", "{statement}");
        assert_eq!(one(&mut conn, "SELECT total FROM whole").await, total);
        let plan = explain(&mut conn, query).await;
        assert!(plan.contains("TABLE: by_city") && !plan.contains("TABLE: sales"), "{plan}");
        let plain = query.replacen("SELECT", &format!("SELECT {PLAIN}"), 1);
        assert_eq!(rows(&mut conn, query).await, rows(&mut conn, &plain).await);
    }
    assert_eq!(one(&mut conn, DONE).await, "3", "one run for all three");
    let told = "SELECT extra_message FROM information_schema.task_runs ORDER BY create_time DESC LIMIT 1";
    let told: serde_json::Value = serde_json::from_str(&one(&mut conn, told).await).unwrap();
    assert_eq!((&told["partitions"], &told["batches"]), (&3.into(), &3.into()), "{told}");
    // A layer below that is stale keeps those above from answering, fresh as they are.
    run(&mut conn, "INSERT INTO shop.sales VALUES ('2020-03-01', 2, 1)").await;
    let plan = explain(&mut conn, query).await;
    assert!(!plan.contains("TABLE: by_city") && plan.contains("TABLE: sales"), "{plan}");
    assert_eq!(rows(&mut conn, query).await, [["2", "8"]]);
}

/// A view over `base` is what it is, whatever other views could answer its query.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_reads_what_it_names_and_no_other_view() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    let create = "CREATE MATERIALIZED VIEW $NAME PARTITION BY date_trunc('month', day) REFRESH DEFERRED MANUAL \
                  AS SELECT day, city, sum(amount) AS total FROM shop.sales GROUP BY day, city";
    for name in ["first", "second"] {
        run(&mut conn, &create.replace("$NAME", name)).await;
        refresh(&mut conn, name).await;
    }
    let sums = |name: &str| format!("SELECT day, total FROM {name} ORDER BY day");
    assert_eq!(rows(&mut conn, &sums("second")).await, rows(&mut conn, &sums("first")).await);
    run(&mut conn, "INSERT INTO shop.sales VALUES ('2020-01-05', 1, 1)").await;
    run(&mut conn, "DROP MATERIALIZED VIEW first").await;
    assert_eq!(stale(&mut conn).await, "1");
    refresh(&mut conn, "second").await;
    assert_eq!(rows(&mut conn, &sums("second")).await[0], ["2020-01-05", "11"]);
}

/// Nothing reads itself: no view by its text, no materialized view by what it would be bound to.
#[tokio::test(flavor = "multi_thread")]
async fn circles_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    run(&mut conn, "CREATE VIEW low AS SELECT id, name FROM cities").await;
    run(&mut conn, "CREATE VIEW high AS SELECT id, name FROM low").await;
    run(&mut conn, "CREATE MATERIALIZED VIEW kept REFRESH DEFERRED MANUAL AS SELECT id, name FROM low").await;
    refresh(&mut conn, "kept").await;
    for sql in ["ALTER VIEW low AS SELECT * FROM high", "CREATE OR REPLACE VIEW low AS SELECT * FROM low"] {
        let (_, text) = error(&mut conn, sql).await;
        assert!(text.contains("cannot read itself"), "{sql}: {text}");
    }
    assert_eq!(rows(&mut conn, "SELECT count(*) FROM high").await, [["2"]]);
    // A materialized view that could answer the new query reads the view, the new query does not.
    run(&mut conn, "ALTER VIEW low AS SELECT id, name FROM cities WHERE id > 0").await;
    run(&mut conn, "ALTER VIEW low AS SELECT id, name FROM kept").await;
    let (_, text) = error(&mut conn, "ALTER MATERIALIZED VIEW kept ACTIVE").await;
    assert!(text.contains("would read itself"), "{text}");
    run(&mut conn, "ALTER VIEW low AS SELECT id, name FROM cities").await;
    run(&mut conn, "ALTER MATERIALIZED VIEW kept ACTIVE").await;
}

/// A view that follows its bases but for those that `property` names, and what an INSERT into `base` does.
async fn check_excluded(property: &str, base: &str, starts: bool, expected_stale: &str) {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    run(
        &mut conn,
        &format!(
            "CREATE MATERIALIZED VIEW joined PARTITION BY date_trunc('month', day) REFRESH ASYNC PROPERTIES ({property}) \
             AS SELECT s.day, c.name, s.amount FROM shop.sales s JOIN cities c ON s.city = c.id"
        ),
    )
    .await;
    wait_for(&mut conn, STALE, "0").await;
    wait_for(&mut conn, DONE, "1").await;
    let what = format!("{property}, {base}");
    let row = if base == "cities" { "(1, 'Kyiv')" } else { "('2020-01-09', 1, 1)" };
    run(&mut conn, &format!("INSERT INTO {base} VALUES {row}")).await;
    if starts {
        wait_for(&mut conn, DONE, "2").await;
    } else {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(one(&mut conn, DONE).await, "1", "{what}: nothing starts by itself");
    }
    wait_for(&mut conn, STALE, expected_stale).await;
    // Whatever is excluded, no query is answered from rows that are not right any more.
    let query = |hint| {
        format!(
            "SELECT {hint} c.name, sum(s.amount) FROM shop.sales s JOIN cities c ON s.city = c.id GROUP BY c.name ORDER BY 1"
        )
    };
    let expected = rows(&mut conn, &query(PLAIN)).await;
    assert_eq!(rows(&mut conn, &query("")).await, expected, "{what}");
    refresh(&mut conn, "joined").await;
    assert_eq!(stale(&mut conn).await, "0", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_tables_start_nothing_and_are_refreshed_only_when_they_should() {
    let checks = [
        ("'excluded_trigger_tables' = 'cities'", "cities", false, "3"),
        ("'excluded_trigger_tables' = 'd.cities, shop.sales'", "shop.sales", false, "1"),
        ("'excluded_trigger_tables' = '@dimensions'", "cities", false, "3"),
        ("'excluded_trigger_tables' = '@dimensions'", "shop.sales", true, "0"),
        ("'excluded_refresh_tables' = 'd.cities'", "cities", false, "0"),
        ("'excluded_refresh_tables' = '@dimensions'", "cities", false, "0"),
        ("'excluded_refresh_tables' = '@dimensions'", "shop.sales", true, "0"),
        ("'excluded_trigger_tables' = ''", "cities", true, "0"),
    ];
    let checks = checks.map(|(property, base, starts, stale)| check_excluded(property, base, starts, stale));
    futures::stream::StreamExt::for_each_concurrent(futures::stream::iter(checks), 2, |check| check).await;
}

/// A statement, and a part of the error that it must give.
const REFUSED: &[(&str, &str)] = &[
    ("CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT id FROM nosuch", "Unknown table 'd.nosuch'"),
    ("CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT nosuch FROM cities", "nosuch"),
    (
        "CREATE MATERIALIZED VIEW nosuch.x REFRESH MANUAL AS SELECT id FROM cities",
        "Unknown database 'nosuch'",
    ),
    (
        "CREATE MATERIALIZED VIEW cities REFRESH MANUAL AS SELECT id FROM cities",
        "Table 'cities' already exists",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT id, now() AS t FROM cities",
        "now() not supported nondeterministic",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT id, uuid() AS t FROM cities",
        "uuid() not supported nondeterministic",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT * FROM information_schema.tables",
        "on system table",
    ),
    ("CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT 1 AS one", "Can not find base table"),
    (
        "CREATE MATERIALIZED VIEW x (a, b) REFRESH MANUAL AS SELECT id FROM cities",
        "2 column names for 1 columns",
    ),
    ("CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT id, id FROM cities", "Duplicate column name 'id'"),
    (
        "CREATE MATERIALIZED VIEW x PARTITION BY date_trunc('month', nosuch) REFRESH MANUAL AS SELECT day FROM shop.sales",
        "column:nosuch is not found",
    ),
    (
        "CREATE MATERIALIZED VIEW x PARTITION BY concat(day, 'a') REFRESH MANUAL AS SELECT day FROM shop.sales",
        "PARTITION BY concat(day, 'a') is not supported: use",
    ),
    (
        "CREATE MATERIALIZED VIEW x PARTITION BY date_trunc('decade', day) REFRESH MANUAL AS SELECT day FROM shop.sales",
        "partition unit 'decade' is not supported",
    ),
    (
        "CREATE MATERIALIZED VIEW x PARTITION BY city REFRESH MANUAL AS SELECT city, amount FROM shop.sales",
        "'city' is no partition column of 'sales'",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL PROPERTIES ('colocate_with' = 'g') AS SELECT id FROM cities",
        "property \"colocate_with\" is not supported",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL PROPERTIES ('session.nosuch' = '1') AS SELECT id FROM cities",
        "nosuch",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL PROPERTIES ('excluded_trigger_tables' = 'nosuch') AS SELECT id FROM cities",
        "'nosuch' is not a base table",
    ),
    (
        "CREATE MATERIALIZED VIEW x PARTITION BY day REFRESH MANUAL PROPERTIES ('partition_ttl' = 'soon') AS SELECT day FROM shop.sales",
        "partition_ttl must be",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH MANUAL PROPERTIES ('partition_ttl_number' = '1') AS SELECT id FROM cities",
        "does not support non-partitioned",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH ASYNC EVERY(INTERVAL 1 SECOND) AS SELECT id FROM cities",
        "config an interval larger than 60 seconds",
    ),
    (
        "CREATE MATERIALIZED VIEW x REFRESH ASYNC START('soon') EVERY(INTERVAL 1 DAY) AS SELECT id FROM cities",
        "START('soon') is not a time",
    ),
    ("ALTER MATERIALIZED VIEW v SET ('excluded_refresh_tables' = 'cities')", "'cities' is not a base table"),
    (
        "ALTER MATERIALIZED VIEW v SET ('query_rewrite_consistency' = 'maybe')",
        "Invalid query_rewrite_consistency",
    ),
    (
        "REFRESH MATERIALIZED VIEW v PARTITION START ('2030-01-01') END ('2030-02-01')",
        "is outside of the partitions of v",
    ),
    ("REFRESH MATERIALIZED VIEW v PARTITION START ('2024-03-01') END ('2024-02-01')", "is empty"),
    ("REFRESH MATERIALIZED VIEW v PARTITION START ('x') END ('2024-02-01')", "Invalid value 'x'"),
    ("REFRESH MATERIALIZED VIEW v PARTITION ('2024-02-01')", "v has ranges"),
    ("REFRESH MATERIALIZED VIEW nosuch", "Unknown table 'd.nosuch'"),
    ("REFRESH MATERIALIZED VIEW cities", "Can not find materialized view cities: it is a table"),
    ("CANCEL REFRESH MATERIALIZED VIEW nosuch", "Unknown table 'd.nosuch'"),
    (
        "SUBMIT TASK t PROPERTIES ('nosuch' = '1') AS INSERT INTO cities VALUES (9, 'x')",
        "\"nosuch\" is not supported",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_name_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = shop(&server).await;
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW v PARTITION BY date_trunc('month', day) REFRESH DEFERRED MANUAL \
         AS SELECT day, city, amount FROM shop.sales",
    )
    .await;
    let left = async |conn: &mut Conn| {
        let tables = rows(conn, "SHOW TABLES FROM d").await.concat();
        let runs = one(conn, "SELECT count(*) FROM information_schema.task_runs").await;
        let tasks = "SELECT count(*) FROM information_schema.tasks WHERE task_name NOT LIKE 'mv-%'";
        (tables, runs, one(conn, tasks).await, rows(conn, "SHOW CREATE MATERIALIZED VIEW v").await)
    };
    let before = left(&mut conn).await;
    for (sql, word) in REFUSED {
        let (_, text) = error(&mut conn, sql).await;
        assert!(text.contains(word), "{sql}: {text}");
        assert_eq!(left(&mut conn).await, before, "{sql}");
    }
}
