//! What a mirror says of itself.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tallybook_core::Timestamp;

use crate::Progress;

/// What a mirror does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has not kept a page yet.
    Starting,
    /// More waits than fits into one page.
    CatchingUp,
    /// It holds what the primary holds, but for the last moment.
    Following,
    /// It was told to rest.
    Paused,
    /// Something fails, and is tried again.
    Failing,
    /// It holds what came from elsewhere: it must be told to rebuild.
    Refused,
    /// It is being emptied.
    Rebuilding,
    /// It has ended.
    Stopped,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::CatchingUp,
        Self::Following,
        Self::Paused,
        Self::Failing,
        Self::Refused,
        Self::Rebuilding,
        Self::Stopped,
    ];

    /// The name in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Following => "following",
            Self::Paused => "paused",
            Self::Failing => "failing",
            Self::Refused => "refused",
            Self::Rebuilding => "rebuilding",
            Self::Stopped => "stopped",
        }
    }

    /// Whether somebody should look after it.
    pub fn is_degraded(self) -> bool {
        matches!(self, Self::Failing | Self::Refused)
    }
}

/// What failed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// What was said.
    pub error: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// A mirror at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What follows, and where.
    pub target: Arc<str>,
    /// What it does.
    pub state: State,
    /// About how many rows and ticks wait; `None` while that is not known.
    pub lag_records: Option<u64>,
    /// How old the oldest thing may be that waits; `None` until it has caught up once.
    pub lag: Option<Duration>,
    /// What was kept since the start of the process.
    pub progress: Progress,
    /// Failures since then.
    pub errors: u64,
    /// Since when nothing works; `None` while all does.
    pub failing_since: Option<Timestamp>,
    /// What failed last.
    pub last_error: Option<LastError>,
}
