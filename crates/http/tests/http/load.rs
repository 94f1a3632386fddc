//! Loads that go well, and loads that are refused before they begin.

use cairn_http::Config;

use crate::backend::{start, start_with};
use crate::client::{Client, EXPECT};

const KEYS: [&str; 16] = [
    "TxnId",
    "Label",
    "Status",
    "Message",
    "NumberTotalRows",
    "NumberLoadedRows",
    "NumberFilteredRows",
    "NumberUnselectedRows",
    "LoadBytes",
    "LoadTimeMs",
    "BeginTxnTimeMs",
    "StreamLoadPlanTimeMs",
    "ReadDataTimeMs",
    "WriteDataTimeMs",
    "CommitAndPublishTimeMs",
    "ErrorURL",
];

fn keys(body: &str) -> Vec<&str> {
    body.lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'))
        .map(|(key, _)| key)
        .collect()
}

#[tokio::test]
async fn a_load_gets_a_continue_and_then_the_answer() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", &format!("{EXPECT}label: l1\r\nContent-Length: 6\r\n")).await;
    client.expect_continue().await;
    client.send("a\nb\nc\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(keys(&answer.body), KEYS);
    let json = answer.json();
    assert_eq!((json["Status"].as_str(), json["NumberLoadedRows"].as_u64()), (Some("Success"), Some(3)));
    let url = format!("http://{}/api/_load_error_log?file=log_1.txt", server.address);
    assert_eq!(json["ErrorURL"].as_str(), Some(url.as_str()));
    assert_eq!(server.event().await, "load root db.t l1");
    assert_eq!(server.event().await, "loaded 6");

    // A load that was read whole leaves the connection usable.
    client.begin_load("t", &format!("{EXPECT}Content-Length: 2\r\n")).await;
    client.expect_continue().await;
    client.send("z\n").await;
    let label = client.answer().await.json()["Label"].as_str().map(str::to_owned).expect("a label");
    assert_eq!((label.len(), label.matches('-').count()), (36, 4), "made up: {label}");
    assert_eq!(server.event().await, format!("load root db.t {label}"));
}

#[tokio::test]
async fn chunked_bodies_and_names_with_escapes_are_read() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t%20%C3%BC", &format!("{EXPECT}Transfer-Encoding: chunked\r\n")).await;
    client.expect_continue().await;
    client.send("3\r\na\nb\r\n").await;
    client.send("2\r\n\nc\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.json()["LoadBytes"], 5);
    assert!(server.event().await.starts_with("load root db.t ü "));
}

#[tokio::test]
async fn an_empty_body_is_a_load_of_nothing() {
    let server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", &format!("{EXPECT}Content-Length: 0\r\n")).await;
    assert_eq!(client.answer().await.json()["NumberTotalRows"], 0);
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_data_is_asked_for() {
    let cases: [(&str, &str, &str, &str); 6] = [
        ("unknown", "", "Fail", "Unknown table 'unknown'"),
        ("used", "label: l9\r\n", "Label Already Exists", "Label [l9] has already been used."),
        ("t", "timeout: never\r\n", "Fail", "'never' of header 'timeout'"),
        ("t", "partial_update: true\r\n", "Fail", "'partial_update'"),
        ("t", "columns: a,,b\r\n", "Fail", "'columns'"),
        ("t", "label: a b\r\n", "Fail", "'label'"),
    ];
    let server = start().await;
    for (table, headers, status, message) in cases {
        let mut client = Client::connect(server.address).await;
        client.begin_load(table, &format!("{EXPECT}{headers}Content-Length: 1000000\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "not 100: {answer:?}");
        let json = answer.json();
        assert_eq!(json["Status"], status, "{answer:?}");
        assert_eq!(json["TxnId"], -1);
        assert!(json["Message"].as_str().is_some_and(|m| m.contains(message)), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "the client is told not to send");
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test]
async fn without_expect_nothing_is_read() {
    let mut server = start().await;
    let mut client = Client::connect(server.address).await;
    client.begin_load("t", "Content-Length: 1000000\r\n").await;
    client.send(vec![b'x'; 1000]).await;
    let answer = client.answer().await;
    let expected =
        "{\n    \"Status\": \"FAILED\",\n    \"Message\": \"There is no 100-continue header\"\n}\n";
    assert_eq!((answer.status, answer.body.as_str()), (200, expected));
    assert!(server.is_quiet(), "the backend was not asked");

    // HTTP/1.0 has no such expectation, and does without.
    let mut client = Client::connect(server.address).await;
    let auth = crate::client::ROOT;
    client.send(format!("PUT /api/db/t/_stream_load HTTP/1.0\r\n{auth}Content-Length: 2\r\n\r\na\n")).await;
    assert_eq!(client.answer().await.json()["Status"], "Success");
}

#[tokio::test]
async fn who_is_not_known_does_not_get_to_send() {
    let mut server = start().await;
    for auth in ["", "Authorization: Basic cm9vdDp4\r\n", "Authorization: Bearer x\r\n"] {
        let mut client = Client::connect(server.address).await;
        let length = 10_u64 << 30;
        let head =
            format!("PUT /api/db/t/_stream_load HTTP/1.1\r\n{auth}{EXPECT}Content-Length: {length}\r\n\r\n");
        client.send(head).await;
        // Some clients do not wait for the 100.
        client.send(vec![b'x'; 100_000]).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"\""));
        let json = answer.json();
        assert_eq!((json["status"].as_str(), json["code"].as_str()), (Some("FAILED"), Some("1")));
        assert_eq!(client.rest().await, "", "closed, and not reset");
    }
    assert!(server.is_quiet());
}

#[tokio::test]
async fn loads_beyond_the_bound_are_refused_and_may_try_again() {
    let mut server = start_with(Config { loads_max: 1, ..Config::default() }).await;
    let headers = format!("{EXPECT}Content-Length: 2\r\n");
    let mut first = Client::connect(server.address).await;
    first.begin_load("held", &headers).await;
    server.event().await;
    let mut second = Client::connect(server.address).await;
    second.begin_load("t", &headers).await;
    let json = second.answer().await.json();
    assert_eq!(json["Status"], "Fail");
    assert!(json["Message"].as_str().is_some_and(|m| m.contains("Try again later")), "{json}");
    server.backend.hold.add_permits(1);
    first.expect_continue().await;
    first.send("a\n").await;
    assert_eq!(first.answer().await.json()["Status"], "Success");
    let mut third = Client::connect(server.address).await;
    third.begin_load("t", &headers).await;
    third.expect_continue().await;
    third.send("a\n").await;
    assert_eq!(third.answer().await.json()["Status"], "Success");
}
