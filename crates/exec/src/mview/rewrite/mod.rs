//! Answering a query from materialized views.

pub(crate) mod block;
pub(crate) mod functions;
mod opaque;
mod options;

use std::sync::Arc;

use cairn_types::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use crate::engine::{Engine, QueryContext};

pub use options::{CandidateSpec, CandidateUse, MviewOptions, MviewSource, RewriteMode};

#[derive(Default)]
pub(crate) struct DefinitionCache {}

pub(crate) async fn apply(
    _engine: &Engine,
    _state: &SessionState,
    _context: &Arc<QueryContext>,
    plan: LogicalPlan,
) -> Result<(LogicalPlan, Vec<String>)> {
    Ok((plan, Vec::new()))
}
