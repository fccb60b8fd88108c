//! What SQLite's errors mean to a caller of the store.

use tallybook_core::{Error, ErrorKind};

/// What a failed statement means while doing `operation`; SQLite's own words stand behind ours.
pub(crate) fn failed(operation: &'static str, error: rusqlite::Error) -> Error {
    tallybook_sqlite::Error::from(error).during(operation)
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

/// What a failed `COMMIT` means: see [`tallybook_sqlite::Error::of_commit`].
pub(crate) fn commit_failed(operation: &'static str, error: rusqlite::Error) -> Error {
    tallybook_sqlite::Error::of_commit(error).during(operation)
}
