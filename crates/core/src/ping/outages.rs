//! Outages: runs of pings of one target that were lost, from the first one to the answer that ends them.
//!
//! Minutes without loss, and minutes of nothing but loss inside a run, need no look at their pings: [`outage_steps`] says
//! where to look, and [`OutageFinder`] takes what was found there.

use super::{Ping, PingBucket, Resolution};
use crate::{TimeRange, Timestamp};

/// A run of lost pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The first ping that was lost.
    pub start: Timestamp,
    /// The answer that ended it; `None` where there was none yet.
    pub end: Option<Timestamp>,
    /// The pings that were lost.
    pub lost: u64,
}

/// What is to be told to an [`OutageFinder`] next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageStep {
    /// The pings of these minutes.
    Pings(TimeRange),
    /// A minute in which every ping was lost.
    Lost {
        /// Its first moment.
        start: Timestamp,
        /// Its pings.
        count: u64,
    },
}

/// Finds the outages in pings of one target that come in the order of time.
#[derive(Clone, Debug)]
pub struct OutageFinder {
    min_lost: u64,
    running: Option<Outage>,
    found: Vec<Outage>,
}

/// All outages of at least `min_lost` pings among these of one target, in the order of time.
pub fn outages<'a>(pings: impl IntoIterator<Item = &'a Ping>, min_lost: u64) -> Vec<Outage> {
    let mut finder = OutageFinder::new(min_lost);
    pings.into_iter().for_each(|ping| finder.push(ping));
    finder.finish()
}

/// What to tell an [`OutageFinder`] of these minutes of one target, which come in the order of time.
pub fn outage_steps(minutes: &[PingBucket]) -> Vec<OutageStep> {
    let mut steps = Vec::new();
    let mut before: Option<&PingBucket> = None;
    for minute in minutes {
        let lost_all = |minute: &PingBucket| minute.lost == minute.count;
        let lossy_before = before.is_some_and(|before| before.lost > 0);
        let lost_before = before.is_some_and(lost_all);
        before = Some(minute);
        if minute.lost == 0 && !lossy_before {
            continue;
        }
        if lost_all(minute) && lost_before {
            steps.push(OutageStep::Lost { start: minute.start, count: minute.count });
            continue;
        }
        let end = Timestamp(minute.start.0.saturating_add(Resolution::Minute.nanoseconds()));
        match steps.last_mut() {
            Some(OutageStep::Pings(range)) if range.to == minute.start => range.to = end,
            _ => steps.push(OutageStep::Pings(TimeRange { from: minute.start, to: end })),
        }
    }
    steps
}

impl OutageFinder {
    /// Looks for outages of at least `min_lost` pings.
    pub fn new(min_lost: u64) -> Self {
        Self { min_lost, running: None, found: Vec::new() }
    }

    /// Takes the next ping.
    pub fn push(&mut self, ping: &Ping) {
        if ping.success {
            self.end(Some(ping.time));
        } else {
            self.lost(ping.time, 1);
        }
    }

    /// Takes a stretch from `start` on in which all `count` pings were lost.
    pub fn lost(&mut self, start: Timestamp, count: u64) {
        let running = self.running.get_or_insert(Outage { start, end: None, lost: 0 });
        running.lost = running.lost.saturating_add(count);
    }

    /// All that were found.
    pub fn finish(mut self) -> Vec<Outage> {
        self.end(None);
        self.found
    }

    fn end(&mut self, end: Option<Timestamp>) {
        let ended = self.running.take().filter(|outage| outage.lost >= self.min_lost);
        self.found.extend(ended.map(|outage| Outage { end, ..outage }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PingPlan;

    const SECOND: i64 = 1_000_000_000;

    /// One ping every second; `x` is lost, `.` is answered, a blank is none.
    fn pings(text: &str) -> Vec<Ping> {
        let ping = |(at, sign): (usize, char)| {
            let latency = (sign == '.').then_some(1_000_000);
            (sign != ' ').then(|| Ping::new("a", Timestamp(at as i64 * SECOND), latency))
        };
        text.chars().enumerate().filter_map(ping).collect()
    }

    fn outage(start: i64, end: Option<i64>, lost: u64) -> Outage {
        Outage { start: Timestamp(start * SECOND), end: end.map(|end| Timestamp(end * SECOND)), lost }
    }

    #[test]
    fn an_outage_goes_from_the_first_loss_to_the_next_answer() {
        assert_eq!(outages(&pings("..xx.x.xxx"), 2), [outage(2, Some(4), 2), outage(7, None, 3)]);
        assert_eq!(outages(&pings("x."), 1), [outage(0, Some(1), 1)]);
        assert!(outages(&pings("...x...x"), 2).is_empty());
        assert!(outages(&[], 1).is_empty());
    }

    #[test]
    fn minutes_lead_to_the_same_outages_as_all_pings() {
        let minute = |sign: &str| sign.repeat(60);
        let texts = [
            [minute("."), minute("x"), minute("x"), minute("x"), minute(".")].concat(),
            [minute("."), format!("{}{}", ".".repeat(58), "xx"), minute("."), minute(".")].concat(),
            [minute("x"), minute(" "), minute("x"), minute("."), minute(".")].concat(),
            [minute("x."), minute("xx."), minute("..x"), minute("x")].concat(),
            [format!("{}x", ".".repeat(59)), minute("x"), format!("x{}", ".".repeat(59)), minute(".")].concat(),
            [minute("."), minute("x"), minute(" "), format!("{}..", " ".repeat(58)), minute(".")].concat(),
        ];
        for text in texts {
            let pings = pings(&text);
            let buckets = PingPlan::new(&pings, []).buckets;
            let minutes: Vec<_> = buckets.into_iter().filter(|b| b.resolution == Resolution::Minute).collect();
            let mut finder = OutageFinder::new(2);
            for step in outage_steps(&minutes) {
                match step {
                    OutageStep::Pings(range) => {
                        let within = pings.iter().filter(|ping| (range.from..range.to).contains(&ping.time));
                        within.for_each(|ping| finder.push(ping));
                    }
                    OutageStep::Lost { start, count } => finder.lost(start, count),
                }
            }
            assert_eq!(finder.finish(), outages(&pings, 2), "{text}");
        }
    }

    #[test]
    fn a_long_outage_costs_two_looks() {
        let text = [".", "x"].map(|sign| sign.repeat(60)).concat() + &"x".repeat(3_000) + &".".repeat(120);
        let buckets = PingPlan::new(&pings(&text), []).buckets;
        let minutes: Vec<_> = buckets.into_iter().filter(|b| b.resolution == Resolution::Minute).collect();
        let looks = outage_steps(&minutes).iter().filter(|step| matches!(step, OutageStep::Pings(_))).count();
        assert_eq!(looks, 2);
    }
}
