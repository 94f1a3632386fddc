//! A `cairn` process of a test's own, and ways to talk to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mysql_async::prelude::*;
use mysql_async::{Conn, OptsBuilder, Row};

/// The binary under test.
pub const CAIRN: &str = env!("CARGO_BIN_EXE_cairn");

/// A running server, killed when the value goes away.
pub struct Server {
    child: Child,
    pub data_dir: PathBuf,
    pub mysql_port: u16,
    pub http_port: u16,
}

/// How to start one.
#[derive(Clone, Default)]
pub struct Start {
    pub storage: Option<String>,
    pub failpoints: Option<String>,
    pub cluster_snapshot: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub env: Vec<(String, String)>,
}

impl Start {
    pub fn storage(mut self, uri: &str) -> Self {
        self.storage = Some(uri.to_owned());
        self
    }

    pub fn failpoints(mut self, text: &str) -> Self {
        self.failpoints = Some(text.to_owned());
        self
    }

    fn command(&self, data_dir: &Path) -> Command {
        let mut command = Command::new(CAIRN);
        command.arg("start").arg("--data-dir").arg(data_dir).args(["--mysql-port", "0", "--http-port", "0"]);
        command.current_dir(data_dir.parent().unwrap());
        if let Some(storage) = &self.storage {
            command.arg("--storage").arg(storage);
        }
        if let Some(file) = &self.cluster_snapshot {
            command.arg("--cluster-snapshot").arg(file);
        }
        if let Some(file) = &self.config {
            command.arg("--config").arg(file);
        }
        if let Some(failpoints) = &self.failpoints {
            command.env("CAIRN_FAILPOINTS", failpoints);
        }
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Starts a server and waits until it serves.
    pub fn run(&self, data_dir: &Path) -> Server {
        self.try_run(data_dir).unwrap_or_else(|error| panic!("the server did not start: {error}"))
    }

    /// Starts a server; what it printed on standard error if it did not come up.
    pub fn try_run(&self, data_dir: &Path) -> Result<Server, String> {
        let log = data_dir.with_extension("log");
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let start = std::fs::metadata(&log).unwrap().len();
        let mut child = self.command(data_dir).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line
            .split([' ', ','])
            .filter_map(|word| word.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok()))
            .collect();
        match ports.as_slice() {
            [mysql_port, http_port] => Ok(Server {
                child,
                data_dir: data_dir.to_owned(),
                mysql_port: *mysql_port,
                http_port: *http_port,
            }),
            _ => {
                child.wait().unwrap();
                let text = std::fs::read_to_string(&log).unwrap();
                Err(text[usize::try_from(start).unwrap()..].to_owned())
            }
        }
    }
}

impl Server {
    /// A connection as root.
    pub async fn connect(&self) -> Conn {
        self.connect_as("root", "").await.unwrap()
    }

    pub async fn connect_as(&self, user: &str, password: &str) -> mysql_async::Result<Conn> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.mysql_port)
            .user(Some(user))
            .pass((!password.is_empty()).then_some(password))
            .prefer_socket(false);
        Conn::new(options).await
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http_port)
    }

    /// Loads `text` into a table by Stream Load through curl; the answer's JSON.
    pub fn stream_load(&self, table: &str, headers: &[&str], text: &str) -> serde_json::Value {
        let (database, table) = table.split_once('.').unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--location-trusted", "-u", "root:", "-H", "Expect:100-continue", "-T"])
            .arg(file.path());
        for header in headers {
            command.args(["-H", header]);
        }
        let output =
            command.arg(self.http(&format!("/api/{database}/{table}/_stream_load"))).output().unwrap();
        assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Ends the process as `kill -9` does.
    pub fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data_dir.clone()
    }

    /// Ends the process by SIGTERM; whether it ended with success.
    pub fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        self.child.wait().unwrap().success()
    }

    /// Waits until the process has ended by itself.
    pub fn wait_for_end(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < limit {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `cairn` with `args` to its end.
pub fn cairn(args: &[&str]) -> Output {
    Command::new(CAIRN).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs `cairn`, which must succeed; its standard output.
pub fn cairn_ok(args: &[&str]) -> String {
    let output = cairn(args);
    assert!(output.status.success(), "cairn {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All rows as text, NULL as `NULL`.
pub async fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<String>> {
    let rows: Vec<Row> = conn.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.into_iter().map(texts).collect()
}

pub fn texts(row: Row) -> Vec<String> {
    let text = |value: mysql_async::Value| match value {
        mysql_async::Value::NULL => "NULL".to_owned(),
        mysql_async::Value::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => other.as_sql(true),
    };
    row.unwrap().into_iter().map(text).collect()
}

/// The only value of the only row.
pub async fn one(conn: &mut Conn, sql: &str) -> String {
    let rows = rows(conn, sql).await;
    assert_eq!((rows.len(), rows.first().map_or(0, Vec::len)), (1, 1), "{sql}: {rows:?}");
    rows[0][0].clone()
}

pub async fn run(conn: &mut Conn, sql: &str) {
    conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// Code and message of the error that `sql` must give.
pub async fn error(conn: &mut Conn, sql: &str) -> (u16, String) {
    match conn.query_drop(sql).await {
        Err(mysql_async::Error::Server(error)) => (error.code, error.message),
        other => panic!("{sql}: {other:?}"),
    }
}

/// Asks until `sql` gives `expected`.
pub async fn wait_for(conn: &mut Conn, sql: &str, expected: &str) {
    let start = Instant::now();
    loop {
        let found = rows(conn, sql).await;
        if found.len() == 1 && found[0][0] == expected {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{sql} is {found:?}, not {expected}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Takes a snapshot and waits until it is finished.
pub async fn snapshot(conn: &mut Conn, name: &str) {
    run(conn, &format!("CREATE SNAPSHOT {name}")).await;
    let state =
        format!("SELECT state FROM information_schema.cluster_snapshot_jobs WHERE snapshot_name = '{name}'");
    wait_for(conn, &state, "FINISHED").await;
}

/// A file system of its own that holds little; unmounted at the end.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(at: &Path, mib: u32) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={mib}m");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status().unwrap();
        assert!(status.success(), "the test must be root: it mounts a small file system");
        Self(at.to_owned())
    }

    pub fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }

    /// Bytes that still fit.
    pub fn free_bytes(&self) -> usize {
        let output = Command::new("df").args(["--output=avail", "-B1"]).arg(&self.0).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a failed test left behind may still hold files.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Before the columns of a query: it is answered from its tables.
pub const PLAIN: &str = "/*+ SET_VAR(enable_materialized_view_rewrite=false) */";

/// The lines of `EXPLAIN sql`.
pub async fn explain(conn: &mut Conn, sql: &str) -> String {
    let lines: Vec<String> = rows(conn, &format!("EXPLAIN {sql}")).await.into_iter().flatten().collect();
    lines.join("\n")
}

/// How many cells of all views a refresh would make or drop.
pub const STALE: &str =
    "SELECT coalesce(sum(stale_partitions), 0) FROM information_schema.materialized_views";

/// What [`STALE`] says.
pub async fn stale(conn: &mut Conn) -> String {
    one(conn, STALE).await
}

/// Refreshes a view, and waits for it.
pub async fn refresh(conn: &mut Conn, mview: &str) {
    run(conn, &format!("REFRESH MATERIALIZED VIEW {mview} WITH SYNC MODE")).await;
}

/// The Python that has the test clients.
pub fn python() -> PathBuf {
    let venv = std::env::var("CAIRN_VENV")
        .unwrap_or_else(|_| format!("{}/.cache/cairn-venv", std::env::var("HOME").unwrap()));
    let python = Path::new(&venv).join("bin/python");
    assert!(python.exists(), "{} is missing: run scripts/test-setup", python.display());
    python
}
