//! The ping family: whether hosts answer and how fast, and what that comes to per minute, hour and day.
//!
//! Sums are kept in the transaction that stores the pings ([`PingPlan`]): they are true at every moment, late pings correct
//! the sums they belong to, and retention can never drop what has not been summed up.

mod heatmap;
mod jitter;
mod outages;
mod parts;
mod plan;
mod summary;
mod target;
mod watch;

use std::sync::Arc;

use crate::table::{record, text_enum};
use crate::{DAY, HOUR, Histogram, Timestamp};

pub use heatmap::{HeatCell, HeatMap};
pub use jitter::Jitter;
pub use outages::{Outage, OutageFinder, OutageStep, outage_steps, outages};
pub use parts::PingPart;
pub use plan::{BucketKey, PingPlan};
pub use summary::PingSummary;
pub use target::{PingSeen, PingTarget};
pub use watch::{AlertRules, Prober};

record! {
    /// One probe and its answer. Of two with the same target and time the later one to arrive counts.
    Ping in "ping" by Replace pruned by "time" {
        /// The host, address or URL that was probed.
        target: Arc<str> => Key,
        /// When the probe was sent.
        time: Timestamp => Key,
        /// Round-trip time in nanoseconds; absent when lost, never 0.
        latency: Option<u64> => Last,
        /// Whether it was answered.
        success: bool => Last,
        /// The time to live of the answer, in hops.
        ttl: Option<u64> => Last,
        /// Bytes of the probe.
        packet_size: Option<u64> => Last,
        /// The probe's number in its series.
        sequence: Option<u64> => Last,
        /// Interarrival jitter in nanoseconds as of this ping, by the running estimator of RFC 3550, 6.4.1.
        jitter: Option<u64> => Last,
        /// Why it was not answered.
        error: Option<Arc<str>> => Last,
    }
}

impl Ping {
    /// A ping of which nothing else is known; `latency` in nanoseconds, `None` when it was lost.
    pub fn new(target: impl Into<Arc<str>>, time: Timestamp, latency: Option<u64>) -> Self {
        Self {
            target: target.into(),
            time,
            latency,
            success: latency.is_some(),
            ttl: None,
            packet_size: None,
            sequence: None,
            jitter: None,
            error: None,
        }
    }
}

text_enum! {
    /// The length of a bucket of pings.
    Resolution {
        /// One UTC minute.
        Minute = "minute",
        /// One UTC hour.
        Hour = "hour",
        /// One UTC day.
        Day = "day",
    }
}

record! {
    /// What the pings of one target come to in one minute, hour or day.
    PingBucket in "ping_bucket" by Merge pruned by "start" {
        /// The length of the bucket.
        resolution: Resolution => Key,
        /// Its first moment.
        start: Timestamp => Key,
        /// The target.
        target: Arc<str> => Key,
        /// Pings.
        count: u64 => Add,
        /// Pings that were not answered.
        lost: u64 => Add,
        /// The sum of all latencies, in nanoseconds.
        sum: u64 => Add,
        /// The sum of all squares of latencies, in square microseconds.
        sum_squares: u64 => Add,
        /// The smallest latency, in nanoseconds.
        min: Option<u64> => Min,
        /// The greatest latency, in nanoseconds.
        max: Option<u64> => Max,
        /// The sum of the jitters of all pings that have one, in nanoseconds.
        jitter_sum: u64 => Add,
        /// Pings that have a jitter.
        jitter_count: u64 => Add,
        /// The time to live that was seen last.
        ttl: Option<u64> => Last,
        /// The distribution of latencies.
        latencies: Arc<Histogram> => Union,
    }
}

impl Resolution {
    /// Its length in nanoseconds.
    pub fn nanoseconds(self) -> i64 {
        match self {
            Self::Minute => HOUR / 60,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// The start of the bucket that holds `moment`.
    pub fn start(self, moment: Timestamp) -> Timestamp {
        Timestamp(moment.0.saturating_sub(moment.0.rem_euclid(self.nanoseconds())))
    }
}

impl Ping {
    /// The longest target, in bytes.
    pub const MAX_TARGET_BYTES: usize = 1_024;
    /// The greatest latency, in nanoseconds: an hour.
    pub const MAX_LATENCY: u64 = HOUR.unsigned_abs();

    /// Why it cannot be stored, where that is so.
    pub fn defect(&self) -> Option<&'static str> {
        match () {
            () if self.target.is_empty() => Some("the target is empty"),
            () if self.target.len() > Self::MAX_TARGET_BYTES => Some("the target is longer than 1,024 bytes"),
            () if self.target.contains('\0') => Some("the target holds a zero byte"),
            () if !crate::tick::TIMES.contains(&self.time.0) => Some("the time lies outside of 1970 to 2200"),
            () if self.latency == Some(0) => Some("a latency of 0 is none: leave it out where no answer came"),
            () if self.latency.is_some_and(|latency| latency > Self::MAX_LATENCY) => {
                Some("the latency is longer than an hour")
            }
            () if self.success != self.latency.is_some() => {
                Some("a ping has a latency if it was answered, and none if it was lost")
            }
            () => None,
        }
    }
}

impl PingBucket {
    /// The bucket of this length that holds `ping`, with nothing but that ping.
    pub fn of(resolution: Resolution, ping: &Ping) -> Self {
        let latency = ping.latency;
        let mut latencies = Histogram::default();
        if let Some(latency) = latency {
            latencies.insert(latency);
        }
        Self {
            resolution,
            start: resolution.start(ping.time),
            target: ping.target.clone(),
            count: 1,
            lost: u64::from(!ping.success),
            sum: latency.unwrap_or(0),
            sum_squares: latency.map_or(0, square_microseconds),
            min: latency,
            max: latency,
            jitter_sum: ping.jitter.unwrap_or(0),
            jitter_count: u64::from(ping.jitter.is_some()),
            ttl: ping.ttl,
            latencies: Arc::new(latencies),
        }
    }
}

fn square_microseconds(nanoseconds: u64) -> u64 {
    let square = u128::from(nanoseconds).pow(2) / 1_000_000;
    u64::try_from(square).unwrap_or(u64::MAX)
}
