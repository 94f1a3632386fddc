//! The greeting, and the client's answer to it. Pure.

use crate::account::{SCRAMBLE_BYTES, Scramble};
use crate::auth::Plugin;
use crate::primitive::{Malformed, Reader, utf8};
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::packets::HandshakePacket;
use mysql_common::proto::MySerialize as _;

/// utf8mb4_general_ci: the only character set spoken here, and a collation that every client knows.
pub(crate) const COLLATION_UTF8MB4: u16 = 45;

/// Bytes of the fixed part of the client's answer; a request for TLS has nothing else.
const FIXED_BYTES: usize = 32;

/// What this server can do; TLS is added when there is a certificate. Not here: COMPRESS, LOCAL_FILES, SESSION_TRACK,
/// QUERY_ATTRIBUTES, OPTIONAL_RESULTSET_METADATA.
const CAPABILITIES: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_FOUND_ROWS)
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_ODBC)
    .union(CapabilityFlags::CLIENT_IGNORE_SPACE)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_INTERACTIVE)
    .union(CapabilityFlags::CLIENT_IGNORE_SIGPIPE)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

/// What the server offers; what both sides can is the intersection with the client's flags.
pub(crate) fn capabilities(tls: bool) -> CapabilityFlags {
    let mut capabilities = CAPABILITIES;
    capabilities.set(CapabilityFlags::CLIENT_SSL, tls);
    capabilities
}

/// The payload of the greeting.
pub(crate) fn greeting(
    version: &str,
    connection_id: u32,
    scramble: &Scramble,
    tls: bool,
    plugin: Plugin,
) -> Vec<u8> {
    let (first, second) = scramble.split_first_chunk::<8>().map_or(([0; 8], &[][..]), |(a, b)| (*a, b));
    let second = [second, &[0]].concat();
    let mut payload = Vec::new();
    HandshakePacket::new(
        10,
        version.as_bytes(),
        connection_id,
        first,
        Some(second),
        capabilities(tls),
        COLLATION_UTF8MB4 as u8,
        StatusFlags::SERVER_STATUS_AUTOCOMMIT,
        Some(plugin.name().as_bytes()),
    )
    .serialize(&mut payload);
    payload
}

/// The payload that asks for a proof by another plugin.
pub(crate) fn switch_request(plugin: Plugin, scramble: &Scramble) -> Vec<u8> {
    let mut payload = Vec::with_capacity(2 + plugin.name().len() + SCRAMBLE_BYTES + 1);
    payload.push(0xFE);
    payload.extend_from_slice(plugin.name().as_bytes());
    payload.push(0);
    payload.extend_from_slice(scramble);
    payload.push(0);
    payload
}

/// The client's answer to the greeting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Begin TLS now; the real answer comes through it.
    StartTls,
    Login(LoginRequest),
}

/// Who wants in. The proof is not checked yet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LoginRequest {
    pub(crate) capabilities: CapabilityFlags,
    pub(crate) collation: u16,
    pub(crate) user: String,
    pub(crate) response: Vec<u8>,
    pub(crate) database: Option<String>,
    /// The plugin which made `response`; unset by clients from before plugins.
    pub(crate) plugin: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

/// Reads the first packet of a client.
pub(crate) fn parse_answer(payload: &[u8]) -> Result<Answer, Malformed> {
    let mut reader = Reader::new(payload);
    let capabilities = CapabilityFlags::from_bits_truncate(reader.u32("capability flags")?);
    if !capabilities.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
        return Err(Malformed(
            "the client does not speak protocol 4.1; use one of MySQL 5.0 or newer".into(),
        ));
    }
    reader.u32("maximal packet size")?;
    let collation = u16::from(reader.u8("character set")?);
    reader.bytes(23, "reserved bytes")?;
    if payload.len() == FIXED_BYTES && capabilities.contains(CapabilityFlags::CLIENT_SSL) {
        return Ok(Answer::StartTls);
    }
    if !capabilities.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        return Err(Malformed("the client wants passwords of before MySQL 4.1, which are not safe".into()));
    }
    let user = utf8(reader.nul_bytes("user name")?, "user name")?.to_owned();
    let response = if capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        reader.lenenc_bytes("password proof")?
    } else {
        let length = reader.u8("length of the password proof")?;
        reader.bytes(usize::from(length), "password proof")?
    }
    .to_vec();
    let database = match capabilities.contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB) {
        true => named_database(reader.nul_or_end_bytes())?,
        false => None,
    };
    let plugin = parse_plugin(&mut reader, capabilities)?;
    let attributes = parse_attributes(&mut reader, capabilities)?;
    let request = LoginRequest { capabilities, collation, user, response, database, plugin, attributes };
    Ok(Answer::Login(request))
}

/// Reads a COM_CHANGE_USER packet behind its command byte. `capabilities` are the connection's.
pub(crate) fn parse_change_user(
    payload: &[u8],
    capabilities: CapabilityFlags,
) -> Result<LoginRequest, Malformed> {
    let mut reader = Reader::new(payload);
    let user = utf8(reader.nul_bytes("user name")?, "user name")?.to_owned();
    let length = reader.u8("length of the password proof")?;
    let response = reader.bytes(usize::from(length), "password proof")?.to_vec();
    let database = named_database(reader.nul_or_end_bytes())?;
    let mut request = LoginRequest {
        capabilities,
        collation: COLLATION_UTF8MB4,
        user,
        response,
        database,
        plugin: None,
        attributes: Vec::new(),
    };
    if !reader.is_empty() {
        request.collation = reader.u16("character set")?;
        request.plugin = parse_plugin(&mut reader, capabilities)?;
        request.attributes = parse_attributes(&mut reader, capabilities)?;
    }
    Ok(request)
}

/// An empty name means no database.
fn named_database(bytes: &[u8]) -> Result<Option<String>, Malformed> {
    let name = utf8(bytes, "database name")?;
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn parse_plugin(reader: &mut Reader<'_>, flags: CapabilityFlags) -> Result<Option<String>, Malformed> {
    if !flags.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) {
        return Ok(None);
    }
    let name = utf8(reader.nul_or_end_bytes(), "plugin name")?;
    Ok(Some(name.to_owned()))
}

/// Some clients set the flag and send nothing; what is sent must be whole. Attributes are only shown, so bytes that
/// are not UTF-8 are replaced.
fn parse_attributes(
    reader: &mut Reader<'_>,
    flags: CapabilityFlags,
) -> Result<Vec<(String, String)>, Malformed> {
    if !flags.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS) || reader.is_empty() {
        return Ok(Vec::new());
    }
    let mut block = Reader::new(reader.lenenc_bytes("connection attributes")?);
    let mut attributes = Vec::new();
    while !block.is_empty() {
        let name = String::from_utf8_lossy(block.lenenc_bytes("attribute name")?);
        let value = String::from_utf8_lossy(block.lenenc_bytes("attribute value")?);
        attributes.push((name.into_owned(), value.into_owned()));
    }
    Ok(attributes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mysql_common::io::ParseBuf;
    use mysql_common::packets::{
        AuthPlugin, AuthSwitchRequest, ComChangeUser, ComChangeUserMoreData, HandshakeResponse, SslRequest,
    };
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn bytes(packet: &impl mysql_common::proto::MySerialize) -> Vec<u8> {
        let mut out = Vec::new();
        packet.serialize(&mut out);
        out
    }

    fn login(payload: &[u8]) -> LoginRequest {
        match parse_answer(payload).unwrap() {
            Answer::Login(request) => request,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_client_library_reads_the_greeting() {
        let scramble: Scramble = std::array::from_fn(|n| n as u8 + 1);
        for tls in [false, true] {
            let payload = greeting("8.0.33", 77, &scramble, tls, Plugin::Native);
            let packet: HandshakePacket<'_> = ParseBuf(&payload).parse(()).unwrap();
            assert_eq!((packet.connection_id(), packet.server_version_parsed()), (77, Some((8, 0, 33))));
            assert_eq!(packet.nonce(), scramble);
            assert_eq!(packet.auth_plugin(), Some(AuthPlugin::MysqlNativePassword));
            assert_eq!(packet.capabilities(), capabilities(tls));
            assert_eq!(packet.capabilities().contains(CapabilityFlags::CLIENT_SSL), tls);
        }
    }

    #[test]
    fn a_client_library_reads_a_switch_request() {
        let payload = switch_request(Plugin::CachingSha2, &[9; 20]);
        let packet: AuthSwitchRequest<'_> = ParseBuf(&payload).parse(()).unwrap();
        assert_eq!(packet.auth_plugin(), AuthPlugin::CachingSha2Password);
        assert_eq!(packet.plugin_data(), [9; 20]);
    }

    #[test]
    fn a_client_librarys_answers_are_read() {
        let full = CapabilityFlags::CLIENT_PROTOCOL_41
            | CapabilityFlags::CLIENT_SECURE_CONNECTION
            | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
        let short = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SECURE_CONNECTION;
        for flags in [full, short] {
            let packet = HandshakeResponse::new(
                Some(&b"proof"[..]),
                (8, 0, 33),
                Some(&b"ann"[..]),
                Some(&b"default_catalog.tpch"[..]),
                Some(AuthPlugin::CachingSha2Password),
                flags,
                Some(HashMap::from([("_os".to_owned(), "Linux".to_owned())])),
                1 << 24,
            );
            let request = login(&bytes(&packet));
            assert_eq!(request.user, "ann");
            assert_eq!(request.response, b"proof");
            assert_eq!(request.database.as_deref(), Some("default_catalog.tpch"));
            assert_eq!(request.plugin.as_deref(), Some("caching_sha2_password"));
            assert_eq!(request.attributes, [("_os".to_owned(), "Linux".to_owned())]);
        }
    }

    #[test]
    fn a_request_for_tls_is_only_the_fixed_part() {
        let flags = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SSL;
        assert_eq!(parse_answer(&bytes(&SslRequest::new(flags, 1 << 24, 45))), Ok(Answer::StartTls));
    }

    #[test]
    fn a_client_librarys_change_of_user_is_read() {
        let flags = capabilities(false);
        let packet = ComChangeUser::new()
            .with_user(Some(&b"bob"[..]))
            .with_database(Some(&b"db"[..]))
            .with_auth_plugin_data(Some(&b"xyz"[..]))
            .with_more_data(Some(
                ComChangeUserMoreData::new(45).with_auth_plugin(Some(AuthPlugin::MysqlNativePassword)),
            ));
        let request = parse_change_user(&bytes(&packet)[1..], flags).unwrap();
        assert_eq!((request.user.as_str(), request.database.as_deref()), ("bob", Some("db")));
        assert_eq!((request.response.as_slice(), request.collation), (&b"xyz"[..], 45));
        assert_eq!(request.plugin.as_deref(), Some("mysql_native_password"));
    }

    #[test]
    fn bad_answers_are_refused_by_name() {
        let head = |flags: CapabilityFlags| {
            let mut head = flags.bits().to_le_bytes().to_vec();
            head.resize(FIXED_BYTES, 0);
            head
        };
        let usual = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SECURE_CONNECTION;
        let check = |payload: &[u8], expected: &str| {
            let error = parse_answer(payload).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(b"", "capability flags needs 4 bytes");
        check(&[0; 32], "the client does not speak protocol 4.1");
        check(&head(usual)[..20], "reserved bytes needs 23 bytes");
        check(&head(CapabilityFlags::CLIENT_PROTOCOL_41), "the client wants passwords of before");
        check(&head(usual), "user name is not ended");
        check(&[&head(usual)[..], b"\xFF\xFE\0"].concat(), "user name is not UTF-8");
        check(&[&head(usual)[..], b"ann\0\xFFabc"].concat(), "password proof needs 255 bytes");
        let lenenc = usual | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
        let huge = [0xFE, 255, 255, 255, 255, 255, 255, 255, 255];
        check(&[&head(lenenc)[..], b"ann\0", &huge].concat(), "password proof needs 18446744073709551615");
        let attrs = usual | CapabilityFlags::CLIENT_CONNECT_ATTRS;
        check(&[&head(attrs)[..], b"ann\0\0\x05\x09ab"].concat(), "connection attributes needs 5 bytes");
        check(&[&head(attrs)[..], b"ann\0\0\x03\x09ab"].concat(), "attribute name needs 9 bytes");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(flags: u32, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let payload = [&flags.to_le_bytes()[..], &tail].concat();
            let _ = parse_answer(&payload);
            let _ = parse_change_user(&tail, CapabilityFlags::from_bits_truncate(flags));
            // The flags of a real client, so that the parser goes on to the later fields.
            let real = capabilities(false).bits().to_le_bytes();
            let _ = parse_answer(&[&real[..], &[0; 28], b"ann\0", &tail].concat());
        }
    }
}
