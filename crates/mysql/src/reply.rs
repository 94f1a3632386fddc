//! The short answers: OK, EOF and ERR packets, pure.

use crate::backend::{OkInfo, SessionStatus};
use crate::frame::FrameError;
use crate::primitive::{Malformed, put_lenenc_bytes, put_lenenc_int};
use cairn_types::Error;
use mysql_common::constants::{CapabilityFlags, StatusFlags};

/// Longer messages are cut: no client shows more, and a message may quote a whole statement.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// An ERR packet's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ErrorReply {
    pub(crate) code: u16,
    pub(crate) sql_state: &'static [u8; 5],
    pub(crate) message: String,
}

impl ErrorReply {
    fn new(code: u16, sql_state: &'static [u8; 5], message: impl Into<String>) -> Self {
        Self { code, sql_state, message: message.into() }
    }

    pub(crate) fn too_many_connections(connections_max: usize) -> Self {
        let message = format!("Too many connections: this server allows {connections_max}; close one first");
        Self::new(1040, b"08004", message)
    }

    pub(crate) fn bad_handshake(why: impl std::fmt::Display) -> Self {
        Self::new(1043, b"08S01", format!("Bad handshake: {why}"))
    }

    /// Wrong user or password, in MySQL's words; which of the two is not said.
    pub(crate) fn access_denied(user: &str, host: &str, with_password: bool) -> Self {
        let using = if with_password { "YES" } else { "NO" };
        let message = format!("Access denied for user '{user}'@'{host}' (using password: {using})");
        Self::new(1045, b"28000", message)
    }

    pub(crate) fn needs_other_client(why: impl Into<String>) -> Self {
        Self::new(1251, b"08004", why)
    }

    pub(crate) fn unknown_command(code: u8) -> Self {
        Self::new(1047, b"08S01", format!("Unknown command: this server has no command 0x{code:02X}"))
    }

    pub(crate) fn unknown_statement(id: u32) -> Self {
        let message =
            format!("Unknown prepared statement handler ({id}): prepare it first on this connection");
        Self::new(1243, b"HY000", message)
    }

    pub(crate) fn too_many_statements(statements_max: usize) -> Self {
        let message =
            format!("Can't create more than {statements_max} prepared statements on one connection");
        Self::new(1461, b"42000", message)
    }

    pub(crate) fn bad_text(field: &str, error: std::str::Utf8Error) -> Self {
        Self::new(1300, b"HY000", format!("Invalid utf8 character string: {field}: {error}; send UTF-8"))
    }

    pub(crate) fn idle(timeout_ms: u128) -> Self {
        let message = format!("The client was disconnected after {timeout_ms} ms without a command");
        Self::new(4031, b"HY000", message)
    }
}

impl From<Malformed> for ErrorReply {
    fn from(error: Malformed) -> Self {
        Self::new(1835, b"HY000", format!("Malformed communication packet: {error}"))
    }
}

impl From<FrameError> for ErrorReply {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge { announced, bytes_max } => {
                let message = format!(
                    "Got a packet bigger than 'max_allowed_packet' bytes: {announced} announced, {bytes_max} allowed"
                );
                Self::new(1153, b"08S01", message)
            }
            FrameError::OutOfOrder { expected, got } => {
                Self::new(1156, b"08S01", format!("Got packets out of order: {got} instead of {expected}"))
            }
        }
    }
}

impl From<&Error> for ErrorReply {
    fn from(error: &Error) -> Self {
        let (code, sql_state) = error.kind().mysql_code();
        Self::new(code, sql_state, error.message())
    }
}

/// How results end for this client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Endings {
    deprecate_eof: bool,
}

impl Endings {
    pub(crate) fn of(capabilities: CapabilityFlags) -> Self {
        Self { deprecate_eof: capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) }
    }

    /// Whether column definitions are followed by an EOF packet of their own.
    pub(crate) fn eof_after_columns(self) -> bool {
        !self.deprecate_eof
    }

    /// The packet after the last row.
    pub(crate) fn put_end(self, out: &mut Vec<u8>, status: StatusFlags, warnings: u16) {
        if self.deprecate_eof {
            let info = OkInfo { warnings, ..OkInfo::default() };
            put_ok_with_header(out, 0xFE, status, &info);
        } else {
            put_eof(out, status, warnings);
        }
    }
}

/// An OK packet.
pub(crate) fn put_ok(out: &mut Vec<u8>, status: StatusFlags, info: &OkInfo) {
    put_ok_with_header(out, 0x00, status, info);
}

fn put_ok_with_header(out: &mut Vec<u8>, header: u8, status: StatusFlags, info: &OkInfo) {
    out.push(header);
    put_lenenc_int(out, info.affected_rows);
    put_lenenc_int(out, info.last_insert_id);
    out.extend_from_slice(&status.bits().to_le_bytes());
    out.extend_from_slice(&info.warnings.to_le_bytes());
    // Documented as "rest of the packet", but servers send, and clients read, a length in front.
    if !info.info.is_empty() {
        put_lenenc_bytes(out, info.info.as_bytes());
    }
}

/// An EOF packet of clients without DEPRECATE_EOF.
pub(crate) fn put_eof(out: &mut Vec<u8>, status: StatusFlags, warnings: u16) {
    out.push(0xFE);
    out.extend_from_slice(&warnings.to_le_bytes());
    out.extend_from_slice(&status.bits().to_le_bytes());
}

/// An ERR packet. Before the client has told its capabilities there is no SQLSTATE in it.
pub(crate) fn put_err(out: &mut Vec<u8>, reply: &ErrorReply, with_sql_state: bool) {
    out.push(0xFF);
    out.extend_from_slice(&reply.code.to_le_bytes());
    if with_sql_state {
        out.push(b'#');
        out.extend_from_slice(reply.sql_state);
    }
    let cut = reply.message.floor_char_boundary(MESSAGE_BYTES_MAX);
    out.extend_from_slice(reply.message.as_bytes().get(..cut).unwrap_or_default());
}

/// The protocol's flags for a session's status.
pub(crate) fn status_flags(status: SessionStatus, more_results: bool) -> StatusFlags {
    let mut flags = StatusFlags::empty();
    flags.set(StatusFlags::SERVER_STATUS_AUTOCOMMIT, status.autocommit);
    flags.set(StatusFlags::SERVER_STATUS_IN_TRANS, status.in_transaction);
    flags.set(StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES, status.no_backslash_escapes);
    flags.set(StatusFlags::SERVER_MORE_RESULTS_EXISTS, more_results);
    flags
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cairn_types::ErrorKind;
    use mysql_common::io::ParseBuf;
    use mysql_common::packets::{
        CommonOkPacket, ErrPacket, OkPacket, OkPacketDeserializer, OldEofPacket, ResultSetTerminator,
    };

    #[test]
    fn ok_packets_are_what_a_client_reads() {
        let info =
            OkInfo { affected_rows: 70_000, last_insert_id: 3, warnings: 2, info: "Records: 70000".into() };
        let status = SessionStatus { autocommit: true, in_transaction: true, ..SessionStatus::default() };
        let mut out = Vec::new();
        put_ok(&mut out, status_flags(status, true), &info);
        let packet: OkPacket<'_> = ParseBuf(&out)
            .parse::<OkPacketDeserializer<'_, CommonOkPacket>>(CapabilityFlags::CLIENT_PROTOCOL_41)
            .unwrap()
            .into_inner();
        assert_eq!((packet.affected_rows(), packet.last_insert_id()), (70_000, Some(3)));
        assert_eq!((packet.warnings(), packet.info_str().unwrap().as_ref()), (2, "Records: 70000"));
        assert_eq!(packet.status_flags().bits(), 0x1 | 0x2 | 0x8);
    }

    #[test]
    fn results_end_by_ok_or_eof() {
        let status = StatusFlags::SERVER_STATUS_AUTOCOMMIT;
        let mut out = Vec::new();
        Endings::of(CapabilityFlags::CLIENT_DEPRECATE_EOF).put_end(&mut out, status, 5);
        let new = ParseBuf(&out)
            .parse::<OkPacketDeserializer<'_, ResultSetTerminator>>(CapabilityFlags::CLIENT_DEPRECATE_EOF)
            .unwrap()
            .into_inner();
        assert_eq!((new.warnings(), new.status_flags()), (5, status));

        let mut out = Vec::new();
        Endings::of(CapabilityFlags::empty()).put_end(&mut out, status, 5);
        assert_eq!(out.len(), 5, "clients tell an EOF from a row by its length");
        let old = ParseBuf(&out)
            .parse::<OkPacketDeserializer<'_, OldEofPacket>>(CapabilityFlags::empty())
            .unwrap()
            .into_inner();
        assert_eq!((old.warnings(), old.status_flags()), (5, status));
    }

    #[test]
    fn errors_carry_the_kinds_number_and_state() {
        let reply = ErrorReply::from(&Error::new(ErrorKind::UnknownDatabase, "Unknown database 'x'"));
        let mut out = Vec::new();
        put_err(&mut out, &reply, true);
        let packet: ErrPacket<'_> = ParseBuf(&out).parse(CapabilityFlags::CLIENT_PROTOCOL_41).unwrap();
        let error = packet.server_error();
        assert_eq!((error.error_code(), error.message_str().as_ref()), (5501, "Unknown database 'x'"));
        assert_eq!(error.sql_state_ref().unwrap().as_bytes(), *b"3F000");

        out.clear();
        put_err(&mut out, &reply, false);
        assert_eq!(&out[3..], b"Unknown database 'x'", "no state before the handshake");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let reply = ErrorReply::new(1064, b"HY000", "ä".repeat(MESSAGE_BYTES_MAX));
        let mut out = Vec::new();
        put_err(&mut out, &reply, true);
        assert_eq!(out.len(), 9 + MESSAGE_BYTES_MAX);
        assert!(std::str::from_utf8(&out[9..]).is_ok());
    }
}
