//! Export requests, and how they are written and compressed.

use std::io::Write as _;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;
use tallybook_core::Signal;

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";
pub(crate) const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];
const TIME: u64 = 1_700_000_000_000_000_000;

pub(crate) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Log => "/v1/logs",
        Signal::Span => "/v1/traces",
        Signal::Metric => "/v1/metrics",
    }
}

fn resource(service: &str) -> Resource {
    let value = AnyValue { value: Some(Value::StringValue(service.to_owned())) };
    let name = KeyValue { key: "service.name".to_owned(), value: Some(value), ..KeyValue::default() };
    Resource { attributes: vec![name], ..Resource::default() }
}

/// `count` log records of a service.
pub(crate) fn logs(service: &str, count: usize) -> ExportLogsServiceRequest {
    let body = Some(AnyValue { value: Some(Value::StringValue("it works".to_owned())) });
    let record = LogRecord { time_unix_nano: TIME, severity_number: 9, body, ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record; count], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource(service)), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }
}

/// A span of a service.
pub(crate) fn spans(service: &str, name: &str) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        name: name.to_owned(),
        start_time_unix_nano: TIME,
        end_time_unix_nano: TIME + 1,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource(service)), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// A data point of a metric of a service.
pub(crate) fn metrics(service: &str, name: &str) -> ExportMetricsServiceRequest {
    let point = NumberDataPoint { time_unix_nano: TIME, ..NumberDataPoint::default() };
    let data = Some(Data::Gauge(Gauge { data_points: vec![point] }));
    let metric = Metric { name: name.to_owned(), data, ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource(service)), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

/// One record of `signal` as protobuf.
pub(crate) fn protobuf(signal: Signal, service: &str) -> Vec<u8> {
    match signal {
        Signal::Log => logs(service, 1).encode_to_vec(),
        Signal::Span => spans(service, "GET /").encode_to_vec(),
        Signal::Metric => metrics(service, "up").encode_to_vec(),
    }
}

/// One record of `signal` as JSON.
pub(crate) fn json(signal: Signal, service: &str) -> Vec<u8> {
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] });
    let time = TIME.to_string();
    let request = match signal {
        Signal::Log => json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": [
            { "timeUnixNano": time, "severityNumber": 9, "body": { "stringValue": "it works" } }
        ] }] }] }),
        Signal::Span => json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": [
            { "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "GET /",
              "startTimeUnixNano": time, "endTimeUnixNano": time, "unknown": [1] }
        ] }] }] }),
        Signal::Metric => json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": [{ "metrics": [
            { "name": "up", "gauge": { "dataPoints": [{ "timeUnixNano": time, "asDouble": 1 }] } }
        ] }] }] }),
    };
    request.to_string().into_bytes()
}

pub(crate) fn compress(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::best();
    match encoding {
        "identity" => bytes.to_vec(),
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 3).unwrap(),
        other => panic!("no encoding {other}"),
    }
}
