//! What a batch of pings does to the rows and sums that are there: the definition every backend follows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::{Ping, PingBucket, Resolution};
use crate::table::Record;
use crate::{Counts, Result, Row, Timestamp};

/// Names a [`PingBucket`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKey {
    /// The length of the bucket.
    pub resolution: Resolution,
    /// Its first moment.
    pub start: Timestamp,
    /// The target.
    pub target: Arc<str>,
}

/// What a backend does, in this order, to store a batch of pings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PingPlan {
    /// Pings that are new or differ from what is stored, by key, each key once: they replace what is there.
    pub pings: Vec<Ping>,
    /// What the new ones add to their buckets, by key, each key once: they are merged.
    pub buckets: Vec<PingBucket>,
    /// Buckets that hold a ping which was replaced: each is summed up again from its pings ([`PingPlan::rebuilt`]).
    pub rebuild: Vec<BucketKey>,
    /// Stored: new pings. Merged: pings that replaced another. Duplicate: pings that were there exactly so.
    pub counts: Counts,
}

impl PingPlan {
    /// Compares a batch with the pings that are stored under its keys, in any order.
    pub fn new(batch: &[Ping], stored: impl IntoIterator<Item = Ping>) -> Self {
        let key = |ping: &Ping| (ping.target.clone(), ping.time);
        let stored: BTreeMap<_, Ping> = stored.into_iter().map(|ping| (key(&ping), ping)).collect();
        let mut plan = Self::default();
        let mut latest: BTreeMap<_, Ping> = BTreeMap::new();
        for ping in batch {
            match latest.entry(key(ping)) {
                Entry::Vacant(free) => _ = free.insert(ping.clone()),
                Entry::Occupied(mut earlier) => {
                    let again = ping.after(earlier.get());
                    let count =
                        if again == *earlier.get() { &mut plan.counts.duplicate } else { &mut plan.counts.merged };
                    *count += 1;
                    earlier.insert(again);
                }
            }
        }
        let mut rows = Vec::new();
        for (key, ping) in latest {
            let stored = stored.get(&key);
            let ping = stored.map_or_else(|| ping.clone(), |stored| ping.after(stored));
            match stored {
                Some(same) if *same == ping => {
                    plan.counts.duplicate += 1;
                    continue;
                }
                Some(_) => {
                    plan.counts.merged += 1;
                    plan.rebuild.extend(Resolution::ALL.iter().map(|&resolution| BucketKey {
                        resolution,
                        start: resolution.start(ping.time),
                        target: ping.target.clone(),
                    }));
                }
                None => {
                    plan.counts.stored += 1;
                    rows.extend(Resolution::ALL.iter().map(|&resolution| PingBucket::of(resolution, &ping).to_row()));
                }
            }
            plan.pings.push(ping);
        }
        plan.rebuild.sort();
        plan.rebuild.dedup();
        let rows = PingBucket::TABLE.normalise(rows).into_iter().map(PingBucket::from_row);
        // Rows that were made of buckets a moment ago are buckets.
        plan.buckets = rows.filter_map(Result::ok).collect();
        plan
    }

    /// The bucket `key` summed up from all its `pings`, to be put in the place of `stored`. `None`, and it stays as it is,
    /// where pings of it were removed by retention: what they added can no longer be told apart.
    pub fn rebuilt(key: &BucketKey, pings: &[Ping], stored: &PingBucket) -> Option<Row> {
        if pings.len() as u64 != stored.count {
            return None;
        }
        let rows = pings.iter().map(|ping| PingBucket::of(key.resolution, ping).to_row()).collect();
        PingBucket::TABLE.normalise(rows).pop()
    }
}

impl Ping {
    /// This ping in the place of `earlier`, which has its target and time. One that comes again without a jitter keeps what
    /// was worked out from the pings before it, which may be forgotten by now.
    fn after(&self, earlier: &Self) -> Self {
        let is_again = self.jitter.is_none() && self.latency == earlier.latency;
        Self { jitter: if is_again { earlier.jitter } else { self.jitter }, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(target: &str, second: i64, latency: Option<u64>) -> Ping {
        Ping { ttl: Some(64), ..Ping::new(target, Timestamp(second * 1_000_000_000), latency) }
    }

    #[test]
    fn new_pings_add_to_their_minute_hour_and_day() {
        let batch = [ping("a", 1, Some(10_000)), ping("a", 2, None), ping("a", 61, Some(30_000)), ping("b", 1, None)];
        let plan = PingPlan::new(&batch, []);
        assert_eq!(plan.counts, Counts { stored: 4, merged: 0, duplicate: 0 });
        assert_eq!(plan.pings.len(), 4);
        let hour = plan.buckets.iter().find(|b| b.resolution == Resolution::Hour && b.target.as_ref() == "a").unwrap();
        assert_eq!((hour.count, hour.lost, hour.sum, hour.min, hour.max), (3, 1, 40_000, Some(10_000), Some(30_000)));
        assert_eq!(hour.sum_squares, 100 + 900);
        assert_eq!(plan.buckets.iter().filter(|b| b.resolution == Resolution::Minute).count(), 3);
        assert!(plan.rebuild.is_empty());
    }

    #[test]
    fn a_correction_replaces_and_has_its_buckets_summed_up_again() {
        let old = ping("a", 1, Some(9_000_000));
        let new = ping("a", 1, Some(9_000));
        let plan = PingPlan::new(&[old.clone(), new.clone()], [old]);
        assert_eq!(plan.counts, Counts { stored: 0, merged: 2, duplicate: 0 });
        assert_eq!(plan.pings.as_slice(), std::slice::from_ref(&new));
        assert!(plan.buckets.is_empty());
        assert_eq!(plan.rebuild.len(), 3);
        let stored = PingBucket { count: 1, max: Some(9_000_000), ..PingBucket::of(Resolution::Day, &new) };
        let rebuilt = PingPlan::rebuilt(&plan.rebuild[0], std::slice::from_ref(&new), &stored).unwrap();
        assert_eq!(PingBucket::from_row(rebuilt).unwrap().max, Some(9_000));
        let pruned = PingBucket { count: 5, ..stored };
        assert_eq!(PingPlan::rebuilt(&plan.rebuild[0], &[new], &pruned), None);
    }

    #[test]
    fn the_same_ping_again_is_a_duplicate() {
        let same = ping("a", 1, Some(5));
        let plan = PingPlan::new(&[same.clone(), same.clone()], [same]);
        assert_eq!(plan.counts, Counts { stored: 0, merged: 0, duplicate: 2 });
        assert!(plan.pings.is_empty() && plan.buckets.is_empty() && plan.rebuild.is_empty());
    }

    #[test]
    fn a_ping_that_comes_again_without_its_jitter_is_the_same() {
        let with = Ping { jitter: Some(7), ..ping("a", 1, Some(5)) };
        let without = ping("a", 1, Some(5));
        let plan = PingPlan::new(&[without.clone(), without.clone()], [with.clone()]);
        assert_eq!(plan.counts, Counts { stored: 0, merged: 0, duplicate: 2 });
        let plan = PingPlan::new(&[with.clone(), without], []);
        assert_eq!(
            (plan.counts, &plan.pings[..]),
            (Counts { stored: 1, merged: 0, duplicate: 1 }, &[with.clone()][..])
        );
        // Another answer is another ping.
        let slower = ping("a", 1, Some(6));
        let plan = PingPlan::new(std::slice::from_ref(&slower), [with]);
        assert_eq!((plan.counts.merged, &plan.pings[..]), (1, &[slower][..]));
    }
}
