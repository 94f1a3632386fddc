//! Framing of every byte that outlives a process.
//!
//! A frame is a 32-byte header and a body:
//!
//! ```text
//! offset  0  magic      8 bytes  "CAIRN\r\n\0"   (a text-mode copy or a cut file shows at once)
//! offset  8  format     u16 LE   what it is, see [`Format`]
//! offset 10  version    u16 LE   of that format
//! offset 12  reserved   u32      zero
//! offset 16  length     u64 LE   of the body in bytes
//! offset 24  body crc   u32 LE   CRC-32C of the body
//! offset 28  header crc u32 LE   CRC-32C of bytes 0..28
//! ```
//!
//! **Invariants**: a reader never takes damaged or foreign bytes for empty ones; an unknown version is a stop with
//! a message, never skipped; every (format, version) has a golden file in `tests/golden`.

use std::fmt;

use cairn_types::{Error, Result};

const MAGIC: [u8; 8] = *b"CAIRN\r\n\0";

/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = 32;

/// What a frame holds. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Format {
    /// Start of an image: JSON with the journal index it was cut at.
    ImageHeader = 1,
    /// One section of an image: a line of JSON about it, then one JSON record a line.
    ImageSection = 2,
    /// End of an image: JSON with counts and the checksum of all that stands before.
    ImageFooter = 3,
    /// A partition manifest (JSON).
    Manifest = 4,
    /// A journal entry: one command (JSON).
    JournalEntry = 5,
    /// A cluster snapshot's list of everything it reaches (JSON).
    SnapshotManifest = 6,
    /// The marker written last into a cluster snapshot (JSON).
    SnapshotMarker = 7,
    /// Who owns a cluster's folder in a volume since which epoch (JSON).
    Fence = 8,
    /// Whose data directory this is (JSON).
    Identity = 9,
    /// Small records of the journal beside its entries: vote, committed index, membership (JSON).
    JournalRecord = 10,
    /// Which copy of a data directory was started, and when (JSON).
    Start = 11,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImageHeader => "image header",
            Self::ImageSection => "image section",
            Self::ImageFooter => "image footer",
            Self::Manifest => "manifest",
            Self::JournalEntry => "journal entry",
            Self::SnapshotManifest => "snapshot manifest",
            Self::SnapshotMarker => "snapshot marker",
            Self::Fence => "fence",
            Self::Identity => "identity",
            Self::JournalRecord => "journal record",
            Self::Start => "start",
        })
    }
}

/// A frame as read: its format version and its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    pub version: u16,
    pub body: &'a [u8],
}

/// CRC-32C of `bytes`, the checksum used everywhere.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// CRC-32C of what `checksum` covers followed by `bytes`.
#[must_use]
pub fn checksum_append(checksum: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(checksum, bytes)
}

/// Puts `body` into a frame.
#[must_use]
pub fn seal(format: Format, version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    seal_into(&mut out, format, version, body);
    out
}

/// Appends a frame around `body` to `out`.
pub fn seal_into(out: &mut Vec<u8>, format: Format, version: u16, body: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(format as u16).to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(&checksum(body).to_le_bytes());
    let header_crc = checksum(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&header_crc.to_le_bytes());
    out.extend_from_slice(body);
}

/// Reads the one frame that `bytes` must be: of `format`, with a version in `1..=version_max`.
///
/// # Errors
/// `Corrupt`, naming what is wrong; the caller adds the name of the file.
pub fn open(bytes: &[u8], format: Format, version_max: u16) -> Result<Frame<'_>> {
    let (frame, rest) = open_prefix(bytes, format, version_max)?;
    if !rest.is_empty() {
        return Err(Error::corrupt(format!("{} bytes follow the {format}", rest.len())));
    }
    Ok(frame)
}

/// Reads the frame at the start of `bytes` and returns it with what follows.
///
/// # Errors
/// `Corrupt`, naming what is wrong; the caller adds the name of the file.
pub fn open_prefix(bytes: &[u8], format: Format, version_max: u16) -> Result<(Frame<'_>, &[u8])> {
    let short = || Error::corrupt(format!("cut short: {} bytes do not hold a {format}", bytes.len()));
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(short)?;
    let (sealed, header_crc) = header.split_last_chunk::<4>().ok_or_else(short)?;
    if !sealed.starts_with(&MAGIC) {
        return Err(Error::corrupt(format!("not a Cairn file (wrong magic where a {format} should begin)")));
    }
    if checksum(sealed) != u32::from_le_bytes(*header_crc) {
        return Err(Error::corrupt(format!("damaged header of a {format} (checksum differs)")));
    }
    let found = u16_at(header, 8);
    if found != format as u16 {
        return Err(Error::corrupt(format!(
            "expected a {format} (format {}), found format {found}",
            format as u16
        )));
    }
    let version = u16_at(header, 10);
    if version == 0 || version > version_max {
        return Err(Error::corrupt(format!(
            "{format} has version {version}, this Cairn reads up to {version_max}: use the Cairn that wrote it, or a newer one"
        )));
    }
    let body_len = usize::try_from(u64_at(header, 16)).map_err(|_| short())?;
    let (body, rest) = rest.split_at_checked(body_len).ok_or_else(|| {
        Error::corrupt(format!("cut short: a {format} of {body_len} bytes has only {}", rest.len()))
    })?;
    if checksum(body) != u32_at(header, 24) {
        return Err(Error::corrupt(format!("damaged {format} (checksum of its {body_len} bytes differs)")));
    }
    Ok((Frame { version, body }, rest))
}

fn bytes_at<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    header.get(at..).and_then(|tail| tail.first_chunk::<N>()).copied().unwrap_or([0; N])
}

fn u16_at(header: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(header, at))
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(header, at))
}

fn u64_at(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(header, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(Format::Manifest, 1, b"twelve bytes");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged, Format::Manifest, 1).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let sealed = seal(Format::Manifest, 1, b"twelve bytes");
        for length in 0..sealed.len() {
            assert!(open(&sealed[..length], Format::Manifest, 1).is_err(), "length {length}");
        }
    }

    #[test]
    fn foreign_formats_and_later_versions_are_named() {
        let sealed = seal(Format::Manifest, 3, b"");
        let text = |format, max| open(&sealed, format, max).unwrap_err().message().to_owned();
        assert!(text(Format::Fence, 3).contains("expected a fence (format 8), found format 4"));
        assert!(text(Format::Manifest, 2).contains("version 3, this Cairn reads up to 2"));
        assert!(open(&sealed, Format::Manifest, 3).is_ok());
    }

    #[test]
    fn golden_frame_stays_readable() {
        let golden = include_bytes!("../tests/golden/frame-v1.bin");
        assert_eq!(open(golden, Format::Manifest, 1).unwrap().body, b"{\"golden\":true}");
        assert_eq!(seal(Format::Manifest, 1, b"{\"golden\":true}"), golden, "the layout of frames changed");
    }

    proptest! {
        #[test]
        fn frames_survive(body in proptest::collection::vec(any::<u8>(), 0..300), version in 1u16..9) {
            let sealed = seal(Format::JournalEntry, version, &body);
            let frame = open(&sealed, Format::JournalEntry, 9).unwrap();
            prop_assert_eq!(frame, Frame { version, body: &body });
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(open(&bytes, Format::Fence, 1).is_err());
        }
    }
}
