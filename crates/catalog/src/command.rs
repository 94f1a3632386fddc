//! Commands: every way in which the catalog can change, and what comes back.
//!
//! Commands are JSON in the journal and stay readable for ever: a field that is added later has a default; an
//! unknown command or field is a stop with a message, never skipped.

use std::collections::{BTreeMap, BTreeSet};

use cairn_types::{
    DbId, Error, PartitionId, Privilege, Schema, SnapshotId, TableId, TaskId, TaskRunId, TxnId, VolumeId,
};
use serde::{Deserialize, Serialize};

use crate::{
    Bounds, Definition, Distribution, GrantedOn, InactiveCause, ManifestRef, Partitioning, RefreshRequest,
    RefreshScheme, RefreshSpec, RunAdvance, SnapshotKind, SnapshotPolicy, TableModel, TaskOf, TaskRunSpec,
    TaskSpec, User, View, VolumeKind,
};

/// A change of the catalog.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Command {
    /// A process was started on the data directory.
    BeginStart {
        number: u64,
        nonce: String,
    },
    CreateDatabase {
        name: String,
        if_not_exists: bool,
    },
    /// With `force` it cannot be recovered.
    DropDatabase {
        name: String,
        force: bool,
    },
    RecoverDatabase {
        name: String,
    },

    CreateTable(Box<TableSpec>),
    CreateView {
        db: DbId,
        name: String,
        view: View,
        comment: String,
        or_replace: bool,
    },
    DropTable {
        db: DbId,
        name: String,
        force: bool,
    },
    RecoverTable {
        db: DbId,
        name: String,
    },
    RenameTable {
        table: TableId,
        name: String,
    },
    SwapTables {
        left: TableId,
        right: TableId,
    },
    SetTableComment {
        table: TableId,
        comment: String,
    },
    SetTableProperties {
        table: TableId,
        properties: BTreeMap<String, String>,
    },

    /// A materialized view, active and never built. The commands for tables work for it too, except those that would
    /// change its rows beside its refresh.
    CreateMview(Box<MviewSpec>),
    AlterMviewRefresh {
        mview: TableId,
        refresh: RefreshScheme,
    },
    /// `Unchanged` when it is inactive for this cause or a stronger one: `Manual` is stronger than `Base`, which is
    /// stronger than `Paused`. Views above it become inactive too, unless it is but paused.
    DeactivateMview {
        mview: TableId,
        cause: InactiveCause,
        reason: String,
    },
    /// With a definition that was bound just now, or as it is: `WITH NO_VALIDATION`.
    ActivateMview {
        mview: TableId,
        definition: Option<Box<Definition>>,
    },
    /// Every active view becomes inactive until `ResumeMviews`.
    PauseMviews {
        reason: String,
    },
    /// Makes those active that `PauseMviews` made inactive, and no others.
    ResumeMviews {},
    /// New rows of a view and what they were made from: both or neither.
    CommitRefresh(Box<RefreshSpec>),

    CreateTask(Box<TaskSpec>),
    /// Runs of it that wait are cancelled.
    DropTask {
        name: String,
        if_exists: bool,
    },
    /// Records a run that waits to be started.
    SubmitRun(Box<TaskRunSpec>),
    /// States only go forward.
    AdvanceRun(Box<RunAdvance>),

    /// Partitions whose bounds exist already are left as they are if `if_not_exists`.
    CreatePartitions {
        table: TableId,
        partitions: Vec<PartitionSpec>,
        if_not_exists: bool,
    },
    DropPartition {
        table: TableId,
        name: String,
        force: bool,
    },
    RecoverPartition {
        table: TableId,
        name: String,
    },
    RenamePartition {
        table: TableId,
        name: String,
        to: String,
    },
    /// Each named partition (all when empty) gives way to a new, empty one with the same name and bounds.
    Truncate {
        table: TableId,
        partitions: Vec<String>,
    },

    /// Reserves a label.
    BeginTxn {
        db: DbId,
        label: String,
        source: String,
        timeout_ms: u64,
    },
    /// Makes all changes visible at once. `txn` when it was begun; a `label` without one is reserved here.
    Commit {
        db: DbId,
        txn: Option<TxnId>,
        label: Option<String>,
        changes: Vec<PartitionChange>,
        details: String,
    },
    /// The same rows in other files: the data version stays.
    CommitCompaction {
        change: PartitionChange,
    },
    AbortTxn {
        txn: TxnId,
        reason: String,
    },
    /// Aborts every open load; said by a frontend that starts.
    AbortOpenTxns {
        reason: String,
    },

    CreateVolume {
        name: String,
        kind: VolumeKind,
        location: String,
        comment: String,
        properties: BTreeMap<String, String>,
    },
    /// `None` leaves a part as it is; properties are set one by one.
    AlterVolume {
        name: String,
        comment: Option<String>,
        properties: BTreeMap<String, String>,
    },
    DropVolume {
        name: String,
    },
    SetDefaultVolume {
        name: String,
    },

    CreateUser {
        user: User,
        if_not_exists: bool,
    },
    AlterUser {
        user: User,
    },
    DropUser {
        name: String,
        if_exists: bool,
    },
    Grant {
        user: String,
        on: Vec<GrantedOn>,
        privileges: BTreeSet<Privilege>,
    },
    Revoke {
        user: String,
        on: Vec<GrantedOn>,
        privileges: BTreeSet<Privilege>,
    },

    Set {
        name: String,
        value: String,
    },

    SetSnapshotPolicy {
        policy: Option<SnapshotPolicy>,
    },
    /// The journal index of this entry is the snapshot's.
    BeginSnapshot(SnapshotSpec),
    AdvanceSnapshot {
        id: SnapshotId,
        state: crate::SnapshotState,
        detail: String,
        error: String,
        bytes: u64,
        files: u64,
    },
    /// Removes the pin; the job stays in the history until its files are gone.
    DropSnapshot {
        name: String,
        if_exists: bool,
        detail: String,
    },
    SetSnapshotPinned {
        id: SnapshotId,
        pinned: bool,
    },

    /// Forgets what no one can reach any more; the catalog checks each part again and keeps what it must.
    Trim(Trim),
}

/// What may be forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trim {
    /// Dropped databases, tables and partitions dropped before this time.
    pub dropped_before_ms: u64,
    /// Finished loads (and their labels) finished before this time…
    pub txns_before_ms: u64,
    /// …or beyond this many per cluster.
    pub txns_max: u64,
    /// Deleted and failed snapshot jobs beyond this many.
    pub jobs_max: u64,
    /// Task runs finished before this time…
    #[serde(default, skip_serializing_if = "is_zero")]
    pub task_runs_before_ms: u64,
    /// …or beyond this many; `None`: however many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_runs_max: Option<u64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A table to be made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    pub db: DbId,
    pub name: String,
    #[serde(default, skip_serializing_if = "TableModel::is_duplicate")]
    pub model: TableModel,
    pub schema: Schema,
    pub sort_key: Vec<usize>,
    pub partitioning: Partitioning,
    pub distribution: Distribution,
    pub comment: String,
    pub properties: BTreeMap<String, String>,
    /// `None`: the default volume.
    pub volume: Option<VolumeId>,
    pub partitions: Vec<PartitionSpec>,
}

/// A materialized view to be made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MviewSpec {
    /// Its rows.
    pub table: TableSpec,
    /// `binding` is the catalog's to count.
    pub definition: Definition,
    pub refresh: RefreshScheme,
    pub creator: String,
    /// Recorded in the same entry: nobody sees a view that is to be filled without the run that does it. `None`: it waits
    /// for its trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_run: Option<FirstRun>,
}

/// The run that fills a new materialized view.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstRun {
    pub query_id: String,
    /// The SQL text that it executes, for people.
    pub definition: String,
    pub priority: u32,
}

impl FirstRun {
    pub(crate) fn of(&self, mview: TableId) -> TaskRunSpec {
        TaskRunSpec {
            query_id: self.query_id.clone(),
            task: TaskOf::Mview(mview),
            definition: self.definition.clone(),
            priority: self.priority,
            request: RefreshRequest::default(),
            properties: BTreeMap::new(),
            root_run: None,
        }
    }
}

/// A partition to be made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionSpec {
    pub name: String,
    pub bounds: Bounds,
    /// `None`: as the table says.
    pub buckets: Option<u32>,
}

/// A new manifest for a partition.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionChange {
    pub partition: PartitionId,
    /// The manifest that the new one was made from; another current one is a conflict.
    pub base: Option<String>,
    pub manifest: ManifestRef,
    /// The rows take the place of those before: the partition did not only grow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// A snapshot to be taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSpec {
    /// `None`: named by its kind and the time of its entry.
    pub name: Option<String>,
    pub kind: SnapshotKind,
    /// `None`: the default volume.
    pub volume: Option<VolumeId>,
    pub ttl_ms: Option<u64>,
    pub comment: String,
    pub if_not_exists: bool,
}

/// What an applied command gives back.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    Done,
    /// There was nothing to do (`IF EXISTS`, `IF NOT EXISTS`).
    Unchanged,
    Database(DbId),
    Table(TableId),
    /// The visible partitions of the names asked for, made now or before.
    Partitions(Vec<PartitionId>),
    Txn(TxnId),
    Snapshot(SnapshotId),
    Volume(VolumeId),
    /// How many records were forgotten.
    Trimmed(u64),
    /// How many objects were changed.
    Count(u64),
    Task(TaskId),
    TaskRun(TaskRunId),
}

/// A reply, or why the command was refused. A refused command has changed nothing.
pub type Outcome = Result<Reply, Error>;
