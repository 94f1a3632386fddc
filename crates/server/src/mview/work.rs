//! The work of one refresh: cells of a view, computed over one catalog state and committed batch by batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_catalog::{
    Bounds, Catalog, Command, Freshness, Mview, Partition, PartitionSpec, Reply, RunAdvance, RunState, Seen,
    Table, TaskRun,
};
use cairn_exec::mview::{IncrementalShape, RefreshCell, RefreshEffect, RefreshSource};
use cairn_exec::{Planned, from_datafusion};
use cairn_mview::{CellVerdict, delta};
use cairn_storage::manifest::Rowset;
use cairn_storage::{CommitRequest, LoadOptions, LoadWriter, RefreshCommit, Written, rows_since};
use cairn_types::{Error, ErrorKind, PartitionId, Result, TaskRunId};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::extra::{Counts, Extra};
use super::properties::{RefreshMode, refresh_mode};
use super::refresh;
use crate::node::Node;
use crate::statement::insert::Layout;

/// Rows that a refresh buffers, at most this part of what a load may: several run at once.
const MEMORY_DIVISOR: usize = 4;
/// With `refresh_mode` auto, new rows alone are read when they are at most this part of what a full refresh reads.
const DELTA_PERCENT_MAX: u64 = 30;

/// A refresh under way.
pub(super) struct Work<'a> {
    node: &'a Arc<Node>,
    /// What is read, and whose numbers are recorded.
    catalog: &'a Arc<Catalog>,
    table: &'a Arc<Table>,
    mview: &'a Mview,
    run: &'a TaskRun,
    /// What is told of the run, with each commit.
    extra: &'a mut Extra,
    /// Found out when first needed.
    effect_of_growth: Option<Option<RefreshEffect>>,
}

/// How far a run is when a batch is done.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) state: RunState,
    pub(super) percent: u32,
}

impl Progress {
    pub(super) fn advance(self, id: TaskRunId, extra: String) -> RunAdvance {
        let Self { state, percent: progress_percent } = self;
        RunAdvance { id, state, progress_percent, error_code: 0, error: String::new(), extra, into: None }
    }
}

/// How the cells of one commit are made.
struct Portion<'a> {
    cells: Vec<(&'a CellVerdict, PartitionId, RefreshSource)>,
    effect: RefreshEffect,
    /// Of the last commit of a batch.
    progress: Option<Progress>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        node: &'a Arc<Node>,
        catalog: &'a Arc<Catalog>,
        table: &'a Arc<Table>,
        run: &'a TaskRun,
        extra: &'a mut Extra,
    ) -> Result<Self> {
        let mview = super::of(table)?;
        Ok(Self { node, catalog, table, mview, run, extra, effect_of_growth: None })
    }

    /// Drops partitions that are no cell any more, so that cells have room.
    pub(super) async fn drop_obsolete(&mut self, obsolete: &[(PartitionId, String)]) -> Result<()> {
        if obsolete.is_empty() {
            return Ok(());
        }
        let dropped = obsolete.iter().map(|(_, name)| name.clone()).collect();
        let commit = RefreshCommit { dropped, ..self.refresh_commit() };
        self.commit(Vec::new(), commit).await
    }

    /// Makes `cells` fresh, and with the last of them records how far the run is then. Those that only take in new rows
    /// are committed apart from those whose rows are replaced.
    pub(super) async fn batch(
        &mut self,
        cells: &[&CellVerdict],
        progress: Progress,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let ids = self.partitions(cells).await?;
        let mut replaced = Vec::new();
        let mut grown = Vec::new();
        for (cell, id) in cells.iter().zip(&ids) {
            match self.growth(cell, *id).await? {
                Some(source) => grown.push((*cell, *id, source)),
                None => replaced.push((*cell, *id, RefreshSource::Full)),
            }
        }
        if let (false, Some(effect)) = (grown.is_empty(), self.effect_of_growth().await?) {
            let last = replaced.is_empty().then_some(progress);
            let whole = self.grow(grown, effect, last, cancel).await?;
            replaced.extend(whole.into_iter().map(|(cell, id)| (cell, id, RefreshSource::Full)));
        }
        if !replaced.is_empty() {
            let portion =
                Portion { cells: replaced, effect: RefreshEffect::Replace, progress: Some(progress) };
            self.portion(portion, cancel).await?;
        }
        Ok(())
    }

    /// Takes new rows into `cells`; those whose new rows cannot be told apart (a compaction merged old and new) come back.
    async fn grow<'c>(
        &mut self,
        cells: Vec<(&'c CellVerdict, PartitionId, RefreshSource)>,
        effect: RefreshEffect,
        progress: Option<Progress>,
        cancel: &CancellationToken,
    ) -> Result<Vec<(&'c CellVerdict, PartitionId)>> {
        let mut whole = Vec::new();
        let count = cells.len();
        for (at, (cell, id, source)) in cells.into_iter().enumerate() {
            let progress = progress.filter(|_| at + 1 == count && whole.is_empty());
            match self.portion(Portion { cells: vec![(cell, id, source)], effect, progress }, cancel).await {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unsupported) => {
                    tracing::debug!(mview = %self.table.name, %error, "a cell is refreshed as a whole");
                    whole.push((cell, id));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    /// The partitions of `cells`, made where they are missing.
    async fn partitions(&self, cells: &[&CellVerdict]) -> Result<Vec<PartitionId>> {
        let spec = |cell: &&CellVerdict| PartitionSpec {
            name: cell.name.clone(),
            bounds: cell.bounds.clone(),
            buckets: None,
        };
        let newest = self.node.catalog();
        let olap = newest.table(self.table.id).and_then(|t| t.olap());
        let existing = |cell: &&CellVerdict| {
            let id = *olap?.partitions.get(&cell.name)?;
            newest.partition(id).filter(|p| p.bounds == cell.bounds).map(|p| p.id)
        };
        if let Some(ids) = cells.iter().map(existing).collect::<Option<Vec<_>>>() {
            return Ok(ids);
        }
        let partitions = cells.iter().map(spec).collect();
        let command = Command::CreatePartitions { table: self.table.id, partitions, if_not_exists: true };
        match self.node.propose(command).await? {
            Reply::Partitions(ids) if ids.len() == cells.len() => Ok(ids),
            other => Err(Error::internal(format!("CREATE PARTITIONS was answered by {other:?}"))),
        }
    }

    /// From which versions on the base rows suffice to bring `cell` up to date; `None`: all are needed.
    async fn growth(&mut self, cell: &CellVerdict, id: PartitionId) -> Result<Option<RefreshSource>> {
        let mode = refresh_mode(&self.mview.table.properties);
        let recorded = self.mview.freshness.get(&id);
        let (Some(recorded), false) = (recorded, self.run.request.force || mode == RefreshMode::Full) else {
            return Ok(None);
        };
        let Some(growth) = delta(self.catalog, cell, recorded) else { return Ok(None) };
        if self.mview.definition.bases.len() != 1 || self.effect_of_growth().await?.is_none() {
            return Ok(None);
        }
        let mut since: BTreeMap<PartitionId, u64> = seen_versions(recorded);
        for grown in &growth {
            since.insert(grown.partition, grown.from_version);
        }
        if mode == RefreshMode::Auto && !self.is_small(cell, &since).await? {
            return Ok(None);
        }
        Ok(Some(RefreshSource::Delta(since)))
    }

    /// What new rows do to the old ones of a cell; `None`: the query cannot take them in.
    async fn effect_of_growth(&mut self) -> Result<Option<RefreshEffect>> {
        if let Some(known) = self.effect_of_growth {
            return Ok(known);
        }
        let context = super::context(self.node, self.catalog, self.table)?;
        let effect = self.node.engine.mview_shape(context, self.table).await?.map(|shape| match shape {
            IncrementalShape::Append => RefreshEffect::Append,
            IncrementalShape::Merge { .. } => RefreshEffect::Replace,
        });
        self.effect_of_growth = Some(effect);
        Ok(effect)
    }

    /// Whether the base rows that came after the versions `since` are few beside all of `cell`. Not so where a compaction
    /// has merged them with old ones.
    async fn is_small(&self, cell: &CellVerdict, since: &BTreeMap<PartitionId, u64>) -> Result<bool> {
        let (mut all, mut new) = (0u64, 0u64);
        for id in cell.sources.values().flatten() {
            let Some(partition) = self.catalog.partition(*id) else { continue };
            let rows = partition.visible().map_or(0, |v| v.manifest.rows);
            all += rows;
            new += match since.get(id) {
                Some(version) if *version >= partition.visible_version() => 0,
                Some(version) => match self.rows_since(partition, *version).await? {
                    Some(rows) => rows,
                    None => return Ok(false),
                },
                None => rows,
            };
        }
        Ok(new.saturating_mul(100) <= all.saturating_mul(DELTA_PERCENT_MAX))
    }

    /// How many rows came to `partition` after `version`; `None` when that cannot be told.
    async fn rows_since(&self, partition: &Partition, version: u64) -> Result<Option<u64>> {
        let storage = &self.node.storage;
        let place = storage.volumes.place(self.catalog, partition)?;
        let manifest = storage.manifests.load_visible(&place, partition).await?;
        let count = |rowsets: Vec<&Rowset>| rowsets.iter().flat_map(|r| &r.segments).map(|s| s.rows).sum();
        Ok(rows_since(&manifest, version).map(count))
    }

    async fn plan(&self, cell: &CellVerdict, source: RefreshSource) -> Result<Planned> {
        let context = super::context(self.node, self.catalog, self.table)?;
        let refreshed = RefreshCell { bounds: cell.bounds.clone(), sources: cell.sources.clone() };
        Ok(self.node.engine.plan_refresh(context, self.table, &refreshed, source).await?.planned)
    }

    /// Computes and commits some cells at once.
    async fn portion(&mut self, portion: Portion<'_>, cancel: &CancellationToken) -> Result<()> {
        let ids: Vec<PartitionId> = portion.cells.iter().map(|(_, id, _)| *id).collect();
        let options = LoadOptions {
            memory_bytes_max: self.node.limits.load_bytes_max / MEMORY_DIVISOR,
            only: Some(ids),
            ..LoadOptions::default()
        };
        let mut writer = LoadWriter::new(Arc::clone(&self.node.storage), self.table.id, options)?;
        let mut outcome = Ok(());
        for (cell, _, source) in &portion.cells {
            outcome = self.compute(cell, source, &mut writer, cancel).await;
            if outcome.is_err() {
                break;
            }
        }
        if let Err(error) = outcome {
            writer.abort().await;
            return Err(error);
        }
        let written = writer.finish().await?;
        let counts = portion.counts(self.extra.done, written.rows);
        let built: BTreeMap<_, _> =
            portion.cells.iter().map(|(cell, id, _)| (*id, cell.seen.clone())).collect();
        let freshness = &self.mview.freshness;
        let before = built.keys().filter_map(|id| Some((*id, freshness.get(id)?.refreshed))).collect();
        let commit = RefreshCommit {
            built,
            replace: portion.effect == RefreshEffect::Replace,
            before: Some(before),
            run: portion.progress.map(|progress| progress.advance(self.run.id, self.extra.json(counts))),
            ..self.refresh_commit()
        };
        self.commit(vec![written], commit).await?;
        self.extra.done = counts;
        Ok(())
    }

    async fn compute(
        &self,
        cell: &CellVerdict,
        source: &RefreshSource,
        writer: &mut LoadWriter,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let planned = self.plan(cell, source.clone()).await?;
        let now_micros = self.node.env.now_micros();
        let layout = Layout::new(self.table, &[], planned.schema().fields().len(), now_micros)?;
        let mut batches = planned.execute().await?;
        loop {
            let batch = tokio::select! {
                () = cancel.cancelled() => return Err(refresh::cancelled()),
                batch = batches.try_next() => batch.map_err(from_datafusion)?,
            };
            let Some(batch) = batch else { return Ok(()) };
            if batch.num_rows() > 0 {
                writer.write(layout.arrange(&batch)?).await?;
            }
        }
    }

    /// A commit of nothing.
    fn refresh_commit(&self) -> RefreshCommit {
        RefreshCommit {
            mview: self.table.id,
            binding: self.mview.definition.binding,
            built: BTreeMap::new(),
            dropped: Vec::new(),
            replace: false,
            before: None,
            run: None,
        }
    }

    async fn commit(&self, written: Vec<Written>, refresh: RefreshCommit) -> Result<()> {
        let request = CommitRequest {
            db: self.table.db,
            txn: None,
            label: None,
            written,
            details: String::new(),
            overwrite: false,
            refresh: Some(refresh),
        };
        self.node.committer.commit(request).await.map(|_| ())
    }
}

impl Portion<'_> {
    /// What is done when this is, too, and has made `rows`.
    fn counts(&self, before: Counts, rows: u64) -> Counts {
        let incremental = self.cells.iter().filter(|(.., source)| matches!(source, RefreshSource::Delta(_)));
        Counts {
            cells: before.cells + self.cells.len() as u64,
            incremental: before.incremental + incremental.count() as u64,
            commits: before.commits + 1,
            rows: before.rows + rows,
        }
    }
}

/// The partitions whose versions were recorded.
fn seen_versions(recorded: &Freshness) -> BTreeMap<PartitionId, u64> {
    let partitions = recorded.bases.values().filter_map(|seen| match seen {
        Seen::Partitions(versions) => Some(versions),
        Seen::Table(_) => None,
    });
    partitions.flatten().map(|(id, version)| (*id, *version)).collect()
}

/// The range of a cell, for people.
pub(super) fn bounds_text(bounds: &Bounds) -> String {
    match bounds {
        Bounds::All => "all".to_owned(),
        Bounds::Range { lower, upper } => {
            let end = |bound: &Option<Vec<cairn_types::Literal>>| match bound {
                None => "…".to_owned(),
                Some(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            format!("[{}, {})", end(lower), end(upper))
        }
        Bounds::List { keys } => {
            let key = |key: &Vec<cairn_types::Literal>| {
                key.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            keys.iter().map(|k| format!("({})", key(k))).collect::<Vec<_>>().join(", ")
        }
    }
}
