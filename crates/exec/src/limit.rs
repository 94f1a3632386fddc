//! A memory limit for one query, inside the limit of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// Passes reservations on to the process's pool and refuses those above the query's own limit.
#[derive(Debug)]
pub(crate) struct QueryPool {
    parent: Arc<dyn MemoryPool>,
    used_bytes: AtomicUsize,
    bytes_max: usize,
}

impl QueryPool {
    pub(crate) fn new(parent: Arc<dyn MemoryPool>, bytes_max: usize) -> Self {
        Self { parent, used_bytes: AtomicUsize::new(0), bytes_max }
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query({} of {} bytes) in {}", self.reserved(), self.bytes_max, self.parent)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.parent.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.parent.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used_bytes.fetch_add(additional, Ordering::Relaxed);
        self.parent.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used_bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.parent.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let fits = |used: usize| used.checked_add(additional).filter(|total| *total <= self.bytes_max);
        if self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} wants {additional} bytes more, the query has {} of the {} bytes of query_mem_limit",
                reservation.consumer().name(),
                self.reserved(),
                self.bytes_max
            )));
        }
        let grown = self.parent.try_grow(reservation, additional);
        if grown.is_err() {
            self.used_bytes.fetch_sub(additional, Ordering::Relaxed);
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}
