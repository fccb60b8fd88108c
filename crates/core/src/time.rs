//! Moments, ranges and the windows of the catalogue. At rest a moment is `i64` nanoseconds since the Unix epoch, UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Nanoseconds of one hour.
pub const HOUR: i64 = 3_600_000_000_000;
/// Nanoseconds of one day.
pub const DAY: i64 = 24 * HOUR;

/// A moment: nanoseconds since the Unix epoch, UTC. Shown as RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The start of the hour this moment is in.
    pub fn hour(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(HOUR)))
    }

    /// The start of the UTC day this moment is in.
    pub fn day(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(DAY)))
    }

    /// This moment `nanoseconds` earlier, held at the earliest moment there is.
    pub fn earlier(self, nanoseconds: i64) -> Self {
        Self(self.0.saturating_sub(nanoseconds))
    }

    /// Reads RFC 3339, or nothing when it is not.
    pub fn parse(text: &str) -> Option<Self> {
        let moment: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(moment.as_nanosecond()).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(moment) => moment.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || format!("`{text}` is not an RFC 3339 time such as 2026-01-02T03:04:05Z");
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(refused()))
    }
}

/// A half-open range of time: `from <= t < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment inside.
    pub from: Timestamp,
    /// The first moment after.
    pub to: Timestamp,
}

/// The length of a catalogue bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// One UTC hour.
    Hour,
    /// One UTC day.
    Day,
}

impl Window {
    /// The name at rest: `hour` or `day`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The start of the window that holds `moment`.
    pub fn start(self, moment: Timestamp) -> Timestamp {
        match self {
            Self::Hour => moment.hour(),
            Self::Day => moment.day(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_start_at_or_before_the_moment_even_before_1970() {
        let moment = Timestamp(-1);
        assert_eq!(moment.hour(), Timestamp(-HOUR));
        assert_eq!(Window::Day.start(moment), Timestamp(-DAY));
        assert_eq!(Timestamp(DAY + 5).day(), Timestamp(DAY));
    }

    #[test]
    fn a_moment_is_shown_and_read_as_rfc_3339_with_its_nanoseconds() {
        let moment = Timestamp(1_700_000_000_123_456_789);
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(Timestamp::parse("2023-11-14T22:13:20.123456789Z"), Some(moment));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
