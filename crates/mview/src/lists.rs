//! Cells that are lists of values.

use std::collections::BTreeMap;

use cairn_catalog::Bounds;
use cairn_types::{Error, Literal, Result};

use crate::bound::Bound;
use crate::map::maps;
use crate::plan::Wanted;
use crate::ranges::mirrored;
use crate::source::{Source, group};

type Key = Vec<Literal>;

/// One cell for each combination of values.
pub(crate) fn one_a_key<'a>(bound: &Bound<'a>) -> Result<Vec<Wanted<'a>>> {
    let cells = keys(bound)?.into_iter().map(|(key, sources)| cell(bound, vec![key], sources));
    Ok(cells.collect())
}

/// One cell for all the values that come from the same partitions: with one base, the base's own lists.
pub(crate) fn by_sources<'a>(bound: &Bound<'a>) -> Result<Vec<Wanted<'a>>> {
    let mut cells: BTreeMap<Vec<_>, (Vec<Key>, Vec<Source<'a>>)> = BTreeMap::new();
    for (key, sources) in keys(bound)? {
        let from = sources.iter().map(Source::key).collect();
        cells.entry(from).or_insert_with(|| (Vec::new(), sources)).0.push(key);
    }
    let mut cells: Vec<_> = cells.into_values().collect();
    cells.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(cells.into_iter().map(|(keys, sources)| cell(bound, keys, sources)).collect())
}

fn cell<'a>(bound: &Bound<'a>, keys: Vec<Key>, sources: Vec<Source<'a>>) -> Wanted<'a> {
    let same = |list: &Bounds| match (list, keys.first()) {
        (Bounds::List { keys: list }, Some(key)) => {
            list.len() == keys.len() && list.first().is_some_and(|k| k.len() == key.len())
        }
        _ => false,
    };
    let mirrored = mirrored(bound, &sources).filter(|p| same(&p.bounds)).map(|p| p.name.as_str());
    Wanted { bounds: Bounds::List { keys }, sources, mirrored, slicer: None }
}

/// The combinations that the linked bases have partitions for, and these partitions.
fn keys<'a>(bound: &Bound<'a>) -> Result<Vec<(Key, Vec<Source<'a>>)>> {
    let mut found = Vec::new();
    for (position, base) in bound.bases.iter().enumerate() {
        let Some(link) = base.link else { continue };
        let maps = maps(bound, base, link)?;
        for partition in &base.partitions {
            let what = || format!("partition {} of {}", partition.name, base.name);
            let Bounds::List { keys } = &partition.bounds else {
                return Err(Error::analysis(format!(
                    "{} is no list of values, and the materialized view is partitioned by values",
                    what()
                )));
            };
            for key in keys {
                let project = |at: usize| key.get(at).unwrap_or(&Literal::Null);
                let key: Result<Key> = maps.iter().map(|map| map.key(project(map.from))).collect();
                let key = key.map_err(|e| e.context(what()))?;
                found.push((key, Source { base: position, partition }));
            }
        }
    }
    Ok(group(found))
}
