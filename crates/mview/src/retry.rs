//! When a refresh that failed is tried again, though no base changed since.

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{RunState, TaskOf, TaskRun};
use cairn_types::{ErrorKind, TableId};

/// After the first failure. What passes by itself (a full disk that is cleaned up, a volume that comes back) often does so
/// soon.
const FIRST_MS: u64 = 5_000;
/// What does not pass costs one vain try an hour.
const LONGEST_MS: u64 = 3_600_000;

/// The latest refreshes of an MV failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed {
    /// So many, one after the other; at least 1.
    pub count: u32,
    /// When the latest one ended, milliseconds since 1970-01-01 UTC.
    pub ended_ms: u64,
}

impl Failed {
    /// When it is to be tried again: later and later, at most an hour after the failure.
    #[must_use]
    pub fn again_ms(self) -> u64 {
        let doublings = self.count.saturating_sub(1).min(63);
        let delay_ms = FIRST_MS.saturating_mul(1 << doublings).min(LONGEST_MS);
        self.ended_ms.saturating_add(delay_ms)
    }
}

/// The MVs whose latest refresh failed, from all runs, the newest first. Refreshes of a part of an MV do not count. One that
/// a user cancelled is none to be tried again.
#[must_use]
pub fn failures<'r>(newest_first: impl Iterator<Item = &'r TaskRun>) -> BTreeMap<TableId, Failed> {
    let mut failures: BTreeMap<TableId, Failed> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for run in newest_first {
        let TaskOf::Mview(mview) = run.task else { continue };
        if run.request.range.is_some() || told.contains(&mview) {
            continue;
        }
        match (run.state, run.finished) {
            (RunState::Pending | RunState::Running | RunState::Merged, _) => {}
            (RunState::Failed, Some(finished)) if !is_cancelled(run) => {
                let newest = Failed { count: 0, ended_ms: finished.time_ms };
                let failed = failures.entry(mview).or_insert(newest);
                failed.count = failed.count.saturating_add(1);
            }
            _ => {
                told.insert(mview);
            }
        }
    }
    failures
}

fn is_cancelled(run: &TaskRun) -> bool {
    run.error_code == i32::from(ErrorKind::Cancelled.mysql_code().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_catalog::{RefreshRange, RefreshRequest, Stamp};
    use cairn_types::TaskRunId;

    /// `state` in StarRocks' word; `cancelled` and `part` for runs of these kinds.
    fn run(state: &str, ended_ms: u64) -> TaskRun {
        let (state, error_code) = match state {
            "cancelled" => (RunState::Failed, 1317),
            "part" | "failed" => (RunState::Failed, 1064),
            "success" => (RunState::Success, 0),
            "skipped" => (RunState::Skipped, 0),
            "merged" => (RunState::Merged, 0),
            _ => (RunState::Running, 0),
        };
        let open = state.is_open();
        TaskRun {
            id: TaskRunId(ended_ms),
            query_id: String::new(),
            task: TaskOf::Mview(TableId(1)),
            task_name: String::new(),
            db: String::new(),
            definition: String::new(),
            created: Stamp { index: ended_ms, time_ms: 0 },
            started: None,
            finished: (!open).then_some(Stamp { index: ended_ms, time_ms: ended_ms }),
            state,
            priority: 50,
            request: RefreshRequest::default(),
            error_code,
            error: String::new(),
            progress_percent: 0,
            extra: String::new(),
            properties: BTreeMap::new(),
            root_run: None,
        }
    }

    /// `oldest_first`: the states of runs that ended at 1, 2, 3…; `expected`: how many failed, and when the newest ended.
    fn check(oldest_first: &[&str], expected: Option<(u32, u64)>) {
        let runs = oldest_first.iter().zip(1..).map(|(state, ended_ms)| {
            let range = RefreshRange::Range { start: "a".into(), end: "b".into() };
            let mut run = run(state, ended_ms);
            run.request.range = (*state == "part").then_some(range);
            run
        });
        let runs: Vec<_> = runs.collect();
        let found = failures(runs.iter().rev()).get(&TableId(1)).map(|f| (f.count, f.ended_ms));
        assert_eq!(found, expected, "{oldest_first:?}");
    }

    #[test]
    fn failures_count_from_the_last_success() {
        check(&[], None);
        check(&["failed", "success"], None);
        check(&["failed", "skipped"], None);
        check(&["failed", "cancelled"], None);
        check(&["success", "failed"], Some((1, 2)));
        check(&["failed", "success", "failed", "failed"], Some((2, 4)));
        check(&["failed", "cancelled", "failed"], Some((1, 3)));
        check(&["failed", "merged", "failed", "part", "running"], Some((2, 3)));
    }

    #[test]
    fn tries_grow_apart_up_to_an_hour() {
        let seconds = [1, 2, 3, 10, 11, u32::MAX].map(|count| Failed { count, ended_ms: 1_000 }.again_ms());
        assert_eq!(seconds, [6_000, 11_000, 21_000, 2_561_000, 3_601_000, 3_601_000]);
    }
}
