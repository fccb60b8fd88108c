//! How much latencies vary from one to the next.

/// The running estimate of interarrival jitter of RFC 3550, 6.4.1, over round trips instead of transit times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    last: Option<u64>,
    /// In sixteenths of a nanosecond, as the RFC's sample code keeps it: nothing is lost to rounding.
    sixteenths: u64,
}

impl Jitter {
    /// The estimate in nanoseconds once `latency` (in nanoseconds) has followed another; `None` for the first.
    pub fn next(&mut self, latency: u64) -> Option<u64> {
        let before = self.last.replace(latency)?;
        let decay = self.sixteenths.saturating_add(8) >> 4;
        self.sixteenths = self.sixteenths.saturating_add(latency.abs_diff(before)) - decay;
        Some(self.sixteenths >> 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_that_of_the_rfc() {
        let mut jitter = Jitter::default();
        // 1600/16 = 100; 100 + (0 - 100)/16 = 93.75; 93.75 + (1600 - 93.75)/16 = 187.9
        assert_eq!(
            [1_600, 3_200, 3_200, 1_600].map(|latency| jitter.next(latency)),
            [None, Some(100), Some(93), Some(187)]
        );
    }

    #[test]
    fn jitter_settles_at_the_difference_of_a_steady_swing() {
        let mut jitter = Jitter::default();
        let last = (0..1_000).filter_map(|at| jitter.next(10_000 + at % 2 * 5_000)).last();
        assert!(last.is_some_and(|last| last.abs_diff(5_000) < 10), "{last:?}");
    }
}
