//! The catalog: all metadata of a cluster as one deterministic state tree.
//!
//! It changes only by [`Command`]s, applied in journal order by [`Catalog::apply`]; the state after entry J is
//! `catalog(J)`. The maps are persistent (structurally shared), so a clone is O(1): an image, a snapshot or a running
//! query holds the state of its moment without stopping a writer.
//!
//! **Invariants**
//! - Pure: no clock, no randomness, no I/O, no async. What a command needs of those stands in the command or comes
//!   with its journal entry.
//! - A refused command is an outcome, and changes nothing.
//! - Ids come from one counter and are never used twice, not even across restores.
//! - Everything that must survive is in the tree, and the image walks the tree exhaustively: a new field that is not
//!   in the image does not compile.
//! - A partition keeps each data version that a snapshot can see (see [`retention`]).
//!
//! **Deliberately absent**: file contents, sessions, queries, metrics, and anything that only one process knows.

mod apply;
mod bounds_index;
mod cluster;
mod command;
pub mod database;
mod floor;
mod grant;
pub mod image;
mod model;
mod mview;
mod mview_binding;
mod mview_refresh;
mod mview_state;
pub mod partition;
pub mod partitioning;
pub mod restore;
pub mod retention;
mod seen;
mod setting;
mod snapshot;
mod table;
pub mod task;
mod txn;
mod user;
mod volume;

use std::sync::Arc;

use cairn_types::{DbId, PartitionId, SnapshotId, TableId, TaskId, TaskRunId, TxnId, VolumeId};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use bounds_index::BoundsIndex;

pub use cluster::{Cluster, Start};
pub use command::{
    Command, FirstRun, MviewSpec, Outcome, PartitionChange, PartitionSpec, Reply, SnapshotSpec, TableSpec,
    Trim,
};
pub use database::{Database, Dropped, SYSTEM_DATABASES};
pub use floor::Floor;
pub use grant::{Granted, GrantedOn, Object, ROOT};
pub use model::TableModel;
pub use mview::{
    Base, Definition, Freshness, InactiveCause, LinkColumn, Mview, MviewState, PartitionLink, RefreshScheme,
    RefreshTrigger, Seen, Transform,
};
pub use mview_refresh::RefreshSpec;
pub use partition::{Bounds, ManifestRef, Partition, Version};
pub use partitioning::{Partitioning, TimeUnit};
pub use snapshot::{Snapshot, SnapshotKind, SnapshotPolicy, SnapshotState};
pub use table::{Distribution, OlapTable, Table, TableKind, View};
pub use task::{
    RefreshRange, RefreshRequest, RunAdvance, RunState, RunTrigger, Task, TaskOf, TaskRun, TaskRunSpec,
    TaskSchedule, TaskSpec,
};
pub use txn::{Txn, TxnState};
pub use user::User;
pub use volume::{SECRET_MASK, Volume, VolumeKind};

/// When something happened: the journal index of the entry and the time that the entry carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    pub index: u64,
    /// Milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
}

/// The state tree. Fields are readable by all and changed by [`Catalog::apply`] only.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalog {
    cluster: Cluster,
    next_id: u64,
    databases: OrdMap<DbId, Arc<Database>>,
    tables: OrdMap<TableId, Arc<Table>>,
    partitions: OrdMap<PartitionId, Arc<Partition>>,
    volumes: OrdMap<VolumeId, Arc<Volume>>,
    default_volume: VolumeId,
    users: OrdMap<String, Arc<User>>,
    txns: OrdMap<TxnId, Arc<Txn>>,
    snapshots: OrdMap<SnapshotId, Arc<Snapshot>>,
    snapshot_policy: Option<SnapshotPolicy>,
    settings: OrdMap<String, String>,
    tasks: OrdMap<TaskId, Arc<Task>>,
    task_runs: OrdMap<TaskRunId, Arc<TaskRun>>,
    /// Derived from the maps above, as `bounds`; not in the image.
    names: Names,
    bounds: BoundsIndex,
}

/// Look-ups by name among what is not dropped.
#[derive(Clone, PartialEq, Debug, Default)]
struct Names {
    databases: OrdMap<String, DbId>,
    tables: OrdMap<(DbId, String), TableId>,
    volumes: OrdMap<String, VolumeId>,
    labels: OrdMap<(DbId, String), TxnId>,
}

impl Catalog {
    /// The catalog of a new cluster: one volume, the user `root` with an empty password.
    #[must_use]
    pub fn new(cluster: Cluster, volume: Volume) -> Self {
        let mut this = Self {
            next_id: cairn_types::id::first_id_of_epoch(cluster.epoch),
            cluster,
            databases: OrdMap::new(),
            tables: OrdMap::new(),
            partitions: OrdMap::new(),
            default_volume: volume.id,
            volumes: OrdMap::unit(volume.id, Arc::new(volume)),
            // As in the images of clusters that were made before there were grants.
            users: OrdMap::unit(
                ROOT.to_owned(),
                Arc::new(User { grants: None, ..User::without_password(ROOT) }),
            ),
            txns: OrdMap::new(),
            snapshots: OrdMap::new(),
            snapshot_policy: None,
            settings: OrdMap::new(),
            tasks: OrdMap::new(),
            task_runs: OrdMap::new(),
            names: Names::default(),
            bounds: BoundsIndex::default(),
        };
        this.rebuild_derived();
        this
    }

    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// All databases, dropped ones too.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<Database>> {
        self.databases.values()
    }

    /// All tables and views, dropped ones too.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// All partitions that the catalog knows: visible ones, and dropped ones that are still kept.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.values()
    }

    pub fn volumes(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.volumes.values()
    }

    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    pub fn txns(&self) -> impl Iterator<Item = &Arc<Txn>> {
        self.txns.values()
    }

    /// All snapshots, by id (that is, by age).
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = &Arc<Snapshot>> {
        self.snapshots.values()
    }

    #[must_use]
    pub fn snapshot_policy(&self) -> Option<&SnapshotPolicy> {
        self.snapshot_policy.as_ref()
    }

    /// The settings that were changed at run time, by name.
    pub fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        self.settings.iter()
    }

    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    #[must_use]
    pub fn database(&self, id: DbId) -> Option<&Arc<Database>> {
        self.databases.get(&id)
    }

    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables.get(&id)
    }

    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<Partition>> {
        self.partitions.get(&id)
    }

    #[must_use]
    pub fn volume(&self, id: VolumeId) -> Option<&Arc<Volume>> {
        self.volumes.get(&id)
    }

    #[must_use]
    pub fn default_volume(&self) -> VolumeId {
        self.default_volume
    }

    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    #[must_use]
    pub fn txn(&self, id: TxnId) -> Option<&Arc<Txn>> {
        self.txns.get(&id)
    }

    #[must_use]
    pub fn snapshot(&self, id: SnapshotId) -> Option<&Arc<Snapshot>> {
        self.snapshots.get(&id)
    }

    #[must_use]
    pub fn volume_named(&self, name: &str) -> Option<&Arc<Volume>> {
        self.volumes.get(self.names.volumes.get(name)?)
    }

    /// The visible database of this name.
    #[must_use]
    pub fn database_named(&self, name: &str) -> Option<&Arc<Database>> {
        self.databases.get(self.names.databases.get(name)?)
    }

    /// The visible table or view of this name.
    #[must_use]
    pub fn table_named(&self, db: DbId, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(self.names.tables.get(&(db, name.to_owned()))?)
    }

    /// The visible tables and views of a database, by name.
    pub fn tables_of(&self, db: DbId) -> impl Iterator<Item = &Arc<Table>> {
        self.names
            .tables
            .range((db, String::new())..(DbId(db.0 + 1), String::new()))
            .filter_map(|(_, id)| self.tables.get(id))
    }

    /// The visible partitions of a table, by name.
    pub fn partitions_of<'a>(&'a self, table: &'a OlapTable) -> impl Iterator<Item = &'a Arc<Partition>> {
        table.partitions.values().filter_map(|id| self.partitions.get(id))
    }

    /// The load that used `label` in `db` and is still remembered.
    #[must_use]
    pub fn txn_labelled(&self, db: DbId, label: &str) -> Option<&Arc<Txn>> {
        self.txns.get(self.names.labels.get(&(db, label.to_owned()))?)
    }

    /// The snapshot of this name that is not deleted.
    #[must_use]
    pub fn snapshot_named(&self, name: &str) -> Option<&Arc<Snapshot>> {
        self.snapshots.values().rev().find(|s| s.name == name && s.state.pins())
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Makes what is derived anew, after an image was read.
    fn rebuild_derived(&mut self) {
        self.rebuild_names();
        let mut bounds = BoundsIndex::default();
        for olap in self.tables.values().filter_map(|table| table.olap()) {
            self.partitions_of(olap).for_each(|partition| bounds.insert(partition));
        }
        self.bounds = bounds;
    }

    fn rebuild_names(&mut self) {
        let mut names = Names::default();
        for db in self.databases.values().filter(|d| d.dropped.is_none()) {
            names.databases.insert(db.name.clone(), db.id);
        }
        for table in self.tables.values().filter(|t| t.dropped.is_none()) {
            if self.databases.get(&table.db).is_some_and(|d| d.dropped.is_none()) {
                names.tables.insert((table.db, table.name.clone()), table.id);
            }
        }
        for volume in self.volumes.values() {
            names.volumes.insert(volume.name.clone(), volume.id);
        }
        for txn in self.txns.values().filter(|t| t.state != TxnState::Aborted) {
            names.labels.insert((txn.db, txn.label.clone()), txn.id);
        }
        self.names = names;
    }
}
