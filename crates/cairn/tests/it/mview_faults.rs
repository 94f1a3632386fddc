//! Materialized views on a bad day: bases that change in the middle of a refresh, refreshes that stop half-way, a full
//! disk. After each, what a view calls fresh is what its query gives, and a refresh brings the rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tempfile::TempDir;

use crate::harness::{
    PLAIN, STALE, Server, SmallDisk, Start, error, explain, one, refresh, rows, run, stale, wait_for,
};

/// A server whose refreshes stop before they commit, after so many commits, and as long as the file is there.
fn held(dir: &TempDir, commits: usize) -> (Server, PathBuf) {
    let file = dir.path().join("hold");
    std::fs::write(&file, "").unwrap();
    let failpoint = format!("refresh.before_commit=hold:{}@{commits}", file.display());
    (Start::default().failpoints(&failpoint).run(&dir.path().join("data")), file)
}

/// Waits until a refresh stands before its commit: what was committed before is all that a cancel leaves.
async fn reached(hold: &Path) {
    let start = Instant::now();
    while std::fs::read(hold).unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "no refresh reached its commit");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs that wait or run.
const OPEN: &str = "SELECT count(*) FROM information_schema.task_runs WHERE state IN ('PENDING', 'RUNNING')";

const BY_CITY: &str = "CREATE MATERIALIZED VIEW by_city PARTITION BY date_trunc('month', day) \
    DISTRIBUTED BY HASH(city) BUCKETS 1 REFRESH DEFERRED MANUAL \
    AS SELECT day, city, sum(amount) AS total, count(*) AS n FROM sales GROUP BY day, city";

/// A table of four months, another one like it, and a view of both months and cities over the first.
async fn months(server: &Server) -> Conn {
    let mut conn = server.connect().await;
    let table = "(day DATE, city INT, amount BIGINT, note STRING) PARTITION BY RANGE(day) \
        (START ('2024-01-01') END ('2024-05-01') EVERY (INTERVAL 1 MONTH)) DISTRIBUTED BY HASH(city) BUCKETS 1";
    for sql in [
        "CREATE DATABASE d",
        "USE d",
        // Nothing that a refresh reads may be gone, however eager the vacuum is.
        "ADMIN SET FRONTEND CONFIG ('vacuum_grace_seconds' = '0', 'vacuum_interval_seconds' = '1')",
        &format!("CREATE TABLE sales {table}"),
        &format!("CREATE TABLE other {table}"),
        "INSERT INTO sales VALUES ('2024-01-05', 1, 10, '1'), ('2024-01-06', 2, 20, '2'), ('2024-02-01', 1, 5, '3'), \
         ('2024-03-31', 2, 7, '4'), ('2024-03-30', 2, 1, '5'), ('2024-04-01', 3, 8, '6')",
        "INSERT INTO other VALUES ('2024-01-05', 1, 100, '1'), ('2024-02-02', 4, 200, '2')",
        BY_CITY,
    ] {
        run(&mut conn, sql).await;
    }
    conn
}

/// A refresh of `by_city` that is held after its first commit: one month is done, the next one computed.
async fn begun(conn: &mut Conn, hold: &Path) {
    run(conn, "REFRESH MATERIALIZED VIEW by_city").await;
    reached(hold).await;
    assert_eq!(stale(conn).await, "3");
}

/// State and error of the last run.
async fn last_run(conn: &mut Conn) -> (String, String) {
    let sql =
        "SELECT state, error_message FROM information_schema.task_runs ORDER BY create_time DESC LIMIT 1";
    let found = rows(conn, sql).await;
    (found[0][0].clone(), found[0][1].clone())
}

/// The months that the last refresh was for.
async fn last_refreshed(conn: &mut Conn, mview: &str) -> String {
    let sql = format!(
        "SELECT last_refresh_mv_refresh_partitions FROM information_schema.materialized_views \
         WHERE table_name = '{mview}'"
    );
    one(conn, &sql).await
}

/// What `by_city` calls fresh has the rows that its query gives now, and queries are answered rightly whatever is stale.
async fn check_honest(conn: &mut Conn, what: &str) {
    let verdict = explain(conn, "REFRESH MATERIALIZED VIEW by_city").await;
    let stale_months: BTreeSet<&str> = verdict
        .lines()
        .filter_map(|line| line.strip_prefix("DROP ").unwrap_or(line).strip_prefix("PARTITION: "))
        .filter_map(|line| line.split([' ', ':']).next())
        .collect();
    assert_eq!(stale(conn).await, stale_months.len().to_string(), "{what}: {verdict}");
    let month = |row: &Vec<String>| format!("p{}{}", &row[0][..4], &row[0][5..7]);
    let fresh = |rows: &[Vec<String>]| -> Vec<Vec<String>> {
        rows.iter().filter(|row| !stale_months.contains(month(row).as_str())).cloned().collect()
    };
    let query = |hint| {
        format!(
            "SELECT {hint} day, city, sum(amount), count(*) FROM sales GROUP BY day, city ORDER BY day, city"
        )
    };
    let expected = rows(conn, &query(PLAIN)).await;
    assert_eq!(rows(conn, &query("")).await, expected, "{what}: answered from the view");
    let view = rows(conn, "SELECT day, city, total, n FROM by_city ORDER BY day, city").await;
    assert_eq!(fresh(&view), fresh(&expected), "{what}: {verdict}");
}

/// Without failpoints, and after a restart, one refresh makes all of it right.
async fn check_refreshed(server: Server, what: &str) {
    let server = Start::default().run(&server.kill());
    let mut conn = server.connect().await;
    run(&mut conn, "USE d").await;
    check_honest(&mut conn, what).await;
    refresh(&mut conn, "by_city").await;
    assert_eq!(stale(&mut conn).await, "0", "{what}");
    check_honest(&mut conn, what).await;
}

/// Something that happens in the middle of a refresh.
struct Change {
    statements: &'static [&'static str],
    /// Why the view is inactive then; empty: it is not.
    inactive: &'static str,
    /// What makes it active again.
    repair: &'static [&'static str],
    /// How the run ends.
    state: &'static str,
    /// The months that are to be refreshed then.
    stale: &'static str,
}

const CHANGES: &[Change] = &[
    Change {
        statements: &["DROP TABLE sales"],
        inactive: "base-table dropped: sales",
        repair: &["RECOVER TABLE sales", "ALTER MATERIALIZED VIEW by_city ACTIVE"],
        state: "FAILED",
        stale: "3",
    },
    Change {
        statements: &["ALTER TABLE sales RENAME sold"],
        inactive: "base-table renamed: sales",
        repair: &["ALTER TABLE sold RENAME sales", "ALTER MATERIALIZED VIEW by_city ACTIVE"],
        state: "FAILED",
        stale: "3",
    },
    Change {
        statements: &["ALTER TABLE sales SWAP WITH other"],
        inactive: "base-table swapped: sales",
        repair: &["ALTER MATERIALIZED VIEW by_city ACTIVE"],
        state: "FAILED",
        // What was begun is bound to the other table now, which has rows in two months.
        stale: "2",
    },
    Change {
        statements: &["ALTER MATERIALIZED VIEW by_city INACTIVE"],
        inactive: "user use alter materialized view set status to inactive",
        repair: &["ALTER MATERIALIZED VIEW by_city ACTIVE WITH NO_VALIDATION"],
        state: "FAILED",
        stale: "3",
    },
    Change {
        statements: &[
            "ALTER TABLE sales ADD PARTITION p202405 VALUES LESS THAN ('2024-06-01')",
            "INSERT INTO sales VALUES ('2024-05-01', 5, 50, '7')",
        ],
        inactive: "",
        repair: &[],
        state: "SUCCESS",
        stale: "1",
    },
    Change {
        statements: &[
            "ALTER TABLE sales DROP PARTITION p202401 FORCE",
            "ALTER TABLE sales DROP PARTITION p202404",
        ],
        inactive: "",
        repair: &[],
        state: "SUCCESS",
        stale: "2",
    },
    Change { statements: &["TRUNCATE TABLE sales"], inactive: "", repair: &[], state: "SUCCESS", stale: "4" },
    Change {
        statements: &["INSERT INTO sales VALUES ('2024-01-05', 1, 1, '8'), ('2024-04-30', 1, 1, '9')"],
        inactive: "",
        repair: &[],
        state: "SUCCESS",
        stale: "2",
    },
    Change {
        statements: &["INSERT OVERWRITE sales PARTITION (p202402) VALUES ('2024-02-09', 9, 9, '9')"],
        inactive: "",
        repair: &[],
        state: "SUCCESS",
        stale: "1",
    },
    Change {
        statements: &[
            "ALTER MATERIALIZED VIEW by_city RENAME by_town",
            "ALTER MATERIALIZED VIEW by_town RENAME by_city",
        ],
        inactive: "",
        repair: &[],
        state: "SUCCESS",
        stale: "0",
    },
];

async fn check_change(change: &Change) {
    let what = change.statements[0];
    let dir = tempfile::tempdir().unwrap();
    let (server, hold) = held(&dir, 1);
    let mut conn = months(&server).await;
    begun(&mut conn, &hold).await;
    for sql in change.statements {
        run(&mut conn, sql).await;
    }
    std::fs::remove_file(hold).unwrap();
    wait_for(&mut conn, OPEN, "0").await;
    let (state, reason) = last_run(&mut conn).await;
    assert_eq!(state, change.state, "{what}: {reason}");
    assert!(reason.contains(change.inactive), "{what}: {reason}");
    let state = "SELECT is_active, inactive_reason FROM information_schema.materialized_views";
    let active = if change.inactive.is_empty() { "true" } else { "false" };
    assert_eq!(rows(&mut conn, state).await, [[active, change.inactive]], "{what}");
    for sql in change.repair {
        run(&mut conn, sql).await;
    }
    assert_eq!(stale(&mut conn).await, change.stale, "{what}");
    check_honest(&mut conn, what).await;
    drop(conn);
    check_refreshed(server, what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bases_that_change_in_the_middle_of_a_refresh() {
    let checks = futures::stream::iter(CHANGES.iter().map(check_change));
    futures::stream::StreamExt::for_each_concurrent(checks, 3, |check| check).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_committed_stay_when_a_later_one_fails() {
    for failpoint in ["refresh.before_commit=error@2", "refresh.after_commit=error@1"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Start::default().failpoints(failpoint).run(&dir.path().join("data"));
        let mut conn = months(&server).await;
        let (_, text) = error(&mut conn, "REFRESH MATERIALIZED VIEW by_city WITH SYNC MODE").await;
        assert!(text.contains("is set to fail"), "{text}");
        let (state, reason) = last_run(&mut conn).await;
        assert!(state == "FAILED" && reason.contains("is set to fail"), "{state}: {reason}");
        assert_eq!(stale(&mut conn).await, "2", "{failpoint}");
        check_honest(&mut conn, failpoint).await;
        drop(conn);
        let server = Start::default().run(&server.kill());
        let mut conn = server.connect().await;
        run(&mut conn, "USE d").await;
        refresh(&mut conn, "by_city").await;
        assert_eq!(last_refreshed(&mut conn, "by_city").await, "[p202403,p202404]", "{failpoint}");
        check_honest(&mut conn, failpoint).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_computed_stops_its_month_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = months(&server).await;
    run(&mut conn, "DROP MATERIALIZED VIEW by_city").await;
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW numbers PARTITION BY date_trunc('month', day) REFRESH DEFERRED MANUAL \
         AS SELECT day, arrow_cast(note, 'Int64') AS number FROM sales",
    )
    .await;
    run(&mut conn, "INSERT INTO sales VALUES ('2024-03-09', 7, 7, 'seven')").await;
    let numbers = "SELECT day, number FROM numbers ORDER BY number";
    // Again and again: nothing of March, and what comes after it waits.
    for _ in 0..2 {
        let (_, text) = error(&mut conn, "REFRESH MATERIALIZED VIEW numbers WITH SYNC MODE").await;
        assert!(text.contains("'seven'"), "{text}");
        let (state, reason) = last_run(&mut conn).await;
        assert!(state == "FAILED" && reason.contains("'seven'"), "{state}: {reason}");
        let expected = [["2024-01-05", "1"], ["2024-01-06", "2"], ["2024-02-01", "3"]];
        assert_eq!(rows(&mut conn, numbers).await, expected);
        assert_eq!(stale(&mut conn).await, "2");
    }
    run(&mut conn, "INSERT OVERWRITE sales PARTITION (p202403) VALUES ('2024-03-09', 7, 7, '7')").await;
    refresh(&mut conn, "numbers").await;
    assert_eq!(last_refreshed(&mut conn, "numbers").await, "[p202403,p202404]");
    let plain = format!("SELECT {PLAIN} day, CAST(note AS BIGINT) FROM sales ORDER BY 2");
    assert_eq!(rows(&mut conn, numbers).await, rows(&mut conn, &plain).await);
    assert_eq!(stale(&mut conn).await, "0");
}

/// Inserts a pair of rows that sums up to nothing, refreshes, and must find it; `rounds` times.
async fn insert_refresh_and_look(mut conn: Conn, name: i32, rounds: i32) {
    run(&mut conn, "USE d").await;
    for round in 0..rounds {
        let (city, month) = (name * 1000 + round, 1 + round % 4);
        let day = format!("2024-{month:02}-{:02}", 1 + round % 28);
        let pair = format!("('{day}', {city}, {city}, '0'), ('{day}', {city}, -{city}, '0')");
        run(&mut conn, &format!("INSERT INTO sales VALUES {pair}")).await;
        refresh(&mut conn, "by_city").await;
        let found = rows(&mut conn, &format!("SELECT total, n FROM by_city WHERE city = {city}")).await;
        assert_eq!(found, [["0", "2"]], "round {round} of {name}: what was there before a refresh is in it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_at_once_lose_nothing_and_show_nothing_half() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = months(&server).await;
    run(&mut conn, &BY_CITY.replace("by_city", "follower").replace("DEFERRED MANUAL", "ASYNC")).await;
    refresh(&mut conn, "by_city").await;
    let sums =
        "SELECT date_trunc('month', day) AS month, sum(total) FROM by_city GROUP BY month ORDER BY month";
    let before = rows(&mut conn, sums).await;
    let others = [(server.connect().await, 1), (server.connect().await, 2)];
    let work = others.map(|(conn, name)| tokio::spawn(insert_refresh_and_look(conn, name, 12)));
    while !work.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(rows(&mut conn, sums).await, before, "a month is shown before or after, never between");
    }
    for work in work {
        work.await.unwrap();
    }
    // Both are up to date, each in its way.
    wait_for(&mut conn, STALE, "0").await;
    check_honest(&mut conn, "two at once").await;
    let all = |name: &str| format!("SELECT * FROM {name} ORDER BY day, city");
    assert_eq!(rows(&mut conn, &all("follower")).await, rows(&mut conn, &all("by_city")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_a_refresh_which_is_tried_again_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&dir.path().join("small"), 24);
    let storage = format!("file://{}", dir.path().join("small/bucket").display());
    let server = Start::default().storage(&storage).run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    for sql in [
        "CREATE DATABASE d",
        "USE d",
        "ADMIN SET FRONTEND CONFIG ('compaction_interval_seconds' = '3600')",
        "CREATE TABLE t (k BIGINT, v STRING) DISTRIBUTED BY HASH(k) BUCKETS 1",
        // Rows that compression does not make small.
        "INSERT INTO t SELECT value, concat(md5(cast(value AS STRING)), md5(cast(value * 7 AS STRING))) \
         FROM generate_series(1, 60000)",
        "CREATE MATERIALIZED VIEW copy REFRESH ASYNC PROPERTIES ('refresh_mode' = 'full') \
         AS SELECT k, v, k + 1 AS next FROM t",
    ] {
        run(&mut conn, sql).await;
    }
    wait_for(&mut conn, STALE, "0").await;
    let filler = dir.path().join("small/filler");
    std::fs::write(&filler, vec![1; disk.free_bytes() - (1 << 20)]).unwrap();
    run(&mut conn, "INSERT INTO t VALUES (0, 'small')").await;
    let failed = "SELECT min(state) FROM information_schema.task_runs WHERE state = 'FAILED'";
    wait_for(&mut conn, failed, "FAILED").await;
    let (_, text) = error(&mut conn, "REFRESH MATERIALIZED VIEW copy WITH SYNC MODE").await;
    assert!(text.contains("space"), "{text}");
    let (_, reason) = last_run(&mut conn).await;
    assert!(reason.contains("space"), "{reason}");
    assert_eq!(
        (stale(&mut conn).await, one(&mut conn, "SELECT count(*) FROM copy").await),
        ("1".into(), "60000".into())
    );
    assert_eq!(one(&mut conn, "SELECT min(k) FROM t").await, "0");
    // Nobody changes a base, and nobody asks.
    std::fs::remove_file(&filler).unwrap();
    wait_for(&mut conn, STALE, "0").await;
    let sums = |from: &str| format!("SELECT {PLAIN} count(*), sum(k), min(v), max(v) FROM {from}");
    assert_eq!(rows(&mut conn, &sums("copy")).await, rows(&mut conn, &sums("t")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_cancelled_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let (server, hold) = held(&dir, 1);
    let mut conn = months(&server).await;
    begun(&mut conn, &hold).await;
    run(&mut conn, "CANCEL REFRESH MATERIALIZED VIEW by_city").await;
    std::fs::remove_file(hold).unwrap();
    wait_for(&mut conn, OPEN, "0").await;
    assert_eq!(last_run(&mut conn).await, ("FAILED".to_owned(), "the refresh was cancelled".to_owned()));
    assert_eq!(stale(&mut conn).await, "2", "the one that was about to be committed is in");
    check_honest(&mut conn, "cancelled").await;
    drop(conn);
    check_refreshed(server, "cancelled").await;
}

/// What comes while the first refresh of a view runs, after it has read its bases, is taken in by a second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_the_first_refresh_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().failpoints("refresh.before_commit=sleep:800").run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "USE d").await;
    run(&mut conn, "CREATE TABLE t (k INT) DISTRIBUTED BY HASH(k) BUCKETS 1").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    run(&mut conn, "CREATE MATERIALIZED VIEW v REFRESH ASYNC AS SELECT count(*) AS n FROM t").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    run(&mut conn, "INSERT INTO t VALUES (2)").await;
    wait_for(&mut conn, "SELECT coalesce(max(n), 0) FROM v", "2").await;
    assert_eq!(stale(&mut conn).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_dropped_in_the_middle_of_its_refresh() {
    for again in ["RECOVER TABLE by_city", BY_CITY] {
        let dir = tempfile::tempdir().unwrap();
        let (server, hold) = held(&dir, 1);
        let mut conn = months(&server).await;
        let mut other = server.connect().await;
        let waiting = tokio::spawn(async move {
            error(&mut other, "REFRESH MATERIALIZED VIEW d.by_city WITH SYNC MODE").await.1
        });
        reached(&hold).await;
        run(&mut conn, "DROP MATERIALIZED VIEW by_city").await;
        run(&mut conn, again).await;
        std::fs::remove_file(hold).unwrap();
        let text = waiting.await.unwrap();
        assert!(text.contains("was dropped") || again != BY_CITY, "{text}");
        wait_for(&mut conn, OPEN, "0").await;
        assert_eq!(last_run(&mut conn).await.0, "FAILED");
        // One that is made anew has nothing of the old one.
        let left = stale(&mut conn).await;
        assert!(left == "4" || again != BY_CITY, "{again}: {left}");
        check_honest(&mut conn, again).await;
        drop(conn);
        check_refreshed(server, again).await;
    }
}

/// Runs that a pause ends, or that the end of the process interrupts, are not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_pause_or_a_shutdown_interrupts_is_done_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let (server, hold) = held(&dir, 8);
    let mut conn = months(&server).await;
    run(&mut conn, "DROP MATERIALIZED VIEW by_city").await;
    // One at a time: at the pause one runs, the other waits.
    run(&mut conn, "ADMIN SET FRONTEND CONFIG ('task_runs_concurrency' = '1')").await;
    for name in ["by_city", "by_town"] {
        run(&mut conn, &BY_CITY.replace("by_city", name).replace("DEFERRED MANUAL", "ASYNC")).await;
    }
    wait_for(&mut conn, STALE, "0").await;
    run(&mut conn, "INSERT INTO sales SELECT day, city, 1, '0' FROM sales").await;
    wait_for(&mut conn, OPEN, "2").await;
    reached(&hold).await;
    // It returns when nothing runs any more.
    let mut admin = server.connect().await;
    let pausing = tokio::spawn(async move { run(&mut admin, "ADMIN PAUSE MATERIALIZED VIEWS").await });
    wait_for(&mut conn, "SELECT max(is_active) FROM information_schema.materialized_views", "false").await;
    assert!(!pausing.is_finished());
    std::fs::remove_file(&hold).unwrap();
    pausing.await.unwrap();
    assert_eq!(one(&mut conn, OPEN).await, "0");
    let reasons = "SELECT DISTINCT error_message FROM information_schema.task_runs WHERE state = 'FAILED'";
    for reason in rows(&mut conn, reasons).await.concat() {
        assert!(reason.contains("paused by ADMIN PAUSE"), "{reason}");
    }
    run(&mut conn, "ADMIN RESUME MATERIALIZED VIEWS").await;
    wait_for(&mut conn, STALE, "0").await;
    run(&mut conn, "DROP MATERIALIZED VIEW by_town").await;
    check_honest(&mut conn, "paused").await;

    run(&mut conn, "ALTER MATERIALIZED VIEW by_city REFRESH MANUAL").await;
    run(&mut conn, "INSERT INTO sales SELECT day, city, 1, '0' FROM sales").await;
    std::fs::write(&hold, "").unwrap();
    let waiting = "REFRESH MATERIALIZED VIEW by_city WITH SYNC MODE";
    let waiting = tokio::spawn(async move { conn.query_drop(waiting).await });
    reached(&hold).await;
    let data = server.data_dir.clone();
    let asked = Instant::now();
    let ended = tokio::task::spawn_blocking(|| server.terminate());
    let told = waiting.await.unwrap().unwrap_err().to_string();
    assert!(told.contains("the refresh goes on at its next start"), "{told}");
    assert!(ended.await.unwrap(), "SIGTERM must end the process cleanly");
    assert!(asked.elapsed().as_secs() < 8, "nobody who waits for a refresh holds the end up");
    let server = Start::default().run(&data);
    let mut conn = server.connect().await;
    run(&mut conn, "USE d").await;
    wait_for(&mut conn, STALE, "0").await;
    wait_for(&mut conn, OPEN, "0").await;
    assert_eq!(last_run(&mut conn).await, ("SUCCESS".to_owned(), String::new()));
    check_honest(&mut conn, "interrupted").await;
    conn.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_merged_refresh_hears_how_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (server, hold) = held(&dir, 0);
    let mut conn = months(&server).await;
    run(&mut conn, "ALTER MATERIALIZED VIEW by_city SET ('partition_refresh_number' = '-1')").await;
    run(&mut conn, "REFRESH MATERIALIZED VIEW by_city").await;
    reached(&hold).await;
    let others = [server.connect().await, server.connect().await];
    let waiting = others.map(|mut conn| {
        let sql = "REFRESH MATERIALIZED VIEW d.by_city FORCE WITH SYNC MODE";
        tokio::spawn(async move { error(&mut conn, sql).await.1 })
    });
    let merged = "SELECT count(*) FROM information_schema.task_runs WHERE state = 'MERGED'";
    wait_for(&mut conn, merged, "1").await;
    run(&mut conn, "DROP MATERIALIZED VIEW by_city").await;
    for waiting in waiting {
        let text = waiting.await.unwrap();
        assert!(text.contains("was dropped"), "{text}");
    }
    std::fs::remove_file(hold).unwrap();
    wait_for(&mut conn, OPEN, "0").await;
}
