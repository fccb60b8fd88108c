//! When in the week a target is slow or lost: its pings by weekday and hour.

use super::{PingBucket, Resolution};
use crate::{DAY, HOUR, Timestamp};

/// What the pings of one hour of the week come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeatCell {
    /// Pings.
    pub count: u64,
    /// Pings that were not answered.
    pub lost: u64,
    /// The sum of all latencies, in nanoseconds.
    pub sum: u64,
    /// The greatest latency, in nanoseconds.
    pub max: Option<u64>,
}

/// Pings by weekday and hour, at a fixed distance from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatMap {
    offset: i64,
    cells: [[HeatCell; 24]; 7],
}

impl HeatMap {
    /// An empty one for clocks that are `offset_minutes` ahead of UTC.
    pub fn new(offset_minutes: i32) -> Self {
        Self { offset: i64::from(offset_minutes) * (HOUR / 60), cells: Default::default() }
    }

    /// The longest buckets that do not straddle its hours.
    pub fn resolution(&self) -> Resolution {
        if self.offset % HOUR == 0 { Resolution::Hour } else { Resolution::Minute }
    }

    /// Adds a bucket of that length.
    pub fn add_bucket(&mut self, bucket: &PingBucket) {
        let (weekday, hour) = self.place(bucket.start);
        let cell = &mut self.cells[weekday][hour];
        cell.count = cell.count.saturating_add(bucket.count);
        cell.lost = cell.lost.saturating_add(bucket.lost);
        cell.sum = cell.sum.saturating_add(bucket.sum);
        cell.max = cell.max.max(bucket.max);
    }

    /// By weekday from Monday on, then by hour.
    pub fn cells(&self) -> &[[HeatCell; 24]; 7] {
        &self.cells
    }

    fn place(&self, moment: Timestamp) -> (usize, usize) {
        let local = moment.0.saturating_add(self.offset);
        // The epoch began on a Thursday.
        let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7);
        (weekday as usize, (local.rem_euclid(DAY) / HOUR) as usize)
    }
}

impl HeatCell {
    /// The average latency in nanoseconds; `None` without an answer.
    pub fn average(&self) -> Option<f64> {
        let answered = self.count.saturating_sub(self.lost);
        (answered > 0).then(|| self.sum as f64 / answered as f64)
    }

    /// The share of pings that were not answered, in percent; `None` without pings.
    pub fn loss(&self) -> Option<f64> {
        (self.count > 0).then(|| 100.0 * self.lost as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Tuesday.
    const TUESDAY_22_H: i64 = 19_675 * DAY + 22 * HOUR;

    #[test]
    fn an_hour_of_the_week_follows_the_clock_it_is_asked_for() {
        for (minutes, moment, expected) in [
            (0, TUESDAY_22_H, (1, 22)),
            (120, TUESDAY_22_H, (2, 0)),
            (-23 * 60, TUESDAY_22_H, (0, 23)),
            (330, TUESDAY_22_H + HOUR / 2, (2, 4)),
            (0, -1, (2, 23)),
            (0, i64::MAX, (4, 23)),
        ] {
            assert_eq!(HeatMap::new(minutes).place(Timestamp(moment)), expected, "{minutes} {moment}");
        }
    }

    #[test]
    fn only_whole_hours_from_utc_can_take_hourly_buckets() {
        assert_eq!(HeatMap::new(-300).resolution(), Resolution::Hour);
        assert_eq!(HeatMap::new(330).resolution(), Resolution::Minute);
    }

    #[test]
    fn buckets_of_the_same_hour_of_the_week_add_up() {
        let bucket = |week: i64, lost| PingBucket {
            resolution: Resolution::Hour,
            start: Timestamp(TUESDAY_22_H + 7 * week * DAY),
            target: "a".into(),
            count: 4,
            lost,
            sum: 3_000,
            sum_squares: 0,
            min: Some(900),
            max: Some(1_100),
            jitter_sum: 0,
            jitter_count: 0,
            ttl: None,
            latencies: std::sync::Arc::default(),
        };
        let mut map = HeatMap::new(0);
        map.add_bucket(&bucket(0, 1));
        map.add_bucket(&bucket(1, 2));
        let cell = map.cells()[1][22];
        assert_eq!((cell.count, cell.lost, cell.loss(), cell.average()), (8, 3, Some(37.5), Some(1_200.0)));
        assert_eq!(map.cells()[1][21].average(), None);
    }
}
