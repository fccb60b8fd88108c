//! A read transaction that stays open while there are reads, and makes them cheap.
//!
//! SQLite counts the readers of one moment within the process, under a mutex, and asks the file system for a lock on behalf
//! of the first one only. While the anchor is the first, the others make no system call: a point read on one thread went from
//! 3.0 to 1.3 us, and two threads no longer queue for the mutex while the other one is in the kernel.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::connection::open_reader;
use crate::stats::Counters;

/// It reads next to nothing.
const CACHE_KIB: i64 = 16;

#[derive(Debug)]
pub(crate) struct Anchor {
    path: PathBuf,
    held: Mutex<Held>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
pub(crate) struct Held {
    connection: Place,
    /// The number of commits when the transaction was opened, while it is open.
    at_commit: Option<u64>,
    asked: Instant,
}

#[derive(Debug)]
enum Place {
    /// Few have read yet.
    Unopened,
    Open(Connection),
    Closed,
}

impl Anchor {
    pub(crate) fn new(path: &Path, counters: Arc<Counters>) -> Self {
        let held = Held { connection: Place::Unopened, at_commit: None, asked: Instant::now() };
        Self { path: path.to_owned(), held: Mutex::new(held), counters }
    }

    /// Moves to the present moment, if it is not there and nobody else sees to that.
    pub(crate) fn renew(&self) {
        let mut held = match self.held.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        held.asked = Instant::now();
        let now = self.counters.commits.load(Ordering::Relaxed);
        if held.at_commit != Some(now) {
            held.release();
            // Should it fail, reads are only slower, and say themselves what is wrong.
            held.at_commit = held.take(&self.path).is_ok_and(|taken| taken).then_some(now);
        }
    }

    /// Lets go, and stays so while the guard lives: for checkpoints, which wait for whoever reads.
    pub(crate) fn pause(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.release();
        held
    }

    /// Lets go when nobody has read much for that long.
    pub(crate) fn release_after(&self, unused: Duration) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.asked.elapsed() >= unused {
            held.release();
        }
    }

    pub(crate) fn close(&self) {
        self.pause().connection = Place::Closed;
    }
}

impl Held {
    /// Says whether it could; once closed it cannot.
    fn take(&mut self, path: &Path) -> rusqlite::Result<bool> {
        if let Place::Unopened = self.connection {
            self.connection = Place::Open(open_reader(path, CACHE_KIB)?);
        }
        let Place::Open(connection) = &self.connection else { return Ok(false) };
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1").map(|()| true)
    }

    fn release(&mut self) {
        if let Place::Open(connection) = &self.connection
            && !connection.is_autocommit()
        {
            // A transaction that only read ends whatever this says.
            let _ = connection.execute_batch("COMMIT");
        }
        self.at_commit = None;
    }
}
