//! How an engine is opened, and what a call may ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tallybook_core::Ack;

use crate::wal::WalLimits;

/// How to open an [`crate::Engine`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that read, and so reads at the same time; at least one.
    pub readers: usize,
    /// When the write-ahead log is moved into the database.
    pub wal: WalLimits,
    /// What the lock file beside the database says of this process beside its id. `None` takes no lock: whoever opens it
    /// sees to it that only one process writes.
    pub lock_note: Option<String>,
    /// Calls that may wait for the writer; further ones are refused as `Busy`.
    pub max_waiting: usize,
    /// Rows that one call may answer with; more are refused as `TooLarge`.
    pub max_rows: usize,
    /// Bytes that one answer may have; larger ones are refused as `TooLarge`.
    pub max_bytes: usize,
    /// What the SQL of callers may do.
    pub access: Access,
    /// Bytes of a page, where the database is made.
    pub page_bytes: u32,
    /// KiB of pages that the writer keeps in memory.
    pub writer_cache_kib: i64,
    /// KiB of pages that each reader keeps in memory.
    pub reader_cache_kib: i64,
    /// How long a shutdown waits for reads before it interrupts them.
    pub shutdown_grace: Duration,
    /// Sets up every connection further: registers functions.
    pub on_open: fn(&Connection) -> rusqlite::Result<()>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
            // A log that starts over soon is a short file, whose room is there already when it is written to again. It is as
            // long as SQLite has it by itself.
            wal: WalLimits { passive_bytes: 4 << 20, truncate_bytes: 64 << 20 },
            lock_note: Some(String::new()),
            max_waiting: 1_024,
            max_rows: 1_000_000,
            max_bytes: 1 << 30,
            access: Access::Full,
            // Most writes touch one row, and every page that is touched is written to the log as a whole.
            page_bytes: 4_096,
            // More does not make a flush cheaper: what it changes spills into the log, where it goes anyway.
            writer_cache_kib: 16 * 1024,
            reader_cache_kib: 4 * 1024,
            shutdown_grace: Duration::from_secs(5),
            on_open: |_| Ok(()),
        }
    }
}

/// What the SQL of callers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whatever SQLite can.
    Full,
    /// Nothing outside this database, and nothing that changes how it is kept: see [`crate::authorizer`].
    Sandboxed,
}

/// Ends calls before their time: whoever has a clone may [`Cancel::cancel`] them.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Not yet cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every call that was given this, those to come as well.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a call may ask for.
#[derive(Clone, Debug)]
pub(crate) struct CallOptions {
    pub(crate) ack: Ack,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) cancel: Option<Cancel>,
}

/// The end of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<Cancel>,
}

impl CallOptions {
    pub(crate) fn starting_now(&self) -> Ends {
        Ends { deadline: self.time_limit.map(|limit| Instant::now() + limit), cancel: self.cancel.clone() }
    }
}
