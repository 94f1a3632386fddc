//! SQL behaviour: sqllogictest files over the wire, and their checks again after snapshot and restore.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::*;
use mysql_async::{Conn, Row};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::harness::{self, Server, Start, snapshot};

struct Wire {
    conn: Conn,
}

#[async_trait]
impl AsyncDB for Wire {
    type Error = mysql_async::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, mysql_async::Error> {
        let mut result = self.conn.query_iter(sql).await?;
        let width = result.columns().map_or(0, |c| c.len());
        let affected = result.affected_rows();
        let rows: Vec<Row> = result.collect().await?;
        if width == 0 {
            return Ok(DBOutput::StatementComplete(affected));
        }
        let shown = |cell: String| if cell.is_empty() { "(empty)".to_owned() } else { cell };
        let rows = rows.into_iter().map(|row| harness::texts(row).into_iter().map(shown).collect()).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text; width], rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "cairn"
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn files(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(&format!(".{kind}.slt")))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

async fn run_files(server: &Server, kind: &str) {
    for file in files(kind) {
        let database = file.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
        let mut conn = server.connect().await;
        harness::run(&mut conn, &format!("CREATE DATABASE IF NOT EXISTS slt_{database}")).await;
        harness::run(&mut conn, &format!("USE slt_{database}")).await;
        drop(conn);
        let port = server.mysql_port;
        let mut runner = Runner::new(move || {
            let database = format!("slt_{database}");
            async move {
                let options = mysql_async::OptsBuilder::default()
                    .ip_or_hostname("127.0.0.1")
                    .tcp_port(port)
                    .user(Some("root"))
                    .db_name(Some(database))
                    .prefer_socket(false);
                Ok(Wire { conn: Conn::new(options).await? })
            }
        });
        runner.run_file_async(&file).await.unwrap_or_else(|e| panic!("{}", e.display(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_behaves_as_written_also_after_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let storage = format!("file://{}/bucket", dir.path().display());
    let server = Start::default().storage(&storage).run(&dir.path().join("one"));
    run_files(&server, "setup").await;
    run_files(&server, "check").await;
    snapshot(&mut server.connect().await, "after_setup").await;
    server.kill();

    let two = dir.path().join("two");
    harness::cairn_ok(&["snapshot", "restore", &storage, "--data-dir", two.to_str().unwrap()]);
    let server = Start::default().run(&two);
    run_files(&server, "check").await;
}
