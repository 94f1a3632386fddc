//! How a load ended, and the JSON that says so: StarRocks' keys in StarRocks' order.

use cairn_types::Error;
use serde::Serialize;

/// The outcome of a load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LoadOutcome {
    /// The load's transaction; `None` when none was begun.
    pub txn_id: Option<u64>,
    pub label: String,
    pub status: LoadStatus,
    /// `OK`, or what went wrong.
    pub message: String,
    pub rows_total: u64,
    pub rows_loaded: u64,
    /// Rows that did not fit.
    pub rows_filtered: u64,
    /// Rows that the `where` header left out.
    pub rows_unselected: u64,
    /// Bytes of the body ([`crate::LoadBody::received_bytes`]).
    pub load_bytes: u64,
    /// From the request to the answer.
    pub load_time_ms: u64,
    pub begin_txn_time_ms: u64,
    pub plan_time_ms: u64,
    /// Of the time for writing, what was spent waiting for the client.
    pub read_data_time_ms: u64,
    pub write_data_time_ms: u64,
    pub commit_and_publish_time_ms: u64,
    /// The name under which [`crate::Backend::load_error_log`] finds the rejected rows.
    pub error_log: Option<String>,
    /// Where the rejected rows lie whole, if that was asked for.
    pub rejected_record_path: Option<String>,
}

/// Whether the rows are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LoadStatus {
    Success,
    /// Committed, but not yet visible; it will become so.
    PublishTimeout,
    /// Nothing was loaded: another load has the label.
    LabelAlreadyExists(ExistingLoad),
    /// Nothing was loaded.
    #[default]
    Fail,
}

/// The load that has the label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExistingLoad {
    Running,
    Finished,
}

impl LoadOutcome {
    /// A load that failed before anything else can be said of it.
    #[must_use]
    pub fn failed(label: impl Into<String>, error: &Error) -> Self {
        Self { label: label.into(), message: error.message().to_owned(), ..Self::default() }
    }

    /// A load whose label another one has.
    #[must_use]
    pub fn label_exists(label: impl Into<String>, existing: ExistingLoad) -> Self {
        let label = label.into();
        let message = format!("Label [{label}] has already been used.");
        Self { label, message, status: LoadStatus::LabelAlreadyExists(existing), ..Self::default() }
    }

    /// The answer's text. `base_url` is how the client reached the server, as in `http://127.0.0.1:8030`.
    pub(crate) fn to_json(&self, base_url: &str) -> String {
        let (status, existing) = match self.status {
            LoadStatus::Success => ("Success", None),
            LoadStatus::PublishTimeout => ("Publish Timeout", None),
            LoadStatus::LabelAlreadyExists(ExistingLoad::Running) => {
                ("Label Already Exists", Some("RUNNING"))
            }
            LoadStatus::LabelAlreadyExists(ExistingLoad::Finished) => {
                ("Label Already Exists", Some("FINISHED"))
            }
            LoadStatus::Fail => ("Fail", None),
        };
        let json = Json {
            txn_id: self.txn_id.and_then(|id| i64::try_from(id).ok()).unwrap_or(-1),
            label: &self.label,
            status,
            existing_job_status: existing,
            message: &self.message,
            number_total_rows: self.rows_total,
            number_loaded_rows: self.rows_loaded,
            number_filtered_rows: self.rows_filtered,
            number_unselected_rows: self.rows_unselected,
            load_bytes: self.load_bytes,
            load_time_ms: self.load_time_ms,
            begin_txn_time_ms: self.begin_txn_time_ms,
            stream_load_plan_time_ms: self.plan_time_ms,
            read_data_time_ms: self.read_data_time_ms,
            write_data_time_ms: self.write_data_time_ms,
            commit_and_publish_time_ms: self.commit_and_publish_time_ms,
            error_url: self.error_log.as_ref().map(|f| format!("{base_url}/api/_load_error_log?file={f}")),
            rejected_record_path: self.rejected_record_path.as_deref(),
        };
        pretty(&json)
    }
}

/// JSON as StarRocks' backends print it, indented by four.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, format);
    // Writing plain structs to memory does not fail; if it did, an empty answer would be seen at once.
    if let Err(error) = value.serialize(&mut serializer) {
        tracing::error!("could not write an answer as JSON: {error}");
        out.clear();
    }
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Json<'a> {
    txn_id: i64,
    label: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_job_status: Option<&'static str>,
    message: &'a str,
    number_total_rows: u64,
    number_loaded_rows: u64,
    number_filtered_rows: u64,
    number_unselected_rows: u64,
    load_bytes: u64,
    load_time_ms: u64,
    begin_txn_time_ms: u64,
    stream_load_plan_time_ms: u64,
    read_data_time_ms: u64,
    write_data_time_ms: u64,
    commit_and_publish_time_ms: u64,
    #[serde(rename = "ErrorURL", skip_serializing_if = "Option::is_none")]
    error_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_record_path: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_all_keys_in_order() {
        let outcome = LoadOutcome {
            txn_id: Some(7),
            label: "l\"1".to_owned(),
            status: LoadStatus::Success,
            message: "OK".to_owned(),
            rows_total: 10,
            rows_loaded: 8,
            rows_filtered: 1,
            rows_unselected: 1,
            load_bytes: 99,
            load_time_ms: 6,
            begin_txn_time_ms: 1,
            plan_time_ms: 2,
            read_data_time_ms: 3,
            write_data_time_ms: 4,
            commit_and_publish_time_ms: 5,
            error_log: Some("e1".to_owned()),
            rejected_record_path: Some("/r".to_owned()),
        };
        let expected = r#"{
    "TxnId": 7,
    "Label": "l\"1",
    "Status": "Success",
    "Message": "OK",
    "NumberTotalRows": 10,
    "NumberLoadedRows": 8,
    "NumberFilteredRows": 1,
    "NumberUnselectedRows": 1,
    "LoadBytes": 99,
    "LoadTimeMs": 6,
    "BeginTxnTimeMs": 1,
    "StreamLoadPlanTimeMs": 2,
    "ReadDataTimeMs": 3,
    "WriteDataTimeMs": 4,
    "CommitAndPublishTimeMs": 5,
    "ErrorURL": "http://h:1/api/_load_error_log?file=e1",
    "RejectedRecordPath": "/r"
}
"#;
        assert_eq!(outcome.to_json("http://h:1"), expected);
    }

    #[test]
    fn a_used_label_says_what_became_of_the_other_load() {
        for (existing, word) in [(ExistingLoad::Running, "RUNNING"), (ExistingLoad::Finished, "FINISHED")] {
            let text = LoadOutcome::label_exists("l1", existing).to_json("");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let existing = format!("\"ExistingJobStatus\": \"{word}\",");
            let expected = [
                "\"TxnId\": -1,",
                "\"Label\": \"l1\",",
                "\"Status\": \"Label Already Exists\",",
                &existing,
                "\"Message\": \"Label [l1] has already been used.\",",
            ];
            assert_eq!(lines[1..6], expected);
        }
    }

    #[test]
    fn the_other_states_have_their_words() {
        for (status, word) in [(LoadStatus::PublishTimeout, "Publish Timeout"), (LoadStatus::Fail, "Fail")] {
            let text = LoadOutcome { status, ..LoadOutcome::default() }.to_json("");
            assert!(text.contains(&format!("\"Status\": \"{word}\"")), "{text}");
            assert!(!text.contains("ErrorURL") && !text.contains("ExistingJobStatus"), "{text}");
        }
    }
}
