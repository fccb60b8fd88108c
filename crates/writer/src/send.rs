//! Brings one batch to the store, again and again while it fails for now.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{Ack, Applied, Batch, BatchId, Committed, Error, Family, Records, Result, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::AckLevel;
use crate::companion::{End, Told};
use crate::shared::{INLINE_MAX_ROWS, Shared};

/// The wait before the first retry; it doubles with each.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait between two retries.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How far a wait is off, as a part of it, so that servers that failed together do not come back together.
const JITTER: f64 = 0.25;

/// Sends the batches of one family.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) family: Family,
    store: Arc<dyn Store>,
    stop: watch::Receiver<Option<Instant>>,
    ack: Ack,
}

pub(crate) enum Sent {
    Committed(Committed),
    Refused { records: Records, error: Error },
    Abandoned { records: Records, error: Arc<str> },
}

/// A commit that has not answered.
struct Running<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.ledger().commit_ends(self.number);
    }
}

impl Sender {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        stop: watch::Receiver<Option<Instant>>,
        family: Family,
    ) -> Self {
        let ack = match shared.options.queue(family).ack {
            AckLevel::Queued | AckLevel::Written => Ack::Written,
            AckLevel::Durable => Ack::Durable,
        };
        Self { shared, family, store, stop, ack }
    }

    /// The same for another family.
    pub(crate) fn of(self, family: Family) -> Self {
        Self::new(self.store, self.shared, self.stop, family)
    }

    /// Sends one batch until the store takes it or refuses it, the time limit of the stop passes, or a retry would come
    /// after `give_up_at`; adds the time between retries to `waited`.
    pub(crate) async fn send(
        &mut self,
        id: BatchId,
        records: Records,
        give_up_at: Option<Instant>,
        waited: &mut Duration,
    ) -> Sent {
        let rows = records.len();
        let batch = Arc::new(Batch { id, ack: self.ack, records });
        let mut backoff = MIN_BACKOFF;
        loop {
            let error = match self.attempt(&batch).await {
                Some(Ok(committed)) => {
                    self.shared.commits.send_modify(|commits| *commits += 1);
                    if let Some(since) = self.shared.ledger().committed(self.family, rows) {
                        tracing::info!(%since, family = self.family.as_str(), "the store takes batches again");
                    }
                    drop_beside(batch, rows);
                    return Sent::Committed(committed);
                }
                Some(Err(error)) if error.is_retryable() => error,
                Some(Err(error)) => return Sent::Refused { records: Arc::unwrap_or_clone(batch).records, error },
                None => {
                    let error = "the store did not answer in time".into();
                    return Sent::Abandoned { records: Arc::unwrap_or_clone(batch).records, error };
                }
            };
            let wait = backoff.mul_f64(rand::random_range(1.0 - JITTER..1.0 + JITTER));
            backoff = (backoff * 2).min(MAX_BACKOFF);
            let gave_up = self.pause(&error, wait, give_up_at, waited).await;
            if gave_up {
                let records = Arc::unwrap_or_clone(batch).records;
                return Sent::Abandoned { records, error: error.to_string().into() };
            }
        }
    }

    /// Waits for the next retry; says whether there is none.
    async fn pause(
        &mut self,
        error: &Error,
        wait: Duration,
        give_up_at: Option<Instant>,
        waited: &mut Duration,
    ) -> bool {
        let begun = Instant::now();
        let first = self.shared.ledger().will_retry(self.family, error, begun + wait);
        if first {
            let family = self.family.as_str();
            tracing::warn!(%error, family, "the store does not take batches; they are sent again until it does");
        }
        if give_up_at.is_some_and(|give_up_at| give_up_at <= begun + wait) {
            return true;
        }
        let gave_up = tokio::select! {
            () = sleep_until(begun + wait) => false,
            () = time_is_up(&mut self.stop) => true,
        };
        *waited += begun.elapsed();
        gave_up
    }

    /// One call; `None` when the time limit of the stop passes first.
    async fn attempt(&mut self, batch: &Arc<Batch>) -> Option<Result<Committed>> {
        let number = self.shared.ledger().commit_begins();
        let _running = Running { shared: &self.shared, number };
        let told = self.shared.companion.as_deref().map(|companion| Told::begins(companion, batch));
        let answer = tokio::select! {
            biased;
            answer = self.store.commit(batch.clone()) => answer,
            () = time_is_up(&mut self.stop) => return None,
        };
        if let Some(told) = told {
            told.ended(match &answer {
                Ok(committed) => End::Committed(*committed),
                Err(error) if error.applied() == Applied::No => End::NotApplied,
                Err(_) => End::Unclear,
            });
        }
        Some(answer)
    }
}

/// Lets go of a batch; of many rows that takes a while, for which nobody waits.
fn drop_beside(batch: Arc<Batch>, rows: usize) {
    if rows > INLINE_MAX_ROWS {
        tokio::task::spawn_blocking(move || drop(batch));
    }
}

/// Ends when a stop was asked for and its time limit has passed.
async fn time_is_up(stop: &mut watch::Receiver<Option<Instant>>) {
    let deadline = stop.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        // Whoever could ask is gone without having asked.
        None => std::future::pending().await,
    }
}
