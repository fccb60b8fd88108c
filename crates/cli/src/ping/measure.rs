//! Probes every host at the same pace. Unlike the daemon of `serve` it never backs off: somebody is watching.

use std::time::Duration;

use tallybook_core::Ping;
use tallybook_probe::{Prober, Series, Target};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// When probes are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// Probes of each host; without it there is no end.
    pub(crate) count: Option<u64>,
}

/// A host by its place in the list, and one of its pings.
pub(crate) type Measured = (usize, Ping);

/// Measures all hosts until the count is reached, or the set is dropped.
pub(crate) fn start(prober: &Prober, targets: Vec<Target>, pace: Pace, pings: &mpsc::Sender<Measured>) -> JoinSet<()> {
    let hosts = targets.into_iter().enumerate();
    hosts.map(|(host, target)| measure(prober.clone(), host, target, pace, pings.clone())).collect()
}

/// A probe that is still waited for does not hold up the next one.
async fn measure(prober: Prober, host: usize, target: Target, pace: Pace, pings: mpsc::Sender<Measured>) {
    let mut interval = interval(pace.interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut left = pace.count.unwrap_or(u64::MAX);
    let mut probes = JoinSet::new();
    let mut series = Series::default();
    loop {
        tokio::select! {
            _ = interval.tick(), if left > 0 => {
                left -= 1;
                let (prober, target) = (prober.clone(), target.clone());
                probes.spawn(async move { prober.probe_within(&target, pace.timeout).await });
            }
            Some(Ok(ping)) = probes.join_next() => {
                if pings.send((host, series.stamp(ping))).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
