//! Removes what is older than it should be, and seals old days of ticks: in small steps beside the writing.

use std::sync::Arc;

use tallybook_core::{ErrorKind, Segment, Store, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::shared::Shared;
use crate::{RetentionOptions, RetentionPlan};

/// Runs until a stop is asked for.
pub(crate) async fn run(store: Arc<dyn Store>, shared: Arc<Shared>, mut stop: watch::Receiver<Option<Instant>>) {
    tokio::select! {
        _ = stop.wait_for(Option::is_some) => {}
        () = Rounds { store: store.as_ref(), shared: &shared, seals: true }.run() => {}
    }
}

struct Rounds<'a> {
    store: &'a dyn Store,
    shared: &'a Shared,
    /// Whether the store seals days, as far as is known.
    seals: bool,
}

impl Rounds<'_> {
    async fn run(mut self) {
        let RetentionOptions { first_after, every, .. } = self.shared.options.retention;
        sleep(first_after).await;
        loop {
            self.round().await;
            sleep(every).await;
        }
    }

    async fn round(&mut self) {
        let segments = self.store.segments().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the days of ticks could not be listed; the next round tries again");
            Vec::new()
        });
        let plan = RetentionPlan::new(&self.shared.options.retention, &segments, Timestamp::now());
        for rows in plan.rows {
            let removed = |removed| self.shared.ledger().pruned(removed);
            if let Err(error) = rows.remove(self.store, &self.shared.options.retention, removed).await {
                let table = rows.table.name;
                tracing::warn!(table, %error, "old rows could not be removed; the next round tries again");
            }
        }
        for segment in plan.drop {
            self.drop_day(&segment).await;
        }
        for segment in plan.seal {
            if self.seals {
                self.seal(&segment).await;
            }
        }
    }

    async fn drop_day(&self, segment: &Segment) {
        let day = segment.day;
        match self.store.drop_segment(day).await {
            Ok(ticks) => self.shared.ledger().dropped_day(ticks),
            Err(error) => {
                tracing::warn!(%day, %error, "an old day of ticks could not be removed; the next round tries again");
            }
        }
        sleep(self.shared.options.retention.pause).await;
    }

    async fn seal(&mut self, segment: &Segment) {
        let day = segment.day;
        match self.store.seal(day).await {
            Ok(_) => self.shared.ledger().sealed_day(),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.seals = false;
                return;
            }
            Err(error) => {
                tracing::warn!(%day, %error, "a day of ticks could not be sealed; the next round tries again");
            }
        }
        sleep(self.shared.options.retention.pause).await;
    }
}
