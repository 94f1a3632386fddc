//! The calls around loads, as scripts and probes read them.

use crate::backend::start;
use crate::client::{Client, ROOT};

/// `u` with the password `p:w`, who may not cancel.
const OTHER: &str = "Authorization: Basic dTpwOnc=\r\n";

#[tokio::test]
async fn calls_have_their_answers() {
    let ok = r#""status":"OK","code":"0","msg":"Success","message":"OK"}"#;
    let failed = |m: &str| format!(r#"{{"status":"FAILED","code":"1","msg":"{m}","message":"{m}"}}"#);
    let cases: [(&str, &str, u16, String); 14] = [
        (
            "/api/health",
            "",
            200,
            r#"{"online_backend_num":2,"total_backend_num":3,"status":"OK"}"#.to_owned(),
        ),
        ("/metrics", "", 200, "cairn_up 1\n".to_owned()),
        (
            "/api/bootstrap",
            "",
            200,
            format!(
                r#"{{"replayedJournalId":9,"queryPort":9030,"rpcPort":0,"feStartTime":1,"feVersion":"4.0.0-x",{ok}"#
            ),
        ),
        (
            "/api/v2/get_cluster_snapshot_restore_state",
            "",
            200,
            r#"{"cluster_snapshot_restore_state":"restoring","status":"OK"}"#.to_owned(),
        ),
        ("/api/show_proc?path=/vacuum", ROOT, 200, r#"[{"Zebra":"/vacuum","Apple":null}]"#.to_owned()),
        ("/api/show_proc", ROOT, 200, r#"[{"Zebra":"/","Apple":null}]"#.to_owned()),
        ("/api/db/get_load_state?label=done", ROOT, 200, format!(r#"{{"state":"VISIBLE","reason":"",{ok}"#)),
        ("/api/db/get_load_state?label=x", ROOT, 200, format!(r#"{{"state":"UNKNOWN","reason":"",{ok}"#)),
        ("/api/no/get_load_state?label=x", ROOT, 200, failed("Unknown database 'no'")),
        ("/api/v2/get_load_state?label=x", ROOT, 200, failed("Unknown database 'v2'")),
        ("/api/_load_error_log?file=log_1.txt", "", 200, "Error: bad. Row: x\n".to_owned()),
        ("/api/_load_error_log?file=gone", "", 404, failed("No error log 'gone'")),
        ("/nothing", "", 404, failed("Nothing is served at GET /nothing")),
        ("/api/db/t/_stream_load", "", 405, failed("/api/db/t/_stream_load is not for the method GET")),
    ];
    let server = start().await;
    let mut client = Client::connect(server.address).await;
    for (path, headers, status, body) in cases {
        let answer = client.get(path, headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body.as_str()), "{path}");
    }
}

#[tokio::test]
async fn calls_about_loads_need_a_login() {
    let server = start().await;
    for path in ["/api/show_proc?path=/", "/api/db/get_load_state?label=x"] {
        let answer = Client::connect(server.address).await.get(path, "").await;
        assert_eq!((answer.status, answer.header("www-authenticate").is_some()), (401, true), "{path}");
    }
}

#[tokio::test]
async fn error_logs_cannot_lead_elsewhere() {
    let server = start().await;
    for file in ["../secret", "%2e%2e%2fsecret", "/etc/passwd", "", "a%00b"] {
        let path = format!("/api/_load_error_log?file={file}");
        let answer = Client::connect(server.address).await.get(&path, "").await;
        assert_eq!(answer.status, 400, "{file}");
    }
}

#[tokio::test]
async fn loads_can_be_cancelled() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    let mut cancel = async |auth: &str| {
        client
            .send(format!("POST /api/transaction/l1/_cancel HTTP/1.1\r\n{auth}Content-Length: 0\r\n\r\n"))
            .await;
        client.answer().await
    };
    let answer = cancel(ROOT).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("OK")));
    assert_eq!(cancel(OTHER).await.status, 403);
    // A database may be called as a part of another address.
    assert_eq!(server.event().await, "cancel transaction l1");
}

#[tokio::test]
async fn transaction_loads_are_refused_by_name() {
    let server = start().await;
    for (method, operation) in [("POST", "begin"), ("PUT", "load"), ("POST", "commit")] {
        let mut client = Client::connect(server.address).await;
        let head =
            format!("{method} /api/transaction/{operation} HTTP/1.1\r\n{ROOT}Content-Length: 0\r\n\r\n");
        client.send(head).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 501);
        assert!(answer.body.contains(operation) && answer.body.contains("_stream_load"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_statement_gives_lines() {
    let server = start().await;
    let post = async |path: &str, body: &str| {
        let mut client = Client::connect(server.address).await;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\n{ROOT}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        client.send(head).await;
        client.rest().await
    };
    let path = "/api/v1/catalogs/default_catalog/databases/db/sql";
    let text = post(path, r#"{"query":"SELECT 1","sessionVariables":{"a":"b"}}"#).await;
    assert!(text.contains("application/x-ndjson"), "{text}");
    assert!(
        text.contains(
            "{\"connectionId\":3}\n{\"meta\":[{\"name\":\"a\",\"type\":\"varchar\"}]}\n{\"data\":["
        )
    );
    assert!(text.contains(r#"database: Some(\"db\")"#) && text.contains(r#"(\"a\", \"b\")"#), "{text}");
    assert!(text.contains("{\"statistics\":{\"returnRows\":1}}\n") && text.ends_with("0\r\n\r\n"), "{text}");
    assert!(post("/api/v1/catalogs/c/sql", r#"{"query":"x"}"#).await.contains("database: None"));

    assert!(post(path, r#"{"query":"broken"}"#).await.starts_with("HTTP/1.1 400"));
    assert!(post(path, "SELECT 1").await.starts_with("HTTP/1.1 400"));
    let text = post(path, r#"{"query":"breaks"}"#).await;
    assert!(!text.contains("statistics") && !text.ends_with("0\r\n\r\n"), "seen to be cut off: {text}");
}
