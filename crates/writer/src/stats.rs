//! What a writer says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tallybook_core::{Family, Timestamp};
use tallybook_telemetry::FoldStats;

use crate::CompanionStats;

/// Where every record of one family is. At every moment a reader looks,
/// `offered = stored + merged + duplicate + rejected + shed + queued`.
///
/// A request that is refused as a whole offers nothing: the client was told to keep it. It counts in
/// [`RefusedRequests`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accounting {
    /// Records that were taken, or shed.
    pub offered: u64,
    /// Committed as rows of their own. Telemetry has none: all of it is merged.
    pub stored: u64,
    /// Committed into rows that were there: sums of many records, or a ping that the later one corrects.
    pub merged: u64,
    /// In the store before they were offered. Telemetry has none: nothing in it tells a repeat from a new record.
    pub duplicate: u64,
    /// Refused: by the fold, or by the store, where their rows are dead letters; or no records at all
    /// ([`crate::Writer::reject`]).
    pub rejected: u64,
    /// Dropped because the queue was full, as [`crate::WhenFull::Shed`] wants it.
    pub shed: u64,
    /// Taken and not committed yet.
    pub queued: u64,
}

/// Requests that were refused as a whole, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RefusedRequests {
    /// [`crate::Refused::Full`].
    pub full: u64,
    /// [`crate::Refused::Unavailable`].
    pub unavailable: u64,
    /// [`crate::Refused::Decode`].
    pub decode: u64,
    /// [`crate::Refused::Stopping`].
    pub stopping: u64,
    /// [`crate::Refused::Unacknowledged`].
    pub unacknowledged: u64,
}

/// What a writer is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes requests.
    #[default]
    Running,
    /// It refuses requests and commits what is pending.
    Stopping,
    /// It has ended.
    Stopped,
}

/// Whether what is taken reaches the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum Health {
    /// It does.
    Healthy,
    /// It does not, for now.
    Failing {
        /// The first failure of those that follow each other until now.
        since: Timestamp,
        /// What the store said last.
        error: Arc<str>,
    },
}

/// What the store said last when it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What.
    pub error: Arc<str>,
}

/// What is remembered of ticks in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingStats {
    /// Symbols that are remembered.
    pub symbols: usize,
    /// Ticks in all rings.
    pub ticks: usize,
    /// Ticks whose symbol is not remembered because [`crate::TickOptions::max_ring_symbols`] are.
    pub overflowed: u64,
}

/// What a writer has done, at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// What it is doing.
    pub state: State,
    /// Where every record is.
    pub families: BTreeMap<Family, Accounting>,
    /// Requests that were refused as a whole.
    pub refused_requests: RefusedRequests,
    /// Rows that wait for the next flush.
    pub pending_rows: usize,
    /// Their size, estimated.
    pub pending_bytes: usize,
    /// Bytes of requests that wait for room.
    pub waiting_bytes: usize,
    /// Flushes that ended.
    pub flushes: u64,
    /// Rows and moves that were committed.
    pub rows_committed: u64,
    /// How long the last flush worked, in microseconds; waits between retries are not counted.
    pub last_flush_us: u64,
    /// How long the longest flush worked, in microseconds.
    pub longest_flush_us: u64,
    /// Commits that were sent again.
    pub retries: u64,
    /// Rows the store refused and keeps as dead letters.
    pub dead_letters: u64,
    /// Rows the store refused and could not keep as dead letters either; see the log.
    pub dead_letters_lost: u64,
    /// Rows that were removed because of their age.
    pub pruned_rows: u64,
    /// Days of ticks that were removed because of their age.
    pub dropped_days: u64,
    /// The ticks in them.
    pub dropped_ticks: u64,
    /// Days of ticks that were sealed.
    pub sealed_days: u64,
    /// Ticks that were dropped because nothing in them had changed. They count as duplicates.
    pub filtered_ticks: u64,
    /// What is remembered of ticks in memory.
    pub rings: RingStats,
    /// What the store said last when it failed.
    pub last_error: Option<LastError>,
    /// What is kept beside the store, where anything is.
    pub companion: Option<CompanionStats>,
    /// What the fold knows.
    pub fold: FoldStats,
}
