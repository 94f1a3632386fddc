//! A client that sends whatever a test wants.

use cairn_mysql::Io;
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse};
use mysql_common::proto::MySerialize as _;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub struct Raw {
    pub io: Box<dyn Io>,
    /// Of the last packet in either direction.
    pub sequence: u8,
    pub greeting: Vec<u8>,
}

/// The flags of an ordinary client of the time before DEPRECATE_EOF.
pub fn old_flags() -> CapabilityFlags {
    CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_TRANSACTIONS
}

impl Raw {
    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr) -> Self {
        let io = Box::new(TcpStream::connect(address).await.unwrap());
        let mut raw = Self { io, sequence: 0, greeting: Vec::new() };
        raw.greeting = raw.read().await.unwrap();
        raw
    }

    pub fn server_flags(&self) -> CapabilityFlags {
        ParseBuf(&self.greeting).parse::<HandshakePacket<'_>>(()).unwrap().capabilities()
    }

    pub fn nonce(&self) -> [u8; 20] {
        let packet = ParseBuf(&self.greeting).parse::<HandshakePacket<'_>>(()).unwrap();
        packet.nonce().try_into().unwrap()
    }

    /// The next packet's payload; `None` at the end of the stream.
    pub async fn read(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        self.io.read_exact(&mut header).await.ok()?;
        let [a, b, c, sequence] = header;
        self.sequence = sequence;
        let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        Some(payload)
    }

    /// Sends a packet with the next sequence number.
    pub async fn write(&mut self, payload: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = (payload.len() as u32).to_le_bytes();
        bytes[3] = self.sequence;
        self.bytes(&[&bytes, payload].concat()).await;
    }

    /// Sends a command and reads the first packet of the answer.
    pub async fn command(&mut self, payload: &[u8]) -> Vec<u8> {
        self.sequence = 255;
        self.write(payload).await;
        self.read().await.unwrap()
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Answers the greeting.
    pub async fn answer(&mut self, flags: CapabilityFlags, user: &str, proof: &[u8], plugin: Option<&str>) {
        let response = HandshakeResponse::new(
            Some(proof),
            (8, 0, 33),
            Some(user.as_bytes()),
            None::<&[u8]>,
            plugin.map(|name| AuthPlugin::from_bytes(name.as_bytes())),
            flags,
            None,
            1 << 24,
        );
        let mut payload = Vec::new();
        response.serialize(&mut payload);
        self.write(&payload).await;
    }

    /// Logs in as root, who has no password.
    pub async fn root(address: SocketAddr, flags: CapabilityFlags) -> Self {
        let mut raw = Self::connect(address).await;
        raw.answer(flags, "root", b"", None).await;
        assert_eq!(raw.read().await.unwrap()[0], 0, "OK");
        raw
    }
}

/// Number, state (if any) and text of an ERR packet.
pub fn error(packet: &[u8]) -> (u16, &str, &str) {
    assert_eq!(packet[0], 0xFF, "not an error: {packet:?}");
    let code = u16::from_le_bytes([packet[1], packet[2]]);
    let text = std::str::from_utf8(&packet[3..]).unwrap();
    match text.strip_prefix('#') {
        Some(rest) => (code, &rest[..5], &rest[5..]),
        None => (code, "", text),
    }
}
