//! The settings of a writer: every queue, wait and chunk has a named limit with its unit.

use std::time::Duration;

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckLevel {
    /// Once it is in the queue: lost when the process dies before the next flush.
    Queued,
    /// Once it is committed: survives the death of the process.
    Written,
    /// Once it is on disk: survives the loss of power.
    Durable,
}

/// What happens to a request that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits for room, `limit` at the most, and is then refused with [`crate::Refused::Full`] or
    /// [`crate::Refused::Unavailable`]. The client keeps it and sends it again: nothing is lost, and nothing is counted
    /// as offered.
    Block {
        /// The longest wait.
        limit: Duration,
    },
    /// It is dropped at once; its records are counted as offered and as shed, and the answer says so. The client loses
    /// them.
    Shed,
}

/// How one family is queued.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// When a request is answered.
    pub ack: AckLevel,
    /// What happens to a request that finds the queue full.
    pub when_full: WhenFull,
    /// Full at this many rows. The request that reaches it is taken whole; as many again may be in a running flush.
    pub max_pending_rows: usize,
    /// Full at this many bytes, as the fold estimates them. The request that reaches it is taken whole. The rows of a
    /// running flush take several times as many.
    pub max_pending_bytes: usize,
    /// Requests whose bytes wait for room beyond this many are refused at once, unless no other waits.
    pub max_waiting_bytes: usize,
}

/// How long old rows are kept, and how they are removed.
#[derive(Clone, Copy, Debug)]
pub struct RetentionOptions {
    /// The age of the oldest hourly buckets.
    pub hour_buckets: Duration,
    /// The age of the oldest daily buckets.
    pub day_buckets: Duration,
    /// The age of the oldest dead letters.
    pub dead_letters: Duration,
    /// The wait after the start, so that a restart is not slowed down.
    pub first_after: Duration,
    /// The wait between two rounds.
    pub every: Duration,
    /// Rows that are removed in one call, which keeps the store from the writer for as long as that takes.
    pub chunk_rows: usize,
    /// The pause after a full chunk.
    pub pause: Duration,
}

/// The settings of a writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// The telemetry family.
    pub telemetry: QueueOptions,
    /// A flush starts at this many pending rows, even where its pace would have it wait.
    pub flush_rows: usize,
    /// A flush starts when the oldest pending record has waited this long, even where its pace would have it wait.
    pub max_delay: Duration,
    /// How long old rows are kept.
    pub retention: RetentionOptions,
    /// The wait between two looks at what other servers bring to a store that is shared.
    pub refresh_every: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            ack: AckLevel::Written,
            when_full: WhenFull::Block { limit: Duration::from_secs(5) },
            max_pending_rows: 50_000,
            max_pending_bytes: 32 << 20,
            max_waiting_bytes: 128 << 20,
        }
    }
}

impl Default for RetentionOptions {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            hour_buckets: 7 * DAY,
            day_buckets: 400 * DAY,
            dead_letters: 30 * DAY,
            first_after: Duration::from_secs(60),
            every: Duration::from_secs(3600),
            chunk_rows: 1000,
            pause: Duration::from_millis(100),
        }
    }
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            telemetry: QueueOptions::default(),
            flush_rows: 20_000,
            max_delay: Duration::from_secs(1),
            retention: RetentionOptions::default(),
            refresh_every: Duration::from_secs(10),
        }
    }
}
