//! Small result sets that are made in memory: `SHOW …`, `information_schema`, `ADMIN SHOW …`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use cairn_exec::{from_datafusion, literal_scalar};
use cairn_ingest::{DISPLAY_NAME, arrow_types::arrow_type};
use cairn_types::{Literal, Result, SqlType};
use datafusion::datasource::MemTable;
use datafusion::scalar::ScalarValue;

/// Named, typed columns and rows of literals.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    columns: Vec<(String, SqlType)>,
    rows: Vec<Vec<Literal>>,
}

impl Rows {
    /// No rows yet, with these columns.
    #[must_use]
    pub fn new(columns: &[(&str, SqlType)]) -> Self {
        let columns = columns.iter().map(|(name, ty)| ((*name).to_owned(), *ty)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// No rows yet, with text columns of these names.
    #[must_use]
    pub fn text(names: &[&str]) -> Self {
        let columns = names.iter().map(|name| ((*name).to_owned(), SqlType::String)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; one that is too short is filled with NULL.
    pub fn push(&mut self, row: impl IntoIterator<Item = Literal>) {
        let mut row: Vec<Literal> = row.into_iter().collect();
        debug_assert!(
            row.len() <= self.columns.len(),
            "a row of {} for {} columns",
            row.len(),
            self.columns.len()
        );
        row.resize(self.columns.len(), Literal::Null);
        self.rows.push(row);
    }

    #[must_use]
    pub fn columns(&self) -> &[(String, SqlType)] {
        &self.columns
    }

    #[must_use]
    pub fn rows(&self) -> &[Vec<Literal>] {
        &self.rows
    }

    /// Keeps the rows whose column `column` is LIKE `pattern`.
    pub fn keep_like(&mut self, column: usize, pattern: &str) {
        let matches = |row: &Vec<Literal>| row.get(column).is_some_and(|v| like(pattern, &v.to_string()));
        self.rows.retain(matches);
    }

    /// The rows as one batch. Names are lower case, as everywhere in queries; the names as given stand beside.
    ///
    /// # Errors
    /// `Internal` when a value is not of its column's type.
    pub fn batch(&self) -> Result<RecordBatch> {
        let fields = self.columns.iter().map(|(name, ty)| {
            let metadata = [(DISPLAY_NAME.to_owned(), name.clone())];
            Field::new(name.to_lowercase(), arrow_type(*ty), true).with_metadata(metadata.into())
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (at, (_, ty)) in self.columns.iter().enumerate() {
            let ty = arrow_type(*ty);
            let values =
                self.rows.iter().map(|row| literal_scalar(row.get(at).unwrap_or(&Literal::Null), &ty));
            arrays.push(match self.rows.is_empty() {
                true => arrow::array::new_empty_array(&ty),
                false => ScalarValue::iter_to_array(values).map_err(from_datafusion)?,
            });
        }
        RecordBatch::try_new(schema, arrays).map_err(|e| cairn_types::Error::internal(e.to_string()))
    }

    /// The rows as a table that queries can read.
    ///
    /// # Errors
    /// As [`Rows::batch`].
    pub fn table(&self) -> Result<MemTable> {
        let batch = self.batch()?;
        MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(from_datafusion)
    }
}

/// A text value.
#[must_use]
pub fn text(value: impl Into<String>) -> Literal {
    Literal::Str(value.into())
}

/// An integer value.
#[must_use]
pub fn int(value: impl Into<i128>) -> Literal {
    Literal::Int(value.into())
}

/// A time as DATETIME.
#[must_use]
pub fn time(time_ms: u64) -> Literal {
    Literal::DateTime(i64::try_from(time_ms).unwrap_or(i64::MAX).saturating_mul(1_000))
}

/// A time as text, as StarRocks' SHOW statements print it: to the second.
#[must_use]
pub fn time_text(time_ms: u64) -> Literal {
    let micros = i64::try_from(time_ms / 1_000).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000);
    Literal::Str(cairn_types::value::format_datetime(micros))
}

/// `true` and `false` as StarRocks prints them.
#[must_use]
pub fn boolean_text(value: bool) -> Literal {
    text(if value { "true" } else { "false" })
}

/// MySQL's `LIKE` without regard to case: `%` any text, `_` any character, `\` takes the next as it is.
#[must_use]
pub fn like(pattern: &str, value: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let value: Vec<char> = value.to_lowercase().chars().collect();
    like_chars(&pattern, &value)
}

fn like_chars(pattern: &[char], value: &[char]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some(('%', rest)) => {
            let rest_start = rest.iter().position(|c| *c != '%').unwrap_or(rest.len());
            let rest = rest.get(rest_start..).unwrap_or_default();
            (0..=value.len()).any(|at| like_chars(rest, value.get(at..).unwrap_or_default()))
        }
        Some(('_', rest)) => value.split_first().is_some_and(|(_, value)| like_chars(rest, value)),
        Some(('\\', [escaped, rest @ ..])) => {
            value.split_first().is_some_and(|(c, value)| c == escaped && like_chars(rest, value))
        }
        Some((c, rest)) => value.split_first().is_some_and(|(v, value)| v == c && like_chars(rest, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_is_mysqls() {
        let check =
            |pattern, value, expected| assert_eq!(like(pattern, value), expected, "{value} like {pattern}");
        check("a%", "Abc", true);
        check("%c", "abc", true);
        check("a_c", "abc", true);
        check("a_c", "ac", false);
        check(r"a\_c", "abc", false);
        check(r"a\_c", "a_c", true);
        check("%%b%", "abc", true);
        check("", "", true);
    }
}
