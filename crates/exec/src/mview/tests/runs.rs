//! New rows are taken in by the plan of the last time, and are all there.

use super::fixture::rows;
use super::store::Store;
use super::*;
use crate::{CandidateUse, RefreshCell, RefreshSource};

/// Takes rows in again and again. How many plans were kept for that.
async fn check(sql: &str, kept: usize) {
    let store = Store::new().await;
    let view = store.mview("mv", sql, CandidateUse::All).await.mview;
    let catalog = store.cluster.ctx.meta.catalog();
    let base = catalog.table(view.mview().unwrap().definition.bases[0].id).unwrap();
    let partitions = catalog.partitions_of(base.olap().unwrap());
    let since: BTreeMap<PartitionId, u64> = partitions.map(|p| (p.id, p.visible_version())).collect();
    let cell = RefreshCell { bounds: Bounds::All, sources: BTreeMap::new() };
    let template =
        store.engine.template(&Arc::new(store.context()), &view, view.mview().unwrap()).await.unwrap();
    let mut dice = Dice::new(3);
    // One segment is read by one task, two and more by two.
    for round in 0..6 {
        store.load(base.id, store.random_rows("k int, name varchar", 5, &mut dice).await).await;
        let mut context = store.context();
        context.parallelism = 2;
        let source = RefreshSource::Delta(since.clone());
        let refresh = store.engine.plan_refresh(context, &view, &cell, source).await.unwrap();
        let stream = refresh.planned.execute().await.unwrap();
        let found: Vec<RecordBatch> = futures::TryStreamExt::try_collect(stream).await.unwrap();
        assert_eq!(rows(&found), rows(&store.rows(sql).await), "{sql}, round {round}");
        assert_eq!(refresh.planned.scans().len(), 2, "the view and its base");
    }
    assert_eq!(template.delta_runs.kept().len(), kept, "{sql}");
}

#[tokio::test]
async fn a_plan_is_kept_when_only_its_scans_are_new() {
    check("SELECT k, count(*) n, min(name) lo FROM dim GROUP BY k", 2).await;
    check("SELECT k, sum(k) s, max(name) hi FROM dim GROUP BY k", 2).await;
    check("SELECT count(*) n, sum(k) s FROM dim", 2).await;
    // Whether a filter leaves segments out follows from what is in them.
    check("SELECT k, count(*) n FROM dim WHERE name = 'x' GROUP BY k", 0).await;
    // Statistics answer it.
    check("SELECT count(*) n FROM dim", 0).await;
}
