//! The task that flushes: when it does, and what those are told whose records are in it.

use std::sync::Arc;

use tallybook_core::{Counts, Family, Records, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::commit::{Committer, Outcome};
use crate::ledger::Settled;
use crate::send::Sender;
use crate::shared::{Drained, Fate, Shared, later};

/// A flush that took `t` is followed by a pause of four times `t`, so that commits take at most a fifth of the time.
pub(crate) const PAUSE_PER_FLUSH: u32 = 4;

pub(crate) struct Task {
    shared: Arc<Shared>,
    committer: Committer,
    stop: watch::Receiver<Option<Instant>>,
    /// When the pause after the last flush is over.
    rested_at: Instant,
}

enum Due {
    Flush,
    LastFlush,
}

impl Task {
    pub(crate) fn new(store: Arc<dyn Store>, shared: Arc<Shared>, stop: watch::Receiver<Option<Instant>>) -> Self {
        let committer = Committer::new(Sender::new(store, shared.clone(), stop.clone(), Family::Telemetry));
        Self { shared, committer, stop, rested_at: Instant::now() }
    }

    /// Runs until a stop; says what kept it where it had to give up.
    pub(crate) async fn run(mut self) -> Option<Arc<str>> {
        let mut error = None;
        while error.is_none() {
            let due = self.wait().await;
            let drained = self.shared.drain_fold().await;
            error = self.flush(drained).await;
            if matches!(due, Due::LastFlush) {
                break;
            }
        }
        if let Some(error) = &error {
            // Nobody enters any more; those who did since the last flush are told.
            self.shared.drain_fold().await.fate.send_replace(Some(Fate::Abandoned { error: error.clone() }));
        }
        error
    }

    async fn wait(&mut self) -> Due {
        loop {
            let due_at = self.due_at();
            let due = async {
                match due_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = self.stop.wait_for(Option::is_some) => return Due::LastFlush,
                () = due => return Due::Flush,
                () = self.shared.wake.notified() => {}
            }
        }
    }

    /// When the next flush is due; `None` while nothing waits for it.
    fn due_at(&self) -> Option<Instant> {
        let ledger = self.shared.ledger();
        let oldest = ledger.oldest_pending()?;
        if self.shared.is_early(&ledger) {
            return Some(oldest);
        }
        Some(self.rested_at.min(later(oldest, self.shared.options.max_delay)))
    }

    /// Commits what was drained and answers everybody whose records are in it; says what kept it where the writer had to
    /// give up.
    async fn flush(&mut self, drained: Drained) -> Option<Arc<str>> {
        let Drained { catalogue, records, took, fate } = drained;
        if catalogue.is_empty() && records == 0 {
            return None;
        }
        let begun = Instant::now();
        let outcome = self.committer.commit(Records { catalogue, ..Records::default() }).await;
        let Outcome { refused_rows, refused_records, refusal, abandoned_records, abandoned, waited, counts: _ } =
            outcome;
        let busy = took + begun.elapsed().saturating_sub(waited);
        let rejected = refused_records.min(records);
        let left = abandoned_records.min(records - rejected);
        let counts = Counts { merged: records - rejected - left, ..Counts::default() };
        {
            let mut ledger = self.shared.ledger();
            ledger.settle(Family::Telemetry, Settled { counts, rejected });
            ledger.flushed(Family::Telemetry, busy);
        }
        self.rested_at = later(Instant::now(), busy.saturating_mul(PAUSE_PER_FLUSH));
        fate.send_replace(Some(match (&abandoned, refusal) {
            (Some(error), _) => Fate::Abandoned { error: error.clone() },
            (None, Some(error)) => Fate::Refused {
                all: rejected == records,
                message: format!("the store refused {refused_rows} rows of this flush ({error})").into(),
            },
            (None, None) => Fate::Committed,
        }));
        self.shared.freed.notify_waiters();
        abandoned
    }
}
