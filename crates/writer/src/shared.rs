//! What callers and the flushing task share: the fold, the ledger, and how they wake each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallybook_core::{CatalogueDelta, Family, Template, Timestamp};
use tallybook_telemetry::otlp::Request;
use tallybook_telemetry::{Fold, Observed};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify, watch};
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::feed::Feed;
use crate::lane::Lane;
use crate::ledger::{Folded, Ledger};
use crate::{AckLevel, Companion, Refused, State, Stats, WhenFull, WriterOptions};

/// More rows than this are drained and dropped beside the runtime.
pub(crate) const INLINE_MAX_ROWS: usize = 5_000;

/// What became of the records that were taken between two flushes.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// All of them are in the store.
    Committed,
    /// The store refused rows.
    Refused {
        /// Whether no record was left.
        all: bool,
        /// What the request is told.
        message: Arc<str>,
    },
    /// The writer stopped first.
    Abandoned {
        /// What kept it.
        error: Arc<str>,
    },
}

/// What waits for the next flush. The lock is asynchronous and fair: whoever waits for it holds up no thread.
pub(crate) struct Pending {
    pub(crate) fold: Fold,
    /// Answers those whose records are in here.
    fate: watch::Sender<Option<Fate>>,
}

/// What a flush takes.
pub(crate) struct Drained {
    pub(crate) catalogue: CatalogueDelta,
    /// The records that are counted in it.
    pub(crate) records: u64,
    /// How long the draining took.
    pub(crate) took: Duration,
    pub(crate) fate: watch::Sender<Option<Fate>>,
}

/// What a request brought.
pub(crate) struct Taken {
    pub(crate) observed: Observed,
    /// Records that a flush has to bring to the store.
    pub(crate) records: u64,
    /// What the answer waits for, where it does.
    pub(crate) fate: Option<watch::Receiver<Option<Fate>>>,
}

pub(crate) struct Shared {
    pub(crate) options: WriterOptions,
    pending: AsyncMutex<Pending>,
    ledger: Mutex<Ledger>,
    /// Room was made, or nothing will ever be taken again.
    pub(crate) freed: Notify,
    /// A flush may be due earlier than the task believes.
    pub(crate) wake: Notify,
    pub(crate) pings: Arc<Lane>,
    pub(crate) ticks: Arc<Lane>,
    pub(crate) executions: Arc<Lane>,
    pub(crate) feed: Feed,
    /// What is told of every commit.
    pub(crate) companion: Option<Arc<dyn Companion>>,
    /// Counts commits, for those who follow the store.
    pub(crate) commits: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(fold: Fold, options: &WriterOptions, companion: Option<Arc<dyn Companion>>) -> Self {
        Self {
            pings: Arc::new(Lane::new(Family::Ping, options.pings)),
            ticks: Arc::new(Lane::new(Family::Tick, options.ticks.queue)),
            executions: Arc::new(Lane::new(Family::Execution, options.executions)),
            feed: Feed::new(&options.ticks),
            companion,
            commits: watch::Sender::new(0),
            options: *options,
            pending: AsyncMutex::new(Pending { fold, fate: watch::Sender::new(None) }),
            ledger: Mutex::default(),
            freed: Notify::new(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> Stats {
        let ledger = self.ledger();
        let mut stats = ledger.stats();
        self.feed.add_to(&mut stats);
        stats.companion = self.companion.as_deref().map(Companion::stats);
        stats
    }

    /// Records of all families that were taken and not committed.
    pub(crate) fn queued(&self) -> u64 {
        self.ledger().queued() + self.feed.queued()
    }

    /// From now on nothing is taken, and nobody waits for room.
    pub(crate) fn close(&self) {
        self.ledger().stopping();
        self.feed.close();
        self.freed.notify_waiters();
        for lane in self.lanes() {
            lane.freed.notify_waiters();
        }
    }

    /// Whether no request may enter. Where the answer waits for the commit and the store fails, nothing is taken that the
    /// client might send again before it is answered: it would count twice.
    fn is_full(&self, ledger: &Ledger) -> bool {
        let queue = &self.options.telemetry;
        let held_back = ledger.is_retrying(Family::Telemetry)
            && queue.ack != AckLevel::Queued
            && matches!(queue.when_full, WhenFull::Block { .. });
        held_back
            || ledger.pending_rows() >= queue.max_pending_rows
            || ledger.pending_bytes() >= queue.max_pending_bytes
    }

    /// Whether a flush should not wait for its pace.
    pub(crate) fn is_early(&self, ledger: &Ledger) -> bool {
        // Flushing at half the limits leaves room for what arrives meanwhile.
        ledger.pending_rows() >= self.options.flush_rows.min(self.options.telemetry.max_pending_rows / 2)
            || ledger.pending_bytes() >= self.options.telemetry.max_pending_bytes / 2
    }

    /// The lock on what is pending, if there is room.
    ///
    /// # Errors
    /// `Stopping`.
    pub(crate) async fn try_room(&self) -> Result<Option<AsyncMutexGuard<'_, Pending>>, Refused> {
        let pending = self.pending.lock().await;
        let ledger = self.ledger();
        if ledger.state() != State::Running {
            return Err(Refused::Stopping);
        }
        let full = self.is_full(&ledger);
        drop(ledger);
        Ok((!full).then_some(pending))
    }

    /// The lock on what is pending, as soon as there is room.
    ///
    /// # Errors
    /// `Stopping`.
    pub(crate) async fn room(&self) -> Result<AsyncMutexGuard<'_, Pending>, Refused> {
        loop {
            let freed = self.freed.notified();
            if let Some(pending) = self.try_room().await? {
                return Ok(pending);
            }
            freed.await;
        }
    }

    /// Folds a request and counts it.
    pub(crate) fn fold(&self, pending: &mut Pending, request: &Request<'_>, received: Timestamp) -> Taken {
        let before = pending.fold.pending_records();
        let observed = pending.fold.observe_valid(request, received);
        let records = pending.fold.pending_records().saturating_sub(before);
        self.count(pending, records, observed.rejected);
        let waits = records > 0 && self.options.telemetry.ack != AckLevel::Queued;
        Taken { observed, records, fate: waits.then(|| pending.fate.subscribe()) }
    }

    /// Tells the fold which templates the store holds.
    pub(crate) async fn learn(&self, templates: &[Template]) {
        let mut pending = self.pending.lock().await;
        pending.fold.meet(templates);
        self.count(&pending, 0, 0);
    }

    /// Counts what came into the fold, and wakes the task if a flush is due for it.
    fn count(&self, pending: &Pending, records: u64, rejected: u64) {
        let mut ledger = self.ledger();
        let first = ledger.folded(Folded {
            records,
            rejected,
            pending_rows: pending.fold.pending_rows(),
            pending_bytes: pending.fold.pending_bytes(),
            fold: pending.fold.stats(),
        });
        if first || self.is_early(&ledger) {
            self.wake.notify_one();
        }
    }

    /// Empties what is pending, and lets the next requests in.
    pub(crate) async fn drain_fold(&self) -> Drained {
        let mut pending = self.pending.lock().await;
        let drained = beside_the_runtime(pending.fold.pending_rows() > INLINE_MAX_ROWS, || {
            let begun = Instant::now();
            let records = pending.fold.pending_records();
            let catalogue = pending.fold.drain();
            let fate = std::mem::replace(&mut pending.fate, watch::Sender::new(None));
            Drained { catalogue, records, took: begun.elapsed(), fate }
        });
        self.ledger().drained(pending.fold.pending_bytes());
        drop(pending);
        self.freed.notify_waiters();
        drained
    }
}

/// `by` later than `at`, or so late that it makes no difference.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    at + by.min(A_CENTURY)
}

/// Does `work`, and where it is `long` lets other tasks have the thread's place in the runtime meanwhile.
pub(crate) fn beside_the_runtime<R>(long: bool, work: impl FnOnce() -> R) -> R {
    if long && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread { block_in_place(work) } else { work() }
}
