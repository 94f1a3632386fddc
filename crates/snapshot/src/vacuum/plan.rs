//! The vacuum's decisions: pure functions of what the catalogs reach, what lies in a folder, and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_catalog::{Catalog, ManifestRef};
use cairn_objects::{FileName, PartitionFolder};
use cairn_types::PartitionId;

use crate::reach::folder_of;
use crate::usage::HolderName;

/// Everything that can hold a file, read in this order, so that nothing slips through between the looks: a write is open
/// until its commit is in the catalog, and a query registers its catalog before it can be replaced.
pub struct Holds {
    pub open_writes: BTreeSet<String>,
    pub catalog: Arc<Catalog>,
    /// The catalogs of running queries.
    pub held: Vec<Arc<Catalog>>,
}

/// What a partition's folder is to the catalogs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// These manifests are reached, each by these holders. None: no catalog knows the partition, or none reaches its data.
    Manifests(BTreeMap<String, (ManifestRef, BTreeSet<HolderName>)>),
    /// The partition is known, but lies elsewhere: nothing is understood here, so nothing is deleted.
    Contradiction,
}

/// The manifests that some retained state reaches in `folder`.
#[must_use]
pub fn wanted(holds: &Holds, folder: &PartitionFolder) -> Wanted {
    let mut manifests: BTreeMap<String, (ManifestRef, BTreeSet<HolderName>)> = BTreeMap::new();
    let mut add = |catalog: &Catalog, partition: PartitionId, query: bool| {
        let Some(partition) = catalog.partition(partition) else { return true };
        if folder_of(catalog, partition) != *folder {
            return false;
        }
        for (version, holders) in catalog.holders(partition) {
            let manifest = &version.manifest;
            let (_, by) =
                manifests.entry(manifest.name.clone()).or_insert_with(|| (manifest.clone(), BTreeSet::new()));
            match query {
                true => drop(by.insert(HolderName::RunningQuery)),
                false => by.extend(holders.into_iter().map(HolderName::from)),
            }
        }
        true
    };
    let mut fits = add(&holds.catalog, folder.partition, false);
    for held in &holds.held {
        fits &= add(held, folder.partition, true);
    }
    if fits { Wanted::Manifests(manifests) } else { Wanted::Contradiction }
}

/// The files that are reached in a folder, each by whom; `None`: that could not be found out.
pub type Reachable = Option<BTreeMap<String, BTreeSet<HolderName>>>;

/// What is to become of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// These reach it.
    Live(BTreeSet<HolderName>),
    /// Its write is under way.
    Open,
    /// It is not a name that Cairn gives.
    Unknown,
    /// What the folder holds could not be found out.
    Kept,
    /// Nothing reaches it since then; it waits.
    Marked { since_ms: u64 },
    /// Nothing reached it for the whole grace period.
    Delete { since_ms: u64 },
}

/// Decides about one file. `marked_ms` is when it was first seen that nothing reaches it.
#[must_use]
pub fn judge(
    file: &str,
    reachable: &Reachable,
    open_writes: &BTreeSet<String>,
    marked_ms: Option<u64>,
    now_ms: u64,
    grace_ms: u64,
) -> Verdict {
    if let Some(holders) = reachable.as_ref().and_then(|files| files.get(file)) {
        return Verdict::Live(holders.clone());
    }
    let Some(name) = FileName::parse(file) else { return Verdict::Unknown };
    if open_writes.contains(name.write()) {
        return Verdict::Open;
    }
    if reachable.is_none() {
        return Verdict::Kept;
    }
    let since_ms = marked_ms.unwrap_or(now_ms);
    // A clock that went back makes a file wait longer, never shorter.
    match now_ms.checked_sub(since_ms) {
        Some(waited) if waited >= grace_ms => Verdict::Delete { since_ms },
        _ => Verdict::Marked { since_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_judged() {
        let by = BTreeSet::from([HolderName::Visible]);
        let known: Reachable = Some(BTreeMap::from([
            ("a-0-0.parquet".to_owned(), by.clone()),
            ("odd name".to_owned(), by.clone()),
        ]));
        let open = BTreeSet::from(["b".to_owned()]);
        let live = Verdict::Live(by);
        let check = |file: &str, reachable: &Reachable, marked_ms: Option<u64>, expected: Verdict| {
            assert_eq!(judge(file, reachable, &open, marked_ms, 100, 30), expected, "{file} {marked_ms:?}");
        };
        check("a-0-0.parquet", &known, Some(0), live.clone());
        check("odd name", &known, Some(0), live);
        check("b-0-0.parquet", &known, Some(0), Verdict::Open);
        check("b.manifest", &None, Some(0), Verdict::Open);
        check("b-0-0.parquet.tmp-1", &known, Some(0), Verdict::Open);
        check("foreign.txt", &known, Some(0), Verdict::Unknown);
        check("c.manifest", &None, Some(0), Verdict::Kept);
        check("c.manifest", &known, None, Verdict::Marked { since_ms: 100 });
        check("c.manifest", &known, Some(71), Verdict::Marked { since_ms: 71 });
        check("c.manifest", &known, Some(70), Verdict::Delete { since_ms: 70 });
        check("c.manifest", &known, Some(101), Verdict::Marked { since_ms: 101 });
        check("a-1-0.parquet", &known, Some(0), Verdict::Delete { since_ms: 0 });
    }

    #[test]
    fn without_grace_what_nothing_reaches_goes_at_once() {
        let nothing = Some(BTreeMap::new());
        let verdict = judge("c.manifest", &nothing, &BTreeSet::new(), None, 100, 0);
        assert_eq!(verdict, Verdict::Delete { since_ms: 100 });
    }
}
