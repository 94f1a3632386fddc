//! Refreshes over tables with real segments: all cells together are the query.

use datafusion::logical_expr::LogicalPlanBuilder;

use super::fixture::{cast_to, collect, rows};
use super::store::{Store, mview};
use super::*;
use crate::mview::partials;
use crate::mview::prepare::prepare;
use crate::mview::refresh::merge;
use crate::{Analysis, MergeColumn, RefreshCell, RefreshEffect, RefreshSource};

/// Cells that together hold `whole`, the rows of all.
fn cells(store: &Store, analysis: &Analysis, whole: &[RecordBatch]) -> Vec<RefreshCell> {
    let catalog = store.cluster.ctx.meta.catalog();
    let bases = |id: &TableId| catalog.table(*id).unwrap().olap().unwrap().clone();
    let links = &analysis.links;
    let sources: BTreeMap<TableId, Vec<PartitionId>> = links
        .iter()
        .map(|l| (l.base, catalog.partitions_of(&bases(&l.base)).map(|p| p.id).collect()))
        .collect();
    let mut bounds = Vec::new();
    match &analysis.partitioning {
        Partitioning::Values { .. } => {
            for values in whole.iter().flat_map(|batch| partition_values(analysis, batch)) {
                let cell = analysis.partitioning.automatic(&values).unwrap().unwrap().bounds;
                if !bounds.contains(&cell) {
                    bounds.push(cell);
                }
            }
        }
        Partitioning::Time { .. } => {
            let ty = analysis.schema.columns[analysis.partitioning.columns()[0]].ty;
            for (month, day) in (1..4).flat_map(|month| (1..30).map(move |day| (month, day))) {
                let Ok(key) = Literal::parse(&format!("2024-0{month}-{day:02}"), ty) else { continue };
                let cell = analysis.partitioning.automatic(&[key]).unwrap().unwrap().bounds;
                if !bounds.contains(&cell) {
                    bounds.push(cell);
                }
            }
            bounds.push(analysis.partitioning.automatic(&[Literal::Null]).unwrap().unwrap().bounds);
        }
        _ => {
            let ty = analysis.schema.columns[analysis.partitioning.columns()[0]].ty;
            let key = |text: &str| Some(vec![Literal::parse(text, ty).unwrap()]);
            let ends = ["2024-01-02", "2024-01-20", "2024-02-03", "2024-03-01"];
            bounds.push(Bounds::Range { lower: None, upper: key(ends[0]) });
            for pair in ends.windows(2) {
                bounds.push(Bounds::Range { lower: key(pair[0]), upper: key(pair[1]) });
            }
            bounds.push(Bounds::Range { lower: key(ends[3]), upper: None });
        }
    }
    bounds.into_iter().map(|bounds| RefreshCell { bounds, sources: sources.clone() }).collect()
}

/// The values of the partition columns, row by row.
fn partition_values(analysis: &Analysis, batch: &RecordBatch) -> Vec<Vec<Literal>> {
    let columns = analysis.partitioning.columns();
    let row = |row| columns.iter().map(|c| super::fixture::literal(batch.column(*c).as_ref(), row)).collect();
    (0..batch.num_rows()).map(row).collect()
}

async fn check(store: &Store, sql: &str, by: &str) {
    let analysis = store.analyze(sql, by).await;
    let mview = mview(&analysis);
    // The whole as the MV's types show it.
    let whole = RefreshCell { bounds: Bounds::All, sources: BTreeMap::new() };
    let unlinked = mview_without_links(&analysis);
    let refresh =
        store.engine.plan_refresh(store.context(), &unlinked, &whole, RefreshSource::Full).await.unwrap();
    let whole = collect(&refresh.planned, refresh.planned.plan.clone()).await;
    let mut all = Vec::new();
    for cell in cells(store, &analysis, &whole) {
        let refresh = store.engine.plan_refresh(store.context(), &mview, &cell, RefreshSource::Full).await;
        let refresh = refresh.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(refresh.effect, RefreshEffect::Replace);
        let batches = collect(&refresh.planned, refresh.planned.plan.clone()).await;
        // Each row is of the cell.
        for batch in &batches {
            for values in partition_values(&analysis, batch) {
                let key = analysis.partitioning.key(&values).unwrap();
                assert!(cell.bounds.contains(&key), "{sql}: {key:?} is not of {:?}", cell.bounds);
            }
        }
        all.extend(rows(&batches));
    }
    all.sort();
    let expected = rows(&whole);
    assert!(!expected.is_empty(), "{sql}");
    assert_eq!(all, expected, "{sql} by {by}");
}

fn mview_without_links(analysis: &Analysis) -> Table {
    mview(&Analysis { links: vec![], partitioning: Partitioning::None, ..analysis.clone() })
}

#[tokio::test]
async fn cells_together_are_the_query() {
    let store = Store::new().await;
    check(&store, "SELECT dt, k, v FROM t", "dt").await;
    check(&store, "SELECT dt, k, sum(v) s, avg(d) a FROM t WHERE k > 1 GROUP BY dt, k", "dt").await;
    check(&store, "SELECT dt, k, d FROM t", "date_trunc('month', dt)").await;
    check(
        &store,
        "SELECT date_trunc('month', dt) m, count(*) n FROM t GROUP BY date_trunc('month', dt)",
        "m",
    )
    .await;
    check(&store, "SELECT t.dt, u.w FROM t JOIN u ON t.dt = u.dt", "dt").await;
    check(&store, "SELECT t.dt, t.k, name FROM t LEFT JOIN dim ON t.k = dim.k", "dt").await;
    check(
        &store,
        "SELECT date_slice(dt, INTERVAL 1 MONTH) m, count(*) n FROM t GROUP BY date_slice(dt, INTERVAL 1 MONTH)",
        "m",
    )
    .await;
    check(
        &store,
        "SELECT time_slice(dt, INTERVAL 1 MONTH) m, count(*) n FROM t GROUP BY time_slice(dt, INTERVAL 1 MONTH)",
        "date_trunc('year', m)",
    )
    .await;
    check(&store, "SELECT dt, k FROM t UNION ALL SELECT dt, w FROM u", "date_trunc('month', dt)").await;
    check(&store, "SELECT date(ts) day, count(*) n FROM h GROUP BY date(ts)", "day").await;
    check(&store, "SELECT ts, k FROM h", "date_trunc('month', ts)").await;
    check(&store, "SELECT city, count(*) n FROM c GROUP BY city", "city").await;
    check(&store, "SELECT sum(k) s, dt, city FROM f GROUP BY dt, city", "date_trunc('month', dt), city")
        .await;
    check(&store, "SELECT dt, city, k FROM f", "city, dt").await;
    check(&store, "SELECT dt, city, k FROM f", "date_trunc('day', dt)").await;
    check(&store, "SELECT date_trunc('quarter', dt) q, city FROM f", "q, city").await;
    check(&store, "SELECT ts, dt, k FROM g", "date_trunc('month', ts), date_trunc('week', dt)").await;
    check(&store, "SELECT date(ts) d, dt, count(*) n FROM g GROUP BY date(ts), dt", "d, dt").await;
    check(&store, "SELECT ts, dt, k FROM g", "ts").await;
    check(&store, "WITH x AS (SELECT dt, k FROM t) SELECT a.dt, b.k FROM x a JOIN x b ON a.dt = b.dt", "dt")
        .await;
    check(&store, "SELECT dt, k, row_number() OVER (PARTITION BY dt ORDER BY k, v, d) r FROM t", "dt").await;
    check(&store, "SELECT dt, k FROM t WHERE k IN (SELECT k FROM dim)", "date_trunc('quarter', dt)").await;
}

#[tokio::test]
async fn only_the_named_partitions_are_read() {
    let store = Store::new().await;
    let analysis = store.analyze("SELECT dt, k FROM t", "dt").await;
    let cell = RefreshCell {
        bounds: Bounds::Range { lower: None, upper: None },
        sources: [(analysis.links[0].base, vec![])].into(),
    };
    let refresh = store
        .engine
        .plan_refresh(store.context(), &mview(&analysis), &cell, RefreshSource::Full)
        .await
        .unwrap();
    assert_eq!(rows(&collect(&refresh.planned, refresh.planned.plan.clone()).await), Vec::<String>::new());
}

#[tokio::test]
async fn only_rows_that_came_later_are_read() {
    let store = Store::new().await;
    let analysis = store.analyze("SELECT dt, k FROM t", "dt").await;
    let catalog = store.cluster.ctx.meta.catalog();
    let olap = catalog.table(analysis.links[0].base).unwrap().olap().unwrap().clone();
    let ids: Vec<PartitionId> = catalog.partitions_of(&olap).map(|p| p.id).collect();
    let cell = RefreshCell {
        bounds: Bounds::Range { lower: None, upper: None },
        sources: [(analysis.links[0].base, ids.clone())].into(),
    };
    // Each partition was loaded once, which made its version 2.
    for (version, some) in [(1, true), (2, false)] {
        let since = RefreshSource::Delta(ids.iter().map(|id| (*id, version)).collect());
        let view = mview(&analysis);
        let refresh = store.engine.plan_refresh(store.context(), &view, &cell, since).await.unwrap();
        assert_eq!(refresh.effect, RefreshEffect::Append);
        let found = collect(&refresh.planned, refresh.planned.plan.clone()).await;
        assert_eq!(!rows(&found).is_empty(), some, "since version {version}");
    }
}

#[tokio::test]
async fn merged_groups_are_those_of_all_rows() {
    let store = Store::new().await;
    let columns = "k, count(*) n, count(v) c, min(dt) lo, max(d) hi, avg(d) a, avg(v) av, coalesce(sum(v), 0) x, sum(d) / count(*) m";
    let sql = |filter: &str, keys: &str| {
        let columns = if keys.is_empty() { columns.replace("k, ", "") } else { columns.to_owned() };
        format!("SELECT {columns} FROM t WHERE {filter} {keys}")
    };
    for keys in ["GROUP BY k", ""] {
        let analysis = store.analyze(&sql("1 = 1", keys), "").await;
        let Some(crate::IncrementalShape::Merge { columns }) = &analysis.shape else {
            panic!("{:?}", analysis.shape)
        };
        assert!(columns.contains(&MergeColumn::Sum));
        let table = mview(&analysis);
        let arrow = arrow_schema(table.schema());
        let plan = async |filter: &str| {
            let query = cairn_sql::parse_query(&sql(filter, keys)).unwrap();
            let planned = store.engine.plan(Arc::new(store.context()), &query).await.unwrap();
            let plan = prepare(&planned.state, planned.plan.clone()).unwrap();
            let batches =
                collect(&planned, partials::stored(plan, table.schema(), &planned.state).unwrap()).await;
            let batches: Vec<RecordBatch> = batches.iter().map(|b| cast_to(b, &arrow)).collect();
            (planned, MemTable::try_new(Arc::clone(&arrow), vec![batches]).unwrap())
        };
        let scan = |name: &str, rows: MemTable| {
            let source = datafusion::datasource::provider_as_source(Arc::new(rows));
            LogicalPlanBuilder::scan(name, source, None).unwrap().build().unwrap()
        };
        let (planned, old) = plan("dt < '2024-02-10' OR k = 3").await;
        let (_, new) = plan("NOT (coalesce(dt < '2024-02-10', 1 = 0) OR coalesce(k = 3, 1 = 0))").await;
        let new = LogicalPlanBuilder::from(scan("new", new));
        let new = new
            .project(arrow.fields().iter().map(|f| datafusion::logical_expr::col(f.name())))
            .unwrap()
            .build()
            .unwrap();
        let merged = merge(scan("old", old), new, &table, columns).unwrap();
        let expected = collect(&planned, scan("all", plan("1 = 1").await.1)).await;
        assert_eq!(rows(&collect(&planned, merged).await), rows(&expected), "{keys}");
    }
}
