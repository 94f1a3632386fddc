//! `cargo xtask`: the one place that knows how this repository is checked.
//!
//! **Invariants**: `verify` never writes to the source tree; every rule is a pure function over text or parsed
//! manifests, tested beside it; a rule that cannot be checked (a tool is missing, a file is unreadable) fails.
//!
//! **Deliberately absent**: installing tools (`scripts/test-setup` does it) and releasing.

mod blank;
mod layers;
mod ratchet;
mod scan;
mod tidy;
mod tree;
mod verify;

use std::process::ExitCode;

use verify::Step;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  verify [--skip-tests] [--only STEP]...   check everything, write nothing (steps: fmt, layers, ratchet, tidy,
                                           clippy, docs, tests)
  fix                                      format, and apply what clippy can repair by itself
  ratchet [--update [--force]]             show functions and files over the size limits; --update lowers
                                           xtask/ratchet.txt to today's sizes, --force also lets it grow";

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Verify { skip_tests: bool, only: Vec<Step> },
    Fix,
    Ratchet { update: bool, force: bool },
    Help,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = parse(&arguments).and_then(|request| run(&request));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: &Request) -> Result<(), String> {
    let root = tree::root()?;
    match request {
        Request::Verify { skip_tests, only } => verify::verify(&root, *skip_tests, only),
        Request::Fix => verify::fix(&root),
        Request::Ratchet { update: false, .. } => ratchet::show(&root),
        Request::Ratchet { update: true, force } => ratchet::update(&root, *force),
        Request::Help => {
            println!("{USAGE}");
            Ok(())
        }
    }
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut words = arguments.iter().map(String::as_str);
    match words.next() {
        None | Some("help" | "--help" | "-h") => Ok(Request::Help),
        Some("verify") => parse_verify(words),
        Some("fix") => match words.next() {
            None => Ok(Request::Fix),
            Some(word) => Err(unknown(word, "fix")),
        },
        Some("ratchet") => parse_ratchet(words),
        Some(word) => Err(format!("xtask has no command `{word}`\n\n{USAGE}")),
    }
}

fn parse_verify<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Request, String> {
    let (mut skip_tests, mut only) = (false, Vec::new());
    while let Some(word) = words.next() {
        match word {
            "--skip-tests" => skip_tests = true,
            "--only" => {
                let name =
                    words.next().ok_or_else(|| format!("--only needs the name of a step\n\n{USAGE}"))?;
                only.push(
                    Step::by_name(name).ok_or_else(|| format!("verify has no step `{name}`\n\n{USAGE}"))?,
                );
            }
            _ => return Err(unknown(word, "verify")),
        }
    }
    if skip_tests && only.contains(&Step::Tests) {
        return Err("--skip-tests and --only tests contradict each other: give one of them".to_owned());
    }
    Ok(Request::Verify { skip_tests, only })
}

fn parse_ratchet<'a>(words: impl Iterator<Item = &'a str>) -> Result<Request, String> {
    let (mut update, mut force) = (false, false);
    for word in words {
        match word {
            "--update" => update = true,
            "--force" => force = true,
            _ => return Err(unknown(word, "ratchet")),
        }
    }
    if force && !update {
        return Err("--force only means something together with --update".to_owned());
    }
    Ok(Request::Ratchet { update, force })
}

fn unknown(word: &str, command: &str) -> String {
    format!("`xtask {command}` does not know `{word}`\n\n{USAGE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<Request, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines_are_understood() {
        assert_eq!(request("verify"), Ok(Request::Verify { skip_tests: false, only: vec![] }));
        assert_eq!(request("verify --skip-tests"), Ok(Request::Verify { skip_tests: true, only: vec![] }));
        assert_eq!(
            request("verify --only layers --only tidy"),
            Ok(Request::Verify { skip_tests: false, only: vec![Step::Layers, Step::Tidy] })
        );
        assert_eq!(request("ratchet"), Ok(Request::Ratchet { update: false, force: false }));
        assert_eq!(request("ratchet --update --force"), Ok(Request::Ratchet { update: true, force: true }));
        assert_eq!(request("fix"), Ok(Request::Fix));
        assert_eq!(request(""), Ok(Request::Help));
    }

    #[test]
    fn wrong_command_lines_name_the_wrong_word() {
        for (line, word) in [
            ("verfy", "verfy"),
            ("verify --fast", "--fast"),
            ("verify --only", "--only"),
            ("verify --only lint", "lint"),
            ("verify --skip-tests --only tests", "contradict"),
            ("fix now", "now"),
            ("ratchet --force", "--update"),
        ] {
            let message = request(line).unwrap_err();
            assert!(message.contains(word), "`{line}` gave: {message}");
        }
    }
}
