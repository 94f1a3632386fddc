//! Whole batches of foreign columns (from a query, a Parquet file, an expression of a load) into exactly the
//! columns of a table: its Arrow types, ranges, string lengths and NOT NULL.

mod cast;

use arrow::array::{Array, ArrayRef, RecordBatch};
use cairn_types::{Column, Error, Result, Schema};

use crate::REJECTED_KEPT_DEFAULT;
use crate::arrow_types::arrow_schema;
use crate::batch::without_rows;
use crate::tally::{Reason, Tally, Why};
use crate::text::ColumnText;

/// What becomes of a value that its column cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadValue {
    /// It ends the statement with an error that names it: `INSERT` in strict mode.
    Fail,
    /// Its row is rejected: loads in strict mode.
    Reject,
    /// It becomes NULL where the column allows that, otherwise its row is rejected. Strings that are too long
    /// are rejected all the same.
    Null,
}

/// How [`convert`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvertOptions {
    pub bad_value: BadValue,
    /// Added to timestamps that carry a time zone (their ticks are UTC), because `DATETIME` has none.
    pub utc_offset_seconds: i32,
    /// Rows that came before this batch; messages count from there.
    pub rows_before: u64,
    /// Rejected rows kept with reason and text.
    pub rejected_kept: usize,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            bad_value: BadValue::Fail,
            utc_offset_seconds: 0,
            rows_before: 0,
            rejected_kept: REJECTED_KEPT_DEFAULT,
        }
    }
}

/// A refused value: its row in the batch, its column, and why.
type Refused = (usize, usize, Why);

/// Makes `batch`, whose columns are those of `schema` in order (names do not matter), a batch of the table.
/// Row numbers in the tally count on from `rows_before`.
///
/// # Errors
/// `Analysis` for a wrong number of columns; `Unsupported` for a type that cannot become the column's;
/// `InvalidValue` naming row, column and value in mode [`BadValue::Fail`].
pub fn convert(
    batch: &RecordBatch,
    schema: &Schema,
    options: &ConvertOptions,
) -> Result<(RecordBatch, Tally)> {
    if batch.num_columns() != schema.columns.len() {
        return Err(Error::analysis(format!(
            "Column count does not match. Expected: {}, but got: {}",
            schema.columns.len(),
            batch.num_columns()
        )));
    }
    let mut arrays = Vec::with_capacity(schema.columns.len());
    let mut refused: Vec<Refused> = Vec::new();
    for (at, (array, column)) in batch.columns().iter().zip(&schema.columns).enumerate() {
        let (done, bad) = convert_column(array, column, options)
            .map_err(|e| e.context(format!("Column '{}'", column.name)))?;
        refused.extend(bad.into_iter().map(|(row, why)| (row, at, why)));
        arrays.push(done);
    }
    refused.sort_unstable();
    refused.dedup_by_key(|(row, ..)| *row);
    let tally = tally(batch, schema, &refused, options)?;
    let rows: Vec<usize> = refused.iter().map(|(row, ..)| *row).collect();
    Ok((without_rows(&arrow_schema(schema), arrays, batch.num_rows(), &rows)?, tally))
}

/// The column as the table holds it, with NULL in the places of refused values.
fn convert_column(
    array: &ArrayRef,
    column: &Column,
    options: &ConvertOptions,
) -> Result<(ArrayRef, Vec<(usize, Why)>)> {
    let cast::Cast { array: done, mut bad } =
        cast::cast_column(array, column.ty, options.utc_offset_seconds)?;
    if options.bad_value == BadValue::Null && column.nullable {
        bad.retain(|(_, why)| *why != Why::Value);
    }
    if !column.nullable && done.null_count() > 0 {
        let missing = (0..done.len()).filter(|row| done.is_null(*row)).map(|row| (row, Why::Null));
        let known = bad.len();
        bad.extend(missing);
        // A value that was refused is not there either: its own reason stands first and is kept.
        if known > 0 {
            bad.sort_by_key(|(row, why)| (*row, *why == Why::Null));
            bad.dedup_by_key(|(row, _)| *row);
        }
    }
    Ok((done, bad))
}

fn tally(
    batch: &RecordBatch,
    schema: &Schema,
    refused: &[Refused],
    options: &ConvertOptions,
) -> Result<Tally> {
    let mut tally = Tally::new(options.rejected_kept);
    tally.rows_total = batch.num_rows() as u64;
    tally.lines = tally.rows_total;
    if refused.is_empty() {
        return Ok(tally);
    }
    let texts = batch.columns().iter().map(ColumnText::new).collect::<Result<Vec<_>>>()?;
    for (row, at, why) in refused {
        let row_number = options.rows_before + *row as u64 + 1;
        let describe = || {
            let value = texts.get(*at).map(|text| value_text(text, *row)).unwrap_or_default();
            let column = schema.columns.get(*at);
            Reason {
                why: *why,
                column: column.map_or("", |c| c.name.as_str()),
                ty: column.map(|c| c.ty),
                value: &value,
            }
            .to_string()
        };
        if options.bad_value == BadValue::Fail {
            let reason = describe();
            return Err(Error::invalid_value(format!("{reason} (row {row_number})")));
        }
        tally.reject(row_number, || {
            let cells: Vec<String> = texts.iter().map(|text| value_text(text, *row)).collect();
            (describe(), crate::tally::row_text(cells.join("\t").as_bytes()))
        });
    }
    Ok(tally)
}

fn value_text(text: &ColumnText, row: usize) -> String {
    let mut out = Vec::new();
    match text.append(row, &mut out) {
        true => String::from_utf8_lossy(&out).into_owned(),
        false => "\\N".to_owned(),
    }
}
