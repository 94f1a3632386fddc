//! The order of partitions by their bounds.

use std::cmp::Ordering;

use cairn_catalog::Bounds;

/// By the lower bound, what has none first; lists by their values.
pub(crate) fn compare(a: &Bounds, b: &Bounds) -> Ordering {
    match (a, b) {
        (Bounds::All, Bounds::All) => Ordering::Equal,
        (Bounds::Range { lower: l1, upper: u1 }, Bounds::Range { lower: l2, upper: u2 }) => {
            l1.cmp(l2).then_with(|| match (u1, u2) {
                (Some(u1), Some(u2)) => u1.cmp(u2),
                (u1, u2) => u2.is_some().cmp(&u1.is_some()),
            })
        }
        (Bounds::List { keys: k1 }, Bounds::List { keys: k2 }) => k1.cmp(k2),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn rank(bounds: &Bounds) -> u8 {
    match bounds {
        Bounds::All => 0,
        Bounds::Range { .. } => 1,
        Bounds::List { .. } => 2,
    }
}
