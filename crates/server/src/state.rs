//! The catalog in the journal, and the journal as the storage engine sees it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_catalog::{Catalog, Command, Outcome, Reply, image};
use cairn_journal::{Journal, State};
use cairn_storage::Meta;
use cairn_types::Result;

/// The catalog as a journal's state.
#[derive(Clone)]
pub struct CatalogState(pub Arc<Catalog>);

/// What a command did, and the catalog right after it: `catalog(J)`, which is what a snapshot at J is made of.
#[derive(Clone)]
pub struct AppliedCommand {
    pub outcome: Outcome,
    pub catalog: Arc<Catalog>,
}

impl fmt::Debug for AppliedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppliedCommand").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

impl State for CatalogState {
    type Command = Command;
    type Outcome = AppliedCommand;

    fn apply(&mut self, index: u64, time_ms: u64, command: &Command) -> AppliedCommand {
        let mut catalog = Catalog::clone(&self.0);
        let outcome = catalog.apply(index, time_ms, command);
        if outcome.is_ok() {
            self.0 = Arc::new(catalog);
        }
        AppliedCommand { outcome, catalog: Arc::clone(&self.0) }
    }

    fn encode_image(&self, index: u64) -> Vec<u8> {
        image::encode(&self.0, index)
    }

    fn decode_image(bytes: &[u8]) -> Result<(u64, Self)> {
        let (index, catalog) = image::decode(bytes)?;
        Ok((index, Self(Arc::new(catalog))))
    }
}

/// The metadata of this node's group.
#[derive(Clone)]
pub struct JournalMeta(pub Journal<CatalogState>);

#[async_trait]
impl Meta for JournalMeta {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.state().state.0)
    }

    async fn propose(&self, command: Command) -> Result<Reply> {
        self.0.propose(command).await?.outcome.outcome
    }
}
