//! Beginning, ending and interrupting connections.

use crate::raw::{Raw, error, old_flags};
use crate::{Running, eventually, running, server_error};
use cairn_mysql::Config;
use mysql_async::prelude::Queryable as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_query() {
    let server = running().await;
    for statement in ["hang", "hang_amid", "forever"] {
        let mut raw = Raw::root(server.address, old_flags()).await;
        raw.sequence = 255;
        raw.write(format!("\x03{statement}").as_bytes()).await;
        eventually("it runs", || server.echo.statements.load(SeqCst) == 1).await;
        drop(raw);
        eventually("it is cancelled", || server.echo.statements.load(SeqCst) == 0).await;
        eventually("the session is gone", || server.echo.sessions.load(SeqCst) == 0).await;
    }
}

#[tokio::test]
async fn a_killed_query_is_an_error_and_the_connection_lives() {
    let server = running().await;
    let mut conn = server.ann().await;
    let control = server.echo.controls.lock().unwrap()[&conn.id()].clone();
    control.cancel_query(); // nothing runs: nothing happens
    for statement in ["hang", "hang_amid"] {
        let control = control.clone();
        let running = Arc::clone(&server.echo);
        let killer = tokio::spawn(async move {
            eventually("it runs", || running.statements.load(SeqCst) == 1).await;
            control.cancel_query();
        });
        let outcome: mysql_async::Result<Vec<String>> = conn.query(statement).await;
        let (code, message) = server_error(outcome);
        assert!(code == 1317 && message.starts_with("Query execution was interrupted"), "{code} {message}");
        killer.await.unwrap();
        let alive: Option<u8> = conn.query_first("echo 1").await.unwrap();
        assert_eq!(alive, Some(1));
    }
}

#[tokio::test]
async fn what_is_about_to_count_is_not_called_interrupted() {
    let server = running().await;
    let mut conn = server.ann().await;
    let control = server.echo.controls.lock().unwrap()[&conn.id()].clone();
    let running = Arc::clone(&server.echo);
    let killer = tokio::spawn(async move {
        eventually("it runs", || running.statements.load(SeqCst) == 1).await;
        control.cancel_query();
        tokio::time::sleep(Duration::from_millis(50)).await;
        running.finish.notify_one();
    });
    conn.query_drop("commit").await.unwrap();
    killer.await.unwrap();
    let alive: Option<u8> = conn.query_first("echo 1").await.unwrap();
    assert_eq!(alive, Some(1), "the kill was of a statement that has ended");
}

#[tokio::test]
async fn a_killed_connection_is_closed_busy_or_idle() {
    let server = running().await;
    let mut victim = server.ann().await;
    let mut killer = server.ann().await;
    let id = victim.id();
    let victim = tokio::spawn(async move { victim.query_drop("hang").await });
    eventually("it runs", || server.echo.statements.load(SeqCst) == 1).await;
    killer.exec_drop("nothing", ()).await.unwrap();
    let mut raw = Raw::root(server.address, old_flags()).await;
    let kill = [&[0x0C][..], &id.to_le_bytes()].concat();
    assert_eq!(raw.command(&kill).await[0], 0);
    assert!(victim.await.unwrap().is_err());
    eventually("only two sessions", || server.echo.sessions.load(SeqCst) == 2).await;

    server.echo.controls.lock().unwrap()[&killer.id()].close();
    eventually("only one session", || server.echo.sessions.load(SeqCst) == 1).await;
    assert!(killer.query_drop("echo 1").await.is_err());
}

#[tokio::test]
async fn a_panic_ends_one_connection_with_an_error() {
    let server = running().await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    assert_eq!(raw.command(b"\x03panic_amid").await, [1]);
    raw.read().await.unwrap();
    raw.read().await.unwrap();
    let reply = raw.read().await.unwrap();
    let (code, _, message) = error(&reply);
    assert!(code == 1064 && message.contains("panic"), "{code} {message}");
    assert_eq!(raw.read().await, None);
    assert!(server.connect("ann", "apple").await.is_ok());
}

#[tokio::test]
async fn too_many_connections() {
    let server = Running::start(Config { connections_max: 2, ..Config::default() }).await;
    let first = server.ann().await;
    let _second = server.ann().await;
    let (code, message) = server_error(server.connect("ann", "apple").await);
    assert!(code == 1040 && message.starts_with("Too many connections"), "{code} {message}");
    first.disconnect().await.unwrap();
    eventually("a place is free", || server.echo.sessions.load(SeqCst) == 1).await;
    let mut place = server.connect("ann", "apple").await;
    for _ in 0..100 {
        if place.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        place = server.connect("ann", "apple").await;
    }
    assert!(place.is_ok());
}

#[tokio::test]
async fn shutdown_ends_the_idle_at_once_and_lets_the_busy_finish() {
    let config = Config { drain_timeout_ms: 200, ..Config::default() };
    let server = Running::start(config).await;
    let mut idle = Raw::root(server.address, old_flags()).await;
    let mut mute = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut busy = Raw::root(server.address, old_flags()).await;
    busy.sequence = 255;
    busy.write(b"\x03hang").await;
    let echo = Arc::clone(&server.echo);
    eventually("it runs", || echo.statements.load(SeqCst) == 1).await;
    let address = server.address;
    let down = tokio::spawn(server.shut_down());
    assert_eq!(idle.read().await, None);
    let mut greeting = Vec::new();
    mute.read_to_end(&mut greeting).await.unwrap();
    assert_eq!(echo.statements.load(SeqCst), 1, "still running: who has not logged in is sent away before");
    down.await.unwrap();
    assert_eq!(busy.read().await, None, "dropped after the drain timeout");
    eventually("nothing is left", || echo.sessions.load(SeqCst) == 0).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_idle_are_told_and_sent_away() {
    let server = Running::start(Config { idle_timeout_ms: 50, ..Config::default() }).await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    let reply = raw.read().await.unwrap();
    assert_eq!(error(&reply).0, 4031);
    assert_eq!(raw.read().await, None);
}

/// A client that reads nothing does not hold a query (and its memory) for ever.
#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let server = Running::start(Config { write_timeout_ms: 100, ..Config::default() }).await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    raw.sequence = 255;
    raw.write(b"\x03forever").await;
    eventually("it runs", || server.echo.statements.load(SeqCst) == 1).await;
    eventually("it is given up", || server.echo.sessions.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn prepared_statements_are_bounded() {
    let server = Running::start(Config { statements_max: 2, ..Config::default() }).await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    for id in 1..=2 {
        assert_eq!(raw.command(b"\x16nothing").await[..5], [0, id, 0, 0, 0]);
    }
    assert_eq!(error(&raw.command(b"\x16nothing").await).0, 1461);
    raw.sequence = 255;
    raw.write(b"\x19\x01\0\0\0").await;
    assert_eq!(raw.command(b"\x16nothing").await[..5], [0, 3, 0, 0, 0], "numbers are not used twice");
}
