//! What clients send around statements. Each statement is a transaction of its own, which nothing takes back: BEGIN and
//! COMMIT have nothing to do. A ROLLBACK of what was begun says that it cannot. Without BEGIN it is what connection pools
//! send of themselves; with autocommit off that is no error, as in StarRocks, but the answer tells.

use cairn_sql::ast::TransactionAccess;
use cairn_types::{Error, Result};

/// What was sent since the last transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Transaction {
    begun: bool,
    /// Whether a statement changed rows.
    wrote: bool,
}

impl Transaction {
    #[must_use]
    pub fn is_open(self) -> bool {
        self.begun || self.wrote
    }

    /// `BEGIN`. A second one goes on with the first, as in StarRocks.
    ///
    /// # Errors
    /// `Unsupported` for a transaction that must not write: nothing would keep it from that.
    pub fn begin(&mut self, access: Option<TransactionAccess>) -> Result<()> {
        if access == Some(TransactionAccess::ReadOnly) {
            return Err(Error::unsupported(
                "START TRANSACTION READ ONLY is not supported: leave READ ONLY out, or log in as a user who only reads",
            ));
        }
        // Without BEGIN, what was written is behind us.
        self.wrote &= self.begun;
        self.begun = true;
        Ok(())
    }

    /// A statement changed rows. With `autocommit` and without BEGIN nobody can ask for them back.
    pub fn wrote(&mut self, autocommit: bool) {
        self.wrote |= self.begun || !autocommit;
    }

    /// `COMMIT`: what there was to commit is committed.
    pub fn commit(&mut self) {
        *self = Self::default();
    }

    /// `ROLLBACK`. The transaction is over either way. Gives what there is to tell; empty: nothing.
    ///
    /// # Errors
    /// `Unsupported` when rows were changed since BEGIN.
    pub fn rollback(&mut self) -> Result<&'static str> {
        match std::mem::take(self) {
            Self { wrote: false, .. } => Ok(""),
            Self { begun: false, .. } => {
                Ok("Rows that were written stay: each statement was committed when it ended")
            }
            Self { begun: true, .. } => Err(Error::unsupported(
                "ROLLBACK cannot take back what was written: each statement is a transaction of its own and was committed when \
                 it ended. The rows stay, and the transaction is over",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `words`; what the last of them told, or how it was refused, and whether a transaction is open then.
    fn check(words: &str, told: &str, open: bool) {
        let mut transaction = Transaction::default();
        let mut autocommit = true;
        let mut last = String::new();
        for word in words.split(' ') {
            let outcome = match word {
                "begin" => transaction.begin(None).map(|()| ""),
                "read_only" => transaction.begin(Some(TransactionAccess::ReadOnly)).map(|()| ""),
                "rollback" => transaction.rollback(),
                "insert" => {
                    transaction.wrote(autocommit);
                    Ok("")
                }
                "commit" => {
                    transaction.commit();
                    Ok("")
                }
                _ => {
                    autocommit = false;
                    Ok("")
                }
            };
            last = outcome.map_or_else(|e| e.message().to_owned(), str::to_owned);
        }
        let matches = if told.is_empty() { last.is_empty() } else { last.contains(told) };
        assert!(matches, "{words}: {last}");
        assert_eq!(transaction.is_open(), open, "{words}");
    }

    #[test]
    fn a_rollback_that_undoes_nothing_says_so() {
        let cannot = "ROLLBACK cannot take back";
        check("begin", "", true);
        check("begin rollback", "", false);
        check("begin insert commit rollback", "", false);
        check("begin insert rollback", cannot, false);
        check("begin insert begin rollback", cannot, false);
        check("begin insert rollback rollback", "", false);
        check("insert rollback", "", false);
        check("manual insert", "", true);
        check("manual insert rollback", "stay", false);
        check("manual insert commit rollback", "", false);
        check("manual insert begin rollback", "", false);
        check("manual begin insert rollback", cannot, false);
        check("read_only", "START TRANSACTION READ ONLY", false);
    }
}
