//! What only the pings of one target together can say: their numbers and their jitter.

use tallybook_core::{Jitter, Ping};

/// The pings of one target, in the order of their answers.
#[derive(Clone, Debug, Default)]
pub struct Series {
    sequence: u64,
    jitter: Jitter,
}

impl Series {
    /// The ping with its number, from 1, and, where two were answered by now, the interarrival jitter of RFC 3550 (6.4.1;
    /// its transit times are round trips here).
    pub fn stamp(&mut self, ping: Ping) -> Ping {
        self.sequence += 1;
        Ping {
            sequence: Some(self.sequence),
            jitter: ping.latency.and_then(|latency| self.jitter.next(latency)),
            ..ping
        }
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
    fn jitter_follows_rfc_3550_and_a_lost_ping_has_none() {
        let mut series = Series::default();
        let latencies = [Some(1_600), Some(3_200), None, Some(3_200), Some(1_600)];
        let stamped = latencies.map(|latency| series.stamp(ping(latency)));
        assert_eq!(stamped.each_ref().map(|ping| ping.sequence), [1, 2, 3, 4, 5].map(Some));
        // 1600/16 = 100; 100 + (0 - 100)/16 = 93.75; 93.75 + (1600 - 93.75)/16 = 187.9
        assert_eq!(stamped.each_ref().map(|ping| ping.jitter), [None, Some(100), None, Some(93), Some(187)]);
    }

    #[test]
    fn jitter_settles_at_the_difference_of_a_steady_swing() {
        let mut series = Series::default();
        let last = (0..1_000).map(|at| series.stamp(ping(Some(10_000 + at % 2 * 5_000)))).last().unwrap();
        assert!(last.jitter.unwrap().abs_diff(5_000) < 10, "{last:?}");
    }
}
