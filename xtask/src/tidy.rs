//! Small rules over text: no left-over markers, no endless lines, crate documentation, links that resolve.

use std::path::Path;

use crate::tree::{self, File};

/// Widest line, in characters. Wider than the formatter's width: it leaves string literals alone.
const COLUMNS_MAX: usize = 140;

/// Work that was put off belongs in an issue, not in the source. Spelt in two halves so that this file passes.
const MARKERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// The verify step.
pub fn check(root: &Path) -> Result<(), String> {
    let files = tree::files(root, is_checked)?;
    let mut problems: Vec<String> = files.iter().flat_map(in_file).collect();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        problems.extend(broken_links(file, |target| root.join(target).exists()));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn is_checked(path: &str) -> bool {
    let script = path.starts_with("scripts/") || path == ".ci/run";
    script || path.rsplit_once('.').is_some_and(|(_, ending)| matches!(ending, "rs" | "py" | "md" | "sh"))
}

fn in_file(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, index + 1);
        if let Some(marker) = MARKERS.iter().find(|marker| has_word(line, marker)) {
            problems.push(format!("{place}: `{marker}`: do it, or open an issue and say so in the text"));
        }
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !may_be_wide(&file.path, line) {
            problems.push(format!("{place}: {columns} columns, at most {COLUMNS_MAX}"));
        }
    }
    if is_crate_root(&file.path) && !file.text.starts_with("//!") {
        problems.push(format!("{}: a crate's root begins with `//!`: what it is, its invariants", file.path));
    }
    problems
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// Rows of Markdown tables cannot be wrapped.
fn may_be_wide(path: &str, line: &str) -> bool {
    path.ends_with(".md") && line.trim_start().starts_with('|')
}

fn is_crate_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["crates", _, "src", "lib.rs" | "main.rs"] | ["xtask", "src", "main.rs"])
}

/// Links of a Markdown file to files that `exists` (given a path relative to the root) does not know.
fn broken_links(file: &File, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut in_code = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            for target in targets(line) {
                let found = resolve(&file.path, target).is_some_and(|path| exists(&path));
                if !found {
                    problems.push(format!(
                        "{}:{}: the link to `{target}` leads nowhere",
                        file.path,
                        index + 1
                    ));
                }
            }
        }
    }
    problems
}

/// The local targets of the links in one line, `[text](target)` and `[name]: target`, outside inline code.
fn targets(line: &str) -> Vec<&str> {
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    let mut found: Vec<&str> = Vec::new();
    // A link's text may be inline code, so its closing bracket can begin a part.
    for part in prose {
        for rest in part.split("](").skip(1) {
            found.extend(rest.split([')', ' ']).next());
        }
    }
    let definition = line.starts_with('[').then(|| line.split_once("]: ")).flatten();
    found.extend(definition.and_then(|(_, target)| target.split_whitespace().next()));
    found.retain(|target| {
        !target.is_empty()
            && !target.starts_with('#')
            && !target.contains("://")
            && !target.starts_with("mailto:")
    });
    found
}

/// The path relative to the root that a link in `from` means; `None` when it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let path = target.split('#').next().unwrap_or(target);
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = if path.starts_with('/') { vec![] } else { folder.split('/').collect() };
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.retain(|part| !part.is_empty());
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn lines() {
        let wide = "x".repeat(COLUMNS_MAX + 1);
        let marker = MARKERS[0];
        for (path, text, complaints) in [
            ("a.rs", "fn a() {}\n".to_owned(), 0),
            ("a.rs", format!("// {marker}: later\n"), 1),
            ("a.rs", format!("// {marker}LIST is a word of its own\n"), 0),
            ("a.py", wide.clone(), 1),
            ("a.rs", "é".repeat(COLUMNS_MAX), 0),
            ("a.md", format!("| {wide} |"), 0),
            ("a.md", wide, 1),
            ("crates/a/src/lib.rs", "mod b;\n".to_owned(), 1),
            ("crates/a/src/lib.rs", "//! What it is.\n".to_owned(), 0),
            ("crates/a/src/b/lib.rs", "mod b;\n".to_owned(), 0),
        ] {
            let found = in_file(&file(path, &text));
            assert_eq!(found.len(), complaints, "{path} {text}: {found:?}");
        }
    }

    #[test]
    fn links_must_lead_somewhere() {
        let known = ["README.md", "docs/a.md", "crates/x"];
        for (path, text, complaints) in [
            ("README.md", "see [a](docs/a.md) and [x](crates/x/)", 0),
            ("README.md", "[a](docs/a.md#part), [top](#top), [site](https://example.org/none)", 0),
            ("docs/a.md", "[up](../README.md) [abs](/README.md)", 0),
            ("docs/a.md", "[up](../../README.md)", 1),
            ("README.md", "[a](docs/b.md) [`code`](crates/y)", 2),
            ("README.md", "`[a](docs/b.md)`\n```\n[a](docs/b.md)\n```\n", 0),
            ("README.md", "[ref]: docs/b.md\n[ok]: docs/a.md", 1),
        ] {
            let found = broken_links(&file(path, text), |target| known.contains(&target));
            assert_eq!(found.len(), complaints, "{path} {text}: {found:?}");
        }
    }
}
