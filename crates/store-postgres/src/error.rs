//! What PostgreSQL says, as the errors of the core.

use deadpool_postgres::PoolError;
use tallybook_core::{Error, ErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// A statement that failed before its transaction was asked to commit: nothing of it is stored.
pub(crate) fn failed(operation: &'static str, error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(refusal) => Error::new(kind_of(refusal), operation, sentence(refusal)).with_source(error),
        None => Error::new(ErrorKind::Unavailable, operation, "the connection to PostgreSQL broke").with_source(error),
    }
}

/// A commit that failed: without an answer of the server nobody knows whether it happened.
pub(crate) fn commit_failed(operation: &'static str, error: tokio_postgres::Error) -> Error {
    let refused = error.as_db_error().is_some_and(|refusal| kind_of(refusal) != ErrorKind::Unavailable);
    let error = failed(operation, error);
    if refused { error } else { error.applied_unknown() }
}

/// No connection could be had from the pool.
pub(crate) fn no_connection(operation: &'static str, error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => failed(operation, error),
        PoolError::Closed => Error::new(ErrorKind::Unavailable, operation, "the store is closed"),
        error => Error::new(ErrorKind::Unavailable, operation, "PostgreSQL gives no connection").with_source(error),
    }
}

fn sentence(refusal: &DbError) -> String {
    let mut sentence = refusal.message().to_owned();
    for more in [refusal.detail(), refusal.hint()].into_iter().flatten() {
        sentence = format!("{sentence}; {more}");
    }
    sentence
}

/// By class of SQLSTATE, see appendix A of PostgreSQL's documentation.
fn kind_of(refusal: &DbError) -> ErrorKind {
    let code = refusal.code();
    if *code == SqlState::CHECK_VIOLATION {
        // A row without a partition: another server's retention dropped it. The next try makes it anew.
        return ErrorKind::Unavailable;
    }
    match code.code().get(..2).unwrap_or_default() {
        // Connection; no resources; operator intervention; system error; in recovery, deadlock or serialisation. Rights and
        // authorisation may be given back.
        "08" | "53" | "57" | "58" | "40" | "25" | "55" | "28" => ErrorKind::Unavailable,
        // Data that does not fit, a constraint, a limit of the program.
        "22" | "23" | "54" => ErrorKind::Invalid,
        "XX" => ErrorKind::Corrupt,
        "42" if *code == SqlState::INSUFFICIENT_PRIVILEGE => ErrorKind::Unavailable,
        "0A" => ErrorKind::Unsupported,
        _ => ErrorKind::Internal,
    }
}
