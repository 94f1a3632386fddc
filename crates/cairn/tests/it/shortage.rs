//! What a server lacks on a bad day: disk, memory, its volume, whole metadata, a polite client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::faults::{flip, walk};
use crate::harness::{Server, SmallDisk, Start, error, one, rows, run};

/// Rows that compression does not make small.
const INSERT: &str = "INSERT INTO d.t SELECT value, concat(md5(cast(value + $SALT AS STRING)), \
                      md5(cast(value * 7 + $SALT AS STRING))) FROM generate_series(1, 20000)";

async fn table(server: &Server) -> mysql_async::Conn {
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k BIGINT, v STRING) DISTRIBUTED BY HASH(k) BUCKETS 1").await;
    conn
}

/// Inserts until one fails; how many did not, and the error.
async fn fill(conn: &mut mysql_async::Conn) -> (usize, String) {
    use mysql_async::prelude::Queryable;
    for round in 0..200 {
        let sql = INSERT.replace("$SALT", &(round * 1_000_003).to_string());
        match conn.query_drop(sql).await {
            Ok(()) => {}
            Err(mysql_async::Error::Server(error)) => return (round, error.message),
            Err(other) => panic!("the server is gone: {other}"),
        }
    }
    panic!("the disk never got full")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_refuses_loads_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&dir.path().join("small"), 12);
    let server = Start::default()
        .storage(&format!("file://{}", dir.path().join("small/bucket").display()))
        .run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"compaction_interval_seconds\" = \"3600\")").await;
    let (rounds, text) = fill(&mut conn).await;
    assert!(rounds > 0 && text.contains("space"), "{text}");
    let count = (rounds * 20_000).to_string();
    assert_eq!(one(&mut conn, "SELECT count(v) FROM d.t").await, count);
    // It keeps nobody from starting and reading, and is written to again when there is room.
    let filler = dir.path().join("small/filler");
    while disk.free_bytes() > 0 {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        let _ = file.write_all(&vec![1; disk.free_bytes()]);
    }
    drop(conn);
    let server = Start::default().run(&server.kill());
    let mut conn = server.connect().await;
    assert_eq!(one(&mut conn, "SELECT count(v) FROM d.t").await, count);
    disk.grow(64);
    let started = std::time::Instant::now();
    while mysql_async::prelude::Queryable::query_drop(&mut conn, INSERT.replace("$SALT", "5")).await.is_err()
    {
        assert!(started.elapsed() < Duration::from_secs(30), "it is never written to again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(conn);
    let server = Start::default().run(&server.kill());
    let count = ((rounds + 1) * 20_000).to_string();
    assert_eq!(one(&mut server.connect().await, "SELECT count(v) FROM d.t").await, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_metadata_disk_loses_nothing_acknowledged() {
    use mysql_async::prelude::Queryable;
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&dir.path().join("small"), 8);
    let data = dir.path().join("small/data");
    let mut server =
        Start::default().storage(&format!("file://{}", dir.path().join("bucket").display())).run(&data);
    let mut conn = table(&server).await;
    let mut acknowledged = 0;
    // A filler leaves little room, so that the journal soon has none.
    std::fs::write(dir.path().join("small/filler"), vec![1; 4 << 20]).unwrap();
    let text = loop {
        let comment = "x".repeat(60_000);
        match conn.query_drop(format!("ALTER TABLE d.t COMMENT = '{comment}'")).await {
            Ok(()) => {}
            Err(error) => break error.to_string(),
        }
        match conn.query_drop(format!("INSERT INTO d.t VALUES ({acknowledged}, 'v')")).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error.to_string(),
        }
        assert!(acknowledged < 10_000, "the disk never got full");
    };
    // It may stop serving, because it can promise nothing any more; it must not lie.
    let alive = !server.wait_for_end(Duration::from_secs(1));
    std::fs::remove_file(dir.path().join("small/filler")).unwrap();
    disk.grow(64);
    let server = if alive { Start::default().run(&server.kill()) } else { Start::default().run(&data) };
    let mut conn = server.connect().await;
    let count: usize = one(&mut conn, "SELECT count(*) FROM d.t").await.parse().unwrap();
    assert!(count == acknowledged || count == acknowledged + 1, "{count} rows of {acknowledged}: {text}");
    run(&mut conn, "INSERT INTO d.t VALUES (-1, 'v')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_volume_is_named_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = dir.path().join("bucket");
    let server =
        Start::default().storage(&format!("file://{}", bucket.display())).run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    run(&mut conn, "INSERT INTO d.t VALUES (1, 'a')").await;
    let away = dir.path().join("away");
    std::fs::rename(&bucket, &away).unwrap();
    let (_, text) = error(&mut conn, "INSERT INTO d.t VALUES (2, 'b')").await;
    assert!(text.contains("bucket"), "{text}");
    assert_eq!(rows(&mut conn, "SHOW TABLES FROM d").await, [["t"]]);
    assert!(!bucket.join("nothing").exists());
    // An empty folder where the volume was is no volume: the fence is missing there.
    assert!(std::fs::read_dir(&bucket).map_or(0, |entries| entries.count()) <= 1);
    let _ = std::fs::remove_dir_all(&bucket);
    std::fs::rename(&away, &bucket).unwrap();
    run(&mut conn, "INSERT INTO d.t VALUES (2, 'b')").await;
    assert_eq!(rows(&mut conn, "SELECT k, v FROM d.t ORDER BY k").await, [["1", "a"], ["2", "b"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_metadata_stops_the_start_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Start::default().run(&data);
    let mut conn = table(&server).await;
    run(&mut conn, "INSERT INTO d.t VALUES (1, 'a')").await;
    run(&mut conn, "ALTER SYSTEM CREATE IMAGE").await;
    run(&mut conn, "INSERT INTO d.t VALUES (2, 'b')").await;
    drop(conn);
    server.kill();
    // Each copy is the first that is started of what was killed.
    let forget_starts = || {
        let files = walk(&data.join("storage")).into_iter();
        let told = files.filter(|file| {
            let path = file.to_str().unwrap();
            path.contains("/fence/") && !path.contains("/fence/epoch-")
        });
        told.for_each(|file| std::fs::remove_file(file).unwrap());
    };
    let mut tried = 0;
    for file in walk(&data.join("meta")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let whole = std::fs::read(&file).unwrap();
        if whole.is_empty() || name == "LOCK" {
            continue;
        }
        for damaged in [Vec::new(), whole[..whole.len() / 2].to_vec(), flip(&whole, whole.len() / 2)] {
            // A copy each time: a server that starts writes, and an old file put back would be damage of its own.
            let copy = dir.path().join("copy");
            let _ = std::fs::remove_dir_all(&copy);
            assert!(Command::new("cp").arg("-a").args([&data, &copy]).status().unwrap().success());
            std::fs::write(copy.join(file.strip_prefix(&data).unwrap()), damaged).unwrap();
            forget_starts();
            match Start::default().try_run(&copy) {
                Err(text) => assert!(text.contains(&name) || text.contains("meta"), "{name}: {text}"),
                // Damage in a part that holds nothing (a free page of the log) may go unnoticed; nothing may be missing.
                Ok(server) => {
                    let mut conn = server.connect().await;
                    assert_eq!(one(&mut conn, "SELECT sum(k) FROM d.t").await, "3", "damaged {name}");
                }
            }
            tried += 1;
        }
    }
    assert!(tried >= 6, "{tried}");
    forget_starts();
    let server = Start::default().run(&data);
    assert_eq!(one(&mut server.connect().await, "SELECT sum(k) FROM d.t").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_before_login_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let before = peak_bytes(&server);
    let mut noise = vec![0u8; 1 << 16];
    for (at, byte) in noise.iter_mut().enumerate() {
        *byte = u8::try_from((at * 31 + at / 7) % 251).unwrap();
    }
    let packets: Vec<Vec<u8>> = vec![
        vec![],
        vec![1],
        vec![0, 0, 0, 1],
        vec![0xff, 0xff, 0xff, 1],
        [vec![0xff, 0xff, 0xff, 1], vec![0; 4 << 20]].concat(),
        [vec![0x20, 0, 0, 1], vec![0xff; 32]].concat(),
        [vec![4, 0, 0, 9], vec![1, 2, 3, 4]].concat(),
        noise,
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for packet in &packets {
        for _ in 0..10 {
            let mut stream = TcpStream::connect(("127.0.0.1", server.mysql_port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting).unwrap();
            // The server may hang up before all is written.
            let _ = stream.write_all(packet);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.len() < 4096, "{} bytes of answer", answer.len());
        }
    }
    let idle: Vec<_> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", server.mysql_port)).unwrap()).collect();
    assert_eq!(one(&mut server.connect().await, "SELECT 1").await, "1");
    drop(idle);
    let grown = peak_bytes(&server) - before;
    assert!(grown < 128 << 20, "{grown} bytes were taken by clients that never logged in");
}

/// Largest resident memory of the process so far.
fn peak_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_load_does_not_grow_with_the_file() {
    const ROWS: usize = 1_000_000;
    let text: String = (0..ROWS).map(|k| format!("{k}\t{:064}\n", k * 7919 % 1_000_003)).collect();
    let peak_of = |times: usize| {
        let text = text.repeat(times);
        async move {
            let dir = tempfile::tempdir().unwrap();
            let config = dir.path().join("cairn.toml");
            std::fs::write(&config, "[limits]\nload_bytes_max = 8000000\ncache_bytes_max = 8000000\n")
                .unwrap();
            let start = Start { config: Some(config), ..Start::default() };
            let server = start.run(&dir.path().join("data"));
            let mut conn = table(&server).await;
            let answer = server.stream_load("d.t", &[], &text);
            assert_eq!(answer["NumberLoadedRows"], ROWS * times, "{answer}");
            assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, (ROWS * times).to_string());
            peak_bytes(&server)
        }
    };
    // What the allocator keeps for threads to come differs by a third from run to run: the files differ by far more.
    let (small, large) = (peak_of(1).await, peak_of(8).await);
    let more = text.len() as u64 * 7;
    assert!(
        large < small + more / 2,
        "{small} bytes for one file, {large} for one that is {more} bytes longer"
    );
}
