//! Cells that are ranges: slices of time, or the base's ranges cut at each other's bounds.

use cairn_catalog::{Bounds, Partitioning};
use cairn_types::{Error, Literal, Result, SqlType};

use crate::bound::{Bound, BoundBase};
use crate::map::{ColumnMap, maps};
use crate::plan::Wanted;
use crate::source::{Source, group};
use crate::time::{BEFORE_ALL, Round, Slicer, literal, micros};

/// Slices or cuts that one base partition may be made into.
pub(crate) const SLICES_MAX: usize = 10_000;

/// A base partition's range among the MV's values: `lower <= v < upper`.
struct Piece<'a, V> {
    lower: Option<V>,
    upper: Option<V>,
    source: Source<'a>,
}

/// The cells of an MV that is `RANGE (…)`: between any two bounds next to each other.
pub(crate) fn cut<'a>(bound: &Bound<'a>) -> Result<Vec<Wanted<'a>>> {
    let pieces = pieces(bound, |key| key.collect::<Result<Vec<_>>>())?;
    let mut points: Vec<_> = pieces.iter().flat_map(|p| [&p.lower, &p.upper]).flatten().collect();
    points.sort();
    points.dedup();
    let mut found = Vec::new();
    for piece in &pieces {
        // Interval i lies between points i - 1 and i; the first and the last have one bound.
        let place = |at: &Vec<Literal>| points.partition_point(|p| *p < at);
        let from = piece.lower.as_ref().map_or(0, |at| place(at) + 1);
        let until = piece.upper.as_ref().map_or(points.len(), place);
        if until + 1 > from + SLICES_MAX {
            return Err(too_many(bound, &piece.source));
        }
        found.extend((from..=until).map(|interval| (interval, piece.source)));
    }
    let point = |at: Option<usize>| at.and_then(|at| points.get(at)).map(|p| Vec::clone(p));
    let cell = |(at, sources): (usize, Vec<Source<'a>>)| {
        let bounds = Bounds::Range { lower: point(at.checked_sub(1)), upper: point(Some(at)) };
        let mirrored = mirrored(bound, &sources).filter(|p| p.bounds == bounds).map(|p| p.name.as_str());
        Wanted { bounds, sources, mirrored, slicer: floor_of(bound) }
    };
    Ok(group(found).into_iter().map(cell).collect())
}

/// The base partition that a cell of these sources would be the same as.
pub(crate) fn mirrored<'a>(
    bound: &Bound<'a>,
    sources: &[Source<'a>],
) -> Option<&'a cairn_catalog::Partition> {
    match (bound.mview.definition.links.as_slice(), sources) {
        ([link], [source]) if link.columns.iter().all(|c| c.transform == cairn_catalog::Transform::Same) => {
            Some(source.partition)
        }
        _ => None,
    }
}

fn floor_of(bound: &Bound<'_>) -> Option<Slicer> {
    let links = bound.mview.definition.links.iter().flat_map(|link| &link.columns);
    let mut floors = links.filter_map(|column| match column.transform {
        cairn_catalog::Transform::Floor { unit, step } => Some(Slicer { unit, step }),
        _ => None,
    });
    floors.next()
}

/// The cells of an MV whose partitions are slices of time. What has no lower or no upper bound cannot be sliced to its
/// end: below the lowest slice there is one cell (two when NULL has a partition of its own), above the highest
/// another.
pub(crate) fn slice<'a>(bound: &Bound<'a>, slicer: Slicer, ty: SqlType) -> Result<Vec<Wanted<'a>>> {
    let times = pieces(bound, |key| key.next().map_or(Ok(BEFORE_ALL), |value| micros(&value?)))?;
    let edges = Edges::of(&times, slicer)?;
    let mut found = Vec::new();
    for piece in &times {
        if !edges.cover(piece, slicer, &mut found)? {
            return Err(too_many(bound, &piece.source));
        }
    }
    let mut wanted = Vec::new();
    for ((lower, upper), sources) in group(found) {
        let column = |at: Option<i64>| at.map(|at| exact(at, ty).map(|v| vec![v])).transpose();
        let bounds = Bounds::Range { lower: column(lower)?, upper: column(upper)? };
        wanted.push(Wanted { bounds, sources, mirrored: None, slicer: Some(slicer) });
    }
    Ok(wanted)
}

fn exact(micros: i64, ty: SqlType) -> Result<Literal> {
    let down = literal(micros, ty, Round::Down)?;
    match down == literal(micros, ty, Round::Up)? {
        true => Ok(down),
        false => Err(Error::analysis("a DATE column cannot be cut into slices of less than a day")),
    }
}

fn too_many(bound: &Bound<'_>, source: &Source<'_>) -> Error {
    let base = bound.bases.get(source.base).map_or("?", |base| &base.name.name);
    Error::analysis(format!(
        "partition {} of {base} would be made into more than {SLICES_MAX} partitions: use a coarser PARTITION BY",
        source.partition.name
    ))
}

/// Where slices begin and end. Times below, where only unbounded pieces are, are one cell, and so are those above.
struct Edges {
    /// Whether NULL is apart from what is unbounded below.
    nulls: bool,
    first: Option<i64>,
    last: Option<i64>,
}

type Interval = (Option<i64>, Option<i64>);

impl Edges {
    fn of(pieces: &[Piece<'_, i64>], slicer: Slicer) -> Result<Self> {
        let bounds = || pieces.iter().flat_map(|p| [p.lower, p.upper]).flatten();
        let times = || bounds().filter(|at| *at != BEFORE_ALL);
        Ok(Self {
            nulls: bounds().any(|at| at == BEFORE_ALL),
            first: times().min().map(|at| slicer.floor(at)).transpose()?,
            last: times().max().map(|at| slicer.ceil(at)).transpose()?,
        })
    }

    /// Adds the intervals that `piece` has a part in; `false` when there are too many.
    fn cover<'a>(
        &self,
        piece: &Piece<'a, i64>,
        slicer: Slicer,
        found: &mut Vec<(Interval, Source<'a>)>,
    ) -> Result<bool> {
        let mut add = |interval| found.push((interval, piece.source));
        if piece.lower.is_none() && self.nulls {
            add((None, Some(BEFORE_ALL)));
        }
        if piece.upper == Some(BEFORE_ALL) {
            return Ok(true);
        }
        let below = piece.lower.is_none_or(|lower| lower == BEFORE_ALL);
        if below {
            add((self.nulls.then_some(BEFORE_ALL), self.first));
        }
        let (Some(first), Some(last)) = (self.first, self.last) else { return Ok(true) };
        let mut at = match piece.lower.filter(|_| !below) {
            Some(lower) => slicer.floor(lower)?,
            None => first,
        };
        let until = piece.upper.unwrap_or(last);
        let mut slices = 0;
        while at < until {
            let next = slicer.next(at)?;
            add((Some(at), Some(next)));
            at = next;
            slices += 1;
            if slices > SLICES_MAX {
                return Ok(false);
            }
        }
        if piece.upper.is_none() {
            add((Some(last), None));
        }
        Ok(true)
    }
}

/// The values of a key, column by column.
type Values<'v> = &'v mut dyn Iterator<Item = Result<Literal>>;

/// What the partitions of all linked bases are among the MV's values; `make` makes a bound of its values.
fn pieces<'a, V>(bound: &Bound<'a>, make: fn(Values<'_>) -> Result<V>) -> Result<Vec<Piece<'a, V>>> {
    let mut pieces = Vec::new();
    for (position, base) in bound.bases.iter().enumerate() {
        let Some(link) = base.link else { continue };
        let maps = maps(bound, base, link)?;
        check_columns(base, &maps)?;
        for partition in &base.partitions {
            let source = Source { base: position, partition };
            add_pieces(source, &maps, make, &mut pieces)
                .map_err(|e| e.context(format_args!("partition {} of {}", partition.name, base.name)))?;
        }
    }
    Ok(pieces)
}

fn add_pieces<'a, V>(
    source: Source<'a>,
    maps: &[ColumnMap<'_>],
    make: fn(Values<'_>) -> Result<V>,
    pieces: &mut Vec<Piece<'a, V>>,
) -> Result<()> {
    let one = |value: Option<Literal>| value.map(|v| make(&mut std::iter::once(Ok(v)))).transpose();
    match &source.partition.bounds {
        Bounds::All => return Err(Error::analysis("it holds all rows, so no partition follows from it")),
        Bounds::Range { lower, upper } => {
            let mapped = |key: &Vec<Literal>, map: fn(&ColumnMap<'_>, &Literal) -> Result<Literal>| {
                make(&mut key.iter().zip(maps).map(|(value, column)| map(column, value)))
            };
            let lower = lower.as_ref().map(|key| mapped(key, |map, v| map.lower(v))).transpose()?;
            let upper = upper.as_ref().map(|key| mapped(key, |map, v| map.upper(v))).transpose()?;
            pieces.push(Piece { lower, upper, source });
        }
        Bounds::List { keys } => {
            for key in keys {
                let [map] = maps else { break };
                let (lower, upper) = map.around(key.get(map.from).unwrap_or(&Literal::Null))?;
                pieces.push(Piece { lower: one(lower)?, upper: one(upper)?, source });
            }
        }
    }
    Ok(())
}

/// Ranges over several columns are ordered as one key, so they can be taken over whole or not at all; of a list with
/// several columns any one can be taken.
fn check_columns(base: &BoundBase<'_>, maps: &[ColumnMap<'_>]) -> Result<()> {
    let keys = base.olap.partitioning.columns().len();
    match &base.olap.partitioning {
        Partitioning::List { .. } | Partitioning::Values { .. } if maps.len() == 1 => Ok(()),
        Partitioning::List { .. } | Partitioning::Values { .. } => Err(Error::unsupported(format!(
            "{} has lists of values, which cannot be made ranges over several columns",
            base.name
        ))),
        _ if keys <= 1 && maps.len() == 1 => Ok(()),
        _ if keys == maps.len()
            && maps.iter().enumerate().all(|(at, map)| map.from == at && map.is_same()) =>
        {
            Ok(())
        }
        _ => Err(Error::unsupported(format!(
            "{} has ranges over {keys} columns: the materialized view must be partitioned by the same columns \
             in the same order",
            base.name
        ))),
    }
}
