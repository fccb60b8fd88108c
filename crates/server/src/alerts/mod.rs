//! Alerts: rules over the pings that pass through this server, told to the log and to a webhook.

mod engine;
mod rule;
mod watch;
mod webhook;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallybook_core::{Ping, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use engine::Alert;
use engine::{AlertState, Engine};
use rule::webhook_url;
pub use rule::{AlertKind, AlertOptions, AlertRule};
use webhook::Webhook;

/// From one look at all rules to the next.
const EVERY: Duration = Duration::from_secs(1);

/// The alerts of a server. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    options: AlertOptions,
    engine: Engine,
    webhook: Option<Webhook>,
}

impl Alerts {
    /// Puts these rules in the place of those that were there; they begin anew.
    ///
    /// # Errors
    /// One sentence when a rule or the address cannot be.
    ///
    /// # Panics
    /// With a webhook, outside a tokio runtime.
    pub(crate) fn set(&self, options: AlertOptions) -> Result<(), String> {
        options.validate()?;
        let start = |address: &str| Webhook::start(webhook_url(address)?).map_err(|error| error.to_string());
        let webhook = options.webhook.as_deref().map(start).transpose()?;
        let engine = Engine::new(options.rules.clone());
        *self.state() = State { options, engine, webhook };
        Ok(())
    }

    /// What is watched for.
    pub(crate) fn options(&self) -> AlertOptions {
        self.state().options.clone()
    }

    /// What was told and is not over.
    pub(crate) fn firing(&self) -> Vec<Alert> {
        self.state().engine.firing()
    }

    /// Takes pings that were just made or received.
    pub(crate) fn observe(&self, pings: &[Ping]) {
        let now = Timestamp::now();
        let mut state = self.state();
        for ping in pings {
            state.engine.observe(ping, now);
        }
    }

    /// Looks at all rules once a second until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.tell(),
            }
        }
    }

    fn tell(&self) {
        let mut state = self.state();
        for alert in state.engine.due(Timestamp::now()) {
            match alert.state {
                AlertState::Firing => tracing::warn!("alert: {}", alert.text),
                AlertState::Resolved => tracing::info!("alert over: {}", alert.text),
            }
            if let Some(webhook) = &state.webhook {
                webhook.send(alert);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
