//! Who is probed: targets that a server watches by itself, and all that were ever heard of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Ping;
use crate::Timestamp;
use crate::table::record;

record! {
    /// A target that a server probes by itself.
    PingTarget in "ping_target" by Replace {
        /// A UUID of version 7.
        id: Arc<str> => Key,
        /// What is probed, and the target of its pings.
        target: Arc<str> => Last,
        /// From one probe to the next, in nanoseconds.
        interval: u64 => Last,
        /// How long an answer may take, in nanoseconds.
        timeout: u64 => Last,
        /// Whether it is probed at present.
        enabled: bool => Last,
        /// Whether it was removed; the row stays, so that followers learn of it.
        deleted: bool => Last,
        /// When it was changed last.
        updated: Timestamp => Last,
    }
}

record! {
    /// A target that has pings, written with them, so that a list of targets costs no look at the pings. A ping that is
    /// corrected from answered to lost, or back, counts as both: the one before it may be any number of pings away, or removed.
    PingSeen in "ping_seen" by Merge {
        /// The target.
        target: Arc<str> => Key,
        /// Its earliest ping.
        first_seen: Timestamp => Min,
        /// Its latest ping.
        last_seen: Timestamp => Max,
        /// The latest one that was answered.
        last_answered: Option<Timestamp> => Max,
        /// The latest one that was lost.
        last_lost: Option<Timestamp> => Max,
    }
}

impl PingTarget {
    /// The most targets of one store.
    pub const MAX_TARGETS: usize = 10_000;
    /// The shortest interval, in nanoseconds.
    pub const MIN_INTERVAL: u64 = 100_000_000;
    /// The longest interval, in nanoseconds.
    pub const MAX_INTERVAL: u64 = 24 * 3_600_000_000_000;
    /// The shortest time limit, in nanoseconds.
    pub const MIN_TIMEOUT: u64 = 1_000_000;
    /// The longest time limit, in nanoseconds.
    pub const MAX_TIMEOUT: u64 = 60_000_000_000;

    /// Why it cannot be probed as it says, where that is so. What its text names is the probe's affair.
    pub fn defect(&self) -> Option<&'static str> {
        match () {
            () if self.target.is_empty() => Some("the target is empty"),
            () if self.target.len() > Ping::MAX_TARGET_BYTES => Some("the target is longer than 1,024 bytes"),
            () if self.interval < Self::MIN_INTERVAL => Some("the interval is shorter than 100 ms"),
            () if self.interval > Self::MAX_INTERVAL => Some("the interval is longer than a day"),
            () if self.timeout < Self::MIN_TIMEOUT => Some("the timeout is shorter than 1 ms"),
            () if self.timeout > Self::MAX_TIMEOUT => Some("the timeout is longer than 60 s"),
            () => None,
        }
    }
}

impl PingSeen {
    /// What these pings say of their targets, each target once, by name.
    pub fn of(pings: &[Ping]) -> Vec<Self> {
        let mut seen: BTreeMap<&str, Self> = BTreeMap::new();
        for ping in pings {
            let known = seen.entry(&ping.target).or_insert_with(|| Self {
                target: ping.target.clone(),
                first_seen: ping.time,
                last_seen: ping.time,
                last_answered: None,
                last_lost: None,
            });
            known.first_seen = known.first_seen.min(ping.time);
            known.last_seen = known.last_seen.max(ping.time);
            let last = if ping.success { &mut known.last_answered } else { &mut known.last_lost };
            *last = (*last).max(Some(ping.time));
        }
        seen.into_values().collect()
    }

    /// Whether its latest ping was answered; `None` where that ping was corrected, which then says so itself.
    pub fn is_up(&self) -> Option<bool> {
        (self.last_answered != self.last_lost).then_some(self.last_answered > self.last_lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    fn ping(target: &str, time: i64, latency: Option<u64>) -> Ping {
        Ping::new(target, Timestamp(time), latency)
    }

    #[test]
    fn a_late_ping_does_not_change_the_last_state() {
        let mut rows = PingSeen::of(&[ping("a", 10, Some(1)), ping("a", 30, None), ping("b", 5, Some(1))]);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].is_up(), rows[1].is_up()), (Some(false), Some(true)));
        let late = PingSeen::of(&[ping("a", 20, Some(1))]).remove(0);
        rows.push(late);
        let folded = PingSeen::TABLE.normalise(rows.iter().map(Record::to_row).collect());
        let a = PingSeen::from_row(folded[0].clone()).unwrap();
        assert_eq!((a.first_seen, a.last_seen, a.last_answered), (Timestamp(10), Timestamp(30), Some(Timestamp(20))));
        assert_eq!(a.is_up(), Some(false));
    }

    #[test]
    fn a_last_ping_that_was_corrected_speaks_for_itself() {
        let rows = [PingSeen::of(&[ping("a", 10, Some(1))]), PingSeen::of(&[ping("a", 10, None)])].concat();
        let folded = PingSeen::TABLE.normalise(rows.iter().map(Record::to_row).collect());
        assert_eq!(PingSeen::from_row(folded[0].clone()).unwrap().is_up(), None);
    }

    #[test]
    fn a_target_that_cannot_be_probed_says_why() {
        let good = PingTarget {
            id: "1".into(),
            target: "example.com".into(),
            interval: 1_000_000_000,
            timeout: 1_000_000_000,
            enabled: true,
            deleted: false,
            updated: Timestamp(0),
        };
        assert_eq!(good.defect(), None);
        for (bad, why) in [
            (PingTarget { target: "".into(), ..good.clone() }, "empty"),
            (PingTarget { interval: 99_999_999, ..good.clone() }, "100 ms"),
            (PingTarget { timeout: 0, ..good.clone() }, "1 ms"),
            (PingTarget { timeout: 61_000_000_000, ..good }, "60 s"),
        ] {
            assert!(bad.defect().unwrap().contains(why));
        }
    }
}
