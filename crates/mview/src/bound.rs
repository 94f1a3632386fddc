//! An MV with all that its definition names looked up in a catalog.

use std::fmt;
use std::sync::Arc;

use cairn_catalog::{Base, Catalog, Mview, OlapTable, Partition, PartitionLink, Table};
use cairn_types::{Error, Result, TableId};

/// A base as reasons name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BaseName {
    pub id: TableId,
    /// `db.name`, as it was when the MV was bound.
    pub name: Arc<str>,
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

pub(crate) struct Bound<'a> {
    pub table: &'a Table,
    pub mview: &'a Mview,
    /// In the order of the definition.
    pub bases: Vec<BoundBase<'a>>,
}

pub(crate) struct BoundBase<'a> {
    pub name: BaseName,
    pub table: &'a Table,
    pub olap: &'a OlapTable,
    pub link: Option<&'a PartitionLink>,
    /// The visible partitions by name; none for a base whose partitions are not looked at.
    pub partitions: Vec<&'a Partition>,
}

impl<'a> Bound<'a> {
    /// # Errors
    /// `Analysis` when `table` is no MV, `UnknownTable` when a base is gone.
    pub(crate) fn new(catalog: &'a Catalog, table: &'a Table) -> Result<Self> {
        let mview = mview_of(table)?;
        let definition = &mview.definition;
        let bases: Vec<_> =
            definition.bases.iter().map(|base| look_up(catalog, mview, base)).collect::<Result<_>>()?;
        match definition.links.iter().find(|link| bases.iter().all(|base| base.name.id != link.base)) {
            None => Ok(Self { table, mview, bases }),
            Some(link) => Err(Error::internal(format!("partition link to {}, which is no base", link.base))),
        }
    }
}

impl BoundBase<'_> {
    /// Whether its partitions, and not its data version as a whole, are recorded.
    pub(crate) fn by_partitions(&self, mview: &Mview) -> bool {
        self.link.is_some() || mview.definition.links.is_empty()
    }
}

/// # Errors
/// `Analysis` when `table` is no MV.
pub(crate) fn mview_of(table: &Table) -> Result<&Mview> {
    table.mview().ok_or_else(|| Error::analysis(format!("'{}' is not a materialized view", table.name)))
}

/// The table `id` if it can be seen: neither it nor its database is dropped.
pub(crate) fn visible(catalog: &Catalog, id: TableId) -> Option<&Arc<Table>> {
    let table = catalog.table(id).filter(|table| table.dropped.is_none())?;
    catalog.database(table.db).filter(|db| db.dropped.is_none()).map(|_| table)
}

fn look_up<'a>(catalog: &'a Catalog, mview: &'a Mview, recorded: &'a Base) -> Result<BoundBase<'a>> {
    let name: Arc<str> = format!("{}.{}", recorded.db, recorded.name).into();
    let table = visible(catalog, recorded.id).ok_or_else(|| Error::unknown_table(&name))?;
    let olap = table.olap().ok_or_else(|| Error::internal(format!("base {name} has no data of its own")))?;
    let link = mview.definition.links.iter().find(|link| link.base == recorded.id);
    let name = BaseName { id: recorded.id, name };
    let mut base = BoundBase { name, table, olap, link, partitions: Vec::new() };
    if base.by_partitions(mview) {
        base.partitions = catalog.partitions_of(olap).map(Arc::as_ref).collect();
    }
    Ok(base)
}
