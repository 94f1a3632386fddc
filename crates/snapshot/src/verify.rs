//! Verifying a snapshot without restoring it: every byte and every reference.

use std::fmt;

use cairn_catalog::restore::VolumeOverride;
use cairn_objects::VolumeStore;
use cairn_types::Result;

use crate::VolumeResolver;
use crate::checked::{Closeness, Place, check_files};
use crate::format::Marker;
use crate::progress::{Meter, OnProgress};

/// How a snapshot is verified. Memory is about `at_once` blocks of 4 MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyOptions {
    /// Files that are read at the same time.
    pub at_once: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { at_once: 8 }
    }
}

/// A file that is not as it should be, or could not be looked at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// Volume and key.
    pub file: String,
    pub defect: Defect,
    pub what: String,
}

/// What is wrong with a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Defect {
    /// It is missing, or not what it was.
    Damaged,
    /// Its volume did not give it: it may be whole.
    Unreadable,
}

/// What can be said of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Whole,
    /// Nothing is known to be damaged, but not everything could be read.
    Unreadable,
    Damaged,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// `None` when there is no valid one.
    pub marker: Option<Marker>,
    /// Files and bytes that were read.
    pub files: u64,
    pub bytes: u64,
    /// Everything that is wrong, sorted by file. Empty: the snapshot can be restored, byte for byte.
    pub problems: Vec<Problem>,
    /// The damage to dropped tables and partitions that waited in the recycle bin. A snapshot does not pin these: when the
    /// bin is emptied, it can be restored all the same, without them.
    pub recycled: Vec<Problem>,
}

impl VerifyReport {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.verdict() == Verdict::Whole
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.problems)
    }
}

impl Verdict {
    /// That of a snapshot with these problems.
    #[must_use]
    pub fn of(problems: &[Problem]) -> Self {
        match problems {
            [] => Self::Whole,
            _ if problems.iter().all(|p| p.defect == Defect::Unreadable) => Self::Unreadable,
            _ => Self::Damaged,
        }
    }
}

/// Verifies snapshot `name` of `cluster`, which lies in `store`: marker, image, list of files, every partition manifest, every
/// block of every segment, in whatever volumes these are. `overrides` say where volumes are now.
///
/// # Errors
/// `Unavailable` when a volume cannot be reached; `Analysis` for an override of an unknown volume. Damage is no error, but
/// stands in the report.
pub async fn verify(
    store: &VolumeStore,
    cluster: &str,
    name: &str,
    resolver: &dyn VolumeResolver,
    overrides: &[VolumeOverride],
    options: VerifyOptions,
    on_progress: OnProgress<'_>,
) -> Result<VerifyReport> {
    let place = Place { store, cluster, name, resolver, overrides };
    let opened = match place.open().await? {
        Ok(opened) => opened,
        Err(problem) => return Ok(VerifyReport { problems: vec![problem], ..VerifyReport::default() }),
    };
    let meter = Meter::new(on_progress, opened.marker.files, opened.marker.bytes);
    meter.add(1, opened.marker.image.bytes);
    let closeness = Closeness { read_segments: true, at_once: options.at_once };
    let mut findings = check_files(&place, &opened, closeness, &meter).await?;
    findings.problems.sort();
    findings.recycled.sort();
    let (files, bytes) = meter.done();
    Ok(VerifyReport {
        marker: Some(opened.marker),
        files,
        bytes,
        problems: findings.problems,
        recycled: findings.recycled,
    })
}
