//! Looks at a journal or at one image without starting or changing anything: for the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_env::files::DirLock;
use cairn_types::{Error, Result};

use crate::create::check_made;
use crate::image::{self, ImageInfo};
use crate::layout::Layout;
use crate::recover::recover;
use crate::state::{State, Versioned};

/// What was found. All of it was checked: every page and frame, and that the journal's entries apply to the image.
#[derive(Clone, Debug)]
pub struct Inspection<S> {
    /// Whole images, oldest first.
    pub images: Vec<ImageInfo>,
    /// Image files that are damaged, and how. The state below does not need them.
    pub damaged: Vec<(PathBuf, Error)>,
    /// The newest state.
    pub newest: Arc<Versioned<S>>,
    /// `None` when a single image was looked at.
    pub journal: Option<JournalReport>,
}

/// What the journal holds beside the images.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalReport {
    /// Commands in the journal.
    pub entries: u64,
    /// Number of the oldest of them; `None` when there is none.
    pub first_index: Option<u64>,
    /// Number of the newest command, in the journal or in an image.
    pub last_index: u64,
    pub path: PathBuf,
    /// Names the group; equal in all files of one journal.
    pub group: String,
}

/// Inspects a data directory, the `meta` folder in it, or an image file.
///
/// # Errors
/// `NotFound`, `Conflict` while a process has the journal open, `Corrupt`, `Unsupported`; each names the file.
pub fn inspect<S: State>(path: &Path) -> Result<Inspection<S>> {
    if path.is_file() {
        return inspect_image(path);
    }
    let layout = if path.join("journal.redb").exists() || path.join("image").is_dir() {
        Layout { meta: path.to_owned() }
    } else {
        check_made(path)?;
        Layout::of_data_dir(path)
    };
    // Only a journal that was open once has the file; taking the lock of another would write it.
    let _lock = layout.meta.join("LOCK").exists().then(|| DirLock::take(&layout.meta)).transpose()?;
    let found = recover::<S>(&layout)?;
    let last_index = found.point.versioned.index;
    let entries = found.log.commands;
    let journal = JournalReport {
        entries,
        first_index: (entries > 0).then(|| (last_index + 1).saturating_sub(entries)),
        last_index,
        path: layout.log(),
        group: found.progress.group,
    };
    Ok(Inspection {
        images: found.images.into_iter().map(|image| image.info).collect(),
        damaged: found.damaged,
        newest: found.point.versioned,
        journal: Some(journal),
    })
}

fn inspect_image<S: State>(path: &Path) -> Result<Inspection<S>> {
    let (image, state) = image::read::<S>(path)?;
    let newest = Arc::new(Versioned { index: image.head.index, time_ms: image.head.time_ms, state });
    Ok(Inspection { images: vec![image.info], damaged: Vec::new(), newest, journal: None })
}
