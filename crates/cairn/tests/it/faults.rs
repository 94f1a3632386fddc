//! A process that dies at each named step: what was acknowledged is there after, nothing is half.

use std::time::Duration;

use cairn_env::FAILPOINTS;
use mysql_async::prelude::*;

use crate::harness::{Start, cairn, cairn_ok, one, rows, run};

/// Kills a server at `failpoint` while it does a bit of everything; then the state must be an allowed one.
async fn check(failpoint: &str) {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let data = dir.path().join("data");
    let server = Start::default().storage(&storage).run(&data);
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT) DISTRIBUTED BY HASH(k) BUCKETS 2").await;
    run(
        &mut conn,
        "ADMIN SET FRONTEND CONFIG (\"vacuum_grace_seconds\" = \"0\", \"vacuum_interval_seconds\" = \"1\", \
        \"compaction_interval_seconds\" = \"1\")",
    )
    .await;
    run(&mut conn, "INSERT INTO d.t VALUES (0)").await;
    // A view that follows each load.
    run(
        &mut conn,
        "CREATE MATERIALIZED VIEW d.mv REFRESH ASYNC AS SELECT count(*) AS n, sum(k) AS s FROM d.t",
    )
    .await;
    crate::harness::wait_for(&mut conn, "SELECT n FROM d.mv", "1").await;
    drop(conn);
    server.kill();

    let mut server = Start::default().failpoints(&format!("{failpoint}=kill")).run(&data);
    let mut acknowledged = 1;
    let mut died = false;
    let statements = ["CREATE SNAPSHOT s", "ALTER SYSTEM CREATE IMAGE", "DROP SNAPSHOT s"];
    'work: for round in 0..40 {
        let Ok(mut conn) = server.connect_as("root", "").await else {
            died = true;
            break;
        };
        match conn.query_drop(format!("INSERT INTO d.t VALUES ({})", round + 1)).await {
            Ok(()) => acknowledged += 1,
            Err(_) => {
                died = server.wait_for_end(Duration::from_secs(5));
                break 'work;
            }
        }
        let statement = statements[round % statements.len()];
        if conn.query_drop(statement).await.is_err() && server.wait_for_end(Duration::from_millis(200)) {
            died = true;
            break;
        }
        if server.wait_for_end(Duration::from_millis(if round > 3 { 400 } else { 50 })) {
            died = true;
            break;
        }
    }
    assert!(died, "{failpoint} was never reached");

    let server = Start::default().run(&data);
    let mut conn = server.connect().await;
    let count: usize = one(&mut conn, "SELECT count(*) FROM d.t").await.parse().unwrap();
    assert!(
        count == acknowledged || count == acknowledged + 1,
        "{failpoint}: {count} rows, {acknowledged} acknowledged"
    );
    run(&mut conn, "INSERT INTO d.t VALUES (1000)").await;
    let counted = (count + 1).to_string();
    crate::harness::wait_for(&mut conn, "SELECT n FROM d.mv", &counted).await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, (count + 1).to_string());
    // Whatever stands as finished is whole; whatever does not is not left over for ever.
    let start = std::time::Instant::now();
    loop {
        let jobs = "SELECT snapshot_name, state FROM information_schema.cluster_snapshot_jobs";
        let open = rows(&mut conn, jobs)
            .await
            .iter()
            .any(|job| !["FINISHED", "DELETED", "ERROR"].contains(&job[1].as_str()));
        if !open {
            break;
        }
        assert!(start.elapsed().as_secs() < 20, "{failpoint}: a job never ends");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if one(&mut conn, "SELECT count(*) FROM information_schema.cluster_snapshots").await != "0" {
        cairn_ok(&["snapshot", "verify", &storage]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_every_step_of_a_running_server() {
    let steps = FAILPOINTS.iter().filter(|n| !n.starts_with("restore.") && !n.starts_with("start."));
    let checks = steps.map(|name| async move {
        check(name).await;
    });
    // A few at a time: each is a server of its own.
    futures::stream::StreamExt::for_each_concurrent(futures::stream::iter(checks), 3, |check| check).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_every_step_of_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Start::default().run(&data);
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT)").await;
    run(&mut conn, "INSERT INTO d.t VALUES (1), (2)").await;
    drop(conn);
    server.kill();
    for failpoint in FAILPOINTS.iter().filter(|name| name.starts_with("start.")) {
        let killed = Start::default().failpoints(&format!("{failpoint}=kill")).try_run(&data);
        assert!(killed.is_err(), "{failpoint} was never reached");
        let server = Start::default().run(&data);
        assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "2", "{failpoint}");
        server.kill();
    }
}

/// What a first start leaves that dies before the data directory is whole keeps no other one from being made.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_cut_off_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let data = dir.path().join("data");
    let start = Start::default().storage(&storage);
    let killed = start.clone().failpoints("image.after_write=kill").try_run(&data);
    assert!(killed.is_err() && data.join("meta.new").exists(), "{:?}", killed.err());
    let server = start.run(&data);
    assert_eq!(one(&mut server.connect().await, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_every_step_of_a_restore() {
    for failpoint in FAILPOINTS.iter().filter(|name| name.starts_with("restore.")) {
        let dir = tempfile::tempdir().unwrap();
        let storage = format!("file://{}/bucket", dir.path().display());
        let server = Start::default().storage(&storage).run(&dir.path().join("one"));
        let mut conn = server.connect().await;
        run(&mut conn, "CREATE DATABASE d").await;
        run(&mut conn, "CREATE TABLE d.t (k INT)").await;
        run(&mut conn, "INSERT INTO d.t VALUES (1), (2)").await;
        crate::harness::snapshot(&mut conn, "s").await;
        server.kill();

        let two = dir.path().join("two");
        let output = std::process::Command::new(crate::harness::CAIRN)
            .args(["snapshot", "restore", &storage, "--data-dir", two.to_str().unwrap()])
            .env("CAIRN_FAILPOINTS", format!("{failpoint}=kill"))
            .output()
            .unwrap();
        assert!(!output.status.success(), "{failpoint} was never reached");
        // Either it is whole and serves, or it is refused and a new directory takes the snapshot.
        let server = match Start::default().try_run(&two) {
            Ok(server) => server,
            Err(_) => {
                let three = dir.path().join("three");
                let again = cairn(&["snapshot", "restore", &storage, "--data-dir", three.to_str().unwrap()]);
                assert!(again.status.success(), "{failpoint}: {}", String::from_utf8_lossy(&again.stderr));
                Start::default().run(&three)
            }
        };
        assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "2", "{failpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_named_and_never_answered_from() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let data = dir.path().join("data");
    let server = Start::default().storage(&storage).run(&data);
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT, v STRING)").await;
    run(&mut conn, "INSERT INTO d.t VALUES (1, 'aaaa'), (2, 'bbbb')").await;
    server.kill();
    let mut tried = 0;
    for file in walk(dir.path().join("bucket").as_path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".parquet") && !name.ends_with(".manifest") {
            continue;
        }
        let whole = std::fs::read(&file).unwrap();
        for damaged in [
            flip(&whole, whole.len() / 3),
            flip(&whole, whole.len() - 5),
            whole[..whole.len() / 2].to_vec(),
            Vec::new(),
        ] {
            std::fs::write(&file, &damaged).unwrap();
            let server = Start::default().run(&data);
            let mut conn = server.connect().await;
            let (_, text) = crate::harness::error(&mut conn, "SELECT k, v FROM d.t").await;
            assert!(text.contains(&name), "{text}");
            assert_eq!(one(&mut conn, "SELECT 1").await, "1");
            tried += 1;
        }
        std::fs::write(&file, &whole).unwrap();
    }
    assert!(tried >= 8, "{tried}");
}

pub fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

pub fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(walk(&path)),
            false => found.push(path),
        }
    }
    found
}
