//! Local files that survive a power cut: written beside, synced, renamed, and the folder synced.

#![allow(clippy::disallowed_methods, reason = "this is the door")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as IoKind, Write};
use std::os::unix::fs::MetadataExt;
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

/// Makes `dir` and its parents, for the user of this process alone: metadata holds the secrets of storage volumes.
///
/// # Errors
/// `Unavailable`.
pub fn create_dir(dir: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir).map_err(|e| io_error("create folder", dir, &e))
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

/// Where a folder is, so that a copy of it is told apart: host, path, device, inode and boot.
///
/// # Errors
/// `NotFound`, `Unavailable`.
pub fn place_of(dir: &Path) -> Result<String> {
    let path = dir.canonicalize().map_err(|e| io_error("resolve", dir, &e))?;
    let meta = fs::metadata(&path).map_err(|e| io_error("look at", &path, &e))?;
    // Without a name of the host, path and inode still tell most copies apart.
    let kernel = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    // A clone of a machine has its name, paths and inodes, but was booted by itself.
    let (host, boot) = (kernel("hostname"), kernel("random/boot_id"));
    Ok(format!("{}:{} ({}:{}, boot {})", host.trim(), path.display(), meta.dev(), meta.ino(), boot.trim()))
}

/// A lock on a folder, held while the value lives and let go by the system when the process ends.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    /// What was made to take it and goes with it: the file, then folders, the innermost first.
    made: Vec<PathBuf>,
}

impl DirLock {
    /// Takes the lock by the file `LOCK` in `dir`.
    ///
    /// # Errors
    /// `Conflict` when another process has it.
    pub fn take(dir: &Path) -> Result<Self> {
        let mut lock = Self::try_take(dir)?;
        lock.keep();
        Ok(lock)
    }

    /// Takes the lock of `dir`, which is made when it is not there. Until [`Self::keep`], dropping the lock removes again
    /// what was made for it: who then finds a reason not to go on leaves nothing.
    ///
    /// # Errors
    /// `Conflict` when another process has it; `Unavailable`.
    pub fn take_new(dir: &Path) -> Result<Self> {
        let missing = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists());
        let missing: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        let taken = create_dir(dir).and_then(|()| Self::try_take(dir));
        match taken {
            Ok(mut lock) => {
                lock.made.extend(missing);
                Ok(lock)
            }
            Err(error) => {
                remove_made(&missing);
                Err(error)
            }
        }
    }

    /// What was made for the lock stays.
    pub fn keep(&mut self) {
        self.made.clear();
    }

    fn try_take(dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
        let in_use = || {
            Error::conflict(format!(
                "data directory {} is in use by another Cairn process: stop that one, or name another --data-dir",
                dir.display()
            ))
        };
        let open = |is_new: bool| OpenOptions::new().create_new(is_new).write(true).open(&path);
        let (file, made) = match open(true) {
            Ok(file) => (file, vec![path.clone()]),
            Err(e) if e.kind() == IoKind::AlreadyExists => {
                (open(false).map_err(|e| io_error("open", &path, &e))?, Vec::new())
            }
            Err(e) => return Err(io_error("open", &path, &e)),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => Ok(Self { file, made }),
            // Who had it removed it between our opening and our locking.
            Ok(()) | Err(fs::TryLockError::WouldBlock) => Err(in_use()),
            Err(fs::TryLockError::Error(e)) => Err(io_error("lock", &path, &e)),
        }
    }
}

impl Drop for DirLock {
    /// The lock is still held here: nobody else has it meanwhile.
    fn drop(&mut self) {
        if is_at(&self.file, self.made.first().map_or(Path::new(""), PathBuf::as_path)) {
            remove_made(&self.made);
        }
    }
}

/// Best effort: a folder in which something is by now stays.
fn remove_made(paths: &[PathBuf]) {
    for path in paths {
        let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    }
}

/// Whether `file` is what is found under `path`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(found)) => (open.dev(), open.ino()) == (found.dev(), found.ino()),
        _ => false,
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

    #[test]
    fn a_new_folder_goes_with_its_lock_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there");
        create_dir(&there).unwrap();
        write_atomic(&there.join("a"), b"").unwrap();
        let left = |path: &Path| list(path).unwrap().len();
        for (name, before, kept) in [("new/deep", 0, 1), ("there", 1, 2)] {
            let path = dir.path().join(name);
            let lock = DirLock::take_new(&path).unwrap();
            assert_eq!(DirLock::take_new(&path).unwrap_err().kind(), ErrorKind::Conflict);
            assert!(path.join("LOCK").exists(), "{name}");
            drop(lock);
            assert_eq!((left(&path), left(dir.path())), (before, 1), "{name}");
            DirLock::take_new(&path).unwrap().keep();
            assert_eq!(left(&path), kept, "{name}");
            // It was there before, so it stays.
            drop(DirLock::take_new(&path).unwrap());
            assert_eq!(left(&path), kept, "{name}");
            remove_dir_all(&dir.path().join("new")).unwrap();
        }
    }
}
