//! The storage engine's view of the metadata: read the newest catalog, propose a command.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_catalog::{Catalog, Command, Reply};
use cairn_types::Result;

/// A group's metadata as this node sees it. The server implements it over the journal, tests over a plain catalog.
#[async_trait]
pub trait Meta: Send + Sync + 'static {
    /// The newest catalog that this node has applied. O(1).
    fn catalog(&self) -> Arc<Catalog>;

    /// Puts `command` into the journal; durable and applied when it returns.
    ///
    /// # Errors
    /// The catalog's refusal, or `Unavailable` when the journal cannot take it.
    async fn propose(&self, command: Command) -> Result<Reply>;
}
