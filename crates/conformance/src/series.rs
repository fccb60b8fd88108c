//! Random pings and ticks, all of them without a defect.

use std::sync::Arc;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use tallybook_core::{DAY, Decimal, HOUR, Ping, Tick, TickFlags, TickQuery, TimeRange, Timestamp};

use crate::Fixtures;

const MINUTE: i64 = HOUR / 60;

/// Moments about the borders of minutes, hours and days, so that records meet in them; few days, for each may be a file.
const BORDERS: &[i64] = &[0, 1, MINUTE - 1, MINUTE, HOUR - 1, HOUR, DAY - 1, DAY, DAY + 1, 59 * DAY + HOUR];
/// The last moment that a tick can have.
const LAST_MOMENT: i64 = 7_258_118_400_000_000_000 - 1;

const LATENCIES: &[u64] = &[1, 20_000, 20_001, 5_000_000, 999_999_999, Ping::MAX_LATENCY];

/// The same value with other zeros, the most digits, the smallest part, and what is no price at all.
const PRICES: &[&str] = &[
    "1.08500",
    "1.085",
    "1.0851",
    "65000",
    "0",
    "0.00",
    "-0.5",
    "999999999999999999",
    "-999999999999999999",
    "0.000000000000000001",
];

impl Fixtures {
    /// A ping, lost or answered.
    pub fn ping(&mut self) -> Ping {
        let latency = self.perhaps(LATENCIES);
        let lost = latency.is_none();
        Ping {
            target: self.name(),
            time: Timestamp(self.moment()),
            latency,
            success: !lost,
            ttl: self.perhaps(&[64, 255]),
            packet_size: Some(56),
            sequence: self.perhaps(&[1, i64::MAX as u64]),
            jitter: self.perhaps(&[1_000, 7, i64::MAX as u64]),
            error: lost.then(|| self.word()),
        }
    }

    /// A tick, with one side or both; many share their moment with others.
    pub fn tick(&mut self) -> Tick {
        let [bid, ask, volume] = [self.price(), self.price(), self.price()];
        let sides = self.random.random_range(0..4);
        let (bid, ask) = ((sides != 0).then_some(bid), (sides != 1).then_some(ask));
        let time = self.tick_moment();
        let assigned = if self.random.random() { TickFlags::SEQ_ASSIGNED } else { TickFlags::default() };
        Tick {
            symbol: self.name(),
            time: Timestamp(time),
            seq: self.one_of(&[0, 1, 2, i64::MAX as u64]),
            bid,
            ask,
            volume: self.random.random::<bool>().then_some(volume),
            source: self.word(),
            flags: TickFlags::of_sides(bid, ask).with(assigned),
            received: Timestamp(self.one_of(&[time, time + 250_000, time - 3, 0])),
        }
    }

    /// Any page of ticks; often one that begins behind a tick of `stored`.
    pub(crate) fn tick_query(&mut self, stored: &[Tick]) -> TickQuery {
        let mut known = || stored.choose(&mut self.random).cloned();
        let (symbol, after) = (known().map(|tick| tick.symbol), known().map(|tick| tick.key()));
        let nowhere = self.tick();
        let mut moments = [self.tick_moment(), self.tick_moment() + self.random.random_range(0..2)];
        if self.random.random_ratio(7, 8) {
            moments.sort_unstable();
        }
        let [from, to] = if self.random.random() { moments } else { [i64::MIN, i64::MAX] };
        TickQuery {
            symbol: symbol.filter(|_| self.random.random_ratio(7, 8)).unwrap_or(nowhere.symbol),
            range: TimeRange { from: Timestamp(from), to: Timestamp(to) },
            after: match self.random.random_range(0..4) {
                0 => Some(nowhere.received).map(|time| tallybook_core::TickKey { time, seq: nowhere.seq }),
                1 => after,
                _ => None,
            },
            newest_first: self.random.random(),
            limit: self.any_of(&[0, 1, 2, 5, 1_000, usize::MAX]),
        }
    }

    /// One of the names that is not empty.
    pub(crate) fn name(&mut self) -> Arc<str> {
        let word = self.word();
        if word.is_empty() { "EUR/USD".into() } else { word }
    }

    pub(crate) fn moment(&mut self) -> i64 {
        if self.extremes && self.random.random_ratio(3, 4) {
            return self.any_of(BORDERS);
        }
        self.random.random_range(0..2 * DAY)
    }

    fn tick_moment(&mut self) -> i64 {
        if self.extremes && self.random.random_ratio(1, 16) { LAST_MOMENT } else { self.moment() }
    }

    fn price(&mut self) -> Decimal {
        let text = if self.extremes { self.any_of(PRICES) } else { "1.08500" };
        let price: Decimal = text.parse().expect("every one of PRICES is a decimal number");
        if self.extremes {
            return price;
        }
        Decimal::new(price.mantissa() + self.random.random_range(-500..500), price.scale()).unwrap_or(price)
    }

    fn perhaps<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        self.random.random_ratio(2, 3).then(|| self.one_of(of))
    }

    /// Other than [`Fixtures::one_of`], of all of them also where few are used.
    fn any_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ping_and_no_tick_has_a_defect() {
        for mut fixtures in [Fixtures::odd(1), Fixtures::few(2), Fixtures::plain(3, 10)] {
            for _ in 0..2_000 {
                assert_eq!((fixtures.ping().defect(), fixtures.tick().defect()), (None, None));
            }
        }
    }
}
