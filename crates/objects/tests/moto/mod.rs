//! The moto server: an S3 of its own for one test, ended with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub const ACCESS_KEY: &str = "AKIATHISISATEST";
pub const SECRET: &str = "thisIsASecretOfATest";

/// moto answers in threads and looks whether a key is there before it writes it: two writers at once would both be the
/// first, as on no S3. One request at a time makes it the store that it stands for.
const ONE_REQUEST_AT_A_TIME: &str = r#"
import threading
import moto.server

lock, run = threading.Lock(), moto.server.run_simple

def locked(app):
    def answer(environ, start_response):
        with lock:
            return app(environ, start_response)
    return answer

moto.server.run_simple = lambda host, port, app, **options: run(host, port, locked(app), **options)
moto.server.main(["-H", "127.0.0.1", "-p", "0"])
"#;

/// A running server.
pub struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// When Python or moto is not there, saying how to get them: these tests are never skipped in silence.
    pub fn start() -> Self {
        let venv = std::env::var_os("CAIRN_VENV").map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/cairn-venv")
        });
        let python = venv.join("bin/python3");
        let remedy =
            "run scripts/test-setup, or name a virtual environment that has moto[server] by CAIRN_VENV";
        let child = Command::new(&python)
            .args(["-u", "-c", ONE_REQUEST_AT_A_TIME])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}; {remedy}", python.display()));
        // From here on dropping it ends the server, whatever happens.
        let mut this = Self { child, port: 0 };
        let mut log = BufReader::new(this.child.stderr.take().expect("piped"));
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if log.read_line(&mut line).expect("the server's log") == 0 {
                panic!("the moto server ended at once; {remedy}\n{said}");
            }
            said.push_str(&line);
            if let Some((_, rest)) = line.split_once("Running on http://127.0.0.1:") {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                this.port = digits.parse().expect("a port");
                // A log that nobody reads would stop the server once the pipe is full.
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return this;
            }
        }
    }

    /// The properties of a volume on this server.
    pub fn properties(&self) -> BTreeMap<String, String> {
        properties(self.port)
    }

    /// Makes a bucket; a volume never does.
    pub fn create_bucket(&self, name: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        // moto takes any credentials, but wants to see that there are some.
        let request = format!(
            "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20200101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The properties of a volume on a server at `port` of this machine.
pub fn properties(port: u16) -> BTreeMap<String, String> {
    [
        ("aws.s3.endpoint", format!("http://127.0.0.1:{port}")),
        ("aws.s3.access_key", ACCESS_KEY.to_owned()),
        ("aws.s3.secret_key", SECRET.to_owned()),
        ("aws.s3.region", "us-east-1".to_owned()),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into()
}
