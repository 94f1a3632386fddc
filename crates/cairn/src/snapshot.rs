//! `cairn snapshot`: cluster snapshots in a storage volume, without a running server.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use cairn_catalog::Volume;
use cairn_catalog::restore::VolumeOverride;
use cairn_env::Env;
use cairn_objects::VolumeStore;
use cairn_server::boot;
use cairn_snapshot::restore::{self, RestorePlan, RestoreRequest};
use cairn_snapshot::{Done, SnapshotStatus, Source, Verdict, VerifyOptions, list, verify};
use cairn_types::{Error, Result, value};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{RestoreArgs, SnapshotCommand, VolumeArgs};
use crate::config::Config;

/// Files that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// Runs one command.
pub async fn run(command: &SnapshotCommand, env: &Env) -> Result<()> {
    match command {
        SnapshotCommand::Ls(args) => ls(&Place::open(args, env)?).await,
        SnapshotCommand::Verify(args) => verify_all(&Place::open(args, env)?).await,
        SnapshotCommand::Restore(args) => restore(args, env).await,
    }
}

/// A volume and where in it to look.
struct Place {
    env: Env,
    source: Source,
    store: VolumeStore,
    properties: BTreeMap<String, String>,
}

impl Place {
    fn open(args: &VolumeArgs, env: &Env) -> Result<Self> {
        let source = Source::parse(&args.uri)?;
        let properties = Config::read(args.config.as_deref())?.storage_properties;
        let store = VolumeStore::open(&source.location, &properties, env)?;
        Ok(Self { env: env.clone(), source, store, properties })
    }

    /// Opens the volumes that a snapshot names. Secrets are not in a snapshot: the configuration has them.
    fn resolver(&self) -> impl Fn(&Volume) -> Result<VolumeStore> + Send + Sync {
        let (env, given, here) = (self.env.clone(), self.properties.clone(), self.store.clone());
        move |volume: &Volume| {
            if volume.location == here.location() {
                return Ok(here.clone());
            }
            let mut properties = volume.properties.clone();
            if volume.location.starts_with("s3://") {
                properties.extend(given.clone());
            }
            VolumeStore::open(&volume.location, &properties, &env)
                .map_err(|e| e.context(format!("storage volume '{}'", volume.name)))
        }
    }
}

fn time(time_ms: u64) -> String {
    value::format_datetime(i64::try_from(time_ms / 1_000).unwrap_or(0) * 1_000_000)
}

async fn ls(place: &Place) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["CLUSTER", "NAME", "STATE", "CREATED (UTC)", "JOURNAL", "EPOCH", "FILES", "BYTES"]);
    for column in [4, 5, 6, 7] {
        table.column_mut(column).into_iter().for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    }
    for info in list(&place.store, &place.source).await? {
        let (cluster, name) = (info.cluster.clone(), info.name.clone());
        match info.marker() {
            Some(m) => table.add_row([
                cluster,
                name,
                "finished".into(),
                time(m.created_ms),
                m.index.to_string(),
                m.epoch.to_string(),
                m.files.to_string(),
                m.bytes.to_string(),
            ]),
            None => {
                table.add_row([cluster, name, format!("torn: {}", info.defect().unwrap_or("not finished"))])
            }
        };
    }
    println!("{}", table.trim_fmt());
    Ok(())
}

/// A bar on a terminal, nothing elsewhere.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let template = "{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn advance(bar: &ProgressBar, done: Done) {
    bar.set_length(done.bytes_total);
    bar.set_position(done.bytes);
    bar.set_message(format!("{}/{} files", done.files, done.files_total));
}

async fn verify_all(place: &Place) -> Result<()> {
    let found = list(&place.store, &place.source).await?;
    let finished: Vec<_> = found.iter().filter(|info| info.marker().is_some()).collect();
    let (mut damaged, mut unreadable) = (Vec::new(), Vec::new());
    for info in &found {
        if let SnapshotStatus::Damaged(why) = &info.status {
            println!("{}: DAMAGED, {why}", info.name);
            damaged.push(info.name.clone());
        }
    }
    if finished.is_empty() && damaged.is_empty() {
        return Err(Error::not_found(format!("there is no finished snapshot at {}", place.store.location())));
    }
    let resolver = place.resolver();
    for info in finished {
        let bar = bar();
        let options = VerifyOptions { at_once: READS_AT_ONCE };
        let progress = |done: Done| advance(&bar, done);
        let report =
            verify(&place.store, &info.cluster, &info.name, &resolver, &[], options, &progress).await?;
        bar.finish_and_clear();
        for problem in report.problems.iter().chain(&report.recycled) {
            println!("{}: {problem}", info.name);
        }
        let verdict = match report.verdict() {
            Verdict::Whole => "whole",
            Verdict::Unreadable => {
                unreadable.push(info.name.clone());
                "NOT READ"
            }
            Verdict::Damaged => {
                damaged.push(info.name.clone());
                "DAMAGED"
            }
        };
        println!("{}: {verdict}, {} files, {} bytes read", info.name, report.files, report.bytes);
    }
    match (damaged.as_slice(), unreadable.as_slice()) {
        ([], []) => Ok(()),
        ([], unread) => Err(Error::unavailable(format!(
            "not all files could be read of: {}. See to the volumes named above and their credentials, and verify again",
            unread.join(", ")
        ))),
        (damaged, _) => {
            Err(Error::corrupt(format!("damaged: {}. Restore another snapshot", damaged.join(", "))))
        }
    }
}

async fn restore(args: &RestoreArgs, env: &Env) -> Result<()> {
    let place = Place::open(&args.volume, env)?;
    let mut request = RestoreRequest {
        source: place.source.clone(),
        overrides: args.storage_volume.iter().map(relocated).collect(),
        read_everything: false,
        at_once: READS_AT_ONCE,
    };
    let resolver = place.resolver();
    let mut plan = restore::plan(&place.store, &request, &resolver, &|_| {}).await?;
    // A snapshot holds no secrets: what the configuration has of them goes into the restored cluster.
    if !place.properties.is_empty() {
        for (name, _) in plan.volumes.iter().filter(|(_, location)| location.starts_with("s3://")) {
            let properties = place.properties.clone();
            match request.overrides.iter_mut().find(|o| o.name == *name) {
                Some(given) => given.properties = properties,
                None => request.overrides.push(VolumeOverride {
                    name: name.clone(),
                    properties,
                    ..VolumeOverride::default()
                }),
            }
        }
        plan = restore::plan(&place.store, &request, &resolver, &|_| {}).await?;
    }
    print_plan(&plan);
    plan.check()?;
    if args.dry_run {
        println!("dry run: nothing was changed");
        return Ok(());
    }
    let lock = boot::new_data_dir(&args.data_dir)?;
    for name in boot::finish_restore(env, plan, &resolver, &args.data_dir).await? {
        println!("given up: {name}, whose files are gone");
    }
    drop(lock);
    println!(
        "restored into {}: start it with `cairn start --data-dir {}`",
        args.data_dir.display(),
        args.data_dir.display()
    );
    Ok(())
}

fn relocated((name, location): &(String, String)) -> VolumeOverride {
    VolumeOverride { name: name.clone(), location: Some(location.clone()), ..VolumeOverride::default() }
}

fn print_plan(plan: &RestorePlan) {
    let marker = &plan.marker;
    println!(
        "snapshot {} of cluster {}, journal index {}, taken {} UTC",
        marker.name,
        marker.cluster,
        marker.index,
        time(marker.created_ms)
    );
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["DATABASE", "TABLE", "PARTITIONS", "ROWS", "BYTES"]);
    for column in [2, 3, 4] {
        table.column_mut(column).into_iter().for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    }
    for t in &plan.tables {
        table.add_row([
            t.database.clone(),
            t.table.clone(),
            t.partitions.to_string(),
            t.rows.to_string(),
            t.bytes.to_string(),
        ]);
    }
    println!("{}", table.trim_fmt());
    println!("{} files, {} bytes", plan.files, plan.bytes);
    for (name, defect) in &plan.torn {
        println!("passed over: {name} ({defect})");
    }
    for problem in plan.problems.iter().chain(&plan.recycled) {
        println!("problem: {problem}");
    }
}
