//! What is committed beside the queues: batches with a name of their own, and input that is no record.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{BatchId, Counts, DeadLetter, Family, Outcome, Records, SourceId, Tick};
use tokio::time::{Instant, timeout_at};

use crate::commit::Committer;
use crate::ledger::Settled;
use crate::refusals::{put_aside, take_defects};
use crate::send::{Sender, Sent};
use crate::shared::{Shared, later};
use crate::{Accepted, Refused, State, WhenFull, Writer};

/// What a client is told to wait whose batch was given up.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A commit that may be given up, or dropped by who waits for it: nobody then goes on trying.
struct Trying<'a> {
    shared: &'a Shared,
    family: Family,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.shared.ledger().gave_up(self.family);
        for lane in self.shared.lanes() {
            lane.freed.notify_waiters();
        }
        self.shared.freed.notify_waiters();
    }
}

impl Writer {
    /// The dead letters of records with a defect are part of the batch, so that they are kept once as well.
    pub(crate) async fn commit_once(&self, source: SourceId, seq: u64, ticks: Vec<Tick>) -> Result<Accepted, Refused> {
        let shared = &self.0.shared;
        self.check_running()?;
        let mut records = Records { ticks, ..Records::default() };
        for part in take_defects(&mut records) {
            put_aside(&part, &mut records.dead_letters);
        }
        let rejected = records.dead_letters.len() as u64;
        shared.feed.number_all(&mut records.ticks);
        let ticks = records.ticks.clone();
        let _trying = Trying { shared, family: Family::Tick };
        let mut sender = self.0.sender.clone().of(Family::Tick);
        let (mut waited, id) = (Duration::ZERO, BatchId { source, seq });
        let settled = match sender.send(id, records, Some(self.give_up_at(Family::Tick)), &mut waited).await {
            Sent::Committed(committed) => {
                let duplicate = Counts { duplicate: ticks.len() as u64, ..Counts::default() };
                // After a retry it may be ours: then what it came to the first time is said.
                let ours = committed.outcome == Outcome::Applied || !waited.is_zero();
                let known = Settled { counts: committed.ticks, rejected: 0 };
                let counted = ours && known.records() == ticks.len() as u64;
                if committed.outcome == Outcome::Applied {
                    shared.ledger().dead_letters(Family::Tick, rejected as usize, 0);
                }
                Settled { counts: if counted { committed.ticks } else { duplicate }, rejected }
            }
            Sent::Refused { records, .. } => self.commit_in_parts(sender, id, records).await?,
            Sent::Abandoned { error, .. } => return Err(given_up(error)),
        };
        if settled.counts.stored > 0 {
            shared.feed.remember_all(&ticks);
        }
        shared.ledger().settle_beside(Family::Tick, settled);
        Ok(Accepted { counts: settled.counts, rejected: settled.rejected, ..Accepted::default() })
    }

    /// Commits what is good of a batch that the store refuses as a whole, and then marks it as done.
    async fn commit_in_parts(&self, sender: Sender, id: BatchId, records: Records) -> Result<Settled, Refused> {
        let Records { ticks, dead_letters, .. } = records;
        let outcome = Committer::new(sender.clone()).commit(Records { ticks, ..Records::default() }).await;
        if let Some(error) = outcome.abandoned {
            return Err(Refused::Unacknowledged { error });
        }
        let mut settled = outcome.settled();
        settled.rejected += dead_letters.len() as u64;
        let mark = Records { dead_letters, ..Records::default() };
        let (mut sender, mut waited) = (sender, Duration::ZERO);
        match sender.send(id, mark, Some(self.give_up_at(Family::Tick)), &mut waited).await {
            Sent::Committed(_) => Ok(settled),
            Sent::Refused { error, .. } => Err(given_up(error.to_string().into())),
            Sent::Abandoned { error, .. } => Err(given_up(error)),
        }
    }

    /// One at a time, since the batches share a source.
    pub(crate) async fn commit_letters(&self, family: Family, bad: Vec<DeadLetter>) -> Result<(), Refused> {
        let shared = &self.0.shared;
        self.check_running()?;
        let rejected = bad.len() as u64;
        if rejected == 0 {
            return Ok(());
        }
        let Ok(mut committer) = timeout_at(self.give_up_at(family), self.0.letters.lock()).await else {
            return Err(shared.ledger().no_room(family));
        };
        let _trying = Trying { shared, family };
        let outcome = committer.keep(family, bad).await;
        if let Some(error) = outcome.abandoned {
            return Err(Refused::Unacknowledged { error });
        }
        shared.ledger().settle_beside(family, Settled { counts: Counts::default(), rejected });
        Ok(())
    }

    fn check_running(&self) -> Result<(), Refused> {
        match self.0.shared.ledger().state() {
            State::Running => Ok(()),
            State::Stopping | State::Stopped => Err(Refused::Stopping),
        }
    }

    /// When a caller of that family has waited long enough.
    fn give_up_at(&self, family: Family) -> Instant {
        match self.0.shared.options.queue(family).when_full {
            WhenFull::Block { limit } => later(Instant::now(), limit),
            WhenFull::Shed => Instant::now(),
        }
    }
}

fn given_up(error: Arc<str>) -> Refused {
    Refused::Unavailable { retry_after: RETRY_AFTER, error }
}
