//! Loads: `SHOW LOAD`, `SHOW TRANSACTION`, and the always empty `SHOW ALTER TABLE COLUMN`.

use std::ops::ControlFlow;

use cairn_catalog::{Catalog, Txn, TxnState};
use cairn_sql::ast::{DatabaseName, ShowOrder};
use cairn_types::{DbId, Literal, Result, SqlType};
use sqlparser::ast::{Expr, VisitMut, VisitorMut};

use crate::analyze;
use crate::rows::{Rows, int, text, time};
use crate::system::loads::{job_state, job_type, of_database, progress};

const TEXT: SqlType = SqlType::String;
const LONG: SqlType = SqlType::BigInt;
const TIME: SqlType = SqlType::DateTime;

/// The database whose loads are meant: the one named, else the session's, else all.
///
/// # Errors
/// `UnknownDatabase`.
pub fn database(catalog: &Catalog, name: Option<&DatabaseName>, current: &str) -> Result<Option<DbId>> {
    match name {
        Some(name) => analyze::find_database(catalog, analyze::database_name(name)?).map(|db| Some(db.id)),
        None => Ok(catalog.database_named(current).map(|db| db.id)),
    }
}

/// `SHOW LOAD`.
pub fn jobs(catalog: &Catalog, db: Option<DbId>) -> Rows {
    let mut rows = Rows::new(&[
        ("JobId", LONG),
        ("Label", TEXT),
        ("State", TEXT),
        ("Progress", TEXT),
        ("Type", TEXT),
        ("Priority", TEXT),
        ("ScanRows", LONG),
        ("FilteredRows", LONG),
        ("UnselectedRows", LONG),
        ("SinkRows", LONG),
        ("EtlInfo", TEXT),
        ("TaskInfo", TEXT),
        ("ErrorMsg", TEXT),
        ("CreateTime", TIME),
        ("EtlStartTime", TIME),
        ("EtlFinishTime", TIME),
        ("LoadStartTime", TIME),
        ("LoadFinishTime", TIME),
        ("TrackingSQL", TEXT),
        ("JobDetails", TEXT),
        ("Warehouse", TEXT),
    ]);
    of_database(catalog, db).for_each(|txn| rows.push(job(txn)));
    rows
}

fn job(txn: &Txn) -> [Literal; 21] {
    let aborted = txn.state == TxnState::Aborted;
    let (details, error) = if aborted { ("", txn.details.as_str()) } else { (txn.details.as_str(), "") };
    let began = time(txn.begun.time_ms);
    [
        int(txn.id.0),
        text(&txn.label),
        text(job_state(txn.state)),
        text(progress(txn.state)),
        text(job_type(txn)),
        text("NORMAL"),
        Literal::Null,
        Literal::Null,
        Literal::Null,
        Literal::Null,
        Literal::Null,
        text(format!("timeout(s):{}", txn.timeout_ms / 1_000)),
        if aborted { text(error) } else { Literal::Null },
        began.clone(),
        Literal::Null,
        Literal::Null,
        began,
        txn.finished.map_or(Literal::Null, |stamp| time(stamp.time_ms)),
        Literal::Null,
        text(details),
        text(crate::system::WAREHOUSE),
    ]
}

/// `SHOW TRANSACTION`.
pub fn transactions(catalog: &Catalog, db: Option<DbId>) -> Rows {
    let mut rows = no_transactions();
    of_database(catalog, db).for_each(|txn| rows.push(transaction(txn)));
    rows
}

/// The loads of `db` that are open, or those that have ended.
pub fn transactions_of(catalog: &Catalog, db: DbId, open: bool) -> Rows {
    let mut rows = no_transactions();
    let chosen = |txn: &&Txn| (txn.state == TxnState::Prepare) == open;
    of_database(catalog, Some(db)).filter(chosen).for_each(|txn| rows.push(transaction(txn)));
    rows
}

fn no_transactions() -> Rows {
    Rows::new(&[
        ("TransactionId", LONG),
        ("Label", TEXT),
        ("Coordinator", TEXT),
        ("TransactionStatus", TEXT),
        ("LoadJobSourceType", TEXT),
        ("PrepareTime", TIME),
        ("PreparedTime", TIME),
        ("CommitTime", TIME),
        ("FinishTime", TIME),
        ("Reason", TEXT),
        ("ErrorReplicasCount", LONG),
        ("ListenerId", LONG),
        ("TimeoutMs", LONG),
        ("PreparedTimeoutMs", LONG),
    ])
}

fn transaction(txn: &Txn) -> [Literal; 14] {
    let finished = txn.finished.map_or(Literal::Null, |stamp| time(stamp.time_ms));
    let committed = if txn.state == TxnState::Visible { finished.clone() } else { Literal::Null };
    let source = match job_type(txn) {
        "STREAM_LOAD" => "BACKEND_STREAMING",
        _ => "INSERT_STREAMING",
    };
    [
        int(txn.id.0),
        text(&txn.label),
        text(format!("FE: {}", txn.source)),
        text(txn.state.name()),
        text(source),
        time(txn.begun.time_ms),
        Literal::Null,
        committed,
        finished,
        text(if txn.state == TxnState::Aborted { &txn.details } else { "" }),
        int(0),
        int(-1),
        int(txn.timeout_ms),
        Literal::Null,
    ]
}

/// The condition of `SHOW TRANSACTION`, in which `id` is StarRocks' word for the column `TransactionId`.
pub fn transaction_order(selection: Option<&Expr>) -> ShowOrder {
    struct Id;
    impl VisitorMut for Id {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(name) = expr
                && name.value.eq_ignore_ascii_case("id")
            {
                "TransactionId".clone_into(&mut name.value);
            }
            ControlFlow::Continue(())
        }
    }
    let mut selection = selection.cloned();
    if let Some(condition) = &mut selection {
        // The visitor never breaks.
        let _ = VisitMut::visit(condition, &mut Id);
    }
    ShowOrder { selection, ..ShowOrder::default() }
}

/// `SHOW ALTER TABLE COLUMN`: changes of a table are done when their statement returns, there are no jobs.
pub fn alter_jobs() -> Rows {
    Rows::new(&[
        ("JobId", LONG),
        ("TableName", TEXT),
        ("CreateTime", TIME),
        ("FinishTime", TIME),
        ("IndexName", TEXT),
        ("IndexId", LONG),
        ("OriginIndexId", LONG),
        ("SchemaVersion", TEXT),
        ("TransactionId", LONG),
        ("State", TEXT),
        ("Msg", TEXT),
        ("Progress", TEXT),
        ("Timeout", LONG),
        ("Warehouse", TEXT),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::{database as db_id, sample};

    fn column(rows: &Rows, name: &str) -> Vec<String> {
        let at = rows.columns().iter().position(|(n, _)| n == name).unwrap();
        rows.rows().iter().map(|row| row[at].to_string()).collect()
    }

    #[test]
    fn loads_are_listed_by_database() {
        let catalog = sample();
        let of = |current| jobs(&catalog, database(&catalog, None, current).unwrap());
        assert_eq!(column(&of("tpch"), "State"), ["FINISHED", "LOADING"]);
        assert_eq!(column(&of("other"), "State"), [""; 0]);
        assert_eq!(column(&of(""), "Label"), ["l1", "l2"]);
        let named = DatabaseName { catalog: None, name: "nope".into() };
        assert!(database(&catalog, Some(&named), "tpch").is_err());
    }

    #[test]
    fn transactions_are_split_by_state() {
        let catalog = sample();
        let db = db_id(&catalog, "tpch");
        assert_eq!(column(&transactions_of(&catalog, db, true), "Label"), ["l2"]);
        let ended = transactions_of(&catalog, db, false);
        assert_eq!(column(&ended, "TransactionStatus"), ["VISIBLE"]);
        assert_eq!(column(&ended, "CommitTime"), ["1970-01-01 00:00:06"]);
    }

    #[test]
    fn id_means_the_transaction() {
        let order = transaction_order(Some(&cairn_sql::parse_expression("ID = 7 AND label = 'id'").unwrap()));
        assert_eq!(order.selection.unwrap().to_string(), "TransactionId = 7 AND label = 'id'");
    }
}
