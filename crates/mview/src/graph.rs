//! Which MVs read which tables, directly and through other MVs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cairn_catalog::{Catalog, Mview};
use cairn_types::TableId;

use crate::bound::visible;

/// The MVs that read `table` (a table, a view or an MV), directly and through other MVs: bottom-up, each once.
#[must_use]
pub fn dependents(catalog: &Catalog, table: TableId) -> Vec<TableId> {
    let graph = Graph::new(catalog);
    let above = graph.above(table);
    graph.bottom_up(above)
}

/// The MVs that read `table` and no other MV in between, ascending.
#[must_use]
pub fn direct_dependents(catalog: &Catalog, table: TableId) -> Vec<TableId> {
    Graph::new(catalog).readers.remove(&table).unwrap_or_default()
}

/// `ids` in an order in which each comes after all that it reads, through others too; equals by id. What is no MV counts
/// as reading nothing.
#[must_use]
pub fn order(catalog: &Catalog, ids: &[TableId]) -> Vec<TableId> {
    Graph::new(catalog).bottom_up(ids.iter().copied().collect())
}

/// What `REFRESH … CASCADE` refreshes: `mview` and all MVs above it, bottom-up.
#[must_use]
pub fn closure_above(catalog: &Catalog, mview: TableId) -> Vec<TableId> {
    let graph = Graph::new(catalog);
    let mut ids = graph.above(mview);
    ids.insert(mview);
    graph.bottom_up(ids)
}

/// Whether `mview` would read itself, directly or through other MVs, if it read `bases`.
#[must_use]
pub fn would_cycle(catalog: &Catalog, mview: TableId, bases: &[TableId]) -> bool {
    let above = Graph::new(catalog).above(mview);
    bases.iter().any(|base| *base == mview || above.contains(base))
}

/// The visible MVs, made once for each question.
struct Graph {
    /// What each MV reads, views too.
    reads: BTreeMap<TableId, Vec<TableId>>,
    /// The MVs that read a table, a view or an MV.
    readers: BTreeMap<TableId, Vec<TableId>>,
}

impl Graph {
    fn new(catalog: &Catalog) -> Self {
        let mviews = catalog.tables().filter_map(|table| Some((table.id, table.mview()?)));
        let mviews = mviews.filter(|(id, _)| visible(catalog, *id).is_some());
        let reads: BTreeMap<_, _> = mviews.map(|(id, mview)| (id, read_by(mview))).collect();
        let mut readers: BTreeMap<TableId, Vec<TableId>> = BTreeMap::new();
        for (mview, bases) in &reads {
            for base in bases {
                readers.entry(*base).or_default().push(*mview);
            }
        }
        Self { reads, readers }
    }

    /// All MVs that read `table`; itself only if there is a circle.
    fn above(&self, table: TableId) -> BTreeSet<TableId> {
        let mut found = BTreeSet::new();
        let mut open = vec![table];
        while let Some(id) = open.pop() {
            for reader in self.readers.get(&id).into_iter().flatten() {
                if found.insert(*reader) {
                    open.push(*reader);
                }
            }
        }
        found
    }

    fn bottom_up(&self, ids: BTreeSet<TableId>) -> Vec<TableId> {
        let heights = heights(&self.reads);
        let mut ordered: Vec<_> = ids.into_iter().collect();
        ordered.sort_by_key(|id| (heights.get(id).copied().unwrap_or(0), *id));
        ordered
    }
}

fn read_by(mview: &Mview) -> Vec<TableId> {
    let definition = &mview.definition;
    let ids: BTreeSet<_> = definition.bases.iter().chain(&definition.views).map(|base| base.id).collect();
    ids.into_iter().collect()
}

/// For each key of `reads` one more than the greatest height of what it reads; what is no key has height 0. Keys in or
/// above a circle stand above all others.
pub(crate) fn heights(reads: &BTreeMap<TableId, Vec<TableId>>) -> BTreeMap<TableId, usize> {
    let mut waiting: BTreeMap<TableId, usize> = BTreeMap::new();
    let mut readers: BTreeMap<TableId, Vec<TableId>> = BTreeMap::new();
    for (id, bases) in reads {
        let known: Vec<_> = bases.iter().filter(|base| reads.contains_key(base)).collect();
        waiting.insert(*id, known.len());
        for base in known {
            readers.entry(*base).or_default().push(*id);
        }
    }
    let mut heights: BTreeMap<TableId, usize> = BTreeMap::new();
    let mut ready: VecDeque<_> = waiting.iter().filter(|(_, n)| **n == 0).map(|(id, _)| (*id, 1)).collect();
    while let Some((id, height)) = ready.pop_front() {
        heights.insert(id, height);
        for reader in readers.get(&id).into_iter().flatten() {
            // The last base that a reader waits for is (one of) the highest, because heights are given out ascending.
            let left = waiting.entry(*reader).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                ready.push_back((*reader, height + 1));
            }
        }
    }
    for id in reads.keys() {
        heights.entry(*id).or_insert(usize::MAX);
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use cairn_catalog::Partitioning;

    /// `t` below `m1` and `m2`, both below `m3`, which is below `m4`; `m5` reads `t` and `m4`; `m0` reads `u`.
    fn world() -> World {
        let mut world = World::new();
        world.plain("t");
        world.plain("u");
        for (name, bases) in [
            ("m1", &["t"][..]),
            ("m2", &["t"]),
            ("m3", &["m2", "m1"]),
            ("m4", &["m3"]),
            ("m5", &["t", "m4"]),
            ("m0", &["u"]),
        ] {
            world.mview(name, &[cairn_types::SqlType::Int], Partitioning::None, bases);
        }
        world
    }

    fn check(found: impl Fn(&Catalog, &World) -> Vec<TableId>, expected: &[&str]) {
        let world = world();
        let catalog = world.catalog();
        let names: Vec<_> =
            found(&catalog, &world).iter().map(|id| catalog.table(*id).unwrap().name.clone()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn what_reads_a_table() {
        check(|c, w| dependents(c, w.id_of("t")), &["m1", "m2", "m3", "m4", "m5"]);
        check(|c, w| dependents(c, w.id_of("m3")), &["m4", "m5"]);
        check(|c, w| dependents(c, w.id_of("m0")), &[]);
        check(|c, w| direct_dependents(c, w.id_of("t")), &["m1", "m2", "m5"]);
        check(|c, w| closure_above(c, w.id_of("m3")), &["m3", "m4", "m5"]);
    }

    #[test]
    fn bottom_up() {
        let ids = |w: &World, names: &[&str]| names.iter().map(|n| w.id_of(n)).collect::<Vec<_>>();
        check(|c, w| order(c, &ids(w, &["m5", "m1", "m3", "m0"])), &["m1", "m0", "m3", "m5"]);
        check(|c, w| order(c, &ids(w, &["m4", "t"])), &["t", "m4"]);
    }

    #[test]
    fn circles_are_seen() {
        let world = world();
        let catalog = world.catalog();
        let check = |mview: &str, base: &str, expected| {
            assert_eq!(
                would_cycle(&catalog, world.id_of(mview), &[world.id_of(base)]),
                expected,
                "{mview} on {base}"
            );
        };
        check("m1", "m5", true);
        check("m1", "m1", true);
        check("m1", "m0", false);
        check("m5", "m1", false);
        let (a, b, c) = (TableId(1), TableId(2), TableId(3));
        let circle = BTreeMap::from([(a, vec![b]), (b, vec![a]), (c, vec![])]);
        assert_eq!(heights(&circle), BTreeMap::from([(a, usize::MAX), (b, usize::MAX), (c, 1)]));
    }
}
