//! What somebody without a password can send: it ends in an error, and harms nobody else.

use crate::raw::{Raw, error, old_flags};
use crate::{Running, running};
use cairn_mysql::Config;
use mysql_common::constants::CapabilityFlags;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test]
async fn bad_packets_before_login() {
    let server = running().await;
    let check = async |bytes: &[u8], code: u16, part: &str| {
        let mut raw = Raw::connect(server.address).await;
        raw.bytes(bytes).await;
        let reply = raw.read().await.unwrap();
        let (got, state, message) = error(&reply);
        assert!(got == code && message.contains(part) && state.is_empty(), "{got} {state} {message}");
        drop(raw);
    };
    check(&[0, 0, 0, 1], 1043, "capability flags needs 4 bytes").await;
    check(&[1, 0, 0, 1, 0], 1043, "capability flags needs 4 bytes").await;
    check(&[4, 0, 0, 1, 0, 2, 0, 0], 1043, "maximal packet size").await;
    check(&[4, 0, 0, 1, 0, 0, 0, 0], 1043, "protocol 4.1").await;
    check(&[1, 0, 0, 0, 0], 1156, "out of order").await;
    check(&[255, 255, 255, 1], 1153, "16777215 announced, 65536 allowed").await;
    check(&[1, 0, 1, 1], 1153, "65537 announced").await;
    check(b"GET / HTTP/1.1\r\n\r\n", 1156, "out of order").await;
    let mut tls = old_flags().bits().to_le_bytes().to_vec();
    tls[1] |= (CapabilityFlags::CLIENT_SSL.bits() >> 8) as u8;
    tls.resize(32, 0);
    check(&[&[32, 0, 0, 1][..], &tls].concat(), 1043, "no certificate").await;
    assert!(server.connect("ann", "apple").await.is_ok());
}

#[tokio::test]
async fn a_silent_or_dripping_stranger_is_cut_off() {
    let server = Running::start(Config { handshake_timeout_ms: 200, ..Config::default() }).await;
    let mut silent = Raw::connect(server.address).await;
    assert_eq!(silent.read().await, None);
    let mut dripping = TcpStream::connect(server.address).await.unwrap();
    let mut sent = 0;
    let deadline = tokio::time::timeout(Duration::from_secs(5), async {
        while dripping.write_all(&[1]).await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(deadline.await.is_ok(), "still open after {sent} bytes");
}

#[tokio::test]
async fn a_packet_over_the_limit_is_refused_by_its_header() {
    let server = Running::start(Config { packet_bytes_max: 1000, ..Config::default() }).await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    raw.bytes(&[0xE9, 3, 0, 0]).await;
    let reply = raw.read().await.unwrap();
    assert_eq!((error(&reply).0, error(&reply).1), (1153, "08S01"));
    assert_eq!(raw.read().await, None);
}

#[tokio::test]
async fn a_malformed_execute_is_an_error_of_that_command() {
    let server = running().await;
    let mut raw = Raw::root(server.address, old_flags()).await;
    raw.command(b"\x16echo ?").await;
    for _ in 0..4 {
        raw.read().await.unwrap();
    }
    let reply = raw.command(b"\x17\x01\0\0\0\0\x01\0\0\0").await;
    assert_eq!(
        error(&reply),
        (1835, "HY000", "Malformed communication packet: NULL bitmap needs 1 bytes, the packet has 0 left")
    );
    assert_eq!(raw.command(b"\x0e").await[0], 0);
}

/// Random bytes at each stage of the dialogue, over real sockets; afterwards the server still serves.
#[tokio::test]
async fn random_bytes_harm_nobody() {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::TestRunner;
    let server = running().await;
    let mut runner = TestRunner::deterministic();
    let garbage = proptest::collection::vec(proptest::num::u8::ANY, 0..200);
    for round in 0..200 {
        let bytes = garbage.new_tree(&mut runner).unwrap().current();
        let mut raw = match round % 2 {
            0 => Raw::connect(server.address).await,
            _ => Raw::root(server.address, old_flags()).await,
        };
        // The server may close at any point.
        let _ = raw.io.write_all(&bytes).await;
        let framed = [&[bytes.len() as u8, 0, 0, round % 2][..], &bytes].concat();
        let _ = raw.io.write_all(&framed).await;
    }
    assert!(server.connect("ann", "apple").await.is_ok());
}
