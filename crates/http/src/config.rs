//! The server's settings.

/// Bounds and times of a server; `Config::default()` is what a server without a configuration does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Connections at the same time; the next one gets status 503.
    pub connections_max: usize,
    /// Stream Loads at the same time; the next one gets the status `Fail` and may try again.
    pub loads_max: usize,
    /// Bytes of the request line and all headers (`columns` and `jsonpaths` of wide tables are long).
    pub headers_bytes_max: usize,
    /// Headers of one request.
    pub headers_max: usize,
    /// From the first byte of a request, or the end of the one before, to the end of its headers.
    pub headers_timeout_ms: u64,
    /// Without a byte of a body that is being waited for.
    pub body_idle_timeout_ms: u64,
    /// Bytes of a body that is not a load (the JSON around one SQL text).
    pub query_bytes_max: usize,
    /// After an answer to a client that still sends: how long its bytes are thrown away, so that it gets to read
    /// the answer instead of an error of its socket.
    pub linger_ms: u64,
    /// For running requests to end after shutdown was asked for; then they are dropped.
    pub drain_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            loads_max: 64,
            headers_bytes_max: 256 << 10,
            headers_max: 128,
            headers_timeout_ms: 30_000,
            body_idle_timeout_ms: 60_000,
            query_bytes_max: cairn_types::limits::SQL_BYTES_MAX + (1 << 20),
            linger_ms: 3_000,
            drain_timeout_ms: 10_000,
        }
    }
}
