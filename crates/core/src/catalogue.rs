//! The telemetry family: what is known of services, metrics, spans, logs, templates and attribute keys. Never values.
//!
//! Rows of [`Metric`], [`Span`], [`SpanPattern`], [`Log`], [`Event`] and [`AttributeKey`] exist once per service and once
//! for [`ALL_SERVICES`], so that every list is one indexed scan whether or not it is asked of one service.

use std::sync::Arc;

use crate::batch::for_rows;
use crate::table::{ColumnType, Field, Row, Table, Value, record, text_enum};
use crate::{Sketch, Timestamp, Window};

/// The `service` of a row that sums up all services. No service has this name: a resource without `service.name` is
/// `unknown_service`, as OpenTelemetry says.
pub const ALL_SERVICES: &str = "";

/// The name under which everything past a budget is counted, wherever a name, a key or a template is expected.
pub const OVERFLOW: &str = "<overflow>";

text_enum! {
    /// The kind of telemetry.
    Signal {
        /// A metric's data points.
        Metric = "metric",
        /// Spans.
        Span = "span",
        /// Log records.
        Log = "log",
    }
}

text_enum! {
    /// Where an attribute key was found.
    Scope {
        /// On the resource.
        Resource = "resource",
        /// On the instrumentation scope.
        Scope = "scope",
        /// On the record itself: a data point's label, a span's or a log record's attribute.
        Attribute = "attribute",
        /// On an event of a span.
        Event = "event",
        /// On a link of a span.
        Link = "link",
        /// A key of a log record's structured body.
        Body = "body",
    }
}

text_enum! {
    /// The type of a metric.
    MetricType {
        /// The last value of something.
        Gauge = "gauge",
        /// A sum, monotonic or not.
        Sum = "sum",
        /// Counts by explicit bounds.
        Histogram = "histogram",
        /// Counts by exponential buckets.
        ExponentialHistogram = "exponential_histogram",
        /// Quantiles made by the client.
        Summary = "summary",
    }
}

text_enum! {
    /// What a sum or histogram counts from.
    Temporality {
        /// Not said.
        Unspecified = "unspecified",
        /// Since the last report.
        Delta = "delta",
        /// Since the start.
        Cumulative = "cumulative",
    }
}

text_enum! {
    /// The severity of a log record, by its range of `severity_number`.
    Severity {
        /// Neither number nor known text.
        Unspecified = "UNSPECIFIED",
        /// 1 to 4.
        Trace = "TRACE",
        /// 5 to 8.
        Debug = "DEBUG",
        /// 9 to 12.
        Info = "INFO",
        /// 13 to 16.
        Warn = "WARN",
        /// 17 to 20.
        Error = "ERROR",
        /// 21 to 24.
        Fatal = "FATAL",
    }
}

text_enum! {
    /// The kind of a span.
    SpanKind {
        /// Not said.
        Unspecified = "unspecified",
        /// Inside an application.
        Internal = "internal",
        /// The receiving side of a call.
        Server = "server",
        /// The calling side.
        Client = "client",
        /// Puts a message.
        Producer = "producer",
        /// Takes a message.
        Consumer = "consumer",
    }
}

impl Field for Window {
    const TYPE: ColumnType = ColumnType::Text;
    fn to_value(&self) -> Value {
        Value::from(self.as_str())
    }
    fn from_value(value: Value) -> Option<Self> {
        [Self::Hour, Self::Day].into_iter().find(|window| value.as_text() == Some(window.as_str()))
    }
}

record! {
    /// A service that sends telemetry.
    Service in "service" by Merge {
        /// `service.name`.
        name: Arc<str> => Key,
        /// Metric data points received.
        metric_points: u64 => Add,
        /// Spans received.
        spans: u64 => Add,
        /// Log records received.
        log_records: u64 => Add,
        /// The earliest record.
        first_seen: Timestamp => Min,
        /// The latest record.
        last_seen: Timestamp => Max,
    }
}

record! {
    /// A metric of a service (or of [`ALL_SERVICES`]).
    Metric in "metric" by Merge {
        /// The service that sends it.
        service: Arc<str> => Key,
        /// The metric's name.
        name: Arc<str> => Key,
        /// Its type, as last reported.
        metric_type: MetricType => Last,
        /// Its unit (UCUM).
        unit: Option<Arc<str>> => Last,
        /// Its description.
        description: Option<Arc<str>> => Last,
        /// Of sums and histograms.
        temporality: Option<Temporality> => Last,
        /// Of sums.
        monotonic: Option<bool> => Last,
        /// The explicit bounds of the latest histogram.
        bounds: Option<Arc<[f64]>> => Last,
        /// The quantiles of the latest summary.
        quantiles: Option<Arc<[f64]>> => Last,
        /// The instrumentation scope's name.
        scope_name: Option<Arc<str>> => Last,
        /// The instrumentation scope's version.
        scope_version: Option<Arc<str>> => Last,
        /// Data points received.
        sample_count: u64 => Add,
        /// The estimated number of distinct label sets (resource included).
        active_series: u64 => Estimate("series"),
        /// The earliest data point.
        first_seen: Timestamp => Min,
        /// The latest data point.
        last_seen: Timestamp => Max,
        /// Distinct label sets (resource included).
        series: Arc<Sketch> => Union,
    }
}

impl Metric {
    /// The number of series Prometheus would store for this metric: one per bucket and quantile beside `_sum` and
    /// `_count`. A native (exponential) histogram is one series.
    pub fn prometheus_series(&self) -> u64 {
        let parts = match self.metric_type {
            MetricType::Gauge | MetricType::Sum | MetricType::ExponentialHistogram => 1,
            // The bounds, +Inf, _sum and _count.
            MetricType::Histogram => self.bounds.as_ref().map_or(0, |bounds| bounds.len() as u64) + 3,
            MetricType::Summary => self.quantiles.as_ref().map_or(0, |quantiles| quantiles.len() as u64) + 2,
        };
        self.active_series.saturating_mul(parts)
    }
}

record! {
    /// A span name of a service (or of [`ALL_SERVICES`]).
    Span in "span" by Merge {
        /// The service that sends it.
        service: Arc<str> => Key,
        /// The span's name.
        name: Arc<str> => Key,
        /// The name with its variable parts replaced by `<*>`.
        pattern: Arc<str> => First,
        /// The instrumentation scope's name.
        scope_name: Option<Arc<str>> => Last,
        /// The instrumentation scope's version.
        scope_version: Option<Arc<str>> => Last,
        /// Spans received.
        sample_count: u64 => Add,
        /// Of these, of no said kind.
        kind_unspecified: u64 => Add,
        /// Internal ones.
        kind_internal: u64 => Add,
        /// Server ones.
        kind_server: u64 => Add,
        /// Client ones.
        kind_client: u64 => Add,
        /// Producer ones.
        kind_producer: u64 => Add,
        /// Consumer ones.
        kind_consumer: u64 => Add,
        /// With status unset.
        status_unset: u64 => Add,
        /// With status ok.
        status_ok: u64 => Add,
        /// With status error.
        status_error: u64 => Add,
        /// Events on these spans.
        events: u64 => Add,
        /// Links on these spans.
        links: u64 => Add,
        /// The earliest start.
        first_seen: Timestamp => Min,
        /// The latest start.
        last_seen: Timestamp => Max,
    }
}

record! {
    /// Span names of one shape, of a service (or of [`ALL_SERVICES`]).
    SpanPattern in "span_pattern" by Merge {
        /// The service that sends them.
        service: Arc<str> => Key,
        /// The names' common shape, variable parts replaced by `<*>`.
        pattern: Arc<str> => Key,
        /// One of the names.
        example: Arc<str> => First,
        /// Spans received.
        sample_count: u64 => Add,
        /// The estimated number of distinct names.
        name_count: u64 => Estimate("names"),
        /// The earliest start.
        first_seen: Timestamp => Min,
        /// The latest start.
        last_seen: Timestamp => Max,
        /// Distinct names.
        names: Arc<Sketch> => Union,
    }
}

record! {
    /// The log records of one severity of a service (or of [`ALL_SERVICES`]).
    Log in "log" by Merge {
        /// The service that sends them.
        service: Arc<str> => Key,
        /// Their severity.
        severity: Severity => Key,
        /// Log records received.
        sample_count: u64 => Add,
        /// With a string body.
        body_string: u64 => Add,
        /// With a body of keys and values.
        body_kvlist: u64 => Add,
        /// With an array as body.
        body_array: u64 => Add,
        /// With any other body, or none.
        body_other: u64 => Add,
        /// The earliest record.
        first_seen: Timestamp => Min,
        /// The latest record.
        last_seen: Timestamp => Max,
    }
}

record! {
    /// A named event: of a span (`name` is the span's) or a log record's `event_name` (`name` is its severity).
    Event in "event" by Merge {
        /// Spans or logs.
        signal: Signal => Key,
        /// The service that sends it (or [`ALL_SERVICES`]).
        service: Arc<str> => Key,
        /// The span's name or the log record's severity.
        name: Arc<str> => Key,
        /// The event's name.
        event: Arc<str> => Key,
        /// How often it was seen.
        count: u64 => Add,
        /// The earliest.
        first_seen: Timestamp => Min,
        /// The latest.
        last_seen: Timestamp => Max,
    }
}

record! {
    /// An attribute key, over all signals, services and names.
    Attribute in "attribute" by Merge {
        /// The key.
        key: Arc<str> => Key,
        /// Where it was found.
        scope: Scope => Key,
        /// Records that carried it.
        count: u64 => Add,
        /// Metric data points that carried it.
        metric_count: u64 => Add,
        /// Spans that carried it.
        span_count: u64 => Add,
        /// Log records that carried it.
        log_count: u64 => Add,
        /// The estimated number of distinct values.
        cardinality: u64 => Estimate("distinct_values"),
        /// The earliest record that carried it.
        first_seen: Timestamp => Min,
        /// The latest.
        last_seen: Timestamp => Max,
        /// Distinct values, hashed.
        distinct_values: Arc<Sketch> => Union,
    }
}

record! {
    /// An attribute key of one metric, span name or log severity, of a service (or of [`ALL_SERVICES`]).
    AttributeKey in "attribute_key" by Merge {
        /// The kind of record that carried it.
        signal: Signal => Key,
        /// The service that sends it (or [`ALL_SERVICES`]).
        service: Arc<str> => Key,
        /// The metric's or the span's name, or the severity.
        name: Arc<str> => Key,
        /// Where it was found.
        scope: Scope => Key,
        /// The key.
        key: Arc<str> => Key,
        /// Records that carried it.
        count: u64 => Add,
        /// The estimated number of distinct values.
        cardinality: u64 => Estimate("distinct_values"),
        /// The earliest record that carried it.
        first_seen: Timestamp => Min,
        /// The latest.
        last_seen: Timestamp => Max,
        /// Distinct values, hashed.
        distinct_values: Arc<Sketch> => Union,
    }
}

record! {
    /// A template of log bodies, of one severity of a service.
    Template in "template" by Merge {
        /// The service that sends it.
        service: Arc<str> => Key,
        /// The severity.
        severity: Severity => Key,
        /// The body with its variable parts replaced by `<*>`.
        template: Arc<str> => Key,
        /// One body, unless examples are switched off.
        example: Option<Arc<str>> => First,
        /// Log records that match; 0 where the template became part of a more general one.
        count: u64 => Add,
        /// The earliest.
        first_seen: Timestamp => Min,
        /// The latest.
        last_seen: Timestamp => Max,
    }
}

record! {
    /// A metric's data points and series in one hour or day.
    MetricBucket in "metric_bucket" by Merge pruned by "start" {
        /// Hour or day.
        window: Window => Key,
        /// The start of the window.
        start: Timestamp => Key,
        /// The service that sends it.
        service: Arc<str> => Key,
        /// The metric's name.
        name: Arc<str> => Key,
        /// Data points in the window.
        sample_count: u64 => Add,
        /// The estimated number of series active in the window.
        active_series: u64 => Estimate("series"),
        /// Distinct label sets.
        series: Arc<Sketch> => Union,
    }
}

record! {
    /// An attribute key's records and values in one hour or day.
    AttributeKeyBucket in "attribute_key_bucket" by Merge pruned by "start" {
        /// Hour or day.
        window: Window => Key,
        /// The start of the window.
        start: Timestamp => Key,
        /// The kind of record that carried it.
        signal: Signal => Key,
        /// The service that sends it.
        service: Arc<str> => Key,
        /// The metric's or the span's name, or the severity.
        name: Arc<str> => Key,
        /// Where it was found.
        scope: Scope => Key,
        /// The key.
        key: Arc<str> => Key,
        /// Records in the window that carried it.
        count: u64 => Add,
        /// The estimated number of distinct values in the window.
        cardinality: u64 => Estimate("distinct_values"),
        /// Distinct values, hashed.
        distinct_values: Arc<Sketch> => Union,
    }
}

record! {
    /// A template's records in one hour or day.
    TemplateBucket in "template_bucket" by Merge pruned by "start" {
        /// Hour or day.
        window: Window => Key,
        /// The start of the window.
        start: Timestamp => Key,
        /// The service that sends it.
        service: Arc<str> => Key,
        /// The severity.
        severity: Severity => Key,
        /// The body with its variable parts replaced by `<*>`.
        template: Arc<str> => Key,
        /// Log records in the window that match.
        count: u64 => Add,
    }
}

/// A template became more general, or equal to another: all rows of `from` ([`Template`] and its buckets) are merged into
/// those of `to`, and keep a count of 0. Applied after the rows of the same batch, in order; a repeat moves nothing.
///
/// Row by row: a row of `from` whose count is not 0 is merged by [`Table::merge`] into the row of `to` with the same other
/// key columns, or becomes that row; then its own count is 0 and the rest of it stays. A move to itself changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateMove {
    /// The service.
    pub service: Arc<str>,
    /// The severity.
    pub severity: Severity,
    /// The text that is no more.
    pub from: Arc<str>,
    /// The text that takes over.
    pub to: Arc<str>,
}

/// What a flush of telemetry adds to the catalogue.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is the table its type documents")]
pub struct CatalogueDelta {
    pub services: Vec<Service>,
    pub metrics: Vec<Metric>,
    pub spans: Vec<Span>,
    pub span_patterns: Vec<SpanPattern>,
    pub logs: Vec<Log>,
    pub events: Vec<Event>,
    pub attributes: Vec<Attribute>,
    pub attribute_keys: Vec<AttributeKey>,
    pub templates: Vec<Template>,
    pub metric_buckets: Vec<MetricBucket>,
    pub attribute_key_buckets: Vec<AttributeKeyBucket>,
    pub template_buckets: Vec<TemplateBucket>,
    pub template_moves: Vec<TemplateMove>,
}

impl CatalogueDelta {
    /// Gives every table that has rows, with its rows sorted by key and each key once; stops at the first error.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn for_each_table<E>(&self, mut each: impl FnMut(&'static Table, Vec<Row>) -> Result<(), E>) -> Result<(), E> {
        let Self {
            services,
            metrics,
            spans,
            span_patterns,
            logs,
            events,
            attributes,
            attribute_keys,
            templates,
            metric_buckets,
            attribute_key_buckets,
            template_buckets,
            // Not rows: a backend applies them after the tables.
            template_moves: _,
        } = self;
        for_rows(services, &mut each)?;
        for_rows(metrics, &mut each)?;
        for_rows(spans, &mut each)?;
        for_rows(span_patterns, &mut each)?;
        for_rows(logs, &mut each)?;
        for_rows(events, &mut each)?;
        for_rows(attributes, &mut each)?;
        for_rows(attribute_keys, &mut each)?;
        for_rows(templates, &mut each)?;
        for_rows(metric_buckets, &mut each)?;
        for_rows(attribute_key_buckets, &mut each)?;
        for_rows(template_buckets, &mut each)
    }
}
