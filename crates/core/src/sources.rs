//! How long a store remembers the last batch of a source.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often ended sources are looked for: each named request is a source.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// When a store last forgot the sources that have ended.
#[derive(Debug, Default)]
pub struct EndedSources(Mutex<Option<Instant>>);

impl EndedSources {
    /// Sources that sent nothing for so many days have ended; none sends again what it sent before.
    pub const AFTER_DAYS: i32 = 30;

    /// Whether it is time to forget them: at once, then every hour. Whoever asks does it.
    pub fn are_due(&self) -> bool {
        self.are_due_at(Instant::now())
    }

    fn are_due_at(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_sources_are_looked_for_at_once_and_then_every_hour() {
        let (ended, begun) = (EndedSources::default(), Instant::now());
        let minutes = [0, 1, 59, 60, 61, 119, 120];
        let due = minutes.map(|minute| ended.are_due_at(begun + Duration::from_secs(60 * minute)));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}
