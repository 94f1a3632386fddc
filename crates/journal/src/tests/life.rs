//! A journal's life: commands, restarts, images, purges, members.

use std::collections::BTreeSet;
use std::time::Duration;

use cairn_env::Env;
use cairn_types::ErrorKind;

use super::{Change, Counter, add, copy_dir, create, env, open, open_when_let_go, options};
use crate::{Journal, Options, Role, inspect};

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_numbered_and_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    assert_eq!(journal.state().index, 0);
    for n in 1..=10 {
        let applied = add(&journal, n).await.unwrap();
        assert_eq!((applied.index, applied.outcome), (n as u64, n * (n + 1) / 2));
        assert_eq!(journal.state().index, n as u64, "what was acknowledged is visible");
    }
    let before = journal.state();
    journal.shutdown().await.unwrap();
    assert_eq!(add(&journal, 1).await.unwrap_err().message(), "the journal was shut down");

    let again = open(dir.path()).await.unwrap();
    assert!(again.is_leader());
    assert_eq!(again.state().state, before.state);
    assert_eq!((again.state().index, again.state().time_ms), (10, before.time_ms));
    assert_eq!(add(&again, 5).await.unwrap().index, 11);
    again.read_barrier().await.unwrap();
    again.health().unwrap();
}

/// A copy of the files of a running journal is what `kill -9` leaves: nothing was closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    for round in 1..=5_u64 {
        for n in 0..20 {
            add(&journal, n).await.unwrap();
        }
        if round == 3 {
            journal.create_image().await.unwrap();
        }
        let killed = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), killed.path());
        let again = open(killed.path()).await.unwrap();
        assert_eq!(again.state().index, round * 20);
        assert_eq!(again.state().state, journal.state().state);
        add(&again, 1).await.unwrap();
        again.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_serves_without_waiting_for_an_election() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path()).await.shutdown().await.unwrap();
    let slow = Options { election_timeout_min_ms: 100_000, election_timeout_max_ms: 200_000, ..options() };
    let opened = Journal::<Counter>::open(dir.path(), env(), slow);
    let journal = tokio::time::timeout(Duration::from_secs(20), opened).await.unwrap().unwrap();
    add(&journal, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_bound_the_log_and_restarts_begin_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    let mut made = Vec::new();
    for round in 1..=4_u64 {
        for n in 0..10 {
            add(&journal, n).await.unwrap();
        }
        let image = journal.create_image().await.unwrap();
        assert_eq!(image.index, round * 10);
        assert_eq!(journal.create_image().await.unwrap(), image, "nothing new, no new image");
        made.push(image);
    }
    assert_eq!(journal.images(), made[2..], "two are kept");
    add(&journal, 7).await.unwrap();
    let state = journal.state();
    journal.shutdown().await.unwrap();
    drop(journal);

    let found = inspect::<Counter>(dir.path()).unwrap();
    let report = found.journal.unwrap();
    assert_eq!((report.first_index, report.last_index, report.entries), (Some(31), 41, 11));
    assert_eq!(found.images, made[2..]);
    assert_eq!(found.newest.state, state.state);
    let image = inspect::<Counter>(&made[3].path).unwrap();
    assert_eq!((image.newest.index, image.journal), (40, None));

    let again = open(dir.path()).await.unwrap();
    assert_eq!((again.state().index, &again.state().state), (41, &state.state));
    assert_eq!(again.images(), made[2..]);
    assert_eq!(again.create_image().await.unwrap().index, 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_come_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    journal.set_image_every_entries(25);
    for n in 0..120 {
        add(&journal, n).await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while journal.images().last().unwrap().index < 96 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", journal.images());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(journal.images().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_journal_goes_on_from_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let state = Counter { sum: 500, ..Counter::default() };
    let journal = Journal::create(dir.path(), env(), options(), 4_711, state).await.unwrap();
    assert_eq!((journal.state().index, journal.state().state.sum), (4_711, 500));
    assert_eq!(journal.images()[0].index, 4_711);
    let applied = add(&journal, 1).await.unwrap();
    assert_eq!((applied.index, applied.outcome), (4_712, 501));
    journal.shutdown().await.unwrap();
    let again = open(dir.path()).await.unwrap();
    assert_eq!((again.state().index, again.state().state.sum), (4_712, 501));
    let error = Journal::create(dir.path(), env(), options(), 0, Counter::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn proposers_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    let before = journal.durable_commits();
    let proposers = (0..8).map(|_| {
        let journal = journal.clone();
        env().spawn("proposer", async move {
            let mut indexes = Vec::new();
            for n in 0..50 {
                indexes.push(add(&journal, n).await.unwrap().index);
            }
            indexes
        })
    });
    let mut seen = BTreeSet::new();
    for proposer in proposers.collect::<Vec<_>>() {
        let indexes = proposer.await.unwrap();
        assert!(indexes.is_sorted());
        seen.extend(indexes);
    }
    assert_eq!(seen, (1..=400).collect(), "every command has a number of its own");
    let commits = journal.durable_commits() - before;
    println!("400 commands of 8 proposers in {commits} commits");
    assert!(commits < 300, "{commits} commits for 400 commands");
    assert_eq!(journal.state().state.sum, 8 * (0..50).sum::<i64>());
}

#[tokio::test(flavor = "multi_thread")]
async fn time_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (early, clock) = Env::simulated(1, 5_000);
    let journal = Journal::create(dir.path(), early, options(), 0, Counter::default()).await.unwrap();
    assert_eq!(add(&journal, 1).await.unwrap().time_ms, 5_000);
    clock.advance_ms(100);
    assert_eq!(add(&journal, 1).await.unwrap().time_ms, 5_100);
    journal.shutdown().await.unwrap();
    // The next process has a clock that runs behind.
    let (late, clock) = Env::simulated(1, 3_000);
    let journal = Journal::<Counter>::open(dir.path(), late, options()).await.unwrap();
    assert_eq!(add(&journal, 1).await.unwrap().time_ms, 5_100);
    clock.advance_ms(4_000);
    assert_eq!(add(&journal, 1).await.unwrap().time_ms, 7_000);
    let times: Vec<_> = journal.state().state.seen.iter().map(|(_, time_ms, _)| *time_ms).collect();
    assert_eq!(times, [5_000, 5_100, 5_100, 7_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_follow_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    let members = journal.members();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].id, members[0].address.as_str()), (1, "127.0.0.1:9010"));
    assert_eq!((members[0].role, members[0].is_self), (Role::Leader, true));
    assert_eq!(members[0].role.to_string(), "LEADER");
    journal.shutdown().await.unwrap();
    for _ in 0..2 {
        let moved = Options { address: "10.0.0.7:9010".to_owned(), ..options() };
        let journal = Journal::<Counter>::open(dir.path(), env(), moved).await.unwrap();
        assert_eq!(journal.members()[0].address, "10.0.0.7:9010");
        assert_eq!(add(&journal, 1).await.unwrap().index, journal.state().index, "members have no number");
        journal.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_tells_of_commands() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    let mut watch = journal.watch();
    add(&journal, 1).await.unwrap();
    watch.changed().await.unwrap();
    assert_eq!(*watch.borrow_and_update(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_command_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { command_bytes_max: 1_000, ..options() };
    let journal = Journal::create(dir.path(), env(), small, 0, Counter::default()).await.unwrap();
    let error = journal.propose(Change::Note("x".repeat(1_000))).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    assert!(error.message().contains("more than the 1000 allowed"), "{error}");
    assert_eq!(add(&journal, 1).await.unwrap().index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    assert_eq!(open(dir.path()).await.err().unwrap().kind(), ErrorKind::Conflict);
    assert_eq!(inspect::<Counter>(dir.path()).unwrap_err().kind(), ErrorKind::Conflict);
    add(&journal, 1).await.unwrap();
    // Dropping the last handle ends it, a little later.
    drop(journal);
    assert_eq!(open_when_let_go(dir.path()).await.state().index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_commands_pass() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    for _ in 0..4 {
        journal.propose(Change::Note("n".repeat(5 << 20))).await.unwrap();
    }
    let sum = journal.state().state.sum;
    journal.shutdown().await.unwrap();
    assert_eq!(open(dir.path()).await.unwrap().state().state.sum, sum);
}
