//! Starting, stopping, being in the way: what a process does at its edges.

use std::time::Instant;

use crate::harness::{Start, cairn, cairn_ok, error, one, rows, run};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_kill_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Start::default().run(&data);
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT, v STRING) DISTRIBUTED BY HASH(k) BUCKETS 2").await;
    for k in 0..20 {
        run(&mut conn, &format!("INSERT INTO d.t VALUES ({k}, 'v{k}')")).await;
    }
    server.kill();
    let server = Start::default().run(&data);
    let mut conn = server.connect().await;
    assert_eq!(rows(&mut conn, "SELECT count(*), sum(k), max(v) FROM d.t").await, [["20", "190", "v9"]]);
    run(&mut conn, "ALTER SYSTEM CREATE IMAGE").await;
    assert!(!rows(&mut conn, "SHOW PROC '/images'").await.is_empty());
    drop(conn);
    assert!(server.terminate(), "SIGTERM must end the process cleanly");
    let server = Start::default().run(&data);
    assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "20");
}

#[test]
fn a_second_process_and_foreign_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Start::default().run(&data);
    let text = Start::default().try_run(&data).err().unwrap();
    assert!(text.contains("in use by another Cairn process"), "{text}");

    let port = server.mysql_port.to_string();
    let other = dir.path().join("other");
    let output =
        cairn(&["start", "--data-dir", other.to_str().unwrap(), "--mysql-port", &port, "--http-port", "0"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("--mysql-port"), "{text}");
    server.kill();

    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.doc"), "x").unwrap();
    let text = Start::default().try_run(&foreign).err().unwrap();
    assert!(text.contains("not a Cairn data directory"), "{text}");

    // The metadata is gone, the volume in `storage` is left: a new cluster here would hide the old one.
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    let text = Start::default().try_run(&data).err().unwrap();
    assert!(text.contains("lost its folder 'meta'"), "{text}");
    std::fs::remove_file(data.join("IDENTITY")).unwrap();
    let text = Start::default().try_run(&data).err().unwrap();
    assert!(text.contains("cairn snapshot restore"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_sql_ends_in_an_error_and_the_server_lives() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    let start = Instant::now();
    let chains = [
        format!("SELECT {}1", "1+".repeat(100_000)),
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "NOT ".repeat(100_000)),
        format!("SELECT 1 WHERE {}1=1", "1=1 OR ".repeat(100_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(100_000)),
    ];
    for sql in &chains {
        assert_eq!(error(&mut conn, sql).await.0, 1064);
    }
    assert!(start.elapsed().as_secs() < 20);
    let long_list: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    assert_eq!(one(&mut conn, &format!("SELECT 7 IN ({})", long_list.join(","))).await, "1");
    let deep = format!("SELECT {}1", "1+".repeat(900));
    assert_eq!(one(&mut conn, &deep).await, "901");

    assert_eq!(error(&mut conn, "SELECT * FROM nosuch.t").await.0, 5501);
    assert_eq!(error(&mut conn, "SELECT * FROM information_schema.nosuch").await.0, 5502);
    let (code, text) = error(&mut conn, "SELEC 1").await;
    assert!(code == 1064 && text.contains("line 1"), "{text}");
    assert!(error(&mut conn, "SELECT nosuch").await.1.contains("nosuch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_never_let_go_are_ended_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k BIGINT, v BIGINT) DISTRIBUTED BY HASH(k) BUCKETS 2").await;
    run(&mut conn, "INSERT INTO d.t SELECT n.value, n.value * 7 FROM generate_series(1, 300000) n").await;
    // No pair passes: the join computes for an hour until it has a row.
    let endless = "SELECT count(*) FROM d.t a, d.t b WHERE a.v * b.v % 1000 = -1";
    let mut victims = Vec::new();
    let analyzed = format!("EXPLAIN ANALYZE {endless}");
    for sql in std::iter::repeat_n(endless.to_owned(), 4).chain([analyzed]) {
        let mut victim = server.connect().await;
        let id = one(&mut victim, "SELECT connection_id()").await;
        victims.push((id, tokio::spawn(async move { error(&mut victim, &sql).await })));
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let start = Instant::now();
    let listed = rows(&mut conn, "SHOW PROCESSLIST").await;
    assert_eq!(listed.iter().filter(|row| row.iter().any(|cell| cell == endless)).count(), 4, "{listed:?}");
    for (id, _) in &victims {
        run(&mut conn, &format!("KILL QUERY {id}")).await;
    }
    for (_, victim) in victims {
        assert_eq!(victim.await.unwrap().0, 1317);
    }
    run(&mut conn, "SET query_timeout = 1").await;
    assert_eq!(error(&mut conn, endless).await.0, 5024);
    run(&mut conn, "SET query_timeout = 300").await;
    // The threads are free again.
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "300000");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_can_be_killed_and_run_out_of_time_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    run(&mut conn, "SET query_timeout = 1").await;
    let start = Instant::now();
    assert_eq!(error(&mut conn, "SELECT sleep(30)").await.0, 5024);
    assert!(start.elapsed().as_secs() < 10);

    let mut victim = server.connect().await;
    let id = one(&mut victim, "SELECT connection_id()").await;
    let sleeping = tokio::spawn(async move { error(&mut victim, "SELECT sleep(60)").await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    run(&mut conn, &format!("KILL QUERY {id}")).await;
    assert_eq!(sleeping.await.unwrap().0, 1317);

    run(&mut conn, "SET query_timeout = 300").await;
    run(&mut conn, "SET query_mem_limit = 1000000").await;
    let values = "(SELECT a.value + 1000 * b.value AS v, a.value AS k FROM \
                  generate_series(1, 1000) a, generate_series(1, 1000) b) x";
    for query in [
        "SELECT count(*) FROM (SELECT DISTINCT v FROM {})",
        "SELECT count(DISTINCT v) FROM {}",
        "SELECT count(DISTINCT v), count(DISTINCT k) FROM {}",
        "SELECT k, count(DISTINCT v) AS n FROM {} GROUP BY k ORDER BY n",
        "SELECT k, count(DISTINCT v), count(DISTINCT k + 1) FROM {} GROUP BY k",
    ] {
        let (code, text) = error(&mut conn, &query.replace("{}", values)).await;
        let parts = [
            "Memory of query exceed limit: ",
            " of query_mem_limit. Raise query_mem_limit, or select less",
            "ndv(…)",
        ];
        assert!(parts.iter().all(|part| text.contains(part)), "{query}: {code} {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_spill_as_they_repartition_come_to_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    for statement in [
        "CREATE DATABASE d",
        "CREATE TABLE d.t (k BIGINT, s VARCHAR(64)) DISTRIBUTED BY HASH(k) BUCKETS 2",
        "INSERT INTO d.t SELECT value, concat('some string of length ', value) FROM generate_series(1, 400000)",
        "SET query_timeout = 20",
        "SET query_mem_limit = 1000000",
    ] {
        run(&mut conn, statement).await;
    }
    // Two writers of one spilled partition at the same moment are a matter of luck: about one round in thirty.
    for round in 0..60 {
        let aggregate = "SELECT s, count(*) AS c FROM d.t GROUP BY s ORDER BY c DESC LIMIT 1";
        let (code, text) = error(&mut conn, aggregate).await;
        assert!(text.contains("Memory of query exceed limit: "), "round {round}: {code} {text}");
    }
}

#[test]
fn the_command_line_client_prints_tables_csv_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let port = server.mysql_port.to_string();
    let sql = |format: &str, text: &str| cairn_ok(&["sql", "--port", &port, "--format", format, "-e", text]);
    assert_eq!(sql("csv", "SELECT 1 AS a, NULL AS b, 'x,y' AS c"), "a,b,c\n1,\\N,\"x,y\"\n");
    assert_eq!(sql("json", "SELECT 1 AS a, NULL AS b").replace([' ', '\n'], ""), r#"[{"a":1,"b":null}]"#);
    assert!(sql("table", "SELECT 1 AS a").contains('a'));
    let failed = cairn(&["sql", "--port", &port, "-e", "SELECT 1; SELEC 2; SELECT 3"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&failed.stdout).contains('3'));
}
