//! The size ratchet: functions and files over the limits are written down, and may only shrink.
//!
//! `xtask/ratchet.txt` holds one line for each that is over: its size in lines, a space, and its name (the file's path,
//! for a function followed by `::name`, and `#2` when the file has another of that name over the limit).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::scan::{Scan, scan};
use crate::tree::{self, File};

/// Longest function, in lines, that needs no entry.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Longest production part of a file, in lines, that needs no entry.
pub const FILE_LINES_MAX: usize = 700;

const LIST: &str = "xtask/ratchet.txt";
const HEADER: &str = "# Functions and files over the size limits, in lines. Each may shrink, none may grow, none may be added.\n\
                      # Written by `cargo xtask ratchet --update`.\n";

/// Sizes in lines by name.
type Sizes = BTreeMap<String, usize>;

/// The verify step: what is over the limits, against the list.
pub fn check(root: &Path) -> Result<(), String> {
    let problems = compare(&listed(root)?, &measure(root)?);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Prints what is over the limits today.
pub fn show(root: &Path) -> Result<(), String> {
    let found = measure(root)?;
    print!("{}", render(&found));
    println!(
        "{} over the limits ({FUNCTION_LINES_MAX} lines a function, {FILE_LINES_MAX} a file)",
        found.len()
    );
    check(root)
}

/// Rewrites the list: downwards, or to today's sizes with `force`.
pub fn update(root: &Path, force: bool) -> Result<(), String> {
    let (before, found) = (listed(root)?, measure(root)?);
    let after = tighten(&before, &found, force);
    let path = root.join(LIST);
    write_list(&path, &format!("{HEADER}{}", render(&after)))?;
    println!("{LIST}: {} entries before, {} after", before.len(), after.len());
    let problems = compare(&after, &found);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

#[allow(clippy::disallowed_methods, reason = "a developer's tool that rewrites a file of the source tree")]
fn write_list(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn listed(root: &Path) -> Result<Sizes, String> {
    parse(&tree::read(&root.join(LIST))?)
}

fn measure(root: &Path) -> Result<Sizes, String> {
    Ok(oversized(&tree::files(root, is_production)?))
}

fn is_production(path: &str) -> bool {
    let source = path.starts_with("xtask/src/") || (path.starts_with("crates/") && path.contains("/src/"));
    source && path.ends_with(".rs")
}

/// Every function and file over its limit.
fn oversized(files: &[File]) -> Sizes {
    let scans: Vec<(&str, Scan)> = files.iter().map(|file| (file.path.as_str(), scan(&file.text))).collect();
    let tests: BTreeSet<String> = scans.iter().flat_map(|(path, scan)| test_paths(path, scan)).collect();
    let mut sizes = Sizes::new();
    for (path, scan) in &scans {
        if tests.iter().any(|test| is_within(path, test)) {
            continue;
        }
        if scan.production_lines > FILE_LINES_MAX {
            sizes.insert((*path).to_owned(), scan.production_lines);
        }
        for function in scan.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            sizes.insert(unused_name(&sizes, &format!("{path}::{}", function.name)), function.lines);
        }
    }
    sizes
}

fn unused_name(sizes: &Sizes, name: &str) -> String {
    let numbered = (2..).map(|n| format!("{name}#{n}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !sizes.contains_key(name))
        .unwrap_or_default()
}

/// Where the test-only modules of a file lie, without the ending: `dir/name`.
fn test_paths(path: &str, scan: &Scan) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let home =
        if matches!(stem, "lib" | "main" | "mod") { folder.to_owned() } else { format!("{folder}/{stem}") };
    scan.test_modules.iter().map(|module| format!("{home}/{module}")).collect()
}

fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// What is wrong: grown, or over a limit without being listed.
fn compare(listed: &Sizes, found: &Sizes) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, size) in found {
        match listed.get(name) {
            Some(before) if size > before => {
                problems
                    .push(format!("{name} grew from {before} to {size} lines: it may only shrink; split it"));
            }
            None => {
                let limit = if name.contains("::") { FUNCTION_LINES_MAX } else { FILE_LINES_MAX };
                problems.push(format!("{name} has {size} lines, the limit is {limit}: split it by concept"));
            }
            Some(_) => {}
        }
    }
    problems
}

/// The list after an update: never larger, never longer, unless forced.
fn tighten(listed: &Sizes, found: &Sizes, force: bool) -> Sizes {
    if force {
        return found.clone();
    }
    let lower =
        |(name, size): (&String, &usize)| listed.get(name).map(|before| (name.clone(), *before.min(size)));
    found.iter().filter_map(lower).collect()
}

fn parse(text: &str) -> Result<Sizes, String> {
    let mut sizes = Sizes::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry =
            line.split_once(' ').and_then(|(size, name)| Some((size.parse::<usize>().ok()?, name.trim())));
        let Some((size, name)) = entry else {
            return Err(format!("{LIST}, line {}: expected `LINES NAME`, found `{line}`", index + 1));
        };
        sizes.insert(name.to_owned(), size);
    }
    Ok(sizes)
}

fn render(sizes: &Sizes) -> String {
    sizes.iter().map(|(name, size)| format!("{size} {name}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(entries: &[(&str, usize)]) -> Sizes {
        entries.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
    }

    fn file(path: &str, text: String) -> File {
        File { path: path.to_owned(), text }
    }

    fn body(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn only_what_is_over_a_limit_is_found() {
        let files = [
            file("crates/a/src/lib.rs", format!("#[cfg(test)]\nmod cases;\n{}", body(FUNCTION_LINES_MAX))),
            file("crates/a/src/long.rs", body(FUNCTION_LINES_MAX + 1)),
            file("crates/a/src/two.rs", body(80) + &body(90)),
            file("crates/a/src/full.rs", "struct S;\n".repeat(FILE_LINES_MAX + 5)),
            file("crates/a/src/cases.rs", body(500)),
            file("crates/a/src/cases/deep.rs", body(500)),
        ];
        let expected = sizes(&[
            ("crates/a/src/long.rs::f", FUNCTION_LINES_MAX + 1),
            ("crates/a/src/two.rs::f", 80),
            ("crates/a/src/two.rs::f#2", 90),
            ("crates/a/src/full.rs", FILE_LINES_MAX + 5),
        ]);
        assert_eq!(oversized(&files), expected);
    }

    #[test]
    fn a_listed_one_may_shrink_but_not_grow() {
        let listed = sizes(&[("a.rs", 800), ("a.rs::f", 90)]);
        assert_eq!(compare(&listed, &sizes(&[("a.rs", 750)])), Vec::<String>::new());
        let problems = compare(&listed, &sizes(&[("a.rs", 801), ("a.rs::f", 90), ("b.rs::g", 71)]));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("grew from 800 to 801"), "{problems:?}");
        assert!(problems[1].contains("b.rs::g has 71 lines, the limit is 70"), "{problems:?}");
    }

    #[test]
    fn an_update_only_goes_down_unless_forced() {
        let listed = sizes(&[("a.rs", 800), ("b.rs", 900), ("gone.rs", 1000)]);
        let found = sizes(&[("a.rs", 750), ("b.rs", 950), ("new.rs", 701)]);
        assert_eq!(tighten(&listed, &found, false), sizes(&[("a.rs", 750), ("b.rs", 900)]));
        assert_eq!(tighten(&listed, &found, true), found);
    }

    #[test]
    fn the_list_is_read_as_it_is_written() {
        let some = sizes(&[("a.rs", 800), ("a.rs::f#2", 90)]);
        assert_eq!(parse(&format!("{HEADER}{}", render(&some))), Ok(some));
        assert!(parse("eighty a.rs").unwrap_err().contains("line 1"));
    }

    #[test]
    fn production_is_the_source_folders_only() {
        assert!(is_production("crates/sql/src/parse/mod.rs") && is_production("xtask/src/main.rs"));
        assert!(!is_production("crates/sql/tests/all.rs") && !is_production("bench/run.py"));
    }
}
