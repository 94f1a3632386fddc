//! A client that sends exactly the bytes it is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::backend::PATIENCE;

pub const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
/// `root` with an empty password.
pub const ROOT: &str = "Authorization: Basic cm9vdDo=\r\n";
pub const EXPECT: &str = "Expect: 100-continue\r\n";

pub struct Client {
    pub stream: TcpStream,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("connect") }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("send");
    }

    /// The head of a load into `db.table`, with the user root and what is in `headers` (each ending in `\r\n`).
    pub async fn begin_load(&mut self, table: &str, headers: &str) {
        let head = format!("PUT /api/db/{table}/_stream_load HTTP/1.1\r\nHost: x\r\n{ROOT}{headers}\r\n");
        self.send(head).await;
    }

    pub async fn get(&mut self, path: &str, headers: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await;
        self.answer().await
    }

    /// Waits for `100 Continue`.
    pub async fn expect_continue(&mut self) {
        let mut found = vec![0; CONTINUE.len()];
        timeout(PATIENCE, self.stream.read_exact(&mut found)).await.expect("in time").expect("100 Continue");
        assert_eq!(String::from_utf8_lossy(&found), CONTINUE);
    }

    /// Reads a whole answer with a `Content-Length`.
    pub async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer()).await.expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self.stream.read_u8().await;
            head.push(byte.unwrap_or_else(|e| panic!("{e} after {}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).expect("UTF-8");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |n| n.parse().expect("a length"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.expect("the body");
        Answer { body: String::from_utf8(body).expect("UTF-8"), ..answer }
    }

    /// Everything until the server closes.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("closed in time").expect("read");
        String::from_utf8_lossy(&rest).into_owned()
    }
}
