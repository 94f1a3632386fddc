//! Makes images of a running journal, by hand and every so many commands, and lets go of the log entries they hold.
//!
//! This is done here and not by openraft's own policy: an image that cannot be written (a full disk) is a failed
//! image, for openraft it would be the end of the group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_env::Env;
use cairn_types::{Error, Result};
use openraft::{Raft, RaftMetrics};

use crate::errors::StopCause;
use crate::group::{Group, LogId, Node};
use crate::image::{ImageInfo, Images};
use crate::machine::{Published, joined};
use crate::state::State;

/// How long a failed automatic image waits before the next try.
const RETRY_MS: u64 = 10_000;
/// How long openraft may take to hear of an image or to purge before it is asked again.
const ASK_AGAIN_MS: u64 = 1_000;
const ASKED_MAX: u64 = 60;

/// What openraft is asked for.
#[derive(Clone, Copy, Debug)]
enum Wish {
    /// To know that an image holds the log up to here.
    KnowImage(Option<LogId>),
    /// To remove the log entries up to this index.
    PurgeTo(u64),
}

impl Wish {
    fn is_done(self, metrics: &RaftMetrics<u64, Node>) -> bool {
        match self {
            Self::KnowImage(log_id) => metrics.snapshot >= log_id,
            Self::PurgeTo(index) => metrics.purged.is_some_and(|p| p.index >= index),
        }
    }
}

/// Makes images, one at a time.
pub(crate) struct Imager<S: State> {
    pub env: Env,
    pub raft: Raft<Group<S>>,
    pub published: Arc<Published<S>>,
    pub images: Arc<Images>,
    pub cause: StopCause,
    pub every_entries: AtomicU64,
    pub entries_kept: u64,
    /// Held while an image is made.
    pub one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl<S: State> Imager<S> {
    /// Makes an image of the newest state (or finds it made), then removes surplus images and log entries.
    ///
    /// # Errors
    /// As the file system says; the journal goes on as before.
    pub async fn make(&self) -> Result<ImageInfo> {
        let one = Arc::clone(&self.one_at_a_time).lock_owned().await;
        let (env, images, point) = (self.env.clone(), Arc::clone(&self.images), self.published.point());
        let made = self.env.spawn_blocking(move || {
            let image = images.make(&env, &point)?;
            images.remove_surplus()?;
            // It is one at a time also when nobody waits for this one any more.
            Ok((image, one))
        });
        let (image, _one) = joined(made.await)?;
        self.purge(image.log_id()).await?;
        self.env.failpoint_async("image.after_purge").await?;
        Ok(image.info)
    }

    /// Lets openraft remove the entries that all kept images hold, and waits for it.
    async fn purge(&self, imaged: Option<LogId>) -> Result<()> {
        self.ask(Wish::KnowImage(imaged)).await?;
        let held = self.images.held_by_all().map_or(0, |l| l.index);
        match held.checked_sub(self.entries_kept) {
            Some(upto) => self.ask(Wish::PurgeTo(upto)).await,
            None => Ok(()),
        }
    }

    /// Asks openraft until its metrics say that it did. It drops a wish that comes while it still ends the one before.
    async fn ask(&self, wish: Wish) -> Result<()> {
        let mut metrics = self.raft.metrics();
        for _ in 0..ASKED_MAX {
            if wish.is_done(&metrics.borrow()) {
                return Ok(());
            }
            let asked = match wish {
                Wish::KnowImage(_) => self.raft.trigger().snapshot().await,
                Wish::PurgeTo(index) => self.raft.trigger().purge_log(index).await,
            };
            asked.map_err(|fatal| self.cause.of_fatal(&fatal))?;
            let told = metrics.wait_for(|m| m.running_state.is_err() || wish.is_done(m));
            let told = tokio::time::timeout(Duration::from_millis(ASK_AGAIN_MS), told).await;
            if matches!(&told, Ok(Err(_))) || self.cause.get().is_some() {
                return Err(self.cause.error("its thread ended"));
            }
        }
        let waited_ms = ASKED_MAX * ASK_AGAIN_MS;
        Err(Error::unavailable(format!("the journal's group did not do {wish:?} in {waited_ms} ms")))
    }

    fn is_due(&self) -> bool {
        let newest = self.images.newest().map_or(0, |image| image.info.index);
        let now = self.published.point().versioned.index;
        now.saturating_sub(newest) >= self.every_entries.load(Ordering::Relaxed)
    }

    /// Makes an image whenever one is due, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.published.watch();
        loop {
            if !self.is_due() {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match self.make().await {
                Ok(info) => tracing::info!(index = info.index, bytes = info.bytes, "image made"),
                Err(error) if self.cause.get().is_some() => {
                    tracing::warn!(%error, "no more images: the journal stopped");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "no image could be made; the journal keeps its entries and tries again");
                    self.env.sleep_ms(RETRY_MS).await;
                }
            }
        }
    }
}
