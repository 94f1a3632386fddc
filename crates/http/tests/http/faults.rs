//! Clients that go away, stall, send too much or send nonsense; and the end of the server.

use std::time::Duration;

use cairn_http::Config;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::backend::{PATIENCE, start, start_with};
use crate::client::{Client, EXPECT};

#[tokio::test]
async fn a_client_that_goes_away_aborts_its_load() {
    let mut server = start().await;
    for headers in ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = Client::connect(server.address).await;
        client.begin_load("t", &format!("{EXPECT}{headers}")).await;
        client.expect_continue().await;
        client.send("4\r\nab\nc\r\n").await;
        server.event().await;
        drop(client);
        let event = server.event().await;
        assert!(event.starts_with("aborted Cancelled"), "{headers}: {event}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_in_mid_body_aborts_its_load() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", &format!("{EXPECT}Content-Length: 1000\r\n")).await;
    client.expect_continue().await;
    client.send("abc").await;
    client.stream.shutdown().await.expect("half close");
    server.event().await;
    assert_eq!(server.event().await, "aborted Cancelled 3");
}

#[tokio::test]
async fn broken_chunks_abort_the_load() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", &format!("{EXPECT}Transfer-Encoding: chunked\r\n")).await;
    client.expect_continue().await;
    client.send("2\r\nab\r\nnonsense\r\n").await;
    server.event().await;
    assert_eq!(server.event().await, "aborted Cancelled 2");
}

#[tokio::test]
async fn silence_in_a_body_is_bounded() {
    let mut server = start_with(Config { body_idle_timeout_ms: 200, ..Config::default() }).await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", &format!("{EXPECT}Content-Length: 1000\r\n")).await;
    client.expect_continue().await;
    client.send("abc").await;
    let json = client.answer().await.json();
    assert_eq!(json["Status"], "Fail");
    assert!(json["Message"].as_str().is_some_and(|m| m.contains("sent nothing for 0.2 s")), "{json}");
    server.event().await;
    assert_eq!(server.event().await, "aborted Timeout 3");
}

#[tokio::test]
async fn a_slow_load_slows_its_client_down() {
    const BODY_BYTES: usize = 64 << 20;
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("held", &format!("{EXPECT}Content-Length: {BODY_BYTES}\r\n")).await;
    server.event().await;
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < BODY_BYTES {
        match timeout(Duration::from_millis(500), client.stream.write(&piece)).await {
            Ok(written) => sent += written.expect("send"),
            Err(_) => break,
        }
    }
    assert!(sent < BODY_BYTES / 2, "{sent} bytes were taken although nobody reads them");
    server.backend.hold.add_permits(1);
    while sent < BODY_BYTES {
        let part = &piece[..piece.len().min(BODY_BYTES - sent)];
        sent += timeout(PATIENCE, client.stream.write(part)).await.expect("in time").expect("send");
    }
    client.expect_continue().await;
    assert_eq!(client.answer().await.json()["LoadBytes"], BODY_BYTES);
}

#[tokio::test]
async fn a_client_that_still_sends_gets_to_read_its_answer() {
    let server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("first", &format!("{EXPECT}Content-Length: 100000000\r\n")).await;
    client.expect_continue().await;
    let mut sent = 0;
    while sent < 20 << 20 {
        match client.stream.write(&[b'x'; 1 << 16]).await {
            Ok(bytes) => sent += bytes,
            Err(error) => panic!("reset after {sent} bytes: {error}"),
        }
    }
    let answer = client.answer().await;
    assert_eq!(answer.json()["Status"], "Fail");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_load_that_panics_is_a_failed_load() {
    let server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("panics", &format!("{EXPECT}label: l1\r\nContent-Length: 1\r\n")).await;
    let json = client.answer().await.json();
    assert_eq!((json["Status"].as_str(), json["Label"].as_str()), (Some("Fail"), Some("l1")));
    let mut next = Client::connect(server.address).await;
    assert_eq!(next.get("/api/health", "").await.status, 200, "the server lives");
}

#[tokio::test]
async fn headers_are_bounded() {
    let server = start().await;
    let huge = format!("columns: {}\r\n", "a".repeat(300 << 10));
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let wide = format!("columns: {}a\r\n", "a,".repeat(50 << 10));
    for (headers, status) in [(huge, 431), (many, 431), (wide, 200)] {
        let mut client = Client::connect(server.address).await;
        let head = format!("GET /api/health HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        // The server may have hung up before all was sent.
        _ = client.stream.write_all(head.as_bytes()).await;
        assert_eq!(client.answer().await.status, status);
    }
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let server = start_with(Config { headers_timeout_ms: 200, ..Config::default() }).await;
    let mut client = Client::connect(server.address).await;
    client.send("GET /api/health HTTP/1.1\r\nHost:").await;
    let rest = client.rest().await;
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
}

#[tokio::test]
async fn garbage_ends_in_a_400() {
    let server = start().await;
    for garbage in ["\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n", "PUT / HTTP/9.9\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        let mut client = Client::connect(server.address).await;
        client.send(garbage).await;
        assert!(client.rest().await.starts_with("HTTP/1.1 400"), "{garbage:?}");
    }
    assert_eq!(Client::connect(server.address).await.get("/api/health", "").await.status, 200);
}

#[tokio::test]
async fn connections_are_bounded() {
    let server = start_with(Config { connections_max: 1, ..Config::default() }).await;
    let mut first = Client::connect(server.address).await;
    assert_eq!(first.get("/api/health", "").await.status, 200);
    let mut second = Client::connect(server.address).await;
    let answer = second.answer().await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.ends_with("may.\n"), "the whole sentence: {answer:?}");
}

#[tokio::test]
async fn shutdown_waits_for_loads() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", &format!("{EXPECT}Content-Length: 4\r\n")).await;
    client.expect_continue().await;
    client.send("a\n").await;
    let mut idle = Client::connect(server.address).await;
    assert_eq!(idle.get("/api/health", "").await.status, 200);
    server.event().await;
    server.stop();
    assert_eq!(idle.rest().await, "", "idle connections end");
    client.send("b\n").await;
    assert_eq!(client.answer().await.json()["Status"], "Success");
    drop(client);
    drop(idle);
    timeout(PATIENCE, server.serving).await.expect("ended in time").expect("no panic");
}

#[tokio::test]
async fn shutdown_aborts_loads_that_do_not_end() {
    for headers in ["Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut server = start_with(Config { drain_timeout_ms: 100, ..Config::default() }).await;
        let mut client = Client::connect(server.address).await;
        client.begin_load("t", &format!("{EXPECT}{headers}")).await;
        client.expect_continue().await;
        server.event().await;
        server.stop();
        assert_eq!(server.event().await, "aborted Cancelled 0", "{headers}: no end of the data is made up");
        timeout(PATIENCE, server.serving).await.expect("ended in time").expect("no panic");
    }
}
