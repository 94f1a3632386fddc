//! Tasks and their runs: `tasks`, `task_runs`. A refresh of a materialized view is a run of the view's own task.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cairn_catalog::{Catalog, Mview, RefreshTrigger, Table, Task, TaskRun, TaskSchedule};
use cairn_exec::DEFAULT_CATALOG;
use cairn_types::{DbId, Literal};

use super::{LONG, Scope, SystemTable, TEXT, TIME, mviews};
use crate::rows::{Rows, int, text, time};
use crate::settings;
use crate::statement::show_create;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "tasks",
        columns: &[
            ("TASK_NAME", TEXT),
            ("CREATE_TIME", TIME),
            ("SCHEDULE", TEXT),
            ("CATALOG", TEXT),
            ("DATABASE", TEXT),
            ("DEFINITION", TEXT),
            ("EXPIRE_TIME", TIME),
            ("PROPERTIES", TEXT),
            ("CREATOR", TEXT),
        ],
        fill: tasks,
    },
    SystemTable {
        name: "task_runs",
        columns: &[
            ("QUERY_ID", TEXT),
            ("TASK_NAME", TEXT),
            ("CREATE_TIME", TIME),
            ("FINISH_TIME", TIME),
            ("STATE", TEXT),
            ("CATALOG", TEXT),
            ("DATABASE", TEXT),
            ("DEFINITION", TEXT),
            ("EXPIRE_TIME", TIME),
            ("ERROR_CODE", LONG),
            ("ERROR_MESSAGE", TEXT),
            ("PROGRESS", TEXT),
            ("EXTRA_MESSAGE", TEXT),
            ("PROPERTIES", TEXT),
            ("JOB_ID", TEXT),
            ("PROCESS_TIME", TIME),
        ],
        fill: task_runs,
    },
];

/// Newest first: ids come from one counter.
fn tasks(scope: &Scope<'_>, rows: &mut Rows) {
    let catalog = scope.catalog;
    let mut found: Vec<_> = catalog.tasks().map(|task| (task.id.0, user_task(catalog, task))).collect();
    found.extend(catalog.mviews().map(|(table, mview)| (table.id.0, mview_task(catalog, table, mview))));
    found.sort_unstable_by_key(|(id, _)| Reverse(*id));
    found.into_iter().for_each(|(_, row)| rows.push(row));
}

fn user_task(catalog: &Catalog, task: &Task) -> [Literal; 9] {
    [
        text(&task.name),
        time(task.created.time_ms),
        text(task.schedule.map_or_else(|| "MANUAL".to_owned(), periodical)),
        text(DEFAULT_CATALOG),
        text(database(catalog, task.db)),
        text(without_secrets(&task.definition)),
        task.expires_ms.map_or(Literal::Null, time),
        text(properties(&task.properties)),
        text(&task.creator),
    ]
}

fn mview_task(catalog: &Catalog, table: &Table, mview: &Mview) -> [Literal; 9] {
    let schedule = match mview.refresh.trigger {
        RefreshTrigger::Manual => "MANUAL".to_owned(),
        RefreshTrigger::Change => "EVENT_TRIGGERED".to_owned(),
        RefreshTrigger::Every { start_ms, every_ms } => periodical(TaskSchedule { start_ms, every_ms }),
    };
    let definition = format!(
        "insert overwrite {} {}",
        show_create::quoted(&table.name),
        without_secrets(&mview.definition.query)
    );
    [
        text(TaskRun::mview_task_name(table.id)),
        time(table.created.time_ms),
        text(schedule),
        text(DEFAULT_CATALOG),
        text(database(catalog, table.db)),
        text(definition),
        Literal::Null,
        text(""),
        text(&mview.creator),
    ]
}

fn periodical(schedule: TaskSchedule) -> String {
    let (start, seconds) = (time(schedule.start_ms), schedule.every_ms / 1_000);
    format!("PERIODICAL START({start}) EVERY({seconds} SECONDS)")
}

fn database(catalog: &Catalog, id: DbId) -> &str {
    catalog.database(id).map_or("", |db| db.name.as_str())
}

fn properties(properties: &BTreeMap<String, String>) -> String {
    if properties.is_empty() {
        return String::new();
    }
    let values = properties.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    serde_json::Value::Object(values.collect()).to_string()
}

/// The text of a statement without the keys and passwords of a `FILES()` in it.
fn without_secrets(sql: &str) -> String {
    if !sql.to_ascii_lowercase().contains("files") {
        return sql.to_owned();
    }
    // Statements print their secrets as ***.
    match cairn_sql::parse_statements(sql) {
        Ok(parsed) => parsed.iter().map(|p| p.statement.to_string()).collect::<Vec<_>>().join("; "),
        Err(_) => format!("/* {} bytes that this version cannot read */", sql.len()),
    }
}

/// Newest first.
fn task_runs(scope: &Scope<'_>, rows: &mut Rows) {
    let kept_ms = settings::number(scope.catalog, "task_runs_ttl_second").saturating_mul(1_000);
    for run in scope.catalog.task_runs().rev() {
        rows.push(task_run(scope.catalog, run, kept_ms));
    }
}

fn task_run(catalog: &Catalog, run: &TaskRun, kept_ms: u64) -> [Literal; 16] {
    [
        text(&run.query_id),
        text(&run.task_name),
        time(run.created.time_ms),
        run.finished.map_or(Literal::Null, |finished| time(finished.time_ms)),
        text(run.state.name()),
        text(DEFAULT_CATALOG),
        text(&run.db),
        text(without_secrets(&run.definition)),
        time(run.created.time_ms.saturating_add(kept_ms)),
        int(run.error_code),
        text(&run.error),
        text(format!("{}%", run.progress_percent)),
        text(&run.extra),
        text(properties(&run.properties)),
        text(mviews::job_id(catalog, run)),
        run.begun().map_or(Literal::Null, |started| time(started.time_ms)),
    ]
}

#[cfg(test)]
mod tests {
    use cairn_catalog::{Command, RunState, TaskSpec};

    use super::*;
    use crate::system::mviews::tests::{advance, submit, with_mview};
    use crate::system::tests::{apply, database, values};

    fn with_task() -> Catalog {
        let mut catalog = with_mview();
        let definition = r#"INSERT INTO plain SELECT a FROM FILES("path" = "s3://b/f", "format" = "csv",
            "aws.s3.secret_key" = "hunter2")"#;
        let task = TaskSpec {
            name: "nightly".into(),
            db: database(&catalog, "tpch"),
            definition: definition.into(),
            schedule: Some(TaskSchedule { start_ms: 0, every_ms: 60_000 }),
            properties: BTreeMap::from([("session.query_timeout".into(), "10".into())]),
            creator: "root".into(),
            expires_ms: None,
        };
        apply(&mut catalog, 80, Command::CreateTask(Box::new(task)));
        catalog
    }

    #[test]
    fn views_have_tasks_too() {
        let catalog = with_task();
        let check = |column, expected: [&str; 3]| assert_eq!(values(&catalog, "tasks", column), expected);
        check("DATABASE", ["tpch", "other", "tpch"]);
        let every = "PERIODICAL START(2024-01-01 06:30:00) EVERY(5400 SECONDS)";
        check("SCHEDULE", ["PERIODICAL START(1970-01-01 00:00:00) EVERY(60 SECONDS)", "MANUAL", every]);
        check("PROPERTIES", [r#"{"session.query_timeout":"10"}"#, "", ""]);
        let definitions = values(&catalog, "tasks", "DEFINITION");
        assert!(definitions[0].contains("***") && !definitions[0].contains("hunter2"), "{}", definitions[0]);
        assert_eq!(definitions[1], "insert overwrite `above` SELECT total FROM daily;");
        assert_eq!(values(&catalog, "tasks", "TASK_NAME")[0], "nightly");
    }

    #[test]
    fn runs_are_listed_newest_first() {
        let mut catalog = with_mview();
        let first = submit(&mut catalog, 90);
        advance(&mut catalog, 91, first, RunState::Running, "");
        advance(&mut catalog, 92, first, RunState::Success, r#"{"batches":1}"#);
        submit(&mut catalog, 93);
        let check = |column, expected: [&str; 2]| assert_eq!(values(&catalog, "task_runs", column), expected);
        check("QUERY_ID", ["q93", "q90"]);
        check("JOB_ID", ["q93", "q90"]);
        check("STATE", ["PENDING", "SUCCESS"]);
        check("PROGRESS", ["0%", "100%"]);
        check("EXTRA_MESSAGE", ["", r#"{"batches":1}"#]);
        check("PROCESS_TIME", ["NULL", "1970-01-01 00:01:31"]);
        check("DEFINITION", ["insert overwrite `daily` SELECT 1"; 2]);
        check("EXPIRE_TIME", ["1970-01-08 00:01:33", "1970-01-08 00:01:30"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        let check = |sql, expected: &str| assert_eq!(without_secrets(sql), expected);
        check("INSERT INTO t SELECT 1", "INSERT INTO t SELECT 1");
        check("SELECT FROM FILES(hunter2", "/* 25 bytes that this version cannot read */");
    }
}
