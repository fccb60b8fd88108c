//! Reading from async code, on threads that may block.

use std::sync::Arc;

use rusqlite::Connection;
use tallybook_core::{Error, ErrorKind, Result};
use tallybook_sqlite::Engine;
use tokio::sync::Semaphore;

use crate::error::closed;

#[derive(Debug)]
pub(crate) struct Readers {
    /// One for each connection, so that nobody blocks a thread to wait for one.
    permits: Arc<Semaphore>,
    count: u32,
}

impl Readers {
    pub(crate) fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), count: u32::try_from(count).unwrap_or(u32::MAX) }
    }

    /// Runs `work` with a connection of its own. When the caller leaves early, it runs to its end nevertheless.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        engine: &Engine,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed(operation))?;
        let engine = engine.clone();
        blocking(operation, move || {
            let answer = engine.read(work).unwrap_or_else(|error| match error.kind() {
                tallybook_sqlite::ErrorKind::Closed => Err(closed(operation)),
                _ => Err(error.during(operation)),
            });
            drop(permit);
            answer
        })
        .await
    }

    /// Waits for the reads under way; reads that come later are refused.
    pub(crate) async fn close(&self) {
        // A second close finds the semaphore closed.
        let all = self.permits.acquire_many(self.count).await;
        self.permits.close();
        drop(all);
    }
}

/// Runs `work` on a thread that may block, to its end, whether or not the caller waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        // Cancelled: the runtime is shutting down.
        let kind = if error.is_panic() { ErrorKind::Internal } else { ErrorKind::Unavailable };
        Error::new(kind, operation, "the work ended without an answer").with_source(error)
    })?
}
