//! A pool of connections that only read.
//!
//! A thread asks for the same connection each time, whose cache it has warmed and whose counters are on its core, and for
//! another one when that is in use: readers that are as many as the connections share nothing.

use std::path::{Path, PathBuf};
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
    path: PathBuf,
    options: Options,
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

/// Where one connection is, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Seat {
    connection: Mutex<Place>,
    reads: AtomicU32,
    counters: ReadCounters,
}

#[derive(Debug)]
enum Place {
    /// Nobody has read with it yet: opening all of them would cost a command that is short some milliseconds.
    Unopened,
    Open(Controlled),
    Closed,
}

impl Readers {
    pub(crate) fn new(path: &Path, options: Options, anchor: Arc<Anchor>) -> Self {
        let seat = |_| Seat {
            connection: Mutex::new(Place::Unopened),
            reads: AtomicU32::new(0),
            counters: ReadCounters::default(),
        };
        Self {
            path: path.to_owned(),
            anchor,
            seats: (0..options.readers.max(1)).map(seat).collect(),
            options,
            waiting: AtomicUsize::new(0),
            wait: Mutex::default(),
            returned: Condvar::new(),
            closed: AtomicBool::new(false),
            closing: Arc::default(),
        }
    }

    fn connect(&self) -> Result<Controlled> {
        let connection = open_reader(&self.path, self.options.reader_cache_kib)?;
        (self.options.on_open)(&connection)?;
        Ok(Controlled::new(connection, self.options.access, self.closing.clone())?)
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
            let Some(mut connection) = seat.try_lock() else { continue };
            if let Place::Unopened = *connection {
                *connection = Place::Open(self.connect()?);
            }
            if let Place::Open(_) = *connection {
                let reads = seat.reads.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                if reads.is_multiple_of(READS_PER_RENEWAL) {
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
            let in_use = self
                .seats
                .iter()
                .filter(|seat| seat.try_lock().map(|mut place| *place = Place::Closed).is_none())
                .count();
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
    fn try_lock(&self) -> Option<MutexGuard<'_, Place>> {
        match self.connection.try_lock() {
            Ok(connection) => Some(connection),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
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
    connection: Option<MutexGuard<'r, Place>>,
    pub(crate) counters: &'r ReadCounters,
    readers: &'r Readers,
}

impl Lent<'_> {
    pub(crate) fn get(&mut self) -> &mut Controlled {
        self.open().expect("it is there until it is given back")
    }

    fn open(&mut self) -> Option<&mut Controlled> {
        match self.connection.as_deref_mut() {
            Some(Place::Open(controlled)) => Some(controlled),
            _ => None,
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(controlled) = self.open()
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
