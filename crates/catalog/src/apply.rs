//! One command in, one outcome out.

use crate::{Catalog, Command, Outcome, Stamp};

impl Catalog {
    /// Applies the command of journal entry `index`, which carries `time_ms`.
    pub fn apply(&mut self, index: u64, time_ms: u64, command: &Command) -> Outcome {
        // Commands check first and change after; the clone (O(1)) makes a refusal harmless whatever they do.
        let before = self.clone();
        let outcome = self.dispatch(Stamp { index, time_ms }, command);
        if outcome.is_err() {
            *self = before;
        }
        outcome
    }

    fn dispatch(&mut self, now: Stamp, command: &Command) -> Outcome {
        use Command::*;
        match command {
            CreateDatabase { name, if_not_exists } => self.create_database(now, name, *if_not_exists),
            DropDatabase { name, force } => self.drop_database(now, name, *force),
            RecoverDatabase { name } => self.recover_database(name),
            CreateTable(spec) => self.create_table(now, spec),
            CreateView { db, name, view, comment, or_replace } => {
                self.create_view(now, *db, name, view, comment, *or_replace)
            }
            DropTable { db, name, force } => self.drop_table(now, *db, name, *force),
            RecoverTable { db, name } => self.recover_table(*db, name),
            RenameTable { table, name } => self.rename_table(now, *table, name),
            SwapTables { left, right } => self.swap_tables(now, *left, *right),
            SetTableComment { table, comment } => self.set_table_comment(*table, comment),
            SetTableProperties { table, properties } => self.set_table_properties(*table, properties),
            CreateMview(_)
            | AlterMviewRefresh { .. }
            | DeactivateMview { .. }
            | ActivateMview { .. }
            | PauseMviews { .. }
            | ResumeMviews {}
            | CommitRefresh(_) => self.dispatch_mview(now, command),
            CreateTask(spec) => self.create_task(now, spec),
            DropTask { name, if_exists } => self.drop_task(now, name, *if_exists),
            SubmitRun(spec) => self.submit_run(now, spec),
            AdvanceRun(to) => self.advance_run(now, to),
            CreatePartitions { table, partitions, if_not_exists } => {
                self.create_partitions(now, *table, partitions, *if_not_exists)
            }
            DropPartition { table, name, force } => self.drop_partition(now, *table, name, *force),
            RecoverPartition { table, name } => self.recover_partition(*table, name),
            RenamePartition { table, name, to } => self.rename_partition(*table, name, to),
            Truncate { table, partitions } => self.truncate(now, *table, partitions),
            BeginTxn { db, label, source, timeout_ms } => {
                self.begin_txn(now, *db, label, source, *timeout_ms)
            }
            Commit { db, txn, label, changes, details } => {
                self.commit(now, *db, *txn, label.as_deref(), changes, details)
            }
            CommitCompaction { change } => self.commit_compaction(now, change),
            AbortTxn { txn, reason } => self.abort_txn(now, *txn, reason),
            AbortOpenTxns { reason } => self.abort_open_txns(now, reason),
            CreateVolume { name, kind, location, comment, properties } => {
                self.create_volume(now, name, *kind, location, comment, properties)
            }
            AlterVolume { name, comment, properties } => {
                self.alter_volume(name, comment.as_deref(), properties)
            }
            DropVolume { name } => self.drop_volume(name),
            SetDefaultVolume { name } => self.set_default_volume(name),
            CreateUser { user, if_not_exists } => self.create_user(user, *if_not_exists),
            AlterUser { user } => self.alter_user(user),
            DropUser { name, if_exists } => self.drop_user(name, *if_exists),
            Grant { user, on, privileges } => self.grant(user, on, privileges),
            Revoke { user, on, privileges } => self.revoke(user, on, privileges),
            BeginStart { number, nonce } => self.begin_start(*number, nonce),
            Set { name, value } => self.set(name, value),
            SetSnapshotPolicy { policy } => self.set_snapshot_policy(policy.as_ref()),
            BeginSnapshot(spec) => self.begin_snapshot(now, spec),
            AdvanceSnapshot { id, state, detail, error, bytes, files } => {
                self.advance_snapshot(now, *id, *state, detail, error, (*bytes, *files))
            }
            DropSnapshot { name, if_exists, detail } => self.drop_snapshot(now, name, *if_exists, detail),
            SetSnapshotPinned { id, pinned } => self.set_snapshot_pinned(*id, *pinned),
            Trim(trim) => self.trim(now, trim),
        }
    }

    fn dispatch_mview(&mut self, now: Stamp, command: &Command) -> Outcome {
        use Command::*;
        match command {
            CreateMview(spec) => self.create_mview(now, spec),
            AlterMviewRefresh { mview, refresh } => self.alter_mview_refresh(*mview, refresh),
            DeactivateMview { mview, cause, reason } => self.deactivate_mview(now, *mview, *cause, reason),
            ActivateMview { mview, definition } => self.activate_mview(*mview, definition.as_deref()),
            PauseMviews { reason } => self.pause_mviews(now, reason),
            ResumeMviews {} => self.resume_mviews(),
            CommitRefresh(spec) => self.commit_refresh(now, spec),
            _ => Err(cairn_types::Error::internal("not a command for materialized views")),
        }
    }
}
