//! `/metrics`: what the server counts of itself and of its writer, for Prometheus. A fixed set of series.

use std::fmt;

use axum::extract;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tallybook_mirror::{Mirror, State};
use tallybook_writer::{Health, Stats, Writer};

use super::Api;
use super::error::{ApiError, Failures};
use super::params::{NoParams, Params};
use crate::counters::Counters;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Everything that is exposed.
#[derive(Debug)]
pub(crate) struct Exposition(Registry);

impl Exposition {
    pub(crate) fn new(counters: &Counters, writer: Writer, mirror: Option<Mirror>) -> Self {
        let mut registry = Registry::with_prefix("tallybook");
        counters.register(&mut registry);
        registry.register_collector(Box::new(WriterCollector(writer)));
        if let Some(mirror) = mirror {
            registry.register_collector(Box::new(MirrorCollector(mirror)));
        }
        Self(registry)
    }
}

/// The server's own metrics in the OpenMetrics text format.
#[utoipa::path(
    get, operation_id = "get_exposition", path = "/metrics", tag = "server",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"), Failures)
)]
pub(crate) async fn get(
    extract::State(api): extract::State<Api>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, ApiError> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &api.exposition.0).map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// Reads the writer's numbers when Prometheus asks for them.
#[derive(Debug)]
struct WriterCollector(Writer);

impl Collector for WriterCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let stats = self.0.stats();
        let mut out = Encoding(encoder);
        accounting(&mut out, &stats)?;
        flushes(&mut out, &stats)?;
        known(&mut out, &stats)?;
        daily_files(&mut out, &stats)?;
        let failing = u64::from(matches!(self.0.health(), Health::Failing { .. }));
        out.gauge("writer_failing", "1 while nothing reaches the store", None, &[([], failing)])
    }
}

/// Reads the mirror's numbers likewise.
#[derive(Debug)]
struct MirrorCollector(Mirror);

impl Collector for MirrorCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let status = self.0.status();
        let mut out = Encoding(encoder);
        let states = State::ALL.map(|state| ([("state", state.as_str())], u64::from(state == status.state)));
        out.gauge("mirror_state", "1 for what the mirror does at present", None, &states)?;
        // What is not known is left out.
        let records = status.lag_records.map(|records| ([], records));
        out.gauge("mirror_lag_records", "About how many rows and ticks wait for the mirror", None, records.as_slice())?;
        let seconds = status.lag.map(|lag| ([], lag.as_secs()));
        let help = "How old the oldest thing may be that waits for the mirror";
        out.gauge("mirror_lag", help, Some(&Unit::Seconds), seconds.as_slice())?;
        out.counter("mirror_rows", "Rows the mirror kept", &[([], status.progress.rows)])?;
        out.counter("mirror_ticks", "Ticks the mirror kept", &[([], status.progress.ticks)])?;
        out.counter("mirror_errors", "Failures of the mirror", &[([], status.errors)])
    }
}

fn accounting(out: &mut Encoding<'_>, stats: &Stats) -> fmt::Result {
    let mut counters = Vec::new();
    let mut queued = Vec::new();
    for (family, accounting) in &stats.families {
        let family = ("family", family.as_str());
        counters.extend(
            [
                ("offered", accounting.offered),
                ("stored", accounting.stored),
                ("merged", accounting.merged),
                ("duplicate", accounting.duplicate),
                ("rejected", accounting.rejected),
                ("shed", accounting.shed),
            ]
            .map(|(fate, count)| ([family, ("fate", fate)], count)),
        );
        queued.push(([family], accounting.queued));
    }
    out.counter(
        "records",
        "Records by what became of them; offered is the sum of all others and the queued",
        &counters,
    )?;
    out.gauge("queued_records", "Records that were taken and are not committed yet", None, &queued)?;
    let refused = [
        ("full", stats.refused_requests.full),
        ("unavailable", stats.refused_requests.unavailable),
        ("decode", stats.refused_requests.decode),
        ("stopping", stats.refused_requests.stopping),
        ("unacknowledged", stats.refused_requests.unacknowledged),
    ];
    let refused = refused.map(|(reason, count)| ([("reason", reason)], count));
    out.counter("refused_requests", "Requests that were refused as a whole", &refused)
}

fn flushes(out: &mut Encoding<'_>, stats: &Stats) -> fmt::Result {
    out.gauge("pending_rows", "Rows that wait for the next flush", None, &[([], stats.pending_rows as u64)])?;
    let bytes = [([], stats.pending_bytes as u64)];
    out.gauge("pending", "Bytes that wait for the next flush, estimated", Some(&Unit::Bytes), &bytes)?;
    out.counter("flushes", "Flushes that ended", &[([], stats.flushes)])?;
    out.counter("committed_rows", "Rows that were committed", &[([], stats.rows_committed)])?;
    out.counter("commit_retries", "Commits that were sent again", &[([], stats.retries)])?;
    out.counter("dead_letters", "Rows the store refused, kept as dead letters", &[([], stats.dead_letters)])?;
    let lost = [([], stats.dead_letters_lost)];
    out.counter("lost_dead_letters", "Rows the store refused and did not keep as dead letters", &lost)?;
    let last = [([], stats.last_flush_us)];
    out.gauge("last_flush_microseconds", "How long the last flush worked", None, &last)
}

fn daily_files(out: &mut Encoding<'_>, stats: &Stats) -> fmt::Result {
    let files = stats.companion.clone().unwrap_or_default();
    out.counter("daily_files_ticks", "Ticks that were written to daily files", &[([], files.written)])?;
    let missed = [([], files.missed)];
    out.counter("daily_files_missed_ticks", "Ticks that could not be written to daily files", &missed)?;
    out.gauge("daily_files_queued_ticks", "Ticks that wait for their daily files", None, &[([], files.queued)])?;
    let behind = [([], files.days_behind)];
    out.gauge("daily_files_days_behind", "Days whose files wait to be written anew", None, &behind)
}

fn known(out: &mut Encoding<'_>, stats: &Stats) -> fmt::Result {
    let fold = &stats.fold;
    let known = [
        ("service", fold.services),
        ("metric", fold.metrics),
        ("span", fold.spans),
        ("key", fold.keys),
        ("template", fold.templates),
    ];
    let known = known.map(|(kind, count)| ([("kind", kind)], count as u64));
    out.gauge("known", "What is known in memory", None, &known)?;
    let overflowed = [
        ("services", fold.overflowed.services),
        ("names", fold.overflowed.names),
        ("keys", fold.overflowed.keys),
        ("events", fold.overflowed.events),
        ("templates", fold.overflowed.templates),
    ];
    let overflowed = overflowed.map(|(budget, count)| ([("budget", budget)], count));
    out.counter("overflowed", "What was counted under <overflow>, by the budget that was used up", &overflowed)?;
    out.counter("corrected_times", "Records whose own time cannot be", &[([], fold.times_corrected)])?;
    out.counter("invalid_utf8", "Strings that were not UTF-8", &[([], fold.invalid_utf8)])
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

struct Encoding<'a>(DescriptorEncoder<'a>);

impl Encoding<'_> {
    fn counter<const N: usize>(&mut self, name: &str, help: &str, values: &[(Labels<N>, u64)]) -> fmt::Result
    where
        Labels<N>: EncodeLabelSet,
    {
        let values = values.iter().map(|(labels, count)| (labels, ConstCounter::new(*count)));
        self.family(name, help, None, values)
    }

    fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: &[(Labels<N>, u64)],
    ) -> fmt::Result
    where
        Labels<N>: EncodeLabelSet,
    {
        let values = values.iter().map(|(labels, value)| (labels, ConstGauge::new(*value)));
        self.family(name, help, unit, values)
    }

    fn family<'v, const N: usize, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl Iterator<Item = (&'v Labels<N>, M)>,
    ) -> fmt::Result
    where
        Labels<N>: EncodeLabelSet,
    {
        let mut values = values.peekable();
        let Some((_, first)) = values.peek() else {
            return Ok(());
        };
        let mut descriptor = self.0.encode_descriptor(name, help, unit, first.metric_type())?;
        if N == 0 {
            return first.encode(descriptor);
        }
        for (labels, metric) in values {
            metric.encode(descriptor.encode_family(labels)?)?;
        }
        Ok(())
    }
}
