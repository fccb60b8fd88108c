//! When a target is probed next. Pure: moments are the caller's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// The longest pause between two probes of a target that does not answer, unless its interval is longer.
pub const MAX_PAUSE: Duration = Duration::from_secs(300);

/// Probes go out at multiples of this: those of many targets share one wake-up of the process, and so do their answers.
const SLOT: Duration = Duration::from_millis(5);

/// The wait before the first probe: a part of the interval that depends on the id alone, so that many targets spread
/// over the interval, in the same way after every restart.
pub(crate) fn first_pause(id: &str, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    interval.mul_f64(hasher.finish() as f64 / u64::MAX as f64)
}

/// The next slot at or after a moment; both count from the same beginning.
pub(crate) fn slot(moment: Duration) -> Duration {
    let slot = SLOT.as_nanos();
    Duration::from_nanos(u64::try_from(moment.as_nanos().div_ceil(slot) * slot).unwrap_or(u64::MAX))
}

/// The pause after so many failures in a row: it doubles with each from the interval on.
pub(crate) fn pause(interval: Duration, failures: u64) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX);
    let doubled = interval.saturating_mul(2_u32.saturating_pow(doublings));
    doubled.min(MAX_PAUSE.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_with_each_failure_to_five_minutes_at_most() {
        let seconds: Vec<u64> = (0..10).map(|failures| pause(Duration::from_secs(2), failures).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(Duration::from_secs(1), u64::MAX), MAX_PAUSE);
        assert_eq!(pause(Duration::from_secs(3_600), 5), Duration::from_secs(3_600));
    }

    #[test]
    fn probes_wait_for_the_next_slot_and_no_longer() {
        let slots = [0, 1, 4_999, 5_000, 5_001].map(|micros| slot(Duration::from_micros(micros)).as_millis());
        assert_eq!(slots, [0, 5, 5, 5, 10]);
    }

    #[test]
    fn first_probes_spread_over_the_interval() {
        let interval = Duration::from_secs(1);
        let mut tenths = [0; 10];
        for id in 0..1_000 {
            tenths[(first_pause(&id.to_string(), interval).as_millis() as usize / 100).min(9)] += 1;
        }
        assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
        assert_eq!(first_pause("a", interval), first_pause("a", interval));
    }
}
