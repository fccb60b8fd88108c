//! Pings, ticks and executions: what a [`Writer`] offers for them.

use tallybook_core::{DeadLetter, ExecutionRecords, Family, Ping, Records, SourceId, Tick};
use tokio::sync::oneshot;

use crate::feed::Offered;
use crate::lane::{Answer, Lane, OFFERED_TICK_BYTES, Request};
use crate::shared::{INLINE_MAX_ROWS, beside_the_runtime};
use crate::{Accepted, AckLevel, Refused, WhenFull, Writer};

impl Writer {
    /// Puts a tick into the ring of its symbol and into the queue, without ever waiting. It is stored with the next commit;
    /// [`Writer::stats`] tells of those that cannot be.
    ///
    /// # Errors
    /// There is no room, whatever the policy ([`WhenFull::Shed`] counts the tick as offered and shed), or the writer is
    /// stopping.
    pub fn offer(&self, tick: Tick) -> Result<(), Refused> {
        let (feed, lane) = (&self.0.shared.feed, &self.0.shared.ticks);
        if !lane.enter(1, OFFERED_TICK_BYTES) {
            match lane.options.when_full {
                WhenFull::Shed => feed.shed(),
                WhenFull::Block { .. } => feed.refused(),
            }
            return Err(self.0.shared.ledger().no_room(Family::Tick));
        }
        match feed.offer(tick) {
            Offered::First => lane.wake.notify_one(),
            Offered::Queued => {}
            Offered::Filtered => lane.leave(1, OFFERED_TICK_BYTES),
            Offered::Closed => {
                lane.leave(1, OFFERED_TICK_BYTES);
                return Err(Refused::Stopping);
            }
        }
        Ok(())
    }

    /// Takes ticks and answers as their family's [`AckLevel`] says. May be dropped at any await: they are then taken whole or
    /// not at all.
    ///
    /// # Errors
    /// Except after [`Refused::Unacknowledged`], nothing was taken.
    pub async fn ticks(&self, ticks: Vec<Tick>) -> Result<Accepted, Refused> {
        let bytes = ticks.iter().map(|tick| size_of::<Tick>() + tick.symbol.len() + tick.source.len()).sum();
        let records = Records { ticks, ..Records::default() };
        self.counted(self.take_records(&self.0.shared.ticks, records, bytes).await)
    }

    /// Commits ticks as the batch `seq` of `source`, beside the queue. Sent again under that name they change nothing, and
    /// all are answered as duplicate.
    ///
    /// # Errors
    /// Whether it was stored or not: send it again under the same name.
    pub async fn ticks_once(&self, source: SourceId, seq: u64, ticks: Vec<Tick>) -> Result<Accepted, Refused> {
        self.counted(self.commit_once(source, seq, ticks).await)
    }

    /// Takes pings and answers as their family's [`AckLevel`] says. Those that come in the order of their time get their
    /// jitter on the way to the store, where they have none. May be dropped at any await: they are then taken whole or not at all.
    ///
    /// # Errors
    /// Except after [`Refused::Unacknowledged`], nothing was taken.
    pub async fn pings(&self, pings: Vec<Ping>) -> Result<Accepted, Refused> {
        let text_bytes = |ping: &Ping| ping.target.len() + ping.error.as_deref().map_or(0, str::len);
        let bytes = pings.iter().map(|ping| size_of::<Ping>() + text_bytes(ping)).sum();
        let records = Records { pings, ..Records::default() };
        self.counted(self.take_records(&self.0.shared.pings, records, bytes).await)
    }

    /// Takes rows of executions and answers as their family's [`AckLevel`] says. May be dropped at any await: they are then
    /// taken whole or not at all. Rows of one call are committed together.
    ///
    /// # Errors
    /// Except after [`Refused::Unacknowledged`], nothing was taken.
    pub async fn executions(&self, executions: ExecutionRecords) -> Result<Accepted, Refused> {
        let bytes = executions.bytes();
        let records = Records { executions, ..Records::default() };
        self.counted(self.take_records(&self.0.shared.executions, records, bytes).await)
    }

    /// Keeps input of `family` that could not be read as dead letters; it counts as offered and rejected.
    ///
    /// # Errors
    /// Except after [`Refused::Unacknowledged`], nothing was kept or counted.
    pub async fn reject(&self, family: Family, bad: Vec<DeadLetter>) -> Result<(), Refused> {
        self.counted(self.commit_letters(family, bad).await)
    }

    /// The ticks of a symbol that came since the start, by falling time and number. The latest may not be committed yet; the
    /// store may hold later ones that came before the start.
    pub fn recent(&self, symbol: &str, limit: usize) -> Vec<Tick> {
        self.0.shared.feed.recent(symbol, limit)
    }

    pub(crate) fn counted<T>(&self, answer: Result<T, Refused>) -> Result<T, Refused> {
        if let Err(refused) = &answer {
            self.0.shared.ledger().refused(refused);
        }
        answer
    }

    async fn take_records(&self, lane: &Lane, mut records: Records, bytes: usize) -> Result<Accepted, Refused> {
        let shared = &self.0.shared;
        let offered = records.len();
        if offered == 0 {
            return Ok(Accepted::default());
        }
        let in_line = self.wait_in_line(lane.family, bytes)?;
        if !shared.room_in(lane, offered, bytes).await? {
            shared.ledger().shed(lane.family, offered as u64);
            return Ok(Accepted { shed: offered as u64, ..Accepted::default() });
        }
        drop(in_line);
        beside_the_runtime(offered > INLINE_MAX_ROWS, || {
            shared.feed.admit_all(&mut records.ticks);
        });
        let left = records.len();
        let (filtered, queued) = ((offered - left) as u64, left as u64);
        let (answer, answered) = oneshot::channel();
        let waits = lane.options.ack != AckLevel::Queued && queued > 0;
        let request =
            beside_the_runtime(left > INLINE_MAX_ROWS, || Request::new(records, bytes, waits.then_some(answer)));
        let pushed = shared.push(lane, request, filtered);
        if pushed.is_err() || left == 0 {
            lane.leave(offered, bytes);
        } else {
            lane.leave(offered - left, 0);
        }
        pushed?;
        if !waits {
            return Ok(Accepted { queued, filtered, ..Accepted::default() });
        }
        let accepted = self.answered(answered).await?;
        Ok(Accepted { filtered, ..accepted })
    }

    /// Waits for the commit that brings a request to the store.
    async fn answered(&self, answered: oneshot::Receiver<Answer>) -> Result<Accepted, Refused> {
        let mut stopped = self.0.stopped.clone();
        let answer = tokio::select! {
            biased;
            answer = answered => answer.ok(),
            // The task answers everybody before it ends, unless it died.
            _ = stopped.wait_for(Option::is_some) => None,
        };
        match answer {
            Some(Answer::Settled { counts, rejected, shared_repeats }) => {
                Ok(Accepted { counts, rejected, shared_repeats, ..Accepted::default() })
            }
            Some(Answer::Abandoned { error }) => Err(Refused::Unacknowledged { error }),
            None => Err(Refused::Unacknowledged { error: "the writer has died".into() }),
        }
    }
}
