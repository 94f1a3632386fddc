//! The headers of Stream Load that Cairn does not honour. They are refused by name, except with the value that asks
//! for nothing; and so are those that only look like a header of Stream Load.

use cairn_types::{Error, Result};

use crate::load::headers::{LoadHeaders, shown};
use crate::load::request::{CSV_HEADERS, JSON_HEADERS};

struct Refused {
    name: &'static str,
    /// Values that ask for what Cairn does anyhow.
    harmless: &'static [&'static str],
    why: &'static str,
}

const fn refused(name: &'static str, harmless: &'static [&'static str], why: &'static str) -> Refused {
    Refused { name, harmless, why }
}

const NO_MEMORY_LIMIT: &str = "a load streams within the memory limit of the server";
const NO_MERGE_COMMIT: &str = "every load commits on its own";
const NO_TRANSACTIONS: &str = "there are no transaction loads: every Stream Load is a transaction of its own";
const NO_PARTIAL_UPDATE: &str = "rows are loaded whole: give all columns, or their defaults by 'columns'";

const REFUSED: &[Refused] = &[
    refused("negative", &["false"], "there are no aggregate tables to subtract from"),
    refused("temporary_partitions", &[], "there are no temporary partitions: load into 'partitions'"),
    refused("partial_update", &["false"], NO_PARTIAL_UPDATE),
    refused("partial_update_mode", &[], NO_PARTIAL_UPDATE),
    refused("merge_condition", &[], "there are no conditional updates"),
    refused("load_mem_limit", &["0"], NO_MEMORY_LIMIT),
    refused("exec_mem_limit", &["0"], NO_MEMORY_LIMIT),
    refused("load_dop", &["0"], "the server chooses the parallelism"),
    refused(
        "transmission_compression_type",
        &["no_compression"],
        "the node that receives a load also writes it",
    ),
    refused("enable_replicated_storage", &[], "placement is a property of the table"),
    refused("enable_merge_commit", &["false"], NO_MERGE_COMMIT),
    refused("merge_commit_async", &["false"], NO_MERGE_COMMIT),
    refused("merge_commit_interval_ms", &[], NO_MERGE_COMMIT),
    refused("merge_commit_parallel", &[], NO_MERGE_COMMIT),
    refused("warehouse", &["default_warehouse"], "there is one warehouse"),
    refused("idle_transaction_timeout", &[], NO_TRANSACTIONS),
    refused("prepared_timeout", &[], NO_TRANSACTIONS),
    refused("channel_id", &[], NO_TRANSACTIONS),
    refused("channel_num", &[], NO_TRANSACTIONS),
    refused("txn_id", &[], NO_TRANSACTIONS),
    refused("two_phase_commit", &["false"], NO_TRANSACTIONS),
];

/// Honoured headers with an underscore, of any format. HTTP's own headers have none: whatever else has one was meant for
/// the load, and is misspelled or unknown.
const HONOURED: [&str; 3] = ["log_rejected_record_num", "max_filter_ratio", "strict_mode"];

/// Refuses what would not be honoured.
///
/// # Errors
/// `Unsupported` naming the first such header, its value, and the reason.
pub(crate) fn check(headers: LoadHeaders<'_>) -> Result<()> {
    for header in REFUSED {
        let Some(value) = headers.text(header.name)? else { continue };
        if header.harmless.iter().any(|harmless| value.trim().eq_ignore_ascii_case(harmless)) {
            continue;
        }
        return Err(Error::unsupported(format!(
            "The Stream Load header '{}' (here '{}') is not supported: {}. Leave the header out",
            header.name,
            shown(value),
            header.why
        )));
    }
    let is_known = |name: &str| {
        let refused = || REFUSED.iter().map(|refused| refused.name);
        HONOURED
            .into_iter()
            .chain(CSV_HEADERS)
            .chain(JSON_HEADERS)
            .chain(refused())
            .any(|known| known == name)
    };
    match headers.0.keys().map(|name| name.as_str()).find(|name| name.contains('_') && !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(Error::unsupported(format!(
            "The Stream Load header '{}' is not known: look at its spelling, or leave it out",
            shown(name)
        ))),
    }
}
