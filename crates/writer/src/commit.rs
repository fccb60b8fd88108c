//! Brings records to the store: one batch while it is taken, split while it is refused; what is bad is put aside.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{BatchId, Committed, Counts, DeadLetter, Family, Records, SourceId};

use crate::ledger::Settled;
use crate::refusals::{RefusedPart, put_aside, records_in, take_defects};
use crate::send::{Sender, Sent};

/// Bad rows that are looked for in one flush. A store that refuses everything would otherwise be asked about every row;
/// past this, a part that is refused is given up whole.
const MAX_REFUSED_PARTS: usize = 256;

/// Sends batches under a source of its own.
pub(crate) struct Committer {
    sender: Sender,
    source: SourceId,
    seq: u64,
}

/// What became of records.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What became of the pings, ticks or rows of executions that were committed.
    pub(crate) counts: Counts,
    /// Rows and moves that were refused for good.
    pub(crate) refused_rows: usize,
    /// The records that are counted in them.
    pub(crate) refused_records: u64,
    /// What was said of the first of them.
    pub(crate) refusal: Option<Arc<str>>,
    /// Records that were not committed when the time limit of the stop passed.
    pub(crate) abandoned_records: u64,
    /// What kept them.
    pub(crate) abandoned: Option<Arc<str>>,
    /// The time between retries.
    pub(crate) waited: Duration,
}

impl Outcome {
    fn count(&mut self, family: Family, committed: &Committed) {
        let counts = counts_of(family, committed);
        self.counts.stored += counts.stored;
        self.counts.merged += counts.merged;
        self.counts.duplicate += counts.duplicate;
    }

    /// What leaves the queue.
    pub(crate) fn settled(&self) -> Settled {
        Settled { counts: self.counts, rejected: self.refused_records }
    }
}

/// What became of the records of one family. Telemetry is counted by who folds it.
pub(crate) fn counts_of(family: Family, committed: &Committed) -> Counts {
    match family {
        Family::Telemetry => Counts::default(),
        Family::Ping => committed.pings,
        Family::Tick => committed.ticks,
        Family::Execution => committed.executions,
    }
}

impl Committer {
    pub(crate) fn new(sender: Sender) -> Self {
        Self { sender, source: SourceId::mint(), seq: 0 }
    }

    /// Commits `records` except for those with a defect and the rows that the store refuses, which become dead letters.
    pub(crate) async fn commit(&mut self, mut records: Records) -> Outcome {
        let mut outcome = Outcome::default();
        let mut refused = take_defects(&mut records);
        refused.extend(self.commit_good_rows(records, &mut outcome).await);
        self.put_aside(refused, &mut outcome).await;
        outcome
    }

    /// Commits `records` as one batch, and then makes dead letters of `refused`.
    ///
    /// # Errors
    /// The records, where the store refuses any of them; nothing is done then.
    pub(crate) async fn commit_whole(
        &mut self,
        records: Records,
        refused: Vec<RefusedPart>,
    ) -> Result<Outcome, (Records, Vec<RefusedPart>)> {
        let mut outcome = Outcome::default();
        if !records.is_empty() {
            match self.send(records, &mut outcome.waited).await {
                Sent::Committed(committed) => outcome.count(self.sender.family, &committed),
                Sent::Refused { records, .. } => return Err((records, refused)),
                Sent::Abandoned { records, error } => {
                    outcome.abandoned_records = records_in(&records);
                    outcome.abandoned = Some(error);
                }
            }
        }
        self.put_aside(refused, &mut outcome).await;
        Ok(outcome)
    }

    /// Makes dead letters of what was refused and commits them.
    pub(crate) async fn put_aside(&mut self, refused: Vec<RefusedPart>, outcome: &mut Outcome) {
        let mut dead_letters = Vec::with_capacity(refused.len());
        for part in refused {
            put_aside(&part, &mut dead_letters);
            outcome.refused_rows += part.records.len();
            outcome.refused_records += records_in(&part.records);
            outcome.refusal.get_or_insert(part.error);
        }
        self.keep_letters(dead_letters, outcome).await;
    }

    /// Commits dead letters of `family` for which there never were records.
    pub(crate) async fn keep(&mut self, family: Family, dead_letters: Vec<DeadLetter>) -> Outcome {
        if self.sender.family != family {
            self.sender = self.sender.clone().of(family);
        }
        let mut outcome = Outcome::default();
        self.keep_letters(dead_letters, &mut outcome).await;
        outcome
    }

    /// Those that are refused in turn are only counted and logged: no letter is written about a letter.
    async fn keep_letters(&mut self, dead_letters: Vec<DeadLetter>, outcome: &mut Outcome) {
        let count = dead_letters.len();
        if count == 0 {
            return;
        }
        let mut letters = Outcome::default();
        let records = Records { dead_letters, ..Records::default() };
        let refused = self.commit_good_rows(records, &mut letters).await;
        outcome.waited += letters.waited;
        let lost =
            if letters.abandoned.is_some() { count } else { refused.iter().map(|part| part.records.len()).sum() };
        self.sender.shared.ledger().dead_letters(self.sender.family, count - lost, lost);
        let error = outcome.refusal.as_deref();
        tracing::error!(dead_letters = count - lost, error, "records were refused");
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
            if part.is_empty() {
                continue;
            }
            match self.send(part, &mut outcome.waited).await {
                Sent::Committed(committed) => outcome.count(self.sender.family, &committed),
                Sent::Refused { records, error } => {
                    let error = self.sender.shared.ledger().failed(&error);
                    if records.len() < 2 || refused.len() >= MAX_REFUSED_PARTS {
                        refused.push(RefusedPart { records, error });
                    } else if let Some((first, second)) = records.split() {
                        waiting.extend([second, first]);
                    }
                }
                Sent::Abandoned { records, error } => {
                    waiting.push(records);
                    outcome.abandoned_records = waiting.iter().map(records_in).sum();
                    outcome.abandoned = Some(error);
                    return refused;
                }
            }
        }
        refused
    }

    /// Sends a batch. One that is in the store already is ours as well: nobody else uses this source.
    async fn send(&mut self, records: Records, waited: &mut Duration) -> Sent {
        self.seq += 1;
        self.sender.send(BatchId { source: self.source, seq: self.seq }, records, None, waited).await
    }
}
