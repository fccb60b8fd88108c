//! All numbers of a writer in one place. Every method leaves the accounting balanced, so a reader between any two of them
//! sees a true account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{Counts, Error, Family, Timestamp};
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
    lines: BTreeMap<Family, Line>,
    /// When the commits began that have not answered, by the number each was given.
    running: BTreeMap<u64, Instant>,
    commits: u64,
}

/// How the commits of one family go.
#[derive(Debug, Default)]
struct Line {
    retrying: Option<Retrying>,
    failing_since: Option<Timestamp>,
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
    pub(crate) counts: Counts,
    pub(crate) rejected: u64,
}

impl Settled {
    pub(crate) fn add(&mut self, more: Self) {
        self.counts.stored += more.counts.stored;
        self.counts.merged += more.counts.merged;
        self.counts.duplicate += more.counts.duplicate;
        self.rejected += more.rejected;
    }

    pub(crate) fn records(&self) -> u64 {
        self.counts.stored + self.counts.merged + self.counts.duplicate + self.rejected
    }
}

impl Ledger {
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        // A family that has had no record yet is accounted for as well.
        for family in [Family::Telemetry, Family::Ping, Family::Tick, Family::Execution] {
            stats.families.entry(family).or_default();
        }
        stats
    }

    pub(crate) fn health(&self) -> Health {
        let failing_since = self.lines.values().filter_map(|line| line.failing_since).min();
        if let (Some(since), Some(last)) = (failing_since, &self.stats.last_error) {
            return Health::Failing { since, error: last.error.clone() };
        }
        let running = self.running.values().map(Instant::elapsed).max().unwrap_or_default();
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

    /// All tasks have ended.
    pub(crate) fn ended(&mut self) {
        self.stats.state = State::Stopped;
    }

    /// A task has ended by a defect.
    pub(crate) fn died(&mut self) {
        self.stats.last_error = Some(LastError { at: Timestamp::now(), error: "the writer has died".into() });
        self.failing(Family::Telemetry);
    }

    /// Records of all families that were taken and not committed.
    pub(crate) fn queued(&self) -> u64 {
        self.stats.families.values().map(|family| family.queued).sum()
    }

    fn family(&mut self, family: Family) -> &mut Accounting {
        self.stats.families.entry(family).or_default()
    }

    fn line(&mut self, family: Family) -> &mut Line {
        self.lines.entry(family).or_default()
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

    pub(crate) fn is_retrying(&self, family: Family) -> bool {
        self.lines.get(&family).is_some_and(|line| line.retrying.is_some())
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
        let telemetry = self.family(Family::Telemetry);
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

    /// Takes records that are counted one by one.
    pub(crate) fn queued_up(&mut self, family: Family, records: u64) {
        let accounting = self.family(family);
        accounting.offered += records;
        accounting.queued += records;
    }

    /// Counts ticks that were left out because nothing in them had changed.
    pub(crate) fn filtered(&mut self, ticks: u64) {
        let accounting = self.family(Family::Tick);
        accounting.offered += ticks;
        accounting.duplicate += ticks;
        self.stats.filtered_ticks += ticks;
    }

    pub(crate) fn shed(&mut self, family: Family, records: u64) {
        let accounting = self.family(family);
        accounting.offered += records;
        accounting.shed += records;
    }

    pub(crate) fn drained(&mut self, pending_bytes: usize) {
        self.stats.pending_rows = 0;
        self.stats.pending_bytes = pending_bytes;
        self.oldest_pending = None;
    }

    /// A commit is sent; gives the number under which it ends.
    pub(crate) fn commit_begins(&mut self) -> u64 {
        self.commits += 1;
        self.running.insert(self.commits, Instant::now());
        self.commits
    }

    pub(crate) fn commit_ends(&mut self, number: u64) {
        self.running.remove(&number);
    }

    /// A commit went through; gives the time since which none of the family did, where there is one.
    pub(crate) fn committed(&mut self, family: Family, rows: usize) -> Option<Timestamp> {
        self.stats.rows_committed += rows as u64;
        let line = self.line(family);
        line.retrying = None;
        line.failing_since.take()
    }

    /// A commit will be sent again; says whether this is the first failure.
    pub(crate) fn will_retry(&mut self, family: Family, error: &Error, again_at: Instant) -> bool {
        self.stats.retries += 1;
        let error = self.failed(error);
        self.line(family).retrying = Some(Retrying { error, again_at });
        self.failing(family)
    }

    /// A commit beside the queue will not be sent again, except by the caller.
    pub(crate) fn gave_up(&mut self, family: Family) {
        let line = self.line(family);
        line.retrying = None;
        line.failing_since = None;
    }

    /// The store refused rows for good.
    pub(crate) fn failed(&mut self, error: &Error) -> Arc<str> {
        let error: Arc<str> = error.to_string().into();
        self.stats.last_error = Some(LastError { at: Timestamp::now(), error: error.clone() });
        error
    }

    /// A store that keeps neither rows nor dead letters is not well.
    pub(crate) fn dead_letters(&mut self, family: Family, kept: usize, lost: usize) {
        self.stats.dead_letters += kept as u64;
        self.stats.dead_letters_lost += lost as u64;
        if lost > 0 {
            self.failing(family);
        }
    }

    /// Says whether this is the first failure.
    fn failing(&mut self, family: Family) -> bool {
        let line = self.line(family);
        let first = line.failing_since.is_none();
        line.failing_since.get_or_insert_with(Timestamp::now);
        first
    }

    /// Queued records found their place.
    pub(crate) fn settle(&mut self, family: Family, settled: Settled) {
        let Settled { counts: Counts { stored, merged, duplicate }, rejected } = settled;
        let accounting = self.family(family);
        accounting.queued = accounting.queued.saturating_sub(settled.records());
        accounting.stored += stored;
        accounting.merged += merged;
        accounting.duplicate += duplicate;
        accounting.rejected += rejected;
    }

    /// Records that were never queued found their place.
    pub(crate) fn settle_beside(&mut self, family: Family, settled: Settled) {
        self.queued_up(family, settled.records());
        self.settle(family, settled);
    }

    pub(crate) fn flushed(&mut self, family: Family, busy: Duration) {
        let line = self.line(family);
        line.retrying = None;
        line.last_flush = busy;
        self.stats.flushes += 1;
        self.stats.last_flush_us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.stats.longest_flush_us = self.stats.longest_flush_us.max(self.stats.last_flush_us);
    }

    pub(crate) fn pruned(&mut self, rows: u64) {
        self.stats.pruned_rows += rows;
    }

    pub(crate) fn dropped_day(&mut self, ticks: u64) {
        self.stats.dropped_days += 1;
        self.stats.dropped_ticks += ticks;
    }

    pub(crate) fn sealed_day(&mut self) {
        self.stats.sealed_days += 1;
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
    pub(crate) fn no_room(&self, family: Family) -> Refused {
        let bounded = |wait: Duration| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER);
        let line = self.lines.get(&family);
        match line.and_then(|line| line.retrying.as_ref()) {
            Some(Retrying { error, again_at }) => Refused::Unavailable {
                retry_after: bounded(again_at.saturating_duration_since(Instant::now())),
                error: error.clone(),
            },
            // One flush may be running, and the next one is then due.
            None => Refused::Full { retry_after: bounded(line.map_or(Duration::ZERO, |line| 2 * line.last_flush)) },
        }
    }
}
