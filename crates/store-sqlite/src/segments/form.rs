//! What a tick is in its row: numbers of its own, and a form that it shares with most others of the file.

use std::sync::Arc;

use rusqlite::Row;
use tallybook_core::{Decimal, DecimalError, Tick, TickFlags, Timestamp};

/// By scale.
const POWERS_OF_TEN: [i64; Decimal::MAX_DIGITS as usize + 1] = {
    let mut powers = [1; Decimal::MAX_DIGITS as usize + 1];
    let mut scale = 1;
    while scale < powers.len() {
        powers[scale] = 10 * powers[scale - 1];
        scale += 1;
    }
    powers
};

/// What few ticks differ in, beside their source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    flags: u8,
    /// `10^scale` of each price; 0 where it is absent.
    pub(crate) bid_divisor: i64,
    pub(crate) ask_divisor: i64,
    pub(crate) volume_divisor: i64,
}

/// The columns of `tick` that are the tick's own, behind `symbol` and `ts`: `seq`, then (`form` between) these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) bid: i64,
    pub(crate) ask: i64,
    pub(crate) volume: i64,
    pub(crate) received: i64,
}

impl Form {
    pub(crate) fn of(tick: &Tick) -> Self {
        let divisor = |price: Option<Decimal>| price.map_or(0, |price| POWERS_OF_TEN[usize::from(price.scale())]);
        Self {
            flags: tick.flags.0,
            bid_divisor: divisor(tick.bid),
            ask_divisor: divisor(tick.ask),
            volume_divisor: divisor(tick.volume),
        }
    }

    pub(crate) fn flags(self) -> i64 {
        i64::from(self.flags)
    }

    /// From the columns `flags, bid_divisor, ask_divisor, volume_divisor`, starting at `first`.
    pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            flags: row.get(first)?,
            bid_divisor: row.get(first + 1)?,
            ask_divisor: row.get(first + 2)?,
            volume_divisor: row.get(first + 3)?,
        })
    }

    /// Whether `ask` counts from `bid`.
    fn is_relative(self) -> bool {
        self.bid_divisor == self.ask_divisor
    }

    /// The numbers of a tick of this form.
    pub(crate) fn numbers(self, tick: &Tick) -> Numbers {
        let mantissa = |price: Option<Decimal>| price.map_or(0, Decimal::mantissa);
        let (bid, ask) = (mantissa(tick.bid), mantissa(tick.ask));
        Numbers {
            bid,
            ask: if self.is_relative() { ask - bid } else { ask },
            volume: mantissa(tick.volume),
            received: tick.received.0.wrapping_sub(tick.time.0),
        }
    }

    /// The tick of this form that has these numbers; `None` where no tick has.
    pub(crate) fn tick(
        self,
        symbol: &Arc<str>,
        source: &Arc<str>,
        time: Timestamp,
        seq: i64,
        numbers: Numbers,
    ) -> Option<Tick> {
        let Numbers { bid, ask, volume, received } = numbers;
        let ask = if self.is_relative() { bid.checked_add(ask)? } else { ask };
        Some(Tick {
            symbol: symbol.clone(),
            time,
            seq: u64::try_from(seq).ok()?,
            bid: price(bid, self.bid_divisor).ok()?,
            ask: price(ask, self.ask_divisor).ok()?,
            volume: price(volume, self.volume_divisor).ok()?,
            source: source.clone(),
            flags: TickFlags(self.flags),
            received: Timestamp(time.0.wrapping_add(received)),
        })
    }
}

/// Nothing for an absent one.
fn price(mantissa: i64, divisor: i64) -> Result<Option<Decimal>, DecimalError> {
    if divisor == 0 {
        return Ok(None);
    }
    let scale = divisor.checked_ilog10().and_then(|scale| u8::try_from(scale).ok()).ok_or(DecimalError::TooLong)?;
    Decimal::new(mantissa, scale).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_comes_back_exactly_whatever_its_prices() {
        let prices = ["1.08500", "1.0851", "-999999999999999999", "999999999999999999", "0.000000000000000001", "0"];
        let mut prices: Vec<Option<Decimal>> = prices.iter().map(|text| Some(text.parse().unwrap())).collect();
        prices.push(None);
        for (bid, ask) in prices.iter().flat_map(|bid| prices.iter().map(move |ask| (*bid, *ask))) {
            for received in [i64::MIN, 0, 70, i64::MAX] {
                let tick = Tick {
                    symbol: "EURUSD".into(),
                    time: Timestamp(50),
                    seq: Tick::MAX_SEQ,
                    bid,
                    ask,
                    volume: ask,
                    source: "lp".into(),
                    flags: TickFlags::of_sides(bid, ask),
                    received: Timestamp(received),
                };
                let form = Form::of(&tick);
                let back = form.tick(&tick.symbol, &tick.source, tick.time, i64::MAX, form.numbers(&tick));
                assert_eq!(back.as_ref(), Some(&tick));
            }
        }
    }
}
