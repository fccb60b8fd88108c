//! The way of a write: requests are folded in memory, flushed as one batch, committed, and then acknowledged together.
//!
//! Telemetry is folded and flushed by one task. Pings, ticks and executions have a queue and a task each (a lane), whose
//! requests share commits. Each task paces itself: not before four times as long as the last flush took has passed, never later than
//! [`WriterOptions::max_delay`] after the oldest pending record. So an idle server answers in milliseconds, and a busy one
//! spends at most a fifth of its time on commits, whose batches grow by themselves; a queue that is half full does not rest.
//!
//! A commit that fails for now is sent again under the same [`tallybook_core::BatchId`] until it goes through. One that is
//! refused is split until the bad rows stand alone; these become dead letters and everything else is stored.
//!
//! A program that brings a feed of its own needs no server:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tallybook_core::{Tick, Timestamp};
//! use tallybook_store_memory::MemoryStore;
//! use tallybook_telemetry::{Fold, FoldOptions};
//! use tallybook_writer::{Writer, WriterOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let writer = Writer::start(store, Fold::new(FoldOptions::default()), WriterOptions::default());
//! let quote = Tick::new("EURUSD", Timestamp::now(), Some("1.08500".parse()?), Some("1.08512".parse()?));
//! writer.offer(Tick { source: "A".into(), ..quote })?;
//! assert_eq!(writer.recent("EURUSD", 1)[0].bid.map(|bid| bid.to_string()).as_deref(), Some("1.08500"));
//! assert!(writer.stop(Duration::from_secs(30)).await.drained);
//! # Ok(())
//! # }
//! ```

mod accepted;
mod beside;
mod commit;
mod companion;
mod feed;
mod jitter;
mod lane;
mod lane_task;
mod ledger;
mod numbers;
mod options;
mod refresh;
mod refusals;
mod refused;
mod restore;
mod retention;
mod retention_plan;
mod ring;
mod send;
mod series;
mod shared;
mod stats;
mod task;
mod writer;

pub use accepted::Accepted;
pub use companion::{Companion, CompanionStats, End};
pub use options::{AckLevel, QueueOptions, RetentionOptions, TickOptions, WhenFull, WriterOptions};
pub use refused::Refused;
pub use restore::restore;
pub use retention_plan::{OldRows, RetentionPlan};
pub use stats::{Accounting, Health, LastError, RefusedRequests, RingStats, State, Stats};
pub use tallybook_telemetry::Observed;
pub use writer::{Stopped, Writer};
