//! Lengths of time, as schedules and snapshots have them.

use std::fmt;

use super::partition::TimeUnit;

/// `INTERVAL n unit`; the unit has a fixed length (up to WEEK).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    pub count: u64,
    pub unit: TimeUnit,
}

impl Interval {
    /// The interval in seconds; at least 1 (the parser refuses 0, overflow, and units without a fixed length).
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.unit.seconds(self.count).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INTERVAL {} {}", self.count, self.unit)
    }
}
