//! `verify` and `fix`: the steps in their order, each named and timed, the first failure ends the run.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{layers, ratchet, tidy};

/// One check. The cheap ones come first, so that a slip is told in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Fmt,
    Layers,
    Ratchet,
    Tidy,
    Clippy,
    Docs,
    Tests,
}

const STEPS: [Step; 7] =
    [Step::Fmt, Step::Layers, Step::Ratchet, Step::Tidy, Step::Clippy, Step::Docs, Step::Tests];

impl Step {
    /// The step of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        STEPS.into_iter().find(|step| step.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Layers => "layers",
            Self::Ratchet => "ratchet",
            Self::Tidy => "tidy",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Tests => "tests",
        }
    }

    fn run(self, root: &Path) -> Result<(), String> {
        match self {
            Self::Fmt => cargo(root, &["fmt", "--all", "--check", "--", "-l"], &[])
                .map_err(|e| format!("{e}\n`cargo xtask fix` formats the tree")),
            Self::Layers => layers::check(root),
            Self::Ratchet => ratchet::check(root),
            Self::Tidy => tidy::check(root),
            Self::Clippy => cargo(
                root,
                &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
                &[],
            ),
            Self::Docs => cargo(
                root,
                &["doc", "--quiet", "--no-deps", "--workspace", "--document-private-items"],
                // Private items are documented too, so links to them lead somewhere.
                &[("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links")],
            ),
            Self::Tests => tests(root),
        }
    }
}

/// Runs the steps (all of them when `only` is empty) and prints one line for each.
///
/// # Errors
/// The first step that fails, with what it found.
pub fn verify(root: &Path, skip_tests: bool, only: &[Step]) -> Result<(), String> {
    let chosen = chosen(skip_tests, only);
    let mut total = Duration::ZERO;
    for step in &chosen {
        let (outcome, took) = timed(|| step.run(root));
        total += took;
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{:<8} {word:<6} {:>7.1} s", step.name(), took.as_secs_f64());
        outcome.map_err(|message| summary(*step, &chosen, &message))?;
    }
    println!("verify: {} steps passed in {:.1} s", chosen.len(), total.as_secs_f64());
    Ok(())
}

/// Formats, and lets clippy repair what it can.
pub fn fix(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all"], &[])?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"];
    cargo(root, &clippy, &[])?;
    cargo(root, &["fmt", "--all"], &[])
}

fn chosen(skip_tests: bool, only: &[Step]) -> Vec<Step> {
    let wanted = |step: &Step| only.is_empty() || only.contains(step);
    STEPS.into_iter().filter(wanted).filter(|step| !(skip_tests && *step == Step::Tests)).collect()
}

fn summary(failed: Step, chosen: &[Step], message: &str) -> String {
    let later: Vec<&str> =
        chosen.iter().skip_while(|step| **step != failed).skip(1).map(|step| step.name()).collect();
    let rest = if later.is_empty() { String::new() } else { format!("; not run: {}", later.join(", ")) };
    let name = failed.name();
    format!("\n{message}\n\nverify failed in step `{name}` (again: cargo xtask verify --only {name}){rest}")
}

fn tests(root: &Path) -> Result<(), String> {
    let there = Command::new("cargo").args(["nextest", "--version"]).current_dir(root).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err("the tests run by cargo-nextest, which is not installed: run scripts/test-setup, or leave the tests \
                    out with --skip-tests"
            .to_owned());
    }
    cargo(root, &["nextest", "run", "--workspace"], &[])
}

fn cargo(root: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    let shown = format!("cargo {}", arguments.join(" "));
    let mut command = Command::new("cargo");
    command.args(arguments).envs(variables.iter().copied()).current_dir(root);
    std::env::vars_os().map(|(name, _)| name).filter(|name| is_of_cargo_run(name)).for_each(|name| {
        command.env_remove(name);
    });
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}; its output stands above")),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

/// Whether `cargo run` told us this about ourselves. Build scripts watch such variables (that of `ring` does): a cargo that
/// inherits them compiles ring anew, and all that stands on it, DataFusion included, and so does the next one without them.
fn is_of_cargo_run(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a developer's tool measures real time; nothing here is simulated"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_in_their_order() {
        assert_eq!(chosen(false, &[]), STEPS);
        assert_eq!(chosen(true, &[]).last(), Some(&Step::Docs));
        assert_eq!(chosen(false, &[Step::Clippy, Step::Fmt]), [Step::Fmt, Step::Clippy]);
    }

    #[test]
    fn a_failure_says_what_was_not_run_and_how_to_repeat_it() {
        let text = summary(Step::Clippy, &chosen(true, &[]), "why");
        assert!(
            text.contains("step `clippy`")
                && text.contains("--only clippy")
                && text.ends_with("not run: docs"),
            "{text}"
        );
    }

    #[test]
    fn what_a_build_is_to_know_is_passed_on() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "OUT_DIR"] {
            assert!(is_of_cargo_run(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "RUSTFLAGS", "PATH"] {
            assert!(!is_of_cargo_run(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn every_step_is_found_by_its_name() {
        for step in STEPS {
            assert_eq!(Step::by_name(step.name()), Some(step));
        }
        assert_eq!(Step::by_name("lint"), None);
    }
}
