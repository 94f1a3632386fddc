//! An engine over a catalog whose tables' rows are in memory.

mod analyze;
mod fixture;
mod random;
mod refresh;
mod rewrite;
mod runs;
mod store;
mod through_engine;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use cairn_catalog::{
    Bounds, Catalog, Command, Distribution, Floor, PartitionSpec, Partitioning, Reply, Table, TableSpec,
    TimeUnit, View,
};
use cairn_env::Env;
use cairn_ingest::arrow_schema;
use cairn_storage::{Meta, StorageContext, StorageOptions};
use cairn_types::{Column, Error, Literal, PartitionId, Result, Schema, SqlType, TableId};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{MemTable, TableType};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use sqlparser::ast::Value;

use crate::names::SessionFacts;
use crate::{Engine, EngineOptions, QueryContext, SystemTables, Tablets};

/// Numbers that look random and are the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % n as u64) as usize
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// True in `percent` of cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A catalog's table whose rows are in memory, by partition.
#[derive(Clone, Debug)]
pub(crate) struct TestTable {
    pub(crate) table: Arc<Table>,
    pub(crate) rows: BTreeMap<PartitionId, Vec<RecordBatch>>,
    pub(crate) only: Option<Vec<PartitionId>>,
}

#[async_trait]
impl TableProvider for TestTable {
    fn schema(&self) -> SchemaRef {
        arrow_schema(self.table.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let only = |id: &PartitionId| self.only.as_ref().is_none_or(|only| only.contains(id));
        let rows = self.rows.iter().filter(|(id, _)| only(id)).flat_map(|(_, batches)| batches.clone());
        let memory = MemTable::try_new(self.schema(), vec![rows.collect()])?;
        memory.scan(state, projection, filters, limit).await
    }
}

struct Fixed(Arc<Catalog>);

#[async_trait]
impl Meta for Fixed {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0)
    }

    async fn propose(&self, _: Command) -> Result<Reply> {
        Err(Error::unavailable("read only"))
    }
}

impl SystemTables for Fixed {
    fn is_system_database(&self, database: &str) -> bool {
        database == "information_schema"
    }

    fn table(&self, _: &Arc<Catalog>, _: &str, _: &str, _: &str) -> Result<Option<MemTable>> {
        let schema = Arc::new(arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
            "table_name",
            arrow::datatypes::DataType::Utf8View,
            true,
        )]));
        MemTable::try_new(schema, vec![vec![]]).map(Some).map_err(crate::from_datafusion)
    }
}

impl SessionFacts for Fixed {
    fn variable(&self, _: &str) -> Option<Value> {
        None
    }

    fn function(&self, _: &str) -> Option<Value> {
        None
    }
}

/// A catalog with one database `db`.
pub(crate) struct World {
    pub(crate) catalog: Catalog,
    index: u64,
    db: cairn_types::DbId,
}

impl World {
    pub(crate) fn new() -> Self {
        let catalog = empty_catalog();
        let mut this = Self { catalog, index: 0, db: cairn_types::DbId(0) };
        match this.apply(&Command::CreateDatabase { name: "db".into(), if_not_exists: false }) {
            Reply::Database(id) => this.db = id,
            other => panic!("{other:?}"),
        }
        this
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Reply {
        self.index += 1;
        self.catalog.apply(self.index, self.index * 1000, command).unwrap()
    }

    /// Columns as `name type [not null]`, with commas between.
    pub(crate) fn table(
        &mut self,
        name: &str,
        columns: &str,
        partitioning: Partitioning,
        partitions: Vec<PartitionSpec>,
    ) -> TableId {
        let partitions = match &partitioning {
            Partitioning::None => {
                vec![PartitionSpec { name: name.into(), bounds: Bounds::All, buckets: None }]
            }
            _ => partitions,
        };
        let spec = TableSpec {
            db: self.db,
            model: Default::default(),
            name: name.to_owned(),
            schema: schema(columns),
            sort_key: vec![0],
            partitioning,
            distribution: Distribution::Random { buckets: 1 },
            comment: String::new(),
            properties: BTreeMap::new(),
            volume: None,
            partitions,
        };
        match self.apply(&Command::CreateTable(Box::new(spec))) {
            Reply::Table(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn view(&mut self, name: &str, columns: &str, query: &str) {
        let view = View {
            schema: schema(columns),
            query: query.to_owned(),
            default_db: "db".into(),
            security_invoker: false,
        };
        let command = Command::CreateView {
            db: self.db,
            name: name.into(),
            view,
            comment: String::new(),
            or_replace: false,
        };
        self.apply(&command);
    }

    pub(crate) fn engine(&self) -> (Arc<Engine>, Arc<Catalog>) {
        let catalog = Arc::new(self.catalog.clone());
        let (env, _) = Env::simulated(1, 0);
        let storage =
            StorageContext::new(env, Arc::new(Fixed(Arc::clone(&catalog))), StorageOptions::default());
        let options = EngineOptions {
            memory_bytes_max: 64 << 20,
            spill_dir: std::env::temp_dir(),
            spill_bytes_max: 1 << 20,
            threads: 2,
        };
        let system = Arc::new(Fixed(Arc::clone(&catalog)));
        (Engine::new(&options, Arc::new(Tablets::new(storage)), system).unwrap(), catalog)
    }
}

pub(crate) fn context(engine: &Arc<Engine>, catalog: &Arc<Catalog>) -> QueryContext {
    let mut context = engine.context(Arc::clone(catalog), "db", "root", Arc::new(Fixed(Arc::clone(catalog))));
    context.parallelism = 1;
    context
}

pub(crate) fn schema(columns: &str) -> Schema {
    let column = |text: &str| {
        let (name, rest) = text.trim().split_once(' ').unwrap();
        let (ty, nullable) = match rest.strip_suffix(" not null") {
            Some(ty) => (ty, false),
            None => (rest, true),
        };
        let ty = match ty {
            "int" => SqlType::Int,
            "bigint" => SqlType::BigInt,
            "double" => SqlType::Double,
            "date" => SqlType::Date,
            "datetime" => SqlType::DateTime,
            "varchar" => SqlType::Varchar(100),
            "decimal" => SqlType::Decimal { precision: 10, scale: 2 },
            other => panic!("{other}"),
        };
        Column::new(name, ty, nullable)
    };
    Schema { columns: columns.split(',').map(column).collect() }
}

pub(crate) fn date(text: &str) -> Literal {
    Literal::parse(text, SqlType::Date).unwrap()
}

/// A range partition of dates; empty text is no bound.
pub(crate) fn range(name: &str, lower: &str, upper: &str) -> PartitionSpec {
    let bound = |text: &str| (!text.is_empty()).then(|| vec![date(text)]);
    PartitionSpec {
        name: name.into(),
        bounds: Bounds::Range { lower: bound(lower), upper: bound(upper) },
        buckets: None,
    }
}

fn empty_catalog() -> Catalog {
    use cairn_catalog::{Cluster, Stamp, Volume, VolumeKind};
    let volume = Volume {
        id: cairn_types::VolumeId(1),
        name: "builtin".into(),
        kind: VolumeKind::File,
        location: "file:///nowhere".into(),
        comment: String::new(),
        properties: BTreeMap::new(),
        created: Stamp::default(),
    };
    Catalog::new(Cluster { id: "c0ffee".into(), epoch: 1, created_ms: 1, start: Default::default() }, volume)
}
