//! Removes what is older than it should be, and seals old days of ticks: in small steps beside the writing.

use std::sync::Arc;

use tallybook_core::{Segment, Store, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::shared::Shared;
use crate::{RetentionOptions, RetentionPlan};

/// Runs until a stop is asked for.
pub(crate) async fn run(store: Arc<dyn Store>, shared: Arc<Shared>, mut stop: watch::Receiver<Option<Instant>>) {
    tokio::select! {
        _ = stop.wait_for(Option::is_some) => {}
        () = Rounds { store: store.as_ref(), shared: &shared }.run() => {}
    }
}

struct Rounds<'a> {
    store: &'a dyn Store,
    shared: &'a Shared,
}

impl Rounds<'_> {
    async fn run(self) {
        let RetentionOptions { first_after, every, .. } = self.shared.options.retention;
        sleep(first_after).await;
        loop {
            self.round().await;
            sleep(every).await;
        }
    }

    async fn round(&self) {
        let (options, now) = (&self.shared.options.retention, Timestamp::now());
        let plan = RetentionPlan::of(self.store, options, now).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the days of ticks could not be listed; the next round tries again");
            RetentionPlan::new(options, &[], now)
        });
        for rows in plan.rows {
            let removed = |removed| self.shared.ledger().pruned(removed);
            if let Err(error) = rows.remove(self.store, options, removed).await {
                let table = rows.table.name;
                tracing::warn!(table, %error, "old rows could not be removed; the next round tries again");
            }
        }
        for segment in plan.drop {
            self.drop_day(&segment).await;
        }
        for segment in plan.seal {
            self.seal(&segment).await;
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

    async fn seal(&self, segment: &Segment) {
        let day = segment.day;
        match self.store.seal(day).await {
            Ok(_) => self.shared.ledger().sealed_day(),
            Err(error) => {
                tracing::warn!(%day, %error, "a day of ticks could not be sealed; the next round tries again");
            }
        }
        sleep(self.shared.options.retention.pause).await;
    }
}
