//! Tables and views: create, drop, recover, rename.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_types::{DbId, Error, ErrorKind, PartitionId, Result, Schema, TableId, VolumeId, limits};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::database::Dropped;
use crate::model::check_key;
use crate::mview_state::BaseChange;
use crate::task::TaskOf;
use crate::{Catalog, Mview, Outcome, Partitioning, Reply, Stamp, TableModel, TableSpec};

/// A table or a view.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub id: TableId,
    pub db: DbId,
    pub name: String,
    pub created: Stamp,
    /// Set while it waits in the recycle bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    pub comment: String,
    pub kind: TableKind,
}

/// What a table is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum TableKind {
    Olap(OlapTable),
    View(View),
    Mview(Box<Mview>),
}

/// A table with data of its own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OlapTable {
    #[serde(default, skip_serializing_if = "TableModel::is_duplicate")]
    pub model: TableModel,
    pub schema: Schema,
    /// Positions of the columns that segments are sorted by.
    pub sort_key: Vec<usize>,
    pub partitioning: Partitioning,
    pub distribution: Distribution,
    pub properties: BTreeMap<String, String>,
    pub volume: VolumeId,
    /// The visible partitions by name.
    pub partitions: OrdMap<String, PartitionId>,
    /// Grows with each change of the data of any partition; never with a change of metadata.
    #[serde(default)]
    pub data_version: u64,
}

/// How the rows of a partition are spread over its tablets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Distribution {
    /// By a hash of these columns.
    Hash {
        columns: Vec<usize>,
        buckets: u32,
    },
    Random {
        buckets: u32,
    },
}

impl Distribution {
    #[must_use]
    pub fn buckets(&self) -> u32 {
        match self {
            Self::Hash { buckets, .. } | Self::Random { buckets } => *buckets,
        }
    }
}

/// A stored query.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Names, types and comments of its columns, as they were when it was made.
    pub schema: Schema,
    /// The SQL text of its query.
    pub query: String,
    /// The database in which unqualified names of the query are looked up.
    pub default_db: String,
    /// Who reads it must be allowed to read its tables, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security_invoker: bool,
}

impl Table {
    #[must_use]
    pub fn schema(&self) -> &Schema {
        match &self.kind {
            TableKind::Olap(olap) => &olap.schema,
            TableKind::View(view) => &view.schema,
            TableKind::Mview(mview) => &mview.table.schema,
        }
    }

    /// What has rows of its own: a table or an MV.
    #[must_use]
    pub fn olap(&self) -> Option<&OlapTable> {
        match &self.kind {
            TableKind::Olap(olap) => Some(olap),
            TableKind::Mview(mview) => Some(&mview.table),
            TableKind::View(_) => None,
        }
    }

    pub(crate) fn olap_mut(&mut self) -> Option<&mut OlapTable> {
        match &mut self.kind {
            TableKind::Olap(olap) => Some(olap),
            TableKind::Mview(mview) => Some(&mut mview.table),
            TableKind::View(_) => None,
        }
    }

    #[must_use]
    pub fn mview(&self) -> Option<&Mview> {
        match &self.kind {
            TableKind::Mview(mview) => Some(mview),
            TableKind::Olap(_) | TableKind::View(_) => None,
        }
    }

    #[must_use]
    pub fn view(&self) -> Option<&View> {
        match &self.kind {
            TableKind::View(view) => Some(view),
            TableKind::Olap(_) | TableKind::Mview(_) => None,
        }
    }
}

impl View {
    /// Whether a query over it may have another result than over `other`. Comments do not count, nor who may read it.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        let columns = |view: &Self| -> Vec<_> {
            view.schema.columns.iter().map(|c| (c.name.clone(), c.ty, c.nullable)).collect()
        };
        self.query != other.query || self.default_db != other.default_db || columns(self) != columns(other)
    }
}

impl Catalog {
    /// Whether neither it nor its database was dropped.
    #[must_use]
    pub fn is_visible(&self, table: &Table) -> bool {
        table.dropped.is_none() && self.database(table.db).is_some_and(|db| db.dropped.is_none())
    }

    /// The visible table `id`.
    pub(crate) fn live_table(&self, id: TableId) -> Result<&Arc<Table>> {
        self.table(id).filter(|t| self.is_visible(t)).ok_or_else(|| Error::unknown_table(&format!("id {id}")))
    }

    /// The visible table `id`, which must have data of its own.
    pub(crate) fn live_olap(&self, id: TableId) -> Result<(Table, OlapTable)> {
        let table = Table::clone(self.live_table(id)?);
        match table.olap().cloned() {
            Some(olap) => Ok((table, olap)),
            None => Err(Error::analysis(format!("'{}' is a view, not a table", table.name))),
        }
    }

    /// As [`Catalog::live_olap`]; what an MV has is its refresh's alone.
    pub(crate) fn changeable_olap(&self, id: TableId) -> Result<(Table, OlapTable)> {
        let (table, olap) = self.live_olap(id)?;
        match table.mview() {
            None => Ok((table, olap)),
            Some(_) => Err(only_by_refresh(&table.name)),
        }
    }

    /// Says that the data of a table changed as a whole.
    pub(crate) fn data_changed(&mut self, id: TableId) {
        let Some(mut table) = self.table(id).map(|t| Table::clone(t)) else { return };
        if let Some(olap) = table.olap_mut() {
            olap.data_version += 1;
            self.put_table(table);
        }
    }

    pub(crate) fn put_table(&mut self, table: Table) {
        self.tables.insert(table.id, Arc::new(table));
    }

    pub(crate) fn put_olap(&mut self, mut table: Table, olap: OlapTable) {
        match &mut table.kind {
            TableKind::Mview(mview) => mview.table = olap,
            kind => *kind = TableKind::Olap(olap),
        }
        self.put_table(table);
    }

    fn check_new_table_name(&self, db: DbId, name: &str) -> Result<()> {
        self.live_database(db)?;
        if self.table_named(db, name).is_some() {
            return Err(Error::new(ErrorKind::TableExists, format!("Table '{name}' already exists")));
        }
        if name.is_empty() || name.chars().count() > limits::IDENTIFIER_CHARS_MAX {
            return Err(Error::analysis(format!("Incorrect table name '{name}'")));
        }
        Ok(())
    }

    pub(crate) fn create_table(&mut self, now: Stamp, spec: &TableSpec) -> Outcome {
        if !spec.schema.hidden().is_empty() {
            return Err(Error::internal("only materialized views have hidden columns"));
        }
        self.create_with_rows(now, spec, TableKind::Olap)
    }

    /// Makes what `kind` makes of the rows that `spec` describes.
    pub(crate) fn create_with_rows(
        &mut self,
        now: Stamp,
        spec: &TableSpec,
        kind: impl FnOnce(OlapTable) -> TableKind,
    ) -> Outcome {
        self.check_new_table_name(spec.db, &spec.name)?;
        check_spec(spec)?;
        let volume = spec.volume.unwrap_or(self.default_volume);
        if self.volume(volume).is_none() {
            return Err(Error::not_found(format!("storage volume {volume} is gone")));
        }
        let id = TableId(self.take_id());
        let olap = OlapTable {
            model: spec.model,
            schema: spec.schema.clone(),
            sort_key: spec.sort_key.clone(),
            partitioning: spec.partitioning.clone(),
            distribution: spec.distribution.clone(),
            properties: spec.properties.clone(),
            volume,
            partitions: OrdMap::new(),
            data_version: 0,
        };
        self.names.tables.insert((spec.db, spec.name.clone()), id);
        self.put_table(Table {
            id,
            db: spec.db,
            name: spec.name.clone(),
            created: now,
            dropped: None,
            comment: spec.comment.clone(),
            kind: kind(olap),
        });
        self.create_partitions(now, id, &spec.partitions, false)?;
        Ok(Reply::Table(id))
    }

    pub(crate) fn create_view(
        &mut self,
        now: Stamp,
        db: DbId,
        name: &str,
        view: &View,
        comment: &str,
        or_replace: bool,
    ) -> Outcome {
        if or_replace && let Some(old) = self.table_named(db, name).cloned() {
            return self.replace_view(now, &old, view, comment);
        }
        self.check_new_table_name(db, name)?;
        let id = TableId(self.take_id());
        self.names.tables.insert((db, name.to_owned()), id);
        self.put_table(Table {
            id,
            db,
            name: name.to_owned(),
            created: now,
            dropped: None,
            comment: comment.to_owned(),
            kind: TableKind::View(view.clone()),
        });
        Ok(Reply::Table(id))
    }

    fn replace_view(&mut self, now: Stamp, old: &Table, view: &View, comment: &str) -> Outcome {
        let Some(old_view) = old.view() else {
            return Err(Error::analysis(format!("'{}' is a table, not a view", old.name)));
        };
        if old_view.differs(view) {
            self.view_changed(now, old.id);
        }
        let kind = TableKind::View(view.clone());
        self.put_table(Table { comment: comment.to_owned(), kind, ..Table::clone(old) });
        Ok(Reply::Table(old.id))
    }

    pub(crate) fn drop_table(&mut self, now: Stamp, db: DbId, name: &str, force: bool) -> Outcome {
        let table = self.table_named(db, name).ok_or_else(|| Error::unknown_table(name))?;
        let mut table = Table::clone(table);
        table.dropped = Some(Dropped { at: now, force });
        self.names.tables.remove(&(db, name.to_owned()));
        let id = table.id;
        self.put_table(table);
        self.cancel_pending_runs(now, TaskOf::Mview(id), "the materialized view was dropped");
        self.base_changed(now, id, BaseChange::Dropped);
        Ok(Reply::Done)
    }

    pub(crate) fn recover_table(&mut self, db: DbId, name: &str) -> Outcome {
        self.check_new_table_name(db, name)?;
        let newest = self
            .tables
            .values()
            .filter(|t| t.db == db && t.name == name && t.dropped.is_some_and(|d| !d.force))
            .max_by_key(|t| t.dropped.map(|d| d.at));
        let mut table = Table::clone(newest.ok_or_else(|| {
            Error::new(ErrorKind::UnknownTable, format!("Table '{name}' is not in the recycle bin"))
        })?);
        table.dropped = None;
        let id = table.id;
        self.names.tables.insert((db, name.to_owned()), id);
        self.put_table(table);
        Ok(Reply::Table(id))
    }

    pub(crate) fn rename_table(&mut self, now: Stamp, id: TableId, name: &str) -> Outcome {
        let mut table = Table::clone(self.live_table(id)?);
        self.check_new_table_name(table.db, name)?;
        self.names.tables.remove(&(table.db, table.name.clone()));
        self.names.tables.insert((table.db, name.to_owned()), id);
        table.name = name.to_owned();
        self.put_table(table);
        self.base_changed(now, id, BaseChange::Renamed);
        Ok(Reply::Done)
    }

    pub(crate) fn swap_tables(&mut self, now: Stamp, left: TableId, right: TableId) -> Outcome {
        let (mut left, _) = self.live_olap(left)?;
        let (mut right, _) = self.live_olap(right)?;
        if left.id == right.id {
            return Err(Error::analysis(format!("New name conflicts with rollup index name: {}", left.name)));
        }
        if left.db != right.db {
            return Err(Error::analysis("SWAP WITH needs two tables of one database"));
        }
        if left.mview().is_some() != right.mview().is_some() {
            return Err(Error::analysis("Materialized view can only SWAP WITH materialized view"));
        }
        std::mem::swap(&mut left.name, &mut right.name);
        // A view that reads both names the one that was swapped in, as StarRocks does.
        for table in [right, left] {
            let id = table.id;
            self.names.tables.insert((table.db, table.name.clone()), id);
            self.put_table(table);
            self.base_changed(now, id, BaseChange::Swapped);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn set_table_comment(&mut self, id: TableId, comment: &str) -> Outcome {
        let mut table = Table::clone(self.live_table(id)?);
        table.comment = comment.to_owned();
        self.put_table(table);
        Ok(Reply::Done)
    }

    pub(crate) fn set_table_properties(
        &mut self,
        id: TableId,
        properties: &BTreeMap<String, String>,
    ) -> Outcome {
        let (table, mut olap) = self.live_olap(id)?;
        olap.properties.extend(properties.iter().map(|(k, v)| (k.clone(), v.clone())));
        self.put_olap(table, olap);
        Ok(Reply::Done)
    }
}

/// The refusal of what would make an MV say that it is fresh when it is not.
pub(crate) fn only_by_refresh(name: &str) -> Error {
    Error::analysis(format!(
        "'{name}' is a materialized view: only REFRESH MATERIALIZED VIEW changes its rows and partitions"
    ))
}

/// The catalog's own check of what the analyzer made: nothing that is stored may point outside its schema.
fn check_spec(spec: &TableSpec) -> Result<()> {
    let columns = spec.schema.columns.len();
    if columns == 0 || columns > limits::COLUMNS_MAX {
        return Err(Error::analysis(format!(
            "a table has 1 to {} columns, not {columns}",
            limits::COLUMNS_MAX
        )));
    }
    for (position, column) in spec.schema.columns.iter().enumerate() {
        if spec.schema.position(&column.name) != Some(position) {
            return Err(Error::analysis(format!("Duplicate column name '{}'", column.name)));
        }
    }
    let visible = spec.schema.visible().len();
    if visible == 0 || spec.schema.hidden().iter().any(|column| !column.hidden) {
        return Err(Error::internal("hidden columns of a table are its last ones, behind others"));
    }
    let buckets = spec.distribution.buckets();
    if buckets == 0 || buckets > limits::BUCKETS_MAX {
        return Err(Error::analysis(format!("BUCKETS must be 1 to {}, not {buckets}", limits::BUCKETS_MAX)));
    }
    let hash_columns: &[usize] = match &spec.distribution {
        Distribution::Hash { columns, .. } => columns,
        Distribution::Random { .. } => &[],
    };
    let used = spec.sort_key.iter().chain(hash_columns).chain(spec.partitioning.columns());
    for position in used {
        if *position >= visible {
            return Err(Error::internal(format!("column {position} of a table with {visible} columns")));
        }
    }
    check_key(spec)?;
    check_floors(spec)
}

fn check_floors(spec: &TableSpec) -> Result<()> {
    if let Partitioning::Values { columns, floors } = &spec.partitioning
        && !floors.is_empty()
        && floors.len() != columns.len()
    {
        return Err(Error::internal(format!("{} floors for {} columns", floors.len(), columns.len())));
    }
    for (at, position) in spec.partitioning.columns().iter().enumerate() {
        if let (Some(floor), Some(column)) = (spec.partitioning.floor(at), spec.schema.columns.get(*position))
        {
            floor.check(column)?;
        }
    }
    Ok(())
}
