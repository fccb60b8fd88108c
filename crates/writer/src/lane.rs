//! The queue of one family whose records are stored one by one: requests that wait for a commit, and the room they take.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tallybook_core::{Counts, Family, Records, Tick};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::feed::Emptied;
use crate::refusals::{RefusedPart, take_defects};
use crate::shared::Shared;
use crate::{AckLevel, QueueOptions, Refused, State, WhenFull};

/// What a tick that is offered by itself takes of a queue; its names are shared.
pub(crate) const OFFERED_TICK_BYTES: usize = size_of::<Tick>();

/// Records that were taken together.
pub(crate) struct Request {
    pub(crate) records: Records,
    /// Those of its pings or ticks that no store takes, one each.
    pub(crate) refused: Vec<RefusedPart>,
    pub(crate) bytes: usize,
    /// Who waits for the commit, where anybody does.
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Settled { counts: Counts, rejected: u64, shared_repeats: u64 },
    Abandoned { error: Arc<str> },
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) family: Family,
    pub(crate) options: QueueOptions,
    requests: Mutex<VecDeque<Request>>,
    used_records: AtomicUsize,
    used_bytes: AtomicUsize,
    /// Room was made, or nothing will ever be taken again.
    pub(crate) freed: Notify,
    /// A commit may be due earlier than the task believes.
    pub(crate) wake: Notify,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("rows", &self.len()).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Request {
    /// Takes out what no store takes: here, where many requests are made ready at a time, and not where one task commits all.
    pub(crate) fn new(mut records: Records, bytes: usize, answer: Option<oneshot::Sender<Answer>>) -> Self {
        let refused = take_defects(&mut records);
        Self { records, refused, bytes, answer }
    }

    /// Pings, ticks and rows of executions that a store takes.
    pub(crate) fn good(&self) -> usize {
        self.records.pings.len() + self.records.ticks.len() + self.records.executions.len()
    }

    /// Pings, ticks and rows of executions.
    pub(crate) fn len(&self) -> usize {
        self.good() + self.refused.len()
    }

    /// Whoever waits and has gone away is not missed.
    pub(crate) fn answer(self, answer: Answer) {
        if let Some(waiting) = self.answer {
            let _ = waiting.send(answer);
        }
    }
}

impl Lane {
    pub(crate) fn new(family: Family, options: QueueOptions) -> Self {
        Self {
            family,
            options,
            requests: Mutex::default(),
            used_records: AtomicUsize::new(0),
            used_bytes: AtomicUsize::new(0),
            freed: Notify::new(),
            wake: Notify::new(),
        }
    }

    /// Takes room, unless all of it is taken; the last to enter may take more than there is.
    pub(crate) fn enter(&self, records: usize, bytes: usize) -> bool {
        let records_before = self.used_records.fetch_add(records, Ordering::AcqRel);
        let bytes_before = self.used_bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = records_before < self.options.max_pending_rows && bytes_before < self.options.max_pending_bytes;
        if !fits {
            self.give_back(records, bytes);
            return false;
        }
        let early = |used_records, used_bytes| self.is_early_at(used_records, used_bytes);
        if !early(records_before, bytes_before) && early(records_before + records, bytes_before + bytes) {
            self.wake.notify_one();
        }
        true
    }

    fn give_back(&self, records: usize, bytes: usize) {
        self.used_records.fetch_sub(records, Ordering::AcqRel);
        self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Makes room and lets those in who wait for it.
    pub(crate) fn leave(&self, records: usize, bytes: usize) {
        self.give_back(records, bytes);
        self.freed.notify_waiters();
    }

    /// Whether a commit should not wait for its pace.
    pub(crate) fn is_early(&self) -> bool {
        self.is_early_at(self.used_records.load(Ordering::Acquire), self.used_bytes.load(Ordering::Acquire))
    }

    /// Committing at half the room leaves some for what arrives meanwhile.
    fn is_early_at(&self, used_records: usize, used_bytes: usize) -> bool {
        used_records >= self.options.max_commit_records.min(self.options.max_pending_rows / 2)
            || used_bytes >= self.options.max_pending_bytes / 2
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(crate) fn lanes(&self) -> [&Arc<Lane>; 3] {
        [&self.pings, &self.ticks, &self.executions]
    }

    /// Room for a request, as the family's policy gives it; `false` where it is to be shed.
    ///
    /// # Errors
    /// `Full`, `Unavailable`, `Stopping`.
    pub(crate) async fn room_in(&self, lane: &Lane, records: usize, bytes: usize) -> Result<bool, Refused> {
        let limit = match lane.options.when_full {
            WhenFull::Shed => return self.try_room_in(lane, records, bytes),
            WhenFull::Block { limit } => limit,
        };
        let room = async {
            loop {
                let freed = lane.freed.notified();
                if self.try_room_in(lane, records, bytes)? {
                    return Ok(true);
                }
                freed.await;
            }
        };
        timeout(limit, room).await.unwrap_or_else(|_| Err(self.ledger().no_room(lane.family)))
    }

    /// Where the answer waits for the commit and the store fails, nothing is taken that the client might send again before it
    /// is answered: ticks that are numbered here would be stored twice.
    fn try_room_in(&self, lane: &Lane, records: usize, bytes: usize) -> Result<bool, Refused> {
        let ledger = self.ledger();
        if ledger.state() != State::Running {
            return Err(Refused::Stopping);
        }
        let blocks = matches!(lane.options.when_full, WhenFull::Block { .. });
        let held_back = ledger.is_retrying(lane.family) && lane.options.ack != AckLevel::Queued && blocks;
        drop(ledger);
        Ok(!held_back && lane.enter(records, bytes))
    }

    /// Queues a request that has room, and counts it and the ticks that were `filtered` out of it.
    ///
    /// # Errors
    /// `Stopping`.
    pub(crate) fn push(&self, lane: &Lane, request: Request, filtered: u64) -> Result<(), Refused> {
        let mut ledger = self.ledger();
        if ledger.state() != State::Running {
            return Err(Refused::Stopping);
        }
        ledger.filtered(filtered);
        if request.len() > 0 {
            ledger.queued_up(lane.family, request.len() as u64);
            lane.requests().push_back(request);
            lane.wake.notify_one();
        }
        Ok(())
    }

    /// Whether anything waits for a commit.
    pub(crate) fn waits(&self, lane: &Lane) -> bool {
        !lane.requests().is_empty() || (lane.family == Family::Tick && self.feed.queued() > 0)
    }

    /// Empties a lane. Ticks that were offered one by one come first, as one request.
    pub(crate) fn drain(&self, lane: &Lane, emptied: &mut Emptied) -> VecDeque<Request> {
        let mut ledger = self.ledger();
        let mut requests = std::mem::take(&mut *lane.requests());
        if lane.family == Family::Tick {
            // Under the lock of the ledger, so that no tick is out of sight while it goes from one account to the other.
            let offered = self.feed.swap(emptied);
            ledger.queued_up(Family::Tick, offered as u64);
            drop(ledger);
            if offered > 0 {
                let records = Records { ticks: emptied.take(offered), ..Records::default() };
                requests.push_front(Request::new(records, offered * OFFERED_TICK_BYTES, None));
            }
        }
        requests
    }
}
