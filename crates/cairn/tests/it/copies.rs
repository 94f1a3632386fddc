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

/// A new server in the folder `data`, whose volume is the folder `bucket`.
fn first(dir: &Path) -> Server {
    let storage = format!("file://{}/bucket", dir.display());
    Start::default().storage(&storage).run(&dir.join("data"))
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
    let server = first(dir.path());
    let mut conn = table(&server).await;
    // The log of the copy is at most what was acknowledged before; so is a file system's own snapshot.
    let behind = copy(&dir.path().join("data"), "behind");
    let text = Start::default().try_run(&behind).err().unwrap();
    assert!(text.contains("a process is running on another copy"), "{text}");
    run(&mut conn, "INSERT INTO d.t VALUES (2)").await;
    // A sign says how far it has come.
    next_sign(dir.path()).await;
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
    let server = first(dir.path());
    table(&server).await;
    let data = server.data_dir.clone();
    assert!(server.terminate());
    let moved = copy(&data, "moved");
    // After a clean end nobody has to be waited for.
    let start = Instant::now();
    let server = Start::default().run(&moved);
    assert!(start.elapsed() < Duration::from_secs(11), "{:?}", start.elapsed());
    let mut conn = server.connect().await;
    run(&mut conn, "INSERT INTO d.t VALUES (2)").await;
    let empty = format!("file://{}/empty", dir.path().display());
    run(&mut conn, &format!("CREATE STORAGE VOLUME e TYPE = FILE LOCATIONS = ('{empty}')")).await;
    run(&mut conn, "CREATE TABLE d.e (k INT) PROPERTIES ('storage_volume' = 'e')").await;
    drop(conn);
    let text = Start::default().try_run(&data).err().unwrap();
    assert!(text.contains("another copy of this data directory was started since"), "{text}");

    // After a crash the other place is watched, and then counts.
    let newest = copy(&server.kill(), "newest");
    let mut server = Start::default().run(&newest);
    let mut conn = server.connect().await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "2");
    // An empty volume, which the other place had, too, is used as before.
    run(&mut conn, "INSERT INTO d.e VALUES (1)").await;
    // A later start, whatever it was made of, makes this one stop.
    let fence = fence(dir.path());
    std::fs::write(fence.join(format!("start-{:020}-{:020}-ab", 1, 99)), "").unwrap();
    let (_, text) = error(&mut conn, "INSERT INTO d.t VALUES (3)").await;
    assert!(text.contains("another copy of this data directory was started later"), "{text}");
    assert!(server.wait_for_end(Duration::from_secs(20)), "it must stop by itself");
}

fn fence(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir.join("bucket")).unwrap().next().unwrap().unwrap().path().join("fence")
}

/// Waits until the running process has left a sign after this call: it comes every few seconds.
async fn next_sign(dir: &Path) {
    let signs = || {
        let entries = std::fs::read_dir(fence(dir)).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.to_str().unwrap().starts_with("alive-")).max()
    };
    let (before, start) = (signs(), Instant::now());
    while signs() == before || signs().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "no sign came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Such a copy knows of no volume with rows, and still must not pass the one that has them.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_before_the_first_row_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = first(dir.path());
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT)").await;
    let early = copy(&dir.path().join("data"), "early");
    run(&mut conn, "INSERT INTO d.t VALUES (1)").await;
    next_sign(dir.path()).await;
    let text = Start::default().try_run(&early).err().unwrap();
    assert!(text.contains("this copy of the data directory is too old"), "{text}");
    run(&mut conn, "INSERT INTO d.t VALUES (2)").await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "2");
}

/// The remedy that a refusal names makes one copy go on, and no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_forced_goes_on_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = first(dir.path());
    table(&server).await;
    let data = server.data_dir.clone();
    assert!(server.terminate());
    let forced = copy(&data, "forced");
    let mut server = Start::default().run(&data);
    assert!(Start::default().try_run(&forced).err().unwrap().contains("was started since this one stopped"));
    for entry in std::fs::read_dir(fence(dir.path())).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name().to_str().unwrap().starts_with("start-") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut conn = server.connect().await;
    let (_, text) = error(&mut conn, "INSERT INTO d.t VALUES (2)").await;
    assert!(text.contains("the record of this start"), "{text}");
    let forced = Start::default().run(&forced);
    assert!(server.wait_for_end(Duration::from_secs(20)), "it must stop by itself");
    let server = forced;
    run(&mut server.connect().await, "INSERT INTO d.t VALUES (3)").await;
    assert!(Start::default().try_run(&data).err().unwrap().contains("was started since this one stopped"));
}

/// A start that is refused is forgotten, however it came to be refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_copy_that_found_its_volume_empty_is_refused_later_too() {
    let dir = tempfile::tempdir().unwrap();
    let (bucket, aside) = (dir.path().join("bucket"), dir.path().join("aside"));
    let server = first(dir.path());
    let mut conn = table(&server).await;
    let stale = copy(&dir.path().join("data"), "stale");
    run(&mut conn, "INSERT INTO d.t VALUES (2)").await;
    next_sign(dir.path()).await;
    drop(conn);
    let data = server.kill();
    std::fs::rename(&bucket, &aside).unwrap();
    std::fs::create_dir(&bucket).unwrap();
    assert!(Start::default().try_run(&stale).err().unwrap().contains("has no claim"));
    assert!(std::fs::read_dir(&bucket).unwrap().next().is_none(), "nothing was written");
    std::fs::remove_dir(&bucket).unwrap();
    std::fs::rename(&aside, &bucket).unwrap();
    assert!(Start::default().try_run(&stale).err().unwrap().contains("too old"));
    let server = Start::default().run(&data);
    assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "2");
}
