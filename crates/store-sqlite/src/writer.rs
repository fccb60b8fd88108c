//! Writing to the store from async code: a bounded number of calls on threads that may block.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tallybook_core::{Ack, Batch, Committed, Error, ErrorKind, Result, StoreId};
use tallybook_sqlite::wal::WalStats;
use tallybook_sqlite::{Engine as Sqlite, Options};
use tokio::sync::Semaphore;

use crate::engine::{Engine, OPENING, State};
use crate::error::{closed, failed};
use crate::readers::blocking;
use crate::segments::Days;

/// Calls that may wait for the writer; further ones wait for a place.
const QUEUE_CALLS: u32 = 64;

#[derive(Debug)]
pub(crate) struct Writer {
    places: Arc<Semaphore>,
    sqlite: Sqlite,
    /// It is the engine that keeps it, and drops it before its lock.
    state: Weak<Mutex<State>>,
    days: Arc<Days>,
    id: StoreId,
}

impl Writer {
    pub(crate) fn start(path: &Path, options: Options) -> Result<Self> {
        let limits = options.wal;
        let mut opening = Sqlite::opening(path, options).map_err(|error| error.during(OPENING))?;
        let state = Arc::new(Mutex::new(State::prepare(&mut opening, path, limits)?));
        let days = lock(&state).segments.days().clone();
        let id = lock(&state).id();
        let weak = Arc::downgrade(&state);
        opening.on_pause(move || lock(&state).segments.rest());
        let sqlite = opening.start().map_err(|error| error.during(OPENING))?;
        Ok(Self { places: Arc::new(Semaphore::new(QUEUE_CALLS as usize)), sqlite, state: weak, days, id })
    }

    pub(crate) async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        let operation = "committing a batch";
        let ack = batch.ack;
        self.call(operation, ack, move |engine| engine.commit(&batch)).await
    }

    /// Runs `work` with the writer.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Engine<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call(operation, Ack::Written, work).await
    }

    /// The same; what it commits is on disk when it answers.
    pub(crate) async fn run_durable<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Engine<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call(operation, Ack::Durable, work).await
    }

    /// The same, from a thread that may block.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Engine<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        write(&self.sqlite, &self.state, operation, Ack::Written, work)
    }

    /// The engine of the main database.
    pub(crate) fn sqlite(&self) -> &Sqlite {
        &self.sqlite
    }

    /// The name of the store.
    pub(crate) fn id(&self) -> StoreId {
        self.id
    }

    /// The days of ticks.
    pub(crate) fn days(&self) -> &Arc<Days> {
        &self.days
    }

    /// Refuses new calls, lets those under way finish, then closes the database.
    pub(crate) async fn close(&self) -> Result<()> {
        const CLOSING: &str = "closing the store";
        // Closed already: an earlier close whose caller left.
        let all = self.places.acquire_many(QUEUE_CALLS).await;
        self.places.close();
        drop(all);
        let (sqlite, state) = (self.sqlite.clone(), self.state.clone());
        blocking(CLOSING, move || {
            let segments = sqlite.write(move |_| state.upgrade().map_or(Ok(()), |state| lock(&state).segments.close()));
            let closed = sqlite.shutdown().map_err(|error| error.during(CLOSING));
            // Closed already.
            let segments = segments.unwrap_or(Ok(()));
            segments.map_err(|error| failed(CLOSING, error)).and(closed)
        })
        .await
    }

    pub(crate) fn wal_stats(&self) -> WalStats {
        self.sqlite.wal_stats()
    }

    /// A call holds its place until it is done, even if nobody waits for the answer any more.
    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        ack: Ack,
        work: impl FnOnce(&mut Engine<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| closed(operation))?;
        let (sqlite, state) = (self.sqlite.clone(), self.state.clone());
        let lost = |error: Error| if error.kind() == ErrorKind::Internal { error.applied_unknown() } else { error };
        blocking(operation, move || {
            let answer = write(&sqlite, &state, operation, ack, work);
            drop(place);
            answer
        })
        .await
        .map_err(lost)
    }
}

fn write<T: Send + 'static>(
    sqlite: &Sqlite,
    state: &Weak<Mutex<State>>,
    operation: &'static str,
    ack: Ack,
    work: impl FnOnce(&mut Engine<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let state = state.clone();
    let written = sqlite.with_ack(ack).write(move |connection| {
        let state = state.upgrade().ok_or_else(|| closed(operation))?;
        let mut state = lock(&state);
        let answer = work(&mut state.with(connection));
        state.segments.after_write();
        answer
    });
    written.unwrap_or_else(|error| match error.kind() {
        tallybook_sqlite::ErrorKind::Closed => Err(closed(operation)),
        _ => Err(error.during(operation)),
    })
}

/// Only whoever has the writer locks it. After a panic the revision is still true: it is set behind a commit.
fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Writer {
    /// Waits for what is in the queue: whoever opens the folder next must find the lock free.
    fn drop(&mut self) {
        self.days.close_idle(true);
        if let Err(error) = self.sqlite.shutdown() {
            tracing::error!(%error, "the store could not be closed well");
        }
    }
}
