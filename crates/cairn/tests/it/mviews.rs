//! Materialized views: what did not change is never refreshed, and what did always is.

use std::time::Duration;

use mysql_async::Conn;

use crate::harness::{
    PLAIN, STALE, Server, Start, cairn_ok, error, explain, one, refresh, rows, run, snapshot, stale, wait_for,
};

async fn sales(server: &Server) -> Conn {
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "USE d").await;
    run(
        &mut conn,
        "CREATE TABLE sales (day DATE, city INT, amount BIGINT) PARTITION BY date_trunc('month', day) \
         DISTRIBUTED BY HASH(city) BUCKETS 2",
    )
    .await;
    run(
        &mut conn,
        "INSERT INTO sales VALUES ('2024-01-05', 1, 10), ('2024-01-06', 2, 20), ('2024-02-01', 1, 5)",
    )
    .await;
    run(&mut conn, "CREATE TABLE cities (id INT, name STRING) DISTRIBUTED BY HASH(id) BUCKETS 1").await;
    run(&mut conn, "INSERT INTO cities VALUES (1, 'Oslo'), (2, 'Rome')").await;
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn only_stale_partitions_are_refreshed_and_queries_use_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = sales(&server).await;
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW by_city PARTITION BY date_trunc('month', day) DISTRIBUTED BY HASH(city) BUCKETS 1 \
         REFRESH DEFERRED MANUAL AS SELECT day, city, sum(amount) AS total, count(*) AS n FROM sales GROUP BY day, city",
    )
    .await;
    assert_eq!(stale(&mut conn).await, "2");
    run(&mut conn, "REFRESH MATERIALIZED VIEW by_city WITH SYNC MODE").await;
    assert_eq!(stale(&mut conn).await, "0");
    let query = "SELECT city, sum(amount) FROM sales GROUP BY city ORDER BY city";
    let plan = explain(&mut conn, query).await;
    assert!(plan.contains("TABLE: by_city"), "{plan}");
    let expected = [["1", "15"], ["2", "20"]];
    assert_eq!(rows(&mut conn, query).await, expected);

    run(&mut conn, "INSERT INTO sales VALUES ('2024-02-03', 2, 7)").await;
    assert_eq!(stale(&mut conn).await, "1");
    let verdict = explain(&mut conn, "REFRESH MATERIALIZED VIEW by_city").await;
    assert!(verdict.contains("p202402") && !verdict.contains("p202401"), "{verdict}");
    // Stale: the fresh month comes from the view, the other from the table.
    let plan = explain(&mut conn, query).await;
    assert!(plan.contains("TABLE: by_city") && plan.contains("TABLE: sales"), "{plan}");
    assert_eq!(rows(&mut conn, query).await, [["1", "15"], ["2", "27"]]);
    run(&mut conn, "REFRESH MATERIALIZED VIEW by_city WITH SYNC MODE").await;
    let refreshed = "SELECT count(*) FROM information_schema.task_runs WHERE state = 'SUCCESS'";
    assert_eq!(one(&mut conn, refreshed).await, "2");
    run(&mut conn, "REFRESH MATERIALIZED VIEW by_city WITH SYNC MODE").await;
    assert_eq!(one(&mut conn, refreshed).await, "2", "nothing was stale: the run is SKIPPED");
    assert_eq!(rows(&mut conn, query).await, [["1", "15"], ["2", "27"]]);
    assert_eq!(
        rows(&mut conn, &query.replacen("SELECT", &format!("SELECT {PLAIN}"), 1)).await,
        [["1", "15"], ["2", "27"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asynchronous_views_follow_their_bases_layer_by_layer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = sales(&server).await;
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW joined REFRESH ASYNC AS SELECT s.day, c.name, s.amount FROM sales s \
         JOIN cities c ON s.city = c.id",
    )
    .await;
    run(&mut conn, "CREATE MATERIALIZED VIEW top REFRESH ASYNC AS SELECT name, sum(amount) AS total FROM joined GROUP BY name").await;
    wait_for(&mut conn, "SELECT coalesce(sum(total), 0) FROM top", "35").await;
    let runs = "SELECT count(*) FROM information_schema.task_runs WHERE state = 'SUCCESS'";
    let before: usize = one(&mut conn, runs).await.parse().unwrap();
    run(&mut conn, "INSERT INTO sales VALUES ('2024-03-01', 1, 100)").await;
    wait_for(&mut conn, "SELECT sum(total) FROM top", "135").await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let after: usize = one(&mut conn, runs).await.parse().unwrap();
    assert_eq!(after - before, 2, "one change, one run a layer");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rows_alone_are_read_where_that_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = sales(&server).await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"enable_compaction\" = \"false\")").await;
    let properties = "PROPERTIES (\"refresh_mode\" = \"incremental\")";
    run(
        &mut conn,
        &format!(
            "CREATE MATERIALIZED VIEW sums REFRESH DEFERRED MANUAL {properties} AS SELECT city, sum(amount) AS s, \
             count(amount) AS n, min(day) AS first, max(day) AS last FROM sales GROUP BY city"
        ),
    )
    .await;
    run(
        &mut conn,
        &format!("CREATE MATERIALIZED VIEW big REFRESH DEFERRED MANUAL {properties} AS SELECT day, amount FROM sales WHERE amount > 6"),
    )
    .await;
    let mode = |name: &str| {
        format!(
            "SELECT count(*) FROM information_schema.task_runs r JOIN information_schema.materialized_views v \
             ON r.task_name = v.task_name WHERE v.table_name = '{name}' AND r.extra_message LIKE '%\"INCREMENTAL\"%'"
        )
    };
    for round in 0..4 {
        for name in ["sums", "big"] {
            run(&mut conn, &format!("REFRESH MATERIALIZED VIEW {name} WITH SYNC MODE")).await;
            assert_eq!(one(&mut conn, &mode(name)).await, round.to_string(), "{name}");
        }
        let expected = format!(
            "SELECT {PLAIN} city, sum(amount), count(amount), min(day), max(day) FROM sales GROUP BY city ORDER BY city"
        );
        let expected = rows(&mut conn, &expected).await;
        assert_eq!(rows(&mut conn, "SELECT city, s, n, first, last FROM sums ORDER BY city").await, expected);
        let expected =
            rows(&mut conn, &format!("SELECT {PLAIN} day, amount FROM sales WHERE amount > 6 ORDER BY 1, 2"))
                .await;
        assert_eq!(rows(&mut conn, "SELECT day, amount FROM big ORDER BY 1, 2").await, expected);
        run(
            &mut conn,
            &format!(
                "INSERT INTO sales VALUES ('2024-01-{:02}', {round}, {}), ('2025-0{}-01', 9, NULL)",
                10 + round,
                round * 9,
                round + 1
            ),
        )
        .await;
    }
}

/// What an average is merged by is kept beside it, for nobody to see.
#[tokio::test(flavor = "multi_thread")]
async fn averages_are_merged_by_what_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = sales(&server).await;
    let query = "SELECT city, avg(amount) AS a, sum(amount) * 2 AS twice FROM sales GROUP BY city";
    let sql = format!(
        "CREATE MATERIALIZED VIEW averages REFRESH DEFERRED MANUAL PROPERTIES (\"refresh_mode\" = \"incremental\") AS {query}"
    );
    run(&mut conn, &sql).await;
    for round in 0..3 {
        refresh(&mut conn, "averages").await;
        let plain = format!("{} ORDER BY city", query.replacen("SELECT", &format!("SELECT {PLAIN}"), 1));
        let expected = rows(&mut conn, &plain).await;
        assert_eq!(rows(&mut conn, "SELECT * FROM averages ORDER BY city").await, expected, "{round}");
        run(
            &mut conn,
            &format!("INSERT INTO sales VALUES ('2024-05-01', {round}, {round}), ('2024-05-01', 1, NULL)"),
        )
        .await;
    }
    let modes =
        "SELECT count(*) FROM information_schema.task_runs WHERE extra_message LIKE '%\"INCREMENTAL\"%'";
    assert_eq!(one(&mut conn, modes).await, "2");
    let columns = [["city"], ["a"], ["twice"]];
    let shown = "SELECT column_name FROM information_schema.columns WHERE table_name = 'averages' ORDER BY ordinal_position";
    assert_eq!(rows(&mut conn, shown).await, columns);
    assert_eq!(rows(&mut conn, "DESC averages").await.len(), 3);
    assert!(!one(&mut conn, "SELECT count(*) FROM averages WHERE a > 0").await.is_empty());
    let (_, text) = error(&mut conn, "SELECT __partial_0 FROM averages").await;
    assert!(text.contains("__partial_0"), "{text}");
    run(&mut conn, "CREATE TABLE copied AS SELECT * FROM averages").await;
    assert_eq!(rows(&mut conn, "DESC copied").await.len(), 3);
    let (_, text) = error(&mut conn, "CREATE TABLE t (__partial_0 INT)").await;
    assert!(text.contains("reserved"), "{text}");
    let create = rows(&mut conn, "SHOW CREATE MATERIALIZED VIEW averages").await[0][1].clone();
    run(&mut conn, "DROP MATERIALIZED VIEW averages").await;
    run(&mut conn, &create).await;
    // Whole averages are made from the sums and counts of groups.
    refresh(&mut conn, "averages").await;
    let whole = "SELECT avg(amount), sum(amount), count(amount) FROM sales";
    let plan = rows(&mut conn, &format!("EXPLAIN {whole}")).await.concat().join("\n");
    assert!(plan.contains("averages"), "{plan}");
    let plain = whole.replacen("SELECT", &format!("SELECT {PLAIN}"), 1);
    assert_eq!(rows(&mut conn, whole).await, rows(&mut conn, &plain).await);
}

/// `auto` counts rows, not loads: one small load after a large one is little, and one large load is not.
#[tokio::test(flavor = "multi_thread")]
async fn new_rows_alone_are_read_where_they_are_few() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = sales(&server).await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"enable_compaction\" = \"false\")").await;
    run(&mut conn, "CREATE TABLE big (k INT, v BIGINT) DISTRIBUTED BY HASH(k) BUCKETS 2").await;
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW sums REFRESH DEFERRED MANUAL AS SELECT k % 3 AS g, sum(v) AS s FROM big GROUP BY k % 3",
    )
    .await;
    let last = "SELECT r.extra_message FROM information_schema.task_runs r JOIN information_schema.materialized_views v \
                ON r.task_name = v.task_name ORDER BY r.create_time DESC LIMIT 1";
    for (rows, mode) in [(1_000, "FULL"), (200, "INCREMENTAL"), (1_000, "FULL"), (10, "INCREMENTAL")] {
        run(&mut conn, &format!("INSERT INTO big SELECT value, value FROM generate_series(1, {rows})")).await;
        refresh(&mut conn, "sums").await;
        let message = one(&mut conn, last).await;
        assert!(message.contains(&format!("\"refreshMode\":\"{mode}\"")), "{rows} rows more: {message}");
    }
    let plain = format!("SELECT {PLAIN} sum(v) FROM big");
    assert_eq!(one(&mut conn, "SELECT sum(s) FROM sums").await, one(&mut conn, &plain).await);
    // Always, where they cannot be taken in, is refused: how many are different is not known from two numbers.
    let distinct = "AS SELECT k, count(DISTINCT v) AS a FROM big GROUP BY k";
    let incremental = "(\"refresh_mode\" = \"incremental\")";
    let create = format!(
        "CREATE MATERIALIZED VIEW different REFRESH DEFERRED MANUAL PROPERTIES {incremental} {distinct}"
    );
    let (_, refused) = error(&mut conn, &create).await;
    run(&mut conn, &format!("CREATE MATERIALIZED VIEW different REFRESH DEFERRED MANUAL {distinct}")).await;
    let alter = format!("ALTER MATERIALIZED VIEW different SET {incremental}");
    assert_eq!(error(&mut conn, &alter).await.1, refused);
    assert!(refused.contains("SUM, COUNT, MIN, MAX and AVG"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_bases_make_views_inactive_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = sales(&server).await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"mv_active_checker_interval_seconds\" = \"1\")").await;
    run(&mut conn, "CREATE MATERIALIZED VIEW v REFRESH DEFERRED MANUAL AS SELECT id, name FROM cities").await;
    run(&mut conn, "CREATE MATERIALIZED VIEW w REFRESH DEFERRED MANUAL AS SELECT count(*) AS n FROM v").await;
    for name in ["v", "w"] {
        run(&mut conn, &format!("REFRESH MATERIALIZED VIEW {name} WITH SYNC MODE")).await;
    }
    let state =
        "SELECT is_active, inactive_reason FROM information_schema.materialized_views ORDER BY table_name";
    run(&mut conn, "ALTER TABLE cities RENAME towns").await;
    assert_eq!(
        rows(&mut conn, state).await,
        [["false", "base-table renamed: cities"], ["false", "base-mv inactive: v"]]
    );
    let (_, text) = error(&mut conn, "REFRESH MATERIALIZED VIEW v WITH SYNC MODE").await;
    assert!(text.contains("is not active"), "{text}");
    let (_, text) = error(&mut conn, "ALTER MATERIALIZED VIEW v ACTIVE").await;
    assert!(text.contains("Can not active materialized view [v]"), "{text}");
    run(&mut conn, "ALTER TABLE towns RENAME cities").await;
    wait_for(&mut conn, "SELECT min(is_active) FROM information_schema.materialized_views", "true").await;
    assert_eq!(stale(&mut conn).await, "0", "nothing changed but names");

    run(&mut conn, "ALTER MATERIALIZED VIEW v INACTIVE").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        rows(&mut conn, state).await[0],
        ["false", "user use alter materialized view set status to inactive"]
    );
    run(&mut conn, "ALTER MATERIALIZED VIEW v ACTIVE WITH NO_VALIDATION").await;
    run(&mut conn, "ALTER MATERIALIZED VIEW v RENAME u").await;
    assert_eq!(stale(&mut conn).await, "0");

    for (sql, word) in [
        ("INSERT INTO u VALUES (3, 'Kyiv')", "is a materialized view"),
        ("DROP TABLE u", "drop materialized view"),
        ("TRUNCATE TABLE u", "materialized view"),
        ("CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT rand() AS r FROM cities", "nondeterministic"),
        ("CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT * FROM nosuch", "nosuch"),
        (
            "CREATE MATERIALIZED VIEW x REFRESH MANUAL PROPERTIES (\"nosuch\" = \"1\") AS SELECT id FROM cities",
            "nosuch",
        ),
        ("CREATE MATERIALIZED VIEW x PARTITION BY id REFRESH MANUAL AS SELECT id FROM cities", "partition"),
        ("CREATE MATERIALIZED VIEW x AS SELECT id FROM cities", "synchronous"),
        ("REFRESH MATERIALIZED VIEW u PARTITION START ('2024-01-01') END ('2024-02-01')", "not partitioned"),
    ] {
        let (_, text) = error(&mut conn, sql).await;
        assert!(text.to_lowercase().contains(&word.to_lowercase()), "{sql}: {text}");
    }
    assert_eq!(one(&mut conn, "SELECT count(*) FROM information_schema.materialized_views").await, "2");
    run(&mut conn, "DROP TABLE cities FORCE").await;
    assert_eq!(
        rows(
            &mut conn,
            "SELECT inactive_reason FROM information_schema.materialized_views WHERE table_name = 'u'"
        )
        .await,
        [["base-table dropped: cities"]]
    );
}

/// The story that views are for: PAUSE, snapshot, restart, restore, RESUME; nothing is refreshed. Then one partition
/// changes, and exactly what depends on it is.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_views_survive_the_upgrade_without_one_refresh() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let data = dir.path().join("data");
    let server = Start::default().storage(&storage).run(&data);
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "USE d").await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"task_runs_queue_length\" = \"1000\")").await;
    for t in 0..10 {
        run(
            &mut conn,
            &format!(
                "CREATE TABLE t{t} (day DATE, k INT) PARTITION BY date_trunc('month', day) \
                 DISTRIBUTED BY HASH(k) BUCKETS 1"
            ),
        )
        .await;
        run(
            &mut conn,
            &format!("INSERT INTO t{t} VALUES ('2024-01-01', {t}), ('2024-02-01', 1), ('2024-03-01', 2)"),
        )
        .await;
    }
    // On each table 7 flat, 7 partitioned, and 6 on top of the others.
    for t in 0..10 {
        for v in 0..20 {
            let as_query = match v {
                0..7 => format!(
                    "REFRESH DEFERRED ASYNC AS SELECT k, count(*) AS n FROM t{t} WHERE k > {v} GROUP BY k"
                ),
                7..14 => format!(
                    "PARTITION BY date_trunc('month', day) REFRESH DEFERRED ASYNC AS \
                     SELECT day, sum(k + {v}) AS s FROM t{t} GROUP BY day"
                ),
                v => format!("REFRESH DEFERRED ASYNC AS SELECT count(*) AS n FROM v{t}_{}", v - 10),
            };
            let as_query = as_query.replacen("REFRESH", "DISTRIBUTED BY RANDOM BUCKETS 1 REFRESH", 1);
            run(&mut conn, &format!("CREATE MATERIALIZED VIEW v{t}_{v} {as_query}")).await;
        }
    }
    for t in 0..10 {
        for v in 0..20 {
            run(&mut conn, &format!("REFRESH MATERIALIZED VIEW v{t}_{v} WITH SYNC MODE")).await;
        }
    }
    run(&mut conn, "ALTER MATERIALIZED VIEW v0_0 INACTIVE").await;
    run(&mut conn, "ADMIN PAUSE MATERIALIZED VIEWS").await;
    let active = "SELECT count(*) FROM information_schema.materialized_views WHERE is_active = 'true'";
    assert_eq!(one(&mut conn, active).await, "0");
    let runs =
        "SELECT count(*) FROM information_schema.task_runs WHERE state IN ('SUCCESS', 'RUNNING', 'PENDING')";
    let before = one(&mut conn, runs).await;
    snapshot(&mut conn, "before_upgrade").await;
    drop(conn);
    let server = Start::default().run(&server.kill());
    let mut conn = server.connect().await;
    run(&mut conn, "ADMIN RESUME MATERIALIZED VIEWS").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (one(&mut conn, active).await, one(&mut conn, runs).await),
        ("199".to_owned(), before.clone())
    );
    assert_eq!(stale(&mut conn).await, "0");
    drop(conn);
    server.kill();

    let new = dir.path().join("new");
    cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new.to_str().unwrap()]);
    let server = Start::default().run(&new);
    let mut conn = server.connect().await;
    assert_eq!(one(&mut conn, active).await, "0", "paused as it was");
    run(&mut conn, "ADMIN RESUME MATERIALIZED VIEWS").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (one(&mut conn, active).await, one(&mut conn, runs).await),
        ("199".to_owned(), before.clone())
    );
    assert_eq!(stale(&mut conn).await, "0");

    run(&mut conn, "INSERT INTO d.t3 VALUES ('2024-02-05', 50)").await;
    wait_for(&mut conn, STALE, "0").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after: usize = one(&mut conn, runs).await.parse().unwrap();
    let others = "SELECT count(*) FROM information_schema.materialized_views WHERE table_name LIKE 'v3%' AND \
                  last_refresh_state = 'SUCCESS'";
    assert_eq!(one(&mut conn, others).await, "20");
    assert_eq!(after - before.parse::<usize>().unwrap(), 20, "the dependants of t3, each once");
    // Of the partitioned ones, one partition of three.
    let partitions = "SELECT DISTINCT last_refresh_mv_refresh_partitions FROM information_schema.materialized_views \
                      WHERE table_name = 'v3_7'";
    let found = one(&mut conn, partitions).await;
    assert!(found.contains("p202402") && !found.contains("p202401"), "{found}");
}
