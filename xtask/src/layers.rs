//! The one table of layers: which crate may use which, and which libraries stay out of the lower layers.
//!
//! An edge that is not in the table fails, also one that would point downwards: a new edge is a decision, made here.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tree;

/// A crate's place: its layer, and the crates of the workspace that it may use.
struct Row {
    name: &'static str,
    layer: u8,
    uses: &'static [&'static str],
}

const fn row(name: &'static str, layer: u8, uses: &'static [&'static str]) -> Row {
    Row { name, layer, uses }
}

/// Layers: 0 pure, 1 environment, 2 core, 3 query, 4 service. Names without `cairn-`, the binary as `cairn`.
const TABLE: &[Row] = &[
    row("types", 0, &[]),
    row("codec", 0, &["types"]),
    row("env", 1, &["types"]),
    row("objects", 1, &["types", "codec", "env"]),
    row("catalog", 2, &["types", "codec"]),
    row("journal", 2, &["types", "codec", "env", "objects", "catalog"]),
    row("ingest", 2, &["types"]),
    row("storage", 2, &["types", "codec", "env", "objects", "catalog", "ingest"]),
    row("snapshot", 2, &["types", "codec", "env", "objects", "catalog", "storage"]),
    row("sql", 3, &["types", "catalog"]),
    row("mview", 3, &["types", "catalog", "sql"]),
    row("exec", 3, &["types", "env", "objects", "catalog", "ingest", "storage", "sql", "mview"]),
    row("mysql", 4, &["types", "env"]),
    row("http", 4, &["types", "env", "ingest"]),
    row(
        "server",
        4,
        &[
            "types", "codec", "env", "objects", "catalog", "journal", "ingest", "storage", "snapshot", "sql",
            "exec", "mview", "mysql", "http",
        ],
    ),
    row(
        "cairn",
        4,
        &["types", "codec", "env", "objects", "catalog", "journal", "storage", "snapshot", "server"],
    ),
];

/// Libraries that layers 0–2 must not see, so that storage and metadata build fast and cannot lean on SQL.
const QUERY_LIBRARIES: [&str; 3] = ["datafusion", "sqlparser", "tonic"];
const QUERY_LAYER: u8 = 3;

/// The part of a `Cargo.toml` that the rules read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Package name, as in `cairn-types`.
    name: String,
    /// Real package names, renames undone; normal, build, target and test dependencies alike.
    dependencies: Vec<String>,
}

/// The verify step: the manifests of the tree against the table.
pub fn check(root: &Path) -> Result<(), String> {
    let problems = problems(&manifests(root)?);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Every way in which the crates differ from the table.
fn problems(manifests: &[Manifest]) -> Vec<String> {
    let rows: BTreeMap<&str, &Row> = TABLE.iter().map(|row| (row.name, row)).collect();
    let mut problems = Vec::new();
    for manifest in manifests {
        let name = short(&manifest.name);
        match rows.get(name) {
            Some(row) => {
                problems.extend(manifest.dependencies.iter().filter_map(|used| edge(&rows, row, used)))
            }
            None => problems
                .push(format!("crate `{name}` is not in the table of xtask/src/layers.rs: give it a layer")),
        }
    }
    let absent =
        TABLE.iter().filter(|row| !manifests.iter().any(|manifest| short(&manifest.name) == row.name));
    problems
        .extend(absent.map(|row| {
            format!("the table names crate `{}`, which does not exist: remove its row", row.name)
        }));
    problems
}

/// What is wrong with one edge, if anything.
fn edge(rows: &BTreeMap<&str, &Row>, from: &Row, used: &str) -> Option<String> {
    let query = QUERY_LIBRARIES.iter().any(|name| used == *name || used.starts_with(&format!("{name}-")));
    if query && from.layer < QUERY_LAYER {
        return Some(format!(
            "`{}` (layer {}) uses {used}, allowed from layer {QUERY_LAYER} up",
            from.name, from.layer
        ));
    }
    if !used.starts_with("cairn") || from.uses.contains(&short(used)) {
        return None;
    }
    let to = short(used);
    match rows.get(to) {
        Some(row) if row.layer > from.layer => Some(format!(
            "`{}` (layer {}) uses `{to}` (layer {}): edges go down only; pass it in, or move the shared part down",
            from.name, from.layer, row.layer
        )),
        _ => Some(format!("`{}` uses `{to}`, an edge that the table does not list", from.name)),
    }
}

fn short(package: &str) -> &str {
    package.strip_prefix("cairn-").unwrap_or(package)
}

fn manifests(root: &Path) -> Result<Vec<Manifest>, String> {
    let renames = renames(&parsed("Cargo.toml", &tree::read(&root.join("Cargo.toml"))?)?);
    let files = tree::files(root, |path| path.starts_with("crates/") && path.ends_with("/Cargo.toml"))?;
    let crates = files.iter().filter(|file| file.path.matches('/').count() == 2);
    crates.map(|file| manifest(&file.path, &file.text, &renames)).collect()
}

fn parsed(path: &str, text: &str) -> Result<toml::Table, String> {
    text.parse::<toml::Table>().map_err(|e| format!("{path} is not valid TOML: {e}"))
}

/// Workspace dependencies whose key is not their package name.
fn renames(workspace: &toml::Table) -> BTreeMap<String, String> {
    let dependencies = workspace.get("workspace").and_then(|table| table.get("dependencies"));
    let entries = dependencies.and_then(toml::Value::as_table).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.get("package")?.as_str()?.to_owned())))
        .collect()
}

fn manifest(path: &str, text: &str, renames: &BTreeMap<String, String>) -> Result<Manifest, String> {
    let table = parsed(path, text)?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.ok_or_else(|| format!("{path} has no package name"))?.to_owned();
    let targets = table.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let mut dependencies = packages(&table, renames);
    for (_, target) in targets {
        dependencies.extend(target.as_table().map(|table| packages(table, renames)).unwrap_or_default());
    }
    Ok(Manifest { name, dependencies })
}

/// The packages named by the dependency sections of a table. Test dependencies obey the same rules: a test that needs a
/// higher layer belongs to that layer.
fn packages(table: &toml::Table, renames: &BTreeMap<String, String>) -> Vec<String> {
    let sections = ["dependencies", "build-dependencies", "dev-dependencies"];
    let entries = sections.iter().filter_map(|section| table.get(*section)?.as_table()).flatten();
    let package = |(key, value): (&String, &toml::Value)| {
        let own = value.get("package").and_then(toml::Value::as_str).map(str::to_owned);
        own.or_else(|| renames.get(key).cloned()).unwrap_or_else(|| key.clone())
    };
    entries.map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole tree in which every crate is there, `name` with the given dependencies.
    fn with(name: &str, dependencies: &[&str]) -> Vec<String> {
        let of = |row: &Row| Manifest {
            name: if row.name == "cairn" { "cairn".to_owned() } else { format!("cairn-{}", row.name) },
            dependencies: if row.name == name {
                dependencies.iter().map(|d| (*d).to_owned()).collect()
            } else {
                vec![]
            },
        };
        problems(&TABLE.iter().map(of).collect::<Vec<_>>())
    }

    #[test]
    fn the_tree_obeys_the_table() {
        assert_eq!(check(&tree::root().unwrap()), Ok(()));
    }

    #[test]
    fn the_table_itself_points_down_only() {
        for row in TABLE {
            for used in row.uses {
                let to = TABLE.iter().find(|row| row.name == *used);
                let to = to.unwrap_or_else(|| panic!("`{}` may use `{used}`, which has no row", row.name));
                assert!(to.layer <= row.layer && to.name != row.name, "`{}` → `{used}`", row.name);
            }
        }
    }

    #[test]
    fn edges() {
        for (name, dependencies, complaint) in [
            ("storage", &["cairn-types", "cairn-objects", "tokio"][..], None),
            ("exec", &["datafusion", "sqlparser"], None),
            ("server", &["tonic", "cairn-exec"], None),
            ("catalog", &["cairn-storage"], Some("an edge that the table does not list")),
            ("objects", &["cairn-catalog"], Some("edges go down only")),
            ("storage", &["cairn-exec"], Some("edges go down only")),
            ("storage", &["datafusion-expr"], Some("allowed from layer 3 up")),
            ("journal", &["tonic"], Some("allowed from layer 3 up")),
            ("types", &["cairn-nowhere"], Some("an edge that the table does not list")),
        ] {
            let found = with(name, dependencies);
            match complaint {
                None => assert_eq!(found, Vec::<String>::new(), "{name} {dependencies:?}"),
                Some(text) => {
                    assert_eq!(found.len(), 1, "{name} {dependencies:?}: {found:?}");
                    assert!(found[0].contains(text), "{name} {dependencies:?}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn crates_and_rows_must_match() {
        let stranger = Manifest { name: "cairn-stranger".to_owned(), dependencies: vec![] };
        let found = problems(&[stranger]);
        assert!(found[0].contains("`stranger` is not in the table"), "{found:?}");
        assert!(found.iter().any(|p| p.contains("the table names crate `types`")), "{found:?}");
    }

    #[test]
    fn every_kind_of_dependency_is_read() {
        let renames = BTreeMap::from([("parser".to_owned(), "sqlparser".to_owned())]);
        let text = "[package]\nname = \"cairn-x\"\n[dependencies]\na.workspace = true\nparser = { workspace = true }\n\
                    [dev-dependencies]\nb = { package = \"real-b\", version = \"1\" }\n[build-dependencies]\nc = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\nd = \"1\"\n";
        let mut found = manifest("x/Cargo.toml", text, &renames).unwrap().dependencies;
        found.sort();
        assert_eq!(found, ["a", "c", "d", "real-b", "sqlparser"]);
        assert!(manifest("x/Cargo.toml", "[package", &renames).unwrap_err().contains("x/Cargo.toml"));
        assert!(
            manifest("x/Cargo.toml", "[dependencies]", &renames).unwrap_err().contains("no package name")
        );
    }
}
