//! What the pings of one host come to.

use tallybook_core::{Ping, PingSummary};

/// Sums over all pings of one host, however many; latencies in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) summary: PingSummary,
    /// Of the last ping; absent when it was lost.
    pub(crate) last: Option<u64>,
    /// Of the last ping that has one.
    pub(crate) jitter: Option<u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, ping: &Ping) {
        self.summary.add_ping(ping);
        self.last = ping.latency;
        self.jitter = ping.jitter.or(self.jitter);
    }

    pub(crate) fn answered(&self) -> u64 {
        self.summary.count() - self.summary.lost()
    }

    /// 0 before the first ping.
    pub(crate) fn lost_percent(&self) -> f64 {
        self.summary.loss().unwrap_or(0.0)
    }

    /// The smallest, the average, the 95th percentile and the greatest.
    pub(crate) fn latencies(&self) -> [Option<u64>; 4] {
        let Self { summary, .. } = self;
        let average = summary.average().map(|average| average.round() as u64);
        [summary.min(), average, summary.percentile(0.95), summary.max()]
    }
}

#[cfg(test)]
mod tests {
    use tallybook_core::Timestamp;

    use super::*;

    fn ping(latency: Option<u64>) -> Ping {
        Ping::new("a", Timestamp(0), latency)
    }

    #[test]
    fn a_host_that_never_answered_has_no_latencies() {
        let mut tally = Tally::default();
        assert!(tally.lost_percent().abs() < f64::EPSILON);
        tally.add(&ping(None));
        assert_eq!((tally.summary.count(), tally.answered()), (1, 0));
        assert_eq!((tally.latencies(), tally.last), ([None; 4], None));
        assert!((tally.lost_percent() - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn sums_are_over_the_answers_alone() {
        let mut tally = Tally::default();
        for latency in (1..=100).map(|at| Some(at * 1_000)).chain([None]) {
            tally.add(&ping(latency));
        }
        assert_eq!((tally.summary.count(), tally.answered(), tally.last), (101, 100, None));
        let [min, average, p95, max] = tally.latencies();
        assert_eq!([min, average, max], [Some(1_000), Some(50_500), Some(100_000)]);
        assert!(p95.is_some_and(|p95| p95.abs_diff(95_000) < 1_500), "{p95:?}");
    }
}
