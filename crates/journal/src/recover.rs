//! From the files of a journal to its newest state, without writing anything: what a start and an inspection share.
//!
//! Everything is checked before any of it is used: pages and frames of the log file, the group's name in every file,
//! that log entries follow each other without a gap and reach back to an image, that the log did not lose its tail.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_env::files;
use cairn_types::{Error, ErrorKind, Result};

use crate::entry::{self, Holds};
use crate::errors::{REMEDY, damaged};
use crate::group::{LogId, StoredMembership};
use crate::image::{self, IMAGES_KEPT, Image};
use crate::layout::{Layout, image_index};
use crate::log_file::LogReader;
use crate::machine::{Point, apply_commands};
use crate::reached;
use crate::records::Progress;
use crate::state::{State, Versioned};

/// What the files of a journal say.
#[derive(Debug)]
pub(crate) struct Recovered<S> {
    pub progress: Progress,
    pub point: Point<S>,
    /// Whole images, oldest first; the newest is the one the state was built from.
    pub images: Vec<Image>,
    /// Image files that cannot be used, and why.
    pub damaged: Vec<(PathBuf, Error)>,
    pub log: LogSummary,
    /// The log file needs redb's repair, which changes no data.
    pub needs_repair: bool,
}

/// What the log file holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct LogSummary {
    pub entries: u64,
    /// Commands in those entries.
    pub commands: u64,
    pub first: Option<LogId>,
    pub last: Option<LogId>,
}

/// Reads the journal in `layout`.
///
/// # Errors
/// `NotFound` when a file is missing, `Corrupt` when one is damaged or they do not fit together, `Unsupported` for a
/// command this Cairn does not know; each names the file and what to do.
pub(crate) fn recover<S: State>(layout: &Layout) -> Result<Recovered<S>> {
    let image_paths = image::list(layout)?;
    check_files(layout, &image_paths)?;
    let reached = reached::read(&layout.reached())?;
    let log = LogReader::open(layout)?;
    let path = layout.log();
    if log.progress.group != reached.group {
        return Err(strangers(&layout.reached(), &reached.group, &path, &log.progress.group));
    }
    if log.progress.sequence < reached.sequence {
        return Err(Error::corrupt(format!(
            "{} lost its tail: it ends at commit {}, and commit {} was acknowledged: {REMEDY}",
            path.display(),
            log.progress.sequence,
            reached.sequence
        )));
    }
    let mut unusable = Vec::new();
    let (newest, state) = newest_image::<S>(&path, &log, &image_paths, &mut unusable)?;
    let mut replay = Replay::new(&path, &log.progress, &newest, state);
    log.each_entry(&mut |index, bytes| replay.entry(index, bytes))?;
    replay.check_reached_image()?;
    let (point, summary) = replay.finish();
    let mut images = older_image::<S>(&image_paths, &newest, &mut unusable)?;
    images.push(newest);
    let needs_repair = log.needs_repair;
    Ok(Recovered { progress: log.progress, point, images, damaged: unusable, log: summary, needs_repair })
}

/// A journal has all its files or is refused.
fn check_files(layout: &Layout, images: &[PathBuf]) -> Result<()> {
    let (meta, log) = (&layout.meta, layout.log());
    let has_log = log.try_exists().map_err(|e| files::io_error("look for", &log, &e))?;
    match (has_log, images.is_empty()) {
        (true, false) => Ok(()),
        (true, true) => Err(Error::not_found(format!(
            "{} holds a journal and {} no image, so the folder was copied or emptied in part: {REMEDY}",
            log.display(),
            layout.images().display()
        ))),
        (false, false) => Err(Error::not_found(format!(
            "{} is missing although {} holds images, so the folder was copied or emptied in part: {REMEDY}",
            log.display(),
            layout.images().display()
        ))),
        (false, true) => Err(Error::not_found(format!(
            "{} holds no journal: name another data directory, or {REMEDY}",
            meta.display()
        ))),
    }
}

fn strangers(one: &Path, one_group: &str, other: &Path, other_group: &str) -> Error {
    Error::corrupt(format!(
        "{} belongs to group {one_group} and {} to group {other_group}: files of two clusters were mixed: {REMEDY}",
        one.display(),
        other.display()
    ))
}

/// The newest image that is whole and to which the log reaches back. Damaged ones before it go to `unusable`.
fn newest_image<S: State>(
    log_path: &Path,
    log: &LogReader,
    paths: &[PathBuf],
    unusable: &mut Vec<(PathBuf, Error)>,
) -> Result<(Image, S)> {
    for path in paths.iter().rev() {
        match image::read::<S>(path) {
            Ok((image, _)) if image.head.group != log.progress.group => {
                return Err(strangers(path, &image.head.group, log_path, &log.progress.group));
            }
            Ok((image, _)) if image.log_id() < log.progress.purged => {
                let gap = Error::corrupt(format!(
                    "gap between {} and {}: the image ends at log entry {}, the log begins after {}: {REMEDY}",
                    path.display(),
                    log_path.display(),
                    number(image.log_id()),
                    number(log.progress.purged)
                ));
                return Err(unusable.first().map_or(gap.clone(), |(_, e)| e.clone().context(gap.message())));
            }
            Ok(found) => return Ok(found),
            // Whole bytes that are not understood are not damage: an older image would only hide them.
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            Err(error) => unusable.push((path.clone(), error)),
        }
    }
    let why = unusable.iter().map(|(_, e)| e.message()).collect::<Vec<_>>().join("; ");
    Err(Error::corrupt(format!("no image is whole: {why}")))
}

/// The image kept beside the newest, if it is whole.
fn older_image<S: State>(
    paths: &[PathBuf],
    newest: &Image,
    unusable: &mut Vec<(PathBuf, Error)>,
) -> Result<Vec<Image>> {
    let older = paths.iter().rev().filter(|p| image_index(p).is_some_and(|index| index < newest.info.index));
    let mut found = Vec::new();
    for path in older.take(IMAGES_KEPT - 1) {
        match image::read::<S>(path) {
            Ok((image, _)) if image.head.group == newest.head.group => found.push(image),
            Ok((image, _)) => {
                return Err(strangers(path, &image.head.group, &newest.info.path, &newest.head.group));
            }
            Err(error) => unusable.push((path.clone(), error)),
        }
    }
    Ok(found)
}

fn number(log_id: Option<LogId>) -> String {
    log_id.map_or_else(|| "none".to_owned(), |l| l.index.to_string())
}

/// Log entries on top of an image.
struct Replay<'a, S> {
    path: &'a Path,
    purged: Option<LogId>,
    committed: Option<LogId>,
    image: &'a Image,
    point: Point<S>,
    versioned: Versioned<S>,
    summary: LogSummary,
}

impl<'a, S: State> Replay<'a, S> {
    fn new(path: &'a Path, progress: &Progress, image: &'a Image, state: S) -> Self {
        let head = &image.head;
        let versioned = Versioned { index: head.index, time_ms: head.time_ms, state };
        let point = Point {
            log_id: head.log_id,
            membership: head.membership.clone(),
            versioned: Arc::new(versioned.clone()),
        };
        let (purged, committed) = (progress.purged, progress.committed);
        Self { path, purged, committed, image, point, versioned, summary: LogSummary::default() }
    }

    /// Checks one entry, and applies it if the image does not hold it.
    fn entry(&mut self, index: u64, bytes: &[u8]) -> Result<()> {
        let scanned =
            entry::scan(bytes).map_err(|e| damaged(self.path, &e.context(format!("log entry {index}"))))?;
        let log_id = scanned.head.log_id;
        self.check_place(index, log_id)?;
        self.summary.entries += 1;
        self.summary.commands += scanned.commands.len() as u64;
        self.summary.first.get_or_insert(log_id);
        self.summary.last = Some(log_id);
        if Some(log_id) <= self.image.log_id() || !self.is_committed(log_id) {
            return Ok(());
        }
        let mut commands = Vec::with_capacity(scanned.commands.len());
        for (place, json) in scanned.commands.iter().enumerate() {
            let command = entry::read_command::<S>(json).map_err(|e| {
                let number = self.versioned.index + 1 + place as u64;
                Error::new(
                    e.kind(),
                    format!("{}: journal entry {number} holds {}", self.path.display(), e.message()),
                )
            })?;
            commands.push(command);
        }
        apply_commands(&mut self.versioned, commands.iter().map(|(time_ms, c)| (*time_ms, c)))?;
        if let Holds::Members(members) = scanned.head.holds {
            self.point.membership = StoredMembership::new(Some(log_id), members);
        }
        self.point.log_id = Some(log_id);
        Ok(())
    }

    fn check_place(&self, index: u64, log_id: LogId) -> Result<()> {
        let before = self.summary.last.or(self.purged);
        let expected = before.map_or(0, |b| b.index + 1);
        let wrong = if log_id.index != index {
            format!("log entry {index} says it is {}", log_id.index)
        } else if index != expected {
            format!("log entries {expected} to {} are missing", index.saturating_sub(1))
        } else if before.is_some_and(|b| b.leader_id > log_id.leader_id) {
            format!("log entry {index} is of an older term than the one before it")
        } else if self.image.log_id().is_some_and(|i| i.index == index && i != log_id) {
            format!("log entry {index} is not the one that {} ends with", self.image.info.path.display())
        } else {
            return Ok(());
        };
        Err(damaged(self.path, &Error::corrupt(wrong)))
    }

    /// In a group of one, what is in the log is committed; in a larger one, what was known to be.
    fn is_committed(&self, log_id: LogId) -> bool {
        self.point.membership.membership().voter_ids().count() <= 1 || Some(log_id) <= self.committed
    }

    fn check_reached_image(&self) -> Result<()> {
        let last = self.summary.last.or(self.purged);
        if last < self.image.log_id() {
            return Err(Error::corrupt(format!(
                "gap between {} and {}: the image ends at log entry {}, the log already at {}: {REMEDY}",
                self.image.info.path.display(),
                self.path.display(),
                number(self.image.log_id()),
                number(last)
            )));
        }
        Ok(())
    }

    fn finish(mut self) -> (Point<S>, LogSummary) {
        self.point.versioned = Arc::new(self.versioned);
        (self.point, self.summary)
    }
}
