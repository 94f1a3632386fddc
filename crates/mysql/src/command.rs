//! What a logged-in client may ask for. Pure.

use crate::primitive::{Malformed, Reader};
use crate::reply::ErrorReply;

/// A command, borrowed from its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command<'a> {
    Quit,
    InitDb(&'a str),
    Query(&'a str),
    FieldList {
        table: &'a str,
        wildcard: &'a str,
    },
    Statistics,
    ProcessKill(u32),
    Ping,
    /// Read by `handshake::parse_change_user`.
    ChangeUser(&'a [u8]),
    ResetConnection,
    /// Several statements in one query: on or off.
    MultiStatements(bool),
    Prepare(&'a str),
    /// `body` is what follows the statement's number; its form depends on the statement.
    Execute {
        statement: u32,
        body: &'a [u8],
    },
    SendLongData {
        statement: u32,
        parameter: u16,
        data: &'a [u8],
    },
    CloseStatement(u32),
    ResetStatement(u32),
}

/// Command bytes of the protocol.
mod code {
    pub(super) const QUIT: u8 = 0x01;
    pub(super) const INIT_DB: u8 = 0x02;
    pub(super) const QUERY: u8 = 0x03;
    pub(super) const FIELD_LIST: u8 = 0x04;
    pub(super) const STATISTICS: u8 = 0x09;
    pub(super) const PROCESS_KILL: u8 = 0x0C;
    pub(super) const PING: u8 = 0x0E;
    pub(super) const CHANGE_USER: u8 = 0x11;
    pub(super) const STMT_PREPARE: u8 = 0x16;
    pub(super) const STMT_EXECUTE: u8 = 0x17;
    pub(super) const STMT_SEND_LONG_DATA: u8 = 0x18;
    pub(super) const STMT_CLOSE: u8 = 0x19;
    pub(super) const STMT_RESET: u8 = 0x1A;
    pub(super) const SET_OPTION: u8 = 0x1B;
    pub(super) const RESET_CONNECTION: u8 = 0x1F;
}

/// Reads a command packet.
pub(crate) fn parse(packet: &[u8]) -> Result<Command<'_>, ErrorReply> {
    let mut reader = Reader::new(packet);
    let command = match reader.u8("command")? {
        code::QUIT => Command::Quit,
        code::INIT_DB => Command::InitDb(text(reader.rest(), "the database name")?),
        code::QUERY => Command::Query(text(reader.rest(), "the query")?),
        code::FIELD_LIST => Command::FieldList {
            table: text(reader.nul_bytes("table name")?, "the table name")?,
            wildcard: text(reader.nul_or_end_bytes(), "the wildcard")?,
        },
        code::STATISTICS => Command::Statistics,
        code::PROCESS_KILL => Command::ProcessKill(reader.u32("connection id")?),
        code::PING => Command::Ping,
        code::CHANGE_USER => Command::ChangeUser(reader.rest()),
        code::RESET_CONNECTION => Command::ResetConnection,
        code::SET_OPTION => Command::MultiStatements(option(reader.u16("option")?)?),
        code::STMT_PREPARE => Command::Prepare(text(reader.rest(), "the statement")?),
        code::STMT_EXECUTE => {
            Command::Execute { statement: reader.u32("statement id")?, body: reader.rest() }
        }
        code::STMT_SEND_LONG_DATA => Command::SendLongData {
            statement: reader.u32("statement id")?,
            parameter: reader.u16("parameter number")?,
            data: reader.rest(),
        },
        code::STMT_CLOSE => Command::CloseStatement(reader.u32("statement id")?),
        code::STMT_RESET => Command::ResetStatement(reader.u32("statement id")?),
        unknown => return Err(ErrorReply::unknown_command(unknown)),
    };
    Ok(command)
}

/// Whether clients send `packet` without waiting for an answer.
pub(crate) fn is_unanswered(packet: &[u8]) -> bool {
    matches!(packet.first(), Some(&(code::STMT_CLOSE | code::STMT_SEND_LONG_DATA)))
}

fn option(number: u16) -> Result<bool, Malformed> {
    match number {
        0 => Ok(true),
        1 => Ok(false),
        _ => Err(Malformed(format!(
            "there is no option {number}; 0 and 1 turn multiple statements on and off"
        ))),
    }
}

fn text<'a>(bytes: &'a [u8], field: &str) -> Result<&'a str, ErrorReply> {
    std::str::from_utf8(bytes).map_err(|error| ErrorReply::bad_text(field, error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_command() {
        let check = |packet: &[u8], expected: Command<'_>| assert_eq!(parse(packet), Ok(expected));
        check(b"\x01", Command::Quit);
        check(b"\x02default_catalog.tpch", Command::InitDb("default_catalog.tpch"));
        check("\x03SELECT 'ü'".as_bytes(), Command::Query("SELECT 'ü'"));
        check(b"\x03", Command::Query(""));
        check(b"\x04t\0%", Command::FieldList { table: "t", wildcard: "%" });
        check(b"\x04t\0", Command::FieldList { table: "t", wildcard: "" });
        check(b"\x09", Command::Statistics);
        check(b"\x0c\x05\0\0\0", Command::ProcessKill(5));
        check(b"\x0e", Command::Ping);
        check(b"\x11ann\0", Command::ChangeUser(b"ann\0"));
        check(b"\x16SELECT ?", Command::Prepare("SELECT ?"));
        check(b"\x17\x01\0\0\0rest", Command::Execute { statement: 1, body: b"rest" });
        check(
            b"\x18\x01\0\0\0\x02\0data",
            Command::SendLongData { statement: 1, parameter: 2, data: b"data" },
        );
        check(b"\x19\x01\0\0\0", Command::CloseStatement(1));
        check(b"\x1a\x01\0\0\0", Command::ResetStatement(1));
        check(b"\x1b\0\0", Command::MultiStatements(true));
        check(b"\x1b\x01\0", Command::MultiStatements(false));
        check(b"\x1f", Command::ResetConnection);
    }

    #[test]
    fn what_is_no_command_gets_its_number() {
        let check = |packet: &[u8], code: u16, part: &str| {
            let reply = parse(packet).unwrap_err();
            assert!(reply.code == code && reply.message.contains(part), "{reply:?}");
        };
        check(b"", 1835, "command needs 1 bytes");
        check(b"\x00", 1047, "0x00");
        check(b"\x05db", 1047, "0x05");
        check(b"\x1c\0\0\0\0\0\0\0\0", 1047, "0x1C");
        check(b"\x12", 1047, "0x12");
        check(b"\xff", 1047, "0xFF");
        check(b"\x03SELECT '\xff'", 1300, "the query: invalid utf-8");
        check(b"\x04t", 1835, "table name is not ended");
        check(b"\x17\x01", 1835, "statement id needs 4 bytes");
        check(b"\x1b\x02\0", 1835, "there is no option 2");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            packet in proptest::collection::vec(any::<u8>(), 0..300), parameters in 0..20_u16
        ) {
            let _ = crate::fuzz::command(&packet, parameters);
            let execute = [&[code::STMT_EXECUTE, 1, 0, 0, 0, 0, 1, 0, 0, 0], &packet[..]].concat();
            let _ = crate::fuzz::command(&execute, parameters);
        }
    }
}
