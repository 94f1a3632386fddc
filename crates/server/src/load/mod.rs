//! Stream Load: a request body becomes visible rows, exactly once by its label.

mod expressions;
mod source;

use std::sync::Arc;
use std::time::Duration;

use cairn_catalog::{Catalog, Command, Object, Reply, Table, TxnState};
use cairn_http::{ExistingLoad, LoadBody, LoadOutcome, LoadStatus, StreamLoadRequest};
use cairn_ingest::Rejected;
use cairn_storage::{CommitRequest, LoadOptions, LoadWriter, Unroutable, Written};
use cairn_types::{Error, ErrorKind, Privilege, Result, TxnId};

use crate::node::Node;
use crate::statement::insert::{olap, partition_ids};
use expressions::Shape;
use source::Rows;

/// Where the parts of a load's time went, in milliseconds.
#[derive(Default)]
struct Times {
    begin_ms: u64,
    plan_ms: u64,
    read_ms: u64,
    write_ms: u64,
    commit_ms: u64,
}

/// What was counted.
#[derive(Default)]
struct Counts {
    total: u64,
    loaded: u64,
    filtered: u64,
    unselected: u64,
    rejected: Vec<Rejected>,
}

/// Runs one load to its end.
pub async fn stream_load(
    node: &Arc<Node>,
    user: &str,
    request: StreamLoadRequest,
    body: LoadBody,
) -> LoadOutcome {
    let total = node.env.stopwatch();
    let mut load =
        Load { node, user, request: &request, times: Times::default(), counts: Counts::default(), bytes: 0 };
    let limit = Duration::from_secs(request.timeout_seconds.into());
    let outcome = match tokio::time::timeout(limit, load.run(body)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let message =
                format!("the load took longer than its timeout of {} seconds", request.timeout_seconds);
            load.abort_open(&message).await;
            Err(Error::new(ErrorKind::Timeout, message))
        }
    };
    let mut answer = load.answer(outcome);
    answer.load_time_ms = total.elapsed_ms();
    let ok = answer.status == LoadStatus::Success;
    node.metrics.load(ok, answer.load_bytes);
    node.metrics.rows_loaded(answer.rows_loaded);
    answer
}

struct Load<'a> {
    node: &'a Arc<Node>,
    user: &'a str,
    request: &'a StreamLoadRequest,
    times: Times,
    counts: Counts,
    bytes: u64,
}

impl Load<'_> {
    async fn run(&mut self, body: LoadBody) -> Result<TxnId> {
        let timer = self.node.env.stopwatch();
        let catalog = self.node.catalog();
        let (db, table) = cairn_exec::resolve::find(&catalog, &self.request.database, &self.request.table)?;
        catalog.require(self.user, Privilege::Insert, Object::Table(table))?;
        let table = Arc::clone(table);
        let shape = Shape::new(&table, self.request)?;
        let options = self.options(&table)?;
        self.times.plan_ms = timer.elapsed_ms();

        let timer = self.node.env.stopwatch();
        let begin = Command::BeginTxn {
            db: db.id,
            label: self.request.label.clone(),
            source: "stream load".to_owned(),
            timeout_ms: u64::from(self.request.timeout_seconds) * 1_000,
        };
        let txn = match self.node.propose(begin).await? {
            Reply::Txn(txn) => txn,
            other => return Err(Error::internal(format!("BEGIN was answered by {other:?}"))),
        };
        self.times.begin_ms = timer.elapsed_ms();

        let outcome = self.load(txn, &catalog, &table, &shape, options, body).await;
        if let Err(error) = &outcome {
            self.abort(txn, error.message()).await;
        }
        outcome.map(|()| txn)
    }

    fn options(&self, table: &Table) -> Result<LoadOptions> {
        let olap = olap(table)?;
        let only = match &self.request.partitions {
            Some(names) => Some(partition_ids(olap, &table.name, names)?),
            None => None,
        };
        Ok(LoadOptions {
            memory_bytes_max: self.node.limits.load_bytes_max,
            only,
            unroutable: Unroutable::Skip,
        })
    }

    async fn load(
        &mut self,
        txn: TxnId,
        catalog: &Arc<Catalog>,
        table: &Table,
        shape: &Shape,
        options: LoadOptions,
        body: LoadBody,
    ) -> Result<()> {
        let mut writer = LoadWriter::new(Arc::clone(&self.node.storage), table.id, options)?;
        let mut rows = Rows::new(self.node, self.request, shape, body)?;
        let written = self.write(catalog, shape, &mut rows, &mut writer).await;
        self.bytes = rows.received_bytes();
        self.times.read_ms = rows.read_ms();
        let checked = written.and_then(|()| self.check_quality());
        if let Err(error) = checked {
            writer.abort().await;
            return Err(error);
        }
        let written = writer.finish().await?;
        self.commit(txn, table, written).await
    }

    async fn write(
        &mut self,
        catalog: &Arc<Catalog>,
        shape: &Shape,
        rows: &mut Rows,
        writer: &mut LoadWriter,
    ) -> Result<()> {
        let timer = self.node.env.stopwatch();
        let outcome = async {
            while let Some(batch) = rows.next().await? {
                let before = batch.num_rows() as u64;
                let shaped =
                    shape.apply(self.node, catalog, self.user, &self.request.database, batch).await?;
                let kept = shaped.batch.num_rows() as u64;
                self.counts.unselected += shaped.unselected;
                self.counts.filtered += before - shaped.unselected - kept;
                self.keep_rejected(shaped.rejected);
                let columns: Vec<String> =
                    shaped.batch.schema().fields().iter().map(|f| f.name().clone()).collect();
                let copy = shaped.batch.clone();
                for row in writer.write(shaped.batch).await? {
                    self.counts.filtered += 1;
                    let reason = "The row is out of partition ranges. Please add a new partition.".to_owned();
                    let text = source::row_text(&copy, row as usize, &columns);
                    self.keep_rejected(vec![Rejected { row_number: 0, reason, text }]);
                }
            }
            Ok(())
        };
        let outcome = outcome.await;
        let tally = rows.tally();
        self.counts.total = tally.rows_total;
        self.counts.filtered += tally.rows_rejected;
        self.keep_rejected(tally.rejected.clone());
        self.counts.loaded = writer.rows();
        self.times.write_ms = timer.elapsed_ms();
        outcome
    }

    fn keep_rejected(&mut self, rows: Vec<Rejected>) {
        let room = cairn_ingest::REJECTED_KEPT_DEFAULT.saturating_sub(self.counts.rejected.len());
        self.counts.rejected.extend(rows.into_iter().take(room));
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    fn check_quality(&self) -> Result<()> {
        let selected = self.counts.total.saturating_sub(self.counts.unselected);
        if self.counts.filtered == 0
            || self.counts.filtered as f64 <= self.request.max_filter_ratio * selected as f64
        {
            return Ok(());
        }
        Err(Error::new(ErrorKind::DataQuality, "too many filtered rows"))
    }

    async fn commit(&mut self, txn: TxnId, table: &Table, written: Written) -> Result<()> {
        let timer = self.node.env.stopwatch();
        let request = CommitRequest {
            db: table.db,
            txn: Some(txn),
            label: None,
            written: vec![written],
            details: format!("{} rows", self.counts.loaded),
            overwrite: false,
            refresh: None,
        };
        let committed = self.node.committer.commit(request).await;
        self.times.commit_ms = timer.elapsed_ms();
        committed.map(|_| ())
    }

    /// Best effort: a load that stays open is aborted at the next start, and its files are the vacuum's.
    async fn abort(&self, txn: TxnId, reason: &str) {
        let abort = Command::AbortTxn { txn, reason: reason.to_owned() };
        match self.node.propose(abort).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => tracing::warn!(%txn, %error, "an aborted load could not be marked"),
        }
    }

    async fn abort_open(&self, reason: &str) {
        let catalog = self.node.catalog();
        let Some(db) = catalog.database_named(&self.request.database) else { return };
        if let Some(txn) =
            catalog.txn_labelled(db.id, &self.request.label).filter(|t| t.state == TxnState::Prepare)
        {
            self.abort(txn.id, reason).await;
        }
    }

    fn answer(self, outcome: Result<TxnId>) -> LoadOutcome {
        let label = self.request.label.clone();
        let (status, message, txn_id) = match &outcome {
            Ok(txn) => (LoadStatus::Success, "OK".to_owned(), Some(txn.0)),
            Err(error) if error.kind() == ErrorKind::LabelUsed => {
                return LoadOutcome::label_exists(label, self.existing());
            }
            Err(error) => (LoadStatus::Fail, error.message().to_owned(), None),
        };
        let error_log = match self.counts.rejected.is_empty() {
            true => None,
            false => match self.node.error_logs.keep(&self.counts.rejected) {
                Ok(name) => Some(name),
                Err(error) => {
                    tracing::warn!(%error, "the rejected rows of a load could not be kept");
                    None
                }
            },
        };
        LoadOutcome {
            txn_id,
            label,
            rows_loaded: if outcome.is_ok() { self.counts.loaded } else { 0 },
            status,
            message,
            rows_total: self.counts.total,
            rows_filtered: self.counts.filtered,
            rows_unselected: self.counts.unselected,
            load_bytes: self.bytes,
            load_time_ms: 0,
            begin_txn_time_ms: self.times.begin_ms,
            plan_time_ms: self.times.plan_ms,
            read_data_time_ms: self.times.read_ms,
            write_data_time_ms: self.times.write_ms,
            commit_and_publish_time_ms: self.times.commit_ms,
            error_log,
            rejected_record_path: None,
        }
    }

    /// What the other load with this label does.
    fn existing(&self) -> ExistingLoad {
        let catalog = self.node.catalog();
        let db = catalog.database_named(&self.request.database);
        match db.and_then(|db| catalog.txn_labelled(db.id, &self.request.label)).map(|t| t.state) {
            Some(TxnState::Prepare) => ExistingLoad::Running,
            _ => ExistingLoad::Finished,
        }
    }
}
