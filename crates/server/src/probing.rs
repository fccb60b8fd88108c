//! Probes the configured targets and brings their pings to the writer and to the alerts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallybook_core::{Ping, PingTarget};
use tallybook_probe::{Daemon, ProbeError, ProbeOptions, Prober, Target, TargetConfig, TargetState};
use tallybook_writer::{Refused, Writer};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::alerts::Alerts;
use crate::ping_targets::PingTargets;

/// Pings that wait while the store does not answer: a minute and a half of a thousand a second.
const WAITING_MAX: usize = 100_000;
/// Pings that are handed to the writer together.
const TOGETHER_MAX: usize = 5_000;
/// The pause after a write, in which pings gather: each commit writes whole pages, however few of their rows it changes.
const GATHER: Duration = Duration::from_millis(500);
/// How often targets are read that other servers may have changed.
const SYNC_EVERY: Duration = Duration::from_secs(10);
/// How long a stop waits to tell other servers.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// The pause before a refused batch is offered again, where nobody says when.
const PAUSE: Duration = Duration::from_secs(1);

/// What runs the probes. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Probing(Arc<State>);

#[derive(Debug)]
struct State {
    targets: PingTargets,
    prober: Prober,
    /// Weak: the pump ends with the daemon.
    gone: mpsc::WeakSender<Probed>,
    /// `None` once it has stopped, or where this server does not probe.
    daemon: Mutex<Option<Daemon>>,
}

/// What comes from the probes on its way to the writer.
#[derive(Debug)]
pub(crate) struct Pump {
    probed: mpsc::Receiver<Probed>,
    lost: Arc<AtomicU64>,
    writer: Writer,
    alerts: Alerts,
}

/// What the probes tell.
#[derive(Debug)]
enum Probed {
    Ping(Ping),
    /// A target of this name is not probed here any more.
    Gone(Arc<str>),
}

impl Probing {
    /// Probes nothing yet; where `enabled` is false, it never does.
    ///
    /// # Errors
    /// When this machine has nothing to probe with.
    pub(crate) fn new(
        targets: PingTargets,
        writer: Writer,
        alerts: Alerts,
        enabled: bool,
    ) -> Result<(Self, Pump), ProbeError> {
        let prober = Prober::new(ProbeOptions::default())?;
        let (sender, probed) = mpsc::channel(WAITING_MAX);
        let gone = sender.downgrade();
        let lost = Arc::new(AtomicU64::new(0));
        let sink = {
            let lost = lost.clone();
            move |ping| {
                if sender.try_send(Probed::Ping(ping)).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let daemon = Mutex::new(enabled.then(|| Daemon::start(prober.clone(), sink)));
        Ok((Self(Arc::new(State { targets, prober, gone, daemon })), Pump { probed, lost, writer, alerts }))
    }

    /// What is configured.
    pub(crate) fn targets(&self) -> &PingTargets {
        &self.0.targets
    }

    /// Whether such a target can be probed from here.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub(crate) fn check(&self, target: &Target) -> Result<(), ProbeError> {
        self.0.prober.check(target)
    }

    /// Probes what the store says, this server's share of it, and nothing else.
    ///
    /// # Errors
    /// When the targets cannot be read; all goes on as before.
    pub(crate) async fn sync(&self) -> tallybook_core::Result<()> {
        if self.daemon().is_none() {
            return Ok(());
        }
        let wanted = self.0.targets.claim().await?;
        let daemon = self.daemon();
        let Some(daemon) = &*daemon else { return Ok(()) };
        let ids: BTreeSet<&str> = wanted.iter().map(|target| &*target.id).collect();
        for state in daemon.list().iter().filter(|state| !ids.contains(state.config.id.as_str())) {
            daemon.remove(&state.config.id);
            if let Some(gone) = self.0.gone.upgrade() {
                // Behind its last ping. Where there is no room, its alerts stay.
                let _ = gone.try_send(Probed::Gone(state.config.target.name().clone()));
            }
        }
        for target in &wanted {
            if let Err(error) = config(target).and_then(|config| daemon.set(config)) {
                tracing::warn!(%error, target = &*target.target, "a stored target cannot be probed");
            }
        }
        Ok(())
    }

    /// How the targets do that are probed here.
    pub(crate) fn states(&self) -> Vec<TargetState> {
        self.daemon().as_ref().map(Daemon::list).unwrap_or_default()
    }

    /// Begins with the stored targets and follows their changes, until [`Probing::stop`].
    pub(crate) async fn run(self) {
        while self.daemon().is_some() {
            if let Err(error) = self.sync().await {
                tracing::warn!(%error, "the targets to probe could not be read");
            }
            sleep(SYNC_EVERY).await;
        }
    }

    /// Sends no further probe; the pump ends when it has written what there is. Other servers take over.
    pub(crate) async fn stop(&self) {
        if self.daemon().take().is_none() {
            return;
        }
        match timeout(LEAVE_LIMIT, self.0.targets.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "other servers were not told that this one stops probing"),
            Err(_) => tracing::warn!("other servers could not be told in time that this one stops probing"),
        }
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.0.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pump {
    /// Works until the probes have stopped and everything is written, or the writer takes no more.
    pub(crate) async fn run(mut self) {
        let mut together = Vec::new();
        while self.probed.recv_many(&mut together, TOGETHER_MAX).await > 0 {
            let count = together.len();
            let mut pings = Vec::with_capacity(count);
            for probed in together.drain(..) {
                match probed {
                    Probed::Ping(ping) => {
                        self.alerts.observe(std::slice::from_ref(&ping));
                        pings.push(ping);
                    }
                    Probed::Gone(target) => self.alerts.forget(&target),
                }
            }
            if !self.write(pings).await {
                tracing::error!(pings = count + self.probed.len(), "the writer stopped before all pings were written");
                return;
            }
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::error!(pings = lost, "pings were lost because the store did not take them for too long");
            }
            if count < TOGETHER_MAX && !self.probed.is_closed() {
                sleep(GATHER).await;
            }
        }
    }

    /// Offers pings until they are taken; says whether they were. Sent twice, they are stored once.
    async fn write(&self, pings: Vec<Ping>) -> bool {
        loop {
            match self.writer.pings(pings.clone()).await {
                Ok(_) => return true,
                Err(Refused::Stopping | Refused::Decode(_)) => return false,
                Err(Refused::Full { retry_after } | Refused::Unavailable { retry_after, .. }) => {
                    sleep(retry_after).await;
                }
                Err(Refused::Unacknowledged { .. }) => sleep(PAUSE).await,
            }
        }
    }
}

fn config(target: &PingTarget) -> Result<TargetConfig, ProbeError> {
    Ok(TargetConfig {
        id: target.id.to_string(),
        target: target.target.parse()?,
        interval: Duration::from_nanos(target.interval),
        timeout: Duration::from_nanos(target.timeout),
        enabled: target.enabled,
    })
}
