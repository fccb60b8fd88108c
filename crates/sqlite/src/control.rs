//! What bounds the SQL of a caller on one connection: its time limit, its cancellation, and what it may do.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use crate::authorizer;
use crate::options::{Access, Ends};
use crate::{Error, ErrorKind, Result};

/// Steps of SQLite's virtual machine between two looks at the clock: a fraction of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 2_000;

const RUNNING: u8 = 0;
const TIME_LIMIT: u8 = 1;
const CANCELLED: u8 = 2;
const CLOSED: u8 = 3;

/// A connection with what bounds the calls on it.
#[derive(Debug)]
pub(crate) struct Controlled {
    pub(crate) connection: Connection,
    control: Arc<Control>,
}

#[derive(Debug)]
struct Control {
    /// Whether there is an end to look for.
    armed: AtomicBool,
    ends: Mutex<Ends>,
    /// Why it was interrupted.
    ended: AtomicU8,
    /// Whether the SQL of a caller is prepared, and not the engine's own.
    guest: AtomicBool,
    /// Interrupts whatever runs.
    closing: Arc<AtomicBool>,
}

impl Control {
    fn look(&self) -> bool {
        let ended = if self.closing.load(Ordering::Relaxed) {
            CLOSED
        } else if self.armed.load(Ordering::Relaxed) {
            self.ends.lock().unwrap_or_else(PoisonError::into_inner).reached()
        } else {
            RUNNING
        };
        if ended != RUNNING {
            self.ended.store(ended, Ordering::Relaxed);
        }
        ended != RUNNING
    }
}

impl Ends {
    fn reached(&self) -> u8 {
        if self.cancel.as_ref().is_some_and(crate::Cancel::is_cancelled) {
            CANCELLED
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            TIME_LIMIT
        } else {
            RUNNING
        }
    }

    fn is_set(&self) -> bool {
        self.cancel.is_some() || self.deadline.is_some()
    }
}

impl Controlled {
    pub(crate) fn new(mut connection: Connection, access: Access, closing: Arc<AtomicBool>) -> rusqlite::Result<Self> {
        let control = Arc::new(Control {
            armed: AtomicBool::new(false),
            ends: Mutex::default(),
            ended: AtomicU8::new(RUNNING),
            guest: AtomicBool::new(false),
            closing,
        });
        let looks = control.clone();
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || looks.look()))?;
        if access == Access::Sandboxed {
            limit(&connection)?;
            let asks = control.clone();
            connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
                authorizer::within(asks.guest.load(Ordering::Relaxed), &context, authorizer::sandbox)
            }))?;
        }
        Ok(Self { connection, control })
    }

    /// Runs the SQL of a caller within its ends and its rights.
    pub(crate) fn guest<T>(&mut self, ends: &Ends, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.control.guest.store(true, Ordering::Relaxed);
        self.within(ends, |connection| work(connection))
    }

    /// Runs the code of a caller within its ends.
    pub(crate) fn within<T>(&mut self, ends: &Ends, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let control = &self.control;
        let leaving = Leaving(control);
        if ends.is_set() {
            control.ended.store(ends.reached(), Ordering::Relaxed);
            if let Some(error) = control.why() {
                return Err(error);
            }
            *control.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends.clone();
            control.armed.store(true, Ordering::Relaxed);
        } else {
            control.ended.store(RUNNING, Ordering::Relaxed);
        }
        let done = work(&mut self.connection);
        drop(leaving);
        // What was interrupted says why.
        done.map_err(|error| match control.why() {
            Some(why) if error.kind() == ErrorKind::Cancelled => why,
            _ => error,
        })
    }
}

/// Ends the caller's rule, also when its code panics.
struct Leaving<'c>(&'c Control);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.guest.store(false, Ordering::Relaxed);
        self.0.armed.store(false, Ordering::Relaxed);
    }
}

impl Control {
    fn why(&self) -> Option<Error> {
        match self.ended.load(Ordering::Relaxed) {
            TIME_LIMIT => Some(Error::new(ErrorKind::TimeLimit, "the call took longer than its time limit")),
            CANCELLED => Some(Error::new(ErrorKind::Cancelled, "the call was cancelled")),
            CLOSED => Some(Error::closed()),
            _ => None,
        }
    }
}

/// What SQL from elsewhere may use of the process.
fn limit(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, 64 << 20),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    Ok(())
}

/// A connection for one call that may only read, whatever the SQL says.
pub(crate) fn read_only(connection: Connection) -> rusqlite::Result<Controlled> {
    limit(&connection)?;
    let mut controlled = Controlled::new(connection, Access::Full, Arc::default())?;
    let asks = controlled.control.clone();
    controlled.connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
        authorizer::within(asks.guest.load(Ordering::Relaxed), &context, authorizer::read_only)
    }))?;
    Ok(controlled)
}
