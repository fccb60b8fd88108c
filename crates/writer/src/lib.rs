//! The way of a write: requests are folded in memory, flushed as one batch, committed, and then acknowledged together.
//!
//! One task per store flushes. It paces itself: not before four times as long as the last flush took has passed, never
//! later than [`WriterOptions::max_delay`] after the oldest pending record. So an idle server answers in milliseconds, and
//! a busy one spends at most a fifth of its time on commits, whose batches grow by themselves.
//!
//! A commit that fails for now is sent again under the same [`tallybook_core::BatchId`] until it goes through. One that is
//! refused is split until the bad rows stand alone; these become dead letters and everything else is stored.

mod commit;
mod ledger;
mod options;
mod refresh;
mod refused;
mod restore;
mod retention;
mod shared;
mod stats;
mod task;
mod writer;

pub use options::{AckLevel, QueueOptions, RetentionOptions, WhenFull, WriterOptions};
pub use refused::Refused;
pub use restore::restore;
pub use stats::{Accounting, Health, LastError, RefusedRequests, State, Stats};
pub use tallybook_telemetry::Observed;
pub use writer::{Stopped, Writer};
