//! The queue in front of the writer.
//!
//! Whoever finds the writer free, and nobody waiting, writes with it on its own thread: a lone caller pays for no change of
//! threads. Calls that come meanwhile wait; the background thread runs all that wait in one transaction, and its commit
//! answers them all. So an fsync serves everybody who came while the one before ran.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tallybook_core::Ack;

use crate::anchor::Anchor;
use crate::control::Controlled;
use crate::stats::Counters;
use crate::writer::Writer;
use crate::{Error, ErrorKind, Result};

/// Calls that one commit serves at the most, so that none waits for ever.
const MAX_TOGETHER: usize = 512;

/// A call that may share its transaction with others.
pub(crate) trait SharedCall: Send {
    /// Whether SQLite itself undoes all of it when it fails.
    fn is_one_statement(&self) -> bool;
    /// Runs it, keeps the outcome, and says whether that is a success.
    fn run(&mut self, controlled: &mut Controlled) -> bool;
    /// It came to nothing.
    fn fail(&mut self, error: Error);
    /// It came to nothing, unless it failed by itself before.
    fn fail_if_done(&mut self, error: &Error);
    /// Gives the outcome to whoever waits for it.
    fn answer(self: Box<Self>);
}

/// A call that has the writer to itself, or an error that keeps it from it. It answers by itself.
pub(crate) type Alone = Box<dyn FnOnce(Result<&mut Writer>) + Send>;

pub(crate) enum Call {
    Shared(Box<dyn SharedCall>),
    Alone(Alone),
}

/// A call among those that share a transaction.
pub(crate) struct Shared {
    pub(crate) call: Box<dyn SharedCall>,
    pub(crate) ack: Ack,
    pub(crate) since: Instant,
}

struct Waiting {
    call: Call,
    ack: Ack,
    since: Instant,
}

/// Where an answer is put and waited for.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    value: Mutex<Option<Result<T>>>,
    given: Condvar,
    /// Whether somebody waits for it.
    awaited: bool,
}

impl<T> Answer<T> {
    pub(crate) fn new(awaited: bool) -> Arc<Self> {
        Arc::new(Self { value: Mutex::new(None), given: Condvar::new(), awaited })
    }

    pub(crate) fn give(&self, value: Result<T>) {
        if !self.awaited
            && let Err(error) = &value
        {
            tracing::error!(%error, "a write that was only queued failed");
        }
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.given.notify_one();
    }

    pub(crate) fn wait(&self) -> Result<T> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match value.take() {
                Some(given) => return given,
                None => value = self.given.wait(value).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// The writer and those who wait for it.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Line>,
    /// Wakes the background thread.
    called: Condvar,
    /// `None` once it is closed.
    writer: Mutex<Option<Writer>>,
    max_waiting: usize,
}

#[derive(Default)]
struct Line {
    calls: VecDeque<Waiting>,
    /// Whether the background thread has to be woken.
    attendant_sleeps: bool,
    closed: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("calls", &self.calls.len()).field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Queue {
    pub(crate) fn new(writer: Writer, max_waiting: usize) -> Self {
        let writer = Mutex::new(Some(writer));
        Self { waiting: Mutex::default(), called: Condvar::new(), writer, max_waiting }
    }

    /// Runs a call, here or in the background; it is answered then, or will be.
    pub(crate) fn run(&self, call: Call, ack: Ack, counters: &Counters) -> Result<()> {
        let waiting = Waiting { call, ack, since: Instant::now() };
        let Some(mut writer) = self.free_writer() else { return self.add(waiting) };
        serve(&mut writer, [waiting], counters);
        Ok(())
    }

    /// Leaves a call to the background thread.
    pub(crate) fn enqueue(&self, call: Call, ack: Ack) -> Result<()> {
        self.add(Waiting { call, ack, since: Instant::now() })
    }

    /// The writer, if nobody uses it or waits for it.
    fn free_writer(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        let writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let line = self.line();
        (line.calls.is_empty() && !line.closed).then_some(writer)
    }

    fn add(&self, waiting: Waiting) -> Result<()> {
        let mut line = self.line();
        if line.closed {
            return Err(Error::closed());
        }
        if line.calls.len() >= self.max_waiting {
            let context = format!("{} calls wait for the writer already; try again later", self.max_waiting);
            return Err(Error::new(ErrorKind::Busy, context));
        }
        line.calls.push_back(waiting);
        if line.attendant_sleeps {
            self.called.notify_one();
        }
        Ok(())
    }

    /// Serves the first call that waits, with those behind it that can share its transaction; gives how many.
    fn serve_waiting(&self, writer: &mut Option<Writer>, counters: &Counters) -> usize {
        let mut line = self.line();
        let shared = |waiting: &&Waiting| matches!(waiting.call, Call::Shared(_));
        let count = line.calls.iter().take(MAX_TOGETHER).take_while(shared).count();
        let first = line.calls.len().min(count.max(1));
        let calls: Vec<Waiting> = line.calls.drain(..first).collect();
        drop(line);
        serve(writer, calls, counters);
        first
    }

    /// Calls that wait at present.
    pub(crate) fn len(&self) -> usize {
        self.line().calls.len()
    }

    /// What the background thread does: serves calls that wait, and uses pauses.
    pub(crate) fn attend(&self, idle_after: Duration, anchor: &Anchor, counters: &Counters) {
        let mut at_rest = false;
        let writes = || counters.commits.load(Ordering::Relaxed);
        let mut seen = writes();
        loop {
            let mut line = self.line();
            if line.closed {
                return;
            }
            if line.calls.is_empty() {
                line = self.sleep(line, idle_after);
            }
            drop(line);
            anchor.release_after(idle_after);
            let mut writer = self.writer();
            let mut served = false;
            while self.serve_waiting(&mut writer, counters) > 0 {
                served = true;
            }
            let now = writes();
            if now != seen {
                seen = now;
                at_rest = false;
            } else if !served && !at_rest {
                at_rest = writer.as_mut().is_none_or(Writer::rest);
            }
        }
    }

    fn sleep<'q>(&self, mut line: MutexGuard<'q, Line>, limit: Duration) -> MutexGuard<'q, Line> {
        line.attendant_sleeps = true;
        let mut line = self.called.wait_timeout(line, limit).unwrap_or_else(PoisonError::into_inner).0;
        line.attendant_sleeps = false;
        line
    }

    /// Refuses further calls, serves those that wait, and gives the writer to be closed; `None` if that was done before.
    pub(crate) fn close(&self, counters: &Counters) -> Option<Writer> {
        self.line().closed = true;
        self.called.notify_all();
        let mut writer = self.writer();
        while self.serve_waiting(&mut writer, counters) > 0 {}
        writer.take()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.line().closed
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        // The code of callers cannot poison it: their panics are caught.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs calls and answers them: one alone, or several that share a transaction.
fn serve(writer: &mut Option<Writer>, calls: impl IntoIterator<Item = Waiting>, counters: &Counters) {
    let mut together = Vec::new();
    for Waiting { call, ack, since } in calls {
        match (call, writer.as_mut()) {
            (Call::Shared(call), _) => together.push(Shared { call, ack, since }),
            (Call::Alone(call), Some(writer)) => writer.run_alone(call, since, ack, counters),
            (Call::Alone(call), None) => call(Err(Error::closed())),
        }
    }
    if let Some(writer) = writer
        && !together.is_empty()
    {
        writer.run_shared(&mut together, counters);
    }
    for shared in together {
        shared.call.answer();
    }
}
