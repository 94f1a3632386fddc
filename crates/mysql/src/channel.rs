//! One connection's bytes: reading packets from it, buffering and sending packets to it, starting TLS on it.

use crate::frame::{Assembler, FrameError, Progress, append_packet};
use crate::reply::{ErrorReply, put_err};
use bytes::{Bytes, BytesMut};
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio_rustls::TlsAcceptor;

/// Anything that carries bytes both ways: a socket, TLS over one, a pipe in a test.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Answers are sent when this many bytes have gathered.
pub(crate) const FLUSH_BYTES: usize = 64 << 10;
/// The buffers are given back above this size.
const KEEP_BYTES_MAX: usize = 1 << 20;
/// Read at once, and kept of what a client sends while its query runs.
const READ_BYTES: usize = 16 << 10;

/// For a client to take the error that ends its connection, and to close it.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said so or went away, or cannot be written to.
    Gone(io::Error),
    /// The client is told why first.
    Refused(ErrorReply),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ErrorReply> for End {
    fn from(reply: ErrorReply) -> Self {
        Self::Refused(reply)
    }
}

/// Both directions; separate so that the socket can be watched while an answer is written.
pub(crate) struct Channel {
    pub(crate) input: Input,
    pub(crate) output: Output,
}

impl Channel {
    /// `packet_bytes_max` bounds what the client may send until [`Input::trust`].
    pub(crate) fn new(io: Box<dyn Io>, packet_bytes_max: usize, write_timeout: Duration) -> Self {
        let (read, write) = tokio::io::split(io);
        let assembler = Assembler::new(packet_bytes_max);
        Self {
            input: Input { read, buffer: BytesMut::new(), assembler, read_ahead: false },
            output: Output {
                write,
                buffer: Vec::new(),
                sent: 0,
                sequence: 0,
                torn_at: None,
                write_timeout,
                with_sql_state: false,
            },
        }
    }

    /// Sends what is buffered and reads the next packet of a dialogue: its number follows the last one sent.
    pub(crate) async fn ask(&mut self) -> Result<Bytes, End> {
        self.output.flush().await?;
        self.input.assembler.expect_sequence(self.output.sequence);
        let packet = self.input.packet().await?;
        self.output.sequence = self.input.assembler.sequence();
        Ok(packet)
    }

    /// Reads the next command: the numbers begin anew.
    pub(crate) async fn command(&mut self) -> Result<Bytes, End> {
        self.input.assembler.expect_sequence(0);
        let packet = self.input.packet().await?;
        self.output.sequence = self.input.assembler.sequence();
        Ok(packet)
    }

    /// Continues through TLS. Nothing of the plain connection is left over: `ask` reads no byte beyond its packet.
    pub(crate) async fn start_tls(self, acceptor: &TlsAcceptor) -> Result<Self, End> {
        let Self { input, output } = self;
        if !input.buffer.is_empty() {
            let stray = "the client sent data between its request for TLS and TLS itself";
            return Err(io::Error::new(io::ErrorKind::InvalidData, stray).into());
        }
        let io = input.read.unsplit(output.write);
        let stream = acceptor.accept(io).await?;
        let mut channel = Self::new(Box::new(stream), 0, output.write_timeout);
        channel.input.assembler = input.assembler;
        channel.output.sequence = output.sequence;
        Ok(channel)
    }

    /// Tells the client why the connection ends, if it still listens.
    pub(crate) async fn refuse(&mut self, reply: &ErrorReply) {
        self.output.err(reply);
        let told = async {
            self.output.flush().await?;
            self.output.write.shutdown().await?;
            // Closing a socket with unread bytes resets it, which can destroy the error on its way.
            let mut rest = [0; 4096];
            while self.input.read.read(&mut rest).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // Whether it worked or not, the connection ends.
        let _ = tokio::time::timeout(LINGER, told).await;
    }
}

/// The client's packets.
pub(crate) struct Input {
    read: ReadHalf<Box<dyn Io>>,
    buffer: BytesMut,
    assembler: Assembler,
    /// May read beyond the current packet; not before TLS had its chance to start.
    read_ahead: bool,
}

impl Input {
    /// From now on (after login) the client may send packets of `bytes_max` bytes, several at a time.
    pub(crate) fn trust(&mut self, bytes_max: usize) {
        self.assembler.set_bytes_max(bytes_max);
        self.read_ahead = true;
    }

    async fn packet(&mut self) -> Result<Bytes, End> {
        loop {
            match self.assembler.next(&mut self.buffer)? {
                Progress::Packet(packet) => return Ok(packet),
                Progress::Need(missing) if self.read_ahead => self.fill(missing.max(READ_BYTES)).await?,
                Progress::Need(missing) => self.fill(missing).await?,
            }
        }
    }

    /// Reads at least one and at most `bytes_max` bytes. The buffer grows with what arrives, not with what a header
    /// announces.
    async fn fill(&mut self, bytes_max: usize) -> io::Result<()> {
        let step = bytes_max.min(FLUSH_BYTES);
        self.buffer.reserve(step);
        match (&mut self.read).take(bytes_max as u64).read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client closed the connection")),
            _ => Ok(()),
        }
    }

    /// Returns when the client has gone away. What it sends meanwhile is kept for later; once that is much, its
    /// going away is not noticed any more. Can be dropped without losing anything.
    pub(crate) async fn gone(&mut self) -> io::Error {
        while self.buffer.len() < READ_BYTES {
            if let Err(error) = self.fill(READ_BYTES).await {
                return error;
            }
        }
        std::future::pending().await
    }
}

/// Packets to the client, gathered in one buffer. Dropping a future of it at any point loses and doubles nothing.
pub(crate) struct Output {
    write: WriteHalf<Box<dyn Io>>,
    buffer: Vec<u8>,
    /// How much of `buffer` the socket has taken.
    sent: usize,
    sequence: u8,
    /// Where a packet begins which is being built; still set when building it panicked.
    torn_at: Option<usize>,
    write_timeout: Duration,
    with_sql_state: bool,
}

impl Output {
    /// Appends a packet with the payload that `write` appends; on an error of `write` nothing is appended.
    pub(crate) fn packet<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.torn_at = Some(self.buffer.len());
        let outcome = append_packet(&mut self.buffer, &mut self.sequence, write);
        self.torn_at = None;
        outcome
    }

    /// Appends a packet that cannot fail.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let Ok(()) = self.packet(|out| {
            write(out);
            Ok::<_, Infallible>(())
        });
    }

    /// Appends an ERR packet.
    pub(crate) fn err(&mut self, reply: &ErrorReply) {
        let with_sql_state = self.with_sql_state;
        self.put(|out| put_err(out, reply, with_sql_state));
    }

    /// The client's capabilities are known now: errors carry an SQLSTATE.
    pub(crate) fn send_sql_states(&mut self) {
        self.with_sql_state = true;
    }

    /// Removes what a panic left of a packet.
    pub(crate) fn discard_torn(&mut self) {
        if let Some(start) = self.torn_at.take() {
            self.buffer.truncate(start);
        }
    }

    /// Whether enough has gathered to be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= FLUSH_BYTES
    }

    /// Sends all packets. The client must take some bytes within the write timeout, again and again.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let taken = tokio::time::timeout(self.write_timeout, self.write.write(rest)).await;
            match taken.map_err(|_| self.too_slow())?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => self.sent += taken,
            }
        }
        tokio::time::timeout(self.write_timeout, self.write.flush()).await.map_err(|_| self.too_slow())??;
        self.sent = 0;
        self.buffer.clear();
        self.buffer.shrink_to(KEEP_BYTES_MAX);
        Ok(())
    }

    fn too_slow(&self) -> io::Error {
        let timeout_ms = self.write_timeout.as_millis();
        let message = format!("the client took no byte of its answer for {timeout_ms} ms");
        io::Error::new(io::ErrorKind::TimedOut, message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    fn channel(pipe_bytes: usize) -> (Channel, DuplexStream) {
        let (ours, theirs) = duplex(pipe_bytes);
        (Channel::new(Box::new(ours), 1000, Duration::from_millis(50)), theirs)
    }

    #[tokio::test]
    async fn a_dialogue_counts_on_and_a_command_begins_anew() {
        let (mut channel, mut client) = channel(1000);
        channel.output.put(|out| out.extend_from_slice(b"hi"));
        client.write_all(&[1, 0, 0, 1, b'a', 1, 0, 0, 0, b'b']).await.unwrap();
        assert_eq!(&channel.ask().await.unwrap()[..], b"a");
        channel.output.put(|out| out.push(b'!'));
        channel.output.flush().await.unwrap();
        assert_eq!(&channel.command().await.unwrap()[..], b"b");
        let mut sent = [0; 11];
        client.read_exact(&mut sent).await.unwrap();
        assert_eq!(&sent, &[2, 0, 0, 0, b'h', b'i', 1, 0, 0, 2, b'!']);
    }

    #[tokio::test]
    async fn before_login_nothing_beyond_a_packet_is_read() {
        let (mut channel, mut client) = channel(1000);
        client.write_all(&[1, 0, 0, 0, b'a', 22, 3, 1]).await.unwrap();
        assert_eq!(&channel.ask().await.unwrap()[..], b"a");
        assert!(channel.input.buffer.is_empty(), "a TLS greeting behind it belongs to TLS");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut channel, _client) = channel(10);
        channel.output.put(|out| out.resize(100, 0));
        assert_eq!(channel.output.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_dropped_flush_goes_on_where_it_stopped() {
        let (mut channel, mut client) = channel(10);
        channel.output.put(|out| out.extend(0..100));
        assert!(futures::poll!(Box::pin(channel.output.flush())).is_pending());
        let reader = async {
            let mut all = vec![0; 104];
            client.read_exact(&mut all).await.unwrap();
            all
        };
        let (flushed, all) = tokio::join!(channel.output.flush(), reader);
        flushed.unwrap();
        assert_eq!(all[4..], (0..100).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn what_a_client_sends_early_is_kept_while_it_is_watched() {
        let (mut channel, mut client) = channel(1000);
        client.write_all(&[1, 0, 0, 0, b'x']).await.unwrap();
        assert!(futures::poll!(Box::pin(channel.input.gone())).is_pending());
        drop(client);
        assert_eq!(channel.input.gone().await.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(&channel.command().await.unwrap()[..], b"x");
    }

    #[test]
    fn a_torn_packet_is_discarded() {
        let (mut channel, _client) = channel(10);
        channel.output.put(|out| out.push(1));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            channel.output.put(|out| {
                out.push(2);
                panic!("in the middle of a row");
            });
        }));
        assert!(panicked.is_err());
        channel.output.discard_torn();
        assert_eq!(channel.output.buffer, [1, 0, 0, 0, 1]);
    }
}
