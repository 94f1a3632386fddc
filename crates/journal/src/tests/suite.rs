//! openraft's own conformance tests of log store and state machine.

use std::sync::Arc;

use cairn_env::files::DirLock;
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::{Counter, env};
use crate::errors::StopCause;
use crate::group::{Group, StorageError, StoredMembership};
use crate::image::Images;
use crate::layout::Layout;
use crate::log_file::LogFile;
use crate::log_store::LogStore;
use crate::machine::{Machine, Point, Published};
use crate::records::Progress;
use crate::state::Versioned;

struct Builder;

impl StoreBuilder<Group<Counter>, LogStore<Counter>, Machine<Counter>, TempDir> for Builder {
    /// An empty log and an empty state machine without images: what no real journal is, and the suite begins with.
    async fn build(&self) -> Result<(TempDir, LogStore<Counter>, Machine<Counter>), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::of_data_dir(dir.path());
        std::fs::create_dir_all(layout.images()).unwrap();
        let progress = Progress { group: "suite".to_owned(), ..Progress::default() };
        LogFile::create(&layout, &progress, None).unwrap();
        let file = LogFile::open(&layout, LogFile::backend(&layout).unwrap(), false).unwrap();
        let cause = StopCause::default();
        let store = LogStore::new(env(), file, cause.clone(), None).unwrap();
        let versioned = Arc::new(Versioned { index: 0, time_ms: 0, state: Counter::default() });
        let point = Point { log_id: None, membership: StoredMembership::default(), versioned };
        let lock = DirLock::take(&layout.meta).unwrap();
        let images = Arc::new(Images::new(layout, lock, progress.group, Vec::new()));
        let machine = Machine::new(env(), Arc::new(Published::new(point)), images, cause);
        Ok((dir, store, machine))
    }
}

#[test]
fn the_storage_passes_the_suite_of_openraft() {
    Suite::test_all(Builder).unwrap();
}
