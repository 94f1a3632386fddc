//! Which refreshes begin by themselves, and which waiting run is next.
//!
//! MVs on MVs: a change at the bottom goes up once, not once a path. An MV is therefore not triggered while an MV below
//! it, through others too, is about to be triggered, waits, or runs. What changes all the time would keep those above
//! from ever being refreshed, so after [`Limits::wait_ms_max`] only a running one holds them back.
//!
//! A refresh that failed is tried again by and by, though no base changed: see [`retry`](crate::retry).

use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::RefreshTrigger;
use cairn_types::TableId;

use crate::graph::heights;
use crate::retry::Failed;

/// The `LOWEST` priority of a task run.
pub const PRIORITY_LOWEST: u32 = 0;
pub const PRIORITY_LOW: u32 = 20;
/// Of a refresh that starts by itself.
pub const PRIORITY_NORMAL: u32 = 50;
/// Of `REFRESH MATERIALIZED VIEW … WITH SYNC MODE`, as in StarRocks.
pub const PRIORITY_HIGH: u32 = 80;
pub const PRIORITY_HIGHER: u32 = 90;
pub const PRIORITY_HIGHEST: u32 = 100;

/// What the scheduler looks at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScheduleView {
    /// All MVs, also those that nothing starts by itself: they hold back those above while they run.
    pub mviews: Vec<ScheduledMview>,
    /// All runs that wait or run.
    pub runs: Vec<ScheduledRun>,
    pub limits: Limits,
}

/// How much at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `task_runs_concurrency`: runs at a time.
    pub running_max: usize,
    /// `task_runs_queue_length`: when so many wait, nothing starts by itself.
    pub waiting_max: usize,
    /// How long an MV is held back by MVs below it that do not run, milliseconds.
    pub wait_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { running_max: 4, waiting_max: 500, wait_ms_max: 600_000 }
    }
}

/// An MV as the scheduler sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledMview {
    pub id: TableId,
    pub active: bool,
    pub trigger: RefreshTrigger,
    /// The tables and MVs that it reads.
    pub reads: Vec<TableId>,
    /// [`signature`](crate::signature()) now.
    pub signature: u64,
    /// The signature at the last look: when a run of it was submitted, and again when a run of it began, which reads what
    /// came until then. One of a part of the MV is no look. `None`: not known, counts as changed (after a restart: the
    /// signature of now if the verdict is fresh).
    pub looked: Option<u64>,
    /// When `signature` was first seen to differ from `looked`; `None`: just now.
    pub changed_ms: Option<u64>,
    /// When a run of it was last submitted or begun, or else when it was made; milliseconds since 1970-01-01 UTC.
    pub last_ms: u64,
    /// Its latest refresh failed.
    pub failed: Option<Failed>,
}

/// A run of a task that waits or runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledRun {
    pub id: u64,
    /// The id of the MV, or of another task: they come from one counter.
    pub task: u64,
    /// What is asked for, in words that are equal when it is the same. Empty: whatever is stale.
    pub request: String,
    pub priority: u32,
    /// Journal index of its creation.
    pub created: u64,
    pub running: bool,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A waiting run becomes `MERGED`: another one does the same.
    Merge { run: u64, into: u64 },
    /// A new run of an MV, with an empty request and [`PRIORITY_NORMAL`].
    Submit { mview: TableId, cause: Cause },
    /// A waiting run begins.
    Start { run: u64 },
}

/// Why a refresh starts by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Bases changed; the signature that is seen now.
    Change { signature: u64 },
    /// The latest time of `EVERY` that has passed, milliseconds since 1970-01-01 UTC. Those missed before it are not made
    /// up for.
    Time { due_ms: u64 },
    /// The latest refresh failed, and may go better now; since when it is to be tried again.
    Again { due_ms: u64 },
}

/// What is to be done at `now_ms`, in this order: merges, submissions bottom-up, starts by priority and age.
///
/// Costs n log n in MVs, runs, and reads.
#[must_use]
pub fn due(view: &ScheduleView, now_ms: u64) -> Vec<Action> {
    let merges = merges(&view.runs);
    let merged: BTreeSet<u64> = merges.iter().map(|(run, _)| *run).collect();
    let runs: Vec<_> = view.runs.iter().filter(|run| !merged.contains(&run.id)).collect();
    let mut actions: Vec<_> = merges.into_iter().map(|(run, into)| Action::Merge { run, into }).collect();
    actions.extend(submissions(view, &runs, now_ms));
    actions.extend(starts(&runs, view.limits.running_max));
    actions
}

/// When the next refresh that failed is to be tried again; until then `due` finds nothing that it does not find now.
#[must_use]
pub fn again_ms(view: &ScheduleView) -> Option<u64> {
    view.mviews.iter().filter(|mview| starts_by_itself(mview)).filter_map(again).min()
}

/// How long after the `attempt`-th vain one (from 0) an inactive MV is tried to be made active again, minutes.
#[must_use]
pub fn backoff(attempt: u32) -> u64 {
    1u64.checked_shl(attempt).map_or(60, |minutes| minutes.min(60))
}

/// Urgent first, then old first.
fn rank(run: &ScheduledRun) -> (std::cmp::Reverse<u32>, u64, u64) {
    (std::cmp::Reverse(run.priority), run.created, run.id)
}

/// Waiting runs with the waiting run of the same task and request that is next before them.
fn merges(runs: &[ScheduledRun]) -> Vec<(u64, u64)> {
    let mut waiting: Vec<_> = runs.iter().filter(|run| !run.running).collect();
    waiting.sort_by_key(|run| rank(run));
    let mut kept: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    let mut merges = Vec::new();
    for run in waiting {
        match kept.get(&(run.task, run.request.as_str())) {
            Some(into) => merges.push((run.id, *into)),
            None => {
                kept.insert((run.task, &run.request), run.id);
            }
        }
    }
    merges
}

fn starts(runs: &[&ScheduledRun], running_max: usize) -> Vec<Action> {
    let mut busy: BTreeSet<u64> = runs.iter().filter(|run| run.running).map(|run| run.task).collect();
    let running = runs.iter().filter(|run| run.running).count();
    let mut waiting: Vec<_> = runs.iter().filter(|run| !run.running).collect();
    waiting.sort_by_key(|run| rank(run));
    let free = waiting.into_iter().filter(|run| busy.insert(run.task));
    free.take(running_max.saturating_sub(running)).map(|run| Action::Start { run: run.id }).collect()
}

/// How much an MV holds back those above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Busy {
    #[default]
    No,
    /// It will run: it is about to be triggered, or a run of it waits.
    Soon,
    Running,
}

fn submissions(view: &ScheduleView, runs: &[&ScheduledRun], now_ms: u64) -> Vec<Action> {
    let tasks = Tasks::of(runs);
    let reads = view.mviews.iter().map(|mview| (mview.id, mview.reads.clone())).collect();
    let heights = heights(&reads);
    let mut bottom_up: Vec<_> = view.mviews.iter().collect();
    bottom_up.sort_by_key(|mview| (heights.get(&mview.id).copied(), mview.id));
    let mut room = view.limits.waiting_max.saturating_sub(tasks.waiting.len());
    let mut busy: BTreeMap<TableId, Busy> = BTreeMap::new();
    let mut actions = Vec::new();
    for mview in bottom_up {
        let below = mview.reads.iter().filter_map(|id| busy.get(id)).max().copied().unwrap_or_default();
        let cause = cause(mview, now_ms);
        let own = tasks.busy(mview.id).max(if cause.is_some() { Busy::Soon } else { Busy::No });
        busy.insert(mview.id, own.max(below));
        let Some(cause) = cause.filter(|_| !tasks.awaits_all(mview.id)) else { continue };
        if room > 0 && goes_up(mview, cause, below, view.limits.wait_ms_max, now_ms) {
            room -= 1;
            actions.push(Action::Submit { mview: mview.id, cause });
        }
    }
    actions
}

/// Why an MV is to be refreshed, if all below it is quiet.
fn cause(mview: &ScheduledMview, now_ms: u64) -> Option<Cause> {
    if !starts_by_itself(mview) {
        return None;
    }
    let again = || again(mview).filter(|due_ms| *due_ms <= now_ms).map(|due_ms| Cause::Again { due_ms });
    triggered(mview, now_ms).or_else(again)
}

fn starts_by_itself(mview: &ScheduledMview) -> bool {
    mview.active && mview.trigger != RefreshTrigger::Manual
}

/// When what failed is to be tried again, if it was not yet.
fn again(mview: &ScheduledMview) -> Option<u64> {
    let failed = mview.failed?;
    (mview.last_ms <= failed.ended_ms).then(|| failed.again_ms())
}

fn triggered(mview: &ScheduledMview, now_ms: u64) -> Option<Cause> {
    match mview.trigger {
        RefreshTrigger::Manual => None,
        RefreshTrigger::Change => {
            let changed = mview.looked != Some(mview.signature);
            changed.then_some(Cause::Change { signature: mview.signature })
        }
        RefreshTrigger::Every { start_ms, every_ms } => {
            let periods = now_ms.checked_sub(start_ms)?.checked_div(every_ms)?;
            let due_ms = start_ms.checked_add(periods.checked_mul(every_ms)?)?;
            (due_ms > mview.last_ms).then_some(Cause::Time { due_ms })
        }
    }
}

fn goes_up(mview: &ScheduledMview, cause: Cause, below: Busy, wait_ms_max: u64, now_ms: u64) -> bool {
    let since_ms = match cause {
        Cause::Change { .. } => mview.changed_ms.unwrap_or(now_ms),
        Cause::Time { due_ms } | Cause::Again { due_ms } => due_ms,
    };
    match below {
        Busy::No => true,
        Busy::Soon => now_ms.saturating_sub(since_ms) > wait_ms_max,
        Busy::Running => false,
    }
}

/// Runs by task.
struct Tasks {
    running: BTreeSet<u64>,
    /// Tasks of waiting runs, and whether a request is for all that is stale.
    waiting: Vec<(u64, bool)>,
}

impl Tasks {
    fn of(runs: &[&ScheduledRun]) -> Self {
        let running = runs.iter().filter(|run| run.running).map(|run| run.task).collect();
        let waiting = runs.iter().filter(|run| !run.running).map(|run| (run.task, run.request.is_empty()));
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable();
        Self { running, waiting }
    }

    fn busy(&self, mview: TableId) -> Busy {
        let at = self.waiting.partition_point(|(task, _)| *task < mview.0);
        match self.waiting.get(at) {
            _ if self.running.contains(&mview.0) => Busy::Running,
            Some((task, _)) if *task == mview.0 => Busy::Soon,
            _ => Busy::No,
        }
    }

    /// Whether a waiting run will refresh all that is stale when it begins.
    fn awaits_all(&self, mview: TableId) -> bool {
        self.waiting.binary_search(&(mview.0, true)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mview(id: u64, reads: &[u64], changed: bool) -> ScheduledMview {
        ScheduledMview {
            id: TableId(id),
            active: true,
            trigger: RefreshTrigger::Change,
            reads: reads.iter().map(|id| TableId(*id)).collect(),
            signature: id + u64::from(changed),
            looked: Some(id),
            changed_ms: None,
            last_ms: 0,
            failed: None,
        }
    }

    fn run(id: u64, task: u64, priority: u32, running: bool) -> ScheduledRun {
        ScheduledRun { id, task, request: String::new(), priority, created: id, running }
    }

    fn view(mviews: Vec<ScheduledMview>, runs: Vec<ScheduledRun>) -> ScheduleView {
        ScheduleView { mviews, runs, limits: Limits::default() }
    }

    fn shown(view: &ScheduleView, now_ms: u64) -> String {
        let show = |action: &Action| match action {
            Action::Merge { run, into } => format!("merge {run} into {into}"),
            Action::Submit { mview, cause: Cause::Change { .. } } => format!("submit {mview}"),
            Action::Submit { mview, cause: Cause::Time { due_ms } } => format!("submit {mview} of {due_ms}"),
            Action::Submit { mview, cause: Cause::Again { .. } } => format!("submit {mview} again"),
            Action::Start { run } => format!("start {run}"),
        };
        due(view, now_ms).iter().map(show).collect::<Vec<_>>().join(", ")
    }

    fn check(view: &ScheduleView, expected: &str) {
        assert_eq!(shown(view, 1_000_000), expected, "{view:#?}");
    }

    #[test]
    fn changes_submit_once() {
        check(&view(vec![mview(1, &[9], true), mview(3, &[9], false)], vec![]), "submit 1");
        check(&view(vec![mview(1, &[9], true)], vec![run(50, 1, 50, false)]), "start 50");
        check(&view(vec![mview(1, &[9], true)], vec![run(50, 1, 50, true)]), "submit 1");
        let partial = ScheduledRun { request: "START".into(), ..run(50, 1, 50, false) };
        check(&view(vec![mview(1, &[9], true)], vec![partial]), "submit 1, start 50");
        let inactive = ScheduledMview { active: false, ..mview(1, &[9], true) };
        check(&view(vec![inactive], vec![]), "");
        let manual = ScheduledMview { trigger: RefreshTrigger::Manual, ..mview(1, &[9], true) };
        check(&view(vec![manual], vec![]), "");
        let unknown = ScheduledMview { looked: None, ..mview(1, &[9], false) };
        check(&view(vec![unknown], vec![]), "submit 1");
    }

    #[test]
    fn changes_go_up_once() {
        // 10 and 12 read the table 9; 14 reads both; 16 reads 14 and the table.
        let diamond = |changed: [bool; 4]| {
            let [a, b, c, d] = changed;
            vec![mview(10, &[9], a), mview(12, &[9], b), mview(14, &[10, 12], c), mview(16, &[14, 9], d)]
        };
        check(&view(diamond([true, true, false, true]), vec![]), "submit 10, submit 12");
        let one_done = vec![run(50, 12, 50, true)];
        check(&view(diamond([false, false, true, true]), one_done), "");
        let one_waits = vec![run(50, 12, 50, false)];
        check(&view(diamond([false, false, true, true]), one_waits), "start 50");
        check(&view(diamond([false, false, true, true]), vec![]), "submit 14");
        check(&view(diamond([false, false, false, true]), vec![]), "submit 16");
        check(&view(diamond([false, false, false, true]), vec![run(50, 10, 50, true)]), "");
    }

    #[test]
    fn what_is_always_busy_does_not_starve_those_above() {
        let above = |changed_ms| ScheduledMview { changed_ms: Some(changed_ms), ..mview(14, &[10], true) };
        let check = |changed_ms, runs, expected| {
            check(&view(vec![mview(10, &[9], true), above(changed_ms)], runs), expected);
        };
        check(400_000, vec![], "submit 10");
        check(399_999, vec![], "submit 10, submit 14");
        check(399_999, vec![run(50, 10, 50, true)], "submit 10");
    }

    #[test]
    fn schedules_are_kept() {
        let check = |last_ms, now_ms, expected: &str| {
            let trigger = RefreshTrigger::Every { start_ms: 1_000, every_ms: 500 };
            let mview = ScheduledMview { trigger, last_ms, ..mview(1, &[9], true) };
            assert_eq!(shown(&view(vec![mview], vec![]), now_ms), expected, "{last_ms} {now_ms}");
        };
        check(0, 999, "");
        check(0, 1_000, "submit 1 of 1000");
        check(1_000, 1_499, "");
        check(1_003, 1_500, "submit 1 of 1500");
        check(1_003, 9_999, "submit 1 of 9500");
        check(9_500, 9_999, "");
    }

    #[test]
    fn what_failed_is_tried_again() {
        // It began at 100 s and failed at 900 s; tried again after 5 s, then after 10 s.
        let failed = |count, mview: ScheduledMview| {
            vec![ScheduledMview {
                last_ms: 100_000,
                failed: Some(Failed { count, ended_ms: 900_000 }),
                ..mview
            }]
        };
        let check = |mviews: &[ScheduledMview], runs: &[ScheduledRun], now_ms, expected: &str| {
            assert_eq!(shown(&view(mviews.to_vec(), runs.to_vec()), now_ms), expected, "{mviews:#?}");
        };
        let once = failed(1, mview(1, &[9], false));
        assert_eq!(again_ms(&view(once.clone(), vec![])), Some(905_000));
        check(&once, &[], 904_999, "");
        check(&once, &[], 905_000, "submit 1 again");
        check(&once, &[run(50, 1, 50, false)], 905_000, "start 50");
        check(&failed(2, mview(1, &[9], false)), &[], 909_999, "");
        check(&failed(2, mview(1, &[9], false)), &[], 910_000, "submit 1 again");
        // A change does not wait, and what was submitted since is not submitted again.
        check(&failed(9, mview(1, &[9], true)), &[], 900_001, "submit 1");
        let submitted = ScheduledMview { last_ms: 905_000, ..once[0].clone() };
        assert_eq!(again_ms(&view(vec![submitted.clone()], vec![])), None);
        check(&[submitted], &[], 999_000, "");
        let manual = ScheduledMview { trigger: RefreshTrigger::Manual, ..once[0].clone() };
        check(&[manual], &[], 999_000, "");
        let inactive = ScheduledMview { active: false, ..once[0].clone() };
        check(&[inactive], &[], 999_000, "");
        let every = RefreshTrigger::Every { start_ms: 0, every_ms: 950_000 };
        let every = ScheduledMview { trigger: every, ..once[0].clone() };
        check(std::slice::from_ref(&every), &[], 905_000, "submit 1 again");
        check(&[every], &[], 950_000, "submit 1 of 950000");
    }

    #[test]
    fn urgent_and_old_runs_start_first() {
        let mut view = view(
            vec![],
            vec![
                run(1, 11, 50, true),
                run(2, 11, 100, false),
                run(3, 13, 50, false),
                run(4, 14, 80, false),
                run(5, 15, 50, false),
                run(6, 16, 50, false),
            ],
        );
        check(&view, "start 4, start 3, start 5");
        view.limits.running_max = 2;
        check(&view, "start 4");
        view.limits.running_max = 1;
        check(&view, "");
    }

    #[test]
    fn the_same_request_waits_once() {
        let forced = |id, priority| ScheduledRun { request: "FORCE".into(), ..run(id, 1, priority, false) };
        let runs = vec![
            run(1, 1, 50, true),
            run(2, 1, 50, false),
            run(3, 1, 80, false),
            forced(4, 50),
            forced(5, 50),
        ];
        check(&view(vec![], runs), "merge 2 into 3, merge 5 into 4");
    }

    #[test]
    fn the_queue_has_an_end() {
        let mut view = view(vec![mview(10, &[9], true), mview(12, &[9], true)], vec![run(1, 3, 50, false)]);
        view.limits.waiting_max = 2;
        check(&view, "submit 10, start 1");
        view.limits.waiting_max = 1;
        check(&view, "start 1");
    }

    #[test]
    fn attempts_grow_apart() {
        assert_eq!([0, 1, 5, 6, 64, u32::MAX].map(backoff), [1, 2, 32, 60, 60, 60]);
    }
}
