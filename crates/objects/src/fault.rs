//! Faults on demand: a test makes the n-th operation of a store fail, before or after its effect.

use std::sync::Arc;

use cairn_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;

/// How an operation fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing happens, and the caller is told so.
    Before,
    /// It happens, but the answer is lost: the caller sees an error.
    After,
    /// The volume is full; only writes fail so.
    Full,
}

#[derive(Default, Debug)]
struct Plan {
    operations: u64,
    /// From which operation (counted from 1), for how many, how.
    at: Option<(u64, u64, Fault)>,
    /// Keys written and deleted, in order.
    log: Vec<(&'static str, String)>,
}

/// Faults of one store; clones share them.
#[derive(Clone, Default, Debug)]
pub struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    /// The `n`-th operation from now (1 is the next) and the `count - 1` after it fail as `fault`.
    pub fn fail(&self, n: u64, count: u64, fault: Fault) {
        let mut plan = self.0.lock();
        let first = plan.operations + n;
        plan.at = Some((first, count, fault));
    }

    /// No more faults.
    pub fn heal(&self) {
        self.0.lock().at = None;
    }

    /// Operations begun so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// What was done so far: the operation and its key.
    #[must_use]
    pub fn log(&self) -> Vec<(&'static str, String)> {
        self.0.lock().log.clone()
    }

    /// Counts an operation and says how it is to fail.
    pub(crate) fn begin(&self, action: &'static str, key: &str, writes: bool) -> Option<Fault> {
        let mut plan = self.0.lock();
        plan.operations += 1;
        plan.log.push((action, key.to_owned()));
        let (first, count, fault) = plan.at?;
        let hit = (first..first.saturating_add(count)).contains(&plan.operations);
        (hit && (writes || fault != Fault::Full)).then_some(fault)
    }
}

impl Fault {
    pub(crate) fn error<T>(self, action: &'static str, key: &str) -> Result<T> {
        let (kind, cause) = match self {
            Self::Before => (ErrorKind::Unavailable, "fault before the effect"),
            Self::After => (ErrorKind::Unavailable, "fault after the effect"),
            Self::Full => (ErrorKind::ResourceExhausted, "no space left (fault)"),
        };
        Err(Error::new(kind, format!("cannot {action} {key}: {cause}")))
    }
}
