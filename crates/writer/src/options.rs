//! The settings of a writer: every queue, wait and chunk has a named limit with its unit.

use std::time::Duration;

use tallybook_core::Family;

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
    /// Full at this many rows. The request that reaches it is taken whole. Rows count until they are committed; of telemetry, as many again may be in a running flush.
    pub max_pending_rows: usize,
    /// Full at this many bytes, estimated. The request that reaches it is taken whole. The telemetry rows of a running
    /// flush take several times as many.
    pub max_pending_bytes: usize,
    /// Requests whose bytes wait for room beyond this many are refused at once, unless no other waits.
    pub max_waiting_bytes: usize,
    /// Pings, ticks or rows of executions in one commit. A longer request of pings or ticks takes several; one of executions
    /// never does, and telemetry is flushed whole.
    pub max_commit_records: usize,
}

/// How ticks are taken.
#[derive(Clone, Copy, Debug)]
pub struct TickOptions {
    /// How they are queued.
    pub queue: QueueOptions,
    /// Ticks of one symbol that are kept in memory for [`crate::Writer::recent`].
    pub ring_per_symbol: usize,
    /// Symbols that are remembered; ticks of others are stored all the same, but [`crate::Writer::recent`] has none.
    pub max_ring_symbols: usize,
    /// Ticks in memory, of all symbols together; past this, a ring that would grow forgets its oldest tick instead.
    pub max_ring_ticks: usize,
    /// Whether a tick is dropped, and counted, that has the bid, ask, volume and source of the one before of its symbol.
    pub drop_identical: bool,
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
    /// The age of the oldest pings; whole UTC days of them are removed.
    pub pings: Duration,
    /// The age of the oldest sums of pings by minute.
    pub ping_minutes: Duration,
    /// The age of the oldest sums of pings by hour. Those by day are kept.
    pub ping_hours: Duration,
    /// The age of the oldest day of ticks; `None` keeps all.
    pub ticks: Option<Duration>,
    /// The age at which a day of ticks is sealed, where the store can; `None` seals none.
    pub seal_after: Option<Duration>,
    /// The age of the oldest executions that have ended; one may say of itself when it goes.
    pub executions: Duration,
    /// The wait after the start, so that a restart is not slowed down.
    pub first_after: Duration,
    /// The wait between two rounds.
    pub every: Duration,
    /// Rows that are removed in one call, which keeps the store from the writer for as long as that takes.
    pub chunk_rows: usize,
    /// The pause after a full chunk, and after a day of ticks that was removed or sealed.
    pub pause: Duration,
}

/// The settings of a writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// The telemetry family.
    pub telemetry: QueueOptions,
    /// The ping family.
    pub pings: QueueOptions,
    /// The tick family.
    pub ticks: TickOptions,
    /// The execution family.
    pub executions: QueueOptions,
    /// A flush of telemetry starts at this many pending rows, even where its pace would have it wait.
    pub flush_rows: usize,
    /// A flush starts when the oldest pending record has waited this long, even where its pace would have it wait.
    pub max_delay: Duration,
    /// How long old rows are kept.
    pub retention: RetentionOptions,
    /// The wait between two looks at what other servers bring to a store that is shared.
    pub refresh_every: Duration,
}

impl WriterOptions {
    pub(crate) fn queue(&self, family: Family) -> &QueueOptions {
        match family {
            Family::Telemetry => &self.telemetry,
            Family::Ping => &self.pings,
            Family::Tick => &self.ticks.queue,
            Family::Execution => &self.executions,
        }
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            ack: AckLevel::Written,
            when_full: WhenFull::Block { limit: Duration::from_secs(5) },
            max_pending_rows: 50_000,
            max_pending_bytes: 32 << 20,
            max_waiting_bytes: 128 << 20,
            max_commit_records: 5_000,
        }
    }
}

impl Default for TickOptions {
    fn default() -> Self {
        let queue = QueueOptions {
            max_pending_rows: 500_000,
            max_pending_bytes: 128 << 20,
            max_commit_records: 50_000,
            ..QueueOptions::default()
        };
        Self {
            queue,
            ring_per_symbol: 10_000,
            max_ring_symbols: 4_096,
            max_ring_ticks: 2_000_000,
            drop_identical: false,
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
            pings: 30 * DAY,
            ping_minutes: 90 * DAY,
            ping_hours: 365 * DAY,
            ticks: None,
            seal_after: Some(7 * DAY),
            executions: 90 * DAY,
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
            pings: QueueOptions::default(),
            ticks: TickOptions::default(),
            executions: QueueOptions { ack: AckLevel::Durable, max_pending_bytes: 64 << 20, ..QueueOptions::default() },
            flush_rows: 20_000,
            max_delay: Duration::from_secs(1),
            retention: RetentionOptions::default(),
            refresh_every: Duration::from_secs(10),
        }
    }
}
