//! Where the errors of redb and openraft become ours, with what happened to which file and what to do.

use std::io::ErrorKind as IoKind;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cairn_types::{Error, ErrorKind, Result};
use openraft::error::{CheckIsLeaderError, ClientWriteError, Fatal, ForwardToLeader, RaftError};
use openraft::{AnyError, StorageIOError};

use crate::group::{Node, StorageError};

/// What a person does about a journal that cannot be used as it is.
pub(crate) const REMEDY: &str =
    "put back a copy of the whole folder, or restore the cluster from a cluster snapshot";

/// Turns a failure of redb into ours.
pub(crate) fn log_error(doing: &str, path: &Path, error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::DatabaseAlreadyOpen => ErrorKind::Conflict,
        redb::Error::Io(e) => match e.kind() {
            IoKind::StorageFull | IoKind::QuotaExceeded => ErrorKind::ResourceExhausted,
            IoKind::NotFound => ErrorKind::NotFound,
            // redb reports a wrong magic number and a file that ends too early this way.
            IoKind::InvalidData | IoKind::UnexpectedEof | IoKind::InvalidInput => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        },
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_) => ErrorKind::Corrupt,
        redb::Error::PreviousIo => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let remedy = match kind {
        ErrorKind::Corrupt => format!(": {REMEDY}"),
        ErrorKind::Conflict => ": another process has it open, stop that one".to_owned(),
        _ => String::new(),
    };
    Error::new(kind, format!("cannot {doing} {}: {error}{remedy}", path.display()))
}

/// A damaged file, in the words of `error`.
pub(crate) fn damaged(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{} is damaged: {}: {REMEDY}", path.display(), error.message()))
}

/// Why the journal stopped: the first failure of its storage, for every later caller to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopCause(Arc<OnceLock<Error>>);

impl StopCause {
    /// Keeps `error` if it is the first, and hands openraft its form of it, which ends the group on this node.
    pub fn note(&self, error: &Error) -> StorageError {
        let first = self.0.get_or_init(|| error.clone());
        tracing::error!(%error, %first, "the journal stops");
        StorageIOError::write(AnyError::error(error)).into()
    }

    pub fn get(&self) -> Option<&Error> {
        self.0.get()
    }

    /// `Unavailable`, saying why and what to do.
    pub fn error(&self, otherwise: &str) -> Error {
        let remedy = match self.get().map(Error::kind) {
            Some(ErrorKind::ResourceExhausted) => "restart after freeing space",
            Some(ErrorKind::Corrupt) => REMEDY,
            _ => "restart it when the cause is gone",
        };
        let cause = self.get().map_or(otherwise, |e| e.message());
        Error::unavailable(format!("the journal stopped: {cause}; {remedy}"))
    }

    pub fn of_fatal(&self, fatal: &Fatal<u64>) -> Error {
        match fatal {
            Fatal::Stopped if self.get().is_none() => Error::unavailable("the journal was shut down"),
            Fatal::Panicked => self.error("its thread panicked, which is a bug (see the log)"),
            Fatal::Stopped | Fatal::StorageError(_) => self.error(&fatal.to_string()),
        }
    }

    pub fn of_write(&self, error: &RaftError<u64, ClientWriteError<u64, Node>>) -> Error {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => not_leader(to),
            RaftError::APIError(ClientWriteError::ChangeMembershipError(e)) => {
                Error::conflict(format!("cannot change the members of the journal's group: {e}"))
            }
            RaftError::Fatal(fatal) => self.of_fatal(fatal),
        }
    }

    pub fn of_read(&self, error: &RaftError<u64, CheckIsLeaderError<u64, Node>>) -> Error {
        match error {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to)) => not_leader(to),
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(e)) => {
                Error::unavailable(format!("most members of the journal's group do not answer: {e}"))
            }
            RaftError::Fatal(fatal) => self.of_fatal(fatal),
        }
    }
}

fn not_leader(to: &ForwardToLeader<u64, Node>) -> Error {
    let leader = match (&to.leader_id, &to.leader_node) {
        (Some(id), Some(node)) => format!("member {id} at {} does", node.addr),
        _ => "no member does yet, try again".to_owned(),
    };
    Error::unavailable(format!("this frontend does not lead the journal's group; {leader}"))
}

/// Runs `work` so that a panic, which redb may raise over damaged pages, ends as an error about `path`.
pub(crate) fn without_panic<T>(doing: &str, path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic_text(panic.as_ref());
        Err(Error::corrupt(format!(
            "cannot {doing} {}: its pages make no sense ({said}): {REMEDY}",
            path.display()
        )))
    })
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_is_kept_and_names_the_remedy() {
        let cause = StopCause::default();
        assert_eq!(cause.of_fatal(&Fatal::Stopped).message(), "the journal was shut down");
        let _ = cause.note(&Error::resource_exhausted("cannot write /d/journal.redb: no space"));
        let _ = cause.note(&Error::corrupt("a consequence"));
        assert_eq!(
            cause.of_fatal(&Fatal::Stopped).message(),
            "the journal stopped: cannot write /d/journal.redb: no space; restart after freeing space"
        );
    }

    #[test]
    fn redb_failures_get_a_kind() {
        let check = |error: redb::Error, kind: ErrorKind| {
            assert_eq!(log_error("read", Path::new("/j"), error).kind(), kind);
        };
        check(redb::Error::Io(IoKind::StorageFull.into()), ErrorKind::ResourceExhausted);
        check(redb::Error::Io(IoKind::InvalidData.into()), ErrorKind::Corrupt);
        check(redb::Error::Corrupted(String::new()), ErrorKind::Corrupt);
        check(redb::Error::DatabaseAlreadyOpen, ErrorKind::Conflict);
        check(redb::Error::PreviousIo, ErrorKind::Unavailable);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let got: Result<()> = without_panic("read", Path::new("/j"), || panic!("page 7"));
        assert!(got.unwrap_err().message().contains("page 7"));
    }
}
