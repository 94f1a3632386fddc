//! Reading a snapshot with distrust: marker, image and list of files, each against the others. Shared by verify and
//! restore; what differs is whether the bytes of segments are read or only their sizes looked up.

use std::collections::BTreeMap;

use cairn_catalog::restore::VolumeOverride;
use cairn_catalog::{Catalog, Stamp, Volume, image};
use cairn_objects::{ObjectInfo, PartitionFolder, VolumeStore, layout};
use cairn_storage::manifest::{BLOCK_BYTES, Manifest, Segment};
use cairn_types::{Error, ErrorKind, PartitionId, Result};
use futures::TryStreamExt;
use futures::stream::StreamExt;

use crate::VolumeResolver;
use crate::format::{Marker, PartitionFiles, SnapshotFiles};
use crate::list::{SnapshotStatus, status};
use crate::progress::Meter;
use crate::reach::{decode_manifest, folder_of, reached};
use crate::verify::{Defect, Problem};

/// After so many files that could not be reached, the volume is taken for unreachable.
const UNREACHABLE_MAX: usize = 20;

/// A snapshot whose marker and image are good.
pub(crate) struct Opened {
    pub(crate) marker: Marker,
    /// `catalog(J)` as it is in the image.
    pub(crate) catalog: Catalog,
    /// The same with the overrides.
    pub(crate) located: Catalog,
    /// The volumes that hold its rows or will, open; by name.
    pub(crate) stores: BTreeMap<String, VolumeStore>,
    /// The overrides, with what was found out about the snapshot's own volume.
    pub(crate) overrides: Vec<VolumeOverride>,
    /// Name and recorded location of volumes that the restore must not take as recorded, see [`Place::unconfirmed`].
    pub(crate) unconfirmed: Vec<(String, String)>,
}

/// Where a snapshot is and how its volumes are reached.
pub(crate) struct Place<'a> {
    pub(crate) store: &'a VolumeStore,
    pub(crate) cluster: &'a str,
    pub(crate) name: &'a str,
    pub(crate) resolver: &'a dyn VolumeResolver,
    pub(crate) overrides: &'a [VolumeOverride],
}

impl Place<'_> {
    /// Reads marker and image. `Ok(Err(problem))`: one of them is damaged, so nothing else can be said.
    pub(crate) async fn open(&self) -> Result<Result<Opened, Problem>> {
        let marker_key = layout::snapshot_marker(self.cluster, self.name);
        let marker = match status(self.store, self.cluster, self.name).await? {
            SnapshotStatus::Finished(marker) => *marker,
            broken => {
                return Ok(Err(self.problem(&marker_key, broken.defect().unwrap_or_default().to_owned())));
            }
        };
        let image_key = layout::snapshot_image(self.cluster, self.name);
        let bytes = match self.store.get(&image_key).await {
            Ok(bytes) => bytes,
            Err(e) => return missing_or(e).map(|what| Err(self.problem(&image_key, what))),
        };
        if let Some(what) = marker.image.difference(&bytes) {
            return Ok(Err(self.problem(&image_key, what)));
        }
        let (index, catalog) = match image::decode(&bytes) {
            Ok(decoded) => decoded,
            Err(e) => return Ok(Err(self.problem(&image_key, e.message().to_owned()))),
        };
        if let Some(what) = disagreement(&marker, index, &catalog) {
            return Ok(Err(self.problem(&image_key, what)));
        }
        let overrides = self.complete_overrides(&catalog);
        let located = overridden(&catalog, self.name, &overrides)?;
        let stores = self.open_volumes(&located)?;
        let unconfirmed = self.unconfirmed(&catalog);
        Ok(Ok(Opened { marker, catalog, located, stores, overrides, unconfirmed }))
    }

    /// Volumes whose locations somebody must confirm. A snapshot that is not where its volume was recorded may lie in a copy of
    /// the volume, while the cluster still runs on the original: to take the other volumes over at their recorded
    /// locations would stop it.
    fn unconfirmed(&self, catalog: &Catalog) -> Vec<(String, String)> {
        let own = catalog.snapshot_named(self.name).map(|s| s.volume);
        let has_moved = |v: &Volume| v.location != self.store.location();
        if !own.and_then(|id| catalog.volume(id)).is_some_and(|v| has_moved(v)) {
            return Vec::new();
        }
        let confirmed = |name: &str| self.overrides.iter().any(|o| o.name == name && o.location.is_some());
        let others = catalog.volumes().filter(|v| Some(v.id) != own && !confirmed(&v.name));
        others.map(|v| (v.name.clone(), v.location.clone())).collect()
    }

    /// The snapshot was found where it was looked for: if its volume has moved since, that is where the volume is now.
    fn complete_overrides(&self, catalog: &Catalog) -> Vec<VolumeOverride> {
        let mut overrides = self.overrides.to_vec();
        let own = catalog.snapshot_named(self.name).and_then(|s| catalog.volume(s.volume));
        let Some(own) = own.filter(|v| v.location != self.store.location()) else { return overrides };
        let location = Some(self.store.location().to_owned());
        match overrides.iter_mut().find(|o| o.name == own.name) {
            Some(given) if given.location.is_some() => {}
            Some(given) => given.location = location,
            None => overrides.push(VolumeOverride {
                name: own.name.clone(),
                location,
                ..VolumeOverride::default()
            }),
        }
        overrides
    }

    /// Opens what tables use; the rest of the volumes need not be reachable, not even those of other snapshots.
    fn open_volumes(&self, catalog: &Catalog) -> Result<BTreeMap<String, VolumeStore>> {
        let mut stores = BTreeMap::new();
        for volume in used_volumes(catalog) {
            let store = match volume.location == self.store.location() {
                true => self.store.clone(),
                false => self.resolver.open(volume)?,
            };
            stores.insert(volume.name.clone(), store);
        }
        Ok(stores)
    }

    pub(crate) fn problem(&self, key: &str, what: String) -> Problem {
        Problem { file: format!("{}/{key}", self.store.location()), defect: Defect::Damaged, what }
    }
}

/// `catalog` as it will be with `overrides`, to look its volumes up.
pub(crate) fn overridden(catalog: &Catalog, name: &str, overrides: &[VolumeOverride]) -> Result<Catalog> {
    catalog.clone().restored(catalog.cluster().epoch + 1, name, overrides, Stamp::default())
}

/// The volumes in which the tables of this catalog have rows or will have them.
pub(crate) fn used_volumes(catalog: &Catalog) -> Vec<&Volume> {
    let used = |volume: &Volume| volume.id == catalog.default_volume() || catalog.has_tables_in(volume.id);
    catalog.volumes().map(|v| &**v).filter(|v| used(v)).collect()
}

fn disagreement(marker: &Marker, index: u64, catalog: &Catalog) -> Option<String> {
    let cluster = catalog.cluster();
    if (index, &cluster.id, cluster.epoch) != (marker.index, &marker.cluster, marker.epoch) {
        return Some(format!(
            "it is the image of cluster {} epoch {} index {index}, the marker says {} {} {}",
            cluster.id, cluster.epoch, marker.cluster, marker.epoch, marker.index
        ));
    }
    match catalog.snapshot_named(&marker.name) {
        Some(snapshot) if snapshot.created.index == marker.index => None,
        _ => Some(format!("the image does not know snapshot '{}' at its own index", marker.name)),
    }
}

/// What a missing file is; any other error is one.
fn missing_or(e: Error) -> Result<String> {
    match e.kind() {
        ErrorKind::NotFound => Ok("it is missing".to_owned()),
        ErrorKind::Corrupt => Ok(e.message().to_owned()),
        _ => Err(e),
    }
}

/// How closely files are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closeness {
    /// Every byte of every segment, or only that it is there with the right size.
    pub(crate) read_segments: bool,
    pub(crate) at_once: usize,
}

/// What was found, about all files beyond marker and image.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// The damage to what waits in the recycle bin: a snapshot does not pin that.
    pub(crate) recycled: Vec<Problem>,
    unreachable: usize,
}

impl Findings {
    fn add(&mut self, found: Found, recycled: bool) -> Result<()> {
        let Found { problem, unreachable } = found;
        if let Some(error) = unreachable {
            self.unreachable += 1;
            if self.unreachable > UNREACHABLE_MAX {
                return Err(error);
            }
        }
        // What cannot be read may be there: nobody may empty the bin for it.
        if recycled && problem.defect == Defect::Damaged {
            self.recycled.push(problem)
        } else {
            self.problems.push(problem)
        }
        Ok(())
    }
}

struct Found {
    problem: Problem,
    unreachable: Option<Error>,
}

impl Found {
    fn new(file: String, what: impl Into<String>) -> Self {
        Self { problem: Problem { file, defect: Defect::Damaged, what: what.into() }, unreachable: None }
    }

    fn of(file: String, e: Error) -> Self {
        match missing_or(e) {
            Ok(what) => Self::new(file, what),
            Err(e) => {
                let what = e.message().to_owned();
                Self { problem: Problem { file, defect: Defect::Unreadable, what }, unreachable: Some(e) }
            }
        }
    }
}

/// Checks the list of files and every file on it.
pub(crate) async fn check_files(
    place: &Place<'_>,
    opened: &Opened,
    closeness: Closeness,
    meter: &Meter<'_>,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut expected = expectations(&opened.catalog)?;
    for (chunk, sum) in (0_u64..).zip(&opened.marker.chunks) {
        let key = layout::snapshot_manifest(place.cluster, place.name, chunk);
        let read = match place.store.get(&key).await {
            Err(e) => Err(missing_or(e)?),
            Ok(bytes) => match sum.difference(&bytes) {
                Some(what) => Err(what),
                None => SnapshotFiles::decode(&bytes, chunk).map_err(|e| e.message().to_owned()),
            },
        };
        meter.add(1, sum.bytes);
        let listed = match read {
            Ok(files) => files.partitions,
            Err(what) => {
                findings.problems.push(place.problem(&key, what));
                continue;
            }
        };
        let wanted = compare(place, &key, listed, &mut expected, &mut findings);
        check_partitions(opened, wanted, closeness, meter, &mut findings).await?;
    }
    // With a chunk lost, what it listed would be reported a second time here.
    if findings.problems.is_empty() {
        for partition in expected.keys() {
            let key = layout::snapshot_folder(place.cluster, place.name);
            findings
                .problems
                .push(place.problem(&key, format!("its list of files lacks partition {partition}")));
        }
    }
    Ok(findings)
}

/// What the list must say about a partition, by the image.
struct Expected {
    manifest: String,
    checksum: u32,
    volume: String,
    recycled: bool,
    folder: PartitionFolder,
}

fn expectations(catalog: &Catalog) -> Result<BTreeMap<PartitionId, Expected>> {
    let expected = |one: crate::reach::Reached<'_>| Expected {
        manifest: one.version.manifest.name.clone(),
        checksum: one.version.manifest.checksum,
        volume: one.volume.name.clone(),
        recycled: one.recycled,
        folder: folder_of(catalog, one.partition),
    };
    Ok(reached(catalog)?.into_iter().map(|one| (one.partition.id, expected(one))).collect())
}

/// Takes what a chunk lists out of `expected`; what does not fit is a problem.
fn compare(
    place: &Place<'_>,
    chunk: &str,
    listed: Vec<PartitionFiles>,
    expected: &mut BTreeMap<PartitionId, Expected>,
    findings: &mut Findings,
) -> Vec<(PartitionFiles, PartitionFolder)> {
    let mut fitting = Vec::with_capacity(listed.len());
    for files in listed {
        match expected.remove(&files.partition) {
            Some(e)
                if (&e.manifest, e.checksum, &e.volume, e.recycled)
                    == (&files.manifest, files.manifest_sum.checksum, &files.volume, files.recycled) =>
            {
                fitting.push((files, e.folder));
            }
            Some(e) => findings.problems.push(place.problem(
                chunk,
                format!(
                    "it lists manifest {} for partition {}, the image has {}",
                    files.manifest, files.partition, e.manifest
                ),
            )),
            None => findings.problems.push(place.problem(
                chunk,
                format!(
                    "it lists partition {} a second time or without the image knowing it",
                    files.partition
                ),
            )),
        }
    }
    fitting
}

/// Checks manifests, then their segments, so many at once.
async fn check_partitions(
    opened: &Opened,
    wanted: Vec<(PartitionFiles, PartitionFolder)>,
    closeness: Closeness,
    meter: &Meter<'_>,
    findings: &mut Findings,
) -> Result<()> {
    let at_once = closeness.at_once.max(1);
    let stores = &opened.stores;
    let partitions = futures::stream::iter(wanted).map(|(files, folder)| async move {
        let recycled = files.recycled;
        let checked = match stores.get(&files.volume) {
            Some(store) => check_partition(store, files, folder, closeness, meter).await,
            None => Err(vec![Found::new(
                folder.to_string(),
                format!("storage volume '{}' is not known", files.volume),
            )]),
        };
        (recycled, checked)
    });
    let segments = partitions.buffer_unordered(at_once).flat_map(|(recycled, checked)| match checked {
        Ok(segments) => futures::stream::iter(segments).map(move |s| (recycled, Ok(s))).left_stream(),
        Err(found) => futures::stream::iter(found).map(move |f| (recycled, Err(f))).right_stream(),
    });
    let found = segments.map(|(recycled, one)| async move {
        let found = match one {
            Err(found) => Some(found),
            Ok(segment) => segment.check(meter).await.err(),
        };
        found.map(|found| (recycled, found))
    });
    let mut found = std::pin::pin!(found.buffer_unordered(at_once).filter_map(std::future::ready));
    while let Some((recycled, one)) = found.next().await {
        findings.add(one, recycled)?;
    }
    Ok(())
}

/// A segment whose bytes are to be read.
struct SegmentCheck {
    store: VolumeStore,
    key: String,
    segment: Segment,
}

/// Checks a manifest and that the list agrees with it; gives the segments that are left to be read.
async fn check_partition(
    store: &VolumeStore,
    files: PartitionFiles,
    folder: PartitionFolder,
    closeness: Closeness,
    meter: &Meter<'_>,
) -> Result<Vec<SegmentCheck>, Vec<Found>> {
    let manifest = check_manifest(store, &files, &folder).await.map_err(|found| vec![found])?;
    meter.add(1, files.manifest_sum.bytes);
    if closeness.read_segments {
        let check = |(_, s): (_, &Segment)| SegmentCheck {
            store: store.clone(),
            key: folder.file(&s.file),
            segment: s.clone(),
        };
        return Ok(manifest.segments().map(check).collect());
    }
    let found = check_sizes(store, &files, &folder).await;
    meter.add(files.segments.len() as u64, files.segments.iter().map(|s| s.bytes).sum());
    if found.is_empty() { Ok(Vec::new()) } else { Err(found) }
}

async fn check_manifest(
    store: &VolumeStore,
    files: &PartitionFiles,
    folder: &PartitionFolder,
) -> Result<Manifest, Found> {
    let key = folder.file(&files.manifest);
    let file = || format!("{}/{key}", store.location());
    let bytes = store.get(&key).await.map_err(|e| Found::of(file(), e))?;
    if let Some(what) = files.manifest_sum.difference(&bytes) {
        return Err(Found::new(file(), what));
    }
    let manifest =
        decode_manifest(&bytes, files.partition).map_err(|e| Found::new(file(), e.message().to_owned()))?;
    let listed = files.segments.iter().map(|s| (s.file.as_str(), s.bytes));
    if !listed.eq(manifest.segments().map(|(_, s)| (s.file.as_str(), s.bytes))) {
        return Err(Found::new(file(), "its segments are not those that the snapshot lists"));
    }
    Ok(manifest)
}

/// Looks the sizes of a partition's segments up, by one listing.
async fn check_sizes(store: &VolumeStore, files: &PartitionFiles, folder: &PartitionFolder) -> Vec<Found> {
    let path = folder.to_string();
    let listed: Result<Vec<ObjectInfo>> = store.list(&path).try_collect().await;
    let there: BTreeMap<String, u64> = match listed {
        Ok(listed) => listed.into_iter().map(|o| (o.key, o.bytes)).collect(),
        Err(e) => return vec![Found::of(format!("{}/{path}", store.location()), e)],
    };
    let mut found = Vec::new();
    for segment in &files.segments {
        let key = folder.file(&segment.file);
        let what = match there.get(&key) {
            None => "it is missing".to_owned(),
            Some(bytes) if *bytes != segment.bytes => {
                format!("it has {bytes} bytes and should have {}", segment.bytes)
            }
            Some(_) => continue,
        };
        found.push(Found::new(format!("{}/{key}", store.location()), what));
    }
    found
}

impl SegmentCheck {
    /// Reads every block of the segment against its checksum.
    async fn check(&self, meter: &Meter<'_>) -> Result<(), Found> {
        let Self { store, key, segment } = self;
        let file = || format!("{}/{key}", store.location());
        let head = store.head(key).await.map_err(|e| Found::of(file(), e))?;
        if head.bytes != segment.bytes {
            return Err(Found::new(
                file(),
                format!("it has {} bytes and should have {}", head.bytes, segment.bytes),
            ));
        }
        let block_bytes = BLOCK_BYTES as u64;
        if segment.block_checksums.len() as u64 != segment.bytes.div_ceil(block_bytes) {
            return Err(Found::new(file(), "its manifest has not one checksum for each block"));
        }
        for (block, checksum) in (0_u64..).zip(&segment.block_checksums) {
            let start = block * block_bytes;
            let end = segment.bytes.min(start + block_bytes);
            let bytes = store.get_range(key, start..end).await.map_err(|e| Found::of(file(), e))?;
            if cairn_codec::checksum(&bytes) != *checksum {
                return Err(Found::new(
                    file(),
                    format!("bytes {start}..{end} are damaged (checksum differs)"),
                ));
            }
            meter.add(0, end - start);
        }
        meter.add(1, 0);
        Ok(())
    }
}
