//! The state of all alerts: pings go in, and once a second what is to be told comes out. The clock is the caller's.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tallybook_core::{Ping, Timestamp};
use utoipa::ToSchema;

use super::rule::{AlertKind, AlertRule};
use super::watch::Watch;
use crate::api::schema;

/// Pings that are older when they come are history, of which nobody is told.
const MAX_AGE: i64 = 600_000_000_000;
/// Targets that are watched at the most; of any further one nobody is told.
const MAX_TARGETS: usize = 20_000;
/// A target without a ping for this long is forgotten.
const FORGOTTEN_AFTER: i64 = 2 * tallybook_core::DAY;

/// Rules, and what is remembered of each target for each of them.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    rules: Vec<AlertRule>,
    targets: HashMap<Arc<str>, Watched>,
}

#[derive(Debug)]
struct Watched {
    last: Timestamp,
    /// Of the rules that watch it, by their place.
    watches: Vec<(usize, Watch, Told)>,
}

/// What was told of a rule and a target.
#[derive(Debug, Default)]
struct Told {
    /// Since when it is so; `None` while nothing is wrong, or it is not told yet.
    firing: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Something to be told: that it began, or that it is over.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Alert {
    #[schema(inline)]
    pub(crate) state: AlertState,
    /// The rule's name.
    pub(crate) rule: String,
    /// What it watches for.
    #[schema(inline)]
    pub(crate) when: AlertKind,
    pub(crate) target: Arc<str>,
    /// When it began.
    #[schema(schema_with = schema::time)]
    pub(crate) since: Timestamp,
    /// When it was told.
    #[schema(schema_with = schema::time)]
    pub(crate) at: Timestamp,
    /// In a sentence.
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AlertState {
    Firing,
    Resolved,
}

impl Engine {
    pub(crate) fn new(rules: Vec<AlertRule>) -> Self {
        Self { rules, targets: HashMap::new() }
    }

    /// Takes a ping. One that is late, old or from the future changes nothing.
    pub(crate) fn observe(&mut self, ping: &Ping, now: Timestamp) {
        let current = now.earlier(MAX_AGE) <= ping.time && ping.time <= now.earlier(-MAX_AGE);
        if self.rules.is_empty() || !current {
            return;
        }
        if !self.targets.contains_key(&ping.target) {
            if self.targets.len() >= MAX_TARGETS {
                return;
            }
            let rules = self.rules.iter().enumerate().filter(|(_, rule)| rule.watches(&ping.target));
            let watches = rules.map(|(at, rule)| (at, Watch::new(rule.when), Told::default())).collect();
            self.targets.insert(ping.target.clone(), Watched { last: Timestamp(i64::MIN), watches });
        }
        let Some(watched) = self.targets.get_mut(&ping.target) else { return };
        if ping.time <= watched.last {
            return;
        }
        watched.last = ping.time;
        for (rule, watch, _) in &mut watched.watches {
            watch.observe(&self.rules[*rule], ping);
        }
    }

    /// Knows nothing of a target any more.
    pub(crate) fn forget(&mut self, target: &str) {
        self.targets.remove(target);
    }

    /// What is to be told now, by target.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for (target, watched) in &mut self.targets {
            for (rule, watch, told) in &mut watched.watches {
                let rule = &self.rules[*rule];
                match (watch.holds(rule, now), told.firing) {
                    (Some(since), None) if told.may_tell(rule, now) => {
                        *told = Told { firing: Some(since), last: Some(now) };
                        alerts.push(Alert::new(AlertState::Firing, rule, target, since, now));
                    }
                    (None, Some(since)) => {
                        told.firing = None;
                        alerts.push(Alert::new(AlertState::Resolved, rule, target, since, now));
                    }
                    _ => {}
                }
            }
        }
        self.targets.retain(|_, watched| watched.is_firing() || watched.last >= now.earlier(FORGOTTEN_AFTER));
        alerts.sort_by(|a, b| (&a.target, &a.rule).cmp(&(&b.target, &b.rule)));
        alerts
    }

    /// What was told and is not over, by target.
    pub(crate) fn firing(&self) -> Vec<Alert> {
        let of = |(target, watched): (&Arc<str>, &Watched)| {
            let firing = watched.watches.iter().filter_map(|(rule, _, told)| {
                let (since, at) = (told.firing?, told.last?);
                Some(Alert::new(AlertState::Firing, &self.rules[*rule], target, since, at))
            });
            firing.collect::<Vec<_>>()
        };
        let mut alerts: Vec<Alert> = self.targets.iter().flat_map(of).collect();
        alerts.sort_by(|a, b| (&a.target, &a.rule).cmp(&(&b.target, &b.rule)));
        alerts
    }
}

impl Watched {
    fn is_firing(&self) -> bool {
        self.watches.iter().any(|(_, _, told)| told.firing.is_some())
    }
}

impl Told {
    fn may_tell(&self, rule: &AlertRule, now: Timestamp) -> bool {
        self.last.is_none_or(|last| now.0.saturating_sub(last.0) >= rule.cooldown())
    }
}

impl Alert {
    fn new(state: AlertState, rule: &AlertRule, target: &Arc<str>, since: Timestamp, at: Timestamp) -> Self {
        let above = rule.above.unwrap_or_default();
        let what = match (rule.when, state) {
            (AlertKind::Down, AlertState::Firing) => "does not answer".to_owned(),
            (AlertKind::Down, AlertState::Resolved) => "answers again".to_owned(),
            (AlertKind::Latency, AlertState::Firing) => format!("answers slower than {above} ms"),
            (AlertKind::Latency, AlertState::Resolved) => format!("answers within {above} ms again"),
            (AlertKind::Loss, AlertState::Firing) => format!("loses more than {above} % of its pings"),
            (AlertKind::Loss, AlertState::Resolved) => format!("loses no more than {above} % of its pings again"),
        };
        let text = format!("{target} {what} (since {since}, rule `{}`)", rule.name);
        Self { state, rule: rule.name.clone(), when: rule.when, target: target.clone(), since, at, text }
    }
}

#[cfg(test)]
mod tests {
    use super::AlertState::{Firing, Resolved};
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const START: i64 = 1_700_000_000 * SECOND;

    fn at(second: i64) -> Timestamp {
        Timestamp(START + second * SECOND)
    }

    fn ping(target: &str, second: i64, latency_ms: Option<u64>) -> Ping {
        Ping::new(target, at(second), latency_ms.map(|ms| ms * 1_000_000))
    }

    fn rule(when: AlertKind, above: Option<f64>, cooldown_seconds: u64) -> AlertRule {
        AlertRule { name: "r".into(), target: None, when, above, for_seconds: 10, cooldown_seconds }
    }

    /// One ping a second; what was told, and in which second.
    fn told(rule: AlertRule, latencies: impl IntoIterator<Item = Option<u64>>) -> Vec<(i64, AlertState)> {
        let mut engine = Engine::new(vec![rule]);
        let mut told = Vec::new();
        for (second, latency) in (0..).zip(latencies) {
            engine.observe(&ping("a", second, latency), at(second));
            told.extend(engine.due(at(second)).into_iter().map(|alert| (second, alert.state)));
        }
        told
    }

    /// So many pings each of a latency.
    fn series(parts: &[(usize, Option<u64>)]) -> impl Iterator<Item = Option<u64>> {
        parts.iter().flat_map(|&(count, latency)| vec![latency; count])
    }

    #[test]
    fn a_target_is_down_once_it_has_not_answered_for_long_enough() {
        let down = || rule(AlertKind::Down, None, 0);
        assert_eq!(told(down(), series(&[(5, Some(1)), (15, None), (5, Some(1))])), [(15, Firing), (20, Resolved)]);
        assert!(told(down(), series(&[(5, Some(1)), (9, None), (1, Some(1)), (9, None)])).is_empty());
        let mut engine = Engine::new(vec![down()]);
        engine.observe(&ping("a", 0, None), at(0));
        assert_eq!(engine.due(at(10)).len(), 1, "it is down by the clock, however rarely it is probed");
        assert_eq!(engine.firing()[0].since, at(0));
    }

    #[test]
    fn latency_counts_answers_only_and_every_one_must_be_slow() {
        let slow = || rule(AlertKind::Latency, Some(50.0), 0);
        let found = told(slow(), series(&[(5, Some(50)), (6, Some(51)), (3, None), (4, Some(80)), (1, Some(50))]));
        assert_eq!(found, [(15, Firing), (18, Resolved)]);
        assert!(told(slow(), series(&[(9, Some(80)), (1, Some(1)), (9, Some(80))])).is_empty());
        let mut engine = Engine::new(vec![slow()]);
        engine.observe(&ping("a", 0, Some(80)), at(0));
        assert!(engine.due(at(60)).is_empty(), "one slow answer is not a slow minute");
    }

    #[test]
    fn a_loss_is_taken_over_its_time() {
        let half = || rule(AlertKind::Loss, Some(40.0), 0);
        let found = told(half(), series(&[(12, Some(1)), (10, None), (12, Some(1))]));
        assert_eq!(found.iter().map(|(_, state)| *state).collect::<Vec<_>>(), [Firing, Resolved]);
        assert!((15..=18).contains(&found[0].0) && (26..=30).contains(&found[1].0), "{found:?}");
        assert!(told(half(), series(&[(4, None), (6, Some(1))])).is_empty(), "four of ten are not above 40 %");
        assert!(told(half(), series(&[(5, None)])).is_empty(), "its time is not over");
    }

    #[test]
    fn a_loss_is_not_over_because_nothing_more_is_heard() {
        let mut engine = Engine::new(vec![rule(AlertKind::Loss, Some(40.0), 0)]);
        // A target that does not answer is probed less and less often.
        for second in [0, 1, 3, 7, 15] {
            engine.observe(&ping("a", second, None), at(second));
        }
        assert_eq!(engine.due(at(15)).len(), 1);
        assert_eq!(engine.due(at(40)), []);
        engine.observe(&ping("a", 41, None), at(41));
        assert_eq!(engine.due(at(41)), []);
        engine.observe(&ping("a", 73, Some(1)), at(73));
        assert_eq!(engine.due(at(73))[0].state, Resolved);
    }

    #[test]
    fn a_cool_down_keeps_a_flapping_target_quiet() {
        let flapping = [(11, None), (2, Some(1)), (11, None), (2, Some(1)), (11, None), (30, None)];
        let found = told(rule(AlertKind::Down, None, 45), series(&flapping));
        assert_eq!(found, [(10, Firing), (11, Resolved), (55, Firing)]);
    }

    #[test]
    fn late_old_and_future_pings_are_no_news() {
        let mut engine = Engine::new(vec![rule(AlertKind::Down, None, 0)]);
        engine.observe(&ping("a", 0, None), at(0));
        engine.observe(&ping("a", -5, Some(1)), at(1));
        engine.observe(&ping("a", 5_000, Some(1)), at(1));
        engine.observe(&ping("history", -3_600, None), at(1));
        let alerts = engine.due(at(10));
        assert_eq!(alerts.iter().map(|alert| &*alert.target).collect::<Vec<_>>(), ["a"]);
        assert!(alerts[0].text.starts_with("a does not answer (since 2023-11-14T22:13:20Z"), "{}", alerts[0].text);
    }

    #[test]
    fn a_rule_of_one_target_leaves_others_alone_and_targets_do_not_mix() {
        let only = AlertRule { target: Some("a".into()), ..rule(AlertKind::Down, None, 0) };
        let every = AlertRule { name: "every".into(), ..rule(AlertKind::Down, None, 0) };
        let mut engine = Engine::new(vec![only, every]);
        for target in ["a", "b"] {
            engine.observe(&ping(target, 0, None), at(0));
        }
        let told: Vec<_> = engine.due(at(10)).into_iter().map(|alert| (alert.target.to_string(), alert.rule)).collect();
        let expected = [("a", "every"), ("a", "r"), ("b", "every")];
        assert_eq!(told, expected.map(|(target, rule)| (target.to_owned(), rule.to_owned())));
        assert_eq!(engine.firing().len(), 3);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut engine = Engine::new(vec![rule(AlertKind::Loss, Some(1.0), 0)]);
        for target in 0..MAX_TARGETS + 5 {
            engine.observe(&ping(&target.to_string(), 0, Some(1)), at(0));
        }
        assert_eq!(engine.targets.len(), MAX_TARGETS);
        engine.due(Timestamp(START + FORGOTTEN_AFTER + SECOND));
        assert!(engine.targets.is_empty());
    }
}
