//! Posts alerts to an address, one after the other.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::engine::Alert;

/// How long one attempt may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The pauses before a post is tried again; after the last, the alert is given up.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Alerts that wait for a slow receiver; further ones are in the log only.
const WAITING_MAX: usize = 1_000;

/// Hands alerts to a task that posts them. When it is dropped, the task ends with what waits.
#[derive(Clone, Debug)]
pub(crate) struct Webhook(mpsc::Sender<Alert>);

impl Webhook {
    /// A task that posts to `url`.
    pub(crate) fn start(url: Url) -> reqwest::Result<Self> {
        // What answers elsewhere is not the receiver that was set.
        let client = Client::builder().timeout(TIME_LIMIT).redirect(redirect::Policy::none()).build()?;
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(client, url, waiting));
        Ok(Self(sender))
    }

    pub(crate) fn send(&self, alert: Alert) {
        if let Err(full) = self.0.try_send(alert) {
            tracing::error!(alert = full.into_inner().text, "the webhook is too slow: an alert was not posted");
        }
    }
}

async fn run(client: Client, url: Url, mut waiting: mpsc::Receiver<Alert>) {
    while let Some(alert) = waiting.recv().await {
        if let Err(error) = post(&client, &url, &alert).await {
            // The path may be the secret.
            let host = url.host_str().unwrap_or_default();
            tracing::error!(%error, host, alert = alert.text, "an alert could not be posted");
        }
    }
}

async fn post(client: &Client, url: &Url, alert: &Alert) -> Result<(), String> {
    let mut pauses = PAUSES.iter();
    loop {
        let answer = client.post(url.clone()).json(alert).send().await;
        let error = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => format!("it answered {}", answer.status()),
            Err(error) => error.without_url().to_string(),
        };
        match pauses.next() {
            Some(pause) => sleep(*pause).await,
            None => return Err(error),
        }
    }
}
