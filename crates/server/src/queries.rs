//! Which sessions are open and what they run: `SHOW PROCESSLIST`, `KILL`, and the catalog states that are in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_catalog::Catalog;
use cairn_mysql::Control;
use cairn_storage::Meta;
use cairn_types::{Error, Result};
use parking_lot::Mutex;

/// All sessions of this node.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<BTreeMap<u32, Arc<SessionEntry>>>,
    held: Mutex<BTreeMap<u64, Arc<Catalog>>>,
    next_hold: AtomicU64,
}

/// One session, as others see it.
pub struct SessionEntry {
    pub id: u32,
    pub user: String,
    pub host: String,
    pub connected_ms: u64,
    pub control: Control,
    now: Mutex<Activity>,
}

/// What a session does now.
#[derive(Clone, Default, Debug)]
pub struct Activity {
    pub database: String,
    /// Empty while it sleeps.
    pub statement: String,
    pub query_id: String,
    /// Since when it does it.
    pub since_ms: u64,
}

impl SessionEntry {
    #[must_use]
    pub fn new(id: u32, user: &str, host: &str, connected_ms: u64, control: Control) -> Self {
        let now = Activity { since_ms: connected_ms, ..Activity::default() };
        Self { id, user: user.to_owned(), host: host.to_owned(), connected_ms, control, now: Mutex::new(now) }
    }

    #[must_use]
    pub fn activity(&self) -> Activity {
        self.now.lock().clone()
    }

    pub fn set_activity(&self, activity: Activity) {
        *self.now.lock() = activity;
    }
}

/// Takes a session off the list when it ends.
pub struct SessionGuard {
    sessions: Arc<Sessions>,
    pub entry: Arc<SessionEntry>,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.sessions.open.lock().remove(&self.entry.id);
    }
}

/// Keeps a catalog state in use: vacuum leaves alone what it reaches.
pub struct Hold {
    sessions: Arc<Sessions>,
    number: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.sessions.held.lock().remove(&self.number);
    }
}

impl Sessions {
    /// Puts a session on the list.
    pub fn add(self: &Arc<Self>, entry: SessionEntry) -> SessionGuard {
        let entry = Arc::new(entry);
        self.open.lock().insert(entry.id, Arc::clone(&entry));
        SessionGuard { sessions: Arc::clone(self), entry }
    }

    /// The newest catalog, in use for as long as the hold lives. Taking and marking are one step under one lock: the
    /// vacuum, which reads the newest catalog first and the marks after, never misses one.
    pub fn hold_newest(self: &Arc<Self>, meta: &dyn Meta) -> (Arc<Catalog>, Hold) {
        let mut held = self.held.lock();
        let catalog = meta.catalog();
        let number = self.next_hold.fetch_add(1, Ordering::Relaxed);
        held.insert(number, Arc::clone(&catalog));
        (catalog, Hold { sessions: Arc::clone(self), number })
    }

    /// The catalog states in use.
    #[must_use]
    pub fn held(&self) -> Vec<Arc<Catalog>> {
        self.held.lock().values().cloned().collect()
    }

    /// All sessions, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<SessionEntry>> {
        self.open.lock().values().cloned().collect()
    }

    /// Stops session `id`, or only what it runs. A user stops his own, and `all` if he runs the cluster.
    ///
    /// # Errors
    /// `NotFound` for no such session, `PrivilegeDenied` for somebody else's.
    pub fn kill(&self, id: u64, query_only: bool, by: &str, all: bool) -> Result<()> {
        let entry = u32::try_from(id).ok().and_then(|id| self.open.lock().get(&id).cloned());
        let entry = entry.ok_or_else(|| Error::not_found(format!("Unknown thread id: {id}")))?;
        if !all && by != entry.user {
            let message =
                format!("Access denied; you need the OPERATE privilege on SYSTEM to kill thread {id}");
            return Err(Error::new(cairn_types::ErrorKind::PrivilegeDenied, message));
        }
        match query_only {
            true => entry.control.cancel_query(),
            false => entry.control.close(),
        }
        Ok(())
    }

    /// Ends all sessions that `user` has opened.
    pub fn close_of(&self, user: &str) {
        self.open.lock().values().filter(|entry| entry.user == user).for_each(|entry| entry.control.close());
    }

    /// The session that runs the query of this id.
    #[must_use]
    pub fn running(&self, query_id: &str) -> Option<u32> {
        self.open.lock().values().find(|e| e.now.lock().query_id == query_id).map(|e| e.id)
    }
}
