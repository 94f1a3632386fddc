//! Clocks: the machine's, and one that moves only when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01 UTC.
    fn now_micros(&self) -> u64;

    /// Microseconds since some fixed moment; never goes back.
    fn monotonic_micros(&self) -> u64;
}

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> u64 {
        #[allow(clippy::disallowed_methods, reason = "this is the door")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn monotonic_micros(&self) -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        #[allow(clippy::disallowed_methods, reason = "this is the door")]
        let start = START.get_or_init(std::time::Instant::now);
        u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A clock for tests.
pub struct ManualClock {
    micros: AtomicU64,
}

impl ManualClock {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { micros: AtomicU64::new(now_ms * 1_000) }
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, duration_ms: u64) {
        self.micros.fetch_add(duration_ms * 1_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> u64 {
        self.micros.load(Ordering::SeqCst)
    }

    fn monotonic_micros(&self) -> u64 {
        self.now_micros()
    }
}

/// Measures how long something takes.
#[derive(Clone)]
pub struct Stopwatch {
    clock: Arc<dyn Clock>,
    start_micros: u64,
}

impl Stopwatch {
    pub(crate) fn start(clock: Arc<dyn Clock>) -> Self {
        let start_micros = clock.monotonic_micros();
        Self { clock, start_micros }
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.clock.monotonic_micros().saturating_sub(self.start_micros))
    }

    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
