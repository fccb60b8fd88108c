//! A pool of connections that only read.
//!
//! A thread asks for the same connection each time, whose cache it has warmed and whose counters are on its core, and for
//! another one when that is in use: readers that are as many as the connections share nothing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::anchor::Anchor;
use crate::connection::open_reader;
use crate::control::Controlled;
use crate::options::{Ends, Options};
use crate::stats::ReadCounters;
use crate::{Error, ErrorKind, Result};

/// Reads on one connection after which the anchor is moved to the present.
const READS_PER_RENEWAL: u32 = 64;

#[derive(Debug)]
pub(crate) struct Readers {
    anchor: Arc<Anchor>,
    seats: Box<[Seat]>,
    /// Calls that wait for a connection.
    waiting: AtomicUsize,
    wait: Mutex<()>,
    returned: Condvar,
    closed: AtomicBool,
    /// Interrupts what runs.
    closing: Arc<AtomicBool>,
}

/// A connection, `None` once it is closed, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Seat {
    connection: Mutex<Option<Controlled>>,
    reads: AtomicU32,
    counters: ReadCounters,
}

impl Readers {
    pub(crate) fn open(path: &Path, options: &Options, anchor: Arc<Anchor>) -> Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let open = |_| {
            let connection = open_reader(path, options.reader_cache_kib)?;
            (options.on_open)(&connection)?;
            let controlled = Controlled::new(connection, options.access, closing.clone())?;
            let connection = Mutex::new(Some(controlled));
            Ok(Seat { connection, reads: AtomicU32::new(0), counters: ReadCounters::default() })
        };
        let seats = (0..options.readers.max(1)).map(open).collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            anchor,
            seats,
            waiting: AtomicUsize::new(0),
            wait: Mutex::default(),
            returned: Condvar::new(),
            closed: AtomicBool::new(false),
            closing,
        })
    }

    /// A connection of one's own; waits for one.
    pub(crate) fn lend(&self, ends: &Ends) -> Result<Lent<'_>> {
        if let Some(lent) = self.free_seat()? {
            return Ok(lent);
        }
        let mut wait = self.wait.lock().unwrap_or_else(PoisonError::into_inner);
        let _counted = Waiting::new(&self.waiting);
        loop {
            // Whoever gives one back after this look sees that somebody waits.
            if let Some(lent) = self.free_seat()? {
                return Ok(lent);
            }
            wait = match ends.deadline {
                None => self.returned.wait(wait).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        let context = "every connection that reads was busy for as long as the call may take";
                        return Err(Error::new(ErrorKind::TimeLimit, context));
                    }
                    self.returned.wait_timeout(wait, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn free_seat(&self) -> Result<Option<Lent<'_>>> {
        let first = FIRST_SEAT.with(|seat| *seat) % self.seats.len();
        let (before, from_first) = self.seats.split_at(first);
        for seat in from_first.iter().chain(before) {
            if self.closed.load(Ordering::SeqCst) {
                return Err(Error::closed());
            }
            if let Some(connection) = seat.try_take() {
                if seat.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(READS_PER_RENEWAL) {
                    self.anchor.renew();
                }
                return Ok(Some(Lent { connection: Some(connection), counters: &seat.counters, readers: self }));
            }
        }
        Ok(None)
    }

    /// Refuses further reads, waits for those under way, interrupts them after a while, and closes the connections.
    pub(crate) fn close(&self, grace: Duration) {
        let mut wait = self.wait.lock().unwrap_or_else(PoisonError::into_inner);
        let _counted = Waiting::new(&self.waiting);
        self.closed.store(true, Ordering::SeqCst);
        self.returned.notify_all();
        let until = Instant::now() + grace;
        loop {
            // Those that are free are closed at once.
            let in_use = self.seats.iter().filter(|seat| seat.try_lock().map(|mut seat| seat.take()).is_none()).count();
            if in_use == 0 {
                return self.anchor.close();
            }
            let left = until.saturating_duration_since(Instant::now());
            wait = if left.is_zero() {
                self.closing.store(true, Ordering::Relaxed);
                self.returned.wait(wait).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.returned.wait_timeout(wait, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = &ReadCounters> + Clone {
        self.seats.iter().map(|seat| &seat.counters)
    }
}

impl Seat {
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Controlled>>> {
        match self.connection.try_lock() {
            Ok(connection) => Some(connection),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn try_take(&self) -> Option<MutexGuard<'_, Option<Controlled>>> {
        self.try_lock().filter(|connection| connection.is_some())
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    /// Where this thread looks first: threads are dealt out over the seats.
    static FIRST_SEAT: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// Counts one more who waits, for as long as it lives.
struct Waiting<'r>(&'r AtomicUsize);

impl<'r> Waiting<'r> {
    fn new(waiting: &'r AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection that goes back into the pool, even when a read panics.
pub(crate) struct Lent<'r> {
    connection: Option<MutexGuard<'r, Option<Controlled>>>,
    pub(crate) counters: &'r ReadCounters,
    readers: &'r Readers,
}

impl Lent<'_> {
    pub(crate) fn get(&mut self) -> &mut Controlled {
        let connection = self.connection.as_mut().and_then(|connection| connection.as_mut());
        connection.expect("it is there until it is given back")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(controlled) = self.connection.as_mut().and_then(|connection| connection.as_mut())
            && !controlled.connection.is_autocommit()
        {
            // The caller left a transaction open. It only read: nothing is lost, and nothing can be done if this fails.
            let _ = controlled.connection.execute_batch("ROLLBACK");
        }
        self.connection = None;
        fence(Ordering::SeqCst);
        if self.readers.waiting.load(Ordering::SeqCst) > 0 {
            // One who looked before this was given back is asleep once this lock is free.
            drop(self.readers.wait.lock().unwrap_or_else(PoisonError::into_inner));
            // Who closes and who reads wait at the same place.
            let closed = self.readers.closed.load(Ordering::SeqCst);
            if closed { self.readers.returned.notify_all() } else { self.readers.returned.notify_one() }
        }
    }
}
