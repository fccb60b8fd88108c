//! How fast requests of 1000 records with 6 attributes each are checked, visited, hashed and transcribed.
//!
//! `cargo bench -p tallybook-telemetry --bench wire`; times are per request, so divide by 1000 for one record.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord as ProtoLog, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric as ProtoMetric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan, Status};
use prost::Message;
use tallybook_core::Signal;
use tallybook_telemetry::json::transcode;
use tallybook_telemetry::otlp::{
    Attributes, DataPoint, LogRecord, Metric, Resource, Scope, SeriesHash, Span, Visitor, hash_text, hash_value,
    validate,
};

const RECORDS: u64 = 1000;
const TIME: u64 = 1_700_000_000_000_000_000;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(ProtoValue { value: Some(value) }), ..KeyValue::default() }
}

fn attributes(record: u64) -> Vec<KeyValue> {
    vec![
        attribute("http.request.method", Value::StringValue("GET".into())),
        attribute("http.route", Value::StringValue(format!("/api/v1/orders/{}", record % 20))),
        attribute("http.response.status_code", Value::IntValue(200)),
        attribute("user.id", Value::StringValue(format!("user_{record}"))),
        attribute("k8s.pod.name", Value::StringValue(format!("checkout-7d9f8b6c5-{:05x}", record % 50))),
        attribute("server.address", Value::StringValue("10.0.12.7".into())),
    ]
}

fn resource() -> ProtoResource {
    let name = Value::StringValue("checkout".into());
    ProtoResource { attributes: vec![attribute("service.name", name)], ..ProtoResource::default() }
}

fn logs() -> ExportLogsServiceRequest {
    let record = |record| ProtoLog {
        time_unix_nano: TIME + record,
        observed_time_unix_nano: TIME + record,
        severity_number: 9,
        severity_text: "INFO".into(),
        body: Some(ProtoValue {
            value: Some(Value::StringValue(format!("order {record} of user_{record} was paid in {} ms", record % 97))),
        }),
        attributes: attributes(record),
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        ..ProtoLog::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: (0..RECORDS).map(record).collect(), ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }
}

fn traces() -> ExportTraceServiceRequest {
    let span = |span| ProtoSpan {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        parent_span_id: vec![9; 8],
        flags: 0x101,
        name: "GET /api/v1/orders/{id}".into(),
        kind: 2,
        start_time_unix_nano: TIME + span,
        end_time_unix_nano: TIME + span + 1_000_000,
        attributes: attributes(span),
        status: Some(Status { code: 1, ..Status::default() }),
        ..ProtoSpan::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..RECORDS).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn metrics() -> ExportMetricsServiceRequest {
    let point = |point| NumberDataPoint {
        start_time_unix_nano: TIME,
        time_unix_nano: TIME + point,
        attributes: attributes(point),
        value: Some(number_data_point::Value::AsInt(5)),
        ..NumberDataPoint::default()
    };
    let metric = |metric: u64| ProtoMetric {
        name: format!("http.server.requests.{metric}"),
        unit: "{request}".into(),
        data: Some(Data::Sum(Sum {
            data_points: (metric * 100..(metric + 1) * 100).map(point).collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..ProtoMetric::default()
    };
    let scope_metrics =
        vec![ScopeMetrics { metrics: (0..RECORDS / 100).map(metric).collect(), ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

/// Reads every attribute, and hashes it on demand.
struct Reading {
    hashing: bool,
    sum: u64,
}

impl Reading {
    fn attributes(&mut self, attributes: Attributes<'_>) {
        let mut series = SeriesHash::default();
        for pair in attributes {
            if self.hashing {
                series.add(hash_text(pair.key), hash_value(pair.value));
            } else {
                self.sum += pair.key.as_bytes().len() as u64;
                black_box(pair.value);
            }
        }
        self.sum ^= series.finish();
    }
}

impl<'a> Visitor<'a> for Reading {
    fn resource(&mut self, resource: &Resource<'a>) {
        self.attributes(resource.attributes);
    }

    fn scope(&mut self, scope: &Scope<'a>) {
        self.attributes(scope.attributes);
    }

    fn log(&mut self, record: &LogRecord<'a>) {
        black_box(record.body);
        self.attributes(record.attributes);
    }

    fn span(&mut self, span: &Span<'a>) {
        self.attributes(span.attributes);
        self.sum += span.events.iter().count() as u64 + span.links.iter().count() as u64;
    }

    fn metric(&mut self, metric: &Metric<'a>) {
        black_box(metric.name);
    }

    fn data_point(&mut self, point: &DataPoint<'a>) {
        self.attributes(point.attributes);
    }
}

fn wire(criterion: &mut Criterion) {
    let requests = [
        ("logs", Signal::Log, logs().encode_to_vec(), serde_json::to_vec(&logs()).expect("plain data")),
        ("spans", Signal::Span, traces().encode_to_vec(), serde_json::to_vec(&traces()).expect("plain data")),
        ("points", Signal::Metric, metrics().encode_to_vec(), serde_json::to_vec(&metrics()).expect("plain data")),
    ];
    for (name, signal, protobuf, json) in &requests {
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Elements(RECORDS));
        group.bench_function("validate", |bencher| bencher.iter(|| validate(*signal, black_box(protobuf))));
        for (verb, hashing) in [("validate and visit", false), ("validate, visit and hash", true)] {
            group.bench_function(verb, |bencher| {
                bencher.iter(|| {
                    let mut reading = Reading { hashing, sum: 0 };
                    validate(*signal, black_box(protobuf)).expect("a valid request").visit(&mut reading);
                    reading.sum
                });
            });
        }
        group.bench_function("transcode JSON", |bencher| bencher.iter(|| transcode(*signal, black_box(json))));
        group.finish();
    }
}

criterion_group!(benches, wire);
criterion_main!(benches);
