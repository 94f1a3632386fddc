//! `EXPLAIN` and `EXPLAIN ANALYZE` as lines of text.

use std::sync::Arc;

use cairn_types::Result;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::StreamExt;

use crate::engine::Planned;
use crate::error::from_datafusion;
use crate::table::ScanInfo;
use crate::tablets::SegmentRef;

/// How much `EXPLAIN` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Operators and what scans read.
    Normal,
    /// The logical plan.
    Logical,
    /// The logical plan, operators and all their properties.
    Verbose,
}

/// The plan of `planned`, a line an element. Nothing runs.
///
/// # Errors
/// As planning.
pub async fn explain(planned: &Planned, detail: Detail) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if detail != Detail::Normal {
        lines.extend(planned.plan.display_indent().to_string().lines().map(str::to_owned));
        if detail == Detail::Logical {
            return Ok(lines);
        }
        lines.push(String::new());
    }
    let plan = planned.physical().await?;
    let mut shown = Vec::new();
    draw(&plan, 0, &mut lines, &mut shown, &|node| one_line(node, detail));
    // A scan that nothing is left of is not in the plan any more.
    for info in planned.scans().iter().filter(|info| !shown.iter().any(|s| Arc::ptr_eq(s, info))) {
        lines.push("EMPTYSET".to_owned());
        if !info.is_mview || info.partitions.0 > 0 || detail == Detail::Verbose {
            lines.extend(info.to_string().lines().map(|line| format!("   {line}")));
        }
    }
    lines.extend(notes(planned.mview_notes(), detail));
    Ok(lines)
}

/// What is said of the views that were not used. A plain plan does not name them, nor those of which no partition is read:
/// whoever looks for a view's name in it wants to know whether it is read.
fn notes(unused: &[String], detail: Detail) -> Vec<String> {
    match (unused, detail) {
        ([], _) => Vec::new(),
        (notes, Detail::Verbose) => std::iter::once(String::new()).chain(notes.iter().cloned()).collect(),
        ([_], _) => vec![String::new(), "1 materialized view not used: EXPLAIN VERBOSE says why".to_owned()],
        (many, _) => {
            let count = many.len();
            vec![String::new(), format!("{count} materialized views not used: EXPLAIN VERBOSE says why")]
        }
    }
}

/// Runs `planned` and returns its plan with what each operator did.
///
/// # Errors
/// As running the query.
pub async fn explain_analyze(planned: &Planned) -> Result<Vec<String>> {
    let (plan, mut rows) = planned.run().await?;
    while let Some(batch) = rows.next().await {
        batch.map_err(from_datafusion)?;
    }
    let mut lines = Vec::new();
    let one_line = |node: &Arc<dyn ExecutionPlan>| {
        DisplayableExecutionPlan::with_metrics(node.as_ref()).one_line().to_string().trim_end().to_owned()
    };
    draw(&plan, 0, &mut lines, &mut Vec::new(), &one_line);
    Ok(lines)
}

fn one_line(node: &Arc<dyn ExecutionPlan>, detail: Detail) -> String {
    let verbose = detail == Detail::Verbose;
    match scan_info(node) {
        Some(_) if !verbose => "OlapScanNode".to_owned(),
        _ => displayable(node.as_ref()).one_line().to_string().trim_end().to_owned(),
    }
}

fn draw(
    node: &Arc<dyn ExecutionPlan>,
    depth: usize,
    lines: &mut Vec<String>,
    shown: &mut Vec<Arc<ScanInfo>>,
    one_line: &dyn Fn(&Arc<dyn ExecutionPlan>) -> String,
) {
    let indent = "  ".repeat(depth);
    lines.push(format!("{indent}{}", one_line(node)));
    if let Some(info) = scan_info(node) {
        lines.extend(info.to_string().lines().map(|line| format!("{indent}   {line}")));
        shown.push(info);
    }
    for child in node.children() {
        draw(child, depth + 1, lines, shown, one_line);
    }
}

/// What a scan node reads, when it reads segments of a table.
fn scan_info(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<ScanInfo>> {
    let scan = node.downcast_ref::<DataSourceExec>()?;
    let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
    let file = config.file_groups.iter().flat_map(|g| g.iter()).next()?;
    file.extension::<SegmentRef>()?.info.clone()
}
