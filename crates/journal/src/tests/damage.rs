//! Damaged, missing, mixed-up and cut-off files: an error that names the file, or the same state; never a panic,
//! never another state, never an empty one.

use std::path::{Path, PathBuf};

use cairn_types::ErrorKind;

use super::{Change, Counter, add, copy_dir, create, env, open, options};
use crate::{Inspection, Journal, inspect};

/// A journal with two images and entries after both. `clean`: closed; else as `kill -9` leaves it.
async fn sample(clean: bool) -> (tempfile::TempDir, Counter) {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    for round in 0..3 {
        for n in 0..15 {
            add(&journal, round * 100 + n).await.unwrap();
        }
        if round < 2 {
            journal.create_image().await.unwrap();
        }
    }
    let state = journal.state().state.clone();
    if clean {
        journal.shutdown().await.unwrap();
        return (dir, state);
    }
    let killed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), killed.path());
    journal.shutdown().await.unwrap();
    (killed, state)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let meta = dir.join("meta");
    let mut files = vec![meta.join("journal.redb"), meta.join("journal.reached")];
    let mut images: Vec<_> =
        std::fs::read_dir(meta.join("image")).unwrap().map(|e| e.unwrap().path()).collect();
    images.sort();
    files.extend(images);
    files
}

/// What a start makes of the files: looks through the same code, faster.
fn look(dir: &Path) -> cairn_types::Result<Inspection<Counter>> {
    inspect::<Counter>(dir)
}

fn check_same_or_refused(dir: &Path, expected: &Counter, what: &str) -> bool {
    match look(dir) {
        Ok(found) => {
            assert_eq!(&found.newest.state, expected, "{what}");
            false
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound), "{what}: {error}");
            assert!(
                error.message().contains(dir.join("meta").to_str().unwrap()),
                "{what} names no file: {error}"
            );
            true
        }
    }
}

/// Quiets the panics of redb that the journal turns into errors.
fn without_panic_noise(work: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_seen_or_harmless() {
    for clean in [true, false] {
        let (dir, state) = sample(clean).await;
        without_panic_noise(|| {
            for path in files(dir.path()) {
                let whole = std::fs::read(&path).unwrap();
                let is_image = path.to_str().unwrap().contains("image.");
                // Every byte of the header page and of small files, a spread over the rest.
                let places =
                    (0..whole.len().min(400)).chain((400..whole.len()).step_by(whole.len() / 150 + 1));
                let mut refused = 0;
                for place in places {
                    let mut bad = whole.clone();
                    bad[place] ^= 1 << (place % 8);
                    std::fs::write(&path, &bad).unwrap();
                    let what = format!("{} byte {place}, clean {clean}", path.display());
                    refused += usize::from(check_same_or_refused(dir.path(), &state, &what));
                    if is_image {
                        assert!(inspect::<Counter>(&path).is_err(), "{what}");
                    }
                }
                println!("{} (clean {clean}): {refused} flips refused", path.display());
                std::fs::write(&path, &whole).unwrap();
            }
        });
        assert!(!check_same_or_refused(dir.path(), &state, "restored"));
    }
}

/// What an inspection finds harmless is harmless for a journal that is opened, written to and opened again.
#[tokio::test(flavor = "multi_thread")]
async fn harmless_damage_stays_harmless() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut opened = 0;
    for clean in [true, false] {
        let (dir, state) = sample(clean).await;
        let len = std::fs::metadata(dir.path().join("meta/journal.redb")).unwrap().len() as usize;
        let places = (9..320).step_by(7).chain((4_096..len).step_by(len / 25));
        for place in places {
            let copy = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), copy.path());
            let path = copy.path().join("meta/journal.redb");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, bytes).unwrap();
            let harmless = look(copy.path()).is_ok();
            let journal = match open(copy.path()).await {
                Ok(journal) => journal,
                Err(error) => {
                    assert!(!harmless, "byte {place}: {error}");
                    continue;
                }
            };
            assert!(harmless, "byte {place}");
            assert_eq!(journal.state().state, state, "byte {place}");
            for n in 0..20 {
                add(&journal, n).await.unwrap();
            }
            journal.create_image().await.unwrap();
            add(&journal, 1).await.unwrap();
            let after = journal.state();
            journal.shutdown().await.unwrap();
            assert_eq!(look(copy.path()).unwrap().newest.state, after.state, "byte {place}");
            opened += 1;
        }
    }
    std::panic::set_hook(hook);
    assert!(opened > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_zeroed_files_are_seen_or_harmless() {
    for clean in [true, false] {
        let (dir, state) = sample(clean).await;
        without_panic_noise(|| {
            for path in files(dir.path()) {
                let whole = std::fs::read(&path).unwrap();
                for eighth in 0..8 {
                    let cut = whole.len() * eighth / 8;
                    std::fs::write(&path, &whole[..cut]).unwrap();
                    check_same_or_refused(dir.path(), &state, &format!("{} cut to {cut}", path.display()));
                    assert!(
                        eighth > 0 || path.to_str().unwrap().contains("image.") || look(dir.path()).is_err()
                    );
                }
                for start in (0..whole.len()).step_by(4096.max(whole.len() / 64 / 4096 * 4096)) {
                    let mut bad = whole.clone();
                    let end = bad.len().min(start + 4096);
                    bad[start..end].fill(0);
                    std::fs::write(&path, &bad).unwrap();
                    check_same_or_refused(
                        dir.path(),
                        &state,
                        &format!("{} zeroed at {start}", path.display()),
                    );
                }
                std::fs::write(&path, &whole).unwrap();
            }
        });
        assert!(!check_same_or_refused(dir.path(), &state, "restored"));
    }
}

/// A start goes through the same checks, and leaves the files as it found them when it refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_start_changes_nothing() {
    let (dir, _) = sample(false).await;
    let log = dir.path().join("meta/journal.redb");
    let whole = std::fs::read(&log).unwrap();
    // The commands are JSON in the log: one letter of the last one.
    let place = whole.windows(9).rposition(|w| w == b"\"Add\":214").unwrap();
    let mut bad = whole.clone();
    bad[place + 7] ^= 1;
    std::fs::write(&log, &bad).unwrap();
    let error = open(dir.path()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("journal.redb"), "{error}");
    assert_eq!(std::fs::read(&log).unwrap(), bad);
    std::fs::write(&log, &whole).unwrap();
    open(dir.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_image_stands_in_for_a_damaged_one() {
    let (dir, state) = sample(true).await;
    let images = dir.path().join("meta/image");
    let newest = images.join("image.30");
    let mut bytes = std::fs::read(&newest).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&newest, &bytes).unwrap();
    let found = look(dir.path()).unwrap();
    assert_eq!(found.damaged.len(), 1);
    assert!(found.damaged[0].1.message().contains("image.30"));
    let journal = open(dir.path()).await.unwrap();
    assert_eq!(journal.state().state, state);
    assert_eq!(journal.images().iter().map(|i| i.index).collect::<Vec<_>>(), [15]);
    // The next image takes the damaged one's place.
    assert_eq!(journal.create_image().await.unwrap().index, 45);
    assert!(!newest.exists());
    assert_eq!(journal.images().iter().map(|i| i.index).collect::<Vec<_>>(), [15, 45]);
    journal.shutdown().await.unwrap();
    assert!(look(dir.path()).unwrap().damaged.is_empty());

    std::fs::write(images.join("image.15"), b"").unwrap();
    std::fs::write(images.join("image.45"), b"").unwrap();
    let error = open(dir.path()).await.err().unwrap();
    assert!(error.message().starts_with("no image is whole"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_foreign_files_are_refused_with_a_remedy() {
    let (dir, state) = sample(true).await;
    let (other, _) = sample(true).await;
    let empty = tempfile::tempdir().unwrap();
    let check = |change: &dyn Fn(&Path), expected: &str| {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        change(&copy.path().join("meta"));
        let error = look(copy.path()).unwrap_err();
        assert!(error.message().contains(expected), "expected {expected:?} in: {error}");
    };
    let remove = |name: &'static str| {
        move |meta: &Path| match meta.join(name) {
            path if path.is_dir() => std::fs::remove_dir_all(path).unwrap(),
            path => std::fs::remove_file(path).unwrap(),
        }
    };
    let foreign = |name: &'static str| {
        let from = other.path().join("meta").join(name);
        move |meta: &Path| {
            std::fs::copy(&from, meta.join(name)).unwrap();
        }
    };
    check(&remove("journal.redb"), "is missing although");
    check(&remove("image"), "no image, so the folder was copied or emptied in part");
    check(&remove("journal.reached"), "journal.reached is missing");
    check(&|meta| std::fs::write(meta.join("journal.redb"), b"").unwrap(), "is empty");
    check(&|meta| std::fs::remove_dir_all(meta).unwrap(), "holds no journal: start a new cluster");
    check(&|meta| std::fs::rename(meta, meta.with_extension("new")).unwrap(), "making was interrupted");
    check(
        &|meta| {
            std::fs::remove_dir_all(meta).unwrap();
            std::fs::create_dir(meta).unwrap();
        },
        "holds no journal",
    );
    check(&foreign("journal.redb"), "files of two clusters were mixed");
    check(&foreign("image/image.30"), "files of two clusters were mixed");
    check(&foreign("image/image.15"), "files of two clusters were mixed");
    check(&foreign("journal.reached"), "files of two clusters were mixed");
    assert!(open(empty.path()).await.err().unwrap().message().contains("start a new cluster"));
    assert_eq!(look(dir.path()).unwrap().newest.state, state);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_log_is_not_taken_for_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    add(&journal, 1).await.unwrap();
    let old = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), old.path());
    add(&journal, 2).await.unwrap();
    journal.shutdown().await.unwrap();
    std::fs::copy(old.path().join("meta/journal.redb"), dir.path().join("meta/journal.redb")).unwrap();
    let error = open(dir.path()).await.err().unwrap();
    assert!(error.message().contains("lost its tail"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_between_image_and_log_is_refused() {
    let (dir, _) = sample(true).await;
    // With the newest image gone the older one is reached; with an image from before that in its place it is not.
    let meta = dir.path().join("meta");
    std::fs::remove_file(meta.join("image/image.30")).unwrap();
    look(dir.path()).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let journal = create(fresh.path()).await;
    for n in 0..3 {
        add(&journal, n).await.unwrap();
    }
    let before = journal.create_image().await.unwrap();
    let kept = std::fs::read(&before.path).unwrap();
    for n in 0..6 {
        add(&journal, n).await.unwrap();
        journal.create_image().await.unwrap();
    }
    journal.shutdown().await.unwrap();
    let images = fresh.path().join("meta/image");
    std::fs::remove_dir_all(&images).unwrap();
    std::fs::create_dir(&images).unwrap();
    std::fs::write(images.join("image.3"), kept).unwrap();
    let error = look(fresh.path()).unwrap_err();
    assert!(error.message().contains("gap between"), "{error}");
}

/// The same journal, read by a Cairn that lacks a command.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
struct OlderCounter(Counter);

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
enum OlderChange {
    Add(i64),
}

impl crate::State for OlderCounter {
    type Command = OlderChange;
    type Outcome = i64;
    fn apply(&mut self, index: u64, time_ms: u64, OlderChange::Add(n): &OlderChange) -> i64 {
        crate::State::apply(&mut self.0, index, time_ms, &Change::Add(*n))
    }
    fn encode_image(&self, index: u64) -> Vec<u8> {
        self.0.encode_image(index)
    }
    fn decode_image(bytes: &[u8]) -> cairn_types::Result<(u64, Self)> {
        Counter::decode_image(bytes).map(|(index, counter)| (index, Self(counter)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_command_is_a_stop_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path()).await;
    add(&journal, 1).await.unwrap();
    journal.propose(Change::Note("new".to_owned())).await.unwrap();
    journal.shutdown().await.unwrap();
    let error = Journal::<OlderCounter>::open(dir.path(), env(), options()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("journal entry 2 holds a command this Cairn does not know"), "{error}");
    assert!(error.message().contains("Note"), "{error}");
}
