//! A JSON stream into batches.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_types::{Error, Result};
use serde_json::value::RawValue;

use crate::batch::{BatchBuilder, target_schema};
use crate::column::Target;
use crate::json::cut::JsonCutter;
use crate::json::path::{Step, parse_path, walk};
use crate::json::value::{cell, for_each_member};
use crate::tally::{Reason, Tally, Why, row_text};
use crate::{BATCH_BYTES_MAX, BatchOptions, ROW_BYTES_MAX_MAX};

/// The settings of a JSON load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JsonOptions {
    /// Whether the data (or what `json_root` names) is an array whose elements are the rows.
    pub strip_outer_array: bool,
    /// One path per target, in their order. Without: each target takes the key of its name, in any case.
    pub jsonpaths: Option<Vec<String>>,
    /// The path in each top value to what is loaded.
    pub json_root: Option<String>,
    /// Lifts the bound on one row ([`BatchOptions::row_bytes_max`]) to [`ROW_BYTES_MAX_MAX`].
    pub ignore_json_size: bool,
}

/// Takes chunks of bytes, cut anywhere, and gives batches. One row is held in memory at a time, or, with a
/// `json_root`, one top value.
pub struct JsonReader {
    cutter: JsonCutter,
    rows: Rows,
}

struct Rows {
    strip_in_root: bool,
    root: Vec<Step>,
    lookup: Lookup,
    targets: Vec<Target>,
    batch: BatchOptions,
    builder: BatchBuilder,
    tally: Tally,
    batches: Vec<RecordBatch>,
}

/// Where each target finds its value.
enum Lookup {
    /// Lower-case key → targets.
    Names(HashMap<String, Vec<usize>>),
    /// First key → targets with the steps behind it. All found in one pass over the row.
    Keys(HashMap<String, Vec<(usize, Vec<Step>)>>),
    /// Paths of which some do not begin with a key.
    Paths(Vec<Vec<Step>>),
}

impl JsonReader {
    /// A reader for `targets`.
    ///
    /// # Errors
    /// `Analysis` for bad paths or a wrong number of them.
    pub fn new(json: &JsonOptions, targets: Vec<Target>, batch: BatchOptions) -> Result<Self> {
        if targets.is_empty() {
            return Err(Error::analysis("A JSON load needs at least one column"));
        }
        let lookup = Lookup::new(json, &targets)?;
        let root = json.json_root.as_deref().map(parse_path).transpose()?.unwrap_or_default();
        let strip_in_root = json.strip_outer_array && !root.is_empty();
        let row_bytes_max = match json.ignore_json_size {
            true => ROW_BYTES_MAX_MAX,
            false => batch.row_bytes_max.min(ROW_BYTES_MAX_MAX),
        };
        let batch = BatchOptions { batch_rows: batch.batch_rows.max(1), ..batch };
        let builder = BatchBuilder::new(target_schema(&targets), &targets, batch.batch_rows.min(1024));
        let tally = Tally::new(batch.rejected_kept);
        let batches = Vec::new();
        let cutter = JsonCutter::new(json.strip_outer_array && !strip_in_root, row_bytes_max);
        Ok(Self {
            cutter,
            rows: Rows { strip_in_root, root, lookup, targets, batch, builder, tally, batches },
        })
    }

    /// The schema of the batches: one field for each target that is not skipped.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        target_schema(&self.rows.targets)
    }

    /// Takes the next bytes; gives the batches that became full.
    ///
    /// # Errors
    /// `Parse` where the data is no sequence of rows; `ResourceExhausted` when a row is too long.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<RecordBatch>> {
        let Self { cutter, rows } = self;
        cutter.push(chunk, |value| rows.top_value(value))?;
        Ok(std::mem::take(&mut rows.batches))
    }

    /// The stream has ended: the last batches.
    ///
    /// # Errors
    /// `Parse` when it ended inside of a row.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        self.cutter.finish()?;
        let mut batches = std::mem::take(&mut self.rows.batches);
        batches.extend(self.rows.builder.take()?);
        Ok(batches)
    }

    /// What happened to the rows so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.rows.tally
    }
}

impl Lookup {
    fn new(json: &JsonOptions, targets: &[Target]) -> Result<Self> {
        let Some(paths) = &json.jsonpaths else {
            let mut names: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, target) in targets.iter().enumerate() {
                if *target != Target::Skip {
                    names.entry(target.name().to_lowercase()).or_default().push(at);
                }
            }
            return Ok(Self::Names(names));
        };
        if paths.len() != targets.len() {
            let (paths, targets) = (paths.len(), targets.len());
            return Err(Error::analysis(format!(
                "jsonpaths has {paths} paths for {targets} columns. Name one path per column, in their order"
            )));
        }
        let paths = paths.iter().map(|path| parse_path(path)).collect::<Result<Vec<_>>>()?;
        let mut keys: HashMap<String, Vec<(usize, Vec<Step>)>> = HashMap::new();
        for (at, path) in paths.iter().enumerate() {
            match path.split_first() {
                Some((Step::Key(key), rest)) => {
                    keys.entry(key.clone()).or_default().push((at, rest.to_vec()));
                }
                _ => return Ok(Self::Paths(paths)),
            }
        }
        Ok(Self::Keys(keys))
    }

    /// Puts the value of each target that has one into its slot.
    fn find<'a>(&self, row: &'a str, slots: &mut [Option<&'a RawValue>]) -> Result<(), serde_json::Error> {
        let mut put = |at: usize, value: Option<&'a RawValue>| {
            if let Some(slot) = slots.get_mut(at).filter(|slot| slot.is_none()) {
                *slot = value;
            }
        };
        match self {
            Self::Names(names) => for_each_member(row, |key, value| {
                let targets = names.get(key).or_else(|| names.get(&key.to_lowercase()));
                targets.into_iter().flatten().for_each(|at| put(*at, Some(value)));
            }),
            Self::Keys(keys) => for_each_member(row, |key, value| {
                for (at, rest) in keys.get(key).into_iter().flatten() {
                    put(*at, walk(value, rest));
                }
            }),
            Self::Paths(paths) => {
                let row: &RawValue = serde_json::from_str(row)?;
                paths.iter().enumerate().for_each(|(at, path)| put(at, walk(row, path)));
                Ok(())
            }
        }
    }
}

impl Rows {
    /// A complete value: a row, or what holds the rows.
    fn top_value(&mut self, text: &[u8]) -> Result<()> {
        let Ok(text) = std::str::from_utf8(text) else {
            self.reject_row(text, || "Invalid UTF-8 row".to_owned());
            return Ok(());
        };
        if self.root.is_empty() {
            return self.row(text);
        }
        let value: &RawValue = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(e) => {
                self.reject_row(text.as_bytes(), || format!("The row is no valid JSON: {e}"));
                return Ok(());
            }
        };
        let Some(inner) = walk(value, &self.root) else {
            self.reject_row(text.as_bytes(), || "The row has nothing at json_root".to_owned());
            return Ok(());
        };
        if !self.strip_in_root {
            return self.row(inner.get());
        }
        match serde_json::from_str::<Vec<&RawValue>>(inner.get()) {
            Ok(elements) => elements.into_iter().try_for_each(|element| self.row(element.get())),
            Err(_) => {
                let reason = "What json_root names is no array, but strip_outer_array is set";
                self.reject_row(text.as_bytes(), || reason.to_owned());
                Ok(())
            }
        }
    }

    fn row(&mut self, row: &str) -> Result<()> {
        let mut slots = vec![None; self.targets.len()];
        if let Err(e) = self.lookup.find(row, &mut slots) {
            let hint = match row.trim_start().starts_with('[') {
                true => ". The row is an array: set strip_outer_array if its elements are the rows",
                false => "",
            };
            self.reject_row(row.as_bytes(), || format!("The row is no valid JSON object: {e}{hint}"));
            return Ok(());
        }
        self.tally.lines += 1;
        self.tally.rows_total += 1;
        let refused = self.append(&slots);
        if let Some((column, why)) = refused {
            let target = self.targets.get(column);
            self.tally.reject(self.tally.lines, || {
                let value = slots.get(column).copied().flatten().map_or("", RawValue::get);
                let (name, ty) = (target.map_or("", Target::name), target.and_then(Target::ty));
                let reason = Reason { why, column: name, ty, value: value.trim_matches('"') };
                (reason.to_string(), row_text(row.as_bytes()))
            });
        }
        self.builder.grew(1, row.len(), refused.map(|_| 0).into_iter());
        if self.builder.rows() >= self.batch.batch_rows || self.builder.text_bytes() >= BATCH_BYTES_MAX {
            self.batches.extend(self.builder.take()?);
        }
        Ok(())
    }

    /// Appends one cell to every column; the first that was refused, if any.
    fn append(&mut self, slots: &[Option<&RawValue>]) -> Option<(usize, Why)> {
        let mut refused = None;
        let mut failures = Vec::new();
        for (at, column) in &mut self.builder.columns {
            let Some(target) = self.targets.get(*at) else { continue };
            let value = match slots.get(*at).copied().flatten() {
                Some(value) => cell(value, target),
                None => Ok(missing(target)),
            };
            let text = value.unwrap_or_else(|why| {
                refused = refused.or(Some((*at, why)));
                None
            });
            column.append_all(std::iter::once(text.as_deref()), &mut failures);
            let failure = failures.drain(..).next();
            refused = refused.or(failure.map(|(_, why)| (*at, why)));
        }
        refused
    }

    /// Counts a row of which nothing was appended.
    fn reject_row(&mut self, row: &[u8], reason: impl FnOnce() -> String) {
        self.tally.lines += 1;
        self.tally.rows_total += 1;
        self.tally.reject(self.tally.lines, || (reason(), row_text(row)));
    }
}

/// What a column gets when the row does not have its key.
fn missing(target: &Target) -> Option<Cow<'_, str>> {
    match target {
        Target::Typed(t) => t.when_missing.as_deref().map(Cow::Borrowed),
        Target::Skip | Target::Raw { .. } => None,
    }
}
