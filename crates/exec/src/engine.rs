//! One query from AST to a stream of batches, at one catalog state.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use cairn_catalog::{Catalog, View};
use cairn_env::STACK_BYTES;
use cairn_ingest::DISPLAY_NAME;
use cairn_types::{Error, Result, TableId};
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;
use sqlparser::ast::{Query, Statement};

use crate::error::from_datafusion;
use crate::lenient::lenient_casts;
use crate::limit::QueryPool;
use crate::mview::memo::Memo;
use crate::mview::template::Template;
use crate::mview::{Bound, BoundLog, MviewOptions, Restrictions, rewrite};
use crate::names::{self, Header, SessionFacts};
use crate::resolve::{DEFAULT_CATALOG, Names, SystemTables};
use crate::table::{ScanInfo, ScanLog, object_store_url};
use crate::tablets::Tablets;
use crate::workers::Workers;
use crate::{constant, count_distinct, files, functions, partition_clause, semantics};

/// Limits of the process that runs queries.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Memory of all queries together, in bytes.
    pub memory_bytes_max: usize,
    /// Where operators spill; removed at start and end.
    pub spill_dir: PathBuf,
    /// Disk for spilling, in bytes.
    pub spill_bytes_max: u64,
    /// Threads that queries run on.
    pub threads: usize,
}

/// Plans and runs queries.
pub struct Engine {
    base: SessionState,
    memory: Arc<dyn MemoryPool>,
    workers: Workers,
    pub(crate) tablets: Arc<Tablets>,
    pub(crate) system: Arc<dyn SystemTables>,
    pub(crate) definitions: Memo<rewrite::Kept>,
    /// The queries of MVs as they are refreshed.
    pub(crate) templates: Memo<Arc<Template>>,
}

/// What one query is planned on: a catalog state, who asks, and what the session has set.
pub struct QueryContext {
    pub(crate) engine: Arc<Engine>,
    /// Pinned: vacuum keeps what it reaches as long as this lives.
    pub catalog: Arc<Catalog>,
    /// The session's database; empty when none is selected.
    pub database: String,
    pub user: String,
    pub facts: Arc<dyn SessionFacts>,
    /// Partitions that operators run in.
    pub parallelism: usize,
    /// `query_mem_limit` in bytes; 0: that of the process.
    pub memory_bytes_max: usize,
    pub(crate) scans: Arc<ScanLog>,
    pub(crate) files: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
    /// Which materialized views may answer; by default none.
    pub mviews: MviewOptions,
    pub(crate) restrictions: Restrictions,
    pub(crate) bound: BoundLog,
}

/// A planned query.
pub struct Planned {
    pub plan: LogicalPlan,
    /// Names of the result's columns as the user wrote them.
    pub names: Vec<String>,
    pub(crate) state: SessionState,
    pub(crate) context: Arc<QueryContext>,
    pub(crate) mview_notes: Vec<String>,
    /// How many of the context's names the query itself has: those after them are of materialized views.
    pub(crate) own_names: usize,
    /// Whether `plan` has been through the optimizer.
    pub(crate) optimized: bool,
    /// The plan that runs the next time, when it was made already: some nodes run once.
    pub(crate) ready: Mutex<Option<Arc<dyn ExecutionPlan>>>,
}

impl Engine {
    /// An engine that reads through `tablets` and makes system tables through `system`.
    ///
    /// # Errors
    /// `Unavailable` when the spill folder cannot be used.
    pub fn new(
        options: &EngineOptions,
        tablets: Arc<Tablets>,
        system: Arc<dyn SystemTables>,
    ) -> Result<Arc<Self>> {
        let workers = Workers::new(options.threads, STACK_BYTES)
            .map_err(|e| Error::unavailable(format!("cannot start the threads of queries: {e}")))?;
        let memory: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(options.memory_bytes_max));
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]))
            .with_max_temp_directory_size(options.spill_bytes_max);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&memory))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(from_datafusion)?;
        // Scans name a store that nothing is read through: `SegmentReaders` opens segments.
        let url = object_store_url().map_err(from_datafusion)?;
        runtime.register_object_store(url.as_ref(), Arc::new(object_store::memory::InMemory::new()));
        let mut builder = SessionStateBuilder::new()
            .with_config(config().map_err(from_datafusion)?)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(count_distinct::logical_rules())
            .with_physical_optimizer_rules(count_distinct::rules())
            .with_type_planner(Arc::new(semantics::Types));
        let planners = builder.expr_planners().take().unwrap_or_default();
        let planners = std::iter::once(Arc::new(semantics::Arithmetic) as _).chain(planners).collect();
        let mut base = builder.with_expr_planners(planners).build();
        functions::register(&mut base).map_err(from_datafusion)?;
        Ok(Arc::new(Self {
            base,
            memory,
            workers,
            tablets,
            system,
            definitions: Memo::default(),
            templates: Memo::default(),
        }))
    }

    /// Whether `database` is one of the system's.
    #[must_use]
    pub fn is_system_database(&self, database: &str) -> bool {
        self.system.is_system_database(database)
    }

    /// Whether `name` is a function that gives a table.
    pub(crate) fn is_table_function(&self, name: &str) -> bool {
        self.base.table_functions().contains_key(name)
    }

    /// Bytes that running queries have reserved.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.reserved()
    }

    /// A context for one query.
    #[must_use]
    pub fn context(
        self: &Arc<Self>,
        catalog: Arc<Catalog>,
        database: &str,
        user: &str,
        facts: Arc<dyn SessionFacts>,
    ) -> QueryContext {
        QueryContext {
            engine: Arc::clone(self),
            catalog,
            database: database.to_owned(),
            user: user.to_owned(),
            facts,
            parallelism: 0,
            memory_bytes_max: 0,
            scans: Arc::default(),
            files: Mutex::default(),
            mviews: MviewOptions::default(),
            restrictions: Restrictions::default(),
            bound: BoundLog::default(),
        }
    }

    /// Plans `query`, answered from materialized views where the context allows it.
    ///
    /// # Errors
    /// What is unknown, ambiguous, of the wrong type or not supported.
    pub async fn plan(&self, context: Arc<QueryContext>, query: &Query) -> Result<Planned> {
        let names = Names { transparent: context.mviews.source.is_some(), ..Names::of(&context) };
        let planned = self.plan_with(names, query).await?;
        let (plan, mview_notes) =
            rewrite::apply(self, &planned.state, &planned.context, planned.plan).await?;
        Ok(Planned { plan, mview_notes, ..planned })
    }

    /// Plans `query` over exactly the tables that it names.
    pub(crate) async fn plan_as_written(
        &self,
        context: &Arc<QueryContext>,
        query: &Query,
    ) -> Result<Planned> {
        self.plan_with(Names::of(context), query).await
    }

    async fn plan_with(&self, names: Names, query: &Query) -> Result<Planned> {
        let context = Arc::clone(&names.context);
        let header = Header::of(query);
        let mut query = query.clone();
        normalize(&names, &context.database, &mut query)?;
        files::register(&context, &mut query).await?;
        let state = self.state(&context, names, &context.database);
        let plan = plan_query(&state, query).await?;
        // Names are taken now: a materialized view that answers has names of its own.
        let planned = plan.schema().fields().iter().map(|f| display_name(f)).collect();
        let names = header.apply(planned);
        let own_names = context.bound.len();
        Ok(Planned { names, own_names, ..Planned::of(plan, state, context) })
    }

    /// Plans the query of a materialized view in its own database, over the catalog of `context`.
    pub(crate) async fn plan_definition(
        &self,
        context: &Arc<QueryContext>,
        query: &str,
        default_db: &str,
    ) -> Result<(LogicalPlan, SessionState)> {
        let mut query = cairn_sql::parse_query(query)?;
        let names = Names { defined: true, ..Names::of(context) };
        normalize(&names, default_db, &mut query)?;
        let state = self.state(context, names, default_db);
        let plan = plan_query(&state, query).await?;
        Ok((plan, state))
    }

    /// Plans the query of a view, whose names are looked up in the view's own database.
    pub(crate) async fn plan_view(&self, names: Names, view: &View) -> Result<LogicalPlan> {
        let mut query = cairn_sql::parse_query(&view.query)?;
        let context = Arc::clone(&names.context);
        normalize(&names, &view.default_db, &mut query)?;
        let state = self.state(&context, names, &view.default_db);
        let plan = plan_query(&state, query).await?;
        // The view's columns have the names they got when it was made, whatever its tables call them now.
        let fields = plan.schema().fields().len();
        if fields != view.schema.columns.len() {
            return Err(Error::analysis(format!(
                "its query gives {fields} columns, it was made with {}: create it again",
                view.schema.columns.len()
            )));
        }
        let aliases = plan.schema().iter().zip(&view.schema.columns).map(|((qualifier, field), column)| {
            datafusion::logical_expr::Expr::Column((qualifier, field).into())
                .alias(column.name.to_lowercase())
        });
        let aliases: Vec<_> = aliases.collect();
        let builder = datafusion::logical_expr::LogicalPlanBuilder::from(plan);
        builder.project(aliases).and_then(|b| b.build()).map_err(from_datafusion)
    }

    pub(crate) fn state(&self, context: &QueryContext, names: Names, database: &str) -> SessionState {
        // A clone: building anew would register every function again, which costs more than a small query.
        let mut state = self.base.clone();
        let options = state.config_mut().options_mut();
        DEFAULT_CATALOG.clone_into(&mut options.catalog.default_catalog);
        database.clone_into(&mut options.catalog.default_schema);
        if context.parallelism > 0 {
            options.execution.target_partitions = context.parallelism;
        }
        state.register_catalog_list(Arc::new(names));
        // What `now()` is, everywhere in the query: without it nothing can tell the time.
        let now_micros = i64::try_from(self.tablets.env().now_micros()).ok();
        state.execution_props_mut().query_execution_start_time =
            now_micros.and_then(chrono::DateTime::from_timestamp_micros);
        state
    }

    /// The memory and disk that one query runs in.
    fn runtime(&self, context: &QueryContext) -> Arc<RuntimeEnv> {
        if context.memory_bytes_max == 0 {
            return Arc::clone(self.base.runtime_env());
        }
        let mut runtime = RuntimeEnv::clone(self.base.runtime_env());
        runtime.memory_pool = Arc::new(QueryPool::new(Arc::clone(&self.memory), context.memory_bytes_max));
        Arc::new(runtime)
    }
}

/// Brings `query` into a form that means in DataFusion what it means here.
fn normalize(names: &Names, database: &str, query: &mut Query) -> Result<()> {
    names::normalize(query, names.context.facts.as_ref())?;
    partition_clause::register(names, database, query)
}

pub(crate) async fn plan_query(state: &SessionState, query: Query) -> Result<LogicalPlan> {
    let statement = Statement::Query(Box::new(query));
    let statement = datafusion::sql::parser::Statement::Statement(Box::new(statement));
    let plan = state.statement_to_plan(statement).await;
    let plan = plan.and_then(lenient_casts);
    // Only then the types of its columns are known.
    plan.and_then(|plan| state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}))
        .map_err(from_datafusion)
}

fn display_name(field: &arrow::datatypes::Field) -> String {
    let name = field.metadata().get(DISPLAY_NAME).unwrap_or(field.name());
    names::without_number(name).to_owned()
}

/// DataFusion's settings that do not change from query to query.
fn config() -> datafusion::common::Result<SessionConfig> {
    let mut config = SessionConfig::new();
    let options = config.options_mut();
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.parse_float_as_decimal = true;
    "nulls_min".clone_into(&mut options.sql_parser.default_null_ordering);
    options.catalog.create_default_catalog_and_schema = false;
    options.catalog.information_schema = false;
    options.execution.parquet.schema_force_view_types = true;
    // What an aggregate has found so far must not leave rows out of a scan that other aggregates need: DataFusion 55.2 forgets
    // those of expressions and of NULLs (apache/datafusion#24816).
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // An expression that is taken out of a CASE can be NULL for the planner where the CASE is not.
    options.execution.skip_physical_aggregate_schema_check = true;
    // A file for each batch that a repartition spills: its reader waits for the oldest file, and would wait for ever
    // for an open one whose writer waits for the reader (apache/datafusion#24883, not yet in DataFusion 55.2).
    options.execution.max_spill_file_size_bytes = ConfigNonZeroUsize::try_new(1)?;
    Ok(config)
}

impl QueryContext {
    /// Makes the unqualified `name` mean `table` in this query, whatever database is selected. `name` should be one
    /// that no user gives: it hides a table of the same name.
    pub fn add_table(&self, name: &str, table: Arc<dyn TableProvider>) {
        self.files.lock().insert(name.to_owned(), table);
    }

    pub(crate) fn files_table(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        self.files.lock().get(name).cloned()
    }
}

impl Planned {
    /// A plan without anything that is told about it.
    pub(crate) fn of(plan: LogicalPlan, state: SessionState, context: Arc<QueryContext>) -> Self {
        let (names, mview_notes) = (Vec::new(), Vec::new());
        let (optimized, ready) = (false, Mutex::default());
        Self { plan, names, state, context, mview_notes, own_names: 0, optimized, ready }
    }

    /// The types of the result's columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// Whether the query reads this table, view or materialized view, by its name or through views.
    #[must_use]
    pub fn reads(&self, table: TableId) -> bool {
        let is_it = |bound: &Bound| matches!(bound, Bound::Table(_, found) if found.id == table);
        self.context.bound.all().iter().take(self.own_names).any(is_it)
    }

    /// Why materialized views that read the same tables do not answer the query, a line each.
    #[must_use]
    pub fn mview_notes(&self) -> &[String] {
        &self.mview_notes
    }

    /// What each scan of the physical plan reads, in the order in which scans were planned.
    #[must_use]
    pub fn scans(&self) -> Vec<Arc<ScanInfo>> {
        self.context.scans.infos()
    }

    /// The plan that runs.
    ///
    /// # Errors
    /// What planning finds, and what reading manifests finds.
    pub async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let ready = self.ready.lock().take();
        if let Some(ready) = ready {
            return Ok(ready);
        }
        let physical = match self.optimized {
            true => self.state.query_planner().create_physical_plan(&self.plan, &self.state).await,
            false => self.state.create_physical_plan(&self.plan).await,
        };
        physical.map_err(from_datafusion)
    }

    /// The context that a physical plan of this query runs in.
    #[must_use]
    pub fn task_context(&self) -> Arc<TaskContext> {
        // Functions are looked up by name when plans are read from bytes, which nobody does here.
        Arc::new(TaskContext::new(
            None,
            self.state.session_id().to_owned(),
            self.state.config().clone(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            self.context.engine.runtime(&self.context),
        ))
    }

    /// Starts the query. Dropping the stream ends it.
    ///
    /// # Errors
    /// As [`Planned::physical`].
    pub async fn execute(&self) -> Result<SendableRecordBatchStream> {
        if let Some(row) = constant::row(&self.plan).map_err(from_datafusion)? {
            let rows = futures::stream::once(std::future::ready(Ok(row)));
            return Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)));
        }
        self.run().await.map(|(_, rows)| rows)
    }

    /// Starts the query: the plan as it runs, and its rows.
    pub(crate) async fn run(&self) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream)> {
        let plan = self.physical().await?;
        self.context.engine.workers.run(plan, self.task_context()).map_err(from_datafusion)
    }
}
