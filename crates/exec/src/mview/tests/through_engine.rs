//! Queries through the engine, with views that a source knows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::fixture::{collect, rows};
use super::store::{Store, mview};
use super::*;
use crate::{CandidateSpec, CandidateUse, Detail, MviewOptions, MviewSource, Planned, RewriteMode};

#[derive(Default)]
struct Views {
    specs: Vec<CandidateSpec>,
    asked: AtomicUsize,
}

impl MviewSource for Views {
    fn candidates(&self, _: &Catalog, tables: &BTreeSet<TableId>) -> Vec<CandidateSpec> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let reads = |spec: &&CandidateSpec| {
            spec.mview.mview().is_some_and(|m| m.definition.bases.iter().all(|b| tables.contains(&b.id)))
        };
        self.specs.iter().filter(reads).cloned().collect()
    }

    fn fresh(&self, _: &Catalog, mview: &Table) -> CandidateUse {
        let spec = self.specs.iter().find(|spec| spec.mview.id == mview.id);
        spec.map_or_else(|| CandidateUse::No("it is unknown".into()), |spec| spec.usable.clone())
    }
}

impl Store {
    /// A view whose rows stand in a table of the catalog.
    pub(crate) async fn mview(&self, name: &str, sql: &str, usable: CandidateUse) -> CandidateSpec {
        self.mview_by(name, sql, "", usable).await
    }

    /// The same with a PARTITION BY clause.
    async fn mview_by(&self, name: &str, sql: &str, by: &str, usable: CandidateUse) -> CandidateSpec {
        let analysis = self.analyze(sql, by).await;
        let whole = PartitionSpec { name: name.into(), bounds: Bounds::All, buckets: None };
        let is_whole = analysis.partitioning == Partitioning::None;
        let mut table = mview(&analysis);
        table.name = name.to_owned();
        let spec = TableSpec {
            db: self.cluster.db,
            model: Default::default(),
            name: name.into(),
            schema: analysis.schema.clone(),
            sort_key: vec![0],
            partitioning: analysis.partitioning.clone(),
            distribution: Distribution::Random { buckets: 1 },
            comment: String::new(),
            properties: BTreeMap::new(),
            volume: None,
            partitions: is_whole.then_some(whole).into_iter().collect(),
        };
        table.id = self.cluster.create_table(spec).unwrap();
        self.load(table.id, self.rows(sql).await).await;
        let catalog = self.cluster.ctx.meta.catalog();
        let olap = catalog.table(table.id).unwrap().olap().unwrap().clone();
        if let cairn_catalog::TableKind::Mview(mview) = &mut table.kind {
            mview.table = olap;
        }
        CandidateSpec { mview: Arc::new(table), usable }
    }

    async fn planned(&self, sql: &str, source: Option<Arc<Views>>, mode: RewriteMode) -> Planned {
        let mut context = self.context();
        let source = source.map(|s| s as Arc<dyn MviewSource>);
        context.mviews = MviewOptions { mode, source, ..MviewOptions::default() };
        let query = cairn_sql::parse_query(sql).unwrap();
        self.engine.plan(Arc::new(context), &query).await.unwrap()
    }
}

#[tokio::test]
async fn queries_read_views_and_say_why_not() {
    let store = Store::new().await;
    let specs = vec![
        store.mview("mv_sums", "SELECT k, sum(v) s, count(*) n FROM t GROUP BY k", CandidateUse::All).await,
        store.mview("mv_some", "SELECT k, v, dt FROM t WHERE v > 2", CandidateUse::All).await,
        store.mview("mv_stale", "SELECT k, v FROM t", CandidateUse::No("it is stale".into())).await,
        store.mview("mv_top", "SELECT k FROM t ORDER BY v LIMIT 2", CandidateUse::All).await,
        store.mview("mv_big", "SELECT a.k FROM t a JOIN t b ON a.k = b.k", CandidateUse::All).await,
    ];
    let views = Arc::new(Views { specs, ..Views::default() });
    let sql = "SELECT K, sum(v) AS Total FROM t WHERE k < 3 GROUP BY k";
    let planned = store.planned(sql, Some(Arc::clone(&views)), RewriteMode::Default).await;
    assert_eq!(planned.names, ["K", "Total"]);
    let lines = crate::explain(&planned, Detail::Normal).await.unwrap().join("\n");
    assert!(lines.contains("TABLE: mv_sums"), "{lines}");
    assert!(!lines.contains("TABLE: t"), "{lines}");
    let notes = [
        "mv_big: not used: it reads other tables than the query",
        "mv_some: not used: predicate (v > 2) of the view is not implied by the query",
        "mv_stale: not used: it is stale",
        "mv_top: not used: its query has a LIMIT, and its order leaves open which rows come",
    ];
    assert_eq!(planned.mview_notes(), notes);
    assert!(lines.ends_with("4 materialized views not used: EXPLAIN VERBOSE says why"), "{lines}");
    let lines = crate::explain(&planned, Detail::Verbose).await.unwrap().join("\n");
    assert!(lines.ends_with(&notes.join("\n")), "{lines}");
    let plain = store.planned(sql, None, RewriteMode::Default).await;
    let expected = rows(&collect(&plain, plain.plan.clone()).await);
    assert_eq!(rows(&collect(&planned, planned.plan.clone()).await), expected);
    assert_eq!(plain.schema().fields(), planned.schema().fields());

    // More rows than the tables have: only when it is forced.
    let sql = "SELECT a.k FROM t a JOIN t b ON a.k = b.k WHERE a.k > 1";
    let planned = store.planned(sql, Some(Arc::clone(&views)), RewriteMode::Default).await;
    assert!(
        planned.mview_notes().iter().any(|n| n.contains("mv_big: not used: it has")),
        "{:?}",
        planned.mview_notes()
    );
    let planned = store.planned(sql, Some(Arc::clone(&views)), RewriteMode::Force).await;
    let lines = crate::explain(&planned, Detail::Normal).await.unwrap().join("\n");
    assert!(lines.contains("TABLE: mv_big"), "{lines}");

    let asked = views.asked.load(Ordering::Relaxed);
    let planned = store.planned(sql, Some(Arc::clone(&views)), RewriteMode::Disable).await;
    assert!(planned.mview_notes().is_empty());
    assert_eq!(views.asked.load(Ordering::Relaxed), asked);
}

/// Views by slices of time and a value: what is fresh is read from them, once, and the rest from the table.
#[tokio::test]
async fn lists_of_slices_are_read_beside_what_is_stale() {
    let store = Store::new().await;
    let sql = "SELECT dt, city, sum(k) s, count(*) n FROM f GROUP BY dt, city";
    let queries = [
        "SELECT dt, city, sum(k) FROM f GROUP BY dt, city",
        "SELECT city, sum(k), count(*) FROM f GROUP BY city",
        "SELECT date_trunc('month', dt), count(*) FROM f GROUP BY date_trunc('month', dt)",
        "SELECT sum(k) FROM f WHERE dt >= '2024-02-05' AND dt < '2024-02-20' AND city = 'x'",
        "SELECT city, count(*) FROM f WHERE dt IS NULL OR city IS NULL GROUP BY city",
    ];
    for by in [
        "date_trunc('month', dt), city",
        "dt, city",
        "city, date_trunc('year', dt)",
        "date_trunc('month', dt)",
        "city",
    ] {
        let mut spec = store.mview_by(&format!("mv{}", by.len()), sql, by, CandidateUse::All).await;
        let catalog = store.cluster.ctx.meta.catalog();
        let ids: Vec<PartitionId> = catalog.partitions_of(spec.mview.olap().unwrap()).map(|p| p.id).collect();
        assert!(ids.len() > 2, "{by}");
        for stale in 0..3 {
            let fresh = ids.iter().enumerate().filter(|(at, _)| at % 3 != stale).map(|(_, id)| *id);
            spec.usable = CandidateUse::Partitions(fresh.collect());
            let views = Arc::new(Views { specs: vec![spec.clone()], ..Views::default() });
            for sql in queries {
                let plain = store.planned(sql, None, RewriteMode::Default).await;
                let planned = store.planned(sql, Some(Arc::clone(&views)), RewriteMode::Force).await;
                let expected = rows(&collect(&plain, plain.plan.clone()).await);
                assert_eq!(rows(&collect(&planned, planned.plan.clone()).await), expected, "{sql} by {by}");
                let lines = crate::explain(&planned, Detail::Normal).await.unwrap().join("\n");
                // It is used, unless all that it could give is not wanted.
                let notes = planned.mview_notes();
                assert!(
                    notes.iter().all(|n| n.contains("have none of the rows")),
                    "{sql} by {by}: {notes:?}"
                );
                // Behind that is what no row is read of.
                let lines = lines.split("EMPTYSET").next().unwrap_or_default();
                assert!(lines.matches("TABLE: mv").count() < 2, "{sql} by {by}:\n{lines}");
                assert!(lines.matches("TABLE: f").count() < 2, "{sql} by {by}:\n{lines}");
            }
        }
    }
}

/// Prints what planning costs with many views; the bound is wide, because tests are not optimized.
#[tokio::test]
async fn many_views_cost_little() {
    let store = Store::new().await;
    let one = store.mview("mv", "SELECT k, sum(v) s, count(*) n FROM t GROUP BY k", CandidateUse::All).await;
    let mut specs = Vec::new();
    for number in 0..200u64 {
        let sql = match number % 4 {
            0 => format!("SELECT k, sum(v) s FROM t WHERE v > {number} GROUP BY k"),
            1 => format!(
                "SELECT t.k, u.w, name FROM t JOIN u ON t.k = u.k JOIN dim ON dim.k = t.k WHERE t.v < {number}"
            ),
            2 => format!("SELECT dt, k, v, d FROM t WHERE k = {number}"),
            _ => format!(
                "SELECT t.k, t.dt, sum(w) w FROM t JOIN u ON t.k = u.k WHERE t.v < {number} GROUP BY t.k, t.dt"
            ),
        };
        let mut table = mview(&store.analyze(&sql, "").await);
        table.id = TableId(100_000 + number);
        table.name = format!("mv{number}");
        specs.push(CandidateSpec { mview: Arc::new(table), usable: CandidateUse::All });
    }
    specs.push(one);
    let views = Arc::new(Views { specs, ..Views::default() });
    let sql = "SELECT t.k, name, sum(w) FROM t JOIN u ON t.k = u.k JOIN dim ON t.k = dim.k WHERE t.dt > \
     '2024-01-05' AND t.v < 1000 GROUP BY t.k, name";
    let measure = async |source: Option<Arc<Views>>| {
        let started = Instant::now();
        for _ in 0..10 {
            store.planned(sql, source.clone(), RewriteMode::Default).await;
        }
        started.elapsed() / 10
    };
    measure(Some(Arc::clone(&views))).await;
    let (without, with) = (measure(None).await, measure(Some(views)).await);
    println!("planning without views {without:?}, with 200 {with:?}");
    assert!(with.as_millis() < 2_000, "{with:?}");
}

/// Partitions that a query names are a part of the table: a view over the whole does not stand for them.
#[tokio::test]
async fn named_partitions_are_read_alone() {
    let store = Store::new().await;
    let specs = vec![store.mview("mv_w", "SELECT k, sum(w) s FROM u GROUP BY k", CandidateUse::All).await];
    let views = Arc::new(Views { specs, ..Views::default() });
    let all = store.planned("SELECT * FROM u", None, RewriteMode::Default).await;
    all.physical().await.unwrap();
    let total = all.scans()[0].partitions.1;
    let check = async |from: &str, condition: &str, read: &[usize]| {
        let sql = format!("SELECT u.k, sum(u.w) FROM {from} GROUP BY u.k");
        let planned = store.planned(&sql, Some(Arc::clone(&views)), RewriteMode::Force).await;
        let same = format!("SELECT u.k, sum(u.w) FROM u WHERE {condition} GROUP BY u.k");
        assert_eq!(
            rows(&collect(&planned, planned.plan.clone()).await),
            rows(&store.rows(&same).await),
            "{sql}"
        );
        let lines = crate::explain(&planned, Detail::Normal).await.unwrap().join("\n");
        for count in read {
            assert!(lines.contains(&format!("partitions={count}/{total}")), "{sql}\n{lines}");
        }
        assert!(!lines.contains("TABLE: mv_w"), "{sql}\n{lines}");
    };
    let (january, february) = ("dt < '2024-02-01'", "dt >= '2024-02-01' AND dt < '2024-03-01'");
    check("u PARTITION (p202401)", january, &[1]).await;
    check("u PARTITIONS (p202401, `p202401`)", january, &[1]).await;
    check("d.u PARTITION ('p202402', p202401)", "dt < '2024-03-01'", &[2]).await;
    check("default_catalog.d.u PARTITION (p202402)", february, &[1]).await;
    check(
        "(SELECT * FROM u PARTITION (p202402) AS part WHERE part.k >= 0) u",
        &format!("{february} AND k >= 0"),
        &[1],
    )
    .await;
    check("u PARTITION (p202401, p202402) WHERE dt < '2024-02-01'", january, &[1]).await;
    let join =
        "u PARTITION (p202402) JOIN (SELECT count(*) n FROM u PARTITION (p202401, p202403) x) y ON y.n > 0";
    check(join, february, &[1, 2]).await;

    let refused = async |sql: &str, expected: &str| {
        let query = cairn_sql::parse_query(sql).unwrap();
        let error = store.engine.plan(Arc::new(store.context()), &query).await.err().unwrap();
        assert!(error.message().contains(expected), "{sql}: {error}");
    };
    refused("SELECT * FROM u PARTITION (p202401, nope)", "Unknown partition 'nope' in table 'u'").await;
    refused("SELECT * FROM nope PARTITION (p202401)", "nope").await;
    refused("SELECT * FROM other.d.u PARTITION (p202401)", "Unknown table 'other.d.u'").await;
    refused("WITH u AS (SELECT 1) SELECT * FROM u PARTITION (p202401)", "'u' is a query of WITH").await;
    refused("SELECT * FROM u TABLET (a)", "TABLET of a table in FROM is not supported yet").await;

    let sql = "SELECT k FROM u PARTITION (p202401)";
    let query = cairn_sql::parse_query(sql).unwrap();
    let analyzed = store.engine.analyze_mview(Arc::new(store.context()), &query, sql, &[], &[]).await;
    assert!(analyzed.unwrap_err().message().contains("not supported PARTITION of a table"));
}
