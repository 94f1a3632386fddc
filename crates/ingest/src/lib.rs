//! Text and foreign columns in, exact table columns out: CSV and JSON to Arrow batches, any Arrow batch to a
//! table's types, and Arrow values back to the text that clients and CSV files show.
//!
//! Invariants:
//! - **Pure**: bytes or batches in, batches out. No file, socket, clock, thread or async here; who reads the
//!   bytes and on how many threads is the caller's affair ([`CsvCutter`] makes pieces that can be parsed apart).
//! - A batch that leaves here has exactly [`arrow_types::arrow_type`] of each column, fits the column's range,
//!   length and NOT NULL, and all its columns are equally long.
//! - A row is loaded whole or not at all. One that is not is counted and the first ones are kept with a reason
//!   ([`Tally`]); nothing is dropped without being counted, except blank CSV lines.
//! - Memory is bounded by the limits below, whatever the input says.
//!
//! Deliberately absent: expressions over loaded columns (the query engine has them; [`Target::Raw`] feeds it),
//! schema inference, Parquet, character sets other than UTF-8, bzip2.

pub mod arrow_types;
mod batch;
mod column;
mod convert;
mod csv;
mod decompress;
mod json;
mod scalar;
mod tally;
pub mod text;

pub use arrow_types::{DISPLAY_NAME, arrow_field, arrow_schema, arrow_type};
pub use column::{Target, TypedTarget};
pub use convert::{BadValue, ConvertOptions, convert};
pub use csv::{
    CsvCutter, CsvOptions, CsvParser, CsvReader, CsvWriteOptions, CsvWriter, find_last_row_end,
    parse_separator,
};
pub use decompress::{Compression, Decompressor, Pull};
pub use json::{JsonOptions, JsonReader};
pub use tally::{Rejected, Tally};

/// Rows of a batch, unless told otherwise.
pub const BATCH_ROWS_DEFAULT: usize = 8192;
/// A batch is closed early when this much text went into it.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// Bytes of one CSV row or one JSON row, unless told otherwise.
pub const ROW_BYTES_MAX_DEFAULT: usize = 100 << 20;
/// Upper bound for any setting of the row bound: positions in a block are 32 bits.
pub const ROW_BYTES_MAX_MAX: usize = 1 << 30;
/// Rejected rows kept with their text, unless told otherwise (StarRocks shows 50).
pub const REJECTED_KEPT_DEFAULT: usize = 50;
/// Bytes kept of the text of one rejected row.
pub const REJECTED_TEXT_BYTES_MAX: usize = 1024;
/// Nesting of one JSON row.
pub const JSON_DEPTH_MAX: usize = 100;

/// How batches are made, the same for every text format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchOptions {
    /// Rows of a batch, at most.
    pub batch_rows: usize,
    /// Bytes of one row, at most; a longer row is an error that ends the load.
    pub row_bytes_max: usize,
    /// Rejected rows kept with reason and text; the others are only counted.
    pub rejected_kept: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            batch_rows: BATCH_ROWS_DEFAULT,
            row_bytes_max: ROW_BYTES_MAX_DEFAULT,
            rejected_kept: REJECTED_KEPT_DEFAULT,
        }
    }
}
