//! A catalog that is sent commands, and what they are made of.

use std::collections::BTreeMap;

use cairn_catalog::retention::Holder;
use cairn_catalog::{
    Base, Bounds, Catalog, Cluster, Command, Definition, Distribution, InactiveCause, LinkColumn,
    ManifestRef, Mview, MviewSpec, MviewState, Partition, PartitionChange, PartitionLink, PartitionSpec,
    Partitioning, RefreshRange, RefreshRequest, RefreshScheme, RefreshSpec, RefreshTrigger, Reply,
    RunAdvance, RunState, RunTrigger, Seen, SnapshotKind, SnapshotSpec, Stamp, TableSpec, TaskOf,
    TaskRunSpec, TaskSchedule, TaskSpec, Transform, Trim, View, Volume, VolumeKind,
};
use cairn_types::{
    Column, DbId, Literal, PartitionId, Schema, SnapshotId, SqlType, TableId, TaskRunId, VolumeId,
};

/// A catalog with a journal index that counts by itself.
pub struct Cluster1 {
    pub catalog: Catalog,
    pub index: u64,
}

impl Cluster1 {
    pub fn new() -> Self {
        let cluster = Cluster { id: "c".repeat(32), epoch: 1, created_ms: 1_000, start: Default::default() };
        let volume = Volume {
            id: VolumeId(1),
            name: "v".into(),
            kind: VolumeKind::File,
            location: "file:///v".into(),
            comment: String::new(),
            properties: BTreeMap::from([("aws.s3.secret_key".to_owned(), "PLANTED".to_owned())]),
            created: Stamp::default(),
        };
        Self { catalog: Catalog::new(cluster, volume), index: 0 }
    }

    pub fn apply(&mut self, command: &Command) -> Result<Reply, cairn_types::Error> {
        self.index += 1;
        self.catalog.apply(self.index, 1_000 + self.index * 10, command)
    }

    pub fn ok(&mut self, command: Command) -> Reply {
        self.apply(&command).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    pub fn refused(&mut self, command: Command) -> String {
        let before = self.catalog.clone();
        let error = self.apply(&command).expect_err("must be refused");
        assert_eq!(self.catalog, before, "a refused command has changed nothing");
        error.message().to_owned()
    }

    /// A database `d` with a table `t` of one partition.
    pub fn with_table() -> (Self, DbId, TableId, PartitionId) {
        let mut this = Self::new();
        let Reply::Database(db) = this.ok(Command::CreateDatabase { name: "d".into(), if_not_exists: false })
        else {
            panic!()
        };
        let Reply::Table(table) = this.ok(Command::CreateTable(Box::new(spec(db, "t", Partitioning::None))))
        else {
            panic!()
        };
        let partition = this.catalog.partitions().last().unwrap().id;
        (this, db, table, partition)
    }

    pub fn commit(
        &mut self,
        db: DbId,
        partition: PartitionId,
        name: &str,
    ) -> Result<Reply, cairn_types::Error> {
        let base =
            self.catalog.partition(partition).and_then(|p| p.visible().map(|v| v.manifest.name.clone()));
        let change = PartitionChange { partition, base, manifest: manifest(name), replaces: false };
        self.apply(&Command::Commit {
            db,
            txn: None,
            label: None,
            changes: vec![change],
            details: String::new(),
        })
    }

    pub fn snapshot(&mut self, name: &str) -> SnapshotId {
        let spec = SnapshotSpec {
            name: Some(name.into()),
            kind: SnapshotKind::Manual,
            volume: None,
            ttl_ms: None,
            comment: String::new(),
            if_not_exists: false,
        };
        let Reply::Snapshot(id) = self.ok(Command::BeginSnapshot(spec)) else { panic!() };
        id
    }

    pub fn drop_snapshot(&mut self, name: &str) {
        self.ok(Command::DropSnapshot { name: name.into(), if_exists: false, detail: String::new() });
    }

    pub fn trim(&mut self) {
        let now_ms = 1_000 + (self.index + 1) * 10;
        self.ok(Command::Trim(Trim {
            dropped_before_ms: now_ms,
            txns_max: 1_000,
            jobs_max: 1_000,
            ..Trim::default()
        }));
    }

    pub fn table(&mut self, db: DbId, name: &str, partitioning: Partitioning) -> TableId {
        let Reply::Table(id) = self.ok(Command::CreateTable(Box::new(spec(db, name, partitioning)))) else {
            panic!()
        };
        id
    }

    pub fn view(&mut self, db: DbId, name: &str, query: &str) -> TableId {
        let view = View {
            schema: Schema::default(),
            query: query.into(),
            default_db: "d".into(),
            security_invoker: false,
        };
        let comment = String::new();
        let create = Command::CreateView { db, name: name.into(), view, comment, or_replace: true };
        let Reply::Table(id) = self.ok(create) else { panic!() };
        id
    }

    fn base(&self, id: TableId) -> Base {
        let table = self.catalog.table(id).unwrap();
        Base { id, db: self.catalog.database(table.db).unwrap().name.clone(), name: table.name.clone() }
    }

    /// A definition as it is bound now.
    pub fn definition(&self, bases: &[TableId], views: &[TableId]) -> Definition {
        Definition {
            query: "SELECT k, d FROM t".into(),
            default_db: "d".into(),
            partition_by: String::new(),
            bases: bases.iter().map(|id| self.base(*id)).collect(),
            views: views.iter().map(|id| self.base(*id)).collect(),
            links: Vec::new(),
            binding: 0,
        }
    }

    pub fn mview_spec(&self, db: DbId, name: &str, bases: &[TableId], views: &[TableId]) -> MviewSpec {
        MviewSpec {
            table: spec(db, name, Partitioning::None),
            definition: self.definition(bases, views),
            refresh: RefreshScheme { immediate: true, trigger: RefreshTrigger::Change },
            creator: "root".into(),
            first_run: None,
        }
    }

    /// A materialized view of one partition.
    pub fn mview(&mut self, db: DbId, name: &str, bases: &[TableId], views: &[TableId]) -> TableId {
        let spec = self.mview_spec(db, name, bases, views);
        let Reply::Table(id) = self.ok(Command::CreateMview(Box::new(spec))) else { panic!() };
        id
    }

    /// A materialized view by days of its base, which has the partitions by days, too.
    pub fn mview_by_day(&mut self, db: DbId, name: &str, base: TableId) -> TableId {
        let mut spec = self.mview_spec(db, name, &[base], &[]);
        spec.table.partitioning = Partitioning::Range { columns: vec![1] };
        spec.table.partitions = vec![range("p1", 1, 2), range("p2", 2, 3)];
        let columns = vec![LinkColumn { column: 1, transform: Transform::Same }];
        spec.definition.links = vec![PartitionLink { base, columns }];
        let Reply::Table(id) = self.ok(Command::CreateMview(Box::new(spec))) else { panic!() };
        id
    }

    pub fn get_mview(&self, id: TableId) -> &Mview {
        self.catalog.table(id).unwrap().mview().unwrap()
    }

    /// Why a materialized view is inactive; empty: it is active.
    pub fn inactive(&self, id: TableId) -> (Option<InactiveCause>, &str) {
        match &self.get_mview(id).state {
            MviewState::Active => (None, ""),
            MviewState::Inactive { cause, reason, .. } => (Some(*cause), reason),
        }
    }

    /// The commit of a refresh of all partitions, from bases as they are now.
    pub fn refresh_spec(&self, id: TableId, manifest_name: &str) -> RefreshSpec {
        let mview = self.get_mview(id);
        let olap = |table: TableId| self.catalog.table(table).unwrap().olap().unwrap();
        let seen = |base: &Base| (base.id, Seen::Table(olap(base.id).data_version));
        let bases: BTreeMap<_, _> = mview.definition.bases.iter().map(seen).collect();
        let partitions: Vec<_> = self.catalog.partitions_of(&mview.table).collect();
        RefreshSpec {
            mview: id,
            binding: mview.definition.binding,
            changes: partitions.iter().map(|p| replacing(p, manifest_name)).collect(),
            built: partitions.iter().map(|p| (p.id, bases.clone())).collect(),
            dropped: Vec::new(),
            before: None,
            run: None,
        }
    }

    pub fn refresh(&mut self, id: TableId, manifest_name: &str) {
        let spec = self.refresh_spec(id, manifest_name);
        self.ok(Command::CommitRefresh(Box::new(spec)));
    }

    /// The data version of a table, and of its partition of this name the visible version and the one that replaced.
    pub fn versions(&self, table: TableId, partition: &str) -> (u64, u64, u64) {
        let olap = self.catalog.table(table).unwrap().olap().unwrap();
        let partition = self.catalog.partition(olap.partitions[partition]).unwrap();
        (olap.data_version, partition.visible_version(), partition.replaced_version)
    }

    /// The manifests that are held, with who holds each.
    pub fn held(&self) -> Vec<(String, Vec<Holder>)> {
        let partitions = self.catalog.partitions();
        let held = partitions.flat_map(|p| {
            self.catalog
                .holders(p)
                .into_iter()
                .map(|(v, by)| (v.manifest.name.clone(), by))
                .collect::<Vec<_>>()
        });
        let mut held: Vec<_> = held.collect();
        held.sort_by(|a, b| a.0.cmp(&b.0));
        held
    }
}

pub fn manifest(name: &str) -> ManifestRef {
    ManifestRef { name: name.into(), checksum: 7, rows: 1, bytes: 10, segments: 1 }
}

pub fn spec(db: DbId, name: &str, partitioning: Partitioning) -> TableSpec {
    let column = |name: &str, ty| Column::new(name, ty, true);
    let partitions = match partitioning {
        Partitioning::None => vec![PartitionSpec { name: name.into(), bounds: Bounds::All, buckets: None }],
        _ => Vec::new(),
    };
    TableSpec {
        db,
        model: Default::default(),
        name: name.into(),
        schema: Schema { columns: vec![column("k", SqlType::Int), column("d", SqlType::Date)] },
        sort_key: vec![0],
        partitioning,
        distribution: Distribution::Hash { columns: vec![0], buckets: 2 },
        comment: String::new(),
        properties: BTreeMap::new(),
        volume: None,
        partitions,
    }
}

pub fn range(name: &str, lower: i32, upper: i32) -> PartitionSpec {
    let bound = |day| Some(vec![Literal::Date(day)]);
    PartitionSpec {
        name: name.into(),
        bounds: Bounds::Range { lower: bound(lower), upper: bound(upper) },
        buckets: None,
    }
}

/// The change of a partition from its visible manifest to another.
pub fn appending(partition: &Partition, name: &str) -> PartitionChange {
    let base = partition.visible().map(|v| v.manifest.name.clone());
    PartitionChange { partition: partition.id, base, manifest: manifest(name), replaces: false }
}

pub fn replacing(partition: &Partition, name: &str) -> PartitionChange {
    PartitionChange { replaces: true, ..appending(partition, name) }
}

pub fn task_spec(db: DbId, name: &str) -> TaskSpec {
    TaskSpec {
        name: name.into(),
        db,
        definition: "INSERT INTO t SELECT 1".into(),
        schedule: Some(TaskSchedule { start_ms: 1, every_ms: 60_000 }),
        properties: BTreeMap::from([("session.query_timeout".to_owned(), "9".to_owned())]),
        creator: "root".into(),
        expires_ms: None,
    }
}

pub fn run_spec(task: TaskOf) -> TaskRunSpec {
    TaskRunSpec {
        query_id: "q".into(),
        task,
        definition: "SELECT 1".into(),
        priority: 50,
        request: RefreshRequest {
            force: true,
            range: Some(RefreshRange::Range { start: "2024-01-01".into(), end: "2024-02-01".into() }),
            cascade: false,
            trigger: RunTrigger::Manual,
        },
        properties: BTreeMap::new(),
        root_run: None,
    }
}

/// Records a run that waits.
pub fn submit(c: &mut Cluster1, task: TaskOf) -> TaskRunId {
    let Reply::TaskRun(id) = c.ok(Command::SubmitRun(Box::new(run_spec(task)))) else { panic!() };
    id
}

pub fn advance(id: TaskRunId, state: RunState) -> RunAdvance {
    RunAdvance {
        id,
        state,
        progress_percent: 50,
        error_code: i32::from(state == RunState::Failed),
        error: if state == RunState::Failed { "no".into() } else { String::new() },
        extra: "{}".into(),
        into: None,
    }
}
