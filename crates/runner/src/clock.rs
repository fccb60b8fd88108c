//! Times that do not step: the wall clock is read once, and what has passed since is counted.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tallybook_core::Timestamp;

/// Gives the time of events and lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Timestamp,
    passed_before: Duration,
}

impl Clock {
    /// A clock that is right now.
    pub(crate) fn start() -> Self {
        Self { started: Timestamp::now(), passed_before: since_boot() }
    }

    /// Never before an earlier answer, whatever is done to the wall clock meanwhile.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = since_boot().saturating_sub(self.passed_before);
        Timestamp(self.started.0.saturating_add(i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// Counts while the machine sleeps, too, where the system can tell.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}
