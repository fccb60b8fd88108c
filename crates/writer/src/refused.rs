//! The one error of this crate: why a request was not taken.

use std::sync::Arc;
use std::time::Duration;

use tallybook_telemetry::DecodeError;

/// Why a request was not taken, or not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue had no room in time. Nothing was taken: send it again.
    #[error("the queue is full; send it again in {} s", retry_after.as_secs_f32().ceil())]
    Full {
        /// When there may be room.
        retry_after: Duration,
    },
    /// The store does not answer. Nothing was taken: send it again.
    #[error("the store is unavailable; send it again in {} s ({error})", retry_after.as_secs_f32().ceil())]
    Unavailable {
        /// When it may answer.
        retry_after: Duration,
        /// What the store said.
        error: Arc<str>,
    },
    /// The request cannot be read. Nothing was taken, and never will be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The writer is stopping. Nothing was taken: send it elsewhere, or again after the restart.
    #[error("the server is stopping; send it again after the restart")]
    Stopping,
    /// The request was taken, but the writer stopped before it was committed, or before the store said so. Sent again, it
    /// may count twice.
    #[error("the server stopped before the request was committed ({error})")]
    Unacknowledged {
        /// What kept it.
        error: Arc<str>,
    },
}
