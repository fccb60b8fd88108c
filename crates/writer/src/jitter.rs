//! The jitter of pings that come without it, as the pings of their target have it that came before.

use std::collections::HashMap;
use std::sync::Arc;

use tallybook_core::{Jitter, Ping, Timestamp};

/// Targets whose last ping is remembered; pings of others have no jitter.
const MAX_TARGETS: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Jitters(HashMap<Arc<str>, Last>);

/// The last answered ping of a target.
#[derive(Clone, Copy, Debug)]
struct Last {
    time: Timestamp,
    latency: u64,
    jitter: Option<u64>,
    estimate: Jitter,
}

impl Jitters {
    /// Fills in what is absent, for pings that were answered and come in the order of their time.
    pub(crate) fn fill(&mut self, pings: &mut [Ping]) {
        for ping in pings {
            if ping.jitter.is_none() && ping.defect().is_none() {
                ping.jitter = ping.latency.and_then(|latency| self.next(&ping.target, ping.time, latency));
            }
        }
    }

    fn next(&mut self, target: &Arc<str>, time: Timestamp, latency: u64) -> Option<u64> {
        let Some(last) = self.0.get_mut(target) else {
            if self.0.len() < MAX_TARGETS {
                let mut estimate = Jitter::default();
                let jitter = estimate.next(latency);
                self.0.insert(target.clone(), Last { time, latency, jitter, estimate });
            }
            return None;
        };
        // Sent again, it is what it was.
        if time == last.time && latency == last.latency {
            return last.jitter;
        }
        if time <= last.time {
            return None;
        }
        (last.time, last.latency, last.jitter) = (time, latency, last.estimate.next(latency));
        last.jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(second: i64, latency: Option<u64>) -> Ping {
        Ping::new("a", Timestamp(second * 1_000_000_000), latency)
    }

    fn jitters(pings: &mut [Ping]) -> Vec<Option<u64>> {
        Jitters::default().fill(pings);
        pings.iter().map(|ping| ping.jitter).collect()
    }

    #[test]
    fn jitter_follows_the_differences_of_latencies() {
        let mut pings = [1_000, 17_000, 17_000, 1_000].map(Some).to_vec();
        let mut pings: Vec<Ping> = pings.drain(..).enumerate().map(|(nth, ns)| ping(nth as i64, ns)).collect();
        assert_eq!(jitters(&mut pings), [None, Some(1_000), Some(937), Some(1_878)]);
    }

    #[test]
    fn lost_late_and_repeated_pings_change_nothing() {
        let mut pings = vec![
            ping(1, Some(1_000)),
            ping(2, None),
            ping(3, Some(17_000)),
            ping(3, Some(17_000)),
            ping(2, Some(900_000)),
            Ping { jitter: Some(5), ..ping(4, Some(900_000)) },
            ping(5, Some(17_000)),
        ];
        let expected = [None, None, Some(1_000), Some(1_000), None, Some(5), Some(937)];
        assert_eq!(jitters(&mut pings), expected);
    }
}
