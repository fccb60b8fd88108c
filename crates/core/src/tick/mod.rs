//! The tick family: quotes of a price feed, every one of them, exactly as they were sent.

mod bars;
mod quality;
mod store;

use std::sync::Arc;

use crate::{Decimal, Timestamp};

pub use bars::{Bar, Bars, Price, Volume, parse_timeframe};
pub use quality::{Gap, Quality, QualityCheck};
pub use store::{Segment, SymbolSummary, TickQuery, TickStore};

/// A quote. Its identity is `(symbol, time, seq)`: feeds send several in the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// What is quoted.
    pub symbol: Arc<str>,
    /// When, by the producer's clock; decides the day the tick belongs to.
    pub time: Timestamp,
    /// Tells ticks of the same symbol and time apart: the producer's number, or one that was assigned on arrival. At
    /// most [`Tick::MAX_SEQ`].
    pub seq: u64,
    /// What buyers pay; absent in a one-sided quote.
    pub bid: Option<Decimal>,
    /// What sellers ask; absent in a one-sided quote.
    pub ask: Option<Decimal>,
    /// How much, where the feed says so.
    pub volume: Option<Decimal>,
    /// Who quotes (`lp`, the liquidity provider); empty where the feed does not say.
    pub source: Arc<str>,
    /// What is special about it.
    pub flags: TickFlags,
    /// When it arrived here.
    pub received: Timestamp,
}

/// What is special about a [`Tick`]: a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TickFlags(pub u8);

/// Times that a segment can be named after, and that a sum of time cannot pass: 1970 until 2200.
pub(crate) const TIMES: std::ops::Range<i64> = 0..7_258_118_400_000_000_000;

impl TickFlags {
    /// Only one of bid and ask is there.
    pub const ONE_SIDED: Self = Self(1);
    /// The bid is above the ask.
    pub const CROSSED: Self = Self(2);
    /// A price is zero or negative.
    pub const NOT_POSITIVE: Self = Self(4);
    /// `seq` was assigned on arrival, not sent by the producer.
    pub const SEQ_ASSIGNED: Self = Self(8);

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (Self::ONE_SIDED, "one_sided"),
            (Self::CROSSED, "crossed"),
            (Self::NOT_POSITIVE, "not_positive"),
            (Self::SEQ_ASSIGNED, "seq_assigned"),
        ];
        all.into_iter().filter(move |&(flag, _)| self.contains(flag)).map(|(_, name)| name)
    }

    /// What two sides of a quote say of it.
    pub fn of_sides(bid: Option<Decimal>, ask: Option<Decimal>) -> Self {
        let mut flags = Self::default();
        match (bid, ask) {
            (Some(bid), Some(ask)) if bid.value_cmp(ask).is_gt() => flags = flags.with(Self::CROSSED),
            (Some(_), Some(_)) => {}
            _ => flags = flags.with(Self::ONE_SIDED),
        }
        if [bid, ask].into_iter().flatten().any(|price| price.mantissa() <= 0) {
            flags = flags.with(Self::NOT_POSITIVE);
        }
        flags
    }
}

/// The place of a tick among those of its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TickKey {
    /// When, by the producer's clock.
    pub time: Timestamp,
    /// Which one of that moment.
    pub seq: u64,
}

impl Tick {
    /// The longest symbol or source, in bytes.
    pub const MAX_NAME_BYTES: usize = 255;
    /// The greatest `seq`: every backend keeps it as a signed integer.
    pub const MAX_SEQ: u64 = i64::MAX as u64;

    /// A quote that has no number yet and arrives as it is made; with what its sides say of it, of no known source.
    pub fn new(symbol: impl Into<Arc<str>>, time: Timestamp, bid: Option<Decimal>, ask: Option<Decimal>) -> Self {
        Self {
            symbol: symbol.into(),
            time,
            seq: 0,
            bid,
            ask,
            volume: None,
            source: "".into(),
            flags: TickFlags::of_sides(bid, ask).with(TickFlags::SEQ_ASSIGNED),
            received: time,
        }
    }

    /// The same with its producer's number.
    pub fn numbered(self, seq: u64) -> Self {
        Self { seq, flags: TickFlags(self.flags.0 & !TickFlags::SEQ_ASSIGNED.0), ..self }
    }

    /// Its place among the ticks of its symbol.
    pub fn key(&self) -> TickKey {
        TickKey { time: self.time, seq: self.seq }
    }

    /// `ask - bid`, where both are there.
    pub fn spread(&self) -> Option<Decimal> {
        self.ask?.checked_sub(self.bid?)
    }

    /// Why it cannot be stored, where that is so.
    pub fn defect(&self) -> Option<&'static str> {
        match () {
            () if self.symbol.is_empty() => Some("the symbol is empty"),
            () if self.symbol.len() > Self::MAX_NAME_BYTES => Some("the symbol is longer than 255 bytes"),
            () if self.source.len() > Self::MAX_NAME_BYTES => Some("the source is longer than 255 bytes"),
            () if self.symbol.contains('\0') || self.source.contains('\0') => Some("a name holds a zero byte"),
            () if self.bid.is_none() && self.ask.is_none() => Some("neither bid nor ask is there"),
            () if self.seq > Self::MAX_SEQ => Some("seq is greater than 2^63 - 1"),
            () if !TIMES.contains(&self.time.0) => Some("the time lies outside of 1970 to 2200"),
            () => None,
        }
    }
}
