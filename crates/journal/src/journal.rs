//! The handle to a running journal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cairn_env::files::DirLock;
use cairn_env::{Env, OwnThread};
use cairn_types::{Error, Result};
use openraft::{ChangeMembers, Config, Raft, RaftMetrics, SnapshotPolicy};
use redb::StorageBackend;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::batcher::{self, WAITING_MAX, Waiting};
use crate::create;
use crate::entry;
use crate::errors::StopCause;
use crate::group::{Group, Node, Proposal, Vote};
use crate::image::{ImageInfo, Images};
use crate::imager::Imager;
use crate::layout::Layout;
use crate::log_file::LogFile;
use crate::log_store::LogStore;
use crate::machine::{Machine, Published};
use crate::member::{self, Member};
use crate::network::NoPeers;
use crate::options::Options;
use crate::recover::{Recovered, recover};
use crate::state::{Applied, State, Versioned};

/// A running journal over the state `S`; clones are the same journal.
///
/// It ends by [`Journal::shutdown`]. Without it, it ends soon after the last clone is dropped; nothing is lost either way.
pub struct Journal<S: State> {
    inner: Arc<Inner<S>>,
}

impl<S: State> Clone for Journal<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

struct Inner<S: State> {
    env: Env,
    options: Options,
    raft: Raft<Group<S>>,
    published: Arc<Published<S>>,
    imager: Arc<Imager<S>>,
    proposals: mpsc::Sender<Waiting<S>>,
    cause: StopCause,
    commits: Arc<AtomicU64>,
    tasks: [JoinHandle<()>; 2],
    closed: AtomicBool,
    /// Where all of the journal's tasks run; there until the end.
    thread: Option<OwnThread>,
}

impl<S: State> Journal<S> {
    /// Makes a journal in `data_dir`: a new group of one that begins with `state` after command `index` (0 for a new
    /// cluster; the first command will be `index` + 1), and opens it. A crash leaves a whole journal or none.
    ///
    /// # Errors
    /// `AlreadyExists` when the directory has one; as the file system says.
    pub async fn create(data_dir: &Path, env: Env, options: Options, index: u64, state: S) -> Result<Self> {
        options.check()?;
        let (dir, making_env, making_options) = (data_dir.to_owned(), env.clone(), options.clone());
        let made = env
            .spawn_blocking(move || create::create(&dir, &making_env, &making_options, index, state))
            .await;
        crate::machine::joined(made)?;
        Self::open(data_dir, env, options).await
    }

    /// Opens the journal in `data_dir`. A group of one serves when this returns.
    ///
    /// # Errors
    /// `NotFound` when there is none or a file of it is missing, `Conflict` when another process has it open,
    /// `Corrupt` when a file is damaged, `Unsupported` for a command this Cairn does not know. Nothing is changed then.
    pub async fn open(data_dir: &Path, env: Env, options: Options) -> Result<Self> {
        Self::open_on(data_dir, env, options, LogFile::backend).await
    }

    /// [`Journal::open`] with the log file behind a backend of the caller's making.
    pub(crate) async fn open_on<B: StorageBackend>(
        data_dir: &Path,
        env: Env,
        options: Options,
        backend: impl FnOnce(&Layout) -> Result<B> + Send + 'static,
    ) -> Result<Self> {
        options.check()?;
        create::check_made(data_dir)?;
        let layout = Layout::of_data_dir(data_dir);
        let read = env.spawn_blocking(move || {
            let lock = DirLock::take(&layout.meta)?;
            let recovered = recover::<S>(&layout)?;
            for (_, error) in &recovered.damaged {
                tracing::warn!(%error, "an image cannot be used; an older one and the journal give the same state");
            }
            let file = LogFile::open(&layout, backend(&layout)?, recovered.needs_repair)?;
            Ok((OwnThread::start("journal")?, Opened { layout, lock, recovered, file }))
        });
        let (thread, opened) = crate::machine::joined(read.await)?;
        let member_id = opened.recovered.progress.member_id;
        let voters: Vec<_> = opened.recovered.point.membership.voter_ids().collect();
        let vote = opened.file.vote()?;
        let started = thread.spawn("journal start", Inner::start(env, options, opened));
        let mut inner = crate::machine::joined(started.await)?;
        inner.thread = Some(thread);
        let journal = Self { inner: Arc::new(inner) };
        match journal.serve(member_id, &voters, vote).await {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.shutdown().await?;
                Err(error)
            }
        }
    }

    /// Makes a group of one lead itself, and waits until it does.
    async fn serve(&self, member_id: u64, voters: &[u64], vote: Option<Vote>) -> Result<()> {
        let raft = &self.inner.raft;
        let stopped = |fatal| self.inner.cause.of_fatal(&fatal);
        // Metrics say nothing before openraft's task runs; an answer from it shows that it does.
        raft.with_raft_state(|_| ()).await.map_err(stopped)?;
        if voters != [member_id] {
            return Ok(());
        }
        // openraft goes on as the leader it was when the vote says so. The vote was not settled when a crash came
        // in the middle of an election; then a new one is held at once rather than after a timeout.
        let led = vote.is_some_and(|v| v.is_committed() && v.leader_id().voted_for() == Some(member_id));
        if !led {
            raft.trigger().elect().await.map_err(stopped)?;
        }
        let timeout = Duration::from_millis(self.inner.options.start_timeout_ms);
        let wait = raft.wait(Some(timeout));
        let serves = |m: &RaftMetrics<u64, Node>| {
            m.current_leader == Some(member_id) && m.last_applied.map(|l| l.index) == m.last_log_index
        };
        if let Err(error) = wait.metrics(serves, "the only member leads").await {
            return Err(self.inner.cause.error(&format!("its only member did not begin to serve: {error}")));
        }
        self.keep_address(member_id).await
    }

    /// Notes a changed address of this member in the group.
    async fn keep_address(&self, member_id: u64) -> Result<()> {
        let address = &self.inner.options.address;
        let members = Arc::clone(&self.inner.raft.metrics().borrow().membership_config);
        if members.nodes().any(|(id, node)| *id == member_id && node.addr == *address) {
            return Ok(());
        }
        let node = std::collections::BTreeMap::from([(member_id, Node::new(address))]);
        let changed = self.inner.raft.change_membership(ChangeMembers::SetNodes(node), true).await;
        changed.map(|_| ()).map_err(|e| self.inner.cause.of_write(&e))
    }

    /// Adds `command` to the journal. When this returns, it is durable on a majority and [`Journal::state`] shows it.
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// `ResourceExhausted` when the command is too large: it is not in the journal. `Unavailable` when this member does
    /// not lead (not in the journal either), or when the journal stopped: then only a restart shows whether it is.
    pub async fn propose(&self, command: S::Command) -> Result<Applied<S>> {
        let inner = &self.inner;
        let time_ms = inner.env.now_ms();
        let frame = entry::seal_command::<S>(time_ms, &command)?;
        let (bytes, bytes_max) = (frame.len(), inner.options.command_bytes_max);
        if bytes > bytes_max {
            return Err(Error::resource_exhausted(format!(
                "a change of metadata takes {bytes} bytes, more than the {bytes_max} allowed: do it in smaller steps"
            )));
        }
        let proposal = Proposal { time_ms, command: Arc::new(command), frame: Some(frame.into()) };
        let (reply, answer) = oneshot::channel();
        let stopped = || inner.cause.of_fatal(&openraft::error::Fatal::Stopped);
        if inner.closed.load(Ordering::Acquire) {
            return Err(stopped());
        }
        inner.proposals.send(Waiting { proposal, bytes, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// The newest state; does not wait for anything.
    #[must_use]
    pub fn state(&self) -> Arc<Versioned<S>> {
        Arc::clone(&self.inner.published.point().versioned)
    }

    /// Tells the number of the newest command whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.published.watch()
    }

    /// Waits until [`Journal::state`] holds everything that was acknowledged, by any member, before this call.
    ///
    /// # Errors
    /// `Unavailable` when this member does not lead or a majority does not answer.
    pub async fn read_barrier(&self) -> Result<()> {
        let done = self.inner.raft.ensure_linearizable().await;
        done.map(|_| ()).map_err(|e| self.inner.cause.of_read(&e))
    }

    /// Makes an image of the newest state, unless there is one, and removes the images and log entries that it makes
    /// superfluous.
    ///
    /// # Errors
    /// As the file system says; the journal goes on without the image.
    pub async fn create_image(&self) -> Result<ImageInfo> {
        self.inner.imager.make().await
    }

    /// The images that are kept, oldest first.
    #[must_use]
    pub fn images(&self) -> Vec<ImageInfo> {
        self.inner.imager.images.infos()
    }

    /// Changes after how many commands an image is made; 0 counts as 1.
    pub fn set_image_every_entries(&self, entries: u64) {
        self.inner.imager.every_entries.store(entries.max(1), Ordering::Relaxed);
    }

    /// The members of the group, by id.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        member::members(&self.inner.raft.metrics().borrow())
    }

    /// Whether this member leads the group.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        metrics.running_state.is_ok() && metrics.current_leader == Some(metrics.id)
    }

    /// Whether the journal can take commands, as far as this member knows.
    ///
    /// # Errors
    /// `Unavailable`, with the cause and what to do, when it stopped.
    pub fn health(&self) -> Result<()> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        match &metrics.running_state {
            Err(fatal) => Err(self.inner.cause.of_fatal(fatal)),
            Ok(()) if self.inner.cause.get().is_some() => Err(self.inner.cause.error("its storage failed")),
            Ok(()) => Ok(()),
        }
    }

    /// Durable commits of the log since it was opened: each is one wait for the disk.
    #[must_use]
    pub fn durable_commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    /// Ends the journal: an image in the making is finished, commands that wait are refused, the files are closed.
    ///
    /// # Errors
    /// `Internal` when its thread does not end cleanly.
    pub async fn shutdown(&self) -> Result<()> {
        let inner = &self.inner;
        inner.closed.store(true, Ordering::Release);
        let _no_image = inner.imager.one_at_a_time.lock().await;
        for task in &inner.tasks {
            task.abort();
        }
        let ended = inner.raft.shutdown().await;
        inner.imager.images.let_go();
        ended.map_err(|e| Error::internal(format!("the journal did not end cleanly: {e}")))
    }
}

/// What was read of a journal that does not run yet.
struct Opened<S: State> {
    layout: Layout,
    lock: DirLock,
    recovered: Recovered<S>,
    file: LogFile,
}

impl<S: State> Inner<S> {
    /// Starts the group and the tasks around it on the thread that runs this.
    async fn start(env: Env, options: Options, opened: Opened<S>) -> Result<Self> {
        let Opened { layout, lock, recovered, file } = opened;
        let (group, member_id) = (recovered.progress.group, recovered.progress.member_id);
        let cause = StopCause::default();
        let commits = file.commits();
        let images = Arc::new(Images::new(layout, lock, group, recovered.images));
        let committed = recovered.point.log_id;
        let published = Arc::new(Published::new(recovered.point));
        let store = LogStore::new(env.clone(), file, cause.clone(), committed)?;
        let machine = Machine::new(env.clone(), Arc::clone(&published), Arc::clone(&images), cause.clone());
        let config = Arc::new(raft_config(&options)?);
        let raft = Raft::new(member_id, config, NoPeers, store, machine)
            .await
            .map_err(|fatal| cause.of_fatal(&fatal))?;
        let imager = Arc::new(Imager {
            env: env.clone(),
            raft: raft.clone(),
            published: Arc::clone(&published),
            images,
            cause: cause.clone(),
            every_entries: AtomicU64::new(options.image_every_entries),
            entries_kept: options.entries_kept,
            one_at_a_time: Arc::default(),
        });
        let (proposals, waiting) = mpsc::channel(WAITING_MAX);
        let tasks = [
            env.spawn("journal proposals", batcher::run(waiting, raft.clone(), cause.clone())),
            env.spawn("journal images", Arc::clone(&imager).run()),
        ];
        let (closed, thread) = (AtomicBool::new(false), None);
        Ok(Self { env, options, raft, published, imager, proposals, cause, commits, tasks, closed, thread })
    }
}

impl<S: State> Drop for Inner<S> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        let (raft, images) = (self.raft.clone(), Arc::clone(&self.imager.images));
        let ended = self.closed.load(Ordering::Acquire);
        if let Some(thread) = self.thread.take().filter(|_| !ended) {
            thread.end_after(async move {
                let _ended = raft.shutdown().await;
                images.let_go();
            });
        }
    }
}

fn raft_config(options: &Options) -> Result<Config> {
    let config = Config {
        cluster_name: "cairn".to_owned(),
        heartbeat_interval: options.heartbeat_ms,
        election_timeout_min: options.election_timeout_min_ms,
        election_timeout_max: options.election_timeout_max_ms,
        install_snapshot_timeout: 60_000,
        // Images are made by `imager`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    config.validate().map_err(|e| Error::analysis(format!("the journal's settings do not fit together: {e}")))
}
