//! Local files that survive a power cut: written beside, synced, renamed, and the folder synced.

#![allow(clippy::disallowed_methods, reason = "this is the door")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};

use cairn_types::{Error, ErrorKind, Result};

/// Turns an I/O error into ours, naming what was done to which file.
pub fn io_error(action: &str, path: &Path, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        IoKind::NotFound => ErrorKind::NotFound,
        IoKind::AlreadyExists => ErrorKind::AlreadyExists,
        IoKind::StorageFull | IoKind::QuotaExceeded => ErrorKind::ResourceExhausted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("cannot {action} {}: {error}", path.display()))
}

/// Writes `bytes` to `path` so that after a crash either the old or the new content is there, whole.
///
/// # Errors
/// `ResourceExhausted` on a full disk, else `Unavailable`; the old content is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("tmp");
    let written = (|| {
        let mut file = File::create(&beside).map_err(|e| io_error("create", &beside, &e))?;
        file.write_all(bytes).map_err(|e| io_error("write", &beside, &e))?;
        file.sync_all().map_err(|e| io_error("sync", &beside, &e))?;
        fs::rename(&beside, path).map_err(|e| io_error("rename to", path, &e))
    })();
    if let Err(error) = written {
        // Best effort: a left-over `.tmp` is never read.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and removals in `dir` durable.
///
/// # Errors
/// `Unavailable` when the folder cannot be synced.
pub fn sync_dir(dir: &Path) -> Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io_error("sync folder", dir, &e))
}

/// The whole file.
///
/// # Errors
/// `NotFound` or `Unavailable`.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| io_error("read", path, &e))
}

/// The whole file, or `None` when there is none.
///
/// # Errors
/// `Unavailable`.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == IoKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read", path, &e)),
    }
}

/// Makes `dir` and its parents.
///
/// # Errors
/// `Unavailable`.
pub fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| io_error("create folder", dir, &e))
}

/// Removes one file; it may be gone already.
///
/// # Errors
/// `Unavailable`.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != IoKind::NotFound => Err(io_error("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Removes a folder and what is in it; it may be gone already. For caches and spill files: never for data.
///
/// # Errors
/// `Unavailable`.
pub fn remove_dir_all(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != IoKind::NotFound => Err(io_error("remove folder", dir, &e)),
        _ => Ok(()),
    }
}

/// Moves `from` to `to` within a file system and syncs both folders.
///
/// # Errors
/// `Unavailable`.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| io_error("rename", from, &e))?;
    for dir in [from.parent(), to.parent()].into_iter().flatten() {
        sync_dir(dir)?;
    }
    Ok(())
}

/// The entries of `dir` by name, sorted; empty when the folder does not exist.
///
/// # Errors
/// `Unavailable`.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == IoKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("list", dir, &e)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|e| io_error("list", dir, &e))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// A lock on a folder, held while the value lives and let go by the system when the process ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock by the file `LOCK` in `dir`.
    ///
    /// # Errors
    /// `Conflict` when another process has it.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io_error("open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(Error::conflict(format!(
                "data directory {} is in use by another Cairn process: stop that one, or name another --data-dir",
                dir.display()
            ))),
            Err(fs::TryLockError::Error(e)) => Err(io_error("lock", &path, &e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"three").unwrap();
        assert_eq!(read(&path).unwrap(), b"three");
        assert_eq!(list(dir.path()).unwrap(), [path]);
        let missing = write_atomic(&dir.path().join("no/such"), b"").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_folder_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        assert_eq!(DirLock::take(dir.path()).unwrap_err().kind(), ErrorKind::Conflict);
        drop(lock);
        DirLock::take(dir.path()).unwrap();
    }
}
