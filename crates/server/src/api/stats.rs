//! `stats`: what was received, where it is, and how much is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallybook_core::{
    ALL_SERVICES, Attribute, AttributeKey, Condition, Metric, Record, Result, Service, Span, SpanPattern, Store,
    Template, Timestamp, Value,
};
use tallybook_telemetry::FoldStats;
use tallybook_writer::{Accounting, CompanionStats, Health, RefusedRequests, State as WriterState, Stats};
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, Failures};
use super::mirror::MirrorBody;
use super::page::{number_of, of_service};
use super::params::{NoParams, Params};
use super::schema;

/// What was received, where it is, and how much is known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsBody {
    #[schema(schema_with = schema::time)]
    started: Timestamp,
    store: StoreInfo,
    /// Where every record is, by family. `offered` is the sum of all others.
    families: BTreeMap<&'static str, AccountingBody>,
    writer: WriterBody,
    /// The daily files that are written beside the store; null where none are.
    daily_files: Option<DailyFilesBody>,
    /// What follows the store; null where nothing does.
    mirror: Option<MirrorBody>,
    /// What is known in memory.
    fold: FoldBody,
    catalogue: Catalogue,
}

#[derive(Debug, Serialize, ToSchema)]
struct StoreInfo {
    /// The name in `USE_DB`.
    name: &'static str,
    version: String,
    /// Whether what is committed outlives the process.
    persistent: bool,
    /// Whether other processes may write to it at the same time.
    shared: bool,
}

/// Where every record of a family is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accounting)]
struct AccountingBody {
    /// Records that were taken, or shed.
    offered: u64,
    /// Committed as rows of their own.
    stored: u64,
    /// Committed into rows that sum up many records.
    merged: u64,
    /// In the store before they were offered.
    duplicate: u64,
    /// Refused for what they are.
    rejected: u64,
    /// Dropped because the queue was full, where that is allowed.
    shed: u64,
    /// Taken and not committed yet.
    queued: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct WriterBody {
    state: WriterStateBody,
    /// Since when nothing reaches the store; null while all does.
    #[schema(schema_with = schema::nullable_time)]
    failing_since: Option<Timestamp>,
    refused_requests: RefusedBody,
    /// Rows that wait for the next flush.
    pending_rows: u64,
    /// Their bytes, estimated.
    pending_bytes: u64,
    /// Bytes of requests that wait for room.
    waiting_bytes: u64,
    flushes: u64,
    rows_committed: u64,
    last_flush_us: u64,
    longest_flush_us: u64,
    /// Commits that were sent again.
    retries: u64,
    /// Rows the store refused, kept with the reason.
    dead_letters: u64,
    /// Rows the store refused and did not keep as dead letters either.
    dead_letters_lost: u64,
    /// Rows that were removed because of their age.
    pruned_rows: u64,
    /// What the store said last when it failed.
    last_error: Option<Arc<str>>,
    #[schema(schema_with = schema::nullable_time)]
    last_error_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WriterState)]
enum WriterStateBody {
    Running,
    Stopping,
    Stopped,
}

/// The daily files of ticks that are written beside the store.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DailyFiles)]
struct DailyFilesBody {
    /// Ticks that were written.
    written: u64,
    /// Ticks that wait to be written.
    queued: u64,
    /// Ticks that are in the store and could not be written; the files of their days are written anew.
    missed: u64,
    /// Days whose files are not whole and wait to be written anew.
    days_behind: u64,
    /// Days whose files were written anew from the store.
    days_rewritten: u64,
    /// What kept them last; null while all is well.
    last_error: Option<Arc<str>>,
}

/// Requests that were refused as a whole, by reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedRequests)]
struct RefusedBody {
    full: u64,
    unavailable: u64,
    decode: u64,
    stopping: u64,
    /// Taken, but not known to be committed when the server stopped.
    unacknowledged: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoldStats)]
struct FoldBody {
    services: u64,
    metrics: u64,
    spans: u64,
    keys: u64,
    templates: u64,
    known_bytes: u64,
    records: u64,
    /// Records that have no name.
    rejected: u64,
    /// Records whose own time cannot be: counted when they were received.
    times_corrected: u64,
    /// Strings that were not UTF-8.
    invalid_utf8: u64,
    /// What was counted under `<overflow>`, by the budget that was used up.
    overflowed: OverflowedBody,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Overflowed)]
struct OverflowedBody {
    services: u64,
    names: u64,
    keys: u64,
    events: u64,
    templates: u64,
}

/// How much is in the store.
#[derive(Debug, Serialize, ToSchema)]
struct Catalogue {
    services: u64,
    metrics: u64,
    spans: u64,
    span_patterns: u64,
    /// Keys, once for each scope.
    attributes: u64,
    /// Keys, once for each name that carries them.
    attribute_keys: u64,
    templates: u64,
}

/// What was received, where it is, and how much is known.
#[utoipa::path(
    get, operation_id = "get_stats", path = "/api/v1/stats", tag = "server",
    responses((status = 200, description = "The numbers", body = StatsBody), Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<StatsBody>, ApiError> {
    let catalogue = Catalogue::read(&*api.store).await?;
    let info = api.store.info();
    let mut stats = api.writer.stats();
    Ok(Json(StatsBody {
        started: api.started,
        store: StoreInfo { name: info.name, version: info.version, persistent: info.persistent, shared: info.shared },
        families: stats.families.iter().map(|(family, accounting)| (family.as_str(), accounting.into())).collect(),
        daily_files: stats.companion.take().map(Into::into),
        mirror: api.mirror.as_ref().map(|mirror| mirror.status().into()),
        fold: stats.fold.into(),
        writer: WriterBody::of(stats, &api.writer.health()),
        catalogue,
    }))
}

impl Catalogue {
    async fn read(store: &dyn Store) -> Result<Self> {
        let of_all = |table| number_of(store, table, vec![of_service(None)]);
        // A template that became part of a more general one keeps a row with a count of 0.
        let alive = Condition::AtLeast("count", Value::Int(1));
        let (services, metrics, spans, span_patterns, attributes, attribute_keys, templates) = tokio::try_join!(
            number_of(store, Service::TABLE, vec![Condition::Differs("name", Value::from(ALL_SERVICES))]),
            of_all(Metric::TABLE),
            of_all(Span::TABLE),
            of_all(SpanPattern::TABLE),
            number_of(store, Attribute::TABLE, Vec::new()),
            of_all(AttributeKey::TABLE),
            number_of(store, Template::TABLE, vec![alive]),
        )?;
        Ok(Self { services, metrics, spans, span_patterns, attributes, attribute_keys, templates })
    }
}

impl From<&Accounting> for AccountingBody {
    fn from(accounting: &Accounting) -> Self {
        let Accounting { offered, stored, merged, duplicate, rejected, shed, queued } = *accounting;
        Self { offered, stored, merged, duplicate, rejected, shed, queued }
    }
}

impl WriterBody {
    fn of(stats: Stats, health: &Health) -> Self {
        let failing_since = match health {
            Health::Healthy => None,
            Health::Failing { since, .. } => Some(*since),
        };
        let (last_error, last_error_at) = stats.last_error.map(|last| (last.error, last.at)).unzip();
        Self {
            state: match stats.state {
                WriterState::Running => WriterStateBody::Running,
                WriterState::Stopping => WriterStateBody::Stopping,
                WriterState::Stopped => WriterStateBody::Stopped,
            },
            failing_since,
            refused_requests: stats.refused_requests.into(),
            pending_rows: stats.pending_rows as u64,
            pending_bytes: stats.pending_bytes as u64,
            waiting_bytes: stats.waiting_bytes as u64,
            flushes: stats.flushes,
            rows_committed: stats.rows_committed,
            last_flush_us: stats.last_flush_us,
            longest_flush_us: stats.longest_flush_us,
            retries: stats.retries,
            dead_letters: stats.dead_letters,
            dead_letters_lost: stats.dead_letters_lost,
            pruned_rows: stats.pruned_rows,
            last_error,
            last_error_at,
        }
    }
}

impl From<CompanionStats> for DailyFilesBody {
    fn from(stats: CompanionStats) -> Self {
        let CompanionStats { written, queued, missed, days_behind, days_rewritten, last_error } = stats;
        Self { written, queued, missed, days_behind, days_rewritten, last_error }
    }
}

impl From<RefusedRequests> for RefusedBody {
    fn from(refused: RefusedRequests) -> Self {
        let RefusedRequests { full, unavailable, decode, stopping, unacknowledged } = refused;
        Self { full, unavailable, decode, stopping, unacknowledged }
    }
}

impl From<FoldStats> for FoldBody {
    fn from(stats: FoldStats) -> Self {
        Self {
            services: stats.services as u64,
            metrics: stats.metrics as u64,
            spans: stats.spans as u64,
            keys: stats.keys as u64,
            templates: stats.templates as u64,
            known_bytes: stats.known_bytes as u64,
            records: stats.records,
            rejected: stats.rejected,
            times_corrected: stats.times_corrected,
            invalid_utf8: stats.invalid_utf8,
            overflowed: OverflowedBody {
                services: stats.overflowed.services,
                names: stats.overflowed.names,
                keys: stats.overflowed.keys,
                events: stats.overflowed.events,
                templates: stats.overflowed.templates,
            },
        }
    }
}
