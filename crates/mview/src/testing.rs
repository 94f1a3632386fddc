//! Catalogs for tests: tables, MVs and partitions by name, in whatever state a test wants them.

use std::collections::BTreeMap;

use cairn_catalog::{
    Base, Bounds, Catalog, Cluster, Database, Definition, Distribution, Freshness, LinkColumn, ManifestRef,
    Mview, MviewState, OlapTable, Partition, PartitionLink, Partitioning, RefreshScheme, RefreshTrigger,
    Stamp, Table, TableKind, TimeUnit, Transform, Version, Volume, VolumeKind, image,
};
use cairn_types::{Column, DbId, Literal, PartitionId, Schema, SqlType, TableId, VolumeId};

const DB: DbId = DbId(1_000_000);

/// What a catalog is made of. All tables are in the database `shop`.
#[derive(Clone)]
pub(crate) struct World {
    tables: BTreeMap<TableId, Table>,
    partitions: BTreeMap<PartitionId, Partition>,
    next: u64,
    /// The time of what happens next, milliseconds.
    pub now_ms: u64,
}

pub(crate) fn date(text: &str) -> Literal {
    Literal::parse(text, SqlType::Date).unwrap()
}

pub(crate) fn datetime(text: &str) -> Literal {
    Literal::parse(text, SqlType::DateTime).unwrap()
}

pub(crate) fn text(text: &str) -> Literal {
    Literal::Str(text.to_owned())
}

/// A range; `-` is without bound, else a date, a datetime or a whole number.
pub(crate) fn range(lower: &str, upper: &str) -> Bounds {
    let bound = |text: &str| match text {
        "-" => None,
        "NULL+" => Some(vec![Literal::Date(i32::MIN)]),
        text if text.len() == 10 => Some(vec![date(text)]),
        text if text.contains(':') => Some(vec![datetime(text)]),
        text => Some(vec![Literal::Int(text.parse().unwrap())]),
    };
    Bounds::Range { lower: bound(lower), upper: bound(upper) }
}

/// A list of texts: keys apart by `;`, their columns by `,`.
pub(crate) fn list(keys: &str) -> Bounds {
    let literal = |t: &str| if t == "NULL" { Literal::Null } else { text(t) };
    Bounds::List { keys: keys.split(';').map(|key| key.split(',').map(literal).collect()).collect() }
}

pub(crate) fn by_month() -> Partitioning {
    Partitioning::Time { column: 0, unit: TimeUnit::Month, step: 1 }
}

pub(crate) fn floor(unit: TimeUnit) -> Transform {
    Transform::Floor { unit, step: 1 }
}

impl World {
    pub(crate) fn new() -> Self {
        Self { tables: BTreeMap::new(), partitions: BTreeMap::new(), next: 1_000_001, now_ms: 1_000 }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { index: self.id(), time_ms: self.now_ms }
    }

    fn put(&mut self, name: &str, kind: TableKind) -> TableId {
        let id = TableId(self.id());
        let created = self.stamp();
        let name = name.to_owned();
        let table = Table { id, db: DB, name, created, dropped: None, comment: String::new(), kind };
        self.tables.insert(id, table);
        id
    }

    /// A table with columns `c0`, `c1`, …
    pub(crate) fn table(&mut self, name: &str, types: &[SqlType], partitioning: Partitioning) -> TableId {
        self.put(name, TableKind::Olap(olap(types, partitioning)))
    }

    /// A table without partitions, whose one partition has a row.
    pub(crate) fn plain(&mut self, name: &str) -> TableId {
        let id = self.table(name, &[SqlType::Int], Partitioning::None);
        self.add(name, name, Bounds::All);
        self.load(name, name);
        id
    }

    /// An MV over the tables of these names; its first columns are those that it is partitioned by.
    pub(crate) fn mview(
        &mut self,
        name: &str,
        types: &[SqlType],
        by: Partitioning,
        bases: &[&str],
    ) -> TableId {
        let bases = bases.iter().map(|base| Base {
            id: self.id_of(base),
            db: "shop".to_owned(),
            name: (*base).to_owned(),
        });
        let definition = Definition {
            query: String::new(),
            default_db: "shop".to_owned(),
            partition_by: String::new(),
            bases: bases.collect(),
            views: Vec::new(),
            links: Vec::new(),
            binding: 0,
        };
        let mview = Mview {
            table: olap(types, by),
            definition,
            refresh: RefreshScheme { immediate: false, trigger: RefreshTrigger::Change },
            state: MviewState::Active,
            freshness: imbl::OrdMap::new(),
            creator: "root".to_owned(),
        };
        self.put(name, TableKind::Mview(Box::new(mview)))
    }

    /// Says that partition columns come from these columns of `base`.
    pub(crate) fn link(&mut self, mview: &str, base: &str, columns: &[(usize, Transform)]) {
        let base = self.id_of(base);
        let columns = columns.iter().cloned().map(|(column, transform)| LinkColumn { column, transform });
        let columns = columns.collect();
        self.mview_mut(mview).definition.links.push(PartitionLink { base, columns });
    }

    pub(crate) fn set(&mut self, mview: &str, property: &str, value: &str) {
        self.mview_mut(mview).table.properties.insert(property.to_owned(), value.to_owned());
    }

    pub(crate) fn id_of(&self, name: &str) -> TableId {
        self.get(name).id
    }

    pub(crate) fn get(&self, name: &str) -> &Table {
        self.tables.values().find(|t| t.name == name).unwrap_or_else(|| panic!("no table {name}"))
    }

    fn get_mut(&mut self, name: &str) -> &mut Table {
        let id = self.id_of(name);
        self.tables.get_mut(&id).unwrap()
    }

    fn olap_mut(&mut self, name: &str) -> &mut OlapTable {
        match &mut self.get_mut(name).kind {
            TableKind::Olap(olap) => olap,
            TableKind::Mview(mview) => &mut mview.table,
            TableKind::View(_) => panic!("{name} is a view"),
        }
    }

    pub(crate) fn mview_mut(&mut self, name: &str) -> &mut Mview {
        match &mut self.get_mut(name).kind {
            TableKind::Mview(mview) => mview,
            _ => panic!("{name} is no MV"),
        }
    }

    /// An empty partition.
    pub(crate) fn add(&mut self, table: &str, name: &str, bounds: Bounds) -> PartitionId {
        let (id, created) = (PartitionId(self.id()), self.stamp());
        let partition = Partition {
            id,
            db: DB,
            table: self.id_of(table),
            name: name.to_owned(),
            bounds,
            buckets: 1,
            volume: VolumeId(1),
            created,
            dropped: None,
            versions: imbl::Vector::new(),
            replaced_version: 0,
        };
        self.partitions.insert(id, partition);
        self.olap_mut(table).partitions.insert(name.to_owned(), id);
        id
    }

    /// A partition with rows.
    pub(crate) fn add_loaded(&mut self, table: &str, name: &str, bounds: Bounds) -> PartitionId {
        let id = self.add(table, name, bounds);
        self.load(table, name);
        id
    }

    pub(crate) fn partition_id(&self, table: &str, name: &str) -> PartitionId {
        *self.get(table).olap().unwrap().partitions.get(name).unwrap_or_else(|| panic!("no partition {name}"))
    }

    /// Adds rows: 1,000 per version.
    pub(crate) fn load(&mut self, table: &str, partition: &str) {
        self.change(table, partition, false);
    }

    /// Puts other rows in place of all.
    pub(crate) fn overwrite(&mut self, table: &str, partition: &str) {
        self.change(table, partition, true);
    }

    fn change(&mut self, table: &str, partition: &str, replace: bool) {
        let created = self.stamp();
        let id = self.partition_id(table, partition);
        let partition = self.partitions.get_mut(&id).unwrap();
        let version = partition.visible_version() + 1;
        let rows = (version - 1) * 1_000;
        let manifest =
            ManifestRef { name: format!("m{version}"), checksum: 0, rows, bytes: rows, segments: 1 };
        partition.versions = imbl::Vector::unit(Version { version, manifest, created });
        if replace {
            partition.replaced_version = version;
        }
        self.olap_mut(table).data_version += 1;
    }

    /// Drops a partition that may have rows.
    pub(crate) fn drop(&mut self, table: &str, partition: &str) {
        let id = self.partition_id(table, partition);
        let partition_had_rows = self.partitions.remove(&id).unwrap().visible().is_some();
        let olap = self.olap_mut(table);
        olap.partitions.remove(partition);
        olap.data_version += u64::from(partition_had_rows);
    }

    /// What a commit of a refresh does with one cell: the partition is made if need be, gets new rows and the numbers.
    pub(crate) fn record(
        &mut self,
        mview: &str,
        name: &str,
        bounds: Bounds,
        bases: BTreeMap<TableId, cairn_catalog::Seen>,
    ) {
        if !self.get(mview).olap().unwrap().partitions.contains_key(name) {
            self.add(mview, name, bounds);
        }
        self.overwrite(mview, name);
        let refreshed = self.stamp();
        let id = self.partition_id(mview, name);
        self.mview_mut(mview).freshness.insert(id, Freshness { bases, refreshed }.into());
    }

    /// The catalog of all that: an image whose sections are put in place of those of an empty one.
    pub(crate) fn catalog(&self) -> Catalog {
        let db = Database { id: DB, name: "shop".to_owned(), created: Stamp::default(), dropped: None };
        let (mut out, mut rest) = (Vec::new(), image::encode(&empty(), 1));
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[16..24].try_into().unwrap()) as usize;
            let after = rest.split_off(32 + length);
            let head = String::from_utf8_lossy(&rest[32..]).lines().next().unwrap().to_owned();
            match head {
                head if head.contains("\"databases\"") => section(&mut out, &rest, "databases", [&db]),
                head if head.contains("\"tables\"") => {
                    section(&mut out, &rest, "tables", self.tables.values())
                }
                head if head.contains("\"partitions\"") => {
                    section(&mut out, &rest, "partitions", self.partitions.values());
                }
                head if head.contains("\"checksum\"") => {
                    let body = format!("{{\"bytes\":{},\"checksum\":{}}}", out.len(), crc32c::crc32c(&out));
                    frame(&mut out, &rest, body.as_bytes());
                }
                _ => out.extend_from_slice(&rest),
            }
            rest = after;
        }
        image::decode(&out).unwrap().1
    }
}

fn olap(types: &[SqlType], partitioning: Partitioning) -> OlapTable {
    let column = |(at, ty): (usize, &SqlType)| Column::new(format!("c{at}"), *ty, true);
    OlapTable {
        model: Default::default(),
        schema: Schema { columns: types.iter().enumerate().map(column).collect() },
        sort_key: Vec::new(),
        partitioning,
        distribution: Distribution::Random { buckets: 1 },
        properties: BTreeMap::new(),
        volume: VolumeId(1),
        partitions: imbl::OrdMap::new(),
        data_version: 0,
    }
}

fn empty() -> Catalog {
    let cluster = Cluster { id: "0".repeat(32), epoch: 1, created_ms: 0, start: Default::default() };
    let volume = Volume {
        id: VolumeId(1),
        name: "local".to_owned(),
        kind: VolumeKind::File,
        location: "file:///data".to_owned(),
        comment: String::new(),
        properties: BTreeMap::new(),
        created: Stamp::default(),
    };
    Catalog::new(cluster, volume)
}

fn section<T: serde::Serialize>(
    out: &mut Vec<u8>,
    old: &[u8],
    name: &str,
    records: impl IntoIterator<Item = T>,
) {
    let lines: Vec<_> = records.into_iter().map(|r| serde_json::to_string(&r).unwrap()).collect();
    let mut body = format!("{{\"section\":\"{name}\",\"records\":{}}}", lines.len());
    for line in lines {
        body.push('\n');
        body.push_str(&line);
    }
    frame(out, old, body.as_bytes());
}

/// A frame like `old` around another body.
fn frame(out: &mut Vec<u8>, old: &[u8], body: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&old[..16]);
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let header = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&header.to_le_bytes());
    out.extend_from_slice(body);
}

impl World {
    /// Everything that a refresh of `mview` does: drops what is obsolete, rebuilds what is stale.
    pub(crate) fn refresh(&mut self, mview: &str) {
        self.now_ms += 1_000;
        let verdict =
            crate::verdict(&self.catalog(), self.get(mview), crate::Purpose::Refresh, self.now_ms).unwrap();
        for (_, name) in &verdict.obsolete {
            self.drop(mview, name);
        }
        for cell in verdict.cells.into_iter().filter(|cell| !cell.is_fresh()) {
            self.record(mview, &cell.name, cell.bounds, cell.seen);
        }
    }
}
