//! The files of the repository, as the checks see them: read once, named relative to the root.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of our own: build output, local data, virtual environments, version control.
const SKIPPED: [&str; 6] = [".git", "target", "cairn-data", ".venv", "node_modules", "__pycache__"];

/// One text file: its path relative to the root, with `/` between parts, and its content.
#[derive(Debug, Clone)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// The root of the repository: the folder above this package.
pub fn root() -> Result<PathBuf, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} has no parent folder", package.display()))
}

/// Every file below `root` whose relative path `wanted` accepts, ordered by path.
///
/// # Errors
/// A folder or file that cannot be read, or a wanted file that is not UTF-8, each named.
pub fn files(root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<File>, String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))? {
            let entry = entry.map_err(|e| unreadable(&folder, &e))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|e| unreadable(&path, &e))?;
            if kind.is_dir() && !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                folders.push(path);
            } else if kind.is_file() {
                let name = relative(root, &path);
                if wanted(&name) {
                    found.push(File { path: name, text: read(&path)? });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The text of one file, or an error that names it.
pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

fn relative(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}
