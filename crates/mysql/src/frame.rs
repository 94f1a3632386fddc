//! Packet framing. A packet is sent as chunks of `[length u24][sequence u8][payload]`; a chunk of 2^24-1 bytes says
//! that another follows. Pure: bytes in, packets out.

use bytes::{Bytes, BytesMut};

/// Payload bytes of the largest chunk; a chunk of exactly this size is followed by another (maybe empty) one.
pub(crate) const CHUNK_BYTES_MAX: usize = 0xFF_FFFF;
/// Bytes in front of each chunk.
pub(crate) const HEADER_BYTES: usize = 4;

/// Why a byte stream cannot be followed any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameError {
    /// The packet would have at least `announced` bytes where `bytes_max` are allowed.
    TooLarge {
        announced: usize,
        bytes_max: usize,
    },
    OutOfOrder {
        expected: u8,
        got: u8,
    },
}

/// What [`Assembler::next`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// A whole packet's payload.
    Packet(Bytes),
    /// Nothing whole yet: at least this many bytes must be appended first. Reading exactly as many never reads
    /// beyond the packet.
    Need(usize),
}

/// Puts packets together from whatever pieces arrive.
#[derive(Debug)]
pub(crate) struct Assembler {
    bytes_max: usize,
    sequence: u8,
    /// Chunks of a packet whose last chunk has not come yet.
    parts: BytesMut,
}

impl Assembler {
    /// Refuses packets with more than `bytes_max` payload bytes; expects sequence number 0 first.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, sequence: 0, parts: BytesMut::new() }
    }

    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The number that the next chunk must carry.
    pub(crate) fn expect_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// The number after the last chunk seen: an answer starts with it.
    pub(crate) fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Takes the next packet off the front of `buffer`.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Progress, FrameError> {
        loop {
            let Some(&[a, b, c, sequence]) = buffer.first_chunk::<HEADER_BYTES>() else {
                return Ok(Progress::Need(HEADER_BYTES - buffer.len()));
            };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            self.admit(length, sequence)?;
            let missing = (HEADER_BYTES + length).saturating_sub(buffer.len());
            if missing > 0 {
                return Ok(Progress::Need(missing));
            }
            let chunk = buffer.split_to(HEADER_BYTES + length).split_off(HEADER_BYTES);
            self.sequence = sequence.wrapping_add(1);
            if length == CHUNK_BYTES_MAX {
                self.parts.unsplit(chunk);
            } else if self.parts.is_empty() {
                return Ok(Progress::Packet(chunk.freeze()));
            } else {
                self.parts.extend_from_slice(&chunk);
                return Ok(Progress::Packet(std::mem::take(&mut self.parts).freeze()));
            }
        }
    }

    fn admit(&self, length: usize, sequence: u8) -> Result<(), FrameError> {
        let announced = self.parts.len() + length;
        if sequence != self.sequence {
            Err(FrameError::OutOfOrder { expected: self.sequence, got: sequence })
        } else if announced > self.bytes_max {
            Err(FrameError::TooLarge { announced, bytes_max: self.bytes_max })
        } else {
            Ok(())
        }
    }
}

/// Appends the packet whose payload `write` appends, in as many chunks as it takes, counting `sequence` up. When
/// `write` fails, `buffer` and `sequence` are as before.
pub(crate) fn append_packet<E>(
    buffer: &mut Vec<u8>,
    sequence: &mut u8,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEADER_BYTES]);
    if let Err(error) = write(buffer) {
        buffer.truncate(start);
        return Err(error);
    }
    let length = buffer.len().saturating_sub(start + HEADER_BYTES);
    if length < CHUNK_BYTES_MAX {
        if let Some(place) = buffer.get_mut(start..start + HEADER_BYTES) {
            place.copy_from_slice(&header(length, sequence));
        }
    } else {
        split_into_chunks(buffer, start, sequence);
    }
    Ok(())
}

/// Re-frames the too long payload that lies behind a header's place at `start`.
fn split_into_chunks(buffer: &mut Vec<u8>, start: usize, sequence: &mut u8) {
    let payload = buffer.split_off(start + HEADER_BYTES);
    buffer.truncate(start);
    for chunk in payload.chunks(CHUNK_BYTES_MAX) {
        buffer.extend_from_slice(&header(chunk.len(), sequence));
        buffer.extend_from_slice(chunk);
    }
    if payload.len().is_multiple_of(CHUNK_BYTES_MAX) {
        buffer.extend_from_slice(&header(0, sequence));
    }
}

/// The header of a chunk of `length` (at most [`CHUNK_BYTES_MAX`]) bytes; takes a sequence number.
fn header(length: usize, sequence: &mut u8) -> [u8; HEADER_BYTES] {
    let [a, b, c, ..] = length.to_le_bytes();
    let header = [a, b, c, *sequence];
    *sequence = sequence.wrapping_add(1);
    header
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn framed(payload: &[u8], sequence: &mut u8) -> Vec<u8> {
        let mut out = Vec::new();
        append_packet(&mut out, sequence, |out| {
            out.extend_from_slice(payload);
            Ok::<_, Infallible>(())
        })
        .unwrap();
        out
    }

    #[test]
    fn small_packets_are_one_chunk() {
        let mut sequence = 255;
        assert_eq!(framed(b"abc", &mut sequence), [3, 0, 0, 255, b'a', b'b', b'c']);
        assert_eq!(sequence, 0, "the number wraps");
    }

    #[test]
    fn packets_of_16_mib_and_more_are_several_chunks() {
        for (length, chunks) in [
            (CHUNK_BYTES_MAX - 1, 1),
            (CHUNK_BYTES_MAX, 2),
            (CHUNK_BYTES_MAX + 1, 2),
            (2 * CHUNK_BYTES_MAX, 3),
        ] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut sequence = 0;
            let bytes = framed(&payload, &mut sequence);
            assert_eq!(bytes.len(), length + chunks * HEADER_BYTES);
            assert_eq!(usize::from(sequence), chunks);
            let mut assembler = Assembler::new(usize::MAX);
            let packet = assembler.next(&mut BytesMut::from(&bytes[..])).unwrap();
            assert_eq!(packet, Progress::Packet(Bytes::from(payload)), "{length} bytes");
            assert_eq!(assembler.sequence(), sequence);
        }
    }

    #[test]
    fn a_failed_packet_leaves_no_trace() {
        let (mut buffer, mut sequence) = (vec![1, 2, 3], 7);
        let outcome = append_packet(&mut buffer, &mut sequence, |out| {
            out.push(9);
            Err("no")
        });
        assert_eq!((outcome, buffer, sequence), (Err("no"), vec![1, 2, 3], 7));
    }

    #[test]
    fn too_large_and_out_of_order_are_seen_in_the_header_alone() {
        let check = |header: &[u8], expected: Result<Progress, FrameError>| {
            assert_eq!(Assembler::new(10).next(&mut BytesMut::from(header)), expected);
        };
        check(&[], Ok(Progress::Need(4)));
        check(&[1, 0], Ok(Progress::Need(2)));
        check(&[10, 0, 0, 0], Ok(Progress::Need(10)));
        check(&[0, 0, 0, 0], Ok(Progress::Packet(Bytes::new())));
        check(&[11, 0, 0, 0], Err(FrameError::TooLarge { announced: 11, bytes_max: 10 }));
        check(&[255, 255, 255, 0], Err(FrameError::TooLarge { announced: 0xFF_FFFF, bytes_max: 10 }));
        check(&[1, 0, 0, 3, 9], Err(FrameError::OutOfOrder { expected: 0, got: 3 }));
    }

    #[test]
    fn the_sum_of_chunks_is_bounded() {
        let mut sequence = 0;
        let bytes = framed(&vec![0; CHUNK_BYTES_MAX + 5], &mut sequence);
        let outcome = Assembler::new(CHUNK_BYTES_MAX + 4).next(&mut BytesMut::from(&bytes[..]));
        let announced = CHUNK_BYTES_MAX + 5;
        assert_eq!(outcome, Err(FrameError::TooLarge { announced, bytes_max: CHUNK_BYTES_MAX + 4 }));
    }

    proptest! {
        /// Reading exactly what is asked for gives the same packets as having all at once, and never reads past one.
        #[test]
        fn any_slicing_gives_the_same_packets(payloads in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..300), 1..6)) {
            let mut sequence = 0;
            let stream: Vec<u8> = payloads.iter().flat_map(|p| framed(p, &mut sequence)).collect();
            let (mut assembler, mut buffer, mut at) = (Assembler::new(300), BytesMut::new(), 0);
            for payload in &payloads {
                let packet = loop {
                    match assembler.next(&mut buffer).unwrap() {
                        Progress::Packet(packet) => break packet,
                        Progress::Need(count) => {
                            buffer.extend_from_slice(&stream[at..at + count]);
                            at += count;
                        }
                    }
                };
                prop_assert_eq!(&packet[..], &payload[..]);
                prop_assert!(buffer.is_empty());
            }
            prop_assert_eq!(at, stream.len());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000), max in 0..3000_usize) {
            let _ = crate::fuzz::frames(&bytes, max);
        }
    }
}
