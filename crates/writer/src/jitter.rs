//! The jitter of pings that come without it, as the pings of their target have it that came before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tallybook_core::{Jitter, Ping, PingSeen, Query, Result, Store, StoreExt as _, Timestamp};

/// Targets whose last ping is remembered; pings of others have no jitter.
const MAX_TARGETS: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Jitters {
    targets: HashMap<Arc<str>, Last>,
    /// Whether it knows of the pings that earlier processes stored.
    knows_earlier: bool,
}

/// The last answered ping of a target.
#[derive(Clone, Copy, Debug)]
struct Last {
    time: Timestamp,
    estimate: Jitter,
}

impl Jitters {
    /// Learns up to when `store` has pings of each target, unless it knows. Until then nothing may be filled in.
    pub(crate) async fn learn(&mut self, store: &dyn Store) -> Result<()> {
        if self.knows_earlier {
            return Ok(());
        }
        for seen in store.list::<PingSeen>(&Query::new(MAX_TARGETS)).await?.items {
            if let Some(time) = seen.last_answered {
                self.targets.insert(seen.target, Last { time, estimate: Jitter::default() });
            }
        }
        self.knows_earlier = true;
        Ok(())
    }

    /// Fills in what is absent, for pings that were answered and come in the order of their time. Those that come again are
    /// not later than all before: they stay without, and the store keeps what it has.
    pub(crate) fn fill(&mut self, pings: &mut [Ping]) {
        for ping in pings {
            if ping.jitter.is_none() {
                ping.jitter = ping.latency.and_then(|latency| self.next(&ping.target, ping.time, latency));
            }
        }
    }

    fn next(&mut self, target: &Arc<str>, time: Timestamp, latency: u64) -> Option<u64> {
        let is_full = self.targets.len() >= MAX_TARGETS;
        let last = match self.targets.entry(target.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if is_full => return None,
            Entry::Vacant(free) => free.insert(Last { time: Timestamp(i64::MIN), estimate: Jitter::default() }),
        };
        if time <= last.time {
            return None;
        }
        last.time = time;
        last.estimate.next(latency)
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
        let expected = [None, None, Some(1_000), None, None, Some(5), Some(937)];
        assert_eq!(jitters(&mut pings), expected);
    }
}
