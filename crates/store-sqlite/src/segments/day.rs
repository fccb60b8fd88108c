//! The UTC day that a segment holds, and the names of its files.

use std::fmt;
use std::path::{Path, PathBuf};

use tallybook_core::{DAY, TickKey, TimeRange, Timestamp};

/// A UTC day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

/// What is in front of every `seq`, so that `(time, BEFORE_ANY)` stands before all ticks of that moment.
const BEFORE_ANY: i64 = -1;

impl Day {
    pub(crate) fn of(time: Timestamp) -> Self {
        Self(time.0.div_euclid(DAY))
    }

    /// Its first moment.
    pub(crate) fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(DAY))
    }

    /// The first moment after it.
    pub(crate) fn end(self) -> Timestamp {
        Timestamp(self.start().0.saturating_add(DAY))
    }

    pub(crate) fn range(self) -> TimeRange {
        TimeRange { from: self.start(), to: self.end() }
    }

    /// A moment as nanoseconds since the start of the day, held at the day's bounds.
    pub(crate) fn offset(self, time: Timestamp) -> i64 {
        time.0.saturating_sub(self.start().0).clamp(-1, DAY)
    }

    /// Reads `2026-11-24`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let start = Timestamp::parse(&format!("{text}T00:00:00Z"))?;
        (Self::of(start).to_string() == text).then(|| Self::of(start))
    }

    /// Its files below `root`, without their extension: `YYYY/MM/ticks_YYYY-MM-DD`.
    pub(crate) fn stem(self, root: &Path) -> PathBuf {
        let date = self.to_string();
        let (year, month) = (date.get(..4).unwrap_or_default(), date.get(5..7).unwrap_or_default());
        root.join(year).join(month).join(format!("ticks_{date}"))
    }
}

/// `2026-11-24`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start().to_string();
        f.write_str(start.split('T').next().unwrap_or_default())
    }
}

/// A place between two ticks of a symbol, in the terms of one day.
pub(crate) type Bound = (i64, i64);

/// Where a range begins in `day`: every tick of it is greater.
pub(crate) fn lower_bound(day: Day, from: Timestamp, after: Option<TickKey>) -> Bound {
    let start = (day.offset(from), BEFORE_ANY);
    after.map_or(start, |key| start.max(bound_of(day, key, i64::MAX)))
}

/// Where a range ends in `day`: every tick of it is less.
pub(crate) fn upper_bound(day: Day, to: Timestamp, before: Option<TickKey>) -> Bound {
    let end = (day.offset(to), BEFORE_ANY);
    before.map_or(end, |key| end.min(bound_of(day, key, i64::MIN)))
}

/// A key of another day is as good as the end of this one; `beyond` stands for its `seq`.
fn bound_of(day: Day, key: TickKey, beyond: i64) -> Bound {
    let seq = if Day::of(key.time) == day { i64::try_from(key.seq).unwrap_or(i64::MAX) } else { beyond };
    (day.offset(key.time), seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_by_its_date_and_read_from_it() {
        let day = Day::of(Timestamp(1_700_000_000_123_456_789));
        assert_eq!(day.to_string(), "2023-11-14");
        assert_eq!(Day::parse("2023-11-14"), Some(day));
        assert_eq!(day.stem(Path::new("ticks")), Path::new("ticks/2023/11/ticks_2023-11-14"));
        for text in ["2023-11-31", "2023-1-14", "2023-11-14T00", "yesterday"] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_hold_the_range_and_the_key_of_whatever_day() {
        let day = Day(10);
        let key = |days: i64, offset: i64| Some(TickKey { time: Timestamp(days * DAY + offset), seq: 4 });
        assert_eq!(lower_bound(day, Timestamp(i64::MIN), None), (-1, -1));
        assert_eq!(lower_bound(day, day.start(), key(9, 5)), (0, -1));
        assert_eq!(lower_bound(day, day.start(), key(10, 5)), (5, 4));
        assert_eq!(upper_bound(day, Timestamp(i64::MAX), key(10, 5)), (5, 4));
        assert_eq!(upper_bound(day, day.end(), key(11, 5)), (DAY, i64::MIN));
    }
}
