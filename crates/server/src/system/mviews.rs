//! Materialized views: `materialized_views`, and the same rows as `SHOW MATERIALIZED VIEWS`.

use std::collections::BTreeMap;

use cairn_catalog::{
    Catalog, Mview, MviewState, Partitioning, RefreshRange, RefreshTrigger, RunTrigger, Table, TaskOf,
    TaskRun,
};
use cairn_mview::{Purpose, verdict};
use cairn_types::{DbId, Literal, SqlType, TableId};
use serde_json::{Map, Value, json};

use super::objects::{Contents, visible_tables};
use super::{LONG, REAL, SystemTable, TEXT, TIME, count};
use crate::rows::{Rows, boolean_text, int, text, time};
use crate::statement::show_create;

const COLUMNS: &[(&str, SqlType)] = &[
    ("MATERIALIZED_VIEW_ID", LONG),
    ("TABLE_SCHEMA", TEXT),
    ("TABLE_NAME", TEXT),
    ("REFRESH_TYPE", TEXT),
    ("IS_ACTIVE", TEXT),
    ("INACTIVE_REASON", TEXT),
    ("PARTITION_TYPE", TEXT),
    ("TASK_ID", LONG),
    ("TASK_NAME", TEXT),
    ("LAST_REFRESH_START_TIME", TIME),
    ("LAST_REFRESH_FINISHED_TIME", TIME),
    ("LAST_REFRESH_DURATION", REAL),
    ("LAST_REFRESH_STATE", TEXT),
    ("LAST_REFRESH_FORCE_REFRESH", TEXT),
    ("LAST_REFRESH_START_PARTITION", TEXT),
    ("LAST_REFRESH_END_PARTITION", TEXT),
    ("LAST_REFRESH_BASE_REFRESH_PARTITIONS", TEXT),
    ("LAST_REFRESH_MV_REFRESH_PARTITIONS", TEXT),
    ("LAST_REFRESH_ERROR_CODE", TEXT),
    ("LAST_REFRESH_ERROR_MESSAGE", TEXT),
    ("TABLE_ROWS", LONG),
    ("MATERIALIZED_VIEW_DEFINITION", TEXT),
    ("EXTRA_MESSAGE", TEXT),
    ("QUERY_REWRITE_STATUS", TEXT),
    ("CREATOR", TEXT),
    ("LAST_REFRESH_PROCESS_TIME", TIME),
    ("LAST_REFRESH_JOB_ID", TEXT),
    // Cairn's own.
    ("STALE_PARTITIONS", LONG),
];

/// What `SHOW` calls otherwise; all other columns have the same name in lower case.
const SHOWN_AS: [(&str, &str); 5] = [
    ("MATERIALIZED_VIEW_ID", "id"),
    ("TABLE_SCHEMA", "database_name"),
    ("TABLE_NAME", "name"),
    ("TABLE_ROWS", "rows"),
    ("MATERIALIZED_VIEW_DEFINITION", "text"),
];

pub(super) const TABLES: &[SystemTable] = &[SystemTable {
    name: "materialized_views",
    columns: COLUMNS,
    fill: |scope, rows| fill(scope.catalog, None, scope.now_ms, rows),
}];

/// `SHOW MATERIALIZED VIEWS` of database `db`; `None`: one of the system's, which has none.
#[must_use]
pub fn shown(catalog: &Catalog, db: Option<DbId>, now_ms: u64) -> Rows {
    let shown_as = |name: &str| {
        let other = SHOWN_AS.iter().find(|(of, _)| *of == name);
        other.map_or_else(|| name.to_lowercase(), |(_, other)| (*other).to_owned())
    };
    let names: Vec<(String, SqlType)> = COLUMNS.iter().map(|(name, ty)| (shown_as(name), *ty)).collect();
    let columns: Vec<(&str, SqlType)> = names.iter().map(|(name, ty)| (name.as_str(), *ty)).collect();
    let mut rows = Rows::new(&columns);
    if db.is_some() {
        fill(catalog, db, now_ms, &mut rows);
    }
    rows
}

/// Adds the views of one database, or of all.
fn fill(catalog: &Catalog, only: Option<DbId>, now_ms: u64, rows: &mut Rows) {
    let runs = last_runs(catalog);
    for (db, table) in visible_tables(catalog).filter(|(db, _)| only.is_none_or(|only| only == db.id)) {
        let Some(mview) = table.mview() else { continue };
        let last = runs.get(&table.id).map(|run| LastRun::of(run));
        let refreshed = last.as_ref().map_or_else(LastRun::none, LastRun::facts);
        let [extra, process_time, job_id] = last.as_ref().map_or_else(
            || [text(""), Literal::Null, Literal::Null],
            |last| [text(last.message()), last.process_time(), text(job_id(catalog, last.run))],
        );
        let row = identity(&db.name, table, mview).into_iter().chain(refreshed).chain([
            int(Contents::of(catalog, table, &mview.table).rows),
            text(show_create::create_table(catalog, table)),
            extra,
            text(rewrite_status(mview)),
            text(format!("'{}'@'%'", mview.creator)),
            process_time,
            job_id,
            stale_partitions(catalog, table, now_ms),
        ]);
        rows.push(row);
    }
}

/// From the id to `TASK_NAME`. The task of a view has no id of its own.
fn identity(database: &str, table: &Table, mview: &Mview) -> [Literal; 9] {
    let reason = match &mview.state {
        MviewState::Active => "",
        MviewState::Inactive { reason, .. } => reason.as_str(),
    };
    [
        int(table.id.0),
        text(database),
        text(&table.name),
        text(refresh_type(mview.refresh.trigger)),
        boolean_text(mview.is_active()),
        text(reason),
        text(match mview.table.partitioning {
            Partitioning::None => "UNPARTITIONED",
            Partitioning::Range { .. } | Partitioning::Time { .. } => "RANGE",
            Partitioning::List { .. } | Partitioning::Values { .. } => "LIST",
        }),
        int(table.id.0),
        text(TaskRun::mview_task_name(table.id)),
    ]
}

/// StarRocks' word for what starts the refreshes.
#[must_use]
pub fn refresh_type(trigger: RefreshTrigger) -> &'static str {
    match trigger {
        RefreshTrigger::Manual => "MANUAL",
        RefreshTrigger::Change | RefreshTrigger::Every { .. } => "ASYNC",
    }
}

/// The last run of each view: the newest that has begun, because what waits tells nothing of a refresh; else the newest.
fn last_runs(catalog: &Catalog) -> BTreeMap<TableId, &TaskRun> {
    let mut last: BTreeMap<TableId, &TaskRun> = BTreeMap::new();
    for run in catalog.task_runs() {
        let TaskOf::Mview(id) = run.task else { continue };
        let told = last.get(&id).is_some_and(|before| before.begun().is_some());
        if run.begun().is_some() || !told {
            last.insert(id, run);
        }
    }
    last
}

/// What the client knows a refresh by: the id of its first run's query, whatever runs went on with it.
#[must_use]
pub fn job_id(catalog: &Catalog, run: &TaskRun) -> String {
    let root = run.root_run.and_then(|id| catalog.task_run(id));
    root.map_or(&run.query_id, |root| &root.query_id).clone()
}

/// A run, and what it told of itself.
struct LastRun<'a> {
    run: &'a TaskRun,
    extra: Value,
}

impl<'a> LastRun<'a> {
    fn of(run: &'a TaskRun) -> Self {
        Self { run, extra: serde_json::from_str(&run.extra).unwrap_or_default() }
    }

    /// From `LAST_REFRESH_START_TIME` to `LAST_REFRESH_ERROR_MESSAGE`.
    fn facts(&self) -> [Literal; 11] {
        let run = self.run;
        let (start, end) = match &run.request.range {
            Some(RefreshRange::Range { start, end }) => (text(start), text(end)),
            Some(RefreshRange::List { .. }) | None => (Literal::Null, Literal::Null),
        };
        let begun_ms = self.begun_ms().unwrap_or(run.created.time_ms);
        let duration = |finished_ms: u64| finished_ms.saturating_sub(begun_ms) as f64 / 1_000.0;
        [
            time(run.created.time_ms),
            run.finished.map_or(Literal::Null, |finished| time(finished.time_ms)),
            run.finished.map_or(Literal::Null, |finished| Literal::Double(duration(finished.time_ms))),
            text(run.state.name()),
            boolean_text(run.request.force),
            start,
            end,
            text(self.base_partitions()),
            text(self.mview_partitions()),
            text(run.error_code.to_string()),
            text(&run.error),
        ]
    }

    /// The facts of a view that was never refreshed.
    fn none() -> [Literal; 11] {
        let null = Literal::Null;
        [
            null.clone(),
            null.clone(),
            null.clone(),
            text(""),
            boolean_text(false),
            null.clone(),
            null,
            text("{}"),
            text("[]"),
            text("0"),
            text(""),
        ]
    }

    /// `{"base":["p1","p2"]}`.
    fn base_partitions(&self) -> String {
        let map =
            |key: &str| self.extra.get(key).filter(|map| map.as_object().is_some_and(|m| !m.is_empty()));
        let found = map("basePartitionsToRefreshMap").or_else(|| map("refBasePartitionsToRefreshMap"));
        found.map_or_else(|| "{}".to_owned(), Value::to_string)
    }

    /// `[p1,p2]`.
    fn mview_partitions(&self) -> String {
        let names = self.extra.get("mvPartitionsToRefresh").and_then(Value::as_array);
        let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
        format!("[{}]", names.join(","))
    }

    fn process_time(&self) -> Literal {
        self.begun_ms().map_or(Literal::Null, time)
    }

    /// As the run itself tells it; a short one is recorded only when it ends.
    fn begun_ms(&self) -> Option<u64> {
        let told = self.extra.get("processStartTime").and_then(Value::as_u64);
        told.or(self.run.begun().map(|begun| begun.time_ms))
    }

    /// `EXTRA_MESSAGE`, in StarRocks' words and our own.
    fn message(&self) -> String {
        let run = self.run;
        let mut message = Map::new();
        message.insert("queryIds".to_owned(), json!([run.query_id]));
        message.insert("isManual".to_owned(), json!(run.request.trigger == RunTrigger::Manual));
        message.insert("priority".to_owned(), json!(run.priority));
        message.insert("lastTaskRunState".to_owned(), json!(run.state.name()));
        message.insert("trigger".to_owned(), json!(run.request.trigger.name()));
        for key in ["refreshMode", "partitions", "batches", "rows"] {
            if let Some(value) = self.extra.get(key) {
                message.insert(key.to_owned(), value.clone());
            }
        }
        Value::Object(message).to_string()
    }
}

/// Whether queries may be answered from it, as far as it says itself.
fn rewrite_status(mview: &Mview) -> String {
    const OFF: [(&str, &str); 2] =
        [("enable_query_rewrite", "false"), ("query_rewrite_consistency", "disable")];
    if let MviewState::Inactive { reason, .. } = &mview.state {
        return format!("INVALID: {reason}");
    }
    let says = |(name, off): &&(&str, &str)| {
        mview.table.properties.get(*name).is_some_and(|value| value.trim().eq_ignore_ascii_case(off))
    };
    match OFF.iter().find(says) {
        Some((name, off)) => format!("INVALID: \"{name}\" = \"{off}\""),
        None => "VALID".to_owned(),
    }
}

/// How many partitions a refresh would make or drop; NULL where a base is gone.
fn stale_partitions(catalog: &Catalog, table: &Table, now_ms: u64) -> Literal {
    let found = verdict(catalog, table, Purpose::Refresh, now_ms);
    found.map_or(Literal::Null, |verdict| count(verdict.stale().count() + verdict.obsolete.len()))
}

#[cfg(test)]
pub(crate) mod tests {
    use cairn_catalog::{
        Base, Command, Definition, InactiveCause, LinkColumn, MviewSpec, PartitionLink, RefreshRequest,
        RefreshScheme, Reply, RunAdvance, RunState, TableSpec, TaskRunSpec, Transform,
    };
    use cairn_types::TaskRunId;

    use super::*;
    use crate::system::objects::tests::specification;
    use crate::system::tests::{apply, database, sample, table, values};

    fn base(catalog: &Catalog, db: &str, name: &str) -> Base {
        Base { id: table(catalog, db, name).id, db: db.into(), name: name.into() }
    }

    fn create(
        catalog: &mut Catalog,
        index: u64,
        table: TableSpec,
        definition: Definition,
        refresh: RefreshScheme,
    ) {
        let spec = MviewSpec { table, definition, refresh, creator: "root".into(), first_run: None };
        apply(catalog, index, Command::CreateMview(Box::new(spec)));
    }

    /// [`sample`] with `tpch.daily` over the partitions of `orders`, every 90 minutes; and `other.above` over `daily`, by
    /// hand. Neither was ever refreshed.
    pub(crate) fn with_mview() -> Catalog {
        let mut catalog = sample();
        let sql = "CREATE TABLE daily (o_date DATE COMMENT 'the \"day\"', total BIGINT) COMMENT 'by day' \
            DISTRIBUTED BY HASH(o_date) BUCKETS 4";
        let mut spec = specification(database(&catalog, "tpch"), sql);
        spec.partitioning = Partitioning::Range { columns: vec![0] };
        spec.partitions.clear();
        spec.properties.insert("partition_refresh_number".into(), "2".into());
        let orders = base(&catalog, "tpch", "orders");
        let column = LinkColumn { column: 1, transform: Transform::Same };
        let definition = Definition {
            query: "SELECT o_date, sum(o_key) FROM orders GROUP BY o_date".into(),
            default_db: "tpch".into(),
            partition_by: "o_date".into(),
            links: vec![PartitionLink { base: orders.id, columns: vec![column] }],
            bases: vec![orders],
            views: vec![],
            binding: 1,
        };
        let trigger = RefreshTrigger::Every { start_ms: 1_704_090_600_000, every_ms: 5_400_000 };
        create(&mut catalog, 40, spec, definition, RefreshScheme { immediate: false, trigger });
        let spec = specification(database(&catalog, "other"), "CREATE TABLE above (total BIGINT)");
        let definition = Definition {
            query: "SELECT total FROM daily;".into(),
            default_db: "tpch".into(),
            partition_by: String::new(),
            links: vec![],
            bases: vec![base(&catalog, "tpch", "daily")],
            views: vec![],
            binding: 1,
        };
        let refresh = RefreshScheme { immediate: true, trigger: RefreshTrigger::Manual };
        create(&mut catalog, 41, spec, definition, refresh);
        catalog
    }

    /// A refresh of `tpch.daily` that waits.
    pub(crate) fn submit(catalog: &mut Catalog, index: u64) -> TaskRunId {
        let request =
            RefreshRequest { force: true, trigger: RunTrigger::Manual, ..RefreshRequest::default() };
        let spec = TaskRunSpec {
            query_id: format!("q{index}"),
            task: TaskOf::Mview(table(catalog, "tpch", "daily").id),
            definition: "insert overwrite `daily` SELECT 1".into(),
            priority: 80,
            request,
            properties: BTreeMap::new(),
            root_run: None,
        };
        match apply(catalog, index, Command::SubmitRun(Box::new(spec))) {
            Reply::TaskRun(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn advance(catalog: &mut Catalog, index: u64, id: TaskRunId, state: RunState, extra: &str) {
        let (error, extra) = (String::new(), extra.to_owned());
        let to = RunAdvance { id, state, progress_percent: 100, error_code: 0, error, extra, into: None };
        apply(catalog, index, Command::AdvanceRun(Box::new(to)));
    }

    fn of(catalog: &Catalog, column: &str) -> [String; 2] {
        values(catalog, "materialized_views", column).try_into().unwrap()
    }

    #[test]
    fn views_tell_what_they_are() {
        let mut catalog = with_mview();
        let check = |catalog: &_, column, expected: [&str; 2]| assert_eq!(of(catalog, column), expected);
        let id = table(&catalog, "tpch", "daily").id;
        check(&catalog, "TABLE_NAME", ["above", "daily"]);
        check(&catalog, "REFRESH_TYPE", ["MANUAL", "ASYNC"]);
        check(&catalog, "PARTITION_TYPE", ["UNPARTITIONED", "RANGE"]);
        check(&catalog, "IS_ACTIVE", ["true", "true"]);
        check(&catalog, "CREATOR", ["'root'@'%'", "'root'@'%'"]);
        check(&catalog, "QUERY_REWRITE_STATUS", ["VALID", "VALID"]);
        check(&catalog, "LAST_REFRESH_STATE", ["", ""]);
        // p1 of orders has no rows, and makes none.
        check(&catalog, "STALE_PARTITIONS", ["1", "1"]);
        assert_eq!(of(&catalog, "TASK_NAME")[1], format!("mv-{id}"));
        let (cause, reason) = (InactiveCause::Manual, "by hand".to_owned());
        apply(&mut catalog, 90, Command::DeactivateMview { mview: id, cause, reason });
        check(&catalog, "IS_ACTIVE", ["false", "false"]);
        check(&catalog, "INACTIVE_REASON", ["base-mv inactive: daily", "by hand"]);
        check(&catalog, "QUERY_REWRITE_STATUS", ["INVALID: base-mv inactive: daily", "INVALID: by hand"]);
    }

    #[test]
    fn the_last_refresh_is_that_which_has_begun() {
        let mut catalog = with_mview();
        let first = submit(&mut catalog, 90);
        let check = |catalog: &_, column, expected: &str| assert_eq!(of(catalog, column)[1], expected);
        check(&catalog, "LAST_REFRESH_STATE", "PENDING");
        advance(&mut catalog, 91, first, RunState::Running, "");
        let extra = r#"{"mvPartitionsToRefresh":["p1","p2"],"basePartitionsToRefreshMap":{"orders":["p2"]},
            "processStartTime":91500,"batches":1}"#;
        advance(&mut catalog, 93, first, RunState::Success, extra);
        submit(&mut catalog, 94);
        check(&catalog, "LAST_REFRESH_STATE", "SUCCESS");
        check(&catalog, "LAST_REFRESH_START_TIME", "1970-01-01 00:01:30");
        check(&catalog, "LAST_REFRESH_FINISHED_TIME", "1970-01-01 00:01:33");
        check(&catalog, "LAST_REFRESH_PROCESS_TIME", "1970-01-01 00:01:31.500000");
        check(&catalog, "LAST_REFRESH_DURATION", "1.5");
        check(&catalog, "LAST_REFRESH_FORCE_REFRESH", "true");
        check(&catalog, "LAST_REFRESH_MV_REFRESH_PARTITIONS", "[p1,p2]");
        check(&catalog, "LAST_REFRESH_BASE_REFRESH_PARTITIONS", r#"{"orders":["p2"]}"#);
        check(&catalog, "LAST_REFRESH_ERROR_CODE", "0");
        check(&catalog, "LAST_REFRESH_JOB_ID", "q90");
        let message: Value = serde_json::from_str(&of(&catalog, "EXTRA_MESSAGE")[1]).unwrap();
        assert_eq!(message.get("queryIds"), Some(&json!(["q90"])));
        assert_eq!((message.get("isManual"), message.get("batches")), (Some(&json!(true)), Some(&json!(1))));
    }

    #[test]
    fn show_has_names_of_its_own() {
        let catalog = with_mview();
        let rows = shown(&catalog, Some(database(&catalog, "tpch")), 0);
        let names: Vec<&str> = rows.columns().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..4], ["id", "database_name", "name", "refresh_type"]);
        assert_eq!(names[12], "last_refresh_state");
        assert_eq!(names[20..22], ["rows", "text"]);
        assert_eq!(rows.rows().len(), 1);
        assert!(shown(&catalog, None, 0).rows().is_empty());
    }
}
