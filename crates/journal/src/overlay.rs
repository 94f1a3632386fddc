//! A view of a file that can be written to without changing the file: redb repairs what it opens, and a journal that
//! is only looked at, or not yet known to be whole, must stay as it was found.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cairn_env::files::io_error;
use cairn_types::{Error, Result};
use parking_lot::Mutex;
use redb::StorageBackend;

use crate::errors::REMEDY;

const BLOCK_BYTES: u64 = 4096;
type Block = [u8; BLOCK_BYTES as usize];

/// A file under a layer of changed blocks in memory.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: File,
    layer: Mutex<Layer>,
}

#[derive(Debug)]
struct Layer {
    len: u64,
    /// Bytes of the file that still show; what was cut off once reads as zeros when it grows back.
    file_len: u64,
    changed: BTreeMap<u64, Box<Block>>,
}

impl Overlay {
    /// # Errors
    /// `NotFound` or `Unavailable`; `Corrupt` for an empty file, which redb would take for a new one.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| io_error("open", path, &e))?;
        let len = file.metadata().map_err(|e| io_error("read", path, &e))?.len();
        if len == 0 {
            return Err(Error::corrupt(format!("{} is empty: {REMEDY}", path.display())));
        }
        Ok(Self { file, layer: Mutex::new(Layer { len, file_len: len, changed: BTreeMap::new() }) })
    }

    fn block(&self, layer: &Layer, number: u64) -> io::Result<Box<Block>> {
        if let Some(block) = layer.changed.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK_BYTES as usize]);
        let start = number * BLOCK_BYTES;
        let shown = usize::try_from(layer.file_len.saturating_sub(start).min(BLOCK_BYTES)).unwrap_or(0);
        if let Some(part) = block.get_mut(..shown) {
            self.file.read_exact_at(part, start)?;
        }
        Ok(block)
    }
}

/// The blocks that `len` bytes from `offset` touch: (block, first byte in it, bytes of it).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset.saturating_add(len as u64);
    let mut at = offset;
    std::iter::from_fn(move || {
        let number = at / BLOCK_BYTES;
        let within = at % BLOCK_BYTES;
        let bytes = (BLOCK_BYTES - within).min(end.saturating_sub(at));
        at += bytes;
        // Both are at most BLOCK_BYTES.
        (bytes > 0).then_some((number, within as usize, bytes as usize))
    })
}

fn beyond_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the file")
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.layer.lock().len)
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let layer = self.layer.lock();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > layer.len) {
            return Err(beyond_end());
        }
        for (number, within, bytes) in pieces(offset, out.len()) {
            let block = self.block(&layer, number)?;
            let (piece, rest) = out.split_at_mut_checked(bytes).ok_or_else(beyond_end)?;
            piece.copy_from_slice(block.get(within..within + bytes).ok_or_else(beyond_end)?);
            out = rest;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut layer = self.layer.lock();
        if len < layer.len {
            // The block in which the file ends now keeps its head only.
            let last = len / BLOCK_BYTES;
            let mut block = self.block(&layer, last)?;
            block.get_mut((len % BLOCK_BYTES) as usize..).unwrap_or_default().fill(0);
            layer.changed.split_off(&last);
            layer.changed.insert(last, block);
            layer.file_len = layer.file_len.min(len);
        }
        layer.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut layer = self.layer.lock();
        for (number, within, bytes) in pieces(offset, data.len()) {
            let mut block = self.block(&layer, number)?;
            let (piece, rest) = data.split_at_checked(bytes).ok_or_else(beyond_end)?;
            block.get_mut(within..within + bytes).ok_or_else(beyond_end)?.copy_from_slice(piece);
            layer.changed.insert(number, block);
            data = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_show_and_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let original: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
        std::fs::write(&path, &original).unwrap();
        let overlay = Overlay::open(&path).unwrap();
        let read = |offset: u64, len: usize| {
            let mut out = vec![0; len];
            overlay.read(offset, &mut out).map(|()| out)
        };
        assert_eq!(read(0, 10_000).unwrap(), original);
        assert!(read(9_999, 2).is_err());

        overlay.write(4_090, &[7; 12]).unwrap();
        let mut expected = original.clone();
        expected[4_090..4_102].fill(7);
        assert_eq!(read(0, 10_000).unwrap(), expected);

        overlay.set_len(5_000).unwrap();
        overlay.set_len(9_000).unwrap();
        expected.truncate(9_000);
        expected[5_000..].fill(0);
        assert_eq!(read(0, 9_000).unwrap(), expected);
        assert_eq!(std::fs::read(&path).unwrap(), original);
    }

    #[test]
    fn an_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"").unwrap();
        assert!(Overlay::open(&path).unwrap_err().message().contains("is empty"));
    }
}
