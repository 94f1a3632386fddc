//! The MySQL wire protocol, server side: framing, handshake, passwords, TLS, commands and result sets.
//!
//! Entry points: [`Server`] listens and serves a [`Backend`]; [`serve_connection`] serves one stream that somebody
//! else accepted (a test, a simulation). A backend opens one [`Session`] per login; the session gets SQL text and
//! answers through a [`ResultWriter`].
//!
//! **Invariants**
//! - Parsing is pure and total: any bytes give a value or an error, never a panic, and nothing is allocated because
//!   a peer merely *announced* a size. Before login a packet has at most [`PRE_LOGIN_PACKET_BYTES_MAX`] bytes and the
//!   whole login at most `Config::handshake_timeout_ms`.
//! - Nothing read before a TLS upgrade is used after it: the handshake reads exactly the bytes of one packet.
//! - Secrets are compared in constant time, never logged, and an unknown user goes the way of a wrong password.
//! - A packet that was begun is either sent whole or not at all, also when its query is cancelled or panics.
//! - The last packet of a result is held back until it is known whether another result follows, so a session never
//!   says so itself.
//!
//! **Cancellation**: while a session works, the connection watches the socket and its [`Control`]. When the client
//! goes away or a kill arrives, the future of the running call is *dropped* at its next await point; there is no
//! other notice. A session must therefore be usable (or droppable) after any of its futures was dropped.
//!
//! **Deliberately absent**: SQL, Arrow, the catalog; compression; `LOAD DATA LOCAL INFILE` (not offered, so no client
//! may send it); server-side cursors (`COM_STMT_FETCH`); session tracking; replication commands; an RSA key for
//! caching_sha2_password (accounts keep the digest that the fast path checks, so the full path is needed only for an
//! account that has nothing but a native hash, and then asks for TLS or switches to the native plugin).

mod account;
mod auth;
mod backend;
mod channel;
mod column;
mod command;
mod config;
mod connection;
mod frame;
mod handshake;
mod login;
mod params;
mod primitive;
mod reply;
mod row;
mod server;
mod statements;
mod tls;
mod writer;

pub use account::{Account, NativeHash, Sha2Digest, native_hash, sha2_digest};
pub use auth::Plugin;
pub use backend::{Backend, Control, Login, OkInfo, Prepared, Session, SessionStatus};
pub use channel::Io;
pub use column::ColumnDef;
pub use config::{Config, PRE_LOGIN_PACKET_BYTES_MAX};
pub use connection::serve_connection;
pub use mysql_common::constants::{ColumnFlags, ColumnType};
pub use params::ParamValue;
pub use row::{Format, RowBuf};
pub use server::Server;
pub use tls::{SelfSigned, self_signed, server_config};
pub use writer::ResultWriter;

/// The parsers that meet bytes from strangers, for fuzzers and tests: each gives whether the input was well formed.
pub mod fuzz {
    /// Frames of `input` as a client that may not send more than `bytes_max` a packet would have sent them.
    #[must_use]
    pub fn frames(input: &[u8], bytes_max: usize) -> bool {
        let mut buffer = bytes::BytesMut::from(input);
        let mut assembler = crate::frame::Assembler::new(bytes_max);
        loop {
            match assembler.next(&mut buffer) {
                Ok(crate::frame::Progress::Packet(_)) => assembler.expect_sequence(0),
                Ok(crate::frame::Progress::Need(_)) => return true,
                Err(_) => return false,
            }
        }
    }

    /// `input` as the client's answer to the greeting.
    #[must_use]
    pub fn handshake(input: &[u8]) -> bool {
        crate::handshake::parse_answer(input).is_ok()
    }

    /// `input` as a command, and where it is an execute, its parameters as `parameters` ones.
    #[must_use]
    pub fn command(input: &[u8], parameters: u16) -> bool {
        match crate::command::parse(input) {
            Ok(crate::command::Command::Execute { body, .. }) => {
                let mut statement = crate::params::Statement::new(parameters);
                statement.decode(body).is_ok()
            }
            other => other.is_ok(),
        }
    }
}
