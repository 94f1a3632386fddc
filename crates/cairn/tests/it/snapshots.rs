//! The story that Cairn is for: name the state, lose the machine, bring the state back.

use std::path::Path;

use mysql_async::prelude::*;

use crate::harness::{Server, SmallDisk, Start, cairn, cairn_ok, error, one, rows, run, snapshot, wait_for};

async fn fill(server: &Server) -> mysql_async::Conn {
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT, d DATE) PARTITION BY date_trunc('month', d) DISTRIBUTED BY HASH(k) BUCKETS 2").await;
    run(&mut conn, "INSERT INTO d.t VALUES (1, '2024-01-05'), (2, '2024-02-05'), (3, '2024-02-06')").await;
    run(&mut conn, "CREATE VIEW d.v AS SELECT sum(k) AS s FROM d.t").await;
    run(&mut conn, "CREATE USER alice IDENTIFIED BY 'secret'").await;
    conn
}

fn files_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path.to_str().unwrap().to_owned()),
        }
    }
    found.sort();
    found
}

/// A start from the newest snapshot in `storage`, by a file in `dir`.
async fn from_yaml(conn: &mut mysql_async::Conn, dir: &Path, storage: &str) -> Start {
    let path = one(conn, "SELECT storage_path FROM information_schema.cluster_snapshots").await;
    let meta = path.split("/image/").next().unwrap();
    let text = format!(
        "cluster_snapshot:\n  cluster_snapshot_path: {meta}\n  storage_volume_name: builtin_storage_volume\n\
         storage_volumes:\n  - name: builtin_storage_volume\n    type: FILE\n    location: {storage}\n"
    );
    let yaml = dir.join("cluster_snapshot.yaml");
    std::fs::write(&yaml, text).unwrap();
    Start { cluster_snapshot: Some(yaml), ..Start::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cluster_comes_back_from_its_volume_alone() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = dir.path().join("bucket");
    let storage = format!("file://{}", bucket.display());
    let server = Start::default().storage(&storage).run(&dir.path().join("one"));
    let mut conn = fill(&server).await;
    snapshot(&mut conn, "before_upgrade").await;
    let path = one(&mut conn, "SELECT storage_path FROM information_schema.cluster_snapshots").await;
    assert!(path.ends_with("/meta/image/before_upgrade"), "{path}");
    let restore = from_yaml(&mut conn, dir.path(), &storage).await;
    run(&mut conn, "INSERT INTO d.t VALUES (100, '2024-03-01')").await;
    run(&mut conn, "DROP TABLE d.t FORCE").await;
    std::fs::remove_dir_all(server.kill()).unwrap();

    let listed = cairn_ok(&["snapshot", "ls", &storage]);
    assert!(listed.contains("before_upgrade") && listed.contains("finished"), "{listed}");
    let verified = cairn_ok(&["snapshot", "verify", &storage]);
    assert!(verified.contains("before_upgrade: whole"), "{verified}");

    let server = restore.run(&dir.path().join("new"));
    let mut conn = server.connect().await;
    assert_eq!(
        rows(&mut conn, "SELECT * FROM d.t ORDER BY k").await,
        [["1", "2024-01-05"], ["2", "2024-02-05"], ["3", "2024-02-06"]]
    );
    assert_eq!(one(&mut conn, "SELECT s FROM d.v").await, "6");
    run(&mut conn, "INSERT INTO d.t VALUES (4, '2024-04-01')").await;
    assert_eq!(one(&mut conn, "SELECT s FROM d.v").await, "10");
    drop(server.connect_as("alice", "secret").await.unwrap());
    assert!(server.connect_as("alice", "wrong").await.is_err());
    let data_dir = server.kill();
    let text = restore.try_run(&data_dir).err().unwrap();
    assert!(text.contains("holds a cluster already: nothing was changed"), "{text}");
}

/// A volume that holds nothing is claimed by the restored cluster when it is there, and is in nobody's way when it is not.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_volume_keeps_no_restored_cluster_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let mut old = Start::default().storage(&storage).run(&dir.path().join("old"));
    let mut conn = fill(&old).await;
    for name in ["there", "gone"] {
        let location = format!("file://{}/{name}", dir.path().display());
        run(&mut conn, &format!("CREATE STORAGE VOLUME {name} TYPE = FILE LOCATIONS = ('{location}')")).await;
    }
    snapshot(&mut conn, "s").await;
    run(&mut conn, "CREATE TABLE d.late (k INT) PROPERTIES ('storage_volume' = 'there')").await;
    std::fs::rename(dir.path().join("gone"), dir.path().join("aside")).unwrap();
    let new_dir = dir.path().join("new");
    cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
    let new = Start::default().run(&new_dir);
    let mut new_conn = new.connect().await;
    run(&mut new_conn, "CREATE TABLE d.u (k INT) PROPERTIES ('storage_volume' = 'there')").await;
    run(&mut new_conn, "INSERT INTO d.u VALUES (1)").await;
    // The old process may not write there any more, and stops.
    let refused = conn.query_drop("INSERT INTO d.late VALUES (1)").await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(old.wait_for_end(std::time::Duration::from_secs(20)), "a fenced process must stop");
    // What comes back is used from then on.
    run(&mut new_conn, "CREATE TABLE d.still (k INT) PROPERTIES ('storage_volume' = 'gone')").await;
    let (_, text) = error(&mut new_conn, "INSERT INTO d.still VALUES (1)").await;
    assert!(text.contains("gone"), "{text}");
    std::fs::rename(dir.path().join("aside"), dir.path().join("gone")).unwrap();
    let start = std::time::Instant::now();
    while let Err(error) = new_conn.query_drop("INSERT INTO d.still VALUES (1)").await {
        assert!(start.elapsed().as_secs() < 30, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(one(&mut new_conn, "SELECT count(*) FROM d.still").await, "1");
}

/// A volume that only older snapshots lie in may be lost: nothing that counts is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_volume_of_older_snapshots_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let server = Start::default().storage(&storage).run(&dir.path().join("old"));
    let mut conn = fill(&server).await;
    let archive = dir.path().join("archive");
    let location = format!("file://{}", archive.display());
    run(&mut conn, &format!("CREATE STORAGE VOLUME archive TYPE = FILE LOCATIONS = ('{location}')")).await;
    run(&mut conn, "ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON INTERVAL 1 SECOND STORAGE VOLUME archive").await;
    let taken = "SELECT count(*) > 0 FROM information_schema.cluster_snapshots";
    crate::harness::wait_for(&mut conn, taken, "1").await;
    run(&mut conn, "ADMIN SET AUTOMATED CLUSTER SNAPSHOT OFF").await;
    snapshot(&mut conn, "s").await;
    drop(conn);
    let data = server.kill();
    // A mount point without its disk: what should be there is not taken for lost.
    let (aside, beside) = (dir.path().join("aside"), dir.path().join("beside"));
    std::fs::rename(&archive, &aside).unwrap();
    std::fs::create_dir(&archive).unwrap();
    let output = cairn_ok(&["snapshot", "restore", &storage, "--data-dir", beside.to_str().unwrap()]);
    assert!(!output.contains("given up"), "{output}");
    let server = Start::default().run(&beside);
    let left = "SELECT count(*) > 0 FROM information_schema.cluster_snapshots WHERE snapshot_name <> 's'";
    assert_eq!(one(&mut server.connect().await, left).await, "1");
    assert!(std::fs::read_dir(&archive).unwrap().next().is_none(), "it was not claimed");
    server.kill();
    std::fs::remove_dir(&archive).unwrap();
    std::fs::rename(&aside, &archive).unwrap();
    cairn_ok(&["snapshot", "verify", &location]);
    std::fs::remove_dir_all(&archive).unwrap();
    let data = {
        let refused = Start::default().try_run(&data).err().unwrap();
        assert!(refused.contains("taken over by epoch"), "{refused}");
        beside
    };
    let server = Start::default().run(&data);
    assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "3");
    cairn_ok(&["snapshot", "verify", &storage]);
    let new_dir = dir.path().join("new");
    cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
    let server = Start::default().run(&new_dir);
    assert_eq!(one(&mut server.connect().await, "SELECT count(*) FROM d.t").await, "3");
}

/// Restoring from a copy of one volume must not take the other volumes away from the cluster that still runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_volume_takes_no_other_volume_over_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let server = Start::default().storage(&storage).run(&dir.path().join("old"));
    let mut conn = fill(&server).await;
    let second = format!("file://{}/second", dir.path().display());
    run(&mut conn, &format!("CREATE STORAGE VOLUME second TYPE = FILE LOCATIONS = ('{second}')")).await;
    run(&mut conn, "CREATE TABLE d.u (k INT) PROPERTIES ('storage_volume' = 'second')").await;
    run(&mut conn, "INSERT INTO d.u VALUES (1)").await;
    snapshot(&mut conn, "s").await;
    for name in ["bucket", "second"] {
        let status = std::process::Command::new("cp")
            .arg("-a")
            .args([dir.path().join(name), dir.path().join(format!("{name}.copy"))])
            .status();
        assert!(status.unwrap().success());
    }
    let (copy, new_dir) = (format!("{storage}.copy"), dir.path().join("new"));
    let restore = ["snapshot", "restore", &copy, "--data-dir", new_dir.to_str().unwrap()];
    let output = cairn(&restore);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains(&format!("second = {second}")), "{text}");
    assert!(!new_dir.exists());
    run(&mut conn, "INSERT INTO d.u VALUES (2)").await;

    let confirmed = format!("second={second}.copy");
    cairn_ok(&[&restore[..], &["--storage-volume", &confirmed]].concat());
    let restored = Start::default().run(&new_dir);
    let mut new_conn = restored.connect().await;
    run(&mut new_conn, "INSERT INTO d.u VALUES (3)").await;
    // Both go on, each on its own volumes.
    run(&mut conn, "INSERT INTO d.u VALUES (4)").await;
    assert_eq!(one(&mut new_conn, "SELECT group_concat(cast(k AS STRING) ORDER BY k) FROM d.u").await, "1,3");
    assert_eq!(one(&mut conn, "SELECT group_concat(cast(k AS STRING) ORDER BY k) FROM d.u").await, "1,2,4");
}

/// A volume that cannot be claimed leaves the others unclaimed.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_cannot_claim_every_volume_claims_none() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let server = Start::default().storage(&storage).run(&dir.path().join("old"));
    let mut conn = fill(&server).await;
    let disk = SmallDisk::mount(&dir.path().join("small"), 2);
    let second = format!("file://{}/small/second", dir.path().display());
    run(&mut conn, &format!("CREATE STORAGE VOLUME second TYPE = FILE LOCATIONS = ('{second}')")).await;
    run(&mut conn, "CREATE TABLE d.u (k INT) PROPERTIES ('storage_volume' = 'second')").await;
    run(&mut conn, "INSERT INTO d.u VALUES (1)").await;
    snapshot(&mut conn, "s").await;
    // Not a byte is left; what the server itself writes there fails, and that alone stops nobody.
    let filler = dir.path().join("small/filler");
    while disk.free_bytes() > 0 {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        let _ = std::io::Write::write_all(&mut file, &vec![1; disk.free_bytes()]);
    }
    let new_dir = dir.path().join("new");
    let output = cairn(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("nothing was taken over"), "{text}");
    run(&mut conn, "INSERT INTO d.t VALUES (5, '2024-01-01')").await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "4", "it was not stopped");
    // With room the same command works.
    std::fs::remove_file(filler).unwrap();
    cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
}

/// The old cluster keeps its volumes until the new data directory is known to fit.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_onto_a_full_disk_costs_the_old_cluster_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let old = Start::default().storage(&storage).run(&dir.path().join("old"));
    let mut conn = fill(&old).await;
    snapshot(&mut conn, "s").await;
    let disk = SmallDisk::mount(&dir.path().join("small"), 4);
    std::fs::write(dir.path().join("small/filler"), vec![1; disk.free_bytes() - (64 << 10)]).unwrap();
    let new_dir = dir.path().join("small/new");
    let output = cairn(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("space"), "{text}");
    run(&mut conn, "INSERT INTO d.t VALUES (5, '2024-01-01')").await;
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "4");
    std::fs::remove_file(dir.path().join("small/filler")).unwrap();
    cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revived_old_process_can_neither_write_nor_delete() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = dir.path().join("bucket");
    let storage = format!("file://{}", bucket.display());
    let old_dir = dir.path().join("old");
    let mut old = Start::default().storage(&storage).run(&old_dir);
    let mut old_conn = fill(&old).await;
    snapshot(&mut old_conn, "s").await;
    let new_dir = dir.path().join("new");
    cairn_ok(&["snapshot", "restore", &storage, "--data-dir", new_dir.to_str().unwrap()]);
    let new = Start::default().run(&new_dir);
    let mut conn = new.connect().await;

    // The old one still runs: its next write is refused, and then it stops by itself.
    let (_, text) = error(&mut old_conn, "INSERT INTO d.t VALUES (5, '2024-01-01')").await;
    assert!(text.contains("taken over by epoch"), "{text}");
    assert!(old.wait_for_end(std::time::Duration::from_secs(20)), "a fenced process must stop");
    let text = Start::default().try_run(&old_dir).err().unwrap();
    assert!(text.contains("taken over by epoch"), "{text}");
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_before_anything_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = dir.path().join("bucket");
    let storage = format!("file://{}", bucket.display());
    let server = Start::default().storage(&storage).run(&dir.path().join("one"));
    let mut conn = fill(&server).await;
    snapshot(&mut conn, "s").await;
    let restore = from_yaml(&mut conn, dir.path(), &storage).await;
    server.kill();
    for file in files_below(&bucket).into_iter().filter(|f| !f.contains("/fence/")) {
        let whole = std::fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        let at = damaged.len() / 2;
        damaged[at] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let output = cairn(&["snapshot", "verify", &storage]);
        assert!(!output.status.success(), "one flipped bit in {file} was not found");
        std::fs::remove_file(&file).unwrap();
        let output =
            cairn(&["snapshot", "restore", &storage, "--data-dir", dir.path().join("x").to_str().unwrap()]);
        assert!(!output.status.success(), "a restore without {file} succeeded");
        assert!(restore.try_run(&dir.path().join("x")).is_err(), "a start without {file} succeeded");
        assert!(!dir.path().join("x").exists(), "a restore without {file} left something behind");
        std::fs::write(&file, &whole).unwrap();
    }
    // A folder that is not ours stays as it is.
    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter"), "").unwrap();
    let output = cairn(&["snapshot", "restore", &storage, "--data-dir", foreign.to_str().unwrap()]);
    assert!(!output.status.success() && restore.try_run(&foreign).is_err());
    assert_eq!(files_below(&foreign), [foreign.join("letter").to_str().unwrap()]);
    let output = cairn_ok(&[
        "snapshot",
        "restore",
        &storage,
        "--data-dir",
        dir.path().join("y").to_str().unwrap(),
        "--dry-run",
    ]);
    assert!(output.contains("dry run: nothing was changed") && !dir.path().join("y").exists(), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_takes_what_nothing_reaches_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = dir.path().join("bucket");
    let storage = format!("file://{}", bucket.display());
    let server = Start::default().storage(&storage).run(&dir.path().join("one"));
    let mut conn = fill(&server).await;
    snapshot(&mut conn, "keeps").await;
    let settings = "ADMIN SET FRONTEND CONFIG (\"vacuum_grace_seconds\" = \"0\", \"vacuum_interval_seconds\" = \"1\", \
                    \"catalog_trash_expire_second\" = \"0\")";
    run(&mut conn, settings).await;
    run(&mut conn, "INSERT OVERWRITE d.t VALUES (9, '2024-01-05')").await;
    run(&mut conn, "DROP TABLE d.t FORCE").await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    cairn_ok(&["snapshot", "verify", &storage]);
    let held = rows(&mut conn, "SHOW PROC '/vacuum'").await;
    assert!(held.iter().flatten().any(|cell| cell.contains("keeps")), "{held:?}");

    run(&mut conn, "DROP SNAPSHOT keeps").await;
    wait_for(
        &mut conn,
        "SELECT state FROM information_schema.cluster_snapshot_jobs WHERE snapshot_name = 'keeps'",
        "DELETED",
    )
    .await;
    let start = std::time::Instant::now();
    while !files_below(&bucket).iter().all(|f| f.contains("/fence/")) {
        assert!(start.elapsed().as_secs() < 30, "left over: {:?}", files_below(&bucket));
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn automated_snapshots_come_and_go_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("one"));
    let mut conn = fill(&server).await;
    run(&mut conn, "ADMIN SET FRONTEND CONFIG (\"automated_cluster_snapshot_keep_max\" = \"2\")").await;
    run(&mut conn, "ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON INTERVAL 1 SECOND").await;
    let (_, text) = error(&mut conn, "ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON").await;
    assert!(text.contains("has been turn on"), "{text}");
    wait_for(
        &mut conn,
        "SELECT count(*) > 0 FROM information_schema.cluster_snapshot_jobs WHERE state = 'DELETED'",
        "1",
    )
    .await;
    let kept = "SELECT count(*) FROM information_schema.cluster_snapshots WHERE snapshot_type = 'automated' \
                AND snapshot_name LIKE 'automated_cluster_snapshot_%'";
    let count: usize = one(&mut conn, kept).await.parse().unwrap();
    assert!((1..=3).contains(&count), "{count}");
    run(&mut conn, "ADMIN SET AUTOMATED CLUSTER SNAPSHOT OFF").await;
    assert_eq!(rows(&mut conn, "ADMIN SHOW AUTOMATED CLUSTER SNAPSHOT").await[0][0], "false");
    run(&mut conn, "CREATE SNAPSHOT PROPERTIES(\"ttl\" = \"1 SECOND\", \"comment\" = \"short\")").await;
    wait_for(
        &mut conn,
        "SELECT count(*) > 0 FROM information_schema.cluster_snapshot_jobs WHERE state = 'DELETED' \
        AND snapshot_name LIKE 'snapshot_%'",
        "1",
    )
    .await;
}
