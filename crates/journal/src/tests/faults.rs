//! Failing steps and failing disks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_env::{Action, Env};
use cairn_types::ErrorKind;
use redb::StorageBackend;
use redb::backends::FileBackend;

use super::{Change, Counter, add, copy_dir, create, env, open, open_when_let_go, options};
use crate::Journal;
use crate::log_file::LogFile;

const IMAGE_FAILPOINTS: [&str; 4] =
    ["image.before_write", "image.after_write", "image.after_rename", "image.after_purge"];

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_image_leaves_a_whole_journal() {
    for name in IMAGE_FAILPOINTS {
        let dir = tempfile::tempdir().unwrap();
        let env = env();
        let journal =
            Journal::create(dir.path(), env.clone(), options(), 0, Counter::default()).await.unwrap();
        for round in 0..3 {
            for n in 0..10 {
                add(&journal, n).await.unwrap();
            }
            env.failpoints().set(name, Action::Error);
            let error = journal.create_image().await.err().unwrap();
            assert!(error.message().contains(name), "{error}");
            // The journal goes on, and what lies on the disk now is a whole journal too.
            assert_eq!(add(&journal, 1).await.unwrap().index, round * 11 + 11);
            journal.health().unwrap();
            let killed = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), killed.path());
            let again = open(killed.path()).await.unwrap();
            assert_eq!(again.state().state, journal.state().state, "{name}");
            again.create_image().await.unwrap();
            again.shutdown().await.unwrap();
            env.failpoints().clear(name);
            journal.create_image().await.unwrap();
        }
        let kept: Vec<_> = std::fs::read_dir(dir.path().join("meta/image")).unwrap().collect();
        assert_eq!(kept.len(), 2, "{name}: {kept:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_nobody_waits_for_keeps_the_folder_until_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let hold = dir.path().join("hold");
    std::fs::write(&hold, "").unwrap();
    let env = env();
    let journal = Journal::create(dir.path(), env.clone(), options(), 0, Counter::default()).await.unwrap();
    add(&journal, 1).await.unwrap();
    env.failpoints().set("image.before_write", Action::Hold(hold.clone()));
    let making = journal.clone();
    let making = env.spawn("image", async move { making.create_image().await });
    while std::fs::read_to_string(&hold).unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    making.abort();
    drop(journal);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(open(dir.path()).await.err().unwrap().kind(), ErrorKind::Conflict, "it is still written to");
    std::fs::remove_file(&hold).unwrap();
    assert_eq!(open_when_let_go(dir.path()).await.state().index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_making_is_made_again() {
    for name in ["image.before_write", "image.after_write", "image.after_rename"] {
        let dir = tempfile::tempdir().unwrap();
        let env = env();
        env.failpoints().set(name, Action::Error);
        let made = Journal::create(dir.path(), env, options(), 3, Counter::default()).await;
        assert!(made.err().unwrap().message().contains(name));
        assert!(open(dir.path()).await.err().unwrap().message().contains("making was interrupted"));
        let journal = create(dir.path()).await;
        assert_eq!(add(&journal, 1).await.unwrap().index, 1);
        assert!(!dir.path().join("meta.new").exists());
    }
}

/// A disk that is full from some moment on.
#[derive(Debug)]
struct Disk {
    inner: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_journal_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path()).await.shutdown().await.unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&full);
    let journal = Journal::<Counter>::open_on(dir.path(), env(), options(), move |layout| {
        Ok(Disk { inner: LogFile::backend(layout)?, full: switch })
    })
    .await
    .unwrap();
    for n in 0..5 {
        add(&journal, n).await.unwrap();
    }
    let before = journal.state();
    full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = add(&journal, 100).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().starts_with("the journal stopped: "), "{error}");
        assert!(error.message().ends_with("restart after freeing space"), "{error}");
        assert!(error.message().contains("journal.redb"), "{error}");
    }
    assert_eq!(journal.health().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!journal.is_leader());
    assert_eq!(journal.state().index, before.index, "what was not kept is not shown");
    assert!(journal.create_image().await.is_err());
    assert!(journal.read_barrier().await.is_err());
    journal.shutdown().await.unwrap();

    full.store(false, Ordering::SeqCst);
    let again = open(dir.path()).await.unwrap();
    assert!(again.state().index == 5 || again.state().index == 6, "{}", again.state().index);
    add(&again, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_state_stops_the_journal_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    add(&journal, 1).await.unwrap();
    let error = journal.propose(Change::Panic).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("journal entry 2 cannot be applied"), "{error}");
    assert!(journal.health().is_err());
    assert!(add(&journal, 1).await.is_err());
    assert_eq!(journal.state().index, 1);
}

#[test]
fn a_runtime_that_goes_away_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let index = runtime.block_on(async {
            let journal = match round {
                0 => create(dir.path()).await,
                _ => open(dir.path()).await.unwrap(),
            };
            for n in 0..10 {
                add(&journal, n).await.unwrap();
            }
            let index = journal.state().index;
            std::mem::forget(journal);
            index
        });
        assert_eq!(index, (round + 1) * 10);
        // No shutdown and no destructor of the handle; the runtime of its callers just ends. The lock of the forgotten handle is
        // that of a process that is gone, so the next round works on a copy.
        drop(runtime);
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        std::fs::remove_dir_all(dir.path().join("meta")).unwrap();
        copy_dir(copy.path(), dir.path());
    }
}

#[allow(dead_code, reason = "shows that the handle can go to other tasks")]
fn handles_are_shared_between_tasks(
    journal: &Journal<Counter>,
    _: &Env,
) -> impl Send + Sync + 'static + use<> {
    journal.clone()
}
