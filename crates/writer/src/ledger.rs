//! All numbers of a writer in one place. Every method leaves the accounting balanced, so a reader between any two of them
//! sees a true account.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{Error, Family, Timestamp};
use tallybook_telemetry::FoldStats;
use tokio::time::Instant;

use crate::{Accounting, Health, LastError, Refused, State, Stats};

/// A commit that has not answered for this long makes the writer unhealthy.
const COMMIT_OVERDUE: Duration = Duration::from_secs(10);
/// What a refused client is told to wait at least.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// What a refused client is told to wait at most.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stats: Stats,
    /// When the oldest pending row came; `None` where there are none.
    oldest_pending: Option<Instant>,
    retrying: Option<Retrying>,
    failing_since: Option<Timestamp>,
    commit_begun: Option<Instant>,
    last_flush: Duration,
}

/// A commit that is sent again and again.
#[derive(Debug)]
struct Retrying {
    error: Arc<str>,
    again_at: Instant,
}

/// What a request brought into the fold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folded {
    pub(crate) records: u64,
    pub(crate) rejected: u64,
    pub(crate) pending_rows: usize,
    pub(crate) pending_bytes: usize,
    pub(crate) fold: FoldStats,
}

/// What became of the records of a flush; those in neither number are still queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) merged: u64,
    pub(crate) rejected: u64,
}

impl Ledger {
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        // A family that has had no record yet is accounted for as well.
        stats.families.entry(Family::Telemetry).or_default();
        stats
    }

    pub(crate) fn health(&self) -> Health {
        if let (Some(since), Some(last)) = (self.failing_since, &self.stats.last_error) {
            return Health::Failing { since, error: last.error.clone() };
        }
        let running = self.commit_begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        if running < COMMIT_OVERDUE {
            return Health::Healthy;
        }
        let since = Timestamp::now().earlier(i64::try_from(running.as_nanos()).unwrap_or(i64::MAX));
        Health::Failing { since, error: format!("a commit has not answered for {} s", running.as_secs()).into() }
    }

    pub(crate) fn state(&self) -> State {
        self.stats.state
    }

    /// From now on no request is taken.
    pub(crate) fn stopping(&mut self) {
        if self.stats.state == State::Running {
            self.stats.state = State::Stopping;
        }
    }

    /// The writer's task has ended, by a defect or as it should.
    pub(crate) fn ended(&mut self, by_defect: bool) {
        self.stats.state = State::Stopped;
        if by_defect {
            self.stats.last_error = Some(LastError { at: Timestamp::now(), error: "the writer has died".into() });
            self.failing();
        }
    }

    /// Records of all families that were taken and not committed.
    pub(crate) fn queued(&self) -> u64 {
        self.stats.families.values().map(|family| family.queued).sum()
    }

    fn telemetry(&mut self) -> &mut Accounting {
        self.stats.families.entry(Family::Telemetry).or_default()
    }

    pub(crate) fn pending_rows(&self) -> usize {
        self.stats.pending_rows
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.stats.pending_bytes
    }

    pub(crate) fn oldest_pending(&self) -> Option<Instant> {
        self.oldest_pending
    }

    pub(crate) fn is_retrying(&self) -> bool {
        self.retrying.is_some()
    }

    /// Lets a request of `bytes` wait for room, unless those that wait already and this one pass `limit`.
    pub(crate) fn enter(&mut self, bytes: usize, limit: usize) -> bool {
        let waiting = &mut self.stats.waiting_bytes;
        let fits = *waiting == 0 || waiting.saturating_add(bytes) <= limit;
        if fits {
            *waiting = waiting.saturating_add(bytes);
        }
        fits
    }

    pub(crate) fn leave(&mut self, bytes: usize) {
        self.stats.waiting_bytes = self.stats.waiting_bytes.saturating_sub(bytes);
    }

    /// Takes a request; says whether its rows are the first to wait.
    pub(crate) fn folded(&mut self, folded: Folded) -> bool {
        let telemetry = self.telemetry();
        telemetry.offered += folded.records + folded.rejected;
        telemetry.queued += folded.records;
        telemetry.rejected += folded.rejected;
        self.stats.pending_rows = folded.pending_rows;
        self.stats.pending_bytes = folded.pending_bytes;
        self.stats.fold = folded.fold;
        let first = self.oldest_pending.is_none() && folded.pending_rows > 0;
        if first {
            self.oldest_pending = Some(Instant::now());
        }
        first
    }

    pub(crate) fn shed(&mut self, records: u64) {
        let telemetry = self.telemetry();
        telemetry.offered += records;
        telemetry.shed += records;
    }

    pub(crate) fn drained(&mut self, pending_bytes: usize) {
        self.stats.pending_rows = 0;
        self.stats.pending_bytes = pending_bytes;
        self.oldest_pending = None;
    }

    pub(crate) fn commit_begins(&mut self) {
        self.commit_begun = Some(Instant::now());
    }

    pub(crate) fn commit_ends(&mut self) {
        self.commit_begun = None;
    }

    /// A commit went through; gives the time since which none did, where there is one.
    pub(crate) fn committed(&mut self, rows: usize) -> Option<Timestamp> {
        self.stats.rows_committed += rows as u64;
        self.retrying = None;
        self.failing_since.take()
    }

    /// A commit will be sent again; says whether this is the first failure.
    pub(crate) fn will_retry(&mut self, error: &Error, again_at: Instant) -> bool {
        self.stats.retries += 1;
        let error = self.failed(error);
        self.retrying = Some(Retrying { error, again_at });
        self.failing()
    }

    /// The store refused rows for good.
    pub(crate) fn failed(&mut self, error: &Error) -> Arc<str> {
        let error: Arc<str> = error.to_string().into();
        self.stats.last_error = Some(LastError { at: Timestamp::now(), error: error.clone() });
        error
    }

    /// A store that keeps neither rows nor dead letters is not well.
    pub(crate) fn dead_letters(&mut self, kept: usize, lost: usize) {
        self.stats.dead_letters += kept as u64;
        self.stats.dead_letters_lost += lost as u64;
        if lost > 0 {
            self.failing();
        }
    }

    /// Says whether this is the first failure.
    fn failing(&mut self) -> bool {
        let first = self.failing_since.is_none();
        self.failing_since.get_or_insert_with(Timestamp::now);
        first
    }

    pub(crate) fn flushed(&mut self, settled: Settled, busy: Duration) {
        let telemetry = self.telemetry();
        telemetry.queued = telemetry.queued.saturating_sub(settled.merged + settled.rejected);
        telemetry.merged += settled.merged;
        telemetry.rejected += settled.rejected;
        self.retrying = None;
        self.last_flush = busy;
        self.stats.flushes += 1;
        self.stats.last_flush_us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.stats.longest_flush_us = self.stats.longest_flush_us.max(self.stats.last_flush_us);
    }

    pub(crate) fn pruned(&mut self, rows: u64) {
        self.stats.pruned_rows += rows;
    }

    pub(crate) fn refused(&mut self, refused: &Refused) {
        let counts = &mut self.stats.refused_requests;
        *match refused {
            Refused::Full { .. } => &mut counts.full,
            Refused::Unavailable { .. } => &mut counts.unavailable,
            Refused::Decode(_) => &mut counts.decode,
            Refused::Stopping => &mut counts.stopping,
            Refused::Unacknowledged { .. } => &mut counts.unacknowledged,
        } += 1;
    }

    /// What a request is told that found no room.
    pub(crate) fn no_room(&self) -> Refused {
        let bounded = |wait: Duration| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER);
        match &self.retrying {
            Some(Retrying { error, again_at }) => Refused::Unavailable {
                retry_after: bounded(again_at.saturating_duration_since(Instant::now())),
                error: error.clone(),
            },
            // One flush may be running, and the next one is then due.
            None => Refused::Full { retry_after: bounded(2 * self.last_flush) },
        }
    }
}
