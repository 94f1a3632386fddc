//! Compressed input, one chunk at a time: give compressed bytes with [`Decompressor::push`], take plain ones with
//! [`Decompressor::pull`] in portions of a size you choose. A few bytes that stand for gigabytes therefore cost
//! time, never memory.
//!
//! Several compressed streams one after the other count as one, as their command line tools have it.

mod lz4;

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind as IoErrorKind, Read};

use bytes::{Buf, Bytes};
use cairn_types::{Error, Result};

/// A way to compress a whole file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    Gzip,
    Zstd,
    Lz4Frame,
}

impl Compression {
    /// Reads the name a load gives; `None` for no compression.
    ///
    /// # Errors
    /// `Unsupported` naming it, when Cairn does not have it.
    pub fn parse(name: &str) -> Result<Option<Self>> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "none" | "uncompressed" | "identity" => Ok(None),
            "gzip" | "gz" => Ok(Some(Self::Gzip)),
            "zstd" | "zstandard" => Ok(Some(Self::Zstd)),
            "lz4_frame" | "lz4" => Ok(Some(Self::Lz4Frame)),
            _ => Err(Error::unsupported(format!(
                "Compression '{name}' is not supported. Use gzip, zstd or lz4_frame, or send the data uncompressed"
            ))),
        }
    }

    /// The compression that the name of a file tells.
    ///
    /// # Errors
    /// `Unsupported` for an ending that stands for a compression Cairn does not have.
    pub fn of_file_name(name: &str) -> Result<Option<Self>> {
        match name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
            Some("gz") => Ok(Some(Self::Gzip)),
            Some("zst") => Ok(Some(Self::Zstd)),
            Some("lz4") => Ok(Some(Self::Lz4Frame)),
            Some("bz2") => Self::parse("bzip2"),
            Some("snappy") => Self::parse("snappy"),
            _ => Ok(None),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4Frame => "lz4_frame",
        }
    }
}

/// What a [`Decompressor::pull`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pull {
    /// Plain bytes were appended; there may be more.
    More,
    /// Everything pushed so far is used up: push more, or end the input.
    NeedInput,
    /// The input has ended and all of it was given.
    End,
}

/// Decompresses a stream.
pub struct Decompressor {
    kind: Compression,
    /// Compressed bytes were pushed.
    any_input: bool,
    /// Where the readers put plain bytes; made once, because they need initialized memory.
    space: Vec<u8>,
    reader: Reader,
}

enum Reader {
    Gzip(Box<flate2::bufread::MultiGzDecoder<Feed>>),
    Zstd(zstd::stream::read::Decoder<'static, Feed>),
    Lz4(Box<lz4::Lz4Reader>),
}

impl Decompressor {
    /// A decompressor at the start of a stream.
    ///
    /// # Errors
    /// `ResourceExhausted` when the library cannot get its memory.
    pub fn new(kind: Compression) -> Result<Self> {
        let reader = match kind {
            Compression::Gzip => {
                Reader::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(Feed::default())))
            }
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(Feed::default());
                Reader::Zstd(
                    decoder.map_err(|e| Error::resource_exhausted(format!("Cannot start zstd: {e}")))?,
                )
            }
            Compression::Lz4Frame => Reader::Lz4(Box::default()),
        };
        Ok(Self { kind, any_input: false, space: vec![0; PORTION_BYTES], reader })
    }

    /// Adds compressed bytes. They are held until they are pulled through, so pull until `NeedInput` in between.
    pub fn push(&mut self, input: Bytes) {
        if !input.is_empty() {
            self.any_input = true;
            self.feed().chunks.push_back(input);
        }
    }

    /// No more bytes will be pushed.
    pub fn end_input(&mut self) {
        self.feed().ended = true;
    }

    fn feed(&mut self) -> &mut Feed {
        match &mut self.reader {
            Reader::Gzip(reader) => reader.get_mut(),
            Reader::Zstd(reader) => reader.get_mut(),
            Reader::Lz4(reader) => reader.feed(),
        }
    }

    /// Appends at most `bytes_max` plain bytes to `out`.
    ///
    /// # Errors
    /// `InvalidValue` when the input is broken or ends too early.
    pub fn pull(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> Result<Pull> {
        if !self.any_input {
            return Ok(if self.feed().ended { Pull::End } else { Pull::NeedInput });
        }
        let before = out.len();
        loop {
            let left = bytes_max.max(1) - (out.len() - before);
            let portion = left.min(PORTION_BYTES);
            let space = self.space.get_mut(..portion).unwrap_or_default();
            let read = match &mut self.reader {
                Reader::Gzip(reader) => reader.read(space),
                Reader::Zstd(reader) => reader.read(space),
                Reader::Lz4(reader) => reader.read(space),
            };
            match read {
                Ok(bytes) if bytes > 0 => {
                    out.extend_from_slice(space.get(..bytes).unwrap_or_default());
                    if out.len() - before >= bytes_max.max(1) {
                        return Ok(Pull::More);
                    }
                }
                // What was got so far is given out first; the next call comes to the same end.
                _ if out.len() > before => return self.after_some(read),
                Ok(_) => return Ok(Pull::End),
                Err(e) if e.kind() == IoErrorKind::WouldBlock => return Ok(Pull::NeedInput),
                Err(e) => return Err(self.broken(&e)),
            }
        }
    }

    /// How a pull ends that has already appended something.
    fn after_some(&self, read: io::Result<usize>) -> Result<Pull> {
        match read {
            Err(e) if e.kind() != IoErrorKind::WouldBlock => Err(self.broken(&e)),
            _ => Ok(Pull::More),
        }
    }

    fn broken(&self, error: &io::Error) -> Error {
        let name = self.kind.name();
        Error::invalid_value(match error.kind() {
            IoErrorKind::UnexpectedEof => {
                format!("The {name} data ends too early: it was cut off before it was sent completely")
            }
            _ => format!("The data is no sound {name}: {error}. Check the compression that the load names"),
        })
    }
}

/// Bytes that are decompressed at a time.
const PORTION_BYTES: usize = 64 << 10;

/// Input for readers that pull: what was pushed, then "would block" until more comes.
#[derive(Default)]
pub(crate) struct Feed {
    chunks: VecDeque<Bytes>,
    ended: bool,
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
        match self.chunks.front() {
            Some(chunk) => Ok(chunk),
            None if self.ended => Ok(&[]),
            None => Err(IoErrorKind::WouldBlock.into()),
        }
    }

    fn consume(&mut self, bytes: usize) {
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.advance(bytes.min(chunk.len()));
        }
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(out)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn compress(kind: Compression, plain: &[u8]) -> Vec<u8> {
        match kind {
            Compression::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(plain).unwrap();
                writer.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(plain, 1).unwrap(),
            Compression::Lz4Frame => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_checksums(true)
                    .content_checksum(true)
                    .block_mode(lz4_flex::frame::BlockMode::Linked);
                let mut writer = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                writer.write_all(plain).unwrap();
                writer.finish().unwrap()
            }
        }
    }

    fn decompress(kind: Compression, input: &[u8], chunk_bytes: usize, pull_bytes: usize) -> Result<Vec<u8>> {
        let mut decompressor = Decompressor::new(kind)?;
        let mut out = Vec::new();
        let mut chunks = input.chunks(chunk_bytes);
        loop {
            let before = out.len();
            let pulled = decompressor.pull(&mut out, pull_bytes)?;
            assert!(out.len() - before <= pull_bytes, "output is bounded");
            match pulled {
                Pull::More => {}
                Pull::End => return Ok(out),
                Pull::NeedInput => match chunks.next() {
                    Some(chunk) => decompressor.push(Bytes::copy_from_slice(chunk)),
                    None => decompressor.end_input(),
                },
            }
        }
    }

    const KINDS: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::Lz4Frame];

    fn sample(rows: u32) -> Vec<u8> {
        (0..rows).flat_map(|n| format!("{}|{}\n", n, n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
    }

    #[test]
    fn streams_come_back_however_they_are_cut() {
        let (small, large) = (sample(3_000), sample(30_000));
        for kind in KINDS {
            for (plain, chunk_bytes, pull_bytes) in
                [(&small, 1, 100_000), (&small, 7, 1000), (&large, 100_000, 1 << 20)]
            {
                let packed = compress(kind, plain);
                assert!(decompress(kind, &packed, chunk_bytes, pull_bytes).unwrap() == *plain, "{kind:?}");
            }
        }
    }

    #[test]
    fn joined_streams_are_one() {
        for kind in KINDS {
            let packed = [compress(kind, b"one,"), compress(kind, b""), compress(kind, b"two")].concat();
            assert_eq!(decompress(kind, &packed, 5, 100).unwrap(), b"one,two", "{kind:?}");
            assert_eq!(decompress(kind, &[], 5, 100).unwrap(), b"", "{kind:?}");
        }
    }

    #[test]
    fn broken_and_cut_streams_are_errors() {
        let plain = sample(30_000);
        for kind in KINDS {
            let packed = compress(kind, &plain);
            assert!(decompress(kind, b"plain text, longer than any header", 5, 100).is_err(), "{kind:?}");
            for cut in [1, 3, 9, packed.len() / 2, packed.len() - 1] {
                assert!(decompress(kind, &packed[..cut], 4096, 4096).is_err(), "{kind:?} cut at {cut}");
            }
            if kind != Compression::Zstd {
                let mut flipped = packed.clone();
                flipped[packed.len() / 2] ^= 1;
                assert!(decompress(kind, &flipped, 4096, 4096).is_err(), "{kind:?} with a flipped bit");
            }
        }
    }

    #[test]
    fn garbage_never_panics() {
        let sound = KINDS.map(|kind| (kind, compress(kind, &sample(200))));
        let mut seed = 1u64;
        for (kind, packed) in sound.iter().cycle().take(300) {
            let (kind, mut packed) = (*kind, packed.clone());
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % packed.len();
                packed[at] = (seed >> 20) as u8;
            }
            let _ = decompress(kind, &packed, 64, 4096);
        }
    }

    #[test]
    fn unknown_compressions_are_refused_by_name() {
        assert_eq!(Compression::parse("GZIP").unwrap(), Some(Compression::Gzip));
        assert_eq!(Compression::of_file_name("a/b.csv.zst").unwrap(), Some(Compression::Zstd));
        assert_eq!(Compression::of_file_name("a/b.csv").unwrap(), None);
        assert!(Compression::parse("bzip2").unwrap_err().message().contains("bzip2"));
        assert!(Compression::of_file_name("x.bz2").is_err());
    }
}
