//! The clients that people have: mysql's command line, PyMySQL, SQLAlchemy, and S3 behind it all.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::harness::{Start, cairn, one, python, run, snapshot, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn mysqls_command_line_logs_in_and_asks() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE USER bob IDENTIFIED BY 'pw'").await;
    let port = server.mysql_port.to_string();
    let mysql = |args: &[&str]| {
        let output = Command::new("mysql")
            .args(["-h127.0.0.1", "-P", &port])
            .args(args)
            .output()
            .expect("mariadb-client is installed: scripts/test-setup");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (ok, text) = mysql(&[
        "-uroot",
        "-e",
        "SHOW DATABASES; USE information_schema; SELECT count(*) > 0 AS n FROM tables; \\s",
    ]);
    assert!(ok && text.contains("information_schema"), "{text}");
    let (ok, text) = mysql(&["-ubob", "-ppw", "--ssl", "-e", "SELECT current_user()"]);
    assert!(ok && text.contains("bob"), "{text}");
    let (ok, text) = mysql(&["-ubob", "-pwrong", "-e", "SELECT 1"]);
    assert!(!ok && text.contains("1045"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_clients_reflect_and_load() {
    let dir = tempfile::tempdir().unwrap();
    let server = Start::default().run(&dir.path().join("data"));
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    let table = "CREATE TABLE d.t (k INT NOT NULL COMMENT 'the key', v DECIMAL(10,2), s VARCHAR(20)) \
                 DUPLICATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 1";
    run(&mut conn, table).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients.py");
    let output = Command::new(python()).arg(script).arg(server.mysql_port.to_string()).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("all clients passed"), "{text}");
    assert_eq!(one(&mut conn, "SELECT count(*) FROM d.t").await, "3");
}

/// An S3 server of the test's own.
struct Moto(Child, u16);

impl Moto {
    fn start() -> Self {
        let mut child = Command::new(python())
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let running = |line: String| {
            let (_, rest) = line.split_once("Running on http://127.0.0.1:")?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u16>().ok()
        };
        let port = lines.by_ref().find_map(|line| running(line.unwrap())).expect("moto names its port");
        std::thread::spawn(move || lines.for_each(drop));
        let moto = Self(child, port);
        let url = format!("http://127.0.0.1:{port}/bucket");
        assert!(Command::new("curl").args(["-sSf", "-X", "PUT", &url]).status().unwrap().success());
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_lives_in_s3_and_comes_back_from_it() {
    let moto = Moto::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("s3.toml");
    let text = format!(
        "[storage_properties]\n\"aws.s3.endpoint\" = \"http://127.0.0.1:{}\"\n\"aws.s3.region\" = \"us-east-1\"\n\
         \"aws.s3.access_key\" = \"AKPLANTED\"\n\"aws.s3.secret_key\" = \"SKPLANTED\"\n",
        moto.1
    );
    std::fs::write(&config, text).unwrap();
    let start = Start { config: Some(config.clone()), ..Start::default() }.storage("s3://bucket/cairn");
    let server = start.run(&dir.path().join("one"));
    let mut conn = server.connect().await;
    run(&mut conn, "CREATE DATABASE d").await;
    run(&mut conn, "CREATE TABLE d.t (k INT)").await;
    run(&mut conn, "INSERT INTO d.t VALUES (1), (2), (3)").await;
    let shown = crate::harness::rows(&mut conn, "DESC STORAGE VOLUME builtin_storage_volume").await;
    assert!(
        !format!("{shown:?}").contains("PLANTED") && format!("{shown:?}").contains("******"),
        "{shown:?}"
    );
    snapshot(&mut conn, "s").await;
    server.kill();
    let log = std::fs::read_to_string(dir.path().join("one.log")).unwrap();
    assert!(!log.contains("PLANTED"), "{log}");
    let two = dir.path().join("two");
    let output = cairn(&[
        "snapshot",
        "restore",
        "s3://bucket/cairn",
        "--config",
        config.to_str().unwrap(),
        "--data-dir",
        two.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let server = Start { config: Some(config), ..Start::default() }.run(&two);
    let mut conn = server.connect().await;
    assert_eq!(one(&mut conn, "SELECT sum(k) FROM d.t").await, "6");
    drop(moto);
    let (_, text) = crate::harness::error(&mut conn, "INSERT INTO d.t VALUES (4)").await;
    assert!(text.contains("s3://bucket/cairn") && !text.contains("PLANTED"), "{text}");
    wait_for(&mut conn, "SELECT 1", "1").await;
}
