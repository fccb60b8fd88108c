//! Brings a batch to the store: retry while it fails for now, split while it is refused, put aside what is bad.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{
    Ack, Batch, BatchId, CatalogueDelta, DeadLetter, Error, Record, Records, Result, SourceId, Store, TemplateMove,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::AckLevel;
use crate::shared::{INLINE_MAX_ROWS, Shared, beside_the_runtime};

/// The wait before the first retry; it doubles with each.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait between two retries.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How far a wait is off, as a part of it, so that servers that failed together do not come back together.
const JITTER: f64 = 0.25;
/// Bad rows that are looked for in one flush. A store that refuses everything would otherwise be asked about every row;
/// past this, a part that is refused is given up whole.
const MAX_REFUSED_PARTS: usize = 256;

/// Sends batches under a source of its own.
pub(crate) struct Committer {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    stop: watch::Receiver<Option<Instant>>,
    source: SourceId,
    seq: u64,
    ack: Ack,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rows and moves that the store refused for good.
    pub(crate) refused_rows: usize,
    /// The records that are counted in them.
    pub(crate) refused_records: u64,
    /// What the store said of the first of them.
    pub(crate) refusal: Option<Arc<str>>,
    /// Records that were not committed when the time limit of the stop passed.
    pub(crate) abandoned_records: u64,
    /// What kept them.
    pub(crate) abandoned: Option<Arc<str>>,
    /// The time between retries.
    pub(crate) waited: Duration,
}

enum Sent {
    Committed,
    Refused { records: Records, error: Error },
    Abandoned { records: Records, error: Arc<str> },
}

struct RefusedPart {
    records: Records,
    error: Arc<str>,
}

impl Committer {
    pub(crate) fn new(store: Arc<dyn Store>, shared: Arc<Shared>, stop: watch::Receiver<Option<Instant>>) -> Self {
        let ack = match shared.options.telemetry.ack {
            AckLevel::Queued | AckLevel::Written => Ack::Written,
            AckLevel::Durable => Ack::Durable,
        };
        Self { store, shared, stop, source: SourceId::mint(), seq: 0, ack }
    }

    /// Commits `records` except for the rows that the store refuses, which become dead letters.
    pub(crate) async fn commit(&mut self, records: Records) -> Outcome {
        let mut outcome = Outcome::default();
        let refused = self.commit_good_rows(records, &mut outcome).await;
        let mut dead_letters = Vec::with_capacity(refused.len());
        for RefusedPart { records, error } in refused {
            outcome.refused_rows += records.len();
            outcome.refused_records += records.catalogue.records();
            put_aside(&records, &error, &mut dead_letters);
            outcome.refusal.get_or_insert(error);
        }
        self.keep(dead_letters, &mut outcome).await;
        outcome
    }

    /// Commits dead letters. Those that are refused in turn are only counted and logged: no letter is written about a
    /// letter.
    async fn keep(&mut self, dead_letters: Vec<DeadLetter>, outcome: &mut Outcome) {
        let count = dead_letters.len();
        if count == 0 {
            return;
        }
        let records = Records { catalogue: CatalogueDelta::default(), dead_letters };
        let mut letters = Outcome::default();
        let refused = self.commit_good_rows(records, &mut letters).await;
        outcome.waited += letters.waited;
        let lost =
            if letters.abandoned.is_some() { count } else { refused.iter().map(|part| part.records.len()).sum() };
        self.shared.ledger().dead_letters(count - lost, lost);
        let error = outcome.refusal.as_deref();
        tracing::error!(dead_letters = count - lost, error, "the store refused rows");
        if lost > 0 {
            let error = refused.first().map(|part| &part.error).or(letters.abandoned.as_ref()).map(AsRef::as_ref);
            tracing::error!(lost, error, "refused rows could not be kept as dead letters");
        }
        outcome.abandoned = outcome.abandoned.take().or(letters.abandoned);
    }

    /// Commits `records` in as many parts as it takes to leave out the bad rows, in their order, and gives these.
    async fn commit_good_rows(&mut self, records: Records, outcome: &mut Outcome) -> Vec<RefusedPart> {
        let mut refused = Vec::new();
        let mut waiting = vec![records];
        while let Some(part) = waiting.pop() {
            match self.send(part, &mut outcome.waited).await {
                Sent::Committed => {}
                Sent::Refused { records, error } => {
                    let error = self.shared.ledger().failed(&error);
                    if records.len() < 2 || refused.len() >= MAX_REFUSED_PARTS {
                        refused.push(RefusedPart { records, error });
                    } else if let Some((first, second)) = records.split() {
                        waiting.extend([second, first]);
                    }
                }
                Sent::Abandoned { records, error } => {
                    waiting.push(records);
                    outcome.abandoned_records = waiting.iter().map(|part| part.catalogue.records()).sum();
                    outcome.abandoned = Some(error);
                    return refused;
                }
            }
        }
        refused
    }

    /// Sends one batch until the store takes it or refuses it, or the time limit of the stop passes.
    async fn send(&mut self, records: Records, waited: &mut Duration) -> Sent {
        self.seq += 1;
        let rows = records.len();
        let batch = Arc::new(Batch { id: BatchId { source: self.source, seq: self.seq }, ack: self.ack, records });
        let mut backoff = MIN_BACKOFF;
        loop {
            match self.attempt(&batch).await {
                // A batch that is in the store already is ours as well: nobody else uses this source.
                Some(Ok(())) => {
                    if let Some(since) = self.shared.ledger().committed(rows) {
                        tracing::info!(%since, "the store takes batches again");
                    }
                    beside_the_runtime(rows > INLINE_MAX_ROWS, || drop(batch));
                    return Sent::Committed;
                }
                Some(Err(error)) if error.is_retryable() => {
                    let wait = backoff.mul_f64(rand::random_range(1.0 - JITTER..1.0 + JITTER));
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                    let begun = Instant::now();
                    let first = self.shared.ledger().will_retry(&error, begun + wait);
                    if first {
                        tracing::warn!(%error, "the store does not take batches; they are sent again until it does");
                    }
                    let gave_up = tokio::select! {
                        () = sleep_until(begun + wait) => false,
                        () = time_is_up(&mut self.stop) => true,
                    };
                    *waited += begun.elapsed();
                    if gave_up {
                        let records = Arc::unwrap_or_clone(batch).records;
                        return Sent::Abandoned { records, error: error.to_string().into() };
                    }
                }
                Some(Err(error)) => return Sent::Refused { records: Arc::unwrap_or_clone(batch).records, error },
                None => {
                    let error = "the store did not answer in time".into();
                    return Sent::Abandoned { records: Arc::unwrap_or_clone(batch).records, error };
                }
            }
        }
    }

    /// One call; `None` when the time limit of the stop passes first.
    async fn attempt(&mut self, batch: &Arc<Batch>) -> Option<Result<()>> {
        self.shared.ledger().commit_begins();
        let answer = tokio::select! {
            biased;
            answer = self.store.commit(batch.clone()) => Some(answer.map(|_| ())),
            () = time_is_up(&mut self.stop) => None,
        };
        self.shared.ledger().commit_ends();
        answer
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

/// Makes the dead letters of a part that was refused: of its row or move, or one for all of it when it was given up whole.
fn put_aside(records: &Records, error: &Arc<str>, dead_letters: &mut Vec<DeadLetter>) {
    if records.len() > 1 {
        let record = serde_json::json!({ "rows": records.len(), "records": records.catalogue.records() });
        dead_letters.push(letter("batch", error, &record));
        return;
    }
    let each = |table, rows: Vec<_>| {
        dead_letters.extend(rows.iter().map(|row| DeadLetter::new(table, row, error)));
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(()) = records.for_each_table(each);
    for TemplateMove { service, severity, from, to } in &records.catalogue.template_moves {
        let record = serde_json::json!({ "service": service, "severity": severity, "from": from, "to": to });
        dead_letters.push(letter("template_move", error, &record));
    }
}

fn letter(target: &str, error: &Arc<str>, record: &serde_json::Value) -> DeadLetter {
    let empty = DeadLetter::new(DeadLetter::TABLE, &Vec::new(), error);
    DeadLetter { target: target.into(), record: record.to_string().into(), ..empty }
}
