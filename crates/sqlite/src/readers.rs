//! A pool of connections that only read.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::open_reader;
use crate::control::Controlled;
use crate::options::{Ends, Options};
use crate::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(crate) struct Readers {
    pool: Mutex<Pool>,
    returned: Condvar,
    /// Interrupts what runs.
    closing: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Pool {
    /// The one that was used last comes last: its cache is warm.
    idle: Vec<Controlled>,
    lent: usize,
    closed: bool,
}

impl Readers {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let open = |_| {
            let connection = open_reader(path, options.reader_cache_kib)?;
            (options.on_open)(&connection)?;
            Controlled::new(connection, options.access, closing.clone())
        };
        let idle = (0..options.readers.max(1)).map(open).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self { pool: Mutex::new(Pool { idle, lent: 0, closed: false }), returned: Condvar::new(), closing })
    }

    /// A connection of one's own; waits for one.
    pub(crate) fn lend(&self, ends: &Ends) -> Result<Lent<'_>> {
        let mut pool = self.pool();
        loop {
            if pool.closed {
                return Err(Error::closed());
            }
            if let Some(controlled) = pool.idle.pop() {
                pool.lent += 1;
                return Ok(Lent { controlled: Some(controlled), readers: self });
            }
            pool = match ends.deadline {
                None => self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        let context = "every connection that reads was busy for as long as the call may take";
                        return Err(Error::new(ErrorKind::TimeLimit, context));
                    }
                    self.returned.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Refuses further reads, waits for those under way, interrupts them after a while, and closes the connections.
    pub(crate) fn close(&self, grace: Duration) {
        let mut pool = self.pool();
        pool.closed = true;
        self.returned.notify_all();
        let until = Instant::now() + grace;
        while pool.lent > 0 && !self.closing.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.closing.store(true, Ordering::Relaxed);
            } else {
                pool = self.returned.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        while pool.lent > 0 {
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        pool.idle.clear();
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back into the pool, even when a read panics.
pub(crate) struct Lent<'r> {
    controlled: Option<Controlled>,
    readers: &'r Readers,
}

impl Lent<'_> {
    pub(crate) fn get(&mut self) -> &mut Controlled {
        self.controlled.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(controlled) = self.controlled.take() else { return };
        if !controlled.connection.is_autocommit() {
            // The caller left a transaction open. It only read: nothing is lost, and nothing can be done if this fails.
            let _ = controlled.connection.execute_batch("ROLLBACK");
        }
        let mut pool = self.readers.pool();
        pool.idle.push(controlled);
        pool.lent -= 1;
        // Who closes and who reads wait at the same place.
        if pool.closed { self.readers.returned.notify_all() } else { self.readers.returned.notify_one() }
    }
}
