//! Who gets in, by which plugin.

use crate::raw::{Raw, error, old_flags};
use crate::{Running, running, server_error};
use cairn_mysql::{Config, Plugin};
use mysql_async::prelude::Queryable as _;
use mysql_async::{ChangeUserOpts, Conn, Opts};
use mysql_common::auth::plugins::{caching_sha2_password, mysql_native_password};
use mysql_common::constants::CapabilityFlags;

async fn offering(default_plugin: Plugin) -> Running {
    Running::start(Config { default_plugin, ..Config::default() }).await
}

#[tokio::test]
async fn every_account_by_every_first_offer() {
    for plugin in [Plugin::Native, Plugin::CachingSha2] {
        let server = offering(plugin).await;
        for (user, right, wrong) in [
            ("ann", "apple", "pear"),
            ("native", "nut", "ant"),
            ("sha2", "salt", "pepper"),
            ("root", "", "x"),
        ] {
            let mut conn = server.connect(user, right).await.unwrap_or_else(|error| {
                panic!("{user} by {plugin:?}: {error}");
            });
            let who: Option<String> = conn.query_first("who").await.unwrap();
            assert!(who.unwrap().starts_with(&format!("{user}  tls=false")));
            let denied = server_error(server.connect(user, wrong).await);
            let expected = format!("Access denied for user '{user}'@'127.0.0.1' (using password: YES)");
            assert_eq!(denied, (1045, expected), "{user} by {plugin:?}");
        }
        for user in ["ann", "native", "sha2"] {
            let denied = server_error(server.connect(user, "").await);
            assert!(denied.0 == 1045 && denied.1.ends_with("(using password: NO)"), "{denied:?}");
        }
    }
}

#[tokio::test]
async fn unknown_and_locked_users_are_refused_alike() {
    let server = running().await;
    for user in ["nobody", "locked"] {
        for (password, using) in [("x", "YES"), ("", "NO")] {
            let (code, message) = server_error(server.connect(user, password).await);
            let expected = format!("Access denied for user '{user}'@'127.0.0.1' (using password: {using})");
            assert_eq!((code, message), (1045, expected));
        }
    }
}

#[tokio::test]
async fn the_database_of_the_login() {
    let server = running().await;
    let opts = server.opts("ann", "apple").db_name(Some("default_catalog.tpch"));
    let mut conn = Conn::new(Opts::from(opts)).await.unwrap();
    let who: String = conn.query_first("who").await.unwrap().unwrap();
    assert!(who.starts_with("ann default_catalog.tpch tls=false"), "{who}");
    let opts = server.opts("ann", "apple").db_name(Some("nowhere"));
    let refused = server_error(Conn::new(Opts::from(opts)).await);
    assert_eq!(refused, (5501, "Unknown database 'nowhere'".into()));
}

/// A client without plugins proves itself by the native method at once.
#[tokio::test]
async fn clients_from_before_plugins() {
    for plugin in [Plugin::Native, Plugin::CachingSha2] {
        let server = offering(plugin).await;
        let mut raw = Raw::connect(server.address).await;
        let proof = mysql_native_password::scramble_native(&raw.nonce(), b"apple").unwrap();
        raw.answer(old_flags(), "ann", &proof, None).await;
        assert_eq!(raw.read().await.unwrap()[0], 0);

        let mut raw = Raw::connect(server.address).await;
        raw.answer(old_flags(), "sha2", &[1; 20], None).await;
        let reply = raw.read().await.unwrap();
        let (code, state, message) = error(&reply);
        assert_eq!((code, state), (1251, "08004"));
        assert!(message.contains("connect with TLS"), "{message}");
    }
}

/// A client whose own plugin is not the offered one sends no proof at first; that is not an empty password.
#[tokio::test]
async fn a_client_of_another_plugin_is_asked_by_its_own() {
    let server = offering(Plugin::Native).await;
    let flags = old_flags() | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    let mut raw = Raw::connect(server.address).await;
    raw.answer(flags, "ann", b"", Some("caching_sha2_password")).await;
    let request = raw.read().await.unwrap();
    let scramble = request.strip_prefix(b"\xFEcaching_sha2_password\0").unwrap();
    let scramble: [u8; 20] = scramble[..20].try_into().unwrap();
    assert_ne!(scramble, raw.nonce(), "a new challenge");
    raw.write(&caching_sha2_password::scramble_sha256(&scramble, b"apple").unwrap()).await;
    assert_eq!(raw.read().await.unwrap(), [1, 3], "fast path");
    assert_eq!(raw.read().await.unwrap()[0], 0);
}

/// As of a client with a plugin that is not ours (`client_ed25519`, say).
#[tokio::test]
async fn a_client_of_a_foreign_plugin_is_asked_by_one_of_ours() {
    let server = running().await;
    for (user, expected) in [("ann", "mysql_native_password"), ("sha2", "caching_sha2_password")] {
        let mut raw = Raw::connect(server.address).await;
        let flags = old_flags() | CapabilityFlags::CLIENT_PLUGIN_AUTH;
        raw.answer(flags, user, b"whatever", Some("client_ed25519")).await;
        let request = raw.read().await.unwrap();
        assert!(request[0] == 0xFE && request[1..].starts_with(expected.as_bytes()), "{request:?}");
        raw.write(b"wrong").await;
        assert_eq!(error(&raw.read().await.unwrap()).0, 1045);
        assert_eq!(raw.read().await, None, "closed");
    }
}

/// Each connection has a challenge of its own.
#[tokio::test]
async fn a_recorded_proof_is_worth_nothing() {
    let server = running().await;
    let mut first = Raw::connect(server.address).await;
    let proof = mysql_native_password::scramble_native(&first.nonce(), b"apple").unwrap();
    first.answer(old_flags(), "ann", &proof, None).await;
    assert_eq!(first.read().await.unwrap()[0], 0);
    let mut second = Raw::connect(server.address).await;
    second.answer(old_flags(), "ann", &proof, None).await;
    assert_eq!(error(&second.read().await.unwrap()).0, 1045);
}

#[tokio::test]
async fn changing_the_user() {
    for plugin in [Plugin::Native, Plugin::CachingSha2] {
        let server = offering(plugin).await;
        let mut conn = server.ann().await;
        let id = conn.id();
        for (user, password) in [("native", "nut"), ("root", ""), ("ann", "apple")] {
            let opts = ChangeUserOpts::new()
                .with_user(Some(user.to_owned()))
                .with_pass((!password.is_empty()).then(|| password.to_owned()))
                .with_db_name(Some("db2".to_owned()));
            conn.change_user(opts).await.unwrap_or_else(|error| panic!("{user} by {plugin:?}: {error}"));
            let who: String = conn.query_first("who").await.unwrap().unwrap();
            assert!(who.starts_with(&format!("{user} db2 ")), "{who}");
            assert_eq!(conn.id(), id);
        }
        let opts =
            ChangeUserOpts::new().with_user(Some("native".to_owned())).with_pass(Some("wrong".to_owned()));
        assert_eq!(server_error(conn.change_user(opts).await).0, 1045);
        assert!(conn.query_drop("who").await.is_err(), "the connection is over");
    }
}

#[tokio::test]
async fn resetting_the_session() {
    let server = running().await;
    let mut conn = server.ann().await;
    conn.query_drop("begin").await.unwrap();
    assert!(conn.reset().await.unwrap());
    let who: String = conn.query_first("who").await.unwrap().unwrap();
    assert!(who.starts_with("ann "), "{who}");
}
