//! A pool of connections that only read, used on blocking threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tallybook_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::connection::open_reader;
use crate::error::{closed, failed};

type Idle = Arc<Mutex<Vec<Connection>>>;

#[derive(Debug)]
pub(crate) struct Readers {
    /// One for each connection.
    permits: Arc<Semaphore>,
    idle: Idle,
    count: u32,
}

impl Readers {
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self> {
        let connections: rusqlite::Result<Vec<Connection>> = (0..count).map(|_| open_reader(path)).collect();
        let connections = connections.map_err(|error| failed("opening the store", error))?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(count)),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            idle: Arc::new(Mutex::new(connections)),
        })
    }

    /// Runs `work` with a connection of its own. When the caller leaves early, it runs to its end nevertheless.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed(operation))?;
        let idle = self.idle.clone();
        blocking(operation, move || {
            let lent = Lent::take(&idle);
            let answer = lent.connection.as_ref().map_or_else(|| Err(closed(operation)), work);
            // First back into the pool, then the next one may come for it.
            drop(lent);
            drop(permit);
            answer
        })
        .await
    }

    /// Waits for the reads under way, then closes the connections; reads that come later are refused.
    pub(crate) async fn close(&self) {
        // A second close finds the semaphore closed.
        let all = self.permits.acquire_many(self.count).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
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

/// A connection that goes back into the pool, even when a read panics.
struct Lent<'a> {
    connection: Option<Connection>,
    pool: &'a Mutex<Vec<Connection>>,
}

impl<'a> Lent<'a> {
    fn take(pool: &'a Mutex<Vec<Connection>>) -> Self {
        let connection = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { connection, pool }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}
