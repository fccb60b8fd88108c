//! What is odd about a stretch of ticks: nothing is thrown away for it, but somebody should know.

use serde::Serialize;

use super::{Tick, TickFlags};
use crate::Timestamp;

/// Gaps that a report names, the longest of them.
const GAPS_NAMED: usize = 100;

/// A stretch without a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The tick before it.
    pub from: Timestamp,
    /// The tick after it.
    pub to: Timestamp,
    /// Its length in seconds, rounded down.
    pub seconds: i64,
}

/// What was found in the ticks of one symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quality {
    /// Ticks looked at.
    pub ticks: u64,
    /// Only one of bid and ask is there.
    pub one_sided: u64,
    /// The bid is above the ask.
    pub crossed: u64,
    /// A price is zero or negative.
    pub not_positive: u64,
    /// Stamped more than a second later than they arrived.
    pub future: u64,
    /// Stamped more than a minute before they arrived.
    pub late: u64,
    /// Equal to the tick before them in both prices, volume and source.
    pub repeated: u64,
    /// Stretches without a tick that are at least as long as was asked for.
    pub gap_count: u64,
    /// The longest of them, the longest first, 100 at most.
    pub gaps: Vec<Gap>,
    /// The age of the latest tick in seconds, as of now; `None` without any.
    pub stale_seconds: Option<i64>,
}

/// Looks at ticks that come in the order of their keys.
#[derive(Debug)]
pub struct QualityCheck {
    /// In nanoseconds.
    min_gap: i64,
    quality: Quality,
    last: Option<Tick>,
}

const SECOND: i64 = 1_000_000_000;

impl QualityCheck {
    /// Stretches without a tick count as gaps from `min_gap` nanoseconds on.
    pub fn new(min_gap: i64) -> Self {
        Self { min_gap, quality: Quality::default(), last: None }
    }

    /// Looks at the next tick.
    pub fn push(&mut self, tick: &Tick) {
        let quality = &mut self.quality;
        quality.ticks += 1;
        let flags = TickFlags::of_sides(tick.bid, tick.ask);
        quality.one_sided += u64::from(flags.contains(TickFlags::ONE_SIDED));
        quality.crossed += u64::from(flags.contains(TickFlags::CROSSED));
        quality.not_positive += u64::from(flags.contains(TickFlags::NOT_POSITIVE));
        let ahead = tick.time.0.saturating_sub(tick.received.0);
        quality.future += u64::from(ahead > SECOND);
        quality.late += u64::from(ahead < -60 * SECOND);
        if let Some(last) = &self.last {
            let same = last.bid == tick.bid && last.ask == tick.ask && last.volume == tick.volume;
            quality.repeated += u64::from(same && last.source == tick.source);
            let length = tick.time.0.saturating_sub(last.time.0);
            if length >= self.min_gap {
                quality.gap_count += 1;
                quality.gaps.push(Gap { from: last.time, to: tick.time, seconds: length / SECOND });
                if quality.gaps.len() >= 2 * GAPS_NAMED {
                    keep_longest(&mut quality.gaps);
                }
            }
        }
        self.last = Some(tick.clone());
    }

    /// The report as of `now`.
    pub fn finish(mut self, now: Timestamp) -> Quality {
        keep_longest(&mut self.quality.gaps);
        self.quality.stale_seconds = self.last.map(|last| now.0.saturating_sub(last.time.0).max(0) / SECOND);
        self.quality
    }
}

fn keep_longest(gaps: &mut Vec<Gap>) {
    gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.to.0.saturating_sub(gap.from.0)), gap.from));
    gaps.truncate(GAPS_NAMED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_what_is_odd_and_names_the_longest_gaps() {
        let tick = |second: i64, bid: Option<&str>, ask: Option<&str>, received: i64| {
            let price = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let quote = Tick::new("X", Timestamp(second * SECOND), price(bid), price(ask));
            Tick { received: Timestamp(received * SECOND), ..quote }
        };
        let mut check = QualityCheck::new(10 * SECOND);
        for tick in [
            tick(0, Some("1"), Some("2"), 0),
            tick(1, Some("1"), Some("2"), 1),
            tick(21, Some("3"), Some("2"), 0),
            tick(22, Some("-1"), None, 200),
            tick(72, None, Some("0"), 72),
        ] {
            check.push(&tick);
        }
        let quality = check.finish(Timestamp(100 * SECOND));
        let Quality { ticks, one_sided, crossed, not_positive, future, late, repeated, gap_count, gaps, stale_seconds } =
            quality;
        assert_eq!((ticks, one_sided, crossed, not_positive), (5, 2, 1, 2));
        assert_eq!((future, late, repeated, gap_count), (1, 1, 1, 2));
        assert_eq!(gaps.iter().map(|gap| gap.seconds).collect::<Vec<_>>(), [50, 20]);
        assert_eq!(stale_seconds, Some(28));
    }
}
