//! How a range of time is covered with as few rows as there can be: days, then hours, then minutes, then single pings.

use super::Resolution;
use crate::{TimeRange, Timestamp};

/// A stretch of time and the rows that cover it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingPart {
    /// The length of the buckets; `None` for single pings.
    pub resolution: Option<Resolution>,
    /// What they cover.
    pub range: TimeRange,
}

impl PingPart {
    /// Covers `range`, the earliest part first: seven parts at the most.
    pub fn cover(range: TimeRange) -> Vec<Self> {
        let mut parts = Vec::new();
        cover(range, &[Resolution::Day, Resolution::Hour, Resolution::Minute], &mut parts);
        parts
    }
}

impl Resolution {
    /// The smallest range of whole buckets that holds `range`.
    pub fn around(self, range: TimeRange) -> TimeRange {
        TimeRange { from: self.start(range.from), to: self.start_from(range.to) }
    }

    /// The start of the first bucket that begins at `moment` or later.
    fn start_from(self, moment: Timestamp) -> Timestamp {
        let start = self.start(moment);
        if start == moment { moment } else { Timestamp(start.0.saturating_add(self.nanoseconds())) }
    }
}

fn cover(range: TimeRange, finer: &[Resolution], parts: &mut Vec<PingPart>) {
    if range.from >= range.to {
        return;
    }
    let Some((&resolution, finer)) = finer.split_first() else {
        parts.push(PingPart { resolution: None, range });
        return;
    };
    let whole = TimeRange { from: resolution.start_from(range.from), to: resolution.start(range.to) };
    if whole.from >= whole.to {
        return cover(range, finer, parts);
    }
    cover(TimeRange { from: range.from, to: whole.from }, finer, parts);
    parts.push(PingPart { resolution: Some(resolution), range: whole });
    cover(TimeRange { from: whole.to, to: range.to }, finer, parts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DAY, HOUR};

    const MINUTE: i64 = HOUR / 60;

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange { from: Timestamp(from), to: Timestamp(to) }
    }

    fn part(resolution: Resolution, from: i64, to: i64) -> PingPart {
        PingPart { resolution: Some(resolution), range: range(from, to) }
    }

    #[test]
    fn a_ragged_range_takes_the_coarsest_rows_that_fit() {
        use Resolution::{Day, Hour, Minute};
        let (from, to) = (DAY - 2 * HOUR - MINUTE - 5, 3 * DAY + HOUR + 7);
        let expected = [
            PingPart { resolution: None, range: range(from, DAY - 2 * HOUR - MINUTE) },
            part(Minute, DAY - 2 * HOUR - MINUTE, DAY - 2 * HOUR),
            part(Hour, DAY - 2 * HOUR, DAY),
            part(Day, DAY, 3 * DAY),
            part(Hour, 3 * DAY, 3 * DAY + HOUR),
            PingPart { resolution: None, range: range(3 * DAY + HOUR, to) },
        ];
        assert_eq!(PingPart::cover(range(from, to)), expected);
    }

    #[test]
    fn parts_follow_each_other_without_a_gap_or_an_overlap() {
        for from in [-DAY - 1, -1, 0, 1, MINUTE - 1, HOUR, DAY - MINUTE] {
            for length in [1, MINUTE, MINUTE + 1, HOUR + 3, DAY, DAY + HOUR + MINUTE + 1, 40 * DAY + 1] {
                let parts = PingPart::cover(range(from, from + length));
                assert!(parts.len() <= 7);
                assert_eq!((parts[0].range.from.0, parts[parts.len() - 1].range.to.0), (from, from + length));
                assert!(parts.windows(2).all(|pair| pair[0].range.to == pair[1].range.from));
            }
        }
        assert!(PingPart::cover(range(5, 5)).is_empty());
        assert!(PingPart::cover(range(i64::MIN, i64::MAX)).len() <= 7);
    }

    #[test]
    fn whole_buckets_around_a_range_hold_it() {
        let minutes = Resolution::Minute.around(range(1, MINUTE + 1));
        assert_eq!(minutes, range(0, 2 * MINUTE));
        assert_eq!(Resolution::Minute.around(minutes), minutes);
    }
}
