//! Alerts: rules over the pings that pass through this server, told to the log and to a webhook.

mod engine;
mod rule;
mod watch;
mod webhook;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallybook_core::{AlertRules, Error, ErrorKind, Ping, Query, Records, Result, StoreExt, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::stored::Stored;
pub(crate) use engine::Alert;
use engine::{AlertState, Engine};
pub(crate) use rule::AlertOptions;
use rule::webhook_url;
use webhook::Webhook;

/// From one look at all rules to the next.
const EVERY: Duration = Duration::from_secs(1);
const SETTING: &str = "setting the alert rules";
/// How often rules are read that other servers may have changed.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);

/// The alerts of a server. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Alerts {
    stored: Stored,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    options: AlertOptions,
    engine: Engine,
    webhook: Option<Webhook>,
    /// Whether the store was asked.
    is_read: bool,
}

impl State {
    /// # Panics
    /// With a webhook, outside a tokio runtime.
    fn new(options: AlertOptions) -> Result<Self, String> {
        options.validate()?;
        let start = |address: &str| Webhook::start(webhook_url(address)?).map_err(|error| error.to_string());
        let webhook = options.webhook.as_deref().map(start).transpose()?;
        Ok(Self { engine: Engine::new(options.rules.clone()), options, webhook, is_read: true })
    }
}

impl Alerts {
    /// Watches for what the store says, or for nothing until that can be read.
    pub(crate) async fn new(stored: Stored) -> Self {
        let alerts = Self { stored, state: Arc::default() };
        alerts.follow_or_say().await;
        alerts
    }

    /// Puts valid rules in the place of those that were there, in the store and here; they begin anew.
    ///
    /// # Errors
    /// When they cannot be stored; all goes on as before.
    pub(crate) async fn replace(&self, options: AlertOptions) -> Result<()> {
        let document = serde_json::to_string(&options)
            .map_err(|error| Error::new(ErrorKind::Internal, SETTING, "rules cannot be written").with_source(error))?;
        let state = State::new(options).map_err(|why| Error::invalid(SETTING, why))?;
        let row = AlertRules { id: AlertRules::ID.into(), document: document.into(), updated: Timestamp::now() };
        self.stored.turn().await.commit(Records { alert_rules: vec![row], ..Records::default() }).await?;
        *self.state() = state;
        Ok(())
    }

    /// What is watched for, as it lies in the store.
    ///
    /// # Errors
    /// When that cannot be read; all goes on as before.
    pub(crate) async fn options(&self) -> Result<AlertOptions> {
        self.follow().await?;
        Ok(self.state().options.clone())
    }

    /// Watches for what the store says. Rules that are the same go on.
    async fn follow(&self) -> Result<()> {
        let rows = self.stored.store().list::<AlertRules>(&Query::new(1)).await?.items;
        let unread =
            |why: String| Error::corrupt(SETTING, format!("the stored rules cannot be used: {why}; set them anew"));
        let options = match rows.first() {
            Some(row) => serde_json::from_str(&row.document).map_err(|error| unread(error.to_string()))?,
            None => AlertOptions::default(),
        };
        if options != self.state().options {
            *self.state() = State::new(options).map_err(unread)?;
        }
        self.state().is_read = true;
        Ok(())
    }

    async fn follow_or_say(&self) {
        if let Err(error) = self.follow().await {
            tracing::warn!(%error, "the alert rules could not be read");
        }
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

    /// A target is not probed here any more: what was told of it is over, without a word.
    pub(crate) fn forget(&self, target: &str) {
        self.state().engine.forget(target);
    }

    /// Looks at all rules once a second until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let shared = self.stored.store().info().shared;
        let mut follow_at = Instant::now() + FOLLOW_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if (shared || !self.state().is_read) && follow_at <= Instant::now() {
                self.follow_or_say().await;
                follow_at = Instant::now() + FOLLOW_EVERY;
            }
            self.tell();
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
