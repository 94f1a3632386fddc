//! The vacuum: deletes the files that no retained state reaches.
//!
//! A run looks at every file of the cluster in every volume and marks those that nothing reaches. A mark whose grace period
//! passed leads to a second look, right before deletion: catalog, running queries, open writes and fence are read anew.
//! Marks live in memory: a restart begins the grace period anew, which only makes files stay longer.

mod manifests;
mod plan;
mod report;
mod trim;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::Catalog;
use cairn_env::Env;
use cairn_objects::{DataKey, ObjectInfo, PartitionFolder, VolumeStore, layout};
use cairn_storage::meta::Meta;
use cairn_types::{ErrorKind, Result};
use futures::TryStreamExt;

pub use plan::{Holds, Reachable, Verdict, Wanted, judge, wanted};
pub use report::{Amount, FolderReport, VacuumReport};
pub use trim::{TrimSettings, trim};

use crate::{VolumeResolver, clean, usage};
use manifests::Manifests;
use unknown::{Pins, Unknown};

/// Files that are judged and deleted together.
const BATCH_FILES: usize = 1_000;

/// How the vacuum works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VacuumSettings {
    /// How long nothing must have reached a file before it goes.
    pub grace_ms: u64,
}

/// What this process is working on.
pub trait OpenWork: Send + Sync {
    /// The ids of writes (loads, compactions) that are neither committed nor given up. An id is here before its first file is
    /// written, and until its commit is in the catalog.
    fn open_writes(&self) -> BTreeSet<String>;

    /// Whether the catalog shows all that was decided, as far as can be known.
    ///
    /// # Errors
    /// `Unavailable`: what was written may be committed, and nothing may be deleted.
    fn may_delete(&self) -> Result<()>;

    /// The catalogs that running queries read. A query takes the newest catalog and registers it in one step (under one lock),
    /// so that no catalog is replaced between the two.
    fn held_catalogs(&self) -> Vec<Arc<Catalog>>;
}

/// The vacuum of one process: its marks and the manifests that it read.
#[derive(Default)]
pub struct Vacuum {
    /// When it was first seen that nothing reaches a file (or a torn snapshot's folder): by location and key.
    marks: BTreeMap<Place, u64>,
    manifests: Manifests,
}

/// What one run works with.
struct Run<'a> {
    env: &'a Env,
    meta: &'a dyn Meta,
    volumes: &'a dyn VolumeResolver,
    work: &'a dyn OpenWork,
    settings: VacuumSettings,
    now_ms: u64,
}

/// A mark's place: location of the volume and key.
type Place = (String, String);

/// The first look: what it goes by, and what it has seen so far.
struct Survey<'a> {
    run: &'a Run<'a>,
    holds: &'a Holds,
    pins: &'a Pins,
    report: &'a mut VacuumReport,
    seen: &'a mut BTreeSet<Place>,
    due: Vec<Due>,
}

/// Files of one folder, with their bytes.
struct Group {
    folder: PartitionFolder,
    files: Vec<(String, u64)>,
}

/// Files of one folder which nothing reached for the grace period.
struct Due {
    store: VolumeStore,
    group: Group,
}

impl Run<'_> {
    /// See [`Holds`] for why the order matters.
    fn holds(&self) -> Holds {
        let open_writes = self.work.open_writes();
        let catalog = self.meta.catalog();
        Holds { open_writes, catalog, held: self.work.held_catalogs() }
    }
}

impl Vacuum {
    /// One run over all volumes of the catalog.
    ///
    /// # Errors
    /// `Fenced` when a higher epoch owns a volume: the process must stop. A failpoint's. Everything else that goes wrong stands
    /// in the report, and nothing is deleted where something could not be found out.
    pub async fn run(
        &mut self,
        env: &Env,
        meta: &dyn Meta,
        volumes: &dyn VolumeResolver,
        work: &dyn OpenWork,
        settings: VacuumSettings,
    ) -> Result<VacuumReport> {
        let run = Run { env, meta, volumes, work, settings, now_ms: env.now_ms() };
        let mut report = VacuumReport { started_ms: run.now_ms, ..VacuumReport::default() };
        let mut seen = BTreeSet::new();
        let holds = run.holds();
        let stores = open_all(&run, &holds.catalog);
        let found = match &stores {
            Ok(stores) => unknown::find(stores, &holds.catalog).await.map(|unknown| (stores, unknown)),
            Err(e) => Err(e.clone()),
        };
        match found {
            Ok((stores, unknown)) => {
                self.look_and_delete(&run, &holds, stores, &unknown, &mut report, &mut seen).await?
            }
            // A snapshot that cannot be read, or lies where nobody can look, may reach anything.
            Err(e) => report.problems.push(format!("nothing was deleted anywhere: {}", e.message())),
        }
        // Marks of what is gone, or is reached again, end; in a volume that could not be listed they begin anew.
        self.marks.retain(|key, _| seen.contains(key));
        self.manifests.end_run();
        report.finished_ms = env.now_ms();
        Ok(report)
    }

    async fn look_and_delete(
        &mut self,
        run: &Run<'_>,
        holds: &Holds,
        stores: &[VolumeStore],
        unknown: &Unknown,
        report: &mut VacuumReport,
        seen: &mut BTreeSet<Place>,
    ) -> Result<()> {
        report.unknown_snapshots.clone_from(&unknown.finished);
        let mut survey = Survey { run, holds, pins: &unknown.pins, report, seen, due: Vec::new() };
        for store in stores {
            if let Err(e) = self.survey(&mut survey, store).await {
                survey.report.problems.push(e.message().to_owned());
            }
        }
        let due = survey.due;
        self.mark_torn(run, unknown, seen);
        run.env.failpoint("vacuum.after_mark")?;
        self.sweep_torn(run, unknown, report).await?;
        self.sweep(run, &unknown.pins, due, report).await
    }

    /// Judges every file of the cluster in `store`, folder by folder.
    async fn survey(&mut self, survey: &mut Survey<'_>, store: &VolumeStore) -> Result<()> {
        let mut listed = store.list(&layout::data_folder(&survey.holds.catalog.cluster().id));
        let mut open: Option<Group> = None;
        while let Some(ObjectInfo { key, bytes, .. }) = listed.try_next().await? {
            let Some(DataKey { folder, file }) = DataKey::parse(&key) else {
                survey.report.unknown.insert(format!("{}/{key}", store.location()));
                continue;
            };
            let mut group = match open.take() {
                Some(group) if group.folder == folder && group.files.len() < BATCH_FILES => group,
                Some(full) => {
                    self.survey_group(survey, store, full).await;
                    Group { folder, files: Vec::new() }
                }
                None => Group { folder, files: Vec::new() },
            };
            group.files.push((file, bytes));
            open = Some(group);
        }
        if let Some(last) = open {
            self.survey_group(survey, store, last).await;
        }
        Ok(())
    }

    async fn survey_group(&mut self, survey: &mut Survey<'_>, store: &VolumeStore, group: Group) {
        let Survey { run, holds, pins, report, seen, due } = survey;
        let Group { folder, files } = group;
        let reachable = self.manifests.reachable(run.volumes, holds, pins, &folder).await;
        let location = store.location().to_owned();
        let folder_report = report.folders.entry((location.clone(), folder.clone())).or_default();
        let reachable = reachable.map_err(|problem| folder_report.problem = Some(problem)).ok();
        let mut going = Vec::new();
        for (file, bytes) in files {
            let place = (location.clone(), folder.file(&file));
            let marked = self.marks.get(&place).copied();
            let verdict =
                judge(&file, &reachable, &holds.open_writes, marked, run.now_ms, run.settings.grace_ms);
            if let Verdict::Live(holders) = &verdict {
                usage::add(&mut report.snapshots, bytes, holders);
            }
            folder_report.add(&file, bytes, &verdict);
            if let Verdict::Marked { since_ms } | Verdict::Delete { since_ms } = verdict {
                self.marks.insert(place.clone(), since_ms);
                seen.insert(place);
            }
            if matches!(verdict, Verdict::Delete { .. }) {
                going.push((file, bytes));
            }
        }
        if !going.is_empty() {
            due.push(Due { store: store.clone(), group: Group { folder, files: going } });
        }
    }

    /// Deletes what is due, after a second look.
    async fn sweep(
        &mut self,
        run: &Run<'_>,
        pins: &Pins,
        due: Vec<Due>,
        report: &mut VacuumReport,
    ) -> Result<()> {
        for Due { store, group: Group { folder, files } } in due {
            let holds = run.holds();
            // After the open writes were listed: a commit whose outcome is open is known by then.
            run.work.may_delete()?;
            let cluster = holds.catalog.cluster();
            // A folder that cannot be understood any more stays as it is.
            let Ok(reachable) = self.manifests.reachable(run.volumes, &holds, pins, &folder).await else {
                continue;
            };
            let reachable = Some(reachable);
            let still = |(file, _): &(String, u64)| {
                let verdict = judge(file, &reachable, &holds.open_writes, Some(0), run.now_ms, 0);
                matches!(verdict, Verdict::Delete { .. })
            };
            let going: Vec<_> = files.into_iter().filter(still).collect();
            if going.is_empty() {
                continue;
            }
            let keys: Vec<String> = going.iter().map(|(file, _)| folder.file(file)).collect();
            run.env.failpoint("vacuum.before_delete")?;
            let deleted = match cairn_storage::check_fence(&store, cluster).await {
                Ok(()) => store.delete_all(&keys).await,
                Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
                Err(e) => Err(e),
            };
            if let Err(e) = deleted {
                report.problems.push(e.message().to_owned());
                continue;
            }
            run.env.failpoint("vacuum.after_delete")?;
            let seen_here = report.folders.entry((store.location().to_owned(), folder)).or_default();
            for (_, bytes) in going {
                seen_here.marked_went(bytes);
                report.deleted.add(bytes);
            }
        }
        Ok(())
    }

    /// Torn folders of snapshots that the catalog does not know wait for the grace period too.
    fn mark_torn(&mut self, run: &Run<'_>, unknown: &Unknown, seen: &mut BTreeSet<Place>) {
        for (store, name) in &unknown.torn {
            let mark = (store.location().to_owned(), name.clone());
            self.marks.entry(mark.clone()).or_insert(run.now_ms);
            seen.insert(mark);
        }
    }

    async fn sweep_torn(
        &mut self,
        run: &Run<'_>,
        unknown: &Unknown,
        report: &mut VacuumReport,
    ) -> Result<()> {
        for (store, name) in &unknown.torn {
            let since_ms = self.marks.get(&(store.location().to_owned(), name.clone())).copied();
            let waited = since_ms.and_then(|since| run.now_ms.checked_sub(since));
            if waited.is_none_or(|waited| waited < run.settings.grace_ms) {
                continue;
            }
            match clean::remove_torn(store, &run.meta.catalog(), name).await {
                Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
                Err(e) => report.problems.push(e.message().to_owned()),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Opens every volume, each place once.
///
/// # Errors
/// What keeps one from being opened.
fn open_all(run: &Run<'_>, catalog: &Catalog) -> Result<Vec<VolumeStore>> {
    let mut stores: BTreeMap<String, VolumeStore> = BTreeMap::new();
    for volume in catalog.volumes() {
        let store = run.volumes.open(volume)?;
        stores.insert(store.location().to_owned(), store);
    }
    Ok(stores.into_values().collect())
}
