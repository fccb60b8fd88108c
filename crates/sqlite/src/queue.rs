//! The queue in front of the writer.
//!
//! Whoever finds the writer free writes with it, on its own thread: a lone caller pays for no change of threads. Calls that
//! come meanwhile wait in the queue; the first of them leads next, runs all that wait in one transaction, and its commit
//! answers them all. So an fsync serves everybody who came while the one before ran.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tallybook_core::Ack;

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

/// A call among those that share a transaction.
pub(crate) struct Shared {
    pub(crate) call: Box<dyn SharedCall>,
    pub(crate) ack: Ack,
    pub(crate) since: Instant,
}

pub(crate) enum Call {
    Shared(Box<dyn SharedCall>),
    Alone(Alone),
}

struct Waiting {
    call: Call,
    ack: Ack,
    since: Instant,
    /// Who waits for it; `None` where nobody does.
    turn: Option<Arc<Turn>>,
}

/// Where one caller waits.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    /// The writer is free, and this one the next to use it.
    Leads,
    Answered,
}

impl Turn {
    fn set(&self, state: State) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != State::Answered {
            *now = state;
        }
        drop(now);
        self.changed.notify_one();
    }

    /// Waits until there is something to do; gives whether that is to lead.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *state {
                State::Waiting => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                State::Leads => {
                    *state = State::Waiting;
                    return true;
                }
                State::Answered => return false,
            }
        }
    }

    fn is_answered(&self) -> bool {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) == State::Answered
    }
}

/// Where an answer is put, and found when the turn says so.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    value: Mutex<Option<Result<T>>>,
    turn: Option<Arc<Turn>>,
}

impl<T> Answer<T> {
    /// With `waits`, somebody waits for it.
    pub(crate) fn new(waits: bool) -> Arc<Self> {
        Arc::new(Self { value: Mutex::new(None), turn: waits.then(Arc::default) })
    }

    pub(crate) fn give(&self, value: Result<T>) {
        if self.turn.is_none()
            && let Err(error) = &value
        {
            tracing::error!(%error, "a write that was only queued failed");
        }
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        if let Some(turn) = &self.turn {
            turn.set(State::Answered);
        }
    }

    pub(crate) fn turn(&self) -> Option<Arc<Turn>> {
        self.turn.clone()
    }

    pub(crate) fn take(&self) -> Result<T> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "the call ended without an answer")))
    }
}

/// The writer and those who wait for it.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Line>,
    /// Wakes the background thread.
    unattended: Condvar,
    /// `None` once it is closed.
    writer: Mutex<Option<Writer>>,
    max_waiting: usize,
}

#[derive(Default)]
struct Line {
    calls: VecDeque<Waiting>,
    closed: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("calls", &self.calls.len()).field("closed", &self.closed).finish()
    }
}

impl Queue {
    pub(crate) fn new(writer: Writer, max_waiting: usize) -> Self {
        let writer = Mutex::new(Some(writer));
        Self { waiting: Mutex::default(), unattended: Condvar::new(), writer, max_waiting }
    }

    /// Runs a call, here or by whoever has the writer, and returns when it is answered; at once where nobody waits for it.
    pub(crate) fn run(&self, call: Call, ack: Ack, turn: Option<Arc<Turn>>, counters: &Counters) -> Result<()> {
        let attended = turn.is_some();
        let since = Instant::now();
        {
            let mut line = self.line();
            if line.closed {
                return Err(Error::closed());
            }
            if line.calls.len() >= self.max_waiting {
                let context = format!("{} calls wait for the writer already; try again later", self.max_waiting);
                return Err(Error::new(ErrorKind::Busy, context));
            }
            line.calls.push_back(Waiting { call, ack, since, turn: turn.clone() });
        }
        let Some(turn) = turn else {
            self.unattended.notify_one();
            return Ok(());
        };
        debug_assert!(attended);
        let free = match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(writer) = free {
            self.lead(writer, &turn, counters);
        }
        while turn.wait() {
            self.lead(self.writer(), &turn, counters);
        }
        Ok(())
    }

    /// Serves those who wait until `turn` is answered, then lets the next one lead.
    fn lead(&self, mut writer: MutexGuard<'_, Option<Writer>>, turn: &Turn, counters: &Counters) {
        while !turn.is_answered() && self.serve(&mut writer, counters) {}
        drop(writer);
        self.hand_over();
    }

    /// Serves the first call in the queue, with those behind it that can share its transaction. Says whether there was one.
    fn serve(&self, writer: &mut Option<Writer>, counters: &Counters) -> bool {
        let mut together = Vec::new();
        let mut line = self.line();
        while together.len() < MAX_TOGETHER {
            match line.calls.pop_front() {
                Some(Waiting { call: Call::Shared(call), ack, since, turn: _ }) => {
                    together.push(Shared { call, ack, since });
                }
                Some(Waiting { call: Call::Alone(call), ack, since, .. }) if together.is_empty() => {
                    drop(line);
                    match writer {
                        Some(writer) => writer.run_alone(call, since, ack, counters),
                        None => call(Err(Error::closed())),
                    }
                    return true;
                }
                Some(alone) => {
                    line.calls.push_front(alone);
                    break;
                }
                None => break,
            }
        }
        drop(line);
        if together.is_empty() {
            return false;
        }
        if let Some(writer) = writer {
            writer.run_shared(&mut together, counters);
        }
        for shared in together {
            shared.call.answer();
        }
        true
    }

    /// Wakes the first one who waits, or the background thread where nobody does.
    fn hand_over(&self) {
        let line = self.line();
        if line.calls.is_empty() {
            return;
        }
        match line.calls.iter().find_map(|waiting| waiting.turn.clone()) {
            Some(next) => next.set(State::Leads),
            None => self.unattended.notify_one(),
        }
    }

    /// Calls that wait at present.
    pub(crate) fn len(&self) -> usize {
        self.line().calls.len()
    }

    /// What the background thread does: serves calls for which nobody waits, and uses pauses.
    pub(crate) fn attend(&self, idle_after: Duration, writes: impl Fn() -> u64, counters: &Counters) {
        let mut at_rest = false;
        let mut seen = writes();
        loop {
            {
                let line = self.line();
                if line.closed {
                    return;
                }
                if line.calls.iter().all(|waiting| waiting.turn.is_some()) {
                    drop(self.unattended.wait_timeout(line, idle_after).unwrap_or_else(PoisonError::into_inner));
                }
            }
            let mut writer = self.writer();
            let mut served = false;
            while self.serve(&mut writer, counters) {
                served = true;
            }
            let now = writes();
            if now != seen {
                seen = now;
                at_rest = false;
            } else if !served && !at_rest {
                at_rest = writer.as_mut().is_none_or(Writer::rest);
            }
            drop(writer);
            self.hand_over();
        }
    }

    /// Refuses further calls, serves those that wait, and gives the writer to be closed; `None` if that was done before.
    pub(crate) fn close(&self, counters: &Counters) -> Option<Writer> {
        self.line().closed = true;
        self.unattended.notify_all();
        let mut writer = self.writer();
        while self.serve(&mut writer, counters) {}
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
