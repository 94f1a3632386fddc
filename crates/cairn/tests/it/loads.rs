//! Stream Load, FILES, INSERT: what comes in, exactly once, and what is refused.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;

use crate::harness::{Server, Start, error, one, rows, run, wait_for};

async fn table(server: &Server) -> mysql_async::Conn {
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT NOT NULL, v VARCHAR(5), d DATE) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 3").await;
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_loaded_once_by_its_label() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    let headers = ["label: l1", "column_separator: |"];
    let text = "1|a|2024-01-01\n2|\\N|2024-01-02\n";
    let answer = server.stream_load("d.t", &headers, text);
    assert_eq!(answer["Status"], "Success", "{answer:#}");
    assert_eq!((&answer["NumberTotalRows"], &answer["NumberLoadedRows"]), (&2.into(), &2.into()));
    let again = server.stream_load("d.t", &headers, text);
    assert_eq!(
        (&again["Status"], &again["ExistingJobStatus"]),
        (&"Label Already Exists".into(), &"FINISHED".into())
    );
    assert_eq!(
        rows(&mut conn, "SELECT * FROM d.t ORDER BY k").await,
        [["1", "a", "2024-01-01"], ["2", "NULL", "2024-01-02"]]
    );
    let (_, text) = error(&mut conn, "INSERT INTO d.t WITH LABEL l1 VALUES (3, 'x', NULL)").await;
    assert!(text.contains("Label [l1] has already been used"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_are_filtered_counted_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    let text = "1,good,2024-01-01\nx,bad,2024-01-01\n3,toolong,2024-01-01\n4\n\\N,n,2024-01-01\n";
    let refused = server.stream_load("d.t", &["column_separator: ,"], text);
    assert_eq!(refused["Status"], "Fail");
    assert!(refused["Message"].as_str().unwrap().contains("too many filtered rows"), "{refused:#}");
    assert_eq!(refused["NumberFilteredRows"], 4);
    let log = Command::new("curl").args(["-sS", refused["ErrorURL"].as_str().unwrap()]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(log.contains("toolong") && log.lines().count() == 4, "{log}");
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "0");
    let taken = server.stream_load("d.t", &["column_separator: ,", "max_filter_ratio: 0.9"], text);
    assert_eq!((&taken["Status"], &taken["NumberLoadedRows"]), (&"Success".into(), &1.into()), "{taken:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_columns_and_conditions_are_honoured() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    let text = r#"[{"K":1,"v":"a","d":"2024-01-01"},{"k":2,"d":null}]"#;
    let answer = server.stream_load("d.t", &["format: json", "strip_outer_array: true"], text);
    assert_eq!(answer["Status"], "Success", "{answer:#}");
    let headers = ["column_separator: ,", "columns: a, b, k = a * 10, v = upper(b)", "where: k > 10"];
    let answer = server.stream_load("d.t", &headers, "1,x\n2,y\n3,z\n");
    assert_eq!(
        (&answer["NumberLoadedRows"], &answer["NumberUnselectedRows"]),
        (&2.into(), &1.into()),
        "{answer:#}"
    );
    assert_eq!(
        rows(&mut conn, "SELECT k, v FROM d.t ORDER BY k").await,
        [["1", "a"], ["2", "NULL"], ["20", "Y"], ["30", "Z"]]
    );
    let refused = server.stream_load("d.t", &["partial_update: true"], "1\n");
    assert!(refused["Message"].as_str().unwrap().contains("partial_update"), "{refused:#}");
    let unknown = server.stream_load("d.nosuch", &[], "1\n");
    assert_eq!(unknown["Status"], "Fail", "{unknown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    let mut socket = TcpStream::connect(("127.0.0.1", server.http_port)).unwrap();
    let head = "PUT /api/d/t/_stream_load HTTP/1.1\r\nHost: x\r\nAuthorization: Basic cm9vdDo=\r\nlabel: gone\r\n\
                column_separator: ,\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all("1,a,2024-01-01\n".repeat(100).as_bytes()).unwrap();
    socket.flush().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(socket);
    let sql = "SELECT count(*) FROM information_schema.loads WHERE label = 'gone' AND state = 'CANCELLED'";
    wait_for(&mut conn, sql, "1").await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "0");
    let answer = server.stream_load("d.t", &["label: gone", "column_separator: ,"], "1,a,2024-01-01\n");
    assert_eq!(answer["Status"], "Success", "an aborted load gives its label back: {answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let path = format!("file://{}", out.display());
    run(&mut conn, "INSERT INTO d.t VALUES (1, 'a', '2024-01-01'), (2, NULL, NULL)").await;
    run(
        &mut conn,
        &format!("INSERT INTO FILES(\"path\"=\"{path}/p/\", \"format\"=\"parquet\") SELECT * FROM d.t"),
    )
    .await;
    let csv = "\"format\"=\"csv\", \"csv.column_separator\"=\",\"";
    run(&mut conn, &format!("INSERT INTO FILES(\"path\"=\"{path}/c/\", {csv}) SELECT * FROM d.t")).await;
    let parquet = format!("FILES(\"path\"=\"{path}/p/*\", \"format\"=\"parquet\")");
    assert_eq!(
        rows(&mut conn, &format!("SELECT K, v, d FROM {parquet} ORDER BY k")).await,
        [["1", "a", "2024-01-01"], ["2", "NULL", "NULL"]]
    );
    let csv = format!("FILES(\"path\"=\"{path}/c/*\", {csv})");
    run(&mut conn, &format!("INSERT INTO d.t SELECT * FROM {csv}")).await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "4");
    let (_, text) =
        error(&mut conn, "SELECT * FROM FILES(\"path\"=\"file:///nosuch/x\", \"format\"=\"parquet\")").await;
    assert!(text.contains("/nosuch"), "{text}");
    let (_, text) = error(&mut conn, "SELECT * FROM FILES(\"path\"=\"file:///x\", \"format\"=\"orc\")").await;
    assert!(text.contains("orc"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_values_are_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    for (values, named) in [
        ("(NULL, 'a', NULL)", "k"),
        ("(1, 'too long', NULL)", "v"),
        ("('x', 'a', NULL)", "x"),
        ("(99999999999, 'a', NULL)", "k"),
        ("(1, 'a')", "column count"),
    ] {
        let (_, text) = error(&mut conn, &format!("INSERT INTO d.t VALUES {values}")).await;
        assert!(text.contains(named), "{values}: {text}");
    }
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_the_rows_and_the_data_version() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"compaction_interval_seconds\" = \"1\")").await;
    for k in 0..30 {
        run(&mut conn, &format!("INSERT INTO d.t VALUES ({k}, 'v', NULL)")).await;
    }
    let version = "SELECT visible_version FROM information_schema.partitions_meta WHERE table_name = 't'";
    let before = one(&mut conn, version).await;
    let start = std::time::Instant::now();
    loop {
        let plan = rows(&mut conn, "EXPLAIN SELECT * FROM d.t").await;
        let segments =
            plan.iter().find_map(|line| line[0].trim().strip_prefix("segments=")).unwrap().to_owned();
        let count: usize = segments.split('/').next().unwrap().parse().unwrap();
        if count <= 12 {
            break;
        }
        assert!(start.elapsed().as_secs() < 40, "still {segments} segments");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(rows(&mut conn, "SELECT count(*), sum(k) FROM d.t").await, [["30", "435"]]);
    assert_eq!(one(&mut conn, version).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_a_filter_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    let table = "CREATE TABLE d.t (k INT, d DATE, v INT) DUPLICATE KEY(k) PARTITION BY date_trunc('month', d) \
                 DISTRIBUTED BY HASH(k) BUCKETS 4";
    run(&mut conn, table).await;
    let rows_of = "(1, '2024-01-01', 1), (2, '2024-02-01', 2), (3, '2024-03-01', 3), (4, '2024-04-01', 4)";
    run(&mut conn, &format!("INSERT INTO d.t VALUES {rows_of}")).await;
    for (filter, expected) in [
        ("d = '2024-02-01'", ["partitions=1/4", "tabletRatio=4/4"]),
        ("d >= '2024-03-01'", ["partitions=2/4", "tabletRatio=8/8"]),
        ("date_trunc('month', d) = '2024-02-01'", ["partitions=1/4", "tabletRatio=4/4"]),
        ("date_trunc('quarter', d) > '2024-01-01'", ["partitions=1/4", "tabletRatio=4/4"]),
        ("k = 3", ["partitions=4/4", "tabletRatio=4/16"]),
        ("d > '2030-01-01'", ["partitions=0/4", "tabletRatio=0/0"]),
    ] {
        let plan = rows(&mut conn, &format!("EXPLAIN SELECT * FROM d.t WHERE {filter}")).await;
        let lines: Vec<&str> = plan.iter().map(|row| row[0].trim()).collect();
        for part in ["TABLE: t"].iter().chain(&expected) {
            assert!(lines.contains(part), "{filter}: {part} is not in {lines:?}");
        }
    }
    let analyzed = rows(&mut conn, "EXPLAIN ANALYZE SELECT count(*) FROM d.t WHERE v > 1").await;
    assert!(analyzed.iter().any(|row| row[0].contains("output_rows")), "{analyzed:?}");
}
