//! A number that changes when a verdict may.

use cairn_catalog::{Catalog, Table};
use cairn_types::Result;

use crate::Purpose;
use crate::bound::{mview_of, visible};
use crate::exclusions::excluded;

/// A hash of what the [`Trigger`](Purpose::Trigger) verdict of an MV follows from: the data versions of the bases that
/// are not excluded, and the binding. Costs a look-up a base, so it can be asked for after each commit. The same in
/// every process of one version; not for keeping.
///
/// # Errors
/// `Analysis` when `table` is no MV.
pub fn signature(catalog: &Catalog, table: &Table) -> Result<u64> {
    let mview = mview_of(table)?;
    let excluded = excluded(mview, Purpose::Trigger);
    let mut hash = Fnv::default();
    hash.add(mview.definition.binding);
    for base in mview.definition.bases.iter().filter(|base| !excluded.contains(&base.id)) {
        let olap = visible(catalog, base.id).and_then(|table| table.olap());
        hash.add(base.id.0);
        hash.add(olap.map_or(u64::MAX, |olap| olap.data_version));
    }
    Ok(hash.0)
}

/// FNV-1a of 64 bits.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use cairn_catalog::{Bounds, Partitioning};
    use cairn_types::SqlType;

    #[test]
    fn only_data_that_counts_changes_it() {
        let mut world = World::new();
        world.plain("a");
        world.plain("b");
        world.mview("m", &[SqlType::Int], Partitioning::None, &["a", "b"]);
        let of = |world: &World| signature(&world.catalog(), world.get("m")).unwrap();
        let first = of(&world);
        world.add("a", "empty", Bounds::All);
        assert_eq!(of(&world), first);
        world.load("b", "b");
        let second = of(&world);
        assert_ne!(second, first);
        world.set("m", "excluded_refresh_tables", "b");
        let without = of(&world);
        world.load("b", "b");
        assert_eq!(of(&world), without);
        world.load("a", "a");
        assert_ne!(of(&world), without);
        assert!(signature(&world.catalog(), world.get("a")).is_err());
    }
}
