//! LZ4 frames. The library's decoder reads a block as a whole and cannot go on where its input broke off; so this
//! reader follows the frame's outer structure and hands over only complete parts: a header, a block, an end.

use std::io::{self, BufRead, ErrorKind, Read};

use lz4_flex::frame::FrameDecoder;

use crate::decompress::Feed;

const FRAME_MAGIC: u32 = 0x184D_2204;
/// Frames with these sixteen magics are to be skipped.
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;
/// The largest block the format knows.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Decodes pushed LZ4 frames.
pub(crate) struct Lz4Reader {
    feed: Feed,
    /// The part that is being collected.
    part: Vec<u8>,
    place: Place,
    decoder: FrameDecoder<Parts>,
}

/// Complete parts for the decoder. Between parts it sees an end of input, on which it keeps its state.
#[derive(Default)]
struct Parts {
    part: Vec<u8>,
    taken: usize,
}

impl Read for Parts {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.part.get(self.taken..).unwrap_or_default().read(out)?;
        self.taken += bytes;
        Ok(bytes)
    }
}

/// What comes next in the input.
#[derive(Clone, Copy)]
enum Place {
    Frame,
    Block { block_checksum: usize, content_checksum: usize },
    Skip { bytes: usize },
}

impl Default for Lz4Reader {
    fn default() -> Self {
        let decoder = FrameDecoder::new(Parts::default());
        Self { feed: Feed::default(), part: Vec::new(), place: Place::Frame, decoder }
    }
}

impl Lz4Reader {
    pub(crate) fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }

    /// Like [`Read::read`]; `WouldBlock` when more input is needed.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let bytes = self.decoder.read(out)?;
            let parts = self.decoder.get_ref();
            if bytes > 0 {
                return Ok(bytes);
            }
            // Zero also comes from an empty block or an end mark with more behind it in the part.
            if parts.taken < parts.part.len() {
                continue;
            }
            if !self.next_part()? {
                return Ok(0);
            }
        }
    }

    /// Hands the next complete part to the decoder; `false` when the input has ended between frames.
    fn next_part(&mut self) -> io::Result<bool> {
        loop {
            match self.place {
                Place::Frame => {
                    if self.part.is_empty() && self.feed.fill_buf()?.is_empty() {
                        return Ok(false);
                    }
                    let magic = self.number_at(0)?;
                    if magic & 0xffff_fff0 == SKIPPABLE_MAGIC {
                        let bytes = self.number_at(4)? as usize;
                        self.part.clear();
                        self.place = Place::Skip { bytes };
                        continue;
                    }
                    if magic != FRAME_MAGIC {
                        return Err(io::Error::new(
                            ErrorKind::InvalidData,
                            "it does not begin like an LZ4 frame",
                        ));
                    }
                    self.need(6)?;
                    let flags = self.part.get(4).copied().unwrap_or(0);
                    let bit = |bit: u8| usize::from(flags >> bit & 1);
                    self.need(7 + 8 * bit(3) + 4 * bit(0))?;
                    self.place = Place::Block { block_checksum: 4 * bit(4), content_checksum: 4 * bit(2) };
                }
                Place::Block { block_checksum, content_checksum } => {
                    let size = self.number_at(0)?;
                    let bytes = (size & 0x7fff_ffff) as usize;
                    if bytes > BLOCK_BYTES_MAX {
                        return Err(io::Error::new(ErrorKind::InvalidData, "a block is too large"));
                    }
                    if size == 0 {
                        self.need(4 + content_checksum)?;
                        self.place = Place::Frame;
                    } else {
                        self.need(4 + bytes + block_checksum)?;
                    }
                }
                Place::Skip { bytes: 0 } => {
                    self.place = Place::Frame;
                    continue;
                }
                Place::Skip { bytes } => {
                    let there = self.fill()?.min(bytes);
                    self.feed.consume(there);
                    self.place = Place::Skip { bytes: bytes - there };
                    continue;
                }
            }
            let parts = self.decoder.get_mut();
            parts.part.clear();
            parts.taken = 0;
            std::mem::swap(&mut parts.part, &mut self.part);
            return Ok(true);
        }
    }

    /// Bytes that can be taken now, at least one.
    fn fill(&mut self) -> io::Result<usize> {
        match self.feed.fill_buf()?.len() {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            bytes => Ok(bytes),
        }
    }

    /// Collects the part until it has `bytes` bytes.
    fn need(&mut self, bytes: usize) -> io::Result<()> {
        while self.part.len() < bytes {
            let there = self.fill()?.min(bytes - self.part.len());
            let input = self.feed.fill_buf()?;
            self.part.extend_from_slice(input.get(..there).unwrap_or(input));
            self.feed.consume(there);
        }
        Ok(())
    }

    /// The 32-bit number at `at` in the part.
    fn number_at(&mut self, at: usize) -> io::Result<u32> {
        self.need(at + 4)?;
        let bytes = self.part.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        Ok(u32::from_le_bytes(bytes))
    }
}
