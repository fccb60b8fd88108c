//! Numbers for ticks of a file that has none: they depend on nothing but what the file says, so that the same file gives the
//! same ticks each time it is read.

use hashbrown::HashMap;
use tallybook_core::{Digested as _, Precision, Tick, TickFlags, hash_bytes};

/// The low bits of a number are a hash of the quote: different quotes that two files have at the same place of the same moment
/// both stay, and the same quote in another format is known again.
const HASH_BITS: u32 = 47;
/// The high bits are the tick's place among those of its symbol and time, so that they keep their order.
const MAX_PLACE: u64 = (1 << (63 - HASH_BITS)) - 1;
/// What of a quote is hashed. Part of numbers that are stored: it must never change.
const QUOTE: Precision = Precision { time_unit: 1, digits: false, volume: true, identity: false };
/// Moments of a symbol that are remembered, at least; twice as many at most. A tick that comes back to an earlier moment
/// counts as its first, and stays apart from the others unless it quotes the same as that.
const MOMENTS: usize = 1 << 19;

/// Numbers the ticks of one file in its order.
#[derive(Debug, Default)]
pub struct Sequence {
    /// How many ticks a symbol has had at a time.
    recent: HashMap<(u64, i64), u64>,
    older: HashMap<(u64, i64), u64>,
}

impl Sequence {
    /// Numbers a tick whose producer did not.
    pub fn number(&mut self, tick: &mut Tick) {
        if tick.seq != 0 || !tick.flags.contains(TickFlags::SEQ_ASSIGNED) {
            return;
        }
        let place = self.place((hash_bytes(tick.symbol.as_bytes()), tick.time.0));
        let mut hash = tick.hash(QUOTE);
        if place >= MAX_PLACE {
            hash = hash.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        let number = (place.min(MAX_PLACE) << HASH_BITS) | (hash & ((1 << HASH_BITS) - 1));
        // 0 would ask the writer for a number.
        tick.seq = number.max(1);
    }

    fn place(&mut self, moment: (u64, i64)) -> u64 {
        if let Some(next) = self.recent.get_mut(&moment) {
            *next += 1;
            return *next - 1;
        }
        let place = self.older.get(&moment).copied().unwrap_or(0);
        if self.recent.len() >= MOMENTS {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(moment, place + 1);
        place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tallybook_core::Timestamp;

    use super::*;

    fn tick(symbol: &str, time: i64, bid: &str) -> Tick {
        Tick::new(symbol, Timestamp(time), Some(bid.parse().unwrap()), None)
    }

    fn numbers(ticks: &[Tick]) -> Vec<u64> {
        let mut sequence = Sequence::default();
        let numbered = ticks.iter().map(|tick| {
            let mut tick = tick.clone();
            sequence.number(&mut tick);
            tick.seq
        });
        numbered.collect()
    }

    #[test]
    fn ticks_of_a_moment_keep_their_order_and_equal_ones_stay_apart() {
        let ticks = [tick("A", 1, "2"), tick("B", 1, "2"), tick("A", 1, "1"), tick("A", 2, "9"), tick("A", 1, "2")];
        let given = numbers(&ticks);
        assert!(given[0] < given[2] && given[2] < given[4], "{given:?}");
        assert_eq!(
            given.iter().collect::<HashSet<_>>().len(),
            4,
            "of another symbol, a number may come again: {given:?}"
        );
        assert_eq!(given, numbers(&ticks), "the same file, the same numbers");
        assert!(given.iter().all(|&seq| seq > 0 && seq <= Tick::MAX_SEQ));
    }

    #[test]
    fn the_same_quote_has_the_same_number_in_another_format_and_a_different_one_another() {
        assert_eq!(numbers(&[tick("A", 1, "1.50")]), numbers(&[tick("A", 1, "1.5")]));
        assert_ne!(numbers(&[tick("A", 1, "1.50")]), numbers(&[tick("A", 1, "1.51")]));
        // Stored numbers depend on it.
        assert_eq!(numbers(&[tick("A", 1, "1.50")]), [STORED]);
    }

    /// What the first release gave.
    const STORED: u64 = 6_363_532_365_802;

    #[test]
    fn a_number_of_the_producer_stays() {
        let mut sent = tick("A", 1, "1");
        sent.flags = TickFlags::ONE_SIDED;
        assert_eq!(numbers(&[sent.clone()]), [0]);
        sent.seq = 7;
        assert_eq!(numbers(&[sent]), [7]);
    }

    #[test]
    fn more_ticks_of_one_moment_than_there_are_places_stay_apart() {
        let many = vec![tick("A", 1, "1"); MAX_PLACE as usize + 1_000];
        assert_eq!(numbers(&many).into_iter().collect::<HashSet<_>>().len(), many.len());
    }
}
