//! The domain of Tallybook: records, sketches, tables as data, batches and the [`Store`] trait.
//!
//! No I/O, no SQL and no runtime: a backend interprets what is described here, and the memory store is the
//! reference for all of them because it calls the very functions of this crate.

mod batch;
mod catalogue;
mod changes;
mod decimal;
mod digest;
mod error;
mod execution;
mod follow;
mod histogram;
mod ping;
mod query;
pub mod shape;
mod sketch;
mod sources;
mod store;
mod table;
mod tick;
mod time;

pub use batch::{Ack, Batch, BatchId, Committed, Counts, DeadLetter, Family, Outcome, Records, SourceId};
pub use catalogue::{
    ALL_SERVICES, Attribute, AttributeKey, AttributeKeyBucket, CatalogueDelta, Event, Log, Metric, MetricBucket,
    MetricType, OVERFLOW, Scope, Service, Severity, Signal, Span, SpanKind, SpanPattern, Template, TemplateBucket,
    TemplateMove, Temporality,
};
pub use changes::{Change, Changes, Cursor};
pub use decimal::{Decimal, DecimalError};
pub use digest::{Difference, Digest, Digested, Digests, Precision};
pub use error::{Applied, Error, ErrorKind, Result};
pub use execution::{
    Annotation, AnnotationLevel, Artifact, ArtifactKind, CancelRequest, EncodedLines, EventError, Execution,
    ExecutionDay, ExecutionEvent, ExecutionEventKind, ExecutionRecords, ExecutionStatistics, ExecutionStatus, LineEnd,
    LogChunk, LogLine, LogLines, NewArtifact, NewExecution, Step, Stream, Tracker,
};
pub use follow::{Follower, Following, Readback, StoreId};
pub use histogram::Histogram;
pub use ping::{
    AlertRules, BucketKey, HeatCell, HeatMap, Jitter, Outage, OutageFinder, OutageStep, Ping, PingBucket, PingPart,
    PingPlan, PingSeen, PingSummary, PingTarget, Prober, Resolution, outage_steps, outages,
};
pub use query::{Condition, Page, Position, Query, RowPage, Sort};
pub use sketch::{HASH_SEED, Sketch, hash_bytes};
pub use sources::EndedSources;
pub use store::{Info, Store, StoreExt};
pub use table::{
    Class, Column, ColumnType, Fields, Json, MAX_KEY_BYTES, Record, Row, Rule, Rules, TABLES, Table, Value, table,
};
pub use tick::{
    Bar, Bars, Gap, Price, Quality, QualityCheck, Segment, SymbolSummary, Tick, TickFlags, TickKey, TickQuery,
    TickStore, Volume, parse_timeframe,
};
pub use time::{DAY, HOUR, TimeRange, Timestamp, Window};
