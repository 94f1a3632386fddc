//! Tables with real segments in memory.

use cairn_catalog::{Definition, Mview, MviewState, RefreshScheme, RefreshTrigger, TableKind};
use cairn_storage::testing::TestCluster;
use cairn_storage::{CommitRequest, Committer, LoadOptions, LoadWriter};

use super::fixture::{cast_to, collect};
use super::*;
use crate::Analysis;

/// A cluster with a few tables, and an engine over it.
pub(crate) struct Store {
    pub(crate) cluster: TestCluster,
    pub(crate) engine: Arc<Engine>,
}

impl Store {
    pub(crate) async fn new() -> Self {
        let cluster = TestCluster::new().await.unwrap();
        let options = EngineOptions {
            memory_bytes_max: 64 << 20,
            spill_dir: std::env::temp_dir(),
            spill_bytes_max: 1 << 20,
            threads: 2,
        };
        let tablets = Arc::new(Tablets::new(Arc::clone(&cluster.ctx)));
        let system = Arc::new(Fixed(cluster.ctx.meta.catalog()));
        let engine = Engine::new(&options, tablets, system).unwrap();
        let this = Self { cluster, engine };
        let by_day = || Partitioning::Time { column: 0, unit: TimeUnit::Day, step: 1 };
        let by_month = || Partitioning::Time { column: 0, unit: TimeUnit::Month, step: 1 };
        this.table("t", "dt date, k int, v bigint, d decimal", by_day()).await;
        this.table("u", "dt date, k int, w bigint", by_month()).await;
        this.table(
            "h",
            "ts datetime, k int",
            Partitioning::Time { column: 0, unit: TimeUnit::Hour, step: 6 },
        )
        .await;
        this.table("c", "city varchar, k int", Partitioning::values(vec![0])).await;
        let floor = |unit| Some(Floor { unit, step: 1 });
        let by = |columns: &[(usize, Option<Floor>)]| Partitioning::floored_values(columns.to_vec());
        this.table("f", "dt date, city varchar, k int", by(&[(0, floor(TimeUnit::Month)), (1, None)])).await;
        let two = [(1, floor(TimeUnit::Day)), (0, floor(TimeUnit::Week))];
        this.table("g", "dt date, ts datetime, k int", by(&two)).await;
        this.table("dim", "k int, name varchar", Partitioning::None).await;
        this
    }

    /// Makes a table and puts rows into it.
    pub(crate) async fn table(&self, name: &str, columns: &str, partitioning: Partitioning) {
        let partitions = match partitioning {
            Partitioning::None => {
                vec![PartitionSpec { name: name.into(), bounds: Bounds::All, buckets: None }]
            }
            _ => vec![],
        };
        let spec = TableSpec {
            db: self.cluster.db,
            model: Default::default(),
            name: name.into(),
            schema: schema(columns),
            sort_key: vec![0],
            partitioning,
            distribution: Distribution::Random { buckets: 1 },
            comment: String::new(),
            properties: BTreeMap::new(),
            volume: None,
            partitions,
        };
        let table = self.cluster.create_table(spec).unwrap();
        let mut dice = Dice::new(name.len() as u64 + u64::from(name.as_bytes()[0]));
        self.load(table, self.random_rows(columns, 40, &mut dice).await).await;
    }

    /// `count` rows with these columns.
    pub(crate) async fn random_rows(&self, columns: &str, count: usize, dice: &mut Dice) -> Vec<RecordBatch> {
        let mut values = Vec::new();
        for _ in 0..count {
            let row: Vec<String> = columns.split(',').map(|c| value(c.trim(), dice)).collect();
            values.push(format!("({})", row.join(", ")));
        }
        self.rows(&format!("SELECT * FROM (VALUES {}) x", values.join(", "))).await
    }

    /// Puts rows into `table`.
    pub(crate) async fn load(&self, table: TableId, batches: Vec<RecordBatch>) {
        let mut writer =
            LoadWriter::new(Arc::clone(&self.cluster.ctx), table, LoadOptions::default()).unwrap();
        for batch in batches {
            writer.write(cast_to(&batch, &writer.schema().clone())).await.unwrap();
        }
        let written = vec![writer.finish().await.unwrap()];
        let request = CommitRequest {
            db: self.cluster.db,
            txn: None,
            label: None,
            written,
            details: String::new(),
            overwrite: false,
            refresh: None,
        };
        Committer::new(Arc::clone(&self.cluster.ctx)).commit(request).await.unwrap();
    }

    pub(crate) fn context(&self) -> QueryContext {
        let catalog = self.cluster.ctx.meta.catalog();
        let facts = Arc::new(Fixed(Arc::clone(&catalog)));
        let mut context = self.engine.context(catalog, "d", "root", facts);
        context.parallelism = 1;
        context
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<RecordBatch> {
        let query = cairn_sql::parse_query(sql).unwrap();
        let planned = self.engine.plan(Arc::new(self.context()), &query).await.unwrap();
        collect(&planned, planned.plan.clone()).await
    }

    pub(crate) async fn analyze(&self, sql: &str, by: &str) -> Analysis {
        let query = cairn_sql::parse_query(sql).unwrap();
        let exprs = super::analyze::clause(by);
        self.engine.analyze_mview(Arc::new(self.context()), &query, sql, &[], &exprs).await.unwrap()
    }
}

fn value(column: &str, dice: &mut Dice) -> String {
    let (_, ty) = column.split_once(' ').unwrap();
    if dice.chance(12) {
        return "NULL".to_owned();
    }
    match ty {
        "date" => format!("DATE '2024-0{}-{:02}'", 1 + dice.below(3), 1 + dice.below(28)),
        "datetime" => format!(
            "CAST('2024-0{}-{:02} {:02}:10:00' AS DATETIME)",
            1 + dice.below(3),
            1 + dice.below(28),
            dice.below(24)
        ),
        "varchar" => format!("'{}'", dice.one(&["x", "y", "z"])),
        "decimal" => format!("{}.{:02}", dice.below(9), dice.below(100)),
        _ => dice.below(5).to_string(),
    }
}

/// An MV with this analysis, without rows and not in the catalog.
pub(crate) fn mview(analysis: &Analysis) -> Table {
    let table = cairn_catalog::OlapTable {
        model: Default::default(),
        schema: analysis.schema.clone(),
        sort_key: vec![],
        partitioning: analysis.partitioning.clone(),
        distribution: Distribution::Random { buckets: 1 },
        properties: BTreeMap::new(),
        volume: cairn_types::VolumeId(1),
        partitions: Default::default(),
        data_version: 0,
    };
    let definition: Definition = analysis.definition(0);
    let mview = Mview {
        table,
        definition,
        refresh: RefreshScheme { immediate: true, trigger: RefreshTrigger::Manual },
        state: MviewState::Active,
        freshness: Default::default(),
        creator: "root".into(),
    };
    Table {
        id: TableId(900),
        db: cairn_types::DbId(1),
        name: "mv".into(),
        created: Default::default(),
        dropped: None,
        comment: String::new(),
        kind: TableKind::Mview(Box::new(mview)),
    }
}
