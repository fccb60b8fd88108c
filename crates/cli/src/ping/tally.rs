//! What the pings of one host come to.

use tallybook_core::{Histogram, Ping};

/// Sums over all pings of one host, however many; latencies in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Of the last ping; absent when it was lost.
    pub(crate) last: Option<u64>,
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
    pub(crate) jitter: Option<u64>,
    sum: u128,
    latencies: Histogram,
}

impl Tally {
    pub(crate) fn add(&mut self, ping: &Ping) {
        self.sent += 1;
        self.last = ping.latency;
        self.jitter = ping.jitter.or(self.jitter);
        let Some(latency) = ping.latency else { return };
        self.answered += 1;
        self.min = Some(self.min.map_or(latency, |min| min.min(latency)));
        self.max = self.max.max(Some(latency));
        self.sum += u128::from(latency);
        self.latencies.insert(latency);
    }

    pub(crate) fn lost_percent(&self) -> f64 {
        100.0 * (self.sent - self.answered) as f64 / self.sent.max(1) as f64
    }

    pub(crate) fn average(&self) -> Option<u64> {
        let average = self.sum.checked_div(u128::from(self.answered))?;
        u64::try_from(average).ok()
    }

    /// Within 1 %, and never outside what was measured.
    pub(crate) fn p95(&self) -> Option<u64> {
        Some(self.latencies.quantile(0.95)?.clamp(self.min?, self.max?))
    }
}

#[cfg(test)]
mod tests {
    use tallybook_core::Timestamp;

    use super::*;

    fn ping(latency: Option<u64>) -> Ping {
        Ping {
            target: "a".into(),
            time: Timestamp(0),
            latency,
            success: latency.is_some(),
            ttl: None,
            packet_size: None,
            sequence: None,
            jitter: None,
            error: None,
        }
    }

    #[test]
    fn a_host_that_never_answered_has_no_latencies() {
        let mut tally = Tally::default();
        assert!(tally.lost_percent().abs() < f64::EPSILON);
        tally.add(&ping(None));
        assert_eq!((tally.sent, tally.answered), (1, 0));
        assert_eq!([tally.min, tally.average(), tally.p95(), tally.max, tally.last], [None; 5]);
        assert!((tally.lost_percent() - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn sums_are_over_the_answers_alone() {
        let mut tally = Tally::default();
        for latency in (1..=100).map(|at| Some(at * 1_000)).chain([None]) {
            tally.add(&ping(latency));
        }
        assert_eq!((tally.sent, tally.answered, tally.last), (101, 100, None));
        assert_eq!([tally.min, tally.average(), tally.max], [Some(1_000), Some(50_500), Some(100_000)]);
        assert!(tally.p95().is_some_and(|p95| p95.abs_diff(95_000) < 1_500), "{:?}", tally.p95());
    }
}
