//! Clock, randomness, files, spawning and failpoints: the only door to what is not deterministic.
//!
//! [`Env`] is a cheap handle that is passed down from `main`. [`Env::real`] uses the machine; [`Env::simulated`]
//! has a clock that moves only when told and random numbers from a seed, so that a test says the same twice.
//!
//! **Invariant**: no other crate reads a clock, draws a random number, spawns a task or writes a local file on its
//! own; clippy's `disallowed-methods` holds it.

mod clock;
mod failpoint;
pub mod files;
mod own_thread;

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::{RngCore, SeedableRng, rngs::StdRng};

pub use clock::{Clock, ManualClock, Stopwatch};
pub use failpoint::{Action, FAILPOINTS, Failpoints};
pub use own_thread::{OwnThread, STACK_BYTES};

/// A handle to time, randomness, tasks and failpoints.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<Mutex<StdRng>>,
    failpoints: Arc<Failpoints>,
}

impl Env {
    /// The machine's clock and randomness; failpoints as in `failpoints`.
    #[must_use]
    pub fn real(failpoints: Failpoints) -> Self {
        #[allow(clippy::disallowed_methods, reason = "this is the real environment")]
        let random = Arc::new(Mutex::new(StdRng::from_os_rng()));
        Self { clock: Arc::new(clock::SystemClock), random, failpoints: Arc::new(failpoints) }
    }

    /// A clock that starts at `now_ms` and random numbers from `seed`.
    #[must_use]
    pub fn simulated(seed: u64, now_ms: u64) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(now_ms));
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        (Self { clock: Arc::clone(&clock) as _, random, failpoints: Arc::default() }, clock)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_micros() / 1_000
    }

    /// Microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now_micros(&self) -> u64 {
        self.clock.now_micros()
    }

    /// Measures time that passes from now on.
    #[must_use]
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch::start(Arc::clone(&self.clock))
    }

    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.random.lock().next_u64()
    }

    /// 32 random hexadecimal digits: the names of clusters and files.
    #[must_use]
    pub fn random_hex(&self) -> String {
        let mut random = self.random.lock();
        format!("{:016x}{:016x}", random.next_u64(), random.next_u64())
    }

    /// Fills `bytes` with random ones (salts, scrambles).
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.random.lock().fill_bytes(bytes);
    }

    /// Runs `task` beside the caller on the current runtime. `name` stands in the logs.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        use tracing::Instrument;
        #[allow(clippy::disallowed_methods, reason = "this is the door")]
        tokio::spawn(task.instrument(tracing::info_span!("task", name)))
    }

    /// Runs `work`, which blocks or computes for long, on a thread of its own.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        #[allow(clippy::disallowed_methods, reason = "this is the door")]
        tokio::task::spawn_blocking(work)
    }

    /// Waits `duration_ms`.
    pub async fn sleep_ms(&self, duration_ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(duration_ms)).await;
    }

    /// A named step of a protocol, where a test can end the process, fail the step or hold it up.
    /// `name` must stand in [`FAILPOINTS`].
    ///
    /// # Errors
    /// `Unavailable` when the failpoint is set to fail.
    pub fn failpoint(&self, name: &'static str) -> cairn_types::Result<()> {
        self.failpoints.hit(name)
    }

    /// As [`Self::failpoint`], for a step of a task: one that is held up holds up nothing else.
    ///
    /// # Errors
    /// `Unavailable` when the failpoint is set to fail.
    pub async fn failpoint_async(&self, name: &'static str) -> cairn_types::Result<()> {
        self.failpoints.hit_async(name).await
    }

    #[must_use]
    pub fn failpoints(&self) -> &Failpoints {
        &self.failpoints
    }
}

/// Resident memory of this process in bytes; `None` where the system does not tell.
#[must_use]
pub fn process_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
