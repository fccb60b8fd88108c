//! Numbers for ticks that come without one, so that two of the same symbol and time are told apart.

use std::sync::atomic::{AtomicU64, Ordering};

use tallybook_core::Timestamp;

/// 2020-01-01T00:00:00Z.
const EPOCH: i64 = 1_577_836_800_000_000_000;
/// Ten microseconds, in nanoseconds: numbers of a process start behind those of an earlier one that assigned fewer than
/// 100,000 a second.
const UNIT: i64 = 10_000;
/// The low bits of a number tell processes apart that start at the same time; what is left suffices until 2109.
const TAG_BITS: u32 = 15;

/// Where the numbers of a process come from.
#[derive(Debug)]
pub(crate) struct Numbers {
    started: Timestamp,
    /// Whether other processes assign numbers in the same store.
    shared: bool,
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
    pub(crate) fn new(started: Timestamp, shared: bool, tag: u64) -> Self {
        let units = started.0.saturating_sub(EPOCH).max(0).unsigned_abs() / UNIT.unsigned_abs();
        let first = (units << TAG_BITS) | (tag % (1 << TAG_BITS));
        Self { started, shared, next: AtomicU64::new(first) }
    }

    /// The number of a tick of that `time`. Numbers count from 0 where nobody else can have numbered that time: it is later
    /// than all that came of the symbol, and than the start of this process.
    pub(crate) fn assign(&self, latest: &mut Option<Latest>, time: Timestamp) -> u64 {
        let Some(known) = latest else {
            *latest = Some(Latest { time, next: None });
            return self.unused();
        };
        if time > known.time {
            let from_zero = !self.shared && time > self.started;
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

    #[test]
    fn ticks_in_order_count_from_0_and_all_others_get_numbers_of_their_own() {
        let numbers = Numbers::new(STARTED, false, 7);
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
        let numbers = Numbers::new(STARTED, false, 7);
        let mut latest = None;
        let assigned = [-9, -8, -7, 1].map(|second| numbers.assign(&mut latest, after(second)));
        assert_eq!(assigned, [assigned[0], assigned[0] + STEP, assigned[0] + 2 * STEP, 0]);
    }

    #[test]
    fn processes_that_share_a_store_give_no_number_twice() {
        let (one, other) = (Numbers::new(STARTED, true, 7), Numbers::new(STARTED, true, 8));
        let (mut of_one, mut of_other) = (None, None);
        let mut given = HashSet::new();
        for second in 0..100 {
            assert!(given.insert(one.assign(&mut of_one, after(second))));
            assert!(given.insert(other.assign(&mut of_other, after(second))));
        }
    }

    #[test]
    fn a_time_the_producer_numbered_is_not_counted_from_0() {
        let numbers = Numbers::new(STARTED, false, 7);
        let mut latest = None;
        Numbers::seen(&mut latest, after(1));
        assert!(numbers.assign(&mut latest, after(1)) > 1_000);
        assert_eq!(numbers.assign(&mut latest, after(2)), 0);
    }
}
