//! What went wrong with a backup.

use std::fmt;
use std::path::Path;

use tallybook_sqlite as sqlite;

/// The result of every call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One sentence: what happened, to what, and what to do next.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: sqlite::ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: sqlite::ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(sqlite::ErrorKind::Corrupt, message)
    }

    /// A failed call on `path`, which could not be …
    pub(crate) fn io<'p>(path: &'p Path, what: &'p str) -> impl Fn(std::io::Error) -> Self + 'p {
        move |error| sqlite::Error::of_io(format!("{} cannot be {what}", path.display()), &error).into()
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> sqlite::ErrorKind {
        self.kind
    }
}

impl From<sqlite::Error> for Error {
    fn from(error: sqlite::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.kind)
    }
}

impl std::error::Error for Error {}
