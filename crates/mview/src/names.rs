//! Names of new partitions.

use cairn_catalog::{Bounds, Partitioning, TimeUnit};
use cairn_types::{Literal, value};

use crate::time::{BEFORE_ALL, BEFORE_ALL_DATE, DAY, Slicer, micros};

/// A name that says the bounds. Slices and values are named as a load into a table would name them; other ranges
/// `p<from>_<to>`, with `MIN` and `MAX` where there is no bound.
pub(crate) fn name(bounds: &Bounds, slicer: Option<Slicer>, partitioning: &Partitioning) -> String {
    match bounds {
        Bounds::All => "pALL".to_owned(),
        Bounds::Range { lower, upper } => {
            slice_name(bounds, slicer).unwrap_or_else(|| range_name(lower.as_deref(), upper.as_deref()))
        }
        Bounds::List { keys } => {
            let key = keys.first().map_or(&[][..], Vec::as_slice);
            match partitioning {
                Partitioning::Values { .. } => values_name(partitioning, key),
                _ => values_name(&Partitioning::values(Vec::new()), key),
            }
        }
    }
}

/// The name when the bounds are NULL's or one slice of time.
fn slice_name(bounds: &Bounds, slicer: Option<Slicer>) -> Option<String> {
    let Bounds::Range { lower, upper } = bounds else { return None };
    let usual = [TimeUnit::Year, TimeUnit::Month, TimeUnit::Day, TimeUnit::Hour];
    let usual = usual.map(|unit| Slicer { unit, step: 1 });
    let key = match (lower.as_deref(), upper.as_deref()) {
        (None, Some([upper])) if *upper == BEFORE_ALL_DATE || *upper == Literal::Int(i128::MIN) => {
            return Some("pNULL".to_owned());
        }
        (Some([lower]), Some(_)) if micros(lower).is_ok_and(|at| at != BEFORE_ALL) => lower.clone(),
        _ => return None,
    };
    slicer.into_iter().chain(usual).find_map(|Slicer { unit, step }| {
        let slices = Partitioning::Time { column: 0, unit, step };
        let spec = slices.automatic(std::slice::from_ref(&key)).ok()??;
        (spec.bounds == *bounds).then_some(spec.name)
    })
}

fn range_name(lower: Option<&[Literal]>, upper: Option<&[Literal]>) -> String {
    let text = |bound: Option<&[Literal]>, none: &str| match bound {
        None => none.to_owned(),
        Some([only]) if *only == BEFORE_ALL_DATE => none.to_owned(),
        Some(key) => key.iter().map(text).collect::<Vec<_>>().join("_"),
    };
    format!("p{}_{}", text(lower, "MIN"), text(upper, "MAX"))
}

/// A bound, with dates as digits.
fn text(literal: &Literal) -> String {
    let digits = |text: String| text.chars().filter(char::is_ascii_digit).collect();
    match literal {
        Literal::DateTime(micros) if micros.rem_euclid(DAY) == 0 => {
            digits(value::format_datetime(*micros).chars().take(10).collect())
        }
        Literal::DateTime(micros) => digits(value::format_datetime(*micros)),
        other => values_name(&Partitioning::values(Vec::new()), std::slice::from_ref(other)).split_off(1),
    }
}

/// As rows of a table with this partitioning would name their partition.
fn values_name(partitioning: &Partitioning, key: &[Literal]) -> String {
    partitioning.automatic(key).ok().flatten().map_or_else(|| "p".to_owned(), |spec| spec.name)
}
