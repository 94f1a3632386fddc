//! Loads: labels, commits, aborts. All changes of a commit become visible by one command.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_types::{DbId, Error, ErrorKind, Result, TxnId, limits};
use serde::{Deserialize, Serialize};

use crate::partition::{EMPTY_VERSION, Partition, Version};
use crate::table::only_by_refresh;
use crate::{Catalog, Outcome, PartitionChange, Reply, Stamp};

/// A labelled load.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Txn {
    pub id: TxnId,
    pub db: DbId,
    pub label: String,
    /// Which door it came through, for people.
    pub source: String,
    pub state: TxnState,
    pub begun: Stamp,
    pub finished: Option<Stamp>,
    pub timeout_ms: u64,
    /// Why it was aborted, or what the load wants remembered.
    pub details: String,
}

/// StarRocks' words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TxnState {
    Prepare,
    Visible,
    Aborted,
}

impl TxnState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "PREPARE",
            Self::Visible => "VISIBLE",
            Self::Aborted => "ABORTED",
        }
    }
}

impl Catalog {
    pub(crate) fn begin_txn(
        &mut self,
        now: Stamp,
        db: DbId,
        label: &str,
        source: &str,
        timeout_ms: u64,
    ) -> Outcome {
        let id = self.new_txn(now, db, label, source, timeout_ms)?;
        Ok(Reply::Txn(id))
    }

    fn new_txn(&mut self, now: Stamp, db: DbId, label: &str, source: &str, timeout_ms: u64) -> Result<TxnId> {
        self.live_database(db)?;
        if label.is_empty() || label.chars().count() > limits::LABEL_CHARS_MAX {
            return Err(Error::analysis(format!("a label has 1 to {} characters", limits::LABEL_CHARS_MAX)));
        }
        if self.txn_labelled(db, label).is_some() {
            return Err(Error::new(ErrorKind::LabelUsed, format!("Label [{label}] has already been used.")));
        }
        let id = TxnId(self.take_id());
        self.names.labels.insert((db, label.to_owned()), id);
        let txn = Txn {
            id,
            db,
            label: label.to_owned(),
            source: source.to_owned(),
            state: TxnState::Prepare,
            begun: now,
            finished: None,
            timeout_ms,
            details: String::new(),
        };
        self.txns.insert(id, Arc::new(txn));
        Ok(id)
    }

    pub(crate) fn commit(
        &mut self,
        now: Stamp,
        db: DbId,
        txn: Option<TxnId>,
        label: Option<&str>,
        changes: &[PartitionChange],
        details: &str,
    ) -> Outcome {
        self.live_database(db)?;
        let txn = match (txn, label) {
            (Some(id), _) => Some(id),
            (None, Some(label)) => Some(self.new_txn(now, db, label, "insert", 0)?),
            (None, None) => None,
        };
        self.commit_changes(now, changes)?;
        if let Some(id) = txn {
            let mut txn = Txn::clone(self.open_txn(id)?);
            txn.state = TxnState::Visible;
            txn.finished = Some(now);
            txn.details = details.to_owned();
            self.txns.insert(id, Arc::new(txn));
            return Ok(Reply::Txn(id));
        }
        Ok(Reply::Done)
    }

    fn commit_changes(&mut self, now: Stamp, changes: &[PartitionChange]) -> Result<()> {
        let mut tables = BTreeSet::new();
        for change in changes {
            let id = self.live_partition(change.partition)?.table;
            let table = self.live_table(id)?;
            if table.mview().is_some() {
                return Err(only_by_refresh(&table.name));
            }
            tables.insert(id);
            self.change_partition(now, change, 1)?;
        }
        tables.into_iter().for_each(|id| self.data_changed(id));
        Ok(())
    }

    pub(crate) fn commit_compaction(&mut self, now: Stamp, change: &PartitionChange) -> Outcome {
        self.change_partition(now, change, 0)?;
        Ok(Reply::Done)
    }

    /// Makes a new manifest the visible one. The old one stays as long as a snapshot sees it.
    pub(crate) fn change_partition(
        &mut self,
        now: Stamp,
        change: &PartitionChange,
        version_step: u64,
    ) -> Result<()> {
        let mut partition = Partition::clone(self.live_partition(change.partition)?);
        let current = partition.visible().map(|v| v.manifest.name.as_str());
        if current != change.base.as_deref() {
            return Err(Error::conflict(format!(
                "partition {} changed meanwhile: its manifest is {current:?}, not {:?}",
                partition.name, change.base
            )));
        }
        let version = partition.visible_version() + version_step;
        if let Some(last) = partition.versions.last()
            && !self.is_seen_by_snapshot(last.created.index, now.index)
        {
            partition.versions.pop_back();
        }
        debug_assert!(version >= EMPTY_VERSION);
        // A compaction has the same rows, whatever it says.
        if change.replaces && version_step > 0 {
            partition.replaced_version = version;
        }
        partition.versions.push_back(Version { version, manifest: change.manifest.clone(), created: now });
        self.put_partition(partition);
        Ok(())
    }

    fn open_txn(&self, id: TxnId) -> Result<&Arc<Txn>> {
        let txn = self.txn(id).ok_or_else(|| Error::not_found(format!("load {id} is not known")))?;
        match txn.state {
            TxnState::Prepare => Ok(txn),
            state => Err(Error::conflict(format!(
                "load {id} (label '{}') is {} already: {}",
                txn.label,
                state.name(),
                txn.details
            ))),
        }
    }

    pub(crate) fn abort_txn(&mut self, now: Stamp, id: TxnId, reason: &str) -> Outcome {
        let txn = Txn::clone(self.open_txn(id)?);
        self.put_aborted(now, txn, reason);
        Ok(Reply::Done)
    }

    pub(crate) fn abort_open_txns(&mut self, now: Stamp, reason: &str) -> Outcome {
        let open: Vec<_> = self.txns.values().filter(|t| t.state == TxnState::Prepare).cloned().collect();
        for txn in &open {
            self.put_aborted(now, Txn::clone(txn), reason);
        }
        Ok(Reply::Trimmed(open.len() as u64))
    }

    /// An aborted load gives its label back.
    fn put_aborted(&mut self, now: Stamp, txn: Txn, reason: &str) {
        self.names.labels.remove(&(txn.db, txn.label.clone()));
        let aborted =
            Txn { state: TxnState::Aborted, finished: Some(now), details: reason.to_owned(), ..txn };
        self.txns.insert(aborted.id, Arc::new(aborted));
    }
}
