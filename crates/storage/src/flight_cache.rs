//! A cache bounded by bytes, in which one load serves all who wait for the same thing.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use cairn_types::Result;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Values with their sizes, least recently used first out. A load that fails leaves nothing behind.
pub struct FlightCache<K, V> {
    bytes_max: usize,
    state: Mutex<State<K, V>>,
}

type Flight<V> = Arc<OnceCell<(V, usize)>>;

struct State<K, V> {
    kept: LruCache<K, (V, usize)>,
    /// What is being loaded now.
    flights: HashMap<K, Flight<V>>,
    usage: CacheUsage,
}

/// What a cache did so far, and holds now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheUsage {
    pub bytes: u64,
    pub hits: u64,
    pub misses: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> FlightCache<K, V> {
    /// A cache that keeps at most `bytes_max` bytes; larger values are loaded each time.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let state =
            State { kept: LruCache::unbounded(), flights: HashMap::new(), usage: CacheUsage::default() };
        Self { bytes_max, state: Mutex::new(state) }
    }

    /// The value of `key`; `load` gives it with its size in bytes when it is not there.
    ///
    /// # Errors
    /// Those of `load`. Who waited for a load that failed tries one's own.
    pub async fn get_or_load<F>(&self, key: &K, load: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<(V, usize)>>,
    {
        let flight = {
            let mut state = self.state.lock();
            if let Some((value, _)) = state.kept.get(key) {
                let value = value.clone();
                state.usage.hits += 1;
                return Ok(value);
            }
            state.usage.misses += 1;
            Arc::clone(state.flights.entry(key.clone()).or_default())
        };
        let landing = Landing { cache: self, key, flight };
        let (value, bytes) = landing.flight.get_or_try_init(load).await?.clone();
        self.keep(key, value.clone(), bytes);
        Ok(value)
    }

    /// Puts a value that is known already.
    pub fn put(&self, key: &K, value: V, bytes: usize) {
        self.keep(key, value, bytes);
    }

    fn keep(&self, key: &K, value: V, bytes: usize) {
        if bytes > self.bytes_max {
            return;
        }
        let mut state = self.state.lock();
        if state.kept.contains(key) {
            return;
        }
        state.kept.put(key.clone(), (value, bytes));
        state.usage.bytes += bytes as u64;
        while state.usage.bytes > self.bytes_max as u64 {
            let Some((_, (_, freed))) = state.kept.pop_lru() else { break };
            state.usage.bytes -= freed as u64;
        }
    }

    #[must_use]
    pub fn usage(&self) -> CacheUsage {
        self.state.lock().usage
    }
}

/// One who waits for a load; the last one takes the flight off the board, however it ended.
struct Landing<'a, K: Eq + Hash, V> {
    cache: &'a FlightCache<K, V>,
    key: &'a K,
    flight: Flight<V>,
}

impl<K: Eq + Hash, V> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        let ours = state.flights.get(self.key).is_some_and(|f| Arc::ptr_eq(f, &self.flight));
        // Two: the board's and ours. New ones join under the lock only.
        if ours && Arc::strong_count(&self.flight) <= 2 {
            state.flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_types::Error;

    #[tokio::test]
    async fn one_load_serves_all_who_wait() {
        let cache = FlightCache::<u32, u32>::new(100);
        let loads = AtomicUsize::new(0);
        let slow = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok((7, 10))
        };
        let all = futures::future::join_all((0..8).map(|_| cache.get_or_load(&1, slow))).await;
        assert!(all.into_iter().all(|v| v.unwrap() == 7));
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert_eq!(cache.get_or_load(&1, || async { Err(Error::internal("not asked")) }).await.unwrap(), 7);
        assert!(cache.state.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn a_failed_load_leaves_nothing() {
        let cache = FlightCache::<u32, u32>::new(100);
        assert!(cache.get_or_load(&1, || async { Err(Error::corrupt("bad")) }).await.is_err());
        assert!(cache.state.lock().flights.is_empty());
        assert_eq!(cache.get_or_load(&1, || async { Ok((2, 1)) }).await.unwrap(), 2);
        // A load that is given up in the middle neither blocks the next one nor stays on the board.
        let mut pending = Box::pin(cache.get_or_load(&9, std::future::pending));
        assert!(futures::poll!(&mut pending).is_pending());
        drop(pending);
        assert!(cache.state.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn bytes_are_bounded() {
        let cache = FlightCache::<u32, u32>::new(25);
        for key in [1, 2, 1, 3, 1] {
            cache.get_or_load(&key, || async { Ok((key, 10)) }).await.unwrap();
        }
        cache.get_or_load(&4, || async { Ok((4, 26)) }).await.unwrap();
        assert_eq!(cache.usage(), CacheUsage { bytes: 20, hits: 2, misses: 4 });
        assert!(cache.state.lock().kept.contains(&1), "the one that was used stays");
        assert!(!cache.state.lock().kept.contains(&2));
    }
}
