//! Named steps of protocols, where a test ends the process, fails the step or holds it up.
//!
//! Every name stands in [`FAILPOINTS`]; a test walks that table and kills a real server at each, so a step that is
//! added here is tested from then on.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_types::{Error, Result};
use parking_lot::Mutex;

/// All failpoints, in the order in which their protocols pass them.
pub const FAILPOINTS: &[&str] = &[
    "start.after_entry",
    "start.after_record",
    "load.after_segments",
    "load.after_manifests",
    "load.after_commit",
    "refresh.before_commit",
    "refresh.after_commit",
    "compaction.after_segments",
    "compaction.after_manifest",
    "compaction.after_commit",
    "image.before_write",
    "image.after_write",
    "image.after_rename",
    "image.after_purge",
    "snapshot.after_command",
    "snapshot.after_image",
    "snapshot.after_manifest",
    "snapshot.after_marker",
    "snapshot.after_finish",
    "snapshot.drop.after_command",
    "snapshot.drop.after_marker",
    "snapshot.drop.after_files",
    "restore.after_check",
    "restore.after_fence",
    "restore.after_image",
    "restore.after_switch",
    "vacuum.after_mark",
    "vacuum.before_delete",
    "vacuum.after_delete",
];

/// What happens at a failpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ends the process at once, as `kill -9` does: no destructor runs, nothing is flushed.
    Kill,
    /// The step fails.
    Error,
    /// The step waits.
    SleepMs(u64),
    /// The step waits as long as this file is there, and writes `held` into it when it begins to.
    Hold(PathBuf),
}

/// Between two looks at the file of [`Action::Hold`].
const HOLD_STEP: Duration = Duration::from_millis(5);

/// How long a step waits.
enum Wait {
    No,
    For(Duration),
    While(PathBuf),
}

impl Wait {
    /// What to wait next; `None`: no more.
    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::No => None,
            Self::For(duration) => {
                let duration = *duration;
                *self = Self::No;
                Some(duration)
            }
            Self::While(file) => file.exists().then_some(HOLD_STEP),
        }
    }
}

#[derive(Debug)]
struct Setting {
    action: Action,
    /// Passes left before the action happens.
    skip: u64,
}

/// Which failpoints are set. Nothing is set by default.
#[derive(Default, Debug)]
pub struct Failpoints {
    set: Mutex<HashMap<String, Setting>>,
}

impl Failpoints {
    /// Reads `name=action[@n];…`: action is `kill`, `error`, `sleep:MS` or `hold:FILE`; `@n` lets n passes go by first.
    ///
    /// # Errors
    /// `Analysis`, naming the part that is no setting.
    pub fn parse(text: &str) -> Result<Self> {
        let this = Self::default();
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let bad = || {
                Error::analysis(format!(
                    "Failpoint setting '{part}' is not NAME=kill|error|sleep:MS|hold:FILE[@n]"
                ))
            };
            let (name, action) = part.split_once('=').ok_or_else(bad)?;
            let (action, skip) = action.split_once('@').unwrap_or((action, "0"));
            let action = match action.split_once(':') {
                None if action == "kill" => Action::Kill,
                None if action == "error" => Action::Error,
                Some(("sleep", ms)) => Action::SleepMs(ms.parse().map_err(|_| bad())?),
                Some(("hold", file)) if !file.is_empty() => Action::Hold(file.into()),
                _ => return Err(bad()),
            };
            if !FAILPOINTS.contains(&name) {
                return Err(Error::analysis(format!("Unknown failpoint '{name}'")));
            }
            this.set
                .lock()
                .insert(name.to_owned(), Setting { action, skip: skip.parse().map_err(|_| bad())? });
        }
        Ok(this)
    }

    /// Sets one failpoint while the process runs.
    pub fn set(&self, name: &'static str, action: Action) {
        self.set.lock().insert(name.to_owned(), Setting { action, skip: 0 });
    }

    /// Clears one failpoint.
    pub fn clear(&self, name: &str) {
        self.set.lock().remove(name);
    }

    pub(crate) fn hit(&self, name: &'static str) -> Result<()> {
        let mut wait = self.pass(name)?;
        while let Some(duration) = wait.next() {
            #[allow(
                clippy::disallowed_methods,
                reason = "a failpoint holds up the very thread that passes it"
            )]
            std::thread::sleep(duration);
        }
        Ok(())
    }

    /// As [`Self::hit`], but holds up the task alone: what else its thread carries out goes on.
    pub(crate) async fn hit_async(&self, name: &'static str) -> Result<()> {
        let mut wait = self.pass(name)?;
        while let Some(duration) = wait.next() {
            tokio::time::sleep(duration).await;
        }
        Ok(())
    }

    fn pass(&self, name: &'static str) -> Result<Wait> {
        debug_assert!(FAILPOINTS.contains(&name), "failpoint '{name}' is not in the table");
        let action = {
            let mut set = self.set.lock();
            match set.get_mut(name) {
                None => return Ok(Wait::No),
                Some(setting) if setting.skip > 0 => {
                    setting.skip -= 1;
                    return Ok(Wait::No);
                }
                Some(setting) => setting.action.clone(),
            }
        };
        match action {
            Action::Kill => {
                tracing::error!(name, "failpoint ends the process");
                std::process::abort()
            }
            Action::Error => Err(Error::unavailable(format!("failpoint {name} is set to fail"))),
            Action::SleepMs(ms) => Ok(Wait::For(Duration::from_millis(ms))),
            Action::Hold(file) => {
                mark_held(&file);
                Ok(Wait::While(file))
            }
        }
    }
}

/// Tells the one who holds the file that the step is there. Never makes the file: one that is gone holds nothing.
#[allow(clippy::disallowed_methods, reason = "the file is the test's, not one of the process")]
fn mark_held(file: &Path) {
    let opened = std::fs::OpenOptions::new().append(true).open(file);
    match opened.and_then(|mut file| file.write_all(b"held\n")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a failpoint cannot say that it holds its step");
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test plays the one who holds the file")]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let set = Failpoints::parse("load.after_commit=error@1; vacuum.after_mark=sleep:0").unwrap();
        assert!(set.hit("load.after_commit").is_ok());
        assert!(set.hit("load.after_commit").is_err());
        assert!(set.hit("vacuum.after_mark").is_ok());
        assert!(set.hit("load.after_segments").is_ok());
        for bad in [
            "load.after_commit",
            "load.after_commit=explode",
            "load.after_commit=hold:",
            "no.such=kill",
            "load.after_commit=kill@x",
        ] {
            assert!(Failpoints::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_step_is_held_until_the_file_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hold");
        std::fs::write(&file, "").unwrap();
        let text = format!("refresh.before_commit=hold:{}@1", file.display());
        let set = std::sync::Arc::new(Failpoints::parse(&text).unwrap());
        set.hit_async("refresh.before_commit").await.unwrap();
        let passed = std::sync::Arc::clone(&set);
        let passed = tokio::spawn(async move { passed.hit_async("refresh.before_commit").await });
        tokio::time::sleep(HOLD_STEP * 4).await;
        assert!(!passed.is_finished());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "held\n");
        std::fs::remove_file(&file).unwrap();
        passed.await.unwrap().unwrap();
        set.hit("refresh.before_commit").unwrap();
    }

    #[test]
    fn names_are_unique() {
        let mut names = FAILPOINTS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAILPOINTS.len());
    }
}
