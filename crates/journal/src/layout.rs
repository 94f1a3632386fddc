//! Where the journal's files lie under a data directory.
//!
//! ```text
//! meta/journal.redb      log entries, vote, what is committed and what was purged
//! meta/journal.reached   how far journal.redb has come; catches a journal that lost its tail
//! meta/image/image.N     the state after command N
//! meta/LOCK              held while a process has the journal open
//! meta.new/              a journal in the making; becomes meta/ by one rename
//! ```

use std::path::{Path, PathBuf};

const IMAGE_PREFIX: &str = "image.";
const WRITING_PREFIX: &str = "writing.";

/// The files of one journal.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub meta: PathBuf,
}

impl Layout {
    pub fn of_data_dir(data_dir: &Path) -> Self {
        Self { meta: data_dir.join("meta") }
    }

    /// Where a journal is built before it takes its place.
    pub fn in_the_making(data_dir: &Path) -> Self {
        Self { meta: data_dir.join("meta.new") }
    }

    pub fn log(&self) -> PathBuf {
        self.meta.join("journal.redb")
    }

    pub fn reached(&self) -> PathBuf {
        self.meta.join("journal.reached")
    }

    pub fn images(&self) -> PathBuf {
        self.meta.join("image")
    }

    pub fn image(&self, index: u64) -> PathBuf {
        self.images().join(format!("{IMAGE_PREFIX}{index}"))
    }

    /// An image that is written but has not its name yet.
    pub fn image_in_the_making(&self, index: u64) -> PathBuf {
        self.images().join(format!("{WRITING_PREFIX}{index}"))
    }
}

/// The index in an image's file name; `None` for any other file.
pub(crate) fn image_index(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix(IMAGE_PREFIX)?;
    let index: u64 = digits.parse().ok()?;
    (index.to_string() == digits).then_some(index)
}

/// Whether `path` is what an interrupted image left behind.
pub(crate) fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with(WRITING_PREFIX) || Path::new(name).extension().is_some_and(|e| e == "tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_read_exactly() {
        let check = |name: &str, expected: Option<u64>| {
            assert_eq!(image_index(&Path::new("/x/image").join(name)), expected, "{name}");
        };
        check("image.0", Some(0));
        check("image.18446744073709551615", Some(u64::MAX));
        check("image.007", None);
        check("image.", None);
        check("image.5.tmp", None);
        check("writing.5", None);
        assert!(is_left_over(Path::new("/x/image/writing.5")));
        assert!(is_left_over(Path::new("/x/image/writing.tmp")));
        assert!(!is_left_over(Path::new("/x/image/image.5")));
    }
}
