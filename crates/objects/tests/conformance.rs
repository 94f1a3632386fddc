//! One set of expectations for every kind of volume: a local folder, memory, and S3 (the moto server).

#![allow(clippy::disallowed_methods, reason = "tests start a server and read where it is installed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

mod moto;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cairn_env::{Env, Failpoints};
use cairn_objects::layout::Sign;
use cairn_objects::{Fault, Faults, Fence, FenceRecord, StartRecord, Starts, VolumeStore};
use cairn_types::ErrorKind;
use futures::TryStreamExt;

fn env() -> Env {
    Env::real(Failpoints::default())
}

async fn keys(store: &VolumeStore, prefix: &str) -> BTreeSet<String> {
    store.list(prefix).map_ok(|o| o.key).try_collect().await.unwrap()
}

/// All that every store must do.
async fn conform(store: &VolumeStore) {
    creates_once(store).await;
    reads_parts(store).await;
    lists_and_deletes(store).await;
    one_of_many_writers_wins(store).await;
    one_of_many_claims_wins(store).await;
    a_higher_epoch_fences_a_lower_one(store).await;
    of_two_copies_the_later_start_counts(store).await;
    large_objects_survive(store).await;
    faults_happen_when_told(store).await;
    assert_eq!(keys(store, "").await, BTreeSet::new(), "the tests clean up: nothing else is left");
    store.probe().await.unwrap();
}

async fn creates_once(store: &VolumeStore) {
    store.put_new("once/a", "one".into()).await.unwrap();
    store.put_new("once/a", "one".into()).await.expect("a retry of the same write is a success");
    let other = store.put_new("once/a", "two".into()).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists, "{other}");
    assert!(other.message().contains("once/a") && other.message().contains(store.location()), "{other}");
    assert_eq!(store.get("once/a").await.unwrap(), "one");
    store.put_new("once/empty", Bytes::new()).await.unwrap();
    assert_eq!(store.get("once/empty").await.unwrap(), "");
    store.delete_all(&["once/a".into(), "once/empty".into()]).await.unwrap();
}

async fn reads_parts(store: &VolumeStore) {
    store.put_new("parts/a", "0123456789".into()).await.unwrap();
    assert_eq!(store.get_range("parts/a", 2..5).await.unwrap(), "234");
    let several = store.get_ranges("parts/a", &[8..10, 0..1, 4..4, 3..5]).await.unwrap();
    assert_eq!(several, ["89", "0", "", "34"]);
    let head = store.head("parts/a").await.unwrap();
    assert_eq!((head.key.as_str(), head.bytes), ("parts/a", 10));
    assert!(head.modified_ms > 1_600_000_000_000);
    for range in [5..11, 10..12, 20..30] {
        let short = store.get_range("parts/a", range.clone()).await.unwrap_err();
        assert_eq!(short.kind(), ErrorKind::Corrupt, "{range:?}: {short}");
        assert!(short.message().contains("cut short"), "{short}");
    }
    for missing in [
        store.get("parts/none").await.unwrap_err(),
        store.get_range("parts/none", 0..1).await.unwrap_err(),
        store.head("parts/none").await.unwrap_err(),
    ] {
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
        assert!(
            missing.message().contains("parts/none") && missing.message().contains(store.location()),
            "{missing}"
        );
    }
    store.delete("parts/a").await.unwrap();
}

async fn lists_and_deletes(store: &VolumeStore) {
    let made: Vec<String> =
        ["l/a/1", "l/a/2", "l/a/deep/3", "l/ab/4", "l/b/5", "l/top"].map(str::to_owned).into();
    for key in &made {
        store.put_new(key, key.clone().into()).await.unwrap();
    }
    assert_eq!(keys(store, "l").await, made.iter().cloned().collect());
    let folder: BTreeSet<String> = made[..3].iter().cloned().collect();
    assert_eq!(keys(store, "l/a").await, folder, "a prefix is a folder: l/ab is another one");
    assert_eq!(keys(store, "l/none").await, BTreeSet::new());
    assert_eq!(store.list_folders("l").await.unwrap(), ["a", "ab", "b"]);
    assert_eq!(store.list_folders("").await.unwrap(), ["l"]);
    assert_eq!(store.list_folders("none").await.unwrap(), Vec::<String>::new());
    store.delete("l/none").await.expect("deleting is idempotent");
    store.delete("l/a/1").await.unwrap();
    store.delete_all(&made).await.unwrap();
    assert_eq!(
        store.list_folders("l").await.unwrap(),
        Vec::<String>::new(),
        "a folder without objects is none"
    );
    for bad in ["/abs", "a//b", "a/../b", "a/"] {
        assert_eq!(store.put_new(bad, Bytes::new()).await.unwrap_err().kind(), ErrorKind::Analysis, "{bad}");
    }
}

async fn one_of_many_writers_wins(store: &VolumeStore) {
    for round in 0..10 {
        let key = format!("race/{round}");
        let writers = (0..8).map(|writer| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(
                async move { (writer, store.put_new(&key, format!("writer {writer}").into()).await) },
            )
        });
        let outcomes = futures::future::join_all(writers.collect::<Vec<_>>()).await;
        let mut winners = Vec::new();
        for outcome in outcomes {
            match outcome.unwrap() {
                (writer, Ok(())) => winners.push(writer),
                (_, Err(e)) => assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e}"),
            }
        }
        let [winner] = winners[..] else { panic!("round {round}: winners {winners:?}") };
        assert_eq!(store.get(&key).await.unwrap(), format!("writer {winner}"));
        store.delete(&key).await.unwrap();
    }
}

/// docs/rfcs/0006-starts.md
async fn of_two_copies_the_later_start_counts(store: &VolumeStore) {
    drop_claims(store).await;
    Fence::claim(store, &claim(3, "n")).await.unwrap();
    Fence::check(store, "c1", 3, (0, "")).await.expect("no start was ever told");
    let start = |epoch: u64, start: u64, nonce: &str| StartRecord {
        cluster: "c1".into(),
        epoch,
        start,
        nonce: nonce.into(),
        place: "here".into(),
        started_ms: 1,
    };
    assert_eq!(Starts::look(store, "c1", 3).await.unwrap(), None);
    Starts::put(store, &start(2, 9, "x")).await.unwrap();
    Starts::put(store, &start(3, 1, "a")).await.unwrap();
    Starts::put(store, &start(3, 1, "a")).await.expect("the same one again, after a lost answer");
    Starts::put(store, &start(3, 1, "b")).await.unwrap();
    Fence::check(store, "c1", 3, (1, "a")).await.expect("starts of lower epochs do not count");
    let second = Fence::check(store, "c1", 3, (1, "b")).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Fenced, "of two with one number one goes on: {second}");
    store.delete("c1/fence/start-00000000000000000003-00000000000000000001-b").await.unwrap();
    let unknown = Fence::check(store, "c1", 3, (1, "0")).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable, "{unknown}");
    let sign = |start: u64, index: u64, stopped: bool| Sign { epoch: 3, start, index, at_ms: index, stopped };
    for (index, stopped) in [(5, false), (7, false), (7, true)] {
        Starts::sign(store, "c1", &sign(1, index, stopped)).await.unwrap();
        let seen = Starts::look(store, "c1", 3).await.unwrap().unwrap();
        assert_eq!((seen.record, seen.sign), (Some(start(3, 1, "a")), Some(sign(1, index, stopped))));
    }
    Starts::put(store, &start(3, 2, "c")).await.unwrap();
    assert_eq!(Fence::check(store, "c1", 3, (1, "a")).await.unwrap_err().kind(), ErrorKind::Fenced);
    Fence::check(store, "c1", 3, (2, "c")).await.unwrap();
    // Who was passed leaves what the later one has said.
    Starts::sign(store, "c1", &sign(1, 8, false)).await.unwrap();
    assert_eq!(Starts::look(store, "c1", 3).await.unwrap().unwrap().record, Some(start(3, 2, "c")));
    Starts::sign(store, "c1", &sign(2, 9, false)).await.unwrap();
    assert_eq!(keys(store, "c1/fence").await.len(), 3, "a claim, a start and a sign are left");
    // Without its record, signs still tell of a start.
    store.delete("c1/fence/start-00000000000000000003-00000000000000000002-c").await.unwrap();
    let seen = Starts::look(store, "c1", 3).await.unwrap().unwrap();
    assert_eq!((seen.start, seen.record, seen.sign), (2, None, Some(sign(2, 9, false))));
    Fence::probe(store, "c1", "n").await.unwrap();
    Fence::withdraw(store, &claim(3, "another")).await.unwrap();
    assert_eq!(Fence::newest_epoch(store, "c1").await.unwrap(), Some(3));
    Fence::withdraw(store, &claim(3, "n")).await.unwrap();
    assert_eq!(Fence::newest_epoch(store, "c1").await.unwrap(), None);
    drop_claims(store).await;
}

fn claim(epoch: u64, nonce: &str) -> FenceRecord {
    FenceRecord { cluster: "c1".into(), epoch, claimed_ms: 7, nonce: nonce.into() }
}

async fn drop_claims(store: &VolumeStore) {
    let claims: Vec<_> = keys(store, "c1/fence").await.into_iter().collect();
    store.delete_all(&claims).await.unwrap();
}

async fn one_of_many_claims_wins(store: &VolumeStore) {
    let claims = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { Fence::claim(&store, &claim(4, &format!("nonce{n}"))).await })
    });
    let outcomes = futures::future::join_all(claims.collect::<Vec<_>>()).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().flat_map(|o| o.as_ref().err()).all(|e| e.kind() == ErrorKind::Fenced));
    Fence::check(store, "c1", 4, (0, "")).await.unwrap();
    drop_claims(store).await;
}

async fn a_higher_epoch_fences_a_lower_one(store: &VolumeStore) {
    assert_eq!(Fence::newest_epoch(store, "c1").await.unwrap(), None);
    let missing = Fence::check(store, "c1", 3, (0, "")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable, "no claim is no right: {missing}");
    Fence::claim(store, &claim(3, "n")).await.unwrap();
    Fence::claim(store, &claim(3, "n")).await.expect("the owner may claim again");
    Fence::check(store, "c1", 3, (0, "")).await.unwrap();
    Fence::claim(store, &claim(4, "m")).await.unwrap();
    assert_eq!(Fence::newest_epoch(store, "c1").await.unwrap(), Some(4));
    let fenced = Fence::check(store, "c1", 3, (0, "")).await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    assert!(fenced.message().starts_with("epoch 3 of cluster c1 was taken over by epoch 4"), "{fenced}");
    assert_eq!(Fence::claim(store, &claim(3, "n")).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(Fence::newest_epoch(store, "c2").await.unwrap(), None, "other clusters are not concerned");

    // A damaged claim is not a right.
    store.put_new(&cairn_objects::layout::fence("c1", 5), "garbage".into()).await.unwrap();
    assert_eq!(Fence::check(store, "c1", 5, (0, "")).await.unwrap_err().kind(), ErrorKind::Corrupt);
    drop_claims(store).await;
}

async fn large_objects_survive(store: &VolumeStore) {
    let large: Bytes = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
    store.put_new("large", large.clone()).await.unwrap();
    store.put_new("large", large.clone()).await.expect("a retry of the same write is a success");
    assert_eq!(store.get("large").await.unwrap(), large);
    assert_eq!(
        store.get_range("large", 16_777_000..16_778_000).await.unwrap(),
        large.slice(16_777_000..16_778_000)
    );
    let other = store.put_new("large", large.slice(1..)).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists, "{other}");
    store.delete("large").await.unwrap();
}

async fn faults_happen_when_told(store: &VolumeStore) {
    let faults = Faults::default();
    let faulty = store.with_faults(&faults);
    faults.fail(1, 1, Fault::Before);
    assert_eq!(faulty.put_new("f", "x".into()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.get("f").await.unwrap_err().kind(), ErrorKind::NotFound);
    faults.fail(1, 1, Fault::After);
    assert!(faulty.put_new("f", "x".into()).await.is_err());
    assert_eq!(store.get("f").await.unwrap(), "x", "the answer was lost, not the write");
    faulty.put_new("f", "x".into()).await.expect("so the retry succeeds");
    faults.fail(1, 2, Fault::Full);
    assert_eq!(faulty.get("f").await.unwrap(), "x", "a full volume can be read");
    assert_eq!(faulty.put_new("g", "x".into()).await.unwrap_err().kind(), ErrorKind::ResourceExhausted);
    faults.fail(1, 1, Fault::Before);
    assert!(faulty.list("").try_collect::<Vec<_>>().await.is_err());
    faults.heal();
    faulty.delete("f").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    conform(&VolumeStore::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_folder() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("file://{}/new/volume", dir.path().display());
    let absent = VolumeStore::open(&uri, &BTreeMap::new(), &env()).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Unavailable, "{absent}");
    let store = VolumeStore::create(&uri, &BTreeMap::new(), &env()).unwrap();
    conform(&store).await;

    store.put_new("a", "x".into()).await.unwrap();
    std::fs::remove_dir_all(dir.path().join("new/volume")).unwrap();
    for error in [
        store.get("a").await.unwrap_err(),
        store.put_new("b", "x".into()).await.unwrap_err(),
        store.list("").try_collect::<Vec<_>>().await.unwrap_err(),
        store.list_folders("").await.unwrap_err(),
        store.delete("a").await.unwrap_err(),
    ] {
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "a folder that is gone is not an empty one: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3() {
    let server = moto::Moto::start();
    server.create_bucket("conformance");
    let properties = server.properties();
    conform(&VolumeStore::open("s3://conformance/some/where", &properties, &env()).unwrap()).await;

    let whole = VolumeStore::open("s3://conformance", &properties, &env()).unwrap();
    let below = VolumeStore::open("s3://conformance/below/", &properties, &env()).unwrap();
    below.put_new("a/b", "x".into()).await.unwrap();
    assert_eq!(keys(&whole, "").await, ["below/a/b".to_owned()].into());
    more_than_a_page_is_listed(&whole).await;

    let nowhere = VolumeStore::open("s3://no-such-bucket", &properties, &env()).unwrap();
    let error = nowhere.probe().await.unwrap_err();
    assert!(error.message().contains("s3://no-such-bucket"), "{error}");
    assert!(!error.message().contains(moto::SECRET), "{error}");
}

/// S3 lists 1,000 objects a page.
async fn more_than_a_page_is_listed(store: &VolumeStore) {
    use futures::StreamExt;
    futures::stream::iter(0..1_005)
        .for_each_concurrent(16, |n| async move {
            store.put_new(&format!("many/{n}"), Bytes::new()).await.unwrap()
        })
        .await;
    let all: Vec<_> = keys(store, "many").await.into_iter().collect();
    assert_eq!(all.len(), 1_005);
    store.delete_all(&all).await.unwrap();
    assert!(keys(store, "many").await.is_empty());
}

#[tokio::test]
async fn an_unreachable_volume_is_an_error_soon_and_tells_no_secret() {
    // A port that is taken, and on which nobody listens.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = held.local_addr().unwrap().port();
    let properties = moto::properties(port);
    let store = VolumeStore::open("s3://bucket/prefix", &properties, &env()).unwrap();
    let start = Instant::now();
    let errors =
        tokio::join!(store.probe(), store.put_new("k", "x".into()), store.get("k"), store.delete("k"));
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    for error in [errors.0, errors.1, errors.2.map(drop), errors.3].map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("s3://bucket/prefix"), "{error}");
        assert!(error.message().contains("refused"), "the cause is told: {error}");
        assert!(
            !error.message().contains(moto::SECRET) && !error.message().contains(moto::ACCESS_KEY),
            "{error}"
        );
    }
}
