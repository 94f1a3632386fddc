//! `loads`: the labelled loads that the catalog remembers, open ones too; and their words.

use cairn_catalog::{Catalog, Txn, TxnState};
use cairn_types::{DbId, Literal};

use super::{LONG, Scope, SystemTable, TEXT, TIME, WAREHOUSE};
use crate::rows::{Rows, int, text, time};

pub(super) const TABLES: &[SystemTable] = &[SystemTable {
    name: "loads",
    columns: &[
        ("ID", LONG),
        ("LABEL", TEXT),
        ("PROFILE_ID", TEXT),
        ("DB_NAME", TEXT),
        ("TABLE_NAME", TEXT),
        ("USER", TEXT),
        ("WAREHOUSE", TEXT),
        ("STATE", TEXT),
        ("PROGRESS", TEXT),
        ("TYPE", TEXT),
        ("PRIORITY", TEXT),
        ("SCAN_ROWS", LONG),
        ("SCAN_BYTES", LONG),
        ("FILTERED_ROWS", LONG),
        ("UNSELECTED_ROWS", LONG),
        ("SINK_ROWS", LONG),
        ("RUNTIME_DETAILS", TEXT),
        ("CREATE_TIME", TIME),
        ("LOAD_START_TIME", TIME),
        ("LOAD_COMMIT_TIME", TIME),
        ("LOAD_FINISH_TIME", TIME),
        ("PROPERTIES", TEXT),
        ("ERROR_MSG", TEXT),
        ("TRACKING_SQL", TEXT),
        ("REJECTED_RECORD_PATH", TEXT),
        ("JOB_ID", LONG),
    ],
    fill: loads,
}];

/// The word of StarRocks' load jobs for a load's state.
#[must_use]
pub fn job_state(state: TxnState) -> &'static str {
    match state {
        TxnState::Prepare => "LOADING",
        TxnState::Visible => "FINISHED",
        TxnState::Aborted => "CANCELLED",
    }
}

/// StarRocks' word for the door that a load came through.
#[must_use]
pub fn job_type(txn: &Txn) -> &'static str {
    match txn.source.to_ascii_lowercase().contains("stream") {
        true => "STREAM_LOAD",
        false => "INSERT",
    }
}

/// How far a load is, as StarRocks prints it. Of an open one it is not known, and an aborted one got nowhere.
#[must_use]
pub fn progress(state: TxnState) -> &'static str {
    match state {
        TxnState::Visible => "ETL:100%; LOAD:100%",
        TxnState::Prepare | TxnState::Aborted => "ETL:N/A; LOAD:N/A",
    }
}

/// The loads of `db`, or all; oldest first.
pub fn of_database(catalog: &Catalog, db: Option<DbId>) -> impl Iterator<Item = &Txn> {
    catalog.txns().map(|txn| &**txn).filter(move |txn| db.is_none_or(|db| db == txn.db))
}

fn loads(scope: &Scope<'_>, rows: &mut Rows) {
    for txn in of_database(scope.catalog, None) {
        rows.push(load(scope.catalog, txn));
    }
}

fn load(catalog: &Catalog, txn: &Txn) -> [Literal; 26] {
    let finished = txn.finished.map_or(Literal::Null, |stamp| time(stamp.time_ms));
    let visible = txn.state == TxnState::Visible;
    // What a load counted stands in its own answer; the catalog keeps its text.
    let (details, error) =
        if txn.state == TxnState::Aborted { ("", txn.details.as_str()) } else { (txn.details.as_str(), "") };
    [
        int(txn.id.0),
        text(&txn.label),
        Literal::Null,
        catalog.database(txn.db).map_or(Literal::Null, |db| text(&db.name)),
        Literal::Null,
        Literal::Null,
        text(WAREHOUSE),
        text(job_state(txn.state)),
        text(progress(txn.state)),
        text(job_type(txn)),
        text("NORMAL"),
        Literal::Null,
        Literal::Null,
        Literal::Null,
        Literal::Null,
        Literal::Null,
        text(details),
        time(txn.begun.time_ms),
        time(txn.begun.time_ms),
        if visible { finished.clone() } else { Literal::Null },
        finished,
        text(format!(r#"{{"timeout":{}}}"#, txn.timeout_ms / 1_000)),
        text(error),
        Literal::Null,
        Literal::Null,
        int(txn.id.0),
    ]
}

#[cfg(test)]
mod tests {
    use cairn_catalog::Command;

    use crate::system::tests::{apply, database, sample, values};

    #[test]
    fn loads_tell_their_state() {
        let mut catalog = sample();
        let open = catalog.txn_labelled(database(&catalog, "tpch"), "l2").unwrap().id;
        let check =
            |catalog: &_, column, expected: [&str; 2]| assert_eq!(values(catalog, "loads", column), expected);
        check(&catalog, "LABEL", ["l1", "l2"]);
        check(&catalog, "STATE", ["FINISHED", "LOADING"]);
        check(&catalog, "TYPE", ["INSERT", "STREAM_LOAD"]);
        check(&catalog, "LOAD_FINISH_TIME", ["1970-01-01 00:00:06", "NULL"]);
        apply(&mut catalog, 90, Command::AbortTxn { txn: open, reason: "no such column".into() });
        check(&catalog, "STATE", ["FINISHED", "CANCELLED"]);
        check(&catalog, "ERROR_MSG", ["", "no such column"]);
        check(&catalog, "RUNTIME_DETAILS", ["100 rows", ""]);
    }
}
