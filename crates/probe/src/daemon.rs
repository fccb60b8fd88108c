//! Probes many targets, each at its own pace, until told otherwise.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallybook_core::{Ping, Timestamp};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::{ProbeError, Prober, Series, Target, pace};

/// The shortest interval.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The longest interval.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);
/// The longest wait for an answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

type Probe = dyn Fn(Target, Duration) -> Pin<Box<dyn Future<Output = Ping> + Send>> + Send + Sync;
type Sink = dyn Fn(Ping) + Send + Sync;

/// A target and its pace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetConfig {
    /// What names it among the others.
    pub id: String,
    /// What is probed.
    pub target: Target,
    /// The time from one probe to the next while it answers: 10 ms to a day.
    pub interval: Duration,
    /// How long an answer is waited for: a minute at most. While it is, no further probe is sent.
    pub timeout: Duration,
    /// Whether it is probed.
    pub enabled: bool,
}

/// How a target does.
#[derive(Clone, Debug)]
pub struct TargetState {
    /// The target and its pace.
    pub config: TargetConfig,
    /// Its last ping.
    pub last: Option<Ping>,
    /// Pings lost since its last answer.
    pub consecutive_failures: u64,
    /// When it is probed next; `None` when it is not enabled.
    pub next_at: Option<Timestamp>,
}

/// Runs the targets, each as a task of its own: none waits for another. Dropping it stops them all.
pub struct Daemon {
    probe: Arc<Probe>,
    sink: Arc<Sink>,
    /// The slots of probes count from here.
    started: Instant,
    targets: Mutex<HashMap<String, Running>>,
}

struct Running {
    state: Arc<Mutex<TargetState>>,
    task: Option<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Daemon {
    /// A daemon without targets. `sink` gets every ping and must not block.
    pub fn start(prober: Prober, sink: impl Fn(Ping) + Send + Sync + 'static) -> Self {
        Self::with(
            move |target, limit| {
                let prober = prober.clone();
                Box::pin(async move { prober.probe_within(&target, limit).await })
            },
            sink,
        )
    }

    fn with(
        probe: impl Fn(Target, Duration) -> Pin<Box<dyn Future<Output = Ping> + Send>> + Send + Sync + 'static,
        sink: impl Fn(Ping) + Send + Sync + 'static,
    ) -> Self {
        Self { probe: Arc::new(probe), sink: Arc::new(sink), started: Instant::now(), targets: Mutex::default() }
    }

    /// Adds a target, or changes the one with this id; one that stays as it is goes on undisturbed. Ask [`Prober::check`]
    /// first whether such a target can be probed from here.
    ///
    /// # Errors
    /// [`ProbeError::Setting`] when its interval or timeout is outside the limits; nothing is changed then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn set(&self, config: TargetConfig) -> Result<(), ProbeError> {
        check(&config)?;
        let mut targets = locked(&self.targets);
        if targets.get(&config.id).is_some_and(|running| locked(&running.state).config == config) {
            return Ok(());
        }
        let id = config.id.clone();
        let enabled = config.enabled;
        let first = self.started + pace::slot(self.started.elapsed() + pace::first_pause(&id, config.interval));
        let state = TargetState { config, last: None, consecutive_failures: 0, next_at: None };
        let state = Arc::new(Mutex::new(state));
        let run = || tokio::spawn(run(first, state.clone(), self.probe.clone(), self.sink.clone())).abort_handle();
        let task = enabled.then(run);
        targets.insert(id, Running { state, task });
        Ok(())
    }

    /// Removes a target; says whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        locked(&self.targets).remove(id).is_some()
    }

    /// All targets and how they do, by id.
    pub fn list(&self) -> Vec<TargetState> {
        let targets = locked(&self.targets);
        let mut states: Vec<TargetState> = targets.values().map(|running| locked(&running.state).clone()).collect();
        states.sort_by(|a, b| a.config.id.cmp(&b.config.id));
        states
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon").field("targets", &locked(&self.targets).len()).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(config: &TargetConfig) -> Result<(), ProbeError> {
    let refused = |sentence: &str| Err(ProbeError::Setting(format!("{}: {sentence}", config.target)));
    if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&config.interval) {
        return refused("the interval must be from 10 ms to a day");
    }
    if config.timeout.is_zero() || config.timeout > MAX_TIMEOUT {
        return refused("the timeout must be above 0 and at most a minute");
    }
    Ok(())
}

/// Probes one target, from the moment `next` on, until the task is aborted.
async fn run(mut next: Instant, state: Arc<Mutex<TargetState>>, probe: Arc<Probe>, sink: Arc<Sink>) {
    let TargetConfig { id: _, target, interval, timeout, enabled: _ } = locked(&state).config.clone();
    let mut series = Series::default();
    loop {
        locked(&state).next_at = Some(on_the_wall(next));
        sleep_until(next).await;
        let ping = series.stamp(probe(target.clone(), timeout).await);
        {
            let mut state = locked(&state);
            state.consecutive_failures = if ping.success { 0 } else { state.consecutive_failures + 1 };
            state.last = Some(ping.clone());
            next += pace::pause(interval, state.consecutive_failures);
        }
        // What was missed, while the machine slept or an answer was waited for, is not made up for.
        next = next.max(Instant::now());
        sink(ping);
    }
}

fn on_the_wall(moment: Instant) -> Timestamp {
    let wait = moment.saturating_duration_since(Instant::now());
    Timestamp(Timestamp::now().0.saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
