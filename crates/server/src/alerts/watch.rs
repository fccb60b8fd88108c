//! One rule and one target: whether what the rule watches for is so.

use std::collections::VecDeque;

use tallybook_core::{Ping, Timestamp};

use super::rule::{AlertKind, AlertRule};

/// A loss is taken over slots of this part of its time, so that its memory does not depend on how often is pinged.
const SLOTS: i64 = 60;

/// What is remembered of the pings of one target for one rule.
#[derive(Debug)]
pub(crate) enum Watch {
    /// Of `down`: the first ping lost since the last answer.
    Down { since: Option<Timestamp> },
    /// Of `latency`: the first and the last of the slow answers since one that was not.
    Latency { slow: Option<(Timestamp, Timestamp)> },
    /// Of `loss`: pings and lost ones by slot, the earliest first, and the first ping of all.
    Loss { slots: VecDeque<Slot>, first: Option<Timestamp> },
}

#[derive(Debug)]
pub(crate) struct Slot {
    start: Timestamp,
    count: u64,
    lost: u64,
}

impl Watch {
    pub(crate) fn new(kind: AlertKind) -> Self {
        match kind {
            AlertKind::Down => Self::Down { since: None },
            AlertKind::Latency => Self::Latency { slow: None },
            AlertKind::Loss => Self::Loss { slots: VecDeque::new(), first: None },
        }
    }

    /// Takes the next ping; they come in the order of time.
    pub(crate) fn observe(&mut self, rule: &AlertRule, ping: &Ping) {
        match self {
            Self::Down { since } if ping.success => *since = None,
            Self::Down { since } => {
                since.get_or_insert(ping.time);
            }
            Self::Latency { slow } => {
                let Some(latency) = ping.latency else { return };
                let is_slow = latency as f64 / 1e6 > rule.above.unwrap_or(f64::INFINITY);
                *slow = is_slow.then_some((slow.map_or(ping.time, |(first, _)| first), ping.time));
            }
            Self::Loss { slots, first } => {
                first.get_or_insert(ping.time);
                let length = slot_length(rule);
                if slots.back().is_none_or(|slot| ping.time.0.saturating_sub(slot.start.0) >= length) {
                    slots.push_back(Slot { start: ping.time, count: 0, lost: 0 });
                }
                if let Some(slot) = slots.back_mut() {
                    slot.count += 1;
                    slot.lost += u64::from(!ping.success);
                }
                forget(slots, rule, ping.time);
            }
        }
    }

    /// Since when it is so, if it has been so for long enough.
    pub(crate) fn holds(&mut self, rule: &AlertRule, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Down { since } => since.filter(|since| lasted(rule, *since, now)),
            Self::Latency { slow } => slow.filter(|(first, last)| lasted(rule, *first, *last)).map(|(first, _)| first),
            Self::Loss { slots, first } => {
                forget(slots, rule, now);
                let (count, lost) =
                    slots.iter().fold((0, 0), |(count, lost), slot| (count + slot.count, lost + slot.lost));
                let above = count > 0 && 100.0 * lost as f64 / count as f64 > rule.above.unwrap_or(100.0);
                let known = first.is_some_and(|first| lasted(rule, first, now));
                slots.front().filter(|_| above && known).map(|slot| slot.start)
            }
        }
    }
}

fn lasted(rule: &AlertRule, since: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(since.0) >= rule.lasting()
}

fn slot_length(rule: &AlertRule) -> i64 {
    rule.lasting() / SLOTS
}

/// Drops slots that began before the time the rule looks at, but for the last: while nothing is heard, as of a lost target that
/// is probed less and less often, what was so stays so.
fn forget(slots: &mut VecDeque<Slot>, rule: &AlertRule, now: Timestamp) {
    let before = now.earlier(rule.lasting());
    while slots.len() > 1 && slots.front().is_some_and(|slot| slot.start < before) {
        slots.pop_front();
    }
}
