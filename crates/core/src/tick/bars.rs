//! Bars (open, high, low, close) of any length, made from ticks when they are asked for: nothing is kept that could differ.

use serde::{Deserialize, Serialize};

use super::Tick;
use crate::{Decimal, Timestamp};

/// Which price of a quote a bar is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Price {
    /// The middle between bid and ask.
    #[default]
    Mid,
    /// The bid.
    Bid,
    /// The ask.
    Ask,
}

/// How the volume of a bar is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Volume {
    /// The number of ticks.
    #[default]
    Count,
    /// The sum of the ticks' volumes.
    Sum,
}

/// What the ticks of one symbol come to in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Its first moment.
    pub time: Timestamp,
    /// The price of the earliest tick.
    pub open: Decimal,
    /// The greatest price.
    pub high: Decimal,
    /// The smallest price.
    pub low: Decimal,
    /// The price of the latest tick.
    pub close: Decimal,
    /// Ticks, or their volumes.
    pub volume: Decimal,
}

impl Price {
    /// This price of a tick; a one-sided quote has no middle.
    pub fn of(self, tick: &Tick) -> Option<Decimal> {
        match self {
            Self::Mid => tick.bid?.mid(tick.ask?),
            Self::Bid => tick.bid,
            Self::Ask => tick.ask,
        }
    }
}

/// Makes bars from ticks that come in the order of their keys, page by page.
#[derive(Debug)]
pub struct Bars {
    /// In nanoseconds.
    length: i64,
    price: Price,
    volume: Volume,
    open: Option<Bar>,
}

impl Bars {
    /// Bars that last `length` nanoseconds, at least 1, from the Unix epoch on: those of a day begin at midnight UTC.
    pub fn new(length: i64, price: Price, volume: Volume) -> Self {
        Self { length: length.max(1), price, volume, open: None }
    }

    /// Adds a tick; gives the bar before, when the tick begins another. A tick without the price is passed over.
    pub fn push(&mut self, tick: &Tick) -> Option<Bar> {
        let price = self.price.of(tick)?;
        let volume = match self.volume {
            Volume::Count => Decimal::ONE,
            Volume::Sum => tick.volume.unwrap_or(Decimal::ZERO),
        };
        let time = Timestamp(tick.time.0.saturating_sub(tick.time.0.rem_euclid(self.length)));
        if let Some(bar) = self.open.as_mut().filter(|bar| bar.time == time) {
            bar.close = price;
            if price.value_cmp(bar.high).is_gt() {
                bar.high = price;
            }
            if price.value_cmp(bar.low).is_lt() {
                bar.low = price;
            }
            // Past 18 digits it stays where it is.
            bar.volume = bar.volume.checked_add(volume).unwrap_or(bar.volume);
            return None;
        }
        self.open.replace(Bar { time, open: price, high: price, low: price, close: price, volume })
    }

    /// The last bar.
    pub fn finish(self) -> Option<Bar> {
        self.open
    }
}

/// Reads `1m`, `5m`, `15m`, `30m`, `1h`, `4h`, `1d` (also `M1` … `D1`), any number of `s`, `m`, `h`, `d` or `w`, or plain seconds;
/// gives nanoseconds. `None` when it is none of them, or nothing, or longer than a year.
pub fn parse_timeframe(text: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    let unit = |letter: u8| match letter.to_ascii_lowercase() {
        b's' => Some(SECOND),
        b'm' => Some(60 * SECOND),
        b'h' => Some(3_600 * SECOND),
        b'd' => Some(86_400 * SECOND),
        b'w' => Some(7 * 86_400 * SECOND),
        _ => None,
    };
    let (number, unit) = match text.as_bytes() {
        [b'0'..=b'9', .., letter] if letter.is_ascii_alphabetic() => (&text[..text.len() - 1], unit(*letter)?),
        [letter, b'0'..=b'9', ..] if letter.is_ascii_alphabetic() => (&text[1..], unit(*letter)?),
        _ => (text, SECOND),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length = number.parse::<i64>().ok()?.checked_mul(unit)?;
    (length > 0 && length <= 366 * 86_400 * SECOND).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(second: i64, bid: &str, ask: &str) -> Tick {
        let price = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let quote = Tick::new("EURUSD", Timestamp(second * 1_000_000_000), price(bid), price(ask));
        Tick { volume: price("0.5"), ..quote }
    }

    fn bars(ticks: &[Tick], length: &str, price: Price, volume: Volume) -> Vec<Bar> {
        let mut bars = Bars::new(parse_timeframe(length).unwrap(), price, volume);
        let mut done: Vec<Bar> = ticks.iter().filter_map(|tick| bars.push(tick)).collect();
        done.extend(bars.finish());
        done
    }

    #[test]
    fn a_bar_holds_the_first_greatest_smallest_and_last_price_exactly() {
        let ticks = [tick(60, "1.10", "1.12"), tick(61, "1.30", "1.32"), tick(62, "1.00", "1.02"), tick(121, "1", "2")];
        let made = bars(&ticks, "1m", Price::Mid, Volume::Count);
        assert_eq!(made.len(), 2);
        let shown = |bar: &Bar| [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|price| price.to_string());
        assert_eq!(shown(&made[0]), ["1.11", "1.31", "1.01", "1.01", "3"]);
        assert_eq!(shown(&made[1]), ["1.5", "1.5", "1.5", "1.5", "1"]);
        assert_eq!(made[1].time, Timestamp(120_000_000_000));
        assert_eq!(bars(&ticks, "60", Price::Ask, Volume::Sum)[0].volume.to_string(), "1.5");
        assert!(bars(&[], "1d", Price::Mid, Volume::Count).is_empty());
    }

    #[test]
    fn a_one_sided_quote_has_no_middle_but_one_price() {
        let ticks = [tick(0, "1.1", ""), tick(1, "", "1.3")];
        assert!(bars(&ticks, "M1", Price::Mid, Volume::Count).is_empty());
        assert_eq!(bars(&ticks, "M1", Price::Bid, Volume::Count)[0].close.to_string(), "1.1");
        assert_eq!(bars(&ticks, "M1", Price::Ask, Volume::Count)[0].open.to_string(), "1.3");
    }

    #[test]
    fn timeframes_are_named_in_several_ways() {
        for (text, seconds) in [("1m", 60), ("M5", 300), ("h4", 14_400), ("1d", 86_400), ("90", 90), ("2w", 1_209_600)]
        {
            assert_eq!(parse_timeframe(text), Some(seconds * 1_000_000_000), "{text}");
        }
        for text in ["", "0", "m", "1x", "-1m", "1.5h", "99999999999999999999", "é1", "1é", "400d"] {
            assert_eq!(parse_timeframe(text), None, "{text}");
        }
    }
}
