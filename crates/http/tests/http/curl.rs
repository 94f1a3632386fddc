//! Loads as people send them: with `curl`.

use std::io::Write as _;
use std::net::SocketAddr;

use tokio::process::Command;

use crate::backend::start;

const LINE: &[u8] = b"1|2|3|4|5|6|7|8\n";
/// Lines of a file that does not fit into the buffers on its way.
const LINES_MANY: usize = 1 << 20;

/// What `curl` prints for `arguments`, in which `URL` stands for the server.
async fn curl(address: SocketAddr, arguments: &[&str]) -> String {
    let arguments = arguments.iter().map(|a| a.replace("URL", &format!("http://{address}")));
    let run = Command::new("curl").args(["-sS", "--max-time", "30"]).args(arguments).output().await;
    let output = run.expect("the tests need curl: apt-get install curl");
    assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn file(lines: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&LINE.repeat(lines)).expect("written");
    file
}

#[tokio::test]
async fn a_file_is_loaded_and_its_error_url_opens() {
    let mut server = start().await;
    let file = file(LINES_MANY);
    let path = file.path().to_str().expect("UTF-8");
    let load = ["--location-trusted", "-u", "root:", "-H", "label:l1", "-H", "column_separator:|"];
    let rest = ["-H", "Expect:100-continue", "-T", path, "URL/api/db/t/_stream_load"];
    let answer = curl(server.address, &[&load[..], &rest[..]].concat()).await;
    let json: serde_json::Value = serde_json::from_str(&answer).expect(&answer);
    assert_eq!(
        (json["Status"].as_str(), json["NumberLoadedRows"].as_u64()),
        (Some("Success"), Some(LINES_MANY as u64))
    );
    assert_eq!(server.event().await, "load root db.t l1");
    let url = json["ErrorURL"].as_str().expect("an address");
    assert_eq!(curl(server.address, &[url]).await, "Error: bad. Row: x\n");
}

#[tokio::test]
async fn standard_input_is_loaded_in_chunks() {
    let server = start().await;
    let file = file(10_000);
    let path = file.path().to_str().expect("UTF-8");
    let arguments =
        ["-u", "root:", "-H", "Expect:100-continue", "-H", "Transfer-Encoding:chunked", "-T", path];
    let answer = curl(server.address, &[&arguments[..], &["URL/api/db/t/_stream_load"]].concat()).await;
    assert!(answer.contains("\"Status\": \"Success\""), "{answer}");
}

#[tokio::test]
async fn a_load_that_fails_early_stops_curl() {
    let server = start().await;
    let file = file(LINES_MANY);
    let path = file.path().to_str().expect("UTF-8");
    let arguments = ["-u", "root:", "-H", "Expect:100-continue", "-T", path, "URL/api/db/first/_stream_load"];
    let answer = curl(server.address, &arguments).await;
    assert!(answer.contains("bad row in"), "{answer}");
}

#[tokio::test]
async fn curl_without_expect_and_without_a_login_is_told_so() {
    let server = start().await;
    let file = file(3);
    let path = file.path().to_str().expect("UTF-8");
    let url = "URL/api/db/t/_stream_load";
    let answer = curl(server.address, &["-u", "root:", "-H", "Expect:", "-T", path, url]).await;
    assert!(answer.contains("There is no 100-continue header"), "{answer}");
    let answer =
        curl(server.address, &["-w", "%{http_code}", "-H", "Expect:100-continue", "-T", path, url]).await;
    assert!(answer.ends_with("401"), "{answer}");
}
