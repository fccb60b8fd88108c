//! What went wrong, and what a caller can do about it.

use std::borrow::Cow;
use std::fmt;

use rusqlite::{ErrorCode, ffi};

/// The result of every call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Another process or too many calls hold the database: the same call may succeed later.
    Busy,
    /// The disk is full.
    Full,
    /// The database or its folder cannot be written to, or a read tried to write.
    ReadOnly,
    /// The disk failed, or the file cannot be opened.
    Disk,
    /// The database is damaged, or no database.
    Corrupt,
    /// A constraint of the schema refused a row.
    Constraint,
    /// The statement or its parameters cannot be.
    Statement,
    /// The statement does what is not allowed here.
    Denied,
    /// The call took longer than it may.
    TimeLimit,
    /// The call was cancelled.
    Cancelled,
    /// The answer or a value is larger than it may be.
    TooLarge,
    /// The caller's own code gave up.
    Aborted,
    /// The engine was shut down.
    Closed,
    /// A defect: ours, SQLite's, or a panic in the caller's code.
    Internal,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Busy,
        Self::Full,
        Self::ReadOnly,
        Self::Disk,
        Self::Corrupt,
        Self::Constraint,
        Self::Statement,
        Self::Denied,
        Self::TimeLimit,
        Self::Cancelled,
        Self::TooLarge,
        Self::Aborted,
        Self::Closed,
        Self::Internal,
    ];

    /// A name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Disk => "disk",
            Self::Corrupt => "corrupt",
            Self::Constraint => "constraint",
            Self::Statement => "statement",
            Self::Denied => "denied",
            Self::TimeLimit => "time_limit",
            Self::Cancelled => "cancelled",
            Self::TooLarge => "too_large",
            Self::Aborted => "aborted",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }
}

/// A failed call. Unless [`Error::maybe_applied`] says otherwise, nothing of it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    context: Cow<'static, str>,
    /// SQLite's own words.
    detail: Option<String>,
    maybe_applied: bool,
}

impl Error {
    /// An error of `kind`; `context` says what happened, to what, and what to do next.
    pub fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, context: context.into(), detail: None, maybe_applied: false }
    }

    /// What a transaction's own code gives up with; everything it did is undone.
    pub fn aborted(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Aborted, context)
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the database is closed")
    }

    /// What a failed call on a file or folder means; `what` happened, to what, with a verb.
    pub fn of_io(what: impl Into<Cow<'static, str>>, error: &std::io::Error) -> Self {
        let (kind, context) = match error.kind() {
            std::io::ErrorKind::StorageFull => (ErrorKind::Full, "the disk is full; make room, then try again".into()),
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                (ErrorKind::ReadOnly, what.into())
            }
            _ => (ErrorKind::Disk, what.into()),
        };
        Self { detail: Some(error.to_string()), ..Self::new(kind, context) }
    }

    /// What a failed `COMMIT` means: out of room, or of patience with another process, it certainly did not happen; after
    /// an I/O error it may be in the log, whole, and come back with the next recovery.
    pub fn of_commit(error: rusqlite::Error) -> Self {
        let error = Self::from(error);
        let certain = matches!(error.kind, ErrorKind::Full | ErrorKind::Busy | ErrorKind::Constraint);
        Self { maybe_applied: !certain, ..error }
    }

    /// Says where it happened.
    pub(crate) fn in_front(self, place: &str) -> Self {
        Self { context: format!("{place}: {}", self.context).into(), ..self }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the write may have happened all the same.
    pub fn maybe_applied(&self) -> bool {
        self.maybe_applied
    }

    /// The same in the terms of a store, while doing `operation`.
    pub fn during(self, operation: &'static str) -> tallybook_core::Error {
        use tallybook_core::ErrorKind as Kind;
        let kind = match self.kind {
            ErrorKind::Busy
            | ErrorKind::Full
            | ErrorKind::ReadOnly
            | ErrorKind::Disk
            | ErrorKind::TimeLimit
            | ErrorKind::Cancelled
            | ErrorKind::Closed => Kind::Unavailable,
            ErrorKind::Corrupt => Kind::Corrupt,
            ErrorKind::Constraint | ErrorKind::TooLarge => Kind::Invalid,
            ErrorKind::Statement | ErrorKind::Denied | ErrorKind::Aborted | ErrorKind::Internal => Kind::Internal,
        };
        let mut error = tallybook_core::Error::new(kind, operation, self.context);
        if let Some(detail) = self.detail {
            error = error.with_source(detail);
        }
        if self.maybe_applied { error.applied_unknown() } else { error }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        // The index of the log is made by writing zeros: where that fails, there is no room for it.
        let no_room = error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
        let (kind, context) = match error.sqlite_error_code() {
            _ if no_room => (ErrorKind::Full, "the disk is full; make room, then try again"),
            _ if matches!(error, rusqlite::Error::MultipleStatement) => {
                (ErrorKind::Statement, "there is more than one statement; a script or a transaction takes many")
            }
            // Of a function, SQLite tells by its words alone.
            _ if detail.starts_with("not authorized") => {
                (ErrorKind::Denied, "the statement does what is not allowed here")
            }
            Some(ErrorCode::DiskFull) => {
                (ErrorKind::Full, "the disk is full; make room, then writing goes on by itself")
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (ErrorKind::Busy, "another process holds the database; end it or wait for it")
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                (ErrorKind::ReadOnly, "the database or its folder is read-only; make both writable")
            }
            Some(ErrorCode::CannotOpen) => {
                (ErrorKind::Disk, "the database cannot be opened; check that its folder is there and writable")
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => {
                (ErrorKind::Disk, "the disk failed to read or write")
            }
            Some(ErrorCode::OperationInterrupted) => (ErrorKind::Cancelled, "the statement was interrupted"),
            Some(ErrorCode::OutOfMemory) => (ErrorKind::Busy, "there is no memory left"),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                (ErrorKind::Corrupt, "the database is damaged; restore a backup")
            }
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
                (ErrorKind::Constraint, "a row does not fit its table")
            }
            Some(ErrorCode::TooBig) => (ErrorKind::TooLarge, "a value or statement is too large"),
            Some(ErrorCode::AuthorizationForStatementDenied) => {
                (ErrorKind::Denied, "the statement does what is not allowed here")
            }
            _ => (ErrorKind::Statement, "SQLite refused a statement"),
        };
        Self { detail: Some(detail), ..Self::new(kind, context) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.kind)
    }
}

impl std::error::Error for Error {}
