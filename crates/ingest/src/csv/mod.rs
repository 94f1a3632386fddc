//! CSV as StarRocks loads it: [`CsvCutter`] cuts a stream into pieces of whole rows, [`CsvParser`] makes batches
//! of a piece (pieces can be parsed on several threads), [`CsvReader`] does both in turn, [`CsvWriter`] is the
//! way back.
//!
//! Without enclose and escape characters a row ends at every row delimiter, and splitting is a search for two
//! patterns (`plain`). With them a row has to be walked through (`quoted`).

mod cutter;
mod options;
mod parser;
mod plain;
mod quoted;
mod reader;
mod split;
mod writer;

pub use cutter::{CsvCutter, find_last_row_end};
pub use options::{CsvOptions, parse_separator};
pub use parser::CsvParser;
pub use reader::CsvReader;
pub use writer::{CsvWriteOptions, CsvWriter};
