//! The state machine: applies log entries to the state and publishes the result for readers without locks.

use std::io::Cursor;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cairn_env::{Env, files};
use cairn_types::{Error, Result};
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use tokio::sync::watch;

use crate::errors::{StopCause, panic_text};
use crate::group::{Entry, Group, ImageMark, LogId, Outcomes, StorageError, StoredMembership};
use crate::image::{Image, Images};
use crate::state::{Applied, State, Versioned};

/// The state after one log entry.
#[derive(Clone, Debug)]
pub(crate) struct Point<S> {
    pub log_id: Option<LogId>,
    pub membership: StoredMembership,
    pub versioned: Arc<Versioned<S>>,
}

/// The newest point, for everybody.
pub(crate) struct Published<S> {
    point: ArcSwap<Point<S>>,
    index: watch::Sender<u64>,
}

impl<S: State> Published<S> {
    pub fn new(point: Point<S>) -> Self {
        let index = watch::Sender::new(point.versioned.index);
        Self { point: ArcSwap::from_pointee(point), index }
    }

    pub fn point(&self) -> Arc<Point<S>> {
        self.point.load_full()
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    fn publish(&self, point: Point<S>) {
        let index = point.versioned.index;
        self.point.store(Arc::new(point));
        self.index.send_if_modified(|seen| std::mem::replace(seen, index) != index);
    }
}

/// Applies `commands` (time, command) in order to `versioned`.
///
/// # Errors
/// `Internal` when applying one panics: the state after it is unknown.
pub(crate) fn apply_commands<'a, S: State>(
    versioned: &mut Versioned<S>,
    commands: impl Iterator<Item = (u64, &'a S::Command)>,
) -> Result<Vec<Applied<S>>> {
    let mut applied = Vec::new();
    for (time_ms, command) in commands {
        let index = versioned.index + 1;
        // A proposer's clock may have gone back; the journal's never does.
        let time_ms = time_ms.max(versioned.time_ms);
        let state = &mut versioned.state;
        let apply = std::panic::AssertUnwindSafe(|| state.apply(index, time_ms, command));
        let outcome = std::panic::catch_unwind(apply).map_err(|panic| {
            let said = panic_text(panic.as_ref());
            Error::internal(format!(
                "journal entry {index} cannot be applied, which is a bug ({said}): {command:?}"
            ))
        })?;
        versioned.index = index;
        versioned.time_ms = time_ms;
        applied.push(Applied { index, time_ms, outcome });
    }
    Ok(applied)
}

/// The state machine as openraft drives it; there is one.
pub(crate) struct Machine<S: State> {
    env: Env,
    published: Arc<Published<S>>,
    images: Arc<Images>,
    cause: StopCause,
}

/// Tells openraft about images.
pub(crate) struct ImageTeller<S: State> {
    env: Env,
    point: Arc<Point<S>>,
    images: Arc<Images>,
    cause: StopCause,
}

impl<S: State> Machine<S> {
    pub fn new(env: Env, published: Arc<Published<S>>, images: Arc<Images>, cause: StopCause) -> Self {
        Self { env, published, images, cause }
    }
}

fn handed_over<S: State>(image: &Image, bytes: Vec<u8>) -> Snapshot<Group<S>> {
    Snapshot { meta: image.mark(), snapshot: Box::new(Cursor::new(bytes)) }
}

impl<S: State> RaftStateMachine<Group<S>> for Machine<S> {
    type SnapshotBuilder = ImageTeller<S>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let point = self.published.point();
        Ok((point.log_id, point.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcomes<S>>, StorageError>
    where
        I: IntoIterator<Item = Entry<S>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let before = self.published.point();
        let mut log_id = before.log_id;
        let mut membership = before.membership.clone();
        let mut versioned = Versioned::clone(&before.versioned);
        let mut outcomes = Vec::new();
        for entry in entries {
            log_id = Some(entry.log_id);
            let mut applied = Vec::new();
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Membership(members) => {
                    membership = StoredMembership::new(Some(entry.log_id), members.clone());
                }
                EntryPayload::Normal(batch) => {
                    let commands = batch.0.iter().map(|p| (p.time_ms, p.command.as_ref()));
                    applied = apply_commands(&mut versioned, commands).map_err(|e| self.cause.note(&e))?;
                }
            }
            outcomes.push(Outcomes(applied));
        }
        self.published.publish(Point { log_id, membership, versioned: Arc::new(versioned) });
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> ImageTeller<S> {
        ImageTeller {
            env: self.env.clone(),
            point: self.published.point(),
            images: Arc::clone(&self.images),
            cause: self.cause.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _: &ImageMark,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let (env, images) = (self.env.clone(), Arc::clone(&self.images));
        let bytes = snapshot.into_inner();
        let taken = self.env.spawn_blocking(move || {
            let taken = images.take_over::<S>(&env, &bytes)?;
            images.remove_surplus()?;
            Ok(taken)
        });
        let (image, state) = joined(taken.await).map_err(|e| self.cause.note(&e))?;
        let head = image.head;
        let versioned = Arc::new(Versioned { index: head.index, time_ms: head.time_ms, state });
        self.published.publish(Point { log_id: head.log_id, membership: head.membership, versioned });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Group<S>>>, StorageError> {
        let Some(image) = self.images.newest() else { return Ok(None) };
        let path = image.info.path.clone();
        let bytes = joined(self.env.spawn_blocking(move || files::read(&path)).await);
        Ok(Some(handed_over(&image, bytes.map_err(|e| self.cause.note(&e))?)))
    }
}

impl<S: State> RaftSnapshotBuilder<Group<S>> for ImageTeller<S> {
    /// Hands over the newest image if it is news to openraft; else makes one. Images are made outside openraft (see
    /// [`crate::imager`]), because openraft takes the failure to write one for the end of the whole group.
    async fn build_snapshot(&mut self) -> Result<Snapshot<Group<S>>, StorageError> {
        if let Some(image) = self.images.tell() {
            return Ok(handed_over(&image, Vec::new()));
        }
        let (env, images, point) = (self.env.clone(), Arc::clone(&self.images), Arc::clone(&self.point));
        let made = joined(self.env.spawn_blocking(move || images.make(&env, &point)).await);
        match (made, self.images.newest()) {
            (Ok(image), _) => {
                self.images.tell();
                Ok(handed_over(&image, Vec::new()))
            }
            (Err(error), Some(newest)) => {
                tracing::warn!(%error, index = newest.info.index, "no new image; the newest stays");
                Ok(handed_over(&newest, Vec::new()))
            }
            (Err(error), None) => Err(self.cause.note(&error)),
        }
    }
}

/// The result of work on another thread, whose panic is an error.
pub(crate) fn joined<T>(done: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    done.unwrap_or_else(|e| Err(Error::internal(format!("a thread of the journal ended early: {e}"))))
}
