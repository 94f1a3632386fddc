//! The server's settings.

use crate::auth::Plugin;
use std::fmt;
use std::sync::Arc;

/// Bytes of a packet before the client has logged in.
pub const PRE_LOGIN_PACKET_BYTES_MAX: usize = 64 << 10;

/// Settings of a server; `Config::default()` is what a server without a configuration does.
#[derive(Clone)]
pub struct Config {
    /// The certificate, made by [`crate::server_config`]; without it TLS is not offered.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The plugin named in the greeting.
    pub default_plugin: Plugin,
    /// Connections at the same time; the next one gets error 1040.
    pub connections_max: usize,
    /// Bytes of one packet of a client who has logged in (`max_allowed_packet`), and of the long data of one
    /// prepared statement.
    pub packet_bytes_max: usize,
    /// Prepared statements of one connection.
    pub statements_max: usize,
    /// From accepting a connection to having answered its login.
    pub handshake_timeout_ms: u64,
    /// Without a command, where the session does not say otherwise.
    pub idle_timeout_ms: u64,
    /// Without the client taking a single byte of an answer.
    pub write_timeout_ms: u64,
    /// For running commands to end after shutdown was asked for; then they are dropped.
    pub drain_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tls: None,
            default_plugin: Plugin::Native,
            connections_max: 4096,
            packet_bytes_max: 32 << 20,
            statements_max: 16_382,
            handshake_timeout_ms: 10_000,
            idle_timeout_ms: 28_800_000,
            write_timeout_ms: 60_000,
            drain_timeout_ms: 10_000,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("tls", &self.tls.is_some())
            .field("default_plugin", &self.default_plugin)
            .field("connections_max", &self.connections_max)
            .field("packet_bytes_max", &self.packet_bytes_max)
            .finish_non_exhaustive()
    }
}
