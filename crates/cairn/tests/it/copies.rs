//! Two copies of one data directory: at most one runs, and none that is behind (docs/rfcs/0006-starts.md).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Server, Start, error, one, run};

async fn table(server: &Server) -> mysql_async::Conn {
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT)").await;
    run(&mut conn, "INSERT INTO d.t VALUES (1)").await;
    conn
}

fn copy(from: &Path, to: &str) -> PathBuf {
    let to = from.with_file_name(to);
    let status = Command::new("cp").arg("-a").args([from, &to]).status().unwrap();
    assert!(status.success());
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_beside_a_running_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let server = Start::default().storage(&storage).run(&dir.path().join("data"));
    let mut conn = table(&server).await;
    // The log of the copy is at most what was acknowledged before; so is a file system's own snapshot.
    let behind = copy(&dir.path().join("data"), "behind");
    let text = Start::default().try_run(&behind).err().unwrap();
    assert!(text.contains("a process is running on another copy"), "{text}");
    run(&mut conn, "INSERT INTO d.t VALUES (2)").await;
    // A sign says how far it has come, a few seconds later.
    tokio::time::sleep(Duration::from_secs(6)).await;
    drop(conn);
    let data = server.kill();
    let text = Start::default().try_run(&behind).err().unwrap();
    assert!(text.contains("this copy of the data directory is too old"), "{text}");
    let server = Start::default().run(&data);
    assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_that_was_started_last_goes_on_alone() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let server = Start::default().storage(&storage).run(&dir.path().join("data"));
    table(&server).await;
    let data = server.data_dir.clone();
    assert!(server.terminate());
    let moved = copy(&data, "moved");
    // After a clean end nobody has to be waited for.
    let start = Instant::now();
    let server = Start::default().run(&moved);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    run(&mut server.connect().await, "INSERT INTO d.t VALUES (2)").await;
    let text = Start::default().try_run(&data).err().unwrap();
    assert!(text.contains("another copy of this data directory was started since"), "{text}");

    // After a crash the other place is watched, and then counts.
    let newest = copy(&server.kill(), "newest");
    let mut server = Start::default().run(&newest);
    let mut conn = server.connect().await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "2");
    // A later start, whatever it was made of, makes this one stop.
    let fence =
        std::fs::read_dir(dir.path().join("bucket")).unwrap().next().unwrap().unwrap().path().join("fence");
    std::fs::write(fence.join(format!("start-{:020}-{:020}", 1, 99)), "").unwrap();
    let (_, text) = error(&mut conn, "INSERT INTO d.t VALUES (3)").await;
    assert!(text.contains("another copy of this data directory was started later"), "{text}");
    assert!(server.wait_for_end(Duration::from_secs(20)), "it must stop by itself");
}
