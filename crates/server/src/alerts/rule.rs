//! What an operator wants to be told of.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use tallybook_core::Ping;
use utoipa::ToSchema;

/// The most rules: each is looked at for each of its targets once a second.
const MAX_RULES: usize = 100;
/// The longest name of a rule, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// The longest time a rule may look back or stay silent for, in seconds: a day.
const MAX_SECONDS: u64 = 86_400;

/// What is watched for, on all servers that share a store. Without rules, nothing is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Alerts)]
pub(crate) struct AlertOptions {
    /// What to be told of.
    #[serde(default)]
    pub(crate) rules: Vec<AlertRule>,
    /// Where alerts are posted as JSON, besides the log.
    #[serde(default)]
    #[schema(example = "https://hooks.example/ping")]
    pub(crate) webhook: Option<String>,
}

/// One thing to be told of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertRule {
    /// What names it among the others.
    #[schema(min_length = 1, example = "the database is down")]
    pub(crate) name: String,
    /// The target it watches; every target when left out.
    #[serde(default)]
    pub(crate) target: Option<String>,
    /// What is watched for.
    #[schema(inline)]
    pub(crate) when: AlertKind,
    /// The limit: milliseconds of a latency, percent of a loss; none of `down`.
    #[serde(default)]
    pub(crate) above: Option<f64>,
    /// How long it lasts before it is told, and of a loss the time over which it is taken, in seconds.
    #[schema(minimum = 1, maximum = 86400)]
    pub(crate) for_seconds: u64,
    /// How long no further alert of the same target is told after one, in seconds.
    #[serde(default = "default_cooldown")]
    #[schema(minimum = 0, maximum = 86400, default = 300)]
    pub(crate) cooldown_seconds: u64,
}

/// What can be watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertKind {
    /// No answer.
    Down,
    /// Every answer slower than the limit.
    Latency,
    /// A greater share of lost pings than the limit.
    Loss,
}

fn default_cooldown() -> u64 {
    300
}

impl AlertOptions {
    /// Checks every rule and the address.
    ///
    /// # Errors
    /// One sentence for the first mistake.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.rules.len() > MAX_RULES {
            return Err(format!("{} rules are more than {MAX_RULES}", self.rules.len()));
        }
        let mut names = BTreeSet::new();
        for rule in &self.rules {
            rule.validate()?;
            if !names.insert(&rule.name) {
                return Err(format!("two rules are called `{}`", rule.name));
            }
        }
        self.webhook.as_deref().map_or(Ok(()), |address| webhook_url(address).map(drop))
    }
}

impl AlertRule {
    /// Whether it watches this target.
    pub(crate) fn watches(&self, target: &str) -> bool {
        self.target.as_deref().is_none_or(|wanted| wanted == target)
    }

    pub(crate) fn lasting(&self) -> i64 {
        nanoseconds(self.for_seconds)
    }

    pub(crate) fn cooldown(&self) -> i64 {
        nanoseconds(self.cooldown_seconds)
    }

    fn validate(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(format!("a rule needs a name of 1 to {MAX_NAME_BYTES} bytes"));
        }
        let mistake = |what: &str| Err(format!("the rule `{name}`: {what}"));
        if self.target.as_ref().is_some_and(|target| target.is_empty() || target.len() > Ping::MAX_TARGET_BYTES) {
            return mistake("`target` must be 1 to 1,024 bytes long; leave it out to watch every target");
        }
        if !(1..=MAX_SECONDS).contains(&self.for_seconds) {
            return mistake("`for_seconds` must be from 1 to 86400");
        }
        if self.cooldown_seconds > MAX_SECONDS {
            return mistake("`cooldown_seconds` must be at most 86400");
        }
        match (self.when, self.above) {
            (AlertKind::Down, None) => Ok(()),
            (AlertKind::Down, Some(_)) => mistake("`above` has no meaning for `down`; leave it out"),
            (AlertKind::Latency, Some(above)) if above > 0.0 && above.is_finite() => Ok(()),
            (AlertKind::Latency, _) => mistake("`above` must be the milliseconds that are too slow, more than 0"),
            (AlertKind::Loss, Some(above)) if (0.0..100.0).contains(&above) => Ok(()),
            (AlertKind::Loss, _) => mistake("`above` must be the percent that are too many, from 0 to below 100"),
        }
    }
}

/// Reads the address of a webhook.
pub(crate) fn webhook_url(address: &str) -> Result<Url, String> {
    let refused = |why: &str| Err(format!("the webhook is no address to post to: {why}"));
    let Ok(url) = address.parse::<Url>() else {
        return refused("it is no URL such as https://hooks.example/ping");
    };
    match () {
        () if !["http", "https"].contains(&url.scheme()) => refused("it must begin with http:// or https://"),
        () if url.host_str().is_none_or(str::is_empty) => refused("it names no host"),
        () if !url.username().is_empty() || url.password().is_some() => {
            refused("a user or password in it would be shown; use a secret path instead")
        }
        () => Ok(url),
    }
}

fn nanoseconds(seconds: u64) -> i64 {
    i64::try_from(Duration::from_secs(seconds).as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(when: AlertKind, above: Option<f64>) -> AlertRule {
        AlertRule { name: "r".into(), target: None, when, above, for_seconds: 30, cooldown_seconds: 300 }
    }

    #[test]
    fn each_mistake_is_told_in_a_sentence() {
        let loss = rule(AlertKind::Loss, Some(5.0));
        let with = |rules: &[AlertRule], webhook: Option<&str>| AlertOptions {
            rules: rules.to_vec(),
            webhook: webhook.map(str::to_owned),
        };
        assert_eq!(with(std::slice::from_ref(&loss), Some("https://hooks.example/x")).validate(), Ok(()));
        for (options, part) in [
            (with(&[loss.clone(), loss.clone()], None), "two rules"),
            (with(&[AlertRule { name: String::new(), ..loss.clone() }], None), "needs a name"),
            (with(&[AlertRule { for_seconds: 0, ..loss.clone() }], None), "`for_seconds`"),
            (with(&[AlertRule { cooldown_seconds: 86_401, ..loss.clone() }], None), "`cooldown_seconds`"),
            (with(&[AlertRule { target: Some(String::new()), ..loss }], None), "`target`"),
            (with(&[rule(AlertKind::Down, Some(1.0))], None), "no meaning"),
            (with(&[rule(AlertKind::Latency, None)], None), "milliseconds"),
            (with(&[rule(AlertKind::Latency, Some(f64::NAN))], None), "milliseconds"),
            (with(&[rule(AlertKind::Loss, Some(100.0))], None), "percent"),
            (with(&[], Some("hooks.example")), "no URL"),
            (with(&[], Some("file:///etc/passwd")), "http://"),
            (with(&[], Some("https://user:secret@hooks.example")), "password"),
        ] {
            let message = options.validate().unwrap_err();
            assert!(message.contains(part) && !message.contains("secret@"), "{part}: {message}");
        }
    }

    #[test]
    fn a_rule_is_read_from_settings_and_a_misspelt_one_is_refused() {
        let read = |text: &str| serde_json::from_str::<AlertOptions>(text);
        let options = read(r#"{"rules": [{"name": "slow", "when": "latency", "above": 50, "for_seconds": 60}]}"#);
        assert_eq!(options.unwrap().rules[0].cooldown_seconds, 300);
        assert!(read(r#"{"rules": [{"name": "slow", "when": "late", "for_seconds": 60}]}"#).is_err());
        assert!(read(r#"{"rules": [{"name": "slow", "when": "down", "for": 60}]}"#).is_err());
    }
}
