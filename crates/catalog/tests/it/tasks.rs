//! Tasks and their runs.

use cairn_catalog::{Command, FirstRun, MviewSpec, Reply, RunState, TaskOf, Trim};
use cairn_types::{DbId, TableId, TaskRunId};

use crate::common::*;

use RunState::{Failed, Merged, Pending, Running, Skipped, Success};

fn to(id: TaskRunId, state: RunState) -> Command {
    Command::AdvanceRun(Box::new(advance(id, state)))
}

fn with_mview() -> (Cluster1, DbId, TableId) {
    let (mut c, db, table, _) = Cluster1::with_table();
    let mview = c.mview(db, "mv", &[table], &[]);
    (c, db, mview)
}

#[test]
fn a_task_has_its_name_alone() {
    let (mut c, db, ..) = Cluster1::with_table();
    let create = |name: &str| Command::CreateTask(Box::new(task_spec(db, name)));
    c.ok(create("t"));
    for (name, expected) in
        [("t", "Task t already exists"), ("", "Incorrect task name"), ("mv-7", "belong to")]
    {
        assert!(c.refused(create(name)).contains(expected), "{name}");
    }
    let Reply::Task(_) = c.ok(create("u")) else { panic!() };
    c.ok(Command::DropTask { name: "t".into(), if_exists: false });
    assert!(c.refused(Command::DropTask { name: "t".into(), if_exists: false }).contains("does not exist"));
    assert_eq!(c.ok(Command::DropTask { name: "t".into(), if_exists: true }), Reply::Unchanged);
    assert_eq!(c.catalog.tasks().count(), 1);
}

#[test]
fn run_states_only_go_forward() {
    let steps: [(&[RunState], bool); 13] = [
        (&[Running, Running, Success], true),
        (&[Running, Failed], true),
        (&[Running, Skipped], true),
        (&[Merged], true),
        (&[Skipped], true),
        (&[Failed], true),
        (&[Pending], false),
        (&[Running, Pending], false),
        (&[Success, Running], false),
        (&[Success, Failed], false),
        (&[Failed, Failed], false),
        (&[Merged, Running], false),
        (&[Failed, Success], false),
    ];
    for (states, allowed) in steps {
        let (mut c, _, mview) = with_mview();
        let id = submit(&mut c, TaskOf::Mview(mview));
        let (last, before) = states.split_last().unwrap();
        before.iter().for_each(|state| drop(c.ok(to(id, *state))));
        match allowed {
            true => drop(c.ok(to(id, *last))),
            false => assert!(c.refused(to(id, *last)).contains("cannot become"), "{states:?}"),
        }
    }
}

#[test]
fn a_run_tells_what_became_of_it() {
    let (mut c, _, mview) = with_mview();
    let id = submit(&mut c, TaskOf::Mview(mview));
    let run = |c: &Cluster1| cairn_catalog::TaskRun::clone(c.catalog.task_run(id).unwrap());
    assert_eq!((run(&c).task_name, run(&c).db), (format!("mv-{mview}"), "d".to_owned()));
    assert_eq!((run(&c).started, run(&c).finished), (None, None));
    c.ok(to(id, Running));
    let started = run(&c).started;
    assert!(started.is_some());
    c.ok(to(id, Running));
    c.ok(to(id, Failed));
    assert_eq!(run(&c).started, started, "it started once");
    assert!(run(&c).finished > started);
    assert_eq!((run(&c).error.as_str(), run(&c).error_code, run(&c).progress_percent), ("no", 1, 50));
}

#[test]
fn a_view_comes_with_the_run_that_fills_it() {
    let (mut c, db, base) = with_mview();
    let first_run = Some(FirstRun { query_id: "q".into(), definition: "SELECT 1".into(), priority: 50 });
    let spec = MviewSpec { first_run, ..c.mview_spec(db, "filled", &[base], &[]) };
    let Reply::Table(id) = c.ok(Command::CreateMview(Box::new(spec.clone()))) else { panic!() };
    let runs: Vec<_> = c.catalog.task_runs().filter(|run| run.task == TaskOf::Mview(id)).collect();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.state, run.created.index, run.query_id.as_str()), (RunState::Pending, c.index, "q"));
    // A view that is there already is not filled again.
    let count = c.catalog.task_runs().count();
    c.refused(Command::CreateMview(Box::new(spec)));
    assert_eq!(c.catalog.task_runs().count(), count);
}

#[test]
fn what_is_gone_does_not_run() {
    let drops: [fn(DbId) -> Command; 5] = [
        |db| Command::DropTable { db, name: "mv".into(), force: false },
        |_| Command::DropDatabase { name: "d".into(), force: false },
        |_| Command::DropTask { name: "task".into(), if_exists: false },
        |db| Command::DropTable { db, name: "t".into(), force: false },
        |_| Command::PauseMviews { reason: "a break".into() },
    ];
    for (number, drop) in drops.into_iter().enumerate() {
        let (mut c, db, mview) = with_mview();
        let Reply::Task(task) = c.ok(Command::CreateTask(Box::new(task_spec(db, "task")))) else { panic!() };
        let task = TaskOf::Task(task);
        let (waits, of_task) = (submit(&mut c, TaskOf::Mview(mview)), submit(&mut c, task));
        let running = submit(&mut c, TaskOf::Mview(mview));
        c.ok(to(running, Running));
        c.ok(drop(db));
        let state = |id| c.catalog.task_run(id).unwrap().state;
        let expected = if number == 2 { (Pending, Failed) } else { (Failed, Pending) };
        assert_eq!(
            (state(waits), state(of_task), state(running)),
            (expected.0, expected.1, Running),
            "{number}"
        );
        let failed = c.catalog.task_runs().find(|run| run.state == Failed).unwrap();
        assert!(!failed.error.is_empty() && failed.error_code != 0 && failed.finished.is_some());
        if number < 3 {
            let gone = if number == 2 { task } else { TaskOf::Mview(mview) };
            c.refused(Command::SubmitRun(Box::new(run_spec(gone))));
        }
    }
}

#[test]
fn finished_runs_are_forgotten_and_open_ones_are_not() {
    let before = |c: &Cluster1, run: TaskRunId| c.catalog.task_run(run).unwrap().finished.unwrap().time_ms;
    for (max, oldest, expected) in
        [(None, 0, 5), (Some(9), 0, 5), (Some(2), 0, 4), (Some(0), 0, 2), (None, 1, 4), (Some(1), 2, 3)]
    {
        let (mut c, _, mview) = with_mview();
        let runs: Vec<_> = (0..5).map(|_| submit(&mut c, TaskOf::Mview(mview))).collect();
        c.ok(to(runs[0], Running));
        // Finished in another order than submitted.
        [runs[4], runs[2], runs[3]].into_iter().for_each(|id| drop(c.ok(to(id, Skipped))));
        let oldest = [0, before(&c, runs[2]), before(&c, runs[3])][oldest];
        let trim = Trim { task_runs_before_ms: oldest, task_runs_max: max, ..Trim::default() };
        c.ok(Command::Trim(trim));
        assert_eq!(c.catalog.task_runs().count(), expected, "{max:?}");
        assert!(c.catalog.task_run(runs[0]).is_some() && c.catalog.task_run(runs[1]).is_some());
    }
}
