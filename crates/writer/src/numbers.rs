//! Numbers for ticks that come without one, so that two of the same symbol and time are told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tallybook_core::{Result, Store, StoreExt as _, TimeRange, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::shared::Shared;

/// 2020-01-01T00:00:00Z.
const EPOCH: i64 = 1_577_836_800_000_000_000;
/// Ten microseconds, in nanoseconds: numbers of a process start behind those of an earlier one that assigned fewer than
/// 100,000 a second.
const UNIT: i64 = 10_000;
/// The low bits of a number tell processes apart that start at the same time; what is left suffices until 2109.
const TAG_BITS: u32 = 15;
/// The pause before a store is asked again that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the numbers of a process come from.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// No other process has numbered later times. While that is not known, and where others write to the store, it is the
    /// end of time.
    others_until: AtomicI64,
    next: AtomicU64,
}

/// The numbers of one symbol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest {
    /// The greatest time of all its ticks.
    time: Timestamp,
    /// The next number of that time, where they count from 0.
    next: Option<u64>,
}

impl Numbers {
    /// `tag` is random.
    pub(crate) fn new(started: Timestamp, tag: u64) -> Self {
        let units = started.0.saturating_sub(EPOCH).max(0).unsigned_abs() / UNIT.unsigned_abs();
        let first = (units << TAG_BITS) | (tag % (1 << TAG_BITS));
        Self { others_until: AtomicI64::new(i64::MAX), next: AtomicU64::new(first) }
    }

    /// From now on numbers count from 0 for times behind this one.
    pub(crate) fn count_after(&self, time: Timestamp) {
        self.others_until.store(time.0, Ordering::Relaxed);
    }

    /// The number of a tick of that `time`. Numbers count from 0 where nobody else can have numbered that time: it is later
    /// than all that came of the symbol, and than what other processes had.
    pub(crate) fn assign(&self, latest: &mut Option<Latest>, time: Timestamp) -> u64 {
        let Some(known) = latest else {
            *latest = Some(Latest { time, next: None });
            return self.unused();
        };
        if time > known.time {
            let from_zero = time.0 > self.others_until.load(Ordering::Relaxed);
            *known = Latest { time, next: from_zero.then_some(1) };
            return if from_zero { 0 } else { self.unused() };
        }
        match &mut known.next {
            Some(next) if time == known.time => {
                *next += 1;
                *next - 1
            }
            _ => self.unused(),
        }
    }

    /// Takes note of a tick whose producer numbered it: numbers of its time do not count from 0.
    pub(crate) fn seen(latest: &mut Option<Latest>, time: Timestamp) {
        if latest.is_none_or(|known| time >= known.time) {
            *latest = Some(Latest { time, next: None });
        }
    }

    /// A number that no other process and no other moment has given.
    pub(crate) fn unused(&self) -> u64 {
        self.next.fetch_add(1 << TAG_BITS, Ordering::Relaxed)
    }
}

/// Learns which times earlier processes may have numbered: all until now, and those of stored ticks that lie in the future,
/// as they do when the clock was set back. Only where no other process writes to the store.
pub(crate) async fn learn(store: Arc<dyn Store>, shared: Arc<Shared>, mut stop: watch::Receiver<Option<Instant>>) {
    let learn = async {
        loop {
            match latest(&*store).await {
                Ok(time) => return shared.feed.count_after(time),
                Err(error) => {
                    // Said after the pause: a store that is being closed fails as well, and is not asked again.
                    sleep(PAUSE).await;
                    tracing::warn!(%error, "the latest ticks could not be read; they are asked for again");
                }
            }
        }
    };
    tokio::select! {
        _ = stop.wait_for(Option::is_some) => {}
        () = learn => {}
    }
}

async fn latest(store: &dyn Store) -> Result<Timestamp> {
    let now = Timestamp::now();
    let symbols = store.readable_symbols(TimeRange { from: now, to: Timestamp(i64::MAX) }).await?;
    Ok(symbols.iter().map(|symbol| symbol.last).max().unwrap_or(now).max(now))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tallybook_core::Tick;

    use super::*;

    const STARTED: Timestamp = Timestamp(1_700_000_000_000_000_000);
    const STEP: u64 = 1 << TAG_BITS;

    fn after(seconds: i64) -> Timestamp {
        Timestamp(STARTED.0 + seconds * 1_000_000_000)
    }

    fn alone() -> Numbers {
        let numbers = Numbers::new(STARTED, 7);
        numbers.count_after(STARTED);
        numbers
    }

    #[test]
    fn ticks_in_order_count_from_0_and_all_others_get_numbers_of_their_own() {
        let numbers = alone();
        let mut latest = None;
        let first = numbers.assign(&mut latest, after(1));
        assert!(
            first > 12_000_000_000_000 * STEP && first < Tick::MAX_SEQ,
            "the first may follow one of an earlier process"
        );
        let assigned = [2, 2, 2, 3, 2, 3, 1].map(|second| numbers.assign(&mut latest, after(second)));
        assert_eq!(assigned, [0, 1, 2, 0, first + STEP, 1, first + 2 * STEP]);
        assert_eq!(numbers.assign(&mut None, after(9)), first + 3 * STEP, "each symbol counts for itself");
    }

    #[test]
    fn times_before_the_start_never_count_from_0() {
        let numbers = alone();
        let mut latest = None;
        let assigned = [-9, -8, -7, 1].map(|second| numbers.assign(&mut latest, after(second)));
        assert_eq!(assigned, [assigned[0], assigned[0] + STEP, assigned[0] + 2 * STEP, 0]);
    }

    #[test]
    fn processes_that_share_a_store_give_no_number_twice() {
        let (one, other) = (Numbers::new(STARTED, 7), Numbers::new(STARTED, 8));
        let (mut of_one, mut of_other) = (None, None);
        let mut given = HashSet::new();
        for second in 0..100 {
            assert!(given.insert(one.assign(&mut of_one, after(second))));
            assert!(given.insert(other.assign(&mut of_other, after(second))));
        }
    }

    #[test]
    fn a_time_the_producer_numbered_is_not_counted_from_0() {
        let numbers = alone();
        let mut latest = None;
        Numbers::seen(&mut latest, after(1));
        assert!(numbers.assign(&mut latest, after(1)) > 1_000);
        assert_eq!(numbers.assign(&mut latest, after(2)), 0);
    }
}
