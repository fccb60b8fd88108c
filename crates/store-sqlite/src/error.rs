//! What SQLite's errors mean to a caller.

use rusqlite::ErrorCode;
use tallybook_core::{Error, ErrorKind};

/// What a failed statement means while doing `operation`; SQLite's own words stand behind ours.
pub(crate) fn failed(operation: &'static str, error: rusqlite::Error) -> Error {
    let (kind, context) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            (ErrorKind::Unavailable, "the disk is full; make room, then writing goes on by itself")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Unavailable, "another process holds the database; end it or wait for it")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::Unavailable, "the database or its folder is read-only; make both writable")
        }
        Some(ErrorCode::CannotOpen) => {
            (ErrorKind::Unavailable, "the database cannot be opened; check that its folder is there and writable")
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed | ErrorCode::OperationInterrupted) => {
            (ErrorKind::Unavailable, "the disk failed to read or write")
        }
        Some(ErrorCode::OutOfMemory) => (ErrorKind::Unavailable, "there is no memory left"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Corrupt, "the database is damaged; restore a backup")
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            (ErrorKind::Invalid, "a row does not fit its table")
        }
        _ => (ErrorKind::Internal, "SQLite refused a statement"),
    };
    Error::new(kind, operation, context).with_source(error)
}

/// The answer of a store that was closed, or is about to be.
pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the store is closed")
}

/// What a failed call on a file or folder means while doing `operation`; `what` happened, to what, with a verb.
pub(crate) fn io_failed(operation: &'static str, what: String, error: std::io::Error) -> Error {
    let context = match error.kind() {
        std::io::ErrorKind::StorageFull => "the disk is full; make room, then try again".to_owned(),
        _ => what,
    };
    Error::new(ErrorKind::Unavailable, operation, context).with_source(error)
}

/// What a failed `COMMIT` means: out of room, or of patience with another process, it certainly did not happen; after an
/// I/O error the batch may be in the log, whole, and come back with the next recovery.
pub(crate) fn commit_failed(operation: &'static str, error: rusqlite::Error) -> Error {
    let certain = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    );
    let error = failed(operation, error);
    if certain { error } else { error.applied_unknown() }
}
