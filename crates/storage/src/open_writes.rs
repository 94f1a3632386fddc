//! The writes of this process that are neither committed nor aborted. Nothing reaches their files yet, so the vacuum asks
//! here before it takes one for a left-over.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_env::Env;
use parking_lot::Mutex;

/// Ids of open writes.
#[derive(Default, Debug)]
pub struct OpenWrites {
    ids: Mutex<BTreeSet<String>>,
}

impl OpenWrites {
    /// Begins a write under a new id, which begins the names of all its files.
    #[must_use]
    pub fn begin(self: &Arc<Self>, env: &Env) -> WriteGuard {
        let id = env.random_hex();
        self.ids.lock().insert(id.clone());
        WriteGuard { id, registry: Arc::clone(self) }
    }

    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.ids.lock().contains(id)
    }

    /// All of them, sorted.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.ids.lock().iter().cloned().collect()
    }
}

/// An open write; it ends when this is dropped.
#[derive(Debug)]
pub struct WriteGuard {
    id: String,
    registry: Arc<OpenWrites>,
}

impl WriteGuard {
    /// 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        self.registry.ids.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_open_as_long_as_its_guard_lives() {
        let open = Arc::<OpenWrites>::default();
        let (env, _) = Env::simulated(1, 0);
        let (one, two) = (open.begin(&env), open.begin(&env));
        assert_ne!(one.id(), two.id());
        assert!(open.contains(one.id()));
        let id = one.id().to_owned();
        drop(one);
        assert!(!open.contains(&id));
        assert_eq!(open.list(), [two.id()]);
    }
}
