//! The settings by group. A setting is a flag; in the environment it is called like its field in capitals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use bytesize::ByteSize;
use clap::{ArgAction, Args, ValueEnum};
use humantime::parse_duration;
use tallybook_backends::{Backend, Place};

/// Where records are kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreSettings {
    /// The primary store: sqlite, postgres or memory
    #[arg(long, env, default_value = "sqlite", value_name = "BACKEND")]
    pub(crate) use_db: Backend,
    /// The folder of everything that is kept in files
    #[arg(long, env, default_value = "./data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The database of `postgres`, as postgres://user:password@host:port/database?sslmode=…
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// What follows the store: clickhouse://user:password@host:8123/database, duckdb:///FILE, postgres://… or sqlite:DIR
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub(crate) mirror_url: Option<Place>,
}

impl StoreSettings {
    /// Refuses other stores than SQLite: `elsewhere` says what to do with them.
    pub(crate) fn need_sqlite(&self, command: &str, elsewhere: &str) -> Result<()> {
        if self.use_db == Backend::Sqlite {
            return Ok(());
        }
        bail!("`{command}` works with USE_DB=sqlite, not with USE_DB={}; {elsewhere}", self.use_db)
    }
}

/// What is bound, who may come in, and how much they may send.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkSettings {
    /// Where OTLP/gRPC is received
    #[arg(long, env, default_value = "127.0.0.1:4317", value_name = "ADDR")]
    pub(crate) otlp_grpc_addr: SocketAddr,
    /// Where OTLP/HTTP is received
    #[arg(long, env, default_value = "127.0.0.1:4318", value_name = "ADDR")]
    pub(crate) otlp_http_addr: SocketAddr,
    /// Where the JSON API answers
    #[arg(long, env, default_value = "127.0.0.1:8090", value_name = "ADDR")]
    pub(crate) api_addr: SocketAddr,
    /// The bearer token that every request must carry; needed where an address is not loopback
    #[arg(long, env, hide_env_values = true, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
    /// The largest OTLP request as it arrives
    #[arg(long, env, default_value = "64MiB", value_name = "BYTES")]
    pub(crate) otlp_max_body: ByteSize,
    /// The largest OTLP request after decompression
    #[arg(long, env, default_value = "64MiB", value_name = "BYTES")]
    pub(crate) otlp_max_decompressed: ByteSize,
}

/// When writes are answered, and how long anybody waits.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Writing")]
pub(crate) struct WritingSettings {
    /// When an OTLP request is answered: once queued, written or durable
    #[arg(long, env, default_value = "written", value_name = "LEVEL")]
    pub(crate) telemetry_ack: AckLevel,
    /// What a full queue does to telemetry: block (the client is told to retry) or shed (counted and said)
    #[arg(long, env, default_value = "block", value_name = "POLICY")]
    pub(crate) telemetry_when_full: WhenFull,
    /// When a request of pings is answered: once queued, written or durable
    #[arg(long, env, default_value = "written", value_name = "LEVEL")]
    pub(crate) ping_ack: AckLevel,
    /// What a full queue does to pings: block or shed
    #[arg(long, env, default_value = "block", value_name = "POLICY")]
    pub(crate) ping_when_full: WhenFull,
    /// When a request of ticks is answered: once queued, written or durable
    #[arg(long, env, default_value = "written", value_name = "LEVEL")]
    pub(crate) tick_ack: AckLevel,
    /// What a full queue does to ticks: block or shed
    #[arg(long, env, default_value = "block", value_name = "POLICY")]
    pub(crate) tick_when_full: WhenFull,
    /// When events of executions are answered: once queued, written or durable
    #[arg(long, env, default_value = "durable", value_name = "LEVEL")]
    pub(crate) execution_ack: AckLevel,
    /// How long a request waits for room in a full queue
    #[arg(long, env, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) queue_max_wait: Duration,
    /// How long a stop may take to write what is queued
    #[arg(long, env, default_value = "30s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) stop_max_wait: Duration,
}

/// What of telemetry is told apart, and how long it is kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Catalogue")]
pub(crate) struct CatalogueSettings {
    /// Services that are told apart; more are counted as `<overflow>`
    #[arg(long, env, default_value_t = 1_000, value_name = "N")]
    pub(crate) max_services: usize,
    /// Metric names of a service that are told apart
    #[arg(long, env, default_value_t = 100_000, value_name = "N")]
    pub(crate) max_metrics_per_service: usize,
    /// Span names of a service that are told apart
    #[arg(long, env, default_value_t = 20_000, value_name = "N")]
    pub(crate) max_spans_per_service: usize,
    /// Attribute keys that are told apart, over everything
    #[arg(long, env, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) max_keys: usize,
    /// Log templates of a service and severity that are told apart
    #[arg(long, env, default_value_t = 1_000, value_name = "N")]
    pub(crate) max_templates: usize,
    /// Whether one example body is kept for each log template
    #[arg(long, env, default_value_t = true, value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) keep_examples: bool,
    /// How long hourly buckets are kept
    #[arg(long, env, default_value = "7d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_hours: Duration,
    /// How long daily buckets are kept
    #[arg(long, env, default_value = "400d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_days: Duration,
}

/// The two time series.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Pings and ticks")]
pub(crate) struct SeriesSettings {
    /// How long single pings are kept; they leave by whole days
    #[arg(long, env, default_value = "30d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_pings: Duration,
    /// The latest ticks of each symbol that are kept in memory
    #[arg(long, env, default_value_t = 10_000, value_name = "N")]
    pub(crate) tick_ring: usize,
    /// Whether a tick is dropped, and counted, whose bid, ask, volume and source are those of the one before it
    #[arg(long, env, default_value_t = false, value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) drop_identical_ticks: bool,
    /// How long sums of pings by minute are kept
    #[arg(long, env, default_value = "90d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_ping_minutes: Duration,
    /// How long sums of pings by hour are kept; those by day stay
    #[arg(long, env, default_value = "365d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_ping_hours: Duration,
    /// How long ticks are kept, by whole days; without it, for ever
    #[arg(long, env, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_ticks: Option<Duration>,
    /// The age at which a day of ticks becomes a Parquet file, where the store can do that
    #[arg(long, env, default_value = "7d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) seal_ticks_after: Duration,
    /// A folder that gets each tick a second time, in a JSON file a UTC day, for a consumer that still reads those
    #[arg(long, env, value_name = "DIR")]
    pub(crate) dual_json_dir: Option<PathBuf>,
    /// What these files are: json (an array) or ndjson (an object a line)
    #[arg(long, env, default_value = "json", value_name = "FORMAT")]
    pub(crate) dual_json_format: DualFormat,
    /// What these files say as broker_id
    #[arg(long, env, default_value = "tallybook", value_name = "ID")]
    pub(crate) dual_json_broker_id: String,
}

/// What jobs did, and what is started over HTTP.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Executions")]
pub(crate) struct ExecutionSettings {
    /// How long executions are kept that have ended, with their steps, logs and artifacts
    #[arg(long, env, default_value = "90d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep_executions: Duration,
    /// Commands started over HTTP that run at the same time; see `[commands.NAME]` in docs/settings.md
    #[arg(long, env, default_value_t = 4, value_name = "N")]
    pub(crate) max_commands: usize,
}

/// What daily files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DualFormat {
    /// One array.
    Json,
    /// An object a line.
    Ndjson,
}

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AckLevel {
    /// In the queue.
    Queued,
    /// Committed.
    Written,
    /// On disk.
    Durable,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenFull {
    /// The client waits, then is told to retry.
    Block,
    /// The records are dropped, counted, and the reply says so.
    Shed,
}

impl From<AckLevel> for tallybook_writer::AckLevel {
    fn from(level: AckLevel) -> Self {
        match level {
            AckLevel::Queued => Self::Queued,
            AckLevel::Written => Self::Written,
            AckLevel::Durable => Self::Durable,
        }
    }
}
