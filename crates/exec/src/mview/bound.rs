//! What the names of one query were bound to.

use std::sync::Arc;

use cairn_catalog::{Database, Table};
use parking_lot::Mutex;

/// What one name of a query, or of a view that it reads, stands for.
#[derive(Clone, Debug)]
pub(crate) enum Bound {
    /// A table, a view or an MV, and its database.
    Table(Arc<Database>, Arc<Table>),
    /// A table of the system: `database.name`.
    System(String),
}

/// What names were bound to, in the order in which they were looked up.
#[derive(Debug, Default)]
pub(crate) struct BoundLog {
    bound: Mutex<Vec<Bound>>,
}

impl BoundLog {
    pub(crate) fn push(&self, bound: Bound) {
        self.bound.lock().push(bound);
    }

    pub(crate) fn len(&self) -> usize {
        self.bound.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<Bound> {
        self.bound.lock().clone()
    }
}
