//! What pings come to over any time.

use super::{Ping, PingBucket, Resolution};
use crate::Histogram;

/// The sums of many pings, from which shares, averages and percentiles are read. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PingSummary {
    count: u64,
    lost: u64,
    sum: u64,
    sum_squares: u64,
    min: Option<u64>,
    max: Option<u64>,
    jitter_sum: u64,
    jitter_count: u64,
    latencies: Histogram,
}

impl PingSummary {
    /// Adds a bucket.
    pub fn add_bucket(&mut self, bucket: &PingBucket) {
        self.count = self.count.saturating_add(bucket.count);
        self.lost = self.lost.saturating_add(bucket.lost);
        self.sum = self.sum.saturating_add(bucket.sum);
        self.sum_squares = self.sum_squares.saturating_add(bucket.sum_squares);
        self.min = self.min.into_iter().chain(bucket.min).min();
        self.max = self.max.max(bucket.max);
        self.jitter_sum = self.jitter_sum.saturating_add(bucket.jitter_sum);
        self.jitter_count = self.jitter_count.saturating_add(bucket.jitter_count);
        self.latencies.unite(&bucket.latencies);
    }

    /// Adds a ping.
    pub fn add_ping(&mut self, ping: &Ping) {
        self.add_bucket(&PingBucket::of(Resolution::Minute, ping));
    }

    /// Pings.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Pings that were not answered.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The share of pings that were not answered, in percent; `None` without pings.
    pub fn loss(&self) -> Option<f64> {
        ratio(self.lost, self.count).map(|lost| 100.0 * lost)
    }

    /// The share of pings that were answered, in percent; `None` without pings.
    pub fn uptime(&self) -> Option<f64> {
        ratio(self.count.saturating_sub(self.lost), self.count).map(|answered| 100.0 * answered)
    }

    /// The smallest latency.
    pub fn min(&self) -> Option<u64> {
        self.min
    }

    /// The greatest latency.
    pub fn max(&self) -> Option<u64> {
        self.max
    }

    /// The average latency.
    pub fn average(&self) -> Option<f64> {
        ratio(self.sum, self.answered())
    }

    /// The standard deviation of the latencies.
    pub fn deviation(&self) -> Option<f64> {
        let average = self.average()? / 1_000.0;
        let variance = ratio(self.sum_squares, self.answered())? - average * average;
        // What was rounded off the squares may leave less than nothing.
        Some(variance.max(0.0).sqrt() * 1_000.0)
    }

    /// The latency that this share of the answers (0 to 1) does not exceed, within 1 % and never outside the extremes.
    pub fn percentile(&self, share: f64) -> Option<u64> {
        let latency = self.latencies.quantile(share)?;
        Some(latency.clamp(self.min.unwrap_or(0), self.max.unwrap_or(u64::MAX)))
    }

    /// The average of the jitters.
    pub fn jitter(&self) -> Option<f64> {
        ratio(self.jitter_sum, self.jitter_count)
    }

    fn answered(&self) -> u64 {
        self.count.saturating_sub(self.lost)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    const MS: u64 = 1_000_000;

    fn ping(second: i64, latency: Option<u64>, jitter: Option<u64>) -> Ping {
        Ping { jitter, ..Ping::new("a", Timestamp(second * 1_000_000_000), latency) }
    }

    #[test]
    fn sums_of_buckets_and_of_pings_are_the_same() {
        let pings: Vec<Ping> = (0..200_i64)
            .map(|at| {
                let latency = (at % 10 != 0).then_some(MS * (1 + at.unsigned_abs() % 50));
                ping(at, latency, latency.map(|_| 1_000))
            })
            .collect();
        let (mut single, mut summed) = (PingSummary::default(), PingSummary::default());
        for ping in &pings {
            single.add_ping(ping);
        }
        let plan = super::super::PingPlan::new(&pings, []);
        plan.buckets.iter().filter(|b| b.resolution == Resolution::Minute).for_each(|b| summed.add_bucket(b));
        assert_eq!(single, summed);
        assert_eq!((single.count(), single.lost(), single.loss(), single.uptime()), (200, 20, Some(10.0), Some(90.0)));
        assert_eq!(single.jitter(), Some(1_000.0));
    }

    #[test]
    fn percentiles_are_within_one_percent_and_inside_the_extremes() {
        let mut summary = PingSummary::default();
        (1..=1_000_i64).for_each(|at| summary.add_ping(&ping(at, Some(MS * at.unsigned_abs()), None)));
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (0.0, 1.0), (1.0, 1_000.0)] {
            let found = summary.percentile(share).unwrap() as f64 / MS as f64;
            assert!((found - exact).abs() <= 0.011 * exact + 0.5, "{share}: {found}");
            assert!((1.0..=1_000.0).contains(&found), "{share}: {found}");
        }
        assert_eq!((summary.average(), summary.min(), summary.max()), (Some(500.5e6), Some(MS), Some(1_000 * MS)));
        let deviation = summary.deviation().unwrap() / MS as f64;
        assert!((deviation - 288.675).abs() < 0.01, "{deviation}");
    }

    #[test]
    fn nothing_has_no_average_and_only_losses_have_no_latency() {
        let mut summary = PingSummary::default();
        assert_eq!((summary.loss(), summary.average(), summary.percentile(0.5)), (None, None, None));
        summary.add_ping(&ping(1, None, None));
        assert_eq!((summary.uptime(), summary.average(), summary.deviation()), (Some(0.0), None, None));
        assert_eq!((summary.percentile(0.5), summary.min(), summary.jitter()), (None, None, None));
    }

    #[test]
    fn equal_latencies_deviate_by_nothing() {
        let mut summary = PingSummary::default();
        (0..3).for_each(|at| summary.add_ping(&ping(at, Some(12_345_678), None)));
        assert!(summary.deviation().unwrap() < 2_000.0);
    }
}
