//! Base partitions as what cells are made from.

use cairn_catalog::Partition;
use cairn_types::PartitionId;

/// A visible partition of the base at this position of the definition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub base: usize,
    pub partition: &'a Partition,
}

impl Source<'_> {
    pub(crate) fn key(&self) -> (usize, PartitionId) {
        (self.base, self.partition.id)
    }
}

/// Gathers pairs by key: keys ascend, and so do the sources of each, every one once.
pub(crate) fn group<'a, K: Ord>(mut pairs: Vec<(K, Source<'a>)>) -> Vec<(K, Vec<Source<'a>>)> {
    pairs.sort_by(|(k1, s1), (k2, s2)| k1.cmp(k2).then_with(|| s1.key().cmp(&s2.key())));
    let mut groups: Vec<(K, Vec<Source<'a>>)> = Vec::new();
    for (key, source) in pairs {
        match groups.last_mut().filter(|(last, _)| *last == key) {
            None => groups.push((key, vec![source])),
            Some((_, sources)) if sources.last().is_some_and(|last| last.key() == source.key()) => {}
            Some((_, sources)) => sources.push(source),
        }
    }
    groups
}
