//! The one connection that writes, whoever it is that writes with it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tallybook_core::Ack;

use crate::control::Controlled;
use crate::lock::FolderLock;
use crate::options::Ends;
use crate::queue::{Alone, Shared, SharedCall};
use crate::stats::Counters;
use crate::wal::Wal;
use crate::{Error, ErrorKind, Result, shrink};

/// Short writes look at the log no more often than this.
const LOOK_AT_LOG_EVERY: Duration = Duration::from_millis(10);
/// Pages given back to the file system in one go, so that a write that comes meanwhile waits for little.
const SHRINK_PAGES: u32 = 512;

/// Uses a pause; says whether there is nothing left to do until the next write.
pub(crate) type Pause = Box<dyn FnMut() -> bool + Send>;

pub(crate) struct Writer {
    pub(crate) controlled: Controlled,
    wal: Wal,
    /// Whether commits fsync at present.
    synced: bool,
    looked_at_log: Instant,
    /// Before the lock: what it holds is closed before another process may come in.
    pause: Option<Pause>,
    _lock: Option<FolderLock>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("wal", &self.wal).field("synced", &self.synced).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(controlled: Controlled, wal: Wal, pause: Option<Pause>, lock: Option<FolderLock>) -> Self {
        Self { controlled, wal, synced: false, looked_at_log: Instant::now(), pause, _lock: lock }
    }

    /// Runs calls in one transaction with one commit, each of them whole or not at all, and leaves their outcomes with them.
    pub(crate) fn run_shared(&mut self, calls: &mut [Shared], counters: &Counters) {
        let started = Instant::now();
        for call in calls.iter() {
            counters.write_wait.add(started - call.since);
        }
        if let [call] = calls {
            self.run_one(call);
        } else if !self.run_together(calls) {
            // One of them undid the others with it: SQLite does that for `ROLLBACK` as a resolution of conflicts, and when
            // the disk is full. By itself, each gets its own answer.
            for call in calls.iter_mut() {
                self.run_one(call);
            }
        }
        counters.commits.fetch_add(1, Ordering::Relaxed);
        self.after_write(false);
        let took = started.elapsed();
        for _ in calls {
            counters.write_run.add(took);
        }
    }

    fn run_one(&mut self, call: &mut Shared) {
        if let Err(error) = self.sync_commits(call.ack == Ack::Durable) {
            return call.call.fail(error);
        }
        if call.call.is_one_statement() {
            // Atomic by itself.
            call.call.run(&mut self.controlled);
            self.clean();
            return;
        }
        if let Err(error) = self.engine("BEGIN IMMEDIATE") {
            return call.call.fail(error);
        }
        if !call.call.run(&mut self.controlled) {
            self.clean();
        } else if let Err(error) = self.commit() {
            call.call.fail(error);
        }
    }

    /// Says whether it went well for all that did not fail themselves.
    fn run_together(&mut self, calls: &mut [Shared]) -> bool {
        let durable = calls.iter().any(|call| call.ack == Ack::Durable);
        let begun = self.sync_commits(durable).and_then(|()| self.engine("BEGIN IMMEDIATE"));
        let mut done = begun;
        for call in calls.iter_mut() {
            if done.is_err() {
                break;
            }
            let one_statement = call.call.is_one_statement();
            if !one_statement {
                done = self.engine("SAVEPOINT call");
            }
            let went_well = done.is_ok() && call.call.run(&mut self.controlled);
            if self.controlled.connection.is_autocommit() {
                return false;
            }
            if !one_statement && done.is_ok() {
                done = if went_well { Ok(()) } else { self.engine("ROLLBACK TO call") }
                    .and_then(|()| self.engine("RELEASE call"));
            }
        }
        let committed = done.and_then(|()| self.commit());
        if let Err(error) = committed {
            self.clean();
            for call in calls {
                call.call.fail_if_done(&error);
            }
        }
        true
    }

    /// Runs a call that has the connection to itself, outside of any transaction.
    pub(crate) fn run_alone(&mut self, call: Alone, since: Instant, ack: Ack, counters: &Counters) {
        let started = Instant::now();
        counters.write_wait.add(started - since);
        let ready = self.sync_commits(ack == Ack::Durable);
        call(ready.map(|()| &mut *self));
        self.clean();
        counters.commits.fetch_add(1, Ordering::Relaxed);
        self.after_write(true);
        counters.write_run.add(started.elapsed());
    }

    fn commit(&mut self) -> Result<()> {
        let committed = self.statement("COMMIT").map_err(Error::of_commit);
        if committed.is_err() {
            self.clean();
        }
        committed
    }

    /// Ends a transaction that a failure, or a caller's own code, left open.
    fn clean(&mut self) {
        if !self.controlled.connection.is_autocommit()
            && let Err(error) = self.controlled.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn engine(&self, sql: &'static str) -> Result<()> {
        Ok(self.statement(sql)?)
    }

    fn statement(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.controlled.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Looks after the log. A failure is not the caller's: what was written stays written, and the next write tries again.
    fn after_write(&mut self, always: bool) {
        if !always && self.looked_at_log.elapsed() < LOOK_AT_LOG_EVERY {
            return;
        }
        if let Err(error) = self.wal.after_commit(&self.controlled.connection) {
            tracing::warn!(%error, "a checkpoint failed");
        }
        self.looked_at_log = Instant::now();
    }

    /// Uses a pause; says whether there is nothing left to do until the next write.
    pub(crate) fn rest(&mut self) -> bool {
        let tried = shrink(&self.controlled.connection, SHRINK_PAGES)
            .and_then(|shrunk| Ok(self.wal.when_idle(&self.controlled.connection)? && !shrunk));
        let rested = tried.unwrap_or_else(|error| {
            tracing::warn!(%error, "a checkpoint failed");
            false
        });
        self.pause.as_mut().is_none_or(|pause| pause()) && rested
    }

    /// Moves the whole log into the database; says whether no reader kept it from that.
    pub(crate) fn checkpoint(&mut self) -> Result<bool> {
        Ok(self.wal.empty(&self.controlled.connection)?)
    }

    /// Puts everything on disk and lets go of it.
    pub(crate) fn close(mut self) -> Result<()> {
        self.pause = None;
        if !self.checkpoint()? {
            // Somebody else reads: the log stays, and must be on disk itself.
            self.sync_commits(true)?;
            let connection = &self.controlled.connection;
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            connection.pragma_update(None, "user_version", version)?;
        }
        self.controlled.connection.close().map_err(|(_, error)| error.into())
    }

    /// SQLite refuses to change this inside a transaction.
    fn sync_commits(&mut self, synced: bool) -> Result<()> {
        if self.synced != synced {
            let level = if synced { "FULL" } else { "NORMAL" };
            self.controlled.connection.pragma_update(None, "synchronous", level)?;
            self.synced = synced;
        }
        Ok(())
    }
}

/// Runs the code of a caller: a panic in it is an error of the call, and nobody else's.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
    Error::new(ErrorKind::Internal, format!("the code of the call panicked: {words}"))
}

/// One call that may share its transaction with others. It may be run again where another one undid it.
pub(crate) struct OneCall<T, F> {
    pub(crate) ends: Ends,
    pub(crate) one_statement: bool,
    pub(crate) work: F,
    pub(crate) outcome: Option<Result<T>>,
    pub(crate) answer: Arc<crate::queue::Answer<T>>,
}

impl<T: Send, F: FnMut(&Connection) -> Result<T> + Send> SharedCall for OneCall<T, F> {
    fn is_one_statement(&self) -> bool {
        self.one_statement
    }

    fn run(&mut self, controlled: &mut Controlled) -> bool {
        let Self { ends, work, outcome, .. } = self;
        let outcome = outcome.insert(caught(|| controlled.guest(ends, &mut *work)));
        outcome.is_ok()
    }

    fn fail(&mut self, error: Error) {
        self.outcome = Some(Err(error));
    }

    fn fail_if_done(&mut self, error: &Error) {
        if !matches!(self.outcome, Some(Err(_))) {
            self.outcome = Some(Err(error.clone()));
        }
    }

    fn answer(self: Box<Self>) {
        let Self { work, outcome, answer, .. } = *self;
        // Before the caller goes on: it may have the last handle of the engine, and must not be shut down by who writes.
        drop(work);
        answer.give(outcome.unwrap_or_else(|| Err(Error::closed())));
    }
}
