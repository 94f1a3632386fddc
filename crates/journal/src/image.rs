//! Image files: a head record, then the bytes of the state. Written beside, synced, renamed, read back, and only then
//! counted; an older image goes only after that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_env::files::DirLock;
use cairn_env::{Env, files};
use cairn_types::{Error, Result};
use parking_lot::Mutex;

use crate::errors::damaged;
use crate::group::{ImageMark, LogId};
use crate::layout::{Layout, image_index, is_left_over};
use crate::machine::Point;
use crate::records::{self, ImageHead};
use crate::state::State;

/// Images that are kept: the newest, and one to fall back on.
pub(crate) const IMAGES_KEPT: usize = 2;

/// What is known about an image without reading its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageInfo {
    /// Number of the last command in the image.
    pub index: u64,
    /// When that command was made (milliseconds since 1970-01-01 UTC).
    pub time_ms: u64,
    /// Size of the file.
    pub bytes: u64,
    /// CRC-32C of the state's bytes.
    pub checksum: u32,
    pub path: PathBuf,
}

/// A whole image file.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub info: ImageInfo,
    pub head: ImageHead,
}

impl Image {
    pub fn log_id(&self) -> Option<LogId> {
        self.head.log_id
    }

    /// openraft's form of the head.
    pub fn mark(&self) -> ImageMark {
        ImageMark {
            last_log_id: self.head.log_id,
            last_membership: self.head.membership.clone(),
            snapshot_id: self.head.name.clone(),
        }
    }
}

/// `state` at `point` as the bytes of an image file. `name` is openraft's name for it.
///
/// # Errors
/// `Internal` when the head does not become JSON.
pub(crate) fn encode<S: State>(group: &str, name: String, point: &Point<S>) -> Result<Vec<u8>> {
    let state = point.versioned.state.encode_image(point.versioned.index);
    let head = ImageHead {
        group: group.to_owned(),
        index: point.versioned.index,
        time_ms: point.versioned.time_ms,
        log_id: point.log_id,
        membership: point.membership.clone(),
        name,
        state_bytes: state.len() as u64,
        state_crc: crc32c::crc32c(&state),
    };
    let mut bytes = records::seal(&head)?;
    bytes.extend_from_slice(&state);
    Ok(bytes)
}

/// Reads the bytes of an image file.
///
/// # Errors
/// `Corrupt` when they are damaged; the state's own errors. The caller adds the file's name.
pub(crate) fn decode<S: State>(bytes: &[u8]) -> Result<(ImageHead, S)> {
    let (head, state): (ImageHead, _) = records::open_prefix(bytes)?;
    if state.len() as u64 != head.state_bytes {
        return Err(Error::corrupt(format!("its state has {} bytes of {}", state.len(), head.state_bytes)));
    }
    if crc32c::crc32c(state) != head.state_crc {
        return Err(Error::corrupt(format!("the checksum of its {} bytes of state differs", state.len())));
    }
    let (index, state) = S::decode_image(state)?;
    if index != head.index {
        return Err(Error::corrupt(format!("its head says index {}, its state {index}", head.index)));
    }
    Ok((head, state))
}

/// Reads and checks an image file.
///
/// # Errors
/// `NotFound`, `Unavailable`, `Corrupt`, or what the state says, naming the file.
pub(crate) fn read<S: State>(path: &Path) -> Result<(Image, S)> {
    let bytes = files::read(path)?;
    let (head, state) = decode::<S>(&bytes).map_err(|e| damaged(path, &e))?;
    if image_index(path).is_some_and(|named| named != head.index) {
        let wrong = Error::corrupt(format!("it holds index {}", head.index));
        return Err(damaged(path, &wrong));
    }
    Ok((Image { info: info(path, bytes.len(), &head), head }, state))
}

fn info(path: &Path, bytes: usize, head: &ImageHead) -> ImageInfo {
    ImageInfo {
        index: head.index,
        time_ms: head.time_ms,
        bytes: bytes as u64,
        checksum: head.state_crc,
        path: path.to_owned(),
    }
}

/// The image files in `layout`, oldest first.
///
/// # Errors
/// `Unavailable`.
pub(crate) fn list(layout: &Layout) -> Result<Vec<PathBuf>> {
    let mut found: Vec<_> =
        files::list(&layout.images())?.into_iter().filter_map(|p| image_index(&p).map(|i| (i, p))).collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Puts the bytes of an image in their place and reads them back.
///
/// # Errors
/// As the file system says, or `Corrupt` when other bytes come back; the images there before are untouched then.
pub(crate) fn store<S: State>(env: &Env, layout: &Layout, index: u64, bytes: &[u8]) -> Result<Image> {
    env.failpoint("image.before_write")?;
    let writing = layout.image_in_the_making(index);
    files::write_atomic(&writing, bytes)?;
    env.failpoint("image.after_write")?;
    let path = layout.image(index);
    files::rename(&writing, &path)?;
    env.failpoint("image.after_rename")?;
    read::<S>(&path).map(|(image, _)| image)
}

/// The images of a running journal, oldest first.
#[derive(Debug)]
pub(crate) struct Images {
    layout: Layout,
    group: String,
    kept: Mutex<Vec<Image>>,
    /// Name of the image openraft was last told about.
    told: Mutex<Option<String>>,
    /// Of the folder; `None` when the journal has ended. Who writes holds it until he is done.
    lock: Mutex<Option<Arc<DirLock>>>,
}

impl Images {
    /// `kept` are images that were read and found whole, oldest first.
    pub fn new(layout: Layout, lock: DirLock, group: String, kept: Vec<Image>) -> Self {
        let told = kept.last().map(|image| image.head.name.clone());
        let lock = Mutex::new(Some(Arc::new(lock)));
        Self { layout, group, kept: Mutex::new(kept), told: Mutex::new(told), lock }
    }

    /// Lets others have the folder as soon as nothing is being written.
    pub fn let_go(&self) {
        self.lock.lock().take();
    }

    /// The folder, for as long as something is written: a journal that was opened after this one must not meet it.
    fn hold(&self) -> Result<Arc<DirLock>> {
        self.lock.lock().clone().ok_or_else(|| Error::unavailable("the journal has ended: no image is made"))
    }

    pub fn infos(&self) -> Vec<ImageInfo> {
        self.kept.lock().iter().map(|image| image.info.clone()).collect()
    }

    pub fn newest(&self) -> Option<Image> {
        self.kept.lock().last().cloned()
    }

    /// The last log entry that every kept image holds: the log is not needed up to there.
    pub fn held_by_all(&self) -> Option<LogId> {
        self.kept.lock().iter().filter_map(Image::log_id).min()
    }

    /// The newest image if openraft was not told about it yet; it is then.
    pub fn tell(&self) -> Option<Image> {
        let newest = self.newest()?;
        let mut told = self.told.lock();
        let is_new = told.as_ref() != Some(&newest.head.name);
        *told = Some(newest.head.name.clone());
        is_new.then_some(newest)
    }

    /// Makes an image of `point`, unless the newest is one. Blocks.
    ///
    /// # Errors
    /// As the file system says; the images there before are untouched then.
    pub fn make<S: State>(&self, env: &Env, point: &Point<S>) -> Result<Image> {
        if let Some(newest) = self.newest().filter(|image| image.log_id() == point.log_id) {
            return Ok(newest);
        }
        let name = format!("{}-{}", point.versioned.index, env.random_hex());
        let bytes = encode(&self.group, name, point)?;
        self.keep::<S>(env, point.versioned.index, &bytes)
    }

    /// Stores the bytes of an image that another member made. Blocks.
    ///
    /// # Errors
    /// `Corrupt` for damaged or foreign bytes; as the file system says.
    pub fn take_over<S: State>(&self, env: &Env, bytes: &[u8]) -> Result<(Image, S)> {
        let (head, state) = decode::<S>(bytes).map_err(|e| e.context("an image from another member"))?;
        if head.group != self.group {
            return Err(Error::corrupt(format!(
                "an image from another member belongs to group {}, this one is {}",
                head.group, self.group
            )));
        }
        Ok((self.keep::<S>(env, head.index, bytes)?, state))
    }

    fn keep<S: State>(&self, env: &Env, index: u64, bytes: &[u8]) -> Result<Image> {
        let _held = self.hold()?;
        let image = store::<S>(env, &self.layout, index, bytes)?;
        let mut kept = self.kept.lock();
        kept.retain(|other| other.info.index < index);
        kept.push(image.clone());
        let surplus = kept.len().saturating_sub(IMAGES_KEPT);
        kept.drain(..surplus);
        Ok(image)
    }

    /// Removes the files of images that are no longer kept. Call when a new image is whole.
    ///
    /// # Errors
    /// As the file system says.
    pub fn remove_surplus(&self) -> Result<()> {
        let _held = self.hold()?;
        let kept = self.infos();
        for path in files::list(&self.layout.images())? {
            let surplus = image_index(&path).is_some() && kept.iter().all(|info| info.path != path);
            if surplus || is_left_over(&path) {
                files::remove(&path)?;
            }
        }
        files::sync_dir(&self.layout.images())
    }
}
