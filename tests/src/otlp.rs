//! Short ways to build the requests of OTLP.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

/// The severity number of INFO.
pub const INFO: i32 = 9;

/// A kind of telemetry, as OTLP tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Metrics, Self::Traces];

    /// Where OTLP/HTTP takes it.
    pub fn http_path(self) -> &'static str {
        match self {
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
        }
    }

    /// Where OTLP/gRPC takes it.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }
}

/// A request of OTLP.
pub trait Export: prost::Message {
    /// What it carries.
    const SIGNAL: Signal;
}

impl Export for ExportLogsServiceRequest {
    const SIGNAL: Signal = Signal::Logs;
}

impl Export for ExportMetricsServiceRequest {
    const SIGNAL: Signal = Signal::Metrics;
}

impl Export for ExportTraceServiceRequest {
    const SIGNAL: Signal = Signal::Traces;
}

/// The present, in nanoseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// An attribute with text.
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(string(value)), ..KeyValue::default() }
}

/// A text as value or body.
pub fn string(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.into())) }
}

/// The resource of a service, with one more attribute.
pub fn resource(service: &str) -> Resource {
    let attributes = vec![text("service.name", service), text("host.name", "host-1")];
    Resource { attributes, ..Resource::default() }
}

/// A log record of severity INFO.
pub fn log(body: impl Into<String>) -> LogRecord {
    LogRecord { time_unix_nano: now(), severity_number: INFO, body: Some(string(body)), ..LogRecord::default() }
}

/// A span that began now.
pub fn span(name: impl Into<String>) -> Span {
    let now = now();
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.into(),
        kind: 2,
        start_time_unix_nano: now,
        end_time_unix_nano: now + 1_000_000,
        ..Span::default()
    }
}

/// A gauge with a point for each set of labels.
pub fn gauge(name: impl Into<String>, labels: Vec<Vec<KeyValue>>) -> Metric {
    let point = |attributes| NumberDataPoint {
        attributes,
        time_unix_nano: now(),
        value: Some(number_data_point::Value::AsInt(1)),
        ..NumberDataPoint::default()
    };
    let data_points = labels.into_iter().map(point).collect();
    Metric { name: name.into(), data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "tests".into(), version: "1".into(), ..InstrumentationScope::default() }
}

/// The log records of one resource.
pub fn resource_logs(resource: Resource, log_records: Vec<LogRecord>) -> ResourceLogs {
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }];
    ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }
}

/// A request with the log records of one service.
pub fn logs(service: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest { resource_logs: vec![resource_logs(resource(service), log_records)] }
}

/// A request with the spans of one service.
pub fn traces(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource(service)), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// A request with the metrics of one service.
pub fn metrics(service: &str, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource(service)), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}
