//! What queries of MVs are taken for.

use cairn_types::Result;

use super::*;
use crate::{Analysis, IncrementalShape, MergeColumn};

fn world() -> World {
    let mut world = World::new();
    let days = || vec![range("p1", "2024-01-01", "2024-01-02"), range("p2", "2024-01-02", "2024-01-03")];
    let time = Partitioning::Time { column: 0, unit: TimeUnit::Day, step: 1 };
    world.table("t", "dt date, k int, v bigint, d decimal", time.clone(), days());
    world.table("u", "dt date, k int, w bigint", time, days());
    world.table("hours", "ts datetime not null, k int", Partitioning::Range { columns: vec![0] }, vec![]);
    world.table("cities", "city varchar, dt date, n int", Partitioning::values(vec![0, 1]), vec![]);
    let floor = |unit, step| Some(Floor { unit, step });
    let by_day = vec![(0, floor(TimeUnit::Day, 1)), (1, None)];
    let columns = "dt date, city varchar, n int";
    world.table("daily", columns, Partitioning::floored_values(by_day.clone()), vec![]);
    world.table("daily2", columns, Partitioning::floored_values(by_day), vec![]);
    let by_month = vec![(0, floor(TimeUnit::Month, 1)), (1, None)];
    world.table("monthly", columns, Partitioning::floored_values(by_month), vec![]);
    let by_two = vec![(0, floor(TimeUnit::Week, 1)), (1, floor(TimeUnit::Hour, 6))];
    world.table("weekly", "dt date, ts datetime, n int", Partitioning::floored_values(by_two), vec![]);
    world.table("dim", "k int not null, name varchar", Partitioning::None, vec![]);
    world.view("vt", "day date, k int, v bigint", "SELECT dt, k, v FROM t WHERE v > 0");
    world.view("vnow", "dt datetime", "SELECT now() FROM t");
    world
}

fn analyze(sql: &str, partition_by: &str) -> Result<Analysis> {
    let world = world();
    let (engine, catalog) = world.engine();
    let query = cairn_sql::parse_query(sql).unwrap();
    let exprs = clause(partition_by);
    let context = Arc::new(context(&engine, &catalog));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine.analyze_mview(context, &query, sql, &[], &exprs))
}

/// The expressions of a PARTITION BY clause.
pub(super) fn clause(text: &str) -> Vec<sqlparser::ast::Expr> {
    if text.is_empty() {
        return Vec::new();
    }
    let query = cairn_sql::parse_query(&format!("SELECT {text}")).unwrap();
    let sqlparser::ast::SetExpr::Select(select) = *query.body else { panic!("no select") };
    let expr = |item: sqlparser::ast::SelectItem| match item {
        sqlparser::ast::SelectItem::UnnamedExpr(expr) => expr,
        other => panic!("{other}"),
    };
    select.projection.into_iter().map(expr).collect()
}

/// `name.column:transform` of each link.
fn links(analysis: &Analysis) -> String {
    let name = |id: TableId| analysis.bases.iter().find(|b| b.id == id).unwrap().name.clone();
    let column = |c: &cairn_catalog::LinkColumn| match &c.transform {
        cairn_catalog::Transform::Same => c.column.to_string(),
        cairn_catalog::Transform::Floor { unit, step } => format!("{}/{step}{}", c.column, unit.name()),
        cairn_catalog::Transform::Date { format } => format!("{}/{format}", c.column),
    };
    let link = |l: &cairn_catalog::PartitionLink| {
        format!("{}.{}", name(l.base), l.columns.iter().map(column).collect::<Vec<_>>().join("+"))
    };
    analysis.links.iter().map(link).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn linked(sql: &str, by: &str, expected: &str) -> Analysis {
    let analysis = analyze(sql, by).unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert_eq!(links(&analysis), expected, "{sql} by {by}");
    analysis
}

#[track_caller]
fn refused(sql: &str, by: &str, reason: &str) {
    let error = analyze(sql, by).expect_err(sql).to_string();
    assert!(error.contains(reason), "{sql} by {by}: {error}");
}

#[test]
fn columns_bases_and_views() {
    let a = analyze(
        "SELECT vt.k AS K, dim.name, count(*) c, sum(d) FROM vt JOIN dim ON vt.k = dim.k JOIN t \
     ON t.k = vt.k GROUP BY vt.k, dim.name",
        "",
    )
    .unwrap();
    let columns: Vec<String> =
        a.schema.columns.iter().map(|c| format!("{} {} {}", c.name, c.ty, c.nullable)).collect();
    assert_eq!(
        columns,
        ["K int true", "name varchar(1048576) true", "c bigint false", "sum(d) decimal(20, 2) true"]
    );
    let names = |bases: &[cairn_catalog::Base]| {
        bases.iter().map(|b| format!("{}.{}", b.db, b.name)).collect::<Vec<_>>()
    };
    let mut bases = names(&a.bases);
    bases.sort();
    assert_eq!(bases, ["db.dim", "db.t"]);
    assert_eq!(names(&a.views), ["db.vt"]);
    assert_eq!(a.partitioning, Partitioning::None);
}

#[test]
fn what_an_mv_cannot_have() {
    refused("SELECT rand() r, k FROM t", "", "select item rand() not supported nondeterministic function");
    refused("SELECT dt FROM vnow", "", "now()");
    refused("SELECT * FROM FILES('path' = 'file:///x', 'format' = 'parquet')", "", "FILES()");
    refused("SELECT table_name FROM information_schema.tables", "", "system table");
    refused("SELECT 1 AS a", "", "Can not find base table");
    refused("SELECT k, k FROM t", "", "Duplicate column name 'k'");
}

#[test]
fn links_go_down_to_partition_columns() {
    let a = linked("SELECT dt, sum(v) s FROM t GROUP BY dt", "dt", "t.0");
    assert_eq!(a.partitioning, Partitioning::Range { columns: vec![0] });
    let a = linked("SELECT k, dt FROM t", "date_trunc('month', dt)", "t.0/1month");
    assert_eq!(a.partitioning, Partitioning::Time { column: 1, unit: TimeUnit::Month, step: 1 });
    linked("SELECT k, dt FROM t", "time_slice(dt, INTERVAL 7 day)", "t.0/7day");
    // The column itself is cut.
    linked(
        "SELECT date_trunc('month', dt) m, count(*) FROM t GROUP BY date_trunc('month', dt)",
        "m",
        "t.0/1month",
    );
    linked(
        "SELECT time_slice(dt, INTERVAL 1 MONTH) m, count(*) FROM t GROUP BY time_slice(dt, INTERVAL 1 MONTH)",
        "m",
        "t.0/1month",
    );
    linked("SELECT time_slice(ts, INTERVAL 360 MINUTE) AS s FROM hours", "s", "hours.0/6hour");
    linked("SELECT date_slice(dt, INTERVAL 1 WEEK) AS s FROM t", "s", "t.0/7day");
    linked("SELECT date_slice(dt, INTERVAL 2 MONTH) AS s FROM t", "date_trunc('year', s)", "t.0/1year");
    linked("SELECT date_trunc('day', ts) d FROM hours", "date_trunc('month', d)", "hours.0/1month");
    linked("SELECT date(ts) d, count(*) c FROM hours GROUP BY date(ts)", "d", "hours.0/1day");
    // Views, CTEs, subqueries, and all branches of a union.
    linked("SELECT day, k FROM vt", "day", "t.0");
    linked("WITH c AS (SELECT dt, k FROM t) SELECT x.dt FROM (SELECT * FROM c) x WHERE k > 3", "dt", "t.0");
    linked("SELECT dt, k FROM t UNION ALL SELECT dt, k FROM u", "dt", "t.0 u.0");
    // Keys of inner joins link both; other joins the side that keeps its rows.
    linked("SELECT t.dt, t.k FROM t JOIN u ON t.dt = u.dt AND t.k = u.k", "dt", "t.0 u.0");
    linked("SELECT u.dt, t.k FROM t, u WHERE t.dt = u.dt AND t.k > 3", "dt", "t.0 u.0");
    linked("SELECT t.dt, t.k FROM t JOIN u ON t.k = u.k", "dt", "t.0");
    linked("SELECT t.dt, u.k FROM t LEFT JOIN u ON t.dt = u.dt", "dt", "t.0");
    linked("SELECT t.dt, name FROM t JOIN dim ON t.k = dim.k", "dt", "t.0");
    linked("SELECT dt, k FROM t WHERE k IN (SELECT k FROM u)", "dt", "t.0");
    linked("SELECT DISTINCT dt, k FROM t", "dt", "t.0");
    linked("SELECT dt, row_number() OVER (PARTITION BY dt, k ORDER BY v) r FROM t", "dt", "t.0");
    // Lists, with all or some of the base's columns.
    let a = linked("SELECT dt, city, sum(n) FROM cities GROUP BY dt, city", "dt, city", "cities.1+0");
    assert_eq!(a.partitioning, Partitioning::values(vec![0, 1]));
    linked("SELECT city, sum(n) FROM cities GROUP BY city", "city", "cities.0");
    // Both readings of a table by its partition column.
    linked("SELECT a.dt FROM t a JOIN t b ON a.dt = b.dt", "dt", "t.0");
}

/// List partitions of slices: the MV's partitions hold whole ones.
#[test]
fn links_to_slices() {
    let values = |columns: &[(usize, Option<(TimeUnit, u32)>)]| {
        let floor = |f: Option<(TimeUnit, u32)>| f.map(|(unit, step)| Floor { unit, step });
        Partitioning::floored_values(columns.iter().map(|(at, f)| (*at, floor(*f))).collect())
    };
    let time = |column, unit, step| Partitioning::Time { column, unit, step };
    let (day, month) = (Some((TimeUnit::Day, 1)), Some((TimeUnit::Month, 1)));
    let sums = |table: &str| format!("SELECT sum(n) s, dt, city FROM {table} GROUP BY dt, city");
    let check = |sql: &str, by: &str, expected_links: &str, expected: Partitioning| {
        assert_eq!(linked(sql, by, expected_links).partitioning, expected, "{sql} by {by}");
    };
    // As asked, coarser, or as the base has them.
    check(&sums("daily"), "date_trunc('day', dt), city", "daily.0/1day+1", values(&[(1, day), (2, None)]));
    check(
        &sums("daily"),
        "city, date_trunc('month', dt)",
        "daily.1+0/1month",
        values(&[(2, None), (1, month)]),
    );
    check(&sums("daily"), "dt, city", "daily.0/1day+1", values(&[(1, day), (2, None)]));
    check(&sums("monthly"), "dt, city", "monthly.0/1month+1", values(&[(1, month), (2, None)]));
    // One column alone: a time makes ranges.
    check(&sums("daily"), "city", "daily.1", values(&[(2, None)]));
    check(&sums("daily"), "dt", "daily.0/1day", time(1, TimeUnit::Day, 1));
    check(&sums("daily"), "date_trunc('month', dt)", "daily.0/1month", time(1, TimeUnit::Month, 1));
    check(&sums("monthly"), "date_trunc('day', dt)", "monthly.0/1day", time(1, TimeUnit::Day, 1));
    check(&sums("monthly"), "time_slice(dt, INTERVAL 10 DAY)", "monthly.0/10day", time(1, TimeUnit::Day, 10));
    // Of exact values too.
    check(
        "SELECT dt, city, n FROM cities",
        "date_trunc('month', dt), city",
        "cities.1/1month+0",
        values(&[(0, month), (1, None)]),
    );
    // What the query does to the column counts.
    let months = "SELECT date_trunc('month', dt) m, city, count(*) c FROM daily GROUP BY date_trunc('month', dt), city";
    check(months, "m, city", "daily.0/1month+1", values(&[(0, None), (1, None)]));
    check(
        months,
        "date_trunc('year', m), city",
        "daily.0/1year+1",
        values(&[(0, Some((TimeUnit::Year, 1))), (1, None)]),
    );
    let days = "SELECT date_trunc('day', dt) d, city FROM monthly";
    check(days, "d, city", "monthly.0/1month+1", values(&[(0, month), (1, None)]));
    let both = values(&[(0, Some((TimeUnit::Week, 1))), (1, Some((TimeUnit::Hour, 6)))]);
    check("SELECT dt, ts, n FROM weekly", "dt, ts", "weekly.0/1week+1/6hour", both.clone());
    check(
        "SELECT dt, ts, n FROM weekly",
        "date_trunc('week', dt), time_slice(ts, INTERVAL 6 HOUR)",
        "weekly.0/1week+1/6hour",
        both,
    );
    // Joins link both where they are cut alike, else one.
    let join = |table: &str| {
        format!("SELECT a.dt, a.city, b.n FROM daily a JOIN {table} b ON a.dt = b.dt AND a.city = b.city")
    };
    check(&join("daily2"), "dt, city", "daily.0/1day+1 daily2.0/1day+1", values(&[(0, day), (1, None)]));
    check(&join("monthly"), "dt, city", "daily.0/1day+1", values(&[(0, day), (1, None)]));
    let by_month = values(&[(0, month), (1, None)]);
    check(&join("monthly"), "date_trunc('month', dt), city", "daily.0/1month+1 monthly.0/1month+1", by_month);
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    let sums = |table: &str| format!("SELECT sum(n) s, dt, city FROM {table} GROUP BY dt, city");
    let not_within = "partitions of 'monthly' by month are not within those of the materialized view";
    refused(&sums("monthly"), "date_trunc('day', dt), city", not_within);
    refused(&sums("monthly"), "date_trunc('week', dt), city", not_within);
    let weeks = "SELECT date_trunc('week', dt) w, city FROM monthly";
    refused(weeks, "w, city", not_within);
    refused("SELECT dt, ts FROM weekly", "date_trunc('month', dt), ts", "by week are not within");
    refused(&sums("t JOIN dim"), "date_trunc('day', dt), city", "");
    refused("SELECT dt, k FROM t", "date_trunc('day', dt), k", "'k' is no partition column of 't'");
    refused(&sums("daily"), "date_trunc('day', dt), date_trunc('month', dt)", "names a column twice");
    refused(&sums("daily"), "date_trunc('hour', dt), city", "less than a day");
}

#[test]
fn links_that_would_be_wrong_are_refused() {
    let not = "must be base table partition column";
    refused("SELECT k, v FROM t", "k", not);
    refused("SELECT sum(v) s, max(dt) dt FROM t", "dt", "must group by it");
    refused("SELECT u.dt, t.k FROM t LEFT JOIN u ON t.dt = u.dt", "dt", "may be missing");
    refused("SELECT t.dt FROM t FULL JOIN u ON t.dt = u.dt", "dt", "may be missing");
    refused("SELECT a.dt FROM t a JOIN t b ON a.k = b.k", "dt", "everywhere");
    refused("SELECT dt FROM t WHERE k IN (SELECT k FROM t)", "dt", "everywhere");
    // A CTE that is read twice is one plan at two places.
    refused("WITH c AS (SELECT * FROM t) SELECT a.dt FROM c a JOIN c b ON a.k = b.k", "dt", "everywhere");
    refused("SELECT dt, row_number() OVER (PARTITION BY k ORDER BY v) r FROM t", "dt", "window function");
    refused("SELECT dt, k FROM t ORDER BY k LIMIT 10", "dt", "LIMIT");
    refused("SELECT dt, k FROM t UNION ALL SELECT NULL, k FROM dim", "dt", not);
    refused("SELECT dt + INTERVAL 1 DAY AS dt FROM t", "dt", "computed as");
    refused("SELECT date_trunc('week', dt) w FROM t", "date_trunc('month', w)", "cannot be taken together");
    refused("SELECT name FROM dim", "name", not);
    refused("SELECT k FROM t", "dt", "is not found in query statement");
    refused("SELECT k, dt FROM t", "k + 1", "is not supported");
    refused("SELECT dt, v FROM t", "date_trunc('month', v)", "must be DATE or DATETIME");
}

/// How rows of a view are merged, a word a column; hidden ones after a bar.
fn shape(sql: &str) -> String {
    let Analysis { schema, shape, .. } = analyze(sql, "").unwrap_or_else(|e| panic!("{sql}: {e}"));
    let columns = match shape {
        None => return "none".to_owned(),
        Some(IncrementalShape::Append) => return "append".to_owned(),
        Some(IncrementalShape::Merge { columns }) => columns,
    };
    assert_eq!(columns.len(), schema.columns.len(), "{sql}");
    let word = |column: &MergeColumn| match column {
        MergeColumn::Computed(_) => "computed".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let mut words: Vec<String> = columns.iter().map(word).collect();
    if !schema.hidden().is_empty() {
        words.insert(schema.visible().len(), "|".to_owned());
    }
    words.join(" ")
}

#[test]
fn shapes() {
    let check = |sql: &str, expected: &str| assert_eq!(shape(sql), expected, "{sql}");
    check("SELECT k, v + 1 x FROM t WHERE v > 3", "append");
    check("SELECT k, v FROM vt", "append");
    check("SELECT t.k FROM t JOIN u ON t.k = u.k", "none");
    check("SELECT k FROM t WHERE k IN (SELECT k FROM u)", "none");
    check("SELECT k, v FROM t LIMIT 3", "none");
    check(
        "SELECT dt, count(*) c, k + 1 x, sum(v), min(v), max(d) FROM t GROUP BY k + 1, dt",
        "key count key sum min max",
    );
    check("SELECT DISTINCT k FROM t", "key");
    check("SELECT k, count(DISTINCT v) c FROM t GROUP BY k", "none");
    check("SELECT k, sum(v) s FROM t GROUP BY k HAVING sum(v) > 3", "none");
    check("SELECT t.k, avg(w) a FROM t JOIN u ON t.k = u.k GROUP BY t.k", "none");
}

#[test]
fn hidden_columns_keep_what_is_merged() {
    let check = |sql: &str, expected: &str| assert_eq!(shape(sql), expected, "{sql}");
    check("SELECT k, avg(v) a FROM t GROUP BY k", "key computed | sum count");
    check("SELECT k, avg(d) a, sum(d) s, count(d) c FROM t GROUP BY k", "key computed sum count");
    // Of what is never NULL the count is that of the rows; of the other it is not.
    for count in ["count(*)", "count(k)"] {
        let sql = format!("SELECT name, avg(k) a, sum(k) s, {count} c FROM dim GROUP BY name");
        check(&sql, "key computed sum count");
    }
    check("SELECT k, avg(v) a, sum(v) s, count(*) c FROM t GROUP BY k", "key computed sum count | sum count");
    check("SELECT k, avg(d) a, sum(d) s, count(*) c FROM t GROUP BY k", "key computed sum count | count");
    // What two columns are made from is kept once, what no column is made from not at all.
    check(
        "SELECT k, avg(d) a, round(avg(d), 1) r, sum(d) + 1 s FROM t GROUP BY k",
        "key computed computed computed | sum count",
    );
    check("SELECT k, s FROM (SELECT k, sum(v) s, avg(v) a FROM t GROUP BY k) x", "key sum");
    // The keys tell groups apart.
    check("SELECT sum(v) s FROM t GROUP BY k", "sum | key");
    check("SELECT k + 1 x, max(v) - min(v) spread FROM t GROUP BY k", "computed computed | key max min");
    check("SELECT avg(v) a FROM t", "computed | sum count");
    check("SELECT k AS g, avg(v) a, count(*) c FROM t GROUP BY g, k, k", "key computed count | sum count");
    check("SELECT k, v, k AS again FROM t GROUP BY k, k, v", "key key key");
    check("SELECT k, avg(v) a, count(DISTINCT v) c FROM t GROUP BY k", "none");
}
