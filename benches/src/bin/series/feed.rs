//! A price feed that is the same in every run: random walks with µs stamps.

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook_core::{Ack, Batch, BatchId, DAY, Decimal, Records, SourceId, Tick, TickFlags, Timestamp};

/// Of the whole feed in most parts.
pub(crate) const SYMBOLS: usize = 128;
/// From a tick of a symbol to its next, in nanoseconds.
pub(crate) const GAP: i64 = 1_500_000_000;
const PLACES: u8 = 5;

/// Ticks that go round the symbols, each with its own price.
pub(crate) struct Feed {
    symbols: Vec<(Arc<str>, i64)>,
    source: Arc<str>,
    random: SmallRng,
    /// When the next tick comes, before it is early or late by chance.
    time: i64,
    /// From a tick to the next, of whatever symbol.
    step: i64,
    seq: u64,
}

impl Feed {
    /// The `symbols` of these numbers from `start` on, each with a tick every `gap` nanoseconds.
    pub(crate) fn new(symbols: std::ops::Range<usize>, start: Timestamp, gap: i64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(symbols.start as u64),
            step: gap / symbols.len() as i64,
            symbols: symbols.map(|number| (format!("PAIR{number:03}").into(), 108_500)).collect(),
            source: "lp-1".into(),
            time: start.0,
            seq: 0,
        }
    }

    /// The next ticks.
    pub(crate) fn take_ticks(&mut self, count: usize) -> Vec<Tick> {
        self.by_ref().take(count).collect()
    }
}

impl Iterator for Feed {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        let place = self.seq as usize % self.symbols.len();
        let (symbol, price) = &mut self.symbols[place];
        *price += self.random.random_range(-5..=5);
        let (bid, ask) = (*price, *price + self.random.random_range(10..20));
        let time = self.time + self.random.random_range(0..self.step / 1_000) * 1_000;
        self.time += self.step;
        self.seq += 1;
        let price = |mantissa| Decimal::new(mantissa, PLACES).ok();
        Some(Tick {
            symbol: symbol.clone(),
            time: Timestamp(time),
            seq: self.seq,
            bid: price(bid),
            ask: price(ask),
            volume: None,
            source: self.source.clone(),
            flags: TickFlags::default(),
            received: Timestamp(time + self.random.random_range(200_000..3_200_000)),
        })
    }
}

/// The first moment of a day that is so many days ago.
pub(crate) fn days_ago(days: i64) -> Timestamp {
    Timestamp::now().day().earlier(days * DAY)
}

/// A batch of ticks alone.
pub(crate) fn batch(source: SourceId, seq: u64, ticks: Vec<Tick>) -> Arc<Batch> {
    let records = Records { ticks, ..Records::default() };
    Arc::new(Batch { id: BatchId { source, seq }, ack: Ack::Written, records })
}
