//! The headers of Stream Load as typed options.

use axum::http::{HeaderMap, header};
use cairn_ingest::{Compression, CsvOptions, JsonOptions, parse_separator};
use cairn_types::limits::LABEL_CHARS_MAX;
use cairn_types::{Error, Result};

use crate::load::columns::{LoadColumn, parse_columns, parse_names};
use crate::load::headers::{LoadHeaders, invalid, shown};
use crate::load::refused;

/// Unless told otherwise (StarRocks: `stream_load_default_timeout_second`).
const TIMEOUT_SECONDS_DEFAULT: u32 = 600;
const TIMEOUT_SECONDS_MAX: u32 = 259_200;
const TIMEZONE_CHARS_MAX: usize = 64;
/// Names of the zone in which times are computed.
const UTC: [&str; 6] = ["UTC", "Etc/UTC", "GMT", "Z", "+00:00", "+0:00"];

pub(super) const CSV_HEADERS: [&str; 6] =
    ["column_separator", "row_delimiter", "skip_header", "trim_space", "enclose", "escape"];
pub(super) const JSON_HEADERS: [&str; 4] =
    ["jsonpaths", "json_root", "strip_outer_array", "ignore_json_size"];

/// What a Stream Load asks for: where its data goes and how it is to be read.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamLoadRequest {
    pub database: String,
    pub table: String,
    /// Unique in the database; made up if the client gave none.
    pub label: String,
    pub format: LoadFormat,
    pub compression: Option<Compression>,
    /// Fields of the data and computed columns; `None`: the fields are the table's columns.
    pub columns: Option<Vec<LoadColumn>>,
    /// The text of a condition; other rows are not loaded and count as unselected.
    pub filter: Option<String>,
    /// Partitions to load into; rows of others are filtered. `None`: all.
    pub partitions: Option<Vec<String>>,
    /// Rows that may be filtered, as a part (0 to 1) of all, before the load fails.
    pub max_filter_ratio: f64,
    /// From the begin to the commit of the load, 1 to 259,200.
    pub timeout_seconds: u32,
    /// A value that does not fit filters its row, instead of becoming NULL.
    pub strict_mode: bool,
    /// Rejected rows to keep whole at [`crate::LoadOutcome::rejected_record_path`]; `u64::MAX` keeps all.
    pub rejected_records_max: u64,
    /// Bytes of the body, as announced; not known for a chunked one.
    pub body_bytes: Option<u64>,
}

/// How the bytes of a load become rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadFormat {
    Csv(CsvOptions),
    Json(JsonOptions),
}

impl StreamLoadRequest {
    /// Reads the headers. `new_label` makes up a label if the client gave none.
    ///
    /// # Errors
    /// `Analysis` or `Parse` naming a header and its bad value; `Unsupported` naming a header that is not honoured.
    pub fn parse(
        database: &str,
        table: &str,
        headers: &HeaderMap,
        new_label: impl FnOnce() -> String,
    ) -> Result<Self> {
        let headers = LoadHeaders(headers);
        refused::check(headers)?;
        check_timezone(headers)?;
        let rejected_records_max = headers
            .number("log_rejected_record_num", "it must be -1 (all), 0 (none) or a number of rows", |n| {
                *n >= -1
            })?
            .map_or(0, |n: i64| u64::try_from(n).unwrap_or(u64::MAX));
        let ratio = "it must be a number from 0 to 1";
        let seconds = format!("it must be a whole number of seconds from 1 to {TIMEOUT_SECONDS_MAX}");
        Ok(Self {
            database: database.to_owned(),
            table: table.to_owned(),
            label: label(headers)?.unwrap_or_else(new_label),
            format: format(headers)?,
            compression: compression(headers)?,
            columns: headers.nonempty("columns")?.map(load_columns).transpose()?,
            filter: headers.nonempty("where")?.map(str::to_owned),
            partitions: headers
                .nonempty("partitions")?
                .map(|names| parse_names("partitions", names))
                .transpose()?,
            max_filter_ratio: headers
                .number("max_filter_ratio", ratio, |r: &f64| (0.0..=1.0).contains(r))?
                .unwrap_or(0.0),
            timeout_seconds: headers
                .number("timeout", &seconds, |s| (1..=TIMEOUT_SECONDS_MAX).contains(s))?
                .unwrap_or(TIMEOUT_SECONDS_DEFAULT),
            strict_mode: headers.flag("strict_mode")?.unwrap_or(false),
            rejected_records_max,
            body_bytes: headers.number(
                header::CONTENT_LENGTH.as_str(),
                "it must be a number of bytes",
                |_| true,
            )?,
        })
    }
}

/// The label that the client gave, if it is one.
pub(crate) fn label(headers: LoadHeaders<'_>) -> Result<Option<String>> {
    let Some(label) = headers.text("label")?.filter(|label| !label.is_empty()) else { return Ok(None) };
    check_label(label)?;
    Ok(Some(label.to_owned()))
}

/// Refuses what cannot be a label.
pub(crate) fn check_label(label: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !label.is_empty() && label.chars().count() <= LABEL_CHARS_MAX && label.chars().all(fits) {
        return Ok(());
    }
    let expected = format!("a label has 1 to {LABEL_CHARS_MAX} letters, digits and characters of -_.:");
    Err(invalid("label", label, &expected))
}

fn format(headers: LoadHeaders<'_>) -> Result<LoadFormat> {
    let name = headers.text("format")?.unwrap_or("csv").trim();
    if name.eq_ignore_ascii_case("csv") {
        refuse_all(headers, &JSON_HEADERS, "csv")?;
        return csv(headers).map(LoadFormat::Csv);
    }
    if name.eq_ignore_ascii_case("json") {
        refuse_all(headers, &CSV_HEADERS, "json")?;
        return json(headers).map(LoadFormat::Json);
    }
    Err(Error::unsupported(format!(
        "The format '{name}' (header 'format') is not supported by Stream Load. Use csv or json; Parquet files are \
         loaded with INSERT INTO … SELECT * FROM FILES(…)"
    )))
}

fn refuse_all(headers: LoadHeaders<'_>, names: &[&str], format: &str) -> Result<()> {
    match names.iter().find(|name| headers.0.contains_key(**name)) {
        Some(name) => Err(Error::analysis(format!(
            "The header '{name}' has no meaning for the format {format} (header 'format'). Leave it out, or change the \
             format"
        ))),
        None => Ok(()),
    }
}

fn csv(headers: LoadHeaders<'_>) -> Result<CsvOptions> {
    let separator = |name: &str, default: Vec<u8>| match headers.nonempty(name)? {
        Some(text) => parse_separator(text).map_err(|e| e.context(format!("Header '{name}'"))),
        None => Ok(default),
    };
    let default = CsvOptions::default();
    let options = CsvOptions {
        column_separator: separator("column_separator", default.column_separator)?,
        row_delimiter: separator("row_delimiter", default.row_delimiter)?,
        skip_header: headers.number("skip_header", "it must be a number of rows", |_| true)?.unwrap_or(0),
        trim_space: headers.flag("trim_space")?.unwrap_or(false),
        enclose: character(headers, "enclose")?,
        escape: character(headers, "escape")?,
        allow_trailing_separator: default.allow_trailing_separator,
    };
    options.validate().map_err(|e| e.context("CSV headers"))?;
    Ok(options)
}

/// A header that is one byte: itself, or `\x22` and the like.
fn character(headers: LoadHeaders<'_>, name: &str) -> Result<Option<u8>> {
    let Some(text) = headers.nonempty(name)? else { return Ok(None) };
    match parse_separator(text).as_deref() {
        Ok([byte]) => Ok(Some(*byte)),
        _ => Err(invalid(name, text, "it must be a single ASCII character")),
    }
}

fn json(headers: LoadHeaders<'_>) -> Result<JsonOptions> {
    let paths = headers.nonempty("jsonpaths")?.map(|text| {
        serde_json::from_str::<Vec<String>>(text).ok().filter(|paths| !paths.is_empty()).ok_or_else(|| {
            invalid("jsonpaths", text, "it must be a JSON array of paths like [\"$.a\", \"$.b[0]\"]")
        })
    });
    Ok(JsonOptions {
        strip_outer_array: headers.flag("strip_outer_array")?.unwrap_or(false),
        jsonpaths: paths.transpose()?,
        json_root: headers.nonempty("json_root")?.map(str::to_owned),
        ignore_json_size: headers.flag("ignore_json_size")?.unwrap_or(false),
    })
}

/// `compression` or `Content-Encoding`, which say the same.
fn compression(headers: LoadHeaders<'_>) -> Result<Option<Compression>> {
    let (own, standard) = (headers.text("compression")?, headers.text(header::CONTENT_ENCODING.as_str())?);
    let (name, value) = match (own, standard) {
        (Some(_), Some(_)) => {
            return Err(Error::analysis(
                "The headers 'compression' and 'Content-Encoding' are both given. They say the same: give one of them",
            ));
        }
        (Some(value), None) => ("compression", value),
        (None, Some(value)) => ("Content-Encoding", value),
        (None, None) => return Ok(None),
    };
    Compression::parse(value).map_err(|e| e.context(format!("Header '{name}'")))
}

fn load_columns(text: &str) -> Result<Vec<LoadColumn>> {
    let mut columns = parse_columns(text)?;
    // That rows are inserted is what is done anyway.
    columns.retain(
        |c| !matches!(c, LoadColumn::Computed { name, expression } if is_op(name) && expression == "0"),
    );
    let mut names = columns.iter().map(|c| match c {
        LoadColumn::Field(name) | LoadColumn::Computed { name, .. } => name,
    });
    // A row that is meant to be deleted must not be taken for one to be kept.
    match names.any(|name| is_op(name)) {
        true => Err(Error::unsupported(
            "'__op' in the Stream Load header 'columns' is not supported: rows are inserted or take the place of rows with the \
             same key, a load deletes none. Leave it out",
        )),
        false => Ok(columns),
    }
}

/// The column by which StarRocks tells rows to be deleted from others.
fn is_op(name: &str) -> bool {
    name.eq_ignore_ascii_case("__op")
}

/// Times are computed in UTC. Another zone is harmless where nothing is computed: values are loaded as they are written.
fn check_timezone(headers: LoadHeaders<'_>) -> Result<()> {
    let Some(text) = headers.nonempty("timezone")? else { return Ok(()) };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '/' | ':');
    if text.len() > TIMEZONE_CHARS_MAX || !text.chars().all(fits) {
        return Err(invalid(
            "timezone",
            text,
            "it must be a name like Europe/Berlin or an offset like +08:00",
        ));
    }
    let computes =
        headers.0.contains_key("where") || headers.text("columns")?.is_some_and(|c| c.contains('='));
    match UTC.iter().any(|name| text.eq_ignore_ascii_case(name)) || !computes {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "The Stream Load header 'timezone' (here '{}') is not supported beside 'where' or computed columns: times \
             are computed in UTC. Leave the header out",
            shown(text)
        ))),
    }
}

#[cfg(test)]
#[path = "request_test.rs"]
mod tests;
