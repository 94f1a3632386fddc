//! Batches as CSV: the way back of the reader. What a reader with the same settings could not read back is
//! refused, not written.

use arrow::array::RecordBatch;
use cairn_types::{Error, Result};

use crate::csv::CsvOptions;
use crate::text::ColumnText;

/// What a CSV text shall look like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsvWriteOptions {
    pub column_separator: Vec<u8>,
    pub row_delimiter: Vec<u8>,
    /// Around fields that need it (and only those).
    pub enclose: Option<u8>,
    pub escape: Option<u8>,
    /// Whether the column names come first.
    pub header: bool,
}

impl Default for CsvWriteOptions {
    fn default() -> Self {
        let csv = CsvOptions::default();
        Self {
            column_separator: csv.column_separator,
            row_delimiter: csv.row_delimiter,
            enclose: None,
            escape: None,
            header: false,
        }
    }
}

/// Writes batches of one schema. NULL is `\N`. An empty string alone in a row is a blank line, which readers
/// skip, unless there is an enclose character.
pub struct CsvWriter {
    options: CsvWriteOptions,
    header_done: bool,
    field: Vec<u8>,
}

impl CsvWriter {
    /// A writer with `options`.
    ///
    /// # Errors
    /// `Analysis` for settings that no reader could use.
    pub fn new(options: CsvWriteOptions) -> Result<Self> {
        let reader = CsvOptions {
            column_separator: options.column_separator.clone(),
            row_delimiter: options.row_delimiter.clone(),
            enclose: options.enclose,
            escape: options.escape,
            ..CsvOptions::default()
        };
        reader.validate()?;
        Ok(Self { options, header_done: false, field: Vec::new() })
    }

    /// Appends the rows of `batch` to `out`, before the first the header if it is wanted.
    ///
    /// # Errors
    /// `Unsupported` for a type without text; `InvalidValue` for a value that contains a separator when there is
    /// neither an enclose nor an escape character. `out` then ends within the batch.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let columns =
            batch.columns().iter().zip(&names).map(|(array, name)| {
                ColumnText::new(array).map_err(|e| e.context(format!("Column '{name}'")))
            });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        if self.options.header && !std::mem::replace(&mut self.header_done, true) {
            for (at, name) in names.iter().enumerate() {
                self.separate(at, out);
                self.field.clear();
                self.field.extend_from_slice(name.as_bytes());
                self.put_field(names.len(), out).map_err(|()| self.unwritable(name, "its name"))?;
            }
            out.extend_from_slice(&self.options.row_delimiter);
        }
        for row in 0..batch.num_rows() {
            for (at, column) in columns.iter().enumerate() {
                self.separate(at, out);
                self.field.clear();
                if !column.append(row, &mut self.field) {
                    out.extend_from_slice(b"\\N");
                } else if self.put_field(columns.len(), out).is_err() {
                    let name = names.get(at).copied().unwrap_or_default();
                    return Err(self.unwritable(name, &format!("the value in row {}", row + 1)));
                }
            }
            out.extend_from_slice(&self.options.row_delimiter);
        }
        Ok(())
    }

    fn separate(&self, column: usize, out: &mut Vec<u8>) {
        if column > 0 {
            out.extend_from_slice(&self.options.column_separator);
        }
    }

    fn unwritable(&self, column: &str, what: &str) -> Error {
        Error::invalid_value(format!(
            "Cannot write column '{column}' as CSV: {what} contains a separator or reads like NULL. Set an \
             enclose character"
        ))
    }

    /// Writes `self.field` so that it reads back as the same text.
    fn put_field(&self, columns: usize, out: &mut Vec<u8>) -> Result<(), ()> {
        let options = &self.options;
        let field = self.field.as_slice();
        let marks = [options.enclose, options.escape];
        let firsts = [options.column_separator.first(), options.row_delimiter.first()];
        let special = |b: &u8| firsts.contains(&Some(b)) || marks.contains(&Some(*b));
        let null_like = field == b"\\N";
        let blank = field.is_empty() && columns == 1 && options.enclose.is_some();
        if !null_like && !blank && !field.iter().any(special) {
            out.extend_from_slice(field);
            return Ok(());
        }
        match (options.enclose, options.escape) {
            (Some(enclose), escape) => {
                out.push(enclose);
                for byte in field {
                    if *byte == enclose || Some(*byte) == escape {
                        out.push(*byte);
                    }
                    out.push(*byte);
                }
                out.push(enclose);
            }
            (None, Some(escape)) => {
                for (at, byte) in field.iter().enumerate() {
                    if special(byte) || null_like && at == 0 {
                        out.push(escape);
                    }
                    out.push(*byte);
                }
            }
            (None, None) => {
                let found = |pattern: &[u8]| memchr::memmem::find(field, pattern).is_some();
                if null_like || found(&options.column_separator) || found(&options.row_delimiter) {
                    return Err(());
                }
                // A field that ends like a separator begins would make one with what follows.
                let tail = |pattern: &[u8]| {
                    (1..pattern.len()).any(|n| field.ends_with(pattern.get(..n).unwrap_or(pattern)))
                };
                if tail(&options.column_separator) || tail(&options.row_delimiter) {
                    return Err(());
                }
                out.extend_from_slice(field);
            }
        }
        Ok(())
    }
}
