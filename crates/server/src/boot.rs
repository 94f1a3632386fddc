//! Starting a node: a new cluster, one that exists, or one that is brought back from a snapshot.
//!
//! A first start is explicit: an emptied, foreign or half-copied data directory is refused with the remedy named, because
//! a server that takes such a directory for a new cluster has lost the old one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_catalog::{Catalog, Cluster, Command, Stamp, Volume, VolumeKind};
use cairn_env::Env;
use cairn_env::files::{self, DirLock};
use cairn_journal::{Journal, Options};
use cairn_objects::{Starts, VolumeStore};
use cairn_snapshot::restore::{self, RestoreRequest};
use cairn_snapshot::{OpenVolumes, VolumeResolver, yaml};
use cairn_types::{Error, ErrorKind, Result, VolumeId};
use tokio_util::sync::CancellationToken;

use crate::fences;
use crate::http::HttpDoor;
use crate::identity::Identity;
use crate::jobs;
use crate::mysql::MysqlDoor;
use crate::node::{Addresses, Limits, Node};
use crate::ports::HeldPort;
use crate::settings;
use crate::state::CatalogState;

/// The volume that a new cluster begins with.
const FIRST_VOLUME: &str = "builtin_storage_volume";
/// Files that a segment is looked up with at once during a restore.
const RESTORE_AT_ONCE: usize = 16;

/// Disk that must be free beside the journal of a restored cluster.
const RESTORE_ROOM_BYTES: usize = 1 << 20;

/// How to start.
#[derive(Clone, Debug)]
pub struct StartOptions {
    pub data_dir: PathBuf,
    /// `None`: the folder `storage` in the data directory, for a new cluster.
    pub storage: Option<String>,
    /// Credentials and endpoint of `storage` (`aws.s3.…`).
    pub storage_properties: BTreeMap<String, String>,
    pub listen: IpAddr,
    /// 0 takes a free one.
    pub mysql_port: u16,
    pub http_port: u16,
    pub cluster_snapshot: Option<PathBuf>,
    /// Certificate chain and private key in PEM; `None`: one is made for this run.
    pub tls_pem: Option<(String, String)>,
    pub limits: Limits,
}

/// A started node; it serves as long as [`Running::serve`] runs.
pub struct Running {
    pub node: Arc<Node>,
    mysql: cairn_mysql::Server<MysqlDoor>,
    http: cairn_http::Server<HttpDoor>,
    lock: DirLock,
}

/// Starts a node.
///
/// # Errors
/// Whatever is in the way, with the remedy named; nothing was destroyed then.
pub async fn start(env: Env, options: StartOptions) -> Result<Running> {
    // A port that somebody else has is found before anything is made.
    let mysql_port = HeldPort::take(options.listen, options.mysql_port, "--mysql-port")?;
    let http_port = HeldPort::take(options.listen, options.http_port, "--http-port")?;
    let addresses = Addresses { mysql: mysql_port.address(), http: http_port.address() };
    // Until something is made in it, a folder that is refused is left as it was found.
    let mut lock = DirLock::take_new(&options.data_dir)?;
    let is_new = is_new(&options.data_dir)?;
    match (&options.cluster_snapshot, is_new) {
        (Some(file), true) => restore_from_file(&env, file, &options.data_dir).await?,
        (Some(file), false) => return Err(restore_onto(&options.data_dir, file)),
        (None, true) => create(&env, &options).await?,
        (None, false) => {}
    }
    lock.keep();
    let node = open(&env, &options, addresses).await?;
    let mysql = mysql_server(&env, &options, &node, mysql_port)?;
    let door = Arc::new(HttpDoor { node: Arc::clone(&node) });
    let http = cairn_http::Server::new(http_port.listen()?, cairn_http::Config::default(), door, env.clone());
    Ok(Running { node, mysql, http, lock })
}

impl Running {
    /// Serves until `shutdown` is cancelled, then ends cleanly. A node that was fenced out cancels it itself.
    ///
    /// # Errors
    /// Why the node had to stop by itself.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<()> {
        let Self { node, mysql, http, lock } = self;
        let jobs = jobs::spawn(&node, &shutdown);
        tokio::join!(
            mysql.serve(shutdown.clone().cancelled_owned()),
            http.serve(shutdown.clone().cancelled_owned())
        );
        let outcome = jobs.join().await;
        // Whoever was fenced out has nothing to say in the volumes any more.
        if outcome.is_ok() {
            fences::sign(&node, true).await;
        }
        node.journal.shutdown().await?;
        drop(lock);
        outcome
    }
}

/// Whether a cluster can be made in `data_dir`.
///
/// # Errors
/// `Corrupt` for a directory that is neither empty nor a whole data directory.
fn is_new(data_dir: &Path) -> Result<bool> {
    let named = |name: &str| data_dir.join(name);
    let identity = Identity::read(data_dir)?.is_some();
    let meta = named("meta").exists();
    match (identity, meta) {
        (true, true) => return Ok(false),
        (true, false) => {
            return Err(Error::corrupt(format!(
                "data directory {} has lost its folder 'meta': put it back, or restore the newest cluster snapshot into another \
                 directory (cairn snapshot restore URI --data-dir NEW)",
                data_dir.display()
            )));
        }
        (false, true) => {
            return Err(Error::corrupt(format!(
                "data directory {} has no readable file IDENTITY: it was made half or copied half. Put the file back; or, if the \
                 cluster never started here, empty the directory",
                data_dir.display()
            )));
        }
        (false, false) => {}
    }
    if named(RESTORING).exists() {
        return Err(Error::corrupt(format!(
            "a restore into {} was begun and not finished: empty the directory, or restore into another one",
            data_dir.display()
        )));
    }
    // A first start that was cut off left "meta.new", in which nothing was acknowledged.
    let ours = ["LOCK", "spill", "storage", "cairn.toml", "meta.new"];
    let foreign = files::list(data_dir)?.into_iter().find(|path| {
        !path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|name| ours.contains(&name) || name.ends_with(".tmp"))
    });
    match foreign {
        None => Ok(true),
        Some(path) => Err(Error::corrupt(format!(
            "{} is not a Cairn data directory, and not empty (it has {}): name another by --data-dir",
            data_dir.display(),
            path.display()
        ))),
    }
}

fn holds_cluster(data_dir: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "data directory {} holds a cluster already: nothing was changed. Name a new --data-dir",
            data_dir.display()
        ),
    )
}

fn restore_onto(data_dir: &Path, file: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "data directory {} holds a cluster already: nothing was changed. To restore {}, name a new --data-dir; to go on with \
             the cluster that is here, leave --cluster-snapshot out",
            data_dir.display(),
            file.display()
        ),
    )
}

/// Makes a new cluster.
async fn create(env: &Env, options: &StartOptions) -> Result<()> {
    let default = format!("file://{}", absolute(&options.data_dir.join("storage"))?.display());
    let location = options.storage.clone().unwrap_or(default);
    let (kind, location) = VolumeKind::of_location(&location)?;
    let store = VolumeStore::create(&location, &options.storage_properties, env)?;
    refuse_known_clusters(&store).await?;
    let identity = Identity { cluster: env.random_hex(), epoch: 1, nonce: env.random_hex() };
    let created_ms = env.now_ms();
    let cluster = Cluster { id: identity.cluster.clone(), epoch: 1, created_ms, start: Default::default() };
    fences::claim(env, &store, &identity).await?;
    let volume = Volume {
        id: VolumeId(1),
        name: FIRST_VOLUME.to_owned(),
        kind,
        location,
        comment: String::new(),
        properties: options.storage_properties.clone(),
        created: Stamp { index: 0, time_ms: created_ms },
    };
    let catalog = CatalogState(Arc::new(Catalog::new(cluster, volume)));
    make_data_dir(env, &options.data_dir, &identity, 0, catalog).await
}

/// A volume that knows a cluster is most likely that of a cluster whose metadata was lost. A claim without any start is what a
/// first start leaves that was cut off.
async fn refuse_known_clusters(store: &VolumeStore) -> Result<()> {
    let is_cluster = |name: &String| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    for cluster in store.list_folders("").await?.into_iter().filter(is_cluster) {
        let holds_files = store.list_folders(&cluster).await?.iter().any(|folder| folder != "fence");
        if holds_files || Starts::any(store, &cluster).await? {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{location} holds cluster {cluster} already, and the data directory is empty. If its metadata was lost, bring \
                     it back: cairn snapshot ls {location}, then cairn snapshot restore {location} --data-dir NEW. For another \
                     cluster, name another location by --storage",
                    location = store.location()
                ),
            ));
        }
    }
    Ok(())
}

/// The journal first, the identity last: without it the directory is not taken for whole.
async fn make_data_dir(
    env: &Env,
    data_dir: &Path,
    identity: &Identity,
    index: u64,
    catalog: CatalogState,
) -> Result<()> {
    let journal = Journal::create(data_dir, env.clone(), Options::default(), index, catalog).await?;
    journal.shutdown().await?;
    env.failpoint("restore.after_image")?;
    identity.write(data_dir)?;
    files::remove(&data_dir.join(RESTORING))?;
    env.failpoint("restore.after_switch")
}

/// From here on the directory is not taken for an empty one: a restore that dies must not leave a place for a new cluster.
fn begin_restore(data_dir: &Path) -> Result<()> {
    files::write_atomic(&data_dir.join(RESTORING), b"a restore into this directory was begun\n")
}

async fn restore_from_file(env: &Env, file: &Path, data_dir: &Path) -> Result<()> {
    let text = String::from_utf8(files::read(file)?)
        .map_err(|_| Error::parse(format!("{} is no UTF-8 text", file.display())))?;
    let parsed = yaml::parse(&text).map_err(|e| e.context(file.display()))?;
    let overrides = parsed.volumes.clone();
    let properties =
        overrides.iter().find(|v| v.name == parsed.volume).map(|v| v.properties.clone()).unwrap_or_default();
    let request =
        RestoreRequest { source: parsed.source, overrides, read_everything: false, at_once: RESTORE_AT_ONCE };
    restore_into(env, request, &properties, data_dir).await
}

/// Restores a snapshot into the new directory `data_dir`: checks first, builds beside, switches once.
async fn restore_into(
    env: &Env,
    request: RestoreRequest,
    properties: &BTreeMap<String, String>,
    data_dir: &Path,
) -> Result<()> {
    let resolver = OpenVolumes::new(env.clone());
    let store = VolumeStore::open(&request.source.location, properties, env)?;
    let plan = restore::plan(&store, &request, &resolver, &|_| {}).await?;
    plan.check()?;
    for (name, defect) in &plan.torn {
        tracing::warn!(snapshot = name, defect, "passed over");
    }
    begin_restore(data_dir)?;
    finish_restore(env, plan, &resolver, data_dir).await.map(drop)
}

/// Carries a checked plan out: takes the cluster over in its volumes, and makes the data directory. Gives the snapshots that
/// the restored cluster forgets, because their files are gone.
///
/// # Errors
/// `Corrupt` for a plan with problems; `Fenced` when another restore was quicker; `Unavailable`.
pub async fn finish_restore(
    env: &Env,
    plan: restore::RestorePlan,
    resolver: &dyn VolumeResolver,
    data_dir: &Path,
) -> Result<Vec<String>> {
    plan.check()?;
    if let Err(cause) = try_data_dir(env, data_dir, &plan).await {
        forget_restore(data_dir);
        return Err(cause.context(format!(
            "{} cannot take the restored cluster: nothing was changed, and the old process goes on. Make room, or name another \
             directory",
            data_dir.display()
        )));
    }
    let restored = match restore::execute(env, plan, resolver).await {
        Ok(restored) => restored,
        Err(cause) => {
            forget_restore(data_dir);
            return Err(cause);
        }
    };
    for name in &restored.given_up {
        tracing::warn!(snapshot = name, "its files are gone: the restored cluster forgets it");
    }
    match make_restored(env, data_dir, &restored).await {
        Ok(()) => Ok(restored.given_up),
        Err(cause) => {
            // As long as it could be taken for whole, nobody else may have the epoch.
            files::remove(&data_dir.join("IDENTITY"))
                .map_err(|e| e.context(format!("after a restore that failed ({})", cause.message())))?;
            forget_restore(data_dir);
            Err(restored.give_back(cause).await)
        }
    }
}

/// What was made in the directory counts for nothing: it may be used again.
fn forget_restore(data_dir: &Path) {
    let folders = [TRIAL, "meta", "meta.new"].map(|name| files::remove_dir_all(&data_dir.join(name)));
    let removed = folders.into_iter().collect::<Result<Vec<()>>>();
    let cleaned = removed.and_then(|_| files::remove(&data_dir.join(RESTORING)));
    if let Err(error) = cleaned {
        tracing::warn!(%error, "what a failed restore left in the data directory could not be removed");
    }
}

/// The folder in which a journal is tried.
const TRIAL: &str = "trial";

/// Makes and removes a journal as the restored one will be, and some room beside: a disk that cannot take it must not cost the
/// old cluster its volumes.
async fn try_data_dir(env: &Env, data_dir: &Path, plan: &restore::RestorePlan) -> Result<()> {
    let trial = data_dir.join(TRIAL);
    let catalog = CatalogState(Arc::new(plan.catalog().clone()));
    let journal =
        Journal::create(&trial, env.clone(), Options::default(), plan.marker.index, catalog).await?;
    journal.shutdown().await?;
    files::write_atomic(&trial.join("room"), &vec![1; RESTORE_ROOM_BYTES])?;
    files::remove_dir_all(&trial)
}

async fn make_restored(env: &Env, data_dir: &Path, restored: &restore::Restored) -> Result<()> {
    let identity = Identity {
        cluster: restored.catalog.cluster().id.clone(),
        epoch: restored.epoch,
        nonce: restored.nonce.clone(),
    };
    let catalog = CatalogState(Arc::new(restored.catalog.clone()));
    make_data_dir(env, data_dir, &identity, restored.index, catalog).await
}

/// The file that says that a restore into a directory was begun. It goes when the restore is done.
const RESTORING: &str = "RESTORING";

/// Takes a directory for a restore: new or empty, and locked.
///
/// # Errors
/// `AlreadyExists` when a cluster is there.
pub fn new_data_dir(data_dir: &Path) -> Result<DirLock> {
    let mut lock = DirLock::take_new(data_dir)?;
    if !is_new(data_dir)? {
        return Err(holds_cluster(data_dir));
    }
    begin_restore(data_dir)?;
    lock.keep();
    Ok(lock)
}

async fn open(env: &Env, options: &StartOptions, addresses: Addresses) -> Result<Arc<Node>> {
    let journal_options = Options { address: addresses.mysql.to_string(), ..Options::default() };
    let journal: Journal<CatalogState> =
        Journal::open(&options.data_dir, env.clone(), journal_options).await?;
    let catalog = Arc::clone(&journal.state().state.0);
    check_identity(&options.data_dir, &catalog)?;
    check_storage(options, &catalog)?;
    check_root(options.listen, &catalog)?;
    clear_spill(&options.data_dir)?;
    let node = Node::new(env.clone(), options.data_dir.clone(), options.limits.clone(), addresses, journal)?;
    fences::begin(&node).await?;
    for error in fences::check(&node).await? {
        tracing::warn!(%error, "tried again every few seconds");
    }
    env.failpoint("start.after_record")?;
    fences::sign(&node, false).await;
    let entries = settings::number(&catalog, "image_interval_entries");
    node.journal.set_image_every_entries(entries);
    node.propose(Command::AbortOpenTxns {
        reason: "the server was restarted while the load was open".to_owned(),
    })
    .await?;
    Ok(node)
}

fn check_identity(data_dir: &Path, catalog: &Catalog) -> Result<()> {
    let identity = Identity::read(data_dir)?;
    let cluster = catalog.cluster();
    match identity {
        Some(id) if id.cluster == cluster.id && id.epoch == cluster.epoch => Ok(()),
        _ => Err(Error::corrupt(format!(
            "data directory {} is put together of two clusters: IDENTITY and the journal differ. Use a whole copy of one",
            data_dir.display()
        ))),
    }
}

fn check_storage(options: &StartOptions, catalog: &Catalog) -> Result<()> {
    let Some(storage) = &options.storage else { return Ok(()) };
    let (_, location) = VolumeKind::of_location(storage)?;
    let known: Vec<&str> = catalog.volumes().map(|v| v.location.as_str()).collect();
    match known.contains(&location.as_str()) {
        true => Ok(()),
        false => Err(Error::analysis(format!(
            "--storage {location} is not a volume of this cluster (it has {}): leave --storage out, and add it by CREATE STORAGE VOLUME",
            known.join(", ")
        ))),
    }
}

/// An empty password of root is for the same machine only.
fn check_root(listen: IpAddr, catalog: &Catalog) -> Result<()> {
    let open = catalog.user("root").is_some_and(|root| !root.has_password());
    if open && !listen.is_loopback() {
        tracing::warn!(%listen, "root has no password: it can log in from this machine only, until SET PASSWORD gives it one");
    }
    Ok(())
}

fn clear_spill(data_dir: &Path) -> Result<()> {
    let spill = data_dir.join("spill");
    files::remove_dir_all(&spill)?;
    files::create_dir(&spill)
}

fn mysql_server(
    env: &Env,
    options: &StartOptions,
    node: &Arc<Node>,
    port: HeldPort,
) -> Result<cairn_mysql::Server<MysqlDoor>> {
    let tls = match &options.tls_pem {
        Some((certificates, key)) => cairn_mysql::server_config(certificates, key)?,
        None => {
            let minted = cairn_mysql::self_signed(&["localhost".to_owned(), options.listen.to_string()])?;
            cairn_mysql::server_config(&minted.certificate_pem, &minted.key_pem)?
        }
    };
    let config = cairn_mysql::Config { tls: Some(tls), ..cairn_mysql::Config::default() };
    let door = Arc::new(MysqlDoor { node: Arc::clone(node) });
    Ok(cairn_mysql::Server::new(port.listen()?, config, door, env.clone()))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| files::io_error("resolve", path, &e))
}
