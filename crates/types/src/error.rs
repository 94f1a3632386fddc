//! One error type for everything a user can see. A kind says what the caller can do about it and fixes the
//! MySQL error number; the message says what happened, to what, and what to do.

use std::fmt;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, coarse enough that a caller can decide by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// SQL that does not parse.
    Parse,
    /// SQL that parses but has no meaning here (wrong types, unknown column, bad property…).
    Analysis,
    /// A feature that Cairn does not have; the message names it.
    Unsupported,
    UnknownDatabase,
    UnknownTable,
    DatabaseExists,
    TableExists,
    /// Wrong user or password.
    AccessDenied,
    /// Known user without the privilege.
    PrivilegeDenied,
    /// The label was used by another load.
    LabelUsed,
    /// Rows that do not fit the table, more than allowed.
    DataQuality,
    /// A value outside its type or a NULL in a NOT NULL column.
    InvalidValue,
    /// Somebody else changed it first; trying again is right.
    Conflict,
    /// `KILL` or a client that went away.
    Cancelled,
    Timeout,
    /// A memory or disk budget was reached.
    ResourceExhausted,
    /// Bytes on disk or in a volume are not what was written.
    Corrupt,
    /// A volume or another process cannot be reached now.
    Unavailable,
    /// A higher epoch owns the volume: this process must not write or delete.
    Fenced,
    /// A file or object that should be there is not, or one that should not be there is.
    NotFound,
    AlreadyExists,
    /// A bug.
    Internal,
}

impl ErrorKind {
    /// The MySQL error number and SQLSTATE that StarRocks clients expect for this kind.
    #[must_use]
    pub fn mysql_code(self) -> (u16, &'static [u8; 5]) {
        use ErrorKind::*;
        match self {
            Parse | Analysis | Unsupported | InvalidValue | DataQuality | Conflict | LabelUsed | NotFound
            | AlreadyExists | Corrupt | Unavailable | Fenced | Internal => (1064, b"HY000"),
            UnknownDatabase => (5501, b"3F000"),
            UnknownTable => (5502, b"42602"),
            DatabaseExists => (1007, b"HY000"),
            TableExists => (1050, b"42S01"),
            AccessDenied => (1045, b"28000"),
            PrivilegeDenied => (5203, b"42000"),
            Cancelled => (1317, b"70100"),
            Timeout => (5024, b"HY000"),
            ResourceExhausted => (1064, b"HY000"),
        }
    }
}

/// An error as the user sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of `kind`; `message` says what happened, to what, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error, with `what` was being done put in front.
    #[must_use]
    pub fn context(self, what: impl fmt::Display) -> Self {
        Self { kind: self.kind, message: format!("{what}: {}", self.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

macro_rules! constructors {
    ($($fn_name:ident => $kind:ident),* $(,)?) => {
        impl Error {$(
            #[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
            pub fn $fn_name(message: impl Into<String>) -> Self {
                Self::new(ErrorKind::$kind, message)
            }
        )*}
    };
}

constructors! {
    parse => Parse,
    analysis => Analysis,
    unsupported => Unsupported,
    invalid_value => InvalidValue,
    conflict => Conflict,
    corrupt => Corrupt,
    unavailable => Unavailable,
    fenced => Fenced,
    not_found => NotFound,
    already_exists => AlreadyExists,
    internal => Internal,
    resource_exhausted => ResourceExhausted,
}

impl Error {
    /// Unknown database, in StarRocks' words.
    #[must_use]
    pub fn unknown_database(name: &str) -> Self {
        Self::new(ErrorKind::UnknownDatabase, format!("Unknown database '{name}'"))
    }

    /// Unknown table, in StarRocks' words.
    #[must_use]
    pub fn unknown_table(name: &str) -> Self {
        Self::new(ErrorKind::UnknownTable, format!("Unknown table '{name}'"))
    }
}
