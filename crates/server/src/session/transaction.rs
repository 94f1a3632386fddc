//! What clients send around statements. Each statement is a transaction of its own, which nothing takes back: BEGIN and
//! COMMIT have nothing to do, and ROLLBACK says so where it would be asked for more.

use cairn_sql::ast::TransactionAccess;
use cairn_types::{Error, Result};

/// What was sent since the last transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Transaction {
    begun: bool,
    /// Whether a statement changed rows since then.
    wrote: bool,
}

impl Transaction {
    #[must_use]
    pub fn is_open(self) -> bool {
        self.begun
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
        self.begun = true;
        Ok(())
    }

    /// A statement changed rows. Without BEGIN it stands for itself, whatever `autocommit` says, as in StarRocks: clients that
    /// turn it off at login send a ROLLBACK whenever a connection goes back to their pool.
    pub fn wrote(&mut self) {
        self.wrote |= self.begun;
    }

    /// `COMMIT`: what there was to commit is committed.
    pub fn commit(&mut self) {
        *self = Self::default();
    }

    /// `ROLLBACK`. The transaction is over either way.
    ///
    /// # Errors
    /// `Unsupported` when rows were changed in it.
    pub fn rollback(&mut self) -> Result<()> {
        if std::mem::take(self).wrote {
            return Err(Error::unsupported(
                "ROLLBACK cannot take back what was written: each statement is a transaction of its own and was committed when \
                 it ended. The rows stay, and the transaction is over",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `words` and says whether a transaction is open then, or how the last of them was refused.
    fn check(words: &str, expected: Result<bool, &str>) {
        let mut transaction = Transaction::default();
        let mut last = Ok(());
        for word in words.split(' ') {
            last = Ok(());
            match word {
                "begin" => last = transaction.begin(None),
                "read_only" => last = transaction.begin(Some(TransactionAccess::ReadOnly)),
                "rollback" => last = transaction.rollback(),
                "insert" => transaction.wrote(),
                _ => transaction.commit(),
            }
        }
        let told = last.map(|()| transaction.is_open()).map_err(|e| e.message().to_owned());
        match (&told, expected) {
            (Err(message), Err(part)) => assert!(message.contains(part), "{words}: {message}"),
            _ => assert_eq!(told, expected.map_err(str::to_owned), "{words}"),
        }
    }

    #[test]
    fn a_rollback_that_undoes_nothing_says_so() {
        let cannot = Err("ROLLBACK cannot take back");
        check("begin", Ok(true));
        check("begin rollback", Ok(false));
        check("begin insert commit rollback", Ok(false));
        check("begin insert rollback", cannot);
        check("begin insert begin rollback", cannot);
        check("begin insert rollback rollback", Ok(false));
        check("insert rollback", Ok(false));
        check("read_only", Err("START TRANSACTION READ ONLY"));
    }
}
