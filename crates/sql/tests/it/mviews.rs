//! Materialized views and tasks: what their clauses become, and which texts are kept.

use cairn_sql::Statement;
use cairn_sql::ast::{
    AlterMaterializedViewOp, BoundValue, CreateMaterializedView, Explain, Hint, Interval,
    RefreshMaterializedView, RefreshMoment, RefreshPartitions, RefreshTrigger, Schedule, SubmitTask,
    TaskName, TimeUnit,
};
use cairn_sql::{parse_query, parse_statements};

use super::one;

fn view(sql: &str) -> CreateMaterializedView {
    match one(sql) {
        Statement::CreateMaterializedView(view) => *view,
        other => panic!("{sql} is {other:?}"),
    }
}

fn refresh(sql: &str) -> RefreshMaterializedView {
    match one(&format!("REFRESH MATERIALIZED VIEW {sql}")) {
        Statement::RefreshMaterializedView(refresh) => *refresh,
        other => panic!("{sql} is {other:?}"),
    }
}

fn task(sql: &str) -> SubmitTask {
    match one(sql) {
        Statement::SubmitTask(task) => *task,
        other => panic!("{sql} is {other:?}"),
    }
}

fn explain(sql: &str) -> Explain {
    match one(sql) {
        Statement::Explain(explain) => *explain,
        other => panic!("{sql} is {other:?}"),
    }
}

fn schedule(start: Option<&str>, count: u64, unit: TimeUnit) -> Schedule {
    Schedule { start: start.map(str::to_owned), every: Interval { count, unit } }
}

fn hint(name: &str, value: &str) -> Hint {
    Hint { name: name.to_owned(), value: value.to_owned() }
}

#[test]
fn refresh_clauses_are_told_apart() {
    use RefreshMoment::{Deferred, Immediate};
    use RefreshTrigger::{Async, Every, Incremental, Manual};
    for (clause, moment, trigger) in [
        ("ASYNC", None, Async),
        ("DEFERRED ASYNC", Some(Deferred), Async),
        ("IMMEDIATE MANUAL", Some(Immediate), Manual),
        ("manual", None, Manual),
        ("INCREMENTAL", None, Incremental),
        ("ASYNC EVERY(INTERVAL 2 HOUR)", None, Every(schedule(None, 2, TimeUnit::Hour))),
        (
            "DEFERRED ASYNC START('2030-01-01 10:00:00') EVERY(interval 1 day)",
            Some(Deferred),
            Every(schedule(Some("2030-01-01 10:00:00"), 1, TimeUnit::Day)),
        ),
        ("SCHEDULE EVERY (INTERVAL 90 SECOND)", None, Every(schedule(None, 90, TimeUnit::Second))),
        (
            "SCHEDULE START(\"2030-01-01\") EVERY (INTERVAL 5 MINUTE)",
            None,
            Every(schedule(Some("2030-01-01"), 5, TimeUnit::Minute)),
        ),
    ] {
        let created = view(&format!("CREATE MATERIALIZED VIEW mv REFRESH {clause} AS SELECT 1"));
        let scheme = created.clauses.refresh.unwrap_or_else(|| panic!("{clause}"));
        assert_eq!((scheme.moment, &scheme.trigger), (moment, &trigger), "{clause}");
        let Statement::AlterMaterializedView(alter) =
            one(&format!("ALTER MATERIALIZED VIEW mv REFRESH {clause}"))
        else {
            panic!("{clause}")
        };
        assert_eq!(alter.op, AlterMaterializedViewOp::Refresh(scheme), "{clause}");
    }
}

#[test]
fn a_view_with_neither_distribution_nor_refresh_is_synchronous() {
    for (clauses, synchronous) in [
        ("", true),
        ("COMMENT 'x'", true),
        ("PARTITION BY dt", true),
        ("PROPERTIES (\"a\" = \"b\")", true),
        ("DISTRIBUTED BY RANDOM", false),
        ("REFRESH MANUAL", false),
        ("REFRESH ASYNC DISTRIBUTED BY HASH (a)", false),
    ] {
        let created = view(&format!("CREATE MATERIALIZED VIEW mv {clauses} AS SELECT dt FROM t"));
        assert_eq!(created.is_synchronous(), synchronous, "{clauses}");
    }
}

#[test]
fn clauses_come_in_any_order() {
    let ordered =
        one("CREATE MATERIALIZED VIEW mv PARTITION BY dt DISTRIBUTED BY HASH (a) BUCKETS 3 ORDER BY (a, b) \
                       REFRESH MANUAL PROPERTIES ('k' = 'v') AS SELECT 1");
    for sql in [
        "CREATE MATERIALIZED VIEW mv REFRESH MANUAL PARTITION BY (dt) PROPERTIES ('k' = 'v') ORDER BY (a, b) \
         DISTRIBUTED BY HASH (a) BUCKETS 3 AS SELECT 1",
        "create materialized view mv properties ('k' = 'v') refresh manual order by a, b distributed by hash (a) \
         buckets 3 partition by ((`dt`)) as SELECT 1",
    ] {
        // Quotes around an identifier are kept by the expression, so the prints are compared.
        assert_eq!(
            one(sql).to_string().replace("`dt`", "dt"),
            ordered.to_string().replace("`dt`", "dt"),
            "{sql}"
        );
    }
}

#[test]
fn the_texts_are_kept_as_written() {
    for (partition_by, exprs) in [
        ("dt", 1),
        ("(dt)", 1),
        ("date_trunc( 'day',\n  `dt` )", 1),
        ("( date_trunc('ü', a) ,b )", 2),
        ("str2date(a, '%Y-%m-%d')", 1),
    ] {
        let sql = format!(
            "SELECT 0; CREATE MATERIALIZED VIEW mv PARTITION BY {partition_by} -- c\n \
             REFRESH ASYNC AS\n  SELECT  a -- keep\n FROM t ; SELECT 2"
        );
        let parsed = parse_statements(&sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let Statement::CreateMaterializedView(view) = &parsed[1].statement else { panic!("{sql}") };
        assert_eq!(view.query_text, "SELECT  a -- keep\n FROM t", "{sql}");
        assert_eq!(parse_query(&view.query_text).as_ref(), Ok(&view.query), "{sql}");
        let partitions = view.clauses.partition_by.as_ref().unwrap_or_else(|| panic!("{sql}"));
        assert_eq!((partitions.text.as_str(), partitions.exprs.len()), (partition_by, exprs), "{sql}");
    }
}

#[test]
fn columns_and_indexes_are_told_apart() {
    for (list, columns, indexes) in [
        ("(a)", vec!["a"], vec![]),
        ("(a COMMENT 'x', `sum(b)`)", vec!["a", "sum(b)"], vec![]),
        ("(a, index COMMENT 'x', INDEX i (a) USING BITMAP COMMENT 'y')", vec!["a", "index"], vec!["i"]),
        ("(index, INDEX i (index), INDEX j (index))", vec!["index"], vec!["i", "j"]),
    ] {
        let created = view(&format!("CREATE MATERIALIZED VIEW mv {list} REFRESH MANUAL AS SELECT 1"));
        let names: Vec<&str> = created.columns.iter().map(|column| column.name.as_str()).collect();
        let index_names: Vec<&str> = created.indexes.iter().map(|index| index.name.as_str()).collect();
        assert_eq!((names, index_names), (columns, indexes), "{list}");
    }
}

#[test]
fn refresh_says_which_partitions() {
    let text = |text: &str| BoundValue::Text(text.to_owned());
    let range = |start: &str, end: &str| {
        Some(RefreshPartitions::Range { start: start.to_owned(), end: end.to_owned() })
    };
    let list = |rows: Vec<Vec<BoundValue>>| Some(RefreshPartitions::List(rows));
    for (sql, expected) in [
        ("mv", None),
        ("mv PARTITION START('2024-01-01') END (\"2024-02-01\")", range("2024-01-01", "2024-02-01")),
        ("mv PARTITION START (1) END (-3)", range("1", "-3")),
        ("mv PARTITION ('a', NULL, 7)", list(vec![vec![text("a")], vec![BoundValue::Null], vec![text("7")]])),
        (
            "mv PARTITION (('a', '1'), ('b', NULL))",
            list(vec![vec![text("a"), text("1")], vec![text("b"), BoundValue::Null]]),
        ),
        ("mv PARTITION (('a'))", list(vec![vec![text("a")]])),
    ] {
        assert_eq!(refresh(sql).partitions, expected, "{sql}");
    }
}

#[test]
fn refresh_takes_its_options_in_any_order() {
    for (sql, force, synchronous, priority, cascade) in [
        ("mv", false, false, None, false),
        ("mv FORCE", true, false, None, false),
        ("mv WITH ASYNC MODE", false, false, None, false),
        ("mv FORCE WITH SYNC MODE WITH PRIORITY 100", true, true, Some(100), false),
        ("mv FORCE CASCADE WITH SYNC MODE", true, true, None, true),
        ("mv WITH PRIORITY 0 WITH SYNC MODE CASCADE", false, true, Some(0), true),
        ("mv PARTITION ('a') CASCADE FORCE", true, false, None, true),
    ] {
        let r = refresh(sql);
        assert_eq!(
            (r.force, r.synchronous, r.priority, r.cascade),
            (force, synchronous, priority, cascade),
            "{sql}"
        );
    }
}

#[test]
fn explain_previews_refreshes_and_activations() {
    for (sql, analyze) in [
        ("EXPLAIN REFRESH MATERIALIZED VIEW mv PARTITION ('a') FORCE", false),
        ("DESC VERBOSE REFRESH MATERIALIZED VIEW mv", false),
        ("EXPLAIN ANALYZE REFRESH MATERIALIZED VIEW mv", true),
    ] {
        let explain = explain(sql);
        assert_eq!(explain.analyze, analyze, "{sql}");
        assert!(matches!(explain.statement, Statement::RefreshMaterializedView(_)), "{sql}");
    }
    let Statement::AlterMaterializedView(alter) =
        explain("EXPLAIN ALTER MATERIALIZED VIEW mv ACTIVE").statement
    else {
        panic!()
    };
    assert_eq!(alter.op, AlterMaterializedViewOp::Active { no_validation: false });
    // Tables may have these names.
    for sql in ["DESC refresh", "EXPLAIN alter", "DESC db.refresh ALL"] {
        assert!(matches!(one(sql), Statement::Describe(_)), "{sql}");
    }
}

#[test]
fn tasks_keep_what_they_run() {
    let named = |database: Option<&str>, name: &str| {
        Some(TaskName { database: database.map(str::to_owned), name: name.to_owned() })
    };
    for (sql, name, scheduled, text) in [
        ("SUBMIT TASK AS INSERT INTO t SELECT 1", None, None, "INSERT INTO t SELECT 1"),
        (
            "submit task db.`my-task` as CREATE TABLE t  AS SELECT 1 /* c */ AS a ;",
            named(Some("db"), "my-task"),
            None,
            "CREATE TABLE t  AS SELECT 1 /* c */ AS a",
        ),
        (
            "SUBMIT TASK SCHEDULE EVERY(INTERVAL 1 HOUR) AS INSERT OVERWRITE t VALUES (1)",
            None,
            Some(schedule(None, 1, TimeUnit::Hour)),
            "INSERT OVERWRITE t VALUES (1)",
        ),
        (
            "SUBMIT TASK schedule PROPERTIES ('a' = 'b') SCHEDULE START('2030-01-01') EVERY(INTERVAL 2 DAY) AS INSERT INTO t VALUES (1)",
            named(None, "schedule"),
            Some(schedule(Some("2030-01-01"), 2, TimeUnit::Day)),
            "INSERT INTO t VALUES (1)",
        ),
        (
            "SUBMIT TASK PROPERTIES ('a' = 'b') AS INSERT INTO t VALUES (1)",
            None,
            None,
            "INSERT INTO t VALUES (1)",
        ),
    ] {
        let task = task(sql);
        assert_eq!((&task.name, &task.schedule, task.text.as_str()), (&name, &scheduled, text), "{sql}");
        assert_eq!(one(&task.text), task.statement, "{sql}");
    }
}

#[test]
fn a_tasks_hints_are_apart_from_its_statements() {
    let task = task(
        "SUBMIT /*+ SET_VAR(a = 1) */ TASK x /*+ SET_VAR(b = 2, a = 1) */ AS \
         INSERT /*+ SET_VAR(c = 3) */ INTO t SELECT /*+ SET_VAR(d = 4) */ 1",
    );
    assert_eq!(task.hints, [hint("a", "1"), hint("b", "2")]);
    let Statement::Insert(insert) = &task.statement else { panic!("{task:?}") };
    assert_eq!(insert.hints, [hint("c", "3"), hint("d", "4")]);
}
