//! TLS, and what only TLS allows: the full path of caching_sha2_password.

use crate::Running;
use crate::raw::{Raw, error, old_flags};
use cairn_mysql::{Config, SelfSigned, self_signed, server_config};
use mysql_common::auth::plugins::caching_sha2_password;
use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::SslRequest;
use mysql_common::proto::MySerialize as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

async fn secured() -> (Running, SelfSigned) {
    let minted = self_signed(&["localhost".to_owned()]).unwrap();
    let tls = Some(server_config(&minted.certificate_pem, &minted.key_pem).unwrap());
    (Running::start(Config { tls, ..Config::default() }).await, minted)
}

fn flags() -> CapabilityFlags {
    old_flags() | CapabilityFlags::CLIENT_PLUGIN_AUTH | CapabilityFlags::CLIENT_SSL
}

fn ssl_request() -> Vec<u8> {
    let mut payload = Vec::new();
    SslRequest::new(flags(), 1 << 24, 45).serialize(&mut payload);
    payload
}

/// Goes from the greeting through TLS.
async fn encrypted(server: &Running, minted: &SelfSigned) -> Raw {
    let mut raw = Raw::connect(server.address).await;
    assert!(raw.server_flags().contains(CapabilityFlags::CLIENT_SSL));
    raw.write(&ssl_request()).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(minted.certificate_pem.as_bytes()).unwrap()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, raw.io).await.unwrap();
    raw.io = Box::new(stream);
    raw
}

async fn first_row(raw: &mut Raw, sql: &str) -> String {
    raw.command(format!("\x03{sql}").as_bytes()).await;
    raw.read().await.unwrap();
    raw.read().await.unwrap();
    let row = raw.read().await.unwrap();
    raw.read().await.unwrap();
    String::from_utf8(row[1..].to_vec()).unwrap()
}

#[tokio::test]
async fn the_fast_path_within_tls() {
    let (server, minted) = secured().await;
    let mut raw = encrypted(&server, &minted).await;
    raw.answer(flags(), "ann", b"", Some("caching_sha2_password")).await;
    let request = raw.read().await.unwrap();
    let scramble: [u8; 20] = request[b"\xFEcaching_sha2_password\0".len()..][..20].try_into().unwrap();
    raw.write(&caching_sha2_password::scramble_sha256(&scramble, b"apple").unwrap()).await;
    assert_eq!(raw.read().await.unwrap(), [1, 3]);
    assert_eq!(raw.read().await.unwrap()[0], 0);
    assert_eq!(first_row(&mut raw, "who").await, "ann  tls=true []");
    raw.command(b"\x03big 3000000").await;
    raw.read().await.unwrap();
    raw.read().await.unwrap();
    assert_eq!(raw.read().await.unwrap().len(), 3_000_004);
}

/// The account has nothing but a native hash: within TLS the password itself is asked for.
#[tokio::test]
async fn the_full_path_within_tls() {
    let (server, minted) = secured().await;
    for (password, right) in [("nut\0", true), ("nut", true), ("ant\0", false), ("\0", false)] {
        let mut raw = encrypted(&server, &minted).await;
        raw.answer(flags(), "native", b"", Some("caching_sha2_password")).await;
        assert!(raw.read().await.unwrap().starts_with(b"\xFEcaching_sha2_password\0"));
        raw.write(&[7; 32]).await;
        assert_eq!(raw.read().await.unwrap(), [1, 4]);
        raw.write(password.as_bytes()).await;
        let reply = raw.read().await.unwrap();
        match right {
            true => assert_eq!(reply[0], 0),
            false => assert_eq!(error(&reply).0, 1045),
        }
    }
}

#[tokio::test]
async fn plain_clients_still_get_in() {
    let (server, _) = secured().await;
    assert!(server.connect("ann", "apple").await.is_ok());
}

/// A man in the middle could put commands behind the request for TLS; they must not count as the client's.
#[tokio::test]
async fn what_comes_before_tls_is_not_taken_for_what_comes_within() {
    let (server, _) = secured().await;
    let mut raw = Raw::connect(server.address).await;
    let request = [&[32, 0, 0, 1][..], &ssl_request()].concat();
    let injected = b"\x0b\0\0\x02\x03affected 1";
    raw.bytes(&[&request[..], injected].concat()).await;
    // TLS reads the injected bytes as its own greeting and gives up with an alert, which is no packet.
    let reply = raw.read().await;
    assert!(reply.is_none(), "{reply:?}");
}

#[tokio::test]
async fn a_broken_tls_greeting_ends_the_connection() {
    let (server, _) = secured().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write(&ssl_request()).await;
    raw.write(&ssl_request()).await;
    assert_eq!(raw.read().await, None);
    assert!(server.connect("ann", "apple").await.is_ok());
}
