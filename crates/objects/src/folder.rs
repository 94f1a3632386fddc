//! Local folders: files that are created once and survive a power cut. (The object store library writes local files
//! without syncing them, so it only reads here.)

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cairn_env::files;
use cairn_types::{ErrorKind, Result};
use parking_lot::{Mutex, RwLock};

use crate::layout::TEMPORARY;

/// How often a write starts again because its folder, empty, was removed under it.
const TRIES: u32 = 5;

/// Writes and deletes below one folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Folders of which this process knows that their names are durable.
    durable: Mutex<HashSet<PathBuf>>,
    /// Writers hold it for reading: no folder is removed between its making and the file's linking.
    removing: RwLock<()>,
}

impl Folder {
    /// `root` must exist.
    pub(crate) fn new(root: PathBuf) -> Self {
        let durable = Mutex::new(HashSet::from([root.clone()]));
        Self { root, durable, removing: RwLock::new(()) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Creates `path` with `bytes`, whole and durable; `unique` names the temporary file.
    ///
    /// # Errors
    /// `AlreadyExists` when there is a file; `ResourceExhausted` on a full disk; else `Unavailable`.
    pub(crate) fn create(&self, path: &Path, bytes: &[u8], unique: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_create(path, bytes, unique) {
                // Another process removed the folder while it was empty.
                Err(e) if e.kind() == ErrorKind::NotFound && tries < TRIES && self.root.is_dir() => {
                    self.durable.lock().retain(|known| *known == self.root);
                }
                done => return done,
            }
        }
    }

    fn try_create(&self, path: &Path, bytes: &[u8], unique: &str) -> Result<()> {
        let _no_removal = self.removing.read();
        let folder = path.parent().unwrap_or(&self.root);
        self.make_durable(folder)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!("{TEMPORARY}{unique}"));
        let beside = PathBuf::from(beside);
        let written = write_synced(&beside, bytes)
            .and_then(|()| fs::hard_link(&beside, path).map_err(|e| files::io_error("create", path, &e)));
        let removed = files::remove(&beside);
        written?;
        removed?;
        files::sync_dir(folder)
    }

    /// Makes `folder` and its parents up to the root, and their names durable.
    fn make_durable(&self, folder: &Path) -> Result<()> {
        if self.durable.lock().contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(&self.root);
        self.make_durable(parent)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(files::io_error("create folder", folder, &e));
            }
            _ => {}
        }
        files::sync_dir(parent)?;
        self.durable.lock().insert(folder.to_owned());
        Ok(())
    }

    /// Removes `paths`, which may be gone already, durably, and the folders that this leaves empty.
    ///
    /// # Errors
    /// `Unavailable`, after all were tried.
    pub(crate) fn remove(&self, paths: &[PathBuf]) -> Result<()> {
        let mut outcome = Ok(());
        let mut folders = HashSet::new();
        for path in paths {
            match files::remove(path) {
                Ok(()) => folders.extend(path.parent().map(Path::to_owned)),
                Err(e) => outcome = outcome.and(Err(e)),
            }
        }
        for folder in folders {
            match files::sync_dir(&folder) {
                Err(e) if e.kind() != ErrorKind::NotFound => outcome = outcome.and(Err(e)),
                _ => self.remove_empty(&folder),
            }
        }
        outcome
    }

    /// Best effort: an empty folder is no object, it only takes a name.
    fn remove_empty(&self, folder: &Path) {
        let Some(_alone) = self.removing.try_write() else { return };
        let below_root = folder.ancestors().take_while(|f| f.starts_with(&self.root) && *f != self.root);
        for folder in below_root {
            if fs::remove_dir(folder).is_err() {
                return;
            }
            self.durable.lock().remove(folder);
        }
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|e| files::io_error("create", path, &e))?;
    file.write_all(bytes).map_err(|e| files::io_error("write", path, &e))?;
    file.sync_all().map_err(|e| files::io_error("sync", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_created_once_and_empty_folders_go() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        let path = dir.path().join("a/b/c");
        folder.create(&path, b"one", "1").unwrap();
        assert_eq!(folder.create(&path, b"two", "2").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(
            files::list(&dir.path().join("a/b")).unwrap(),
            std::slice::from_ref(&path),
            "no temporary file is left"
        );
        folder.remove(&[path.clone(), dir.path().join("a/none")]).unwrap();
        assert!(!dir.path().join("a").exists());
        folder.create(&path, b"again", "3").unwrap();
    }

    #[test]
    fn a_folder_removed_behind_our_back_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        folder.create(&dir.path().join("a/b/c"), b"", "1").unwrap();
        fs::remove_dir_all(dir.path().join("a")).unwrap();
        folder.create(&dir.path().join("a/b/d"), b"", "2").unwrap();
    }
}
