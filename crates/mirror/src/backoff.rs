//! How long to wait after something failed.

use std::time::Duration;

/// The wait after the first failure; it doubles with each.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// How far a wait is off, as a part of it, so that those who failed together do not come back together.
const JITTER: f64 = 0.25;

#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(rand::random_range(1.0 - JITTER..1.0 + JITTER));
        self.0 = (self.0 * 2).min(LONGEST);
        wait
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }
}
