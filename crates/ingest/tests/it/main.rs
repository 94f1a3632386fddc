//! The crate from outside: CSV, JSON and conversion of whole batches.

#![allow(clippy::unwrap_used, reason = "helpers of tests end the test")]

mod convert;
mod csv;
mod json;
mod speed;

use arrow::array::RecordBatch;
use cairn_ingest::text::ColumnText;
use cairn_ingest::{Target, TypedTarget};
use cairn_types::SqlType;

/// A target of the usual kind.
pub fn typed(name: &str, ty: SqlType, nullable: bool, strict: bool) -> Target {
    Target::Typed(TypedTarget { name: name.into(), ty, nullable, strict, when_missing: None })
}

/// All rows as text, cells joined by `|`, NULL as `~`.
pub fn show(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        assert!(batch.num_rows() > 0, "empty batches are not given out");
        let columns: Vec<_> = batch.columns().iter().map(|c| ColumnText::new(c).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| {
                let mut out = Vec::new();
                if column.append(row, &mut out) { String::from_utf8(out).unwrap() } else { "~".into() }
            });
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows
}
